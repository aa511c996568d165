/* SPDX-License-Identifier: MIT */
/* store_stats.c - XS_CONTROL stats: what the store counts, and its pages. */
#include "tests/unit/store_control.h"

/* ---- figures ---------------------------------------------------------- */

static void counts_requests_and_errors_by_kind(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(peer_text(guest, XS_READ, 0, "name") == 0);
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "name") == 0);
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "device/x") == -ENOENT);
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "/") == -EACCES);
	UNIT_CHECK(peer_text(guest, XS_MKDIR, 0, "/x") == -EACCES);
	UNIT_CHECK(peer_ask(guest, 27, 0, NULL, 0) == -ENOSYS);
	UNIT_CHECK(peer_ask(guest, XS_WATCH_EVENT, 0, NULL, 0) == -ENOSYS);
	UNIT_CHECK(peer_ask(guest, XS_INVALID, 0, NULL, 0) == -ENOSYS);
	UNIT_CHECK(says(root, "stats ops",
			"op name=READ count=4 errors=2 mean-ns=1000 "
			"p50-ns=1000 p99-ns=1000 max-ns=1000\n"
			"op name=MKDIR count=1 errors=1 mean-ns=1000 "
			"p50-ns=1000 p99-ns=1000 max-ns=1000\n"
			"op name=other count=3 errors=3 mean-ns=1000 "
			"p50-ns=1000 p99-ns=1000 max-ns=1000\n"
			"end\n"));
	UNIT_CHECK(says(root, "stats errors",
			"error name=EACCES value=2\n"
			"error name=ENOENT value=1\n"
			"error name=ENOSYS value=3\n"
			"end\n"));
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void shows_whole_histograms(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	for (unsigned i = 0; i < 3; i++) {
		UNIT_CHECK(peer_text(guest, XS_READ, 0, "name") == 0);
		UNIT_CHECK(peer_text(guest, XS_DIRECTORY, 0, "device") == 0);
	}
	UNIT_CHECK(says(root, "stats histograms",
			"bucket name=DIRECTORY from-ns=992 to-ns=1000 count=3\n"
			"bucket name=READ from-ns=992 to-ns=1000 count=3\n"
			"end\n"));
	UNIT_CHECK(control(root, "stats histograms 2.112") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "bucket name=READ") == 0);
	UNIT_CHECK(peer_start(guest) == 1);
	clock_ns += 7200 * NS_PER_S;
	UNIT_CHECK(peer_end(guest, 1, 1) == 0);
	UNIT_CHECK(control(root, "stats histograms") == 0);
	UNIT_CHECK(strncmp(line_of(root->reply, "bucket name=transaction "),
			   "bucket name=transaction from-ns=1065151889408 "
			   "to-ns=72000000",
			   59) == 0);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

/* Any words of domain 0's: an answer that fits, or an error. */
static void answers_any_words(void)
{
	static const char *const words[] = {
		"check", "log",	 "on", "off",	"quota",  "quota-soft", "set",
		"nodes", "max",	 "-r", "stats", "ops",	  "histograms", "3",
		"0.0.0", "1000", "",   "\xff",	"memory", "domains",	"print",
	};
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0);
	uint64_t seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		char text[256];
		size_t len = 0;

		for (unsigned n = 0; n < 1 + seed % 5; n++) {
			seed = seed * 6364136223846793005u +
			       1442695040888963407;
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"%s",
						words[(seed >> 33) %
						      ARRAY_SIZE(words)]) +
			       1;
		}
		UNIT_CHECK(peer_ask(root, XS_CONTROL, 0, text, len) != -EPROTO);
		UNIT_CHECK(root->reply_len > 0 &&
			   root->reply[root->reply_len - 1] == '\0');
	}
	UNIT_CHECK(says(root, "check", "OK"));
	peer_close(root);
	xsd_close(xsd);
}

/* Ten requests at once: one reading each, and one to begin with. */
static void reads_the_clock_once_a_request(void)
{
	struct xsd *xsd = open_store();
	struct peer *guest = peer_open(xsd, 3);
	char buf[10 * (sizeof(struct xsd_sockmsg) + 5)];
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };

	for (unsigned i = 0; i < 10; i++) {
		memcpy(buf + i * (sizeof(hdr) + 5), &hdr, sizeof(hdr));
		memcpy(buf + i * (sizeof(hdr) + 5) + sizeof(hdr), "name", 5);
	}
	nr_readings = 0;
	UNIT_CHECK(xsd_conn_feed(guest->conn, buf, sizeof(buf)) == 0);
	UNIT_CHECK(nr_readings == 11);
	UNIT_CHECK(xsd_conn_feed(guest->conn, buf, sizeof(buf)) == 0);
	UNIT_CHECK(nr_readings == 21);
	peer_read_all(guest);
	UNIT_CHECK(guest->nr_replies == 20);
	peer_close(guest);
	xsd_close(xsd);
}

/* What passes while the store sleeps is no request's. */
static void does_not_count_the_time_between_requests(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(peer_text(guest, XS_READ, 0, "name") == 0);
	clock_ns += NS_PER_S;
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "name") == 0);
	UNIT_CHECK(control(root, "stats ops") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply, "op name=READ"),
			  "op name=READ count=2 errors=0 mean-ns=1000 "
			  "p50-ns=1000 p99-ns=1000 max-ns=1000") == 0);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void counts_how_transactions_end(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	uint32_t tx = peer_start(guest);

	UNIT_CHECK(peer_write(guest, tx, "data/x", "1") == 0);
	UNIT_CHECK(peer_end(guest, tx, 1) == 0);
	tx = peer_start(guest);
	UNIT_CHECK(peer_reads(guest, tx, "data/x", "1"));
	UNIT_CHECK(peer_write(guest, 0, "data/x", "2") == 0);
	UNIT_CHECK(peer_write(guest, tx, "data/x", "3") == 0);
	UNIT_CHECK(peer_end(guest, tx, 1) == -EAGAIN);
	UNIT_CHECK(peer_end(guest, peer_start(guest), 0) == 0);
	UNIT_CHECK(peer_start(guest) != 0);
	UNIT_CHECK(total(root, "transactions-open") == 1);
	peer_close(guest);
	UNIT_CHECK(total(root, "transactions-open") == 0);
	UNIT_CHECK(total(root, "transactions-committed") == 1);
	UNIT_CHECK(total(root, "transactions-conflict") == 1);
	UNIT_CHECK(total(root, "transactions-refused") == 0);
	UNIT_CHECK(total(root, "transactions-aborted") == 2);
	UNIT_CHECK(control(root, "stats ops") == 0);
	UNIT_CHECK(strncmp(line_of(root->reply, "op name=transaction "),
			   "op name=transaction count=4 errors=1 ", 37) == 0);
	peer_close(root);
	xsd_close(xsd);
}

static void counts_events_queues_and_bytes(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	uint64_t in_bytes;

	UNIT_CHECK(peer_watch(root, "/x", "t") == 0);
	in_bytes = total(root, "in-bytes");
	UNIT_CHECK(total(root, "in-bytes") - in_bytes ==
		   sizeof(struct xsd_sockmsg) + strlen("stats totals") + 1);
	UNIT_CHECK(total(root, "events-queued") == 1);
	UNIT_CHECK(total(root, "events-pending") == 0);
	UNIT_CHECK(total(root, "connections") == 2);
	for (unsigned i = 0; i < 3; i++)
		UNIT_CHECK(peer_watch(guest, "data", "t") == (i ? -EEXIST : 0));
	/* root does not read meanwhile */
	UNIT_CHECK(peer_watch(root, "/local/domain/3/data", "u") == 0);
	root->nr_events = 0;
	UNIT_CHECK(peer_write(guest, 0, "data/a", "1") == 0);
	UNIT_CHECK(peer_write(guest, 0, "data/a", "2") == 0);
	UNIT_CHECK(control(root, "stats connections") == 0);
	UNIT_CHECK(total(root, "events-merged") == 1);
	UNIT_CHECK(root->nr_events == 1);
	peer_close(guest);
	UNIT_CHECK(total(root, "connections") == 1);
	UNIT_CHECK(total(root, "connections-max") == 2);
	UNIT_CHECK(total(root, "connections-ever") == 2);
	peer_close(root);
	xsd_close(xsd);
}

/* A client that asks and does not read: its queues are the longest. */
static void tells_whose_queues_are_long(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 5 };
	char buf[64 * (sizeof(hdr) + 5)];
	const void *data;
	size_t out;

	for (unsigned i = 0; i < 64; i++) {
		memcpy(buf + i * (sizeof(hdr) + 5), &hdr, sizeof(hdr));
		memcpy(buf + i * (sizeof(hdr) + 5) + sizeof(hdr), "name", 5);
	}
	UNIT_CHECK(peer_two(root, XS_SET_QUOTA, 0, "3", "outstanding\0000",
			    14) == 0);
	/* 64 whole requests and a part of one */
	UNIT_CHECK(xsd_conn_feed(guest->conn, buf, sizeof(buf)) == 0);
	UNIT_CHECK(xsd_conn_feed(guest->conn, buf, 18) == 0);
	out = xsd_conn_output(guest->conn, &data);
	UNIT_CHECK(control(root, "stats connections") == 0);
	snprintf(
		buf, sizeof(buf),
		"connection domid=3 id=2 peer=pid:4711 in-bytes=18 out-bytes=%zu events=0",
		out);
	UNIT_CHECK(strcmp(line_of(root->reply, "connection domid=3 "), buf) ==
		   0);
	UNIT_CHECK(out == 64 * (sizeof(hdr) + 3));
	UNIT_CHECK(total(root, "out-queue-max-bytes") >= out);
	UNIT_CHECK(total(root, "in-queue-max-bytes") == 18);
	UNIT_CHECK(total(root, "in-queue-max-domid") == 3);
	UNIT_CHECK(total(root, "in-queue-max-connection") == 2);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void tells_who_holds_which_transaction_since_when(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	struct peer *other = peer_open(xsd, 3);
	uint32_t tx = peer_start(other);
	char want[256];
	uint64_t start_ns = clock_ns;

	UNIT_CHECK(peer_write(other, tx, "data/x", "1") == 0);
	UNIT_CHECK(peer_start(guest) == 1);
	UNIT_CHECK(peer_start(guest) == 2);
	clock_ns += NS_PER_S;
	UNIT_CHECK(control(root, "stats transactions") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "transaction ") == 3);
	snprintf(
		want, sizeof(want),
		"transaction domid=3 connection=3 peer=pid:4711 id=1 age-ns=%llu nodes=2 "
		"changes=1",
		(unsigned long long)(clock_ns - start_ns));
	UNIT_CHECK(strcmp(line_of(root->reply, "transaction domid=3 "
					       "connection=3 "),
			  want) == 0);
	UNIT_CHECK(peer_end(other, tx, 1) == 0);
	UNIT_CHECK(control(root, "stats transactions") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "transaction ") == 2);
	peer_close(other);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void tells_what_a_domain_does(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	struct peer *idle = peer_open(xsd, 4);
	uint32_t tx = peer_start(guest);

	UNIT_CHECK(peer_reads(guest, tx, "name", "d-3"));
	UNIT_CHECK(peer_write(root, 0, "/local/domain/3/name", "x") == 0);
	UNIT_CHECK(peer_end(guest, tx, 1) == -EAGAIN);
	UNIT_CHECK(says(root, "stats domains 1",
			"domain domid=3 requests=3 errors=1 spent-ns=3000 "
			"conflicts=1 pauses=0 pauses-ns=0 paused=no\nend\n"));
	peer_close(idle);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

/* A thousand changes at once, of which one breaks another's transaction. */
static void tells_who_was_paused(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	uint32_t tx = peer_start(root);
	uint64_t pauses_ns;
	const char *line;

	UNIT_CHECK(peer_write(root, tx, "/local/domain/3/data/x", "0") == 0);
	for (unsigned i = 0; i < 1000; i++)
		UNIT_CHECK(peer_write(guest, 0, "data/x", "1") == 0);
	UNIT_CHECK(peer_end(root, tx, 1) == -EAGAIN);
	UNIT_CHECK(control(root, "stats domains 3") == 0);
	line = line_of(root->reply, "domain domid=3 requests=1000 errors=0 ");
	UNIT_CHECK(field(line, "conflicts") == 0);
	UNIT_CHECK(field(line, "pauses") == 1);
	UNIT_CHECK(strstr(line, " paused=yes") != NULL);
	pauses_ns = field(line, "pauses-ns");
	UNIT_CHECK(pauses_ns >= 10 * NS_PER_MS && pauses_ns <= NS_PER_S);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void tells_what_a_domain_uses_of_its_quotas(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	uint32_t tx = peer_start(guest);

	UNIT_CHECK(peer_write(guest, tx, "data/a", "1") == 0);
	UNIT_CHECK(peer_write(guest, tx, "data/b", "1") == 0);
	UNIT_CHECK(peer_end(guest, tx, 1) == 0);
	UNIT_CHECK(peer_watch(guest, "data", "t") == 0);
	UNIT_CHECK(peer_watch(guest, "data", "u") == 0);
	UNIT_CHECK(peer_unwatch(guest, "data", "u") == 0);
	UNIT_CHECK(peer_text(guest, XS_RM, 0, "data/a") == 0);
	/* two of them domain 0 made when the domain appeared */
	UNIT_CHECK(control(root, "stats quotas 3") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply, "quota domid=3 name=nodes"),
			  "quota domid=3 name=nodes now=3 max=4 limit=1000") ==
		   0);
	UNIT_CHECK(strcmp(line_of(root->reply, "quota domid=3 name=watches"),
			  "quota domid=3 name=watches now=1 max=2 limit=128") ==
		   0);
	UNIT_CHECK(
		strcmp(line_of(root->reply, "quota domid=3 name=transactions"),
		       "quota domid=3 name=transactions now=0 max=1 "
		       "limit=10") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply,
				  "quota domid=3 name=transaction-nodes"),
			  "quota domid=3 name=transaction-nodes now=0 max=3 "
			  "limit=1024") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "quota domid=0 ") == 0);
	UNIT_CHECK(peer_write(guest, 0, "data/abc", "12345") == 0);
	UNIT_CHECK(peer_chmod(guest, 0, "/local/domain/3/data/abc", "n3 r0") ==
		   0);
	UNIT_CHECK(control(root, "stats quotas 3") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply, "quota domid=3 name=node-size"),
			  "quota domid=3 name=node-size now=0 max=5 "
			  "limit=2048") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply,
				  "quota domid=3 name=node-permissions"),
			  "quota domid=3 name=node-permissions now=0 max=2 "
			  "limit=5") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply, "quota domid=3 name=path-max"),
			  "quota domid=3 name=path-max now=0 max=8 "
			  "limit=2048") == 0);
	UNIT_CHECK(control(root, "stats quotas") == 0);
	UNIT_CHECK(strcmp(line_of(root->reply, "quota domid=0 name=watches"),
			  "") == 0);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

/* An event that nobody has read yet counts; once read it does not. */
static void remembers_the_most_of_what_others_cause(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	const char *line;

	UNIT_CHECK(peer_watch(guest, "/local/domain/3", "t") == 0);
	for (unsigned i = 0; i < 5; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/local/domain/3/data/%u", i);
		UNIT_CHECK(peer_write(root, 0, path, "1") == 0);
	}
	guest->nr_events = 0;
	peer_read_all(guest);
	UNIT_CHECK(guest->nr_events == 5);
	UNIT_CHECK(control(root, "stats quotas 3") == 0);
	line = line_of(root->reply, "quota domid=3 name=event-memory");
	UNIT_CHECK(field(line, "now") == 0);
	UNIT_CHECK(field(line, "max") > 5 * 24);
	UNIT_CHECK(field(line, "max") < 4096);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void has_nothing_to_say_of_no_journal(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0);

	UNIT_CHECK(says(root, "stats journal", "end\n"));
	peer_close(root);
	xsd_close(xsd);
}

/* ---- pages ------------------------------------------------------------ */

#define NR_CROWD 200u

/* Read all pages of the transactions; seen[domid] counts. Returns the pages;
 * between two of them change is called. */
static unsigned read_pages(struct peer *root, unsigned *seen,
			   void (*change)(void))
{
	char words[128] = "stats transactions";
	unsigned pages = 0;

	for (;;) {
		const char *more;

		if (control(root, words))
			return 0;
		pages++;
		for (const char *at = root->reply; *at; at = next_line(at)) {
			uint64_t domid = field(at, "domid");

			if (strncmp(at, "transaction ", 12) == 0 &&
			    domid <= NR_CROWD)
				seen[domid]++;
		}
		if (nr_lines_of(root->reply, "end\n") == 1)
			return pages;
		more = line_of(root->reply, "more ");
		snprintf(words, sizeof(words), "stats transactions %s",
			 more + 5);
		change();
	}
}

static struct peer *crowd[NR_CROWD];

static void nothing(void)
{
}

/* The second half of what a page showed goes, and what was not shown yet. */
static void close_the_odd(void)
{
	for (unsigned i = 1; i < NR_CROWD; i += 2) {
		peer_close(crowd[i]);
		crowd[i] = NULL;
	}
}

static void shows_every_row_once_whatever_comes_and_goes(void)
{
	unsigned seen[NR_CROWD + 1] = { 0 };
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0);

	for (unsigned i = 0; i < NR_CROWD; i++) {
		crowd[i] = peer_open(xsd, i + 1);
		UNIT_CHECK(peer_start(crowd[i]) == 1);
		UNIT_CHECK(peer_start(crowd[i]) == 2);
	}
	UNIT_CHECK(read_pages(root, seen, nothing) > 5);
	for (unsigned i = 0; i < NR_CROWD; i++)
		UNIT_CHECK(seen[i + 1] == 2);
	memset(seen, 0, sizeof(seen));
	read_pages(root, seen, close_the_odd);
	for (unsigned i = 0; i < NR_CROWD; i += 2)
		UNIT_CHECK(seen[i + 1] == 2);
	UNIT_CHECK(seen[NR_CROWD] == 0);
	for (unsigned i = 0; i < NR_CROWD; i++)
		peer_close(crowd[i]);
	peer_close(root);
	xsd_close(xsd);
}

static void begins_a_page_only_where_one_can(void)
{
	static const char *const bad[] = { "x",
					   "1.",
					   ".1",
					   "1..2",
					   "1.2.3.4",
					   "-1",
					   "1 ",
					   "99999999999999999999",
					   "11111111111111111111111111111" };
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0);
	char words[64];

	UNIT_CHECK(peer_start(root) == 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(words, sizeof(words), "stats transactions %s", bad[i]);
		UNIT_CHECK(control(root, words) == -EINVAL);
	}
	UNIT_CHECK(says(root, "stats transactions 0.1.2", "end\n"));
	UNIT_CHECK(
		says(root, "stats transactions 18446744073709551615", "end\n"));
	UNIT_CHECK(control(root, "stats transactions 0.1.1") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "transaction ") == 1);
	UNIT_CHECK(says(
		root, "stats",
		"section name=totals\nsection name=ops\n"
		"section name=histograms\n"
		"section name=errors\nsection name=domains\nsection name=quotas\n"
		"section name=connections\n"
		"section name=transactions\nsection name=journal\nend\n"));
	peer_close(root);
	xsd_close(xsd);
}

UNIT_MAIN("store_stats", UNIT_TEST(counts_requests_and_errors_by_kind),
	  UNIT_TEST(shows_whole_histograms), UNIT_TEST(answers_any_words),
	  UNIT_TEST(reads_the_clock_once_a_request),
	  UNIT_TEST(does_not_count_the_time_between_requests),
	  UNIT_TEST(counts_how_transactions_end),
	  UNIT_TEST(counts_events_queues_and_bytes),
	  UNIT_TEST(tells_whose_queues_are_long),
	  UNIT_TEST(tells_who_holds_which_transaction_since_when),
	  UNIT_TEST(tells_what_a_domain_does), UNIT_TEST(tells_who_was_paused),
	  UNIT_TEST(tells_what_a_domain_uses_of_its_quotas),
	  UNIT_TEST(remembers_the_most_of_what_others_cause),
	  UNIT_TEST(has_nothing_to_say_of_no_journal),
	  UNIT_TEST(shows_every_row_once_whatever_comes_and_goes),
	  UNIT_TEST(begins_a_page_only_where_one_can))
