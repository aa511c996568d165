/* SPDX-License-Identifier: MIT */
/*
 * net_frames.h - random TCP and UDP frames, by a seed, and the slow way to cut
 * them and to sum them up: written for the tests, with nothing of util/.
 */
#ifndef TESTS_UNIT_NET_FRAMES_H
#define TESTS_UNIT_NET_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRAME_BYTES_MAX 65550u

struct test_frame {
	uint8_t b[FRAME_BYTES_MAX];
	uint32_t size;
	uint32_t l3, l4, payload; /* offsets */
	bool ipv6, tcp;
};

/* What of a frame is not left to chance. */
struct frame_wish {
	uint8_t dst[6], src[6];
	bool tcp, ipv6, vlan;
	uint32_t payload_bytes;
};

static uint64_t frame_random_state;

static inline uint32_t frame_random(uint32_t below)
{
	uint64_t x = frame_random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	frame_random_state = x;
	return (uint32_t)(x >> 32) % below;
}

static inline void frame_seed(uint32_t seed)
{
	frame_random_state = 0x9e3779b97f4a7c15ull ^ seed;
	for (int i = 0; i < 8; i++)
		frame_random(1);
}

static inline void frame_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t frame_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* RFC 1071, one 16-bit word after the other, with end-around carries. */
static inline uint32_t slow_sum(const uint8_t *p, uint32_t size, uint32_t sum)
{
	for (uint32_t i = 0; i < size; i += 2) {
		sum += (uint32_t)p[i] << 8 | (i + 1 < size ? p[i + 1] : 0);
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	return sum;
}

/* What belongs into the checksum field, of a frame without padding. */
static inline uint16_t slow_checksum(const struct test_frame *f)
{
	uint8_t pseudo[4] = { 0, f->tcp ? 6 : 17 };
	const uint8_t *field = f->b + f->l4 + (f->tcp ? 16 : 6);
	uint32_t sum;

	frame_put16(pseudo + 2, f->size - f->l4);
	sum = slow_sum(pseudo, 4, 0);
	sum = slow_sum(f->b + f->l3 + (f->ipv6 ? 8 : 12), f->ipv6 ? 32 : 8,
		       sum);
	sum = slow_sum(f->b + f->l4, f->size - f->l4, sum);
	/* The field itself counts as zero. */
	sum += 0xffff - frame_get16(field);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	return (uint16_t)(sum || f->tcp ? sum : 0xffff);
}

static inline void slow_fill(struct test_frame *f)
{
	frame_put16(f->b + f->l4 + (f->tcp ? 16 : 6), slow_checksum(f));
}

static inline void slow_ipv4_checksum(struct test_frame *f)
{
	uint8_t *ip = f->b + f->l3;

	frame_put16(ip + 10, 0);
	frame_put16(ip + 10, ~slow_sum(ip, f->l4 - f->l3, 0) & 0xffff);
}

/* ---- random frames ------------------------------------------------------- */

static inline void frame_noise(uint8_t *p, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		p[i] = (uint8_t)frame_random(256);
}

/* Options that say nothing: size bytes, which is a multiple of four. */
static inline void frame_nops(uint8_t *p, uint32_t size)
{
	memset(p, 1, size);
}

/* The headers between IPv6's and the next one; the first one's number goes
 * where *link is. */
static inline uint8_t *frame_extensions(uint8_t *at, uint8_t **link)
{
	static const uint8_t kinds[] = { 0, 60, 43, 60 };

	for (unsigned i = 0; i < sizeof(kinds); i++) {
		uint32_t more = frame_random(2) * 8;

		if (frame_random(3))
			continue;
		**link = kinds[i];
		*link = at;
		memset(at, 0, 8 + more);
		at[1] = (uint8_t)(more / 8);
		if (kinds[i] == 43) {
			at[2] = 253; /* for experiments; no segments left */
		} else {
			at[2] = 1; /* padding */
			at[3] = (uint8_t)(4 + more);
		}
		at += 8 + more;
	}
	return at;
}

static inline void frame_tcp(struct test_frame *f)
{
	uint8_t *tcp = f->b + f->l4;
	uint32_t options = frame_random(11) * 4;

	frame_noise(tcp, 20);
	tcp[12] = (uint8_t)((20 + options) / 4 << 4 | (tcp[12] & 0xe));
	tcp[13] = (uint8_t)((tcp[13] & 0xd9) | 0x10); /* no SYN, RST, URG */
	if (!frame_random(4))			      /* about to wrap */
		memset(tcp + 4, 0xff, 2);
	frame_nops(tcp + 20, options);
	f->payload = f->l4 + 20 + options;
}

/* Lengths and the IPv4 checksum, once the size is known. */
static inline void frame_finish(struct test_frame *f)
{
	if (!f->tcp)
		frame_put16(f->b + f->l4 + 4, f->size - f->l4);
	if (f->ipv6) {
		frame_put16(f->b + f->l3 + 4, f->size - f->l3 - 40);
	} else {
		frame_put16(f->b + f->l3 + 2, f->size - f->l3);
		slow_ipv4_checksum(f);
	}
}

/* A whole frame, its checksum right; payload_bytes is cut to what fits. */
static inline void frame_make(struct test_frame *f, const struct frame_wish *w)
{
	uint8_t *ip, *at, *link, proto = w->tcp ? 6 : 17;

	f->ipv6 = w->ipv6;
	f->tcp = w->tcp;
	memcpy(f->b, w->dst, 6);
	memcpy(f->b + 6, w->src, 6);
	f->l3 = 14;
	if (w->vlan) {
		frame_put16(f->b + 12, 0x8100);
		frame_put16(f->b + 14, 7);
		f->l3 = 18;
	}
	frame_put16(f->b + f->l3 - 2, w->ipv6 ? 0x86dd : 0x0800);
	ip = f->b + f->l3;
	frame_noise(ip, 40);
	if (w->ipv6) {
		ip[0] = (uint8_t)(0x60 | (ip[0] & 0xf));
		ip[8] = ip[24] = 0xfd;
		link = ip + 6;
		at = frame_extensions(ip + 40, &link);
		*link = proto;
	} else {
		uint32_t options = frame_random(3) ? 0 : frame_random(11) * 4;

		ip[0] = (uint8_t)(0x45 + options / 4);
		frame_put16(ip + 6, frame_random(2) ? 0x4000 : 0);
		if (!frame_random(4)) /* about to wrap */
			frame_put16(ip + 4, 0xfffe);
		ip[9] = proto;
		ip[12] = ip[16] = 10;
		frame_nops(ip + 20, options);
		at = ip + 20 + options;
	}
	f->l4 = (uint32_t)(at - f->b);
	frame_noise(at, 8);
	f->payload = f->l4 + 8;
	if (w->tcp)
		frame_tcp(f);
	f->size = f->payload + w->payload_bytes;
	/* As long as its own length field can say. */
	if (f->size > 14 + 65535)
		f->size = 14 + 65535;
	frame_noise(f->b + f->payload, f->size - f->payload);
	frame_finish(f);
	slow_fill(f);
}

/* ---- the slow way to cut ------------------------------------------------- */

/* Segment nr of a TCP frame, as RFC 9293 and its sender would have it. */
static inline bool slow_segment(const struct test_frame *f, uint32_t mss,
				uint32_t nr, struct test_frame *ret)
{
	uint32_t whole = f->size - f->payload, from = nr * mss, seq;
	uint8_t *tcp = ret->b + f->l4;

	if (from >= whole && nr)
		return false;
	memcpy(ret->b, f->b, f->payload);
	ret->l3 = f->l3;
	ret->l4 = f->l4;
	ret->payload = f->payload;
	ret->ipv6 = f->ipv6;
	ret->tcp = true;
	ret->size = f->payload + (whole - from < mss ? whole - from : mss);
	memcpy(ret->b + f->payload, f->b + f->payload + from,
	       ret->size - f->payload);
	seq = (frame_get16(tcp + 4) << 16 | frame_get16(tcp + 6)) + from;
	frame_put16(tcp + 4, seq >> 16);
	frame_put16(tcp + 6, seq);
	if (nr)
		tcp[13] &= 0x7f;
	if (from + mss < whole)
		tcp[13] &= 0xf6;
	if (!f->ipv6)
		frame_put16(ret->b + f->l3 + 4,
			    frame_get16(ret->b + f->l3 + 4) + nr);
	frame_finish(ret);
	slow_fill(ret);
	return true;
}

#endif /* TESTS_UNIT_NET_FRAMES_H */
