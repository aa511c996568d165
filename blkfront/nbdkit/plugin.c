/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a split disk as an export of nbdkit: any NBD client uses it.
 *
 *	nbdkit pvsplit domain=3 vdev=xvda
 *
 * nbdkit calls from many threads, a blkfront is for one at a time: one lock is
 * around both it and the reads and writes at any byte over it (bytes.h). Who
 * has a request takes a buffer and copies without the lock, submits under it,
 * and sleeps on a semaphore of its own. The owner, a thread of ours, polls the
 * blkfront under the lock, spins while that brings something, and sleeps on its
 * descriptor otherwise; it posts the semaphores.
 */
#define NBDKIT_API_VERSION 2

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#include "abi/grant.h"
#include "blkfront/blkfront.h"
#include "blkfront/bytes.h"
#include "util/log.h"
#include "util/num.h"
#include "util/spin.h"
#include "util/vdev.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define PIECE_BYTES   (1u << 20) /* of a request, at a time */
#define BUFFERS_BYTES (20u << 20)
#define REQUEST_BYTES (32u << 20) /* the largest that clients should send */
#define PREFERRED_MAX (1u << 20)
#define WHY_BYTES     256

/* Configuration, and what is open from get_ready to unload. */
static struct {
	struct blkfront_config config;
	bool has_domain, has_vdev;
	char *run_dir;

	struct blkfront *bf;
	struct bytes bytes;
	pthread_mutex_t lock; /* around bf and bytes */
	uint32_t nr_callers;  /* atomic: want the lock */
	pthread_t owner;
	bool has_owner;
	int stop_fd; /* readable: the owner ends */

	pthread_mutex_t room_lock;
	pthread_cond_t room; /* a buffer was given back */
} disk = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.room_lock = PTHREAD_MUTEX_INITIALIZER,
	.room = PTHREAD_COND_INITIALIZER,
	.stop_fd = -1,
};

/* A request of nbdkit's, on the stack of the thread that waits for it. */
struct request {
	struct bytes_req bytes;
	struct blkfront_io io;
	int result;
	sem_t done;
};

/* ---- requests -------------------------------------------------------------
 */

static void bytes_done(struct bytes_req *bytes)
{
	struct request *rq = container_of(bytes, struct request, bytes);

	rq->result = bytes->result;
	sem_post(&rq->done);
}

static void io_done(struct blkfront_io *io)
{
	struct request *rq = container_of(io, struct request, io);

	rq->result = io->result;
	sem_post(&rq->done);
}

/* The owner's loop looks at nr_callers, so that it does not keep us out. */
static void disk_lock(void)
{
	__atomic_add_fetch(&disk.nr_callers, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&disk.lock);
	__atomic_sub_fetch(&disk.nr_callers, 1, __ATOMIC_RELAXED);
}

static struct blkfront_info get_info(void)
{
	struct blkfront_info info;

	disk_lock();
	blkfront_info(disk.bf, &info);
	pthread_mutex_unlock(&disk.lock);
	return info;
}

static void wait_done(struct request *rq)
{
	while (sem_wait(&rq->done) < 0 && errno == EINTR)
		;
	sem_destroy(&rq->done);
}

static void take_buffer(struct request *rq)
{
	if (bytes_prepare(&disk.bytes, &rq->bytes) == 0)
		return;
	pthread_mutex_lock(&disk.room_lock);
	while (bytes_prepare(&disk.bytes, &rq->bytes))
		pthread_cond_wait(&disk.room, &disk.room_lock);
	pthread_mutex_unlock(&disk.room_lock);
}

static void give_buffer(struct request *rq)
{
	bytes_release(&disk.bytes, &rq->bytes);
	pthread_mutex_lock(&disk.room_lock);
	pthread_cond_broadcast(&disk.room);
	pthread_mutex_unlock(&disk.room_lock);
}

/* One piece: to is NULL for a write, from for a read. */
static int move_piece(void *to, const void *from, size_t size_bytes,
		      uint64_t offset_bytes)
{
	struct request rq = { .bytes = {
				      .write = from != NULL,
				      .offset_bytes = offset_bytes,
				      .size_bytes = size_bytes,
				      .done = bytes_done,
			      } };

	sem_init(&rq.done, 0, 0);
	take_buffer(&rq);
	if (from)
		memcpy(rq.bytes.data, from, size_bytes);
	disk_lock();
	bytes_start(&disk.bytes, &rq.bytes);
	blkfront_kick(disk.bf);
	pthread_mutex_unlock(&disk.lock);
	wait_done(&rq);
	if (to && !rq.result)
		memcpy(to, rq.bytes.data, size_bytes);
	give_buffer(&rq);
	return rq.result;
}

/* An io without data. */
static int run_io(enum blkfront_op op, uint64_t offset_bytes, size_t size_bytes)
{
	struct request rq = { .io = { .op = op,
				      .offset_bytes = offset_bytes,
				      .size_bytes = size_bytes,
				      .done = io_done } };
	int err;

	sem_init(&rq.done, 0, 0);
	disk_lock();
	err = blkfront_submit(disk.bf, &rq.io);
	if (!err)
		blkfront_kick(disk.bf);
	pthread_mutex_unlock(&disk.lock);
	if (err) {
		sem_destroy(&rq.done);
		return err;
	}
	wait_done(&rq);
	return rq.result;
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

	(void)handle;
	(void)flags;
	while (count && !err) {
		uint32_t n = count < PIECE_BYTES ? count : PIECE_BYTES;

		err = move_piece(to, NULL, n, offset);
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

	(void)handle;
	(void)flags;
	while (count && !err) {
		uint32_t n = count < PIECE_BYTES ? count : PIECE_BYTES;

		err = move_piece(NULL, from, n, offset);
		from += n;
		offset += n;
		count -= n;
	}
	return say_result("write", err);
}

static int pvsplit_flush(void *handle, uint32_t flags)
{
	int err = run_io(BLKFRONT_FLUSH, 0, 0);

	(void)handle;
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

	(void)handle;
	(void)flags;
	end = (offset + count) & ~(uint64_t)(info.sector_bytes - 1);
	start = (offset + info.sector_bytes - 1) &
		~(uint64_t)(info.sector_bytes - 1);
	if (start >= end)
		return 0;
	err = run_io(BLKFRONT_DISCARD, start, end - start);
	return say_result("trim", err == -EOPNOTSUPP ? 0 : err);
}

/* ---- what the export is ---------------------------------------------------
 */

static void *pvsplit_open(int readonly)
{
	(void)readonly; /* nbdkit sees to that */
	return NBDKIT_HANDLE_NOT_NEEDED;
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

/* ---- the owner of the blkfront --------------------------------------------
 */

static bool owner_has_to_end(void)
{
	struct pollfd pfd = { .fd = disk.stop_fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

static void owner_sleep(void)
{
	struct pollfd pfd[] = {
		{ .fd = blkfront_fd(disk.bf), .events = POLLIN },
		{ .fd = disk.stop_fd, .events = POLLIN },
	};
	bool busy;

	disk_lock();
	busy = blkfront_arm(disk.bf);
	pthread_mutex_unlock(&disk.lock);
	if (!busy)
		poll(pfd, ARRAY_SIZE(pfd), -1);
}

static int owner_poll(void)
{
	int nr;

	while (__atomic_load_n(&disk.nr_callers, __ATOMIC_RELAXED))
		sched_yield();
	pthread_mutex_lock(&disk.lock);
	nr = blkfront_poll(disk.bf);
	pthread_mutex_unlock(&disk.lock);
	return nr;
}

static void *owner_main(void *arg)
{
	struct spin spin = { 0 };
	int nr;

	(void)arg;
	while ((nr = owner_poll()) >= 0) {
		if (nr) {
			spin_worked(&spin);
			continue;
		}
		if (spin_again(&spin))
			continue;
		owner_sleep();
		if (owner_has_to_end())
			return NULL;
	}
	if (nr == -ESHUTDOWN)
		log_info("the disk was detached");
	else
		log_error("the disk is lost: %s", strerrordesc_np(-nr));
	nbdkit_shutdown();
	return NULL;
}

/* ---- starting and ending --------------------------------------------------
 */

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
	nbdkit_error("unknown parameter '%s'; there are run-dir, domain, vdev "
		     "and policy",
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

/* Before nbdkit goes into the background: a failure is seen. */
static int pvsplit_get_ready(void)
{
	char why[WHY_BYTES];

	log_init("nbdkit-pvsplit", LOG_INFO);
	disk.config.run_dir = disk.run_dir;
	disk.config.buf_bytes = BUFFERS_BYTES;
	disk.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (disk.stop_fd < 0) {
		nbdkit_error("eventfd: %m");
		return -1;
	}
	if (blkfront_open(&disk.config, &disk.bf, why, sizeof(why))) {
		nbdkit_error("%s", why);
		return -1;
	}
	bytes_init(&disk.bytes, disk.bf);
	return 0;
}

/* Threads do not survive going into the background: so only now. */
static int pvsplit_after_fork(void)
{
	int err = pthread_create(&disk.owner, NULL, owner_main, NULL);

	if (err) {
		nbdkit_error("cannot start a thread: %s", strerrordesc_np(err));
		return -1;
	}
	disk.has_owner = true;
	return 0;
}

static void pvsplit_unload(void)
{
	uint64_t one = 1;

	if (disk.has_owner) {
		(void)!write(disk.stop_fd, &one, sizeof(one));
		pthread_join(disk.owner, NULL);
	}
	if (disk.bf) {
		blkfront_close(disk.bf);
		bytes_fini(&disk.bytes);
	}
	if (disk.stop_fd >= 0)
		close(disk.stop_fd);
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
		       "policy=reissue|queue|fail  while the backend is away",
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
