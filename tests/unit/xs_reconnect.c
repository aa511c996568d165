/* SPDX-License-Identifier: MIT */
/*
 * xs_reconnect.c - the client over stores that die, at every byte of a
 * conversation and at random; and what it promises then.
 */
#include "tests/unit/soak.h"
#include "tests/unit/xs_mortal.h"
#include "util/clock.h"
#include "util/num.h"

/* ---- one conversation with everything in it --------------------------------
 */

#define NR_SUBMITTED 12

struct talk {
	struct xs *xs;
	unsigned nr_looks, nr_done;
	bool saw_end, out_of_order, wrong;
};

static void look(void *arg, const char *path)
{
	struct talk *t = arg;
	char text[16];
	int err = xs_read_str(t->xs, XS_NO_TXN, "/w", "x", text, sizeof(text));

	if (path[0] != '/' || (err && err != -ENOENT))
		t->wrong = true;
	t->nr_looks++;
	t->saw_end |= !err && !strcmp(text, "end");
}

struct submitted {
	struct talk *t;
	unsigned nr;
};

static void submitted_done(void *arg, int err, const char *data, size_t len)
{
	struct submitted *s = arg;
	char want[16];

	snprintf(want, sizeof(want), "v%u", s->nr / 2);
	if (s->nr != s->t->nr_done++)
		s->t->out_of_order = true;
	/* Each value is written, then read. */
	if (err || (s->nr % 2 &&
		    (len != strlen(want) || memcmp(data, want, len + 1) != 0)))
		s->t->wrong = true;
}

static int submit_all(struct talk *t, struct submitted s[NR_SUBMITTED])
{
	for (unsigned i = 0; i < NR_SUBMITTED; i++) {
		char path[16], value[16];
		struct xs_request rq = { .op = i % 2 ? XS_OP_READ : XS_OP_WRITE,
					 .path = path,
					 .data = value,
					 .done = submitted_done,
					 .arg = &s[i] };
		int err;

		s[i] = (struct submitted){ t, i };
		snprintf(path, sizeof(path), "/p/%u", i / 2);
		rq.len = (size_t)snprintf(value, sizeof(value), "v%u", i / 2);
		err = xs_submit(t->xs, &rq);
		if (err)
			return err;
	}
	return 0;
}

static int set_both(struct xs *xs, xs_txn_t tx, void *arg)
{
	int err = xs_write(xs, tx, "/t/a", "1", 1);
	char *value;

	(void)arg;
	if (!err)
		err = xs_write(xs, tx, "/t/b", "1", 1);
	if (!err)
		err = xs_read(xs, tx, "/t/a", &value, NULL);
	if (!err)
		free(value);
	return err;
}

/* The steps' errors, or'ed: 0 when all went as it should. */
static int nodes(struct xs *xs)
{
	struct xs_perm perms[2] = { { 0, 'n' }, { 1, 'r' } };
	unsigned nr = 2, nr_names = 0;
	char **names = NULL;
	int err = xs_write(xs, XS_NO_TXN, "/d/a", "1", 1);

	err = err ?: xs_mkdir(xs, XS_NO_TXN, "/d/b");
	err = err ?: xs_set_perms(xs, XS_NO_TXN, "/d/a", perms, 2);
	err = err ?: xs_get_perms(xs, XS_NO_TXN, "/d/a", perms, &nr);
	err = err ?: xs_directory(xs, XS_NO_TXN, "/d", &names, &nr_names);
	free(names);
	if (!err && (nr != 2 || perms[1].right != 'r' || nr_names != 2))
		err = -EBADMSG;
	err = err ?: xs_rm(xs, XS_NO_TXN, "/d/b");
	return err ?: xs_transaction(xs, set_both, NULL);
}

static bool talk_over(const struct talk *t)
{
	return t->nr_done == NR_SUBMITTED && t->saw_end;
}

static int conversation(struct xs *xs)
{
	struct submitted s[NR_SUBMITTED];
	struct talk t = { .xs = xs };
	struct xs_watch *watch, *other;
	int err = xs_watch(xs, "/w", look, &t, &watch);

	err = err ?: xs_watch(xs, "/nowhere", look, &t, &other);
	err = err ?: nodes(xs);
	err = err ?: submit_all(&t, s);
	err = err ?: xs_write(xs, XS_NO_TXN, "/w/x", "end", 3);
	for (int i = 0; !err && !talk_over(&t) && i < 1000; i++)
		err = xs_dispatch(xs);
	if (err)
		return err;
	xs_unwatch(xs, other);
	xs_unwatch(xs, watch);
	if (xs_is_domain_introduced(xs, 0) != 1)
		return -EBADMSG;
	return !talk_over(&t) || t.out_of_order || t.wrong ? -EBADMSG : 0;
}

static bool tree_is_right(struct mortal *m)
{
	struct peer *peer = peer_open(m->xsd, 0);
	bool ok = peer_reads(peer, 0, "/d/a", "1") &&
		  peer_has_perms(peer, "/d/a", "n0 r1") &&
		  peer_lists(peer, 0, "/d", "a") &&
		  peer_reads(peer, 0, "/t/a", "1") &&
		  peer_reads(peer, 0, "/t/b", "1") &&
		  peer_reads(peer, 0, "/p/0", "v0") &&
		  peer_reads(peer, 0, "/p/5", "v5") &&
		  peer_reads(peer, 0, "/w/x", "end");

	peer_close(peer);
	return ok;
}

/* Returns the connections that it took; 0 when something went wrong. */
static unsigned converse(void (*next_life)(struct mortal *m), uint64_t seed,
			 size_t *nr_in, size_t *nr_out)
{
	struct mortal m = { .next_life = next_life, .seed = seed };
	struct xs *xs;
	int err;

	if (mortal_open(&m, &xs))
		return 0;
	peer_close(peer_open(m.xsd, 1)); /* so that it can be given a right */
	err = conversation(xs);
	if (err || !tree_is_right(&m)) {
		printf("seed %llu: %s\n", (unsigned long long)seed,
		       err ? strerrordesc_np(-err) : "the tree is wrong");
		m.nr_connects = 0;
	}
	if (nr_in) {
		*nr_in = m.nr_in;
		*nr_out = m.nr_out;
	}
	xs_close(xs);
	mortal_close(&m);
	return m.nr_connects;
}

/* seed: the byte; the low bit says in which direction. */
static void first_dies(struct mortal *m)
{
	if (m->nr_connects > 1)
		return;
	if (m->seed & 1)
		m->in_left = m->seed / 2;
	else
		m->out_left = m->seed / 2;
}

static void a_death_at_any_byte_changes_no_result(void)
{
	size_t nr_in, nr_out;

	UNIT_REQUIRE(converse(NULL, 0, &nr_in, &nr_out) == 1);
	UNIT_CHECK(nr_in > 500 && nr_out > 500);
	for (size_t at = 1; at < nr_in; at++)
		UNIT_CHECK(converse(first_dies, 2 * at + 1, NULL, NULL) == 2);
	for (size_t at = 1; at < nr_out; at++)
		UNIT_CHECK(converse(first_dies, 2 * at, NULL, NULL) == 2);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

static void eight_die(struct mortal *m)
{
	if (m->nr_connects > 8)
		return;
	m->in_left = 60 + next_random(&m->seed) % 400;
	m->out_left = 60 + next_random(&m->seed) % 400;
}

static void many_deaths_in_a_row_change_no_result(void)
{
	unsigned nr_connects = 0, rounds = soak_rounds(60, 2000);

	for (uint64_t seed = 1; seed <= rounds; seed++) {
		unsigned nr = converse(eight_die, seed, NULL, NULL);

		UNIT_CHECK(nr > 0);
		nr_connects += nr;
	}
	UNIT_CHECK(nr_connects > 4 * rounds);
}

/* ---- transactions ----------------------------------------------------------
 */

static void a_lost_transaction_is_never_taken_for_a_new_one(void)
{
	struct mortal m = { 0 };
	struct xs *xs;
	xs_txn_t old, new;
	char *value;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_REQUIRE(xs_transaction_start(xs, &old) == 0);
	UNIT_CHECK(xs_write(xs, old, "/old", "1", 1) == 0);
	mortal_die(&m);
	UNIT_CHECK(xs_write(xs, old, "/old", "2", 1) == -EAGAIN);
	UNIT_REQUIRE(xs_transaction_start(xs, &new) == 0);
	UNIT_CHECK(new != old);
	UNIT_CHECK(xs_write(xs, old, "/old", "3", 1) == -EAGAIN);
	UNIT_CHECK(xs_write(xs, new, "/new", "1", 1) == 0);
	UNIT_CHECK(xs_transaction_end(xs, old, true) == -EAGAIN);
	UNIT_CHECK(xs_transaction_end(xs, old, true) == -ENOENT);
	UNIT_CHECK(xs_transaction_end(xs, new, true) == 0);
	UNIT_CHECK(xs_write(xs, new, "/new", "2", 1) == -ENOENT);
	UNIT_CHECK(xs_read(xs, 0, "/old", &value, NULL) == -ENOENT);
	UNIT_REQUIRE(xs_read(xs, 0, "/new", &value, NULL) == 0);
	UNIT_CHECK(!strcmp(value, "1"));
	free(value);
	xs_close(xs);
	mortal_close(&m);
}

struct tries {
	struct mortal *m;
	unsigned nr;
	bool hide; /* what the store says */
};

static int dies_once(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct tries *t = arg;
	int err;

	if (!t->nr++)
		mortal_die(t->m);
	err = xs_write(xs, tx, "/t", "x", 1);
	return t->hide && err ? -EPERM : err;
}

/* All that the commit's answer lacks is its last byte. */
static int loses_the_answer_once(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct tries *t = arg;
	int err = xs_write(xs, tx, "/t", "x", 1);

	if (!t->nr++)
		t->m->out_left = sizeof(struct xsd_sockmsg) + 2;
	return err;
}

static void a_transaction_is_run_again_when_it_was_lost(void)
{
	struct mortal m = { 0 };
	struct tries t = { .m = &m };
	struct xs *xs;
	char *value;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_CHECK(xs_transaction(xs, dies_once, &t) == 0 && t.nr == 2);
	t = (struct tries){ .m = &m, .hide = true };
	UNIT_CHECK(xs_transaction(xs, dies_once, &t) == 0 && t.nr == 2);
	t = (struct tries){ .m = &m };
	UNIT_CHECK(xs_transaction(xs, loses_the_answer_once, &t) == 0 &&
		   t.nr == 2);
	UNIT_REQUIRE(xs_read(xs, 0, "/t", &value, NULL) == 0);
	UNIT_CHECK(!strcmp(value, "x"));
	free(value);
	UNIT_CHECK(m.nr_connects == 4);
	xs_close(xs);
	mortal_close(&m);
}

/* ---- watches ---------------------------------------------------------------
 */

struct heard {
	unsigned nr;
	char words[256];
	struct heard *all;
};

static void hear(void *arg, const char *path)
{
	struct heard *h = arg;
	size_t used = strlen(h->all->words);

	h->nr++;
	snprintf(h->all->words + used, sizeof(h->all->words) - used, " %s",
		 path);
}

static int dispatch_some(struct xs *xs)
{
	int err = 0;

	for (int i = 0; !err && i < 10; i++)
		err = xs_dispatch(xs);
	return err;
}

static void watches_come_back_in_order_and_fire_once(void)
{
	struct mortal m = { 0 };
	struct heard all = { 0 }, a = { .all = &all }, b = a, c = a;
	struct xs_watch *wa, *wb, *wc;
	struct peer *peer;
	struct xs *xs;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	peer = peer_open(m.xsd, 0);
	UNIT_REQUIRE(xs_watch(xs, "/a", hear, &a, &wa) == 0);
	UNIT_REQUIRE(xs_watch(xs, "/b", hear, &b, &wb) == 0);
	UNIT_REQUIRE(xs_watch(xs, "@releaseDomain", hear, &c, &wc) == 0);
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(!strcmp(all.words, " /a /b @releaseDomain"));
	xs_unwatch(xs, wb);
	mortal_die(&m);
	UNIT_CHECK(peer_write(peer, 0, "/a/x", "unseen") == 0);
	all.words[0] = '\0';
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(!strcmp(all.words, " /a @releaseDomain"));
	UNIT_CHECK(peer_write(peer, 0, "/a/x", "seen") == 0);
	UNIT_CHECK(peer_write(peer, 0, "/b", "unwatched") == 0);
	all.words[0] = '\0';
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(!strcmp(all.words, " /a/x"));
	/* What is given up while there is no store does not come back. */
	mortal_die(&m);
	xs_unwatch(xs, wa);
	all.words[0] = '\0';
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(!strcmp(all.words, " @releaseDomain"));
	UNIT_CHECK(m.nr_connects == 3);
	peer_close(peer);
	xs_close(xs);
	mortal_close(&m);
}

/* The domain's other connection takes all watches that it may have. */
static void a_watch_that_is_refused_is_asked_for_again(void)
{
	struct mortal m = { .domid = 1 };
	struct heard all = { 0 }, a = { .all = &all };
	struct xs_watch *watch;
	struct peer *peer, *dom0;
	struct xs *xs;
	char token[16];
	uint64_t begin_ns;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	peer = peer_open(m.xsd, 1);
	dom0 = peer_open(m.xsd, 0);
	UNIT_REQUIRE(xs_watch(xs, "data", hear, &a, &watch) == 0);
	mortal_die(&m);
	for (unsigned i = 0;; i++) {
		snprintf(token, sizeof(token), "%u", i);
		if (peer_watch(peer, "data", token))
			break;
	}
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(!strcmp(all.words, " data data"));
	UNIT_CHECK(peer_unwatch(peer, "data", "0") == 0);
	begin_ns = clock_now_ns();
	while (a.nr < 3 && clock_now_ns() - begin_ns < 10 * NS_PER_S) {
		usleep(10000);
		UNIT_CHECK(xs_dispatch(xs) == 0);
	}
	UNIT_CHECK(a.nr == 3);
	UNIT_CHECK(peer_write(dom0, 0, "/local/domain/1/data/x", "1") == 0);
	UNIT_CHECK(dispatch_some(xs) == 0);
	UNIT_CHECK(a.nr == 4 && m.nr_connects == 2);
	peer_close(dom0);
	peer_close(peer);
	xs_close(xs);
	mortal_close(&m);
}

static void reset_leaves_our_watches_and_no_transaction(void)
{
	struct mortal m = { 0 };
	struct heard all = { 0 }, a = { .all = &all };
	struct xs_watch *watch;
	struct xs *xs;
	xs_txn_t tx;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	UNIT_REQUIRE(xs_watch(xs, "/a", hear, &a, &watch) == 0);
	UNIT_REQUIRE(xs_transaction_start(xs, &tx) == 0);
	UNIT_CHECK(peer_watch(m.peer, "/b", "of an earlier user") == 0);
	UNIT_CHECK(dispatch_some(xs) == 0 && a.nr == 1);
	UNIT_CHECK(xs_reset_watches(xs) == 0);
	UNIT_CHECK(dispatch_some(xs) == 0 && a.nr == 2);
	UNIT_CHECK(xs_write(xs, tx, "/a", "", 0) == -EAGAIN);
	UNIT_CHECK(xs_transaction_end(xs, tx, false) == -EAGAIN);
	UNIT_CHECK(xs_write(xs, 0, "/a", "", 0) == 0);
	UNIT_CHECK(dispatch_some(xs) == 0 && a.nr == 3);
	UNIT_CHECK(m.peer->conn && m.nr_connects == 1);
	xs_close(xs);
	mortal_close(&m);
}

/* ---- requests --------------------------------------------------------------
 */

static void what_may_not_be_done_twice_is_not(void)
{
	static const char *const check[] = { "check", NULL };
	struct mortal m = { 0 };
	struct peer *peer;
	struct xs *xs;
	char *text;

	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	peer = peer_open(m.xsd, 7);
	UNIT_REQUIRE(peer != NULL);
	m.out_left = 1;
	UNIT_CHECK(xs_release(xs, 7) == -ECONNRESET);
	UNIT_CHECK(!xsd_domain_exists(m.xsd, 7));
	UNIT_CHECK(xs_is_domain_introduced(xs, 7) == 0);
	m.in_left = 1;
	UNIT_CHECK(xs_control(xs, check, &text, NULL) == -ECONNRESET);
	/* One that was not sent at all is. */
	mortal_die(&m);
	UNIT_CHECK(xs_control(xs, check, &text, NULL) == 0);
	free(text);
	free(peer);
	xs_close(xs);
	mortal_close(&m);
}

static void a_store_that_talks_nonsense_is_left(void)
{
	static const struct {
		struct xsd_sockmsg hdr;
		char payload[8];
	} lies[] = {
		{ { XS_READ, 99, 0, 2 }, "ok" },       /* not asked */
		{ { XS_WATCH_EVENT, 0, 0, 3 }, "/a" }, /* no token */
		{ { XS_READ, 1, 0, 4097 }, "" },       /* too long */
		{ { XS_WRITE, 1, 0, 3 }, "OK" },       /* another's type */
		{ { XS_ERROR, 1, 0, 8 }, "nonsense" }, /* no NUL */
	};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct mortal m = { .lie = &lies[i],
				    .lie_len = sizeof(lies[i].hdr) };
		uint64_t begin_ns = clock_now_ns();
		struct xs *xs;
		char *value;

		if (lies[i].hdr.len <= sizeof(lies[i].payload))
			m.lie_len += lies[i].hdr.len;
		UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
		UNIT_CHECK(xs_read(xs, 0, "/", &value, NULL) == 0);
		free(value);
		UNIT_CHECK(m.nr_connects == 2);
		/* And not asked again at once. */
		UNIT_CHECK(clock_now_ns() - begin_ns >= 900 * NS_PER_MS);
		xs_close(xs);
		mortal_close(&m);
	}
}

static void a_store_that_is_not_there_is_tried_with_pauses(void)
{
	struct mortal m = { 0 };
	uint64_t begin_ns = clock_now_ns();
	struct xs *xs;

	m.nr_refusals = 1;
	UNIT_CHECK(mortal_open(&m, &xs) == -ECONNREFUSED);
	mortal_close(&m);
	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	mortal_die(&m);
	m.nr_tries = 0;
	m.nr_refusals = 5;
	/* 20, 40, 80, 160 and 320 ms at most, and it is there. */
	UNIT_CHECK(xs_mkdir(xs, 0, "/a") == 0);
	UNIT_CHECK(m.nr_tries == 6);
	UNIT_CHECK(clock_now_ns() - begin_ns >= 300 * NS_PER_MS);
	mortal_die(&m);
	m.nr_refusals = 1000;
	xs_set_timeout(xs, 50 * NS_PER_MS);
	UNIT_CHECK(xs_mkdir(xs, 0, "/b") == -ETIMEDOUT);
	UNIT_CHECK(m.nr_tries < 12);
	UNIT_CHECK(xs_dispatch(xs) == 0);
	m.nr_refusals = 0;
	xs_set_timeout(xs, 30 * NS_PER_S);
	UNIT_CHECK(xs_mkdir(xs, 0, "/c") == 0);
	xs_close(xs);
	mortal_close(&m);
}

static void told(void *arg, int err, const char *data, size_t len)
{
	(void)data;
	(void)len;
	*(int *)arg = err;
}

static void a_store_that_never_comes_back_is_the_end(void)
{
	struct mortal m = { .refusal = -ECONNRESET };
	struct xs_request rq = { .op = XS_OP_READ, .path = "/", .done = told };
	struct xs *xs;
	int err = 0;

	rq.arg = &err;
	m.nr_refusals = 1;
	UNIT_CHECK(mortal_open(&m, &xs) == -ECONNRESET);
	mortal_close(&m);
	UNIT_REQUIRE(mortal_open(&m, &xs) == 0);
	mortal_die(&m);
	m.nr_refusals = 1;
	UNIT_CHECK(xs_submit(xs, &rq) == 0);
	UNIT_CHECK(xs_mkdir(xs, 0, "/a") == -ECONNRESET);
	UNIT_CHECK(xs_dispatch(xs) == -ECONNRESET && err == -ECONNRESET);
	UNIT_CHECK(xs_submit(xs, &rq) == -ECONNRESET);
	UNIT_CHECK(m.nr_connects == 1 && !xs_pending(xs));
	xs_close(xs);
	mortal_close(&m);
}

UNIT_MAIN("xs_reconnect", UNIT_TEST(a_death_at_any_byte_changes_no_result),
	  UNIT_TEST(many_deaths_in_a_row_change_no_result),
	  UNIT_TEST(a_lost_transaction_is_never_taken_for_a_new_one),
	  UNIT_TEST(a_transaction_is_run_again_when_it_was_lost),
	  UNIT_TEST(watches_come_back_in_order_and_fire_once),
	  UNIT_TEST(a_watch_that_is_refused_is_asked_for_again),
	  UNIT_TEST(reset_leaves_our_watches_and_no_transaction),
	  UNIT_TEST(what_may_not_be_done_twice_is_not),
	  UNIT_TEST(a_store_that_talks_nonsense_is_left),
	  UNIT_TEST(a_store_that_is_not_there_is_tried_with_pauses),
	  UNIT_TEST(a_store_that_never_comes_back_is_the_end))
