/* SPDX-License-Identifier: MIT */
/*
 * ring.h - the shared header at the start of every request ring.
 *
 * The four indices run freely over 2^32 and are masked to find a slot. The
 * slots follow the header; each holds a request or the response that replaced
 * it. Slot count: the largest power of two that fits behind the header.
 *
 * Source: xen/include/public/io/ring.h, DEFINE_RING_TYPES.
 */
#ifndef ABI_RING_H
#define ABI_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring_header {
	uint32_t req_prod;  /* frontend: one past the last request shown */
	uint32_t req_event; /* backend: notify me when req_prod reaches this */
	uint32_t rsp_prod;  /* backend: one past the last response shown */
	uint32_t rsp_event; /* frontend: notify me when rsp_prod reaches this */
	uint8_t pad[48];    /* zero; never read */
};

_Static_assert(sizeof(struct ring_header) == 64, "ring header size");
_Static_assert(offsetof(struct ring_header, req_prod) == 0, "req_prod");
_Static_assert(offsetof(struct ring_header, req_event) == 4, "req_event");
_Static_assert(offsetof(struct ring_header, rsp_prod) == 8, "rsp_prod");
_Static_assert(offsetof(struct ring_header, rsp_event) == 12, "rsp_event");

/* A fresh ring: producers at 0, both event indices ask for the first entry. */
#define RING_INITIAL_PROD  0u
#define RING_INITIAL_EVENT 1u

#endif /* ABI_RING_H */
