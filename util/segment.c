/* SPDX-License-Identifier: MIT */
/*
 * segment.c - see segment.h. Neighbours: packet.c (where the headers are),
 * packet_csum.c. Any thread.
 */
#include "util/segment.h"

#include <string.h>

#include "util/be.h"

#define IPV4_TOTAL_AT	2
#define IPV4_ID_AT	4
#define IPV4_CSUM_AT	10
#define IPV6_PAYLOAD_AT 4
#define IPV6_LEN	40u

#define TCP_SEQ_AT   4
#define TCP_FLAGS_AT 13
#define TCP_FIN	     0x01u
#define TCP_PSH	     0x08u
#define TCP_CWR	     0x80u

void segmenter_init(struct segmenter *s, const uint8_t *head,
		    const struct packet_layout *at, uint32_t mss_bytes)
{
	*s = (struct segmenter){
		.head = head,
		.at = *at,
		.mss_bytes = mss_bytes,
		.payload_bytes = at->l4_bytes - (at->payload - at->l4),
	};
}

static void write_ipv4(uint8_t *ip, const struct packet_layout *at, uint32_t nr)
{
	uint16_t sum;

	put_be16(ip + IPV4_TOTAL_AT,
		 (uint16_t)(at->l4 - at->l3 + at->l4_bytes));
	put_be16(ip + IPV4_ID_AT, (uint16_t)(get_be16(ip + IPV4_ID_AT) + nr));
	put_be16(ip + IPV4_CSUM_AT, 0);
	sum = (uint16_t)~packet_sum_fold(packet_sum(ip, at->l4 - at->l3, 0));
	memcpy(ip + IPV4_CSUM_AT, &sum, sizeof(sum));
}

static void write_ipv6(uint8_t *ip, const struct packet_layout *at)
{
	put_be16(ip + IPV6_PAYLOAD_AT,
		 (uint16_t)(at->l4 - at->l3 - IPV6_LEN + at->l4_bytes));
}

static void write_tcp(uint8_t *tcp, uint32_t done_bytes, bool last)
{
	put_be32(tcp + TCP_SEQ_AT, get_be32(tcp + TCP_SEQ_AT) + done_bytes);
	if (done_bytes)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
	if (!last)
		tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

bool segmenter_next(struct segmenter *s, uint8_t *head, struct segment *ret)
{
	uint32_t left = s->payload_bytes - s->done_bytes;
	uint32_t n = left < s->mss_bytes ? left : s->mss_bytes;
	struct segment seg = {
		.head_bytes = s->at.payload,
		.payload_at = s->at.payload + s->done_bytes,
		.payload_bytes = n,
		.layout = s->at,
	};
	uint16_t sum;

	if (s->nr && !left)
		return false;
	seg.layout.l4_bytes = (uint32_t)(s->at.payload - s->at.l4) + n;
	memcpy(head, s->head, s->at.payload);
	if (s->at.ipv6)
		write_ipv6(head + s->at.l3, &seg.layout);
	else
		write_ipv4(head + s->at.l3, &seg.layout, s->nr);
	write_tcp(head + s->at.l4, s->done_bytes, n == left);
	sum = packet_pseudo_sum(head, &seg.layout);
	memcpy(head + s->at.csum, &sum, sizeof(sum));
	s->done_bytes += n;
	s->nr++;
	*ret = seg;
	return true;
}
