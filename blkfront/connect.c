/* SPDX-License-Identifier: MIT */
/*
 * connect.c - the connection under a queue: made, lost, made again, ended.
 *
 * Drives xenbus as the frontend of one vbd. What the queue holds in flight
 * survives every loss of the backend; it ends only when the disk is detached,
 * the backend lies, or the program closes. Called by blkfront.c and, through
 * the driver's steps, by xenbus; all on the owner's thread.
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
	queue_detach(&bf->queue);
	if (bf->evtchn) {
		epoll_ctl(bf->epoll_fd, EPOLL_CTL_DEL, evtchn_fd(bf->evtchn),
			  NULL);
		evtchn_close(bf->evtchn);
		bf->evtchn = NULL;
	}
	/* What a backend still maps goes to quarantine: it is not ours. */
	if (bf->ring.base)
		platform_unshare(bf->platform, &bf->ring);
	bf->ring.base = NULL;
}

/* The end for users: every io is completed, nothing will connect again. */
static void go_down(struct blkfront *bf, int err)
{
	if (bf->link == LINK_DOWN)
		return;
	bf->link = LINK_DOWN;
	bf->lost = err;
	timer_set(bf, 0);
	queue_fail(&bf->queue, err == -ESHUTDOWN ? err : -EIO);
}

/* ---- the driver's steps -------------------------------------------------- */

static int publish_nodes(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct blkfront *bf = arg;
	const char *node = bf->dev.node;
	char key[24];
	int err;

	if (bf->ring_order == 0) {
		char path[sizeof(bf->dev.node) + 32];

		err = str_printf(path, sizeof(path), "%s/ring-page-order",
				 node);
		if (err >= 0)
			err = xs_rm(xs, tx, path);
		if (err < 0 && err != -ENOENT)
			return err;
		err = xs_printf(xs, tx, node, "ring-ref", "%u",
				bf->ring.first_ref);
	} else {
		err = xs_printf(xs, tx, node, "ring-page-order", "%u",
				bf->ring_order);
		for (uint32_t i = 0; !err && i < bf->ring.nr_pages; i++) {
			snprintf(key, sizeof(key), "ring-ref%u", i);
			err = xs_printf(xs, tx, node, key, "%u",
					bf->ring.first_ref + i);
		}
	}
	if (!err)
		err = xs_printf(xs, tx, node, "event-channel", "%u",
				evtchn_port(bf->evtchn));
	if (!err)
		err = xs_printf(xs, tx, node, "protocol", "%s",
				XEN_IO_PROTO_ABI_X86_64);
	if (!err)
		err = xs_printf(xs, tx, node, "feature-persistent", "1");
	return err;
}

/* The buffers' region lives as long as the blkfront: pointers stay valid. */
static int share_buffers(struct blkfront *bf)
{
	uint32_t nr_pages = (uint32_t)(bf->buf_bytes / PV_PAGE_SIZE);
	int err;

	if (bf->pool)
		return bf->backend_id == bf->dev.otherend_id ? 0 : -EXDEV;
	err = grant_pool_open(bf->platform, bf->dev.otherend_id, nr_pages, 0,
			      &bf->pool);
	if (err)
		return err;
	bf->backend_id = bf->dev.otherend_id;
	bf->queue.region = grant_pool_base(bf->pool);
	bf->queue.region_bytes = bf->buf_bytes;
	bf->queue.first_ref = grant_pool_ref(bf->pool, 0);
	return 0;
}

static int open_channel(struct blkfront *bf)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int err;

	err = platform_evtchn_alloc(bf->platform, bf->dev.otherend_id,
				    &bf->evtchn);
	if (err)
		return err;
	if (epoll_ctl(bf->epoll_fd, EPOLL_CTL_ADD, evtchn_fd(bf->evtchn), &ev))
		return -errno;
	return 0;
}

static int announce(struct blkfront *bf)
{
	uint32_t order;
	int err;

	release(bf);
	err = xs_read_u32_default(bf->xs, XS_NO_TXN, bf->dev.otherend,
				  "max-ring-page-order", UINT32_MAX, 0, &order);
	if (err)
		return err;
	if (order > BLKFRONT_RING_ORDER_MAX)
		order = BLKFRONT_RING_ORDER_MAX;
	err = share_buffers(bf);
	if (err)
		return err;
	bf->ring_order = order;
	err = platform_share(bf->platform, bf->dev.otherend_id, 1u << order, 0,
			     &bf->ring);
	if (err)
		return err;
	err = open_channel(bf);
	if (err)
		return err;
	return xs_transaction(bf->xs, publish_nodes, bf);
}

/* What the backend says about the disk: untrusted, so strict. */
static int read_disk(struct blkfront *bf, struct blkfront_info *info)
{
	const char *dir = bf->dev.otherend;
	uint32_t sector, physical, flags, flush;
	uint64_t sectors;
	int err;

	err = xs_read_u64(bf->xs, XS_NO_TXN, dir, "sectors",
			  INT64_MAX / BLKIF_SECTOR_SIZE, &sectors);
	if (!err)
		err = xs_read_u32_default(bf->xs, XS_NO_TXN, dir, "sector-size",
					  UINT32_MAX, BLKIF_SECTOR_SIZE,
					  &sector);
	if (!err)
		err = xs_read_u32_default(bf->xs, XS_NO_TXN, dir,
					  "physical-sector-size", 1u << 20,
					  BLKIF_SECTOR_SIZE, &physical);
	if (!err)
		err = xs_read_u32_default(bf->xs, XS_NO_TXN, dir, "info",
					  UINT32_MAX, 0, &flags);
	if (!err)
		err = xs_read_u32_default(bf->xs, XS_NO_TXN, dir,
					  "feature-flush-cache", 1, 0, &flush);
	if (err)
		return err;
	if (sector != BLKIF_SECTOR_SIZE)
		return -EOPNOTSUPP;
	if (physical < BLKIF_SECTOR_SIZE || (physical & (physical - 1)) != 0)
		return -EINVAL;
	info->size_bytes = sectors * BLKIF_SECTOR_SIZE;
	info->sector_bytes = sector;
	info->physical_bytes = physical;
	info->readonly = (flags & VDISK_READONLY) != 0;
	info->flush = flush != 0;
	info->max_request_bytes = BLKIF_MAX_SEGMENTS_PER_REQUEST * PV_PAGE_SIZE;
	return 0;
}

static int connect_queue(struct blkfront *bf)
{
	uint32_t nr_held;
	int err;

	if (!bf->ring.base || !bf->evtchn)
		return -EINVAL;
	err = read_disk(bf, &bf->info);
	if (err)
		return err;
	bf->queue.flush = bf->info.flush;
	queue_attach(&bf->queue, bf->ring.base,
		     (size_t)bf->ring.nr_pages * PV_PAGE_SIZE);
	nr_held = bf->queue.nr_held;
	bf->link = LINK_UP;
	bf->up_since_ns = clock_now_ns();
	timer_set(bf, 0);
	if (bf->was_up)
		log_limited(&bf->limit, LOG_INFO,
			    "%s: connected again, %u requests issued again",
			    bf->dev.name, nr_held);
	bf->was_up = true;
	connect_push(bf);
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
	int err = connect_queue(bf);

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
		if (bf->link == LINK_UP && !queue_idle(&bf->queue)) {
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

void connect_reap(struct blkfront *bf)
{
	const char *why = NULL;

	if (queue_reap(&bf->queue, &why) < 0)
		peer_fault(bf, why);
}

void connect_push(struct blkfront *bf)
{
	if (queue_push(&bf->queue) && bf->evtchn)
		evtchn_notify(bf->evtchn);
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
	connect_reap(bf); /* what it had answered stays answered */
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

void connect_events(struct blkfront *bf)
{
	if (bf->evtchn && evtchn_clear(bf->evtchn) == -EPIPE)
		channel_lost(bf);
	if (bf->timer_at_ns && clock_now_ns() >= bf->timer_at_ns)
		timer_expired(bf);
	if (!bf->store_gone)
		store_events(bf);
	if (bf->link == LINK_DRAINING && queue_idle(&bf->queue))
		finish_detach(bf);
}

/* ---- the end ------------------------------------------------------------ */

void connect_serve(struct blkfront *bf, connect_done_fn *done,
		   uint64_t deadline_ns)
{
	while (!done(bf)) {
		struct pollfd pfd = { .fd = bf->epoll_fd, .events = POLLIN };
		uint64_t now_ns = clock_now_ns();

		if (now_ns >= deadline_ns)
			return;
		if (!(!bf->store_gone && xs_pending(bf->xs)) &&
		    !queue_arm(&bf->queue))
			poll(&pfd, 1,
			     (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
		connect_reap(bf);
		connect_events(bf);
		connect_reap(bf);
		connect_push(bf);
		queue_run_done(&bf->queue);
	}
}

static bool is_quiet(const struct blkfront *bf)
{
	return bf->link != LINK_UP || queue_idle(&bf->queue);
}

static bool is_closed(const struct blkfront *bf)
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
	while (queue_run_done(&bf->queue))
		;
	release(bf);
}
