/* SPDX-License-Identifier: MIT */
/*
 * store_child.h - the store's process: started, started again, ended.
 *
 * The first one must serve (SYNCED was acknowledged), or everything ends. Later
 * ones are started again when they die, at once, then after pauses that double
 * while they live no longer than STORE_GOOD_LIFE_NS.
 *
 * Thread: the loop's. Logs: each death and each return, one line.
 */
#ifndef BROKER_STORE_CHILD_H
#define BROKER_STORE_CHILD_H

#include <stdint.h>

#include "broker/store_link.h"
#include "util/annotate.h"
#include "util/clock.h"
#include "util/loop.h"

#define STORE_GOOD_LIFE_NS (5 * NS_PER_S)
#define STORE_PAUSE_MIN_NS (100 * NS_PER_MS)
#define STORE_PAUSE_MAX_NS (5 * NS_PER_S)
/* To end by itself, once told; then SIGKILL. */
#define STORE_END_WAIT_NS (3 * NS_PER_S)

struct store_child;

struct store_child_config {
	const char *program;	 /* path */
	const char *const *argv; /* NULL-terminated; argv[0] included */
	/* The first one serves. */
	void (*serving)(void *arg);
	/* No store will be there any more: 0 after store_child_end, -errno when
	 * the first one never served. */
	void (*over)(void *arg, int err);
	void *arg;
};

/* How long to wait after that many deaths in a row that came too soon. */
uint64_t store_child_pause_ns(unsigned nr_quick_deaths);

/* Starts it. config and link must outlive the child. Says why not. */
int store_child_open(struct loop *loop, struct store_link *link,
		     const struct store_child_config *config,
		     struct store_child **ret) PV_MUST_CHECK;
/* NULL is fine; kills what still runs. */
void store_child_close(struct store_child *child);

/* What the link says of it (store_link_ops). */
void store_child_synced(struct store_child *child);
void store_child_lost(struct store_child *child, int err);

/* In order: DOMCTL_END, wait, SIGKILL; then over(0). Again: SIGKILL now. */
void store_child_end(struct store_child *child);

#endif /* BROKER_STORE_CHILD_H */
