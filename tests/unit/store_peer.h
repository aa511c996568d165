/* SPDX-License-Identifier: MIT */
/*
 * store_peer.h - a client of the store without a socket, for the tests: every
 * request goes through the wire format, as a guest's would.
 */
#ifndef TESTS_UNIT_STORE_PEER_H
#define TESTS_UNIT_STORE_PEER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "tests/unit/unit.h"
#include "xenstore-lite/conn.h"

#define PEER_EVENTS 64

struct peer {
	struct xsd_conn *conn;
	uint32_t req_id;
	char reply[XENSTORE_PAYLOAD_MAX + 1];
	size_t reply_len;
	unsigned nr_replies, nr_events;
	struct {
		char path[XENSTORE_PAYLOAD_MAX], token[XENSTORE_PAYLOAD_MAX];
	} events[PEER_EVENTS];
};

static inline void peer_has_output(void *arg)
{
	(void)arg;
}

static inline void peer_dropped(void *arg)
{
	struct peer *peer = arg;

	xsd_conn_close(peer->conn);
	peer->conn = NULL;
}

/*
 * The store's clock: every look at it takes so long that nobody ever changes
 * too much in too short a time (credit.h).
 */
static inline uint64_t peer_now_ns(void)
{
	static uint64_t now_ns;

	return now_ns += 10 * 1000 * 1000;
}

static inline struct xsd *peer_store(void)
{
	static const struct xsd_ops ops = { .output = peer_has_output,
					    .dropped = peer_dropped,
					    .now_ns = peer_now_ns };
	struct xsd *xsd;

	return xsd_open(0x5eed, &ops, &xsd) ? NULL : xsd;
}

/* One that no domain of this program has had; the first is not domain 0's. */
static inline uint64_t peer_life(void)
{
	static uint64_t life = 1;

	return ++life;
}

/* A connection of domid, whose domain is made when it is not there. */
static inline struct peer *peer_open(struct xsd *xsd, uint32_t domid)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char name[16];

	if (!peer)
		return NULL;
	snprintf(name, sizeof(name), "d-%u", domid);
	if ((domid && !xsd_domain_exists(xsd, domid) &&
	     xsd_domain_create(xsd, domid, peer_life(), name)) ||
	    xsd_conn_open(xsd, domid, peer, &peer->conn)) {
		free(peer);
		return NULL;
	}
	return peer;
}

static inline void peer_close(struct peer *peer)
{
	if (peer)
		xsd_conn_close(peer->conn);
	free(peer);
}

/* One message of the output; the answer's type, or -1. */
static inline int peer_take(struct peer *peer, const struct xsd_sockmsg *hdr,
			    const char *payload)
{
	if (hdr->type != XS_WATCH_EVENT) {
		memcpy(peer->reply, payload, hdr->len);
		peer->reply[hdr->len] = '\0';
		peer->reply_len = hdr->len;
		peer->nr_replies++;
		return (int)hdr->type;
	}
	if (peer->nr_events < PEER_EVENTS) {
		size_t path_bytes = strlen(payload) + 1;

		memcpy(peer->events[peer->nr_events].path, payload, path_bytes);
		memcpy(peer->events[peer->nr_events].token,
		       payload + path_bytes, hdr->len - path_bytes);
	}
	peer->nr_events++;
	return -1;
}

/* What there is or, in its next turn, will be. */
static inline size_t peer_output(struct peer *peer, const void **data)
{
	size_t len = xsd_conn_output(peer->conn, data);

	if (len == 0 && xsd_conn_sent(peer->conn, 0) == 0)
		len = xsd_conn_output(peer->conn, data);
	return len;
}

/* Read all output; returns the type of the last answer in it, or -1. */
static inline int peer_read_all(struct peer *peer)
{
	const void *data;
	size_t len;
	int type = -1;

	while ((len = peer_output(peer, &data)) > 0) {
		struct xsd_sockmsg hdr;
		size_t at = 0;

		while (at < len) {
			int got;

			memcpy(&hdr, (const char *)data + at, sizeof(hdr));
			at += sizeof(hdr);
			got = peer_take(peer, &hdr, (const char *)data + at);
			at += hdr.len;
			if (got >= 0)
				type = got;
		}
		if (xsd_conn_sent(peer->conn, len))
			return -1;
	}
	return type;
}

/* Ask; 0 when the answer (in reply) is none of error, else its -errno. */
static inline int peer_ask(struct peer *peer, uint32_t type, uint32_t tx,
			   const void *payload, size_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr = { .type = type,
				   .tx_id = tx,
				   .len = (uint32_t)len };
	int got;

	if (!peer || !peer->conn)
		return -EPROTO;
	hdr.req_id = ++peer->req_id;
	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), payload, len);
	if (xsd_conn_feed(peer->conn, buf, sizeof(hdr) + len))
		return -EPROTO;
	got = peer_read_all(peer);
	if (got == XS_ERROR)
		return -xsd_error_number(peer->reply);
	return got == (int)type ? 0 : -EPROTO;
}

static inline int peer_text(struct peer *peer, uint32_t type, uint32_t tx,
			    const char *text)
{
	return peer_ask(peer, type, tx, text, strlen(text) + 1);
}

static inline int peer_two(struct peer *peer, uint32_t type, uint32_t tx,
			   const char *first, const void *second, size_t len)
{
	char buf[XENSTORE_PAYLOAD_MAX];
	size_t head = strlen(first) + 1;

	memcpy(buf, first, head);
	if (len)
		memcpy(buf + head, second, len);
	return peer_ask(peer, type, tx, buf, head + len);
}

static inline int peer_write(struct peer *peer, uint32_t tx, const char *path,
			     const char *value)
{
	return peer_two(peer, XS_WRITE, tx, path, value, strlen(value));
}

/* 1 when the node can be read and holds exactly value. */
static inline int peer_reads(struct peer *peer, uint32_t tx, const char *path,
			     const char *value)
{
	return peer_text(peer, XS_READ, tx, path) == 0 &&
	       peer->reply_len == strlen(value) &&
	       memcmp(peer->reply, value, peer->reply_len) == 0;
}

/* perms: words, "n1 r2". */
static inline int peer_chmod(struct peer *peer, uint32_t tx, const char *path,
			     const char *perms)
{
	char text[256];

	snprintf(text, sizeof(text), "%s", perms);
	for (char *c = text; *c; c++)
		if (*c == ' ')
			*c = '\0';
	return peer_two(peer, XS_SET_PERMS, tx, path, text, strlen(perms) + 1);
}

/* 1 when the answer to a list is these words. */
static inline int peer_replied(const struct peer *peer, const char *words)
{
	char text[XENSTORE_PAYLOAD_MAX + 1];
	size_t len = peer->reply_len;

	if (len == 0)
		return words[0] == '\0';
	memcpy(text, peer->reply, len);
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return text[len - 1] == '\0' && strcmp(text, words) == 0;
}

static inline int peer_lists(struct peer *peer, uint32_t tx, const char *path,
			     const char *words)
{
	return peer_text(peer, XS_DIRECTORY, tx, path) == 0 &&
	       peer_replied(peer, words);
}

static inline int peer_has_perms(struct peer *peer, const char *path,
				 const char *words)
{
	return peer_text(peer, XS_GET_PERMS, 0, path) == 0 &&
	       peer_replied(peer, words);
}

/* 0 when there can be none. */
static inline uint32_t peer_start(struct peer *peer)
{
	if (!peer || peer_text(peer, XS_TRANSACTION_START, 0, ""))
		return 0;
	return (uint32_t)strtoul(peer->reply, NULL, 10);
}

static inline int peer_end(struct peer *peer, uint32_t tx, int commit)
{
	return peer_text(peer, XS_TRANSACTION_END, tx, commit ? "T" : "F");
}

static inline int peer_watch(struct peer *peer, const char *path,
			     const char *token)
{
	return peer_two(peer, XS_WATCH, 0, path, token, strlen(token) + 1);
}

static inline int peer_unwatch(struct peer *peer, const char *path,
			       const char *token)
{
	return peer_two(peer, XS_UNWATCH, 0, path, token, strlen(token) + 1);
}

/*
 * 1 when the events since the last call are these words "path=token", in this
 * order.
 */
static inline int peer_heard(struct peer *peer, const char *words)
{
	char text[16384] = "";
	size_t used = 0;

	peer_read_all(peer);
	for (unsigned i = 0; i < peer->nr_events && i < PEER_EVENTS; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s%s=%s", i ? " " : "",
					 peer->events[i].path,
					 peer->events[i].token);
	peer->nr_events = 0;
	if (strcmp(text, words) != 0)
		printf("heard: %.200s\nnot:   %.200s\n", text, words);
	return strcmp(text, words) == 0;
}

#endif /* TESTS_UNIT_STORE_PEER_H */
