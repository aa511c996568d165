/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - limits and those who share them, see limiter.h.
 *
 * Which rates an operation has to pay for: the ones of both directions, and
 * those of its own.
 */
#include "util/limiter.h"

#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/num.h"

#define RATES_OF_A_DIRECTION 4u

static const enum limiter_rate rates_of[][RATES_OF_A_DIRECTION] = {
	[LIMITER_READ] = { LIMITER_OPS, LIMITER_BYTES, LIMITER_READ_OPS,
			   LIMITER_READ_BYTES },
	[LIMITER_WRITE] = { LIMITER_OPS, LIMITER_BYTES, LIMITER_WRITE_OPS,
			    LIMITER_WRITE_BYTES },
};

static const char *const names[][LIMITER_NR_RATES] = {
	[LIMITER_DISKS] = {
		[LIMITER_OPS] = "iops",
		[LIMITER_BYTES] = "bytes",
		[LIMITER_READ_OPS] = "read-iops",
		[LIMITER_READ_BYTES] = "read-bytes",
		[LIMITER_WRITE_OPS] = "write-iops",
		[LIMITER_WRITE_BYTES] = "write-bytes",
	},
	[LIMITER_NETWORKS] = {
		[LIMITER_OPS] = "packets",
		[LIMITER_BYTES] = "bytes",
		[LIMITER_READ_OPS] = "rx-packets",
		[LIMITER_READ_BYTES] = "rx-bytes",
		[LIMITER_WRITE_OPS] = "tx-packets",
		[LIMITER_WRITE_BYTES] = "tx-bytes",
	},
};

/* ---- rates as text ---- */

const char *limiter_rate_name(enum limiter_words words, enum limiter_rate rate)
{
	return names[words][rate];
}

bool limiter_rate_is_bytes(enum limiter_rate rate)
{
	return rate == LIMITER_BYTES || rate == LIMITER_READ_BYTES ||
	       rate == LIMITER_WRITE_BYTES;
}

bool limiter_rates_any(const struct limiter_rates *rates)
{
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++)
		if (rates->per_second[i])
			return true;
	return false;
}

static int parse_rate(const char *value, enum limiter_rate rate,
		      struct limiter_rates *rates)
{
	uint64_t least = limiter_rate_is_bytes(rate) ? LIMITER_BYTES_MIN
						     : LIMITER_OPS_MIN;
	int err = num_parse_u64(value, LIMITER_RATE_MAX,
				&rates->per_second[rate]);

	if (err)
		return err;
	return rates->per_second[rate] < least ? -ERANGE : 0;
}

/* One NAME=VALUE; seen has a bit for each name that came before. */
static int parse_word(enum limiter_words words, const char *word,
		      struct limiter_rates *rates, unsigned *seen)
{
	const char *const *known = names[words];
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : 0;
	unsigned i = 0;

	if (!value)
		return -EINVAL;
	value++;
	while (i < LIMITER_NR_RATES &&
	       (strlen(known[i]) != len || memcmp(known[i], word, len) != 0))
		i++;
	if (i == LIMITER_NR_RATES &&
	    (len != strlen("burst-ms") || memcmp(word, "burst-ms", len) != 0))
		return -EINVAL;
	if (*seen >> i & 1)
		return -EINVAL;
	*seen |= 1u << i;
	if (i < LIMITER_NR_RATES)
		return parse_rate(value, (enum limiter_rate)i, rates);
	return num_parse_u32(value, LIMITER_BURST_MS_MAX, &rates->burst_ms);
}

int limiter_parse(enum limiter_words words, const char *text,
		  struct limiter_rates *ret)
{
	struct limiter_rates rates = { .burst_ms = LIMITER_BURST_MS_DEFAULT };
	char copy[LIMITER_TEXT_MAX];
	char *word = copy;
	unsigned seen = 0;
	int err = str_printf(copy, sizeof(copy), "%s", text);

	if (err < 0)
		return -EINVAL;
	err = 0;
	while (!err && word && *text) {
		char *comma = strchr(word, ',');

		if (comma)
			*comma++ = '\0';
		err = parse_word(words, word, &rates, &seen);
		word = comma;
	}
	if (!err)
		*ret = rates;
	return err;
}

#define US_PER_S  1000000u
#define US_PER_MS 1000u

int limiter_parse_xl(const char *text, struct limiter_rates *ret)
{
	struct limiter_rates rates = { .burst_ms = LIMITER_BURST_MS_DEFAULT };
	size_t len = strcspn(text, ",");
	uint64_t bytes, us, per_second;
	char number[24];
	int err = -EINVAL;

	if (text[len] && len < sizeof(number)) {
		memcpy(number, text, len);
		number[len] = '\0';
		err = num_parse_u64(number, UINT64_MAX, &bytes);
	}
	if (!err)
		err = num_parse_u64(text + len + 1, UINT32_MAX, &us);
	if (err)
		return err;
	if (us) {
		if (bytes > UINT64_MAX / US_PER_S)
			return -ERANGE;
		per_second = bytes * US_PER_S / us;
		if (per_second < LIMITER_BYTES_MIN ||
		    per_second > LIMITER_RATE_MAX ||
		    us > (uint64_t)LIMITER_BURST_MS_MAX * US_PER_MS)
			return -ERANGE;
		rates.per_second[LIMITER_WRITE_BYTES] = per_second;
		rates.burst_ms = (uint32_t)((us + US_PER_MS - 1) / US_PER_MS);
	}
	*ret = rates;
	return 0;
}

int limiter_format(enum limiter_words words, const struct limiter_rates *rates,
		   char *buf, size_t size)
{
	int len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++) {
		int n;

		if (!rates->per_second[i])
			continue;
		n = str_printf(buf + len, size - (size_t)len, "%s%s=%llu",
			       len ? "," : "", names[words][i],
			       (unsigned long long)rates->per_second[i]);
		if (n < 0)
			return n;
		len += n;
	}
	if (len && rates->burst_ms != LIMITER_BURST_MS_DEFAULT) {
		int n = str_printf(buf + len, size - (size_t)len,
				   ",burst-ms=%u", rates->burst_ms);

		if (n < 0)
			return n;
		len += n;
	}
	return len;
}

/* ---- the limiter ---- */

void limiter_init(struct limiter *l)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
}

void limiter_fini(struct limiter *l)
{
	pthread_mutex_destroy(&l->lock);
}

void limiter_set(struct limiter *l, const struct limiter_rates *rates,
		 uint64_t now_ns)
{
	uint64_t version;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++) {
		uint64_t rate = rates->per_second[i];
		uint64_t quantum =
			rate * (LIMITER_QUANTUM_NS / 1000) / (NS_PER_S / 1000);

		bucket_set(&l->buckets[i], rate, rate * rates->burst_ms / 1000,
			   now_ns);
		l->quanta[i] = quantum ? quantum : 1;
	}
	version =
		(atomic_load_explicit(&l->version, memory_order_relaxed) | 1) +
		1;
	/* pairs with limiter_user_limited() and provide() */
	atomic_store_explicit(&l->version, version | limiter_rates_any(rates),
			      memory_order_release);
	pthread_mutex_unlock(&l->lock);
}

/* ---- users ---- */

/* Under the lock: the shares go back to where they were taken. */
static void give_back(struct limiter_user *u)
{
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++) {
		struct limiter_share *s = &u->shares[i];

		bucket_give_back(&u->limiter->buckets[i],
				 s->credit + s->reserved);
		u->limiter->nr_waiting[i] -= s->reserved > 0;
		*s = (struct limiter_share){ 0 };
	}
}

/* Under the lock: the rates are not those that the shares were made for. */
static void begin_anew(struct limiter_user *u, uint64_t version)
{
	give_back(u);
	u->version = version;
	u->limited = 0;
	for (unsigned i = 0; i < LIMITER_NR_RATES; i++)
		if (u->limiter->buckets[i].rate)
			u->limited |= 1u << i;
}

void limiter_user_rest(struct limiter_user *u)
{
	bool any = false;

	for (unsigned i = 0; i < LIMITER_NR_RATES; i++)
		any |= u->shares[i].credit || u->shares[i].reserved;
	if (!any)
		return;
	pthread_mutex_lock(&u->limiter->lock);
	give_back(u);
	pthread_mutex_unlock(&u->limiter->lock);
}

void limiter_user_join(struct limiter_user *u, struct limiter *limiter)
{
	limiter_user_rest(u);
	u->limiter = limiter;
	u->version = 0;
}

/* Under the lock. */
static bool enough(struct limiter_user *u, enum limiter_rate rate,
		   uint64_t amount, uint64_t now_ns)
{
	struct limiter_share *s = &u->shares[rate];

	if (s->reserved && s->due_ns <= now_ns) {
		s->credit += s->reserved;
		s->reserved = 0;
		u->limiter->nr_waiting[rate]--;
	}
	return s->credit >= amount;
}

/*
 * Under the lock. Returns 0, or when to come again. What was saved up while
 * nobody looked, because the thread was late, goes to who asks first; while
 * others wait, no more of it than a quantum in turn.
 */
static uint64_t fetch(struct limiter_user *u, enum limiter_rate rate,
		      uint64_t amount, uint64_t now_ns)
{
	struct limiter_share *s = &u->shares[rate];
	struct bucket *b = &u->limiter->buckets[rate];
	uint64_t quantum = u->limiter->quanta[rate];
	uint64_t there, wanted;

	if (!b->rate || enough(u, rate, amount, now_ns))
		return 0;
	if (s->reserved)
		return s->due_ns;
	there = bucket_available(b, now_ns);
	wanted = amount - s->credit > quantum ? amount - s->credit : quantum;
	if (there && !u->limiter->nr_waiting[rate]) {
		wanted = wanted < there ? wanted : there;
		(void)bucket_take(b, wanted, now_ns);
		s->credit += wanted;
		if (s->credit >= amount)
			return 0;
	}
	s->due_ns = bucket_take(b, quantum, now_ns);
	if (s->due_ns <= now_ns)
		s->due_ns = now_ns + 1;
	s->reserved = quantum;
	u->limiter->nr_waiting[rate]++;
	return s->due_ns;
}

static uint64_t amount_of(enum limiter_rate rate, uint64_t size_bytes)
{
	return limiter_rate_is_bytes(rate) ? size_bytes : 1;
}

static bool has_credit(const struct limiter_user *u,
		       enum limiter_direction direction, uint64_t size_bytes)
{
	for (unsigned i = 0; i < RATES_OF_A_DIRECTION; i++) {
		enum limiter_rate rate = rates_of[direction][i];

		if ((u->limited >> rate & 1) &&
		    u->shares[rate].credit < amount_of(rate, size_bytes))
			return false;
	}
	return true;
}

/* Make the user's credit enough. Returns 0, or when to come again. */
static uint64_t provide(struct limiter_user *u,
			enum limiter_direction direction, uint64_t size_bytes,
			uint64_t now_ns)
{
	/* pairs with limiter_set() */
	uint64_t version = atomic_load_explicit(&u->limiter->version,
						memory_order_acquire);
	uint64_t latest_ns = 0;

	if (version == u->version && has_credit(u, direction, size_bytes))
		return 0;
	pthread_mutex_lock(&u->limiter->lock);
	version = atomic_load_explicit(&u->limiter->version,
				       memory_order_relaxed);
	if (version != u->version)
		begin_anew(u, version);
	for (unsigned i = 0; i < RATES_OF_A_DIRECTION; i++) {
		enum limiter_rate rate = rates_of[direction][i];
		uint64_t due_ns =
			fetch(u, rate, amount_of(rate, size_bytes), now_ns);

		latest_ns = due_ns > latest_ns ? due_ns : latest_ns;
	}
	pthread_mutex_unlock(&u->limiter->lock);
	return latest_ns;
}

static void pay(struct limiter_user *u, enum limiter_direction direction,
		uint64_t size_bytes)
{
	if (!has_credit(u, direction, size_bytes))
		return; /* its limits were taken away meanwhile */
	for (unsigned i = 0; i < RATES_OF_A_DIRECTION; i++) {
		enum limiter_rate rate = rates_of[direction][i];

		if (u->limited >> rate & 1)
			u->shares[rate].credit -= amount_of(rate, size_bytes);
	}
}

uint64_t limiter_admit(struct limiter_user *users, unsigned nr,
		       enum limiter_direction direction, uint64_t size_bytes,
		       uint64_t now_ns)
{
	uint64_t latest_ns = 0;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t due_ns;

		if (!limiter_user_limited(&users[i]))
			continue;
		due_ns = provide(&users[i], direction, size_bytes, now_ns);
		latest_ns = due_ns > latest_ns ? due_ns : latest_ns;
	}
	if (latest_ns)
		return latest_ns;
	for (unsigned i = 0; i < nr; i++)
		pay(&users[i], direction, size_bytes);
	return 0;
}

/* ---- members ---- */

void limiter_member_set(struct limiter_member *m,
			const struct limiter_pair *limiters)
{
	if (m->users[0].limiter != limiters->own)
		limiter_user_join(&m->users[0], limiters->own);
	if (m->users[1].limiter != limiters->group)
		limiter_user_join(&m->users[1], limiters->group);
}

void limiter_member_rest(struct limiter_member *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->users); i++)
		limiter_user_rest(&m->users[i]);
}

uint64_t limiter_member_admit(struct limiter_member *m,
			      enum limiter_direction direction,
			      uint64_t size_bytes, uint64_t now_ns)
{
	return limiter_admit(m->users, ARRAY_SIZE(m->users), direction,
			     size_bytes, now_ns);
}
