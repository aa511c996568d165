/* SPDX-License-Identifier: MIT */
/*
 * netlink.h - the kernel's links and addresses over libnl: what all who ask it
 * have in common.
 *
 * Thread: any, each with a socket of its own. Logs: never.
 */
#ifndef UTIL_NETLINK_H
#define UTIL_NETLINK_H

#include "util/annotate.h"

struct nl_sock;

/* libnl's error numbers in errno's terms, as far as they can be told apart. */
int netlink_errno(int nlerr);
/* A socket for links, addresses and routes, the caller's: nl_socket_free(). */
int netlink_connect(struct nl_sock **ret) PV_MUST_CHECK;

#endif /* UTIL_NETLINK_H */
