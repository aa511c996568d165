/* SPDX-License-Identifier: MIT */
/*
 * limits.c - from the nodes to limiters, see limits.h. Neighbours:
 * util/limiter.c, blkback/vbd.c and netback/vif.c call. Control thread.
 */
#include "monitor/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"

struct limit_group {
	struct list link;
	char name[LIMIT_GROUP_NAME_MAX];
	char rates_seen[LIMITER_TEXT_MAX];
	struct limiter limiter;
	unsigned nr_devices;
};

/* No text that is valid looks like this. */
#define TOO_LONG "(too long)"

/*
 * A node's text; "" when there is none. An error of the store's is one of no
 * value: what was read before stays.
 */
static int read_text(struct xs *xs, const char *dir, const char *node,
		     char *buf, size_t size)
{
	int err = xs_read_str(xs, XS_NO_TXN, dir, node, buf, size);

	if (err == -ENOENT)
		buf[0] = '\0';
	else if (err == -ENAMETOOLONG || err == -EINVAL)
		snprintf(buf, size, TOO_LONG);
	else
		return err;
	return 0;
}

/* ---- groups ---- */

/* Read a group's rates. True when they are others now. */
static bool look_at_group(struct limit_groups *groups, struct limit_group *g)
{
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];
	int err =
		read_text(groups->xs, groups->dir, g->name, text, sizeof(text));

	if (err || !strcmp(text, g->rates_seen))
		return false;
	memcpy(g->rates_seen, text, sizeof(text));
	err = limiter_parse(groups->words, text, &rates);
	if (err) {
		log_warn("%s/%s: '%s' is refused: %s; its limits stay as they "
			 "were",
			 groups->dir, g->name, text, strerrordesc_np(-err));
		return false;
	}
	limiter_set(&g->limiter, &rates, clock_now_ns());
	log_info("limits of group %s: %s", g->name, *text ? text : "none");
	return true;
}

static struct limit_group *group_get(struct limit_groups *groups,
				     const char *name)
{
	struct limit_group *g;

	list_for_each(l, &groups->list) {
		g = container_of(l, struct limit_group, link);
		if (!strcmp(g->name, name)) {
			g->nr_devices++;
			return g;
		}
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->nr_devices = 1;
	limiter_init(&g->limiter);
	list_add_tail(&groups->list, &g->link);
	look_at_group(groups, g);
	return g;
}

static void group_put(struct limit_group *g)
{
	if (!g || --g->nr_devices > 0)
		return;
	list_del(&g->link);
	limiter_fini(&g->limiter);
	free(g);
}

static bool is_group_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && !name[len];
}

/* ---- a device ---- */

static void apply(struct device_limits *l)
{
	struct limiter_pair limiters = {
		.own = &l->limiter,
		.group = l->group ? &l->group->limiter : NULL,
	};

	l->apply(l->arg, &limiters);
}

/* The name of the node that its rates are in: of interfaces there are two. */
static const char *rates_node(struct device_limits *l)
{
	char text[2];

	if (l->groups->words == LIMITER_NETWORKS &&
	    xs_read_str(l->dev->xs, XS_NO_TXN, l->dev->node, LIMIT_RATES, text,
			sizeof(text)) == -ENOENT)
		return LIMIT_RATE_XL;
	return LIMIT_RATES;
}

static bool look_at_rates(struct device_limits *l)
{
	const char *node = rates_node(l);
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];
	int err = read_text(l->dev->xs, l->dev->node, node, text, sizeof(text));

	if (err || !strcmp(text, l->rates_seen))
		return false;
	memcpy(l->rates_seen, text, sizeof(text));
	if (*text && !strcmp(node, LIMIT_RATE_XL))
		err = limiter_parse_xl(text, &rates);
	else
		err = limiter_parse(l->groups->words, text, &rates);
	if (err) {
		log_limited(&l->dev->limit, LOG_WARN,
			    "%s: %s: '%s' is refused: %s; the limits stay as "
			    "they were",
			    l->dev->name, node, text, strerrordesc_np(-err));
		return false;
	}
	limiter_set(&l->limiter, &rates, clock_now_ns());
	log_info("%s: limits: %s", l->dev->name, *text ? text : "none");
	return true;
}

/* The old group is let go only when no queue uses it any more. */
static void join(struct device_limits *l, const char *name)
{
	struct limit_group *old = l->group, *g = NULL;

	if (*name) {
		g = group_get(l->groups, name);
		if (!g) {
			log_limited(&l->dev->limit, LOG_WARN,
				    "%s: limit-group: %s: out of memory; the "
				    "group stays as it was",
				    l->dev->name, name);
			return;
		}
	}
	l->group = g;
	apply(l);
	group_put(old);
	log_info("%s: limit group: %s", l->dev->name, *name ? name : "none");
}

static void look_at_membership(struct device_limits *l)
{
	char name[LIMIT_GROUP_NAME_MAX];

	if (read_text(l->dev->xs, l->dev->node, "limit-group", name,
		      sizeof(name)) ||
	    !strcmp(name, l->group_seen))
		return;
	memcpy(l->group_seen, name, sizeof(name));
	if (*name && !is_group_name(name))
		log_limited(&l->dev->limit, LOG_WARN,
			    "%s: limit-group: '%s' is refused: letters, "
			    "digits, - and _ only, at most %d; the group stays "
			    "as it was",
			    l->dev->name, name, LIMIT_GROUP_NAME_MAX - 1);
	else
		join(l, name);
}

void limits_changed(struct device_limits *l)
{
	if (look_at_rates(l))
		apply(l);
	look_at_membership(l);
}

void limits_start(struct device_limits *l)
{
	limits_changed(l);
	apply(l);
}

void limits_init(struct device_limits *l, struct limit_groups *groups,
		 struct xenbus_device *dev, limits_apply_fn *fn, void *arg)
{
	*l = (struct device_limits){
		.groups = groups,
		.dev = dev,
		.apply = fn,
		.arg = arg,
	};
	limiter_init(&l->limiter);
	list_add_tail(&groups->devices, &l->link);
}

void limits_fini(struct device_limits *l)
{
	list_del(&l->link);
	group_put(l->group);
	limiter_fini(&l->limiter);
}

/* ---- the watch ---- */

static void tell_members(struct limit_groups *groups,
			 const struct limit_group *g)
{
	list_for_each(link, &groups->devices) {
		struct device_limits *l =
			container_of(link, struct device_limits, link);

		if (l->group == g)
			apply(l);
	}
}

static void groups_changed(void *arg, const char *path)
{
	struct limit_groups *groups = arg;
	size_t len = strlen(groups->dir);
	bool all = strlen(path) <= len;

	list_for_each(link, &groups->list) {
		struct limit_group *g =
			container_of(link, struct limit_group, link);

		if ((all || !strcmp(path + len + 1, g->name)) &&
		    look_at_group(groups, g))
			tell_members(groups, g);
	}
}

int limit_groups_open(struct limit_groups *groups, struct xs *xs, domid_t domid,
		      const char *node, enum limiter_words words)
{
	int err = str_printf(groups->dir, sizeof(groups->dir),
			     "/local/domain/%u/%s", domid, node);

	if (err < 0)
		return err;
	groups->xs = xs;
	groups->words = words;
	list_init(&groups->list);
	list_init(&groups->devices);
	return xs_watch(xs, groups->dir, groups_changed, groups,
			&groups->watch);
}

void limit_groups_close(struct limit_groups *groups)
{
	if (groups->xs)
		xs_unwatch(groups->xs, groups->watch);
	groups->watch = NULL;
}
