/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - a blkfront's life: see blkfront.h.
 *
 * Opening and closing, and the buffers. What is called for every io is in
 * owner.c; the connection in connect.c.
 */
#include "blkfront/blkfront.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "blkfront/private.h"
#include "util/clock.h"
#include "util/solo.h"

#define DEFAULT_BUF_BYTES  (4u << 20)
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)
/* How long closing may wait for the backend. */
#define CLOSE_NS (5 * NS_PER_S)

/* A sentence for the caller, who may not want one. */
#define say(why, why_size, ...)                                                \
	((why) && (why_size) ? (void)snprintf((why), (why_size), __VA_ARGS__)  \
			     : (void)0)

/* ---- opening and closing ------------------------------------------------ */

/* Queue 0's is the blkfront's own: its owner sees everything there. */
static int open_queue(struct blkfront_queue *bq)
{
	struct epoll_event ev = { .events = EPOLLIN };

	bq->epoll_fd = bq->nr ? epoll_create1(EPOLL_CLOEXEC) : bq->bf->epoll_fd;
	if (bq->epoll_fd < 0)
		return -errno;
	bq->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bq->wake_fd < 0)
		return -errno;
	if (epoll_ctl(bq->epoll_fd, EPOLL_CTL_ADD, bq->wake_fd, &ev))
		return -errno;
	return 0;
}

static int open_descriptors(struct blkfront *bf)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int err = 0;

	bf->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (bf->epoll_fd < 0)
		return -errno;
	bf->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (bf->timer_fd < 0)
		return -errno;
	if (epoll_ctl(bf->epoll_fd, EPOLL_CTL_ADD, bf->timer_fd, &ev))
		return -errno;
	for (uint32_t i = 0; !err && i < bf->nr_queues; i++)
		err = open_queue(&bf->queues[i]);
	return err;
}

static int open_domain(struct blkfront *bf,
		       const struct blkfront_config *config, char *why,
		       size_t why_size)
{
	const char *dir =
		config->run_dir ? config->run_dir : platform_run_dir();
	struct epoll_event ev = { .events = EPOLLIN };
	int err;

	err = platform_lite_open(config->run_dir, config->domid, &bf->platform);
	if (err) {
		say(why, why_size,
		    "cannot act as domain %u of %s: %s (is brokerd "
		    "running there, does the domain exist, is it yours?)",
		    config->domid, dir, strerrordesc_np(-err));
		return err;
	}
	err = solo_take(dir, SOLO_VBD, config->domid, bf->handle, &bf->lock_fd);
	if (err) {
		say(why, why_size,
		    "disk %u of domain %u is in use by another process",
		    config->handle, config->domid);
		return err;
	}
	err = xs_open(platform_store_connector, bf->platform, &bf->xs);
	if (err) {
		say(why, why_size,
		    "cannot reach the store of domain %u in %s: %s",
		    config->domid, dir, strerrordesc_np(-err));
		return err;
	}
	if (epoll_ctl(bf->epoll_fd, EPOLL_CTL_ADD, xs_fd(bf->xs), &ev))
		return -errno;
	return 0;
}

static bool is_decided(struct blkfront *bf)
{
	return bf->link != LINK_CONNECTING;
}

static int wait_connected(struct blkfront *bf, uint64_t timeout_ns, char *why,
			  size_t why_size)
{
	connect_serve(bf, is_decided, clock_now_ns() + timeout_ns);
	switch (bf->link) {
	case LINK_UP: return 0;
	case LINK_CONNECTING:
		say(why, why_size,
		    "the backend in domain %u did not connect disk %u within "
		    "%.1f s, it is in state %s: is blkbackd running for that "
		    "domain?",
		    bf->dev.otherend_id, bf->handle, (double)timeout_ns / 1e9,
		    xenbus_state_name(bf->dev.otherend_state));
		return -ETIMEDOUT;
	case LINK_DRAINING:
	case LINK_DOWN: break;
	}
	if (bf->lost == -ESHUTDOWN)
		say(why, why_size, "disk %u is being detached", bf->handle);
	else
		say(why, why_size, "disk %u cannot be used: %s", bf->handle,
		    strerrordesc_np(-bf->lost));
	return bf->lost ? bf->lost : -ESHUTDOWN;
}

static int open_disk(struct blkfront *bf, const struct blkfront_config *config,
		     char *why, size_t why_size)
{
	int err;

	err = str_printf(bf->dev.node, sizeof(bf->dev.node),
			 "/local/domain/%u/device/vbd/%u", config->domid,
			 config->handle);
	if (err < 0)
		return err;
	err = connect_start(bf);
	if (err == -ENOENT) {
		say(why, why_size,
		    "domain %u has no disk %u: attach one with "
		    "'pvsplit block-attach', list them with 'pvsplit "
		    "block-list'",
		    config->domid, config->handle);
		return err;
	}
	if (err) {
		say(why, why_size,
		    "disk %u of domain %u is not set up well: %s",
		    config->handle, config->domid, strerrordesc_np(-err));
		return err;
	}
	return wait_connected(bf,
			      config->timeout_ns ? config->timeout_ns
						 : DEFAULT_TIMEOUT_NS,
			      why, why_size);
}

static void free_queue(struct blkfront_queue *bq)
{
	if (bq->nr && bq->epoll_fd >= 0)
		close(bq->epoll_fd);
	if (bq->wake_fd >= 0)
		close(bq->wake_fd);
	pthread_mutex_destroy(&bq->lock);
}

static void free_all(struct blkfront *bf)
{
	if (bf->pool)
		grant_pool_close(bf->pool);
	xs_close(bf->xs);
	platform_close(bf->platform);
	for (uint32_t i = 0; i < bf->nr_queues; i++)
		free_queue(&bf->queues[i]);
	free(bf->queues);
	if (bf->lock_fd >= 0)
		close(bf->lock_fd);
	if (bf->timer_fd >= 0)
		close(bf->timer_fd);
	if (bf->epoll_fd >= 0)
		close(bf->epoll_fd);
	pthread_mutex_destroy(&bf->pool_lock);
	free(bf);
}

static void init_queue(struct blkfront *bf, uint32_t nr)
{
	struct blkfront_queue *bq = &bf->queues[nr];

	bq->bf = bf;
	bq->nr = (uint16_t)nr;
	bq->via = bq;
	bq->epoll_fd = bq->wake_fd = -1;
	bq->armed = true;
	pthread_mutex_init(&bq->lock, NULL);
	queue_init(&bq->q);
	bq->q.handle = (uint16_t)bf->handle;
}

static struct blkfront *new_blkfront(const struct blkfront_config *config)
{
	uint64_t buf_bytes =
		config->buf_bytes ? config->buf_bytes : DEFAULT_BUF_BYTES;
	struct blkfront *bf = calloc(1, sizeof(*bf));

	if (!bf)
		return NULL;
	bf->nr_queues = config->nr_queues ? config->nr_queues : 1;
	bf->queues = calloc(bf->nr_queues, sizeof(bf->queues[0]));
	if (!bf->queues) {
		free(bf);
		return NULL;
	}
	bf->epoll_fd = bf->timer_fd = bf->lock_fd = -1;
	bf->handle = config->handle;
	bf->buf_bytes = (buf_bytes + PV_PAGE_SIZE - 1) & ~(PV_PAGE_SIZE - 1ull);
	bf->policy = config->policy;
	bf->resized = config->resized;
	bf->resized_arg = config->resized_arg;
	bf->ring_order_max = BLKFRONT_RING_ORDER_MAX;
	while (config->ring_pages &&
	       config->ring_pages < 1u << bf->ring_order_max)
		bf->ring_order_max--;
	pthread_mutex_init(&bf->pool_lock, NULL);
	for (uint32_t i = 0; i < bf->nr_queues; i++)
		init_queue(bf, i);
	return bf;
}

static int check_config(const struct blkfront_config *config, char *why,
			size_t why_size)
{
	uint64_t most =
		SHARE_PAGES_MAX - BLKFRONT_QUEUES_MAX * BLKFRONT_SEGMENT_PAGES;

	if (config->buf_bytes > most * PV_PAGE_SIZE)
		say(why, why_size, "%llu bytes of buffers are too many",
		    (unsigned long long)config->buf_bytes);
	else if (config->nr_queues > BLKFRONT_QUEUES_MAX)
		say(why, why_size, "%u queues are too many, the most are %u",
		    config->nr_queues, BLKFRONT_QUEUES_MAX);
	else if (config->ring_pages > BLKFRONT_RING_PAGES_MAX ||
		 config->ring_pages & (config->ring_pages - 1))
		say(why, why_size,
		    "a ring of %u pages: it has to be a power of two, at most "
		    "%u",
		    config->ring_pages, BLKFRONT_RING_PAGES_MAX);
	else if (config->policy > BLKFRONT_FAIL)
		say(why, why_size, "there is no policy %d",
		    (int)config->policy);
	else
		return 0;
	return -EINVAL;
}

int blkfront_open(const struct blkfront_config *config, struct blkfront **ret,
		  char *why, size_t why_size)
{
	struct blkfront *bf;
	int err;

	say(why, why_size, "%s", "");
	err = check_config(config, why, why_size);
	if (err)
		return err;
	bf = new_blkfront(config);
	if (!bf)
		return -ENOMEM;
	err = open_descriptors(bf);
	if (!err)
		err = open_domain(bf, config, why, why_size);
	if (!err)
		err = open_disk(bf, config, why, why_size);
	if (err) {
		if (why && why_size && !why[0])
			say(why, why_size, "%s", strerrordesc_np(-err));
		connect_close(bf, clock_now_ns() + NS_PER_S);
		free_all(bf);
		return err;
	}
	*ret = bf;
	return 0;
}

void blkfront_close(struct blkfront *bf)
{
	if (!bf)
		return;
	connect_close(bf, clock_now_ns() + CLOSE_NS);
	free_all(bf);
}

void blkfront_info(struct blkfront *bf, struct blkfront_info *ret)
{
	owner_lock(&bf->queues[0]);
	*ret = bf->queues[0].info;
	owner_unlock(&bf->queues[0]);
}

/* ---- buffers ------------------------------------------------------------ */

static uint32_t pages_of(size_t size_bytes)
{
	return (uint32_t)((size_bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE);
}

void *blkfront_buf_alloc(struct blkfront *bf, size_t size_bytes)
{
	int64_t page;

	if (size_bytes == 0 || size_bytes > bf->buf_bytes)
		return NULL;
	pthread_mutex_lock(&bf->pool_lock);
	page = grant_pool_take(bf->pool, pages_of(size_bytes));
	pthread_mutex_unlock(&bf->pool_lock);
	return page < 0 ? NULL : grant_pool_page(bf->pool, (uint32_t)page);
}

void blkfront_buf_free(struct blkfront *bf, void *buf, size_t size_bytes)
{
	int64_t page = buf ? grant_pool_index(bf->pool, buf) : -1;

	if (page < 0)
		return;
	pthread_mutex_lock(&bf->pool_lock);
	grant_pool_put(bf->pool, (uint32_t)page, pages_of(size_bytes));
	pthread_mutex_unlock(&bf->pool_lock);
}
