/* SPDX-License-Identifier: MIT */
/* announce.c - ARP and neighbour advertisements; see announce.h. By pump.c. */
#include "netfront/tap/announce.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <stdio.h>
#include <string.h>

#include "util/netlink.h"
#include "util/packet.h"

#define MIN_FRAME_BYTES 60u /* what Ethernet pads to */
#define UNSURE		(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC | IFA_F_DADFAILED)

/* ---- frames ---------------------------------------------------------------
 */

size_t announce_ipv4(uint8_t frame[ANNOUNCE_BYTES_MAX], const uint8_t mac[6],
		     const uint8_t address[4])
{
	/* A request of Ethernet and IPv4 addresses, to everybody. */
	static const uint8_t request[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 };

	memset(frame, 0, MIN_FRAME_BYTES);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, request, sizeof(request));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, address, 4);
	memcpy(frame + 38, address, 4);
	return MIN_FRAME_BYTES;
}

size_t announce_ipv6(uint8_t frame[ANNOUNCE_BYTES_MAX], const uint8_t mac[6],
		     const uint8_t address[16], bool router)
{
	/* To all nodes: 33:33:00:00:00:01, ff02::1. */
	static const uint8_t to_mac[] = { 0x33, 0x33, 0, 0, 0, 1 };
	/* Version 6, 32 bytes of ICMPv6, hop limit 255. */
	static const uint8_t ip[] = {
		0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255
	};
	uint8_t *icmp = frame + 54;
	uint16_t sum;

	memset(frame, 0, ANNOUNCE_BYTES_MAX);
	memcpy(frame, to_mac, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, ip, sizeof(ip));
	memcpy(frame + 22, address, 16);
	frame[38] = 0xff;
	frame[39] = 2;
	frame[53] = 1;
	icmp[0] = 136;			/* neighbour advertisement */
	icmp[4] = router ? 0xa0 : 0x20; /* router, override */
	memcpy(icmp + 8, address, 16);
	icmp[24] = 2; /* option: our link-layer address, 8 bytes */
	icmp[25] = 1;
	memcpy(icmp + 26, mac, 6);
	/* The pseudo header: both addresses, length 32, next header 58. */
	sum = packet_sum_fold(
		packet_sum(frame + 22, 64, (uint64_t)htons(32) + htons(58)));
	sum = (uint16_t)~sum;
	memcpy(icmp + 2, &sum, sizeof(sum));
	return ANNOUNCE_BYTES_MAX;
}

/* ---- addresses ------------------------------------------------------------
 */

static bool is_router(const char *ifname)
{
	char path[64 + IFNAMSIZ];
	int c = '0';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/forwarding",
		 ifname);
	f = fopen(path, "re");
	if (f) {
		c = fgetc(f);
		fclose(f);
	}
	return c == '1' || c == '2';
}

/* One address as a frame in its room. Returns the frame's size, 0: none. */
static size_t announce_one(uint8_t *frame, struct rtnl_addr *addr,
			   const uint8_t mac[6], bool router)
{
	struct nl_addr *local = rtnl_addr_get_local(addr);

	if (!local || rtnl_addr_get_flags(addr) & UNSURE)
		return 0;
	if (nl_addr_get_family(local) == AF_INET && nl_addr_get_len(local) == 4)
		return announce_ipv4(frame, mac,
				     nl_addr_get_binary_addr(local));
	if (nl_addr_get_family(local) == AF_INET6 &&
	    nl_addr_get_len(local) == 16)
		return announce_ipv6(frame, mac, nl_addr_get_binary_addr(local),
				     router);
	return 0;
}

static int announce_cache(struct netfront *nf, struct nl_cache *cache,
			  const char *ifname, const uint8_t mac[6])
{
	struct netfront_frame frames[NETFRONT_BURST_MAX];
	unsigned room = netfront_prepare(nf, frames, NETFRONT_BURST_MAX,
					 ANNOUNCE_BYTES_MAX);
	int ifindex = (int)if_nametoindex(ifname);
	bool router = is_router(ifname);
	struct nl_object *o;
	unsigned n = 0;

	for (o = nl_cache_get_first(cache); o && n < room;
	     o = nl_cache_get_next(o)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)o;

		if (rtnl_addr_get_ifindex(addr) != ifindex)
			continue;
		frames[n].size_bytes = (uint32_t)announce_one(
			frames[n].iov[0].iov_base, addr, mac, router);
		n += frames[n].size_bytes > 0;
	}
	n = netfront_send(nf, frames, n);
	netfront_kick(nf);
	return (int)n;
}

int announce_all(struct netfront *nf, const char *ifname, const uint8_t mac[6])
{
	struct nl_cache *cache;
	struct nl_sock *sock;
	int n = netlink_connect(&sock);

	if (n)
		return n;
	n = -EIO;
	if (rtnl_addr_alloc_cache(sock, &cache) == 0) {
		n = announce_cache(nf, cache, ifname, mac);
		nl_cache_free(cache);
	}
	nl_socket_free(sock);
	return n;
}
