/* SPDX-License-Identifier: MIT */
/*
 * storage_peer.h - for the tests of drivers that need a server: opens a storage
 * as the worker does, with monitor and control thread played by the test.
 */
#ifndef TESTS_UNIT_STORAGE_PEER_H
#define TESTS_UNIT_STORAGE_PEER_H

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blkback/storage.h"
#include "tests/unit/peer.h"

#define PEER_DEPTH 64u

/* ---- a storage, as the worker has it ------------------------------------- */

struct rig {
	const struct storage_ops *ops;
	struct storage *st;
	struct storage_channel *ch;
	struct storage_desc acquired;
	char why[256];
	char said[512];
};

static int rig_connect(void *arg)
{
	struct rig *r = arg;

	return r->ops->connect(&r->acquired);
}

static void rig_say(void *arg, const char *what)
{
	struct rig *r = arg;
	size_t len = strlen(r->said);

	snprintf(r->said + len, sizeof(r->said) - len, "%s\n", what);
}

static inline int rig_begin(struct rig *r, const struct storage_desc *desc,
			    int sock)
{
	int err = r->ops->open(desc, &sock, &r->st);

	if (err) {
		if (sock >= 0)
			close(sock);
		return err;
	}
	r->st->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->ops->channel_open(r->st, PEER_DEPTH, &r->ch);
}

static inline int rig_open(struct rig *r, const char *target, uint32_t flags)
{
	int fds[STORAGE_FDS_MAX], sock = -1, err;

	memset(r, 0, sizeof(*r));
	r->ops = storage_find(target);
	if (!r->ops)
		return -EINVAL;
	err = r->ops->acquire(target, flags, &r->acquired, fds, r->why,
			      sizeof(r->why));
	if (err)
		return err;
	if (r->ops->connect) {
		sock = r->ops->connect(&r->acquired);
		if (sock < 0)
			return sock;
	}
	return rig_begin(r, &r->acquired, sock);
}

/* What a successor does: nothing but the description is left. */
static inline int rig_open_seen(struct rig *r, const struct storage_desc *seen)
{
	memset(r, 0, sizeof(*r));
	r->ops = storage_by_name(seen->driver);
	r->acquired = *seen;
	return rig_begin(r, seen, -1);
}

static inline void rig_close(struct rig *r)
{
	int fd = r->st->event_fd;

	r->ops->channel_close(r->ch);
	r->ops->close(r->st);
	close(fd);
}

static inline bool said(const struct rig *r, const char *words)
{
	return strstr(r->said, words) != NULL;
}

/* One round of the data thread and of control; waits at most ms. */
static inline void round_of(struct rig *r, int ms)
{
	const struct storage_keeper keeper = { rig_connect, rig_say, r };
	struct pollfd p[2] = {
		{ .fd = r->ops->wait_fd(r->ch), .events = POLLIN },
		{ .fd = r->st->event_fd, .events = POLLIN },
	};
	bool flushed = r->ops->flush(r->ch);
	uint64_t junk;

	r->ops->poll(r->ch);
	poll(p, 2, flushed ? ms : 0);
	if (read(r->st->event_fd, &junk, sizeof(junk)) > 0 && r->ops->tend)
		r->ops->tend(r->st, &keeper);
}

/* For ms milliseconds. */
static inline void turn(struct rig *r, unsigned ms)
{
	uint64_t deadline_ns = clock_now_ns() + ms * NS_PER_MS;

	while (clock_now_ns() < deadline_ns)
		round_of(r, 5);
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

static inline unsigned nr_done(const struct tracked *t, unsigned nr)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr; i++)
		n += t[i].nr_done;
	return n;
}

/* Until all of nr are done once. False: they were not in time. */
static inline bool wait_all(struct rig *r, const struct tracked *t, unsigned nr)
{
	uint64_t deadline_ns = clock_now_ns() + PEER_WAIT_NS;

	while (nr_done(t, nr) < nr && clock_now_ns() < deadline_ns)
		round_of(r, 20);
	return nr_done(t, nr) == nr;
}

static inline int one(struct rig *r, enum storage_op op, uint64_t offset,
		      void *buf, size_t size_bytes)
{
	struct tracked t;
	int err;

	prepare(&t, op, offset, buf, size_bytes);
	err = r->ops->submit(r->ch, &t.io);
	if (err)
		return err;
	if (t.nr_done)
		return -EINVAL; /* done from inside submit() */
	return wait_all(r, &t, 1) ? t.io.result : -ETIMEDOUT;
}

/* The process's until its end. */
static inline uint8_t *buffer(size_t size_bytes)
{
	void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static inline void fill(uint8_t *p, size_t size_bytes, unsigned seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + i / 512);
}

static inline bool is_zero(const uint8_t *p, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		if (p[i])
			return false;
	return true;
}

#endif /* TESTS_UNIT_STORAGE_PEER_H */
