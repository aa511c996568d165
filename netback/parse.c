/* SPDX-License-Identifier: MIT */
/* parse.c - transmit chains; see parse.h for who calls this and why. */
#include "netback/parse.h"

#include <errno.h>
#include <string.h>

#define TX_FLAGS                                                               \
	(NETTXF_csum_blank | NETTXF_data_validated | NETTXF_more_data |        \
	 NETTXF_extra_info)

int tx_chain_add(struct tx_chain *chain, const void *slot)
{
	const struct netif_tx_request *req;

	if (chain->in_extras) {
		struct netif_extra_info *extra;

		if (chain->nr_extras == TX_EXTRAS_MAX)
			return -EPROTO;
		extra = &chain->extras[chain->nr_extras++];
		memcpy(extra, slot, sizeof(*extra));
		chain->in_extras = extra->flags & XEN_NETIF_EXTRA_FLAG_MORE;
	} else {
		if (chain->nr_reqs == TX_REQS_MAX)
			return -EPROTO;
		memcpy(&chain->reqs[chain->nr_reqs++], slot, TX_SLOT_BYTES);
		/* Extras follow the first request only. */
		if (chain->nr_reqs == 1)
			chain->in_extras =
				chain->reqs[0].flags & NETTXF_extra_info;
	}
	if (chain->in_extras)
		return 1;
	req = &chain->reqs[chain->nr_reqs - 1];
	return req->flags & NETTXF_more_data ? 1 : 0;
}

int16_t netif_status(int err)
{
	switch (-err) {
	case 0: return NETIF_RSP_OKAY;
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM: return NETIF_RSP_DROPPED;
	default: return NETIF_RSP_ERROR;
	}
}

struct netif_tx_response tx_chain_answer(const struct tx_chain *chain,
					 unsigned i, int err)
{
	if (i > 0 && i <= chain->nr_extras)
		return (struct netif_tx_response){ .status = NETIF_RSP_NULL };
	if (i > 0)
		i -= chain->nr_extras;
	return (struct netif_tx_response){
		.id = chain->reqs[i].id,
		.status = netif_status(err),
	};
}

static int parse_gso(const struct netif_extra_info *extra,
		     struct packet_meta *meta)
{
	if (meta->gso != PACKET_GSO_NONE || extra->u.gso.features ||
	    !extra->u.gso.size)
		return -EINVAL;
	switch (extra->u.gso.type) {
	case XEN_NETIF_GSO_TYPE_TCPV4: meta->gso = PACKET_GSO_TCPV4; break;
	case XEN_NETIF_GSO_TYPE_TCPV6: meta->gso = PACKET_GSO_TCPV6; break;
	default: return -EINVAL;
	}
	meta->gso_size = extra->u.gso.size;
	return 0;
}

static int parse_extras(const struct tx_chain *chain, struct packet_meta *meta)
{
	for (unsigned i = 0; i < chain->nr_extras; i++) {
		const struct netif_extra_info *extra = &chain->extras[i];
		int err;

		if (extra->flags & ~XEN_NETIF_EXTRA_FLAG_MORE)
			return -EINVAL;
		switch (extra->type) {
		case XEN_NETIF_EXTRA_TYPE_GSO:
			err = parse_gso(extra, meta);
			if (err)
				return err;
			break;
		case XEN_NETIF_EXTRA_TYPE_HASH:
			break; /* a hint that we have no use for */
		case XEN_NETIF_EXTRA_TYPE_XDP: return -EOPNOTSUPP;
		default: return -EINVAL;
		}
	}
	return 0;
}

static int add_piece(struct tx_packet *packet,
		     const struct netif_tx_request *req, uint32_t size_bytes)
{
	if (req->offset > PV_PAGE_SIZE ||
	    size_bytes > PV_PAGE_SIZE - req->offset)
		return -EINVAL;
	if (size_bytes)
		packet->pieces[packet->nr_pieces++] = (struct tx_piece){
			.gref = req->gref,
			.offset = req->offset,
			.size_bytes = (uint16_t)size_bytes,
		};
	return 0;
}

/* An order is one request, whose data nobody looks at, and its one extra. */
static bool is_order(const struct tx_chain *chain)
{
	return chain->nr_reqs == 1 && chain->nr_extras == 1 &&
	       chain->reqs[0].flags == NETTXF_extra_info &&
	       (chain->extras[0].type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD ||
		chain->extras[0].type == XEN_NETIF_EXTRA_TYPE_MCAST_DEL);
}

static int parse_order(const struct netif_extra_info *extra,
		       struct tx_packet *ret)
{
	struct tx_packet packet = { 0 };

	/* Another flag: it says that it is not the only extra. */
	if (extra->flags)
		return -EINVAL;
	packet.kind = extra->type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD
			      ? TX_MCAST_ADD
			      : TX_MCAST_DEL;
	memcpy(packet.mcast, extra->u.mcast.addr, sizeof(packet.mcast));
	*ret = packet;
	return 0;
}

int tx_parse(const struct tx_chain *chain, struct tx_packet *ret)
{
	struct tx_packet packet = { 0 };
	const struct netif_tx_request *first = &chain->reqs[0];
	uint32_t rest = 0;
	int err;

	if (!chain->nr_reqs)
		return -EINVAL;
	if (is_order(chain))
		return parse_order(&chain->extras[0], ret);
	for (unsigned i = 0; i < chain->nr_reqs; i++) {
		const struct netif_tx_request *req = &chain->reqs[i];

		if (req->flags & ~TX_FLAGS ||
		    (i > 0 && req->flags & NETTXF_extra_info))
			return -EINVAL;
		if (i > 0)
			rest += req->size;
	}
	/* The first request's size is the packet's: its own piece is what the
	 * others leave. */
	if (first->size < PACKET_ETH_BYTES || rest > first->size)
		return -EINVAL;
	packet.size_bytes = first->size;
	err = add_piece(&packet, first, first->size - rest);
	for (unsigned i = 1; !err && i < chain->nr_reqs; i++)
		err = add_piece(&packet, &chain->reqs[i], chain->reqs[i].size);
	if (err)
		return err;
	packet.meta.csum_blank = first->flags & NETTXF_csum_blank;
	packet.meta.data_validated = first->flags & NETTXF_data_validated;
	err = parse_extras(chain, &packet.meta);
	if (err)
		return err;
	*ret = packet;
	return 0;
}
