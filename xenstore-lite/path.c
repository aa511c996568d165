/* SPDX-License-Identifier: MIT */
/* path.c - names of nodes. See path.h. */
#include "xenstore-lite/path.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "util/num.h"

const char *const xsd_special_names[XSD_NR_SPECIALS] = {
	[XSD_INTRODUCE_DOMAIN] = "@introduceDomain",
	[XSD_RELEASE_DOMAIN] = "@releaseDomain",
};

int xsd_special_parse(const char *text, enum xsd_special *ret,
		      uint32_t *ret_domid)
{
	uint32_t domid = XSD_ALL_DOMAINS;

	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++) {
		size_t len = strlen(xsd_special_names[i]);

		if (strncmp(text, xsd_special_names[i], len) != 0)
			continue;
		if (text[len] != '\0' &&
		    (text[len] != '/' ||
		     num_parse_u32(text + len + 1, DOMID_FIRST_RESERVED - 1,
				   &domid)))
			return -ENOENT;
		*ret = (enum xsd_special)i;
		*ret_domid = domid;
		return 0;
	}
	return -ENOENT;
}

static const bool is_path_byte[256] = {
	['-'] = true,	      ['/'] = true,	    ['_'] = true,
	['@'] = true,	      ['0' ... '9'] = true, ['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
};

static bool is_canonical(const char *text, size_t len)
{
	if (len > 1 && text[len - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_path_byte[(unsigned char)text[i]] ||
		    (text[i] == '/' && text[i + 1] == '/'))
			return false;
	return true;
}

/* Length of a leading "/local/domain/N/", 0 when there is none. */
static size_t home_len(const char *text)
{
	static const char prefix[] = "/local/domain/";
	size_t i = sizeof(prefix) - 1, digits;

	if (strncmp(text, prefix, i) != 0)
		return 0;
	for (digits = 0; digits < 5 && text[i] >= '0' && text[i] <= '9'; i++)
		digits++;
	return digits && text[i] == '/' ? i + 1 : 0;
}

int xpath_parse(const char *text, domid_t domid, uint32_t path_bytes,
		struct xpath *ret)
{
	size_t given = strlen(text);
	int len;

	ret->rel_off = 0;
	/* Only watches and rights know special names; nodes have none. */
	if (text[0] == '@')
		return -EINVAL;
	if (text[0] == '/') {
		if (given > XSD_PATH_MAX || given - home_len(text) > path_bytes)
			return -EINVAL;
		memcpy(ret->text, text, given + 1);
		len = (int)given;
	} else {
		if (given > XENSTORE_REL_PATH_MAX || given > path_bytes)
			return -EINVAL;
		len = str_printf(ret->text, sizeof(ret->text),
				 "/local/domain/%u/%s", domid, text);
		if (len < 0)
			return -EINVAL;
		ret->rel_off = (uint16_t)((size_t)len - given);
	}
	if (!is_canonical(ret->text, (size_t)len))
		return -EINVAL;
	ret->len = (uint16_t)len;
	return 0;
}

int xpath_parse_any(const char *text, domid_t domid, uint32_t path_bytes,
		    struct xpath *ret)
{
	size_t len = strlen(text);

	if (text[0] != '@')
		return xpath_parse(text, domid, path_bytes, ret);
	if (len > XSD_PATH_MAX || len > path_bytes || !is_canonical(text, len))
		return -EINVAL;
	memcpy(ret->text, text, len + 1);
	ret->len = (uint16_t)len;
	ret->rel_off = 0;
	return 0;
}

size_t path_parent_len(const char *path, size_t len)
{
	if (len <= 1)
		return 0;
	while (path[len - 1] != '/')
		len--;
	return len > 1 ? len - 1 : 1;
}

const char *path_name(const char *path, size_t len)
{
	size_t parent_len = path_parent_len(path, len);

	return path + parent_len + (parent_len != 1);
}

/* ---- hashing ------------------------------------------------------------ */

void path_seed_init(struct path_seed *seed, uint64_t secret)
{
	seed->start = path_hash_mix(secret);
	seed->mul = path_hash_mix(secret + 0xD1B54A32D192ED03ull) | 1u;
}

/* len bytes, at most eight of them: the first is the lowest, zeros follow. */
static uint64_t load(const char *at, size_t len)
{
	uint64_t word = 0;
	uint32_t low, high;

	if (len >= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		return le64toh(word);
	}
	if (len >= sizeof(low)) {
		/* What both hold is the same in both. */
		memcpy(&low, at, sizeof(low));
		memcpy(&high, at + len - sizeof(high), sizeof(high));
		return le32toh(low) | (uint64_t)le32toh(high)
					      << 8 * (len - sizeof(high));
	}
	while (len > 0)
		word = word << 8 | (unsigned char)at[--len];
	return word;
}

/* The top bit of each byte that is a '/'. */
static uint64_t find_slashes(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t x = word ^ ones * '/';

	return ~((x & ones * 0x7f) + ones * 0x7f) & ~x & ones << 7;
}

static uint64_t fold(const struct path_seed *seed, uint64_t h, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(h ^ word) * seed->mul;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Fold the component at *pos, with the '/' that it begins with, and move *pos
 * behind it. Eight bytes make a word; that a '/' begins every component and is
 * nowhere else, and a NUL nowhere at all, keeps different paths different.
 */
static uint64_t fold_component(const struct path_seed *seed, uint64_t h,
			       const char *path, size_t end, size_t *pos)
{
	uint64_t skip = 0x80; /* the first byte's slash is no end */

	for (;;) {
		size_t len = end - *pos < 8 ? end - *pos : 8;
		uint64_t word = load(path + *pos, len);
		uint64_t slash = find_slashes(word) & ~skip;

		if (slash) {
			len = (size_t)__builtin_ctzll(slash) / 8;
			word &= (1ull << 8 * len) - 1;
		}
		*pos += len;
		if (len)
			h = fold(seed, h, word);
		if (slash || *pos == end)
			return h;
		skip = 0;
	}
}

uint64_t path_hash(const struct path_seed *seed, const char *path, size_t len)
{
	uint64_t h = seed->start;
	size_t pos = 0;

	/* The root is the path without a component. */
	while (len > 1 && pos < len)
		h = fold_component(seed, h, path, len, &pos);
	return h;
}

void path_walk_init(struct path_walk *w, const struct path_seed *seed,
		    const char *path, size_t len)
{
	w->seed = seed;
	w->path = path;
	w->end = len;
	w->pos = 0;
	w->len = 0;
	w->hash = seed->start;
}

bool path_walk_next(struct path_walk *w)
{
	if (w->len == 0) {
		w->len = 1;
		return true;
	}
	if (w->end == 1 || w->pos == w->end)
		return false;
	w->hash = fold_component(w->seed, w->hash, w->path, w->end, &w->pos);
	w->len = w->pos;
	return true;
}
