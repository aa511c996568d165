/* SPDX-License-Identifier: MIT */
/*
 * fdmsg.h - one datagram with descriptors over a SOCK_SEQPACKET Unix socket.
 *
 * The broker, the monitor and their clients talk in small fixed-size messages;
 * some carry descriptors. Received descriptors are close-on-exec and belong to
 * the caller. A message with more descriptors than asked for, or a truncated
 * one, is an error and everything received is closed: a peer cannot flood us.
 *
 * Thread: any; one message is one system call. Logs: never.
 */
#ifndef UTIL_FDMSG_H
#define UTIL_FDMSG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/annotate.h"

#define FDMSG_FDS_MAX 8

/*
 * Send buf with nr_fds descriptors (0..FDMSG_FDS_MAX); they stay the caller's.
 * flags: 0 or MSG_DONTWAIT. MSG_NOSIGNAL is always added.
 * Returns 0 or -errno: -EAGAIN with MSG_DONTWAIT and a full socket; -EPIPE or
 * -ECONNRESET the other end is gone.
 */
int fdmsg_send(int sock, const void *buf, size_t size_bytes, const int *fds,
	       unsigned nr_fds, int flags) PV_MUST_CHECK;

/*
 * Receive one message of at most size_bytes and at most *nr_fds descriptors.
 * Out: *nr_fds = descriptors received, fds[] theirs.
 * Returns the message's length; 0 at end of file; -EAGAIN; -EMSGSIZE the
 * message was longer; -EPROTO too many descriptors, or descriptors without a
 * message; or another -errno. On an error no descriptor was received.
 */
ssize_t fdmsg_recv(int sock, void *buf, size_t size_bytes, int *fds,
		   unsigned *nr_fds, int flags) PV_MUST_CHECK;

/* Bind and listen at path (mode 0600, then chown to uid unless (uid_t)-1). */
int unix_listen(const char *path, int type, uid_t uid) PV_MUST_CHECK;

/*
 * Connect to path. Returns a descriptor (close-on-exec) or -errno:
 * -ENAMETOOLONG when path does not fit a socket address.
 */
int unix_connect(const char *path, int type) PV_MUST_CHECK;
/* The same without waiting: -EAGAIN when the listener's queue is full. */
int unix_connect_now(const char *path, int type) PV_MUST_CHECK;

#endif /* UTIL_FDMSG_H */
