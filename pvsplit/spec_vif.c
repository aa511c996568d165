/* SPDX-License-Identifier: MIT */
/*
 * spec_vif.c - parse the specifications of interfaces; see spec.h. Neighbour:
 * spec.c, the fields. Pure.
 */
#include "pvsplit/spec_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"
#include "util/packet.h"
#include "util/vlan.h"

#define SPEC_NR_IPS_MAX 16u

static int set_mac(struct vif_spec *v, const char *value, char *why)
{
	if (packet_parse_mac(value, v->mac))
		return spec_refuse(
			why,
			"mac '%.24s' is not a unicast address; write "
			"00:16:3e:xx:xx:xx",
			value);
	v->has_mac = true;
	return 0;
}

/* vlan, trunk: words of util/vlan.h. */
static int check_vlans(const char *vlan, const char *trunk, char *why)
{
	struct vlan_set set;

	if (vlan_parse(vlan, trunk, &set))
		return spec_refuse(why,
				   "'%.8s', '%.60s': no such VLANs; write "
				   "vlan=100 for one without tags, or "
				   "trunk=10/20-25 for some with tags",
				   vlan, trunk);
	return 0;
}

static int set_bridge(struct vif_spec *v, const char *value, char *why)
{
	char name[SPEC_VLANS_MAX];
	const char *vlan, *trunk;
	int err = spec_copy_text(name, sizeof(name), "bridge", value,
				 strlen(value), why);

	if (err)
		return err;
	vlan_split_bridge(name, &vlan, &trunk);
	if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/ ") ||
	    !strcmp(name, ".") || !strcmp(name, ".."))
		return spec_refuse(why,
				   "bridge '%.24s' is not an interface name; "
				   "use at most 15 letters and digits",
				   name);
	err = check_vlans(vlan, trunk, why);
	if (!err)
		snprintf(v->bridge, sizeof(v->bridge), "%s", value);
	return err;
}

/* Which drivers there are netbackd knows. */
static int set_uplink(struct vif_spec *v, const char *value, char *why)
{
	size_t driver = strspn(value, "abcdefghijklmnopqrstuvwxyz_");
	const char *name = value + driver;

	if (*name == ':')
		name++;
	if (!driver || (*name && name == value + driver) ||
	    strlen(name) >= IFNAMSIZ || strpbrk(name, "/: "))
		return spec_refuse(why,
				   "uplink '%.40s' is not DRIVER:INTERFACE; "
				   "write for example af_packet:eth1",
				   value);
	return spec_copy_text(v->uplink, sizeof(v->uplink), "uplink", value,
			      strlen(value), why);
}

static int set_vlan(struct vif_spec *v, const char *value, char *why)
{
	int err = check_vlans(value, "", why);

	if (!err)
		snprintf(v->vlan, sizeof(v->vlan), "%s", value);
	return err;
}

static int set_trunk(struct vif_spec *v, const char *value, char *why)
{
	int err = check_vlans("", value, why);

	return err ? err
		   : spec_copy_text(v->trunk, sizeof(v->trunk), "trunk", value,
				    strlen(value), why);
}

/* "1", or "" for no rule. */
static int set_flag(char *to, size_t size, const char *what, const char *value,
		    char *why)
{
	bool yes = !strcmp(value, "1") || !strcmp(value, "yes");

	if (!yes && *value && strcmp(value, "0") && strcmp(value, "no"))
		return spec_refuse(why, "%s '%.20s' is not yes or no", what,
				   value);
	snprintf(to, size, "%s", yes ? "1" : "");
	return 0;
}

static int set_isolated(struct vif_spec *v, const char *value, char *why)
{
	return set_flag(v->isolated, sizeof(v->isolated), "isolated", value,
			why);
}

static int set_antispoof(struct vif_spec *v, const char *value, char *why)
{
	return set_flag(v->antispoof, sizeof(v->antispoof), "antispoof", value,
			why);
}

static int set_stormlimit(struct vif_spec *v, const char *value, char *why)
{
	uint32_t frames = 0;

	if (*value && num_parse_u32(value, UINT32_MAX, &frames))
		return spec_refuse(why,
				   "stormlimit '%.20s' is not a number of "
				   "frames a second",
				   value);
	snprintf(v->stormlimit, sizeof(v->stormlimit), "%s",
		 frames ? value : "");
	return 0;
}

static int set_vif(struct vif_spec *v, const char *value, char *why)
{
	if (num_parse_u32(value, SPEC_VIF_MAX, &v->handle))
		return spec_refuse(why, "vif '%.20s' is not a number up to %u",
				   value, SPEC_VIF_MAX);
	return 0;
}

static int set_mtu(struct vif_spec *v, const char *value, char *why)
{
	if (num_parse_u32(value, 65521, &v->mtu) || v->mtu < 68)
		return spec_refuse(
			why, "mtu '%.20s' is not between 68 and 65521", value);
	return 0;
}

static int set_link(struct vif_spec *v, const char *value, char *why)
{
	if (strcmp(value, "up") && strcmp(value, "down"))
		return spec_refuse(why, "link '%.20s' is not up or down",
				   value);
	snprintf(v->link, sizeof(v->link), "%s", value);
	return 0;
}

static int set_rate(struct vif_spec *v, const char *value, char *why)
{
	if (spec_rate_parse(value, &v->rate_bytes, &v->rate_burst_ms))
		return spec_refuse(why,
				   "rate '%.24s' is not a rate from 4096 bytes "
				   "a second on; write for example 10Mb/s or "
				   "1MB/s@20ms",
				   value);
	return 0;
}

static int set_vif_backend(struct vif_spec *v, const char *value, char *why)
{
	return spec_copy_text(v->backend, sizeof(v->backend), "backend", value,
			      strlen(value), why);
}

static bool is_address(const char *text)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, text, raw) == 1 ||
	       inet_pton(AF_INET6, text, raw) == 1;
}

static int set_ip(struct vif_spec *v, const char *value, char *why)
{
	const char *slash = strchr(value, '/');
	char address[48];
	uint32_t bits;

	if (!slash || (size_t)(slash - value) >= sizeof(address) ||
	    num_parse_u32(slash + 1, strchr(value, ':') ? 128 : 32, &bits))
		goto bad;
	memcpy(address, value, (size_t)(slash - value));
	address[slash - value] = '\0';
	if (!is_address(address))
		goto bad;
	snprintf(v->ip, sizeof(v->ip), "%s", value);
	return 0;
bad:
	return spec_refuse(why,
			   "ip '%.40s' is not ADDRESS/BITS; write for example "
			   "10.0.0.2/24",
			   value);
}

static int set_gw(struct vif_spec *v, const char *value, char *why)
{
	if (!is_address(value))
		return spec_refuse(why, "gw '%.40s' is not an address", value);
	snprintf(v->gw, sizeof(v->gw), "%s", value);
	return 0;
}

/* Addresses with or without /BITS, separated by spaces. */
static int set_ips(struct vif_spec *v, const char *value, char *why)
{
	const char *at = value;
	unsigned nr = 0;

	while (*(at += strspn(at, " "))) {
		size_t len = strcspn(at, " "), bare = strcspn(at, " /");
		char word[48];

		snprintf(word, sizeof(word), "%.*s", (int)bare, at);
		if (bare >= sizeof(word) || !is_address(word))
			return spec_refuse(
				why,
				"ip '%.40s' is not an address; write "
				"for example ip=10.0.0.2 fd00::2",
				at);
		if (++nr > SPEC_NR_IPS_MAX)
			return spec_refuse(why,
					   "ip= has more than %u addresses",
					   SPEC_NR_IPS_MAX);
		at += len;
	}
	return spec_copy_text(v->ip, sizeof(v->ip), "ip", value, strlen(value),
			      why);
}

/* Where a key may be. */
#define IN_ATTACH 0x1u
#define IN_GUEST  0x2u
#define IN_RULES  0x4u
#define IN_SET	  0x8u
#define IN_ALL	  (IN_ATTACH | IN_GUEST | IN_RULES)

static const struct vif_key {
	const char *name;
	int (*set)(struct vif_spec *v, const char *value, char *why);
	unsigned where;
} vif_keys[] = {
	{ "vlan", set_vlan, IN_ALL },
	{ "trunk", set_trunk, IN_ALL },
	{ "isolated", set_isolated, IN_ALL },
	{ "antispoof", set_antispoof, IN_ALL },
	{ "stormlimit", set_stormlimit, IN_ALL },
	{ "ip", set_ips, IN_ATTACH | IN_RULES },
	{ "ip", set_ip, IN_GUEST },
	{ "mac", set_mac, IN_ATTACH | IN_GUEST | IN_SET },
	{ "bridge", set_bridge, IN_ATTACH | IN_GUEST },
	{ "uplink", set_uplink, IN_ATTACH | IN_GUEST },
	{ "vif", set_vif, IN_ATTACH | IN_GUEST },
	{ "mtu", set_mtu, IN_ATTACH | IN_GUEST | IN_SET },
	{ "link", set_link, IN_SET },
	{ "rate", set_rate, IN_ATTACH | IN_GUEST },
	{ "backend", set_vif_backend, IN_ATTACH | IN_GUEST },
	{ "gw", set_gw, IN_GUEST },
};

/* Its number; that of no key when it may not be here. */
static unsigned find_key(const char *name, unsigned where, bool *ret_elsewhere)
{
	unsigned i;

	*ret_elsewhere = false;
	for (i = 0; i < ARRAY_SIZE(vif_keys); i++) {
		if (strcmp(name, vif_keys[i].name))
			continue;
		if (vif_keys[i].where & where)
			break;
		*ret_elsewhere = true;
	}
	return i;
}

/* The command that takes it. */
static const char *elsewhere_is(const char *name, unsigned where)
{
	if (!strcmp(name, "link"))
		return "pvsplit network-set";
	return where & (IN_RULES | IN_SET) ? "pvsplit network-attach"
					   : "pvsplit run";
}

static int vif_field(struct spec_parse *p, struct vif_spec *v, unsigned where)
{
	bool elsewhere;
	unsigned i;

	if (!p->has_key)
		return spec_refuse(p->why,
				   "'%.40s' is not KEY=VALUE; write for "
				   "example bridge=br0",
				   p->value);
	i = find_key(p->key, where, &elsewhere);
	if (i == ARRAY_SIZE(vif_keys) && elsewhere)
		return spec_refuse(p->why, "%s= is only for '%s'", p->key,
				   elsewhere_is(p->key, where));
	if (i == ARRAY_SIZE(vif_keys))
		return spec_refuse(
			p->why,
			"'%s=' is not known; use mac=, bridge=, "
			"uplink=, vif=, mtu=, rate=, backend=, vlan=, trunk=, "
			"isolated=, antispoof=, ip= or stormlimit=",
			p->key);
	if (v->given & 1u << i)
		return spec_refuse(p->why, "%s is given twice; give it once",
				   p->key);
	v->given |= 1u << i;
	return vif_keys[i].set(v, p->value, p->why);
}

static int parse(const char *text, unsigned where, struct vif_spec *ret,
		 char *why)
{
	struct spec_parse p = { .rest = text, .why = why };
	struct vif_spec v = { .handle = SPEC_VIF_AUTO,
			      .mtu = where == IN_SET ? 0 : 1500 };
	int more, err;

	while ((more = spec_next_field(&p)) > 0) {
		err = vif_field(&p, &v, where);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	if (*v.uplink && !*v.bridge)
		return spec_refuse(why, "uplink= is a bridge's; add bridge= "
					"with a name of your choice");
	*ret = v;
	return 0;
}

int spec_vif_parse(const char *text, bool guest, struct vif_spec *ret,
		   char *why)
{
	return parse(text, guest ? IN_GUEST : IN_ATTACH, ret, why);
}

int spec_rules_parse(const char *text, struct vif_spec *ret, char *why)
{
	return parse(text, IN_RULES, ret, why);
}

int spec_set_parse(const char *text, struct vif_spec *ret, char *why)
{
	return parse(text, IN_SET, ret, why);
}

unsigned spec_rules(const struct vif_spec *spec,
		    struct spec_rule ret[SPEC_NR_RULES])
{
	const struct spec_rule all[SPEC_NR_RULES] = {
		{ "vlan", spec->vlan },
		{ "trunk", spec->trunk },
		{ "isolated", spec->isolated },
		{ "antispoof", spec->antispoof },
		{ "stormlimit", spec->stormlimit },
		{ "ip", spec->ip },
	};
	unsigned nr = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(vif_keys); i++)
		for (unsigned r = 0; r < SPEC_NR_RULES; r++)
			if (spec->given & 1u << i &&
			    !strcmp(vif_keys[i].name, all[r].node))
				ret[nr++] = all[r];
	return nr;
}
