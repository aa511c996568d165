/* SPDX-License-Identifier: MIT */
/*
 * net_rules.c - what a vif may do on its switch, read from the nodes of its
 * backend directory over the fake store: rather an error than a vif let loose.
 */
#include "netback/vif_rules.h"

#include <errno.h>

#include "tests/unit/fake_xs.h"
#include "tests/unit/unit.h"
#include "util/num.h"

#define BACK "/local/domain/1/backend/vif/3/0"

static struct xs *xs;
static struct xenbus_device dev;
static struct switch_rules rules;
static const char *node;

static void begin(void)
{
	fake_reset();
	xs = fake_open();
	dev = (struct xenbus_device){ .xs = xs, .node = BACK };
	node = NULL;
	fake_set(BACK, "bridge", "xenbr0");
}

static void end(void)
{
	xs_close(xs);
	xs = NULL;
}

static int read_rules(void)
{
	return vif_rules_read(&dev, &rules, &node);
}

static void no_nodes_forbid_nothing(void)
{
	static const struct switch_rules none;

	begin();
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(!memcmp(&rules, &none, sizeof(none)));
	fake_set(BACK, "vlan", "");
	fake_set(BACK, "ip", "");
	fake_set(BACK, "stormlimit", "");
	fake_set(BACK, "isolated", "0");
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(!memcmp(&rules, &none, sizeof(none)));
	end();
}

static void every_node_is_read(void)
{
	begin();
	fake_set(BACK, "vlan", "100");
	fake_set(BACK, "trunk", "10/20-21");
	fake_set(BACK, "isolated", "1");
	fake_set(BACK, "antispoof", "1");
	fake_set(BACK, "ip", "10.0.0.5/24 fd00::5");
	fake_set(BACK, "stormlimit", "250");
	fake_set(BACK, "link-down", "1");
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(vlan_native(&rules.vlans) == 100);
	UNIT_CHECK(vlan_is_tagged(&rules.vlans, 21) &&
		   !vlan_is_tagged(&rules.vlans, 22));
	UNIT_CHECK(rules.down && rules.isolated && rules.filter.on &&
		   rules.filter.nr_ips == 2 && rules.storm_per_s == 250);
	end();
}

static void a_bridges_name_has_vlans_as_xl_writes_it(void)
{
	begin();
	fake_set(BACK, "bridge", "xenbr0.7:8:9");
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(vlan_native(&rules.vlans) == 7);
	UNIT_CHECK(vlan_is_tagged(&rules.vlans, 8) &&
		   vlan_is_tagged(&rules.vlans, 9) &&
		   !vlan_is_tagged(&rules.vlans, 7));
	/* A node of its own counts more. */
	fake_set(BACK, "vlan", "5");
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(vlan_native(&rules.vlans) == 5 &&
		   !vlan_is_tagged(&rules.vlans, 8));
	end();
}

/* Addresses without antispoof are information only, as they are to xl. */
static void addresses_alone_filter_nothing(void)
{
	begin();
	fake_set(BACK, "ip", "10.0.0.5");
	UNIT_REQUIRE(read_rules() == 0);
	UNIT_CHECK(!rules.filter.on && !rules.filter.nr_ips);
	end();
}

static void refuses_what_it_does_not_understand(void)
{
	static const struct {
		const char *node, *text;
	} bad[] = {
		{ "vlan", "4095" },	 { "vlan", "10p/20" },
		{ "vlan", " 1" },	 { "trunk", "0" },
		{ "trunk", "5-" },	 { "isolated", "2" },
		{ "isolated", "yes" },	 { "antispoof", "-1" },
		{ "ip", "10.0.0" },	 { "ip", "10.0.0.1,10.0.0.2" },
		{ "stormlimit", "1k" },	 { "stormlimit", "4294967296" },
		{ "link-down", "down" }, { "link-down", "2" },
		{ "bridge", "br0:5:x" }, { "bridge", "br0:4095" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		begin();
		fake_set(BACK, "antispoof", "1");
		memset(&rules, 0xa5, sizeof(rules));
		fake_set(BACK, bad[i].node, bad[i].text);
		if (read_rules() >= 0 || !node)
			printf("%s %s\n", bad[i].node, bad[i].text);
		UNIT_CHECK(read_rules() < 0 && node);
		UNIT_CHECK(rules.storm_per_s == 0xa5a5a5a5);
		end();
	}
}

static void knows_its_nodes(void)
{
	UNIT_CHECK(vif_rules_is_node("") && vif_rules_is_node("vlan") &&
		   vif_rules_is_node("trunk") && vif_rules_is_node("bridge") &&
		   vif_rules_is_node("ip"));
	UNIT_CHECK(!vif_rules_is_node("state") && !vif_rules_is_node("vlan2"));
}

UNIT_MAIN("net_rules", UNIT_TEST(no_nodes_forbid_nothing),
	  UNIT_TEST(every_node_is_read),
	  UNIT_TEST(a_bridges_name_has_vlans_as_xl_writes_it),
	  UNIT_TEST(addresses_alone_filter_nothing),
	  UNIT_TEST(refuses_what_it_does_not_understand),
	  UNIT_TEST(knows_its_nodes))
