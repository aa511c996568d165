/* SPDX-License-Identifier: MIT */
/*
 * nbd.h - between the files of the nbd driver: nbd_target.c (the monitor's
 * half: a URI, sockets), nbd.c (storage, channels, connections) and nbd_io.c
 * (commands).
 */
#ifndef BLKBACK_STORAGE_NBD_H
#define BLKBACK_STORAGE_NBD_H

#include <libnbd.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "blkback/storage.h"
#include "blkback/storage/link.h"

/* In desc.private_data. */
struct nbd_target {
	char export[128];
	char tls_user[32];
	char tls_psk_file[128];
	uint32_t tls;	       /* bool */
	uint32_t fail_after_s; /* 0: wait for ever */
	uint32_t address_bytes;
	struct sockaddr_storage address;
};
_Static_assert(sizeof(struct nbd_target) <= STORAGE_PRIVATE_MAX,
	       "a target crosses with its description");

/* What a server said in its handshake. */
struct nbd_seen {
	uint64_t size_bytes;
	uint32_t sector_bytes; /* 512 or 4096 */
	uint32_t preferred_bytes, max_bytes;
	bool readonly, can_flush, can_trim, multi_conn;
};

struct nbd_channel {
	struct storage_channel channel;
	struct link link;
	struct list list;     /* of the storage, control's */
	struct nbd_handle *h; /* NULL: no connection */
	int fd;		      /* the connection's, as watched; -1 */
	uint32_t events;
	bool can_flush;
	uint32_t sector_bytes, max_bytes;
	/* A connection that control has made: a descriptor, -errno, or none;
	 * link_wake() says that there is one. */
	_Atomic int mailbox;
};
#define NBD_MAILBOX_NONE INT32_MIN

bool nbd_target_claims(const char *target);
int nbd_target_acquire(const char *target, uint32_t flags,
		       struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
		       char *why, size_t why_size);
int nbd_target_connect(const struct storage_desc *desc);

/* link_ops.issue */
void nbd_io_issue(struct link *l, struct link_slot *s);

#endif /* BLKBACK_STORAGE_NBD_H */
