/* SPDX-License-Identifier: MIT */
/* nic_watch.c - the kernel's news of its links: heard, and missed. */
#include "tests/unit/nic_rig.h"

static const char *const interfaces[] = { NULL };
static const struct nic_way way = { .interfaces = interfaces };

static unsigned nr_ours, nr_lost;

static void on_news(void *arg, const char *ifname)
{
	UNIT_CHECK(arg == &nr_ours);
	if (!ifname)
		nr_lost++;
	else if (!strcmp(ifname, "br0"))
		nr_ours++;
}

/* Until that many were heard. */
static bool hears(struct nic_watch *watch, const unsigned *nr, unsigned least)
{
	struct pollfd fd = { nic_watch_fd(watch), POLLIN, 0 };

	while (*nr < least && poll(&fd, 1, PATIENCE_MS) > 0)
		nic_watch_read(watch);
	return *nr >= least;
}

static void hears_of_a_link_that_is_made_changed_and_removed(void)
{
	unsigned nr_fds = count_fds();
	struct nic_watch *watch;

	nr_ours = nr_lost = 0;
	UNIT_REQUIRE(nic_watch_open(on_news, &nr_ours, &watch) == 0);
	nic_watch_read(watch); /* none: it does not wait */
	UNIT_CHECK(!nr_ours);
	make_bridge("br0");
	UNIT_CHECK(hears(watch, &nr_ours, 1));
	nic_watch_read(watch);
	nr_ours = 0;
	link_set_mtu("br0", 1400);
	UNIT_CHECK(hears(watch, &nr_ours, 1));
	nic_watch_read(watch);
	nr_ours = 0;
	link_delete("br0");
	UNIT_CHECK(hears(watch, &nr_ours, 1));
	UNIT_CHECK(!nr_lost);
	nic_watch_close(watch);
	UNIT_CHECK(count_fds() == nr_fds);
}

/* More than its socket holds: any link may be another then. */
static void says_that_it_missed_some(void)
{
	int room = 1;
	struct nic_watch *watch;

	nr_ours = nr_lost = 0;
	make_bridge("br0");
	UNIT_REQUIRE(nic_watch_open(on_news, &nr_ours, &watch) == 0);
	must(!setsockopt(nic_watch_fd(watch), SOL_SOCKET, SO_RCVBUF, &room,
			 sizeof(room)),
	     "SO_RCVBUF");
	for (uint32_t i = 0; i < 20; i++)
		link_set_mtu("br0", 1300 + i);
	UNIT_CHECK(hears(watch, &nr_lost, 1));
	nic_watch_read(watch);
	nr_ours = 0;
	link_set_mtu("br0", 1500);
	UNIT_CHECK(hears(watch, &nr_ours, 1));
	link_delete("br0");
	nic_watch_close(watch);
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(hears_of_a_link_that_is_made_changed_and_removed),
		UNIT_TEST(says_that_it_missed_some),
	};

	if (!nic_rig_begin())
		return 77;
	return unit_run("nic_watch", cases, sizeof(cases) / sizeof(cases[0]));
}
