/* SPDX-License-Identifier: MIT */
/* capture_ring.c - records out of a capture's pages; see capture_ring.h. */
#include "pvsplit/capture_ring.h"

#include <string.h>

#include "abi/grant.h"

static struct capture_header *header(const struct capture_ring *ring)
{
	return ring->pages;
}

static void take(const struct capture_ring *ring, uint32_t from, void *to,
		 uint32_t size_bytes)
{
	const char *base = (const char *)ring->pages + PV_PAGE_SIZE;
	uint32_t at = from % CAPTURE_BYTES, first = CAPTURE_BYTES - at;

	if (first > size_bytes)
		first = size_bytes;
	memcpy(to, base + at, first);
	memcpy((char *)to + first, base, size_bytes - first);
}

int capture_ring_next(struct capture_ring *ring, struct capture_record *ret,
		      uint8_t *data)
{
	/* pairs with the driver domain's store */
	uint32_t prod = __atomic_load_n(&header(ring)->prod, __ATOMIC_ACQUIRE);
	uint32_t have = prod - ring->cons, size;
	struct capture_record r;

	if (have < sizeof(r))
		return 0;
	take(ring, ring->cons, &r, sizeof(r));
	size = (r.size_bytes + CAPTURE_ALIGN - 1) & -CAPTURE_ALIGN;
	if (have > CAPTURE_BYTES || r.size_bytes > ring->snap_bytes ||
	    r.size_bytes > r.frame_bytes || size > have - sizeof(r)) {
		ring->cons = prod;
		return 0;
	}
	take(ring, ring->cons + (uint32_t)sizeof(r), data, r.size_bytes);
	ring->cons += (uint32_t)sizeof(r) + size;
	*ret = r;
	return 1;
}

void capture_ring_release(const struct capture_ring *ring)
{
	/* pairs with the driver domain's load */
	__atomic_store_n(&header(ring)->cons, ring->cons, __ATOMIC_RELEASE);
}
