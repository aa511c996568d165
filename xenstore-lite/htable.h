/* SPDX-License-Identifier: MIT */
/*
 * htable.h - intrusive chained hash table.
 *
 * Elements embed a struct hnode; the table owns nothing. The caller hashes and
 * compares. Growing may fail for want of memory: the table then only gets
 * slower. A table must not be moved in memory.
 */
#ifndef XENSTORE_LITE_HTABLE_H
#define XENSTORE_LITE_HTABLE_H

#include <stddef.h>
#include <stdint.h>

#define HTABLE_SMALL 8u

struct hnode {
	struct hnode *next;
	uint64_t hash;
};

struct htable {
	struct hnode **buckets;
	uint32_t mask, nr;
	struct hnode *small[HTABLE_SMALL];
};

void htable_init(struct htable *t);
void htable_fini(struct htable *t); /* the elements stay the caller's */
void htable_add(struct htable *t, struct hnode *n, uint64_t hash);
void htable_del(struct htable *t, struct hnode *n);

/* The elements with this hash: for (n = first; n; n = next) compare. */
static inline struct hnode *htable_match(struct hnode *n, uint64_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

static inline struct hnode *htable_first(const struct htable *t, uint64_t hash)
{
	return htable_match(t->buckets[hash & t->mask], hash);
}

static inline struct hnode *htable_next(const struct hnode *n)
{
	return htable_match(n->next, n->hash);
}

#endif /* XENSTORE_LITE_HTABLE_H */
