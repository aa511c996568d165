/* SPDX-License-Identifier: MIT */
/*
 * pvsplit_stats.c - the pages of the store's figures, pvsplit/store_stats.h,
 * from a store that answers what a test says. It does not link the real client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pvsplit/store_stats.h"
#include "tests/unit/unit.h"
#include "util/num.h"

static struct {
	const char *pages[4];
	unsigned nr_asked;
	char asked[4][64];
	size_t bytes; /* of an answer; 0: all of it */
	int err;
} store;

int xs_control(struct xs *xs, const char *const *args, char **ret, size_t *len)
{
	const char *page = store.pages[store.nr_asked];

	(void)xs;
	if (store.err || !page)
		return store.err ? store.err : -EIO;
	snprintf(store.asked[store.nr_asked], sizeof(store.asked[0]),
		 "%s %s %s %s", args[0], args[1], args[2],
		 args[3] ? "more" : "");
	store.nr_asked++;
	*len = store.bytes ? store.bytes : strlen(page) + 1;
	*ret = strdup(page);
	return *ret ? 0 : -ENOMEM;
}

/* The rows of "row" lines as JSON text, or NULL with the error in last_err. */
static char *text;
static int last_err;

static const char *read_all(uint32_t domid)
{
	struct pvsplit ps = { 0 };
	json_t *rows;

	free(text);
	text = NULL;
	store.nr_asked = 0;
	last_err = store_stats_read(&ps, "things", "row", domid, &rows);
	if (last_err)
		return NULL;
	text = json_dumps(rows, JSON_COMPACT);
	json_decref(rows);
	return text;
}

static void set_pages(const char *first, const char *second, const char *third)
{
	memset(&store, 0, sizeof(store));
	store.pages[0] = first;
	store.pages[1] = second;
	store.pages[2] = third;
}

static void reads_page_after_page(void)
{
	set_pages("row name=a n=1\nrow name=b n=2\nmore 3.0.1\n",
		  "row name=c n=18446744073709551\nmore 3.1.0\n", "end\n");
	UNIT_REQUIRE(read_all(STORE_STATS_ALL) != NULL);
	UNIT_CHECK(strcmp(text,
			  "[{\"name\":\"a\",\"n\":1},"
			  "{\"name\":\"b\",\"n\":2},"
			  "{\"name\":\"c\",\"n\":18446744073709551}]") == 0);
	UNIT_CHECK(store.nr_asked == 3);
	UNIT_CHECK(strcmp(store.asked[0], "stats things 0.0.0 ") == 0);
	UNIT_CHECK(strcmp(store.asked[1], "stats things 3.0.1 ") == 0);
	UNIT_CHECK(strcmp(store.asked[2], "stats things 3.1.0 ") == 0);
}

static void reads_nothing_as_nothing(void)
{
	set_pages("end\n", NULL, NULL);
	UNIT_CHECK(read_all(STORE_STATS_ALL) && strcmp(text, "[]") == 0);
}

/* It begins at the domain, skips what is before it and ends behind it. */
static void reads_one_domains_rows_only(void)
{
	set_pages("row domid=3 n=1\nrow domid=4 n=2\nmore 4.9.0\n",
		  "row domid=4 n=3\nrow domid=5 n=4\nmore 6.0.0\n", NULL);
	UNIT_REQUIRE(read_all(4) != NULL);
	UNIT_CHECK(strcmp(text, "[{\"domid\":4,\"n\":2},"
				"{\"domid\":4,\"n\":3}]") == 0);
	UNIT_CHECK(strcmp(store.asked[0], "stats things 4.0.0 ") == 0);
	UNIT_CHECK(store.nr_asked == 2);
}

static void refuses_what_is_no_answer(void)
{
	static const char *const bad[] = {
		"",
		"end",
		"\n",
		"END\n",
		"end \n",
		"row n=1\n",
		"row n=1\nend",
		"end\nend\n",
		"end\nrow n=1\n",
		"other n=1\nend\n",
		"rown=1\nend\n",
		"row n\nend\n",
		"row n=\nend\n",
		"row =1\nend\n",
		"row n=1x\nend\n",
		"row n=9223372036854775808\nend\n",
		"row n=\xff\nend\n",
		"more\n",
		"more \n",
		"more 1\n",
		"more 1.2\n",
		"more 1.2.3.4\n",
		"more 1.2.x\n",
		"more 1..2\n",
		"more 1.2.99999999999999999999\n",
		"more 0.0.0\n",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		/* The second page would end it well. */
		set_pages(bad[i], "end\n", NULL);
		UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EPROTO);
		if (last_err != -EPROTO)
			printf("taken: %s\n", bad[i]);
	}
}

/* A store that always has one more page of the same would never end. */
static void refuses_pages_that_do_not_go_on(void)
{
	set_pages("more 2.1.0\n", "more 2.1.0\n", "end\n");
	UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EPROTO);
	set_pages("more 2.1.0\n", "more 2.0.9\n", "end\n");
	UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EPROTO);
}

static void refuses_bytes_behind_the_text(void)
{
	set_pages("end\n", NULL, NULL);
	store.bytes = 4;
	UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EPROTO);
	store.bytes = 6;
	UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EPROTO);
}

static void hands_on_what_the_store_says(void)
{
	set_pages("end\n", NULL, NULL);
	store.err = -EACCES;
	UNIT_CHECK(!read_all(STORE_STATS_ALL) && last_err == -EACCES);
	free(text);
}

UNIT_MAIN("pvsplit_stats", UNIT_TEST(reads_page_after_page),
	  UNIT_TEST(reads_nothing_as_nothing),
	  UNIT_TEST(reads_one_domains_rows_only),
	  UNIT_TEST(refuses_what_is_no_answer),
	  UNIT_TEST(refuses_pages_that_do_not_go_on),
	  UNIT_TEST(refuses_bytes_behind_the_text),
	  UNIT_TEST(hands_on_what_the_store_says))
