/* SPDX-License-Identifier: MIT */
/*
 * nic_af_packet.c - the packet socket driver: the conformance suite on one end
 * of a veth pair, and what is its own. Frames that no kernel sends come from a
 * socket in place of the packet socket.
 */
#include "tests/unit/nic_suite.h"

static void make(void)
{
	make_veth("up0", "far0");
}

static const char *far_name(void)
{
	return "far0";
}

static void make_socket(void)
{
	make_wire("af_packet");
}

static const char *const interfaces[] = { "up0", NULL };
static const struct nic_way way = {
	.driver = "af_packet",
	.name = "up0",
	.make = make,
	.far = far_name,
	.wire = "up0",
	.interfaces = interfaces,
	.nr_queues = 1,
	.gso = true,
	.make_narrow = make_socket,
};

/* ---- the interface ------------------------------------------------------- */

static int refused(const char *name, const char *hint)
{
	const struct nic_ops *ops = nic_by_name("af_packet");
	const struct nic_request req = { .name = name, .nr_queues = 1 };
	unsigned nr_fds = count_fds();
	struct nic_desc d;
	int fds[NIC_FDS_MAX];
	char why[256] = "";
	int err = ops->acquire(&req, &d, fds, why, sizeof(why));

	UNIT_CHECK(strstr(why, name) && strstr(why, hint));
	UNIT_CHECK(!strchr(why, '\n'));
	UNIT_CHECK(count_fds() == nr_fds);
	return err;
}

static void refuses_interfaces_it_cannot_use(void)
{
	make();
	link_set_up("up0", false);
	UNIT_CHECK(refused("nobody0", "No such device") == -ENODEV);
	UNIT_CHECK(refused("up0", "is down") == -ENETDOWN);
	UNIT_CHECK(refused("lo", "not Ethernet") == -EINVAL);
	link_delete("up0");
}

static uint32_t promiscuity(const char *ifname)
{
	struct nl_sock *sock = route();
	struct rtnl_link *link;
	uint32_t n;

	must(!rtnl_link_get_kernel(sock, 0, ifname, &link), ifname);
	n = rtnl_link_get_promiscuity(link);
	rtnl_link_put(link);
	nl_socket_free(sock);
	return n;
}

static void hears_everybody_for_as_long_as_it_is_open(void)
{
	UNIT_REQUIRE(begin());
	UNIT_CHECK(promiscuity("up0") == 1);
	nic->ops->close(nic);
	nic = NULL;
	UNIT_CHECK(promiscuity("up0") == 0);
	end();
}

/* What goes out of the interface past us, from the host itself. */
static void does_not_show_what_the_host_sends(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	UNIT_REQUIRE(begin());
	at.sll_ifindex = (int)if_nametoindex("up0");
	must(!bind(fd, (struct sockaddr *)&at, sizeof(at)), "up0");
	plain_frame(sent, 100, true, 1);
	must(write(fd, sent, 100) == 100, "a frame of the host's");
	UNIT_CHECK(far_got(sent, 100));
	UNIT_CHECK(nic->ops->recv(nic, 0, burst, NIC_BURST_MAX) == 0);
	close(fd);
	end();
}

/* ---- frames -------------------------------------------------------------- */

/* In front of what is at buf, of size_bytes, as VLAN 100 with priority 5. */
static uint32_t put_tag(uint8_t *buf, uint32_t size_bytes)
{
	memmove(buf + 16, buf + 12, size_bytes - 12);
	put_be16(buf + 12, ETH_P_8021Q);
	put_be16(buf + 14, 5u << 13 | 100);
	return size_bytes + 4;
}

static void keeps_tags(void)
{
	const struct packet_meta none = { 0 };
	uint32_t size;

	UNIT_REQUIRE(begin());
	plain_frame(sent, 100, true, 1);
	size = put_tag(sent, 100);
	UNIT_CHECK(near_send(0, sent, size, none) == 0);
	/* Where the kernel takes it out for the other end, too. */
	plain_frame(sent, 100, true, 1);
	UNIT_CHECK(far_got(sent, 100) || far_got(sent, size));
	plain_frame(sent, 100, false, 2);
	size = put_tag(sent, 100);
	far_send(sent, size, NULL);
	UNIT_CHECK(near_got(sent, size));
	/* And the next one has none. */
	plain_frame(sent, 100, false, 3);
	far_send(sent, 100, NULL);
	UNIT_CHECK(near_got(sent, 100));
	end();
}

/* A tag, segments, a blank checksum and congestion, all in one frame. */
static void keeps_tags_of_segmented_frames(void)
{
	struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		.gso_size = MSS,
		.hdr_len = HEADERS_V4 + 4,
		.csum_start = TCP_AT(false) + 4,
		.csum_offset = 16,
	};
	uint32_t size = tcp_frame(sent, false, DATA_BYTES, false);
	const struct nic_frame *f;

	UNIT_REQUIRE(begin());
	blank_csum(sent, false, size);
	size = put_tag(sent, size);
	far_send(sent, size, &hdr);
	f = near_next(NIC_BURST_MAX, PATIENCE_MS);
	UNIT_REQUIRE(f && f->size_bytes == size);
	UNIT_CHECK(!memcmp(f->data, sent, size));
	UNIT_CHECK(f->meta.gso == PACKET_GSO_TCPV4 && f->meta.gso_size == MSS &&
		   f->meta.csum_blank);
	end();
}

static void takes_bursts_of_large_and_small_frames(void)
{
	uint32_t size = tcp_frame(sent, false, DATA_BYTES, false);
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = MSS,
		.hdr_len = HEADERS_V4,
		.csum_start = TCP_AT(false),
		.csum_offset = 16,
	};

	UNIT_REQUIRE(begin());
	blank_csum(sent, false, size);
	for (unsigned i = 0; i < 100; i++)
		far_send(sent, i < 30 || i >= 60 ? size : 60,
			 i < 30 || i >= 60 ? &hdr : NULL);
	for (unsigned i = 0; i < 100; i++) {
		const struct nic_frame *f =
			near_next(NIC_BURST_MAX, PATIENCE_MS);

		UNIT_REQUIRE(f != NULL);
		UNIT_CHECK(f->size_bytes == (i < 30 || i >= 60 ? size : 60));
		UNIT_CHECK(!memcmp(f->data, sent, f->size_bytes));
	}
	UNIT_CHECK(nic->nr_alien == 0);
	end();
}

static void skips_and_counts_what_no_guest_can_be_given(void)
{
	static uint8_t slot[sizeof(struct virtio_net_hdr) + NIC_FRAME_MAX + 1];
	struct virtio_net_hdr hdr = { .gso_type = VIRTIO_NET_HDR_GSO_UDP };
	static const size_t sizes[] = { sizeof(hdr), 3, sizeof(hdr) + 13,
					sizeof(slot) };

	make_socket();
	plain_frame(slot + sizeof(hdr), NIC_FRAME_MAX + 1, false, 5);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		must(write(far_fd, slot, sizes[i]) > 0, "a bad one");
	memcpy(slot, &hdr, sizeof(hdr));
	must(write(far_fd, slot, 100) == 100, "an unknown one");
	memset(slot, 0, sizeof(hdr));
	must(write(far_fd, slot, sizeof(slot) - 1) > 0, "the largest");
	plain_frame(sent, NIC_FRAME_MAX, false, 5);
	UNIT_CHECK(near_got(sent, NIC_FRAME_MAX));
	UNIT_CHECK(nic->nr_alien == 5);
	end();
}

static void refuses_descriptions_that_cannot_be(void)
{
	const struct nic_ops *ops = nic_by_name("af_packet");
	struct nic_desc d = { .driver = "af_packet", .nr_fds = 1 };
	int fds[NIC_FDS_MAX] = { -1, -1, -1, -1 };
	struct nic *ret;

	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
	d.nr_queues = d.nr_fds = 2;
	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
}

NIC_SUITE_MAIN("nic_af_packet", UNIT_TEST(refuses_interfaces_it_cannot_use),
	       UNIT_TEST(hears_everybody_for_as_long_as_it_is_open),
	       UNIT_TEST(does_not_show_what_the_host_sends),
	       UNIT_TEST(keeps_tags), UNIT_TEST(keeps_tags_of_segmented_frames),
	       UNIT_TEST(takes_bursts_of_large_and_small_frames),
	       UNIT_TEST(skips_and_counts_what_no_guest_can_be_given),
	       UNIT_TEST(refuses_descriptions_that_cannot_be))
