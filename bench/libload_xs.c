/* SPDX-License-Identifier: MIT */
/* libload_xs.c - load in the store's own protocol. See libload.h. */
#include <errno.h>
#include <string.h>

#include "abi/xs_wire.h"
#include "bench/libload.h"

static char *put_header(char *at, uint32_t type, uint32_t tx_id, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .tx_id = tx_id,
				   .len = (uint32_t)len };

	memcpy(at, &hdr, sizeof(hdr));
	return at + sizeof(hdr);
}

static char *put_read(char *at, uint32_t tx_id, uint32_t key)
{
	at = put_header(at, XS_READ, tx_id, LOAD_KEY_BYTES + 1);
	at = load_put_key(key, at);
	*at++ = '\0';
	return at;
}

static char *put_write(char *at, uint32_t tx_id, uint32_t key)
{
	at = put_header(at, XS_WRITE, tx_id,
			LOAD_KEY_BYTES + 1 + LOAD_VALUE_BYTES);
	at = load_put_key(key, at);
	*at++ = '\0';
	return load_put_value(at);
}

static char *put_start(char *at)
{
	at = put_header(at, XS_TRANSACTION_START, 0, 1);
	*at++ = '\0';
	return at;
}

static char *put_commit(char *at, uint32_t tx_id)
{
	at = put_header(at, XS_TRANSACTION_END, tx_id, 2);
	return load_put_text(at, "T", 2);
}

/* One message after the other, or, of many transactions, all three in one. */
static char *put_step(char *at, unsigned phase, bool alone, uint32_t tx_id,
		      uint32_t key)
{
	if (phase == 1 || !alone)
		at = put_read(at, tx_id, key);
	if (phase == 2 || !alone)
		at = put_write(at, tx_id, key);
	if (phase == 3 || !alone)
		at = put_commit(at, tx_id);
	return at;
}

static char *put(struct load_conn *c, unsigned phase, unsigned i, uint32_t key,
		 char *at)
{
	if (c->job->op == LOAD_READ)
		return put_read(at, 0, key);
	if (c->job->op != LOAD_TXN)
		return put_write(at, 0, key);
	/* Its number must be known before it is used. */
	if (phase == 0)
		return put_start(at);
	return put_step(at, phase, c->job->depth == 1, c->tx[i], key);
}

static unsigned nr_answers(const struct load_job *job, unsigned phase)
{
	if (job->op != LOAD_TXN)
		return phase == 0;
	if (job->depth == 1)
		return phase < 4;
	return phase == 0 ? 1 : phase == 1 ? 3 : 0;
}

static char *put_watch(uint32_t key, char *at)
{
	at = put_header(at, XS_WATCH, 0, LOAD_KEY_BYTES + 1 + 2);
	at = load_put_key(key, at);
	*at++ = '\0';
	return load_put_text(at, "t", 2);
}

static ssize_t take(struct load_conn *c, const char *data, size_t len)
{
	struct xsd_sockmsg hdr;

	if (len < sizeof(hdr))
		return 0;
	memcpy(&hdr, data, sizeof(hdr));
	if (hdr.type == XS_ERROR || hdr.len > XENSTORE_PAYLOAD_MAX)
		return -EIO;
	if (len < sizeof(hdr) + hdr.len)
		return 0;
	if (hdr.type == XS_TRANSACTION_START && c->nr_tx < LOAD_DEPTH_MAX) {
		uint32_t id = 0;

		for (const char *at = data + sizeof(hdr); *at; at++)
			id = id * 10 + (uint32_t)(*at - '0');
		c->tx[c->nr_tx++] = id;
	}
	return (ssize_t)(sizeof(hdr) + hdr.len);
}

const struct load_proto load_xs = {
	.name = "store",
	.nr_watch_answers = 2, /* "OK" and the first event */
	.nr_answers = nr_answers,
	.put = put,
	.put_watch = put_watch,
	.take = take,
};
