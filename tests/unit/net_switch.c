/* SPDX-License-Identifier: MIT */
/* net_switch.c - netback/switch.c and netback/frame.c with ports of memory. */
#include "netback/switch.h"

#include <errno.h>
#include <string.h>

#include "netback/nic.h"
#include "netback/tag.h"
#include "tests/unit/unit.h"

struct mem_port {
	struct switch_port port;
	unsigned nr, nr_flushed;
	int result;  /* what deliver returns */
	bool leaves; /* deliver takes the port off the switch */
	uint8_t bytes[4096];
	uint32_t size_bytes;
};

static int mem_deliver(struct switch_port *port, const struct frame *frame)
{
	struct mem_port *p = container_of(port, struct mem_port, port);
	struct frame_cursor at = { 0 };

	if (p->leaves)
		switch_remove(port);
	if (p->result)
		return p->result;
	p->nr++;
	p->size_bytes = frame->size_bytes;
	frame_copy_out(frame, &at, (void PV_SHARED *)p->bytes,
		       frame->size_bytes);
	return 0;
}

static void mem_flush(struct switch_port *port)
{
	container_of(port, struct mem_port, port)->nr_flushed++;
}

static const struct switch_port_ops mem_ops = {
	.deliver = mem_deliver,
	.flush = mem_flush,
};

#define NR_PORTS 4

static struct vswitch *sw;
static struct mem_port ports[NR_PORTS];

/* Port 0 is the uplink; the others have the address of their number pinned. */
static void setup(void)
{
	memset(ports, 0, sizeof(ports));
	if (switch_open(&sw))
		sw = NULL;
	for (unsigned i = 0; i < NR_PORTS; i++) {
		ports[i].port.ops = &mem_ops;
		ports[i].port.uplink = i == 0;
		if (i) {
			ports[i].port.mac[0] = 2;
			ports[i].port.mac[5] = (uint8_t)i;
		}
		switch_add(sw, &ports[i].port);
	}
}

static void teardown(void)
{
	for (unsigned i = 0; i < NR_PORTS; i++)
		switch_remove(&ports[i].port);
	switch_close(sw);
}

static void mac(uint8_t out[6], unsigned kind, unsigned nr)
{
	out[0] = 2;
	out[1] = (uint8_t)kind;
	out[2] = 0;
	out[3] = (uint8_t)(nr >> 16);
	out[4] = (uint8_t)(nr >> 8);
	out[5] = (uint8_t)nr;
}

static void send_from(unsigned port, const uint8_t dst[6], const uint8_t src[6],
		      uint64_t now_ns)
{
	struct frame frame = { .head_bytes = 60, .size_bytes = 60 };

	memcpy(frame.head, dst, 6);
	memcpy(frame.head + 6, src, 6);
	switch_forward(&ports[port].port, &frame, now_ns);
}

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static bool got(unsigned a, unsigned b, unsigned c, unsigned d)
{
	bool ok = ports[0].nr == a && ports[1].nr == b && ports[2].nr == c &&
		  ports[3].nr == d;

	for (unsigned i = 0; i < NR_PORTS; i++)
		ports[i].nr = 0;
	return ok;
}

static void sends_to_a_pinned_address_at_once(void)
{
	uint8_t one[6], two[6];

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	send_from(1, two, one, 0);
	UNIT_CHECK(got(0, 0, 1, 0));
	send_from(0, two, one, 0);
	UNIT_CHECK(got(0, 0, 1, 0));
	teardown();
}

static void floods_what_it_does_not_know(void)
{
	uint8_t one[6], stranger[6];

	setup();
	mac(one, 0, 1);
	mac(stranger, 9, 9);
	send_from(1, stranger, one, 0);
	UNIT_CHECK(got(1, 0, 1, 1));
	teardown();
}

static void floods_broadcast_and_multicast_but_not_back(void)
{
	static const uint8_t group[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	uint8_t one[6];

	setup();
	mac(one, 0, 1);
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(got(1, 0, 1, 1));
	send_from(0, group, one, 0);
	UNIT_CHECK(got(0, 1, 1, 1));
	teardown();
}

static void learns_and_follows_an_address_that_moves(void)
{
	uint8_t one[6], guest[6];

	setup();
	mac(one, 0, 1);
	mac(guest, 5, 5);
	send_from(2, broadcast, guest, 1);
	got(0, 0, 0, 0);
	send_from(1, guest, one, 2);
	UNIT_CHECK(got(0, 0, 1, 0));
	send_from(3, broadcast, guest, 3);
	got(0, 0, 0, 0);
	send_from(1, guest, one, 4);
	UNIT_CHECK(got(0, 0, 0, 1));
	UNIT_CHECK(ports[2].port.nr_learned == 0);
	UNIT_CHECK(ports[3].port.nr_learned == 1);
	teardown();
}

static void does_not_send_a_frame_back_where_it_came_from(void)
{
	uint8_t a[6], b[6];

	setup();
	mac(a, 5, 1);
	mac(b, 5, 2);
	send_from(0, broadcast, a, 0);
	got(0, 0, 0, 0);
	send_from(0, a, b, 0);
	UNIT_CHECK(got(0, 0, 0, 0));
	teardown();
}

static void forgets_an_address_after_its_time(void)
{
	uint8_t one[6], guest[6];

	setup();
	mac(one, 0, 1);
	mac(guest, 5, 5);
	send_from(2, broadcast, guest, 100);
	UNIT_CHECK(switch_lookup(sw, 0, guest, 99 + SWITCH_AGE_NS) ==
		   &ports[2].port);
	UNIT_CHECK(!switch_lookup(sw, 0, guest, 100 + SWITCH_AGE_NS));
	UNIT_CHECK(ports[2].port.nr_learned == 0);
	/* Hearing it again makes it young again. */
	send_from(2, broadcast, guest, 200);
	send_from(2, broadcast, guest, 300);
	UNIT_CHECK(switch_lookup(sw, 0, guest, 250 + SWITCH_AGE_NS) ==
		   &ports[2].port);
	teardown();
}

static void lets_nobody_take_a_pinned_address(void)
{
	uint8_t one[6], two[6];

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	send_from(3, broadcast, two, 0);
	send_from(0, broadcast, two, 0);
	UNIT_CHECK(switch_lookup(sw, 0, two, 1) == &ports[2].port);
	UNIT_CHECK(ports[3].port.nr_learned == 0);
	teardown();
}

static void lets_no_guest_fill_the_table(void)
{
	uint8_t src[6], known[6];

	setup();
	mac(known, 7, 7);
	send_from(2, broadcast, known, 0);
	for (unsigned i = 0; i < 100000; i++) {
		mac(src, 6, i);
		send_from(1, broadcast, src, 1);
	}
	UNIT_CHECK(ports[1].port.nr_learned <= SWITCH_LEARNED_MAX);
	UNIT_CHECK(ports[1].port.nr_learned > 0);
	teardown();
}

static void an_uplink_may_have_many_addresses_within_the_table(void)
{
	uint8_t src[6];
	unsigned known = 0;

	setup();
	for (unsigned i = 0; i < 5000; i++) {
		mac(src, 6, i);
		send_from(0, broadcast, src, i);
	}
	for (unsigned i = 0; i < 5000; i++) {
		mac(src, 6, i);
		known += switch_lookup(sw, 0, src, 5000) != NULL;
	}
	UNIT_CHECK(known == ports[0].port.nr_learned);
	UNIT_CHECK(known > SWITCH_LEARNED_MAX && known <= 1024);
	/* The last one heard is there. */
	UNIT_CHECK(switch_lookup(sw, 0, src, 5000) == &ports[0].port);
	teardown();
}

static void drops_sources_and_destinations_that_cannot_be(void)
{
	static const uint8_t zero[6];
	static const uint8_t bpdu[6] = { 1, 0x80, 0xc2, 0, 0, 0 };
	static const uint8_t not_local[6] = { 1, 0x80, 0xc2, 0, 0, 0x10 };
	uint8_t one[6];

	setup();
	mac(one, 0, 1);
	send_from(1, one, broadcast, 0);
	send_from(1, one, zero, 0);
	send_from(1, zero, one, 0);
	send_from(1, bpdu, one, 0);
	UNIT_CHECK(got(0, 0, 0, 0));
	UNIT_CHECK(switch_stats(sw).nr_dropped == 4);
	send_from(1, not_local, one, 0);
	UNIT_CHECK(got(1, 0, 1, 1));
	teardown();
}

static void flushes_each_port_that_got_something_once(void)
{
	uint8_t one[6], two[6];

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	ports[3].result = -ENOBUFS;
	send_from(1, two, one, 0);
	send_from(1, two, one, 0);
	send_from(1, broadcast, one, 0);
	switch_flush(sw);
	switch_flush(sw);
	UNIT_CHECK(ports[0].nr_flushed == 1 && ports[1].nr_flushed == 0 &&
		   ports[2].nr_flushed == 1 && ports[3].nr_flushed == 0);
	teardown();
}

static void survives_a_port_that_breaks_while_it_takes_a_frame(void)
{
	uint8_t one[6];

	setup();
	mac(one, 0, 1);
	ports[2].leaves = true;
	ports[2].result = -EPROTO;
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(got(1, 0, 0, 1));
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(got(1, 0, 0, 1));
	teardown();
}

static void forgets_the_addresses_of_a_port_that_left(void)
{
	uint8_t one[6], guest[6];

	setup();
	mac(one, 0, 1);
	mac(guest, 5, 5);
	send_from(2, broadcast, guest, 0);
	switch_remove(&ports[2].port);
	UNIT_CHECK(!switch_lookup(sw, 0, guest, 1));
	got(0, 0, 0, 0);
	send_from(1, guest, one, 1);
	UNIT_CHECK(got(1, 0, 0, 1));
	teardown();
}

/* A frame with a tag, from port; the VLAN it had where it arrived is read by
 * tag_at. */
static void send_tagged(unsigned port, const uint8_t dst[6],
			const uint8_t src[6], unsigned vlan)
{
	struct frame frame = { .head_bytes = 64, .size_bytes = 64 };

	memcpy(frame.head, dst, 6);
	memcpy(frame.head + 6, src, 6);
	memcpy(frame.head + 12,
	       (uint8_t[6]){ 0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan, 8,
			     0 },
	       6);
	switch_forward(&ports[port].port, &frame, 0);
}

static int tag_at(unsigned port)
{
	const uint8_t *b = ports[port].bytes;

	return b[12] == 0x81 && !b[13] ? (b[14] << 8 | b[15]) : -1;
}

static void give_vlans(unsigned port, const char *native, const char *trunk)
{
	struct switch_rules rules = { 0 };

	UNIT_CHECK(vlan_parse(native, trunk, &rules.vlans) == 0);
	switch_set_rules(&ports[port].port, &rules, 0);
}

static void tags_frames_of_an_access_port_towards_the_uplink(void)
{
	uint8_t one[6], two[6], out[6];

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	mac(out, 9, 9);
	give_vlans(1, "100", "");
	give_vlans(2, "100", "");
	give_vlans(3, "200", "");
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(tag_at(0) == 100 && ports[0].size_bytes == 64);
	UNIT_CHECK(tag_at(2) == -1 && ports[2].size_bytes == 60);
	UNIT_CHECK(got(1, 0, 1, 0));
	send_tagged(0, broadcast, out, 100);
	UNIT_CHECK(tag_at(1) == -1 && ports[1].size_bytes == 60);
	UNIT_CHECK(got(0, 1, 1, 0));
	send_tagged(0, one, out, 200);
	UNIT_CHECK(got(0, 0, 0, 1));
	teardown();
}

static void lets_no_access_port_choose_its_vlan(void)
{
	uint8_t one[6];

	setup();
	mac(one, 0, 1);
	give_vlans(1, "100", "");
	send_tagged(1, broadcast, one, 200);
	send_tagged(1, broadcast, one, 100);
	UNIT_CHECK(got(0, 0, 0, 0));
	UNIT_CHECK(ports[1].port.drops[SWITCH_DROP_VLAN] == 2);
	UNIT_CHECK(!strcmp(switch_drop_name(SWITCH_DROP_VLAN), "vlan"));
	teardown();
}

static void passes_a_trunks_vlans_only(void)
{
	uint8_t one[6];

	setup();
	mac(one, 0, 1);
	give_vlans(1, "", "10/20");
	give_vlans(2, "20", "");
	send_tagged(1, broadcast, one, 20);
	UNIT_CHECK(tag_at(0) == 20 && tag_at(2) == -1 && tag_at(3) == 20);
	UNIT_CHECK(got(1, 0, 1, 1));
	send_tagged(1, broadcast, one, 30);
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(got(0, 0, 0, 0));
	UNIT_CHECK(ports[1].port.drops[SWITCH_DROP_VLAN] == 2);
	teardown();
}

static void moves_a_blank_checksum_with_the_tag(void)
{
	struct frame frame = { .head_bytes = 256, .size_bytes = 256 };
	uint16_t vlan;

	frame.meta.csum_blank = true;
	frame.layout = (struct packet_layout){
		.l3 = 14, .l4 = 34, .payload = 54, .csum = 50
	};
	UNIT_CHECK(tag_push(&frame, 7));
	UNIT_CHECK(tag_read(&frame, &vlan) == TAG_VLAN && vlan == 7);
	UNIT_CHECK(frame.layout.l3 == 18 && frame.layout.l4 == 38 &&
		   frame.layout.payload == 58 && frame.layout.csum == 54);
	tag_pop(&frame);
	UNIT_CHECK(frame.layout.csum == 50 && frame.size_bytes == 256);
	frame.size_bytes = NIC_FRAME_MAX - 3;
	UNIT_CHECK(!tag_push(&frame, 7));
}

static void keeps_isolated_ports_apart(void)
{
	static const struct switch_rules isolated = { .isolated = true };
	uint8_t one[6], two[6], three[6];

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	mac(three, 0, 3);
	switch_set_rules(&ports[1].port, &isolated, 0);
	switch_set_rules(&ports[2].port, &isolated, 0);
	send_from(1, broadcast, one, 0);
	UNIT_CHECK(got(1, 0, 0, 1));
	send_from(1, two, one, 0);
	UNIT_CHECK(got(0, 0, 0, 0));
	UNIT_CHECK(ports[1].port.drops[SWITCH_DROP_ISOLATED] == 1);
	send_from(1, three, one, 0);
	send_from(3, two, three, 0);
	UNIT_CHECK(got(0, 0, 1, 1));
	teardown();
}

static void limits_storms_and_nothing_else(void)
{
	static const struct switch_rules rules = { .storm_per_s = 100 };
	static const uint64_t second = 1000000000;
	uint8_t one[6], two[6];
	unsigned nr;

	setup();
	mac(one, 0, 1);
	mac(two, 0, 2);
	switch_set_rules(&ports[1].port, &rules, 0);
	for (unsigned i = 0; i < 5000; i++) {
		send_from(1, broadcast, one, second + i * second / 1000);
		send_from(1, two, one, second + i * second / 1000);
	}
	/* What a quarter of a second had saved, and five seconds' worth. */
	nr = ports[3].nr;
	UNIT_CHECK(nr >= 25 + 499 && nr <= 25 + 500);
	UNIT_CHECK(ports[2].nr == nr + 5000);
	UNIT_CHECK(ports[1].port.drops[SWITCH_DROP_STORM] == 5000 - nr);
	teardown();
}

/* Every way to cut a frame into parts gives the same bytes. */
static void copies_frames_whole_however_they_are_cut(void)
{
	uint8_t data[1500], out[1500];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	for (unsigned cut = 1; cut < sizeof(data); cut += 13) {
		struct frame f = { .size_bytes = sizeof(data), .nr_parts = 2 };
		struct frame_cursor at = { 0 };

		f.parts[0].base = (const void PV_SHARED *)data;
		f.parts[0].size_bytes = cut;
		f.parts[1].base = (const void PV_SHARED *)(data + cut);
		f.parts[1].size_bytes = (uint32_t)sizeof(data) - cut;
		frame_snapshot_head(&f);
		UNIT_REQUIRE(f.head_bytes == PACKET_HEAD_MAX);
		memset(out, 0, sizeof(out));
		for (unsigned n = 0; n < sizeof(out);) {
			unsigned step = 1 + (n * 31 + cut) % 97;

			if (step > sizeof(out) - n)
				step = (unsigned)sizeof(out) - n;
			frame_copy_out(&f, &at, (void PV_SHARED *)(out + n),
				       step);
			n += step;
		}
		UNIT_REQUIRE(!memcmp(out, data, sizeof(data)));
	}
}

UNIT_MAIN("net_switch", UNIT_TEST(sends_to_a_pinned_address_at_once),
	  UNIT_TEST(floods_what_it_does_not_know),
	  UNIT_TEST(floods_broadcast_and_multicast_but_not_back),
	  UNIT_TEST(learns_and_follows_an_address_that_moves),
	  UNIT_TEST(does_not_send_a_frame_back_where_it_came_from),
	  UNIT_TEST(forgets_an_address_after_its_time),
	  UNIT_TEST(lets_nobody_take_a_pinned_address),
	  UNIT_TEST(lets_no_guest_fill_the_table),
	  UNIT_TEST(an_uplink_may_have_many_addresses_within_the_table),
	  UNIT_TEST(drops_sources_and_destinations_that_cannot_be),
	  UNIT_TEST(flushes_each_port_that_got_something_once),
	  UNIT_TEST(survives_a_port_that_breaks_while_it_takes_a_frame),
	  UNIT_TEST(forgets_the_addresses_of_a_port_that_left),
	  UNIT_TEST(tags_frames_of_an_access_port_towards_the_uplink),
	  UNIT_TEST(lets_no_access_port_choose_its_vlan),
	  UNIT_TEST(passes_a_trunks_vlans_only),
	  UNIT_TEST(moves_a_blank_checksum_with_the_tag),
	  UNIT_TEST(keeps_isolated_ports_apart),
	  UNIT_TEST(limits_storms_and_nothing_else),
	  UNIT_TEST(copies_frames_whole_however_they_are_cut))
