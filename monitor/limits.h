/* SPDX-License-Identifier: MIT */
/*
 * limits.h - the limits of a backend's devices, as the toolstack writes them,
 * read strictly and obeyed at once.
 *
 *	DIR/limit-rates		the device's own, as limiter_parse() reads them
 *	DIR/rate		an interface's without limit-rates, as libxl
 *writes it: limiter_parse_xl() DIR/limit-group		the name of its group
 *	/local/domain/B/GROUPS/NAME	the rates that all devices of driver
 *				domain B with this group share
 *
 * What is not there is no limit. What cannot be understood is refused with one
 * line in the log, and what was valid before stays.
 *
 * Thread: the control thread. Logs: with the device's name.
 */
#ifndef MONITOR_LIMITS_H
#define MONITOR_LIMITS_H

#include "util/limiter.h"
#include "util/list.h"
#include "xenbus/xenbus.h"

#define LIMIT_GROUP_NAME_MAX 32
#define LIMIT_RATES	     "limit-rates"
#define LIMIT_RATE_XL	     "rate"

struct limit_group;

/* What the devices of a worker process share. A zeroed one is not open. */
struct limit_groups {
	struct xs *xs;
	enum limiter_words words;
	struct list list, devices;
	struct xs_watch *watch;
	char dir[64];
};

/*
 * The device's queues are to use these limiters from now on, and those of them
 * that wait are to look again: rates may have changed.
 */
typedef void limits_apply_fn(void *arg, const struct limiter_pair *limiters);

struct device_limits {
	struct list link;
	struct limit_groups *groups;
	struct xenbus_device *dev;
	limits_apply_fn *apply;
	void *arg;
	struct limiter limiter;
	struct limit_group *group; /* NULL: none */
	/* As last read, valid or not: looked at again when they change. */
	char rates_seen[LIMITER_TEXT_MAX];
	char group_seen[LIMIT_GROUP_NAME_MAX];
};

/* Watch the groups, which are in a directory called node. */
int limit_groups_open(struct limit_groups *groups, struct xs *xs, domid_t domid,
		      const char *node, enum limiter_words words) PV_MUST_CHECK;
void limit_groups_close(struct limit_groups *groups); /* no device is left */

void limits_init(struct device_limits *l, struct limit_groups *groups,
		 struct xenbus_device *dev, limits_apply_fn *apply, void *arg);
void limits_fini(struct device_limits *l); /* its queues are closed */
/* The queues are new: read, and apply. */
void limits_start(struct device_limits *l);
/* Something in the device's directory changed. */
void limits_changed(struct device_limits *l);

#endif /* MONITOR_LIMITS_H */
