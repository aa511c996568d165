/* SPDX-License-Identifier: MIT */
/*
 * parse.h - what a frontend's transmit requests mean.
 *
 * Pure and total: slots go in one by one as private copies, a packet whose
 * every number has been checked comes out. Nothing here touches the ring, a
 * grant or a page. Two ways to be wrong: a chain that no frontend can mean
 * (endless, too long) is the peer's fault and ends the device; a chain that is
 * well formed but describes a bad packet is answered with an error.
 *
 * Called by queue.c. Thread: the data thread.
 * Source: xen/include/public/io/netif.h, "Guest transmit".
 */
#ifndef NETBACK_PARSE_H
#define NETBACK_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/netif.h"
#include "util/annotate.h"
#include "util/packet.h"

#define TX_SLOT_BYTES sizeof(struct netif_tx_request)
#define TX_REQS_MAX   XEN_NETIF_NR_SLOTS_MIN
#define TX_EXTRAS_MAX (XEN_NETIF_EXTRA_TYPE_MAX - 1) /* each type once */
#define TX_CHAIN_MAX  (TX_REQS_MAX + TX_EXTRAS_MAX)

/* The slots of one packet as they came. Zero-initialise. */
struct tx_chain {
	struct netif_tx_request reqs[TX_REQS_MAX];
	unsigned nr_reqs;
	struct netif_extra_info extras[TX_EXTRAS_MAX];
	unsigned nr_extras;
	bool in_extras; /* the next slot is an extra */
};

/*
 * Add the next slot (TX_SLOT_BYTES, a private copy).
 * Returns 1 when the packet goes on in another slot, 0 when it is complete,
 * -EPROTO when it goes on for longer than any packet may.
 */
int tx_chain_add(struct tx_chain *chain, const void *slot) PV_MUST_CHECK;

static inline unsigned tx_chain_nr_slots(const struct tx_chain *chain)
{
	return chain->nr_reqs + chain->nr_extras;
}

/*
 * Slot i's answer when the packet ended with err (0 or -errno): the slots of
 * extras are answered with NETIF_RSP_NULL.
 */
struct netif_tx_response tx_chain_answer(const struct tx_chain *chain,
					 unsigned i, int err);

/* The one place where an errno becomes a status. */
int16_t netif_status(int err);

struct tx_piece {
	grant_ref_t gref;
	uint16_t offset, size_bytes; /* within the page; size is not 0 */
};

/* A packet is a frame, or an order that comes without one. */
enum tx_kind {
	TX_FRAME,
	TX_MCAST_ADD,
	TX_MCAST_DEL,
};

struct tx_packet {
	enum tx_kind kind;
	uint8_t mcast[PACKET_MAC_BYTES]; /* the order's address */
	/* a frame's: */
	struct tx_piece pieces[TX_REQS_MAX];
	unsigned nr_pieces;
	uint32_t size_bytes; /* the sum of the pieces; >= PACKET_ETH_BYTES */
	struct packet_meta meta;
};

/*
 * Check a complete chain. -EINVAL: sizes that contradict each other, a piece
 * past its page, a frame without an Ethernet header, unknown flags, bad
 * segmentation, an order with anything beside it; -EOPNOTSUPP: an extra that
 * was not offered.
 */
int tx_parse(const struct tx_chain *chain, struct tx_packet *ret) PV_MUST_CHECK;

/*
 * The short way, for what most packets are: a request alone, all of whose bytes
 * lie in its page. True: tx_parse would make of it a frame of one piece, with
 * these very numbers and no other flags than those for a checksum.
 */
static inline bool tx_is_plain(const struct netif_tx_request *req)
{
	return !(req->flags & ~(NETTXF_csum_blank | NETTXF_data_validated)) &&
	       req->size >= PACKET_ETH_BYTES && req->offset <= PV_PAGE_SIZE &&
	       req->size <= PV_PAGE_SIZE - req->offset;
}

/* Stored member by member: as a whole, it would be read back too soon. */
static inline void tx_plain_meta(const struct netif_tx_request *req,
				 struct packet_meta *ret)
{
	ret->csum_blank = req->flags & NETTXF_csum_blank;
	ret->data_validated = req->flags & NETTXF_data_validated;
	ret->gso = PACKET_GSO_NONE;
	ret->gso_size = 0;
}

#endif /* NETBACK_PARSE_H */
