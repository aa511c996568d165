/* SPDX-License-Identifier: MIT */
/*
 * control_stats.c - "stats [SECTION [FROM]]": the store's figures, in pages
 * that each fit a message. See control.h; docs/xenstore.md has the fields.
 *
 * A page is lines; a line is a word and NAME=VALUE fields, VALUE a decimal
 * number or a name without a space. Its last line is "end", or "more FROM" with
 * what to ask for to get the next page. Each row has a key of three numbers and
 * rows come in the order of their keys, so that paging misses none that was
 * there all the time, whatever comes and goes meanwhile.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "xenstore-lite/control.h"
#include "xenstore-lite/use.h"

#define KEY_PARTS   3
#define TRAILER_MAX 80u /* "more", three numbers, a NUL */

struct key {
	uint64_t part[KEY_PARTS];
};

struct pager {
	struct control_text *text;
	struct key from;
	bool full; /* from is now where the next page begins */
};

static bool is_before(const struct key *a, const struct key *b)
{
	for (unsigned i = 0; i < KEY_PARTS; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i];
	return false;
}

static bool wants(const struct pager *p, const struct key *key)
{
	return !p->full && !is_before(key, &p->from);
}

/* A row that pager wants; it may turn out that the page is full. */
static void row(struct pager *p, const struct key *key, const char *fmt, ...)
	PV_PRINTF(3, 4);

static void row(struct pager *p, const struct key *key, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (control_add(p->text, "%s\n", line))
		return;
	p->full = true;
	p->from = *key;
}

static void named(struct pager *p, uint64_t idx, const char *word,
		  const char *name, uint64_t value)
{
	struct key key = { { idx } };

	if (wants(p, &key))
		row(p, &key, "%s name=%s value=%llu", word, name,
		    (unsigned long long)value);
}

/* ---- sections --------------------------------------------------------- */

static uint64_t nr_open_txns(const struct xsd *xsd)
{
	uint64_t nr = 0;

	list_for_each(l, &xsd->store.domains.all)
		nr += container_of(l, struct xsd_domain, link)->nr_transactions;
	return nr;
}

static uint64_t nr_domains(const struct xsd *xsd)
{
	uint64_t nr = 0;

	list_for_each(l, &xsd->store.domains.all)
		nr++;
	return nr;
}

static void totals(const struct xsd *xsd, struct pager *p)
{
	const struct xsd_stats *s = &xsd->stats;
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{ "uptime-ns", s->turned_ns - s->start_ns },
		{ "domains", nr_domains(xsd) },
		{ "nodes", xsd->store.nodes.nr },
		{ "connections", s->nr_conns },
		{ "connections-max", s->nr_conns_max },
		{ "connections-ever", s->nr_conns_ever },
		{ "in-bytes", s->in_bytes },
		{ "out-bytes", s->out_bytes },
		{ "in-queue-max-bytes", s->in_max.bytes },
		{ "in-queue-max-domid", s->in_max.domid },
		{ "in-queue-max-connection", s->in_max.conn_id },
		{ "out-queue-max-bytes", s->out_max.bytes },
		{ "out-queue-max-domid", s->out_max.domid },
		{ "out-queue-max-connection", s->out_max.conn_id },
		{ "events-pending", xsd->watches.events.nr },
		{ "events-queued", xsd->watches.nr_queued },
		{ "events-merged", xsd->watches.nr_merged },
		{ "events-replaced", xsd->watches.nr_replaced },
		{ "transactions-open", nr_open_txns(xsd) },
		{ "transactions-committed", s->nr_ends[STATS_COMMITTED] },
		{ "transactions-conflict", s->nr_ends[STATS_CONFLICT] },
		{ "transactions-refused", s->nr_ends[STATS_REFUSED] },
		{ "transactions-aborted", s->nr_ends[STATS_ABORTED] },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		named(p, i, "total", all[i].name, all[i].value);
}

static void latency_row(struct pager *p, const struct key *key,
			const char *name, uint64_t nr_errors,
			const struct hist *h)
{
	row(p, key,
	    "op name=%s count=%llu errors=%llu mean-ns=%llu p50-ns=%llu "
	    "p99-ns=%llu max-ns=%llu",
	    name, (unsigned long long)hist_count(h),
	    (unsigned long long)nr_errors, (unsigned long long)hist_mean(h),
	    (unsigned long long)hist_percentile(h, 500000),
	    (unsigned long long)hist_percentile(h, 990000),
	    (unsigned long long)h->max);
}

/* The message kinds that were asked for, and how long transactions took. */
static void ops(const struct xsd *xsd, struct pager *p)
{
	const struct xsd_stats *s = &xsd->stats;
	struct key key = { { 0 } };

	for (; key.part[0] < STATS_NR_KINDS; key.part[0]++) {
		unsigned kind = (unsigned)key.part[0];
		const struct hist *h = &s->kinds[kind].latency_ns;

		if (stats_kind_name(kind) && wants(p, &key) && hist_count(h))
			latency_row(p, &key, stats_kind_name(kind),
				    s->kinds[kind].nr_errors, h);
	}
	if (wants(p, &key) && hist_count(&s->txn_ns))
		latency_row(p, &key, "transaction",
			    s->nr_ends[STATS_CONFLICT] +
				    s->nr_ends[STATS_REFUSED],
			    &s->txn_ns);
}

/* Key: kind, bucket; what comes after the kinds is the transactions'. */
static const struct hist *hist_of(const struct xsd *xsd, uint64_t kind,
				  const char **name)
{
	if (kind == STATS_NR_KINDS) {
		*name = "transaction";
		return &xsd->stats.txn_ns;
	}
	*name = stats_kind_name((unsigned)kind);
	return &xsd->stats.kinds[kind].latency_ns;
}

static void bucket_row(struct pager *p, const struct key *key, const char *name,
		       const struct hist *h, unsigned bucket)
{
	uint64_t high = hist_bucket_high(bucket);

	row(p, key, "bucket name=%s from-ns=%llu to-ns=%llu count=%llu", name,
	    (unsigned long long)hist_bucket_low(bucket),
	    (unsigned long long)(high < h->max ? high : h->max),
	    (unsigned long long)h->counts[bucket]);
}

static void histograms(const struct xsd *xsd, struct pager *p)
{
	struct key key = { { p->from.part[0] } };

	for (; !p->full && key.part[0] <= STATS_NR_KINDS; key.part[0]++) {
		const char *name;
		const struct hist *h = hist_of(xsd, key.part[0], &name);

		for (unsigned i = 0; name && i < HIST_NR_BUCKETS; i++) {
			key.part[1] = i;
			if (h->counts[i] && wants(p, &key))
				bucket_row(p, &key, name, h, i);
		}
	}
}

static void errors(const struct xsd *xsd, struct pager *p)
{
	for (unsigned i = 0; i < XSD_NR_ERRORS; i++)
		if (xsd->stats.nr_errors[i])
			named(p, i, "error", xsd_errors[i].errstring,
			      xsd->stats.nr_errors[i]);
}

static void named_text(struct pager *p, uint64_t idx, const char *word,
		       const char *name, const char *text)
{
	struct key key = { { idx } };

	if (wants(p, &key))
		row(p, &key, "%s name=%s value=%s", word, name, text);
}

static const char *journal_state(const struct stats_journal *j)
{
	if (j->err)
		return "failing";
	return j->full ? "full" : "writing";
}

static const char *error_text(int err)
{
	const char *name = err ? strerrorname_np(-err) : "none";

	return name ? name : "unknown";
}

/* No row at all: there is no journal. */
static void journal(const struct xsd *xsd, struct pager *p)
{
	const struct stats_journal *j = &xsd->stats.journal;
	uint64_t now_ns = xsd->stats.turned_ns;
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{ "segment", j->segment },
		{ "file-bytes", j->file_bytes },
		{ "records", j->nr_records },
		{ "record-bytes", j->record_bytes },
		{ "refused", j->nr_refused },
		{ "flushes", j->nr_flushes },
		{ "flush-mean-ns", hist_mean(&j->flush_ns) },
		{ "flush-p99-ns", hist_percentile(&j->flush_ns, 990000) },
		{ "flush-max-ns", j->flush_ns.max },
		{ "snapshots", j->nr_snapshots },
		{ "snapshots-failed", j->nr_failed_snapshots },
	};

	if (!j->on)
		return;
	named_text(p, 0, "journal", "state", journal_state(j));
	named_text(p, 1, "journal", "last-error", error_text(j->last_err));
	if (j->last_err)
		named(p, 2, "journal", "last-error-age-ns",
		      now_ns > j->last_err_ns ? now_ns - j->last_err_ns : 0);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		named(p, i + 3, "journal", all[i].name, all[i].value);
}

static void domain_row(struct pager *p, const struct key *key,
		       const struct xsd_domain *domain)
{
	const struct xsd_activity *did = &domain->did;
	const struct xsd_credit *credit = &domain->credit;

	row(p, key,
	    "domain domid=%u requests=%llu errors=%llu spent-ns=%llu "
	    "conflicts=%llu pauses=%u pauses-ns=%llu paused=%s",
	    domain->domid, (unsigned long long)did->nr_requests,
	    (unsigned long long)did->nr_errors,
	    (unsigned long long)did->spent_ns,
	    (unsigned long long)did->nr_conflicts, credit->nr_pauses,
	    (unsigned long long)credit->pauses_ns,
	    credit->paused ? "yes" : "no");
}

/* Those that ever asked for anything. */
static void domains(const struct xsd *xsd, struct pager *p)
{
	struct key key = { { p->from.part[0] } };

	for (; key.part[0] < DOMID_FIRST_RESERVED; key.part[0]++) {
		const struct xsd_domain *domain = xsd_domain_find(
			&xsd->store.domains, (uint32_t)key.part[0]);

		if (domain && domain->did.nr_requests && wants(p, &key))
			domain_row(p, &key, domain);
	}
}

/* Key: domain, quota. Only what was ever used. */
static void quotas(const struct xsd *xsd, struct pager *p)
{
	struct key key = { { p->from.part[0] } };

	for (; !p->full && key.part[0] < DOMID_FIRST_RESERVED; key.part[0]++) {
		struct xsd_domain *domain = xsd_domain_find(
			&xsd->store.domains, (uint32_t)key.part[0]);

		if (!domain)
			continue;
		use_look(domain);
		for (unsigned i = 0; i < XSD_NR_USES; i++) {
			key.part[1] = i;
			if (domain->use_max[i] == 0 || !wants(p, &key))
				continue;
			row(p, &key,
			    "quota domid=%u name=%s now=%u max=%u limit=%u",
			    domain->domid, use_name((enum xsd_use)i),
			    use_now(domain, (enum xsd_use)i),
			    domain->use_max[i],
			    use_limit(domain, (enum xsd_use)i));
		}
	}
}

typedef void conn_fn(const struct xsd *xsd, const struct xsd_conn *conn,
		     struct key *key, struct pager *p);

/* Key: domain, connection. Connections of a domain are in order of their id. */
static void each_conn(const struct xsd *xsd, struct pager *p, conn_fn *fn)
{
	struct key key = { { p->from.part[0] } };

	for (; !p->full && key.part[0] < DOMID_FIRST_RESERVED; key.part[0]++) {
		const struct xsd_domain *domain = xsd_domain_find(
			&xsd->store.domains, (uint32_t)key.part[0]);

		if (!domain)
			continue;
		list_for_each(l, &domain->conns) {
			const struct xsd_conn *conn =
				container_of(l, struct xsd_conn, of_domain);

			key.part[1] = conn->id;
			key.part[2] = 0;
			fn(xsd, conn, &key, p);
		}
	}
}

#define PEER_MAX 32

static const char *peer_of(const struct xsd_conn *conn, char buf[PEER_MAX])
{
	const struct xsd_ops *ops = conn->xsd->ops;

	snprintf(buf, PEER_MAX, "-");
	if (ops->describe)
		ops->describe(conn->arg, buf, PEER_MAX);
	return buf;
}

static void conn_row(const struct xsd *xsd, const struct xsd_conn *conn,
		     struct key *key, struct pager *p)
{
	char peer[PEER_MAX];

	(void)xsd;
	if (!wants(p, key))
		return;
	row(p, key,
	    "connection domid=%u id=%llu peer=%s in-bytes=%zu out-bytes=%zu events=%u",
	    conn->domain->domid, (unsigned long long)conn->id,
	    peer_of(conn, peer), conn->in.len, conn->out.len,
	    conn->watcher.nr_events);
}

static void connections(const struct xsd *xsd, struct pager *p)
{
	each_conn(xsd, p, conn_row);
}

static void txn_rows(const struct xsd *xsd, const struct xsd_conn *conn,
		     struct key *key, struct pager *p)
{
	uint64_t now_ns = xsd->stats.turned_ns;
	char peer[PEER_MAX];

	list_for_each(l, &conn->txns) {
		const struct txn *txn = container_of(l, struct txn, of_conn);

		key->part[2] = txn->id;
		if (wants(p, key))
			row(p, key,
			    "transaction domid=%u connection=%llu peer=%s id=%u "
			    "age-ns=%llu nodes=%u changes=%u",
			    conn->domain->domid, (unsigned long long)conn->id,
			    peer_of(conn, peer), txn->id,
			    (unsigned long long)(now_ns - txn->start_ns),
			    txn->nr_nodes, txn->nr_changes);
	}
}

static void transactions(const struct xsd *xsd, struct pager *p)
{
	each_conn(xsd, p, txn_rows);
}

/* ---- the command ------------------------------------------------------ */

static const struct {
	const char *name;
	void (*fn)(const struct xsd *xsd, struct pager *p);
} sections[] = {
	{ "totals", totals },		{ "ops", ops },
	{ "histograms", histograms },	{ "errors", errors },
	{ "domains", domains },		{ "quotas", quotas },
	{ "connections", connections }, { "transactions", transactions },
	{ "journal", journal },
};

/* "A", "A.B" or "A.B.C"; parts that are not given are 0. */
static int parse_key(const char *text, struct key *ret)
{
	char part[24];

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < KEY_PARTS; i++) {
		size_t len = strcspn(text, ".");

		if (len >= sizeof(part))
			return -EINVAL;
		memcpy(part, text, len);
		part[len] = '\0';
		if (num_parse_u64(part, UINT64_MAX, &ret->part[i]))
			return -EINVAL;
		if (!text[len])
			return 0;
		text += len + 1;
	}
	return -EINVAL;
}

static void trailer(struct pager *p)
{
	p->text->end += TRAILER_MAX;
	if (p->full)
		control_add(p->text, "more %llu.%llu.%llu\n",
			    (unsigned long long)p->from.part[0],
			    (unsigned long long)p->from.part[1],
			    (unsigned long long)p->from.part[2]);
	else
		control_add(p->text, "end\n");
}

int control_stats(const struct control_call *call)
{
	struct pager p = { .text = call->text };

	p.text->end -= TRAILER_MAX;
	if (call->nr_args == 2 && parse_key(call->args[1], &p.from))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++) {
		if (!call->nr_args) {
			control_add(p.text, "section name=%s\n",
				    sections[i].name);
		} else if (strcmp(call->args[0], sections[i].name) == 0) {
			sections[i].fn(call->conn->xsd, &p);
			trailer(&p);
			return 0;
		}
	}
	if (call->nr_args)
		return -EINVAL;
	trailer(&p);
	return 0;
}
