/* SPDX-License-Identifier: MIT */
/*
 * packet.c - header offsets and the vnet header; see packet.h. Neighbours:
 * packet_csum.c, segment.c. Used by netback, its NIC drivers and netfront's
 * TAP. Any thread.
 */
#include "util/packet.h"

#include <errno.h>
#include <string.h>

#include "util/be.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88a8u
#define VLAN_BYTES     4u
#define VLANS_MAX      2

#define PROTO_HOPOPTS 0u
#define PROTO_TCP     6u
#define PROTO_UDP     17u
#define PROTO_ROUTING 43u
#define PROTO_DSTOPTS 60u
#define IPV6_EXTS_MAX 8

#define IPV4_MIN 20u
#define IPV6_LEN 40u
#define TCP_MIN	 20u
#define UDP_LEN	 8u

/* The start of the network header, or 0 when the frame carries no IP. */
static size_t find_l3(const uint8_t *head, size_t head_bytes, bool *ipv6)
{
	size_t at = 12;

	for (int tags = 0; tags <= VLANS_MAX; tags++) {
		uint16_t type;

		if (at + 2 > head_bytes)
			return 0;
		type = get_be16(head + at);
		if (type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6) {
			*ipv6 = type == ETHERTYPE_IPV6;
			return at + 2;
		}
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)
			return 0;
		at += VLAN_BYTES;
	}
	return 0;
}

/* The L4 protocol of the IPv4 packet at head + l3, or -errno. */
static int walk_ipv4(const uint8_t *head, size_t head_bytes, size_t frame_bytes,
		     struct packet_layout *out)
{
	const uint8_t *ip = head + out->l3;
	size_t ip_bytes, total;

	if (out->l3 + IPV4_MIN > head_bytes)
		return -EINVAL;
	ip_bytes = (size_t)(ip[0] & 0xf) * 4;
	total = get_be16(ip + 2);
	if (ip[0] >> 4 != 4 || ip_bytes < IPV4_MIN || total < ip_bytes ||
	    total > frame_bytes - out->l3)
		return -EINVAL;
	/* More fragments, or not the first one: no whole segment in here. */
	if (get_be16(ip + 6) & 0x3fff)
		return -EPROTONOSUPPORT;
	out->l4 = (uint16_t)(out->l3 + ip_bytes);
	out->l4_bytes = (uint32_t)(total - ip_bytes);
	return ip[9];
}

static int walk_ipv6(const uint8_t *head, size_t head_bytes, size_t frame_bytes,
		     struct packet_layout *out)
{
	const uint8_t *ip = head + out->l3;
	size_t at = out->l3 + IPV6_LEN, end;
	uint8_t next;

	if (at > head_bytes || ip[0] >> 4 != 6)
		return -EINVAL;
	end = at + get_be16(ip + 4);
	if (end > frame_bytes)
		return -EINVAL;
	next = ip[6];
	for (int i = 0; i < IPV6_EXTS_MAX; i++) {
		if (next != PROTO_HOPOPTS && next != PROTO_ROUTING &&
		    next != PROTO_DSTOPTS) {
			out->l4 = (uint16_t)at;
			out->l4_bytes = (uint32_t)(end - at);
			return next;
		}
		if (at + 8 > head_bytes)
			return -EINVAL;
		next = head[at];
		at += 8 + (size_t)head[at + 1] * 8;
		if (at > end)
			return -EINVAL;
	}
	return -EPROTONOSUPPORT;
}

int packet_locate(const uint8_t *head, size_t head_bytes, size_t frame_bytes,
		  struct packet_layout *ret)
{
	struct packet_layout out = { 0 };
	size_t l4_header;
	int proto;

	if (head_bytes > PACKET_HEAD_MAX)
		head_bytes = PACKET_HEAD_MAX;
	if (head_bytes > frame_bytes)
		return -EINVAL;
	out.l3 = (uint16_t)find_l3(head, head_bytes, &out.ipv6);
	if (!out.l3)
		return -EPROTONOSUPPORT;
	if (out.ipv6)
		proto = walk_ipv6(head, head_bytes, frame_bytes, &out);
	else
		proto = walk_ipv4(head, head_bytes, frame_bytes, &out);
	if (proto < 0)
		return proto;
	if (proto != (int)PROTO_TCP && proto != (int)PROTO_UDP)
		return -EPROTONOSUPPORT;
	out.tcp = proto == (int)PROTO_TCP;
	l4_header = out.tcp ? TCP_MIN : UDP_LEN;
	if (out.l4_bytes < l4_header || out.l4 + l4_header > head_bytes)
		return -EINVAL;
	if (out.tcp) {
		l4_header = (size_t)(head[out.l4 + 12] >> 4) * 4;
		if (l4_header < TCP_MIN || l4_header > out.l4_bytes ||
		    out.l4 + l4_header > head_bytes)
			return -EINVAL;
	}
	out.payload = (uint16_t)(out.l4 + l4_header);
	out.csum = (uint16_t)(out.l4 + (out.tcp ? 16 : 6));
	*ret = out;
	return 0;
}

int packet_check_meta(uint8_t *head, size_t head_bytes, size_t frame_bytes,
		      struct packet_meta *meta, struct packet_layout *layout)
{
	uint16_t sum;
	int err;

	if (!meta->csum_blank && meta->gso == PACKET_GSO_NONE)
		return 0;
	err = packet_locate(head, head_bytes, frame_bytes, layout);
	if (err)
		return err;
	if (meta->gso == PACKET_GSO_NONE)
		return 0;
	if (!layout->tcp || layout->ipv6 != (meta->gso == PACKET_GSO_TCPV6) ||
	    !meta->gso_size || layout->payload >= frame_bytes)
		return -EINVAL;
	if (!meta->csum_blank) {
		sum = packet_pseudo_sum(head, layout);
		memcpy(head + layout->csum, &sum, sizeof(sum));
		meta->csum_blank = true;
	}
	if (layout->l4_bytes - (layout->payload - layout->l4) <= meta->gso_size)
		meta->gso = PACKET_GSO_NONE;
	return 0;
}

void packet_to_vnet(const struct packet_meta *meta,
		    const struct packet_layout *layout,
		    struct virtio_net_hdr *ret)
{
	struct virtio_net_hdr hdr = { 0 };

	if (meta->csum_blank) {
		hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		hdr.csum_start = layout->l4;
		hdr.csum_offset = (uint16_t)(layout->csum - layout->l4);
		hdr.hdr_len = layout->payload;
	} else if (meta->data_validated) {
		hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	switch (meta->gso) {
	case PACKET_GSO_NONE: hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE; break;
	case PACKET_GSO_TCPV4: hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4; break;
	case PACKET_GSO_TCPV6: hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; break;
	}
	if (meta->gso != PACKET_GSO_NONE)
		hdr.gso_size = meta->gso_size;
	*ret = hdr;
}

int packet_from_vnet(const struct virtio_net_hdr *hdr, struct packet_meta *ret)
{
	struct packet_meta meta = { 0 };

	meta.csum_blank = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	meta.data_validated =
		meta.csum_blank || hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID;
	switch (hdr->gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE: meta.gso = PACKET_GSO_NONE; break;
	case VIRTIO_NET_HDR_GSO_TCPV4: meta.gso = PACKET_GSO_TCPV4; break;
	case VIRTIO_NET_HDR_GSO_TCPV6: meta.gso = PACKET_GSO_TCPV6; break;
	default: return -EPROTONOSUPPORT;
	}
	if (meta.gso != PACKET_GSO_NONE)
		meta.gso_size = hdr->gso_size;
	*ret = meta;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int packet_parse_mac(const char *text, uint8_t ret[6])
{
	uint8_t mac[6];

	if (strlen(text) != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++) {
		int hi = hex_digit(text[i * 3]),
		    lo = hex_digit(text[i * 3 + 1]);

		if (hi < 0 || lo < 0 || (i < 5 && text[i * 3 + 2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(hi << 4 | lo);
	}
	if (mac[0] & 1 || !memcmp(mac, (uint8_t[6]){ 0 }, 6))
		return -EINVAL;
	memcpy(ret, mac, 6);
	return 0;
}
