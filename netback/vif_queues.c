/* SPDX-License-Identifier: MIT */
/*
 * vif_queues.c - the queues of one vif, see vif_queues.h. Neighbours: port.c
 * (the queues on their thread), record.c; vif.c calls. Control thread.
 */
#include "netback/vif_queues.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void vif_queues_init(struct vif_queues *qs, struct netback *nb, domid_t domid,
		     uint32_t handle, queue_fault_fn *fault, void *fault_arg)
{
	*qs = (struct vif_queues){
		.nb = nb,
		.domid = domid,
		.handle = handle,
		.fault = fault,
		.fault_arg = fault_arg,
	};
}

/* ---- with the monitor -------------------------------------------------- */

struct key {
	char text[MONITOR_KEY_MAX];
};

static struct key record_key(const struct vif_queues *qs, uint32_t i)
{
	struct key k;

	_Static_assert(sizeof("vif/4294967295/4294967295/q4294967295") <=
			       MONITOR_KEY_MAX,
		       "every key fits");
	snprintf(k.text, sizeof(k.text), "vif/%u/%u/q%u", qs->domid, qs->handle,
		 i);
	return k;
}

static struct monitor_client *monitor_of(const struct vif_queues *qs)
{
	return qs->nb->control.monitor;
}

void vif_queues_drop_kept(struct vif_queues *qs)
{
	for (uint32_t i = 0; i < RECORD_QUEUES_MAX; i++)
		if (monitor_client_drop(monitor_of(qs), record_key(qs, i).text))
			break;
}

int vif_queues_make(struct vif_queues *qs, const struct queue_params *params)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < params->nr_queues; i++) {
		int fd = record_create(&params[i], &qs->records[i]);

		if (fd < 0)
			return fd;
		qs->nr++;
		err = monitor_client_keep(monitor_of(qs),
					  record_key(qs, i).text, fd);
		close(fd);
	}
	return err;
}

static int find_record(struct vif_queues *qs, uint32_t i)
{
	int fd = monitor_client_get(monitor_of(qs), record_key(qs, i).text);
	int err;

	if (fd < 0)
		return fd;
	err = record_attach(fd, qs->domid, qs->handle, i, &qs->records[i]);
	close(fd);
	if (!err)
		qs->nr++;
	return err;
}

int vif_queues_find(struct vif_queues *qs)
{
	int err = find_record(qs, 0);
	uint32_t nr;

	if (err)
		return err;
	nr = qs->records[0]->params.nr_queues;
	for (uint32_t i = 1; !err && i < nr; i++) {
		err = find_record(qs, i);
		/* All of one connection, or it is none. */
		if (err == -ENOENT ||
		    (!err && qs->records[i]->params.nr_queues != nr))
			err = -EPROTO;
	}
	return err;
}

/* ---- life -------------------------------------------------------------- */

struct start {
	struct vif_queues *qs;
	struct vswitch *sw;
};

static int start_on_thread(void *arg)
{
	struct start *s = arg;

	return vif_port_start(s->qs->port, s->qs->nb->worker, s->sw);
}

static int stop_on_thread(void *arg)
{
	struct vif_queues *qs = arg;

	vif_port_stop(qs->port);
	return 0;
}

int vif_queues_open(struct vif_queues *qs, bool resume, uint32_t *ret_queue)
{
	struct vif_port_config config = {
		.platform = qs->nb->control.platform,
		.domid = qs->domid,
		.rules = &qs->rules,
		.wishes = qs->wishes,
		.records = qs->records,
		.nr_queues = qs->nr,
		.resume = resume,
		.fault = qs->fault,
		.fault_arg = qs->fault_arg,
		.limiters = qs->limiters,
	};

	memcpy(config.mac, qs->mac, sizeof(config.mac));
	return vif_port_open(&config, &qs->port, ret_queue);
}

int vif_queues_start(struct vif_queues *qs, struct vswitch *sw)
{
	struct start s = { .qs = qs, .sw = sw };

	return worker_call(qs->nb->worker, start_on_thread, &s);
}

static int set_mac_on_thread(void *arg)
{
	struct vif_queues *qs = arg;

	vif_port_set_mac(qs->port, qs->mac);
	return 0;
}

void vif_queues_set_mac(struct vif_queues *qs,
			const uint8_t mac[PACKET_MAC_BYTES])
{
	if (!memcmp(qs->mac, mac, sizeof(qs->mac)))
		return;
	memcpy(qs->mac, mac, sizeof(qs->mac));
	if (qs->port)
		worker_call(qs->nb->worker, set_mac_on_thread, qs);
}

static int set_rules_on_thread(void *arg)
{
	struct vif_queues *qs = arg;

	vif_port_set_rules(qs->port, &qs->rules);
	return 0;
}

void vif_queues_set_rules(struct vif_queues *qs,
			  const struct switch_rules *rules)
{
	if (!memcmp(&qs->rules, rules, sizeof(*rules)))
		return;
	memcpy(&qs->rules, rules, sizeof(*rules));
	if (qs->port)
		worker_call(qs->nb->worker, set_rules_on_thread, qs);
}

static int set_wishes_on_thread(void *arg)
{
	struct vif_queues *qs = arg;

	vif_port_set_wishes(qs->port, &qs->wishes);
	return 0;
}

void vif_queues_set_wishes(struct vif_queues *qs,
			   const struct queue_wishes *wishes)
{
	if (qs->wishes.mcast == wishes->mcast &&
	    qs->wishes.headroom_bytes == wishes->headroom_bytes)
		return;
	qs->wishes = *wishes;
	if (qs->port)
		worker_call(qs->nb->worker, set_wishes_on_thread, qs);
}

void vif_queues_stop(struct vif_queues *qs, bool keep)
{
	if (qs->port) {
		worker_call(qs->nb->worker, stop_on_thread, qs);
		vif_port_close(qs->port, keep);
		qs->port = NULL;
	}
	if (qs->nr && !keep)
		vif_queues_drop_kept(qs);
	while (qs->nr)
		record_unmap(qs->records[--qs->nr]);
}

struct limit_call {
	struct vif_queues *qs;
	const struct limiter_pair *limiters;
};

static int limit_on_thread(void *arg)
{
	struct limit_call *call = arg;

	vif_port_set_limiters(call->qs->port, call->limiters);
	return 0;
}

void vif_queues_set_limiters(struct vif_queues *qs,
			     const struct limiter_pair *limiters)
{
	struct limit_call call = { .qs = qs, .limiters = limiters };

	qs->limiters = *limiters;
	if (qs->port)
		worker_call(qs->nb->worker, limit_on_thread, &call);
}

struct traffic_call {
	const struct vif_queues *qs;
	uint32_t queue;
	struct traffic *to;
};

static int add_on_thread(void *arg)
{
	struct traffic_call *call = arg;

	vif_port_traffic(call->qs->port, call->queue, call->to);
	return 0;
}

void vif_queues_traffic(const struct vif_queues *qs, uint32_t queue,
			struct traffic *to)
{
	struct traffic_call call = { .qs = qs, .queue = queue, .to = to };

	if (qs->port)
		worker_call(qs->nb->worker, add_on_thread, &call);
}
