/* SPDX-License-Identifier: MIT */
/*
 * platform.h - all that the drivers ask of a hypervisor, and the only seam to
 * it: shared pages (grants), event channels, the way to the store.
 *
 * Its shape is that of libxengntshr, libxengnttab and libxenevtchn, so that the
 * Xen platform is thin. Three implementations stand behind it:
 *   lite  plain Linux: a domain is an identity, the broker plays the hypervisor
 *   xen   real Xen
 *   sim   both ends in one process, seeded and faulty, for tests
 *
 * Ownership: everything obtained from a platform is given back to it before
 * platform_close, by the call named beside it. Thread: a platform may be used
 * from any thread (calls that talk to the broker take a lock and block for one
 * round trip); evtchn_notify, evtchn_clear and everything on mapped memory
 * never lock and belong to the thread that owns the object. Logs: never.
 * Errors: 0 or -errno; outputs are written only on success. -ECONNRESET: the
 * hypervisor (on lite, the broker) is gone.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"

struct platform;

/* ---- opening ---------------------------------------------------------- */

/*
 * lite: open domain domid's identity below the run directory (NULL: the
 * default of platform_run_dir). Connects to RUN/DOMID/broker.
 * -ENOENT no such domain; -EACCES not ours; -ENAMETOOLONG the path.
 */
int platform_lite_open(const char *run_dir, domid_t domid,
		       struct platform **ret) PV_MUST_CHECK;

/*
 * lite: the same over a broker connection that somebody with the right to open
 * it made for us (the monitor for its worker). Takes broker_fd over, on success
 * only. What an earlier process bound or shared over the same connection stays
 * in force: maps and binds may simply be asked for again.
 */
int platform_lite_adopt(int broker_fd, struct platform **ret) PV_MUST_CHECK;

/* $PVSPLIT_RUN, else /run/pvsplit for root, else $XDG_RUNTIME_DIR/pvsplit. */
const char *platform_run_dir(void);

void platform_close(struct platform *p); /* NULL is fine */
domid_t platform_domid(const struct platform *p);

/*
 * Connect to the store as this domain: a stream socket that speaks xs_wire.
 * Returns a descriptor that the caller owns, or -errno; -EAGAIN when the
 * store's queue is full: it never waits. An adopted lite platform has no way to
 * the file system: -EOPNOTSUPP.
 */
int platform_store_connect(struct platform *p) PV_MUST_CHECK;
/* The same as a callback; arg is the platform. */
int platform_store_connector(void *arg) PV_MUST_CHECK;

/* ---- frontend: sharing pages ------------------------------------------ */

/* The peer may read the pages and never write them; the kernel enforces it. */
#define SHARE_PEER_READONLY 0x1u

/*
 * Zeroed pages of ours that one peer may map: granted references first_ref,
 * first_ref + 1, ... name them in order. Filled by platform_share.
 */
struct share {
	void *base; /* ours, readable and writable, page aligned */
	uint32_t nr_pages;
	grant_ref_t first_ref;
	domid_t peer;
	uint32_t flags;
	void *priv;
};

#define SHARE_PAGES_MAX 65536u

/*
 * Share nr_pages (1..SHARE_PAGES_MAX) fresh zeroed pages with peer.
 * -EINVAL; -ENOSPC out of references; -ENOMEM.
 */
int platform_share(struct platform *p, domid_t peer, uint32_t nr_pages,
		   uint32_t flags, struct share *ret) PV_MUST_CHECK;

/*
 * End the peer's access to the whole share and free it. The platform revokes
 * before it frees: while the peer still holds a page mapped, the memory is put
 * in quarantine (never reused) and -EBUSY says so; the share is gone either
 * way and *share is cleared.
 */
int platform_unshare(struct platform *p, struct share *share);

/* ---- backend: mapping and copying the peer's pages -------------------- */

#define GRANT_MAP_MAX 256u

/*
 * nr pages of a peer as one contiguous range. The memory is the peer's: it may
 * change at any instant. base is opaque outside ring/ and grant/.
 */
struct grant_map {
	void PV_SHARED *base;
	uint32_t nr_pages;
	domid_t domid;
	bool writable;
	bool scattered; /* the platform's, as priv */
	void *priv;
};

/*
 * Map nr (1..GRANT_MAP_MAX) references of domid. All or nothing.
 * -EINVAL bad count; -EACCES a reference is not granted to us, or granted
 * read-only when writable was asked; -ENOENT no such domain or reference;
 * -ENOMEM.
 * Source: xen/include/public/grant_table.h, GNTTABOP_map_grant_ref.
 */
int platform_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
		 uint32_t nr, bool writable,
		 struct grant_map *ret) PV_MUST_CHECK;
void platform_unmap(struct platform *p, struct grant_map *map);
/*
 * One of domid's devices has ended: let go of what is kept of its pages for the
 * next map although none is mapped. Thread: any.
 */
void platform_forget(struct platform *p, domid_t domid);

/*
 * Copy between local memory and a peer's page, without a lasting mapping.
 * offset + size_bytes must lie within the page. status is preset to an error
 * by the platform and is 0 only when the bytes were copied; one entry's error
 * does not stop the others.
 */
struct grant_copy {
	domid_t domid;
	grant_ref_t ref;
	uint16_t offset, size_bytes;
	bool to_peer;
	void *local;
	int status;
};

/* Returns 0 when every status is 0, else the first error. */
int platform_copy(struct platform *p, struct grant_copy *ops,
		  uint32_t nr) PV_MUST_CHECK;

/* ---- event channels ---------------------------------------------------- */

/*
 * One end of an event channel: a level, not a counter. notify() on one end
 * makes the other end's descriptor readable until it is cleared. No call here
 * blocks, whatever the peer does to its end.
 */
struct evtchn;

/* Frontend: allocate a port that only remote may bind. */
int platform_evtchn_alloc(struct platform *p, domid_t remote,
			  struct evtchn **ret) PV_MUST_CHECK;
/*
 * Backend: bind remote's port. Binding a port that this domain has bound
 * already gives another handle to the same end (that is how a restarted worker
 * gets its channel back). -ENOENT no such port; -EACCES it is not for us.
 */
int platform_evtchn_bind(struct platform *p, domid_t remote,
			 evtchn_port_t remote_port,
			 struct evtchn **ret) PV_MUST_CHECK;
/* Our own port's number: what a frontend writes to the store. */
evtchn_port_t evtchn_port(const struct evtchn *ev);
/* A descriptor that polls readable on a notification or on the peer's death. */
int evtchn_fd(const struct evtchn *ev);
void evtchn_notify(struct evtchn *ev);
/*
 * Consume pending notifications. Returns 1 when there were any, 0 when not,
 * -EPIPE when the peer's end is gone (domain or process dead, or closed).
 */
int evtchn_clear(struct evtchn *ev);
void evtchn_close(struct evtchn *ev); /* NULL is fine */
/*
 * Forget our handle but leave the port bound for a successor (worker hand-over;
 * the process is about to exit or to give the device away).
 */
void evtchn_abandon(struct evtchn *ev);

#endif /* PLATFORM_PLATFORM_H */
