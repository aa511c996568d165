/* SPDX-License-Identifier: MIT */
/*
 * connect.c - the connection under the queues: made, lost, made again, ended.
 *
 * Drives xenbus as the frontend of one vbd. What is in flight survives every
 * loss of the backend, unless the policy says otherwise; it ends when the disk
 * is detached, the backend lies, or the program closes. Called by owner.c,
 * blkfront.c and, through the driver's steps, by xenbus; control thread.
 */
#include "blkfront/private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util/clock.h"

/* How long a backend that is told to go may take to answer what it has. */
#define DRAIN_NS (5 * NS_PER_S)
/* Pauses between attempts while connections do not last BACKOFF_MAX_NS. */
#define BACKOFF_MIN_NS (10 * NS_PER_MS)
#define BACKOFF_MAX_NS NS_PER_S

static void timer_set(struct blkfront *bf, uint64_t at_ns)
{
	struct itimerspec its = { .it_value = {
					  .tv_sec = (time_t)(at_ns / NS_PER_S),
					  .tv_nsec = (long)(at_ns % NS_PER_S),
				  } };

	bf->timer_at_ns = at_ns;
	timerfd_settime(bf->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void release(struct blkfront *bf)
{
	if (bf->size_watch)
		xs_unwatch(bf->xs, bf->size_watch);
	bf->size_watch = NULL;
	rings_release(bf);
}

/* The end for users: every io is completed, nothing will connect again. */
static void go_down(struct blkfront *bf, int err)
{
	if (bf->link == LINK_DOWN)
		return;
	bf->link = LINK_DOWN;
	bf->lost = err;
	timer_set(bf, 0);
	rings_fail(bf, err == -ESHUTDOWN ? err : -EIO, err);
}

/* ---- the driver's steps -------------------------------------------------- */

static int announce(struct blkfront *bf)
{
	int err;

	release(bf);
	err = features_read_transport(bf, &bf->transport);
	if (!err)
		err = rings_open(bf);
	if (!err)
		err = xs_transaction(bf->xs, features_publish, bf);
	return err;
}

/* The backend wrote `sectors`: the disk may have another size now. */
static void size_changed(void *arg, const char *path)
{
	struct blkfront *bf = arg;
	uint64_t size_bytes;
	int err;

	(void)path;
	if (bf->link != LINK_UP)
		return;
	err = features_read_size(bf, bf->info.sector_bytes, &size_bytes);
	if (err) {
		log_limited(&bf->limit, LOG_WARN,
			    "%s: the disk's new size is not usable: %s",
			    bf->dev.name, strerrordesc_np(-err));
		return;
	}
	if (size_bytes == bf->info.size_bytes)
		return;
	log_limited(&bf->limit, LOG_INFO, "%s: %llu bytes, %llu before",
		    bf->dev.name, (unsigned long long)size_bytes,
		    (unsigned long long)bf->info.size_bytes);
	bf->info.size_bytes = size_bytes;
	rings_set_info(bf);
	if (bf->resized)
		bf->resized(bf->resized_arg, size_bytes);
}

/* Without this watch the disk only keeps its size. */
static void watch_size(struct blkfront *bf)
{
	char path[sizeof(bf->dev.otherend) + 16];

	if (str_printf(path, sizeof(path), "%s/sectors", bf->dev.otherend) < 0)
		return;
	if (xs_watch(bf->xs, path, size_changed, bf, &bf->size_watch))
		bf->size_watch = NULL;
}

static int connect_queues(struct blkfront *bf)
{
	uint64_t old_bytes = bf->info.size_bytes;
	int err;

	err = features_read_disk(bf, &bf->info, &bf->limits);
	if (!err)
		err = rings_attach(bf);
	if (err)
		return err;
	bf->link = LINK_UP;
	bf->up_since_ns = clock_now_ns();
	timer_set(bf, 0);
	watch_size(bf);
	if (bf->was_up) {
		log_limited(&bf->limit, LOG_INFO,
			    "%s: connected again over %u ring%s", bf->dev.name,
			    bf->transport.nr_rings,
			    bf->transport.nr_rings == 1 ? "" : "s");
		if (bf->resized && old_bytes != bf->info.size_bytes)
			bf->resized(bf->resized_arg, bf->info.size_bytes);
	}
	bf->was_up = true;
	return 0;
}

static int step_announce(struct xenbus_device *dev)
{
	struct blkfront *bf = dev->priv;
	int err = announce(bf);

	if (err)
		go_down(bf, err);
	return err;
}

static int step_connect(struct xenbus_device *dev)
{
	struct blkfront *bf = dev->priv;
	int err = connect_queues(bf);

	if (err)
		go_down(bf, err);
	return err;
}

/* Does the toolstack still want the device? A backend gone mute says nothing.
 */
static bool still_wanted(struct blkfront *bf)
{
	uint32_t online, state;
	int err;

	err = xs_read_u32(bf->xs, XS_NO_TXN, bf->dev.node, "state",
			  XENBUS_NR_STATES - 1, &state);
	if (err == -ENOENT)
		return false;
	err = xs_read_u32_default(bf->xs, XS_NO_TXN, bf->dev.otherend, "online",
				  1, 0, &online);
	return err != 0 || online != 0;
}

/* Come again when the backend may be there, soon unless that keeps failing. */
static void wait_for_backend(struct blkfront *bf)
{
	uint64_t now_ns = clock_now_ns();

	if (bf->link == LINK_UP) {
		log_limited(&bf->limit, LOG_WARN,
			    "%s: the backend is gone, waiting for it to return",
			    bf->dev.name);
		if (now_ns - bf->up_since_ns > BACKOFF_MAX_NS)
			bf->backoff_ns = 0;
	}
	bf->link = LINK_CONNECTING;
	bf->backoff_ns *= 2;
	if (bf->backoff_ns < BACKOFF_MIN_NS)
		bf->backoff_ns = BACKOFF_MIN_NS;
	if (bf->backoff_ns > BACKOFF_MAX_NS)
		bf->backoff_ns = BACKOFF_MAX_NS;
	timer_set(bf, now_ns + bf->backoff_ns);
}

static int step_disconnect(struct xenbus_device *dev)
{
	struct blkfront *bf = dev->priv;

	if (bf->link == LINK_DRAINING)
		return -EINPROGRESS;
	if (bf->link != LINK_DOWN && !still_wanted(bf)) {
		log_info("%s: the disk is being detached", dev->name);
		rings_refuse(bf, -ESHUTDOWN);
		if (bf->link == LINK_UP && !rings_idle(bf)) {
			bf->link = LINK_DRAINING;
			timer_set(bf, clock_now_ns() + DRAIN_NS);
			return -EINPROGRESS;
		}
		go_down(bf, -ESHUTDOWN);
	}
	release(bf);
	if (bf->link != LINK_DOWN)
		wait_for_backend(bf);
	return 0;
}

/* The directory is gone, or we closed: nobody will connect this one again. */
static void step_gone(struct xenbus_device *dev)
{
	go_down(dev->priv, -ESHUTDOWN);
}

static const struct xenbus_driver driver = {
	.role = XENBUS_FRONTEND,
	.type = "vbd",
	.announce = step_announce,
	.connect = step_connect,
	.disconnect = step_disconnect,
};

/* ---- events ------------------------------------------------------------- */

int connect_start(struct blkfront *bf)
{
	char node[sizeof(bf->dev.node)];
	int err;

	memcpy(node, bf->dev.node, sizeof(node));
	if (bf->dev_started)
		xenbus_device_stop(&bf->dev);
	bf->dev_started = false;
	release(bf);
	memset(&bf->dev, 0, sizeof(bf->dev));
	memcpy(bf->dev.node, node, sizeof(node));
	bf->dev.driver = &driver;
	bf->dev.xs = bf->xs;
	bf->dev.handle = bf->handle;
	bf->dev.priv = bf;
	bf->dev.gone = step_gone;
	bf->link = LINK_CONNECTING;
	err = xenbus_device_start(&bf->dev, false);
	if (!err)
		bf->dev_started = true;
	return err;
}

static void peer_fault(struct blkfront *bf, const char *why)
{
	log_limited(&bf->limit, LOG_ERROR, "%s: the backend broke the ring: %s",
		    bf->dev.name, why);
	go_down(bf, -EPROTO);
	if (!bf->store_gone)
		xenbus_close(&bf->dev);
}

/* Take every response, and what was found wrong with them. */
static uint32_t reap(struct blkfront *bf)
{
	const char *fault = NULL;
	uint32_t nr_cut_off = rings_reap(bf, &fault);

	if (fault && bf->link != LINK_DOWN)
		peer_fault(bf, fault);
	return nr_cut_off;
}

static void finish_detach(struct blkfront *bf)
{
	go_down(bf, -ESHUTDOWN);
	release(bf);
	if (!bf->store_gone)
		xenbus_disconnected(&bf->dev);
}

/* The backend's end of the event channel is gone, and so is the backend. */
static void channel_lost(struct blkfront *bf)
{
	reap(bf); /* what it had answered stays answered */
	if (bf->link == LINK_DRAINING)
		finish_detach(bf);
	if (bf->link == LINK_UP && bf->store_gone)
		go_down(bf, -ECONNRESET);
	if (bf->link == LINK_DOWN)
		release(bf);
	if (!bf->store_gone)
		xenbus_otherend_lost(&bf->dev);
}

static void store_lost(struct blkfront *bf)
{
	log_warn(
		"%s: lost the broker; the disk goes on while its backend lives",
		bf->dev.name);
	bf->store_gone = true;
	epoll_ctl(bf->epoll_fd, EPOLL_CTL_DEL, xs_fd(bf->xs), NULL);
	if (bf->link != LINK_UP)
		go_down(bf, -ECONNRESET);
}

static void timer_expired(struct blkfront *bf)
{
	int err;

	timer_set(bf, 0);
	if (bf->link == LINK_DRAINING)
		finish_detach(bf);
	/* Otherwise xenbus has begun again by itself. */
	if (bf->link != LINK_CONNECTING || bf->dev.state != XenbusStateClosed)
		return;
	err = connect_start(bf);
	if (err)
		go_down(bf, err == -ENOENT ? -ESHUTDOWN : err);
}

static void store_events(struct blkfront *bf)
{
	do {
		if (xs_dispatch(bf->xs)) {
			store_lost(bf);
			return;
		}
	} while (xs_pending(bf->xs));
	if (bf->link == LINK_CONNECTING && bf->was_up && !still_wanted(bf)) {
		go_down(bf, -ESHUTDOWN);
		xenbus_close(&bf->dev);
	}
}

/* Is a channel's other end gone, ours or one that another owner looked at? */
static bool is_cut_off(struct blkfront *bf)
{
	struct blkfront_queue *bq = &bf->queues[0];
	bool ours;

	owner_lock(bq);
	ours = bq->evtchn && evtchn_clear(bq->evtchn) == -EPIPE;
	owner_unlock(bq);
	return reap(bf) || ours;
}

void connect_events(struct blkfront *bf)
{
	uint64_t count;

	(void)!read(bf->queues[0].wake_fd, &count, sizeof(count));
	if (is_cut_off(bf))
		channel_lost(bf);
	if (bf->timer_at_ns && clock_now_ns() >= bf->timer_at_ns)
		timer_expired(bf);
	if (!bf->store_gone)
		store_events(bf);
	if (bf->link == LINK_DRAINING && rings_idle(bf))
		finish_detach(bf);
}

/* ---- the end ------------------------------------------------------------ */

static void sleep_until(struct blkfront *bf, uint64_t deadline_ns)
{
	struct pollfd pfd[BLKFRONT_QUEUES_MAX];
	uint64_t now_ns = clock_now_ns();

	for (uint32_t i = 0; i < bf->nr_queues; i++) {
		if (blkfront_queue_arm(&bf->queues[i]) && bf->link == LINK_UP)
			return;
		pfd[i] = (struct pollfd){ .fd = bf->queues[i].epoll_fd,
					  .events = POLLIN };
	}
	if (now_ns < deadline_ns && !(!bf->store_gone && xs_pending(bf->xs)))
		poll(pfd, bf->nr_queues,
		     (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
}

void connect_serve(struct blkfront *bf, connect_done_fn *done,
		   uint64_t deadline_ns)
{
	while (!done(bf) && clock_now_ns() < deadline_ns) {
		sleep_until(bf, deadline_ns);
		for (uint32_t i = bf->nr_queues; i-- > 0;)
			(void)blkfront_queue_poll(&bf->queues[i]);
	}
}

static bool is_quiet(struct blkfront *bf)
{
	return bf->link != LINK_UP || rings_idle(bf);
}

static bool is_closed(struct blkfront *bf)
{
	return bf->store_gone || bf->dev.state == XenbusStateClosed;
}

void connect_close(struct blkfront *bf, uint64_t deadline_ns)
{
	if (bf->dev_started) {
		connect_serve(bf, is_quiet, deadline_ns);
		go_down(bf, -ESHUTDOWN);
		if (!is_closed(bf))
			xenbus_close(&bf->dev);
		connect_serve(bf, is_closed, deadline_ns);
		if (!is_closed(bf))
			xenbus_otherend_lost(&bf->dev);
		xenbus_device_stop(&bf->dev);
		bf->dev_started = false;
	}
	go_down(bf, -ESHUTDOWN);
	/* twice: what one queue did for another is handed over first */
	for (uint32_t i = 0; i < 2 * bf->nr_queues; i++)
		(void)owner_run_done(&bf->queues[i % bf->nr_queues]);
	release(bf);
}
