/* SPDX-License-Identifier: MIT */
/* pump.c - the data loops of netfront-tap; see pump.h. */
#include "netfront/tap/pump.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "netfront/tap/announce.h"
#include "util/log.h"
#include "util/num.h"
#include "util/packet.h"
#include "util/spin.h"

#define BATCH	     32u
#define RECV_BURST   4u	    /* frames whose buffers are held at once */
#define KICK_BYTES   16384u /* show the backend no later than this */
#define ROUNDS_A_ASK 64u    /* a busy thread asks whether to stop this often */

struct pump {
	struct netfront *nf;
	struct netfront_queue *q;
	struct tap *tap;
	int tap_fd, stop_fd;
	struct spin spin;
	bool tap_blocked; /* the send region is full: leave the TAP alone */
	bool link_up;	  /* queue 0's: as the TAP was told last */
	uint64_t nr_unreadable, nr_refused;
	pthread_t thread;
	int result;
};

/* ---- TAP to backend -------------------------------------------------------
 */

/* One frame. Returns its size in bytes; 0: none, or no room for it. */
static size_t send_one(struct pump *p)
{
	struct iovec iov[NETFRONT_SLOTS_MAX + 1];
	struct netfront_frame frame;
	struct virtio_net_hdr hdr;
	struct packet_meta meta;
	ssize_t got;

	if (!netfront_queue_prepare(p->q, &frame, 1, NETFRONT_FRAME_MAX)) {
		p->tap_blocked = true;
		return 0;
	}
	iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
	memcpy(iov + 1, frame.iov, frame.nr * sizeof(iov[0]));
	got = readv(p->tap_fd, iov, (int)frame.nr + 1);
	if (got < (ssize_t)(sizeof(hdr) + PACKET_ETH_BYTES) ||
	    packet_from_vnet(&hdr, &meta)) {
		(void)netfront_queue_send(p->q, &frame, 0);
		if (got >= 0)
			p->nr_unreadable++;
		return got < 0 ? 0 : (size_t)got;
	}
	frame.size_bytes = (uint32_t)((size_t)got - sizeof(hdr));
	frame.flags =
		(uint8_t)((meta.csum_blank ? NETFRONT_CSUM_BLANK : 0) |
			  (meta.data_validated ? NETFRONT_DATA_VALIDATED : 0));
	frame.gso = (uint8_t)meta.gso;
	frame.gso_size = meta.gso_size;
	(void)netfront_queue_send(p->q, &frame, 1);
	return (size_t)got;
}

/* Returns frames moved. */
static unsigned send_batch(struct pump *p)
{
	size_t shown = 0;
	unsigned n;

	p->tap_blocked = false;
	for (n = 0; n < BATCH; n++) {
		size_t size_bytes = send_one(p);

		if (!size_bytes)
			break;
		shown += size_bytes;
		if (shown >= KICK_BYTES) {
			netfront_queue_kick(p->q);
			shown = 0;
		}
	}
	return n;
}

/* ---- backend to TAP -------------------------------------------------------
 */

/*
 * Copy the first bytes out of iov, so that what is checked is what is sent;
 * iov then begins behind them. Returns the bytes copied.
 */
static size_t take_head(struct iovec *iov, unsigned nr, uint8_t *head)
{
	size_t done = 0;

	for (unsigned i = 0; i < nr && done < PACKET_HEAD_MAX; i++) {
		size_t n = PACKET_HEAD_MAX - done;

		if (n > iov[i].iov_len)
			n = iov[i].iov_len;
		memcpy(head + done, iov[i].iov_base, n);
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
		done += n;
	}
	return done;
}

static void write_frame(struct pump *p, const struct netfront_frame *frame)
{
	struct packet_meta meta = {
		.csum_blank = frame->flags & NETFRONT_CSUM_BLANK,
		.data_validated = frame->flags & NETFRONT_DATA_VALIDATED,
		.gso = (enum packet_gso)frame->gso,
		.gso_size = frame->gso_size,
	};
	struct iovec iov[NETFRONT_SLOTS_MAX + 2];
	uint8_t head[PACKET_HEAD_MAX];
	struct packet_layout layout;
	struct virtio_net_hdr hdr;
	size_t head_bytes;

	memcpy(iov + 2, frame->iov, frame->nr * sizeof(iov[0]));
	head_bytes = take_head(iov + 2, frame->nr, head);
	if (packet_check_meta(head, head_bytes, frame->size_bytes, &meta,
			      &layout)) {
		p->nr_refused++;
		return;
	}
	packet_to_vnet(&meta, &layout, &hdr);
	iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
	iov[1] = (struct iovec){ head, head_bytes };
	if (writev(p->tap_fd, iov, (int)frame->nr + 2) < 0)
		p->nr_refused++;
}

/* Returns frames moved. */
static unsigned recv_batch(struct pump *p)
{
	struct netfront_frame frames[RECV_BURST];
	unsigned n = 0, got;
	size_t given = 0;

	do {
		got = netfront_queue_recv(p->q, frames, RECV_BURST);
		if (!got)
			break;
		for (unsigned i = 0; i < got; i++) {
			write_frame(p, &frames[i]);
			given += frames[i].size_bytes;
		}
		netfront_queue_recv_done(p->q);
		n += got;
		if (given >= KICK_BYTES) {
			netfront_queue_kick(p->q);
			given = 0;
		}
	} while (got == RECV_BURST && n < BATCH);
	return n;
}

/* ---- the loop -------------------------------------------------------------
 */

/* Queue 0's thread: the interface is to be as the connection is. */
static void follow(struct pump *p)
{
	struct netfront_info info;
	bool moved;
	int err;

	netfront_info(p->nf, &info);
	moved = memcmp(info.mac, p->tap->mac, sizeof(info.mac)) != 0;
	/* Before the carrier is there: the kernel will test its IPv6 addresses
	 * anew then, and is not sure of them for a second. */
	if (info.link_up && (!p->link_up || moved)) {
		err = announce_all(p->nf, p->tap->ifname, info.mac);
		if (err < 0)
			log_warn("announcing the addresses of %s: %s",
				 p->tap->ifname, strerror(-err));
		else
			log_debug("%d addresses announced", err);
	}
	err = tap_follow(p->tap, &info);
	if (err)
		log_warn("setting up %s again: %s", p->tap->ifname,
			 strerror(-err));
	if (info.link_up != p->link_up)
		log_info("link %s", info.link_up ? "up" : "down");
	p->link_up = info.link_up;
}

/* Sleep until a descriptor is readable, for at most timeout_ms (-1: for ever).
 * True: it is the one that ends us. */
static bool nap(struct pump *p, int timeout_ms)
{
	struct pollfd pfd[3] = {
		{ .fd = p->stop_fd, .events = POLLIN },
		{ .fd = netfront_queue_fd(p->q), .events = POLLIN },
		{ .fd = p->tap_blocked ? -1 : p->tap_fd, .events = POLLIN },
	};

	return poll(pfd, 3, timeout_ms) > 0 && pfd[0].revents;
}

static void *run(void *arg)
{
	struct pump *p = arg;
	bool first = p->q == netfront_queue(p->nf, 0);
	unsigned rounds = 0;

	for (;;) {
		unsigned work = recv_batch(p) + send_batch(p);
		int n;

		netfront_queue_kick(p->q);
		n = netfront_queue_poll(p->q);
		if (n < 0) {
			p->result = n == -ESHUTDOWN ? 0 : n;
			return NULL;
		}
		if (n && first)
			follow(p);
		if (work)
			spin_worked(&p->spin);
		else if (!spin_again(&p->spin) && !netfront_queue_arm(p->q) &&
			 nap(p, -1))
			return NULL;
		if (++rounds % ROUNDS_A_ASK == 0 && nap(p, 0))
			return NULL;
	}
}

/* They are over. The kernel's and the backend's own counters know of the rest.
 */
static void report(const struct pump *pumps, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct pump *p = &pumps[i];

		if (p->nr_unreadable || p->nr_refused)
			log_info("queue %u: %" PRIu64 " frames lost on the way "
				 "out, %" PRIu64 " on the way in",
				 i, p->nr_unreadable, p->nr_refused);
	}
}

/* Threads for all queues but the first. Returns how many pumps there are. */
static uint32_t start_others(struct pump *pumps, uint32_t nr, int *err)
{
	*err = 0;
	for (uint32_t i = 1; i < nr; i++) {
		*err = -pthread_create(&pumps[i].thread, NULL, run, &pumps[i]);
		if (*err)
			return i;
	}
	return nr;
}

int pump_run(struct netfront *nf, struct tap *tap, int stop_fd)
{
	int end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err;
	struct pump pumps[NETFRONT_QUEUES_MAX];
	uint64_t one = 1;
	uint32_t nr;

	if (end_fd < 0)
		return -errno;
	for (uint32_t i = 0; i < tap->nr_queues; i++)
		pumps[i] = (struct pump){
			.nf = nf,
			.q = netfront_queue(nf, i),
			.tap = tap,
			.tap_fd = tap->fds[i],
			.stop_fd = i ? end_fd : stop_fd,
		};
	nr = start_others(pumps, tap->nr_queues, &err);
	if (!err) {
		follow(&pumps[0]);
		run(&pumps[0]);
		err = pumps[0].result;
	}
	(void)!write(end_fd, &one, sizeof(one)); /* the first write fits */
	for (uint32_t i = 1; i < nr; i++)
		pthread_join(pumps[i].thread, NULL);
	report(pumps, nr);
	close(end_fd);
	return err;
}
