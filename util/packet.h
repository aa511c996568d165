/* SPDX-License-Identifier: MIT */
/*
 * packet.h - the few facts about a packet's headers that both ends of a network
 * device need: where its TCP or UDP checksum is, how that is computed, and what
 * a sender may leave to its receiver (checksum, segmentation).
 *
 * netif's flags name no offsets while a TAP's header does, so netback and
 * netfront both look for them here. Everything is pure and total: any bytes
 * are a valid input, and nothing outside them is touched.
 *
 * Thread: any. Logs: never.
 */
#ifndef UTIL_PACKET_H
#define UTIL_PACKET_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

#define PACKET_ETH_BYTES 14u
#define PACKET_MAC_BYTES 6u
/* All headers of every packet that we take lie within so many bytes. */
#define PACKET_HEAD_MAX 256u

enum packet_gso {
	PACKET_GSO_NONE,
	PACKET_GSO_TCPV4,
	PACKET_GSO_TCPV6
};

/* What a frame asks of its receiver, in netif's and virtio's common terms. */
struct packet_meta {
	bool csum_blank;     /* the L4 checksum holds only the pseudo header */
	bool data_validated; /* the sender vouches for the checksum */
	enum packet_gso gso;
	uint16_t gso_size; /* payload bytes per segment */
};

/* Offsets from the frame's first byte. */
struct packet_layout {
	uint16_t l3, l4;
	uint16_t payload;  /* the first byte after the TCP or UDP header */
	uint16_t csum;	   /* the checksum field */
	uint32_t l4_bytes; /* header and payload, by the IP header */
	bool ipv6, tcp;
};

/*
 * Find TCP or UDP in the first head_bytes of a frame of frame_bytes.
 * -EPROTONOSUPPORT neither TCP nor UDP over IP, or a fragment; -EINVAL the
 * headers contradict the frame's length or do not fit head_bytes.
 */
int packet_locate(const uint8_t *head, size_t head_bytes, size_t frame_bytes,
		  struct packet_layout *ret) PV_MUST_CHECK;

/*
 * Are the headers those that meta announces? Also puts right what some senders
 * leave out: a frame to be segmented always has a blank checksum, so that of
 * one without is replaced in head by its pseudo header's sum. A frame of a
 * single segment is none to be segmented: Linux drops one that says it were.
 * Returns 0 (layout valid when csum_blank) or packet_locate's errors.
 */
int packet_check_meta(uint8_t *head, size_t head_bytes, size_t frame_bytes,
		      struct packet_meta *meta,
		      struct packet_layout *layout) PV_MUST_CHECK;

/* Add bytes to a ones' complement sum; odd lengths only in the last call. */
uint64_t packet_sum(const void *data, size_t size_bytes, uint64_t sum);
uint16_t packet_sum_fold(uint64_t sum); /* not inverted */
/* Of the pseudo header: what a blank checksum field holds. */
uint16_t packet_pseudo_sum(const uint8_t *head, const struct packet_layout *at);

/*
 * What belongs into the checksum field, by the sum of the TCP or UDP header and
 * its payload, of which that field holds the pseudo header's.
 */
uint16_t packet_csum_of(const struct packet_layout *at, uint64_t sum);

/* Fill a blank checksum in, over a whole frame in private memory. */
int packet_fill_csum(uint8_t *frame, size_t size_bytes) PV_MUST_CHECK;

/*
 * The header that a TAP reads and writes before each frame. layout: as found
 * by packet_check_meta; used only when meta->csum_blank.
 */
void packet_to_vnet(const struct packet_meta *meta,
		    const struct packet_layout *layout,
		    struct virtio_net_hdr *ret);
/* -EPROTONOSUPPORT: a kind of segmentation that netif cannot express. */
int packet_from_vnet(const struct virtio_net_hdr *hdr,
		     struct packet_meta *ret) PV_MUST_CHECK;

/* "aa:bb:cc:dd:ee:ff", an address that a station may have. -EINVAL. */
int packet_parse_mac(const char *text,
		     uint8_t ret[PACKET_MAC_BYTES]) PV_MUST_CHECK;

#endif /* UTIL_PACKET_H */
