/* SPDX-License-Identifier: MIT */
/* af_xdp_rings.c - rings and frames of an AF_XDP socket; see af_xdp.h. */
#include "netback/nic/af_xdp.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define GIVEN (1ull << 32)
/* Makes a slot of tx one that the kernel skips. */
#define OPTION_NONE_KNOWS (1u << 31)

static uint32_t load(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static void note(struct xsk *xsk, uint32_t frame, uint64_t value)
{
	__atomic_store_n(&xsk->record[frame], value, __ATOMIC_RELEASE);
}

static uint64_t *address_slot(const struct xsk_ring *ring, uint32_t idx)
{
	return (uint64_t *)ring->slots + (idx & (XSK_HALF - 1));
}

static struct xdp_desc *desc_slot(const struct xsk_ring *ring, uint32_t idx)
{
	return (struct xdp_desc *)ring->slots + (idx & (XSK_HALF - 1));
}

static uint32_t frame_of(uint64_t address)
{
	return (uint32_t)(address / XSK_FRAME_BYTES) & (XSK_FRAMES - 1);
}

/* ---- life -------------------------------------------------------------- */

static int map_ring(int fd, const struct xdp_ring_offset *at, size_t slot_bytes,
		    off_t where, struct xsk_ring *ring)
{
	uint8_t *map;

	ring->map_bytes = at->desc + XSK_HALF * slot_bytes;
	map = mmap(NULL, ring->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, where);
	if (map == MAP_FAILED)
		return -errno;
	ring->map = map;
	ring->producer = (uint32_t *)(void *)(map + at->producer);
	ring->consumer = (uint32_t *)(void *)(map + at->consumer);
	ring->flags = (uint32_t *)(void *)(map + at->flags);
	ring->slots = map + at->desc;
	return 0;
}

static int map_all(struct xsk *xsk, int memory_fd)
{
	struct xdp_mmap_offsets at;
	struct xdp_options options;
	socklen_t size = sizeof(at), options_size = sizeof(options);
	void *memory;
	int err;

	if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) < 0 ||
	    getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &options, &options_size) <
		    0)
		return -errno;
	xsk->zero_copy = options.flags & XDP_OPTIONS_ZEROCOPY;
	if (size != sizeof(at))
		return -EPROTONOSUPPORT;
	memory = mmap(NULL, XSK_MEMORY_BYTES, PROT_READ | PROT_WRITE,
		      MAP_SHARED, memory_fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	xsk->record = memory;
	xsk->memory = (uint8_t *)memory + XSK_RECORD_BYTES;
	err = map_ring(xsk->fd, &at.fr, sizeof(uint64_t),
		       (off_t)XDP_UMEM_PGOFF_FILL_RING, &xsk->fill);
	if (!err)
		err = map_ring(xsk->fd, &at.cr, sizeof(uint64_t),
			       (off_t)XDP_UMEM_PGOFF_COMPLETION_RING,
			       &xsk->completion);
	if (!err)
		err = map_ring(xsk->fd, &at.rx, sizeof(struct xdp_desc),
			       XDP_PGOFF_RX_RING, &xsk->rx);
	if (!err)
		err = map_ring(xsk->fd, &at.tx, sizeof(struct xdp_desc),
			       XDP_PGOFF_TX_RING, &xsk->tx);
	return err;
}

/* Was it given to the kernel by way of a slot that was published? */
static bool was_given(const struct xsk *xsk, uint32_t frame, uint32_t producer)
{
	uint64_t value = xsk->record[frame];

	return value & GIVEN && (int32_t)(producer - (uint32_t)value) > 0;
}

/*
 * Which of a direction's frames are ours: not with the kernel, and not waiting
 * in the ring in which they come back. What is noted of a slot that was never
 * published must go before that slot is.
 */
static uint32_t find_ours(struct xsk *xsk, uint32_t first,
			  uint32_t given_producer, const bool *waiting,
			  uint32_t *ret)
{
	uint32_t nr = 0;

	for (uint32_t f = first; f < first + XSK_HALF; f++) {
		if (waiting[f] || was_given(xsk, f, given_producer))
			continue;
		note(xsk, f, 0);
		ret[nr++] = f;
	}
	return nr;
}

static void attach(struct xsk *xsk)
{
	bool waiting[XSK_FRAMES] = { false };
	uint32_t end = load(xsk->rx.producer), nr;

	xsk->rx.idx = load(xsk->rx.consumer);
	for (uint32_t i = xsk->rx.idx, n = 0; i != end && n < XSK_HALF;
	     i++, n++)
		waiting[frame_of(desc_slot(&xsk->rx, i)->addr)] = true;
	end = load(xsk->completion.producer);
	xsk->completion.idx = load(xsk->completion.consumer);
	for (uint32_t i = xsk->completion.idx, n = 0; i != end && n < XSK_HALF;
	     i++, n++)
		waiting[frame_of(*address_slot(&xsk->completion, i))] = true;
	xsk->fill.idx = load(xsk->fill.producer);
	xsk->tx.idx = load(xsk->tx.producer);
	nr = find_ours(xsk, 0, xsk->fill.idx, waiting, xsk->held);
	xsk->nr_held = nr;
	nr = find_ours(xsk, XSK_HALF, xsk->tx.idx, waiting, xsk->free);
	xsk->nr_free = nr;
	/* What it had sent and not told of, and what it had received. */
	(void)xsk_kick(xsk);
	xsk_refill(xsk);
}

int xsk_open(struct xsk *xsk, const int fds[XSK_NR_FDS])
{
	int err;

	memset(xsk, 0, sizeof(*xsk));
	xsk->fd = fds[XSK_SOCKET];
	err = map_all(xsk, fds[XSK_MEMORY]);
	if (err) {
		xsk_close(xsk);
		return err;
	}
	attach(xsk);
	return 0;
}

void xsk_close(struct xsk *xsk)
{
	struct xsk_ring *const rings[] = { &xsk->fill, &xsk->rx, &xsk->tx,
					   &xsk->completion };

	for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
		if (rings[i]->map)
			munmap(rings[i]->map, rings[i]->map_bytes);
	if (xsk->record)
		munmap(xsk->record, XSK_MEMORY_BYTES);
}

/* ---- receiving --------------------------------------------------------- */

void xsk_refill(struct xsk *xsk)
{
	struct xsk_ring *fill = &xsk->fill;

	if (!xsk->nr_held)
		return;
	/* There are as many slots as frames: it cannot be full. */
	while (xsk->nr_held) {
		uint32_t frame = xsk->held[--xsk->nr_held];

		note(xsk, frame, GIVEN | fill->idx);
		*address_slot(fill, fill->idx++) =
			(uint64_t)frame * XSK_FRAME_BYTES;
	}
	store(fill->producer, fill->idx);
	if (load(fill->flags) & XDP_RING_NEED_WAKEUP)
		(void)recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

const uint8_t *xsk_receive(struct xsk *xsk, uint32_t *ret_bytes)
{
	struct xsk_ring *rx = &xsk->rx;
	struct xdp_desc desc;

	if (rx->idx == load(rx->producer))
		return NULL;
	desc = *desc_slot(rx, rx->idx);
	note(xsk, frame_of(desc.addr), 0);
	xsk->held[xsk->nr_held++] = frame_of(desc.addr);
	store(rx->consumer, ++rx->idx);
	*ret_bytes = 0;
	/* The ring is memory that a predecessor could write. */
	if (desc.len <= XSK_FRAME_BYTES &&
	    desc.addr <= (uint64_t)XSK_FRAMES * XSK_FRAME_BYTES - desc.len)
		*ret_bytes = desc.len;
	return xsk->memory + (*ret_bytes ? desc.addr : 0);
}

/* ---- sending ----------------------------------------------------------- */

static void reap(struct xsk *xsk)
{
	struct xsk_ring *done = &xsk->completion;
	uint32_t end = load(done->producer);

	while (done->idx != end && xsk->nr_free < XSK_HALF) {
		uint32_t frame = frame_of(*address_slot(done, done->idx++));

		note(xsk, frame, 0);
		xsk->free[xsk->nr_free++] = frame;
	}
	store(done->consumer, done->idx);
}

static bool has_room(const struct xsk *xsk, uint32_t nr)
{
	uint32_t under_way = xsk->tx.idx - load(xsk->tx.consumer);

	return xsk->nr_free >= nr && XSK_HALF - under_way >= nr;
}

bool xsk_has_room(struct xsk *xsk, uint32_t nr)
{
	if (has_room(xsk, nr))
		return true;
	reap(xsk);
	return has_room(xsk, nr);
}

uint8_t *xsk_send_begin(struct xsk *xsk)
{
	return xsk->memory +
	       (size_t)xsk->free[xsk->nr_free - 1] * XSK_FRAME_BYTES;
}

void xsk_send_end(struct xsk *xsk, uint32_t size_bytes, bool last)
{
	struct xsk_ring *tx = &xsk->tx;
	uint32_t frame = xsk->free[--xsk->nr_free];

	note(xsk, frame, GIVEN | tx->idx);
	xsk->last[tx->idx & (XSK_HALF - 1)] = last;
	*desc_slot(tx, tx->idx++) = (struct xdp_desc){
		.addr = (uint64_t)frame * XSK_FRAME_BYTES,
		.len = size_bytes,
	};
}

/*
 * The interface is down, the kernel has not looked at what is in the ring.
 * Slots cannot be taken back, but be made such that it skips them.
 */
static unsigned refuse(struct xsk *xsk)
{
	struct xsk_ring *tx = &xsk->tx;
	unsigned nr = 0;

	for (uint32_t i = load(tx->consumer);
	     i != tx->idx && xsk->nr_free < XSK_HALF; i++) {
		struct xdp_desc *desc = desc_slot(tx, i);

		if (desc->options)
			continue;
		desc->options = OPTION_NONE_KNOWS;
		note(xsk, frame_of(desc->addr), 0);
		xsk->free[xsk->nr_free++] = frame_of(desc->addr);
		nr += xsk->last[i & (XSK_HALF - 1)];
	}
	return nr;
}

/*
 * A call sends up to 32 frames, or skips one slot that was made invalid. A
 * driver that sends by itself only wants to be told.
 */
unsigned xsk_kick(struct xsk *xsk)
{
	struct xsk_ring *tx = &xsk->tx;
	unsigned nr_refused = 0;

	store(tx->producer, tx->idx);
	for (unsigned i = 0; i < XSK_HALF; i++) {
		uint32_t before = load(tx->consumer);

		if (before == tx->idx ||
		    !(load(tx->flags) & XDP_RING_NEED_WAKEUP))
			break;
		if (sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0) {
			if (errno == ENETDOWN || errno == ENXIO)
				nr_refused = refuse(xsk);
			if (load(tx->consumer) == before)
				break;
		}
		if (xsk->zero_copy)
			break;
	}
	reap(xsk);
	return nr_refused;
}
