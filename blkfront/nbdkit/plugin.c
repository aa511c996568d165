/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a split disk as an export of nbdkit: any NBD client uses it.
 *
 *	nbdkit pvsplit domain=3 vdev=xvda
 *
 * nbdkit calls from many threads, each of which waits for its request: lanes.h
 * has them poll the blkfront's queues in turn. Each connection keeps to a lane,
 * and so to a ring, of its own, as far as there are that many.
 *
 * nbdkit's buffers are its own, so data is copied once in each direction,
 * between them and the region that is shared with the backend.
 */
#define NBDKIT_API_VERSION 2

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#include "abi/grant.h"
#include "blkfront/blkfront.h"
#include "blkfront/bytes.h"
#include "blkfront/lanes.h"
#include "util/log.h"
#include "util/num.h"
#include "util/vdev.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define PIECE_BYTES   (1u << 20) /* of a request, at a time */
#define BUFFERS_BYTES (20u << 20)
#define REQUEST_BYTES (32u << 20) /* the largest that clients should send */
#define PREFERRED_MAX (1u << 20)
#define WHY_BYTES     256
#define QUEUES_MIN    2u
#define QUEUES_MAX    BLKFRONT_QUEUES_MAX
#define QUEUES_USUAL  16u /* threads that nbdkit has for a connection */

/* Configuration, and what is open from get_ready to unload. */
static struct {
	struct blkfront_config config;
	bool has_domain, has_vdev;
	char *run_dir;

	struct blkfront *bf;
	struct bytes bytes;
	struct lanes lanes;

	pthread_mutex_t room_lock;
	pthread_cond_t room; /* a buffer was given back */
	uint32_t nr_short;   /* atomic: wait for one */
} disk = {
	.room_lock = PTHREAD_MUTEX_INITIALIZER,
	.room = PTHREAD_COND_INITIALIZER,
	.lanes.wake_fd = -1,
};

/* A request of nbdkit's, on the stack of the thread that waits for it. */
struct request {
	struct bytes_req bytes;
	struct blkfront_io io;
	struct waiter waiter;
};

/* ---- requests -------------------------------------------------------------
 */

static void bytes_done(struct bytes_req *bytes)
{
	struct request *rq = container_of(bytes, struct request, bytes);

	waiter_end(&rq->waiter, bytes->result);
}

static void io_done(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, io);

	waiter_end(&rq->waiter, io->result);
}

static struct blkfront_info get_info(void)
{
	struct blkfront_info info;

	blkfront_info(disk.bf, &info);
	return info;
}

/*
 * Who gives a buffer back looks at nr_short afterwards, who is short counts
 * itself before it looks for one: so one of them sees the other.
 */
static void take_buffer(struct request *rq)
{
	if (bytes_prepare(&disk.bytes, &rq->bytes) == 0)
		return;
	pthread_mutex_lock(&disk.room_lock);
	/* Pairs with give_buffer(). */
	__atomic_add_fetch(&disk.nr_short, 1, __ATOMIC_SEQ_CST);
	while (bytes_prepare(&disk.bytes, &rq->bytes))
		pthread_cond_wait(&disk.room, &disk.room_lock);
	__atomic_sub_fetch(&disk.nr_short, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&disk.room_lock);
}

static void give_buffer(struct request *rq)
{
	bytes_release(&disk.bytes, &rq->bytes);
	if (!__atomic_load_n(&disk.nr_short, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&disk.room_lock);
	pthread_cond_broadcast(&disk.room);
	pthread_mutex_unlock(&disk.room_lock);
}

/* One piece: to is NULL for a write, from for a read. */
static int move_piece(struct lane *lane, void *to, const void *from,
		      size_t size_bytes, uint64_t offset_bytes)
{
	struct request rq;
	int result;

	rq.bytes = (struct bytes_req){
		.queue = lane->queue,
		.write = from != NULL,
		.offset_bytes = offset_bytes,
		.size_bytes = size_bytes,
		.done = bytes_done,
	};
	waiter_init(&rq.waiter, lane);
	take_buffer(&rq);
	if (from)
		memcpy(rq.bytes.data, from, size_bytes);
	bytes_start(&disk.bytes, &rq.bytes);
	blkfront_queue_kick(lane->queue);
	result = waiter_wait(&rq.waiter);
	if (to && !result)
		memcpy(to, rq.bytes.data, size_bytes);
	give_buffer(&rq);
	return result;
}

/* An io without data. */
static int run_io(struct lane *lane, enum blkfront_op op, uint64_t offset_bytes,
		  size_t size_bytes)
{
	struct request rq;
	int err;

	rq.io = (struct blkfront_io){ .op = op,
				      .offset_bytes = offset_bytes,
				      .size_bytes = size_bytes,
				      .done = io_done };
	waiter_init(&rq.waiter, lane);
	err = blkfront_queue_submit(lane->queue, &rq.io);
	if (err)
		waiter_end(&rq.waiter, err);
	else
		blkfront_queue_kick(lane->queue);
	return waiter_wait(&rq.waiter);
}

/* nbdkit's way to say how it went. */
static int say_result(const char *what, int err)
{
	if (!err)
		return 0;
	/* The protocol knows few errors; a disk that is away is ESHUTDOWN. */
	nbdkit_set_error(err == -ENOTCONN ? ESHUTDOWN : -err);
	nbdkit_error("%s: %s", what, strerrordesc_np(-err));
	return -1;
}

static int pvsplit_pread(void *handle, void *buf, uint32_t count,
			 uint64_t offset, uint32_t flags)
{
	uint8_t *to = buf;
	int err = 0;

	(void)flags;
	while (count && !err) {
		uint32_t n = count < PIECE_BYTES ? count : PIECE_BYTES;

		err = move_piece(handle, to, NULL, n, offset);
		to += n;
		offset += n;
		count -= n;
	}
	return say_result("read", err);
}

static int pvsplit_pwrite(void *handle, const void *buf, uint32_t count,
			  uint64_t offset, uint32_t flags)
{
	const uint8_t *from = buf;
	int err = 0;

	(void)flags;
	while (count && !err) {
		uint32_t n = count < PIECE_BYTES ? count : PIECE_BYTES;

		err = move_piece(handle, NULL, from, n, offset);
		from += n;
		offset += n;
		count -= n;
	}
	return say_result("write", err);
}

static int pvsplit_flush(void *handle, uint32_t flags)
{
	int err = run_io(handle, BLKFRONT_FLUSH, 0, 0);

	(void)flags;
	/* Without a cache to flush every write is safe when it is answered:
	 * another backend than the one that can_flush asked may be so. */
	return say_result("flush", err == -EOPNOTSUPP ? 0 : err);
}

/* A hint: what is not a whole sector stays, and so does all of it when the
 * backend of this moment does not discard. */
static int pvsplit_trim(void *handle, uint32_t count, uint64_t offset,
			uint32_t flags)
{
	struct blkfront_info info = get_info();
	uint64_t start, end;
	int err;

	(void)flags;
	end = (offset + count) & ~(uint64_t)(info.sector_bytes - 1);
	start = (offset + info.sector_bytes - 1) &
		~(uint64_t)(info.sector_bytes - 1);
	if (start >= end)
		return 0;
	err = run_io(handle, BLKFRONT_DISCARD, start, end - start);
	return say_result("trim", err == -EOPNOTSUPP ? 0 : err);
}

/* ---- what the export is ---------------------------------------------------
 */

static void *pvsplit_open(int readonly)
{
	(void)readonly; /* nbdkit sees to that */
	return lanes_next(&disk.lanes);
}

static int64_t pvsplit_get_size(void *handle)
{
	(void)handle;
	return (int64_t)get_info().size_bytes;
}

static int pvsplit_can_write(void *handle)
{
	(void)handle;
	return !get_info().readonly;
}

static int pvsplit_can_flush(void *handle)
{
	(void)handle;
	return get_info().flush;
}

static int pvsplit_can_trim(void *handle)
{
	(void)handle;
	return get_info().discard;
}

/* All connections share one blkfront: a flush is for all of them. */
static int pvsplit_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static int pvsplit_block_size(void *handle, uint32_t *minimum,
			      uint32_t *preferred, uint32_t *maximum)
{
	struct blkfront_info info = get_info();
	uint32_t unit;

	(void)handle;
	unit = info.physical_bytes; /* as the backend says */
	if (unit < 4096 || unit > PREFERRED_MAX || (unit & (unit - 1)))
		unit = 4096;
	*minimum = 1; /* by bytes.h */
	*preferred = unit;
	*maximum = REQUEST_BYTES;
	return 0;
}

/* ---- starting and ending --------------------------------------------------
 */

/* The disk will not come back. */
static void lost(void *arg, int err)
{
	(void)arg;
	if (err == -ESHUTDOWN)
		log_info("the disk was detached");
	else
		log_error("the disk is lost: %s", strerrordesc_np(-err));
	nbdkit_shutdown();
}

static int parse_policy(const char *value)
{
	static const char *const names[] = {
		[BLKFRONT_REISSUE] = "reissue",
		[BLKFRONT_QUEUE] = "queue",
		[BLKFRONT_FAIL] = "fail",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(value, names[i])) {
			disk.config.policy = (enum blkfront_policy)i;
			return 0;
		}
	nbdkit_error("policy=%s is not known; use reissue, queue or fail",
		     value);
	return -1;
}

static int pvsplit_config(const char *key, const char *value)
{
	uint32_t domid;

	if (!strcmp(key, "run-dir")) {
		free(disk.run_dir);
		disk.run_dir = nbdkit_absolute_path(value);
		return disk.run_dir ? 0 : -1;
	}
	if (!strcmp(key, "policy"))
		return parse_policy(value);
	if (!strcmp(key, "queues")) {
		if (!num_parse_u32(value, QUEUES_MAX, &disk.config.nr_queues) &&
		    disk.config.nr_queues >= QUEUES_MIN)
			return 0;
		nbdkit_error("queues=%s is not a number from %u to %u", value,
			     QUEUES_MIN, QUEUES_MAX);
		return -1;
	}
	if (!strcmp(key, "domain")) {
		if (num_parse_u32(value, DOMID_FIRST_RESERVED - 1, &domid)) {
			nbdkit_error("domain=%s is not a domain's number",
				     value);
			return -1;
		}
		disk.config.domid = (domid_t)domid;
		disk.has_domain = true;
		return 0;
	}
	if (!strcmp(key, "vdev")) {
		if (vdev_parse(value, &disk.config.handle)) {
			nbdkit_error("vdev=%s is not a disk's name or number; "
				     "the first disk is xvda",
				     value);
			return -1;
		}
		disk.has_vdev = true;
		return 0;
	}
	nbdkit_error("unknown parameter '%s'; there are run-dir, domain, "
		     "vdev, policy and queues",
		     key);
	return -1;
}

static int pvsplit_config_complete(void)
{
	if (disk.has_domain && disk.has_vdev)
		return 0;
	nbdkit_error("%s is missing; give domain=N and vdev=V",
		     disk.has_domain ? "vdev" : "domain");
	return -1;
}

/* As many as nbdkit can use at once; a lone one could not be shared. */
static uint32_t default_queues(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);

	if (nr < (long)QUEUES_MIN)
		return QUEUES_MIN;
	return nr > (long)QUEUES_USUAL ? QUEUES_USUAL : (uint32_t)nr;
}

/* Before nbdkit goes into the background: a failure is seen. */
static int pvsplit_get_ready(void)
{
	char why[WHY_BYTES];
	int err;

	log_init("nbdkit-pvsplit", LOG_INFO);
	disk.config.run_dir = disk.run_dir;
	disk.config.buf_bytes = BUFFERS_BYTES;
	if (!disk.config.nr_queues)
		disk.config.nr_queues = default_queues();
	if (blkfront_open(&disk.config, &disk.bf, why, sizeof(why))) {
		nbdkit_error("%s", why);
		return -1;
	}
	bytes_init(&disk.bytes, disk.bf);
	err = lanes_init(&disk.lanes, disk.bf, disk.config.nr_queues);
	if (err) {
		nbdkit_error("cannot share the disk's queues: %s",
			     strerrordesc_np(-err));
		return -1;
	}
	disk.lanes.lost = lost;
	return 0;
}

/* Threads do not survive going into the background: so only now. */
static int pvsplit_after_fork(void)
{
	int err = lanes_start(&disk.lanes);

	if (!err)
		return 0;
	nbdkit_error("cannot start a thread: %s", strerrordesc_np(-err));
	return -1;
}

static void pvsplit_unload(void)
{
	lanes_fini(&disk.lanes);
	if (disk.bf) {
		blkfront_close(disk.bf);
		bytes_fini(&disk.bytes);
	}
	free(disk.run_dir);
}

static struct nbdkit_plugin plugin = {
	.name = "pvsplit",
	.version = "0.1",
	.longname = "pvsplit's split disks",
	.description = "a guest's split disk, through blkfront",
	.config = pvsplit_config,
	.config_complete = pvsplit_config_complete,
	.config_help = "domain=N       (required) whose disk: the domain's id\n"
		       "vdev=V         (required) xvda, or its number\n"
		       "run-dir=DIR    run directory of brokerd\n"
		       "policy=reissue|queue|fail  while the backend is away\n"
		       "queues=N       rings to ask the backend for",
	.get_ready = pvsplit_get_ready,
	.after_fork = pvsplit_after_fork,
	.unload = pvsplit_unload,
	.open = pvsplit_open,
	.get_size = pvsplit_get_size,
	.can_write = pvsplit_can_write,
	.can_flush = pvsplit_can_flush,
	.can_trim = pvsplit_can_trim,
	.can_multi_conn = pvsplit_can_multi_conn,
	.block_size = pvsplit_block_size,
	.pread = pvsplit_pread,
	.pwrite = pvsplit_pwrite,
	.flush = pvsplit_flush,
	.trim = pvsplit_trim,
};

/* The macro declares nothing before it defines. */
NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
