/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the frontend's pages: one share, handed out page by page from a
 * bitmap. Thread: the pool's owner.
 */
#include "grant/grant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define WORD_BITS 64u

struct grant_pool {
	struct platform *platform;
	struct share share;
	uint32_t nr_words;
	uint32_t hint; /* no free page in the words before this one */
	uint64_t used[];
};

int grant_pool_open(struct platform *p, domid_t peer, uint32_t nr_pages,
		    uint32_t flags, struct grant_pool **ret)
{
	uint32_t nr_words = nr_pages / WORD_BITS + 1;
	struct grant_pool *pool;
	int err;

	if (nr_pages == 0 || nr_pages > SHARE_PAGES_MAX)
		return -EINVAL;
	pool = calloc(1, sizeof(*pool) + nr_words * sizeof(pool->used[0]));
	if (!pool)
		return -ENOMEM;
	err = platform_share(p, peer, nr_pages, flags, &pool->share);
	if (err) {
		free(pool);
		return err;
	}
	pool->platform = p;
	pool->nr_words = nr_words;
	/* The pages past the end are taken for ever. */
	pool->used[nr_words - 1] = ~0ull << (nr_pages % WORD_BITS);
	*ret = pool;
	return 0;
}

int grant_pool_close(struct grant_pool *pool)
{
	int err;

	if (!pool)
		return 0;
	err = platform_unshare(pool->platform, &pool->share);
	free(pool);
	return err;
}

void *grant_pool_base(const struct grant_pool *pool)
{
	return pool->share.base;
}

uint32_t grant_pool_nr_pages(const struct grant_pool *pool)
{
	return pool->share.nr_pages;
}

grant_ref_t grant_pool_ref(const struct grant_pool *pool, uint32_t idx)
{
	assert(idx < pool->share.nr_pages);
	return pool->share.first_ref + idx;
}

void *grant_pool_page(const struct grant_pool *pool, uint32_t idx)
{
	assert(idx < pool->share.nr_pages);
	return (char *)pool->share.base + (size_t)idx * PV_PAGE_SIZE;
}

int64_t grant_pool_index(const struct grant_pool *pool, const void *address)
{
	uintptr_t off = (uintptr_t)address - (uintptr_t)pool->share.base;

	if (off / PV_PAGE_SIZE >= pool->share.nr_pages)
		return -1;
	return (int64_t)(off / PV_PAGE_SIZE);
}

static bool is_used(const struct grant_pool *pool, uint32_t idx)
{
	return pool->used[idx / WORD_BITS] >> (idx % WORD_BITS) & 1;
}

static int64_t take_one(struct grant_pool *pool)
{
	for (uint32_t w = pool->hint; w < pool->nr_words; w++) {
		uint64_t vacant = ~pool->used[w];

		if (!vacant)
			continue;
		pool->hint = w;
		pool->used[w] |= vacant & -vacant;
		return (int64_t)w * WORD_BITS + __builtin_ctzll(vacant);
	}
	pool->hint = pool->nr_words;
	return -1;
}

static void set_used(struct grant_pool *pool, uint32_t first, uint32_t nr)
{
	for (uint32_t i = first; i < first + nr; i++)
		pool->used[i / WORD_BITS] |= 1ull << (i % WORD_BITS);
}

int64_t grant_pool_take(struct grant_pool *pool, uint32_t nr_contiguous)
{
	uint32_t run = 0;

	if (nr_contiguous == 1)
		return take_one(pool);
	if (nr_contiguous == 0 || nr_contiguous > pool->share.nr_pages)
		return -1;
	for (uint32_t i = pool->hint * WORD_BITS; i < pool->share.nr_pages;
	     i++) {
		run = is_used(pool, i) ? 0 : run + 1;
		if (run < nr_contiguous)
			continue;
		set_used(pool, i + 1 - run, run);
		return (int64_t)i + 1 - run;
	}
	return -1;
}

void grant_pool_put(struct grant_pool *pool, uint32_t idx,
		    uint32_t nr_contiguous)
{
	assert(nr_contiguous <= pool->share.nr_pages &&
	       idx <= pool->share.nr_pages - nr_contiguous);
	for (uint32_t i = idx; i < idx + nr_contiguous; i++) {
		assert(is_used(pool, i));
		pool->used[i / WORD_BITS] &= ~(1ull << (i % WORD_BITS));
	}
	if (nr_contiguous && idx / WORD_BITS < pool->hint)
		pool->hint = idx / WORD_BITS;
}
