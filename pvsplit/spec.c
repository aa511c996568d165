/* SPDX-License-Identifier: MIT */
/* spec.c - parse device specifications. Pure; see spec.h. */
#include "pvsplit/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"
#include "util/packet.h"
#include "util/vdev.h"

struct parse {
	const char *rest;
	bool guest;
	char key[32];
	char value[PATH_MAX];
	bool has_key;
	char *why;
};

PV_PRINTF(2, 3)
static int refuse(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, SPEC_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int copy_text(char *to, size_t size, const char *what, const char *from,
		     size_t len, char *why)
{
	if (len >= size)
		return refuse(why, "%s is longer than %zu bytes; shorten it",
			      what, size - 1);
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

/*
 * The rest of the line is the target. In a guest's specification a mount=
 * after it is the last thing in the line.
 */
static int take_target(struct parse *p)
{
	const char *end = p->rest + strlen(p->rest), *mount = NULL;
	int err;

	for (const char *s = p->rest;
	     p->guest && (s = strstr(s, ",mount=")) != NULL; s++)
		mount = s;
	if (mount)
		end = mount;
	err = copy_text(p->value, sizeof(p->value), "target", p->rest,
			(size_t)(end - p->rest), p->why);
	p->rest = *end ? end + 1 : end;
	return err;
}

/* The next "value" or "key=value". Returns 1, 0 at the end, -EINVAL. */
static int next_field(struct parse *p)
{
	size_t len, key_len;
	int err;

	if (!p->rest || !*p->rest)
		return 0;
	while (*p->rest == ' ')
		p->rest++;
	len = strcspn(p->rest, ",");
	key_len = strspn(p->rest, "abcdefghijklmnopqrstuvwxyz-");
	p->has_key = key_len < len && p->rest[key_len] == '=' &&
		     key_len < sizeof(p->key);
	p->key[0] = '\0';
	if (p->has_key) {
		memcpy(p->key, p->rest, key_len);
		p->key[key_len] = '\0';
		p->rest += key_len + 1;
		len -= key_len + 1;
		if (!strcmp(p->key, "target")) {
			err = take_target(p);
			return err ? err : 1;
		}
	}
	err = copy_text(p->value, sizeof(p->value), "a value", p->rest, len,
			p->why);
	if (err)
		return err;
	p->rest += len;
	if (*p->rest == ',')
		p->rest++;
	return 1;
}

/* ---- disks ---- */

static int set_format(struct disk_spec *d, const char *value, char *why)
{
	(void)d;
	if (!*value || !strcmp(value, "raw"))
		return 0;
	return refuse(why,
		      "format '%.20s' is not served, only raw is; convert the "
		      "image with 'qemu-img convert -O raw'",
		      value);
}

static int set_vdev(struct disk_spec *d, const char *value, char *why)
{
	if (vdev_number(value, &d->handle))
		return refuse(why,
			      "vdev '%.20s' is not a whole disk's name; use "
			      "xvda, xvdb, ...",
			      value);
	snprintf(d->vdev, sizeof(d->vdev), "%s", value);
	return 0;
}

static int set_access(struct disk_spec *d, const char *value, char *why)
{
	if (!*value || !strcmp(value, "w") || !strcmp(value, "rw"))
		d->readonly = false;
	else if (!strcmp(value, "r") || !strcmp(value, "ro"))
		d->readonly = true;
	else
		return refuse(why, "access '%.20s' is not known; use r or rw",
			      value);
	return 0;
}

static int set_target(struct disk_spec *d, const char *value, char *why)
{
	return copy_text(d->target, sizeof(d->target), "target", value,
			 strlen(value), why);
}

static int set_disk_backend(struct disk_spec *d, const char *value, char *why)
{
	return copy_text(d->backend, sizeof(d->backend), "backend", value,
			 strlen(value), why);
}

static int set_mount(struct disk_spec *d, const char *value, char *why)
{
	if (*value != '/')
		return refuse(why,
			      "mount=%.80s is not an absolute path; give one",
			      value);
	return copy_text(d->mount, sizeof(d->mount), "mount", value,
			 strlen(value), why);
}

struct disk_key {
	const char *name;
	int (*set)(struct disk_spec *d, const char *value, char *why);
	bool guest_only;
};

/* The first four are also the order of what comes by position. */
static const struct disk_key disk_keys[] = {
	{ "target", set_target, false },
	{ "format", set_format, false },
	{ "vdev", set_vdev, false },
	{ "access", set_access, false },
	{ "backend", set_disk_backend, false },
	{ "mount", set_mount, true },
};
#define DISK_POSITIONS 4u

static int disk_field(struct parse *p, struct disk_spec *d, unsigned *position,
		      unsigned *seen)
{
	unsigned i = *position;

	if (!p->has_key) {
		if (i >= DISK_POSITIONS)
			return refuse(p->why,
				      "'%.40s' is one too many; the order is "
				      "TARGET,FORMAT,VDEV,ACCESS",
				      p->value);
		(*position)++;
		if (!*p->value)
			return 0;
	} else {
		for (i = 0; i < ARRAY_SIZE(disk_keys); i++)
			if (!strcmp(p->key, disk_keys[i].name))
				break;
		if (i == ARRAY_SIZE(disk_keys))
			return refuse(p->why,
				      "'%s=' is not known; use target=, "
				      "format=, vdev=, access= or backend=",
				      p->key);
	}
	if (disk_keys[i].guest_only && !p->guest)
		return refuse(p->why, "%s= is only for 'pvsplit run'", p->key);
	if (*seen & 1u << i)
		return refuse(p->why, "%s is given twice; give it once",
			      disk_keys[i].name);
	*seen |= 1u << i;
	return disk_keys[i].set(d, p->value, p->why);
}

int spec_disk_parse(const char *text, bool guest, struct disk_spec *ret,
		    char *why)
{
	struct parse p = { .rest = text, .guest = guest, .why = why };
	struct disk_spec d = { .readonly = false };
	unsigned position = 0, seen = 0;
	int more, err;

	while ((more = next_field(&p)) > 0) {
		err = disk_field(&p, &d, &position, &seen);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	if (!*d.target)
		return refuse(why, "no target is given; name the image: "
				   "PATH,raw,xvda,rw");
	if (!*d.vdev)
		return refuse(why, "no vdev is given; add vdev=xvda");
	*ret = d;
	return 0;
}

/* ---- interfaces ---- */

static int set_mac(struct vif_spec *v, const char *value, char *why)
{
	if (packet_parse_mac(value, v->mac))
		return refuse(why,
			      "mac '%.24s' is not a unicast address; write "
			      "00:16:3e:xx:xx:xx",
			      value);
	v->has_mac = true;
	return 0;
}

static int set_bridge(struct vif_spec *v, const char *value, char *why)
{
	if (strlen(value) >= sizeof(v->bridge) || strpbrk(value, "/ :") ||
	    !strcmp(value, ".") || !strcmp(value, ".."))
		return refuse(why,
			      "bridge '%.24s' is not an interface name; use at "
			      "most 15 letters and digits",
			      value);
	snprintf(v->bridge, sizeof(v->bridge), "%s", value);
	return 0;
}

static int set_vif(struct vif_spec *v, const char *value, char *why)
{
	if (num_parse_u32(value, SPEC_VIF_MAX, &v->handle))
		return refuse(why, "vif '%.20s' is not a number up to %u",
			      value, SPEC_VIF_MAX);
	return 0;
}

static int set_mtu(struct vif_spec *v, const char *value, char *why)
{
	if (num_parse_u32(value, 65521, &v->mtu) || v->mtu < 68)
		return refuse(why, "mtu '%.20s' is not between 68 and 65521",
			      value);
	return 0;
}

static int set_vif_backend(struct vif_spec *v, const char *value, char *why)
{
	return copy_text(v->backend, sizeof(v->backend), "backend", value,
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
	return refuse(why,
		      "ip '%.40s' is not ADDRESS/BITS; write for example "
		      "10.0.0.2/24",
		      value);
}

static int set_gw(struct vif_spec *v, const char *value, char *why)
{
	if (!is_address(value))
		return refuse(why, "gw '%.40s' is not an address", value);
	snprintf(v->gw, sizeof(v->gw), "%s", value);
	return 0;
}

static const struct vif_key {
	const char *name;
	int (*set)(struct vif_spec *v, const char *value, char *why);
	bool guest_only;
} vif_keys[] = {
	{ "mac", set_mac, false },
	{ "bridge", set_bridge, false },
	{ "vif", set_vif, false },
	{ "mtu", set_mtu, false },
	{ "backend", set_vif_backend, false },
	{ "ip", set_ip, true },
	{ "gw", set_gw, true },
};

static int vif_field(struct parse *p, struct vif_spec *v, unsigned *seen)
{
	unsigned i;

	if (!p->has_key)
		return refuse(p->why,
			      "'%.40s' is not KEY=VALUE; write for "
			      "example bridge=br0",
			      p->value);
	for (i = 0; i < ARRAY_SIZE(vif_keys); i++)
		if (!strcmp(p->key, vif_keys[i].name))
			break;
	if (i == ARRAY_SIZE(vif_keys))
		return refuse(p->why,
			      "'%s=' is not known; use mac=, bridge=, vif=, "
			      "mtu= or backend=",
			      p->key);
	if (vif_keys[i].guest_only && !p->guest)
		return refuse(p->why, "%s= is only for 'pvsplit run'", p->key);
	if (*seen & 1u << i)
		return refuse(p->why, "%s is given twice; give it once",
			      p->key);
	*seen |= 1u << i;
	return vif_keys[i].set(v, p->value, p->why);
}

int spec_vif_parse(const char *text, bool guest, struct vif_spec *ret,
		   char *why)
{
	struct parse p = { .rest = text, .guest = guest, .why = why };
	struct vif_spec v = { .handle = SPEC_VIF_AUTO, .mtu = 1500 };
	unsigned seen = 0;
	int more, err;

	while ((more = next_field(&p)) > 0) {
		err = vif_field(&p, &v, &seen);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	*ret = v;
	return 0;
}
