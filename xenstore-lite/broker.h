/* SPDX-License-Identifier: MIT */
/*
 * broker.h - the part of xenstored-lite that plays the hypervisor.
 *
 * It knows the domains, owns RUN/N/ and RUN/N/broker, records which region of
 * pages was shared with whom, creates event channels, and hands descriptors
 * out. It parses nothing but the fixed-size messages of platform/lite_wire.h.
 * What a connection shared or allocated ends with that connection; what a
 * domain had ends with the domain.
 *
 * Thread: the daemon's loop. Logs: domain life and refused peers, limited.
 */
#ifndef XENSTORE_LITE_BROKER_H
#define XENSTORE_LITE_BROKER_H

#include <sys/types.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/loop.h"

struct broker;

struct broker_ops {
	/*
	 * A domain exists: dir is its directory (RUN/N). The store opens
	 * dir/xenstore and makes the domain's nodes. The directory becomes
	 * uid's only after this returns, so that nobody can replace a path
	 * while it is being given away. -errno undoes the creation.
	 */
	int (*created)(void *arg, domid_t domid, const char *name,
		       const char *dir, uid_t uid);
	/*
	 * The domain is no more; its directory goes after this returns, with
	 * all that is in it. The
	 * store drops its connections, nodes and rights, fires @releaseDomain.
	 */
	void (*destroyed)(void *arg, domid_t domid);
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
int broker_domain_destroy(struct broker *broker, domid_t domid);

#endif /* XENSTORE_LITE_BROKER_H */
