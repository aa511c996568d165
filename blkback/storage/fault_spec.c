/* SPDX-License-Identifier: MIT */
/* fault_spec.c - the text of faults and its judgement: see fault_spec.h. */
#include "blkback/storage/fault_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"
#include "util/num.h"

#define WORD_MAX     64u
#define DELAY_MAX_NS (3600 * NS_PER_S)
#define OPS_ALL                                                                \
	(1u << STORAGE_READ | 1u << STORAGE_WRITE | 1u << STORAGE_FLUSH |      \
	 1u << STORAGE_DISCARD)

/* ---- words ----------------------------------------------------------------
 */

/* Copy text up to one of stops into word. -ENAMETOOLONG. */
static int cut(const char **text, const char *stops, char word[WORD_MAX])
{
	size_t len = strcspn(*text, stops);

	if (len >= WORD_MAX)
		return -ENAMETOOLONG;
	memcpy(word, *text, len);
	word[len] = '\0';
	*text += len;
	return 0;
}

static int parse_op(const char *word, unsigned *ret)
{
	static const struct {
		const char *word;
		unsigned ops;
	} names[] = {
		{ "read", 1u << STORAGE_READ },
		{ "write", 1u << STORAGE_WRITE },
		{ "flush", 1u << STORAGE_FLUSH },
		{ "discard", 1u << STORAGE_DISCARD },
		{ "any", OPS_ALL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(word, names[i].word) == 0) {
			*ret = names[i].ops;
			return 0;
		}
	return -EINVAL;
}

static int parse_error(const char *word, int *ret)
{
	static const int errors[] = { EIO,	 ENOSPC, ENOMEM,
				      ETIMEDOUT, EROFS,	 EOPNOTSUPP };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (strcmp(word, strerrorname_np(errors[i])) == 0) {
			*ret = -errors[i];
			return 0;
		}
	return -EINVAL;
}

static int parse_time(const char *word, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "us", NS_PER_US },
		      { "ms", NS_PER_MS },
		      { "s", NS_PER_S } };
	size_t len = strspn(word, "0123456789");
	char digits[WORD_MAX];
	uint64_t nr;

	snprintf(digits, sizeof(digits), "%.*s", (int)len, word);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(word + len, units[i].unit) == 0 &&
		    num_parse_u64(digits, DELAY_MAX_NS / units[i].ns, &nr) ==
			    0) {
			*ret_ns = nr * units[i].ns;
			return 0;
		}
	return -EINVAL;
}

/* A-B, or A alone, with the numbers' own parser. */
static int parse_range(const char *text,
		       int (*parse)(const char *word, uint64_t *ret),
		       uint64_t *ret_first, uint64_t *ret_last)
{
	char word[WORD_MAX];
	int err = cut(&text, "-", word);

	if (!err)
		err = parse(word, ret_first);
	*ret_last = *ret_first;
	if (!err && *text)
		err = parse(text + 1, ret_last);
	return err || *ret_last < *ret_first ? -EINVAL : 0;
}

static int parse_sector(const char *word, uint64_t *ret)
{
	return num_parse_u64(word, INT64_MAX / 512, ret);
}

/* A positive number. */
static int parse_count(const char *text, uint32_t *ret)
{
	int err = num_parse_u32(text, 1000000000u, ret);

	return err || !*ret ? -EINVAL : 0;
}

/* ---- clauses ---------------------------------------------------------------
 */

static int parse_key(const char *key, const char *value, struct fault_rule *r)
{
	if (!value && strcmp(key, "hang") == 0) {
		r->hang = true;
		return 0;
	}
	if (strcmp(key, "torn") == 0 && r->ops == 1u << STORAGE_WRITE) {
		r->torn_sectors = FAULT_TORN_ANY;
		return value ? num_parse_u32(value, 1000000, &r->torn_sectors)
			     : 0;
	}
	if (!value)
		return -EINVAL;
	if (strcmp(key, "sectors") == 0) {
		r->by_sector = true;
		return parse_range(value, parse_sector, &r->first_sector,
				   &r->last_sector);
	}
	if (strcmp(key, "delay") == 0)
		return parse_range(value, parse_time, &r->delay_min_ns,
				   &r->delay_max_ns);
	if (strcmp(key, "error") == 0)
		return parse_error(value, &r->error);
	if (strcmp(key, "one-in") == 0)
		return parse_count(value, &r->one_in);
	if (strcmp(key, "after") == 0)
		return parse_count(value, &r->after);
	if (strcmp(key, "times") == 0)
		return parse_count(value, &r->times);
	if (strcmp(key, "reorder") == 0)
		return parse_count(value, &r->reorder);
	return -EINVAL;
}

static bool does_something(const struct fault_rule *r)
{
	return r->error || r->delay_max_ns || r->hang || r->reorder ||
	       r->torn_sectors != FAULT_TORN_NO;
}

static int refuse(int err, const char *word, const char *what, char *why,
		  size_t why_size)
{
	snprintf(why, why_size, "fault: '%s': %s", word, what);
	return err;
}

/* text: what follows OP, up to the clause's end. */
static int parse_keys(const char **text, struct fault_rule *r, char *why,
		      size_t why_size)
{
	while (**text == ':') {
		char pair[WORD_MAX], *value;

		++*text;
		if (cut(text, ":+", pair))
			return refuse(-EINVAL, "...", "is too long", why,
				      why_size);
		value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		if (parse_key(pair, value, r)) {
			if (value)
				value[-1] = '=';
			return refuse(-EINVAL, pair,
				      "is none of sectors=A-B, one-in=N, "
				      "after=N, times=N, error=EIO, "
				      "delay=20ms, hang, torn=N (of write), "
				      "reorder=N",
				      why, why_size);
		}
	}
	return 0;
}

static int parse_clause(const char **text, struct fault_spec *spec, char *why,
			size_t why_size)
{
	struct fault_rule *r = &spec->rules[spec->nr_rules];
	char word[WORD_MAX];

	if (cut(text, ":+", word))
		return refuse(-EINVAL, "...", "is too long", why, why_size);
	if (strncmp(word, "seed=", 5) == 0 && **text != ':') {
		if (num_parse_u64(word + 5, UINT64_MAX, &spec->random))
			return refuse(-EINVAL, word, "is not a number", why,
				      why_size);
		return 0;
	}
	if (spec->nr_rules == FAULT_RULES_MAX)
		return refuse(-E2BIG, word, "is one clause too many", why,
			      why_size);
	r->torn_sectors = FAULT_TORN_NO;
	if (parse_op(word, &r->ops))
		return refuse(-EINVAL, word,
			      "is not read, write, flush, discard, any or "
			      "seed=N",
			      why, why_size);
	if (parse_keys(text, r, why, why_size))
		return -EINVAL;
	if (!does_something(r))
		return refuse(-EINVAL, word,
			      "says not what happens: error=EIO, delay=20ms, "
			      "hang, torn=N or reorder=N",
			      why, why_size);
	spec->nr_rules++;
	return 0;
}

int fault_spec_parse(const char *text, struct fault_spec *ret, char *why,
		     size_t why_size)
{
	struct fault_spec spec = { .nr_rules = 0 };
	int err = 0;

	if (strcmp(text, "off") == 0) {
		*ret = spec;
		return 0;
	}
	for (;;) {
		err = parse_clause(&text, &spec, why, why_size);
		if (err)
			return err;
		if (!*text)
			break;
		text++; /* the '+' */
	}
	*ret = spec;
	return 0;
}

/* ---- judgement
 * --------------------------------------------------------------- */

/* splitmix64. */
static uint64_t draw(struct fault_spec *spec)
{
	uint64_t z = spec->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static bool fits(struct fault_spec *spec, struct fault_rule *r,
		 const struct storage_io *io)
{
	uint64_t first = io->offset_bytes / 512;
	uint64_t end = first + io->size_bytes / 512;

	if (!(r->ops & 1u << io->op))
		return false;
	if (r->by_sector && (io->op == STORAGE_FLUSH ||
			     end <= r->first_sector || first > r->last_sector))
		return false;
	if (r->one_in && draw(spec) % r->one_in)
		return false;
	if (r->nr_matched++ < r->after)
		return false;
	return !r->times || r->nr_matched - r->after <= r->times;
}

void fault_spec_judge(struct fault_spec *spec, const struct storage_io *io,
		      struct fault_verdict *ret)
{
	uint64_t nr = io->size_bytes / 512;
	struct fault_rule *r = spec->rules;

	*ret = (struct fault_verdict){ .torn_sectors = FAULT_TORN_NO };
	while (r < spec->rules + spec->nr_rules && !fits(spec, r, io))
		r++;
	if (r == spec->rules + spec->nr_rules)
		return;
	ret->error = r->error;
	ret->hang = r->hang;
	ret->delay_ns = r->delay_min_ns;
	if (r->delay_max_ns > r->delay_min_ns)
		ret->delay_ns +=
			draw(spec) % (r->delay_max_ns - r->delay_min_ns + 1);
	if (r->reorder)
		ret->reorder = 1 + (uint32_t)(draw(spec) % r->reorder);
	if (r->torn_sectors == FAULT_TORN_ANY)
		ret->torn_sectors = nr ? (uint32_t)(draw(spec) % nr) : 0;
	else if (r->torn_sectors < nr)
		ret->torn_sectors = r->torn_sectors;
}
