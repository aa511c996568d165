/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the store's sockets: one listening socket per domain.
 *
 * Whoever connects to a domain's socket is that domain, if the kernel says
 * that he is its uid or root. Nothing here blocks: a client that does not read
 * is left alone until it does (conn.h); output is sent once per round of the
 * loop, so that many answers and events cost one system call.
 *
 * Thread: the loop's. Logs: refused clients, limited.
 */
#ifndef XENSTORE_LITE_SERVE_H
#define XENSTORE_LITE_SERVE_H

#include <sys/types.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/loop.h"

struct server;

int server_open(struct loop *loop, struct server **ret) PV_MUST_CHECK;
void server_close(struct server *server); /* NULL is fine */

/*
 * Make the domain's nodes and listen at DIR/xenstore. Domain 0 included.
 * -ENAMETOOLONG; -EEXIST; -ENOMEM; or why there can be no socket.
 */
int server_add_domain(struct server *server, domid_t domid, const char *name,
		      const char *dir, uid_t uid) PV_MUST_CHECK;
/* Drop its clients and socket, and all that it has in the store. */
void server_remove_domain(struct server *server, domid_t domid);

#endif /* XENSTORE_LITE_SERVE_H */
