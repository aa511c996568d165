/* SPDX-License-Identifier: MIT */
/*
 * nic_af_xdp.c - the AF_XDP driver: the conformance suite on one end of a veth
 * pair, and what is its own.
 */
#include "tests/unit/nic_suite.h"

#include <signal.h>
#include <sys/wait.h>

#include "netback/nic/af_xdp.h"

#define DEATHS 30u

static void make(void)
{
	make_veth("up0", "far0");
}

static const char *far_name(void)
{
	return "far0";
}

static const char *const interfaces[] = { "up0", NULL };
static const struct nic_way way = {
	.driver = "af_xdp",
	.family = AF_XDP,
	.name = "up0",
	.make = make,
	.far = far_name,
	.wire = "up0",
	.interfaces = interfaces,
	.nr_queues = 1,
};

/* ---- the interface ------------------------------------------------------- */

static int refused(const char *name, const char *hint)
{
	const struct nic_ops *ops = nic_by_name("af_xdp");
	const struct nic_request req = { .name = name, .nr_queues = 1 };
	unsigned nr_fds = count_fds();
	struct nic_desc d;
	int fds[NIC_FDS_MAX];
	char why[256] = "";
	int err = ops->acquire(&req, &d, fds, why, sizeof(why));

	UNIT_CHECK(strstr(why, hint) && !strchr(why, '\n'));
	UNIT_CHECK(count_fds() == nr_fds);
	return err;
}

static void refuses_interfaces_it_cannot_use(void)
{
	UNIT_REQUIRE(begin());
	UNIT_CHECK(refused("nobody0", "No such device") == -ENODEV);
	UNIT_CHECK(refused("lo", "not Ethernet") == -EINVAL);
	UNIT_CHECK(refused("up0", "busy") == -EBUSY);
	make_veth("up1", "far1");
	link_set_mtu("up1", 9000);
	UNIT_CHECK(refused("up1", "an MTU of 9000") == -EINVAL);
	link_set_up("up1", false);
	UNIT_CHECK(refused("up1", "is down") == -ENETDOWN);
	link_delete("up1");
	end();
}

/* Does the host itself get what arrives at up0? */
static bool host_hears(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_OWN) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct pollfd some = { fd, POLLIN, 0 };
	bool hears;

	at.sll_ifindex = (int)if_nametoindex("up0");
	must(!bind(fd, (struct sockaddr *)&at, sizeof(at)), "up0");
	plain_frame(sent, 100, false, 1);
	far_send(sent, 100, NULL);
	hears = poll(&some, 1, QUIET_MS) > 0;
	close(fd);
	return hears;
}

static void takes_all_frames_for_as_long_as_it_is_open(void)
{
	UNIT_REQUIRE(begin());
	UNIT_CHECK(!host_hears());
	nic->ops->close(nic);
	nic = NULL;
	UNIT_CHECK(host_hears());
	end();
}

static void refuses_descriptions_that_cannot_be(void)
{
	const struct nic_ops *ops = nic_by_name("af_xdp");
	struct nic_desc d = { .driver = "af_xdp", .nr_fds = XSK_NR_FDS };
	int fds[NIC_FDS_MAX] = { -1, -1, -1, -1 };
	struct nic *ret;

	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
	d.nr_queues = 1;
	UNIT_CHECK(ops->open(&d, fds, &ret) == -EBADF);
	d.nr_fds = 1;
	UNIT_CHECK(ops->open(&d, fds, &ret) == -EINVAL);
}

/* ---- frames -------------------------------------------------------------- */

static void refuses_frames_that_are_too_long(void)
{
	struct packet_meta meta = { 0 };
	uint32_t size;

	UNIT_REQUIRE(begin());
	plain_frame(sent, 2000, true, 1);
	UNIT_CHECK(near_send(0, sent, MTU + 18, meta) == 0);
	UNIT_CHECK(near_send(0, sent, MTU + 19, meta) == -EMSGSIZE);
	size = tcp_frame(sent, false, DATA_BYTES, true);
	blank_csum(sent, false, size);
	meta = (struct packet_meta){ .csum_blank = true,
				     .gso = PACKET_GSO_TCPV4,
				     .gso_size = 1600 };
	UNIT_CHECK(near_send(0, sent, size, meta) == -EMSGSIZE);
	/* More segments than there is memory for. */
	meta.gso_size = 1;
	UNIT_CHECK(near_send(0, sent, size, meta) == -EAGAIN);
	end();
}

static void counts_what_is_lost_to_a_link_that_is_down(void)
{
	const struct packet_meta none = { 0 };
	struct packet_meta meta = { .csum_blank = true,
				    .gso = PACKET_GSO_TCPV4,
				    .gso_size = MSS };
	uint32_t size = tcp_frame(sent, false, DATA_BYTES, true);

	UNIT_REQUIRE(begin());
	blank_csum(sent, false, size);
	link_set_up("up0", false);
	/* Often enough to fill the ring, if anything stayed in it. */
	for (unsigned i = 0; i < 3 * XSK_HALF / 42; i++) {
		int err = near_send(0, sent, size, meta);
		unsigned nr = nic->ops->flush(nic);

		UNIT_CHECK((err == 0 && nr == 1) || (err < 0 && nr == 0));
	}
	link_set_up("up0", true);
	plain_frame(sent, 100, true, 2);
	while (near_send(0, sent, 100, none))
		UNIT_REQUIRE(nic->ops->flush(nic) == 0);
	UNIT_CHECK(nic->ops->flush(nic) == 0);
	UNIT_CHECK(far_got(sent, 100));
	end();
}

/* ---- deaths -------------------------------------------------------------- */

static void open_successor(const int fds[NIC_FDS_MAX])
{
	int copies[NIC_FDS_MAX];

	for (int i = 0; i < XSK_NR_FDS; i++)
		copies[i] = dup(fds[i]);
	must(!nic_by_name("af_xdp")->open(&desc, copies, &nic), "a successor");
}

/* Sends and receives until it is killed. */
static void run_worker(const int fds[NIC_FDS_MAX])
{
	const struct packet_meta none = { 0 };

	open_successor(fds);
	for (uint32_t i = 0;; i++) {
		nic->ops->recv(nic, 0, burst, 1 + i % NIC_BURST_MAX);
		plain_frame(sent, 60, true, i);
		for (uint32_t k = 0; k < i % 90; k++)
			(void)near_send(0, sent, 60, none);
		nic->ops->flush(nic);
	}
}

static void kill_a_worker(const int fds[NIC_FDS_MAX], uint32_t seed)
{
	static uint8_t in[sizeof(got)];
	uint64_t end_ns =
		clock_now_ns() + (seed * 2654435761u % 8000) * NS_PER_US;
	pid_t pid = fork();

	if (!pid)
		run_worker(fds);
	plain_frame(in, 60, false, seed);
	while (clock_now_ns() < end_ns)
		far_send(in, 60, NULL);
	must(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid, "a death");
}

static void drain(void)
{
	struct virtio_net_hdr hdr;

	while (nic->ops->recv(nic, 0, burst, NIC_BURST_MAX) > 0)
		;
	while (far_receive(got, sizeof(got), &hdr, QUIET_MS))
		;
}

/* Every frame is there: all can be sent with, and received into. */
static void check_frames(void)
{
	const struct packet_meta none = { 0 };

	plain_frame(sent, 60, true, 1);
	for (uint32_t i = 0; i < XSK_HALF; i++)
		UNIT_REQUIRE(near_send(0, sent, 60, none) == 0);
	UNIT_CHECK(near_send(0, sent, 60, none) == -EAGAIN);
	UNIT_CHECK(nic->ops->flush(nic) == 0);
	for (uint32_t i = 0; i < XSK_HALF; i++)
		UNIT_REQUIRE(far_got(sent, 60));
	for (uint32_t i = 0; i < XSK_HALF; i++) {
		plain_frame(sent, 60, false, i);
		far_send(sent, 60, NULL);
	}
	for (uint32_t i = 0; i < XSK_HALF; i++) {
		plain_frame(sent, 60, false, i);
		UNIT_REQUIRE(near_got(sent, 60));
	}
}

static void loses_no_memory_to_workers_that_die(void)
{
	const struct nic_request req = { .name = "up0", .nr_queues = 1 };
	int fds[NIC_FDS_MAX];
	char why[256] = "";

	make();
	UNIT_REQUIRE(!nic_by_name("af_xdp")->acquire(&req, &desc, fds, why,
						     sizeof(why)));
	far_open();
	for (uint32_t i = 0; i < DEATHS; i++)
		kill_a_worker(fds, i);
	open_successor(fds);
	drain();
	check_frames();
	for (int i = 0; i < XSK_NR_FDS; i++)
		close(fds[i]);
	end();
}

NIC_SUITE_MAIN("nic_af_xdp", UNIT_TEST(refuses_interfaces_it_cannot_use),
	       UNIT_TEST(takes_all_frames_for_as_long_as_it_is_open),
	       UNIT_TEST(refuses_descriptions_that_cannot_be),
	       UNIT_TEST(refuses_frames_that_are_too_long),
	       UNIT_TEST(counts_what_is_lost_to_a_link_that_is_down),
	       UNIT_TEST(loses_no_memory_to_workers_that_die))
