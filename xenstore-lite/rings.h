/* SPDX-License-Identifier: MIT */
/*
 * rings.h - the daemon's clients that speak over shared pages (ringconn.h).
 *
 * The store maps their pages and binds their ports as domain 0, over a
 * connection to the broker that outlives it (domctl.h): so the ports stay bound
 * when the store dies, and its successor finds every guest again by the
 * reference and the port that the store has recorded for its domain. It tells
 * each that its connection is lost, by the page's error word, and serves it
 * again when it has reconnected.
 *
 * Calls that map, bind or close wait for one answer of the broker, which never
 * waits for the store.
 *
 * Thread: the loop's. Logs: guests that are given up, limited.
 */
#ifndef XENSTORE_LITE_RINGS_H
#define XENSTORE_LITE_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/list.h"
#include "util/loop.h"
#include "xenstore-lite/codec.h"
#include "xenstore-lite/conn.h"
#include "xenstore-lite/outlet.h"

struct rings;

/* queue: where the outlets of the guests wait for their turn (outlet.h). */
int rings_open(struct loop *loop, struct xsd *xsd, struct list *queue,
	       struct rings **ret) PV_MUST_CHECK;
/* Drops every guest, whose ports stay bound. NULL is fine. */
void rings_close(struct rings *rings);

/* The connection to the broker; taken over on success only. */
int rings_set_broker(struct rings *rings, int fd) PV_MUST_CHECK;

/*
 * XS_INTRODUCE: domid has granted its page gfn (on lite: a reference) to domain
 * 0, and port is for domain 0 to bind. A guest that is introduced again with
 * another page or port begins a new connection there; with the same, nothing
 * happens. When it fails nothing has changed.
 * -ENOENT, -EACCES, -EINVAL there is no such page or port for us; -EIO no
 * broker; -ENOSPC it cannot be recorded; -EMFILE; -ENOMEM.
 */
int rings_introduce(struct rings *rings, domid_t domid, uint64_t gfn,
		    evtchn_port_t port) PV_MUST_CHECK;

/*
 * For a live update (image.h): what a ring's connection needs besides its own
 * state, and the ring made again from it, with the page and the port as they
 * are: the guest notices nothing. The successor has the connection to the
 * broker (rings_broker_fd; -1: none), and rings_set_broker comes first.
 * restore: takes conn over on success only; *ret: the arg of conn. A guest that
 * is gone meanwhile is a success, too: the connection is closed in the loop's
 * next round. -EBADMSG; -ENOMEM.
 */
int rings_broker_fd(const struct rings *rings);
bool rings_is_ring(const struct outlet *outlet);
#define RINGS_SAVED_BYTES 22u
void rings_save(struct outlet *outlet, struct encoder *e);
int rings_restore(struct rings *rings, struct xsd_conn *conn, struct decoder *d,
		  void **ret) PV_MUST_CHECK;

/* The domain is served again after the store's death: so is its ring, if it had
 * one and the guest's end is still there. */
void rings_recover(struct rings *rings, domid_t domid);

#endif /* XENSTORE_LITE_RINGS_H */
