/* SPDX-License-Identifier: MIT */
/*
 * xs_call.c - requests of the client: queued, sent, matched with their answers;
 * sent again or failed when the connection was lost. See xs_private.h.
 *
 * Answers are matched by req_id: a store may keep one answer back and go on
 * with others. Payloads are copied out at once, so that the receive buffer is
 * free for whatever a callback asks.
 */
#include "xenstore-lite/xs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

static struct xs_call *call_of(struct list *l)
{
	return container_of(l, struct xs_call, link);
}

/* ---- one request ----------------------------------------------------------
 */

int xs_call_new(struct xs *xs, enum xsd_sockmsg_type type, uint32_t tx,
		const struct iovec *parts, unsigned nr, struct xs_call **ret)
{
	struct xs_call *call;
	size_t len = 0;

	if (xs->err)
		return -ECONNRESET;
	for (unsigned i = 0; i < nr; i++)
		len += parts[i].iov_len;
	if (len > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	call = malloc(sizeof(*call) + len);
	if (!call)
		return -ENOMEM;
	*call = (struct xs_call){
		.deadline_ns = clock_now_ns() + xs->timeout_ns,
		.bytes = sizeof(call->hdr) + len,
		.hdr = { .type = type,
			 .req_id = ++xs->last_req_id,
			 .tx_id = tx,
			 .len = (uint32_t)len },
	};
	list_init(&call->link);
	len = 0;
	for (unsigned i = 0; i < nr; i++) {
		if (parts[i].iov_len)
			memcpy(call->payload + len, parts[i].iov_base,
			       parts[i].iov_len);
		len += parts[i].iov_len;
	}
	*ret = call;
	return 0;
}

void xs_call_free(struct xs_call *call)
{
	free(call->data);
	free(call);
}

void xs_call_queue(struct xs *xs, struct xs_call *call, struct list *at)
{
	if (!xs->unsent || at == &xs->unsent->link)
		xs->unsent = call;
	list_add_tail(at, &call->link);
}

/* ---- its end --------------------------------------------------------------
 */

/* Take it off the list; err is what it comes to. */
static void take_off(struct xs *xs, struct xs_call *call, int err)
{
	if (xs->unsent == call) {
		xs->unsent_from = 0;
		xs->unsent = call->link.next == &xs->calls
				     ? NULL
				     : call_of(call->link.next);
	}
	list_del(&call->link);
	call->answered = true;
	call->err = err;
}

/* And let whoever asked know. */
static void settle(struct xs *xs, struct xs_call *call, int err)
{
	take_off(xs, call, err);
	if (call->waited)
		return;
	if (call->done) {
		list_add_tail(&xs->answered, &call->link);
		return;
	}
	if (call->settled)
		call->settled(xs, call);
	xs->nr_submitted -= call->submitted;
	xs_call_free(call);
}

/* The -errno that an error answer names; 0 when it names none. */
static int error_of(const char *name, size_t len)
{
	if (len == 0 || name[len - 1] != '\0')
		return 0;
	return -(strcmp(name, "EQUOTA") ? xsd_error_number(name) : EDQUOT);
}

static struct xs_call *find_sent(const struct xs *xs, uint32_t req_id)
{
	list_for_each(l, &xs->calls) {
		struct xs_call *call = call_of(l);

		if (call == xs->unsent)
			return NULL;
		if (call->hdr.req_id == req_id)
			return call;
	}
	return NULL;
}

int xs_call_answer(struct xs *xs, const struct xsd_sockmsg *hdr,
		   const char *payload)
{
	struct xs_call *call = find_sent(xs, hdr->req_id);
	int err = 0;

	if (!call || (hdr->type != call->hdr.type && hdr->type != XS_ERROR))
		return -EPROTO;
	if (hdr->type == XS_ERROR) {
		err = error_of(payload, hdr->len);
		if (!err)
			return -EPROTO;
	} else if (call->wanted) {
		call->data = malloc(hdr->len + 1u);
		if (call->data) {
			memcpy(call->data, payload, hdr->len);
			call->data[hdr->len] = '\0';
			call->len = hdr->len;
		} else {
			err = -ENOMEM;
		}
	}
	settle(xs, call, err);
	return 0;
}

/* What the end of the connection means to it; 0: it is sent once more. */
static int loss(const struct xs *xs, const struct xs_call *call, bool was_sent,
		int err)
{
	if (!xs->connect)
		return err;
	if (call->hdr.tx_id)
		return -EAGAIN;
	if (call->settled || call->hdr.type == XS_UNWATCH)
		return -ECONNRESET; /* of that connection only */
	if (was_sent &&
	    (call->hdr.type == XS_CONTROL || call->hdr.type == XS_RELEASE))
		return -ECONNRESET;
	return 0;
}

void xs_calls_lost(struct xs *xs, int err)
{
	struct list *first_unsent = &xs->calls;
	bool was_sent = true;

	if (xs->unsent)
		first_unsent = xs->unsent_from ? xs->unsent->link.next
					       : &xs->unsent->link;
	xs->unsent = NULL;
	xs->unsent_from = 0;
	list_for_each_safe(l, tmp, &xs->calls) {
		int failed;

		if (l == first_unsent)
			was_sent = false;
		failed = loss(xs, call_of(l), was_sent, err);
		if (failed)
			settle(xs, call_of(l), failed);
	}
	if (!list_empty(&xs->calls))
		xs->unsent = call_of(xs->calls.next);
}

bool xs_calls_expire(struct xs *xs, uint64_t now_ns)
{
	bool any = false;

	list_for_each_safe(l, tmp, &xs->calls) {
		if (call_of(l)->deadline_ns > now_ns)
			continue;
		settle(xs, call_of(l), -ETIMEDOUT);
		any = true;
	}
	return any;
}

uint64_t xs_calls_deadline(const struct xs *xs)
{
	return list_empty(&xs->calls) ? UINT64_MAX
				      : call_of(xs->calls.next)->deadline_ns;
}

/* ---- callbacks ------------------------------------------------------------
 */

static void tell(struct xs *xs, struct xs_call *call)
{
	list_del(&call->link);
	xs->nr_submitted--;
	call->done(call->arg, call->err, call->data, call->len);
	xs_call_free(call);
}

/* What callbacks submit is answered in a later dispatch. */
void xs_calls_run(struct xs *xs)
{
	struct list now = LIST_INIT(now);

	while (!list_empty(&xs->answered)) {
		struct list *l = xs->answered.next;

		list_del(l);
		list_add_tail(&now, l);
	}
	while (!list_empty(&now))
		tell(xs, call_of(now.next));
}

void xs_calls_fini(struct xs *xs)
{
	xs->unsent = NULL;
	list_for_each_safe(l, tmp, &xs->calls)
		settle(xs, call_of(l), -ECANCELED);
	xs_calls_run(xs);
}

/* ---- and wait for it ------------------------------------------------------
 */

int xs_call_wait(struct xs *xs, struct xs_call *call)
{
	while (!call->answered) {
		int err;

		if (xs_conn_ready(xs)) {
			xs_conn_send(xs);
			xs_conn_receive(xs);
			/* An event that it took may have meant room. */
			if (xs->full)
				xs_conn_send(xs);
		}
		if (call->answered)
			break;
		err = xs_conn_wait(xs, call->deadline_ns);
		if (!err)
			continue;
		take_off(xs, call, err);
		if (xs->link)
			xs_conn_lost(xs, err);
	}
	return call->err;
}

int xs_talk(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
	    const struct iovec *parts, unsigned nr, char **ret, size_t *len)
{
	struct xs_call *call;
	uint32_t wire;
	int err;

	if (xs->err)
		return -ECONNRESET;
	err = xs_txn_wire(xs, tx, &wire);
	if (!err)
		err = xs_call_new(xs, type, wire, parts, nr, &call);
	if (err)
		return err;
	call->waited = true;
	call->wanted = ret != NULL;
	xs_call_queue(xs, call, &xs->calls);
	err = xs_call_wait(xs, call);
	if (!err && ret) {
		*ret = call->data;
		*len = call->len;
		call->data = NULL;
	}
	xs_call_free(call);
	return err;
}

struct iovec xs_text_part(const char *text)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)text,
			       .iov_len = strlen(text) + 1 };
}

int xs_talk_text(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
		 const char *text, char **ret, size_t *len)
{
	struct iovec part = xs_text_part(text);

	return xs_talk(xs, type, tx, &part, 1, ret, len);
}
