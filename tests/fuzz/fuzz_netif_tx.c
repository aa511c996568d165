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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tx_chain chain = { 0 };
	struct tx_packet packet;

	while (size >= TX_SLOT_BYTES) {
		int more = tx_chain_add(&chain, data);

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
