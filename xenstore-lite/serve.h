/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the store's domains and their sockets: a listening one each.
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

#include <stdint.h>
#include <sys/types.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "util/loop.h"
#include "xenstore-lite/codec.h"
#include "xenstore-lite/journal.h"

struct server;

int server_open(struct loop *loop, struct server **ret) PV_MUST_CHECK;
/*
 * Before any domain is added: serve what the journal says of an earlier store,
 * and let it outlive this process too. Errors as journal_open, logged.
 */
int server_remember(struct server *server,
		    const struct journal_options *journal) PV_MUST_CHECK;
void server_close(struct server *server); /* NULL is fine */

/*
 * The connection to the broker over which guests' shared pages are reached
 * (rings.h), before the domains; taken over on success only.
 */
int server_set_broker(struct server *server, int fd) PV_MUST_CHECK;

/*
 * A domain lives: serve it at listen_fd, which is taken over on success only.
 * Domain 0 included. When the store knows this life of the domid already, its
 * nodes stay as they are, only the socket is new, and the ring that was
 * introduced is served again; another life of it is
 * over. -EINVAL; -ENOMEM; or why there can be no nodes.
 */
int server_add_domain(struct server *server, domid_t domid, uint64_t life,
		      const char *name, uid_t uid, int listen_fd) PV_MUST_CHECK;
/*
 * Drop its clients and socket, and all that it has in the store.
 * -ENOENT the store does not know this life.
 */
int server_remove_domain(struct server *server, domid_t domid, uint64_t life);
/* Remove every domain that was not added to this server. */
void server_remove_unserved(struct server *server);
/* Domain 0 stays, but nobody is served any more, and nothing is remembered. */
void server_remove_all(struct server *server);

/* ---- live update (live.h) --------------------------------------------------
 */

/* Whether a client asks for one; *file: the program, NULL for this one. */
bool server_update_wanted(const struct server *server, const char **file);
/* It is done (0) or was not: the client is told. */
void server_update_done(struct server *server, int err);
/*
 * All that another process needs to go on with the same descriptors. What was
 * to be recorded is on disk then. -errno.
 */
int server_save(struct server *server, struct encoder *e) PV_MUST_CHECK;
/* Whether descriptors that the image names go to the next program. */
void server_inherit(struct server *server, bool inherit);
/* Go on in a fresh server. -EBADMSG; -EPROTONOSUPPORT; -ENOMEM; -EBADF. */
int server_restore(struct server *server, struct decoder *d) PV_MUST_CHECK;
/* Whether server_restore would do with these bytes; opens nothing. */
int server_check_image(const void *data, size_t len) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_SERVE_H */
