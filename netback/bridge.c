/* SPDX-License-Identifier: MIT */
/* bridge.c - switches by name; see bridge.h. Used by vif.c. */
#include "netback/bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int start_on_thread(void *arg)
{
	struct bridge *b = arg;

	return uplink_start(b->uplink, b->worker, b->sw);
}

static int stop_on_thread(void *arg)
{
	struct bridge *b = arg;

	uplink_stop(b->uplink);
	return 0;
}

static void close_all(const int *fds, unsigned nr_fds)
{
	for (unsigned i = 0; i < nr_fds; i++)
		close(fds[i]);
}

static int bridge_open(struct worker *worker, const struct vif_target *target,
		       const int *fds, unsigned nr_fds, struct bridge **ret)
{
	struct bridge *b = calloc(1, sizeof(*b));
	int err;

	if (!b) {
		close_all(fds, nr_fds);
		return -ENOMEM;
	}
	list_init(&b->link);
	memcpy(b->name, target->bridge, sizeof(b->name));
	b->worker = worker;
	b->uplink_link.up = true;
	err = switch_open(&b->sw);
	if (err)
		goto fail;
	if (target->nic.driver[0]) {
		err = uplink_open(&target->nic, fds, &b->uplink);
		if (err)
			goto fail_switch;
		err = worker_call(worker, start_on_thread, b);
		if (err)
			goto fail_uplink;
		b->uplink_link.mtu = target->nic.mtu;
		bridge_look(b, NULL);
	}
	*ret = b;
	return 0;

fail_uplink:
	uplink_close(b->uplink);
	nr_fds = 0;
fail_switch:
	switch_close(b->sw);
fail:
	close_all(fds, nr_fds);
	free(b);
	return err;
}

int bridge_get(struct list *bridges, struct worker *worker,
	       const struct vif_target *target, const int *fds, unsigned nr_fds,
	       struct bridge **ret)
{
	struct bridge *b = NULL;
	int err;

	list_for_each(l, bridges) {
		b = container_of(l, struct bridge, link);
		if (strcmp(b->name, target->bridge))
			continue;
		close_all(fds, nr_fds);
		b->nr_users++;
		*ret = b;
		return 0;
	}
	err = bridge_open(worker, target, fds, nr_fds, &b);
	if (err)
		return err;
	list_add_tail(bridges, &b->link);
	b->nr_users = 1;
	*ret = b;
	return 0;
}

void bridge_put(struct bridge *bridge)
{
	if (!bridge || --bridge->nr_users)
		return;
	list_del(&bridge->link);
	if (bridge->uplink)
		worker_call(bridge->worker, stop_on_thread, bridge);
	uplink_close(bridge->uplink);
	switch_close(bridge->sw);
	free(bridge);
}

bool bridge_look(struct bridge *bridge, const char *ifname)
{
	struct nic_link was = bridge->uplink_link, now;

	if (!bridge->uplink || !uplink_concerns(bridge->uplink, ifname) ||
	    !uplink_link(bridge->uplink, &now))
		return false;
	bridge->uplink_link = now;
	return now.up != was.up || now.mtu != was.mtu;
}

void bridge_arrive(struct bridge *bridge)
{
	if (!bridge->nr_present++ && bridge->uplink)
		uplink_carrier(bridge->uplink, true);
}

void bridge_leave(struct bridge *bridge, bool keep)
{
	if (!--bridge->nr_present && bridge->uplink && !keep)
		uplink_carrier(bridge->uplink, false);
}
