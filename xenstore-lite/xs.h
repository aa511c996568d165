/* SPDX-License-Identifier: MIT */
/*
 * xs.h - client of a xenstore (xenstore-lite or Xen's own xenstored).
 *
 * A call sends one request and waits for its answer, at most for the time-out.
 * xs_submit sends one without waiting; any number may be under way, and their
 * callbacks run from xs_dispatch, as those of watches do: never from inside
 * another call. Requests reach the store in the order in which they were made,
 * submitted or not. All values come from elsewhere: treat them as untrusted.
 *
 * When the connection is lost (the store ends, talks nonsense, or does not
 * answer in time) a client of xs_open goes on:
 *
 * - The connection is made anew, at once, then with pauses of 10 ms doubling to
 *   1 s. Calls wait meanwhile, up to their time-out.
 * - Watches are registered again before anything else. Each fires once, with
 *   its own path: whatever changed, look again. One that the store refuses
 *   fires too, and is asked for every second.
 * - Requests that were not answered are sent again. That has the effect of one,
 *   done later; others may see it twice. Not so a CONTROL or RELEASE that may
 *   have been carried out: it answers -ECONNRESET.
 * - Transactions are over: what was asked in one, and its end, answers -EAGAIN.
 *   xs_transaction begins again. A commit whose answer was lost may have
 *   happened.
 *
 * A client of xs_open_fd has no way back: every call from then on answers
 * -ECONNRESET.
 *
 * What timed out may have been carried out, or may be yet, even after later
 * requests: the store may find it when it comes to itself.
 *
 * Thread: a connection belongs to one thread. Logs: never.
 * Errors: 0 or -errno, the store's own error names mapped to errno (-ENOENT,
 * -EACCES, -EAGAIN, -EQUOTA as -EDQUOT, ...); -E2BIG a request that does not
 * fit a message; -ETIMEDOUT; -ENOMEM; -ECONNRESET and -EPROTO (the store talks
 * nonsense) as above.
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
/*
 * Speak over a stream socket that fn makes, now and again after every loss.
 * fn(arg) returns a connected socket, which becomes the library's, or -errno;
 * it must not wait for the store. Its first error is xs_open's, but for
 * -EAGAIN (the store's queue is full), which is tried again as later ones are.
 * -ECONNRESET says that there will be no store any more: then this client is
 * lost as one of xs_open_fd. It runs inside any call here and must not use xs.
 */
typedef int xs_connect_fn(void *arg);
int xs_open(xs_connect_fn *fn, void *arg, struct xs **ret) PV_MUST_CHECK;
/* NULL is fine. Watches go with it; what was submitted and not answered gets
 * its callback now, with -ECANCELED. */
void xs_close(struct xs *xs);
/* How long a request made from now on may take, waiting for a connection
 * included. 30 s at first. */
void xs_set_timeout(struct xs *xs, uint64_t timeout_ns);

/*
 * One descriptor for the life of xs, readable when xs_dispatch has work; for
 * poll and epoll, never to be read.
 */
int xs_fd(const struct xs *xs);
/*
 * Send and receive what can be without blocking, connect again when that is
 * due, and run the callbacks of answered requests, then of fired watches.
 * Returns 0 as long as there is a way to the store; else -errno. Call it when
 * xs_fd is readable and, because answers and events may also arrive during
 * another call, whenever xs_pending says so before sleeping (in a loop: a
 * loop_prepare that returns xs_pending after dispatching).
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

/* The same from the answer to XS_OP_GET_PERMS. -E2BIG more than *nr. */
int xs_parse_perms(const char *data, size_t len, struct xs_perm *perms,
		   unsigned *nr) PV_MUST_CHECK;

/* ---- without waiting ------------------------------------------------------
 */

enum xs_op {
	XS_OP_READ,	 /* answers the value */
	XS_OP_DIRECTORY, /* names, a NUL behind each; -E2BIG: xs_directory */
	XS_OP_GET_PERMS, /* for xs_parse_perms */
	XS_OP_WRITE,
	XS_OP_MKDIR,
	XS_OP_RM,
	XS_OP_SET_PERMS,
};

/*
 * The request is over: err as the call of its name would return it; data (with
 * a NUL behind its len bytes) on success of the first three, until fn returns.
 * fn may call anything but xs_close and xs_dispatch.
 */
typedef void xs_done_fn(void *arg, int err, const char *data, size_t len);

struct xs_request {
	enum xs_op op;
	xs_txn_t tx;
	const char *path;
	const void *data; /* to write */
	size_t len;
	const struct xs_perm *perms; /* to set */
	unsigned nr_perms;
	xs_done_fn *done; /* NULL: nobody wants to know */
	void *arg;
};

/*
 * Queue a request; everything is copied. done runs exactly once when this
 * returned 0, and never else. -EBUSY: 4,096 are unanswered, dispatch first;
 * -EAGAIN its transaction was lost.
 * What is queued goes out, many in one system call, with xs_flush, with the
 * next xs_dispatch, or before the next call that waits.
 */
int xs_submit(struct xs *xs, const struct xs_request *rq) PV_MUST_CHECK;
void xs_flush(struct xs *xs); /* does not block */

/* ---- watches --------------------------------------------------------------
 */

/*
 * Watch path (or "@introduceDomain", "@releaseDomain"). fn runs from
 * xs_dispatch with the path that changed; it fires once at once, and again
 * whenever the connection was lost. fn may unwatch anything, itself included,
 * and must not call xs_close or xs_dispatch.
 */
typedef void xs_watch_fn(void *arg, const char *path);
int xs_watch(struct xs *xs, const char *path, xs_watch_fn *fn, void *arg,
	     struct xs_watch **ret) PV_MUST_CHECK;
/* Only what is at most depth levels below path: 0 is path alone. Needs a store
 * that knows of depths. */
#define XS_DEPTH_ALL UINT32_MAX
int xs_watch_depth(struct xs *xs, const char *path, unsigned depth,
		   xs_watch_fn *fn, void *arg,
		   struct xs_watch **ret) PV_MUST_CHECK;
/* Does not wait. No callback runs after this returns, even for events that are
 * queued already. */
void xs_unwatch(struct xs *xs, struct xs_watch *watch); /* NULL is fine */
/*
 * The store forgets every watch and transaction of this connection, those of
 * its earlier users included (of a shared ring); ours come back as after a
 * loss.
 */
int xs_reset_watches(struct xs *xs) PV_MUST_CHECK;

/* ---- transactions ---------------------------------------------------------
 */

/*
 * Run fn inside a transaction, again and again while it does not hold (the
 * commit says EAGAIN, or the connection was lost), at most XS_TXN_TRIES times.
 * fn returns 0 to commit, -errno to abort. It starts from nothing each time,
 * and doing twice what it does must be as doing it once: when the connection
 * was lost during the commit, the first may have happened.
 */
#define XS_TXN_TRIES 64
typedef int xs_txn_fn(struct xs *xs, xs_txn_t tx, void *arg);
int xs_transaction(struct xs *xs, xs_txn_fn *fn, void *arg) PV_MUST_CHECK;
int xs_transaction_start(struct xs *xs, xs_txn_t *ret) PV_MUST_CHECK;
/* tx is not to be used any more, whatever this returns. */
int xs_transaction_end(struct xs *xs, xs_txn_t tx, bool commit) PV_MUST_CHECK;

/* ---- domains --------------------------------------------------------------
 */

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
 * At most so much of what name says for the domain, "nodes" or "watches"; 0 is
 * no limit. A store of before Xen 4.20 has no such call.
 */
int xs_set_quota(struct xs *xs, uint32_t domid, const char *name,
		 uint32_t value) PV_MUST_CHECK;
/*
 * A command to the store itself: its words, then NULL. The answer is allocated
 * and NUL-terminated as xs_read's. -E2BIG the words do not fit a message.
 */
int xs_control(struct xs *xs, const char *const *args, char **ret,
	       size_t *len) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_XS_H */
