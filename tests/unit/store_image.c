/* SPDX-License-Identifier: MIT */
/*
 * store_image.c - the live-update image: to save and to restore, whenever it
 * is, is the same as doing nothing; what cannot be is refused.
 */
#include "tests/unit/store_dump.h"
#include "tests/unit/store_peer.h"
#include "xenstore-lite/image.h"

#define NR_PEERS   6
#define NR_DOMAINS 4 /* 0 .. 3 */

/* Clients as the store sees them: bytes in, bytes out, at any pace. */
struct client {
	struct xsd_conn *conn;
	uint32_t domid;
	char in[8192]; /* not fed yet */
	size_t in_len;
};

struct world {
	struct xsd *xsd;
	struct client clients[NR_PEERS];
	uint64_t random, lives, heard; /* heard: of all that came out */
	uint32_t req_id;
};

static uint32_t rnd(struct world *w, uint32_t below)
{
	w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(w->random >> 33) % below;
}

static void has_output(void *arg)
{
	(void)arg;
}

static void dropped(void *arg)
{
	struct client *c = arg;

	xsd_conn_close(c->conn);
	c->conn = NULL;
}

static uint64_t now_ns;

static uint64_t clock_of_steps(void)
{
	return now_ns;
}

static const struct xsd_ops ops = { .output = has_output,
				    .dropped = dropped,
				    .now_ns = clock_of_steps };

/* ---- save, restore ------------------------------------------------------ */

static void save_client(void *arg, struct encoder *e)
{
	enc_u64(e, (uint64_t)(uintptr_t)arg);
}

static int restore_client(void *arg, struct xsd_conn *conn, struct decoder *d,
			  void **ret)
{
	struct world *w = arg;
	uint64_t value = dec_u64(d);

	for (unsigned i = 0; i < NR_PEERS; i++) {
		struct client *c = &w->clients[i];

		if ((uint64_t)(uintptr_t)c != value || c->conn)
			continue;
		c->conn = conn;
		*ret = c;
		return 0;
	}
	return -EINVAL;
}

static struct image_owner owner_of(struct world *w)
{
	return (struct image_owner){ .save = save_client,
				     .restore = restore_client,
				     .arg = w };
}

static void hang_up(struct world *w)
{
	for (unsigned i = 0; i < NR_PEERS; i++)
		if (w->clients[i].conn)
			dropped(&w->clients[i]);
}

/* The store's death, and one that is made of what it left. */
static int reincarnate(struct world *w)
{
	struct image_owner owner = owner_of(w);
	struct encoder e = { 0 }, again = { 0 };
	struct decoder d;
	int same = 0;

	xsd_save(w->xsd, &owner, &e);
	hang_up(w);
	xsd_close(w->xsd);
	w->xsd = NULL;
	if (e.failed || xsd_open(w->random, &ops, &w->xsd))
		goto out;
	decoder_init(&d, e.data, e.len);
	if (xsd_restore(w->xsd, &owner, &d) || decoder_end(&d))
		goto out;
	xsd_save(w->xsd, &owner, &again);
	same = again.len == e.len && memcmp(again.data, e.data, e.len) == 0;
out:
	encoder_fini(&e);
	encoder_fini(&again);
	return same;
}

/* ---- what clients do ---------------------------------------------------- */

static int world_open(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->random = seed;
	now_ns = 1;
	w->lives = 10;
	for (unsigned i = 0; i < NR_PEERS; i++)
		w->clients[i].domid = i % NR_DOMAINS;
	return xsd_open(seed, &ops, &w->xsd);
}

static void world_close(struct world *w)
{
	hang_up(w);
	xsd_close(w->xsd);
}

static void hear(struct world *w, unsigned who, const char *data, size_t len)
{
	w->heard = (w->heard ^ who) * 1099511628211ull;
	for (size_t i = 0; i < len; i++)
		w->heard = (w->heard ^ (uint8_t)data[i]) * 1099511628211ull;
}

static void connect_or_die(struct world *w, struct client *c)
{
	char name[8];

	if (c->domid && !xsd_domain_exists(w->xsd, c->domid)) {
		snprintf(name, sizeof(name), "d%u", c->domid);
		(void)!xsd_domain_create(w->xsd, c->domid, ++w->lives, name);
	}
	c->in_len = 0;
	if (xsd_conn_open(w->xsd, c->domid, c, &c->conn))
		c->conn = NULL;
}

static void put(struct world *w, struct client *c, uint32_t type, uint32_t tx,
		const void *payload, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++w->req_id,
				   .tx_id = tx,
				   .len = (uint32_t)len };

	if (c->in_len + sizeof(hdr) + len > sizeof(c->in))
		return;
	memcpy(c->in + c->in_len, &hdr, sizeof(hdr));
	memcpy(c->in + c->in_len + sizeof(hdr), payload, len);
	c->in_len += sizeof(hdr) + len;
}

static const char *random_path(struct world *w)
{
	static const char *const paths[] = {
		"/a",	      "/a/b",
		"/a/b/c",     "/a/d",
		"data/x",     "data/x/y",
		"data",	      "/",
		"/local",     "@releaseDomain",
		"/libxl/1/q", "../x",
		"data/z",     "/local/domain/2/data/o",
	};

	return paths[rnd(w, sizeof(paths) / sizeof(paths[0]))];
}

static void ask(struct world *w, struct client *c)
{
	static const uint32_t types[] = {
		XS_WRITE,
		XS_WRITE,
		XS_WRITE,
		XS_WRITE,
		XS_MKDIR,
		XS_RM,
		XS_READ,
		XS_DIRECTORY,
		XS_WATCH,
		XS_WATCH,
		XS_UNWATCH,
		XS_TRANSACTION_START,
		XS_TRANSACTION_START,
		XS_TRANSACTION_END,
		XS_TRANSACTION_END,
		XS_SET_PERMS,
		XS_GET_PERMS,
		XS_DIRECTORY_PART,
		XS_RESET_WATCHES,
		XS_SET_TARGET,
	};
	uint32_t type = types[rnd(w, sizeof(types) / sizeof(types[0]))];
	uint32_t tx = rnd(w, 2) ? rnd(w, 8) : 0;
	char text[128];
	int len = 0;

	switch (type) {
	case XS_TRANSACTION_START:
		tx = 0;
		len = 1;
		text[0] = 0;
		break;
	case XS_TRANSACTION_END:
		len = snprintf(text, sizeof(text), "%c", rnd(w, 4) ? 'T' : 'F');
		len++;
		tx = 1 + rnd(w, 8);
		break;
	case XS_WATCH:
	case XS_UNWATCH:
		len = snprintf(text, sizeof(text), "%s%ctoken%u%c",
			       random_path(w), 0, rnd(w, 3), 0);
		break;
	case XS_SET_PERMS:
		len = snprintf(text, sizeof(text), "%s%c%c%u%cr%u%c",
			       random_path(w), 0, "nrwb"[rnd(w, 4)],
			       rnd(w, 3) ? c->domid : rnd(w, NR_DOMAINS), 0,
			       rnd(w, 5), 0);
		break;
	case XS_SET_TARGET:
		len = snprintf(text, sizeof(text), "%u%c%u%c", rnd(w, 4), 0,
			       rnd(w, 4), 0);
		break;
	case XS_DIRECTORY_PART:
		len = snprintf(text, sizeof(text), "%s%c0%c", random_path(w), 0,
			       0);
		break;
	case XS_WRITE:
		len = snprintf(text, sizeof(text), "%s%c%u", random_path(w), 0,
			       rnd(w, 1000));
		break;
	default: len = snprintf(text, sizeof(text), "%s", random_path(w)) + 1;
	}
	put(w, c, type, tx, text, (size_t)len);
}

/* A piece of what the client has to say, not ending where messages do. */
static void feed(struct world *w, struct client *c)
{
	size_t len = c->in_len ? 1 + rnd(w, (uint32_t)c->in_len) : 0;

	if (!len || !xsd_conn_wants_input(c->conn))
		return;
	if (xsd_conn_feed(c->conn, c->in, len)) {
		dropped(c);
		return;
	}
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
}

/* A piece of what the store has to say. */
static void take(struct world *w, struct client *c)
{
	const void *data;
	size_t len = xsd_conn_output(c->conn, &data);

	if (len > 1 && rnd(w, 2))
		len = 1 + rnd(w, (uint32_t)len - 1);
	hear(w, (unsigned)(c - w->clients), data, len);
	if (xsd_conn_sent(c->conn, len))
		dropped(c);
}

static void step(struct world *w)
{
	struct client *c = &w->clients[rnd(w, NR_PEERS)];
	unsigned r = rnd(w, 100);

	now_ns += 1000 * 1000;
	if (xsd_wake_ns(w->xsd) && xsd_wake_ns(w->xsd) <= now_ns)
		xsd_wake(w->xsd);
	if (!c->conn)
		connect_or_die(w, c);
	if (!c->conn)
		return;
	if (r == 0 && c->domid)
		xsd_domain_destroy(w->xsd, c->domid);
	else if (r == 1)
		dropped(c);
	else if (r < 40)
		ask(w, c);
	else if (r < 75)
		feed(w, c);
	else
		take(w, c);
}

/* What a world has come to, as text. */
static char *sum_up(struct world *w)
{
	char *dump, *text = NULL;

	for (unsigned round = 0; round < 40; round++)
		for (unsigned i = 0; i < NR_PEERS; i++) {
			if (w->clients[i].conn)
				feed(w, &w->clients[i]);
			if (w->clients[i].conn)
				take(w, &w->clients[i]);
		}
	dump = store_dump(w->xsd);
	if (dump &&
	    asprintf(&text, "%llx %llu %u\n%s", (unsigned long long)w->heard,
		     (unsigned long long)w->xsd->store.last_generation,
		     xsd_check(w->xsd), dump) < 0)
		text = NULL;
	free(dump);
	return text;
}

static char *run(uint64_t seed, unsigned steps, unsigned every, int *ok)
{
	struct world w;
	char *text;

	*ok = world_open(&w, seed) == 0;
	for (unsigned i = 1; i <= steps && *ok; i++) {
		step(&w);
		if (every && i % every == 0)
			*ok = reincarnate(&w) && xsd_check(w.xsd) == 0;
	}
	text = *ok ? sum_up(&w) : NULL;
	world_close(&w);
	return text;
}

static void a_store_saved_at_every_step_is_as_one_that_was_not(void)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		int ok, ok2;
		char *plain = run(seed, 1500, 0, &ok);
		char *saved = run(seed, 1500, 1, &ok2);

		UNIT_CHECK(ok && ok2);
		UNIT_CHECK(plain && saved && strcmp(plain, saved) == 0);
		if (plain && saved && strcmp(plain, saved) != 0)
			printf("seed %u:\n%s---\n%s", (unsigned)seed, plain,
			       saved);
		free(plain);
		free(saved);
	}
}

/* ---- what cannot be ----------------------------------------------------- */

static int restores(struct world *w, const uint8_t *data, size_t len)
{
	struct image_owner owner = owner_of(w);
	struct decoder d;
	int err;

	if (xsd_open(1, &ops, &w->xsd))
		return -1;
	decoder_init(&d, data, len);
	err = xsd_restore(w->xsd, &owner, &d);
	if (!err)
		err = decoder_end(&d) || xsd_check(w->xsd);
	hang_up(w);
	xsd_close(w->xsd);
	return err == 0;
}

static int make_image(struct world *w, uint64_t seed, struct encoder *e)
{
	struct image_owner owner = owner_of(w);

	if (world_open(w, seed))
		return -1;
	for (unsigned i = 0; i < 800; i++)
		step(w);
	xsd_save(w->xsd, &owner, e);
	world_close(w);
	return e->failed ? -1 : 0;
}

static void a_short_image_is_refused(void)
{
	struct encoder e = { 0 };
	struct world w;

	UNIT_REQUIRE(make_image(&w, 5, &e) == 0);
	UNIT_CHECK(restores(&w, e.data, e.len));
	for (size_t len = 0; len < e.len; len += 1 + len / 40) {
		/* Of the exact size, so that no byte behind it is read. */
		uint8_t *copy = malloc(len ? len : 1);

		UNIT_REQUIRE(copy != NULL);
		memcpy(copy, e.data, len);
		UNIT_CHECK(!restores(&w, copy, len));
		free(copy);
	}
	encoder_fini(&e);
}

static void a_changed_image_does_no_harm(void)
{
	struct encoder e = { 0 };
	struct world w, dice = { .random = 77 };
	unsigned refused = 0;
	size_t end;

	UNIT_REQUIRE(make_image(&w, 6, &e) == 0);
	/* The figures and the hashes at the end may be anything. */
	end = e.len - sizeof(struct xsd_stats) - STORE_NR_REMOVALS * 18ul;
	for (unsigned i = 0; i < 3000; i++) {
		size_t at = rnd(&dice, (uint32_t)end);
		uint8_t was = e.data[at];

		e.data[at] ^= (uint8_t)(1 + rnd(&dice, 255));
		refused += !restores(&w, e.data, e.len);
		e.data[at] = was;
	}
	UNIT_CHECK(refused > 1000);
	encoder_fini(&e);
}

static void another_version_is_refused(void)
{
	struct encoder e = { 0 };
	struct world w;
	struct image_owner owner;
	struct decoder d;

	UNIT_REQUIRE(make_image(&w, 7, &e) == 0);
	owner = owner_of(&w);
	e.data[8]++;
	UNIT_REQUIRE(xsd_open(1, &ops, &w.xsd) == 0);
	decoder_init(&d, e.data, e.len);
	UNIT_CHECK(xsd_restore(w.xsd, &owner, &d) == -EPROTONOSUPPORT);
	xsd_close(w.xsd);
	encoder_fini(&e);
}

UNIT_MAIN("store_image",
	  UNIT_TEST(a_store_saved_at_every_step_is_as_one_that_was_not),
	  UNIT_TEST(a_short_image_is_refused),
	  UNIT_TEST(a_changed_image_does_no_harm),
	  UNIT_TEST(another_version_is_refused))
