/* SPDX-License-Identifier: MIT */
/*
 * slots.h - the copies in and out of slots, inline: the end of ring.h.
 *
 * They run once per entry, and with a size known at compile time the copy is a
 * few moves: measured about a seventh faster than calls (bench/ring.c).
 */
#ifndef RING_SLOTS_H
#define RING_SLOTS_H

#include <assert.h>
#include <string.h>

/* The peer's memory as ours to access: nowhere else but in ring/. */
static inline struct ring_header *
ring_header(struct ring_header PV_SHARED *shared)
{
	return (struct ring_header *)(uintptr_t)shared;
}

static inline unsigned char *ring_slot(struct ring_header PV_SHARED *shared,
				       uint32_t nr_slots, uint32_t slot_bytes,
				       uint32_t idx)
{
	unsigned char *slots = (unsigned char *)(ring_header(shared) + 1);

	return slots + (size_t)(idx & (nr_slots - 1)) * slot_bytes;
}

/*
 * The compiler may not read the slot again in place of the copy, nor move the
 * copy: whatever the peer writes from here on has no effect on it.
 */
static inline void ring_copy(void *dst, const void *src, size_t size_bytes)
{
	memcpy(dst, src, size_bytes);
	__asm__ volatile("" : : "r"(dst) : "memory");
}

static inline void ring_front_put(struct ring_front *r, const void *req,
				  size_t size_bytes)
{
	assert(ring_front_free(r) > 0 && size_bytes <= r->slot_bytes);
	ring_copy(ring_slot(r->shared, r->nr_slots, r->slot_bytes, r->req_prod),
		  req, size_bytes);
	r->req_prod++;
}

static inline void ring_front_get(struct ring_front *r, void *rsp,
				  size_t size_bytes)
{
	assert(r->rsp_cons != r->rsp_prod && size_bytes <= r->slot_bytes);
	ring_copy(rsp,
		  ring_slot(r->shared, r->nr_slots, r->slot_bytes, r->rsp_cons),
		  size_bytes);
	r->rsp_cons++;
}

static inline void ring_back_get(struct ring_back *r, void *req,
				 size_t size_bytes)
{
	assert(r->req_cons != r->req_prod && size_bytes <= r->slot_bytes);
	ring_copy(req,
		  ring_slot(r->shared, r->nr_slots, r->slot_bytes, r->req_cons),
		  size_bytes);
	r->req_cons++;
}

/* How many of nr slots from idx on there are before the ring's end. */
static inline uint32_t ring_nr_before_end(uint32_t nr_slots, uint32_t idx,
					  uint32_t nr)
{
	uint32_t run = nr_slots - (idx & (nr_slots - 1));

	return run < nr ? run : nr;
}

static inline void ring_back_get_many(struct ring_back *r, void *reqs,
				      uint32_t nr)
{
	unsigned char *to = reqs;

	assert(nr <= r->req_prod - r->req_cons);
	while (nr) {
		uint32_t n = ring_nr_before_end(r->nr_slots, r->req_cons, nr);
		size_t size_bytes = (size_t)n * r->slot_bytes;

		ring_copy(to,
			  ring_slot(r->shared, r->nr_slots, r->slot_bytes,
				    r->req_cons),
			  size_bytes);
		r->req_cons += n;
		to += size_bytes;
		nr -= n;
	}
}

static inline void ring_back_put(struct ring_back *r, const void *rsp,
				 size_t size_bytes)
{
	assert(r->rsp_prod != r->req_cons && size_bytes <= r->slot_bytes);
	ring_copy(ring_slot(r->shared, r->nr_slots, r->slot_bytes, r->rsp_prod),
		  rsp, size_bytes);
	r->rsp_prod++;
}

static inline void ring_back_put_many(struct ring_back *r, const void *rsps,
				      uint32_t nr)
{
	const unsigned char *from = rsps;

	assert(nr <= r->req_cons - r->rsp_prod);
	while (nr) {
		uint32_t n = ring_nr_before_end(r->nr_slots, r->rsp_prod, nr);
		size_t size_bytes = (size_t)n * r->slot_bytes;

		ring_copy(ring_slot(r->shared, r->nr_slots, r->slot_bytes,
				    r->rsp_prod),
			  from, size_bytes);
		r->rsp_prod += n;
		from += size_bytes;
		nr -= n;
	}
}

#endif /* RING_SLOTS_H */
