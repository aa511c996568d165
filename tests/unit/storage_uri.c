/* SPDX-License-Identifier: MIT */
/* storage_uri.c - URIs of disks on servers: taken apart; shown without secrets.
 */
#include "blkback/storage/uri.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/url.h"

static void a_uri_falls_into_its_parts(void)
{
	static const struct {
		const char *text, *scheme, *user, *host, *port, *path, *query;
	} cases[] = {
		{ "nbd://host", "nbd", "", "host", "", "", "" },
		{ "nbd://host/", "nbd", "", "host", "", "", "" },
		{ "nbd://host:10809/a/b", "nbd", "", "host", "10809", "a/b",
		  "" },
		{ "nbd://u@host?k=v", "nbd", "u", "host", "", "", "k=v" },
		{ "nbds://u%40x@[::1]:7/%2fx%20y?a=%41&b=", "nbds", "u@x",
		  "::1", "7", "/x y", "a=%41&b=" },
		{ "nbd+unix:///e?socket=/s", "nbd+unix", "", "", "", "e",
		  "socket=/s" },
		{ "x://[fe80::2]/", "x", "", "fe80::2", "", "", "" },
		{ "x://a@b@c", "x", "a@b", "c", "", "", "" },
		{ "x://h:65535", "x", "", "h", "65535", "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uri u;

		UNIT_REQUIRE(uri_parse(cases[i].text, &u) == 0);
		UNIT_CHECK(strcmp(u.scheme, cases[i].scheme) == 0);
		UNIT_CHECK(strcmp(u.user, cases[i].user) == 0);
		UNIT_CHECK(strcmp(u.host, cases[i].host) == 0);
		UNIT_CHECK(strcmp(u.port, cases[i].port) == 0);
		UNIT_CHECK(strcmp(u.path, cases[i].path) == 0);
		UNIT_CHECK(strcmp(u.query, cases[i].query) == 0);
	}
}

static void what_is_no_uri_is_refused_and_changes_nothing(void)
{
	static const char *const wrong[] = {
		"",
		"/a/path",
		"nbd:/host",
		"a-scheme-that-is-far-too-long://h",
		"x://h:",
		"x://h:0",
		"x://h:65536",
		"x://h:1x",
		"x://[::1",
		"x://[::1]x",
		"x://h/%",
		"x://h/%4",
		"x://h/%g0",
		"x://h/%00",
		"x://%00@h",
	};
	struct uri u = { .host = "before" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		UNIT_CHECK(uri_parse(wrong[i], &u) == -EINVAL);
	UNIT_CHECK(strcmp(u.host, "before") == 0);
}

/* Each part at its longest, and one more. */
static void parts_that_are_too_long_are_refused(void)
{
	static const char *const before[] = { "x://", "x://h/", "x://h?" };
	char text[400];
	struct uri u;

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		size_t len = strlen(before[i]);

		memcpy(text, before[i], len);
		memset(text + len, 'a', 256);
		text[len + 256] = '\0';
		UNIT_CHECK(uri_parse(text, &u) == -EINVAL);
		text[len + 255] = '\0';
		UNIT_CHECK(uri_parse(text, &u) == 0);
	}
}

static void options_come_one_by_one_and_decoded(void)
{
	struct uri u;
	char key[32], value[256];

	UNIT_REQUIRE(uri_parse("x://h?a=1&b%20c=%2f&d=", &u) == 0);
	UNIT_CHECK(uri_next_option(&u, key, value) == 1);
	UNIT_CHECK(strcmp(key, "a") == 0 && strcmp(value, "1") == 0);
	UNIT_CHECK(uri_next_option(&u, key, value) == 1);
	UNIT_CHECK(strcmp(key, "b c") == 0 && strcmp(value, "/") == 0);
	UNIT_CHECK(uri_next_option(&u, key, value) == 1);
	UNIT_CHECK(strcmp(key, "d") == 0 && value[0] == '\0');
	UNIT_CHECK(uri_next_option(&u, key, value) == 0);
	UNIT_CHECK(uri_next_option(&u, key, value) == 0);
}

static void options_that_are_none_are_refused(void)
{
	static const char *const wrong[] = {
		"x://h?a",
		"x://h?&a=1",
		"x://h?a=%zz",
		"x://h?%=1",
		"x://h?a-key-that-is-longer-than-thirty-one-bytes=1",
	};
	char key[32], value[256];
	struct uri u;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		UNIT_REQUIRE(uri_parse(wrong[i], &u) == 0);
		UNIT_CHECK(uri_next_option(&u, key, value) == -EINVAL);
	}
}

static void numbers_are_addresses_without_a_resolver(void)
{
	struct sockaddr_storage a;
	socklen_t bytes;

	UNIT_CHECK(uri_resolve("127.0.0.1", "7", &a, &bytes) == 0);
	UNIT_CHECK(a.ss_family == AF_INET);
	UNIT_CHECK(uri_resolve("::1", "7", &a, &bytes) == 0);
	UNIT_CHECK(a.ss_family == AF_INET6);
	UNIT_CHECK(uri_resolve("127.0.0.1", "seven", &a, &bytes) ==
		   -EHOSTUNREACH);
}

static void no_password_is_shown(void)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{ "iscsi://u%secret@h/t/1", "iscsi://u%*@h/t/1" },
		{ "iscsi://u%s@h/t/1", "iscsi://u%*@h/t/1" },
		{ "iscsi://u%a@b%c/d@h/t/1", "iscsi://u%*@h/t/1" },
		{ "verify:iscsi://u%secret@h/t/1", "verify:iscsi://u%*@h/t/1" },
		{ "iscsi://u%@h/t/1", "iscsi://u%@h/t/1" },
		{ "iscsi://h/t/1", "iscsi://h/t/1" },
		{ "nbd://u@h/%2f", "nbd://u@h/%2f" },
		{ "/a%b@c", "/a%b@c" },
		{ "", "" },
	};
	char large[URL_SHOWN_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_CHECK(strcmp(url_show(cases[i].url).text,
				  cases[i].shown) == 0);
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	UNIT_CHECK(strcmp(url_show(large).text, "...") == 0);
}

UNIT_MAIN("storage_uri", UNIT_TEST(a_uri_falls_into_its_parts),
	  UNIT_TEST(what_is_no_uri_is_refused_and_changes_nothing),
	  UNIT_TEST(parts_that_are_too_long_are_refused),
	  UNIT_TEST(options_come_one_by_one_and_decoded),
	  UNIT_TEST(options_that_are_none_are_refused),
	  UNIT_TEST(numbers_are_addresses_without_a_resolver),
	  UNIT_TEST(no_password_is_shown))
