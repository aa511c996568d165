/* SPDX-License-Identifier: MIT */
/*
 * vbd_queues.c - the queues of one disk, see vbd_queues.h. Neighbours: queue.c
 * (one queue), inflight.c (its record), vbd.c calls. Control thread.
 */
#include "blkback/vbd_queues.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util/num.h"

struct vbd_queue {
	struct vbd_queues *all;
	struct inflight *inflight;
	struct blkback_queue *queue;
	struct loop_fd *fence_src;
	int fence_fd; /* a predecessor's, or -1 */
};

void vbd_queues_init(struct vbd_queues *qs, struct blkback *bb, domid_t domid,
		     uint32_t handle, void (*fences_passed)(void *arg),
		     void *arg)
{
	*qs = (struct vbd_queues){
		.bb = bb,
		.domid = domid,
		.handle = handle,
		.fences_passed = fences_passed,
		.arg = arg,
	};
}

static int alloc(struct vbd_queues *qs, uint32_t nr)
{
	qs->q = calloc(nr, sizeof(*qs->q));
	if (!qs->q)
		return -ENOMEM;
	qs->nr = nr;
	for (uint32_t i = 0; i < nr; i++) {
		qs->q[i].all = qs;
		qs->q[i].fence_fd = -1;
	}
	return 0;
}

/* ---- with the monitor -----------------------------------------------------
 */

static struct monitor_client *monitor_of(const struct vbd_queues *qs)
{
	return qs->bb->control.monitor;
}

struct key {
	char text[MONITOR_KEY_MAX];
};

static struct key record_key(const struct vbd_queues *qs, uint32_t i)
{
	struct key k;

	_Static_assert(sizeof("vbd/4294967295/4294967295/q4294967295/fence") <=
			       MONITOR_KEY_MAX,
		       "every key fits");
	snprintf(k.text, sizeof(k.text), "vbd/%u/%u/q%u", qs->domid, qs->handle,
		 i);
	return k;
}

static struct key fence_key(const struct vbd_queues *qs, uint32_t i)
{
	struct key k;

	snprintf(k.text, sizeof(k.text), "vbd/%u/%u/q%u/fence", qs->domid,
		 qs->handle, i);
	return k;
}

int vbd_queues_keep(struct vbd_queues *qs)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < qs->nr; i++)
		err = monitor_client_keep(monitor_of(qs),
					  record_key(qs, i).text,
					  inflight_fd(qs->q[i].inflight));
	return err;
}

/* Before the queue's first submission. Replaces a predecessor's fence. */
static int keep_fence(struct vbd_queues *qs, uint32_t i)
{
	int fd = blkback_queue_fence_fd(qs->q[i].queue);

	if (fd < 0) {
		int err = monitor_client_drop(monitor_of(qs),
					      fence_key(qs, i).text);

		return err == -ENOENT ? 0 : err;
	}
	return monitor_client_keep(monitor_of(qs), fence_key(qs, i).text, fd);
}

void vbd_queues_drop_kept(struct vbd_queues *qs)
{
	uint32_t nr = 0;

	while (nr < INFLIGHT_QUEUES_MAX &&
	       monitor_client_drop(monitor_of(qs), record_key(qs, nr).text) ==
		       0)
		nr++;
	for (uint32_t i = 0; i < INFLIGHT_QUEUES_MAX; i++)
		if (monitor_client_drop(monitor_of(qs),
					fence_key(qs, i).text) &&
		    i >= nr)
			break;
}

/* ---- a connection ---------------------------------------------------------
 */

static int open_queue(struct vbd_queues *qs, uint32_t i,
		      struct storage *storage, bool resume)
{
	struct blkback_queue_config config = {
		.platform = qs->bb->control.platform,
		.inflight = qs->q[i].inflight,
		.storage = storage,
		.resume = resume,
		.event_fd = qs->bb->control.event_fd,
	};

	return blkback_queue_open(&config, &qs->q[i].queue);
}

int vbd_queues_open(struct vbd_queues *qs, const struct inflight_params *params,
		    struct storage *storage, uint32_t *ret_queue)
{
	int err = alloc(qs, params->nr_queues);

	for (uint32_t i = 0; !err && i < qs->nr; i++) {
		*ret_queue = i;
		err = inflight_create(&params[i], &qs->q[i].inflight);
		if (!err)
			err = open_queue(qs, i, storage, false);
	}
	return err;
}

int vbd_queues_start(struct vbd_queues *qs)
{
	struct blkback *bb = qs->bb;
	int err = 0;

	for (uint32_t i = 0; !err && i < qs->nr; i++)
		err = keep_fence(qs, i);
	for (uint32_t i = 0; !err && i < qs->nr; i++) {
		uint32_t w = bb->next_worker++ % bb->nr_workers;

		err = blkback_queue_start(qs->q[i].queue, bb->workers[w]);
	}
	return err;
}

int vbd_queues_stop(struct vbd_queues *qs)
{
	int err = 0;

	/* All of them first: they drain at the same time. */
	for (uint32_t i = 0; i < qs->nr; i++)
		if (qs->q[i].queue && blkback_queue_stop(qs->q[i].queue))
			err = -EINPROGRESS;
	return err;
}

void vbd_queues_give_up(struct vbd_queues *qs)
{
	for (uint32_t i = 0; i < qs->nr; i++)
		if (qs->q[i].queue)
			blkback_queue_give_up(qs->q[i].queue);
}

static void forget_fence(struct vbd_queue *q)
{
	if (q->fence_src)
		q->all->nr_fenced--;
	loop_fd_remove(q->fence_src);
	q->fence_src = NULL;
	if (q->fence_fd >= 0)
		close(q->fence_fd);
	q->fence_fd = -1;
}

void vbd_queues_close(struct vbd_queues *qs, bool keep)
{
	for (uint32_t i = 0; i < qs->nr; i++) {
		forget_fence(&qs->q[i]);
		blkback_queue_close(qs->q[i].queue, keep);
		inflight_close(qs->q[i].inflight);
	}
	free(qs->q);
	qs->q = NULL;
	qs->nr = 0;
}

/* ---- a predecessor's ------------------------------------------------------
 */

int vbd_queues_find(struct vbd_queues *qs)
{
	return monitor_client_get(monitor_of(qs), record_key(qs, 0).text);
}

static int attach(struct vbd_queues *qs, uint32_t i, int fd,
		  struct inflight **ret)
{
	int err = inflight_attach(fd, qs->domid, qs->handle, i, ret);

	if (err)
		close(fd);
	return err;
}

int vbd_queues_attach(struct vbd_queues *qs, int fd)
{
	struct inflight *first;
	uint32_t nr;
	int err = attach(qs, 0, fd, &first);

	if (err)
		return err;
	nr = inflight_params(first)->nr_queues;
	err = alloc(qs, nr);
	if (err) {
		inflight_close(first);
		return err;
	}
	qs->q[0].inflight = first;
	for (uint32_t i = 1; !err && i < nr; i++) {
		fd = monitor_client_get(monitor_of(qs), record_key(qs, i).text);
		if (fd < 0)
			return fd == -ENOENT ? -EPROTO : fd;
		err = attach(qs, i, fd, &qs->q[i].inflight);
		/* All of one connection, or it is none. */
		if (!err && inflight_params(qs->q[i].inflight)->nr_queues != nr)
			err = -EPROTO;
	}
	return err;
}

int vbd_queues_resume(struct vbd_queues *qs, struct storage *storage)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < qs->nr; i++)
		err = open_queue(qs, i, storage, true);
	return err;
}

static void fence_fired(void *arg, uint32_t events)
{
	struct vbd_queue *q = arg;
	struct vbd_queues *qs = q->all;

	(void)events;
	forget_fence(q);
	if (!qs->nr_fenced)
		qs->fences_passed(qs->arg);
}

static int wait_at_fence(struct vbd_queues *qs, uint32_t i)
{
	struct vbd_queue *q = &qs->q[i];
	int err;

	q->fence_fd = monitor_client_get(monitor_of(qs), fence_key(qs, i).text);
	if (q->fence_fd < 0)
		return q->fence_fd == -ENOENT ? 0 : q->fence_fd;
	/* Nothing is ever sent on it: only its hang-up fires. */
	err = loop_fd_add(qs->bb->control.loop, q->fence_fd, EPOLLIN,
			  fence_fired, q, &q->fence_src);
	if (!err)
		qs->nr_fenced++;
	return err;
}

int vbd_queues_fence(struct vbd_queues *qs)
{
	int err = qs->nr ? 0 : alloc(qs, INFLIGHT_QUEUES_MAX);

	for (uint32_t i = 0; !err && i < qs->nr; i++)
		err = wait_at_fence(qs, i);
	return err;
}

/* ---- what they are doing --------------------------------------------------
 */

int vbd_queues_fault(const struct vbd_queues *qs)
{
	int fault = 0;

	for (uint32_t i = 0; !fault && i < qs->nr; i++)
		if (qs->q[i].queue)
			fault = blkback_queue_fault(qs->q[i].queue);
	return fault;
}

uint32_t vbd_queues_features(const struct vbd_queues *qs)
{
	return inflight_params(qs->q[0].inflight)->features;
}

uint32_t vbd_queues_nr_recovered(const struct vbd_queues *qs)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < qs->nr; i++)
		nr += blkback_queue_stats(qs->q[i].queue)->nr_recovered;
	return (uint32_t)nr;
}

bool vbd_queues_cached(const struct vbd_queues *qs)
{
	bool cached = false;

	for (uint32_t i = 0; i < qs->nr; i++)
		cached |=
			qs->q[i].queue && blkback_queue_cached(qs->q[i].queue);
	return cached;
}

void vbd_queues_expire(struct vbd_queues *qs)
{
	for (uint32_t i = 0; i < qs->nr; i++)
		if (qs->q[i].queue && blkback_queue_cached(qs->q[i].queue))
			blkback_queue_expire(qs->q[i].queue);
}

void vbd_queues_set_limiters(struct vbd_queues *qs,
			     const struct limiter_pair *limiters)
{
	for (uint32_t i = 0; i < qs->nr; i++)
		if (qs->q[i].queue)
			blkback_queue_set_limiters(qs->q[i].queue, limiters);
}

void vbd_queues_account(const struct vbd_queues *qs, uint32_t i,
			struct account *to)
{
	if (qs->q[i].queue)
		blkback_queue_account(qs->q[i].queue, to);
}
