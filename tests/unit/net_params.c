/* SPDX-License-Identifier: MIT */
/*
 * net_params.c - what a frontend wrote about its queues, over the fake store:
 * every layout of them, and every number that is none. THREATS.md section A:
 * CVE-2026-45890 (multi-queue-num-queues "0"), and every other key with the
 * same values.
 */
#include "netback/vif_params.h"

#include "netback/queue.h"
#include "tests/unit/fake_xs.h"
#include "tests/unit/unit.h"

#define BACK  "/local/domain/1/backend/vif/3/0"
#define FRONT "/local/domain/3/device/vif/0"

static struct xs *xs;
static struct xenbus_device dev;
static struct queue_params p[RECORD_QUEUES_MAX];

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
		.type = "vif",
		.disconnect = nothing_to_undo,
	};

	dev = (struct xenbus_device){ .driver = &driver,
				      .xs = xs,
				      .node = BACK,
				      .otherend = FRONT,
				      .name = "vif d3/0",
				      .otherend_id = 3,
				      .state = XenbusStateInitWait };
	fake_set(BACK, "state", "2");
}

static void begin(void)
{
	fake_reset();
	xs = fake_open();
	ready();
	fake_set(FRONT, "request-rx-copy", "1");
	fake_set(FRONT, "tx-ring-ref", "8");
	fake_set(FRONT, "rx-ring-ref", "9");
	fake_set(FRONT, "event-channel", "5");
}

static void end(void)
{
	xs_close(xs);
	xs = NULL;
}

static void write_two_queues(void)
{
	static const char *const nodes[] = { "tx-ring-ref", "rx-ring-ref",
					     "event-channel-tx",
					     "event-channel-rx" };

	fake_set(FRONT, "multi-queue-num-queues", "2");
	for (unsigned i = 0; i < 8; i++) {
		char value[8];

		snprintf(value, sizeof(value), "%u", 10 + i);
		fake_set(i < 4 ? FRONT "/queue-0" : FRONT "/queue-1",
			 nodes[i % 4], value);
	}
}

/* Fails, and says so once with the node's name in it. */
static bool refuses(const char *node)
{
	char path[128];
	int err;

	ready();
	fake_rm(BACK "/error");
	err = vif_params_read(&dev, p);
	snprintf(path, sizeof(path), "reading %s/%s", FRONT, node);
	if (err < 0 && dev.broken && strstr(fake_get(BACK, "error"), path))
		return true;
	printf("%s: %d, %s\n", node, err, fake_get(BACK, "error"));
	return false;
}

static void a_frontend_with_no_feature_has_one_queue_and_one_channel(void)
{
	begin();
	UNIT_REQUIRE(vif_params_read(&dev, p) == 0);
	UNIT_CHECK(p[0].nr_queues == 1 && p[0].queue == 0);
	UNIT_CHECK(p[0].domid == 3 && p[0].handle == 0);
	UNIT_CHECK(p[0].tx_ref == 8 && p[0].rx_ref == 9);
	UNIT_CHECK(p[0].tx_port == 5 && p[0].rx_port == 5);
	/* Blank IPv4 checksums are the rule, not the exception. */
	UNIT_CHECK(p[0].features == QUEUE_CSUM_IPV4 && !p[0].has_ctrl);
	/* A control ring needs a channel. */
	fake_set(FRONT, "ctrl-ring-ref", "30");
	UNIT_CHECK(refuses("event-channel-ctrl"));
	end();
}

static void a_frontend_with_every_feature_is_read(void)
{
	begin();
	write_two_queues();
	fake_set(FRONT, "feature-sg", "1");
	fake_set(FRONT, "feature-gso-tcpv4", "1");
	fake_set(FRONT, "feature-gso-tcpv6", "1");
	fake_set(FRONT, "feature-no-csum-offload", "1");
	fake_set(FRONT, "feature-ipv6-csum-offload", "1");
	fake_set(FRONT, "ctrl-ring-ref", "30");
	fake_set(FRONT, "event-channel-ctrl", "31");
	UNIT_REQUIRE(vif_params_read(&dev, p) == 0);
	for (uint32_t i = 0; i < 2; i++) {
		UNIT_CHECK(p[i].nr_queues == 2 && p[i].queue == i);
		UNIT_CHECK(p[i].tx_ref == 10 + 4 * i);
		UNIT_CHECK(p[i].rx_ref == 11 + 4 * i);
		UNIT_CHECK(p[i].tx_port == 12 + 4 * i);
		UNIT_CHECK(p[i].rx_port == 13 + 4 * i);
		UNIT_CHECK(p[i].features ==
			   (QUEUE_SG | QUEUE_GSO_TCPV4 | QUEUE_GSO_TCPV6 |
			    QUEUE_CSUM_IPV6));
		UNIT_CHECK(p[i].has_ctrl && p[i].ctrl_ref == 30 &&
			   p[i].ctrl_port == 31);
	}
	end();
}

static void one_queue_is_flat_even_when_it_is_said(void)
{
	begin();
	fake_set(FRONT, "multi-queue-num-queues", "1");
	fake_set(FRONT "/queue-0", "tx-ring-ref", "99");
	UNIT_REQUIRE(vif_params_read(&dev, p) == 0);
	UNIT_CHECK(p[0].nr_queues == 1 && p[0].tx_ref == 8);
	end();
}

static void queues_may_have_one_channel_each(void)
{
	begin();
	write_two_queues();
	fake_rm(FRONT "/queue-1/event-channel-tx");
	fake_rm(FRONT "/queue-1/event-channel-rx");
	fake_set(FRONT "/queue-1", "event-channel", "77");
	UNIT_REQUIRE(vif_params_read(&dev, p) == 0);
	UNIT_CHECK(p[0].tx_port == 12 && p[0].rx_port == 13);
	UNIT_CHECK(p[1].tx_port == 77 && p[1].rx_port == 77);
	/* Half a pair is none. */
	fake_set(FRONT "/queue-1", "event-channel-tx", "77");
	UNIT_CHECK(refuses("queue-1/event-channel-rx"));
	end();
}

static void segmentation_needs_scatter_gather(void)
{
	begin();
	fake_set(FRONT, "feature-gso-tcpv4", "1");
	fake_set(FRONT, "feature-gso-tcpv6", "1");
	UNIT_REQUIRE(vif_params_read(&dev, p) == 0);
	UNIT_CHECK(p[0].features == QUEUE_CSUM_IPV4);
	end();
}

static void a_frontend_that_wants_pages_flipped_is_refused(void)
{
	begin();
	fake_set(FRONT, "request-rx-copy", "0");
	UNIT_CHECK(vif_params_read(&dev, p) == -EOPNOTSUPP);
	UNIT_CHECK(dev.broken &&
		   strstr(fake_get(BACK, "error"), "request-rx-copy"));
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
		"multi-queue-num-queues",
		"request-rx-copy",
		"feature-sg",
		"feature-gso-tcpv4",
		"feature-gso-tcpv6",
		"feature-no-csum-offload",
		"feature-ipv6-csum-offload",
		"tx-ring-ref",
		"rx-ring-ref",
		"event-channel",
		"ctrl-ring-ref",
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
	static const char *const nodes[] = { "tx-ring-ref", "rx-ring-ref",
					     "event-channel-tx",
					     "event-channel-rx" };

	for (size_t k = 0; k < 8; k++)
		for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
			char dir[64], key[64];

			snprintf(dir, sizeof(dir), FRONT "/queue-%zu", k / 4);
			snprintf(key, sizeof(key), "queue-%zu/%s", k / 4,
				 nodes[k % 4]);
			begin();
			write_two_queues();
			fake_set(dir, nodes[k % 4], no_numbers[i]);
			UNIT_CHECK(refuses(key));
			end();
		}
}

static void
the_number_of_queues_is_at_least_1_and_at_most_what_was_offered(void)
{
	static const char *const wrong[] = { "0", "9", "64", "65535",
					     "4294967295" };

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		fake_set(FRONT, "multi-queue-num-queues", wrong[i]);
		UNIT_CHECK(refuses("multi-queue-num-queues"));
	}
	/* Offered, but with nothing behind it. */
	fake_set(FRONT, "multi-queue-num-queues", "8");
	UNIT_CHECK(refuses("queue-0/tx-ring-ref"));
	write_two_queues();
	fake_set(FRONT, "multi-queue-num-queues", "3");
	UNIT_CHECK(refuses("queue-2/tx-ring-ref"));
	end();
}

static bool wishes_are(bool mcast, uint32_t headroom_bytes)
{
	struct queue_wishes w = { !mcast, 77 };
	const char *node;

	return !vif_wishes_read(&dev, &w, &node) && w.mcast == mcast &&
	       w.headroom_bytes == headroom_bytes;
}

/* The node's, and what was wished before stays untouched. */
static bool refuses_wish(const char *node)
{
	struct queue_wishes w = { true, 77 };
	const char *which = NULL;

	return vif_wishes_read(&dev, &w, &which) < 0 && w.mcast &&
	       w.headroom_bytes == 77 && !strcmp(which, node);
}

static void what_may_change_later_is_read_by_itself(void)
{
	static const char *const keys[] = { "request-multicast-control",
					    "xdp-headroom" };

	begin();
	UNIT_CHECK(wishes_are(false, 0));
	fake_set(FRONT, "request-multicast-control", "1");
	UNIT_CHECK(wishes_are(true, 0));
	fake_set(FRONT, "xdp-headroom", "256");
	UNIT_CHECK(wishes_are(true, 256));
	fake_set(FRONT, "xdp-headroom", "2048");
	UNIT_CHECK(wishes_are(true, 2048));
	fake_set(FRONT, "xdp-headroom", "2049");
	UNIT_CHECK(refuses_wish("xdp-headroom"));
	fake_set(FRONT, "request-multicast-control", "2");
	UNIT_CHECK(refuses_wish("request-multicast-control"));
	end();
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
		for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
			begin();
			fake_set(FRONT, keys[k], no_numbers[i]);
			UNIT_CHECK(refuses_wish(keys[k]));
			end();
		}
}

UNIT_MAIN(
	"net_params",
	UNIT_TEST(a_frontend_with_no_feature_has_one_queue_and_one_channel),
	UNIT_TEST(a_frontend_with_every_feature_is_read),
	UNIT_TEST(one_queue_is_flat_even_when_it_is_said),
	UNIT_TEST(queues_may_have_one_channel_each),
	UNIT_TEST(segmentation_needs_scatter_gather),
	UNIT_TEST(a_frontend_that_wants_pages_flipped_is_refused),
	UNIT_TEST(no_number_is_taken_for_one_in_any_key),
	UNIT_TEST(nor_in_any_key_of_a_queue),
	UNIT_TEST(what_may_change_later_is_read_by_itself),
	UNIT_TEST(
		the_number_of_queues_is_at_least_1_and_at_most_what_was_offered))
