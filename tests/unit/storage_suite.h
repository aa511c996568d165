/* SPDX-License-Identifier: MIT */
/*
 * storage_suite.h - the conformance suite of storage.h: every way to reach a
 * storage, and what its programs (storage_*.c) share. Each test goes through
 * all of ways[]; a new driver adds its rows there and passes. Drivers for
 * servers speak to real ones, nbdkit and tgtd.
 */
#ifndef TESTS_UNIT_STORAGE_SUITE_H
#define TESTS_UNIT_STORAGE_SUITE_H

#include "blkback/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/storage_tgt.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"

#define DISK_BYTES (1u << 20)
#define DEPTH	   64u
/* A server that was started again may be slow, on a machine that is busy. */
#define WAIT_S 60u

static char dir[64], shm_dir[64];
static char disk_path[96], shm_path[96];
static char aio_target[112], aio_cached[112], aio_shm[112], sqpoll_target[112];
static char sums_path[96];
static char verify_target[112], verify_file[224], fault_target[128];
static char nbd_target[160], iscsi_target[160], nbd_image[PEER_PATH_MAX];
static struct peer nbd_server;
static struct tgt iscsi_server;

static inline void start_nbd(void)
{
	char sock[PEER_PATH_MAX];

	peer_path(sock, "nbd");
	unlink(sock);
	snprintf(nbd_target, sizeof(nbd_target), "nbd+unix:///?socket=%s",
		 sock);
	nbd_server =
		peer_start("exec nbdkit -f -U %s file %s", sock, nbd_image);
	if (!peer_listens(&nbd_server, sock))
		abort();
}

static inline void restart_nbd(void)
{
	peer_kill(&nbd_server);
	start_nbd();
}

static inline void start_iscsi(void)
{
	tgt_start(&iscsi_server, "");
	tgt_url(&iscsi_server, iscsi_target, sizeof(iscsi_target), "", "");
}

static inline void restart_iscsi(void)
{
	peer_kill(&iscsi_server.peer);
	start_iscsi();
}

struct way {
	const char *name, *target;
	uint32_t flags;
	bool forgets;	       /* reads are zeros, whatever was written */
	const char *file;      /* the image, when there is one */
	bool bounces;	       /* copies data: never shows the kernel ours */
	void (*restart)(void); /* kill its server and start it again */
};

static const struct way ways[] = {
	{ "null", "null:1M", 0, true, NULL, false, NULL },
	{ "mem", "mem:1M", 0, false, NULL, false, NULL },
	{ "direct or as the file system allows", disk_path, 0, false, disk_path,
	  false, NULL },
	{ "page cache", disk_path, STORAGE_NO_DIRECT, false, disk_path, false,
	  NULL },
	{ "tmpfs", shm_path, 0, false, shm_path, false, NULL },
	{ "sqpoll", sqpoll_target, 0, false, disk_path, false, NULL },
#ifdef HAVE_AIO
	{ "aio", aio_target, 0, false, disk_path, false, NULL },
	{ "aio, page cache", aio_cached, 0, false, disk_path, false, NULL },
	{ "aio, tmpfs", aio_shm, 0, false, shm_path, false, NULL },
#endif
	{ "verify over mem", "verify:mem:1M", 0, false, NULL, true, NULL },
	{ "verify over a file", verify_target, 0, false, disk_path, true,
	  NULL },
	{ "verify with a file of sums", verify_file, 0, false, shm_path, true,
	  NULL },
	{ "fault, off", "fault:off,mem:1M", 0, false, NULL, false, NULL },
	{ "fault, reordering", fault_target, 0, false, disk_path, false, NULL },
	{ "fault, late, behind verify",
	  "verify:fault:any:delay=10us-300us,mem:1M", 0, false, NULL, true,
	  NULL },
#ifdef HAVE_NBD
	{ "nbd", nbd_target, 0, false, NULL, false, restart_nbd },
#endif
#ifdef HAVE_ISCSI
	{ "iscsi", iscsi_target, 0, false, NULL, false, restart_iscsi },
#endif
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static inline const struct way *way_named(const char *name)
{
	for (size_t w = 0; w < NR_WAYS; w++)
		if (strcmp(ways[w].name, name) == 0)
			return &ways[w];
	abort();
}

static inline void make_file(const char *path, off_t size_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size_bytes))
		abort();
	close(fd);
}

static inline void make_dirs(void)
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
	snprintf(sums_path, sizeof(sums_path), "%s/sums", dir);
	snprintf(verify_target, sizeof(verify_target), "verify:%s", disk_path);
	snprintf(verify_file, sizeof(verify_file), "verify:file=%s,%s",
		 sums_path, shm_path);
	snprintf(fault_target, sizeof(fault_target), "fault:any:reorder=8,%s",
		 disk_path);
	snprintf(sqpoll_target, sizeof(sqpoll_target), "sqpoll:%s", disk_path);
#ifdef HAVE_NBD
	peer_image(nbd_image, "nbd.img", DISK_BYTES);
	start_nbd();
#endif
#ifdef HAVE_ISCSI
	peer_image(iscsi_server.image, "lun.img", DISK_BYTES);
	start_iscsi();
#endif
}

struct rig {
	struct storage *st;
	struct storage_channel *ch;
	struct storage_desc acquired, desc;
	char why[256];
};

/* The monitor's half: of the driver, whatever stands before it. */
static inline int rig_connect(void *arg)
{
	const struct storage_desc *d = &((struct rig *)arg)->acquired;
	const struct storage_ops *ops = storage_by_name(d->driver);

	return ops->connect ? ops->connect(d) : -EOPNOTSUPP;
}

static inline void rig_say(void *arg, const char *what)
{
	(void)arg;
	(void)what;
}

static inline int rig_open(struct rig *r, const struct way *way, uint32_t flags)
{
	int err, fds[STORAGE_FDS_MAX] = { -1 };

	memset(r, 0, sizeof(*r));
	/* The image was written without the filter meanwhile. */
	unlink(sums_path);
	err = storage_acquire(way->target, way->flags | flags, &r->acquired,
			      fds, r->why, sizeof(r->why));
	if (err)
		return err;
	if (r->acquired.flags & STORAGE_UNSEEN)
		fds[0] = rig_connect(r);
	err = storage_open(&r->acquired, fds, &r->st);
	if (err)
		return err;
	r->desc = r->st->desc;
	r->st->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->st->ops->channel_open(r->st, DEPTH, &r->ch);
}

static inline void rig_close(struct rig *r)
{
	int event_fd = r->st ? r->st->event_fd : -1;

	if (!r->st)
		return;
	r->st->ops->channel_close(r->ch);
	r->st->ops->close(r->st);
	if (event_fd >= 0)
		close(event_fd);
	r->st = NULL;
}

/* What the control thread does when it is asked. */
static inline void rig_tend(struct rig *r)
{
	const struct storage_keeper keeper = { rig_connect, rig_say, r };
	uint64_t junk;

	if (r->st->ops->tend &&
	    read(r->st->event_fd, &junk, sizeof(junk)) == sizeof(junk))
		r->st->ops->tend(r->st, &keeper);
}

struct tracked {
	struct storage_io io;
	struct iovec iov[3];
	unsigned nr_done;
};

static inline void count_done(struct storage_io *io)
{
	((struct tracked *)io)->nr_done++;
}

static inline void prepare(struct tracked *t, enum storage_op op,
			   uint64_t offset, void *buf, size_t size_bytes)
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

/* Until all of nr are done, at most WAIT_S. True: each of them once. */
static inline bool wait_all(struct rig *r, struct tracked *t, unsigned nr)
{
	uint64_t deadline_ns = clock_now_ns() + WAIT_S * NS_PER_S;

	bool flushed = false;

	for (;;) {
		unsigned done = 0;
		struct pollfd p = { .fd = r->st->ops->wait_fd(r->ch),
				    .events = POLLIN };

		/* As a queue does: once it has taken all, not again. */
		if (!flushed)
			flushed = r->st->ops->flush(r->ch);
		r->st->ops->poll(r->ch);
		rig_tend(r);
		for (unsigned i = 0; i < nr; i++)
			done += t[i].nr_done;
		if (done >= nr)
			return done == nr;
		/* The driver still has what is on our stack. */
		if (clock_now_ns() > deadline_ns) {
			fprintf(stderr, "%s: an io is not done after %u s\n",
				r->desc.target, WAIT_S);
			abort();
		}
		if (flushed && p.fd >= 0)
			poll(&p, 1, r->st->ops->tend ? 10 : 100);
	}
}

static inline int one(struct rig *r, enum storage_op op, uint64_t offset,
		      void *buf, size_t size_bytes)
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

static inline void *buffer(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline void fill(uint8_t *p, size_t size_bytes, unsigned seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + i / 512);
}

/* The last test of each program. */
static inline void nothing_is_left_behind(void)
{
	char command[200];

	make_dirs();
	snprintf(command, sizeof(command), "rm -rf %s %s", dir, shm_dir);
	UNIT_CHECK(system(command) == 0);
	peer_kill(&nbd_server);
	peer_kill(&iscsi_server.peer);
	peer_clean();
}

#endif /* TESTS_UNIT_STORAGE_SUITE_H */
