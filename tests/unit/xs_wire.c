/* SPDX-License-Identifier: MIT */
/* xs_wire.c - any bytes a client may send: an answer or its end, no harm. */
#include "tests/unit/soak.h"
#include "tests/unit/store_peer.h"

static size_t message(char *buf, uint32_t type, uint32_t tx, uint32_t len,
		      const void *payload)
{
	struct xsd_sockmsg hdr = {
		.type = type, .req_id = 0x12345678, .tx_id = tx, .len = len
	};

	memcpy(buf, &hdr, sizeof(hdr));
	if (len <= XENSTORE_PAYLOAD_MAX)
		memcpy(buf + sizeof(hdr), payload, len);
	return sizeof(hdr) + len;
}

/* XSA-420. */
static void a_length_is_right_or_ends_the_connection(void)
{
	static const struct {
		uint32_t len;
		int expect;
	} cases[] = { { 0, 0 },
		      { 1, 0 },
		      { 4096, 0 },
		      { 4097, -EPROTO },
		      { 1u << 30, -EPROTO },
		      { 1u << 31, -EPROTO },
		      { UINT32_MAX, -EPROTO } };
	static const char payload[XENSTORE_PAYLOAD_MAX];
	static char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint32_t type = 0; type < XS_TYPE_COUNT + 2u; type++) {
			struct xsd *xsd = peer_store();
			struct peer *p = peer_open(xsd, 1),
				    *q = peer_open(xsd, 1);
			size_t len =
				message(buf, type, 0, cases[i].len, payload);

			if (len > sizeof(buf))
				len = sizeof(struct xsd_sockmsg);
			UNIT_CHECK(xsd_conn_feed(p->conn, buf, len) ==
				   cases[i].expect);
			if (cases[i].expect)
				UNIT_CHECK(!xsd_conn_wants_input(p->conn));
			else
				UNIT_CHECK(peer_read_all(p) >= 0 &&
					   p->nr_replies == 1);
			UNIT_CHECK(peer_reads(q, 0, "domid", "1"));
			peer_close(p);
			peer_close(q);
			xsd_close(xsd);
		}
}

static void bytes_may_come_one_by_one(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);
	char buf[512];
	size_t len = message(buf, XS_WRITE, 0, 4, "/a\0v");

	len += message(buf + len, XS_READ, 0, 3, "/a");
	for (size_t i = 0; i < len; i++)
		UNIT_CHECK(xsd_conn_feed(p->conn, buf + i, 1) == 0);
	UNIT_CHECK(peer_read_all(p) == XS_READ);
	UNIT_CHECK(p->nr_replies == 2 && p->reply[0] == 'v');
	peer_close(p);
	xsd_close(xsd);
}

static void a_message_may_be_split_anywhere(void)
{
	char buf[512];
	size_t len = message(buf, XS_WRITE, 0, 4, "/a\0v");

	len += message(buf + len, XS_READ, 0, 3, "/a");
	for (size_t cut = 0; cut <= len; cut++) {
		struct xsd *xsd = peer_store();
		struct peer *p = peer_open(xsd, 0);

		UNIT_CHECK(xsd_conn_feed(p->conn, buf, cut) == 0);
		UNIT_CHECK(xsd_conn_feed(p->conn, buf + cut, len - cut) == 0);
		UNIT_CHECK(peer_read_all(p) == XS_READ && p->nr_replies == 2);
		peer_close(p);
		xsd_close(xsd);
	}
}

static void an_answer_echoes_what_was_asked(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);
	struct xsd_sockmsg hdr;
	const void *data;
	char buf[64];
	size_t len = message(buf, XS_READ, 77, 3, "/a");

	UNIT_CHECK(xsd_conn_feed(p->conn, buf, len) == 0);
	len = xsd_conn_output(p->conn, &data);
	UNIT_REQUIRE(len == sizeof(hdr) + 7);
	memcpy(&hdr, data, sizeof(hdr));
	UNIT_CHECK(hdr.type == XS_ERROR && hdr.req_id == 0x12345678);
	UNIT_CHECK(hdr.tx_id == 77 && hdr.len == 7);
	UNIT_CHECK(memcmp((const char *)data + sizeof(hdr), "ENOENT", 7) == 0);
	peer_close(p);
	xsd_close(xsd);
}

static void what_the_store_does_not_know_is_enosys(void)
{
	static const uint32_t types[] = { XS_WATCH_EVENT, XS_ERROR,   20,
					  XS_TYPE_COUNT,  XS_INVALID, 1u << 31,
					  UINT32_MAX };
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		UNIT_CHECK(peer_text(p, types[i], 0, "x") == -ENOSYS);
	peer_close(p);
	xsd_close(xsd);
}

static void strings_end_with_nul_and_are_as_many_as_wanted(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	peer_write(p, 0, "/a", "v");
	UNIT_CHECK(peer_ask(p, XS_READ, 0, "/a", 2) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_READ, 0, "/a\0", 4) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_READ, 0, "/a\0b", 5) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_READ, 0, "", 0) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_DIRECTORY, 0, "/a", 2) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_RM, 0, "/a", 2) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_MKDIR, 0, "/b", 2) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WRITE, 0, "/a", 2) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WRITE, 0, "", 0) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WATCH, 0, "/a\0t", 4) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WATCH, 0, "/a", 3) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WATCH, 0, "/a\0t\0u", 7) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WATCH, 0, "/a\0t\0001\0u", 9) == -EINVAL);
	/* What follows the last NUL is reserved, and ignored. */
	UNIT_CHECK(peer_ask(p, XS_WATCH, 0, "/a\0t\0xyz", 8) == 0);
	UNIT_CHECK(peer_ask(p, XS_UNWATCH, 0, "/a\0t\0xyz", 8) == 0);
	UNIT_CHECK(peer_ask(p, XS_UNWATCH, 0, "/a\0t\0", 5) == -ENOENT);
	UNIT_CHECK(peer_ask(p, XS_SET_PERMS, 0, "/a\0n0\0xyz", 9) == 0);
	UNIT_CHECK(peer_ask(p, XS_SET_PERMS, 0, "/a\0n0", 5) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_DIRECTORY_PART, 0, "/a\0x", 5) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_DIRECTORY_PART, 0, "/a\0-1", 6) == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_GET_DOMAIN_PATH, 0, "1", 1) == -EINVAL);
	UNIT_CHECK(peer_text(p, XS_GET_DOMAIN_PATH, 0, "99999") == -EINVAL);
	UNIT_CHECK(peer_text(p, XS_IS_DOMAIN_INTRODUCED, 0, "") == -EINVAL);
	UNIT_CHECK(peer_ask(p, XS_WRITE, 0, "/a", 3) == 0);
	peer_close(p);
	xsd_close(xsd);
}

/* XSA-323, XSA-481. */
static void paths_are_checked_after_they_are_made_absolute(void)
{
	static const char *const bad[] = {
		"",
		"//",
		"/a/",
		"/a//b",
		"a/",
		"//a",
		"/local/domain/",
		"@x",
		"@releaseDomain",
		"/a b",
		"/a.b",
		"/\x7f",
		"/\xc3\xa4",
		"/a\n",
		"/a\\",
		"a//b",
		"/%s",
		"/*",
		"/a:b",
	};
	static const char *const good[] = { "/a",     "/a/b",	"a",   "a/b",
					    "/a@b",   "/-_",	"/@x", "/a/0",
					    "/local", "/AZaz09" };
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 0);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		UNIT_CHECK(peer_write(p, 0, bad[i], "v") == -EINVAL);
		UNIT_CHECK(peer_text(p, XS_READ, 0, bad[i]) == -EINVAL);
		UNIT_CHECK(peer_text(p, XS_RM, 0, bad[i]) == -EINVAL);
	}
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		UNIT_CHECK(peer_write(p, 0, good[i], "v") == 0);
		UNIT_CHECK(peer_reads(p, 0, good[i], "v"));
	}
	peer_close(p);
	xsd_close(xsd);
}

static void paths_have_exact_limits(void)
{
	struct xsd *xsd = peer_store();
	struct peer *root = peer_open(xsd, 0), *p = peer_open(xsd, 1);
	char path[3200], *at;

	peer_write(root, 0, "/s", "");
	peer_chmod(root, 0, "/s", "b0");
	/* Absolute, domain 0: 3072 bytes. */
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[3073] = '\0';
	UNIT_CHECK(peer_write(root, 0, path, "v") == -EINVAL);
	path[3072] = '\0';
	UNIT_CHECK(peer_write(root, 0, path, "v") == 0);
	UNIT_CHECK(peer_reads(root, 0, path, "v"));
	UNIT_CHECK(peer_text(root, XS_RM, 0, path) == 0);
	/* A guest, absolute: 2048. */
	memcpy(path, "/s/", 3);
	path[3072] = 'x';
	path[2049] = '\0';
	UNIT_CHECK(peer_write(p, 0, path, "v") == -EINVAL);
	path[2048] = '\0';
	UNIT_CHECK(peer_write(p, 0, path, "v") == 0);
	/* What a guest could make domain 0 can read and remove. */
	UNIT_CHECK(peer_reads(root, 0, path, "v"));
	UNIT_CHECK(peer_text(root, XS_RM, 0, path) == 0);
	/* A guest, relative: 2048; absolute below its home: as much. */
	memcpy(path, "data/", 5);
	path[2048] = 'x';
	path[2049] = '\0';
	UNIT_CHECK(peer_write(p, 0, path, "v") == -EINVAL);
	path[2048] = '\0';
	UNIT_CHECK(peer_write(p, 0, path, "v") == 0);
	at = malloc(4096);
	UNIT_REQUIRE(at != NULL);
	snprintf(at, 4096, "/local/domain/1/%s", path);
	UNIT_CHECK(peer_reads(p, 0, at, "v"));
	UNIT_CHECK(peer_text(root, XS_RM, 0, at) == 0);
	UNIT_CHECK(peer_text(p, XS_READ, 0, path) == -ENOENT);
	snprintf(at, 4096, "/local/domain/1/%sx", path);
	UNIT_CHECK(peer_text(p, XS_READ, 0, at) == -EINVAL);
	free(at);
	peer_close(root);
	peer_close(p);
	xsd_close(xsd);
}

static void who_does_not_read_is_not_served_until_he_does(void)
{
	struct xsd *xsd = peer_store();
	struct peer *p = peer_open(xsd, 1);
	static char buf[XSD_FEED_MAX_BYTES];
	char value[2048];
	const void *data;
	size_t used = 0, nr = 0, len;

	memset(value, 'v', sizeof(value));
	UNIT_CHECK(peer_two(p, XS_WRITE, 0, "data/x", value, 2048) == 0);
	while (used + 64 < sizeof(buf)) {
		used += message(buf + used, XS_READ, 0, 7, "data/x");
		nr++;
	}
	p->nr_replies = 0;
	UNIT_CHECK(xsd_conn_feed(p->conn, buf, used) == 0);
	UNIT_CHECK(!xsd_conn_wants_input(p->conn));
	len = xsd_conn_output(p->conn, &data);
	UNIT_CHECK(len >= XSD_OUTPUT_HIGH_BYTES &&
		   len < XSD_OUTPUT_HIGH_BYTES + 4112);
	/* Whatever was fed is answered once there is room. */
	peer_read_all(p);
	UNIT_CHECK(p->nr_replies == nr);
	UNIT_CHECK(xsd_conn_wants_input(p->conn));
	peer_close(p);
	xsd_close(xsd);
}

static void random_bytes_harm_nobody(void)
{
	struct xsd *xsd = peer_store();
	struct peer *good = peer_open(xsd, 2);
	unsigned seed = 7, rounds = soak_rounds(3000, 50000);
	char buf[600];

	for (unsigned i = 0; i < rounds; i++) {
		struct peer *p = peer_open(xsd, 1);
		size_t len = (size_t)rand_r(&seed) % 500 + 100;
		int err;

		for (size_t k = 0; k < len; k++)
			buf[k] = (char)(rand_r(&seed) >> 8);
		/* Mostly a header that makes sense. */
		if (i % 8) {
			memset(buf, 0, sizeof(struct xsd_sockmsg));
			buf[0] = (char)(rand_r(&seed) % XS_TYPE_COUNT);
			buf[12] = (char)((size_t)rand_r(&seed) % 80);
			if (i % 2)
				buf[16] = '/';
		}
		err = xsd_conn_feed(p->conn, buf, len);
		UNIT_CHECK(err == 0 || err == -EPROTO);
		if (!err)
			peer_read_all(p);
		peer_close(p);
	}
	UNIT_CHECK(peer_reads(good, 0, "domid", "2"));
	UNIT_CHECK(xsd_check(xsd) == 0);
	peer_close(good);
	xsd_close(xsd);
}

UNIT_MAIN("xs_wire", UNIT_TEST(a_length_is_right_or_ends_the_connection),
	  UNIT_TEST(bytes_may_come_one_by_one),
	  UNIT_TEST(a_message_may_be_split_anywhere),
	  UNIT_TEST(an_answer_echoes_what_was_asked),
	  UNIT_TEST(what_the_store_does_not_know_is_enosys),
	  UNIT_TEST(strings_end_with_nul_and_are_as_many_as_wanted),
	  UNIT_TEST(paths_are_checked_after_they_are_made_absolute),
	  UNIT_TEST(paths_have_exact_limits),
	  UNIT_TEST(who_does_not_read_is_not_served_until_he_does),
	  UNIT_TEST(random_bytes_harm_nobody))
