/* SPDX-License-Identifier: MIT */
/* nic_null.c - the NIC driver that swallows everything, and the list of all. */
#include "netback/nic.h"

#include <string.h>

#include "tests/unit/unit.h"

static void swallows_every_frame(void)
{
	const struct nic_ops *ops = nic_by_name("null");
	const struct nic_request req = { .name = "any", .nr_queues = 2 };
	struct frame f = { .head_bytes = 60, .size_bytes = 60 };
	struct nic_frame frames[NIC_BURST_MAX];
	struct nic_desc desc;
	struct nic_link link = { 0 };
	struct nic *nic;
	int fds[NIC_FDS_MAX];
	char why[64];

	UNIT_REQUIRE(!ops->acquire(&req, &desc, fds, why, sizeof(why)));
	UNIT_CHECK(desc.nr_fds == 0 && desc.nr_queues == 2);
	UNIT_REQUIRE(!ops->open(&desc, fds, &nic));
	for (unsigned q = 0; q < desc.nr_queues; q++) {
		UNIT_CHECK(ops->wait_fd(nic, q) == -1);
		for (unsigned i = 0; i < 1000; i++)
			UNIT_CHECK(ops->send(nic, q, &f) == 0);
		UNIT_CHECK(ops->recv(nic, q, frames, NIC_BURST_MAX) == 0);
	}
	UNIT_CHECK(ops->flush(nic) == 0);
	UNIT_CHECK(ops->link(nic, &link) == 0);
	UNIT_CHECK(link.up && link.mtu == desc.mtu);
	ops->close(nic);
}

static void every_driver_is_found_by_its_name(void)
{
	for (const struct nic_ops *const *d = nic_drivers; *d; d++) {
		UNIT_CHECK(nic_by_name((*d)->name) == *d);
		UNIT_CHECK(strlen((*d)->name) <
			   sizeof(((struct nic_desc *)0)->driver));
		UNIT_CHECK((*d)->help[0] != '\0');
	}
	UNIT_CHECK(nic_by_name("") == NULL);
	UNIT_CHECK(nic_by_name("tap0") == NULL);
}

UNIT_MAIN("nic_null", UNIT_TEST(swallows_every_frame),
	  UNIT_TEST(every_driver_is_found_by_its_name))
