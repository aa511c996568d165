/* SPDX-License-Identifier: MIT */
/*
 * vbd_stats.c - a disk's figures, for monitor/stats.c to publish. Neighbours:
 * account.c; vbd.c calls. Control thread.
 */
#include "blkback/vbd_private.h"

static void add(void *arg, uint32_t queue, void *account)
{
	struct vbd *v = arg;

	vbd_queues_account(&v->queues, queue, account);
}

static void put(const void *account, struct figures *f)
{
	account_put(account, f);
}

static const struct hist *hist(const void *account, unsigned i,
			       const char **ret_name)
{
	return account_hist(account, i, ret_name);
}

static const struct stats_ops vbd_stats_ops = {
	.account_bytes = sizeof(struct account),
	.add = add,
	.put = put,
	.hist = hist,
};

void vbd_stats_init(struct vbd *v)
{
	v->stats = (struct stats){
		.ops = &vbd_stats_ops,
		.dev = v->dev,
		.arg = v,
	};
}

void vbd_stats_changed(struct vbd *v)
{
	stats_changed(&v->stats, v->state == VBD_RUNNING ? v->queues.nr : 0,
		      v->connected_ns);
}
