/* SPDX-License-Identifier: MIT */
/*
 * blk_hostile.c - a guest that connects to its disk 51712 as it should and then
 * does one thing without end. Used by blk-hostile.sh.
 *
 *	blk_hostile RUN_DIR DOMID events SECONDS	events, and no request
 *	blk_hostile RUN_DIR DOMID nodes COUNT	so many writes of its own nodes,
 *						its state among them
 *
 * Prints "ready" once it is connected, and how many it was in the end. 1: the
 * store did not take them all.
 */
#include "tests/system/hostile.h"

#define DIR "device/vbd/51712"

/* The channel is *ret. */
static int connect_disk(struct guest *g, struct evtchn **ret)
{
	struct ring_front ring;
	struct share page;
	int err = platform_share(g->platform, g->backend_id, 1, 0, &page);

	if (!err)
		err = platform_evtchn_alloc(g->platform, g->backend_id, ret);
	if (err)
		return err;
	ring_front_init(&ring, (void PV_SHARED *)page.base, PV_PAGE_SIZE, 112);
	err = write_number(g, "ring-ref", page.first_ref);
	if (!err)
		err = write_number(g, "event-channel", evtchn_port(*ret));
	if (!err)
		err = xs_printf(g->xs, XS_NO_TXN, g->dir, "protocol", "%s",
				"x86_64-abi");
	if (!err)
		err = write_number(g, "state", 3);
	return err ? err : wait_for_state(g, 4);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "state", "state", "ring-ref",
					     "anything" };
	struct guest g = { 0 };
	struct evtchn *ev;
	unsigned long long nr;
	uint32_t domid, count;
	bool storm;
	int err;

	if (argc != 5 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[4], UINT32_MAX, &count)) {
		fprintf(stderr, "usage: blk_hostile RUN_DIR DOMID "
				"events|nodes NUMBER\n");
		return 2;
	}
	err = guest_open(&g, argv[1], (domid_t)domid, DIR);
	if (!err)
		err = connect_disk(&g, &ev);
	if (err) {
		fprintf(stderr, "blk_hostile: connecting: %s\n",
			strerror(-err));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	storm = !strcmp(argv[3], "events");
	nr = storm ? events(ev, count) : nodes(&g, names, count);
	printf("%llu\n", nr);
	guest_close(&g);
	return storm || nr == count ? 0 : 1;
}
