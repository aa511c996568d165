/* SPDX-License-Identifier: MIT */
/*
 * store_journal.c - what the store remembers after its death: all of it, or it
 * says what is missing.
 */
#include "tests/unit/store_dir.h"

/* ---- it comes back ------------------------------------------------------ */

static void what_was_written_comes_back(void)
{
	int err;
	struct xsd *xsd;
	struct peer *root;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_domain_create(xsd, 0, 1, "Domain-0") == 0);
	UNIT_CHECK(xsd_domain_create(xsd, 7, 77, "seven") == 0);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_write(root, 0, "/b", "first") == 0);
	UNIT_CHECK(peer_write(root, 0, "/a/deep/er", "second") == 0);
	UNIT_CHECK(peer_write(root, 0, "/a/c", "third") == 0);
	UNIT_CHECK(peer_chmod(root, 0, "/a/c", "n7 r7 w3") == 0);
	UNIT_CHECK(peer_text(root, XS_RM, 0, "/a/deep") == 0);
	UNIT_CHECK(peer_write(root, 0, "/b", "again") == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	peer_close(root);
	text = store_dump(xsd);
	xsd_close(xsd);
	UNIT_REQUIRE(text != NULL);
	UNIT_CHECK(strstr(text, "/a/c d7 7.77=0 7.77=1 3.0=2 5:") != NULL);
	UNIT_CHECK(recovers_as(text));
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

static void every_history_comes_back(void)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		char *text;

		UNIT_REQUIRE(make_dir() == 0);
		for (unsigned part = 0; part < 3; part++) {
			text = live(seed * 3 + part, 300, 7);
			UNIT_REQUIRE(text != NULL);
			if (!recovers_as(text)) {
				printf("seed %u\n", (unsigned)seed);
				UNIT_CHECK(0);
			}
			free(text);
		}
		remove_dir();
	}
}

static void what_nobody_was_told_may_be_lost(void)
{
	int err;
	struct xsd *xsd;
	struct peer *root;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_write(root, 0, "/a", "flushed") == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	text = store_dump(xsd);
	UNIT_CHECK(send_write(root, "/a", "lost") == 0);
	peer_close(root);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

static void a_transaction_comes_back_whole_or_not_at_all(void)
{
	int err;
	struct xsd *xsd;
	struct peer *root;
	struct file before, after;
	uint32_t tx;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	peer_write(root, 0, "/old", "1");
	UNIT_CHECK(persist_flush(xsd) == 0);
	UNIT_REQUIRE(file_read("journal.1", &before) == 0);
	tx = peer_start(root);
	peer_write(root, tx, "/a/b", "1");
	peer_write(root, tx, "/a/c", "2");
	peer_text(root, XS_RM, tx, "/old");
	UNIT_CHECK(peer_end(root, tx, 1) == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	UNIT_REQUIRE(file_read("journal.1", &after) == 0);
	peer_close(root);
	xsd_close(xsd);
	for (size_t len = before.len; len <= after.len; len++) {
		UNIT_REQUIRE(file_write("journal.1", after.data, len) == 0);
		xsd = open_store(&err);
		UNIT_REQUIRE(xsd != NULL);
		root = peer_open(xsd, 0);
		UNIT_CHECK(peer_lists(root, 0, "/",
				      len == after.len ? "a" : "old"));
		peer_close(root);
		xsd_close(xsd);
	}
	free(before.data);
	free(after.data);
	remove_dir();
}

static void a_generation_is_never_used_twice(void)
{
	uint64_t last = 0;

	UNIT_REQUIRE(make_dir() == 0);
	for (unsigned i = 0; i < 5; i++) {
		int err;
		struct xsd *xsd = open_store(&err);
		struct peer *root;

		UNIT_REQUIRE(xsd != NULL);
		UNIT_CHECK(i == 0 || xsd->store.last_generation > last);
		root = peer_open(xsd, 0);
		/* The last life reads only. */
		for (unsigned k = 0; k < 1000 && i < 4; k++)
			peer_write(root, 0, "/a", "x");
		UNIT_CHECK(persist_flush(xsd) == 0);
		last = xsd->store.last_generation;
		peer_close(root);
		xsd_close(xsd);
	}
	remove_dir();
}

/* ---- domains ------------------------------------------------------------ */

static void a_dead_domain_stays_dead(void)
{
	int err;
	struct xsd *xsd;
	struct peer *guest;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_domain_create(xsd, 3, 30, "three") == 0);
	guest = peer_open(xsd, 3);
	UNIT_CHECK(peer_write(guest, 0, "data/mine", "x") == 0);
	peer_close(guest);
	xsd_domain_destroy(xsd, 3);
	UNIT_CHECK(persist_flush(xsd) == 0);
	text = store_dump(xsd);
	xsd_close(xsd);
	UNIT_CHECK(text && !strstr(text, "/local/domain/3"));
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

static void a_later_life_of_a_domain_inherits_nothing(void)
{
	int err;
	struct xsd *xsd;
	struct peer *guest;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_domain_create(xsd, 3, 30, "three") == 0);
	guest = peer_open(xsd, 3);
	UNIT_CHECK(peer_write(guest, 0, "data/mine", "x") == 0);
	peer_close(guest);
	UNIT_CHECK(persist_flush(xsd) == 0);
	xsd_close(xsd);

	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_domain_life(xsd, 3) == 30);
	guest = peer_open(xsd, 3);
	UNIT_CHECK(peer_reads(guest, 0, "data/mine", "x"));
	peer_close(guest);
	/* Another life: nothing is. */
	UNIT_CHECK(xsd_domain_destroy(xsd, 3) == 0);
	UNIT_CHECK(xsd_domain_create(xsd, 3, 31, "three") == 0);
	guest = peer_open(xsd, 3);
	UNIT_CHECK(peer_text(guest, XS_READ, 0, "data/mine") == -ENOENT);
	peer_close(guest);
	UNIT_CHECK(xsd_check(xsd) == 0);
	xsd_close(xsd);
	remove_dir();
}

/* ---- torn tails --------------------------------------------------------- */

/* How many whole records the first len bytes hold. */
static unsigned whole_records(const struct file *f, size_t len)
{
	struct record_file head;
	struct record record;
	size_t off = RECORD_FILE_BYTES;
	unsigned nr = 0;

	if (record_get_file(f->data, f->len, &head))
		return 0;
	while (off < len &&
	       record_next(f->data, len, head.mark, &off, &record) == 0)
		nr++;
	return nr;
}

static void a_file_torn_at_any_byte_is_cut_to_its_last_whole_record(void)
{
	static char *states[64];
	unsigned nr_states = 0;
	struct file f;
	struct xsd *xsd;
	struct peer *root;
	char path[16];
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	states[nr_states++] = store_dump(xsd);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		peer_write(root, 0, path, "value");
		states[nr_states++] = store_dump(xsd);
	}
	UNIT_CHECK(persist_flush(xsd) == 0);
	peer_close(root);
	xsd_close(xsd);
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	UNIT_REQUIRE(whole_records(&f, f.len) == 12);
	for (size_t len = 0; len <= f.len; len++) {
		unsigned nr = whole_records(&f, len);

		UNIT_REQUIRE(file_write("journal.1", f.data, len) == 0);
		UNIT_CHECK(recovers_as(states[nr]));
		/* And again, after it was cut. */
		UNIT_CHECK(recovers_as(states[nr]));
	}
	for (unsigned i = 0; i < nr_states; i++)
		free(states[i]);
	free(f.data);
	remove_dir();
}

static void writing_goes_on_behind_the_cut(void)
{
	struct file f;
	char *text = NULL;

	UNIT_REQUIRE(make_dir() == 0);
	free(live(5, 200, 3));
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	UNIT_REQUIRE(file_write("journal.1", f.data, f.len - 3) == 0);
	text = live(6, 200, 3);
	UNIT_REQUIRE(text != NULL);
	UNIT_CHECK(recovers_as(text));
	free(text);
	free(f.data);
	remove_dir();
}

/* ---- damage ------------------------------------------------------------- */

static void a_flipped_byte_is_refused_or_cut_as_the_tail(void)
{
	struct file f;
	char *text, *cut;
	size_t off = RECORD_FILE_BYTES, last = 0;
	struct record_file head;
	struct record record;
	struct xsd *xsd;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	text = live(11, 60, 1);
	UNIT_REQUIRE(text && file_read("journal.1", &f) == 0);
	UNIT_REQUIRE(record_get_file(f.data, f.len, &head) == 0);
	while (off < f.len) {
		last = off;
		UNIT_REQUIRE(record_next(f.data, f.len, head.mark, &off,
					 &record) == 0);
	}
	UNIT_REQUIRE(file_write("journal.1", f.data, last) == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	cut = store_dump(xsd);
	xsd_close(xsd);
	for (size_t i = 0; i < f.len; i++) {
		f.data[i] ^= 0x10;
		UNIT_REQUIRE(file_write("journal.1", f.data, f.len) == 0);
		if (i >= last) {
			UNIT_CHECK(recovers_as(cut));
		} else {
			xsd = open_store(&err);
			UNIT_CHECK(xsd == NULL);
			UNIT_CHECK(err == -EBADMSG);
			xsd_close(xsd);
			UNIT_CHECK(exists("journal.1"));
		}
		f.data[i] ^= 0x10;
	}
	UNIT_REQUIRE(file_write("journal.1", f.data, f.len) == 0);
	UNIT_CHECK(recovers_as(text));
	free(cut);
	free(text);
	free(f.data);
	remove_dir();
}

static void another_version_is_refused_even_when_salvaging(void)
{
	const struct journal_options salvage = { .dir = dir, .salvage = true };
	struct encoder e = { 0 };
	struct record_file head = { .kind = (enum record_kind)9,
				    .segment = 1,
				    .mark = 5,
				    .first_seq = 1 };
	struct xsd *xsd;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	free(live(1, 1, 1));
	record_put_file(&e, &head);
	enc_bytes(&e, "something", 9);
	UNIT_REQUIRE(file_write("journal.1", e.data, e.len) == 0);
	xsd = open_with(&salvage, &err);
	UNIT_CHECK(xsd == NULL && err == -EPROTONOSUPPORT);
	encoder_fini(&e);
	remove_dir();
}

static void salvage_keeps_what_is_before_and_behind_the_damage(void)
{
	const struct journal_options salvage = { .dir = dir, .salvage = true };
	struct file f;
	struct xsd *xsd;
	struct peer *root;
	char path[16], *text;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	for (unsigned i = 0; i < 9; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		peer_write(root, 0, path, "value");
		if (i == 4)
			peer_write(root, 0, "/4/child", "needs its parent");
	}
	peer_write(root, 0, "/4/child", "changed");
	UNIT_CHECK(persist_flush(xsd) == 0);
	peer_close(root);
	xsd_close(xsd);
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	*(char *)memmem(f.data, f.len, "/4", 2) = '%';
	UNIT_REQUIRE(file_write("journal.1", f.data, f.len) == 0);
	xsd = open_store(&err);
	UNIT_CHECK(xsd == NULL && err == -EBADMSG);
	xsd_close(xsd);

	xsd = open_with(&salvage, &err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_check(xsd) == 0);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_lists(root, 0, "/", "0 1 2 3 5 6 7 8"));
	peer_write(root, 0, "/9", "and on");
	UNIT_CHECK(persist_flush(xsd) == 0);
	peer_close(root);
	text = store_dump(xsd);
	xsd_close(xsd);
	UNIT_CHECK(exists("journal.1.damaged"));
	UNIT_CHECK(!exists("journal.1"));
	UNIT_CHECK(recovers_as(text));
	free(text);
	free(f.data);
	remove_dir();
}

static void salvage_survives_any_flipped_byte(void)
{
	const struct journal_options salvage = { .dir = dir, .salvage = true };
	struct file f;
	uint64_t random = 3;

	UNIT_REQUIRE(make_dir() == 0);
	free(live(12, 80, 1));
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	for (unsigned i = 0; i < 150; i++) {
		struct xsd *xsd;
		size_t at;
		int err;

		random = random * 6364136223846793005ull + 1;
		at = (size_t)(random >> 33) % f.len;
		remove_files();
		mkdir(dir, 0700);
		f.data[at] ^= 0x40;
		UNIT_REQUIRE(file_write("journal.1", f.data, f.len) == 0);
		f.data[at] ^= 0x40;
		xsd = open_with(&salvage, &err);
		UNIT_REQUIRE(xsd != NULL);
		UNIT_CHECK(xsd_check(xsd) == 0);
		xsd_close(xsd);
		xsd = open_store(&err);
		UNIT_CHECK(xsd != NULL);
		xsd_close(xsd);
	}
	free(f.data);
	remove_dir();
}

/* A record taken out of the middle of a file. */
static void missing_records_are_noticed(void)
{
	const struct journal_options salvage = { .dir = dir, .salvage = true };
	struct file f;
	struct record_file head;
	struct record record;
	size_t off = RECORD_FILE_BYTES, gap;
	struct xsd *xsd;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	free(live(13, 60, 1));
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	UNIT_REQUIRE(record_get_file(f.data, f.len, &head) == 0);
	UNIT_REQUIRE(record_next(f.data, f.len, head.mark, &off, &record) == 0);
	gap = off - RECORD_FILE_BYTES;
	memmove(f.data + RECORD_FILE_BYTES, f.data + off, f.len - off);
	UNIT_REQUIRE(file_write("journal.1", f.data, f.len - gap) == 0);
	xsd = open_store(&err);
	UNIT_CHECK(xsd == NULL && err == -EBADMSG);
	xsd_close(xsd);
	xsd = open_with(&salvage, &err);
	UNIT_CHECK(xsd != NULL && xsd_check(xsd) == 0);
	xsd_close(xsd);
	free(f.data);
	remove_dir();
}

/* A client's value that looks like a record must not become one. */
static void a_value_that_looks_like_a_record_is_none(void)
{
	struct encoder e = { 0 };
	struct file f;
	struct xsd *xsd;
	struct peer *root;
	size_t at;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	at = record_begin(&e, 0x1122334455667788ull, 2, RECORD_COMMIT);
	UNIT_CHECK(record_end(&e, at) == 0);
	root = peer_open(xsd, 0);
	peer_write(root, 0, "/a", "x");
	peer_two(root, XS_WRITE, 0, "/forged", e.data, e.len);
	UNIT_CHECK(persist_flush(xsd) == 0);
	peer_close(root);
	xsd_close(xsd);
	/* The last record is torn behind the forged one. */
	UNIT_REQUIRE(file_read("journal.1", &f) == 0);
	UNIT_REQUIRE(file_write("journal.1", f.data, f.len - 1) == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_lists(root, 0, "/", "a"));
	peer_close(root);
	xsd_close(xsd);
	encoder_fini(&e);
	free(f.data);
	remove_dir();
}

/* ---- the directory ------------------------------------------------------ */

static void only_one_process_has_it(void)
{
	struct xsd *xsd;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(open_store(&err) == NULL);
	UNIT_CHECK(err == -EBUSY);
	xsd_close(xsd);
	remove_dir();
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(what_was_written_comes_back),
		UNIT_TEST(every_history_comes_back),
		UNIT_TEST(what_nobody_was_told_may_be_lost),
		UNIT_TEST(a_transaction_comes_back_whole_or_not_at_all),
		UNIT_TEST(a_generation_is_never_used_twice),
		UNIT_TEST(a_dead_domain_stays_dead),
		UNIT_TEST(a_later_life_of_a_domain_inherits_nothing),
		UNIT_TEST(
			a_file_torn_at_any_byte_is_cut_to_its_last_whole_record),
		UNIT_TEST(writing_goes_on_behind_the_cut),
		UNIT_TEST(a_flipped_byte_is_refused_or_cut_as_the_tail),
		UNIT_TEST(another_version_is_refused_even_when_salvaging),
		UNIT_TEST(salvage_keeps_what_is_before_and_behind_the_damage),
		UNIT_TEST(salvage_survives_any_flipped_byte),
		UNIT_TEST(missing_records_are_noticed),
		UNIT_TEST(a_value_that_looks_like_a_record_is_none),
		UNIT_TEST(only_one_process_has_it),
	};

	log_init("store_journal", LOG_ERROR + 1);
	return unit_run("store_journal", cases,
			sizeof(cases) / sizeof(cases[0]));
}
