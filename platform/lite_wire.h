/* SPDX-License-Identifier: MIT */
/*
 * lite_wire.h - what a lite platform and the broker say to each other, and how
 * a shared region is laid out.
 *
 * One request and one reply per call, each one SOCK_SEQPACKET datagram of a
 * fixed size. Requests carry no descriptor, ever; a reply carries at most one.
 * Who speaks follows from the socket, never from a message. docs/broker.md
 * tells the whole story.
 *
 * A region is one memfd that the broker makes: grant entries (version 1, one
 * per data page, padded to whole pages), then the data pages. Entry i's frame
 * is i; reference first + i names data page i. The seals of a region:
 *   both kinds	     SHRINK, GROW, SEAL: nobody truncates it under a mapping
 *   peer read-only  also FUTURE_WRITE, added by the granting side once it has
 *		     its own mapping; until then nobody can find the region
 */
#ifndef PLATFORM_LITE_WIRE_H
#define PLATFORM_LITE_WIRE_H

#include <stdint.h>
#include <sys/socket.h>

#include "abi/grant.h"

#define LITE_WIRE_VERSION 1u
#define LITE_NAME_MAX	  64 /* a domain's name, with its NUL */

/* Unused fields are zero. Every reply carries seq, status and version. */
enum lite_op {
	/* -> domid: whose connection this is */
	LITE_HELLO = 1,
	/* domid: peer, nr_pages, flags: SHARE_* -> id, number: first ref, fd */
	LITE_REGION_ADD,
	/* id, flags: LITE_REGION_FORGET -> flags: LITE_REGION_HELD */
	LITE_REGION_REMOVE,
	/* domid: granting, number: ref -> id, number: first, nr_pages, flags,
	 * fd */
	LITE_REGION_FIND,
	/* domid: remote -> id, number: port, fd */
	LITE_EVTCHN_ALLOC,
	/* domid: remote, number: its port -> id, number: our port, fd */
	LITE_EVTCHN_BIND,
	/* id, number: port */
	LITE_EVTCHN_CLOSE,
	/* name, uid, flags: LITE_DOMAIN_* -> domid. Domain 0 only */
	LITE_DOMAIN_CREATE,
	/* domid. Domain 0 only */
	LITE_DOMAIN_DESTROY,
};
#define LITE_NR_OPS (LITE_DOMAIN_DESTROY + 1)

struct lite_request {
	uint32_t version;
	uint32_t op;
	uint64_t seq; /* echoed in the reply */
	uint64_t id;
	uint32_t domid;
	uint32_t number;
	uint32_t nr_pages;
	uint32_t flags;
	uint32_t uid;
	uint32_t reserved;
	char name[LITE_NAME_MAX];
};

struct lite_reply {
	uint32_t version;
	int32_t status; /* 0 or -errno */
	uint64_t seq;
	uint64_t id;
	uint32_t domid;
	uint32_t number;
	uint32_t nr_pages;
	uint32_t flags;
};

_Static_assert(sizeof(struct lite_request) == 112, "no padding on the wire");
_Static_assert(sizeof(struct lite_reply) == 40, "no padding on the wire");

/*
 * REGION_REMOVE: no in-use bit was set, free the region whoever holds it.
 * Without it a region that a connection of the peer still holds stays (nobody
 * can find it, it counts as its owner's) and the reply says HELD; the call may
 * be repeated until it does not.
 */
#define LITE_REGION_FORGET 0x1u
#define LITE_REGION_HELD   0x2u
/*
 * In FIND's reply, beside the SHARE_* bits: the asking connection is the only
 * holder, so in-use bits found in the entries are a dead predecessor's.
 */
#define LITE_REGION_SOLE 0x100u

static inline uint32_t lite_entry_pages(uint32_t nr_pages)
{
	return (uint32_t)((nr_pages + GRANT_ENTRIES_PER_PAGE - 1) /
			  GRANT_ENTRIES_PER_PAGE);
}

static inline uint64_t lite_region_bytes(uint32_t nr_pages)
{
	return ((uint64_t)lite_entry_pages(nr_pages) + nr_pages) * PV_PAGE_SIZE;
}

/*
 * Refuse descriptors on a socket before they arrive (Linux 6.16 and later): a
 * descriptor that is thrown away unread is closed on the receiver's time, and
 * some files take long to close. Older kernels ignore the wish.
 */
static inline void lite_socket_refuse_fds(int sock)
{
	const int so_passrights = 83;
	int off = 0;

	(void)setsockopt(sock, SOL_SOCKET, so_passrights, &off, sizeof(off));
}

#endif /* PLATFORM_LITE_WIRE_H */
