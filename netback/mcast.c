/* SPDX-License-Identifier: MIT */
/* mcast.c - a guest's multicast filter; see mcast.h. Called by port.c. */
#include "netback/mcast.h"

#include <errno.h>
#include <string.h>

static const uint8_t broadcast[PACKET_MAC_BYTES] = { 0xff, 0xff, 0xff,
						     0xff, 0xff, 0xff };

static bool is_multicast(const uint8_t *addr)
{
	return addr[0] & 1 && memcmp(addr, broadcast, PACKET_MAC_BYTES) != 0;
}

/* Its place, or nr when it is not there. */
static uint32_t find(const struct mcast *m, const uint8_t *addr)
{
	uint32_t i = 0;

	while (i < m->nr && memcmp(m->addrs[i], addr, PACKET_MAC_BYTES) != 0)
		i++;
	return i;
}

int mcast_add(struct mcast *m, const uint8_t addr[PACKET_MAC_BYTES])
{
	if (!is_multicast(addr))
		return -EINVAL;
	if (find(m, addr) < m->nr)
		return 0;
	if (m->nr == MCAST_MAX)
		return -ENOSPC;
	memcpy(m->addrs[m->nr++], addr, PACKET_MAC_BYTES);
	return 0;
}

int mcast_del(struct mcast *m, const uint8_t addr[PACKET_MAC_BYTES])
{
	uint32_t i = find(m, addr);

	if (!is_multicast(addr))
		return -EINVAL;
	if (i < m->nr)
		memmove(m->addrs[i], m->addrs[--m->nr], PACKET_MAC_BYTES);
	return 0;
}

bool mcast_drops(const struct mcast *m, const uint8_t dst[PACKET_MAC_BYTES])
{
	return is_multicast(dst) && find(m, dst) == m->nr;
}
