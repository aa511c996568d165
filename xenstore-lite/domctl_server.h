/* SPDX-License-Identifier: MIT */
/*
 * domctl_server.h - the store's side of domctl.h: domains come from the broker.
 *
 * Messages are carried out as they come; the answers are sent at the end of the
 * loop's round, after what the server sends (serve.h), which is opened first.
 *
 * Thread: the loop's. Logs: why it is over.
 */
#ifndef XENSTORE_LITE_DOMCTL_SERVER_H
#define XENSTORE_LITE_DOMCTL_SERVER_H

#include "util/annotate.h"
#include "util/loop.h"
#include "xenstore-lite/serve.h"

struct domctl_server;

/*
 * Whether fd can be what the broker gives its store: a connected SOCK_SEQPACKET
 * Unix socket.
 */
bool domctl_server_is_ours(int fd);

/*
 * Listen to the broker at sock, which stays the caller's. over is called once,
 * from the loop: 0 DOMCTL_END was carried out; -ECONNRESET the broker is gone;
 * -EPROTO it talks nonsense; another -errno: nothing can be served.
 */
int domctl_server_open(struct loop *loop, struct server *server, int sock,
		       void (*over)(void *arg, int err), void *arg,
		       struct domctl_server **ret) PV_MUST_CHECK;
void domctl_server_close(struct domctl_server *ds); /* NULL is fine */

#endif /* XENSTORE_LITE_DOMCTL_SERVER_H */
