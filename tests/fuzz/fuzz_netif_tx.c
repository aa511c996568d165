/* SPDX-License-Identifier: MIT */
/*
 * fuzz_netif_tx.c - any bytes as a frontend's transmit slots: the parser must
 * answer, and whatever it accepts must lie within its pages and add up.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "netback/parse.h"
#include "tests/fuzz/fuzz.h"

static void check_packet(const struct tx_packet *packet)
{
	uint32_t sum = 0;

	if (packet->kind != TX_FRAME) {
		assert(!packet->nr_pieces && !packet->size_bytes);
		return;
	}
	assert(packet->nr_pieces && packet->nr_pieces <= TX_REQS_MAX);
	for (unsigned i = 0; i < packet->nr_pieces; i++) {
		const struct tx_piece *p = &packet->pieces[i];

		assert(p->size_bytes);
		assert(p->offset + p->size_bytes <= PV_PAGE_SIZE);
		sum += p->size_bytes;
	}
	assert(sum == packet->size_bytes && sum >= PACKET_ETH_BYTES);
}

/* The short way through one slot must lead to the same packet. */
static void check_plain(const uint8_t *slot)
{
	struct tx_chain chain = { 0 };
	struct netif_tx_request req;
	struct tx_packet packet;
	bool whole =
		tx_chain_add(&chain, slot) == 0 && !tx_parse(&chain, &packet);

	memcpy(&req, slot, sizeof(req));
	assert(tx_is_plain(&req) == whole);
	if (whole)
		assert(packet.nr_pieces == 1 &&
		       packet.pieces[0].gref == req.gref &&
		       packet.pieces[0].offset == req.offset &&
		       packet.pieces[0].size_bytes == req.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tx_chain chain = { 0 };
	struct tx_packet packet;

	while (size >= TX_SLOT_BYTES) {
		int more = tx_chain_add(&chain, data);

		check_plain(data);
		data += TX_SLOT_BYTES;
		size -= TX_SLOT_BYTES;
		if (more < 0)
			break;
		if (more)
			continue;
		if (!tx_parse(&chain, &packet))
			check_packet(&packet);
		for (unsigned i = 0; i < tx_chain_nr_slots(&chain); i++)
			assert(tx_chain_answer(&chain, i, -EINVAL).status);
		memset(&chain, 0, sizeof(chain));
	}
	return 0;
}
