/* SPDX-License-Identifier: MIT */
/*
 * nic_tap.c - the TAP driver: the conformance suite, and what is its own.
 * Frames that no kernel sends come from a socket in place of the TAP.
 */
#include "tests/unit/nic_suite.h"

static void make(void)
{
	make_bridge("br0");
}

static const char *far_name(void)
{
	return desc.ifname;
}

static void make_socket(void)
{
	make_wire("tap");
}

static const char *const interfaces[] = { "br0", NULL };
static const struct nic_way way = {
	.driver = "tap",
	.name = "br0",
	.make = make,
	.far = far_name,
	.wire = "br0",
	.interfaces = interfaces,
	.nr_queues = NIC_QUEUES_MAX,
	.gso = true,
	.make_narrow = make_socket,
};

/* ---- the interface ------------------------------------------------------- */

static void refuses_what_is_no_bridge(void)
{
	const struct nic_ops *ops = nic_by_name("tap");
	struct nic_request req = { .name = "lo", .nr_queues = 1 };
	unsigned nr_fds = count_fds();
	struct nic_desc d;
	int fds[NIC_FDS_MAX];
	char why[256] = "";

	UNIT_CHECK(ops->acquire(&req, &d, fds, why, sizeof(why)) == -EINVAL);
	UNIT_CHECK(strstr(why, "no bridge") != NULL);
	req.name = "nobody0";
	UNIT_CHECK(ops->acquire(&req, &d, fds, why, sizeof(why)) == -ENODEV);
	UNIT_CHECK(strstr(why, "nobody0") != NULL);
	UNIT_CHECK(count_fds() == nr_fds);
}

static void is_down_when_the_tap_itself_is(void)
{
	const struct packet_meta none = { 0 };
	struct nic_link link = { 0 };

	UNIT_REQUIRE(begin());
	link_set_up(desc.ifname, false);
	UNIT_CHECK(nic->ops->link(nic, &link) == 0 && !link.up);
	plain_frame(sent, 100, true, 1);
	UNIT_CHECK(near_send(0, sent, 100, none) == -ENETDOWN);
	end();
}

static bool has_carrier(const char *ifname)
{
	struct nl_sock *sock = route();
	struct rtnl_link *link;
	bool carrier;

	must(!rtnl_link_get_kernel(sock, 0, ifname, &link), ifname);
	carrier = rtnl_link_get_carrier(link);
	rtnl_link_put(link);
	nl_socket_free(sock);
	return carrier;
}

static void shows_the_kernel_whether_anybody_is_there(void)
{
	struct nic_link link = { 0 };

	UNIT_REQUIRE(begin());
	UNIT_CHECK(has_carrier(desc.ifname));
	nic->ops->carrier(nic, false);
	UNIT_CHECK(!has_carrier(desc.ifname));
	/* Which is our own doing, and no news of the network's. */
	UNIT_CHECK(nic->ops->link(nic, &link) == 0 && link.up);
	nic->ops->carrier(nic, true);
	UNIT_CHECK(has_carrier(desc.ifname));
	end();
}

/* ---- what no kernel sends ------------------------------------------------ */

static void put(const struct virtio_net_hdr *hdr, uint32_t size_bytes)
{
	static uint8_t slot[sizeof(*hdr) + NIC_FRAME_MAX + 100];

	memcpy(slot, hdr, sizeof(*hdr));
	plain_frame(slot + sizeof(*hdr), NIC_FRAME_MAX + 100, false, 5);
	must(write(far_fd, slot, sizeof(*hdr) + size_bytes) > 0, "put");
}

static void skips_and_counts_what_no_guest_can_be_given(void)
{
	const struct virtio_net_hdr none = { 0 };
	const struct virtio_net_hdr udp = { .gso_type =
						    VIRTIO_NET_HDR_GSO_UDP };
	const struct virtio_net_hdr odd = { .gso_type = 99 };

	make_socket();
	put(&none, 0);
	put(&none, PACKET_ETH_BYTES - 1);
	put(&udp, 100);
	put(&odd, 100);
	put(&none, NIC_FRAME_MAX + 1);
	put(&none, NIC_FRAME_MAX + 100);
	must(write(far_fd, "xyz", 3) == 3, "put");
	put(&none, NIC_FRAME_MAX);
	plain_frame(sent, NIC_FRAME_MAX, false, 5);
	UNIT_CHECK(near_got(sent, NIC_FRAME_MAX));
	put(&none, PACKET_ETH_BYTES);
	UNIT_CHECK(near_got(sent, PACKET_ETH_BYTES));
	UNIT_CHECK(nic->nr_alien == 7);
	end();
}

/* One turn looks at so many, whatever they are. */
static void alien_frames_do_not_hold_it_up(void)
{
	const struct virtio_net_hdr odd = { .gso_type = 99 };
	const struct virtio_net_hdr none = { 0 };
	struct nic_frame frames[NIC_BURST_MAX];

	make_socket();
	for (unsigned i = 0; i < 10; i++)
		put(&odd, 100);
	put(&none, 100);
	UNIT_CHECK(nic->ops->recv(nic, 0, frames, 8) == 0);
	UNIT_CHECK(nic->nr_alien == 8);
	UNIT_CHECK(nic->ops->recv(nic, 0, frames, 8) == 1);
	end();
}

static void refuses_descriptions_that_cannot_be(void)
{
	const struct nic_ops *ops = nic_by_name("tap");
	struct nic_desc d = { .driver = "tap", .nr_fds = 1 };
	int fds[NIC_FDS_MAX] = { -1, -1, -1, -1 };
	struct nic *ret;

	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
	d.nr_queues = 2;
	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
	d.nr_queues = NIC_QUEUES_MAX + 1;
	d.nr_fds = NIC_QUEUES_MAX + 1;
	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
}

NIC_SUITE_MAIN("nic_tap", UNIT_TEST(refuses_what_is_no_bridge),
	       UNIT_TEST(is_down_when_the_tap_itself_is),
	       UNIT_TEST(shows_the_kernel_whether_anybody_is_there),
	       UNIT_TEST(skips_and_counts_what_no_guest_can_be_given),
	       UNIT_TEST(alien_frames_do_not_hold_it_up),
	       UNIT_TEST(refuses_descriptions_that_cannot_be))
