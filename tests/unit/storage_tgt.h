/* SPDX-License-Identifier: MIT */
/*
 * storage_tgt.h - a real iSCSI target for tests: tgtd, on a port of 127.0.0.1,
 * controlled by tgtadm through a socket of its own. It does not end on SIGTERM
 * while it has targets: peer_kill().
 */
#ifndef TESTS_UNIT_STORAGE_TGT_H
#define TESTS_UNIT_STORAGE_TGT_H

#include "tests/unit/peer.h"

#define TGT_NAME "iqn.2026-11.test:disk"

struct tgt {
	struct peer peer;
	const char *host; /* NULL: 127.0.0.1 */
	unsigned port;
	char socket[PEER_PATH_MAX];
	char image[PEER_PATH_MAX];
};

/* In a shell: tgtadm of this target. */
__attribute__((format(printf, 2, 3))) static inline bool
tgt_admin(const struct tgt *t, const char *fmt, ...)
{
	char words[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	return peer_run("TGT_IPC_SOCKET=%s tgtadm -C 0 --lld iscsi %s",
			t->socket, words);
}

/*
 * A target with the image as its LUN 1. more: of tgtadm's words for the LUN.
 * The port is found anew unless it was set by an earlier start.
 */
static inline void tgt_start(struct tgt *t, const char *more)
{
	char control[PEER_PATH_MAX + 8], name[16];

	if (!t->port)
		t->port = peer_port();
	snprintf(name, sizeof(name), "tgt%u", t->port);
	peer_path(t->socket, name);
	snprintf(control, sizeof(control), "%s.0", t->socket);
	unlink(control);
	t->peer =
		peer_start("TGT_IPC_SOCKET=%s exec tgtd -f -C 0 "
			   "--iscsi portal=%s:%u >/dev/null",
			   t->socket, t->host ? t->host : "127.0.0.1", t->port);
	if ((!t->host && !peer_listens_on(&t->peer, t->port)) ||
	    !peer_listens(&t->peer, control) ||
	    !tgt_admin(t, "-m target -o new -t 1 -T %s", TGT_NAME) ||
	    !tgt_admin(t, "-m logicalunit -o new -t 1 -l 1 -b %s %s", t->image,
		       more) ||
	    !tgt_admin(t, "-m logicalunit -o update -t 1 -l 1 "
			  "--params thin_provisioning=1") ||
	    !tgt_admin(t, "-m target -o bind -t 1 -I ALL"))
		abort();
}

static inline void tgt_url(const struct tgt *t, char *url, size_t size,
			   const char *user, const char *options)
{
	snprintf(url, size, "iscsi://%s127.0.0.1:%u/" TGT_NAME "/1%s", user,
		 t->port, options);
}

#endif /* TESTS_UNIT_STORAGE_TGT_H */
