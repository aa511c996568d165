/* SPDX-License-Identifier: MIT */
/*
 * lite_entry.h - a grant entry as one atomic word.
 *
 * Both sides change an entry at the same time: the granting side withdraws the
 * permission, the mapping side sets and clears the in-use bits. An entry is
 * only ever read or written as a whole, so a copy is always consistent. The
 * memory is the peer's as well: nothing read here is trusted.
 */
#ifndef PLATFORM_LITE_ENTRY_H
#define PLATFORM_LITE_ENTRY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "abi/grant.h"

typedef _Atomic uint64_t lite_entry_t;

union lite_entry_word {
	struct grant_entry_v1 entry;
	uint64_t word;
};

#define LITE_IN_USE (GTF_reading | GTF_writing)

static inline uint64_t lite_entry_word(uint16_t flags, domid_t domid,
				       uint32_t frame)
{
	union lite_entry_word u = {
		.entry = { .flags = flags, .domid = domid, .frame = frame }
	};

	return u.word;
}

static inline struct grant_entry_v1 lite_entry_of(uint64_t word)
{
	union lite_entry_word u = { .word = word };

	return u.entry;
}

/* Pairs with the exchange in lite_entry_use and with lite_entry_revoke. */
static inline struct grant_entry_v1 lite_entry_load(lite_entry_t *e)
{
	return lite_entry_of(atomic_load_explicit(e, memory_order_acquire));
}

/* Grant: pairs with lite_entry_load on the mapping side. */
static inline void lite_entry_grant(lite_entry_t *e, uint16_t flags,
				    domid_t domid, uint32_t frame)
{
	atomic_store_explicit(e, lite_entry_word(flags, domid, frame),
			      memory_order_release);
}

/*
 * Withdraw the permission, leaving the in-use bits; returns those. From here on
 * no lite_entry_use succeeds, so a clear answer stays clear (pairs with it).
 */
static inline uint16_t lite_entry_revoke(lite_entry_t *e)
{
	uint64_t old = atomic_fetch_and_explicit(
		e, lite_entry_word(LITE_IN_USE, 0, 0), memory_order_acq_rel);

	return lite_entry_of(old).flags & LITE_IN_USE;
}

/* Set in-use bits if the entry is still *seen; refreshes *seen if not. */
static inline bool lite_entry_use(lite_entry_t *e, struct grant_entry_v1 *seen,
				  uint16_t bits)
{
	uint64_t old = lite_entry_word(seen->flags, seen->domid, seen->frame);
	uint64_t new =
		lite_entry_word(seen->flags | bits, seen->domid, seen->frame);

	/* Pairs with lite_entry_revoke: one of the two comes first. */
	if (atomic_compare_exchange_strong_explicit(
		    e, &old, new, memory_order_acq_rel, memory_order_acquire))
		return true;
	*seen = lite_entry_of(old);
	return false;
}

/* Our last access comes before the bits go: pairs with lite_entry_load. */
static inline void lite_entry_unuse(lite_entry_t *e, uint16_t bits)
{
	atomic_fetch_and_explicit(e, ~lite_entry_word(bits, 0, 0),
				  memory_order_release);
}

#endif /* PLATFORM_LITE_ENTRY_H */
