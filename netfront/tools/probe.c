/* SPDX-License-Identifier: MIT */
/* probe.c - see probe.h. */
#include "netfront/tools/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

#define DISCARD_PORT 9u
#define FLOW_PORT    49152u /* and up */
#define MAGIC	     0x7073u
#define MAGIC_REPLY  0x7072u

struct headers {
	struct ether_header eth;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

/* In the order of the machine that sends: it is the one that reads. */
struct body {
	uint16_t magic, run, flow;
	uint64_t seq, sent_ns;
} __attribute__((packed));

_Static_assert(sizeof(struct headers) == PROBE_HEADER_BYTES, "headers");
_Static_assert(sizeof(struct headers) + sizeof(struct body) == PROBE_BYTES_MIN,
	       "a probe");

void probe_header_init(struct probe_header *header,
		       const struct probe_path *path, uint32_t size_bytes)
{
	uint16_t ip_bytes =
		(uint16_t)(size_bytes - sizeof(struct ether_header));
	struct headers h = {
		.eth.ether_type = htons(ETHERTYPE_IP),
		.ip = { .version = 4,
			.ihl = sizeof(struct iphdr) / 4,
			.tot_len = htons(ip_bytes),
			.frag_off = htons(IP_DF),
			.ttl = IPDEFTTL,
			.protocol = IPPROTO_UDP },
		/* no checksum: the body changes in every frame */
		.udp = { .dest = htons(DISCARD_PORT),
			 .len = htons(
				 (uint16_t)(ip_bytes - sizeof(struct iphdr))) },
	};

	memcpy(h.eth.ether_dhost, path->to_mac, PACKET_MAC_BYTES);
	memcpy(h.eth.ether_shost, path->from_mac, PACKET_MAC_BYTES);
	memcpy(&h.ip.saddr, path->from_ip, sizeof(h.ip.saddr));
	memcpy(&h.ip.daddr, path->to_ip, sizeof(h.ip.daddr));
	memcpy(header->bytes, &h, sizeof(h));
	h.ip.check = (uint16_t)~packet_sum_fold(
		packet_sum(header->bytes + sizeof(h.eth), sizeof(h.ip), 0));
	memcpy(header->bytes, &h, sizeof(h));
}

void probe_put(uint8_t *frame, const struct probe_header *header,
	       const struct probe *probe)
{
	uint16_t port = htons((uint16_t)(FLOW_PORT + probe->flow));
	const struct body body = {
		.magic = probe->reply ? MAGIC_REPLY : MAGIC,
		.run = probe->run,
		.flow = probe->flow,
		.seq = probe->seq,
		.sent_ns = probe->sent_ns,
	};

	memcpy(frame, header->bytes, sizeof(header->bytes));
	memcpy(frame + offsetof(struct headers, udp.source), &port,
	       sizeof(port));
	memcpy(frame + sizeof(struct headers), &body, sizeof(body));
}

int probe_get(const uint8_t *frame, size_t size_bytes, struct probe *ret)
{
	struct headers h;
	struct body body;

	if (size_bytes < PROBE_BYTES_MIN)
		return -EINVAL;
	memcpy(&h, frame, sizeof(h));
	memcpy(&body, frame + sizeof(h), sizeof(body));
	if (h.eth.ether_type != htons(ETHERTYPE_IP) ||
	    h.ip.ihl != sizeof(h.ip) / 4 || h.ip.protocol != IPPROTO_UDP ||
	    h.udp.dest != htons(DISCARD_PORT) ||
	    (body.magic != MAGIC && body.magic != MAGIC_REPLY) ||
	    body.flow >= PROBE_FLOWS_MAX)
		return -EINVAL;
	*ret = (struct probe){
		.reply = body.magic == MAGIC_REPLY,
		.run = body.run,
		.flow = body.flow,
		.seq = body.seq,
		.sent_ns = body.sent_ns,
	};
	return 0;
}

void probe_turn(uint8_t *frame, const uint8_t mac[PACKET_MAC_BYTES])
{
	const uint16_t magic = MAGIC_REPLY;
	struct headers h;
	uint32_t ip;

	memcpy(&h, frame, sizeof(h));
	memcpy(h.eth.ether_dhost, h.eth.ether_shost, PACKET_MAC_BYTES);
	memcpy(h.eth.ether_shost, mac, PACKET_MAC_BYTES);
	ip = h.ip.saddr;
	h.ip.saddr = h.ip.daddr;
	h.ip.daddr = ip;
	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), &magic, sizeof(magic));
}
