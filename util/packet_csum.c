/* SPDX-License-Identifier: MIT */
/* packet_csum.c - the Internet checksum; see packet.h. Any thread. */
#include <errno.h>
#include <string.h>

#include "util/be.h"
#include "util/packet.h"

#define PROTO_TCP 6u
#define PROTO_UDP 17u

uint64_t packet_sum(const void *data, size_t size_bytes, uint64_t sum)
{
	const uint8_t *p = data;
	uint32_t word;

	for (; size_bytes >= sizeof(word); size_bytes -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
		p += sizeof(word);
	}
	word = 0;
	memcpy(&word, p, size_bytes);
	return sum + word;
}

uint16_t packet_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t packet_pseudo_sum(const uint8_t *head, const struct packet_layout *at)
{
	uint8_t tail[8] = { 0 };
	uint64_t sum;

	put_be32(tail, at->l4_bytes);
	tail[7] = at->tcp ? PROTO_TCP : PROTO_UDP;
	sum = packet_sum(tail, sizeof(tail), 0);
	if (at->ipv6)
		sum = packet_sum(head + at->l3 + 8, 32, sum);
	else
		sum = packet_sum(head + at->l3 + 12, 8, sum);
	return packet_sum_fold(sum);
}

uint16_t packet_csum_of(const struct packet_layout *at, uint64_t sum)
{
	uint16_t csum = (uint16_t)~packet_sum_fold(sum);

	/* UDP: 0 would mean that there is no checksum. */
	return !csum && !at->tcp ? 0xffff : csum;
}

int packet_fill_csum(uint8_t *frame, size_t size_bytes)
{
	struct packet_layout at;
	uint16_t sum;
	int err = packet_locate(frame, size_bytes, size_bytes, &at);

	if (err)
		return err;
	sum = packet_pseudo_sum(frame, &at);
	memcpy(frame + at.csum, &sum, sizeof(sum));
	sum = packet_csum_of(&at, packet_sum(frame + at.l4, at.l4_bytes, 0));
	memcpy(frame + at.csum, &sum, sizeof(sum));
	return 0;
}
