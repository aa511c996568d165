/* SPDX-License-Identifier: MIT */
/*
 * libload_redis.c - the same load in redis's protocol. See libload.h.
 *
 * Reads are GET, writes SET, transactions MULTI, GET, SET, EXEC; events are
 * keyspace notifications (the server runs with notify-keyspace-events K$).
 */
#include <errno.h>
#include <string.h>

#include "bench/libload.h"

_Static_assert(LOAD_KEY_BYTES == 15 && LOAD_VALUE_BYTES == 32,
	       "the lengths in the requests below");

static char *put_get(char *at, uint32_t key)
{
	at = load_put_literal(at, "*2\r\n$3\r\nGET\r\n$15\r\n");
	at = load_put_key(key, at);
	return load_put_literal(at, "\r\n");
}

static char *put_set(char *at, uint32_t key)
{
	at = load_put_literal(at, "*3\r\n$3\r\nSET\r\n$15\r\n");
	at = load_put_key(key, at);
	at = load_put_literal(at, "\r\n$32\r\n");
	at = load_put_value(at);
	return load_put_literal(at, "\r\n");
}

/* One message after the other, or, of many transactions, all four in one. */
static char *put_txn(char *at, unsigned phase, bool alone, uint32_t key)
{
	if (phase == 0 || !alone)
		at = load_put_literal(at, "*1\r\n$5\r\nMULTI\r\n");
	if (phase == 1 || !alone)
		at = put_get(at, key);
	if (phase == 2 || !alone)
		at = put_set(at, key);
	if (phase == 3 || !alone)
		at = load_put_literal(at, "*1\r\n$4\r\nEXEC\r\n");
	return at;
}

static char *put(struct load_conn *c, unsigned phase, unsigned i, uint32_t key,
		 char *at)
{
	(void)i;
	if (c->job->op == LOAD_READ)
		return put_get(at, key);
	if (c->job->op != LOAD_TXN)
		return put_set(at, key);
	return put_txn(at, phase, c->job->depth == 1, key);
}

static unsigned nr_answers(const struct load_job *job, unsigned phase)
{
	if (job->op != LOAD_TXN)
		return phase == 0;
	if (job->depth == 1)
		return phase < 4;
	return phase == 0 ? 4 : 0;
}

static char *put_watch(uint32_t key, char *at)
{
	at = load_put_literal(at, "*2\r\n$9\r\nSUBSCRIBE\r\n$30\r\n"
				  "__keyspace@0__:");
	at = load_put_key(key, at);
	return load_put_literal(at, "\r\n");
}

/*
 * A line, with what follows it when it announces a string. *nr: the elements
 * that it announces; -1: an error. Returns its bytes; 0 it is not whole.
 */
static size_t take_element(const char *data, size_t len, int *nr)
{
	const char *nl = memchr(data, '\n', len);
	size_t bytes, string = 0;

	if (!nl)
		return 0;
	bytes = (size_t)(nl - data) + 1;
	*nr = data[0] == '-' || data[1] == '-' ? -1 : 0;
	if (*nr < 0 || (data[0] != '$' && data[0] != '*'))
		return bytes;
	for (const char *at = data + 1; *at >= '0' && *at <= '9'; at++)
		string = string * 10 + (size_t)(*at - '0');
	if (data[0] == '*')
		*nr = (int)string;
	else
		bytes += string + 2;
	return bytes <= len ? bytes : 0;
}

static ssize_t take(struct load_conn *c, const char *data, size_t len)
{
	size_t bytes = 0;
	int left = 1;

	(void)c;
	while (left > 0) {
		int nr;
		size_t used = take_element(data + bytes, len - bytes, &nr);

		if (used == 0)
			return 0;
		if (nr < 0)
			return -EIO;
		bytes += used;
		left += nr - 1;
	}
	return (ssize_t)bytes;
}

const struct load_proto load_redis = {
	.name = "redis",
	.nr_watch_answers = 1,
	.nr_answers = nr_answers,
	.put = put,
	.put_watch = put_watch,
	.take = take,
};
