/* SPDX-License-Identifier: MIT */
/*
 * ringconn.h - a client of the store that speaks over a shared page: what
 * Xen's guests do.
 *
 * A machine like conn.h's, between that and the platform: the page (xsring.h),
 * the event channel, the connection. It waits for nothing and knows no event
 * loop; its owner (rings.h, or a simulation) calls
 *
 *	ringconn_event	when the channel has an event,
 *	ringconn_input	then, or when the last ringconn_output said "more",
 *	ringconn_output	at the end of each round in which it had input or
 *			xsd_ops.output was called for it,
 *
 * and listens to the channel only when ringconn_resume_ns allows.
 *
 *	fresh --start-->	serving	--the guest's fault-->	failed
 *	orphaned -------------------------------------------->	failed
 *				   ^-- the guest reconnects ------'
 *
 * A guest whose page or messages make no sense harms itself alone: the error
 * word says why, what the connection had (watches, transactions, unread bytes)
 * is forgotten, and it is not served until it reconnects. It stays a
 * connection of its domain, so that the domain's end finds it.
 *
 * Bounds for each round: a queue full of bytes in, and one out. Events that
 * bring nothing delay the next look at the channel, up to a second, as Linux's
 * late end-of-interrupt does; an event that does bring something ends that.
 *
 * Thread: the store's. Logs: never.
 */
#ifndef XENSTORE_LITE_RINGCONN_H
#define XENSTORE_LITE_RINGCONN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/platform.h"
#include "util/annotate.h"
#include "xenstore-lite/conn.h"
#include "xenstore-lite/xsring.h"

struct ringconn {
	struct platform *platform;
	struct xsd_conn *conn;
	struct evtchn *channel;
	struct grant_map map;
	struct xsring ring;
	grant_ref_t gref;
	evtchn_port_t port;
	uint32_t error; /* XENSTORE_ERROR_*: not served; in the image */
	bool notify;	/* it was not told of all that is shown */
	bool got_event, progress; /* in this round */
	unsigned nr_spurious;	  /* events without progress, in a row */
	uint64_t resume_ns;
};

/*
 * Map domid's page gref, bind its port. Takes conn over, on success only.
 * Nothing is served before ringconn_start, ringconn_orphan or ringconn_resume.
 * As platform_map and platform_evtchn_bind.
 */
int ringconn_open(struct ringconn *rc, struct platform *p, domid_t domid,
		  grant_ref_t gref, evtchn_port_t port,
		  struct xsd_conn *conn) PV_MUST_CHECK;
/* keep_port: another handle of the port goes on, now or in a successor. */
void ringconn_close(struct ringconn *rc, bool keep_port);

/* The guest was introduced: its connection begins. */
void ringconn_start(struct ringconn *rc);
/*
 * The store that this guest spoke to is dead, and what it knew of the
 * connection with it: the guest must reconnect. One that was asking for that
 * already is answered at the next ringconn_input.
 */
void ringconn_orphan(struct ringconn *rc);
/* Go on as a predecessor's image has it. */
void ringconn_resume(struct ringconn *rc, uint32_t in_cons, uint32_t out_prod,
		     uint32_t error);

/* Clears the channel. -EPIPE: the guest's end is gone; close. */
int ringconn_event(struct ringconn *rc) PV_MUST_CHECK;
/* Look at the page; carry out what it asks. */
void ringconn_input(struct ringconn *rc);
/*
 * Send what there is as far as there is room, notify when something moved.
 * True: there is more to do, though no event will say so.
 */
bool ringconn_output(struct ringconn *rc, uint64_t now_ns) PV_MUST_CHECK;
/* The channel is not to be listened to before this time. 0: listen. */
static inline uint64_t ringconn_resume_ns(const struct ringconn *rc)
{
	return rc->resume_ns;
}

#endif /* XENSTORE_LITE_RINGCONN_H */
