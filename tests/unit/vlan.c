/* SPDX-License-Identifier: MIT */
/* vlan.c - util/vlan.c: which words say which VLANs. */
#include "util/vlan.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

static unsigned nr_tagged(const struct vlan_set *set)
{
	unsigned nr = 0;

	for (uint16_t v = 0; v <= VLAN_ID_MAX; v++)
		nr += vlan_is_tagged(set, v);
	return nr;
}

static void no_words_are_every_vlan(void)
{
	struct vlan_set set;

	UNIT_REQUIRE(vlan_parse("", "", &set) == 0);
	UNIT_CHECK(!set.limited && vlan_native(&set) == 0);
	UNIT_CHECK(vlan_has(&set, 0) && !vlan_is_tagged(&set, 0));
	UNIT_CHECK(nr_tagged(&set) == VLAN_ID_MAX);
}

static void a_number_is_the_only_vlan(void)
{
	struct vlan_set set;

	UNIT_REQUIRE(vlan_parse("100", "", &set) == 0);
	UNIT_CHECK(vlan_native(&set) == 100 && nr_tagged(&set) == 0);
	UNIT_CHECK(vlan_has(&set, 100) && !vlan_has(&set, 0) &&
		   !vlan_has(&set, 101));
	UNIT_REQUIRE(vlan_parse("0", "", &set) == 0);
	UNIT_CHECK(vlan_has(&set, 0) && nr_tagged(&set) == 0);
}

static void a_trunk_has_no_frames_without_a_tag(void)
{
	struct vlan_set set;

	UNIT_REQUIRE(vlan_parse("", "10/20-25/4094", &set) == 0);
	UNIT_CHECK(vlan_native(&set) == VLAN_NONE && !vlan_has(&set, 0));
	UNIT_CHECK(nr_tagged(&set) == 8);
	UNIT_CHECK(vlan_is_tagged(&set, 10) && vlan_is_tagged(&set, 20) &&
		   vlan_is_tagged(&set, 25) && vlan_is_tagged(&set, 4094));
	UNIT_CHECK(!vlan_is_tagged(&set, 19) && !vlan_is_tagged(&set, 26));
	UNIT_REQUIRE(vlan_parse("5", "1-4094", &set) == 0);
	UNIT_CHECK(vlan_native(&set) == 5 && nr_tagged(&set) == VLAN_ID_MAX);
}

static void refuses_other_words(void)
{
	static const char *const natives[] = { "4095", "-1", "1 ", "x", "1/2" };
	static const char *const trunks[] = { "0",     "4095",	"20-10", "1/",
					      "/1",    "1//2",	"1-",	 "-1",
					      "1-2-3", "10p",	"1,2",	 " 1",
					      "0-5",   "00001", "1-/",	 "-",
					      "/",     "1-4095" };
	struct vlan_set set = { .native = 7 };

	for (unsigned i = 0; i < ARRAY_SIZE(natives); i++)
		UNIT_CHECK(vlan_parse(natives[i], "", &set) < 0);
	for (unsigned i = 0; i < ARRAY_SIZE(trunks); i++)
		UNIT_CHECK(vlan_parse("", trunks[i], &set) < 0);
	UNIT_CHECK(set.native == 7 && !set.limited);
}

static void cuts_a_bridges_name_as_xl_does(void)
{
	static const struct {
		const char *text, *name, *native, *trunk;
	} cases[] = {
		{ "xenbr0", "xenbr0", "", "" },
		{ "xenbr0.100", "xenbr0", "100", "" },
		{ "xenbr0:10:20", "xenbr0", "", "10/20" },
		{ "xenbr0.5:10:20-25", "xenbr0", "5", "10/20-25" },
		{ "br.lan", "br.lan", "", "" },
		{ "br.lan.7", "br.lan", "7", "" },
		{ "br0.0", "br0.0", "", "" },
		{ "br0.4095", "br0.4095", "", "" },
		{ "br0.", "br0.", "", "" },
		{ "", "", "", "" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *native, *trunk;
		char name[32];

		snprintf(name, sizeof(name), "%s", cases[i].text);
		vlan_split_bridge(name, &native, &trunk);
		UNIT_CHECK(!strcmp(name, cases[i].name));
		UNIT_CHECK(!strcmp(native, cases[i].native));
		UNIT_CHECK(!strcmp(trunk, cases[i].trunk));
	}
}

UNIT_MAIN("vlan", UNIT_TEST(no_words_are_every_vlan),
	  UNIT_TEST(a_number_is_the_only_vlan),
	  UNIT_TEST(a_trunk_has_no_frames_without_a_tag),
	  UNIT_TEST(refuses_other_words),
	  UNIT_TEST(cuts_a_bridges_name_as_xl_does))
