/* SPDX-License-Identifier: MIT */
/*
 * nbd.c - disks on a server that speaks NBD, through libnbd.
 *
 * The monitor makes the sockets (nbd_target.c), the worker speaks: it needs
 * neither network nor file system (but for the key of TLS). Sockets come in two
 * ways: to open(), which waits for the first handshake, at most 5 s, to learn
 * what the disk is; and through tend(), whenever a channel asks for one. A
 * socket dies with its process, so a successor asks for its own and gets the
 * first one's knowledge (desc); it waits for nothing.
 *
 * Each channel has a connection. A server that does not promise that a flush on
 * one connection covers the others' writes (NBD_FLAG_CAN_MULTI_CONN) gets one
 * channel only. After each handshake the server must show the disk that it
 * showed first: not smaller, no less able, writable still; else it is not used,
 * and asked again later.
 *
 * The server is trusted with the data and nothing else; libnbd checks its
 * replies. Thread: see storage.h. Neighbours: link.c (waiting, order),
 * nbd_io.c (commands).
 */
#include "blkback/storage/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "blkback/storage/drivers.h"
#include "util/clock.h"

#define HANDSHAKE_NS (5 * NS_PER_S)
#define MAX_UNKNOWN  (32u << 20) /* what every server takes */
#define REFUSED	     "the server has another disk now: it is not used"

struct nbd_storage {
	struct storage storage;
	struct nbd_target target;
	struct nbd_seen seen;	  /* at first: what a server has to show */
	struct nbd_handle *first; /* for the first channel, or NULL */
	struct list channels;	  /* control's */
	unsigned nr_channels;
	_Atomic uint64_t size_bytes; /* as a server said last */
};

static struct nbd_storage *storage_of(struct storage *st)
{
	return (struct nbd_storage *)st;
}

static struct nbd_channel *channel_of(struct storage_channel *ch)
{
	return (struct nbd_channel *)ch;
}

static struct nbd_channel *channel_of_link(struct link *l)
{
	return container_of(l, struct nbd_channel, link);
}

/* ---- a connection -------------------------------------------------------- */

/* Takes sock over, always. */
static int begin_handshake(const struct nbd_target *t, int sock,
			   struct nbd_handle **ret)
{
	struct nbd_handle *h = nbd_create();
	int tls = t->tls ? LIBNBD_TLS_REQUIRE : LIBNBD_TLS_DISABLE;

	if (!h) {
		close(sock);
		return -ENOMEM;
	}
	if (nbd_set_export_name(h, t->export) || nbd_set_tls(h, tls) ||
	    nbd_set_pread_initialize(h, false) ||
	    (t->tls && (nbd_set_tls_username(h, t->tls_user) ||
			nbd_set_tls_psk_file(h, t->tls_psk_file)))) {
		close(sock);
		nbd_close(h);
		return -EINVAL;
	}
	if (nbd_aio_connect_socket(h, sock)) {
		int err = nbd_get_errno();

		nbd_close(h);
		return err > 0 ? -err : -EPROTO;
	}
	*ret = h;
	return 0;
}

/*
 * poll's or epoll's events, whose values are the same, told to libnbd. Only
 * what is true: told that it can read in the middle of a write when it cannot,
 * it waits for an answer and forgets the rest of the write.
 */
static void converse(struct nbd_handle *h, uint32_t events)
{
	unsigned wants = nbd_aio_get_direction(h);

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) &&
	    (wants & LIBNBD_AIO_DIRECTION_READ))
		(void)nbd_aio_notify_read(h);
	else if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) &&
		 (wants & LIBNBD_AIO_DIRECTION_WRITE))
		(void)nbd_aio_notify_write(h);
}

static bool is_over(struct nbd_handle *h)
{
	return nbd_aio_is_dead(h) != 0 || nbd_aio_is_closed(h) != 0;
}

static uint32_t wanted_events(struct nbd_handle *h)
{
	unsigned wants = nbd_aio_get_direction(h);

	return (wants & LIBNBD_AIO_DIRECTION_READ ? EPOLLIN : 0) |
	       (wants & LIBNBD_AIO_DIRECTION_WRITE ? EPOLLOUT : 0);
}

static int wait_handshake(struct nbd_handle *h)
{
	uint64_t deadline_ns = clock_now_ns() + HANDSHAKE_NS;

	while (nbd_aio_is_connecting(h) == 1) {
		struct pollfd p = { .fd = nbd_aio_get_fd(h),
				    .events = (short)wanted_events(h) };
		uint64_t now = clock_now_ns();

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1) > 0)
			converse(h, (uint32_t)p.revents);
	}
	if (nbd_aio_is_ready(h) != 1) {
		int err = nbd_get_errno();

		return err > 0 ? -err : -EPROTO;
	}
	return 0;
}

/* ---- what a server shows ------------------------------------------------- */

static int look_at(struct nbd_handle *h, struct nbd_seen *ret)
{
	int64_t size = nbd_get_size(h);
	int64_t min = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
	int64_t preferred = nbd_get_block_size(h, LIBNBD_SIZE_PREFERRED);
	int64_t max = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
	struct nbd_seen s = {
		.sector_bytes = min > 512 ? 4096 : 512,
		.readonly = nbd_is_read_only(h) != 0,
		.can_flush = nbd_can_flush(h) == 1,
		.can_trim = nbd_can_trim(h) == 1,
		.multi_conn = nbd_can_multi_conn(h) == 1,
	};

	if (size < 0 || min > 4096)
		return -EOPNOTSUPP;
	s.size_bytes = (uint64_t)size - (uint64_t)size % s.sector_bytes;
	if (!s.size_bytes)
		return -ENOSPC;
	s.preferred_bytes = preferred >= s.sector_bytes && preferred <= 65536 &&
					    !(preferred & (preferred - 1))
				    ? (uint32_t)preferred
				    : s.sector_bytes;
	s.max_bytes =
		max > 0 && max < MAX_UNKNOWN ? (uint32_t)max : MAX_UNKNOWN;
	s.max_bytes -= s.max_bytes % s.sector_bytes;
	if (!s.max_bytes)
		return -EOPNOTSUPP;
	*ret = s;
	return 0;
}

/* Is now a disk that can go on where first was? */
static bool is_same(const struct nbd_seen *first, const struct nbd_seen *now)
{
	return now->size_bytes >= first->size_bytes &&
	       now->sector_bytes <= first->sector_bytes &&
	       (!now->readonly || first->readonly) &&
	       (now->can_flush || !first->can_flush) &&
	       (now->can_trim || !first->can_trim) &&
	       (now->multi_conn || !first->multi_conn);
}

static void describe(const struct nbd_target *t, const struct nbd_seen *s,
		     struct storage_desc *d)
{
	d->flags &= ~STORAGE_UNSEEN;
	if (s->readonly)
		d->flags |= STORAGE_READONLY;
	d->size_bytes = s->size_bytes;
	d->sector_bytes = s->sector_bytes;
	d->physical_bytes = s->preferred_bytes;
	if (s->can_trim && !(d->flags & STORAGE_READONLY)) {
		d->flags |= STORAGE_CAN_DISCARD;
		d->discard_granularity_bytes = s->preferred_bytes;
	}
	if (!s->multi_conn)
		d->flags |= STORAGE_ONE_CHANNEL;
	snprintf(d->how, sizeof(d->how), "NBD%s%s%s", t->tls ? ", TLS" : "",
		 s->multi_conn ? "" : ", one connection",
		 s->can_flush ? "" : ", no flush");
}

/* The other way round: what a successor knows from its predecessor. */
static struct nbd_seen seen_from(const struct storage_desc *d)
{
	return (struct nbd_seen){
		.size_bytes = d->size_bytes,
		.sector_bytes = d->sector_bytes,
		.readonly = d->flags & STORAGE_READONLY,
		.can_trim = d->flags & STORAGE_CAN_DISCARD,
		.can_flush = !strstr(d->how, "no flush"),
		.multi_conn = !(d->flags & STORAGE_ONE_CHANNEL),
	};
}

/* ---- the storage --------------------------------------------------------- */

static int see(struct nbd_storage *n, int sock, struct storage_desc *desc)
{
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	int err = fd < 0 ? -errno : begin_handshake(&n->target, fd, &n->first);

	if (!err)
		err = wait_handshake(n->first);
	if (!err)
		err = look_at(n->first, &n->seen);
	if (err) {
		nbd_close(n->first);
		n->first = NULL;
		return err;
	}
	describe(&n->target, &n->seen, desc);
	close(sock);
	return 0;
}

static int disk_open(const struct storage_desc *desc, const int *fds,
		     struct storage **ret)
{
	struct nbd_storage *n = calloc(1, sizeof(*n));
	struct storage_desc seen = *desc;
	int err = 0;

	if (!n)
		return -ENOMEM;
	memcpy(&n->target, desc->private_data, sizeof(n->target));
	if (desc->flags & STORAGE_UNSEEN)
		err = see(n, fds[0], &seen);
	else
		n->seen = seen_from(desc);
	if (err) {
		free(n);
		return err;
	}
	storage_init(&n->storage, &storage_nbd, &seen);
	atomic_init(&n->size_bytes, seen.size_bytes);
	list_init(&n->channels);
	*ret = &n->storage;
	return 0;
}

static void disk_close(struct storage *st)
{
	if (!st)
		return;
	nbd_close(storage_of(st)->first);
	free(st);
}

static int disk_size(struct storage *st, uint64_t *ret_bytes)
{
	/* Pairs with meet(). */
	*ret_bytes = atomic_load_explicit(&storage_of(st)->size_bytes,
					  memory_order_relaxed);
	return 0;
}

static void disk_tend(struct storage *st, const struct storage_keeper *keeper)
{
	list_for_each(pos, &storage_of(st)->channels) {
		struct nbd_channel *c =
			container_of(pos, struct nbd_channel, list);
		unsigned news = link_news(&c->link);
		int fd;

		link_say(news, REFUSED, keeper);
		if (!(news & LINK_NEWS_WANTS))
			continue;
		/* Pairs with take_mail(). What was not taken is late. */
		fd = atomic_exchange_explicit(&c->mailbox,
					      keeper->connect(keeper->arg),
					      memory_order_acq_rel);
		if (fd >= 0)
			close(fd);
		link_wake(&c->link);
	}
}

/* ---- a channel's connection ---------------------------------------------- */

static void drop(struct link *l)
{
	struct nbd_channel *c = channel_of_link(l);

	if (c->fd >= 0)
		link_unwatch(l, c->fd);
	c->fd = -1;
	nbd_close(c->h);
	c->h = NULL;
}

static int begin(struct link *l)
{
	link_tell(l, LINK_NEWS_WANTS);
	return 0;
}

static const struct link_ops connection_ops = {
	.begin = begin,
	.issue = nbd_io_issue,
	.drop = drop,
};

/* Have the worker woken for what libnbd waits for. */
static void watch(struct nbd_channel *c)
{
	uint32_t events;
	int fd;

	if (!c->h || c->link.lost)
		return;
	if (is_over(c->h)) {
		c->link.lost = true;
		return;
	}
	events = wanted_events(c->h);
	if (c->fd >= 0) {
		if (events != c->events &&
		    link_rewatch(&c->link, c->fd, events, LINK_SOCKET))
			c->link.lost = true;
	} else {
		fd = nbd_aio_get_fd(c->h);
		if (fd < 0 || link_watch(&c->link, fd, events, LINK_SOCKET))
			c->link.lost = true;
		else
			c->fd = fd;
	}
	c->events = events;
}

static void use(struct nbd_channel *c, const struct nbd_seen *seen)
{
	c->can_flush = seen->can_flush;
	c->sector_bytes = seen->sector_bytes;
	c->max_bytes = seen->max_bytes;
	link_up(&c->link);
}

/* The handshake is over: whom did we get? */
static void meet(struct nbd_channel *c)
{
	struct nbd_storage *n = storage_of(c->channel.st);
	struct nbd_seen seen;

	if (look_at(c->h, &seen) || !is_same(&n->seen, &seen)) {
		link_tell(&c->link, LINK_NEWS_REFUSED);
		c->link.lost = true;
		return;
	}
	/* Pairs with disk_size(). */
	atomic_store_explicit(&n->size_bytes, seen.size_bytes,
			      memory_order_relaxed);
	use(c, &seen);
}

static void take_mail(struct nbd_channel *c)
{
	/* Pairs with disk_tend(). */
	int fd = atomic_exchange_explicit(&c->mailbox, NBD_MAILBOX_NONE,
					  memory_order_acq_rel);

	if (fd == NBD_MAILBOX_NONE)
		return;
	if (fd >= 0 && (c->h || c->link.state != LINK_CONNECTING)) {
		close(fd);
		return;
	}
	if (fd < 0 ||
	    begin_handshake(&storage_of(c->channel.st)->target, fd, &c->h))
		c->link.lost = true;
}

static int disk_channel_open(struct storage *st, unsigned depth,
			     struct storage_channel **ret)
{
	struct nbd_storage *n = storage_of(st);
	struct nbd_channel *c;
	int err;

	if ((st->desc.flags & STORAGE_ONE_CHANNEL) && n->nr_channels)
		return -EBUSY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->channel.st = st;
	c->fd = -1;
	atomic_init(&c->mailbox, NBD_MAILBOX_NONE);
	err = link_init(&c->link, &connection_ops, st, depth,
			n->target.fail_after_s * NS_PER_S);
	if (err) {
		free(c);
		return err;
	}
	list_add_tail(&n->channels, &c->list);
	n->nr_channels++;
	if (n->first) {
		c->h = n->first;
		n->first = NULL;
		use(c, &n->seen);
		watch(c);
	}
	*ret = &c->channel;
	return 0;
}

static void disk_channel_close(struct storage_channel *ch)
{
	struct nbd_channel *c = channel_of(ch);
	int fd;

	if (!ch)
		return;
	list_del(&c->list);
	storage_of(ch->st)->nr_channels--;
	/* Tell the server, as far as that goes without waiting. */
	if (c->h && c->link.state == LINK_UP)
		(void)nbd_aio_disconnect(c->h, 0);
	drop(&c->link);
	/* Both threads are here. */
	fd = atomic_load_explicit(&c->mailbox, memory_order_relaxed);
	if (fd >= 0)
		close(fd);
	link_fini(&c->link);
	free(c);
}

static int disk_submit(struct storage_channel *ch, struct storage_io *io)
{
	if (!storage_fits(ch->st, io) ||
	    (io->op != STORAGE_FLUSH && !io->size_bytes))
		return -EINVAL;
	if (io->op == STORAGE_DISCARD && io->secure)
		return -EOPNOTSUPP;
	return link_submit(&channel_of(ch)->link, io);
}

static bool disk_flush(struct storage_channel *ch)
{
	struct nbd_channel *c = channel_of(ch);

	watch(c);
	if (c->link.lost)
		link_wake(&c->link);
	return true;
}

static unsigned disk_poll(struct storage_channel *ch)
{
	struct nbd_channel *c = channel_of(ch);
	unsigned ready = link_look(&c->link);

	if (ready & LINK_WAKE)
		take_mail(c);
	if (c->h && (ready & LINK_SOCKET))
		converse(c->h, c->link.socket_events);
	if (c->h && !c->link.lost && c->link.state == LINK_CONNECTING &&
	    nbd_aio_is_ready(c->h) == 1)
		meet(c);
	watch(c);
	link_run(&c->link);
	watch(c);
	return link_reap(&c->link);
}

static int disk_wait_fd(struct storage_channel *ch)
{
	return channel_of(ch)->link.epfd;
}

/* A server goes on with what it has got, whatever becomes of us. */
static int disk_fence_fd(struct storage_channel *ch)
{
	(void)ch;
	return -1;
}

static void disk_give_up(struct storage_channel *ch)
{
	link_give_up(&channel_of(ch)->link);
}

const struct storage_ops storage_nbd = {
	.name = "nbd",
	.help = "nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=/PATH\t"
		"an NBD server's export; nbds:// is with TLS",
	.claims = nbd_target_claims,
	.acquire = nbd_target_acquire,
	.connect = nbd_target_connect,
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
