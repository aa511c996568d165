/* SPDX-License-Identifier: MIT */
/*
 * blkfront.c - the public calls: see blkfront.h.
 *
 * Checks what programs ask for, owns the descriptors, and decides when to look
 * at what: the ring on every poll (memory only), event channel and store only
 * after a sleep or now and then, since that costs system calls. The work is in
 * queue.c and connect.c.
 */
#include "blkfront/blkfront.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "blkfront/private.h"
#include "util/clock.h"

#define DEFAULT_BUF_BYTES  (4u << 20)
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)
/* How long closing may wait for the backend. */
#define CLOSE_NS (5 * NS_PER_S)
/* A busy poller still learns of the store's events this often. */
#define LOOK_NS (2 * NS_PER_MS)

/* A sentence for the caller, who may not want one. */
#define say(why, why_size, ...)                                                \
	((why) && (why_size) ? (void)snprintf((why), (why_size), __VA_ARGS__)  \
			     : (void)0)

/* ---- opening and closing ------------------------------------------------ */

static int open_descriptors(struct blkfront *bf)
{
	struct epoll_event ev = { .events = EPOLLIN };

	bf->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (bf->epoll_fd < 0)
		return -errno;
	bf->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (bf->timer_fd < 0)
		return -errno;
	if (epoll_ctl(bf->epoll_fd, EPOLL_CTL_ADD, bf->timer_fd, &ev))
		return -errno;
	return 0;
}

/*
 * Two processes that drive one disk would each take the connection from the
 * other, for ever. So one of them holds a lock, a byte of RUN/lock, that ends
 * with it. Without the right to open that file there is no protection.
 */
static int lock_disk(struct blkfront *bf, const char *run_dir, domid_t domid)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)((uint64_t)domid << 32 | bf->handle),
		.l_len = 1,
	};
	char path[PATH_MAX];

	if (str_printf(path, sizeof(path), "%s/lock", run_dir) < 0)
		return 0;
	bf->lock_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (bf->lock_fd < 0)
		return 0;
	if (fcntl(bf->lock_fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : 0;
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
	err = lock_disk(bf, dir, config->domid);
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

static bool is_decided(const struct blkfront *bf)
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

static void free_all(struct blkfront *bf)
{
	if (bf->pool)
		grant_pool_close(bf->pool);
	xs_close(bf->xs);
	platform_close(bf->platform);
	if (bf->lock_fd >= 0)
		close(bf->lock_fd);
	if (bf->timer_fd >= 0)
		close(bf->timer_fd);
	if (bf->epoll_fd >= 0)
		close(bf->epoll_fd);
	free(bf);
}

int blkfront_open(const struct blkfront_config *config, struct blkfront **ret,
		  char *why, size_t why_size)
{
	uint64_t buf_bytes =
		config->buf_bytes ? config->buf_bytes : DEFAULT_BUF_BYTES;
	struct blkfront *bf;
	int err;

	say(why, why_size, "%s", "");
	if (buf_bytes > (uint64_t)SHARE_PAGES_MAX * PV_PAGE_SIZE) {
		say(why, why_size, "%llu bytes of buffers are too many",
		    (unsigned long long)buf_bytes);
		return -EINVAL;
	}
	bf = calloc(1, sizeof(*bf));
	if (!bf)
		return -ENOMEM;
	queue_init(&bf->queue);
	bf->epoll_fd = bf->timer_fd = bf->lock_fd = -1;
	bf->handle = config->handle;
	bf->queue.handle = (uint16_t)config->handle;
	bf->buf_bytes = (buf_bytes + PV_PAGE_SIZE - 1) & ~(PV_PAGE_SIZE - 1ull);
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

void blkfront_info(const struct blkfront *bf, struct blkfront_info *ret)
{
	*ret = bf->info;
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
	page = grant_pool_take(bf->pool, pages_of(size_bytes));
	return page < 0 ? NULL : grant_pool_page(bf->pool, (uint32_t)page);
}

void blkfront_buf_free(struct blkfront *bf, void *buf, size_t size_bytes)
{
	int64_t page = buf ? grant_pool_index(bf->pool, buf) : -1;

	if (page >= 0)
		grant_pool_put(bf->pool, (uint32_t)page, pages_of(size_bytes));
}

/* ---- ios ---------------------------------------------------------------- */

static int check_io(const struct blkfront *bf, const struct blkfront_io *io)
{
	switch (io->op) {
	case BLKFRONT_FLUSH:
		if (io->size_bytes)
			return -EINVAL;
		return bf->info.flush ? 0 : -EOPNOTSUPP;
	case BLKFRONT_WRITE:
		if (bf->info.readonly)
			return -EROFS;
		break;
	case BLKFRONT_READ: break;
	}
	if (io->size_bytes == 0 || io->size_bytes % BLKIF_SECTOR_SIZE ||
	    io->offset_bytes % BLKIF_SECTOR_SIZE ||
	    !num_range_within(io->offset_bytes, io->size_bytes,
			      bf->info.size_bytes) ||
	    !queue_owns(&bf->queue, io->buf, io->size_bytes))
		return -EINVAL;
	return 0;
}

int blkfront_submit(struct blkfront *bf, struct blkfront_io *io)
{
	int err;

	if (bf->link == LINK_DRAINING || bf->link == LINK_DOWN)
		return -ESHUTDOWN;
	err = check_io(bf, io);
	if (err)
		return err;
	queue_submit(&bf->queue, io);
	return 0;
}

void blkfront_kick(struct blkfront *bf)
{
	connect_push(bf);
}

int blkfront_poll(struct blkfront *bf)
{
	uint64_t now_ns = clock_now_ns();
	unsigned nr;

	connect_reap(bf);
	if (bf->armed || now_ns >= bf->next_look_ns) {
		bf->armed = false;
		bf->next_look_ns = now_ns + LOOK_NS;
		connect_events(bf);
		connect_reap(bf);
	}
	nr = queue_run_done(&bf->queue);
	if (bf->link == LINK_DOWN) {
		while (queue_run_done(&bf->queue))
			;
		return bf->lost;
	}
	connect_push(bf);
	return (int)nr;
}

int blkfront_fd(const struct blkfront *bf)
{
	return bf->epoll_fd;
}

bool blkfront_arm(struct blkfront *bf)
{
	bf->armed = true;
	if (bf->link == LINK_DOWN || queue_arm(&bf->queue))
		return true;
	return !bf->store_gone && xs_pending(bf->xs);
}

struct sync_io {
	struct blkfront_io io;
	bool done;
};

static void sync_done(struct blkfront_io *io)
{
	container_of(io, struct sync_io, io)->done = true;
}

int blkfront_rw_sync(struct blkfront *bf, enum blkfront_op op,
		     uint64_t offset_bytes, void *buf, size_t size_bytes)
{
	struct sync_io sync = { .io = { .op = op,
					.offset_bytes = offset_bytes,
					.size_bytes = size_bytes,
					.buf = buf,
					.done = sync_done } };
	int err = blkfront_submit(bf, &sync.io);

	if (err)
		return err;
	blkfront_kick(bf);
	for (;;) {
		struct pollfd pfd = { .fd = bf->epoll_fd, .events = POLLIN };

		blkfront_poll(bf);
		if (sync.done) {
			spin_worked(&bf->spin);
			return sync.io.result;
		}
		if (!spin_again(&bf->spin) && !blkfront_arm(bf))
			poll(&pfd, 1, -1);
	}
}
