/* SPDX-License-Identifier: MIT */
/*
 * store_stream.c - a guest whose bytes lie: lengths, sizes, paths. The names of
 * the cases are those of the advisories whose act they repeat.
 */
#include "tests/hostile/store_stage.h"
#include "tests/unit/unit.h"

/* A message of which only given bytes of payload are there. */
static size_t message(char *buf, uint32_t type, uint32_t len,
		      const void *payload, size_t given)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = 1, .len = len };

	memcpy(buf, &hdr, sizeof(hdr));
	if (given)
		memcpy(buf + sizeof(hdr), payload, given);
	return sizeof(hdr) + given;
}

/* Feed bytes in pieces of some size. */
static int feed(struct peer *peer, const char *data, size_t len, size_t piece)
{
	int err = 0;

	for (size_t at = 0; at < len && !err; at += piece)
		err = xsd_conn_feed(peer->conn, data + at,
				    piece < len - at ? piece : len - at);
	return err;
}

/* Another connection of the attacker's. */
static struct peer *evil_again(void)
{
	return peer_open(stage.xsd, 1);
}

/* ---- XSA-38, XSA-420: lengths -------------------------------------------- */

/* Defence: the length is checked before it is believed (conn.c, run). */
static void xsa_38_a_length_beyond_the_limit_ends_that_connection(void)
{
	static const uint32_t lens[] = { 4097, 8192, 1u << 30, 1u << 31,
					 UINT32_MAX };

	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		for (size_t piece = 1; piece <= 16; piece += 5) {
			struct peer *p = evil_again();
			char buf[64];
			size_t len;

			UNIT_REQUIRE(p != NULL);
			len = message(buf, XS_READ, lens[i], "", 0);
			UNIT_CHECK(feed(p, buf, len - 1, piece) == 0);
			/* At its last byte, with nothing of the payload. */
			UNIT_CHECK(xsd_conn_feed(p->conn, buf + len - 1, 1) ==
				   -EPROTO);
			UNIT_CHECK(!xsd_conn_wants_input(p->conn));
			UNIT_CHECK(p->conn->in.size <= 1024);
			peer_close(p);
		}
	}
	/* Its other connection goes on. */
	UNIT_CHECK(peer_text(stage.evil, XS_READ, 0, "name") == 0);
	stage_end();
}

/* Defence: every handler takes its payload apart itself. */
static void xsa_38_every_length_of_every_type_is_answered(void)
{
	static const uint32_t lens[] = { 0, 1, 2, 3, 4095, 4096 };
	static char payload[2][XENSTORE_PAYLOAD_MAX];
	static char buf[XENSTORE_PAYLOAD_MAX + 16];

	UNIT_REQUIRE(stage_begin());
	memset(payload[1], 'x', sizeof(payload[1]));
	for (uint32_t type = 0; type < 64; type++) {
		for (unsigned i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
			uint32_t n = lens[i / 2];
			struct peer *p = evil_again();
			size_t len = message(buf, type, n, payload[i % 2], n);

			UNIT_REQUIRE(p != NULL);
			UNIT_CHECK(feed(p, buf, len, i & 4 ? 1 : 4096) == 0);
			peer_read_all(p);
			UNIT_CHECK(p->nr_replies == 1);
			peer_close(p);
		}
	}
	UNIT_CHECK(peer_ask(stage.evil, 20, 0, "", 0) == -ENOSYS);
	UNIT_CHECK(peer_ask(stage.evil, XS_WATCH_EVENT, 0, "", 0) == -ENOSYS);
	UNIT_CHECK(peer_ask(stage.evil, UINT32_MAX, 0, "", 0) == -ENOSYS);
	UNIT_CHECK(peer_ask(stage.evil, XS_READ, 0, "", 0) == -EINVAL);
	stage_end();
}

/* Defence: request_strings stops at the payload's end, not at a NUL. */
static void xsa_38_a_missing_nul_reads_nothing_behind_the_payload(void)
{
	static const uint32_t types[] = {
		XS_READ,	   XS_DIRECTORY, XS_GET_PERMS,
		XS_MKDIR,	   XS_RM,	 XS_IS_DOMAIN_INTRODUCED,
		XS_GET_DOMAIN_PATH
	};
	char buf[128];

	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct peer *p = evil_again();
		/* The next message would be the rest of the path. */
		size_t len = message(buf, types[i], 4, "data", 4);

		UNIT_REQUIRE(p != NULL);
		len += message(buf + len, XS_READ, 5, "name", 5);
		UNIT_CHECK(feed(p, buf, len, len) == 0);
		peer_read_all(p);
		UNIT_CHECK(p->nr_replies == 2);
		peer_close(p);
		UNIT_CHECK(peer_ask(stage.evil, types[i], 0, "data", 4) ==
			   -EINVAL);
	}
	UNIT_CHECK(peer_ask(stage.evil, XS_WRITE, 0, "data/x", 6) == -EINVAL);
	UNIT_CHECK(peer_ask(stage.evil, XS_SET_PERMS, 0, "data\0n1", 7) < 0);
	UNIT_CHECK(peer_ask(stage.evil, XS_WATCH, 0, "data\0t", 6) == -EINVAL);
	stage_end();
}

/*
 * A full output is not taken for an empty one: requests wait, none is lost and
 * none overtakes another. Defence: xsd_conn_wants_input.
 */
static void xsa_420_a_client_that_does_not_read_stops_only_itself(void)
{
	static char value[2000], buf[64];
	unsigned sent = 0;

	UNIT_REQUIRE(stage_begin());
	memset(value, 'v', sizeof(value));
	UNIT_CHECK(peer_two(stage.evil, XS_WRITE, 0, "data/big", value,
			    sizeof(value)) == 0);
	for (; sent < 1000 && xsd_conn_wants_input(stage.evil->conn); sent++) {
		size_t len = message(buf, XS_READ, 9, "data/big", 9);

		UNIT_REQUIRE(feed(stage.evil, buf, len, 7) == 0);
	}
	UNIT_CHECK(sent > 5 && sent < 30);
	stage_spared();
	stage.evil->nr_replies = 0;
	peer_read_all(stage.evil);
	UNIT_CHECK(stage.evil->nr_replies == sent);
	UNIT_CHECK(stage.evil->reply_len == sizeof(value));
	stage_end();
}

/* ---- XSA-72, XSA-324: answers and events that do not fit ----------------- */

/* A directory whose list has this many bytes. */
static void make_list(unsigned bytes)
{
	char path[160], name[101];
	unsigned made = 0;

	peer_text(stage.evil, XS_RM, 0, "data/dir");
	while (made < bytes) {
		unsigned n = bytes - made > 200 ? 100 : bytes - made;

		if (n > 101)
			n = n / 2;
		memset(name, 'a', sizeof(name));
		snprintf(name, sizeof(name), "%05u", made);
		if (n > 6)
			name[5] = 'a';
		name[n - 1] = '\0';
		snprintf(path, sizeof(path), "data/dir/%s", name);
		UNIT_CHECK(peer_write(stage.evil, 0, path, "") == 0);
		made += n;
	}
}

/* Defence: do_directory's E2BIG; answer_part takes only what fits. */
static void xsa_72_a_list_that_does_not_fit_is_e2big_and_comes_in_parts(void)
{
	UNIT_REQUIRE(stage_begin());
	for (unsigned bytes = 4095; bytes <= 4097; bytes++) {
		unsigned got = 0;
		char ask[32];
		int err;

		make_list(bytes);
		err = peer_text(stage.evil, XS_DIRECTORY, 0, "data/dir");
		UNIT_CHECK(err == (bytes > 4096 ? -E2BIG : 0));
		UNIT_CHECK(err || stage.evil->reply_len == bytes);
		for (unsigned parts = 0; parts < 8; parts++) {
			size_t head;

			snprintf(ask, sizeof(ask), "data/dir %u", got);
			UNIT_REQUIRE(stage_ask(stage.evil, XS_DIRECTORY_PART, 0,
					       ask) == 0);
			head = strlen(stage.evil->reply) + 1;
			got += (unsigned)(stage.evil->reply_len - head);
			if (got > bytes)
				break;
		}
		/* And the empty name behind the last. */
		UNIT_CHECK(got == bytes + 1);
	}
	/* No offset is an error, none reads beyond the list. */
	UNIT_CHECK(stage_ask(stage.evil, XS_DIRECTORY_PART, 0,
			     "data/dir 4294967295") == 0);
	UNIT_CHECK(stage_ask(stage.evil, XS_DIRECTORY_PART, 0, "data/dir -1") ==
		   -EINVAL);
	stage_end();
}

/*
 * Path and token of an event are 4095, 4096 and 4097 bytes: what does not fit
 * names the watched path instead. Defence: notify() in watch.c.
 */
static void xsa_324_an_event_that_does_not_fit_names_the_watched_path(void)
{
	static char token[2100], path[2000];
	unsigned nr_whole = 0;

	UNIT_REQUIRE(stage_begin());
	memset(path, 'p', sizeof(path));
	memcpy(path, "data/", 5);
	path[sizeof(path) - 1] = '\0';
	memset(token, 't', sizeof(token) - 1);
	for (size_t total = 4095; total <= 4097; total++) {
		size_t len = total - sizeof(path) - 1;
		const char *heard;

		token[len] = '\0';
		UNIT_REQUIRE(peer_watch(stage.evil, "data", token) == 0);
		peer_read_all(stage.evil);
		stage.evil->nr_events = 0;
		UNIT_CHECK(peer_write(stage.evil, 0, path, "") == 0);
		peer_read_all(stage.evil);
		UNIT_REQUIRE(stage.evil->nr_events == 1);
		heard = stage.evil->events[0].path;
		nr_whole += strcmp(heard, "data") == 0;
		UNIT_CHECK(strcmp(heard, total > 4096 ? "data" : path) == 0);
		UNIT_CHECK(strcmp(stage.evil->events[0].token, token) == 0);
		UNIT_CHECK(peer_unwatch(stage.evil, "data", token) == 0);
		token[len] = 't';
	}
	UNIT_CHECK(nr_whole == 1);
	stage_end();
}

/* ---- XSA-323, XSA-481: paths --------------------------------------------- */

/* Whether domain 0 can list the parent, read and remove what was accepted. */
static int root_masters(const char *path)
{
	return peer_text(stage.root, XS_READ, 0, path) == 0 &&
	       peer_text(stage.root, XS_GET_PERMS, 0, path) == 0 &&
	       peer_text(stage.root, XS_RM, 0, path) == 0 &&
	       peer_text(stage.root, XS_READ, 0, path) == -ENOENT;
}

/* Defence: xpath_parse makes it absolute before it checks it. */
static void xsa_323_what_is_no_path_makes_no_node(void)
{
	static const char *const bad[] = {
		"",
		"data/",
		"data//x",
		"//",
		"/local/domain/",
		"/local/domain/1/",
		"/local//domain/1/data/x",
		"data/a b",
		"data/.",
		"data/..",
		"data/%s",
		"data/\x01",
		"data/\x7f",
		"data/\xc3\xa4",
		"data/\xff\xfe",
		"@x",
		"@releaseDomain",
		"@",
		"data/a\\b",
		"data/a:b",
		"\n",
	};

	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		UNIT_CHECK(peer_write(stage.evil, 0, bad[i], "x") == -EINVAL);
		UNIT_CHECK(peer_text(stage.evil, XS_MKDIR, 0, bad[i]) ==
			   -EINVAL);
		UNIT_CHECK(peer_write(stage.root, 0, bad[i], "x") == -EINVAL);
	}
	/* A NUL ends a path; what follows is the value. */
	UNIT_CHECK(peer_ask(stage.evil, XS_WRITE, 0, "data/x\0/y", 9) == 0);
	UNIT_CHECK(peer_reads(stage.evil, 0, "data/x", "/y"));
	UNIT_CHECK(root_masters("/local/domain/1/data/x"));
	stage_end();
}

/*
 * Relative paths up to the limit and beyond: whatever is accepted has an
 * absolute name that domain 0 can use.
 */
static void xsa_323_a_path_that_was_accepted_can_be_removed(void)
{
	static char rel[3200], abs[3300];

	UNIT_REQUIRE(stage_begin());
	for (size_t len = 2040; len <= 2056; len++) {
		int err;

		memset(rel, 'r', len);
		memcpy(rel, "data/", 5);
		rel[len] = '\0';
		err = peer_write(stage.evil, 0, rel, "x");
		UNIT_CHECK(err == (len > 2048 ? -EINVAL : 0));
		snprintf(abs, sizeof(abs), "/local/domain/1/%s", rel);
		UNIT_CHECK(err || root_masters(abs));
		/* The same node by its absolute name. */
		UNIT_CHECK(peer_write(stage.evil, 0, abs, "x") == err);
		UNIT_CHECK(err || root_masters(abs));
	}
	for (size_t len = 3068; len <= 3076; len++) {
		int err;

		memset(abs, 'a', len);
		memcpy(abs, "/", 1);
		abs[len] = '\0';
		err = peer_write(stage.root, 0, abs, "x");
		UNIT_CHECK(err == (len > 3072 ? -EINVAL : 0));
		UNIT_CHECK(err || root_masters(abs));
		UNIT_CHECK(peer_write(stage.evil, 0, abs, "x") == -EINVAL);
	}
	stage_end();
}

/*
 * "/local/domain/" itself, and homes that are nobody's. Defence: no path ends
 * in a slash, for a guest or for domain 0.
 */
static void xsa_481_no_node_is_made_that_its_prefix_hides(void)
{
	UNIT_REQUIRE(stage_begin());
	for (unsigned i = 0; i < 2; i++) {
		struct peer *p = i ? stage.root : stage.evil;

		UNIT_CHECK(peer_write(p, 0, "/local/domain/", "") == -EINVAL);
		UNIT_CHECK(peer_write(p, 0, "/local/domain/1/", "") == -EINVAL);
		UNIT_CHECK(peer_text(p, XS_MKDIR, 0, "data/") == -EINVAL);
		UNIT_CHECK(peer_watch(p, "data/", "t") == -EINVAL);
	}
	UNIT_CHECK(peer_write(stage.evil, 0, "/local/domain/99/x", "") ==
		   -EACCES);
	UNIT_CHECK(peer_write(stage.evil, 0, "/local/domain/01/data/x", "") ==
		   -EACCES);
	UNIT_CHECK(peer_write(stage.evil, 0, "/local/domain/x", "") == -EACCES);
	UNIT_CHECK(peer_write(stage.root, 0, "/local/domain/99999999999/x",
			      "") == 0);
	UNIT_CHECK(root_masters("/local/domain/99999999999/x"));
	UNIT_CHECK(root_masters("/local/domain/99999999999"));
	stage_end();
}

UNIT_MAIN(
	"store_stream",
	UNIT_TEST(xsa_38_a_length_beyond_the_limit_ends_that_connection),
	UNIT_TEST(xsa_38_every_length_of_every_type_is_answered),
	UNIT_TEST(xsa_38_a_missing_nul_reads_nothing_behind_the_payload),
	UNIT_TEST(xsa_420_a_client_that_does_not_read_stops_only_itself),
	UNIT_TEST(xsa_72_a_list_that_does_not_fit_is_e2big_and_comes_in_parts),
	UNIT_TEST(xsa_324_an_event_that_does_not_fit_names_the_watched_path),
	UNIT_TEST(xsa_323_what_is_no_path_makes_no_node),
	UNIT_TEST(xsa_323_a_path_that_was_accepted_can_be_removed),
	UNIT_TEST(xsa_481_no_node_is_made_that_its_prefix_hides))
