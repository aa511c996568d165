/* SPDX-License-Identifier: MIT */
/*
 * spec.h - device specifications, in xl's words.
 *
 * Disks as in xl-disk-configuration(5): "TARGET,FORMAT,VDEV,ACCESS" by
 * position, "key=value" by name, both mixed; "target=" takes the rest of the
 * line. Interfaces as in xl-network-configuration(5): "mac=...,bridge=...".
 * In addition, for `run` only: "mount=DIR" of a disk, "gw=A" of an interface,
 * whose "ip=A/B" then is what the guest is given, too.
 *
 * Pure; any thread. why (size SPEC_WHY_MAX) takes "why; what to do".
 */
#ifndef PVSPLIT_SPEC_H
#define PVSPLIT_SPEC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define SPEC_WHY_MAX   320
#define SPEC_VDEV_MAX  8
#define SPEC_NAME_MAX  64
#define SPEC_VIF_MAX   1023u
#define SPEC_VIF_AUTO  UINT32_MAX
#define SPEC_VLANS_MAX 256
#define SPEC_IPS_MAX   768

struct disk_spec {
	char target[PATH_MAX];
	char vdev[SPEC_VDEV_MAX]; /* "xvda" */
	uint32_t handle;	  /* its number: 51712 */
	bool readonly;
	char backend[SPEC_NAME_MAX]; /* "" = not given */
	char mount[PATH_MAX];	     /* "" = not given */
};

struct vif_spec {
	uint8_t mac[6];
	bool has_mac;
	char bridge[SPEC_VLANS_MAX]; /* as xl's: NAME.VLAN:TRUNK:TRUNK */
	char uplink[SPEC_NAME_MAX];  /* DRIVER:INTERFACE; "" = not given */
	uint32_t handle;	     /* SPEC_VIF_AUTO = not given */
	uint32_t mtu;
	/* What the guest may send; 0: any. Saved up while idle, as time. */
	uint64_t rate_bytes;
	uint32_t rate_burst_ms;
	char backend[SPEC_NAME_MAX];
	char ip[SPEC_IPS_MAX], gw[48];
	char link[8]; /* "up", "down" */
	/* What it may do on the switch, see spec_rules(); "" = no rule. */
	char vlan[8], trunk[SPEC_VLANS_MAX], isolated[4], antispoof[4],
		stormlimit[12];
	uint32_t given; /* a bit for each key */
};

/* guest: allow what only `run` understands. Returns 0 or -EINVAL. */
int spec_disk_parse(const char *text, bool guest, struct disk_spec *ret,
		    char *why) PV_MUST_CHECK;
int spec_vif_parse(const char *text, bool guest, struct vif_spec *ret,
		   char *why) PV_MUST_CHECK;

/* Only what may be changed later. */
int spec_rules_parse(const char *text, struct vif_spec *ret,
		     char *why) PV_MUST_CHECK;

/*
 * Only what network-set takes: mac; mtu, which is 0 when it is not given; link,
 * likewise "".
 */
int spec_set_parse(const char *text, struct vif_spec *ret,
		   char *why) PV_MUST_CHECK;

/* A node of the backend's directory (docs/xenstore-paths.md) and its value. */
struct spec_rule {
	const char *node, *text; /* "": there is no such rule */
};
#define SPEC_NR_RULES 6u
/* The rules that spec names. Returns how many. */
unsigned spec_rules(const struct vif_spec *spec,
		    struct spec_rule ret[SPEC_NR_RULES]);

#endif /* PVSPLIT_SPEC_H */
