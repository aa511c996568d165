/* SPDX-License-Identifier: MIT */
/*
 * store_link.h - what the store has been told of the domains, and what it has
 * acknowledged: the broker's side of xenstore-lite/domctl.h.
 *
 * It keeps a note of every domain that lives, and of every one that is over
 * until the store knows. A store that is attached is told all of it in order,
 * then SYNCED, then what is new. When it is gone, the next one is told
 * everything again; who waits for an answer waits on.
 *
 *	unheard ---CREATE---> asked --answer--> known
 *	   |		        |		  |
 *	   | ended, no store    | ended	          | ended
 *	   | ever heard of it   |		  v
 *	   |			+--answer------> ending --DESTROY, answer--> .
 *	   +-----------------------------------------------------------> .
 *
 * At most STORE_LINK_WINDOW messages are unanswered, so that a store that is
 * busy never makes a send fail or wait, whatever the number of domains.
 *
 * Thread: the loop's. Logs: a domain that a new store refuses.
 */
#ifndef BROKER_STORE_LINK_H
#define BROKER_STORE_LINK_H

#include <stdint.h>

#include "broker/broker.h"
#include "util/annotate.h"
#include "util/loop.h"

#define STORE_LINK_WINDOW 32

struct store_link;

/* Never called from inside a call of this file. */
struct store_link_ops {
	/* The store's answer about a domain that it had not known before. */
	void (*created)(void *arg, domid_t domid, uint64_t life, int status);
	/* It knows of the end. */
	void (*destroyed)(void *arg, uint64_t life);
	/* This store has acknowledged all that lived when it was attached. */
	void (*synced)(void *arg);
	/* Its connection to the broker (DOMCTL_BROKER): a descriptor that stays
	 * the callee's, until the next call; -errno: there is none. NULL: the
	 * store gets none. */
	int (*connection)(void *arg);
	/* This store closed its end (-ECONNRESET) or talks nonsense (-EPROTO):
	 * it is not heard any more. */
	void (*lost)(void *arg, int err);
};

int store_link_open(struct loop *loop, const struct store_link_ops *ops,
		    void *arg, struct store_link **ret) PV_MUST_CHECK;
void store_link_close(struct store_link *link); /* NULL is fine */

/* A store is there; takes sock over, on success only. None was. */
int store_link_attach(struct store_link *link, int sock) PV_MUST_CHECK;
/* It is gone; fine when none is attached. */
void store_link_detach(struct store_link *link);

/* broker_ops. -EINPROGRESS; -ENOMEM. domain->store_fd stays open until end. */
int store_link_create(struct store_link *link,
		      const struct broker_domain *domain) PV_MUST_CHECK;
/* 0 when no store has ever heard of it; else -EINPROGRESS. */
int store_link_destroy(struct store_link *link, domid_t domid, uint64_t life);

/* DOMCTL_END, past all that is waiting. -ENOTCONN no store is there. */
int store_link_end(struct store_link *link) PV_MUST_CHECK;

#endif /* BROKER_STORE_LINK_H */
