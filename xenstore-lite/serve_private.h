/* SPDX-License-Identifier: MIT */
/* serve_private.h - what serve.c and serve_image.c share. See serve.h. */
#ifndef XENSTORE_LITE_SERVE_PRIVATE_H
#define XENSTORE_LITE_SERVE_PRIVATE_H

#include <stdint.h>

#include "util/log.h"
#include "xenstore-lite/conn.h"
#include "xenstore-lite/outlet.h"
#include "xenstore-lite/rings.h"
#include "xenstore-lite/serve.h"

struct server {
	struct loop *loop;
	struct xsd *xsd;
	struct list listeners, clients;
	struct listener *by_id[DOMID_FIRST_RESERVED];
	struct list unsent; /* outlets that may have output */
	struct rings *rings;
	struct loop_prepare *flush;
	struct loop_timer *resume;
	struct loop_timer *retry; /* the disk; see flush_all */
	struct loop_timer *wake;  /* of domains that are paused */
	uint64_t wake_ns;	  /* when; 0: not armed */
	struct log_limit limit;
};

struct listener {
	struct list link;
	struct server *server;
	struct loop_fd *src;
	int fd;
	domid_t domid;
	uint64_t life;
	uid_t uid;
};

struct client {
	struct outlet outlet;
	struct list link; /* in server.clients */
	struct server *server;
	struct xsd_conn *conn;
	struct loop_fd *src;
	int fd;
	uint32_t events;
};

/* Takes fd over, on success only. */
int listener_open(struct server *server, domid_t domid, uint64_t life,
		  uid_t uid, int fd) PV_MUST_CHECK;
/* A client that has conn, or, when it is NULL, opens one of domid. Takes fd
 * (and conn) over, on success only. */
int client_open(struct server *server, domid_t domid, int fd,
		struct xsd_conn *conn, struct client **ret) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_SERVE_PRIVATE_H */
