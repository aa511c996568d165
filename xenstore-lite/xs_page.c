/* SPDX-License-Identifier: MIT */
/* xs_page.c - the client's transport over a shared page. See xs_page.h. */
#include "xenstore-lite/xs_page.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "xenstore-lite/xs_private.h"
#include "xenstore-lite/xsring.h"

struct xs_page {
	struct platform *platform;
	struct share share;
	struct evtchn *channel;
	struct xsring ring;
	struct xs_link link;
	bool linked;
	bool used; /* a link has been there: the next one is a new connection */
};

static struct xs_page *page_of(struct xs_link *link)
{
	return container_of(link, struct xs_page, link);
}

int xs_page_open(struct platform *p, struct xs_page **ret)
{
	struct xs_page *page = calloc(1, sizeof(*page));
	int err;

	if (!page)
		return -ENOMEM;
	page->platform = p;
	err = platform_share(p, 0, 1, 0, &page->share);
	if (err)
		goto fail;
	err = platform_evtchn_alloc(p, 0, &page->channel);
	if (err)
		goto fail_share;
	xsring_guest_init(
		&page->ring,
		(struct xenstore_domain_interface PV_SHARED *)page->share.base,
		true);
	*ret = page;
	return 0;

fail_share:
	platform_unshare(p, &page->share);
fail:
	free(page);
	return err;
}

void xs_page_close(struct xs_page *page)
{
	if (!page)
		return;
	/* The store lets go of the page when it sees the channel's end. */
	evtchn_close(page->channel);
	platform_unshare(page->platform, &page->share);
	free(page);
}

grant_ref_t xs_page_gref(const struct xs_page *page)
{
	return page->share.first_ref;
}

evtchn_port_t xs_page_port(const struct xs_page *page)
{
	return evtchn_port(page->channel);
}

/* ---- the transport ---------------------------------------------------------
 */

static void show(struct xs_page *page)
{
	if (xsring_push(&page->ring))
		evtchn_notify(page->channel);
}

static ssize_t page_send(struct xs_link *link, const struct iovec *iov,
			 unsigned nr)
{
	struct xs_page *page = page_of(link);
	enum xsring_state state = xsring_guest_state(&page->ring);
	size_t sent = 0, n;

	if (state != XSRING_CONNECTED)
		return state == XSRING_WAITING ? -EAGAIN : -EPIPE;
	if (xsring_writable(&page->ring) < 0)
		return -EPIPE;
	for (unsigned i = 0; i < nr; i++) {
		n = xsring_write(&page->ring, iov[i].iov_base, iov[i].iov_len);
		sent += n;
		if (n < iov[i].iov_len)
			break;
	}
	show(page);
	return sent ? (ssize_t)sent : -EAGAIN;
}

/* The channel is cleared before the page is looked at, so that what comes
 * after the look is an event again. */
static ssize_t page_recv(struct xs_link *link, void *buf, size_t size)
{
	struct xs_page *page = page_of(link);
	bool dead = evtchn_clear(page->channel) < 0;
	enum xsring_state state = xsring_guest_state(&page->ring);
	int waiting = 0;
	size_t n;

	if (state == XSRING_FAILED)
		return 0;
	if (state == XSRING_CONNECTED)
		waiting = xsring_readable(&page->ring);
	if (waiting < 0)
		return waiting;
	if (waiting == 0)
		return dead ? 0 : -EAGAIN;
	n = xsring_read(&page->ring, buf, size);
	show(page);
	return (ssize_t)n;
}

static void page_close(struct xs_link *link)
{
	page_of(link)->linked = false;
}

/* A dead channel stays so: the store has left it, or its broker has. */
static int page_connect(void *arg, struct xs_link **ret)
{
	static const struct xs_link_ops ops = { .send = page_send,
						.recv = page_recv,
						.close = page_close };
	struct xs_page *page = arg;
	int err = 0;

	if (page->linked)
		return -EBUSY;
	if (evtchn_clear(page->channel) < 0)
		return -ECONNRESET;
	/* One that was never answered has not begun. */
	if (page->used && !page->ring.waiting)
		err = xsring_guest_reconnect(&page->ring);
	if (err)
		return err;
	evtchn_notify(page->channel);
	page->used = page->linked = true;
	page->link = (struct xs_link){ .ops = &ops,
				       .fd = evtchn_fd(page->channel),
				       .room_events = EPOLLIN };
	*ret = &page->link;
	return 0;
}

int xs_open_page(struct xs_page *page, struct xs **ret)
{
	return xs_open_link(page_connect, page, ret);
}
