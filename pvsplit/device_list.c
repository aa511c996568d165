/* SPDX-License-Identifier: MIT */
/*
 * device_list.c - finding and showing the devices that are attached, and the
 * two commands that disks and interfaces share. See device.h.
 */
#include "pvsplit/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xenbus.h"
#include "pvsplit/domain.h"
#include "util/num.h"
#include "util/url.h"
#include "xenbus/xenbus.h"

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The children of path that are numbers, ascending. free(*ret). */
static int numbers_below(struct pvsplit *ps, const char *path, uint32_t **ret,
			 unsigned *ret_nr)
{
	char **names;
	uint32_t *numbers;
	unsigned nr, n = 0;
	int err = xs_directory(ps->xs, XS_NO_TXN, path, &names, &nr);

	if (err == -ENOENT) {
		*ret = NULL;
		*ret_nr = 0;
		return 0;
	}
	if (err)
		return err;
	numbers = calloc(nr ? nr : 1, sizeof(*numbers));
	if (!numbers) {
		free(names);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < nr; i++)
		if (!num_parse_u32(names[i], UINT32_MAX, &numbers[n]))
			n++;
	free(names);
	qsort(numbers, n, sizeof(*numbers), compare_numbers);
	*ret = numbers;
	*ret_nr = n;
	return 0;
}

static int for_each_of(struct pvsplit *ps, enum device_kind kind, domid_t domid,
		       device_fn *fn, void *arg)
{
	char path[DEVICE_PATH_MAX];
	uint32_t *handles = NULL;
	unsigned nr = 0;
	int ret;

	snprintf(path, sizeof(path), "/libxl/%u/device/%s", domid,
		 device_type(kind));
	ret = numbers_below(ps, path, &handles, &nr);
	for (unsigned i = 0; !ret && i < nr; i++) {
		struct device dev;

		ret = device_find(ps, kind, domid, handles[i], &dev);
		if (ret == -ENOENT) {
			ret = 0; /* gone meanwhile */
			continue;
		}
		if (!ret)
			ret = fn(ps, &dev, arg);
	}
	free(handles);
	return ret;
}

int device_for_each(struct pvsplit *ps, enum device_kind kind, uint32_t domid,
		    device_fn *fn, void *arg)
{
	uint32_t *domids = NULL;
	unsigned nr = 0;
	int ret;

	if (domid != DEVICE_ALL)
		return for_each_of(ps, kind, (domid_t)domid, fn, arg);
	ret = numbers_below(ps, "/libxl", &domids, &nr);
	for (unsigned i = 0; !ret && i < nr; i++)
		if (domids[i] <= UINT16_MAX)
			ret = for_each_of(ps, kind, (domid_t)domids[i], fn,
					  arg);
	free(domids);
	return ret;
}

int domain_numbers(struct pvsplit *ps, uint32_t **ret, unsigned *nr)
{
	return numbers_below(ps, "/local/domain", ret, nr);
}

const char *device_state_name(const char *text)
{
	uint32_t state;

	if (num_parse_u32(text, XenbusStateReconfigured, &state))
		return "Unknown";
	return xenbus_state_name((enum xenbus_state)state);
}

void device_json_add(struct pvsplit *ps, json_t *object,
		     const struct device *dev, const char *node,
		     const char *key)
{
	char text[512];
	json_t *value;

	if (xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, node, text,
			sizeof(text)))
		return;
	url_hide_password(text);
	value = json_string(text);
	if (!value) { /* not UTF-8: a path may hold any bytes */
		for (char *c = text; *c; c++)
			*c = (char)((unsigned char)*c < 0x80 ? *c : '?');
		value = json_string(text);
	}
	json_object_set_new(object, key, value);
}

json_t *device_json(struct pvsplit *ps, const struct device *dev)
{
	char name[DOMAIN_NAME_MAX], backend[DOMAIN_NAME_MAX];
	char front_state[16] = "", back_state[16] = "";
	int err;

	domain_name(ps, dev->domid, name, sizeof(name));
	domain_name(ps, dev->backend_id, backend, sizeof(backend));
	err = xs_read_str(ps->xs, XS_NO_TXN, dev->front, "state", front_state,
			  sizeof(front_state));
	if (!err)
		err = xs_read_str(ps->xs, XS_NO_TXN, dev->back, "state",
				  back_state, sizeof(back_state));
	(void)err; /* what cannot be read is shown as Unknown */
	return json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:s}", "domid",
			 (int)dev->domid, "domain", name, "handle",
			 (int)dev->handle, "backend-id", (int)dev->backend_id,
			 "backend", backend, "frontend-state",
			 device_state_name(front_state), "backend-state",
			 device_state_name(back_state));
}

int device_list_run(struct pvsplit *ps, const struct args *args,
		    enum device_kind kind, device_fn *add,
		    const struct column *columns)
{
	uint32_t which = DEVICE_ALL;
	json_t *list;
	domid_t domid;
	int err = pvsplit_connect(ps);

	if (err)
		return err;
	if (args->nr) {
		err = domain_resolve(ps, args->command, args->words[0], &domid);
		if (err)
			return err;
		which = domid;
	}
	list = json_array();
	if (list)
		err = device_for_each(ps, kind, which, add, list);
	if (err) {
		json_decref(list);
		return complain(err,
				"%s: cannot list: %s; see 'pvsplit status'",
				args->command, strerror(-err));
	}
	return output_list(ps, list, columns);
}

int device_find_args(struct pvsplit *ps, const struct args *args,
		     enum device_kind kind, uint32_t handle, struct device *ret)
{
	domid_t domid;
	int err = pvsplit_connect(ps);

	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	if (err)
		return err;
	err = device_find(ps, kind, domid, handle, ret);
	if (err == -ENOENT)
		return complain(err,
				"%s: domain %u has no %s %s; 'pvsplit "
				"%s-list' shows what there is",
				args->command, domid, device_type(kind),
				args->words[1],
				kind == DEVICE_VBD ? "block" : "network");
	if (err)
		return complain(err,
				"%s: cannot read the store: %s; see "
				"'pvsplit status'",
				args->command, strerror(-err));
	return 0;
}

int device_detach_run(struct pvsplit *ps, const struct args *args,
		      enum device_kind kind, uint32_t handle)
{
	struct device dev;
	int err = device_find_args(ps, args, kind, handle, &dev);

	if (err)
		return err;
	return device_detach(ps, args->command, &dev,
			     args_get(args, "force") != NULL,
			     clock_now_ns() + DEVICE_DETACH_NS);
}
