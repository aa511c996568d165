/* SPDX-License-Identifier: MIT */
/*
 * bucket.h - a token bucket: so many per second, so many saved up while idle.
 *
 * What is taken is taken at once, also when it is not there: the level goes
 * below zero and the taker is told from when on it is his. So takers get theirs
 * in the order in which they came, whatever they want, and one that wants more
 * than the bucket ever holds waits longer instead of for ever.
 *
 * All arithmetic is in whole billionths of a token: nothing is rounded, so that
 * over any time the rate is exact. Time is the caller's, in nanoseconds, and
 * must not go back; if it does, it stands still.
 *
 * Thread: the owner's. Pure. Logs: never.
 */
#ifndef UTIL_BUCKET_H
#define UTIL_BUCKET_H

#include <stdint.h>

#define BUCKET_RATE_MAX	 (UINT64_C(1) << 50) /* tokens a second */
#define BUCKET_BURST_MAX (UINT64_C(1) << 56) /* tokens */

/* A zeroed one has no limit. */
struct bucket {
	uint64_t rate; /* tokens a second; 0: no limit */
	uint64_t burst;
	__int128 level; /* billionths of a token, at most burst */
	uint64_t at_ns; /* when the level was that */
};

/*
 * Change rate and burst (within the bounds above). What is owed is owed still,
 * what was saved is cut to the new burst; a bucket that had no limit begins
 * empty.
 */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
		uint64_t now_ns);
/*
 * Take amount (at most BUCKET_BURST_MAX). Returns from when on it is the
 * taker's: now_ns when there was enough.
 */
uint64_t bucket_take(struct bucket *b, uint64_t amount, uint64_t now_ns);
/* Some of what was taken is not needed after all. */
void bucket_give_back(struct bucket *b, uint64_t amount);
/* Whole tokens that could be taken without waiting. */
uint64_t bucket_available(struct bucket *b, uint64_t now_ns);

#endif /* UTIL_BUCKET_H */
