/* SPDX-License-Identifier: MIT */
/*
 * fault.c - `fault:SPEC,TARGET`: a filter that does what disks do when they
 * fail, to the ios that SPEC names (fault_spec.h). The control thread may set
 * other faults at any time: storage_set_faults().
 *
 * An io that waits is held here, in no kernel: a killed worker's successor
 * issues it again, and judges it anew. When the disk is detached, what hangs
 * ends with -EIO and what is delayed goes on.
 *
 * Thread: see storage.h; spec, generation and the list of channels are the
 * lock's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "blkback/storage/done.h"
#include "blkback/storage/fault_spec.h"
#include "blkback/storage/filter.h"
#include "util/clock.h"
#include "util/list.h"

#define REORDER_MAX_NS (2 * NS_PER_MS)
#define NEVER_NS       UINT64_MAX

struct fault_storage {
	struct filter_storage filter;
	pthread_mutex_t lock;
	struct fault_spec spec;
	struct list channels;
	unsigned generation; /* of spec */
};

struct fault_io {
	struct storage_io io; /* the inner storage's */
	struct fault_channel *channel;
	struct storage_io *outer;
	struct fault_verdict verdict;
	struct list link;   /* held */
	uint64_t due_ns;    /* held until then */
	uint64_t due_count; /* or until so many were submitted; 0: no matter */
	struct fault_io *next; /* free */
};

struct fault_channel {
	struct filter_channel filter;
	struct list link; /* the storage's channels */
	struct done_list done;
	struct list held;
	struct fault_io *ios, *free;
	int epoll_fd; /* readable when the inner's wait_fd or the timer is */
	int timer_fd;
	unsigned generation;
	uint64_t nr_submitted;
	bool unflushed; /* submitted by poll() */
	bool given_up;	/* nothing is held any more */
};

static const struct storage_ops fault_ops;

static struct fault_channel *channel_of(struct storage_channel *ch)
{
	return (struct fault_channel *)ch;
}

static struct fault_storage *storage_of(struct fault_channel *c)
{
	return (struct fault_storage *)c->filter.channel.st;
}

/* ---- the storage ------------------------------------------------------------
 */

static int fault_acquire(const char *args, const struct storage_desc *desc,
			 int *fd, char *why, size_t why_size)
{
	struct fault_spec spec;

	(void)desc;
	(void)fd;
	return fault_spec_parse(args, &spec, why, why_size);
}

static int fault_open(const char *args, const struct storage_desc *desc, int fd,
		      struct filter_storage **ret)
{
	struct fault_storage *f = calloc(1, sizeof(*f));
	char why[256];
	int err;

	(void)fd;
	if (!f)
		return -ENOMEM;
	err = fault_spec_parse(args, &f->spec, why, sizeof(why));
	if (err) {
		free(f);
		return err;
	}
	storage_init(&f->filter.storage, &fault_ops, desc);
	pthread_mutex_init(&f->lock, NULL);
	list_init(&f->channels);
	*ret = &f->filter;
	return 0;
}

static void fault_destroy(struct filter_storage *filter)
{
	struct fault_storage *f = (struct fault_storage *)filter;

	if (!f)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static void fault_close(struct storage *st)
{
	if (!st)
		return;
	filter_of(st)->inner->ops->close(filter_of(st)->inner);
	fault_destroy(filter_of(st));
}

/* At due_ns of the monotonic clock; in the past: at once. */
static void set_timer(struct fault_channel *c, uint64_t due_ns)
{
	struct itimerspec when = { .it_value = { .tv_nsec = 1 } };

	if (due_ns == NEVER_NS)
		when.it_value.tv_nsec = 0;
	else if (due_ns)
		when.it_value = (struct timespec){
			.tv_sec = (time_t)(due_ns / NS_PER_S),
			.tv_nsec = (long)(due_ns % NS_PER_S)
		};
	timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int storage_set_faults(struct storage *st, const char *spec, char *why,
		       size_t why_size)
{
	struct fault_storage *f = (struct fault_storage *)st;
	struct fault_spec parsed;
	int err;

	if (st->ops->close != fault_close) {
		/* Perhaps behind another filter. */
		if (st->ops->size == filter_size)
			return storage_set_faults(filter_of(st)->inner, spec,
						  why, why_size);
		snprintf(why, why_size,
			 "the disk has no fault filter: attach it as "
			 "fault:off,TARGET");
		return -EOPNOTSUPP;
	}
	err = fault_spec_parse(spec, &parsed, why, why_size);
	if (err)
		return err;
	pthread_mutex_lock(&f->lock);
	f->spec = parsed;
	f->generation++;
	list_for_each(l, &f->channels)
		set_timer(container_of(l, struct fault_channel, link), 0);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* ---- channels ---------------------------------------------------------------
 */

static void fault_channel_close(struct storage_channel *ch)
{
	struct fault_channel *c = channel_of(ch);

	if (!ch)
		return;
	pthread_mutex_lock(&storage_of(c)->lock);
	list_del(&c->link);
	pthread_mutex_unlock(&storage_of(c)->lock);
	if (c->filter.inner)
		filter_ops(ch)->channel_close(c->filter.inner);
	if (c->timer_fd >= 0)
		close(c->timer_fd);
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	free(c->ios);
	free(c);
}

static int add_fd(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int make_waits(struct fault_channel *c)
{
	int fd = filter_wait_fd(&c->filter.channel), err;

	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->epoll_fd < 0 || c->timer_fd < 0)
		return -errno;
	err = add_fd(c->epoll_fd, c->timer_fd);
	if (!err && fd >= 0)
		err = add_fd(c->epoll_fd, fd);
	return err;
}

static int fault_channel_open(struct storage *st, unsigned depth,
			      struct storage_channel **ret)
{
	struct storage *inner = filter_of(st)->inner;
	struct fault_channel *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->filter.channel.st = st;
	c->epoll_fd = c->timer_fd = -1;
	list_init(&c->link);
	list_init(&c->held);
	done_list_init(&c->done);
	c->ios = calloc(depth, sizeof(*c->ios));
	err = c->ios ? inner->ops->channel_open(inner, depth, &c->filter.inner)
		     : -ENOMEM;
	if (!err)
		err = make_waits(c);
	if (err) {
		fault_channel_close(&c->filter.channel);
		return err;
	}
	for (unsigned i = depth; i-- > 0;) {
		c->ios[i].channel = c;
		list_init(&c->ios[i].link);
		c->ios[i].next = c->free;
		c->free = &c->ios[i];
	}
	pthread_mutex_lock(&storage_of(c)->lock);
	list_add_tail(&storage_of(c)->channels, &c->link);
	c->generation = storage_of(c)->generation;
	pthread_mutex_unlock(&storage_of(c)->lock);
	*ret = &c->filter.channel;
	return 0;
}

/* ---- ios --------------------------------------------------------------------
 */

static void let_go(struct fault_io *io)
{
	io->next = io->channel->free;
	io->channel->free = io;
}

static void inner_done(struct storage_io *inner)
{
	struct fault_io *io = container_of(inner, struct fault_io, io);
	struct storage_io *outer = io->outer;

	outer->result = inner->result ? inner->result : io->verdict.error;
	let_go(io);
	outer->done(outer);
}

/* Only the first bytes of io's data. */
static void trim(struct storage_io *io, uint64_t bytes)
{
	io->size_bytes = bytes;
	for (unsigned i = 0; i < io->nr_iov; i++) {
		if (io->iov[i].iov_len > bytes)
			io->iov[i].iov_len = bytes;
		bytes -= io->iov[i].iov_len;
		if (!bytes)
			io->nr_iov = i + 1;
	}
}

/* To the medium, or what of it gets there. */
static int start(struct fault_io *io)
{
	struct fault_channel *c = io->channel;
	const struct fault_verdict *v = &io->verdict;
	struct storage_io *outer = io->outer;
	bool torn = v->torn_sectors != FAULT_TORN_NO;
	int err;

	if (torn ? !v->torn_sectors : v->error != 0) {
		done_list_add(&c->done, outer, v->error);
		let_go(io);
		return 0;
	}
	io->io = (struct storage_io){ .op = outer->op,
				      .secure = outer->secure,
				      .offset_bytes = outer->offset_bytes,
				      .size_bytes = outer->size_bytes,
				      .iov = outer->iov,
				      .nr_iov = outer->nr_iov,
				      .done = inner_done };
	if (torn)
		trim(&io->io, (uint64_t)v->torn_sectors * 512);
	err = filter_ops(&c->filter.channel)->submit(c->filter.inner, &io->io);
	if (err)
		let_go(io);
	return err;
}

/* Nothing is held any more: what would hang fails. */
static int start_given_up(struct fault_io *io)
{
	if (io->verdict.hang)
		io->verdict =
			(struct fault_verdict){ .error = -EIO,
						.torn_sectors = FAULT_TORN_NO };
	return start(io);
}

static int fault_submit(struct storage_channel *ch, struct storage_io *outer)
{
	struct fault_channel *c = channel_of(ch);
	struct fault_storage *f = storage_of(c);
	struct fault_io *io = c->free;

	if (!storage_fits(ch->st, outer))
		return -EINVAL;
	if (!io)
		return -EAGAIN;
	c->free = io->next;
	c->nr_submitted++;
	io->outer = outer;
	pthread_mutex_lock(&f->lock);
	fault_spec_judge(&f->spec, outer, &io->verdict);
	pthread_mutex_unlock(&f->lock);
	io->due_ns = NEVER_NS;
	io->due_count = 0;
	if (io->verdict.reorder) {
		io->due_ns = clock_now_ns() + REORDER_MAX_NS;
		io->due_count = c->nr_submitted + io->verdict.reorder;
	} else if (io->verdict.delay_ns) {
		io->due_ns = clock_now_ns() + io->verdict.delay_ns;
	}
	if (c->given_up)
		return start_given_up(io);
	if (!io->verdict.hang && io->due_ns == NEVER_NS)
		return start(io);
	if (io->verdict.hang)
		io->due_ns = NEVER_NS;
	list_add_tail(&c->held, &io->link);
	return 0;
}

/* Were other faults set? Then nothing is held any longer. */
static bool faults_changed(struct fault_channel *c)
{
	struct fault_storage *f = storage_of(c);
	bool changed;

	pthread_mutex_lock(&f->lock);
	changed = c->generation != f->generation;
	c->generation = f->generation;
	pthread_mutex_unlock(&f->lock);
	return changed;
}

static void start_due(struct fault_channel *c)
{
	bool all = faults_changed(c);
	uint64_t now = list_empty(&c->held) ? 0 : clock_now_ns();

	list_for_each_safe(l, tmp, &c->held) {
		struct fault_io *io = container_of(l, struct fault_io, link);
		struct storage_io *outer = io->outer;
		int err;

		if (!all && !c->given_up && io->due_ns > now &&
		    (!io->due_count || c->nr_submitted < io->due_count))
			continue;
		list_del(&io->link);
		err = c->given_up ? start_given_up(io) : start(io);
		if (err)
			done_list_add(&c->done, outer, err);
		c->unflushed = true;
	}
}

/* For the next that is due; what was set meanwhile is not slept over. */
static void arm(struct fault_channel *c)
{
	struct fault_storage *f = storage_of(c);
	uint64_t due = NEVER_NS;

	list_for_each(l, &c->held) {
		struct fault_io *io = container_of(l, struct fault_io, link);

		if (io->due_ns < due)
			due = io->due_ns;
	}
	if (c->unflushed)
		due = 0;
	pthread_mutex_lock(&f->lock);
	if (c->generation != f->generation)
		due = 0;
	set_timer(c, due);
	pthread_mutex_unlock(&f->lock);
}

static unsigned fault_poll(struct storage_channel *ch)
{
	struct fault_channel *c = channel_of(ch);
	bool held = !list_empty(&c->held);
	uint64_t fired;
	ssize_t n = read(c->timer_fd, &fired, sizeof(fired));
	unsigned nr;

	start_due(c);
	if (c->unflushed)
		c->unflushed = !filter_flush(ch);
	nr = filter_poll(ch);
	nr += done_list_run(&c->done);
	if (held || n > 0 || !list_empty(&c->held))
		arm(c);
	return nr;
}

static void fault_give_up(struct storage_channel *ch)
{
	channel_of(ch)->given_up = true;
	filter_give_up(ch);
}

static int fault_wait_fd(struct storage_channel *ch)
{
	return channel_of(ch)->epoll_fd;
}

static const struct storage_ops fault_ops = {
	.name = "fault",
	.close = fault_close,
	.size = filter_size,
	.channel_open = fault_channel_open,
	.channel_close = fault_channel_close,
	.submit = fault_submit,
	.flush = filter_flush,
	.poll = fault_poll,
	.wait_fd = fault_wait_fd,
	.fence_fd = filter_fence_fd,
	.give_up = fault_give_up,
};

const struct storage_filter filter_fault = {
	.name = "fault",
	.help = "fault\tfault:SPEC,TARGET\tany other, with errors, delays, torn "
		"writes: see blkbackd(8)",
	.args_prefix = "",
	.acquire = fault_acquire,
	.open = fault_open,
	.destroy = fault_destroy,
};
