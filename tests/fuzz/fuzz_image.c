/* SPDX-License-Identifier: MIT */
/*
 * fuzz_image.c - the live-update image: it is refused, or it makes a store in
 * which all counts are right, then and after every open transaction has been
 * committed and all output read.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "xenstore-lite/image.h"
#include "xenstore-lite/private.h"
#include "xenstore-lite/serve.h"

#define NR_CONNS   64
#define NR_COMMITS 64

struct owner {
	struct xsd_conn *conns[NR_CONNS];
	unsigned nr;
};

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

static int restore(void *arg, struct xsd_conn *conn, struct decoder *d,
		   void **ret)
{
	struct owner *owner = arg;

	dec_u8(d);
	if (owner->nr == NR_CONNS)
		return -1;
	owner->conns[owner->nr] = conn;
	*ret = &owner->conns[owner->nr++];
	return 0;
}

static bool drain(struct xsd_conn *conn)
{
	const void *data;
	size_t len;

	while ((len = xsd_conn_output(conn, &data)) > 0)
		if (xsd_conn_sent(conn, len))
			return false;
	return xsd_conn_sent(conn, 0) == 0;
}

/* What it has under way is made true, or not. */
static bool commit_one(struct xsd_conn *conn)
{
	char buf[sizeof(struct xsd_sockmsg) + 2];
	struct xsd_sockmsg hdr = { .type = XS_TRANSACTION_END, .len = 2 };

	if (list_empty(&conn->txns) || conn->in.len ||
	    !xsd_conn_wants_input(conn))
		return false;
	hdr.tx_id = container_of(conn->txns.next, struct txn, of_conn)->id;
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), "T", 2);
	return xsd_conn_feed(conn, buf, sizeof(buf)) == 0 && drain(conn);
}

static void go_on(struct xsd *xsd, struct owner *owner)
{
	for (unsigned i = 0; i < owner->nr; i++) {
		if (owner->conns[i] && !drain(owner->conns[i]))
			dropped(&owner->conns[i]);
		for (unsigned k = 0; k < NR_COMMITS && owner->conns[i]; k++)
			if (!commit_one(owner->conns[i]))
				break;
		if (xsd_check(xsd))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xsd_ops ops = { .output = has_output,
					    .dropped = dropped };
	struct owner owner = { .nr = 0 };
	const struct image_owner io = { .restore = restore, .arg = &owner };
	struct decoder d;
	struct xsd *xsd;

	/* The same bytes as the whole daemon's. */
	(void)!server_check_image(data, size);
	if (xsd_open(1, &ops, &xsd))
		return 0;
	decoder_init(&d, data, size);
	if (xsd_restore(xsd, &io, &d) == 0) {
		if (xsd_check(xsd))
			abort();
		go_on(xsd, &owner);
	}
	for (unsigned i = 0; i < owner.nr; i++)
		if (owner.conns[i])
			dropped(&owner.conns[i]);
	xsd_close(xsd);
	return 0;
}
