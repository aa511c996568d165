/* SPDX-License-Identifier: MIT */
/*
 * netfront.c - a netfront's life: see netfront.h.
 *
 * Opening and closing, and what anybody may ask. What is called for every burst
 * is in owner.c; the connection in connect.c.
 */
#include "netfront/netfront.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "netfront/private.h"
#include "util/clock.h"
#include "util/num.h"
#include "util/solo.h"

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)
/* How long closing may wait for the backend. */
#define CLOSE_NS (2 * NS_PER_S)

/* A sentence for the caller, who may not want one. */
#define say(why, why_size, ...)                                                \
	((why) && (why_size) ? (void)snprintf((why), (why_size), __VA_ARGS__)  \
			     : (void)0)

/* ---- opening and closing --------------------------------------------------
 */

/* Queue 0's is the netfront's own: its owner sees everything there. */
static int open_queue(struct netfront_queue *q)
{
	struct epoll_event ev = { .events = EPOLLIN };

	q->epoll_fd = q->nr ? epoll_create1(EPOLL_CLOEXEC) : q->nf->epoll_fd;
	if (q->epoll_fd < 0)
		return -errno;
	q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->wake_fd < 0)
		return -errno;
	if (epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, q->wake_fd, &ev))
		return -errno;
	return 0;
}

static int open_descriptors(struct netfront *nf)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int err = 0;

	nf->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (nf->epoll_fd < 0)
		return -errno;
	nf->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (nf->timer_fd < 0)
		return -errno;
	if (epoll_ctl(nf->epoll_fd, EPOLL_CTL_ADD, nf->timer_fd, &ev))
		return -errno;
	for (uint32_t i = 0; !err && i < nf->nr_queues; i++)
		err = open_queue(&nf->queues[i]);
	return err;
}

static int open_domain(struct netfront *nf,
		       const struct netfront_config *config, char *why,
		       size_t why_size)
{
	const char *dir =
		config->run_dir ? config->run_dir : platform_run_dir();
	struct epoll_event ev = { .events = EPOLLIN };
	int err;

	err = platform_lite_open(config->run_dir, config->domid, &nf->platform);
	if (err) {
		say(why, why_size,
		    "cannot act as domain %u of %s: %s (is brokerd "
		    "running there, does the domain exist, is it yours?)",
		    config->domid, dir, strerrordesc_np(-err));
		return err;
	}
	err = solo_take(dir, SOLO_VIF, config->domid, nf->handle, &nf->lock_fd);
	if (err) {
		say(why, why_size,
		    "vif %u of domain %u is in use by another process",
		    config->handle, config->domid);
		return err;
	}
	err = xs_open(platform_store_connector, nf->platform, &nf->xs);
	if (err) {
		say(why, why_size,
		    "cannot reach the store of domain %u in %s: %s",
		    config->domid, dir, strerrordesc_np(-err));
		return err;
	}
	if (epoll_ctl(nf->epoll_fd, EPOLL_CTL_ADD, xs_fd(nf->xs), &ev))
		return -errno;
	return 0;
}

static bool is_decided(struct netfront *nf)
{
	return nf->link != LINK_CONNECTING;
}

/* Not connected in time: the backend may have said why. */
static void explain_wait(struct netfront *nf, char *why, size_t why_size)
{
	char text[128];

	if (!xs_read_str(nf->xs, XS_NO_TXN, nf->dev.otherend, "error", text,
			 sizeof(text)) &&
	    text[0])
		say(why, why_size, "the backend refuses the vif: %s", text);
	else
		say(why, why_size,
		    "the backend in domain %u did not connect vif %u, it is in "
		    "state %s: is netbackd running for that domain?",
		    nf->dev.otherend_id, nf->handle,
		    xenbus_state_name(nf->dev.otherend_state));
}

static int wait_connected(struct netfront *nf, uint64_t timeout_ns, char *why,
			  size_t why_size)
{
	net_connect_serve(nf, is_decided, clock_now_ns() + timeout_ns);
	switch (nf->link) {
	case LINK_UP: return 0;
	case LINK_CONNECTING:
	case LINK_FAULTED: explain_wait(nf, why, why_size); return -ETIMEDOUT;
	case LINK_DOWN: break;
	}
	if (nf->lost == -ESHUTDOWN)
		say(why, why_size, "vif %u is being detached", nf->handle);
	else
		say(why, why_size, "vif %u cannot be used: %s", nf->handle,
		    strerrordesc_np(-nf->lost));
	return nf->lost ? nf->lost : -ESHUTDOWN;
}

static int open_vif(struct netfront *nf, const struct netfront_config *config,
		    char *why, size_t why_size)
{
	int err = str_printf(nf->dev.node, sizeof(nf->dev.node),
			     "/local/domain/%u/device/vif/%u", config->domid,
			     config->handle);

	if (err < 0)
		return err;
	err = net_features_read_config(nf, &nf->info);
	if (!err)
		err = net_connect_start(nf);
	if (err == -ENOENT) {
		say(why, why_size,
		    "domain %u has no vif %u: attach one with "
		    "'pvsplit network-attach', list them with 'pvsplit "
		    "network-list'",
		    config->domid, config->handle);
		return err;
	}
	if (err) {
		say(why, why_size, "vif %u of domain %u is not set up well: %s",
		    config->handle, config->domid, strerrordesc_np(-err));
		return err;
	}
	return wait_connected(nf,
			      config->timeout_ns ? config->timeout_ns
						 : DEFAULT_TIMEOUT_NS,
			      why, why_size);
}

static void free_queue(struct netfront_queue *q)
{
	if (q->nr && q->epoll_fd >= 0)
		close(q->epoll_fd);
	if (q->wake_fd >= 0)
		close(q->wake_fd);
	pthread_mutex_destroy(&q->lock);
}

static void free_all(struct netfront *nf)
{
	for (uint32_t i = 0; i < nf->nr_queues; i++)
		free_queue(&nf->queues[i]);
	free(nf->queues);
	xs_close(nf->xs);
	platform_close(nf->platform);
	if (nf->timer_fd >= 0)
		close(nf->timer_fd);
	if (nf->epoll_fd >= 0)
		close(nf->epoll_fd);
	if (nf->lock_fd >= 0)
		close(nf->lock_fd);
	pthread_mutex_destroy(&nf->info_lock);
	free(nf);
}

static struct netfront *new_netfront(const struct netfront_config *config)
{
	struct netfront *nf = calloc(1, sizeof(*nf));

	if (!nf)
		return NULL;
	nf->nr_queues = config->nr_queues ? config->nr_queues : 1;
	nf->queues = calloc(nf->nr_queues, sizeof(nf->queues[0]));
	if (!nf->queues) {
		free(nf);
		return NULL;
	}
	nf->epoll_fd = nf->timer_fd = nf->lock_fd = -1;
	nf->handle = config->handle;
	nf->headroom_bytes = config->headroom_bytes;
	pthread_mutex_init(&nf->info_lock, NULL);
	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_queue *q = &nf->queues[i];

		q->nf = nf;
		q->nr = (uint16_t)i;
		q->epoll_fd = q->wake_fd = -1;
		q->armed = true;
		pthread_mutex_init(&q->lock, NULL);
	}
	return nf;
}

int netfront_open(const struct netfront_config *config, struct netfront **ret,
		  char *why, size_t why_size)
{
	struct netfront *nf;
	int err;

	say(why, why_size, "%s", "");
	if (config->nr_queues > NETFRONT_QUEUES_MAX) {
		say(why, why_size, "%u queues are too many, the most are %u",
		    config->nr_queues, NETFRONT_QUEUES_MAX);
		return -EINVAL;
	}
	if (config->headroom_bytes > NETFRONT_HEADROOM_MAX) {
		say(why, why_size, "%u bytes of headroom are too many",
		    config->headroom_bytes);
		return -EINVAL;
	}
	nf = new_netfront(config);
	if (!nf)
		return -ENOMEM;
	err = open_descriptors(nf);
	if (!err)
		err = open_domain(nf, config, why, why_size);
	if (!err)
		err = open_vif(nf, config, why, why_size);
	if (err) {
		if (why && why_size && !why[0])
			say(why, why_size, "%s", strerrordesc_np(-err));
		net_connect_close(nf, clock_now_ns() + NS_PER_S);
		free_all(nf);
		return err;
	}
	*ret = nf;
	return 0;
}

void netfront_close(struct netfront *nf)
{
	if (!nf)
		return;
	net_connect_close(nf, clock_now_ns() + CLOSE_NS);
	free_all(nf);
}

/* ---- asking ---------------------------------------------------------------
 */

void netfront_info(struct netfront *nf, struct netfront_info *ret)
{
	pthread_mutex_lock(&nf->info_lock);
	*ret = nf->info;
	pthread_mutex_unlock(&nf->info_lock);
}

bool netfront_link_up(struct netfront *nf)
{
	struct netfront_info info;

	netfront_info(nf, &info);
	return info.link_up;
}

struct netfront_stats netfront_queue_stats(struct netfront_queue *q)
{
	struct netfront_stats stats;

	net_owner_lock(q);
	stats = q->stats;
	net_owner_unlock(q);
	return stats;
}

struct netfront_stats netfront_stats(struct netfront *nf)
{
	struct netfront_stats sum = { 0 };

	for (uint32_t i = 0; i < nf->nr_queues; i++) {
		struct netfront_stats one =
			netfront_queue_stats(&nf->queues[i]);

		sum.tx_packets += one.tx_packets;
		sum.tx_bytes += one.tx_bytes;
		sum.tx_errors += one.tx_errors;
		sum.tx_dropped += one.tx_dropped;
		sum.rx_packets += one.rx_packets;
		sum.rx_bytes += one.rx_bytes;
		sum.rx_errors += one.rx_errors;
	}
	return sum;
}
