/* SPDX-License-Identifier: MIT */
/*
 * ctrl.h - netfront's end of a vif's control ring: what is asked of a backend
 * besides frames.
 *
 * For each connection there are things to ask, one after the other: that the
 * pages of every queue stay mapped, then the hash of what comes in, and that
 * again when the program wants another one. Nobody waits for an answer, and a
 * backend that refuses, or never answers, is as good as one without a control
 * ring. An answer to what was not asked is a lie, and the ring is looked at no
 * more.
 *
 * The backend unmaps what it keeps mapped when it closes, which is awaited
 * before the pages are freed: so they are not taken back one by one.
 *
 * Thread: control. Logs: refusals. Source: xen/include/public/io/netif.h,
 * "Control ring", "Control messages".
 */
#ifndef NETFRONT_CTRL_H
#define NETFRONT_CTRL_H

#include "abi/netif.h"
#include "netfront/netfront.h"
#include "platform/platform.h"
#include "ring/ring.h"

enum ctrl_step {
	CTRL_IDLE,
	/* of each queue */
	CTRL_PAGES_MAX,
	CTRL_PAGES_ADD,
	/* the hash */
	CTRL_HASH_ALGORITHM,
	CTRL_HASH_KEY,
	CTRL_HASH_SIZE,
	CTRL_HASH_MAPPING,
	CTRL_HASH_TYPES,
	CTRL_HASH_OFF, /* one of these was refused */
};

/* Zero: there is none. */
struct ctrl_front {
	struct ring_front ring;
	struct share pages; /* the ring's, and the one that requests name */
	struct evtchn *ev;
	bool attached;
	enum ctrl_step step; /* what is being asked, or is next */
	bool asked;	     /* there is no answer yet */
	uint32_t queue;	     /* for pages */
	struct xen_netif_ctrl_request req;
	/* What the program wants; outlives connections. */
	struct netfront_hash hash;
	bool has_hash, hash_changed;
};

struct netfront;

/* A ring and a channel for nf's backend, when nf->transport says that it takes
 * one. */
int net_ctrl_open(struct netfront *nf) PV_MUST_CHECK;
/* Connected: begin to ask. */
void net_ctrl_attach(struct netfront *nf);
void net_ctrl_release(struct netfront *nf);

/*
 * Take an answer, ask what is next. Returns how the backend lied, or NULL; also
 * NULL when there is no control ring.
 */
const char *net_ctrl_serve(struct netfront *nf);
/* Clear the channel. true: its other end is gone. */
bool net_ctrl_clear_channel(struct netfront *nf);
/* Before sleeping: is there something to do already? */
bool net_ctrl_arm(struct netfront *nf);

#endif /* NETFRONT_CTRL_H */
