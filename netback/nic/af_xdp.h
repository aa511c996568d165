/* SPDX-License-Identifier: MIT */
/*
 * af_xdp.h - an AF_XDP socket's four rings and the frames between them, for
 * af_xdp.c; made by af_xdp_acquire.c.
 *
 * Frames lie in a memfd that the monitor registered with the socket and that
 * every worker maps. Half of them receive, half send. The kernel gets a frame
 * through one ring (fill, tx) and returns it through another (rx, completion).
 * In front of the frames is a record: for each, when it was given to the
 * kernel. It is written before the ring that it speaks of, so that a successor
 * finds every frame either in a ring, in the kernel, or free.
 *
 * Thread: one. Logs: never.
 */
#ifndef NETBACK_NIC_AF_XDP_H
#define NETBACK_NIC_AF_XDP_H

#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define XSK_FRAME_BYTES	 4096u
#define XSK_ROOM_BYTES	 (XSK_FRAME_BYTES - 256u) /* behind XDP's headroom */
#define XSK_HALF	 2048u /* frames of one direction; slots of each ring */
#define XSK_FRAMES	 (2 * XSK_HALF)
#define XSK_RECORD_BYTES (XSK_FRAMES * sizeof(uint64_t))
#define XSK_MEMORY_BYTES                                                       \
	(XSK_RECORD_BYTES + (size_t)XSK_FRAMES * XSK_FRAME_BYTES)

enum xsk_fd {
	XSK_SOCKET,
	XSK_MEMORY,
	XSK_LINK, /* the program stays attached while this is open */
	XSK_NR_FDS
};

/* Indices run free. */
struct xsk_ring {
	uint32_t *producer, *consumer, *flags;
	void *slots;
	uint32_t idx; /* ours: of the next slot to be filled or emptied */
	void *map;
	size_t map_bytes;
};

struct xsk {
	int fd;
	bool zero_copy; /* the interface's driver sends by itself */
	uint8_t *memory;
	uint64_t *record; /* 0: ours, else XSK_GIVEN and the ring's index */
	struct xsk_ring fill, rx, tx, completion;
	uint32_t free[XSK_HALF]; /* to send with */
	bool last[XSK_HALF];	 /* of tx's slots: the end of what was sent */
	uint32_t nr_free;
	uint32_t held[XSK_HALF]; /* received, not given back */
	uint32_t nr_held;
};

/* Map everything and go on where a predecessor stopped. fds stay the caller's.
 */
int xsk_open(struct xsk *xsk, const int fds[XSK_NR_FDS]) PV_MUST_CHECK;
void xsk_close(struct xsk *xsk); /* one that was zeroed is fine */

/* Give back all that was received. */
void xsk_refill(struct xsk *xsk);
/* The next frame received, or NULL; it is ours until xsk_refill. */
const uint8_t *xsk_receive(struct xsk *xsk, uint32_t *ret_bytes);

/* Can so many frames be sent now? Looks for what the kernel is done with. */
bool xsk_has_room(struct xsk *xsk, uint32_t nr);
/* Memory for a frame to be sent: XSK_FRAME_BYTES. Needs xsk_has_room. */
uint8_t *xsk_send_begin(struct xsk *xsk);
/*
 * That frame is complete; the kernel hears of it with the next xsk_kick. last:
 * it is one that xsk_kick would count, and not a segment before another.
 */
void xsk_send_end(struct xsk *xsk, uint32_t size_bytes, bool last);
/* Is there anything to be told with xsk_kick? */
static inline bool xsk_has_news(const struct xsk *xsk)
{
	return *xsk->tx.producer != xsk->tx.idx;
}

/* Returns how many of them are lost: the interface is down. */
unsigned xsk_kick(struct xsk *xsk);

#endif /* NETBACK_NIC_AF_XDP_H */
