/* SPDX-License-Identifier: MIT */
/*
 * verify.c - `verify:TARGET`, `verify:file=PATH,TARGET`: a filter that knows
 * the crc32 of every sector of 512 bytes written through it and compares what
 * is read. A sector that comes back as other than it was written is said aloud
 * and its read fails with -EILSEQ.
 *
 * Unknown, and not compared: sectors never written since the filter is there,
 * discarded, whose write failed, or written by two overlapping writes in flight
 * at once (either may be the last); so is a read that overlapped a write. A
 * sector is unknown from before its write begins until it is done.
 *
 * The sums are in shared memory of the monitor's, or in the file PATH, so they
 * outlive a worker. Data passes through memory of ours: a guest may change a
 * page under way without a false alarm.
 *
 * Thread: see storage.h; the sums and what is in flight are the lock's. Logs:
 * corruption, limited.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "blkback/storage/filter.h"
#include "util/list.h"
#include "util/log.h"

#define SECTOR	    512u
#define UNKNOWN	    0u
#define FILE_PREFIX "file="
#define ALIGN_BYTES 4096u

struct verify_storage {
	struct filter_storage filter;
	uint64_t nr_sectors; /* that there are sums for */
	uint32_t *sums;
	pthread_mutex_t lock;
	struct list in_flight;
	struct log_limit limit;
};

struct verify_io {
	struct storage_io io; /* the inner storage's */
	struct verify_channel *channel;
	struct storage_io *outer;
	struct list link;
	struct iovec iov;
	unsigned char *data;
	bool raced;
	struct verify_io *next; /* free */
};

struct verify_channel {
	struct filter_channel filter;
	struct verify_io *ios, *free;
};

static const struct storage_ops verify_ops;

static struct verify_storage *storage_of(struct verify_channel *c)
{
	return (struct verify_storage *)c->filter.channel.st;
}

/* ---- monitor --------------------------------------------------------------
 */

static int verify_acquire(const char *args, const struct storage_desc *desc,
			  int *fd, char *why, size_t why_size)
{
	off_t bytes = (off_t)(desc->size_bytes / SECTOR * sizeof(uint32_t));
	const char *path = args + strlen(FILE_PREFIX);
	int err;

	*fd = *args ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			   0600)
		    : memfd_create("pvsplit-verify", MFD_CLOEXEC);
	if (*fd < 0) {
		err = -errno;
		goto fail;
	}
	/* Of a file all is taken now: a full file system would kill later. */
	err = *args ? -posix_fallocate(*fd, 0, bytes) : 0;
	if (!err && ftruncate(*fd, bytes))
		err = -errno;
	if (!err)
		return 0;
	close(*fd);

fail:
	snprintf(why, why_size, "verify: %s: cannot keep the sums there: %s",
		 *args ? path : "memory", strerrordesc_np(-err));
	return err;
}

/* ---- worker: storage --------------------------------------------------------
 */

static int verify_open(const char *args, const struct storage_desc *desc,
		       int fd, struct filter_storage **ret)
{
	struct verify_storage *v = calloc(1, sizeof(*v));
	uint64_t nr = desc->size_bytes / SECTOR;
	void *base;

	(void)args;
	if (!v)
		return -ENOMEM;
	base = mmap(NULL, nr * sizeof(*v->sums), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		free(v);
		return -ENOMEM;
	}
	storage_init(&v->filter.storage, &verify_ops, desc);
	v->nr_sectors = nr;
	v->sums = base;
	pthread_mutex_init(&v->lock, NULL);
	list_init(&v->in_flight);
	*ret = &v->filter;
	return 0;
}

static void verify_destroy(struct filter_storage *f)
{
	struct verify_storage *v = (struct verify_storage *)f;

	if (!f)
		return;
	munmap(v->sums, v->nr_sectors * sizeof(*v->sums));
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static void verify_close(struct storage *st)
{
	if (!st)
		return;
	filter_of(st)->inner->ops->close(filter_of(st)->inner);
	verify_destroy(filter_of(st));
}

static void verify_channel_close(struct storage_channel *ch)
{
	struct verify_channel *c = (struct verify_channel *)ch;

	if (!ch)
		return;
	if (c->filter.inner)
		filter_ops(ch)->channel_close(c->filter.inner);
	free(c->ios);
	free(c);
}

static int verify_channel_open(struct storage *st, unsigned depth,
			       struct storage_channel **ret)
{
	struct storage *inner = filter_of(st)->inner;
	struct verify_channel *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->filter.channel.st = st;
	c->ios = calloc(depth, sizeof(*c->ios));
	err = c->ios ? inner->ops->channel_open(inner, depth, &c->filter.inner)
		     : -ENOMEM;
	if (err) {
		verify_channel_close(&c->filter.channel);
		return err;
	}
	for (unsigned i = depth; i-- > 0;) {
		c->ios[i].channel = c;
		c->ios[i].next = c->free;
		c->free = &c->ios[i];
	}
	*ret = &c->filter.channel;
	return 0;
}

/* ---- sums -------------------------------------------------------------------
 */

static bool modifies(const struct storage_io *io)
{
	return io->op == STORAGE_WRITE || io->op == STORAGE_DISCARD;
}

static bool overlap(const struct storage_io *a, const struct storage_io *b)
{
	return a->offset_bytes < b->offset_bytes + b->size_bytes &&
	       b->offset_bytes < a->offset_bytes + a->size_bytes;
}

static uint32_t sum_of(const unsigned char *sector)
{
	uint32_t sum = (uint32_t)crc32(0, sector, SECTOR);

	return sum == UNKNOWN ? 1 : sum;
}

/* io begins: whom does it race with? What it changes is unknown now. */
static void enter(struct verify_storage *v, struct verify_io *io)
{
	uint64_t sector = io->io.offset_bytes / SECTOR;
	uint64_t end = sector + io->io.size_bytes / SECTOR;

	pthread_mutex_lock(&v->lock);
	list_for_each(l, &v->in_flight) {
		struct verify_io *other =
			container_of(l, struct verify_io, link);

		if (!overlap(&io->io, &other->io))
			continue;
		other->raced |= modifies(&io->io);
		io->raced |= modifies(&other->io);
	}
	for (; modifies(&io->io) && sector < end && sector < v->nr_sectors;
	     sector++)
		v->sums[sector] = UNKNOWN;
	list_add_tail(&v->in_flight, &io->link);
	pthread_mutex_unlock(&v->lock);
}

/* Lock held. The first sector that is not what was written, or end. */
static uint64_t compare(struct verify_storage *v, struct verify_io *io,
			uint64_t sector, uint64_t end)
{
	const unsigned char *data = io->data;

	for (; sector < end; sector++, data += SECTOR) {
		uint32_t expected = v->sums[sector], found;

		if (expected == UNKNOWN)
			continue;
		found = sum_of(data);
		if (found == expected)
			continue;
		log_limited(&v->limit, LOG_ERROR,
			    "%s: sector %llu: SILENT CORRUPTION: crc32 %08x "
			    "was written, %08x is read",
			    v->filter.storage.desc.target,
			    (unsigned long long)sector, expected, found);
		break;
	}
	return sector;
}

/* io is over: learn the sums, or compare. False: what was read is corrupt. */
static bool leave(struct verify_storage *v, struct verify_io *io, int result)
{
	uint64_t sector = io->io.offset_bytes / SECTOR;
	uint64_t end = sector + io->io.size_bytes / SECTOR;
	bool good = true;

	if (end > v->nr_sectors)
		end = v->nr_sectors;
	pthread_mutex_lock(&v->lock);
	list_del(&io->link);
	if (!result && !io->raced && io->io.op == STORAGE_WRITE)
		for (uint64_t i = 0; sector + i < end; i++)
			v->sums[sector + i] = sum_of(io->data + i * SECTOR);
	else if (!result && !io->raced && io->io.op == STORAGE_READ)
		good = sector >= end || compare(v, io, sector, end) == end;
	pthread_mutex_unlock(&v->lock);
	return good;
}

/* ---- ios --------------------------------------------------------------------
 */

static void copy(struct storage_io *outer, unsigned char *data)
{
	for (unsigned i = 0; i < outer->nr_iov; i++) {
		const struct iovec *iov = &outer->iov[i];

		if (outer->op == STORAGE_WRITE)
			memcpy(data, iov->iov_base, iov->iov_len);
		else
			memcpy(iov->iov_base, data, iov->iov_len);
		data += iov->iov_len;
	}
}

static void let_go(struct verify_io *io)
{
	free(io->data);
	io->data = NULL;
	io->next = io->channel->free;
	io->channel->free = io;
}

static void inner_done(struct storage_io *inner)
{
	struct verify_io *io = container_of(inner, struct verify_io, io);
	struct storage_io *outer = io->outer;
	int result = inner->result;

	if (!leave(storage_of(io->channel), io, result))
		result = -EILSEQ;
	if (!result && outer->op == STORAGE_READ)
		copy(outer, io->data);
	let_go(io);
	outer->result = result;
	outer->done(outer);
}

static int verify_submit(struct storage_channel *ch, struct storage_io *outer)
{
	struct verify_channel *c = (struct verify_channel *)ch;
	bool data = outer->op == STORAGE_READ || outer->op == STORAGE_WRITE;
	struct verify_io *io = c->free;
	int err;

	if (!storage_fits(ch->st, outer))
		return -EINVAL;
	if (!io)
		return -EAGAIN;
	if (data) {
		io->data = aligned_alloc(ALIGN_BYTES,
					 (outer->size_bytes + ALIGN_BYTES - 1) /
						 ALIGN_BYTES * ALIGN_BYTES);
		if (!io->data)
			return -ENOMEM;
	}
	c->free = io->next;
	io->outer = outer;
	io->raced = false;
	io->iov = (struct iovec){ io->data, outer->size_bytes };
	io->io = (struct storage_io){ .op = outer->op,
				      .secure = outer->secure,
				      .offset_bytes = outer->offset_bytes,
				      .size_bytes = outer->size_bytes,
				      .iov = &io->iov,
				      .nr_iov = data ? 1 : 0,
				      .done = inner_done };
	if (outer->op == STORAGE_WRITE)
		copy(outer, io->data);
	enter(storage_of(c), io);
	err = filter_ops(ch)->submit(c->filter.inner, &io->io);
	if (err) {
		leave(storage_of(c), io, err);
		let_go(io);
	}
	return err;
}

static const struct storage_ops verify_ops = {
	.name = "verify",
	.close = verify_close,
	.size = filter_size,
	.channel_open = verify_channel_open,
	.channel_close = verify_channel_close,
	.submit = verify_submit,
	.flush = filter_flush,
	.poll = filter_poll,
	.wait_fd = filter_wait_fd,
	.fence_fd = filter_fence_fd,
	.give_up = filter_give_up,
};

const struct storage_filter filter_verify = {
	.name = "verify",
	.help = "verify\tverify:TARGET\tany other, with a crc32 of every sector: tells "
		"silent corruption\n"
		"\tverify:file=PATH,TARGET\tthe same, the sums kept in a file",
	.args_prefix = FILE_PREFIX,
	.nr_fds = 1,
	.acquire = verify_acquire,
	.open = verify_open,
	.destroy = verify_destroy,
};
