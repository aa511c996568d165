/* SPDX-License-Identifier: MIT */
/*
 * netfront.c - a vif's frontend: its life around the two rings of tx.c and
 * rx.c; see netfront.h. The handshake is xenbus's; what a connection needs is
 * made in announce and given back in disconnect, so that a backend may come and
 * go. Thread: the owner's.
 */
#include "netfront/netfront.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "netfront/rx.h"
#include "netfront/tx.h"
#include "platform/platform.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenbus/xenbus.h"

#define TIMEOUT_NS    (10 * NS_PER_S)
#define CLOSE_WAIT_NS (2 * NS_PER_S)
#define RECONNECT_NS  (500 * NS_PER_MS) /* after the backend lied */
#define RING_PAGES    2u		/* transmit, receive */
#define EVENTS	      4

struct netfront {
	struct platform *platform;
	struct xs *xs;
	struct xenbus_device dev;
	struct netfront_info info;
	struct netfront_stats stats;
	int epfd;

	/* One connection; made in announce. */
	struct share rings, send_pages, recv_pages;
	struct evtchn *tx_ev, *rx_ev;
	struct tx_ring tx;
	struct rx_ring rx;
	bool linked;  /* rings may be used */
	bool changed; /* linked or info did since the last poll */

	bool lied; /* start anew when the timer fires */
	int timerfd;
	struct log_limit limit;
};

/* ---- one connection ---------------------------------------------------- */

static int watch_fd(struct netfront *nf, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(nf->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void channel_close(struct netfront *nf, struct evtchn **ev)
{
	if (!*ev)
		return;
	epoll_ctl(nf->epfd, EPOLL_CTL_DEL, evtchn_fd(*ev), NULL);
	evtchn_close(*ev);
	*ev = NULL;
}

static void share_end(struct netfront *nf, struct share *share)
{
	/* -EBUSY: the backend still maps it, and the platform keeps it. */
	if (share->base)
		(void)platform_unshare(nf->platform, share);
}

/* Xenbus's disconnect; idempotent. */
static int front_disconnect(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;

	if (nf->linked) {
		nf->stats.tx_dropped += tx_nr_out(&nf->tx);
		nf->changed = true;
	}
	nf->linked = false;
	channel_close(nf, &nf->tx_ev);
	channel_close(nf, &nf->rx_ev);
	share_end(nf, &nf->rings);
	share_end(nf, &nf->send_pages);
	share_end(nf, &nf->recv_pages);
	return 0;
}

static int share_all(struct netfront *nf)
{
	domid_t peer = nf->dev.otherend_id;
	int err = platform_share(nf->platform, peer, RING_PAGES, 0, &nf->rings);

	if (!err)
		err = platform_share(nf->platform, peer, TX_PAGES,
				     SHARE_PEER_READONLY, &nf->send_pages);
	if (!err)
		err = platform_share(nf->platform, peer, RX_PAGES, 0,
				     &nf->recv_pages);
	if (err)
		return err;
	tx_ring_init(&nf->tx, (void PV_SHARED *)nf->rings.base,
		     nf->send_pages.base, nf->send_pages.first_ref);
	rx_ring_init(&nf->rx,
		     (void PV_SHARED *)((char *)nf->rings.base + PV_PAGE_SIZE),
		     nf->recv_pages.base, nf->recv_pages.first_ref);
	(void)!ring_front_push(&nf->rx.ring); /* nobody listens yet */
	return 0;
}

static int channels_open(struct netfront *nf)
{
	domid_t peer = nf->dev.otherend_id;
	int err = platform_evtchn_alloc(nf->platform, peer, &nf->tx_ev);

	if (!err)
		err = watch_fd(nf, evtchn_fd(nf->tx_ev));
	if (!err)
		err = platform_evtchn_alloc(nf->platform, peer, &nf->rx_ev);
	if (!err)
		err = watch_fd(nf, evtchn_fd(nf->rx_ev));
	return err;
}

static int publish(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct netfront *nf = arg;
	const struct {
		const char *name;
		uint32_t value;
	} nodes[] = {
		{ "tx-ring-ref", nf->rings.first_ref },
		{ "rx-ring-ref", nf->rings.first_ref + 1 },
		{ "event-channel-tx", evtchn_port(nf->tx_ev) },
		{ "event-channel-rx", evtchn_port(nf->rx_ev) },
		{ "request-rx-copy", 1 },
		{ "feature-rx-notify", 1 },
		{ "feature-sg", 1 },
		{ "feature-gso-tcpv4", 1 },
		{ "feature-gso-tcpv6", 1 },
		{ "feature-ipv6-csum-offload", 1 },
	};
	int err = 0;

	for (unsigned i = 0; !err && i < ARRAY_SIZE(nodes); i++)
		err = xs_printf(xs, tx, nf->dev.node, nodes[i].name, "%u",
				nodes[i].value);
	return err;
}

static int read_flag(struct netfront *nf, const char *name, bool *ret)
{
	uint32_t value;
	int err = xs_read_u32_default(nf->xs, XS_NO_TXN, nf->dev.otherend, name,
				      1, 0, &value);

	if (err)
		xenbus_fatal(&nf->dev, err, "reading %s/%s", nf->dev.otherend,
			     name);
	else
		*ret = value;
	return err;
}

static int read_backend(struct netfront *nf)
{
	bool rx_copy, split;
	int err = read_flag(nf, "feature-rx-copy", &rx_copy);

	if (!err)
		err = read_flag(nf, "feature-split-event-channels", &split);
	if (!err)
		err = read_flag(nf, "feature-sg", &nf->info.sg);
	if (!err)
		err = read_flag(nf, "feature-gso-tcpv4", &nf->info.gso_tcpv4);
	if (!err)
		err = read_flag(nf, "feature-gso-tcpv6", &nf->info.gso_tcpv6);
	if (!err)
		err = read_flag(nf, "feature-ipv6-csum-offload",
				&nf->info.csum_v6);
	if (!err && (!rx_copy || !split)) {
		err = -EOPNOTSUPP;
		xenbus_fatal(&nf->dev, err,
			     "the backend lacks feature-rx-copy or "
			     "feature-split-event-channels");
	}
	if (!nf->info.sg)
		nf->info.gso_tcpv4 = nf->info.gso_tcpv6 = false;
	return err;
}

static int front_announce(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;
	int err;

	front_disconnect(dev);
	err = read_backend(nf);
	if (err)
		return err;
	err = share_all(nf);
	if (!err)
		err = channels_open(nf);
	if (err) {
		xenbus_fatal(dev, err, "sharing rings and pages");
		return err;
	}
	err = xs_transaction(nf->xs, publish, nf);
	if (err)
		xenbus_fatal(dev, err, "writing the rings' references");
	return err;
}

static int front_connect(struct xenbus_device *dev)
{
	struct netfront *nf = dev->priv;

	nf->linked = true;
	nf->changed = true;
	return 0;
}

static const struct xenbus_driver front_driver = {
	.role = XENBUS_FRONTEND,
	.type = "vif",
	.announce = front_announce,
	.connect = front_connect,
	.disconnect = front_disconnect,
};

/* ---- the backend at fault ---------------------------------------------- */

static void backend_fault(struct netfront *nf, const char *why)
{
	const struct itimerspec later = { .it_value.tv_nsec = RECONNECT_NS };

	log_limited(&nf->limit, LOG_ERROR, "%s: the backend is at fault: %s",
		    nf->dev.name, why);
	nf->linked = false;
	nf->changed = true;
	nf->lied = true;
	timerfd_settime(nf->timerfd, 0, &later, NULL);
}

static int device_start(struct netfront *nf, domid_t domid, uint32_t handle)
{
	int err;

	memset(&nf->dev, 0, sizeof(nf->dev));
	nf->dev.driver = &front_driver;
	nf->dev.xs = nf->xs;
	nf->dev.handle = handle;
	nf->dev.priv = nf;
	err = str_printf(nf->dev.node, sizeof(nf->dev.node),
			 "/local/domain/%u/device/vif/%u", domid, handle);
	if (err < 0)
		return err;
	return xenbus_device_start(&nf->dev, false);
}

/* A whole new handshake, as if this process had just begun. */
static int reconnect(struct netfront *nf)
{
	uint64_t count;
	ssize_t n = read(nf->timerfd, &count, sizeof(count));

	(void)n;
	nf->lied = false;
	front_disconnect(&nf->dev);
	xenbus_device_stop(&nf->dev);
	return device_start(nf, platform_domid(nf->platform), nf->dev.handle);
}

static void channel_event(struct netfront *nf, struct evtchn *ev)
{
	if (evtchn_clear(ev) >= 0 || (ev != nf->tx_ev && ev != nf->rx_ev))
		return;
	/* In an orderly end the backend closes its channels as well. */
	if (nf->dev.state == XenbusStateConnected && !nf->dev.removing)
		log_limited(&nf->limit, LOG_WARN,
			    "%s: the backend is gone; waiting for another",
			    nf->dev.name);
	xenbus_otherend_lost(&nf->dev);
}

/* ---- life -------------------------------------------------------------- */

static int read_config(struct netfront *nf, const char *dir)
{
	char mac[32];
	int err = xs_read_str(nf->xs, XS_NO_TXN, dir, "mac", mac, sizeof(mac));

	if (!err)
		err = packet_parse_mac(mac, nf->info.mac);
	if (!err)
		err = xs_read_u32_default(nf->xs, XS_NO_TXN, dir, "mtu", 65521,
					  1500, &nf->info.mtu);
	if (!err && nf->info.mtu < 68)
		err = -ERANGE;
	return err;
}

static int explain(int err, char *why, size_t why_size, const char *what)
{
	if (str_printf(why, why_size, "%s: %s", what, strerror(-err)) < 0 &&
	    why_size)
		why[0] = '\0';
	return err;
}

static int open_store(struct netfront *nf)
{
	int err = xs_open(platform_store_connector, nf->platform, &nf->xs);

	return err ? err : watch_fd(nf, xs_fd(nf->xs));
}

/* Wait for one more thing to happen, and let it. */
static int step(struct netfront *nf, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = nf->epfd, .events = POLLIN };
	uint64_t now = clock_now_ns();
	int err;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	if (!xs_pending(nf->xs) &&
	    poll(&pfd, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1) < 0 &&
	    errno != EINTR)
		return -errno;
	err = netfront_poll(nf);
	return err < 0 ? err : 0;
}

static int wait_linked(struct netfront *nf, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;

	while (!nf->linked) {
		int err = step(nf, deadline_ns);

		if (err)
			return err;
	}
	return 0;
}

/* Not connected in time: the backend may have said why. */
static int explain_wait(struct netfront *nf, int err, char *why,
			size_t why_size)
{
	char text[128];

	if (!xs_read_str(nf->xs, XS_NO_TXN, nf->dev.otherend, "error", text,
			 sizeof(text)) &&
	    text[0] &&
	    str_printf(why, why_size, "the backend refuses the vif: %s",
		       text) >= 0)
		return err;
	return explain(err, why, why_size,
		       "no connection to the vif's backend; is netbackd "
		       "running?");
}

int netfront_open(const struct netfront_config *config, struct netfront **ret,
		  char *why, size_t why_size)
{
	struct netfront *nf = calloc(1, sizeof(*nf));
	int err;

	if (!nf)
		return explain(-ENOMEM, why, why_size, "netfront");
	nf->timerfd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	nf->epfd = epoll_create1(EPOLL_CLOEXEC);
	err = nf->epfd < 0 || nf->timerfd < 0 ? -errno : 0;
	if (!err)
		err = watch_fd(nf, nf->timerfd);
	if (err) {
		explain(err, why, why_size, "event descriptors");
		goto fail;
	}
	err = platform_lite_open(config->run_dir, config->domid, &nf->platform);
	if (err) {
		explain(err, why, why_size, "opening the domain");
		goto fail;
	}
	err = open_store(nf);
	if (err) {
		explain(err, why, why_size, "connecting to the store");
		goto fail;
	}
	err = device_start(nf, config->domid, config->handle);
	if (!err)
		err = read_config(nf, nf->dev.node);
	if (err) {
		explain(err, why, why_size,
			err == -ENOENT ? "the domain has no such vif"
				       : "the vif's nodes in the store");
		goto fail;
	}
	err = wait_linked(nf,
			  config->timeout_ns ? config->timeout_ns : TIMEOUT_NS);
	if (err) {
		explain_wait(nf, err, why, why_size);
		goto fail;
	}
	*ret = nf;
	return 0;

fail:
	netfront_close(nf);
	return err;
}

void netfront_close(struct netfront *nf)
{
	if (!nf)
		return;
	if (nf->dev.own_watch) {
		uint64_t deadline_ns = clock_now_ns() + CLOSE_WAIT_NS;

		xenbus_close(&nf->dev);
		while (nf->dev.state != XenbusStateClosed)
			if (step(nf, deadline_ns))
				break;
		xenbus_device_stop(&nf->dev);
	}
	if (nf->dev.priv)
		front_disconnect(&nf->dev);
	xs_close(nf->xs);
	platform_close(nf->platform);
	if (nf->timerfd >= 0)
		close(nf->timerfd);
	if (nf->epfd >= 0)
		close(nf->epfd);
	free(nf);
}

void netfront_info(const struct netfront *nf, struct netfront_info *ret)
{
	*ret = nf->info;
}

struct netfront_stats netfront_stats(const struct netfront *nf)
{
	return nf->stats;
}

/* ---- frames ------------------------------------------------------------ */

static void reap(struct netfront *nf)
{
	if (tx_reap(&nf->tx, &nf->stats.tx_errors))
		backend_fault(nf, "a transmit response that answers nothing");
}

int netfront_send_prepare(struct netfront *nf, size_t size_bytes,
			  struct iovec iov[NETFRONT_SLOTS_MAX], unsigned *nr)
{
	int err;

	if (!nf->linked)
		return -EAGAIN;
	err = tx_prepare(&nf->tx, size_bytes, iov, nr);
	if (err != -EAGAIN)
		return err;
	reap(nf);
	return nf->linked ? tx_prepare(&nf->tx, size_bytes, iov, nr) : -EAGAIN;
}

void netfront_send(struct netfront *nf, size_t size_bytes,
		   const struct packet_meta *meta)
{
	if (tx_send(&nf->tx, size_bytes, meta)) {
		nf->stats.tx_dropped++;
		return;
	}
	nf->stats.tx_frames++;
	nf->stats.tx_bytes += size_bytes;
}

void netfront_send_abort(struct netfront *nf)
{
	tx_abort(&nf->tx);
}

void netfront_kick(struct netfront *nf)
{
	if (!nf->linked)
		return;
	if (ring_front_push(&nf->tx.ring))
		evtchn_notify(nf->tx_ev);
	if (ring_front_push(&nf->rx.ring))
		evtchn_notify(nf->rx_ev);
}

int netfront_recv(struct netfront *nf, struct iovec iov[NETFRONT_SLOTS_MAX],
		  unsigned *nr, struct packet_meta *meta)
{
	int n;

	if (!nf->linked)
		return 0;
	n = rx_take(&nf->rx, iov, nr, meta, &nf->stats.rx_errors);
	if (n < 0) {
		backend_fault(nf, "a receive response that cannot be");
		return 0;
	}
	if (n) {
		nf->stats.rx_frames++;
		for (unsigned i = 0; i < *nr; i++)
			nf->stats.rx_bytes += iov[i].iov_len;
	}
	return n;
}

void netfront_recv_done(struct netfront *nf)
{
	rx_done(&nf->rx);
}

/* ---- events ------------------------------------------------------------ */

int netfront_poll(struct netfront *nf)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(nf->epfd, ev, EVENTS, 0), err = 0;

	for (int i = 0; i < n; i++) {
		int fd = ev[i].data.fd;

		if (nf->tx_ev && fd == evtchn_fd(nf->tx_ev))
			channel_event(nf, nf->tx_ev);
		else if (nf->rx_ev && fd == evtchn_fd(nf->rx_ev))
			channel_event(nf, nf->rx_ev);
		else if (fd == xs_fd(nf->xs))
			err = xs_dispatch(nf->xs);
		else if (fd == nf->timerfd && nf->lied)
			err = reconnect(nf);
		if (err)
			return err;
	}
	if (xs_pending(nf->xs))
		err = xs_dispatch(nf->xs);
	if (err)
		return err;
	if (nf->linked)
		reap(nf);
	if (!nf->changed)
		return 0;
	nf->changed = false;
	return 1;
}

bool netfront_link_up(const struct netfront *nf)
{
	return nf->linked;
}

int netfront_fd(const struct netfront *nf)
{
	return nf->epfd;
}

/*
 * Completions are waited for only when they are what is missing: a guest that
 * has sent one frame is not woken to hear that it was taken.
 */
bool netfront_arm(struct netfront *nf)
{
	if (xs_pending(nf->xs) || nf->changed)
		return true;
	if (!nf->linked)
		return false;
	if (nf->tx.blocked && ring_front_arm(&nf->tx.ring) != 0)
		return true;
	return ring_front_arm(&nf->rx.ring) != 0;
}
