/* SPDX-License-Identifier: MIT */
/* libnet_front.c - our side of libnet.h: a program that uses netfront. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/libnet.h"
#include "util/clock.h"

#define ETHERTYPE_LOCAL 0x88b5u
#define SENDER_OFFSET	14u
#define HEADER_BYTES	(SENDER_OFFSET + sizeof(uint32_t))
#define POLL_EVERY	256u	 /* bursts between two looks at the store */
#define UNDER_WAY_MAX	192u	 /* less than a ring's buffers: none is lost */
#define SILENCE_NS	NS_PER_S /* then frames were lost after all */
#define WHY_MAX		256

int net_vif_open(const char *run_dir, domid_t domid, uint32_t handle,
		 struct net_vif *ret)
{
	struct netfront_config config = { .run_dir = run_dir,
					  .domid = domid,
					  .handle = handle };
	struct netfront_info info;
	char why[WHY_MAX];
	int err = netfront_open(&config, &ret->nf, why, sizeof(why));

	if (err) {
		fprintf(stderr, "net: vif %u of domain %u: %s\n", handle, domid,
			why);
		return err;
	}
	netfront_info(ret->nf, &info);
	memcpy(ret->mac, info.mac, sizeof(ret->mac));
	return 0;
}

void net_vif_close(struct net_vif *vif)
{
	netfront_close(vif->nf);
	vif->nf = NULL;
}

unsigned net_send(const struct net_vif *from, const uint8_t to[6],
		  uint32_t sender, unsigned size_bytes, unsigned nr)
{
	struct netfront_frame frames[NET_BURST];
	uint8_t header[HEADER_BYTES];
	unsigned room = netfront_prepare(from->nf, frames, nr, size_bytes);

	if (!room)
		return 0;
	memcpy(header, to, 6);
	memcpy(header + 6, from->mac, 6);
	header[12] = ETHERTYPE_LOCAL >> 8;
	header[13] = ETHERTYPE_LOCAL & 0xff;
	memcpy(header + SENDER_OFFSET, &sender, sizeof(sender));
	for (unsigned i = 0; i < room; i++) {
		memcpy(frames[i].iov[0].iov_base, header, sizeof(header));
		frames[i].size_bytes = size_bytes;
	}
	room = netfront_send(from->nf, frames, room);
	netfront_kick(from->nf);
	return room;
}

static void count_sender(const struct iovec *piece, uint64_t *by_sender,
			 uint32_t nr_senders)
{
	uint32_t sender;

	if (piece->iov_len < HEADER_BYTES)
		return;
	memcpy(&sender, (const char *)piece->iov_base + SENDER_OFFSET,
	       sizeof(sender));
	if (sender < nr_senders)
		by_sender[sender]++;
}

unsigned net_recv(const struct net_vif *at, uint64_t *by_sender,
		  uint32_t nr_senders)
{
	struct netfront_frame frames[NET_BURST];
	unsigned nr = netfront_recv(at->nf, frames, NET_BURST);

	if (!nr)
		return 0;
	for (unsigned i = 0; by_sender && i < nr; i++)
		count_sender(&frames[i].iov[0], by_sender, nr_senders);
	netfront_recv_done(at->nf);
	netfront_kick(at->nf);
	return nr;
}

int net_wait(const struct net_vif *vif, int timeout_ms)
{
	struct pollfd pfd = { .fd = netfront_fd(vif->nf), .events = POLLIN };
	int err;

	if (!netfront_arm(vif->nf))
		poll(&pfd, 1, timeout_ms);
	err = netfront_poll(vif->nf);
	return err < 0 ? err : 0;
}

/* ---- meters -------------------------------------------------------------- */

static uint64_t all_cpu_ns(const struct net_meter *meter)
{
	uint64_t sum_ns = bench_cpu_ns(0);

	for (unsigned i = 0; i < 2; i++)
		if (meter->pids[i])
			sum_ns += bench_cpu_ns(meter->pids[i]);
	return sum_ns;
}

void net_meter_start(struct net_meter *meter)
{
	meter->cpu_ns = all_cpu_ns(meter);
	meter->start_ns = clock_now_ns();
}

struct net_rate net_meter_stop(const struct net_meter *meter, uint64_t nr)
{
	uint64_t elapsed_ns = clock_now_ns() - meter->start_ns;
	uint64_t spent_ns = all_cpu_ns(meter) - meter->cpu_ns;

	return (struct net_rate){
		.frames = (double)nr * 1e9 / (double)elapsed_ns,
		.cpu_ns = nr ? (double)spent_ns / (double)nr : 0,
	};
}

/* ---- runs ---------------------------------------------------------------- */

int net_run_hop(const struct net_rig *rig, const struct net_load *load,
		struct net_rate *ret)
{
	static const uint8_t nobody[6] = { 0x02, 0, 0, 0, 0, 1 };
	struct netfront_stats before = netfront_stats(rig->out.nf), after;
	struct net_meter meter = { .pids = { rig->server } };
	uint64_t nr = 0;
	unsigned rounds = 0;

	if (bench_pin(0))
		return -EIO;
	net_meter_start(&meter);
	while (clock_now_ns() - meter.start_ns < load->run_ns) {
		unsigned sent = net_send(&rig->out, nobody, 0, load->size_bytes,
					 NET_BURST);

		nr += sent;
		if (!sent)
			clock_cpu_relax();
		if (++rounds % POLL_EVERY == 0 &&
		    netfront_poll(rig->out.nf) < 0)
			return -EIO;
	}
	*ret = net_meter_stop(&meter, nr);
	after = netfront_stats(rig->out.nf);
	return after.tx_errors == before.tx_errors ? 0 : -EIO;
}

int net_run_round(const struct net_rig *rig, const struct net_load *load,
		  struct net_rate *ret)
{
	struct net_meter meter = { .pids = { rig->server } };
	uint64_t sent = 0, got = 0, now_ns, heard_ns;

	if (bench_pin(0))
		return -EIO;
	net_meter_start(&meter);
	heard_ns = meter.start_ns;
	while ((now_ns = clock_now_ns()) - meter.start_ns < load->run_ns ||
	       sent != got) {
		unsigned room = UNDER_WAY_MAX - (unsigned)(sent - got), n;

		if (now_ns - meter.start_ns < load->run_ns)
			sent += net_send(&rig->a, rig->b.mac, 0,
					 load->size_bytes,
					 room < NET_BURST ? room : NET_BURST);
		n = net_recv(&rig->b, NULL, 0);
		got += n;
		if (n)
			heard_ns = now_ns;
		else if (now_ns - heard_ns > SILENCE_NS)
			return -EIO;
	}
	*ret = net_meter_stop(&meter, got);
	return 0;
}

int net_run_echo(const struct net_rig *rig, const struct net_load *load,
		 struct hist *ret_ns)
{
	uint64_t start_ns = clock_now_ns(), sent_ns = start_ns, now_ns;

	memset(ret_ns, 0, sizeof(*ret_ns));
	if (bench_pin(0))
		return -EIO;
	while (sent_ns - start_ns < load->run_ns) {
		if (net_send(&rig->a, rig->b.mac, 0, load->size_bytes, 1) != 1)
			return -EIO;
		while (!net_recv(&rig->b, NULL, 0))
			clock_cpu_relax();
		now_ns = clock_now_ns();
		hist_record(ret_ns, now_ns - sent_ns);
		sent_ns = now_ns;
	}
	return 0;
}
