/* SPDX-License-Identifier: MIT */
/* path.c - hashes of paths: of every ancestor in one pass, and no two alike. */
#include "xenstore-lite/path.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

#define NR_RANDOM 20000u

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t end)
{
	random_state =
		random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % end;
}

/* Components of 1 to 17 bytes of two letters: much that is nearly the same. */
static size_t random_path(char *path)
{
	unsigned nr = random_below(5);
	size_t len = 0;

	if (nr == 0)
		path[len++] = '/';
	for (unsigned i = 0; i < nr; i++) {
		path[len++] = '/';
		for (unsigned n = 1 + random_below(17); n > 0; n--)
			path[len++] = random_below(2) ? 'a' : '-';
	}
	return len;
}

/* The same bytes with nothing readable behind them. */
static uint64_t hash_alone(const struct path_seed *seed, const char *path,
			   size_t len)
{
	char *copy = malloc(len);
	uint64_t hash;

	if (!copy)
		abort();
	memcpy(copy, path, len);
	hash = path_hash(seed, copy, len);
	free(copy);
	return hash;
}

static void a_walk_gives_the_hash_of_every_ancestor(void)
{
	struct path_seed seed;
	char path[128];

	path_seed_init(&seed, 0x5eed);
	for (unsigned i = 0; i < NR_RANDOM; i++) {
		size_t len = random_path(path), last = 0;
		struct path_walk w;

		path_walk_init(&w, &seed, path, len);
		while (path_walk_next(&w)) {
			UNIT_CHECK(w.hash == hash_alone(&seed, path, w.len));
			UNIT_CHECK(last == (w.len == len
						    ? path_parent_len(path, len)
						    : last));
			UNIT_REQUIRE(w.len > last);
			last = w.len;
		}
		UNIT_CHECK(last == len);
	}
}

static int compare_hashes(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Every path of up to len bytes of 'a' and '/'. */
static void different_paths_have_different_hashes(void)
{
	static uint64_t hashes[1u << 18];
	struct path_seed seed;
	uint32_t nr = 0;

	path_seed_init(&seed, 0x5eed);
	for (size_t len = 2; len <= 18; len++)
		for (uint32_t bits = 0; bits < 1u << (len - 1); bits++) {
			char path[18] = "/";

			if (bits & bits >> 1 || bits & 1)
				continue; /* "//" */
			for (size_t i = 1; i < len; i++)
				path[i] = bits >> (i - 1) & 1 ? '/' : 'a';
			if (path[len - 1] != '/')
				hashes[nr++] = path_hash(&seed, path, len);
		}
	UNIT_CHECK(nr > 1000);
	qsort(hashes, nr, sizeof(hashes[0]), compare_hashes);
	for (uint32_t i = 1; i < nr; i++)
		UNIT_CHECK(hashes[i] != hashes[i - 1]);
}

static void the_ends_of_words_count(void)
{
	static const char *const paths[] = {
		"/",
		"/a",
		"/aa",
		"/aaaaaaa",
		"/aaaaaaaa",
		"/aaaaaaa/a",
		"/aaaaaaaa/a",
		"/aaaaaaa/aaaaaaa",
		"/aaaaaaaaaaaaaa",
		"/aaaaaaaaaaaaaaa",
		"@releaseDomain",
		"@releaseDomain/1",
		"@releaseDomain/10",
		"@introduceDomain",
	};
	struct path_seed seed;

	path_seed_init(&seed, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++)
		for (unsigned j = 0; j < i; j++)
			UNIT_CHECK(
				hash_alone(&seed, paths[i], strlen(paths[i])) !=
				hash_alone(&seed, paths[j], strlen(paths[j])));
}

static void another_secret_gives_other_hashes(void)
{
	struct path_seed one, two;

	path_seed_init(&one, 1);
	path_seed_init(&two, 2);
	UNIT_CHECK(path_hash(&one, "/", 1) != path_hash(&two, "/", 1));
	UNIT_CHECK(path_hash(&one, "/a", 2) != path_hash(&two, "/a", 2));
}

UNIT_MAIN("path", UNIT_TEST(a_walk_gives_the_hash_of_every_ancestor),
	  UNIT_TEST(different_paths_have_different_hashes),
	  UNIT_TEST(the_ends_of_words_count),
	  UNIT_TEST(another_secret_gives_other_hashes))
