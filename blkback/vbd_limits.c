/* SPDX-License-Identifier: MIT */
/*
 * vbd_limits.c - from the nodes to limiters, see vbd_limits.h. Neighbours:
 * util/limiter.c, limit.c (the queue's side), vbd.c calls. Control thread.
 */
#include "blkback/vbd_limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkback/vbd_private.h"
#include "util/clock.h"
#include "util/num.h"

struct limit_group {
	struct list link;
	char name[LIMIT_GROUP_NAME_MAX];
	char rates_seen[LIMITER_TEXT_MAX];
	struct limiter limiter;
	unsigned nr_disks;
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
static bool look_at_group(struct blkback *bb, struct limit_group *g)
{
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];
	int err = read_text(bb->control.xs, bb->limit_groups.dir, g->name, text,
			    sizeof(text));

	if (err || !strcmp(text, g->rates_seen))
		return false;
	memcpy(g->rates_seen, text, sizeof(text));
	err = limiter_parse(text, &rates);
	if (err) {
		log_warn("%s/%s: '%s' is refused: %s; its limits stay as they "
			 "were",
			 bb->limit_groups.dir, g->name, text,
			 strerrordesc_np(-err));
		return false;
	}
	limiter_set(&g->limiter, &rates, clock_now_ns());
	log_info("limits of group %s: %s", g->name, *text ? text : "none");
	return true;
}

static struct limit_group *group_get(struct blkback *bb, const char *name)
{
	struct limit_group *g;

	list_for_each(l, &bb->limit_groups.list) {
		g = container_of(l, struct limit_group, link);
		if (!strcmp(g->name, name)) {
			g->nr_disks++;
			return g;
		}
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->nr_disks = 1;
	limiter_init(&g->limiter);
	list_add_tail(&bb->limit_groups.list, &g->link);
	look_at_group(bb, g);
	return g;
}

static void group_put(struct limit_group *g)
{
	if (!g || --g->nr_disks > 0)
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

/* ---- a disk ---- */

/* Give the queues their limiters, and those that wait another look. */
static void apply(struct vbd *v)
{
	struct blkback_limiters limiters = {
		.disk = &v->limits.limiter,
		.group = v->limits.group ? &v->limits.group->limiter : NULL,
	};

	vbd_queues_set_limiters(&v->queues, &limiters);
}

static bool look_at_rates(struct vbd *v)
{
	struct vbd_limits *l = &v->limits;
	struct limiter_rates rates;
	char text[LIMITER_TEXT_MAX];
	int err = read_text(v->dev->xs, v->dev->node, "limit-rates", text,
			    sizeof(text));

	if (err || !strcmp(text, l->rates_seen))
		return false;
	memcpy(l->rates_seen, text, sizeof(text));
	err = limiter_parse(text, &rates);
	if (err) {
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: limit-rates: '%s' is refused: %s; the limits "
			    "stay as they were",
			    v->dev->name, text, strerrordesc_np(-err));
		return false;
	}
	limiter_set(&l->limiter, &rates, clock_now_ns());
	log_info("%s: limits: %s", v->dev->name, *text ? text : "none");
	return true;
}

/* The old group is let go only when no queue uses it any more. */
static void join(struct vbd *v, const char *name)
{
	struct limit_group *old = v->limits.group, *g = NULL;

	if (*name) {
		g = group_get(v->bb, name);
		if (!g) {
			log_limited(&v->dev->limit, LOG_WARN,
				    "%s: limit-group: %s: out of memory; the "
				    "group stays as it was",
				    v->dev->name, name);
			return;
		}
	}
	v->limits.group = g;
	apply(v);
	group_put(old);
	log_info("%s: limit group: %s", v->dev->name, *name ? name : "none");
}

static void look_at_membership(struct vbd *v)
{
	struct vbd_limits *l = &v->limits;
	char name[LIMIT_GROUP_NAME_MAX];

	if (read_text(v->dev->xs, v->dev->node, "limit-group", name,
		      sizeof(name)) ||
	    !strcmp(name, l->group_seen))
		return;
	memcpy(l->group_seen, name, sizeof(name));
	if (*name && !is_group_name(name))
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: limit-group: '%s' is refused: letters, "
			    "digits, - and _ only, at most %d; the group stays "
			    "as it was",
			    v->dev->name, name, LIMIT_GROUP_NAME_MAX - 1);
	else
		join(v, name);
}

void vbd_limits_changed(struct vbd *v)
{
	if (look_at_rates(v))
		apply(v);
	look_at_membership(v);
}

void vbd_limits_start(struct vbd *v)
{
	vbd_limits_changed(v);
	apply(v);
}

void vbd_limits_init(struct vbd *v)
{
	limiter_init(&v->limits.limiter);
}

void vbd_limits_fini(struct vbd *v)
{
	group_put(v->limits.group);
	limiter_fini(&v->limits.limiter);
}

/* ---- the watch ---- */

static void tell_members(struct blkback *bb, const struct limit_group *g)
{
	list_for_each(l, &bb->vbds) {
		struct vbd *v = container_of(l, struct vbd, link);

		if (v->limits.group == g)
			apply(v);
	}
}

static void groups_changed(void *arg, const char *path)
{
	struct blkback *bb = arg;
	size_t len = strlen(bb->limit_groups.dir);
	bool all = strlen(path) <= len;

	list_for_each(l, &bb->limit_groups.list) {
		struct limit_group *g =
			container_of(l, struct limit_group, link);

		if ((all || !strcmp(path + len + 1, g->name)) &&
		    look_at_group(bb, g))
			tell_members(bb, g);
	}
}

int limit_groups_open(struct blkback *bb)
{
	struct limit_groups *groups = &bb->limit_groups;
	int err = str_printf(groups->dir, sizeof(groups->dir),
			     "/local/domain/%u/limit-group",
			     platform_domid(bb->control.platform));

	if (err < 0)
		return err;
	list_init(&groups->list);
	return xs_watch(bb->control.xs, groups->dir, groups_changed, bb,
			&groups->watch);
}

void limit_groups_close(struct blkback *bb)
{
	xs_unwatch(bb->control.xs, bb->limit_groups.watch);
	bb->limit_groups.watch = NULL;
}
