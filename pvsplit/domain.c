/* SPDX-License-Identifier: MIT */
/* domain.c - domain-create, domain-destroy, domain-list. See domain.h. */
#include "pvsplit/domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "pvsplit/device.h"
#include "pvsplit/jobs.h"
#include "util/num.h"

const struct cmd_option domain_create_options[] = {
	{ "uid", "UID", "the user that is this domain (else the caller)" },
	{ "devices", "N", "room in the store for so many (else some 20)" },
	{ 0 },
};

static int read_name(struct pvsplit *ps, uint32_t domid, char *buf, size_t size)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "/local/domain/%u", domid);
	return xs_read_str(ps->xs, XS_NO_TXN, dir, "name", buf, size);
}

void domain_name(struct pvsplit *ps, domid_t domid, char *buf, size_t size)
{
	if (read_name(ps, domid, buf, size))
		snprintf(buf, size, "%u", domid);
}

static bool domain_exists(struct pvsplit *ps, uint32_t domid)
{
	char dir[32], *value;

	snprintf(dir, sizeof(dir), "/local/domain/%u", domid);
	if (xs_read(ps->xs, XS_NO_TXN, dir, &value, NULL))
		return false;
	free(value);
	return true;
}

int domain_lookup(struct pvsplit *ps, const char *text, domid_t *ret)
{
	char name[DOMAIN_NAME_MAX];
	uint32_t number, *all;
	unsigned nr;
	int err;

	if (!num_parse_u32(text, DOMID_FIRST_RESERVED - 1, &number)) {
		if (!domain_exists(ps, number))
			return -ENOENT;
		*ret = (domid_t)number;
		return 0;
	}
	err = domain_numbers(ps, &all, &nr);
	if (err)
		return err;
	err = -ENOENT;
	for (unsigned i = 0; err && i < nr; i++) {
		if (read_name(ps, all[i], name, sizeof(name)) ||
		    strcmp(name, text) != 0)
			continue;
		*ret = (domid_t)all[i];
		err = 0;
	}
	free(all);
	return err;
}

int domain_resolve(struct pvsplit *ps, const char *command, const char *text,
		   domid_t *ret)
{
	int err = domain_lookup(ps, text, ret);

	if (err == -ENOENT)
		return complain(err,
				"%s: domain '%s' does not exist; 'pvsplit "
				"domain-list' shows those that do",
				command, text);
	if (err)
		return complain(err,
				"%s: cannot read the store: %s; see 'pvsplit "
				"status'",
				command, strerror(-err));
	return 0;
}

int domain_create(struct pvsplit *ps, const char *command, const char *name,
		  uid_t uid, uint32_t flags, domid_t *ret)
{
	int err = lite_domain_create(ps->platform, name, uid, flags, ret);

	switch (-err) {
	case 0: return 0;
	case EEXIST:
		return complain(err,
				"%s: the name '%s' is in use; choose another "
				"or end that domain with 'pvsplit "
				"domain-destroy %s'",
				command, name, name);
	case EINVAL:
		return complain(err,
				"%s: '%s' is no name for a domain; use 1 to 63 "
				"letters, digits, '.', '_' or '-', not only "
				"digits",
				command, name);
	case EPERM:
	case EACCES:
		return complain(err,
				"%s: not allowed for user %u; run as root or "
				"leave --uid out",
				command, getuid());
	case ENOSPC:
		return complain(err,
				"%s: no room for one more domain below %s; "
				"destroy one, or make room on its file system",
				command, ps->run_dir);
	default:
		return complain(err,
				"%s: cannot make domain '%s': %s; see the log "
				"of brokerd",
				command, name, strerror(-err));
	}
}

int domain_make_room(struct pvsplit *ps, const char *command, domid_t domid,
		     uint32_t nr_devices)
{
	/* What every domain has, and what a device needs on either end. */
	static const struct {
		const char *name;
		uint32_t base, each;
	} quotas[] = {
		{ "nodes", 1000, 40 },
		{ "watches", 128, 3 },
		{ "memory", 2560 * 1024, 16384 },
		{ "soft-memory", 2048 * 1024, 14336 },
		{ "event-memory", 256 * 1024, 2048 },
		{ "connections", 512, 1 },
	};
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(quotas); i++)
		err = xs_set_quota(ps->xs, domid, quotas[i].name,
				   quotas[i].base +
					   quotas[i].each * nr_devices);
	if (err)
		return complain(err,
				"%s: cannot give domain %u room in the store: "
				"%s; see the log of brokerd",
				command, domid, strerror(-err));
	return 0;
}

/* ---- destroy ---- */

struct destroy {
	const char *command;
	domid_t domid;
};

static int serves(struct pvsplit *ps, const struct device *dev, void *arg)
{
	const struct destroy *d = arg;

	(void)ps;
	if (dev->backend_id != d->domid || dev->domid == d->domid)
		return 0;
	return complain(-EBUSY,
			"%s: domain %u is the backend of %s; detach that first",
			d->command, d->domid, device_name(dev));
}

static int detach(struct pvsplit *ps, const struct device *dev, void *arg)
{
	const struct destroy *d = arg;

	return device_detach(ps, d->command, dev, true,
			     clock_now_ns() + DEVICE_DETACH_NS);
}

static int for_both_kinds(struct pvsplit *ps, uint32_t domid, device_fn *fn,
			  void *arg)
{
	int err = device_for_each(ps, DEVICE_VBD, domid, fn, arg);

	return err ? err : device_for_each(ps, DEVICE_VIF, domid, fn, arg);
}

int domain_destroy(struct pvsplit *ps, const char *command, domid_t domid)
{
	struct destroy d = { .command = command, .domid = domid };
	char path[32];
	int err;

	if (!domid)
		return complain(-EINVAL,
				"%s: domain 0 is the toolstack itself; end it "
				"with 'pvsplit down'",
				command);
	err = for_both_kinds(ps, DEVICE_ALL, serves, &d);
	if (!err)
		err = for_both_kinds(ps, domid, detach, &d);
	if (err)
		return err;
	err = lite_domain_destroy(ps->platform, domid);
	if (err)
		return complain(err, "%s: cannot end domain %u: %s; try again",
				command, domid, strerror(-err));
	snprintf(path, sizeof(path), "/libxl/%u", domid);
	err = xs_rm(ps->xs, XS_NO_TXN, path);
	if (err && err != -ENOENT)
		return complain(err, "%s: cannot remove %s: %s; try again",
				command, path, strerror(-err));
	return 0;
}

/* ---- commands ---- */

int domain_create_run(struct pvsplit *ps, const struct args *args)
{
	const char *uid_text = args_get(args, "uid");
	const char *devices = args_get(args, "devices");
	uint32_t uid = getuid(), nr_devices = 0;
	domid_t domid = 0;
	int err;

	if (uid_text && num_parse_u32(uid_text, UINT32_MAX - 1, &uid))
		return complain_usage(args, "uid '%s' is not a number",
				      uid_text);
	if (devices && num_parse_u32(devices, DOMAIN_DEVICES_MAX, &nr_devices))
		return complain_usage(args, "--devices takes a number up to %u",
				      DOMAIN_DEVICES_MAX);
	err = pvsplit_connect(ps);
	if (!err)
		err = domain_create(ps, args->command, args->words[0], uid, 0,
				    &domid);
	if (err)
		return err;
	err = devices ? domain_make_room(ps, args->command, domid, nr_devices)
		      : 0;
	if (err) {
		int undo = domain_destroy(ps, args->command, domid);

		(void)undo; /* said; err is what happened first */
		return err;
	}
	return output_result(ps,
			     json_pack("{s:i, s:s}", "domid", (int)domid,
				       "name", args->words[0]),
			     "domain %u: %s", domid, args->words[0]);
}

int domain_destroy_run(struct pvsplit *ps, const struct args *args)
{
	domid_t domid = 0;
	int err = pvsplit_connect(ps);

	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	return err ? err : domain_destroy(ps, args->command, domid);
}

static int count(struct pvsplit *ps, const struct device *dev, void *arg)
{
	(void)ps;
	(void)dev;
	(*(int *)arg)++;
	return 0;
}

static json_t *domain_json(struct pvsplit *ps, uint32_t domid)
{
	char name[DOMAIN_NAME_MAX], dir[600];
	int disks = 0, vifs = 0;
	json_t *object;
	struct stat st;

	domain_name(ps, (domid_t)domid, name, sizeof(name));
	if (device_for_each(ps, DEVICE_VBD, domid, count, &disks) ||
	    device_for_each(ps, DEVICE_VIF, domid, count, &vifs))
		return NULL;
	object = json_pack("{s:i, s:s, s:i, s:i}", "domid", (int)domid, "name",
			   name, "disks", disks, "vifs", vifs);
	snprintf(dir, sizeof(dir), "%s/%u", ps->run_dir, domid);
	if (object && stat(dir, &st) == 0)
		json_object_set_new(object, "uid", json_integer(st.st_uid));
	return object;
}

int domain_list_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "domid", "ID" },    { "name", "NAME" }, { "uid", "UID" },
		{ "disks", "DISKS" }, { "vifs", "VIFS" }, { 0 },
	};
	json_t *list;
	uint32_t *all;
	unsigned nr;
	int err = pvsplit_connect(ps);

	if (err)
		return err;
	err = domain_numbers(ps, &all, &nr);
	if (err)
		return complain(err,
				"%s: cannot read the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	list = json_array();
	for (unsigned i = 0; list && i < nr; i++)
		json_array_append_new(list, domain_json(ps, all[i]));
	free(all);
	return output_list(ps, list, columns);
}
