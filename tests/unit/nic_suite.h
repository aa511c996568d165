/* SPDX-License-Identifier: MIT */
/*
 * nic_suite.h - the conformance suite of netback/nic.h. A driver's program says
 * how it is reached (nic_rig.h) and runs all of NIC_SUITE beside its own tests.
 */
#ifndef TESTS_UNIT_NIC_SUITE_H
#define TESTS_UNIT_NIC_SUITE_H

#include "tests/unit/nic_rig.h"

#define BURSTS	   20u
#define DATA_BYTES 60000u
#define MSS	   1428u /* IPv6, too, fits the MTU */

static uint8_t sent[NIC_FRAME_MAX], got[NIC_FRAME_MAX + 64];

static inline bool begin(void)
{
	return begin_queues(1);
}

static inline bool near_got(const uint8_t *bytes, uint32_t size_bytes)
{
	const struct nic_frame *f = near_next(NIC_BURST_MAX, PATIENCE_MS);

	return f && f->size_bytes == size_bytes &&
	       f->meta.gso == PACKET_GSO_NONE &&
	       !memcmp(f->data, bytes, size_bytes);
}

static inline bool far_got(const uint8_t *bytes, uint32_t size_bytes)
{
	struct virtio_net_hdr hdr;
	uint32_t n = far_receive(got, sizeof(got), &hdr, PATIENCE_MS);

	return n == size_bytes && !memcmp(got, bytes, size_bytes);
}

/* ---- plain frames -------------------------------------------------------- */

static void sends_frames_of_every_size(void)
{
	const struct packet_meta none = { 0 };
	uint32_t size, seen = PACKET_ETH_BYTES;

	UNIT_REQUIRE(begin());
	for (size = PACKET_ETH_BYTES; size <= PACKET_ETH_BYTES + MTU;) {
		uint32_t end = size + NIC_BURST_MAX;

		for (; size < end && size <= PACKET_ETH_BYTES + MTU; size++) {
			plain_frame(sent, size, true, size);
			UNIT_CHECK(near_send(0, sent, size, none) == 0);
		}
		UNIT_CHECK(nic->ops->flush(nic) == 0);
		for (; seen < size; seen++) {
			plain_frame(sent, seen, true, seen);
			UNIT_REQUIRE(far_got(sent, seen));
		}
	}
	end();
}

static void receives_frames_of_every_size(void)
{
	uint32_t size, seen = PACKET_ETH_BYTES;

	UNIT_REQUIRE(begin());
	for (size = PACKET_ETH_BYTES; size <= PACKET_ETH_BYTES + MTU;) {
		uint32_t end = size + NIC_BURST_MAX;

		for (; size < end && size <= PACKET_ETH_BYTES + MTU; size++) {
			plain_frame(sent, size, false, size);
			far_send(sent, size, NULL);
		}
		for (; seen < size; seen++) {
			plain_frame(sent, seen, false, seen);
			UNIT_REQUIRE(near_got(sent, seen));
		}
	}
	UNIT_CHECK(nic->nr_alien == 0);
	end();
}

/* Bursts of every length, more than the other side takes at once. */
static void keeps_the_order_of_frames(void)
{
	const struct packet_meta none = { 0 };
	unsigned size = 100;

	UNIT_REQUIRE(begin());
	for (uint32_t b = 1; b <= BURSTS; b++) {
		uint32_t nr = b * 5;

		for (uint32_t i = 0; i < nr; i++) {
			plain_frame(sent, size, true, b * 1000 + i);
			UNIT_CHECK(near_send(0, sent, size, none) == 0);
			plain_frame(sent, size, false, b * 1000 + i);
			far_send(sent, size, NULL);
		}
		UNIT_CHECK(nic->ops->flush(nic) == 0);
		for (uint32_t i = 0; i < nr; i++) {
			const struct nic_frame *f;

			plain_frame(sent, size, true, b * 1000 + i);
			UNIT_REQUIRE(far_got(sent, size));
			plain_frame(sent, size, false, b * 1000 + i);
			f = near_next(1 + b % NIC_BURST_MAX, PATIENCE_MS);
			UNIT_REQUIRE(f && !memcmp(f->data, sent, size));
		}
	}
	end();
}

/* What one recv returned stays as it is, whatever comes meanwhile. */
static void leaves_a_burst_alone_until_the_next(void)
{
	struct nic_frame frames[NIC_BURST_MAX];
	uint32_t size = 200;
	int n = 0;

	UNIT_REQUIRE(begin());
	for (uint32_t i = 0; i < 8; i++) {
		plain_frame(sent, size, false, i);
		far_send(sent, size, NULL);
	}
	while (n == 0 && near_wait(PATIENCE_MS))
		n = nic->ops->recv(nic, 0, frames, NIC_BURST_MAX);
	UNIT_CHECK(n >= 1 && n <= 8);
	for (uint32_t i = 0; i < 100; i++) {
		plain_frame(sent, size, false, 100 + i);
		far_send(sent, size, NULL);
	}
	for (int i = 0; i < n; i++) {
		plain_frame(sent, size, false, (uint32_t)i);
		UNIT_CHECK(!memcmp(frames[i].data, sent, size));
	}
	end();
}

/* ---- what is left to the receiver ---------------------------------------- */

/* Adds one frame's data to the stream; false: it does not belong there. */
static inline bool collect(const uint8_t *frame, uint32_t size_bytes, bool ipv6,
			   uint32_t *next)
{
	uint32_t seq, data_bytes;

	if (size_bytes <= HEADERS(ipv6))
		return false;
	seq = get_be32(frame + TCP_AT(ipv6) + 4) - TCP_FIRST_SEQ;
	data_bytes = size_bytes - HEADERS(ipv6);
	if (seq != *next || data_bytes > DATA_BYTES - seq)
		return false;
	for (uint32_t i = 0; i < data_bytes; i++)
		if (frame[HEADERS(ipv6) + i] != pattern(0, seq + i))
			return false;
	*next += data_bytes;
	return true;
}

/* Segments as they arrive: with whole checksums, or one that says how. */
static inline bool whole(const uint8_t *frame, uint32_t size_bytes, bool ipv6,
			 bool blank)
{
	uint16_t was, is;

	memcpy(&was, frame + TCP_SUM(ipv6), sizeof(was));
	memcpy(got, frame, size_bytes);
	if (packet_fill_csum(got, size_bytes))
		return false;
	memcpy(&is, got + TCP_SUM(ipv6), sizeof(is));
	return blank || was == is;
}

static inline void send_segmented(bool ipv6)
{
	struct packet_meta meta = {
		.csum_blank = true,
		.gso = ipv6 ? PACKET_GSO_TCPV6 : PACKET_GSO_TCPV4,
		.gso_size = MSS,
	};
	uint32_t size, n, nr = 0, next = 0;
	static uint8_t in[sizeof(got)];
	struct virtio_net_hdr hdr;

	size = tcp_frame(sent, ipv6, DATA_BYTES, true);
	blank_csum(sent, ipv6, size);
	UNIT_REQUIRE(near_send(0, sent, size, meta) == 0);
	UNIT_REQUIRE(nic->ops->flush(nic) == 0);
	while (next < DATA_BYTES) {
		n = far_receive(in, sizeof(in), &hdr, PATIENCE_MS);
		UNIT_REQUIRE(n && collect(in, n, ipv6, &next));
		UNIT_CHECK(n <= HEADERS(ipv6) + MSS ||
			   (hdr.gso_type == (ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
						  : VIRTIO_NET_HDR_GSO_TCPV4) &&
			    hdr.gso_size == MSS));
		UNIT_CHECK(whole(in, n, ipv6,
				 hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
		nr++;
	}
	UNIT_CHECK(!way.gso || nr == 1);
}

static void sends_segmented_frames(void)
{
	UNIT_REQUIRE(begin());
	send_segmented(false);
	send_segmented(true);
	end();
}

static inline void far_send_blank(bool ipv6, uint32_t data_bytes, bool gso)
{
	struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = (uint16_t)HEADERS(ipv6),
		.csum_start = (uint16_t)TCP_AT(ipv6),
		.csum_offset = 16,
	};
	uint32_t size = tcp_frame(sent, ipv6, data_bytes, false);

	if (gso) {
		hdr.gso_type = ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
				    : VIRTIO_NET_HDR_GSO_TCPV4;
		hdr.gso_size = MSS;
	}
	blank_csum(sent, ipv6, size);
	far_send(sent, size, &hdr);
}

static inline void receive_segmented(bool ipv6)
{
	uint32_t nr = 0, next = 0;

	far_send_blank(ipv6, DATA_BYTES, true);
	while (next < DATA_BYTES) {
		const struct nic_frame *f =
			near_next(NIC_BURST_MAX, PATIENCE_MS);

		UNIT_REQUIRE(f && collect(f->data, f->size_bytes, ipv6, &next));
		UNIT_CHECK(f->size_bytes <= HEADERS(ipv6) + MSS ||
			   (f->meta.gso == (ipv6 ? PACKET_GSO_TCPV6
						 : PACKET_GSO_TCPV4) &&
			    f->meta.gso_size == MSS));
		UNIT_CHECK(whole(f->data, f->size_bytes, ipv6,
				 f->meta.csum_blank));
		nr++;
	}
	UNIT_CHECK(!way.gso || nr == 1);
}

static void receives_segmented_frames(void)
{
	UNIT_REQUIRE(begin());
	receive_segmented(false);
	receive_segmented(true);
	end();
}

static inline void send_blank(bool ipv6)
{
	const struct packet_meta meta = { .csum_blank = true };
	struct virtio_net_hdr hdr;
	uint32_t n, size = tcp_frame(sent, ipv6, 333, true);
	static uint8_t in[sizeof(got)];

	blank_csum(sent, ipv6, size);
	UNIT_REQUIRE(near_send(0, sent, size, meta) == 0);
	UNIT_REQUIRE(nic->ops->flush(nic) == 0);
	n = far_receive(in, sizeof(in), &hdr, PATIENCE_MS);
	UNIT_REQUIRE(n == size);
	if (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		UNIT_CHECK(hdr.csum_start == TCP_AT(ipv6) &&
			   hdr.csum_offset == 16);
	UNIT_CHECK(whole(in, n, ipv6, hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
}

static inline void receive_blank(bool ipv6)
{
	const struct nic_frame *f;

	far_send_blank(ipv6, 333, false);
	f = near_next(NIC_BURST_MAX, PATIENCE_MS);
	UNIT_REQUIRE(f && f->size_bytes == HEADERS(ipv6) + 333);
	UNIT_CHECK(f->meta.gso == PACKET_GSO_NONE);
	UNIT_CHECK(whole(f->data, f->size_bytes, ipv6, f->meta.csum_blank));
}

static void carries_blank_checksums(void)
{
	UNIT_REQUIRE(begin());
	send_blank(false);
	send_blank(true);
	receive_blank(false);
	receive_blank(true);
	end();
}

/* ---- room, links, ends --------------------------------------------------- */

static void says_that_it_is_full_and_goes_on(void)
{
	const struct packet_meta none = { 0 };
	unsigned nr = 0;
	int err;

	if (way.make_narrow)
		way.make_narrow();
	else
		UNIT_REQUIRE(begin());
	plain_frame(sent, 1000, true, 1);
	while (!(err = near_send(0, sent, 1000, none)) && nr < 1u << 16)
		nr++;
	UNIT_CHECK(err == -EAGAIN && nr > 0);
	UNIT_CHECK(nic->ops->flush(nic) == 0);
	while (nr--)
		UNIT_REQUIRE(far_got(sent, 1000));
	UNIT_CHECK(near_send(0, sent, 1000, none) == 0);
	UNIT_CHECK(nic->ops->flush(nic) == 0);
	UNIT_CHECK(far_got(sent, 1000));
	end();
}

static void tells_its_link_and_lives_through_a_change(void)
{
	const struct packet_meta none = { 0 };
	struct nic_link link = { 0 };
	int err;

	UNIT_REQUIRE(begin());
	UNIT_CHECK(nic->ops->link(nic, &link) == 0);
	UNIT_CHECK(link.up && link.mtu == desc.mtu && link.mtu == MTU);
	link_set_up(way.wire, false);
	UNIT_CHECK(nic->ops->link(nic, &link) == 0 && !link.up);
	plain_frame(sent, 100, true, 7);
	err = near_send(0, sent, 100, none);
	UNIT_CHECK(err == 0 || err == -ENETDOWN);
	nic->ops->flush(nic);
	UNIT_CHECK(!near_next(NIC_BURST_MAX, QUIET_MS) && burst_nr == 0);
	link_set_up(way.wire, true);
	UNIT_CHECK(nic->ops->link(nic, &link) == 0 && link.up);
	while (far_receive(got, sizeof(got), &(struct virtio_net_hdr){ 0 },
			   QUIET_MS))
		;
	plain_frame(sent, 100, true, 8);
	UNIT_CHECK(near_send(0, sent, 100, none) == 0);
	UNIT_CHECK(nic->ops->flush(nic) == 0);
	UNIT_CHECK(far_got(sent, 100));
	plain_frame(sent, 100, false, 9);
	far_send(sent, 100, NULL);
	UNIT_CHECK(near_got(sent, 100));
	end();
}

static void tells_its_mtu(void)
{
	struct nic_link link = { 0 };

	UNIT_REQUIRE(begin());
	link_set_mtu(way.wire, 1400);
	UNIT_CHECK(nic->ops->link(nic, &link) == 0 && link.mtu == 1400);
	end();
}

/* The kernel may have something to say between two looks, but not always. */
static inline bool falls_silent(void)
{
	for (unsigned i = 0; i < 20; i++) {
		near_next(NIC_BURST_MAX, 0);
		if (!near_wait(QUIET_MS))
			return true;
	}
	return false;
}

static void is_readable_only_while_frames_wait(void)
{
	UNIT_REQUIRE(begin());
	UNIT_CHECK(falls_silent());
	plain_frame(sent, 100, false, 1);
	far_send(sent, 100, NULL);
	UNIT_CHECK(near_wait(PATIENCE_MS));
	UNIT_CHECK(near_got(sent, 100));
	UNIT_CHECK(falls_silent());
	end();
}

static void serves_several_queues(void)
{
	const struct packet_meta none = { 0 };
	uint32_t nr = 200;

	UNIT_REQUIRE(begin_queues(way.nr_queues));
	UNIT_CHECK(desc.nr_queues == way.nr_queues);
	for (unsigned q = 0; q < desc.nr_queues; q++) {
		plain_frame(sent, 100, true, q);
		UNIT_CHECK(near_send(q, sent, 100, none) == 0);
		UNIT_CHECK(nic->ops->flush(nic) == 0);
		UNIT_CHECK(far_got(sent, 100));
	}
	for (uint32_t i = 0; i < nr; i++) {
		plain_frame(sent, 100, false, i);
		far_send(sent, 100, NULL);
	}
	/* The same addresses: one flow, in one queue. */
	for (uint32_t i = 0, queue = 0; i < nr; i++) {
		const struct nic_frame *f =
			near_next(NIC_BURST_MAX, PATIENCE_MS);

		plain_frame(sent, 100, false, i);
		UNIT_REQUIRE(f && !memcmp(f->data, sent, 100));
		queue = i ? queue : burst_queue;
		UNIT_CHECK(burst_queue == queue);
	}
	end();
}

/* Frames underway both ways when it is closed, and nothing is left behind. */
static void closes_with_frames_pending(void)
{
	const struct packet_meta none = { 0 };
	unsigned nr_fds = count_fds();

	for (unsigned i = 0; i < 3; i++) {
		UNIT_REQUIRE(begin_queues(1 + i % way.nr_queues));
		plain_frame(sent, 1000, true, i);
		for (unsigned k = 0; k < 50; k++)
			UNIT_CHECK(near_send(0, sent, 1000, none) == 0);
		plain_frame(sent, 1000, false, i);
		for (unsigned k = 0; k < 50; k++)
			far_send(sent, 1000, NULL);
		near_next(8, PATIENCE_MS);
		end();
		UNIT_CHECK(count_fds() == nr_fds);
	}
}

static void notices_that_the_interface_is_gone(void)
{
	struct nic_link link;
	const struct packet_meta none = { 0 };

	UNIT_REQUIRE(begin());
	plain_frame(sent, 100, true, 1);
	link_delete(desc.ifname);
	UNIT_CHECK(nic->ops->link(nic, &link) == -ENODEV);
	near_next(NIC_BURST_MAX, QUIET_MS);
	UNIT_CHECK(burst_nr < 0);
	UNIT_CHECK(near_send(0, sent, 100, none) < 0 ||
		   nic->ops->flush(nic) == 1);
	end();
}

#define NIC_SUITE                                                              \
	UNIT_TEST(sends_frames_of_every_size),                                 \
		UNIT_TEST(receives_frames_of_every_size),                      \
		UNIT_TEST(keeps_the_order_of_frames),                          \
		UNIT_TEST(leaves_a_burst_alone_until_the_next),                \
		UNIT_TEST(sends_segmented_frames),                             \
		UNIT_TEST(receives_segmented_frames),                          \
		UNIT_TEST(carries_blank_checksums),                            \
		UNIT_TEST(says_that_it_is_full_and_goes_on),                   \
		UNIT_TEST(tells_its_link_and_lives_through_a_change),          \
		UNIT_TEST(tells_its_mtu),                                      \
		UNIT_TEST(is_readable_only_while_frames_wait),                 \
		UNIT_TEST(serves_several_queues),                              \
		UNIT_TEST(closes_with_frames_pending),                         \
		UNIT_TEST(notices_that_the_interface_is_gone)

/* In main: skipped as a whole without root, or without way.family. */
#define NIC_SUITE_MAIN(name, ...)                                              \
	int main(void)                                                         \
	{                                                                      \
		static const struct unit_case cases[] = { NIC_SUITE,           \
							  __VA_ARGS__ };       \
		if (!nic_rig_begin() ||                                        \
		    (way.family && !nic_rig_has(way.family)))                  \
			return 77;                                             \
		return unit_run(name, cases,                                   \
				sizeof(cases) / sizeof(cases[0]));             \
	}

#endif /* TESTS_UNIT_NIC_SUITE_H */
