/* SPDX-License-Identifier: MIT */
/*
 * xs_mortal.h - a store that dies, behind the client's transport: no socket, no
 * thread, to the byte.
 *
 * Each connection lives until so many bytes were taken from the client or given
 * to it. What was given before stays to be read; the tree survives, as with a
 * journal; transactions and watches of the connection do not.
 */
#ifndef TESTS_UNIT_XS_MORTAL_H
#define TESTS_UNIT_XS_MORTAL_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/store_peer.h"
#include "xenstore-lite/xs_private.h"

#define MORTAL_FOREVER SIZE_MAX

struct mortal {
	struct xs_link link;
	struct xsd *xsd;
	uint32_t domid;
	struct peer *peer; /* of the connection; NULL: it is dead */
	char *wire;	   /* given and not read */
	size_t wire_len, wire_size;
	size_t in_left, out_left; /* bytes until it dies */
	size_t nr_in, nr_out;	  /* bytes, over all connections */
	unsigned nr_sends;	  /* calls of send that took something */
	unsigned nr_connects;	  /* that were made */
	unsigned nr_tries;	  /* and those that were not */
	unsigned nr_refusals;	  /* tries to refuse from now on */
	int refusal;		  /* with; 0: -ECONNREFUSED */
	const void *lie;	  /* given before anything else, once */
	size_t lie_len;
	/* What the next connection's life is; NULL: for ever. */
	void (*next_life)(struct mortal *m);
	uint64_t seed; /* next_life's */
};

static inline void mortal_die(struct mortal *m)
{
	peer_close(m->peer);
	m->peer = NULL;
}

static inline void mortal_give(struct mortal *m, const void *data, size_t len)
{
	if (m->wire_len + len > m->wire_size) {
		m->wire_size = 2 * (m->wire_len + len);
		m->wire = realloc(m->wire, m->wire_size);
		if (!m->wire)
			abort();
	}
	memcpy(m->wire + m->wire_len, data, len);
	m->wire_len += len;
	m->nr_out += len;
}

/* Move what the store has to say to the wire, as far as it lives. */
static inline void mortal_drain(struct mortal *m)
{
	const void *data;
	size_t len;

	if (m->peer && m->lie) {
		mortal_give(m, m->lie, m->lie_len);
		m->lie = NULL;
	}
	while (m->peer && (len = xsd_conn_output(m->peer->conn, &data)) > 0) {
		if (len > m->out_left)
			len = m->out_left;
		mortal_give(m, data, len);
		if (m->out_left != MORTAL_FOREVER)
			m->out_left -= len;
		if (!m->out_left || xsd_conn_sent(m->peer->conn, len))
			mortal_die(m);
	}
}

static inline size_t mortal_take(struct mortal *m, const char *data, size_t len)
{
	size_t used = 0;

	while (m->peer && used < len && xsd_conn_wants_input(m->peer->conn)) {
		size_t n = len - used;

		if (n > XSD_FEED_MAX_BYTES)
			n = XSD_FEED_MAX_BYTES;
		if (n > m->in_left)
			n = m->in_left;
		if (xsd_conn_feed(m->peer->conn, data + used, n)) {
			mortal_die(m);
			break;
		}
		used += n;
		m->nr_in += n;
		if (m->in_left != MORTAL_FOREVER)
			m->in_left -= n;
		mortal_drain(m);
		if (!m->in_left)
			mortal_die(m);
	}
	return used;
}

static inline ssize_t mortal_send(struct xs_link *link, const struct iovec *iov,
				  unsigned nr)
{
	struct mortal *m = container_of(link, struct mortal, link);
	size_t total = 0;

	if (!m->peer)
		return -EPIPE;
	for (unsigned i = 0; i < nr; i++) {
		size_t n = mortal_take(m, iov[i].iov_base, iov[i].iov_len);

		total += n;
		if (n < iov[i].iov_len)
			break;
	}
	m->nr_sends += total > 0;
	return total ? (ssize_t)total : -EAGAIN;
}

static inline ssize_t mortal_recv(struct xs_link *link, void *buf, size_t size)
{
	struct mortal *m = container_of(link, struct mortal, link);

	mortal_drain(m);
	if (!m->wire_len)
		return m->peer ? -EAGAIN : 0;
	if (size > m->wire_len)
		size = m->wire_len;
	memcpy(buf, m->wire, size);
	m->wire_len -= size;
	memmove(m->wire, m->wire + size, m->wire_len);
	return (ssize_t)size;
}

static inline void mortal_hang_up(struct xs_link *link)
{
	mortal_die(container_of(link, struct mortal, link));
}

/* xs_link_fn */
static inline int mortal_connect(void *arg, struct xs_link **ret)
{
	static const struct xs_link_ops ops = { .send = mortal_send,
						.recv = mortal_recv,
						.close = mortal_hang_up };
	struct mortal *m = arg;

	m->nr_tries++;
	if (m->nr_refusals) {
		m->nr_refusals--;
		return m->refusal ? m->refusal : -ECONNREFUSED;
	}
	m->peer = peer_open(m->xsd, m->domid);
	if (!m->peer)
		return -EMFILE;
	m->nr_connects++;
	m->wire_len = 0;
	m->in_left = m->out_left = MORTAL_FOREVER;
	if (m->next_life)
		m->next_life(m);
	m->link.ops = &ops;
	*ret = &m->link;
	return 0;
}

/* Its descriptor is readable always: there is nothing to wait for. */
static inline int mortal_open(struct mortal *m, struct xs **ret)
{
	m->xsd = peer_store();
	m->link.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	m->link.room_events = EPOLLIN;
	return m->xsd && m->link.fd >= 0 ? xs_open_link(mortal_connect, m, ret)
					 : -ENOMEM;
}

static inline void mortal_close(struct mortal *m)
{
	UNIT_CHECK(xsd_check(m->xsd) == 0);
	mortal_die(m);
	xsd_close(m->xsd);
	close(m->link.fd);
	free(m->wire);
}

#endif /* TESTS_UNIT_XS_MORTAL_H */
