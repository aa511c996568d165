/* SPDX-License-Identifier: MIT */
/*
 * path.h - names of nodes: checked once, absolute from then on.
 *
 * A path consists of [A-Za-z0-9-/_@], begins with '/', has no empty component
 * and no '/' at its end, but for the root itself. One that a client gives
 * without a leading '/' is relative to its domain's home, /local/domain/N.
 *
 * Hashes run from left to right, so that one pass over a path yields the hash
 * of each of its ancestors; the seed is secret, so that nobody can choose
 * names that collide.
 */
#ifndef XENSTORE_LITE_PATH_H
#define XENSTORE_LITE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/grant.h"
#include "util/annotate.h"
#include "xenstore-lite/limits.h"

struct xpath {
	uint16_t len;	  /* without the NUL */
	uint16_t rel_off; /* where the part that the client gave begins */
	uint16_t counted; /* bytes of it that the domain's limit is for */
	char text[XSD_PATH_MAX + 1];
};

/*
 * Check text, make it absolute. path_bytes: the domain's limit (limits.h).
 * -EINVAL for everything that is not a path.
 */
int xpath_parse(const char *text, domid_t domid, uint32_t path_bytes,
		struct xpath *ret) PV_MUST_CHECK;

/*
 * The same, but a name that begins with '@' is fine too, and is left as it is:
 * whatever can be watched and have rights. Only the specials ever fire.
 */
int xpath_parse_any(const char *text, domid_t domid, uint32_t path_bytes,
		    struct xpath *ret) PV_MUST_CHECK;

/* "@introduceDomain", "@releaseDomain": things to watch that are no nodes. */
enum xsd_special {
	XSD_INTRODUCE_DOMAIN,
	XSD_RELEASE_DOMAIN,
	XSD_NR_SPECIALS
};

extern const char *const xsd_special_names[XSD_NR_SPECIALS];
#define XSD_SPECIAL_MAX 32	   /* "@introduceDomain/N" with its NUL */
#define XSD_ALL_DOMAINS UINT32_MAX /* not one in particular */

/*
 * "@releaseDomain": of all domains; "@releaseDomain/N": of this one.
 * -ENOENT when text names no special.
 */
int xsd_special_parse(const char *text, enum xsd_special *ret,
		      uint32_t *ret_domid) PV_MUST_CHECK;

/* Length of the parent's path; the root's is 0 (it has no parent). */
size_t path_parent_len(const char *path, size_t len);
/* The last component; the root's is "". */
const char *path_name(const char *path, size_t len);

/* ---- hashing ----------------------------------------------------------- */

struct path_seed {
	uint64_t start, mul;
};

void path_seed_init(struct path_seed *seed, uint64_t secret);

static inline uint64_t path_hash_step(const struct path_seed *seed, uint64_t h,
				      char c)
{
	return (h ^ (unsigned char)c) * seed->mul;
}

static inline uint64_t path_hash_end(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15ull;
	return h ^ (h >> 29);
}

uint64_t path_hash(const struct path_seed *seed, const char *path, size_t len);

/*
 * Walk over a path's prefixes that name nodes, the root first, itself last:
 *
 *	path_walk_init(&w, seed, path, len);
 *	while (path_walk_next(&w))
 *		... w.len, w.hash ...
 */
struct path_walk {
	const struct path_seed *seed;
	const char *path;
	size_t end, pos, len;
	uint64_t state, hash;
};

void path_walk_init(struct path_walk *w, const struct path_seed *seed,
		    const char *path, size_t len);
bool path_walk_next(struct path_walk *w);

#endif /* XENSTORE_LITE_PATH_H */
