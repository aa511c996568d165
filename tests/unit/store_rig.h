/* SPDX-License-Identifier: MIT */
/*
 * store_rig.h - a real store beside its model: connections that speak the wire
 * format, and the comparison of everything that can be seen from outside, plus
 * the store's own counters with a count from scratch.
 */
#ifndef TESTS_UNIT_STORE_RIG_H
#define TESTS_UNIT_STORE_RIG_H

#include <stdarg.h>

#include "tests/unit/store_model_domain.h"
#include "util/num.h"
#include "xenstore-lite/private.h"

struct rig;

/* A watch event as it came. */
struct rig_event {
	char *path, *token;
};

struct rig_conn {
	struct rig *rig;
	struct xsd_conn *conn; /* NULL: closed */
	uint32_t req_id;
	uint32_t tx_ids[MODEL_TXNS];
	struct rig_event *events;
	unsigned nr_events;
	bool answered;
	uint32_t type; /* of the answer */
	struct model_answer answer;
};

struct rig {
	struct xsd *xsd;
	struct model m;
	uint64_t life; /* the last one given to a domain */
	struct rig_conn conns[MODEL_CONNS];
	const struct xsd_ops *ops;
	/* Of the store that is to take this one's place (store_update.h). */
	struct xsd_conn *fresh[MODEL_CONNS];
	bool updating;
	/* Around every call into the store, when set. */
	void (*enter)(void);
	/* Says whether memory was refused meanwhile. */
	bool (*leave)(void);
	bool starved;  /* memory was refused in this step */
	FILE *trace;   /* tell every step, when set */
	char why[512]; /* the first difference; empty: none */
};

/* The domain that each connection is of. */
static const uint32_t rig_domids[MODEL_CONNS] = { 0, 1, 2, 3, 1, 2,
						  0, 1, 4, 5, 3, 1 };

static inline void PV_PRINTF(2, 3)
	rig_differ(struct rig *rig, const char *fmt, ...)
{
	va_list ap;

	if (rig->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(rig->why, sizeof(rig->why), fmt, ap);
	va_end(ap);
}

static inline void rig_enter(struct rig *rig)
{
	if (rig->enter)
		rig->enter();
}

static inline void rig_leave(struct rig *rig)
{
	if (rig->leave && rig->leave())
		rig->starved = true;
}

/* ---- connections --------------------------------------------------------- */

static inline void rig_forget_events(struct rig_conn *c)
{
	for (unsigned i = 0; i < c->nr_events; i++) {
		free(c->events[i].path);
		free(c->events[i].token);
	}
	free(c->events);
	c->events = NULL;
	c->nr_events = 0;
}

static inline void rig_has_output(void *arg)
{
	(void)arg;
}

static inline void rig_dropped(void *arg)
{
	struct rig_conn *c = arg;

	if (c->rig->updating) {
		xsd_conn_close(c->rig->fresh[c - c->rig->conns]);
		c->rig->fresh[c - c->rig->conns] = NULL;
		return;
	}
	xsd_conn_close(c->conn);
	c->conn = NULL;
	memset(c->tx_ids, 0, sizeof(c->tx_ids));
	rig_forget_events(c);
}

static inline void rig_close(struct rig *rig, unsigned i)
{
	rig_dropped(&rig->conns[i]);
	model_close(&rig->m.conns[i]);
}

/* Whether connection i is there now. */
static inline bool rig_open(struct rig *rig, unsigned i)
{
	struct rig_conn *c = &rig->conns[i];
	int err;

	if (c->conn)
		return true;
	rig_enter(rig);
	err = xsd_conn_open(rig->xsd, rig_domids[i], c, &c->conn);
	rig_leave(rig);
	if (err) {
		if (!(err == -ENOMEM && rig->starved) &&
		    (err != -ENOENT || rig->m.domains[rig_domids[i]].life))
			rig_differ(rig, "conn %u does not open: %d", i, err);
		return false;
	}
	rig->m.conns[i].open = true;
	rig->m.conns[i].domid = rig_domids[i];
	return true;
}

static inline void rig_take(struct rig_conn *c, const struct xsd_sockmsg *hdr,
			    const char *payload)
{
	struct rig_event *e;
	size_t len = strlen(payload) + 1;

	if (hdr->type != XS_WATCH_EVENT) {
		if (c->answered || hdr->req_id != c->req_id)
			rig_differ(c->rig, "an answer too many");
		c->answered = true;
		c->type = hdr->type;
		c->answer.len = hdr->len;
		memcpy(c->answer.data, payload, hdr->len);
		return;
	}
	c->events =
		model_must(realloc(c->events, (c->nr_events + 1) * sizeof(*e)));
	e = &c->events[c->nr_events++];
	e->path = model_dup(payload);
	e->token = model_dup(payload + len);
	if (len + strlen(e->token) + 1 != hdr->len)
		rig_differ(c->rig, "an event of two words and more");
}

static inline bool rig_is_dead(const struct rig_conn *c)
{
	return c->conn->no_memory || c->conn->watcher.broken;
}

/* Take all output. 0, or why the connection is over. */
static inline int rig_drain(struct rig_conn *c)
{
	struct rig *rig = c->rig;
	int err = 0;

	for (;;) {
		struct xsd_sockmsg hdr;
		const void *data;
		size_t len, at = 0;

		rig_enter(rig);
		len = xsd_conn_output(c->conn, &data);
		rig_leave(rig);
		if (len == 0)
			break;
		while (at < len) {
			char payload[XENSTORE_PAYLOAD_MAX + 1];

			memcpy(&hdr, (const char *)data + at, sizeof(hdr));
			at += sizeof(hdr);
			memcpy(payload, (const char *)data + at, hdr.len);
			payload[hdr.len] = '\0';
			at += hdr.len;
			rig_take(c, &hdr, payload);
		}
		rig_enter(rig);
		err = xsd_conn_sent(c->conn, len);
		rig_leave(rig);
	}
	if (!err && rig_is_dead(c))
		err = -ENOMEM;
	return err;
}

/*
 * Ask; the answer is in c->answer when c->answered. split: bytes to send first.
 * Returns 0, or why the connection is over.
 */
static inline int rig_exchange(struct rig_conn *c, uint32_t type,
			       uint32_t tx_id, const void *payload, size_t len,
			       size_t split)
{
	char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++c->req_id,
				   .tx_id = tx_id,
				   .len = (uint32_t)len };
	size_t total = sizeof(hdr) + len;
	int err = 0, drained;

	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), payload, len);
	c->answered = false;
	memset(&c->answer, 0, sizeof(c->answer));
	split = split < total ? split : total;
	rig_enter(c->rig);
	if (split)
		err = xsd_conn_feed(c->conn, buf, split);
	if (!err && split < total)
		err = xsd_conn_feed(c->conn, buf + split, total - split);
	rig_leave(c->rig);
	drained = rig_drain(c);
	if (c->answered && c->type == XS_ERROR) {
		c->answer.data[sizeof(c->answer.data) - 1] = '\0';
		c->answer.err = -xsd_error_number(c->answer.data);
		c->answer.len = 0;
	} else if (c->answered && c->type != type) {
		rig_differ(c->rig, "an answer of type %u", c->type);
	}
	return err ? err : drained;
}

/* ---- comparing ----------------------------------------------------------- */

static inline int rig_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names, each with its NUL, in the order of the alphabet. */
static inline void rig_sort_names(struct model_answer *answer)
{
	char copy[XENSTORE_PAYLOAD_MAX], *names[XENSTORE_PAYLOAD_MAX / 2];
	size_t nr = 0, used = 0;

	if (!answer->len || answer->data[answer->len - 1])
		return;
	memcpy(copy, answer->data, answer->len);
	for (size_t at = 0; at < answer->len; at += strlen(copy + at) + 1)
		names[nr++] = copy + at;
	qsort(names, nr, sizeof(char *), rig_by_text);
	for (size_t i = 0; i < nr; i++) {
		memcpy(answer->data + used, names[i], strlen(names[i]) + 1);
		used += strlen(names[i]) + 1;
	}
}

static inline bool rig_same_answer(const struct model_answer *a,
				   const struct model_answer *b)
{
	return a->err == b->err && a->len == b->len &&
	       memcmp(a->data, b->data, a->len) == 0;
}

/* An event of the model as the client sees it: "path=token". */
static inline char *rig_expected(const struct model_event *e)
{
	size_t size = strlen(e->path) + strlen(e->watch->token) + 2;
	char *text = model_must(malloc(size));

	snprintf(text, size, "%s=%s", e->path + e->watch->rel_off,
		 e->watch->token);
	return text;
}

static inline bool rig_is(const struct rig_event *e, const char *text)
{
	size_t len = strlen(e->path);

	return strncmp(e->path, text, len) == 0 && text[len] == '=' &&
	       strcmp(e->token, text + len + 1) == 0;
}

/* Whether e came as one of the events from..to; it is put at from. */
static inline bool rig_heard(struct rig *rig, unsigned i,
			     const struct model_event *e, unsigned from,
			     unsigned to)
{
	struct rig_conn *c = &rig->conns[i];
	char *text = rig_expected(e);
	unsigned j = from;

	while (j < to && j < c->nr_events && !rig_is(&c->events[j], text))
		j++;
	if (j < to && j < c->nr_events) {
		struct rig_event tmp = c->events[j];

		c->events[j] = c->events[from];
		c->events[from] = tmp;
	} else {
		if (!e->optional)
			rig_differ(rig, "conn %u does not hear %.100s", i,
				   text);
		to = 0;
	}
	free(text);
	return to;
}

/*
 * The events that came are the model's: batch after batch, in any order within
 * one; optional ones may be missing. All are taken from both.
 */
static inline void rig_compare_events(struct rig *rig, unsigned i)
{
	struct rig_conn *c = &rig->conns[i];
	struct model_conn *mc = &rig->m.conns[i];
	unsigned at = 0;

	for (struct model_event *e = mc->events; e;) {
		unsigned batch = e->batch, size = 0, nr = 0;

		for (struct model_event *x = e; x && x->batch == batch;
		     x = x->next)
			size++;
		for (; e && e->batch == batch; e = e->next)
			nr += rig_heard(rig, i, e, at + nr, at + size);
		at += nr;
	}
	if (at < c->nr_events)
		rig_differ(rig, "conn %u hears %.100s=%.40s, out of turn", i,
			   c->events[at].path, c->events[at].token);
	rig_forget_events(c);
	model_forget_events(mc, NULL);
}

/* ---- the whole store against the whole model ----------------------------- */

static inline void rig_compare_counts(struct rig *rig)
{
	for (uint32_t i = 0; i < MODEL_DOMAINS; i++) {
		const struct xsd_domain *d =
			xsd_domain_find(&rig->xsd->store.domains, i);
		const struct model *m = &rig->m;

		if (!d != !m->domains[i].life) {
			rig_differ(rig, "domain %u lives, or does not", i);
			continue;
		}
		if (!d)
			continue;
		if (d->nr_nodes != model_nr_nodes(m, &m->tree, i) ||
		    d->nr_watches != model_nr_watches(m, i) ||
		    d->nr_transactions != model_nr_txns(m, i) ||
		    d->nr_conns != model_nr_conns(m, i))
			rig_differ(rig,
				   "domain %u: %u nodes of %u, %u watches "
				   "of %u, %u transactions of %u, %u "
				   "connections of %u",
				   i, d->nr_nodes,
				   model_nr_nodes(m, &m->tree, i),
				   d->nr_watches, model_nr_watches(m, i),
				   d->nr_transactions, model_nr_txns(m, i),
				   d->nr_conns, model_nr_conns(m, i));
	}
	if (xsd_check(rig->xsd))
		rig_differ(rig, "the store's own recount differs");
}

static inline void rig_compare_node(struct rig *rig, struct rig_conn *c,
				    const char *path)
{
	static const uint32_t types[] = { XS_READ, XS_DIRECTORY, XS_GET_PERMS };

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct model_answer want;

		model_request(&rig->m, 0, NULL, types[i], path, "", 0, &want);
		if (rig_exchange(c, types[i], 0, path, strlen(path) + 1, 0))
			rig_differ(rig, "the auditor is cut off");
		if (types[i] == XS_DIRECTORY) {
			rig_sort_names(&want);
			rig_sort_names(&c->answer);
		}
		if (!c->answered || !rig_same_answer(&want, &c->answer))
			rig_differ(rig, "%s is another (type %u: %d, not %d)",
				   path, types[i], c->answer.err, want.err);
	}
}

/* Every node of the model is in the store as it should be; by the lists of
 * children there is no other. */
static inline void rig_compare_trees(struct rig *rig)
{
	struct rig_conn c = { .rig = rig };
	void (*enter)(void) = rig->enter;
	bool (*leave)(void) = rig->leave;

	rig->enter = NULL;
	rig->leave = NULL;
	if (xsd_conn_open(rig->xsd, 0, &c, &c.conn)) {
		rig_differ(rig, "no auditor");
		return;
	}
	for (struct model_node *n = rig->m.tree.first; n && !rig->why[0];
	     n = n->next)
		rig_compare_node(rig, &c, n->path);
	rig_dropped(&c);
	rig->enter = enter;
	rig->leave = leave;
}

#endif /* TESTS_UNIT_STORE_RIG_H */
