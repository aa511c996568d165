/* SPDX-License-Identifier: MIT */
/*
 * lite.h - inside the lite platform: the connection (lite.c), what we share
 * (lite_share.c), what we map (lite_map.c), channels (lite_evtchn.c), and the
 * grant entries that both halves touch (lite_entry.h).
 *
 * Locks: call_lock serialises round trips to the broker; map_lock guards the
 * table of mapped regions, share_lock the quarantine. Order: share_lock before
 * call_lock; map_lock is never held across a call.
 */
#ifndef PLATFORM_LITE_H
#define PLATFORM_LITE_H

#include <pthread.h>

#include "platform/lite_wire.h"
#include "platform/private.h"
#include "util/list.h"

#define LITE_CALL_TIMEOUT_NS (5 * NS_PER_S)
/* Of a domain's creation and end: the store may be starting again. */
#define LITE_DOMAIN_TIMEOUT_NS (15 * NS_PER_S)
#define LITE_PEER_BUCKETS      64u

struct lite {
	struct platform platform;
	int sock;
	char *store_path; /* NULL: adopted */

	pthread_mutex_t call_lock;
	uint64_t next_seq;

	pthread_mutex_t map_lock;
	struct list peers[LITE_PEER_BUCKETS]; /* struct lite_peer */
	struct list idle; /* struct lite_region without a map, oldest first */
	uint32_t nr_idle;
	uint32_t nr_idle_pages;

	pthread_mutex_t share_lock;
	struct list quarantine; /* struct lite_share */
	uint32_t nr_quarantined;
};

static inline struct lite *lite_of(struct platform *p)
{
	return container_of(p, struct lite, platform);
}

/*
 * One round trip; fills version and seq. ret_fd: the one descriptor that a
 * successful reply to this op must carry, or NULL when it must carry none.
 * Returns the reply's status; -ECONNRESET broker gone; -ETIMEDOUT it does not
 * answer; -EPROTO it answers nonsense.
 */
int lite_call(struct lite *l, struct lite_request *req, struct lite_reply *rep,
	      int *ret_fd) PV_MUST_CHECK;

/*
 * Is fd a region of nr_pages: a memfd of ordinary pages, exactly that large,
 * sealed as lite_wire.h says? readonly: also against writing. -EBADF if not.
 */
int lite_region_check(int fd, uint32_t nr_pages, bool readonly) PV_MUST_CHECK;

int lite_share(struct platform *p, domid_t peer, uint32_t nr_pages,
	       uint32_t flags, struct share *ret);
int lite_unshare(struct platform *p, struct share *share);
void lite_share_fini(struct lite *l);

void lite_map_init(struct lite *l);
int lite_map(struct platform *p, domid_t domid, const grant_ref_t *refs,
	     uint32_t nr, bool writable, struct grant_map *ret);
void lite_unmap(struct platform *p, struct grant_map *map);
void lite_forget(struct platform *p, domid_t domid);
int lite_copy(struct platform *p, const struct grant_copy *op);
void lite_map_fini(struct lite *l);

int lite_evtchn_alloc(struct platform *p, domid_t remote, struct evtchn **ret);
int lite_evtchn_bind(struct platform *p, domid_t remote,
		     evtchn_port_t remote_port, struct evtchn **ret);
void lite_evtchn_notify(struct evtchn *ev);
int lite_evtchn_clear(struct evtchn *ev);
void lite_evtchn_close(struct evtchn *ev, bool keep);

#endif /* PLATFORM_LITE_H */
