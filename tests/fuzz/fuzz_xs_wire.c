/* SPDX-License-Identifier: MIT */
/*
 * fuzz_xs_wire.c - the store's protocol: four clients of three domains, the
 * bytes of the input in pieces. A piece is: whose (1 byte), how long (1), the
 * bytes. The high bit of the first byte puts a header before them whose length
 * is right: type (1), transaction (1). The bit below it: the client does not
 * read what it is told, this time. Each piece takes a millisecond.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "util/clock.h"
#include "xenstore-lite/conn.h"

#define NR_CLIENTS 4

static uint64_t now_ns;

static uint64_t clock_of_pieces(void)
{
	return now_ns;
}

static void has_output(void *arg)
{
	(void)arg;
}

static void dropped(void *arg)
{
	struct xsd_conn **conn = arg;

	xsd_conn_close(*conn);
	*conn = NULL;
}

static int drain(struct xsd_conn *conn)
{
	const void *data;
	size_t len;

	while ((len = xsd_conn_output(conn, &data)) > 0) {
		size_t at = 0;

		while (at < len) {
			struct xsd_sockmsg hdr;

			memcpy(&hdr, (const char *)data + at, sizeof(hdr));
			at += sizeof(hdr) + hdr.len;
			if (hdr.len > XENSTORE_PAYLOAD_MAX || at > len)
				abort();
		}
		if (xsd_conn_sent(conn, len))
			return -1;
	}
	return 0;
}

/* What the daemon does: it feeds who wants to be fed, and gives the others
 * their next turn. */
static int serve(struct xsd_conn *conn, const uint8_t *data, size_t len)
{
	if (xsd_conn_wants_input(conn))
		return xsd_conn_feed(conn, data, len);
	return xsd_conn_sent(conn, 0);
}

static void feed(struct xsd *xsd, uint32_t domid, struct xsd_conn **conn,
		 const uint8_t *data, size_t len, bool reads)
{
	if (!*conn && xsd_conn_open(xsd, domid, conn, conn))
		return;
	if (serve(*conn, data, len) || (reads && drain(*conn))) {
		xsd_conn_close(*conn);
		*conn = NULL;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = dropped,
					    .now_ns = clock_of_pieces };
	static const uint32_t domids[NR_CLIENTS] = { 0, 1, 2, 1 };
	struct xsd_conn *conns[NR_CLIENTS] = { NULL };
	struct xsd *xsd;

	now_ns = NS_PER_S;
	if (xsd_open(1, &ops, &xsd))
		return 0;
	if (xsd_domain_create(xsd, 1, 2, "one") ||
	    xsd_domain_create(xsd, 2, 3, "two"))
		abort();
	while (size >= 2) {
		unsigned who = data[0] % NR_CLIENTS;
		size_t len = data[1];
		bool framed = data[0] & 0x80, reads = !(data[0] & 0x40);
		uint8_t buf[sizeof(struct xsd_sockmsg) + 256];
		struct xsd_sockmsg hdr = { 0 };

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if (framed && len >= 2) {
			hdr.type = data[0];
			hdr.tx_id = data[1];
			hdr.len = (uint32_t)len - 2;
			memcpy(buf, &hdr, sizeof(hdr));
			memcpy(buf + sizeof(hdr), data + 2, len - 2);
			feed(xsd, domids[who], &conns[who], buf,
			     sizeof(hdr) + len - 2, reads);
		} else {
			feed(xsd, domids[who], &conns[who], data, len, reads);
		}
		data += len;
		size -= len;
		now_ns += NS_PER_MS;
		xsd_wake(xsd);
		if (xsd_check(xsd))
			abort();
	}
	for (unsigned i = 0; i < NR_CLIENTS; i++)
		xsd_conn_close(conns[i]);
	xsd_close(xsd);
	return 0;
}
