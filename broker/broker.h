/* SPDX-License-Identifier: MIT */
/*
 * broker.h - the machine that plays the hypervisor.
 *
 * It knows the domains, owns RUN/N/ and the sockets in it, records which region
 * of pages was shared with whom, creates event channels, and hands descriptors
 * out. It parses nothing but the fixed-size messages of platform/lite_wire.h.
 * What a connection shared or allocated ends with that connection; what a
 * domain had ends with the domain.
 *
 * The store is somebody else, who may be away and never holds the broker up:
 * whoever asks for a domain, or for its end, gets his answer when the store has
 * heard of it, and is not read from until then. A domain whose maker leaves
 * before that ends: nobody knows of it.
 *
 * Thread: the daemon's loop. Logs: domain life and refused peers, limited.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdint.h>
#include <sys/types.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/loop.h"

struct broker;

/* A domain as the store must know it. */
struct broker_domain {
	uint64_t life; /* of this domid; never repeated; domain 0's is 1 */
	domid_t domid;
	uid_t uid;
	const char *name; /* until the call returns */
	int store_fd;	  /* listens at RUN/N/xenstore; open until destroyed */
};

/* What the store must hear of. Called from inside any call here. */
struct broker_ops {
	/*
	 * The domain exists. 0: the store knows it. -EINPROGRESS: it will hear
	 * of it, and broker_domain_created follows. Another -errno undoes the
	 * creation; the domain is not mentioned again.
	 */
	int (*created)(void *arg, const struct broker_domain *domain);
	/*
	 * It is no more, nor is its directory. 0: the store knows.
	 * -EINPROGRESS: broker_domain_destroyed follows.
	 */
	int (*destroyed)(void *arg, domid_t domid, uint64_t life);
};

/*
 * Opens with no domain. run_dir exists and is locked by the caller; what a dead
 * daemon left in it goes. Raises the process's limit of open files as far as it
 * may: every shared region and channel of every domain costs some.
 */
int broker_open(struct loop *loop, const char *run_dir,
		const struct broker_ops *ops, void *arg,
		struct broker **ret) PV_MUST_CHECK;
void broker_close(struct broker *broker); /* destroys all domains */

/*
 * Make domain domid (0 for the toolstack's, else a free one; DOMID_ANY picks
 * the next). name: 1..63 of [A-Za-z0-9._-], not all digits, not in use.
 * -EEXIST name used; -EINVAL name; -ENOSPC.
 */
#define DOMID_ANY 0xffffu
int broker_domain_create(struct broker *broker, uint32_t domid,
			 const char *name, uid_t uid,
			 domid_t *ret) PV_MUST_CHECK;
/* -ENOENT; -EINVAL domain 0. */
int broker_domain_destroy(struct broker *broker, domid_t domid);

/*
 * A connection to the broker as domain 0, for who cannot or need not open its
 * socket. Returns the caller's end. -ENOENT there is no domain 0; -EDQUOT.
 */
int broker_connect(struct broker *broker) PV_MUST_CHECK;

/*
 * What the store says of a life it was told of; status: 0 or -errno. A domain
 * that it refuses ends. A life that ended meanwhile is ignored.
 */
void broker_domain_created(struct broker *broker, domid_t domid, uint64_t life,
			   int status);
void broker_domain_destroyed(struct broker *broker, uint64_t life);

#endif /* BROKER_BROKER_H */
