/* SPDX-License-Identifier: MIT */
/* pvsplit_spec.c - the parsers of device specifications, pvsplit/spec.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/spec.h"
#include "tests/unit/unit.h"
#include "util/packet.h"
#include "util/vdev.h"

static struct disk_spec disk;
static struct vif_spec vif;
static char why[SPEC_WHY_MAX];

static int parse_disk(const char *text)
{
	memset(&disk, 0xa5, sizeof(disk));
	why[0] = '\0';
	return spec_disk_parse(text, false, &disk, why);
}

static int parse_guest_disk(const char *text)
{
	why[0] = '\0';
	return spec_disk_parse(text, true, &disk, why);
}

static int parse_vif(const char *text)
{
	memset(&vif, 0xa5, sizeof(vif));
	why[0] = '\0';
	return spec_vif_parse(text, false, &vif, why);
}

static int parse_guest_vif(const char *text)
{
	why[0] = '\0';
	return spec_vif_parse(text, true, &vif, why);
}

/* ---- disks ----------------------------------------------------------------
 */

static void takes_a_disk_by_position(void)
{
	UNIT_REQUIRE(parse_disk("/srv/a.img,raw,xvdb,r") == 0);
	UNIT_CHECK(!strcmp(disk.target, "/srv/a.img"));
	UNIT_CHECK(!strcmp(disk.vdev, "xvdb"));
	UNIT_CHECK(disk.handle == 51728);
	UNIT_CHECK(disk.readonly);
	UNIT_CHECK(!*disk.backend && !*disk.mount);
}

static void takes_a_disk_by_name(void)
{
	UNIT_REQUIRE(parse_disk("format=raw, vdev=xvda, access=rw, "
				"backend=other, target=/srv/a.img") == 0);
	UNIT_CHECK(!strcmp(disk.target, "/srv/a.img"));
	UNIT_CHECK(disk.handle == 51712);
	UNIT_CHECK(!disk.readonly);
	UNIT_CHECK(!strcmp(disk.backend, "other"));
}

static void mixes_positions_and_names(void)
{
	UNIT_REQUIRE(parse_disk("/a,access=r,raw,xvdc") == 0);
	UNIT_CHECK(disk.readonly && disk.handle == 51744);
}

static void leaves_out_what_is_empty(void)
{
	UNIT_REQUIRE(parse_disk("/dev/vg/x,,xvda") == 0);
	UNIT_CHECK(!disk.readonly);
	UNIT_CHECK(!strcmp(disk.target, "/dev/vg/x"));
	UNIT_REQUIRE(parse_disk("/dev/vg/x,raw,xvda,") == 0);
	UNIT_CHECK(!disk.readonly);
}

static void a_named_target_takes_the_rest_of_the_line(void)
{
	UNIT_REQUIRE(parse_disk("vdev=xvda,target=/a,b=c,raw,mount=/x") == 0);
	UNIT_CHECK(!strcmp(disk.target, "/a,b=c,raw,mount=/x"));
	UNIT_REQUIRE(parse_disk("vdev=xvda,target=/with space ") == 0);
	UNIT_CHECK(!strcmp(disk.target, "/with space "));
}

static void a_guest_disk_may_be_mounted(void)
{
	UNIT_REQUIRE(parse_guest_disk("/a,raw,xvda,rw,mount=/mnt") == 0);
	UNIT_CHECK(!strcmp(disk.mount, "/mnt") && !strcmp(disk.target, "/a"));
	UNIT_REQUIRE(parse_guest_disk("vdev=xvda,target=/a,b,mount=/mnt") == 0);
	UNIT_CHECK(!strcmp(disk.mount, "/mnt") && !strcmp(disk.target, "/a,b"));
	UNIT_REQUIRE(parse_guest_disk("mount=/m,vdev=xvda,target=/a") == 0);
	UNIT_CHECK(!strcmp(disk.mount, "/m") && !strcmp(disk.target, "/a"));
	UNIT_CHECK(parse_guest_disk("/a,raw,xvda,rw,mount=mnt") == -EINVAL);
	UNIT_CHECK(strstr(why, "absolute"));
}

static void only_run_knows_mount(void)
{
	UNIT_CHECK(parse_disk("/a,raw,xvda,rw,mount=/mnt") == -EINVAL);
	UNIT_CHECK(strstr(why, "pvsplit run"));
}

static void refuses_a_disk_without_target_or_vdev(void)
{
	UNIT_CHECK(parse_disk("") == -EINVAL && strstr(why, "target"));
	UNIT_CHECK(parse_disk(",raw,xvda") == -EINVAL && strstr(why, "target"));
	UNIT_CHECK(parse_disk("target=") == -EINVAL && strstr(why, "target"));
	UNIT_CHECK(parse_disk("/a,raw") == -EINVAL && strstr(why, "vdev"));
	UNIT_CHECK(parse_disk("/a") == -EINVAL && strstr(why, "vdev"));
}

static void refuses_what_it_does_not_know(void)
{
	UNIT_CHECK(parse_disk("/a,qcow2,xvda") == -EINVAL &&
		   strstr(why, "qemu-img"));
	UNIT_CHECK(parse_disk("/a,raw,xvda,rx") == -EINVAL);
	UNIT_CHECK(parse_disk("/a,raw,xvda,rw,more") == -EINVAL);
	UNIT_CHECK(parse_disk("/a,raw,xvda,colour=red") == -EINVAL &&
		   strstr(why, "colour="));
	UNIT_CHECK(parse_disk("/a,raw,xvda1") == -EINVAL);
	UNIT_CHECK(parse_disk("/a,raw,xvda,vdev=xvdb") == -EINVAL &&
		   strstr(why, "twice"));
	UNIT_CHECK(parse_disk("/a,raw,xvda,target=/b") == -EINVAL);
}

static void refuses_a_disk_that_is_too_long(void)
{
	char *text = malloc(PATH_MAX + 64);

	UNIT_REQUIRE(text != NULL);
	memset(text, 'x', PATH_MAX);
	memcpy(text + PATH_MAX, ",raw,xvda", 10);
	UNIT_CHECK(parse_disk(text) == -EINVAL);
	text[1] = '=';
	UNIT_CHECK(parse_disk(text) == -EINVAL);
	memset(text, 'k', PATH_MAX);
	text[PATH_MAX - 2] = '=';
	UNIT_CHECK(parse_disk(text) == -EINVAL);
	free(text);
}

static void writes_nothing_when_it_refuses(void)
{
	UNIT_CHECK(parse_disk("/a,raw,xvda,rx") == -EINVAL);
	UNIT_CHECK((unsigned char)disk.target[0] == 0xa5);
	UNIT_CHECK(parse_vif("mac=01:00:00:00:00:00") == -EINVAL);
	UNIT_CHECK((unsigned char)vif.bridge[0] == 0xa5);
}

static void numbers_disks_as_xen_does(void)
{
	static const struct {
		const char *name;
		uint32_t number;
	} good[] = {
		{ "xvda", 51712 },
		{ "xvdb", 51728 },
		{ "xvdp", 51952 },
		{ "xvdq", 1u << 28 | 16u << 8 },
		{ "xvdz", 1u << 28 | 25u << 8 },
		{ "xvdaa", 1u << 28 | 26u << 8 },
		{ "hda", 768 },
		{ "hdb", 832 },
		{ "hdc", 5632 },
		{ "hdd", 5696 },
		{ "sda", 2048 },
		{ "sdp", 2288 },
	};
	static const char *const bad[] = { "",	    "xvd",	 "xvdA",
					   "xvd1",  "xvda1",	 "xvdaaa",
					   "hde",   "sdq",	 "vda",
					   "xvda ", "xvdaaaaaaa" };
	uint32_t number;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		number = 0;
		UNIT_CHECK(vdev_number(good[i].name, &number) == 0);
		UNIT_CHECK(number == good[i].number);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(vdev_number(bad[i], &number) == -EINVAL);
}

/* ---- interfaces -----------------------------------------------------------
 */

static void an_empty_interface_takes_the_defaults(void)
{
	UNIT_REQUIRE(parse_vif("") == 0);
	UNIT_CHECK(!vif.has_mac && !*vif.bridge && vif.mtu == 1500);
	UNIT_CHECK(vif.handle == SPEC_VIF_AUTO && !*vif.backend);
}

static void takes_an_interface_by_name(void)
{
	static const uint8_t mac[6] = { 0x00, 0x16, 0x3e, 0xaB, 0x0c, 0xff };

	UNIT_REQUIRE(parse_vif("mac=00:16:3e:aB:0c:ff,bridge=br0,vif=3,"
			       "mtu=9000,backend=net2") == 0);
	UNIT_CHECK(vif.has_mac && !memcmp(vif.mac, mac, 6));
	UNIT_CHECK(!strcmp(vif.bridge, "br0") && vif.handle == 3);
	UNIT_CHECK(vif.mtu == 9000 && !strcmp(vif.backend, "net2"));
}

static void a_guest_interface_may_have_addresses(void)
{
	UNIT_REQUIRE(parse_guest_vif("bridge=br0,ip=10.0.0.2/24,gw=10.0.0.1") ==
		     0);
	UNIT_CHECK(!strcmp(vif.ip, "10.0.0.2/24"));
	UNIT_CHECK(!strcmp(vif.gw, "10.0.0.1"));
	UNIT_CHECK(parse_guest_vif("ip=fd00::2/64,gw=fd00::1") == 0);
	UNIT_CHECK(parse_vif("gw=10.0.0.2") == -EINVAL &&
		   strstr(why, "pvsplit run"));
}

static void takes_an_uplink_of_a_bridge(void)
{
	static const char *const bad[] = {
		"uplink=af_packet:eth1", /* of which bridge? */
		"bridge=lan,uplink=",
		"bridge=lan,uplink=:eth1",
		"bridge=lan,uplink=A:b",
		"bridge=lan,uplink=tap eth1",
		"bridge=lan,uplink=a:b:c",
		"bridge=lan,uplink=a:e/th",
		"bridge=lan,uplink=a:b23456789012345x",
	};

	UNIT_REQUIRE(parse_vif("bridge=lan,uplink=af_packet:eth1") == 0);
	UNIT_CHECK(!strcmp(vif.uplink, "af_packet:eth1"));
	UNIT_REQUIRE(parse_guest_vif("uplink=af_packet,bridge=eth1") == 0);
	UNIT_CHECK(!strcmp(vif.uplink, "af_packet"));
	UNIT_REQUIRE(parse_vif("bridge=br0") == 0);
	UNIT_CHECK(!*vif.uplink);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(parse_vif(bad[i]) == -EINVAL);
}

static bool has_rule(const char *node, const char *text)
{
	struct spec_rule rules[SPEC_NR_RULES];
	unsigned nr = spec_rules(&vif, rules);

	for (unsigned i = 0; i < nr; i++)
		if (!strcmp(rules[i].node, node))
			return !strcmp(rules[i].text, text);
	return false;
}

static void takes_what_an_interface_may_do(void)
{
	UNIT_REQUIRE(parse_vif("bridge=xenbr0.100:10:20,isolated=yes") == 0);
	UNIT_CHECK(!strcmp(vif.bridge, "xenbr0.100:10:20"));
	UNIT_CHECK(has_rule("isolated", "1") && !has_rule("vlan", ""));
	UNIT_REQUIRE(parse_vif("vlan=100,trunk=10/20-25,antispoof=1,"
			       "ip=10.0.0.5/24 fd00::5,stormlimit=500") == 0);
	UNIT_CHECK(has_rule("vlan", "100") && has_rule("trunk", "10/20-25"));
	UNIT_CHECK(has_rule("antispoof", "1") &&
		   has_rule("ip", "10.0.0.5/24 fd00::5") &&
		   has_rule("stormlimit", "500"));
	/* Taken away again. */
	UNIT_REQUIRE(spec_rules_parse("vlan=,isolated=no,stormlimit=0,ip=",
				      &vif, why) == 0);
	UNIT_CHECK(has_rule("vlan", "") && has_rule("isolated", "") &&
		   has_rule("stormlimit", "") && has_rule("ip", "") &&
		   !has_rule("trunk", ""));
	UNIT_CHECK(parse_guest_vif("antispoof=yes,ip=10.0.0.2/24") == 0);
	UNIT_CHECK(has_rule("ip", "10.0.0.2/24"));
}

static void refuses_rules_that_are_none(void)
{
	static const char *const bad[] = {
		"vlan=4095",   "vlan=x",	  "trunk=0",
		"trunk=20-10", "bridge=br0:0",	  "bridge=br0:1:x",
		"isolated=2",  "antispoof=maybe", "stormlimit=1k",
		"ip=10.0.0",   "ip=10.0.0.1;x",	  "stormlimit=-1",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(parse_vif(bad[i]) == -EINVAL && *why);
	UNIT_CHECK(spec_rules_parse("mac=00:16:3e:00:00:01", &vif, why) ==
			   -EINVAL &&
		   strstr(why, "network-attach"));
}

static void refuses_bad_addresses(void)
{
	static const char *const bad[] = {
		"ip=10.0.0.2",	  "ip=10.0.0.2/33",
		"ip=10.0.0/24",	  "ip=/24",
		"ip=fd00::2/129", "ip=10.0.0.2/",
		"ip=10.0.0.2/-1", "gw=10.0.0.1/24",
		"gw=router",	  "gw=",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(parse_guest_vif(bad[i]) == -EINVAL && *why);
}

static void refuses_a_bad_mac(void)
{
	static const char *const bad[] = {
		"",
		"00:16:3e:00:00",
		"00:16:3e:00:00:0",
		"00:16:3e:00:00:0g",
		"00-16-3e-00-00-00",
		"00:16:3e:00:00:00:",
		"01:16:3e:00:00:00",
		"ff:ff:ff:ff:ff:ff",
		"0:16:3e:00:00:000",
	};
	uint8_t mac[6];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(packet_parse_mac(bad[i], mac) == -EINVAL);
}

static void takes_a_rate_as_xl_does(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		uint32_t burst_ms;
	} good[] = {
		{ "rate=10Mb/s", 1250000, 50 },
		{ "rate=250KB/s", 250000, 50 },
		{ "rate=1MB/s@20ms", 1000000, 20 },
		{ "rate=2GB/s@1s", 2000000000, 1000 },
		{ "rate=4096B/s@1500us", 4096, 2 },
		{ "rate=32768b/s@50000", 4096, 50 },
	};
	static const char *const bad[] = {
		"rate=",
		"rate=10",
		"rate=10MB",
		"rate=MB/s",
		"rate=10TB/s",
		"rate=10mb/s",
		"rate=10M/s",
		"rate=-1MB/s",
		"rate=4095B/s",
		"rate=1MB/s@",
		"rate=1MB/s@0ms",
		"rate=1MB/s@1m",
		"rate=1MB/s@61s",
		"rate=1MB/sx",
		"rate=1MB/s@ms",
		"rate=999999999GB/s",
		"rate=1 MB/s",
		"rate=1MBB/s",
		"rate=1MB/s@20ms ",
		"rate=1KMB/s",
		"rate=/s",
		"rate=18446744073709551617B/s",
	};

	UNIT_CHECK(parse_vif("mtu=1500") == 0 && !vif.rate_bytes);
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		UNIT_CHECK(parse_vif(good[i].text) == 0);
		UNIT_CHECK(vif.rate_bytes == good[i].bytes);
		UNIT_CHECK(vif.rate_burst_ms == good[i].burst_ms);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		UNIT_CHECK(parse_vif(bad[i]) == -EINVAL && *why);
}

static void refuses_an_interface_it_does_not_know(void)
{
	UNIT_CHECK(parse_vif("br0") == -EINVAL && strstr(why, "KEY=VALUE"));
	UNIT_CHECK(parse_vif("colour=red") == -EINVAL && strstr(why, "rate="));
	UNIT_CHECK(parse_vif("bridge=br0123456789012") == 0);
	UNIT_CHECK(parse_vif("bridge=br01234567890123") == -EINVAL);
	UNIT_CHECK(parse_vif("bridge=../../x") == -EINVAL);
	UNIT_CHECK(parse_vif("vif=1024") == -EINVAL);
	UNIT_CHECK(parse_vif("vif=-1") == -EINVAL);
	UNIT_CHECK(parse_vif("mtu=67") == -EINVAL);
	UNIT_CHECK(parse_vif("mtu=65522") == -EINVAL);
	UNIT_CHECK(parse_vif("vif=1,vif=2") == -EINVAL && strstr(why, "twice"));
}

UNIT_MAIN("pvsplit_spec", UNIT_TEST(takes_a_disk_by_position),
	  UNIT_TEST(takes_a_disk_by_name), UNIT_TEST(mixes_positions_and_names),
	  UNIT_TEST(leaves_out_what_is_empty),
	  UNIT_TEST(a_named_target_takes_the_rest_of_the_line),
	  UNIT_TEST(a_guest_disk_may_be_mounted),
	  UNIT_TEST(only_run_knows_mount),
	  UNIT_TEST(refuses_a_disk_without_target_or_vdev),
	  UNIT_TEST(refuses_what_it_does_not_know),
	  UNIT_TEST(refuses_a_disk_that_is_too_long),
	  UNIT_TEST(writes_nothing_when_it_refuses),
	  UNIT_TEST(numbers_disks_as_xen_does),
	  UNIT_TEST(an_empty_interface_takes_the_defaults),
	  UNIT_TEST(takes_an_interface_by_name),
	  UNIT_TEST(a_guest_interface_may_have_addresses),
	  UNIT_TEST(takes_an_uplink_of_a_bridge),
	  UNIT_TEST(takes_what_an_interface_may_do),
	  UNIT_TEST(refuses_rules_that_are_none),
	  UNIT_TEST(refuses_bad_addresses), UNIT_TEST(refuses_a_bad_mac),
	  UNIT_TEST(takes_a_rate_as_xl_does),
	  UNIT_TEST(refuses_an_interface_it_does_not_know))
