/* SPDX-License-Identifier: MIT */
/* pump.c - the data loop of netfront-tap; see pump.h. */
#include "netfront/pump.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "netfront/tap.h"
#include "util/clock.h"
#include "util/log.h"

#define BATCH		32u
#define KICK_BYTES	16384u /* show the backend no later than this */
#define ROUNDS_PER_LOOK 32u
#define SPIN_MIN_NS	(5 * NS_PER_US)
#define SPIN_MAX_NS	(50 * NS_PER_US)

struct pump {
	struct netfront *nf;
	int tap_fd, stop_fd;
	uint64_t spin_ns;
	bool tap_blocked; /* the send region is full: leave the TAP alone */
	uint64_t nr_unreadable, nr_refused;
};

/* TAP to backend. Returns frames moved. */
static unsigned send_batch(struct pump *p)
{
	struct iovec iov[NETFRONT_SLOTS_MAX + 1];
	size_t shown = 0;
	unsigned n;

	p->tap_blocked = false;
	for (n = 0; n < BATCH; n++) {
		struct virtio_net_hdr hdr;
		struct packet_meta meta;
		unsigned nr;
		ssize_t got;

		if (netfront_send_prepare(p->nf, NETFRONT_FRAME_MAX, iov + 1,
					  &nr)) {
			p->tap_blocked = true;
			break;
		}
		iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
		got = readv(p->tap_fd, iov, (int)nr + 1);
		if (got < (ssize_t)(sizeof(hdr) + PACKET_ETH_BYTES) ||
		    packet_from_vnet(&hdr, &meta)) {
			netfront_send_abort(p->nf);
			if (got < 0)
				break;
			p->nr_unreadable++;
			continue;
		}
		netfront_send(p->nf, (size_t)got - sizeof(hdr), &meta);
		shown += (size_t)got;
		if (shown >= KICK_BYTES) {
			netfront_kick(p->nf);
			shown = 0;
		}
	}
	return n;
}

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

static void write_frame(struct pump *p, struct iovec *iov, unsigned nr,
			struct packet_meta *meta)
{
	/* The caller left room for two entries before the frame's. */
	struct iovec *all = iov - 2;
	uint8_t head[PACKET_HEAD_MAX];
	struct packet_layout layout;
	struct virtio_net_hdr hdr;
	size_t size_bytes = 0, head_bytes;

	for (unsigned i = 0; i < nr; i++)
		size_bytes += iov[i].iov_len;
	head_bytes = take_head(iov, nr, head);
	if (packet_check_meta(head, head_bytes, size_bytes, meta, &layout)) {
		p->nr_refused++;
		return;
	}
	packet_to_vnet(meta, &layout, &hdr);
	all[0] = (struct iovec){ &hdr, sizeof(hdr) };
	all[1] = (struct iovec){ head, head_bytes };
	if (writev(p->tap_fd, all, (int)nr + 2) < 0)
		p->nr_refused++;
}

/* Backend to TAP. Returns frames moved. */
static unsigned recv_batch(struct pump *p)
{
	struct iovec iov[NETFRONT_SLOTS_MAX + 2];
	struct packet_meta meta;
	unsigned n, nr;
	size_t given = 0;

	for (n = 0; n < BATCH; n++) {
		if (netfront_recv(p->nf, iov + 2, &nr, &meta) <= 0)
			break;
		for (unsigned i = 0; i < nr; i++)
			given += iov[i + 2].iov_len;
		write_frame(p, iov + 2, nr, &meta);
		netfront_recv_done(p->nf);
		if (given >= KICK_BYTES) {
			netfront_kick(p->nf);
			given = 0;
		}
	}
	return n;
}

/* Events and the link. Returns 1 to stop, 0 to go on, -errno. */
static int look(struct pump *p)
{
	struct pollfd pfd = { .fd = p->stop_fd, .events = POLLIN };
	struct netfront_info info;
	int n = netfront_poll(p->nf);

	if (n < 0)
		return n;
	if (n) {
		bool up = netfront_link_up(p->nf);

		netfront_info(p->nf, &info);
		if (up && tap_set_offloads(p->tap_fd, &info))
			log_warn("cannot set the interface's offloads");
		tap_set_carrier(p->tap_fd, up);
		log_info("link %s", up ? "up" : "down");
	}
	return poll(&pfd, 1, 0) > 0 ? 1 : 0;
}

/* Nothing to do: wait for a descriptor, and learn how long to spin. */
static void nap(struct pump *p)
{
	struct pollfd pfd[3] = {
		{ .fd = netfront_fd(p->nf), .events = POLLIN },
		{ .fd = p->stop_fd, .events = POLLIN },
		{ .fd = p->tap_fd, .events = POLLIN },
	};
	uint64_t before, slept_ns;

	if (netfront_arm(p->nf))
		return;
	if (p->tap_blocked)
		pfd[2].fd = -1;
	before = clock_now_ns();
	(void)poll(pfd, 3, -1);
	slept_ns = clock_now_ns() - before;
	if (slept_ns < SPIN_MAX_NS && p->spin_ns * 2 <= SPIN_MAX_NS)
		p->spin_ns *= 2;
	else if (slept_ns > SPIN_MAX_NS * 8 && p->spin_ns / 2 >= SPIN_MIN_NS)
		p->spin_ns /= 2;
}

int pump_run(struct netfront *nf, int tap_fd, int stop_fd)
{
	struct pump p = {
		.nf = nf,
		.tap_fd = tap_fd,
		.stop_fd = stop_fd,
		.spin_ns = SPIN_MIN_NS,
	};
	uint64_t last_work_ns = clock_now_ns();
	unsigned rounds = 0;

	for (;;) {
		unsigned work = recv_batch(&p) + send_batch(&p);
		bool idle = !work && clock_now_ns() - last_work_ns >= p.spin_ns;
		int n;

		netfront_kick(nf);
		if (work)
			last_work_ns = clock_now_ns();
		else
			sched_yield();
		if (!idle && ++rounds % ROUNDS_PER_LOOK)
			continue;
		if (idle)
			nap(&p);
		n = look(&p);
		if (n)
			return n < 0 ? n : 0;
	}
}
