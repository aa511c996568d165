/* SPDX-License-Identifier: MIT */
/*
 * iscsi.c - disks that are LUNs of iSCSI targets, through libiscsi.
 *
 * libiscsi has no call to begin a session on a socket that is there already,
 * and a target may send an initiator elsewhere: so it is the worker that
 * connects, to the address that the monitor found when the disk was attached
 * (iscsi_target.c), or to one that the target named by its number. Names are
 * never looked up here, and no call of libiscsi's that waits is made.
 *
 * Each channel has a session. A flush covers the LUN's cache and so the writes
 * of every session. A session's name (ISID) is the disk's and the channel's
 * number: when a channel, or its successor in another process, logs in again,
 * the target ends the session that was of that name together with what it had
 * under way. So no write of a connection that was cut lands later.
 *
 * After each login the LUN must be the one that it was first: the same by what
 * it calls itself, or not smaller where it has no name for itself; no less
 * able, writable still. Else it is not used, and asked again later.
 *
 * The target is trusted with the data and nothing else. Thread: see storage.h.
 * Neighbours: link.c (waiting, order), iscsi_session.c (what a LUN is),
 * iscsi_io.c (commands).
 */
#include "blkback/storage/iscsi.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "blkback/storage/drivers.h"
#include "util/clock.h"

#define LOGIN_NS (5 * NS_PER_S)
#define REFUSED	 "the target has another disk now: it is not used"

struct iscsi_storage {
	struct storage storage;
	struct iscsi_target target;
	struct iscsi_seen seen;	     /* at first: what a target has to show */
	struct iscsi_session first;  /* for the first channel, or none */
	struct list channels;	     /* control's */
	_Atomic uint64_t size_bytes; /* as the target said last */
};

static struct iscsi_storage *storage_of(struct storage *st)
{
	return (struct iscsi_storage *)st;
}

static struct iscsi_channel *channel_of(struct storage_channel *ch)
{
	return (struct iscsi_channel *)ch;
}

static struct iscsi_channel *channel_of_link(struct link *l)
{
	return container_of(l, struct iscsi_channel, link);
}

/* ---- what a target shows ------------------------------------------------- */

/* Is now a disk that can go on where first was? */
static bool is_same(const struct iscsi_seen *first,
		    const struct iscsi_seen *now)
{
	bool known = first->identity != 0;

	return now->size_bytes && now->identity == first->identity &&
	       (known || now->size_bytes >= first->size_bytes) &&
	       now->sector_bytes == first->sector_bytes &&
	       (!now->readonly || first->readonly) &&
	       (now->max_unmap_sectors || !first->max_unmap_sectors);
}

static void describe(struct iscsi_target *t, const struct iscsi_seen *s,
		     struct storage_desc *d)
{
	d->flags &= ~STORAGE_UNSEEN;
	if (s->readonly)
		d->flags |= STORAGE_READONLY;
	d->size_bytes = s->size_bytes;
	d->sector_bytes = s->sector_bytes;
	d->physical_bytes = s->physical_bytes;
	if (s->max_unmap_sectors && !(d->flags & STORAGE_READONLY)) {
		d->flags |= STORAGE_CAN_DISCARD;
		d->discard_granularity_bytes = s->unmap_granularity_bytes;
		d->discard_alignment_bytes = s->unmap_alignment_bytes;
	}
	snprintf(d->how, sizeof(d->how), "iSCSI%s%s",
		 t->user[0] ? ", CHAP" : "",
		 s->can_flush ? "" : ", no cache to flush");
	t->identity = s->identity;
	memcpy(d->private_data, t, sizeof(*t));
}

/* The other way round: what a successor knows from its predecessor. */
static struct iscsi_seen seen_from(const struct storage_desc *d,
				   const struct iscsi_target *t)
{
	return (struct iscsi_seen){
		.size_bytes = d->size_bytes,
		.identity = t->identity,
		.sector_bytes = d->sector_bytes,
		.readonly = d->flags & STORAGE_READONLY,
		.max_unmap_sectors = d->flags & STORAGE_CAN_DISCARD ? 1 : 0,
	};
}

/* ---- the storage --------------------------------------------------------- */

static int wait_session(struct iscsi_session *s)
{
	uint64_t deadline_ns = clock_now_ns() + LOGIN_NS;

	while (s->state < ISCSI_READY) {
		struct pollfd p = { .fd = iscsi_get_fd(s->ctx),
				    .events = (short)iscsi_session_wants(s) };
		uint64_t now = clock_now_ns();

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1) > 0)
			iscsi_session_serve(s, (uint32_t)p.revents);
	}
	return s->err;
}

static int see(struct iscsi_storage *n, struct storage_desc *desc)
{
	int err = iscsi_session_begin(&n->first, &n->target, 0);

	if (!err)
		err = wait_session(&n->first);
	if (!err && !n->first.seen.size_bytes)
		err = -ENOSPC;
	if (err) {
		iscsi_session_end(&n->first);
		return err;
	}
	n->seen = n->first.seen;
	describe(&n->target, &n->seen, desc);
	return 0;
}

static int disk_open(const struct storage_desc *desc, const int *fds,
		     struct storage **ret)
{
	struct iscsi_storage *n = calloc(1, sizeof(*n));
	struct storage_desc seen = *desc;
	int err = 0;

	(void)fds;
	if (!n)
		return -ENOMEM;
	memcpy(&n->target, desc->private_data, sizeof(n->target));
	if (desc->flags & STORAGE_UNSEEN)
		err = see(n, &seen);
	else
		n->seen = seen_from(desc, &n->target);
	if (err) {
		free(n);
		return err;
	}
	storage_init(&n->storage, &storage_iscsi, &seen);
	atomic_init(&n->size_bytes, seen.size_bytes);
	list_init(&n->channels);
	*ret = &n->storage;
	return 0;
}

static void disk_close(struct storage *st)
{
	if (!st)
		return;
	iscsi_session_end(&storage_of(st)->first);
	free(st);
}

/* What is known; a channel asks, and tells if it is another. */
static int disk_size(struct storage *st, uint64_t *ret_bytes)
{
	struct iscsi_storage *n = storage_of(st);

	if (!list_empty(&n->channels)) {
		struct iscsi_channel *c = container_of(
			n->channels.next, struct iscsi_channel, list);

		/* Pairs with ask_size(). */
		atomic_store_explicit(&c->look, true, memory_order_release);
		link_wake(&c->link);
	}
	/* Pairs with know_size(). */
	*ret_bytes = atomic_load_explicit(&n->size_bytes, memory_order_relaxed);
	return 0;
}

static void disk_tend(struct storage *st, const struct storage_keeper *keeper)
{
	list_for_each(pos, &storage_of(st)->channels) {
		struct iscsi_channel *c =
			container_of(pos, struct iscsi_channel, list);

		link_say(link_news(&c->link), REFUSED, keeper);
	}
}

/* ---- the size ------------------------------------------------------------ */

static void know_size(struct iscsi_channel *c, uint64_t size_bytes)
{
	struct iscsi_storage *n = storage_of(c->channel.st);

	/* Pairs with disk_size(). */
	if (atomic_exchange_explicit(&n->size_bytes, size_bytes,
				     memory_order_relaxed) != size_bytes)
		link_tell(&c->link, LINK_NEWS_SIZE);
}

static void size_answered(struct iscsi_context *ctx, int status, void *data,
			  void *arg)
{
	struct iscsi_channel *c = arg;
	struct scsi_task *task = data;
	struct iscsi_seen seen = { .size_bytes = 0 };
	int err;

	(void)ctx;
	c->asking_size = false;
	if (c->link.lost)
		goto out;
	switch (iscsi_session_judge(status, task, &err)) {
	case ISCSI_END_DONE:
		if (!err)
			err = iscsi_session_take_capacity(task, &seen);
		/* Another sector size is another disk. */
		if (!err && seen.sector_bytes != c->session.seen.sector_bytes)
			c->link.lost = true;
		else if (!err && seen.size_bytes)
			know_size(c, seen.size_bytes);
		break;
	case ISCSI_END_SIZE:
	case ISCSI_END_RETRY: c->size_changed = true; break;
	case ISCSI_END_LATER: break;
	case ISCSI_END_SESSION: c->link.lost = true; break;
	}
out:
	scsi_free_scsi_task(task);
}

static void ask_size(struct iscsi_channel *c)
{
	/* Pairs with disk_size(). */
	if (atomic_load_explicit(&c->look, memory_order_relaxed) &&
	    atomic_exchange_explicit(&c->look, false, memory_order_acquire))
		c->size_changed = true;
	if (!c->size_changed || c->asking_size || c->link.lost ||
	    c->link.state != LINK_UP)
		return;
	c->size_changed = false;
	c->asking_size = iscsi_readcapacity16_task(c->session.ctx,
						   (int)c->session.target->lun,
						   size_answered, c) != NULL;
}

/* ---- a channel's session ------------------------------------------------- */

static void drop(struct link *l)
{
	struct iscsi_channel *c = channel_of_link(l);

	if (c->fd >= 0)
		link_unwatch(l, c->fd);
	c->fd = -1;
	iscsi_session_end(&c->session);
}

static int begin(struct link *l)
{
	struct iscsi_channel *c = channel_of_link(l);

	return iscsi_session_begin(&c->session,
				   &storage_of(c->channel.st)->target, c->nr);
}

static const struct link_ops session_ops = {
	.begin = begin,
	.issue = iscsi_io_issue,
	.drop = drop,
};

/* Have the worker woken for what libiscsi waits for. */
static void watch(struct iscsi_channel *c)
{
	uint32_t events;
	int fd;

	if (!c->session.ctx || c->link.lost)
		return;
	if (c->session.state == ISCSI_OVER) {
		c->link.lost = true;
		return;
	}
	/* The old one is closed, and its number may be in use again. */
	if (c->session.moved) {
		c->session.moved = false;
		c->fd = -1;
	}
	events = iscsi_session_wants(&c->session);
	if (c->fd >= 0) {
		if (events != c->events &&
		    link_rewatch(&c->link, c->fd, events, LINK_SOCKET))
			c->link.lost = true;
	} else {
		fd = iscsi_get_fd(c->session.ctx);
		if (fd < 0 || link_watch(&c->link, fd, events, LINK_SOCKET))
			c->link.lost = true;
		else
			c->fd = fd;
	}
	c->events = events;
}

/* What is queued goes out now, as far as the socket takes it. */
static void push(struct iscsi_channel *c)
{
	if (c->link.state == LINK_UP && !c->link.lost &&
	    (iscsi_session_wants(&c->session) & EPOLLOUT))
		iscsi_session_serve(&c->session, EPOLLOUT);
	watch(c);
}

/* The LUN is known: is it ours? */
static void meet(struct iscsi_channel *c)
{
	struct iscsi_storage *n = storage_of(c->channel.st);

	if (!is_same(&n->seen, &c->session.seen)) {
		link_tell(&c->link, LINK_NEWS_REFUSED);
		c->link.lost = true;
		return;
	}
	know_size(c, c->session.seen.size_bytes);
	c->asking_size = false;
	link_up(&c->link);
}

/* The lowest that is free. */
static unsigned number(const struct iscsi_storage *n)
{
	unsigned nr = 0;
	bool taken = true;

	for (; taken; nr += taken) {
		taken = false;
		list_for_each(pos, &n->channels)
			taken |= container_of(pos, struct iscsi_channel, list)
					 ->nr == nr;
	}
	return nr;
}

/* No command is under way: libiscsi holds on to nothing of n->first. */
static void use_first(struct iscsi_channel *c, struct iscsi_storage *n)
{
	c->session = n->first;
	n->first = (struct iscsi_session){ .ctx = NULL };
	link_up(&c->link);
	watch(c);
}

static int disk_channel_open(struct storage *st, unsigned depth,
			     struct storage_channel **ret)
{
	struct iscsi_storage *n = storage_of(st);
	struct iscsi_channel *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	c->fd = -1;
	atomic_init(&c->look, false);
	err = link_init(&c->link, &session_ops, st, depth,
			n->target.fail_after_s * NS_PER_S);
	if (err) {
		free(c);
		return err;
	}
	c->nr = number(n);
	list_add_tail(&n->channels, &c->list);
	if (n->first.ctx && !c->nr)
		use_first(c, n);
	*ret = &c->channel;
	return 0;
}

/* A target notices the end of a session by its connection's. */
static void disk_channel_close(struct storage_channel *ch)
{
	struct iscsi_channel *c = channel_of(ch);

	if (!ch)
		return;
	list_del(&c->list);
	c->link.lost = true;
	drop(&c->link);
	link_fini(&c->link);
	free(c);
}

static int disk_submit(struct storage_channel *ch, struct storage_io *io)
{
	if (!storage_fits(ch->st, io) ||
	    (io->op != STORAGE_FLUSH && !io->size_bytes))
		return -EINVAL;
	if (io->op == STORAGE_DISCARD &&
	    (io->secure || !(ch->st->desc.flags & STORAGE_CAN_DISCARD)))
		return -EOPNOTSUPP;
	if (io->op == STORAGE_WRITE && ch->st->desc.flags & STORAGE_READONLY)
		return -EBADF;
	return link_submit(&channel_of(ch)->link, io);
}

static bool disk_flush(struct storage_channel *ch)
{
	struct iscsi_channel *c = channel_of(ch);

	push(c);
	if (c->link.lost)
		link_wake(&c->link);
	return true;
}

static unsigned disk_poll(struct storage_channel *ch)
{
	struct iscsi_channel *c = channel_of(ch);
	unsigned ready = link_look(&c->link);

	if (c->session.ctx && (ready & LINK_SOCKET))
		iscsi_session_serve(&c->session, c->link.socket_events);
	if (c->session.ctx && !c->link.lost &&
	    c->link.state == LINK_CONNECTING && c->session.state == ISCSI_READY)
		meet(c);
	watch(c);
	link_run(&c->link);
	ask_size(c);
	push(c);
	return link_reap(&c->link);
}

static int disk_wait_fd(struct storage_channel *ch)
{
	return channel_of(ch)->link.epfd;
}

/* The successor's login ends what is under way. */
static int disk_fence_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

static void disk_give_up(struct storage_channel *ch)
{
	link_give_up(&channel_of(ch)->link);
}

const struct storage_ops storage_iscsi = {
	.name = "iscsi",
	.help = "iscsi://[USER%PASSWORD@]HOST[:PORT]/TARGET/LUN\t"
		"a LUN of an iSCSI target",
	.claims = iscsi_target_claims,
	.acquire = iscsi_target_acquire,
	.open = disk_open,
	.close = disk_close,
	.size = disk_size,
	.tend = disk_tend,
	.channel_open = disk_channel_open,
	.channel_close = disk_channel_close,
	.submit = disk_submit,
	.flush = disk_flush,
	.poll = disk_poll,
	.wait_fd = disk_wait_fd,
	.fence_fd = disk_fence_fd,
	.give_up = disk_give_up,
};
