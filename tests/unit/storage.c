/* SPDX-License-Identifier: MIT */
/*
 * storage.c - every storage driver keeps the same promises: data, flush,
 * errors, batches, one done per io and none inside submit(); and what cannot
 * be a disk is refused with a sentence. The uring driver is tried in all its
 * ways: direct, page cache, tmpfs.
 */
#include "blkback/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/clock.h"

#define DISK_BYTES (1u << 20)
#define DEPTH	   64u

static char dir[64], shm_dir[64];
static char disk_path[96], shm_path[96];
static char aio_target[112], aio_cached[112], aio_shm[112], sqpoll_target[112];

struct way {
	const char *name, *target;
	uint32_t flags;
	bool forgets;	  /* reads are zeros, whatever was written */
	const char *file; /* the image, when there is one */
};

static const struct way ways[] = {
	{ "null", "null:1M", 0, true, NULL },
	{ "mem", "mem:1M", 0, false, NULL },
	{ "direct or as the file system allows", disk_path, 0, false,
	  disk_path },
	{ "page cache", disk_path, STORAGE_NO_DIRECT, false, disk_path },
	{ "tmpfs", shm_path, 0, false, shm_path },
	{ "sqpoll", sqpoll_target, 0, false, disk_path },
#ifdef HAVE_AIO
	{ "aio", aio_target, 0, false, disk_path },
	{ "aio, page cache", aio_cached, 0, false, disk_path },
	{ "aio, tmpfs", aio_shm, 0, false, shm_path },
#endif
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static void make_file(const char *path, off_t size_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size_bytes))
		abort();
	close(fd);
}

static void make_dirs(void)
{
	if (dir[0])
		return;
	snprintf(dir, sizeof(dir), "/var/tmp/pvsplit-storage.XXXXXX");
	snprintf(shm_dir, sizeof(shm_dir), "/dev/shm/pvsplit-storage.XXXXXX");
	if (!mkdtemp(dir) || !mkdtemp(shm_dir))
		abort();
	snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
	snprintf(shm_path, sizeof(shm_path), "%s/disk", shm_dir);
	make_file(disk_path, DISK_BYTES);
	make_file(shm_path, DISK_BYTES);
	snprintf(aio_target, sizeof(aio_target), "aio:%s", disk_path);
	snprintf(aio_cached, sizeof(aio_cached), "aio+cached:%s", disk_path);
	snprintf(aio_shm, sizeof(aio_shm), "aio:%s", shm_path);
	snprintf(sqpoll_target, sizeof(sqpoll_target), "sqpoll:%s", disk_path);
}

struct rig {
	struct storage *st;
	struct storage_channel *ch;
	struct storage_desc desc;
	char why[256];
};

static int rig_open(struct rig *r, const struct way *way, uint32_t flags)
{
	const struct storage_ops *ops = storage_find(way->target);
	int err, fds[STORAGE_FDS_MAX];

	memset(r, 0, sizeof(*r));
	if (!ops)
		return -EINVAL;
	err = ops->acquire(way->target, way->flags | flags, &r->desc, fds,
			   r->why, sizeof(r->why));
	if (err)
		return err;
	err = ops->open(&r->desc, fds, &r->st);
	if (err)
		return err;
	return ops->channel_open(r->st, DEPTH, &r->ch);
}

static void rig_close(struct rig *r)
{
	if (!r->st)
		return;
	r->st->ops->channel_close(r->ch);
	r->st->ops->close(r->st);
}

struct tracked {
	struct storage_io io;
	struct iovec iov[3];
	unsigned nr_done;
};

static void count_done(struct storage_io *io)
{
	((struct tracked *)io)->nr_done++;
}

static void prepare(struct tracked *t, enum storage_op op, uint64_t offset,
		    void *buf, size_t size_bytes)
{
	memset(t, 0, sizeof(*t));
	t->io.op = op;
	t->io.offset_bytes = offset;
	t->io.size_bytes = size_bytes;
	t->io.iov = t->iov;
	t->io.nr_iov = op == STORAGE_READ || op == STORAGE_WRITE ? 1 : 0;
	t->iov[0].iov_base = buf;
	t->iov[0].iov_len = size_bytes;
	t->io.done = count_done;
}

/* Until all of nr are done, at most 10 s. True: they are. */
static bool wait_all(struct rig *r, struct tracked *t, unsigned nr)
{
	uint64_t deadline_ns = clock_now_ns() + 10 * NS_PER_S;

	bool flushed = false;

	for (;;) {
		unsigned done = 0;
		struct pollfd p = { .fd = r->st->ops->wait_fd(r->ch),
				    .events = POLLIN };

		/* As a queue does: once it has taken all, not again. */
		if (!flushed)
			flushed = r->st->ops->flush(r->ch);
		r->st->ops->poll(r->ch);
		for (unsigned i = 0; i < nr; i++)
			done += t[i].nr_done;
		if (done >= nr)
			return done == nr;
		if (clock_now_ns() > deadline_ns)
			return false;
		if (flushed && p.fd >= 0)
			poll(&p, 1, 100);
	}
}

static int one(struct rig *r, enum storage_op op, uint64_t offset, void *buf,
	       size_t size_bytes)
{
	struct tracked t;
	int err;

	prepare(&t, op, offset, buf, size_bytes);
	err = r->st->ops->submit(r->ch, &t.io);
	if (err)
		return err;
	if (t.nr_done)
		return -EINVAL; /* done from inside submit() */
	if (!wait_all(r, &t, 1))
		return -ETIMEDOUT;
	return t.io.result;
}

static void *buffer(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void fill(uint8_t *p, size_t size_bytes, unsigned seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + i / 512);
}

static void data_written_is_data_read(void)
{
	uint8_t *a = buffer(65536), *b = buffer(65536);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, 65536, (unsigned)w);
		UNIT_CHECK(r.desc.size_bytes == DISK_BYTES);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 4096, a, 65536) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		memset(b, 0xee, 65536);
		UNIT_CHECK(one(&r, STORAGE_READ, 4096, b, 65536) == 0);
		if (ways[w].forgets)
			memset(a, 0, 65536);
		UNIT_CHECK(memcmp(a, b, 65536) == 0);
		rig_close(&r);
	}
	munmap(a, 65536);
	munmap(b, 65536);
}

static void memory_and_offset_of_512_bytes_are_enough(void)
{
	uint8_t *a = buffer(8192), *b = buffer(8192);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t;
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, 8192, 40 + (unsigned)w);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 512, a + 512, 1536) == 0);
		/* The same bytes back, scattered. */
		memset(b, 0, 8192);
		prepare(&t, STORAGE_READ, 512, b + 7 * 512, 512);
		t.io.size_bytes = 1536;
		t.io.nr_iov = 3;
		t.iov[1] = (struct iovec){ b + 512, 512 };
		t.iov[2] = (struct iovec){ b + 3 * 512, 512 };
		UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
		UNIT_CHECK(wait_all(&r, &t, 1));
		UNIT_CHECK(t.io.result == 0);
		if (ways[w].forgets)
			memset(a, 0, 8192);
		UNIT_CHECK(memcmp(b + 7 * 512, a + 512, 512) == 0);
		UNIT_CHECK(memcmp(b + 512, a + 1024, 512) == 0);
		UNIT_CHECK(memcmp(b + 3 * 512, a + 1536, 512) == 0);
		rig_close(&r);
	}
	munmap(a, 8192);
	munmap(b, 8192);
}

/* Of a MiB of 0x5a, discard a range: is it zeros, and the rest as it was? */
static void check_discarded(struct rig *r, uint8_t *buf, uint64_t offset,
			    uint64_t size_bytes)
{
	uint64_t nr_wrong = 0;

	memset(buf, 0x5a, DISK_BYTES);
	UNIT_CHECK(one(r, STORAGE_WRITE, 0, buf, DISK_BYTES) == 0);
	UNIT_CHECK(one(r, STORAGE_DISCARD, offset, NULL, size_bytes) == 0);
	memset(buf, 0xee, DISK_BYTES);
	UNIT_CHECK(one(r, STORAGE_READ, 0, buf, DISK_BYTES) == 0);
	for (uint64_t i = 0; i < DISK_BYTES; i++) {
		bool in = i >= offset && i < offset + size_bytes;

		nr_wrong += buf[i] != (in ? 0 : 0x5a);
	}
	UNIT_CHECK(nr_wrong == 0);
}

static void a_discard_takes_its_range_and_nothing_else(void)
{
	uint8_t *a = buffer(DISK_BYTES);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(r.desc.flags & STORAGE_CAN_DISCARD);
		UNIT_CHECK(r.desc.discard_granularity_bytes >= 512);
		UNIT_CHECK(r.desc.discard_alignment_bytes <
			   r.desc.discard_granularity_bytes);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, DISK_BYTES - 512, NULL,
			       1024) == -EINVAL);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, UINT64_MAX - 511, NULL,
			       1024) == -EINVAL);
		if (!ways[w].forgets) {
			check_discarded(&r, a, 0, DISK_BYTES);
			check_discarded(&r, a, 65536, 131072);
			check_discarded(&r, a, 512, 512);
			check_discarded(&r, a, 3584, 9216);
			check_discarded(&r, a, DISK_BYTES - 512, 512);
		}
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
}

static void a_discard_gives_back_what_the_image_took(void)
{
	uint8_t *a = buffer(DISK_BYTES);
	struct stat before, after;

	make_dirs();
	memset(a, 1, DISK_BYTES);
	for (size_t w = 2; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, DISK_BYTES) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		UNIT_REQUIRE(stat(ways[w].file, &before) == 0);
		UNIT_CHECK(one(&r, STORAGE_DISCARD, 0, NULL, DISK_BYTES / 2) ==
			   0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		UNIT_REQUIRE(stat(ways[w].file, &after) == 0);
		UNIT_CHECK(after.st_blocks <= before.st_blocks * 3 / 4);
		UNIT_CHECK(after.st_size == DISK_BYTES);
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
}

/* A driver that cannot promise it says so and does not do half of it. */
static void a_secure_discard_is_done_or_refused(void)
{
	uint8_t *a = buffer(4096), *b = buffer(4096);

	make_dirs();
	memset(a, 7, 4096);
	for (size_t w = 1; w < NR_WAYS; w++) {
		bool can;
		struct tracked t;
		struct rig r;
		int err;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		can = r.desc.flags & STORAGE_CAN_DISCARD_SECURE;
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
		prepare(&t, STORAGE_DISCARD, 0, NULL, 4096);
		t.io.secure = true;
		err = r.st->ops->submit(r.ch, &t.io);
		UNIT_CHECK(err == (can ? 0 : -EOPNOTSUPP));
		if (!err) {
			UNIT_CHECK(wait_all(&r, &t, 1));
			UNIT_CHECK(t.io.result == 0);
		}
		UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
		for (unsigned i = 0; i < 4096; i++)
			UNIT_CHECK(b[i] == (can ? 0 : 7));
		rig_close(&r);
	}
	munmap(a, 4096);
	munmap(b, 4096);
}

static void a_new_size_is_learnt_when_asked(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		const char *path = ways[w].file;
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(storage_look_again(r.st) == 0);
		UNIT_CHECK(storage_size_bytes(r.st) == DISK_BYTES);
		if (w < 2) {
			UNIT_CHECK(!r.st->ops->size);
			rig_close(&r);
			continue;
		}
		/* Grown, by half a sector too many. */
		UNIT_REQUIRE(truncate(path, 2 * DISK_BYTES + 256) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_CHECK(storage_look_again(r.st) == 1);
		UNIT_CHECK(storage_size_bytes(r.st) == 2 * DISK_BYTES);
		UNIT_CHECK(storage_look_again(r.st) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 2 * DISK_BYTES - 512, a,
			       512) == 0);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 2 * DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_REQUIRE(truncate(path, 4096) == 0);
		UNIT_CHECK(storage_look_again(r.st) == 1);
		UNIT_CHECK(one(&r, STORAGE_READ, 4096, a, 512) == -EINVAL);
		UNIT_REQUIRE(truncate(path, 0) == 0);
		UNIT_CHECK(storage_look_again(r.st) == -ENOSPC);
		UNIT_CHECK(storage_size_bytes(r.st) == 4096);
		UNIT_REQUIRE(truncate(path, DISK_BYTES) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void a_full_batch_is_done_once_each(void)
{
	uint8_t *a = buffer(DEPTH * 4096), *b = buffer(DEPTH * 4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t[DEPTH];
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		fill(a, DEPTH * 4096, 80 + (unsigned)w);
		for (unsigned pass = 0; pass < 2; pass++) {
			for (unsigned i = 0; i < DEPTH; i++) {
				size_t at = (size_t)i * 4096;

				prepare(&t[i],
					pass ? STORAGE_READ : STORAGE_WRITE, at,
					(pass ? b : a) + at, 4096);
				UNIT_REQUIRE(
					r.st->ops->submit(r.ch, &t[i].io) == 0);
				UNIT_CHECK(t[i].nr_done == 0);
			}
			UNIT_CHECK(wait_all(&r, t, DEPTH));
			for (unsigned i = 0; i < DEPTH; i++)
				UNIT_CHECK(t[i].nr_done == 1 &&
					   t[i].io.result == 0);
		}
		if (ways[w].forgets)
			memset(a, 0, DEPTH * 4096);
		UNIT_CHECK(memcmp(a, b, DEPTH * 4096) == 0);
		rig_close(&r);
	}
	munmap(a, DEPTH * 4096);
	munmap(b, DEPTH * 4096);
}

static void the_last_sector_is_there_and_the_next_is_not(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES - 512, a, 512) ==
			   0);
		UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES, a, 512) ==
			   -EINVAL);
		UNIT_CHECK(one(&r, STORAGE_WRITE, DISK_BYTES - 512, a, 1024) ==
			   -EINVAL);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void a_file_that_became_shorter_is_an_error(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 2; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		UNIT_REQUIRE(truncate(ways[w].file, 4096) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, 8192, a, 4096) == -EIO);
		/* Across the new end: half of it is missing. */
		UNIT_CHECK(one(&r, STORAGE_READ, 2048, a, 4096) == -EIO);
		UNIT_REQUIRE(truncate(ways[w].file, DISK_BYTES) == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, 8192, a, 4096) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void a_readonly_file_takes_no_write(void)
{
	uint8_t *a = buffer(4096);

	make_dirs();
	for (size_t w = 2; w < NR_WAYS; w++) {
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], STORAGE_READONLY) == 0);
		UNIT_CHECK(r.desc.flags & STORAGE_READONLY);
		UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == -EBADF);
		UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
		UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
		rig_close(&r);
	}
	munmap(a, 4096);
}

static void memory_that_is_gone_is_an_error(void)
{
	make_dirs();
	for (size_t w = 2; w < NR_WAYS; w++) {
		uint8_t *a = buffer(4096);
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		munmap(a, 4096);
		UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EFAULT);
		rig_close(&r);
	}
}

/* What acquire says about target: its error, with pattern in the sentence. */
static bool refuses(const char *target, uint32_t flags, int err,
		    const char *pattern)
{
	struct way way = { "refused", target, flags, false, NULL };
	struct rig r;
	int got = rig_open(&r, &way, 0);

	rig_close(&r);
	if (got == err && strstr(r.why, pattern) && strstr(r.why, target))
		return true;
	printf("%s: %d, \"%s\"\n", target, got, r.why);
	return false;
}

static void what_cannot_be_a_disk_is_refused_with_a_sentence(void)
{
	char path[128];

	make_dirs();
	snprintf(path, sizeof(path), "%s/none", dir);
	UNIT_CHECK(refuses(path, 0, -ENOENT, "no such file"));
	UNIT_CHECK(refuses(dir, 0, -EISDIR, "is a directory"));
	UNIT_CHECK(refuses("/dev/null", 0, -ENOTBLK, "neither"));
	snprintf(path, sizeof(path), "%s/empty", dir);
	make_file(path, 0);
	UNIT_CHECK(refuses(path, 0, -EINVAL, "is empty"));
	snprintf(path, sizeof(path), "%s/odd", dir);
	make_file(path, 1000);
	UNIT_CHECK(refuses(path, 0, -EINVAL, "not a multiple of 512"));
	snprintf(path, sizeof(path), "%s/disk/below", dir);
	UNIT_CHECK(refuses(path, 0, -ENOTDIR, "no directory"));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	UNIT_REQUIRE(mkfifo(path, 0600) == 0);
	UNIT_CHECK(refuses(path, 0, -ENOTBLK, "neither"));
	UNIT_CHECK(refuses("null:", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("null:0", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("null:1000", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("mem:x", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(refuses("mem:99999999999T", 0, -EINVAL, "multiple of 512"));
	UNIT_CHECK(storage_find("relative/path") == NULL);
	UNIT_CHECK(storage_find("") == NULL);
	UNIT_CHECK(storage_by_name("uring") != NULL);
	UNIT_CHECK(storage_by_name("other") == NULL);
}

static void permissions_are_explained(void)
{
	char path[128];
	pid_t pid;
	int status;

	make_dirs();
	snprintf(path, sizeof(path), "%s/guarded", shm_dir);
	make_file(path, 4096);
	UNIT_REQUIRE(chmod(path, 0444) == 0 && chmod(shm_dir, 0755) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* root may write everything: be somebody else. */
		bool ok = geteuid() != 0 || (!setgid(65534) && !setuid(65534));

		ok = ok && refuses(path, 0, -EACCES, "permission denied");
		_exit(ok ? 0 : 1);
	}
	UNIT_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	UNIT_CHECK(chmod(shm_dir, 0700) == 0);
}

static void an_image_is_one_writers_or_many_readers(void)
{
	const struct way *way = &ways[2];
	struct rig r, r2;

	make_dirs();
	UNIT_REQUIRE(rig_open(&r, way, 0) == 0);
	UNIT_CHECK(refuses(way->target, 0, -EBUSY, "another disk already"));
	UNIT_CHECK(refuses(way->target, STORAGE_READONLY, -EBUSY,
			   "another disk already"));
	rig_close(&r);
	UNIT_CHECK(rig_open(&r, way, STORAGE_READONLY) == 0);
	UNIT_CHECK(rig_open(&r2, way, STORAGE_READONLY) == 0);
	rig_close(&r);
	rig_close(&r2);
}

static void only_direct_io_asks_for_alignment(void)
{
	struct rig r;

	make_dirs();
	UNIT_REQUIRE(rig_open(&r, &ways[3], 0) == 0);
	UNIT_CHECK(r.desc.align_bytes == 1);
	UNIT_CHECK(strstr(r.desc.how, "page cache") != NULL);
	rig_close(&r);
	UNIT_REQUIRE(rig_open(&r, &ways[4], 0) == 0);
	UNIT_CHECK(strstr(r.desc.how, "tmpfs") != NULL);
	UNIT_CHECK(r.st->ops->wait_fd(r.ch) == -1);
	UNIT_CHECK(r.st->ops->fence_fd(r.ch) == -1);
	rig_close(&r);
}

static bool hung_up(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLHUP);
}

/* Submits writes of byte to all of the disk, says so on fd, and waits. */
static void submit_and_hang(struct rig *r, uint8_t *buf, int fd)
{
	static struct tracked t[DEPTH];
	const size_t part = DISK_BYTES / DEPTH;

	for (unsigned i = 0; i < DEPTH; i++) {
		prepare(&t[i], STORAGE_WRITE, i * part, buf + i * part, part);
		if (r->st->ops->submit(r->ch, &t[i].io))
			_exit(1);
	}
	while (!r->st->ops->flush(r->ch))
		continue;
	if (write(fd, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/*
 * The worker is killed with writes in the kernel. When its fence has hung up,
 * nothing more lands: the disk no longer changes, nor may it without us.
 */
static void after_the_fence_nothing_of_the_dead_lands(void)
{
	uint8_t *buf = buffer(DISK_BYTES), *was = buffer(DISK_BYTES);
	uint8_t *now = buffer(DISK_BYTES);

	make_dirs();
	for (unsigned round = 0; round < 6; round++) {
		const struct way *way = &ways[2 + round % 2];
		struct rig r, mine;
		int fence, pair[2], fds[2];
		pid_t pid;
		char c;

		UNIT_REQUIRE(rig_open(&mine, way, 0) == 0);
		r = mine;
		UNIT_REQUIRE(pipe(pair) == 0);
		memset(buf, (int)round + 1, DISK_BYTES);
		/* The child makes its own ring; its fence comes to us. */
		mine.st->ops->channel_close(mine.ch);
		UNIT_REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
		pid = fork();
		if (pid == 0) {
			struct storage_channel *ch;

			close(fds[0]);
			if (r.st->ops->channel_open(r.st, DEPTH, &ch))
				_exit(1);
			r.ch = ch;
			fence = r.st->ops->fence_fd(ch);
			if (write(fds[1], &fence, sizeof(fence)) !=
			    sizeof(fence))
				_exit(1);
			submit_and_hang(&r, buf, pair[1]);
		}
		close(fds[1]);
		close(pair[1]);
		UNIT_REQUIRE(read(fds[0], &fence, sizeof(fence)) ==
			     sizeof(fence));
		UNIT_REQUIRE(read(pair[0], &c, 1) == 1);
		/* As the monitor's copy: opened from the child's own. */
		{
			char path[64];

			snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid,
				 fence);
			fence = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		}
		UNIT_REQUIRE(fence >= 0);
		UNIT_CHECK(!hung_up(fence, 0));
		kill(pid, SIGKILL);
		UNIT_CHECK(waitpid(pid, NULL, 0) == pid);
		UNIT_CHECK(hung_up(fence, 10000));
		UNIT_REQUIRE(mine.st->ops->channel_open(mine.st, DEPTH,
							&mine.ch) == 0);
		UNIT_CHECK(one(&mine, STORAGE_READ, 0, was, DISK_BYTES) == 0);
		usleep(50000);
		UNIT_CHECK(one(&mine, STORAGE_READ, 0, now, DISK_BYTES) == 0);
		UNIT_CHECK(memcmp(was, now, DISK_BYTES) == 0);
		rig_close(&mine);
		close(fence);
		close(fds[0]);
		close(pair[0]);
	}
	munmap(buf, DISK_BYTES);
	munmap(was, DISK_BYTES);
	munmap(now, DISK_BYTES);
}

static void nothing_is_left_behind(void)
{
	char command[200];

	make_dirs();
	snprintf(command, sizeof(command), "rm -rf %s %s", dir, shm_dir);
	UNIT_CHECK(system(command) == 0);
}

UNIT_MAIN("storage", UNIT_TEST(data_written_is_data_read),
	  UNIT_TEST(memory_and_offset_of_512_bytes_are_enough),
	  UNIT_TEST(a_discard_takes_its_range_and_nothing_else),
	  UNIT_TEST(a_discard_gives_back_what_the_image_took),
	  UNIT_TEST(a_secure_discard_is_done_or_refused),
	  UNIT_TEST(a_new_size_is_learnt_when_asked),
	  UNIT_TEST(a_full_batch_is_done_once_each),
	  UNIT_TEST(the_last_sector_is_there_and_the_next_is_not),
	  UNIT_TEST(a_file_that_became_shorter_is_an_error),
	  UNIT_TEST(a_readonly_file_takes_no_write),
	  UNIT_TEST(memory_that_is_gone_is_an_error),
	  UNIT_TEST(what_cannot_be_a_disk_is_refused_with_a_sentence),
	  UNIT_TEST(permissions_are_explained),
	  UNIT_TEST(an_image_is_one_writers_or_many_readers),
	  UNIT_TEST(only_direct_io_asks_for_alignment),
	  UNIT_TEST(after_the_fence_nothing_of_the_dead_lands),
	  UNIT_TEST(nothing_is_left_behind))
