/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ring_back.c - any sequence of producer indices from a frontend: the back
 * half must never see more requests than the ring holds, never write a response
 * that answers nothing, and stay broken once it is.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ring/ring.h"
#include "tests/fuzz/fuzz.h"

#define SLOT_BYTES 112u

static _Alignas(4096) uint8_t page[4096];

static void serve(struct ring_back *ring, unsigned consume, unsigned answer)
{
	uint8_t slot[SLOT_BYTES];
	int n = ring_back_pending(ring);

	assert(n == -EPROTO || (n >= 0 && n <= (int)ring->nr_slots));
	assert(!ring->broken || n == -EPROTO);
	for (; n > 0 && consume; n--, consume--)
		ring_back_get(ring, slot, sizeof(slot));
	memset(slot, 0, sizeof(slot));
	for (; answer && ring->rsp_prod != ring->req_cons; answer--)
		ring_back_put(ring, slot, 16);
	assert(ring->req_cons - ring->rsp_prod <= ring->nr_slots);
	(void)!ring_back_push(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ring_header *h = (struct ring_header *)page;
	struct ring_back ring;

	memset(page, 0, sizeof(page));
	ring_back_init(&ring, (struct ring_header PV_SHARED *)h, sizeof(page),
		       SLOT_BYTES);
	for (; size >= 10; data += 10, size -= 10) {
		memcpy(&h->req_prod, data, sizeof(h->req_prod));
		memcpy(&h->rsp_event, data + 4, sizeof(h->rsp_event));
		serve(&ring, data[8], data[9]);
		if (ring_back_arm(&ring) < 0)
			assert(ring.broken);
	}
	return 0;
}
