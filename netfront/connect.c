/* SPDX-License-Identifier: MIT */
/*
 * connect.c - the connection under the queues: made, lost, made again, ended.
 *
 * Drives xenbus as the frontend of one vif. The link goes with the backend and
 * comes with the next one; it ends when the vif is detached or the program
 * closes. A backend that lies gets a new handshake, after a pause that grows
 * while the lies go on. Called by owner.c, netfront.c and, through the driver's
 * steps, by xenbus; control thread.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "netfront/private.h"
#include "util/clock.h"

/* Pauses between attempts while connections do not last BACKOFF_MAX_NS. */
#define BACKOFF_MIN_NS (10 * NS_PER_MS)
#define BACKOFF_MAX_NS NS_PER_S
/* After a lie, and at most. */
#define FAULT_MIN_NS (500 * NS_PER_MS)
#define FAULT_MAX_NS (32 * NS_PER_S)

static void timer_set(struct netfront *nf, uint64_t at_ns)
{
	struct itimerspec its = { .it_value = {
					  .tv_sec = (time_t)(at_ns / NS_PER_S),
					  .tv_nsec = (long)(at_ns % NS_PER_S),
				  } };

	nf->timer_at_ns = at_ns;
	timerfd_settime(nf->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* The timer fires after a pause twice as long as the last one, in bounds. */
static void pause_for(struct netfront *nf, uint64_t min_ns, uint64_t max_ns)
{
	uint64_t now_ns = clock_now_ns();

	if (nf->up_since_ns && now_ns - nf->up_since_ns > max_ns)
		nf->backoff_ns = 0;
	nf->up_since_ns = 0;
	nf->backoff_ns *= 2;
	if (nf->backoff_ns < min_ns)
		nf->backoff_ns = min_ns;
	if (nf->backoff_ns > max_ns)
		nf->backoff_ns = max_ns;
	timer_set(nf, now_ns + nf->backoff_ns);
}

static void set_info(struct netfront *nf, const struct netfront_info *info)
{
	pthread_mutex_lock(&nf->info_lock);
	nf->info = *info;
	nf->info.link_up = nf->link == LINK_UP && nf->carrier;
	if (nf->link != LINK_UP)
		nf->info.hash_types = 0;
	pthread_mutex_unlock(&nf->info_lock);
	net_rings_tell(nf);
}

void net_connect_set_hash_types(struct netfront *nf, uint32_t types)
{
	struct netfront_info info = nf->info;

	info.hash_types = types;
	set_info(nf, &info);
}

static void set_link(struct netfront *nf, enum link_state link)
{
	struct netfront_info info = nf->info;

	nf->link = link;
	set_info(nf, &info);
}

/* The end for users: nothing will connect again. */
static void go_down(struct netfront *nf, int err)
{
	if (nf->link == LINK_DOWN)
		return;
	nf->lost = err;
	timer_set(nf, 0);
	net_rings_fail(nf, err);
	set_link(nf, LINK_DOWN);
}

static void peer_fault(struct netfront *nf, const char *why)
{
	log_limited(&nf->limit, LOG_ERROR, "%s: the backend is at fault: %s",
		    nf->dev.name, why);
	net_rings_stop(nf);
	set_link(nf, LINK_FAULTED);
	pause_for(nf, FAULT_MIN_NS, FAULT_MAX_NS);
}

static void release_rings(struct netfront *nf)
{
	net_ctrl_release(nf);
	net_rings_release(nf);
}

/* ---- the driver's steps ---------------------------------------------------
 */

/* Nobody waits for a backend that cannot be used at first; later we do. */
static int step_failed(struct netfront *nf, int err, const char *what)
{
	if (!nf->was_up)
		go_down(nf, err);
	else
		peer_fault(nf, what);
	return err;
}

static int step_announce(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;
	int err;

	release_rings(nf);
	err = net_features_read_transport(nf, &nf->transport);
	if (!err)
		err = net_rings_open(nf);
	if (!err)
		err = net_ctrl_open(nf);
	if (!err)
		err = xs_transaction(nf->xs, net_features_publish, nf);
	return err ? step_failed(nf, err, "it offers what we cannot use") : 0;
}

static int connect_queues(struct netfront *nf)
{
	struct netfront_info info = nf->info;
	int err = net_features_read_offloads(nf, &info);

	if (!err)
		err = net_features_read_changes(nf, &info);
	if (err)
		return err;
	info.nr_queues = nf->transport.nr_rings;
	set_info(nf, &info);
	err = net_rings_attach(nf);
	if (err)
		return err;
	net_ctrl_attach(nf);
	if (nf->was_up)
		log_limited(&nf->limit, LOG_INFO,
			    "%s: connected again over %u queue%s", nf->dev.name,
			    info.nr_queues, info.nr_queues == 1 ? "" : "s");
	nf->was_up = true;
	nf->up_since_ns = clock_now_ns();
	timer_set(nf, 0);
	set_link(nf, LINK_UP);
	return 0;
}

static int step_connect(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;
	int err = connect_queues(nf);

	return err ? step_failed(nf, err, "nodes that we cannot read") : 0;
}

/* Does the toolstack still want the device? A backend gone mute says nothing.
 */
static bool still_wanted(struct netfront *nf)
{
	uint32_t online, state;
	int err;

	err = xs_read_u32(nf->xs, XS_NO_TXN, nf->dev.node, "state",
			  XENBUS_NR_STATES - 1, &state);
	if (err == -ENOENT)
		return false;
	err = xs_read_u32_default(nf->xs, XS_NO_TXN, nf->dev.otherend, "online",
				  1, 0, &online);
	return err != 0 || online != 0;
}

static int step_disconnect(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;

	if (nf->link != LINK_DOWN && !still_wanted(nf)) {
		log_info("%s: the vif is being detached", dev->name);
		go_down(nf, -ESHUTDOWN);
	}
	release_rings(nf);
	if (nf->link == LINK_UP)
		log_limited(&nf->limit, LOG_WARN,
			    "%s: the backend is gone; waiting for another",
			    dev->name);
	if (nf->link == LINK_UP || nf->link == LINK_CONNECTING) {
		set_link(nf, LINK_CONNECTING);
		pause_for(nf, BACKOFF_MIN_NS, BACKOFF_MAX_NS);
	}
	return 0;
}

/* The directory is gone, or we closed: nobody will connect this one again. */
static void step_gone(struct xenbus_device *dev)
{
	go_down(dev->priv, -ESHUTDOWN);
}

/* Address and MTU, by the toolstack; the carrier, by the backend. */
static void step_changed(struct xenbus_device *dev, const char *node)
{
	struct netfront *nf = dev->priv;
	struct netfront_info info = nf->info;
	bool carrier = nf->carrier;

	(void)node; /* the other end's are not told apart */
	if (nf->link != LINK_UP)
		return;
	if (net_features_read_changes(nf, &info))
		return;
	if (info.mtu != nf->info.mtu || carrier != nf->carrier ||
	    memcmp(info.mac, nf->info.mac, sizeof(info.mac)) != 0)
		set_info(nf, &info);
}

static const struct xenbus_driver driver = {
	.role = XENBUS_FRONTEND,
	.type = "vif",
	.announce = step_announce,
	.connect = step_connect,
	.disconnect = step_disconnect,
	.changed = step_changed,
};

/* ---- events ---------------------------------------------------------------
 */

int net_connect_start(struct netfront *nf)
{
	char node[sizeof(nf->dev.node)];
	int err;

	memcpy(node, nf->dev.node, sizeof(node));
	if (nf->dev_started)
		xenbus_device_stop(&nf->dev);
	nf->dev_started = false;
	release_rings(nf);
	memset(&nf->dev, 0, sizeof(nf->dev));
	memcpy(nf->dev.node, node, sizeof(node));
	nf->dev.driver = &driver;
	nf->dev.xs = nf->xs;
	nf->dev.handle = nf->handle;
	nf->dev.priv = nf;
	nf->dev.gone = step_gone;
	nf->link = LINK_CONNECTING;
	err = xenbus_device_start(&nf->dev, false);
	if (!err)
		nf->dev_started = true;
	return err;
}

/* The backend's end of an event channel is gone, and so is the backend. */
static void channel_lost(struct netfront *nf)
{
	if (nf->link == LINK_UP && nf->store_gone)
		go_down(nf, -ECONNRESET);
	if (nf->store_gone || !nf->dev_started)
		release_rings(nf);
	else
		xenbus_otherend_lost(&nf->dev);
}

static void store_lost(struct netfront *nf)
{
	log_warn("%s: lost the broker; the vif goes on while its backend lives",
		 nf->dev.name);
	nf->store_gone = true;
	epoll_ctl(nf->epoll_fd, EPOLL_CTL_DEL, xs_fd(nf->xs), NULL);
	if (nf->link != LINK_UP)
		go_down(nf, -ECONNRESET);
}

/* A whole new handshake, as if this process had just begun. */
static void timer_expired(struct netfront *nf)
{
	int err;

	timer_set(nf, 0);
	/* Without a fault, xenbus may have begun again by itself. */
	if (nf->store_gone ||
	    (nf->link != LINK_FAULTED && (nf->link != LINK_CONNECTING ||
					  nf->dev.state != XenbusStateClosed)))
		return;
	err = net_connect_start(nf);
	if (err)
		go_down(nf, err == -ENOENT ? -ESHUTDOWN : err);
}

static void store_events(struct netfront *nf)
{
	do {
		if (xs_dispatch(nf->xs)) {
			store_lost(nf);
			return;
		}
	} while (xs_pending(nf->xs));
	if (nf->link == LINK_CONNECTING && nf->was_up && !still_wanted(nf)) {
		go_down(nf, -ESHUTDOWN);
		xenbus_close(&nf->dev);
	}
}

/* Is a channel's other end gone, ours or one that another owner looked at? */
static bool is_cut_off(struct netfront *nf, const char **fault)
{
	struct netfront_queue *q = &nf->queues[0];
	bool ours;

	net_owner_lock(q);
	ours = net_owner_clear_channels(q);
	net_owner_unlock(q);
	ours = net_ctrl_clear_channel(nf) || ours;
	return net_rings_check(nf, fault) || ours;
}

/* Nothing that a backend does after a lie is looked at before the pause is
 * over: it cannot keep us busy with handshakes. */
static void turn_away(struct netfront *nf)
{
	xenbus_device_stop(&nf->dev);
	nf->dev_started = false;
	release_rings(nf);
}

void net_connect_events(struct netfront *nf)
{
	const char *fault = NULL;
	uint64_t count;

	(void)!read(nf->queues[0].wake_fd, &count, sizeof(count));
	if (is_cut_off(nf, &fault))
		channel_lost(nf);
	if (!fault && nf->link == LINK_UP)
		fault = net_ctrl_serve(nf);
	if (fault && nf->link == LINK_UP && !nf->store_gone)
		peer_fault(nf, fault);
	else if (fault && nf->link == LINK_UP)
		go_down(nf, -EPROTO);
	if (nf->timer_at_ns && clock_now_ns() >= nf->timer_at_ns)
		timer_expired(nf);
	if (!nf->store_gone)
		store_events(nf);
	if (nf->link == LINK_FAULTED && nf->dev_started)
		turn_away(nf);
}

/* ---- the end --------------------------------------------------------------
 */

static void sleep_until(struct netfront *nf, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = nf->epoll_fd, .events = POLLIN };
	uint64_t now_ns = clock_now_ns();

	if (now_ns < deadline_ns && (nf->store_gone || !xs_pending(nf->xs)))
		poll(&pfd, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
}

void net_connect_serve(struct netfront *nf, net_connect_done_fn *done,
		       uint64_t deadline_ns)
{
	while (!done(nf) && clock_now_ns() < deadline_ns) {
		sleep_until(nf, deadline_ns);
		net_connect_events(nf);
	}
}

static bool is_closed(struct netfront *nf)
{
	return nf->store_gone || nf->dev.state == XenbusStateClosed;
}

void net_connect_close(struct netfront *nf, uint64_t deadline_ns)
{
	/* Whoever was turned away is to hear that we go. */
	if (nf->link == LINK_FAULTED && !nf->store_gone && !nf->dev_started)
		(void)!net_connect_start(nf);
	if (nf->dev_started) {
		go_down(nf, -ESHUTDOWN);
		if (!is_closed(nf))
			xenbus_close(&nf->dev);
		net_connect_serve(nf, is_closed, deadline_ns);
		if (!is_closed(nf))
			xenbus_otherend_lost(&nf->dev);
		xenbus_device_stop(&nf->dev);
		nf->dev_started = false;
	}
	release_rings(nf);
	net_rings_free(nf);
}
