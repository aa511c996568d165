/* SPDX-License-Identifier: MIT */
/*
 * limiter.h - limits of what passes in one of two directions: operations and
 * bytes a second, of both directions together and of each; and the users of one
 * limiter, who share it: the queues of a disk, the disks of a group.
 *
 * A user asks before each operation. What it may use is fetched from the
 * limiter a quantum at a time (LIMITER_QUANTUM_NS worth of the rate), under the
 * limiter's lock; what is left of it needs no lock. Users who wait get a
 * quantum each, in turn: they share the bytes of a limiter evenly whatever the
 * size of their operations, and however late they are asked to go on.
 *
 * Disks use the directions for reads and writes, networks for what the guest
 * receives and sends.
 *
 * Thread: limiter_* any; a user belongs to one thread. Logs: never.
 */
#ifndef UTIL_LIMITER_H
#define UTIL_LIMITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "util/annotate.h"
#include "util/bucket.h"

#define LIMITER_QUANTUM_NS UINT64_C(2000000)

enum limiter_direction {
	LIMITER_READ,
	LIMITER_WRITE
};

enum limiter_rate {
	LIMITER_OPS,
	LIMITER_BYTES,
	LIMITER_READ_OPS,
	LIMITER_READ_BYTES,
	LIMITER_WRITE_OPS,
	LIMITER_WRITE_BYTES
};
#define LIMITER_NR_RATES 6u

#define LIMITER_BURST_MS_MAX	 60000u
#define LIMITER_BURST_MS_DEFAULT 100u
#define LIMITER_OPS_MIN		 UINT64_C(1)
#define LIMITER_BYTES_MIN	 UINT64_C(4096)
#define LIMITER_RATE_MAX	 (UINT64_C(1) << 40)

/* What operations and directions are called. */
enum limiter_words {
	LIMITER_DISKS,	 /* "iops", "read-bytes", ... */
	LIMITER_NETWORKS /* "packets", "rx-bytes", ... */
};

struct limiter_rates {
	uint64_t per_second[LIMITER_NR_RATES]; /* 0: no limit */
	/* What may be saved up while idle, as time at the rate. */
	uint32_t burst_ms;
};

/*
 * "iops=500,read-bytes=1048576,burst-ms=200": names of the rates and their
 * values, each once, in any order; "" is no limit. Strict: -EINVAL an unknown
 * name, one twice, not a number; -ERANGE outside the bounds above. *ret only on
 * success.
 */
int limiter_parse(enum limiter_words words, const char *text,
		  struct limiter_rates *ret) PV_MUST_CHECK;
/*
 * "BYTES,USEC", as libxl writes an interface's rate: so many bytes to be sent
 * in so many microseconds, which is also what may be saved up; 0 microseconds
 * are no limit. -EINVAL, -ERANGE.
 */
int limiter_parse_xl(const char *text, struct limiter_rates *ret) PV_MUST_CHECK;
/* limiter_parse's text; -ENAMETOOLONG. Returns its length. */
#define LIMITER_TEXT_MAX 256
int limiter_format(enum limiter_words words, const struct limiter_rates *rates,
		   char *buf, size_t size) PV_MUST_CHECK;
const char *limiter_rate_name(enum limiter_words words, enum limiter_rate rate);
bool limiter_rate_is_bytes(enum limiter_rate rate);
bool limiter_rates_any(const struct limiter_rates *rates);

struct limiter {
	pthread_mutex_t lock; /* guards buckets, quanta, nr_waiting */
	struct bucket buckets[LIMITER_NR_RATES];
	uint64_t quanta[LIMITER_NR_RATES];
	unsigned nr_waiting[LIMITER_NR_RATES]; /* users with a reservation */
	/* Counts the changes, times two; bit 0: there is a limit. Written under
	 * the lock. */
	_Atomic uint64_t version;
};

void limiter_init(struct limiter *l); /* no limit */
void limiter_fini(struct limiter *l); /* it has no users */
/*
 * Change the rates. Users that wait learn of it when they ask again: who
 * changes a limiter has to wake them.
 */
void limiter_set(struct limiter *l, const struct limiter_rates *rates,
		 uint64_t now_ns);

/* One user's part in a limiter. A zeroed one has no limiter. */
struct limiter_user {
	struct limiter *limiter;
	uint64_t version; /* of the limiter, to which the shares belong */
	unsigned limited; /* a bit for each rate that was limited then */
	struct limiter_share {
		uint64_t credit;   /* taken, to be used */
		uint64_t reserved; /* taken, ours from due_ns on */
		uint64_t due_ns;
	} shares[LIMITER_NR_RATES];
};

/* Is there any limit? Otherwise there is nothing to ask for. */
static inline bool limiter_user_limited(const struct limiter_user *u)
{
	/* pairs with limiter_set() */
	return u->limiter && (atomic_load_explicit(&u->limiter->version,
						   memory_order_acquire) &
			      1);
}

/* Give back what the old one's shares hold; limiter may be NULL. */
void limiter_user_join(struct limiter_user *u, struct limiter *limiter);
/* The user goes idle or leaves: others may have what it has not used. */
void limiter_user_rest(struct limiter_user *u);
/*
 * May an operation of so many bytes pass all of nr users' limiters? Returns 0:
 * yes, it has been paid for; else the time before which it may not: ask again
 * then, for the same operation.
 */
uint64_t limiter_admit(struct limiter_user *users, unsigned nr,
		       enum limiter_direction direction, uint64_t size_bytes,
		       uint64_t now_ns);

/* ---- one that has limits of its own and those of its group ---- */

struct limiter_pair {
	struct limiter *own, *group; /* NULL: none */
};

/* A zeroed one has neither. */
struct limiter_member {
	struct limiter_user users[2];
};

void limiter_member_set(struct limiter_member *m,
			const struct limiter_pair *limiters);
/* limiter_user_rest, limiter_user_limited, limiter_admit of both. */
void limiter_member_rest(struct limiter_member *m);
static inline bool limiter_member_limited(const struct limiter_member *m)
{
	return limiter_user_limited(&m->users[0]) ||
	       limiter_user_limited(&m->users[1]);
}
uint64_t limiter_member_admit(struct limiter_member *m,
			      enum limiter_direction direction,
			      uint64_t size_bytes, uint64_t now_ns);

#endif /* UTIL_LIMITER_H */
