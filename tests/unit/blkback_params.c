/* SPDX-License-Identifier: MIT */
/*
 * blkback_params.c - what a frontend wrote about its rings, over the fake
 * store: every layout of them, and every number that is none. THREATS.md
 * section A: CVE-2026-45890 (multi-queue-num-queues "0"), and every other key
 * with the same values.
 */
#include "blkback/params.h"

#include "tests/unit/fake_xs.h"
#include "tests/unit/unit.h"

#define BACK	   "/local/domain/1/backend/vbd/3/51712"
#define FRONT	   "/local/domain/3/device/vbd/51712"
#define MAX_QUEUES 4u

static struct xs *xs;
static struct xenbus_device dev;

static int nothing_to_undo(struct xenbus_device *d)
{
	(void)d;
	return 0;
}

/* Ready to connect, whatever was before. */
static void ready(void)
{
	static const struct xenbus_driver driver = {
		.role = XENBUS_BACKEND,
		.type = "vbd",
		.disconnect = nothing_to_undo,
	};

	dev = (struct xenbus_device){ .driver = &driver,
				      .xs = xs,
				      .node = BACK,
				      .otherend = FRONT,
				      .name = "vbd d3/51712",
				      .otherend_id = 3,
				      .handle = 51712,
				      .state = XenbusStateInitWait };
	fake_set(BACK, "state", "2");
}

static void begin(void)
{
	fake_reset();
	xs = fake_open();
	ready();
	fake_set(FRONT, "ring-ref", "8");
	fake_set(FRONT, "event-channel", "5");
}

static void end(void)
{
	xs_close(xs);
	xs = NULL;
}

/* Two queues of two pages. */
static void write_two_queues(void)
{
	fake_set(FRONT, "multi-queue-num-queues", "2");
	fake_set(FRONT, "ring-page-order", "1");
	fake_set(FRONT "/queue-0", "ring-ref0", "10");
	fake_set(FRONT "/queue-0", "ring-ref1", "11");
	fake_set(FRONT "/queue-0", "event-channel", "20");
	fake_set(FRONT "/queue-1", "ring-ref0", "12");
	fake_set(FRONT "/queue-1", "ring-ref1", "13");
	fake_set(FRONT "/queue-1", "event-channel", "21");
}

static int read_params(struct inflight_params **ret)
{
	*ret = NULL;
	return params_read(&dev, MAX_QUEUES, ret);
}

/* Fails, and says so once with the node's name in it. */
static bool refuses(const char *node)
{
	struct inflight_params *p;
	char path[128];
	int err;

	ready();
	fake_rm(BACK "/error");
	err = read_params(&p);
	snprintf(path, sizeof(path), "reading %s/%s", FRONT, node);
	if (err < 0 && !p && dev.broken &&
	    strstr(fake_get(BACK, "error"), path))
		return true;
	printf("%s: %d, %s\n", node, err, fake_get(BACK, "error"));
	free(p);
	return false;
}

static void a_frontend_with_no_feature_has_one_ring_of_one_page(void)
{
	struct inflight_params *p;

	begin();
	UNIT_REQUIRE(read_params(&p) == 0);
	UNIT_CHECK(p->nr_queues == 1 && p->queue == 0);
	UNIT_CHECK(p->domid == 3 && p->handle == 51712);
	UNIT_CHECK(p->ring_order == 0 && p->ring_refs[0] == 8);
	UNIT_CHECK(p->evtchn_port == 5);
	UNIT_CHECK(p->layout == BLK_LAYOUT_X86_64);
	UNIT_CHECK(p->features == 0);
	free(p);
	end();
}

static void a_frontend_with_every_feature_is_read(void)
{
	struct inflight_params *p;

	begin();
	write_two_queues();
	fake_set(FRONT, "protocol", "x86_32-abi");
	fake_set(FRONT, "feature-persistent", "1");
	fake_set(FRONT, "feature-large-sector-size", "1");
	UNIT_REQUIRE(read_params(&p) == 0);
	for (uint32_t i = 0; i < 2; i++) {
		UNIT_CHECK(p[i].nr_queues == 2 && p[i].queue == i);
		UNIT_CHECK(p[i].ring_order == 1);
		UNIT_CHECK(p[i].ring_refs[0] == 10 + 2 * i);
		UNIT_CHECK(p[i].ring_refs[1] == 11 + 2 * i);
		UNIT_CHECK(p[i].evtchn_port == 20 + i);
		UNIT_CHECK(p[i].layout == BLK_LAYOUT_X86_32);
		UNIT_CHECK(p[i].features ==
			   (INFLIGHT_PERSISTENT | INFLIGHT_LARGE_SECTORS));
	}
	free(p);
	end();
}

static void one_queue_is_flat_even_when_it_is_said(void)
{
	struct inflight_params *p;

	begin();
	fake_set(FRONT, "multi-queue-num-queues", "1");
	fake_set(FRONT "/queue-0", "ring-ref", "99");
	UNIT_REQUIRE(read_params(&p) == 0);
	UNIT_CHECK(p->nr_queues == 1 && p->ring_refs[0] == 8);
	free(p);
	end();
}

static void a_ring_of_sixteen_pages_is_the_largest(void)
{
	struct inflight_params *p;

	begin();
	fake_set(FRONT, "ring-page-order", "4");
	for (unsigned i = 0; i < 16; i++) {
		char node[16], ref[16];

		snprintf(node, sizeof(node), "ring-ref%u", i);
		snprintf(ref, sizeof(ref), "%u", 100 + i);
		UNIT_CHECK(refuses(node));
		fake_set(FRONT, node, ref);
	}
	UNIT_REQUIRE(read_params(&p) == 0);
	for (unsigned i = 0; i < 16; i++)
		UNIT_CHECK(p->ring_refs[i] == 100 + i);
	UNIT_CHECK(inflight_nr_slots(p) == 512);
	free(p);
	fake_set(FRONT, "ring-page-order", "5");
	UNIT_CHECK(refuses("ring-page-order"));
	end();
}

/* Whatever is not a plain decimal within its bounds. */
static const char *const no_numbers[] = {
	"",	      "-1",
	" 1",	      "1 ",
	"+1",	      "7x",
	"0x1",	      "1.0",
	"4294967296", "18446744073709551616",
	"1\n",	      "one",
	"1,2",	      "99999999999999999999999999999999999999",
};

static void no_number_is_taken_for_one_in_any_key(void)
{
	static const char *const keys[] = {
		"multi-queue-num-queues", "ring-page-order",
		"feature-persistent",	  "feature-large-sector-size",
		"event-channel",	  "ring-ref",
	};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
		for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
			begin();
			fake_set(FRONT, keys[k], no_numbers[i]);
			UNIT_CHECK(refuses(keys[k]));
			end();
		}
}

static void nor_in_any_key_of_a_queue(void)
{
	static const char *const keys[] = {
		"queue-0/ring-ref0",	 "queue-0/ring-ref1",
		"queue-0/event-channel", "queue-1/ring-ref0",
		"queue-1/ring-ref1",	 "queue-1/event-channel",
	};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
			begin();
			write_two_queues();
			fake_set(FRONT, keys[k], no_numbers[i]);
			UNIT_CHECK(refuses(keys[k]));
			end();
		}
		begin();
		write_two_queues();
		{
			char path[128];

			snprintf(path, sizeof(path), "%s/%s", FRONT, keys[k]);
			fake_rm(path);
		}
		UNIT_CHECK(refuses(keys[k]));
		end();
	}
}

static void
the_number_of_queues_is_at_least_1_and_at_most_what_was_offered(void)
{
	static const char *const wrong[] = { "0", "5", "64", "65535",
					     "4294967295" };
	struct inflight_params *p;

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		fake_set(FRONT, "multi-queue-num-queues", wrong[i]);
		UNIT_CHECK(refuses("multi-queue-num-queues"));
	}
	/* Offered, but with nothing behind it. */
	fake_set(FRONT, "multi-queue-num-queues", "4");
	UNIT_CHECK(refuses("queue-0/ring-ref"));
	write_two_queues();
	fake_set(FRONT, "multi-queue-num-queues", "3");
	UNIT_CHECK(refuses("queue-2/ring-ref0"));
	fake_set(FRONT, "multi-queue-num-queues", "2");
	UNIT_REQUIRE(read_params(&p) == 0);
	free(p);
	end();
}

/* 4 KiB of digits, and a zero byte in the middle. */
static void long_and_cut_values_are_refused(void)
{
	static char digits[4096];

	memset(digits, '1', sizeof(digits));
	begin();
	fake_put(FRONT "/ring-ref", digits, sizeof(digits));
	UNIT_CHECK(refuses("ring-ref"));
	fake_put(FRONT "/ring-ref", "8\0008", 3);
	UNIT_CHECK(refuses("ring-ref"));
	fake_put(FRONT "/multi-queue-num-queues", "1\0", 2);
	UNIT_CHECK(refuses("multi-queue-num-queues"));
	end();
}

static void a_protocol_is_one_of_two(void)
{
	static const char *const wrong[] = {
		"", "x86_64", "X86_64-ABI", "arm-abi", "x86_64-abi ", "ia64-abi"
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		fake_set(FRONT, "protocol", wrong[i]);
		UNIT_CHECK(refuses("protocol"));
	}
	end();
}

UNIT_MAIN(
	"blkback_params",
	UNIT_TEST(a_frontend_with_no_feature_has_one_ring_of_one_page),
	UNIT_TEST(a_frontend_with_every_feature_is_read),
	UNIT_TEST(one_queue_is_flat_even_when_it_is_said),
	UNIT_TEST(a_ring_of_sixteen_pages_is_the_largest),
	UNIT_TEST(no_number_is_taken_for_one_in_any_key),
	UNIT_TEST(nor_in_any_key_of_a_queue),
	UNIT_TEST(
		the_number_of_queues_is_at_least_1_and_at_most_what_was_offered),
	UNIT_TEST(long_and_cut_values_are_refused),
	UNIT_TEST(a_protocol_is_one_of_two))
