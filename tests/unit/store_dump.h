/* SPDX-License-Identifier: MIT */
/*
 * store_dump.h - all that must survive of a store as text, in an order that is
 * part of it: two stores that a client cannot tell apart have equal texts.
 */
#ifndef TESTS_UNIT_STORE_DUMP_H
#define TESTS_UNIT_STORE_DUMP_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/private.h"

static inline void dump_perms(FILE *f, const struct perms *perms)
{
	for (uint32_t i = 0; i < perms->nr; i++)
		fprintf(f, " %u.%" PRIu64 "=%u", perms->entries[i].domid,
			perms->entries[i].incarnation,
			perms->entries[i].rights);
}

static inline void dump_node(FILE *f, const struct store_node *node)
{
	fprintf(f, "%s d%u", node->path, node->owner->domid);
	dump_perms(f, node->state.perms);
	fprintf(f, " %u:", blob_len(node->state.value));
	for (uint32_t i = 0; i < blob_len(node->state.value); i++)
		fprintf(f, "%02x", (uint8_t)node->state.value->data[i]);
	fputc('\n', f);
}

/* Depth first, by an explicit walk: trees may be deep. */
static inline void dump_tree(FILE *f, const struct store_node *node)
{
	const struct store_node *root = node;

	for (;;) {
		dump_node(f, node);
		if (!list_empty(&node->children)) {
			node = container_of(node->children.next,
					    struct store_node, siblings);
			continue;
		}
		while (node != root &&
		       node->siblings.next == &node->parent->children)
			node = node->parent;
		if (node == root)
			return;
		node = container_of(node->siblings.next, struct store_node,
				    siblings);
	}
}

static inline void dump_limits(FILE *f, const struct xsd_limits *limits)
{
	uint32_t values[sizeof(*limits) / sizeof(uint32_t)];

	memcpy(values, limits, sizeof(values));
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		fprintf(f, " %u", values[i]);
}

static inline void dump_domain(FILE *f, const struct xsd_domain *d)
{
	fprintf(f, "domain %u.%" PRIu64 " nodes %u features %u quota", d->domid,
		d->incarnation, d->nr_nodes, d->features);
	dump_limits(f, &d->quota);
	fprintf(f, " ring %u %u", d->ring_gref, d->ring_port);
	if (d->target)
		fprintf(f, " target %u.%" PRIu64, d->target->domid,
			d->target->incarnation);
	if (d->release_perms) {
		fprintf(f, " release");
		dump_perms(f, d->release_perms);
	}
	fputc('\n', f);
}

/* The caller frees it; NULL no memory. */
static inline char *store_dump(const struct xsd *xsd)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (uint32_t i = 0; i < DOMID_FIRST_RESERVED; i++) {
		const struct xsd_domain *d =
			xsd_domain_find(&xsd->store.domains, i);

		if (d)
			dump_domain(f, d);
	}
	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++) {
		fprintf(f, "%s", xsd_special_names[i]);
		dump_perms(f, xsd->special_perms[i]);
		fputc('\n', f);
	}
	fprintf(f, "defaults");
	dump_limits(f, &xsd->store.domains.defaults);
	fputc('\n', f);
	dump_tree(f, xsd->store.root);
	fclose(f);
	return text;
}

#endif /* TESTS_UNIT_STORE_DUMP_H */
