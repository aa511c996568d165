/* SPDX-License-Identifier: MIT */
/*
 * net_cut.c - frames that their receiver cannot take whole are cut in software:
 * netback/cut.c behind a vif and behind an uplink.
 */
#include "netback/nic.h"
#include "netback/uplink.h"
#include "tests/unit/net_chain.h"

static struct test_frame frame, want, got;
static struct chain_meta meta;

static void setup_guest(uint32_t features, unsigned nr_buffers)
{
	setup_with(features);
	rx_post(&b, nr_buffers);
}

/* From a to b. */
static void make(bool tcp, bool ipv6, uint32_t payload_bytes)
{
	struct frame_wish wish = { .tcp = tcp,
				   .ipv6 = ipv6,
				   .payload_bytes = payload_bytes };

	memcpy(wish.dst, b.mac, 6);
	memcpy(wish.src, a.mac, 6);
	frame_seed(3);
	frame_make(&frame, &wish);
}

static int send_frame(const struct chain_meta *with)
{
	chain_send(&a, frame.b, frame.size, with);
	return chain_status(&a, frame.size, with);
}

static bool comes_whole(void)
{
	return chain_recv(&b, got.b, &got.size, &meta) &&
	       got.size == want.size && !memcmp(got.b, want.b, want.size);
}

static bool comes_in_segments(uint32_t mss)
{
	for (uint32_t i = 0; slow_segment(&frame, mss, i, &want); i++)
		if (!comes_whole() || meta.blank || meta.gso_type)
			return false;
	return true;
}

static const struct chain_meta gso_v4 = { .gso_type = XEN_NETIF_GSO_TYPE_TCPV4,
					  .gso_size = 1400,
					  .blank = true,
					  .validated = true };
static const struct chain_meta gso_v6 = { .gso_type = XEN_NETIF_GSO_TYPE_TCPV6,
					  .gso_size = 1400,
					  .blank = true,
					  .validated = true };

static void a_guest_without_any_feature_gets_whole_segments(void)
{
	struct traffic t;

	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		setup_guest(0, 60);
		make(true, ipv6, 60000);
		UNIT_CHECK(send_frame(ipv6 ? &gso_v6 : &gso_v4) ==
			   NETIF_RSP_OKAY);
		UNIT_CHECK(comes_in_segments(1400));
		t = port_traffic(&b, 0);
		UNIT_CHECK(t.rx_cut == 1 && t.rx_packets == 43);
		UNIT_CHECK(traffic_rx_dropped(&t) == 0);
		teardown();
	}
}

static void what_a_guest_can_take_stays_whole(void)
{
	setup_guest(ALL, 60);
	make(true, false, 60000);
	want = frame;
	UNIT_CHECK(send_frame(&gso_v4) == NETIF_RSP_OKAY);
	UNIT_CHECK(comes_whole());
	UNIT_CHECK(meta.gso_type == XEN_NETIF_GSO_TYPE_TCPV4 &&
		   meta.gso_size == 1400 && meta.blank);
	UNIT_CHECK(port_traffic(&b, 0).rx_cut == 0);
	teardown();
}

/* The pseudo header's sum, for the guest to go on from. */
static void blank_checksums_stay_blank_for_those_who_take_them(void)
{
	uint32_t i = 0;

	setup_guest(QUEUE_CSUM_IPV4 | QUEUE_SG, 60);
	make(true, false, 3000);
	UNIT_CHECK(send_frame(&gso_v4) == NETIF_RSP_OKAY);
	for (; slow_segment(&frame, 1400, i, &want); i++) {
		UNIT_REQUIRE(chain_recv(&b, got.b, &got.size, &meta));
		UNIT_CHECK(meta.blank && meta.validated);
		got.l3 = want.l3;
		got.l4 = want.l4;
		got.ipv6 = false;
		got.tcp = true;
		slow_fill(&got);
		UNIT_CHECK(got.size == want.size &&
			   !memcmp(got.b, want.b, want.size));
	}
	UNIT_CHECK(i == 3);
	teardown();
}

static void a_large_tcp_frame_is_cut_for_a_guest_with_single_buffers(void)
{
	const struct chain_meta plain = { 0 };

	setup_guest(0, 10);
	make(true, false, 8900);
	UNIT_CHECK(send_frame(&plain) == NETIF_RSP_OKAY);
	UNIT_CHECK(comes_in_segments(4096 - frame.payload));
	teardown();
}

static void segments_are_no_larger_than_a_buffer(void)
{
	struct chain_meta large = gso_v4;

	large.gso_size = 9000;
	setup_guest(QUEUE_GSO_TCPV4, 20);
	make(true, false, 30000);
	UNIT_CHECK(send_frame(&large) == NETIF_RSP_OKAY);
	UNIT_CHECK(comes_in_segments(4096 - frame.payload));
	teardown();
}

/* Nothing can be made of it, or it would be made good. */
static void what_cannot_be_cut_is_dropped_and_counted(void)
{
	const struct chain_meta plain = { 0 };
	struct traffic t;

	setup_guest(0, 60);
	make(false, false, 5000);
	UNIT_CHECK(send_frame(&plain) == NETIF_RSP_OKAY);
	make(true, false, 5000);
	frame.b[frame.size - 1] ^= 1; /* the TCP checksum */
	UNIT_CHECK(send_frame(&plain) == NETIF_RSP_OKAY);
	make(true, true, 5000);
	frame.b[frame.l4 + 16] ^= 1;
	UNIT_CHECK(send_frame(&plain) == NETIF_RSP_OKAY);
	make(true, false, 5000);
	frame.b[frame.l3 + 8] ^= 1; /* IPv4's own */
	UNIT_CHECK(send_frame(&plain) == NETIF_RSP_OKAY);
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_UNABLE] == 4 && t.rx_packets == 0);
	UNIT_CHECK(traffic_rx_dropped(&t) == 4 && t.rx_cut == 0);
	teardown();
}

/* ---- an uplink that takes plain frames only ------------------------------ */

#define WIRE_FRAMES_MAX 64u

static struct {
	struct nic nic;
	unsigned room, nr;
	struct test_frame frames[WIRE_FRAMES_MAX];
} wire;

static int wire_open(const struct nic_desc *desc, const int *fds,
		     struct nic **ret)
{
	(void)fds;
	wire.nic.desc = *desc;
	*ret = &wire.nic;
	return 0;
}

static void wire_close(struct nic *nic)
{
	(void)nic;
}

static int wire_send(struct nic *nic, unsigned queue, const struct frame *sent)
{
	struct frame_cursor at = { 0 };
	struct test_frame *f = &wire.frames[wire.nr];

	(void)nic;
	(void)queue;
	if (wire.nr == wire.room)
		return -EAGAIN;
	UNIT_CHECK(!sent->meta.csum_blank && sent->meta.gso == PACKET_GSO_NONE);
	f->size = sent->size_bytes;
	frame_copy_out(sent, &at, (void PV_SHARED *)f->b, f->size);
	wire.nr++;
	return 0;
}

static unsigned wire_flush(struct nic *nic)
{
	(void)nic;
	return 0;
}

static int wire_recv(struct nic *nic, unsigned queue, struct nic_frame *frames,
		     unsigned max)
{
	(void)nic;
	(void)queue;
	(void)frames;
	(void)max;
	return 0;
}

static int wire_wait_fd(struct nic *nic, unsigned queue)
{
	(void)nic;
	(void)queue;
	return -1;
}

static const struct nic_ops wire_ops = {
	.name = "wire",
	.help = "a test's",
	.plain = true,
	.open = wire_open,
	.close = wire_close,
	.send = wire_send,
	.flush = wire_flush,
	.recv = wire_recv,
	.wait_fd = wire_wait_fd,
};

const struct nic_ops *__wrap_nic_by_name(const char *name);

const struct nic_ops *__wrap_nic_by_name(const char *name)
{
	return strcmp(name, "wire") ? NULL : &wire_ops;
}

static int start_uplink(void *arg)
{
	return uplink_start(arg, worker, sw);
}

static int stop_uplink(void *arg)
{
	uplink_stop(arg);
	return 0;
}

/* a's frame goes to nobody that the switch knows. Returns what became of it. */
static struct uplink_stats over_the_wire(const struct chain_meta *with,
					 unsigned room)
{
	static const uint8_t elsewhere[6] = { 2, 0, 0, 0, 0, 9 };
	const struct nic_desc desc = { .driver = "wire",
				       .mtu = 1500,
				       .nr_queues = 1 };
	struct uplink_stats stats;
	struct uplink *up;

	wire.nic.ops = &wire_ops;
	wire.nr = 0;
	wire.room = room;
	memcpy(frame.b, elsewhere, 6);
	world_must(!uplink_open(&desc, NULL, &up) &&
			   !worker_call(worker, start_uplink, up),
		   "uplink");
	UNIT_CHECK(send_frame(with) == NETIF_RSP_OKAY);
	worker_call(worker, stop_uplink, up);
	stats = uplink_stats(up);
	uplink_close(up);
	return stats;
}

static void an_uplink_without_offloads_gets_whole_segments(void)
{
	struct uplink_stats stats;
	uint32_t i = 0;

	setup();
	make(true, true, 60000);
	stats = over_the_wire(&gso_v6, WIRE_FRAMES_MAX);
	for (; slow_segment(&frame, 1400, i, &want); i++)
		UNIT_CHECK(wire.frames[i].size == want.size &&
			   !memcmp(wire.frames[i].b, want.b, want.size));
	UNIT_CHECK(i == wire.nr && stats.sent == i && !stats.full);
	/* No room for all of them. */
	stats = over_the_wire(&gso_v6, 10);
	UNIT_CHECK(wire.nr == 10 && stats.sent == 10 && stats.full == 1);
	teardown();
}

static void an_uplink_without_offloads_gets_whole_checksums(void)
{
	const struct chain_meta blank = { .blank = true };

	setup();
	make(false, false, 1001);
	want = frame;
	memcpy(want.b, (uint8_t[6]){ 2, 0, 0, 0, 0, 9 }, 6);
	frame.b[frame.l4 + 6] ^= 0x55;
	UNIT_CHECK(over_the_wire(&blank, 2).sent == 1);
	UNIT_CHECK(wire.frames[0].size == want.size &&
		   !memcmp(wire.frames[0].b, want.b, want.size));
	teardown();
}

/* More than may wait: two frames of 60,000 bytes and some. */
static void segments_without_buffers_wait_or_are_dropped_and_counted(void)
{
	struct traffic t;
	uint32_t i = 0;

	setup_guest(0, 7);
	make(true, false, 60000);
	for (unsigned n = 0; n < 3; n++)
		UNIT_CHECK(send_frame(&gso_v4) == NETIF_RSP_OKAY);
	for (unsigned n = 0; n < 3; n++) {
		while (ring_front_pending(&b.q[0].rx) > 0) {
			slow_segment(&frame, 1400, i++ % 43, &want);
			UNIT_CHECK(comes_whole());
		}
		rx_post(&b, 50);
		usleep(20000);
	}
	t = port_traffic(&b, 0);
	UNIT_CHECK(t.rx_packets == i && i > 2 * 43 && t.rx_cut == 3);
	UNIT_CHECK(t.rx_waited == i - 7);
	UNIT_CHECK(t.rx_drops[TRAFFIC_DROP_FULL] == 3 * 43 - i);
	teardown();
}

UNIT_MAIN("net_cut", UNIT_TEST(a_guest_without_any_feature_gets_whole_segments),
	  UNIT_TEST(what_a_guest_can_take_stays_whole),
	  UNIT_TEST(blank_checksums_stay_blank_for_those_who_take_them),
	  UNIT_TEST(a_large_tcp_frame_is_cut_for_a_guest_with_single_buffers),
	  UNIT_TEST(segments_are_no_larger_than_a_buffer),
	  UNIT_TEST(what_cannot_be_cut_is_dropped_and_counted),
	  UNIT_TEST(segments_without_buffers_wait_or_are_dropped_and_counted),
	  UNIT_TEST(an_uplink_without_offloads_gets_whole_segments),
	  UNIT_TEST(an_uplink_without_offloads_gets_whole_checksums))
