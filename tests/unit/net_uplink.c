/* SPDX-License-Identifier: MIT */
/*
 * net_uplink.c - a NIC as a port of the switch: what it sends, takes and
 * counts. A socket is in place of the TAP, the vif is a port that keeps the
 * last frame.
 */
#include "netback/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/worker_rig.h"

#define FRAME_BYTES 1000u

static const uint8_t vif_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t far_mac[6] = { 2, 0, 0, 0, 0, 2 };

static struct worker *worker;
static struct vswitch *sw;
static struct uplink *up;
static int wire;
static struct switch_port vif;
static struct frame last;
static _Atomic unsigned nr_delivered;

static int vif_deliver(struct switch_port *port, const struct frame *frame)
{
	(void)port;
	last = *frame;
	bump(&nr_delivered);
	return 0;
}

static void vif_flush(struct switch_port *port)
{
	(void)port;
}

static const struct switch_port_ops vif_ops = { .deliver = vif_deliver,
						.flush = vif_flush };

static int start(void *arg)
{
	(void)arg;
	switch_add(sw, &vif);
	return uplink_start(up, worker, sw);
}

static int stop(void *arg)
{
	(void)arg;
	switch_remove(&vif);
	uplink_stop(up);
	return 0;
}

static bool begin(void)
{
	static const struct nic_desc desc = { .driver = "tap",
					      .ifname = "pvup7",
					      .master = "br7",
					      .mtu = 1500,
					      .nr_queues = 1,
					      .nr_fds = 1 };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0, fds) ||
	    switch_open(&sw) || uplink_open(&desc, fds, &up))
		return false;
	wire = fds[1];
	vif = (struct switch_port){ .ops = &vif_ops };
	memcpy(vif.mac, vif_mac, sizeof(vif_mac));
	nr_delivered = 0;
	worker = open_worker(0);
	return !worker_call(worker, start, NULL);
}

static void end(void)
{
	worker_call(worker, stop, NULL);
	worker_close(worker);
	uplink_close(up);
	switch_close(sw);
	close(wire);
}

/* On the data thread: the vif sends so many frames to the far end. */
static int send_frames(void *arg)
{
	unsigned *nr = arg;
	struct frame f = { .head_bytes = PACKET_HEAD_MAX,
			   .size_bytes = FRAME_BYTES,
			   .nr_parts = 1 };
	static uint8_t rest[FRAME_BYTES - PACKET_HEAD_MAX];

	memcpy(f.head, far_mac, 6);
	memcpy(f.head + 6, vif_mac, 6);
	f.parts[0] = (struct frame_part){ (const void PV_SHARED *)rest,
					  sizeof(rest) };
	for (unsigned i = 0; i < *nr; i++)
		switch_forward(&vif, &f, clock_now_ns());
	switch_flush(sw);
	return 0;
}

static int read_stats(void *arg)
{
	*(struct uplink_stats *)arg = uplink_stats(up);
	return 0;
}

static void counts_what_a_full_interface_had_no_room_for(void)
{
	uint8_t buf[2 * FRAME_BYTES];
	unsigned nr = 1000, arrived = 0;
	struct uplink_stats stats;

	UNIT_REQUIRE(begin());
	UNIT_CHECK(worker_call(worker, send_frames, &nr) == 0);
	UNIT_CHECK(worker_call(worker, read_stats, &stats) == 0);
	UNIT_CHECK(stats.sent > 0 && stats.full > 0 && !stats.errors);
	UNIT_CHECK(stats.sent + stats.full == nr);
	while (read(wire, buf, sizeof(buf)) ==
	       FRAME_BYTES + sizeof(struct virtio_net_hdr))
		arrived++;
	UNIT_CHECK(arrived == stats.sent);
	nr = 1;
	UNIT_CHECK(worker_call(worker, send_frames, &nr) == 0);
	UNIT_CHECK(worker_call(worker, read_stats, &stats) == 0);
	UNIT_CHECK(stats.sent == arrived + 1);
	end();
}

static void put(struct virtio_net_hdr hdr, size_t size_bytes)
{
	uint8_t slot[sizeof(hdr) + FRAME_BYTES] = { 0 };

	memcpy(slot, &hdr, sizeof(hdr));
	memcpy(slot + sizeof(hdr), vif_mac, 6);
	memcpy(slot + sizeof(hdr) + 6, far_mac, 6);
	slot[sizeof(slot) - 1] = 77;
	UNIT_CHECK(write(wire, slot, sizeof(hdr) + size_bytes) > 0);
}

static void drops_and_counts_what_contradicts_itself(void)
{
	const struct virtio_net_hdr none = { 0 };
	struct uplink_stats stats;

	UNIT_REQUIRE(begin());
	put(none, 5);
	put((struct virtio_net_hdr){ .gso_type = 99 }, FRAME_BYTES);
	/* A blank checksum, and no TCP or UDP to have one. */
	put((struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM },
	    FRAME_BYTES);
	put((struct virtio_net_hdr){ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				     .gso_size = 1000 },
	    FRAME_BYTES);
	put(none, FRAME_BYTES);
	UNIT_CHECK(wait_for(&nr_delivered, 1));
	UNIT_CHECK(worker_call(worker, read_stats, &stats) == 0);
	UNIT_CHECK(stats.received == 1 && stats.errors == 4);
	UNIT_CHECK(nr_delivered == 1);
	end();
}

static void a_frame_arrives_whole(void)
{
	static uint8_t out[FRAME_BYTES];
	struct frame_cursor at = { 0 };

	UNIT_REQUIRE(begin());
	put((struct virtio_net_hdr){ 0 }, FRAME_BYTES);
	UNIT_REQUIRE(wait_for(&nr_delivered, 1));
	UNIT_CHECK(last.size_bytes == FRAME_BYTES);
	/* It lies where it was received until something else comes. */
	frame_copy_out(&last, &at, (void PV_SHARED *)out, FRAME_BYTES);
	UNIT_CHECK(!memcmp(out, vif_mac, 6) && !memcmp(out + 6, far_mac, 6));
	UNIT_CHECK(out[FRAME_BYTES - 1] == 77);
	end();
}

static void news_concern_its_interface_and_bridge(void)
{
	struct nic_link link = { .up = true };

	UNIT_REQUIRE(begin());
	UNIT_CHECK(uplink_concerns(up, "pvup7"));
	UNIT_CHECK(uplink_concerns(up, "br7"));
	UNIT_CHECK(uplink_concerns(up, NULL));
	UNIT_CHECK(!uplink_concerns(up, "br70"));
	UNIT_CHECK(!uplink_concerns(up, ""));
	/* There is no such interface: a link that is down. */
	UNIT_CHECK(uplink_link(up, &link) && !link.up && link.mtu == 1500);
	end();
}

UNIT_MAIN("net_uplink", UNIT_TEST(counts_what_a_full_interface_had_no_room_for),
	  UNIT_TEST(drops_and_counts_what_contradicts_itself),
	  UNIT_TEST(a_frame_arrives_whole),
	  UNIT_TEST(news_concern_its_interface_and_bridge))
