/* SPDX-License-Identifier: MIT */
/*
 * xsring.c - the byte queues of a domain's store page. See xsring.h.
 *
 * Memory order, for both queues and both sides:
 *
 *	who writes				who reads
 *	copy bytes in
 *	store prod	(seq_cst)		load prod	(seq_cst)
 *						copy bytes out
 *	load cons	(seq_cst)		store cons	(seq_cst)
 *	sleep if still full			load prod	(seq_cst)
 *						notify if it was full
 *
 * As release and acquire, prod carries the bytes to the reader and cons the
 * free space back to the writer. In the one order of all seq_cst operations
 * either the writer's last load sees the new cons, or the reader's last load
 * sees the prod that made the queue full: a writer that sleeps is woken.
 *
 * The word "connection" is release and acquire: all that the daemon did to the
 * page before it wrote CONNECTED is seen by the guest that reads it.
 */
#include "xenstore-lite/xsring.h"

#include <errno.h>
#include <string.h>

/* One direction as this side sees it. */
struct queue {
	char *data;
	XENSTORE_RING_IDX *cons, *prod;
};

/* The peer's memory as ours to access: nowhere else but here. */
static struct xenstore_domain_interface *page_of(const struct xsring *r)
{
	return (struct xenstore_domain_interface *)(uintptr_t)r->page;
}

static struct queue requests_of(const struct xsring *r)
{
	struct xenstore_domain_interface *page = page_of(r);

	return (struct queue){ page->req, &page->req_cons, &page->req_prod };
}

static struct queue answers_of(const struct xsring *r)
{
	struct xenstore_domain_interface *page = page_of(r);

	return (struct queue){ page->rsp, &page->rsp_cons, &page->rsp_prod };
}

static struct queue in_of(const struct xsring *r)
{
	return r->side == XSRING_DAEMON ? requests_of(r) : answers_of(r);
}

static struct queue out_of(const struct xsring *r)
{
	return r->side == XSRING_DAEMON ? answers_of(r) : requests_of(r);
}

static size_t slot(uint32_t idx)
{
	return idx % XENSTORE_RING_SIZE;
}

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/*
 * The compiler may not read the queue again in place of the copy, nor move the
 * copy: whatever the peer writes from here on has no effect on it.
 */
static void copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__asm__ volatile("" : : "r"(dst) : "memory");
}

/* ---- both halves --------------------------------------------------------- */

int xsring_readable(struct xsring *r)
{
	uint32_t untrusted_prod;

	if (r->broken)
		return -EPROTO;
	untrusted_prod = load(in_of(r).prod);
	if (untrusted_prod - r->in_prod >
	    XENSTORE_RING_SIZE - (r->in_prod - r->in_cons)) {
		r->broken = true;
		return -EPROTO;
	}
	r->in_prod = untrusted_prod;
	return (int)(r->in_prod - r->in_cons);
}

size_t xsring_read(struct xsring *r, void *data, size_t len)
{
	struct queue in = in_of(r);
	size_t waiting = r->in_prod - r->in_cons;
	size_t at = slot(r->in_cons), first;

	if (r->broken)
		return 0;
	if (len > waiting)
		len = waiting;
	first = XENSTORE_RING_SIZE - at;
	if (first > len)
		first = len;
	copy(data, in.data + at, first);
	copy((char *)data + first, in.data, len - first);
	r->in_cons += (uint32_t)len;
	return len;
}

int xsring_writable(struct xsring *r)
{
	uint32_t untrusted_cons;

	if (r->broken)
		return -EPROTO;
	untrusted_cons = load(out_of(r).cons);
	if (untrusted_cons - r->out_cons > r->out_prod - r->out_cons) {
		r->broken = true;
		return -EPROTO;
	}
	r->out_cons = untrusted_cons;
	return (int)(XENSTORE_RING_SIZE - (r->out_prod - r->out_cons));
}

size_t xsring_write(struct xsring *r, const void *data, size_t len)
{
	struct queue out = out_of(r);
	size_t room = XENSTORE_RING_SIZE - (r->out_prod - r->out_cons);
	size_t at = slot(r->out_prod), first;

	if (r->broken)
		return 0;
	if (len > room)
		len = room;
	first = XENSTORE_RING_SIZE - at;
	if (first > len)
		first = len;
	copy(out.data + at, data, first);
	copy(out.data, (const char *)data + first, len - first);
	r->out_prod += (uint32_t)len;
	return len;
}

bool xsring_push(struct xsring *r)
{
	uint32_t was_shown = r->in_shown;
	bool wrote = r->out_prod != r->out_shown;
	bool has_read = r->in_cons != was_shown;

	if (r->broken)
		return false;
	if (wrote) {
		store(out_of(r).prod, r->out_prod);
		r->out_shown = r->out_prod;
	}
	if (has_read) {
		store(in_of(r).cons, r->in_cons);
		r->in_shown = r->in_cons;
	}
	if (wrote || !has_read)
		return wrote;
	/* Something impossible counts as full: one notification too many. */
	return r->side == XSRING_DAEMON ||
	       load(in_of(r).prod) - was_shown >= XENSTORE_RING_SIZE;
}

/* The peer may have read all of what is in the queues, or nothing. */
static void begin_at(struct xsring *r, uint32_t in_cons, uint32_t out_prod)
{
	r->in_cons = r->in_shown = r->in_prod = in_cons;
	r->out_prod = r->out_shown = out_prod;
	r->out_cons = out_prod - XENSTORE_RING_SIZE;
	r->broken = false;
}

/* ---- the daemon's half --------------------------------------------------- */

void xsring_daemon_init(struct xsring *r,
			struct xenstore_domain_interface PV_SHARED *page,
			uint32_t features)
{
	*r = (struct xsring){ .page = page,
			      .side = XSRING_DAEMON,
			      .features = features };
	store(&page_of(r)->server_features, features);
}

void xsring_daemon_resume(struct xsring *r, uint32_t in_cons, uint32_t out_prod)
{
	struct xenstore_domain_interface *page = page_of(r);

	begin_at(r, in_cons, out_prod);
	store(&page->req_cons, in_cons);
	store(&page->rsp_prod, out_prod);
}

bool xsring_daemon_asked(const struct xsring *r)
{
	return r->features & XENSTORE_SERVER_FEATURE_RECONNECTION &&
	       __atomic_load_n(&page_of(r)->connection, __ATOMIC_ACQUIRE) ==
		       XENSTORE_RECONNECT;
}

void xsring_daemon_connect(struct xsring *r)
{
	struct xenstore_domain_interface *page = page_of(r);

	begin_at(r, 0, 0);
	store(&page->req_cons, 0);
	store(&page->req_prod, 0);
	store(&page->rsp_cons, 0);
	store(&page->rsp_prod, 0);
	if (r->features & XENSTORE_SERVER_FEATURE_ERROR)
		store(&page->error, XENSTORE_ERROR_NONE);
	/* Pairs with the load in xsring_guest_state(). */
	__atomic_store_n(&page->connection, XENSTORE_CONNECTED,
			 __ATOMIC_RELEASE);
}

void xsring_daemon_fail(struct xsring *r, uint32_t error)
{
	if (r->features & XENSTORE_SERVER_FEATURE_ERROR)
		store(&page_of(r)->error, error);
}

/* ---- the guest's half ---------------------------------------------------- */

static bool offers(const struct xsring *r, uint32_t feature)
{
	return load(&page_of(r)->server_features) & feature;
}

static void ask(struct xsring *r)
{
	r->waiting = true;
	/* Pairs with the load in xsring_daemon_asked(). */
	__atomic_store_n(&page_of(r)->connection, XENSTORE_RECONNECT,
			 __ATOMIC_RELEASE);
}

void xsring_guest_init(struct xsring *r,
		       struct xenstore_domain_interface PV_SHARED *page,
		       bool fresh)
{
	*r = (struct xsring){ .page = page,
			      .side = XSRING_GUEST,
			      .waiting = true };
	if (fresh)
		ask(r);
}

int xsring_guest_reconnect(struct xsring *r)
{
	if (!offers(r, XENSTORE_SERVER_FEATURE_RECONNECTION))
		return -EOPNOTSUPP;
	ask(r);
	return 0;
}

enum xsring_state xsring_guest_state(struct xsring *r)
{
	struct xenstore_domain_interface *page = page_of(r);

	if (r->waiting) {
		/* Pairs with the store in xsring_daemon_connect(). */
		if (__atomic_load_n(&page->connection, __ATOMIC_ACQUIRE) !=
		    XENSTORE_CONNECTED)
			return XSRING_WAITING;
		r->waiting = false;
		begin_at(r, load(&page->rsp_cons), load(&page->req_prod));
	}
	if (offers(r, XENSTORE_SERVER_FEATURE_ERROR) &&
	    load(&page->error) != XENSTORE_ERROR_NONE)
		return XSRING_FAILED;
	return r->broken ? XSRING_FAILED : XSRING_CONNECTED;
}
