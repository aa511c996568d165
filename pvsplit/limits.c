/* SPDX-License-Identifier: MIT */
/*
 * limits.c - the limits of a device and of its group, shown and changed, see
 * limits.h. The nodes are in docs/xenstore-paths.md; the driver domain watches
 * them.
 */
#include "pvsplit/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limiter.h"
#include "util/num.h"

#define GROUP_NAME_MAX 32

static const struct {
	enum limiter_words words;
	const char *groups; /* the driver domain's directory of them */
} kinds[] = {
	[DEVICE_VBD] = { LIMITER_DISKS, "limit-group" },
	[DEVICE_VIF] = { LIMITER_NETWORKS, "vif-limit-group" },
};

struct change {
	const struct args *args;
	enum limiter_words words;
	const struct device *dev;
	const char *group; /* NULL: not named */
	bool none, any;	   /* any: a rate or the burst is named */
	bool named[LIMITER_NR_RATES];
	struct limiter_rates rates; /* those that are named */
	bool burst_named;
	char groups[DEVICE_PATH_MAX]; /* the driver domain's directory */
};

/* ---- the command line ---- */

static int parse_rate(struct change *c, enum limiter_rate rate)
{
	const char *name = limiter_rate_name(c->words, rate);
	const char *text = args_get(c->args, name);
	bool bytes = limiter_rate_is_bytes(rate);
	uint64_t least = bytes ? LIMITER_BYTES_MIN : LIMITER_OPS_MIN, value;
	int err;

	if (!text)
		return 0;
	err = bytes ? num_parse_size(text, &value)
		    : num_parse_u64(text, LIMITER_RATE_MAX, &value);
	if (err || value > LIMITER_RATE_MAX || (value && value < least))
		return complain_usage(c->args,
				      "--%s %s: not a number from %llu to %llu",
				      name, text, (unsigned long long)least,
				      (unsigned long long)LIMITER_RATE_MAX);
	c->rates.per_second[rate] = value;
	c->named[rate] = c->any = true;
	return 0;
}

static bool is_group_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && !name[len] && len < GROUP_NAME_MAX;
}

static int parse_change(struct change *c)
{
	const char *burst = args_get(c->args, "burst");
	int err = 0;

	c->group = args_get(c->args, "group");
	c->none = args_get(c->args, "none") != NULL;
	for (unsigned i = 0; !err && i < LIMITER_NR_RATES; i++)
		err = parse_rate(c, (enum limiter_rate)i);
	if (err)
		return err;
	if (burst &&
	    num_parse_u32(burst, LIMITER_BURST_MS_MAX, &c->rates.burst_ms))
		return complain_usage(c->args,
				      "--burst %s: not a number from 0 to %u",
				      burst, LIMITER_BURST_MS_MAX);
	c->burst_named = burst != NULL;
	c->any |= c->burst_named;
	if (c->group && !is_group_name(c->group))
		return complain_usage(c->args,
				      "--group '%s': letters, digits, - and _ "
				      "only, at most %d",
				      c->group, GROUP_NAME_MAX - 1);
	if (c->none && (c->group || c->any))
		return complain_usage(c->args,
				      "--none goes with no other limit");
	return 0;
}

/* ---- the store ---- */

/* "" when there is none. */
static int read_text(struct xs *xs, xs_txn_t tx, const char *dir,
		     const char *node, char *buf, size_t size)
{
	int err = xs_read_str(xs, tx, dir, node, buf, size);

	if (err == -ENOENT || err == -ENAMETOOLONG || err == -EINVAL) {
		buf[0] = '\0';
		return 0;
	}
	return err;
}

/* Removing what is not there is fine. */
static int write_text(struct xs *xs, xs_txn_t tx, const char *dir,
		      const char *node, const char *text)
{
	char path[2 * DEVICE_PATH_MAX];
	int err;

	if (*text)
		return xs_printf(xs, tx, dir, node, "%s", text);
	err = str_printf(path, sizeof(path), "%s/%s", dir, node);
	if (err < 0)
		return err;
	err = xs_rm(xs, tx, path);
	return err == -ENOENT ? 0 : err;
}

/* Put the rates that are named into those of a node. */
static int merge(struct xs *xs, xs_txn_t tx, const struct change *c,
		 const char *dir, const char *node)
{
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];
	int err = read_text(xs, tx, dir, node, text, sizeof(text));

	if (err)
		return err;
	/* What the driver domain refuses, too, is not worth keeping. */
	if (limiter_parse(c->words, text, &rates))
		rates = (struct limiter_rates){
			.burst_ms = LIMITER_BURST_MS_DEFAULT
		};
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++)
		if (c->named[i])
			rates.per_second[i] = c->rates.per_second[i];
	if (c->burst_named)
		rates.burst_ms = c->rates.burst_ms;
	err = limiter_format(c->words, &rates, text, sizeof(text));
	return err < 0 ? err : write_text(xs, tx, dir, node, text);
}

static int change_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	const struct change *c = arg;
	const char *back = c->dev->back;
	int err;

	if (c->none) {
		err = write_text(xs, tx, back, "limit-rates", "");
		return err ? err : write_text(xs, tx, back, "limit-group", "");
	}
	if (!c->group)
		return merge(xs, tx, c, back, "limit-rates");
	if (c->any) {
		err = merge(xs, tx, c, c->groups, c->group);
		if (err)
			return err;
	}
	return write_text(xs, tx, back, "limit-group", c->group);
}

/* ---- showing ---- */

static json_t *rates_json(enum limiter_words words, const char *text)
{
	struct limiter_rates rates;
	json_t *object;

	if (!*text || limiter_parse(words, text, &rates))
		return NULL;
	object = json_object();
	for (unsigned i = 0; object && i < LIMITER_NR_RATES; i++)
		if (rates.per_second[i])
			json_object_set_new(
				object,
				limiter_rate_name(words, (enum limiter_rate)i),
				json_integer((json_int_t)rates.per_second[i]));
	if (object)
		json_object_set_new(object, "burst-ms",
				    json_integer(rates.burst_ms));
	return object;
}

static void groups_dir(const struct device *dev, char *buf)
{
	snprintf(buf, DEVICE_PATH_MAX, "/local/domain/%u/%s", dev->backend_id,
		 kinds[dev->kind].groups);
}

/* The texts of a device; "" for what there is not. */
struct limit_texts {
	char own[LIMITER_TEXT_MAX], group[GROUP_NAME_MAX],
		shared[LIMITER_TEXT_MAX];
};

static int read_texts(struct pvsplit *ps, const struct device *dev,
		      struct limit_texts *ret)
{
	char dir[DEVICE_PATH_MAX];
	int err = read_text(ps->xs, XS_NO_TXN, dev->back, "limit-rates",
			    ret->own, sizeof(ret->own));

	ret->shared[0] = '\0';
	if (!err)
		err = read_text(ps->xs, XS_NO_TXN, dev->back, "limit-group",
				ret->group, sizeof(ret->group));
	if (err || !*ret->group)
		return err;
	groups_dir(dev, dir);
	return read_text(ps->xs, XS_NO_TXN, dir, ret->group, ret->shared,
			 sizeof(ret->shared));
}

static void add_texts(json_t *object, enum device_kind kind,
		      const struct limit_texts *texts)
{
	json_t *own = rates_json(kinds[kind].words, texts->own);
	json_t *shared = rates_json(kinds[kind].words, texts->shared);

	if (own)
		json_object_set_new(object, "limits", own);
	if (*texts->group)
		json_object_set_new(object, "limit-group",
				    json_string(texts->group));
	if (shared)
		json_object_set_new(object, "group-limits", shared);
}

void limits_json_add(struct pvsplit *ps, json_t *object,
		     const struct device *dev)
{
	struct limit_texts texts;

	if (!read_texts(ps, dev, &texts))
		add_texts(object, dev->kind, &texts);
}

static int show(const struct pvsplit *ps, const struct device *dev,
		const char *name, const struct limit_texts *texts)
{
	json_t *object = json_pack("{s:i, s:i}", "domid", (int)dev->domid,
				   "handle", (int)dev->handle);
	const char *own = *texts->own ? texts->own : "no limits";

	if (object && dev->kind == DEVICE_VBD)
		json_object_set_new(object, "vdev", json_string(name));
	if (object)
		add_texts(object, dev->kind, texts);
	if (!*texts->group)
		return output_result(ps, object, "domain %u, %s: %s",
				     dev->domid, name, own);
	return output_result(ps, object, "domain %u, %s: %s; group %s: %s",
			     dev->domid, name, own, texts->group,
			     *texts->shared ? texts->shared : "no limits");
}

/* ---- the command ---- */

int limits_run(struct pvsplit *ps, const struct args *args,
	       enum device_kind kind, uint32_t handle, const char *name)
{
	struct change c = { .args = args, .words = kinds[kind].words };
	struct limit_texts texts;
	struct device dev;
	int err = parse_change(&c);

	if (!err)
		err = device_find_args(ps, args, kind, handle, &dev);
	if (err)
		return err;
	c.dev = &dev;
	groups_dir(&dev, c.groups);
	if (c.none || c.group || c.any)
		err = xs_transaction(ps->xs, change_in_txn, &c);
	if (!err)
		err = read_texts(ps, &dev, &texts);
	if (err)
		return complain(err,
				"%s: cannot reach the store: %s; see 'pvsplit "
				"status'",
				args->command, strerror(-err));
	return show(ps, &dev, name, &texts);
}
