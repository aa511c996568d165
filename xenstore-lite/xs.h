/* SPDX-License-Identifier: MIT */
/*
 * xs.h - client of a xenstore (xenstore-lite or Xen's own xenstored).
 *
 * Every call sends one request and waits for its reply; watch events that
 * arrive meanwhile are queued and delivered by xs_dispatch, never from inside
 * another call. All values come from elsewhere: treat them as untrusted.
 *
 * Thread: a connection belongs to one thread. Logs: never.
 * Errors: 0 or -errno, the store's own error names mapped to errno (-ENOENT,
 * -EACCES, -EAGAIN, -EQUOTA as -EDQUOT, ...); -ECONNRESET once the connection
 * is lost, for every call from then on; -EPROTO when the store talks nonsense.
 * Source: xen/include/public/io/xs_wire.h, docs/misc/xenstore.txt.
 */
#ifndef XENSTORE_LITE_XS_H
#define XENSTORE_LITE_XS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"

struct xs;
struct xs_watch;
typedef uint32_t xs_txn_t;
#define XS_NO_TXN 0u

/* XS_PATH_MAX: an absolute path with its NUL. */
#define XS_PATH_MAX 3072

/* Speak over a connected stream socket; takes fd over, on success only. */
int xs_open_fd(int fd, struct xs **ret) PV_MUST_CHECK;
void xs_close(struct xs *xs); /* NULL is fine; watches go with it */
int xs_fd(const struct xs *xs);

/*
 * Read what has arrived without blocking and run the callbacks of fired
 * watches. Call when xs_fd is readable and, because events may also arrive
 * during another call, whenever xs_pending says so before sleeping (in a loop:
 * a loop_prepare that returns xs_pending after dispatching).
 */
int xs_dispatch(struct xs *xs) PV_MUST_CHECK;
bool xs_pending(const struct xs *xs);

/*
 * Read a node. *ret is allocated, always NUL-terminated past its len bytes
 * (which may contain NULs); the caller frees it. len may be NULL.
 */
int xs_read(struct xs *xs, xs_txn_t tx, const char *path, char **ret,
	    size_t *len) PV_MUST_CHECK;
int xs_write(struct xs *xs, xs_txn_t tx, const char *path, const void *data,
	     size_t len) PV_MUST_CHECK;
int xs_mkdir(struct xs *xs, xs_txn_t tx, const char *path) PV_MUST_CHECK;
int xs_rm(struct xs *xs, xs_txn_t tx, const char *path) PV_MUST_CHECK;
/*
 * Children of a node: nr names in one allocation; free(*ret) frees all.
 */
int xs_directory(struct xs *xs, xs_txn_t tx, const char *path, char ***ret,
		 unsigned *nr) PV_MUST_CHECK;

/* "DIR/NODE" forms, as drivers use them. */
int xs_printf(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
	      const char *fmt, ...) PV_PRINTF(5, 6) PV_MUST_CHECK;
/* A strict decimal at most max. -ENOENT absent; -EINVAL/-ERANGE malformed. */
int xs_read_u32(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		uint32_t max, uint32_t *ret) PV_MUST_CHECK;
int xs_read_u64(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		uint64_t max, uint64_t *ret) PV_MUST_CHECK;
/* As xs_read_u32, but def when the node does not exist. */
int xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			const char *node, uint32_t max, uint32_t def,
			uint32_t *ret) PV_MUST_CHECK;
/* Text into a buffer, NUL-terminated; -ENAMETOOLONG; -EINVAL embedded NUL. */
int xs_read_str(struct xs *xs, xs_txn_t tx, const char *dir, const char *node,
		char *buf, size_t size) PV_MUST_CHECK;

/* Permissions: perms[0].domid owns; its letter is everyone else's right. */
struct xs_perm {
	uint32_t domid;
	char right; /* 'n' none, 'r' read, 'w' write, 'b' both */
};
int xs_get_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 struct xs_perm *perms, unsigned *nr) PV_MUST_CHECK;
int xs_set_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 const struct xs_perm *perms, unsigned nr) PV_MUST_CHECK;

/*
 * Watch path (or "@introduceDomain", "@releaseDomain"). fn runs from
 * xs_dispatch with the path that changed; it fires once at once. fn may
 * unwatch anything, itself included, but must not close xs.
 */
typedef void xs_watch_fn(void *arg, const char *path);
int xs_watch(struct xs *xs, const char *path, xs_watch_fn *fn, void *arg,
	     struct xs_watch **ret) PV_MUST_CHECK;
/* No callback runs after this returns, even for events already queued. */
void xs_unwatch(struct xs *xs, struct xs_watch *watch); /* NULL is fine */

/*
 * Run fn inside a transaction, again and again while the commit says EAGAIN
 * (at most XS_TXN_TRIES times). fn returns 0 to commit, -errno to abort.
 */
#define XS_TXN_TRIES 64
typedef int xs_txn_fn(struct xs *xs, xs_txn_t tx, void *arg);
int xs_transaction(struct xs *xs, xs_txn_fn *fn, void *arg) PV_MUST_CHECK;
int xs_transaction_start(struct xs *xs, xs_txn_t *ret) PV_MUST_CHECK;
int xs_transaction_end(struct xs *xs, xs_txn_t tx, bool commit) PV_MUST_CHECK;

/* Whether the store knows the domain. 1, 0 or -errno. */
int xs_is_domain_introduced(struct xs *xs, uint32_t domid);
/* A domain's home; the caller frees *ret. */
int xs_get_domain_path(struct xs *xs, uint32_t domid, char **ret) PV_MUST_CHECK;

/* ---- a toolstack's calls: domain 0 only ---------------------------------- */

/* The domain's shared ring is at gfn; the store listens at its event port. */
int xs_introduce(struct xs *xs, uint32_t domid, uint64_t gfn,
		 uint32_t port) PV_MUST_CHECK;
int xs_release(struct xs *xs, uint32_t domid) PV_MUST_CHECK;
int xs_resume(struct xs *xs, uint32_t domid) PV_MUST_CHECK;
/* domid gets all the rights of target. */
int xs_set_target(struct xs *xs, uint32_t domid, uint32_t target) PV_MUST_CHECK;
/*
 * A command to the store itself: its words, then NULL. The answer is allocated
 * and NUL-terminated as xs_read's. -E2BIG the words do not fit a message.
 */
int xs_control(struct xs *xs, const char *const *args, char **ret,
	       size_t *len) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_XS_H */
