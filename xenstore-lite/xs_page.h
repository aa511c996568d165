/* SPDX-License-Identifier: MIT */
/*
 * xs_page.h - a client of the store over a shared page, as Xen's guests are.
 *
 * A page of ours, granted to domain 0, and an event channel make a ring; domain
 * 0 must introduce both to the store (xs_introduce) before anything is
 * answered: until then calls wait, up to their time-out. From there on the
 * client is one of xs.h in everything. When the store has given the connection
 * up, was restarted, or does not answer in time, it is made anew over the same
 * page and channel, by the page's reconnection, and nobody has to introduce
 * it again.
 *
 * Thread: the client's. Logs: never.
 * Source: docs/misc/xenstore-ring.txt of Xen.
 */
#ifndef XENSTORE_LITE_XS_PAGE_H
#define XENSTORE_LITE_XS_PAGE_H

#include "platform/platform.h"
#include "util/annotate.h"
#include "xenstore-lite/xs.h"

struct xs_page;

/* As platform_share and platform_evtchn_alloc. */
int xs_page_open(struct platform *p, struct xs_page **ret) PV_MUST_CHECK;
/* After the client's xs_close, before platform_close. NULL is fine. */
void xs_page_close(struct xs_page *page);

/* What domain 0 must introduce. */
grant_ref_t xs_page_gref(const struct xs_page *page);
evtchn_port_t xs_page_port(const struct xs_page *page);

/* A client over the page; one at a time (-EBUSY). -ENOMEM. */
int xs_open_page(struct xs_page *page, struct xs **ret) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_XS_PAGE_H */
