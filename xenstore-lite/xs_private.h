/* SPDX-License-Identifier: MIT */
/*
 * xs_private.h - between the files of the client library.
 *
 *	xs.c, xs_util.c	 the calls of xs.h
 *	xs_txn.c	 transactions: the caller's ids and the store's
 *	xs_watch.c	 watches, events, what comes back after a loss
 *	xs_call.c	 requests: queued, matched with answers, sent again
 *	xs_open.c	 a client's beginning and end
 *	xs_conn.c	 the connection: bytes, waiting, made anew
 *	xs_socket.c	 the transport over a stream socket
 *	xs_page.c	 the transport over a shared page
 *
 * Each calls those below it; upwards the connection says only what arrived
 * (xs_call_answer, xs_watch_event) and that it was lost or made.
 */
#ifndef XENSTORE_LITE_XS_PRIVATE_H
#define XENSTORE_LITE_XS_PRIVATE_H

#include <sys/uio.h>

#include "abi/xs_wire.h"
#include "util/list.h"
#include "util/spin.h"
#include "xenstore-lite/xs.h"

#define XS_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* ---- transport ----------------------------------------------------------- */

struct xs_link;

struct xs_link_ops {
	/*
	 * As much of it as goes now. Returns the bytes; -EAGAIN none; another
	 * -errno: no more will ever go (what was received before the end is
	 * still to be had from recv, which then says the end itself).
	 */
	ssize_t (*send)(struct xs_link *link, const struct iovec *iov,
			unsigned nr);
	/* Bytes, fewer than size only when there are no more now; -EAGAIN none;
	 * 0 or another -errno: the end. */
	ssize_t (*recv)(struct xs_link *link, void *buf, size_t size);
	void (*close)(struct xs_link *link);
};

/* One connection to a store; its maker embeds it. */
struct xs_link {
	const struct xs_link_ops *ops;
	int fd; /* readable: recv has something to say */
	/* Events of fd after which send may go on: EPOLLOUT or EPOLLIN. */
	uint32_t room_events;
};

/* Make a connection without blocking: 0 or -errno, see xs_connect_fn. */
typedef int xs_link_fn(void *arg, struct xs_link **ret);

/* As xs_open, over any transport. */
int xs_open_link(xs_link_fn *fn, void *arg, struct xs **ret) PV_MUST_CHECK;

/* Over a connected stream socket; takes fd over, on success only. */
int xs_socket_link(int fd, struct xs_link **ret) PV_MUST_CHECK;

/* ---- the connection ------------------------------------------------------ */

struct xs_call;

struct xs {
	/* xs_conn.c */
	struct xs_link *link; /* NULL: not connected */
	xs_link_fn *connect;  /* NULL: lost is lost */
	void *connect_arg;
	struct {
		xs_connect_fn *fn;
		void *arg;
	} socket; /* of xs_open */
	int err;  /* why it was lost for good */
	int epfd, timer_fd;
	uint32_t epoll_events;
	uint64_t timer_at_ns, retry_at_ns, timeout_ns;
	unsigned nr_failures; /* since a message was received */
	bool full, closed;    /* send: no room; no more for ever */
	struct spin spin;     /* before a blocking call sleeps */
	size_t rx_start, rx_len;
	char rx[4 * XS_MESSAGE_MAX];

	/* xs_call.c */
	struct list calls;	/* not answered, in order */
	struct xs_call *unsent; /* the first that is not wholly sent */
	size_t unsent_from;	/* the bytes of it that are */
	struct list answered;	/* submitted ones; their callbacks are due */
	unsigned nr_submitted;	/* on either list */
	uint32_t last_req_id;

	/* xs_watch.c */
	struct list watches, events;
	uint64_t last_token, rewatch_at_ns;

	/* xs_txn.c */
	struct list txns;
	uint32_t last_txn;
};

/* Use a link that was just made; on failure it stays the caller's. */
int xs_conn_use(struct xs *xs, struct xs_link *link) PV_MUST_CHECK;
void xs_conn_close(struct xs *xs);
/* Make a connection now, or say why there is none; that is tried again. */
int xs_conn_connect(struct xs *xs) PV_MUST_CHECK;
/* Wait until the link has something for us, or the deadline. -ETIMEDOUT. */
int xs_conn_wait(struct xs *xs, uint64_t deadline_ns) PV_MUST_CHECK;
/* Connect when that is due. Whether there is a connection. */
bool xs_conn_ready(struct xs *xs);
/* Send what there is, as far as it goes. */
void xs_conn_send(struct xs *xs);
/* Receive once and take what is whole. Whether there may be more now. */
bool xs_conn_receive(struct xs *xs);
/* The connection is over because of err; a new one is made when it can be. */
void xs_conn_lost(struct xs *xs, int err);
/* The same for an answer that cannot be. Returns -EPROTO. */
int xs_conn_nonsense(struct xs *xs);
/* Let the descriptor of xs_fd wake its user when there is something to do. */
void xs_conn_arm(struct xs *xs);

/* ---- requests ------------------------------------------------------------ */

struct xs_call {
	struct list link;
	/* A blocking call's frees itself; otherwise at most one of the two: */
	xs_done_fn *done; /* from dispatch */
	void (*settled)(struct xs *xs, struct xs_call *call); /* at once */
	void *arg;
	bool waited, wanted; /* blocking; its payload matters */
	bool submitted;	     /* counted in nr_submitted */
	bool answered;
	int err;
	char *data; /* the answer's payload and a NUL */
	size_t len;
	uint64_t deadline_ns;
	size_t bytes;
	struct xsd_sockmsg hdr; /* the request, and its payload behind it */
	char payload[];
};

/* A request with its payload in pieces; tx is the store's own id. */
int xs_call_new(struct xs *xs, enum xsd_sockmsg_type type, uint32_t tx,
		const struct iovec *parts, unsigned nr,
		struct xs_call **ret) PV_MUST_CHECK;
void xs_call_free(struct xs_call *call); /* not one that is queued */
/* Queue it before the one at, or with &xs->calls as the last. */
void xs_call_queue(struct xs *xs, struct xs_call *call, struct list *at);
/* Wait for a queued call's answer. */
int xs_call_wait(struct xs *xs, struct xs_call *call) PV_MUST_CHECK;

/*
 * One request and its answer; tx is the caller's id. ret (NULL: not wanted):
 * allocated, with a NUL behind its *len bytes.
 */
int xs_talk(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
	    const struct iovec *parts, unsigned nr, char **ret,
	    size_t *len) PV_MUST_CHECK;
int xs_talk_text(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
		 const char *text, char **ret, size_t *len) PV_MUST_CHECK;
struct iovec xs_text_part(const char *text);

/* An answer arrived. -EPROTO it cannot be. */
int xs_call_answer(struct xs *xs, const struct xsd_sockmsg *hdr,
		   const char *payload) PV_MUST_CHECK;
/* The connection was lost: what is sent again, what has failed. */
void xs_calls_lost(struct xs *xs, int err);
/* What waited too long has failed. Returns whether there was any. */
bool xs_calls_expire(struct xs *xs, uint64_t now_ns);
uint64_t xs_calls_deadline(const struct xs *xs); /* UINT64_MAX: none */
/* Callbacks that are due now. */
void xs_calls_run(struct xs *xs);
void xs_calls_fini(struct xs *xs);

/* ---- watches, transactions ----------------------------------------------- */

int xs_watch_event(struct xs *xs, const char *payload,
		   size_t len) PV_MUST_CHECK;
/*
 * Ask a store that knows none of them for all watches, before anything else
 * that is queued, or at the end; only those it refused: refused.
 */
int xs_watches_again(struct xs *xs, bool first, bool refused) PV_MUST_CHECK;
void xs_events_run(struct xs *xs);
void xs_watches_fini(struct xs *xs);

/* The store's id of an open transaction. -ENOENT; -EAGAIN it was lost. */
int xs_txn_wire(const struct xs *xs, xs_txn_t tx, uint32_t *ret) PV_MUST_CHECK;
void xs_txns_lost(struct xs *xs);
void xs_txns_fini(struct xs *xs);

#endif /* XENSTORE_LITE_XS_PRIVATE_H */
