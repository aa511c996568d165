/* SPDX-License-Identifier: MIT */
/* bucket.c - token buckets. See bucket.h. */
#include "util/bucket.h"

#include "util/clock.h"

#define SCALE ((__int128)NS_PER_S)

static void clamp(struct bucket *b)
{
	__int128 most = (__int128)b->burst * SCALE;

	if (b->level > most)
		b->level = most;
}

/* One nanosecond brings rate billionths of a token. */
static void refill(struct bucket *b, uint64_t now_ns)
{
	if (now_ns <= b->at_ns)
		return;
	b->level += (__int128)(now_ns - b->at_ns) * b->rate;
	b->at_ns = now_ns;
	clamp(b);
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
		uint64_t now_ns)
{
	if (b->rate) {
		refill(b, now_ns);
	} else {
		b->level = 0;
		b->at_ns = now_ns;
	}
	b->rate = rate;
	b->burst = burst;
	clamp(b);
}

uint64_t bucket_take(struct bucket *b, uint64_t amount, uint64_t now_ns)
{
	__int128 wait_ns;

	if (!b->rate)
		return now_ns;
	refill(b, now_ns);
	b->level -= (__int128)amount * SCALE;
	if (b->level >= 0)
		return now_ns;
	wait_ns = (-b->level + b->rate - 1) / b->rate;
	if (wait_ns > (__int128)(UINT64_MAX - b->at_ns))
		return UINT64_MAX;
	return b->at_ns + (uint64_t)wait_ns;
}

void bucket_give_back(struct bucket *b, uint64_t amount)
{
	if (!b->rate)
		return;
	b->level += (__int128)amount * SCALE;
	clamp(b);
}

uint64_t bucket_available(struct bucket *b, uint64_t now_ns)
{
	if (!b->rate)
		return UINT64_MAX;
	refill(b, now_ns);
	return b->level <= 0 ? 0 : (uint64_t)(b->level / SCALE);
}
