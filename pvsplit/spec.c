/* SPDX-License-Identifier: MIT */
/*
 * spec.c - parse device specifications: fields, and disks; see spec.h.
 * Neighbour: spec_vif.c. Pure.
 */
#include "pvsplit/spec_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"
#include "util/vdev.h"

/* ---- fields ---- */

int spec_refuse(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, SPEC_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int spec_copy_text(char *to, size_t size, const char *what, const char *from,
		   size_t len, char *why)
{
	if (len >= size)
		return spec_refuse(why,
				   "%s is longer than %zu bytes; shorten it",
				   what, size - 1);
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

/*
 * The rest of the line is the target. In a guest's specification a mount=
 * after it is the last thing in the line.
 */
static int take_target(struct spec_parse *p)
{
	const char *end = p->rest + strlen(p->rest), *mount = NULL;
	int err;

	for (const char *s = p->rest;
	     p->guest && (s = strstr(s, ",mount=")) != NULL; s++)
		mount = s;
	if (mount)
		end = mount;
	err = spec_copy_text(p->value, sizeof(p->value), "target", p->rest,
			     (size_t)(end - p->rest), p->why);
	p->rest = *end ? end + 1 : end;
	return err;
}

int spec_next_field(struct spec_parse *p)
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
	err = spec_copy_text(p->value, sizeof(p->value), "a value", p->rest,
			     len, p->why);
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
	return spec_refuse(
		why,
		"format '%.20s' is not served, only raw is; convert the "
		"image with 'qemu-img convert -O raw'",
		value);
}

static int set_vdev(struct disk_spec *d, const char *value, char *why)
{
	if (vdev_number(value, &d->handle))
		return spec_refuse(
			why,
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
		return spec_refuse(
			why, "access '%.20s' is not known; use r or rw", value);
	return 0;
}

static int set_target(struct disk_spec *d, const char *value, char *why)
{
	return spec_copy_text(d->target, sizeof(d->target), "target", value,
			      strlen(value), why);
}

static int set_disk_backend(struct disk_spec *d, const char *value, char *why)
{
	return spec_copy_text(d->backend, sizeof(d->backend), "backend", value,
			      strlen(value), why);
}

static int set_mount(struct disk_spec *d, const char *value, char *why)
{
	if (*value != '/')
		return spec_refuse(
			why, "mount=%.80s is not an absolute path; give one",
			value);
	return spec_copy_text(d->mount, sizeof(d->mount), "mount", value,
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

static int disk_field(struct spec_parse *p, struct disk_spec *d,
		      unsigned *position, unsigned *seen)
{
	unsigned i = *position;

	if (!p->has_key) {
		if (i >= DISK_POSITIONS)
			return spec_refuse(
				p->why,
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
			return spec_refuse(
				p->why,
				"'%s=' is not known; use target=, "
				"format=, vdev=, access= or backend=",
				p->key);
	}
	if (disk_keys[i].guest_only && !p->guest)
		return spec_refuse(p->why, "%s= is only for 'pvsplit run'",
				   p->key);
	if (*seen & 1u << i)
		return spec_refuse(p->why, "%s is given twice; give it once",
				   disk_keys[i].name);
	*seen |= 1u << i;
	return disk_keys[i].set(d, p->value, p->why);
}

int spec_disk_parse(const char *text, bool guest, struct disk_spec *ret,
		    char *why)
{
	struct spec_parse p = { .rest = text, .guest = guest, .why = why };
	struct disk_spec d = { .readonly = false };
	unsigned position = 0, seen = 0;
	int more, err;

	while ((more = spec_next_field(&p)) > 0) {
		err = disk_field(&p, &d, &position, &seen);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	if (!*d.target)
		return spec_refuse(why, "no target is given; name the image: "
					"PATH,raw,xvda,rw");
	if (!*d.vdev)
		return spec_refuse(why, "no vdev is given; add vdev=xvda");
	*ret = d;
	return 0;
}
