/* SPDX-License-Identifier: MIT */
/*
 * private.h - the parts of a netfront, for the files of this folder only.
 *
 *   tx.c       frames -> ring requests -> completions: pure memory
 *   rx.c       buffers -> ring responses -> frames: pure memory
 *   owner.c    a queue with its lock and channels: what its owner calls
 *   ctrl.c     the control ring: see ctrl.h
 *   features.c what the backend offers and what we answer: the store's nodes
 *   rings.c    memory and channels under the queues: made, connected, taken
 *   connect.c  the connection: handshake, loss, return, end
 *   netfront.c opening and closing
 *
 * Thread: each part says whose it is. "control" is the owner of queue 0.
 */
#ifndef NETFRONT_PRIVATE_H
#define NETFRONT_PRIVATE_H

#include <pthread.h>

#include "netfront/ctrl.h"
#include "netfront/netfront.h"
#include "netfront/rx.h"
#include "netfront/tx.h"
#include "platform/platform.h"
#include "util/log.h"
#include "xenbus/xenbus.h"

/* ---- owner.c ------------------------------------------------------------- */

/*
 * A queue of the program's. All but the owner's members are guarded by lock,
 * which is taken only when there are several queues; nobody holds two.
 */
struct netfront_queue {
	struct netfront *nf;
	uint16_t nr;
	pthread_mutex_t lock;
	struct tx_ring tx;
	struct rx_ring rx;
	bool attached;	   /* there are rings */
	bool up;	   /* attached, and nobody has lied */
	bool changed;	   /* netfront_info did since the owner's last poll */
	int lost;	   /* for good: what poll says */
	const char *fault; /* the backend lied: how */
	bool cut_off;	   /* its end of a channel is gone */
	struct netfront_stats stats;
	/* Pages live as long as the netfront, rings and channels as long as a
	 * connection. */
	struct share rings, send_pages, recv_pages;
	struct evtchn *tx_ev, *rx_ev; /* the same: one channel for both */
	/* the owner's */
	int epoll_fd; /* queue 0: the netfront's */
	int wake_fd;  /* from other threads: look */
	bool armed;   /* the owner may have slept: look at the descriptors */
	uint32_t nr_polls;
	uint64_t next_look_ns;
};

/* Any thread: take, release the lock. */
void net_owner_lock(struct netfront_queue *q);
void net_owner_unlock(struct netfront_queue *q);
/* Any thread: make the owner look. */
void net_owner_wake(struct netfront_queue *q);
/* With the lock held: is an end of the queue's channels gone? Clears them. */
bool net_owner_clear_channels(struct netfront_queue *q);

/* ---- features.c: control --------------------------------------------------
 */

/* What the backend can do with rings, read before they are made. */
struct transport {
	uint32_t nr_rings;
	bool split_channels, ctrl_ring;
	uint32_t headroom_bytes; /* wanted, and offered; 0: none */
};

/*
 * Untrusted, so strict where it matters: a number that is none is an error; one
 * that is too large is cut to what we asked for.
 */
int net_features_read_transport(struct netfront *nf,
				struct transport *ret) PV_MUST_CHECK;
/* sg, gso, checksums, carrier: into info. */
int net_features_read_offloads(struct netfront *nf,
			       struct netfront_info *info) PV_MUST_CHECK;
/* The toolstack's: our address and MTU. */
int net_features_read_config(struct netfront *nf,
			     struct netfront_info *info) PV_MUST_CHECK;
/* The nodes that change while connected: MTU, carrier. */
int net_features_read_changes(struct netfront *nf,
			      struct netfront_info *info) PV_MUST_CHECK;
/* Our nodes for the rings as they are; an xs_txn_fn. */
int net_features_publish(struct xs *xs, xs_txn_t tx, void *arg) PV_MUST_CHECK;

/* ---- rings.c: control -----------------------------------------------------
 */

/* For nf->transport: pages (once), rings, channels. */
int net_rings_open(struct netfront *nf) PV_MUST_CHECK;
/* They are connected, with nf->info. */
int net_rings_attach(struct netfront *nf) PV_MUST_CHECK;
/* An extra of this type may come from now on. */
void net_rings_expect(struct netfront *nf, uint8_t extra_type);
/* Tell every owner that nf->info has changed. */
void net_rings_tell(struct netfront *nf);
/* *ret_fault is set when a backend lied to any owner. Returns how many queues'
 * channels' other ends are gone, as their owners found. */
uint32_t net_rings_check(struct netfront *nf, const char **ret_fault);
/* No frame goes in or out any more; the rings are still there. */
void net_rings_stop(struct netfront *nf);
/* The end: poll returns lost. */
void net_rings_fail(struct netfront *nf, int lost);
/* Without the backend: what was in flight is lost and counted. */
void net_rings_release(struct netfront *nf);
/* The pages, at the very end. */
void net_rings_free(struct netfront *nf);

/* ---- connect.c: control ---------------------------------------------------
 */

enum link_state {
	LINK_CONNECTING, /* handshake with a backend that is there or will be */
	LINK_UP,
	LINK_FAULTED, /* the backend lied: anew when the timer fires */
	LINK_DOWN,    /* for good; lost says why */
};

struct netfront {
	struct netfront_queue *queues;
	uint32_t nr_queues; /* the program's; constant */
	uint32_t handle;
	int lock_fd; /* no other process drives this vif; -1: cannot be known */

	enum link_state link;
	int lost;    /* why the vif is lost for good: -errno; 0: it is not */
	bool was_up; /* connected at least once */
	bool carrier;
	uint32_t headroom_bytes;    /* as the program wants */
	struct transport transport; /* of the connection */
	struct ctrl_front ctrl;
	/* What anybody may ask for, at any time. */
	pthread_mutex_t info_lock;
	struct netfront_info info;

	struct platform *platform;
	struct xs *xs;
	bool store_gone; /* for good; the data path goes on without */
	struct xenbus_device dev;
	bool dev_started;
	domid_t backend_id; /* whom the pages are shared with */

	int epoll_fd, timer_fd;
	uint64_t timer_at_ns; /* 0: not set */
	uint64_t up_since_ns, backoff_ns;
	struct log_limit limit;
};

/* Begin the handshake (again). */
int net_connect_start(struct netfront *nf) PV_MUST_CHECK;
/* The backend's answer: what hash is in force. */
void net_connect_set_hash_types(struct netfront *nf, uint32_t types);
/*
 * Look at queue 0's channels, the timer, the store, and what the owners of
 * other queues found. Never waits for the backend.
 */
void net_connect_events(struct netfront *nf);
/*
 * Serve everything until done() says so or the deadline passes. For opening and
 * closing, when no other thread is in here.
 */
typedef bool net_connect_done_fn(struct netfront *nf);
void net_connect_serve(struct netfront *nf, net_connect_done_fn *done,
		       uint64_t deadline_ns);
/* An orderly end; at deadline_ns without the backend's consent. */
void net_connect_close(struct netfront *nf, uint64_t deadline_ns);

#endif /* NETFRONT_PRIVATE_H */
