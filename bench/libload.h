/* SPDX-License-Identifier: MIT */
/*
 * libload.h - load on a server over its Unix socket, whatever it speaks.
 *
 * Every connection sends a batch of operations in one call, waits until all of
 * it is answered, and sends the next: a closed loop, as many clients are. One
 * generator drives all servers, so that what it costs is the same for each; a
 * protocol (libload_xs.c, libload_redis.c) only writes requests and finds the
 * ends of answers.
 *
 * Thread: one, the caller's; it spins on its connections unless told to sleep.
 * Logs: never.
 */
#ifndef BENCH_LIBLOAD_H
#define BENCH_LIBLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/annotate.h"

#define LOAD_DEPTH_MAX	 64u
#define LOAD_VALUE_BYTES 32u
#define LOAD_KEY	 "/bench/00000000"
#define LOAD_KEY_BYTES	 (sizeof(LOAD_KEY) - 1)
#define LOAD_MESSAGE_MAX 256u /* of one operation, and of one answer */

enum load_op {
	LOAD_READ,  /* any of the keys */
	LOAD_WRITE, /* any of the keys */
	LOAD_TXN,   /* start, read, write, commit: one key, nobody else's */
	LOAD_EVENT, /* write a key that a second connection watches: done when
		       written and heard of */
	LOAD_FILL,  /* write the keys one after the other */
};

struct load_job {
	const struct load_proto *proto;
	const char *path; /* the server's socket */
	enum load_op op;
	unsigned nr_conns, depth, nr_keys;
	uint64_t run_ns; /* no new batch from then on */
	uint64_t nr_ops; /* or after so many operations; 0: no matter */
	bool sleeps;	 /* wait for answers in the kernel, not spinning */
};

struct load_result {
	uint64_t nr_ops;
	double per_s;	       /* operations a second */
	double p50_us, p99_us; /* from a batch's sending to its last answer */
};

struct load_conn {
	struct load *load;
	const struct load_job *job;
	struct load_conn *lead; /* whose batch it works for: mostly itself */
	unsigned idx;
	int fd;
	uint64_t sent_ns;
	uint32_t left; /* answers and events until the phase is over */
	uint32_t phase, part_len;
	uint32_t nr_tx, tx[LOAD_DEPTH_MAX]; /* the protocol's */
	char part[LOAD_MESSAGE_MAX];	    /* the begin of an answer */
};

struct load_proto {
	const char *name;
	unsigned nr_watch_answers; /* messages that setting a watch brings */
	/* Answers of one operation in a phase of it; 0: it has ended before. */
	unsigned (*nr_answers)(const struct load_job *job, unsigned phase);
	/* Append one operation's requests, at most LOAD_MESSAGE_MAX bytes. */
	char *(*put)(struct load_conn *conn, unsigned phase, unsigned i,
		     uint32_t key, char *at);
	/* Append the request to watch a key. */
	char *(*put_watch)(uint32_t key, char *at);
	/* Bytes of the answer at the begin of data: 0 it is not whole yet;
	 * -errno it says no. */
	ssize_t (*take)(struct load_conn *conn, const char *data, size_t len);
};

extern const struct load_proto load_xs, load_redis;

/* Write a key's name, LOAD_KEY_BYTES without a NUL. Returns the end. */
char *load_put_key(uint32_t key, char *at);
char *load_put_value(char *at);
static inline char *load_put_text(char *at, const char *text, size_t len)
{
	__builtin_memcpy(at, text, len);
	return at + len;
}
#define load_put_literal(at, text) load_put_text(at, text, sizeof(text) - 1)

struct load;
/* Connect, and set the watches of LOAD_EVENT. */
int load_open(const struct load_job *job, struct load **ret) PV_MUST_CHECK;
void load_close(struct load *load); /* NULL is fine */
/* Once for the job's time. -EIO an answer was an error; -ETIMEDOUT. */
int load_run(struct load *load, struct load_result *ret) PV_MUST_CHECK;

#endif /* BENCH_LIBLOAD_H */
