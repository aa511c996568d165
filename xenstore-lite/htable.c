/* SPDX-License-Identifier: MIT */
/* htable.c - intrusive chained hash table. See htable.h. */
#include "xenstore-lite/htable.h"

#include <stdlib.h>
#include <string.h>

void htable_init(struct htable *t)
{
	memset(t, 0, sizeof(*t));
	t->buckets = t->small;
	t->mask = HTABLE_SMALL - 1;
}

void htable_fini(struct htable *t)
{
	if (t->buckets != t->small)
		free(t->buckets);
	htable_init(t);
}

static void grow(struct htable *t)
{
	uint32_t mask = t->mask * 2 + 1;
	struct hnode **buckets =
		calloc((size_t)mask + 1, sizeof(struct hnode *));

	if (!buckets)
		return;
	for (uint32_t i = 0; i <= t->mask; i++) {
		struct hnode *n = t->buckets[i];

		while (n) {
			struct hnode *next = n->next;

			n->next = buckets[n->hash & mask];
			buckets[n->hash & mask] = n;
			n = next;
		}
	}
	if (t->buckets != t->small)
		free(t->buckets);
	t->buckets = buckets;
	t->mask = mask;
}

void htable_add(struct htable *t, struct hnode *n, uint64_t hash)
{
	if (t->nr > t->mask && t->mask < UINT32_MAX / 2)
		grow(t);
	n->hash = hash;
	n->next = t->buckets[hash & t->mask];
	t->buckets[hash & t->mask] = n;
	t->nr++;
}

void htable_del(struct htable *t, struct hnode *n)
{
	struct hnode **at = &t->buckets[n->hash & t->mask];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->next = NULL;
	t->nr--;
}
