/* SPDX-License-Identifier: MIT */
/*
 * domctl.h - what the broker tells the store of the domains that live.
 *
 * The broker is the hypervisor's stand-in and outlives the store: it starts the
 * store as its child, and again when that dies. Both speak fixed-size
 * SOCK_SEQPACKET datagrams over one socket pair. After each start the broker
 * tells every domain that lives, then SYNCED; what the store remembers of
 * others is over. The store answers each message in order with the same op,
 * seq and a status; the broker never waits for one.
 *
 * Both ends are ours: a message that cannot be is a bug, and ends the reader.
 */
#ifndef XENSTORE_LITE_DOMCTL_H
#define XENSTORE_LITE_DOMCTL_H

#include <stdint.h>

#include "util/spawn.h"

#define DOMCTL_VERSION	    1u
#define DOMCTL_DOMAIN0_LIFE 1u
#define DOMCTL_NAME_MAX	    64 /* with its NUL, as LITE_NAME_MAX */
/* The store finds its end of the socket pair in this descriptor. */
#define DOMCTL_FD SPAWN_FD

enum domctl_op {
	/* domid, life, uid, name; with the domain's listening socket. A domain
	 * of the same life may be there already: then only the socket is new.
	 */
	DOMCTL_CREATE = 1,
	/* domid, life */
	DOMCTL_DESTROY,
	/* All that live have been told; the others are destroyed now. */
	DOMCTL_SYNCED,
	/* The run directory ends in order: forget everything, then exit. */
	DOMCTL_END,
	/* Before the domains, to each store: a connection to the broker as
	 * domain 0, the same one for all, so that what one store has bound and
	 * mapped is there for the next. It comes as a descriptor. */
	DOMCTL_BROKER,
	DOMCTL_NR_OPS /* one past the last */
};

struct domctl_msg {
	uint32_t version;
	uint32_t op;
	uint64_t seq;
	/* Unique to this life of the domid over all brokers of this directory;
	 * domain 0's is DOMCTL_DOMAIN0_LIFE, always. */
	uint64_t life;
	uint32_t domid;
	uint32_t uid;
	int32_t status; /* of an answer: 0 or -errno */
	uint32_t reserved;
	char name[DOMCTL_NAME_MAX];
};

_Static_assert(sizeof(struct domctl_msg) == 104, "no padding on the wire");

#endif /* XENSTORE_LITE_DOMCTL_H */
