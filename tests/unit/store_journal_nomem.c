/* SPDX-License-Identifier: MIT */
/*
 * store_journal_nomem.c - the journal, its reader and the live-update image
 * when memory is refused: what was acknowledged is recorded as it happened, and
 * what cannot be made again is given up without a trace (asan).
 *
 * The linker sends the allocations of the whole program here (Makefile).
 */
#include <limits.h>

#include "tests/unit/store_dir.h"
#include "xenstore-lite/image.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);

static struct {
	unsigned long left; /* allocations to grant; then one is refused */
	unsigned one_in;    /* or at random; 0: not so */
	uint64_t random;
	bool armed, refused;
} memory;

static bool refuse(void)
{
	if (!memory.armed)
		return false;
	if (memory.one_in) {
		memory.random = memory.random * 6364136223846793005ull + 1;
		if ((memory.random >> 33) % memory.one_in)
			return false;
	} else if (memory.left) {
		memory.left--;
		return false;
	} else {
		memory.armed = false;
	}
	memory.refused = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return refuse() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return refuse() ? NULL : __real_realloc(p, size);
}

/* Refuse the n-th from now on. */
static void refuse_nth(unsigned long n)
{
	memset(&memory, 0, sizeof(memory));
	memory.left = n;
	memory.armed = true;
}

static bool was_refused(void)
{
	memory.armed = false;
	return memory.refused;
}

/* ---- the journal --------------------------------------------------------- */

static void what_happened_is_recorded_whatever_was_refused(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct history h;
		struct xsd *xsd;
		unsigned refused = 0;
		char *text;
		int err;

		UNIT_REQUIRE(make_dir() == 0);
		xsd = open_store(&err);
		UNIT_REQUIRE(xsd && history_open(&h, xsd, seed) == 0);
		memory.random = seed;
		for (unsigned i = 0; i < 400; i++) {
			memory.one_in = 10;
			memory.refused = false;
			memory.armed = i % 2;
			history_step(&h);
			refused += was_refused();
		}
		UNIT_CHECK(refused > 20);
		UNIT_CHECK(persist_flush(xsd) == 0);
		UNIT_CHECK(xsd_check(xsd) == 0);
		text = store_dump(xsd);
		history_close(&h);
		xsd_close(xsd);
		UNIT_CHECK(text && recovers_as(text));
		free(text);
		remove_dir();
	}
}

static void recovery_without_memory_fails_and_can_be_tried_again(void)
{
	unsigned long n = 0;
	char *text;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	text = live(7, 150, 5);
	UNIT_REQUIRE(text != NULL);
	for (;; n++) {
		struct xsd *xsd = peer_store();

		UNIT_REQUIRE(xsd != NULL);
		refuse_nth(n);
		err = persist_open(xsd,
				   &(struct journal_options){ .dir = dir });
		if (!was_refused()) {
			xsd_close(xsd);
			break;
		}
		/* Some are only slower without, as a table that cannot grow. */
		UNIT_CHECK(err == -ENOMEM || err == 0);
		xsd_close(xsd);
	}
	UNIT_CHECK(n > 300);
	UNIT_CHECK(err == 0);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

/* ---- the image ----------------------------------------------------------- */

static void save_peer(void *arg, struct encoder *e)
{
	(void)arg;
	enc_u8(e, 1);
}

static int restore_peer(void *arg, struct xsd_conn *conn, struct decoder *d,
			void **ret)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	(void)arg;
	if (!peer || dec_u8(d) != 1) {
		free(peer);
		return -ENOMEM;
	}
	peer->conn = conn;
	*ret = peer;
	return 0;
}

static void dropped_peer(void *arg)
{
	peer_close(arg);
}

static const struct image_owner owner = { .save = save_peer,
					  .restore = restore_peer };

static int make_image(struct encoder *e, bool sparse)
{
	struct xsd *xsd = peer_store();
	struct history h;

	if (!xsd || history_open(&h, xsd, 3))
		return -1;
	peer_watch(h.peers[0], "/", "token");
	for (unsigned i = 0; i < 300; i++)
		history_step(&h);
	refuse_nth(sparse ? 2 : ULONG_MAX);
	xsd_save(xsd, &owner, e);
	(void)was_refused();
	history_close(&h);
	xsd_close(xsd);
	return 0;
}

static void saving_without_memory_says_so(void)
{
	struct encoder e = { 0 };

	UNIT_REQUIRE(make_image(&e, true) == 0);
	UNIT_CHECK(e.failed);
	encoder_fini(&e);
}

static void restoring_without_memory_leaves_nothing(void)
{
	static const struct xsd_ops ops = { .output = peer_has_output,
					    .dropped = dropped_peer };
	struct encoder e = { 0 };
	unsigned long n = 0;
	int err;

	UNIT_REQUIRE(make_image(&e, false) == 0 && !e.failed);
	for (;; n++) {
		struct decoder d;
		struct xsd *xsd;

		UNIT_REQUIRE(xsd_open(1, &ops, &xsd) == 0);
		decoder_init(&d, e.data, e.len);
		refuse_nth(n);
		err = xsd_restore(xsd, &owner, &d);
		if (!was_refused()) {
			xsd_close(xsd);
			break;
		}
		UNIT_CHECK(err || xsd_check(xsd) == 0);
		xsd_close(xsd);
	}
	UNIT_CHECK(err == 0);
	UNIT_CHECK(n > 100);
	encoder_fini(&e);
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(what_happened_is_recorded_whatever_was_refused),
		UNIT_TEST(recovery_without_memory_fails_and_can_be_tried_again),
		UNIT_TEST(saving_without_memory_says_so),
		UNIT_TEST(restoring_without_memory_leaves_nothing),
	};

	log_init("store_journal_nomem", LOG_ERROR + 1);
	return unit_run("store_journal_nomem", cases,
			sizeof(cases) / sizeof(cases[0]));
}
