/* SPDX-License-Identifier: MIT */
/* path.c - names of nodes. See path.h. */
#include "xenstore-lite/path.h"

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
	size_t given = strlen(text), counted = given;
	int len;

	ret->rel_off = 0;
	/* Only watches and rights know special names; nodes have none. */
	if (text[0] == '@')
		return -EINVAL;
	if (text[0] == '/') {
		counted = given - home_len(text);
		if (given > XSD_PATH_MAX || counted > path_bytes)
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
	ret->counted = (uint16_t)counted;
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
	ret->counted = ret->len;
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

void path_seed_init(struct path_seed *seed, uint64_t secret)
{
	seed->start = path_hash_end(secret);
	seed->mul = path_hash_end(secret + 0xD1B54A32D192ED03ull) | 1u;
}

uint64_t path_hash(const struct path_seed *seed, const char *path, size_t len)
{
	uint64_t h = seed->start;

	for (size_t i = 0; i < len; i++)
		h = path_hash_step(seed, h, path[i]);
	return path_hash_end(h);
}

void path_walk_init(struct path_walk *w, const struct path_seed *seed,
		    const char *path, size_t len)
{
	w->seed = seed;
	w->path = path;
	w->end = len;
	w->pos = 0;
	w->len = 0;
	w->state = seed->start;
	w->hash = 0;
}

bool path_walk_next(struct path_walk *w)
{
	if (w->pos == w->end)
		return false;
	do
		w->state = path_hash_step(w->seed, w->state, w->path[w->pos++]);
	while (w->pos != 1 && w->pos < w->end && w->path[w->pos] != '/');
	w->len = w->pos;
	w->hash = path_hash_end(w->state);
	return true;
}
