/* SPDX-License-Identifier: MIT */
/* check.c - everything counted again, from scratch. See conn.h. */
#include <string.h>

#include "xenstore-lite/private.h"

/* What a domain has, counted one by one. */
struct count {
	uint64_t memory_bytes;
	uint32_t nr_conns, nr_watches, nr_transactions, nr_outstanding;
	uint32_t event_bytes;
};

/* Answers in the output; *faults when it is not whole messages. */
static uint32_t count_answers(const struct xsd_conn *conn, unsigned *faults)
{
	size_t left = conn->out.len, len = conn->first_left;
	struct xsd_sockmsg hdr;
	uint32_t nr = len > 0 && !conn->first_is_event;
	const char *at;

	*faults += len > left;
	if (left == 0)
		return nr;
	at = conn->out.data + conn->out.start;
	while (len <= left) {
		at += len;
		left -= len;
		if (left < sizeof(hdr))
			break;
		memcpy(&hdr, at, sizeof(hdr));
		nr += hdr.type != XS_WATCH_EVENT;
		len = sizeof(hdr) + hdr.len;
	}
	*faults += left > 0;
	return nr;
}

static unsigned count_conn(const struct xsd_conn *conn, struct count *count)
{
	struct watcher_count watches;
	unsigned faults = 0;
	uint32_t nr = count_answers(conn, &faults);

	watcher_count(&conn->watcher, &watches);
	faults += watches.nr_events != conn->watcher.nr_events;
	faults += nr != conn->nr_outstanding;
	count->nr_conns++;
	count->nr_outstanding += nr;
	count->nr_watches += watches.nr_watches;
	count->event_bytes += watches.event_bytes;
	count->memory_bytes += sizeof(*conn) + conn->in.size + conn->out.size +
			       (uint64_t)watches.bytes;
	list_for_each(l, &conn->txns) {
		const struct txn *txn = container_of(l, struct txn, of_conn);

		count->nr_transactions++;
		count->memory_bytes += (uint64_t)txn_bytes(txn);
		faults += txn_bytes(txn) != txn->charged_bytes;
	}
	return faults;
}

static unsigned check_domain(const struct xsd_domain *domain)
{
	struct count count = { 0 };
	unsigned faults = 0;

	list_for_each(l, &domain->nodes) {
		const struct store_node *node =
			container_of(l, struct store_node, owned);

		count.memory_bytes +=
			(uint64_t)store_node_bytes(node->len, &node->state);
	}
	list_for_each(l, &domain->conns)
		faults += count_conn(
			container_of(l, struct xsd_conn, of_domain), &count);
	faults += count.memory_bytes != domain->memory_bytes;
	faults += count.nr_conns != domain->nr_conns;
	faults += count.nr_watches != domain->nr_watches;
	faults += count.nr_transactions != domain->nr_transactions;
	faults += count.nr_outstanding != domain->nr_outstanding;
	faults += count.event_bytes != domain->event_bytes;
	return faults;
}

unsigned xsd_check(const struct xsd *xsd)
{
	unsigned faults = store_check(&xsd->store);

	list_for_each(l, &xsd->store.domains.all)
		faults +=
			check_domain(container_of(l, struct xsd_domain, link));
	return faults;
}
