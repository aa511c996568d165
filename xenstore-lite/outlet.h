/* SPDX-License-Identifier: MIT */
/*
 * outlet.h - a client of the store as the daemon's loop sees it, whatever it
 * speaks over: a socket (serve.c), a shared page (rings.c). It is the arg of
 * xsd_conn_open.
 *
 * Output waits for the end of the loop's round: then the queue is taken down,
 * and each outlet in it flushes what there is.
 *
 * Thread: the store's.
 */
#ifndef XENSTORE_LITE_OUTLET_H
#define XENSTORE_LITE_OUTLET_H

#include <stdbool.h>
#include <stddef.h>

#include "util/list.h"

struct outlet;

struct outlet_ops {
	/* Send what there is; may close. True: it takes more in without any
	 * event of the loop, so do not sleep. */
	bool (*flush)(struct outlet *outlet);
	/* xsd_ops.dropped: close. */
	void (*drop)(struct outlet *outlet);
	/* xsd_ops.describe. */
	void (*describe)(struct outlet *outlet, char *buf, size_t size);
};

struct outlet {
	struct list unsent; /* in *queue, or alone */
	struct list *queue;
	const struct outlet_ops *ops;
};

static inline void outlet_init(struct outlet *outlet, struct list *queue,
			       const struct outlet_ops *ops)
{
	list_init(&outlet->unsent);
	outlet->queue = queue;
	outlet->ops = ops;
}

static inline void outlet_fini(struct outlet *outlet)
{
	list_del(&outlet->unsent);
}

/* There may be output. */
static inline void outlet_wake(struct outlet *outlet)
{
	if (list_empty(&outlet->unsent))
		list_add_tail(outlet->queue, &outlet->unsent);
}

#endif /* XENSTORE_LITE_OUTLET_H */
