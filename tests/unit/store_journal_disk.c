/* SPDX-License-Identifier: MIT */
/*
 * store_journal_disk.c - a disk that is full or fails, and the journal made
 * short again while the store goes on.
 */
#include <signal.h>

#include "tests/unit/store_dir.h"

/* ---- a disk that fails -------------------------------------------------- */

static int fail_fallocate, fail_pwrite, fail_sync;
static size_t short_write;
static pid_t only_pid; /* of any other process each write fails; 0: of none */

static int bad_fallocate(int fd, int mode, off_t off, off_t len)
{
	if (fail_fallocate) {
		errno = fail_fallocate;
		return -1;
	}
	return fallocate(fd, mode, off, len);
}

static ssize_t bad_pwrite(int fd, const void *data, size_t len, off_t off)
{
	if (fail_pwrite || (only_pid && getpid() != only_pid)) {
		errno = fail_pwrite ? fail_pwrite : EIO;
		return -1;
	}
	if (short_write && len > short_write)
		len = short_write;
	return pwrite(fd, data, len, off);
}

static int bad_sync(int fd)
{
	if (fail_sync) {
		errno = fail_sync;
		return -1;
	}
	return fdatasync(fd);
}

static const struct journal_io bad_io = { .pwrite = bad_pwrite,
					  .fallocate = bad_fallocate,
					  .fdatasync = bad_sync };

static struct xsd *open_bad(bool sync)
{
	const struct journal_options options = { .dir = dir,
						 .sync = sync,
						 .io = &bad_io };
	int err;

	fail_fallocate = fail_pwrite = fail_sync = 0;
	short_write = 0;
	return open_with(&options, &err);
}

static void a_full_disk_refuses_changes_and_nothing_else(void)
{
	char *before, *after, value[3000];
	struct xsd *xsd;
	struct peer *root;
	unsigned i;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad(false);
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(xsd_domain_create(xsd, 3, 30, "three") == 0);
	root = peer_open(xsd, 0);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	UNIT_CHECK(peer_write(root, 0, "/a", "kept") == 0);
	fail_fallocate = ENOSPC;
	/* What was reserved may be used up. */
	for (i = 0; i < 10000; i++)
		if (peer_write(root, 0, "/big", value))
			break;
	UNIT_CHECK(i > 0 && i < 10000);
	before = store_dump(xsd);
	UNIT_CHECK(peer_write(root, 0, "/big", value) == -ENOSPC);
	UNIT_CHECK(peer_write(root, 0, "/new/er", value) == -ENOSPC);
	UNIT_CHECK(peer_text(root, XS_READ, 0, "/new") == -ENOENT);
	UNIT_CHECK(xsd_domain_create(xsd, 4, 40, value) < 0);
	UNIT_CHECK(!xsd_domain_exists(xsd, 4));
	UNIT_CHECK(peer_reads(root, 0, "/a", "kept"));
	UNIT_CHECK(persist_flush(xsd) == 0);
	after = store_dump(xsd);
	UNIT_CHECK(before && after && strcmp(before, after) == 0);
	free(before);
	free(after);
	/* A domain's end has its room. */
	UNIT_CHECK(xsd_domain_destroy(xsd, 3) == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	/* There is room again: noticed after a moment, not at every request. */
	fail_fallocate = 0;
	for (i = 0; i < 200 && peer_write(root, 0, "/big", value); i++)
		usleep(20000);
	UNIT_CHECK(i < 200);
	UNIT_CHECK(persist_flush(xsd) == 0);
	after = store_dump(xsd);
	peer_close(root);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(after));
	free(after);
	remove_dir();
}

static void a_disk_that_fails_is_tried_again_from_the_rounds_first_byte(void)
{
	struct xsd *xsd;
	struct peer *root;
	char *text;
	unsigned i;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad(true);
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_watch(root, "/a", "token") == 0);
	UNIT_CHECK(peer_heard(root, "/a=token"));
	fail_pwrite = EIO;
	UNIT_CHECK(send_write(root, "/a", "1") == 0);
	/* Neither the answer nor the event goes out. */
	UNIT_CHECK(peer_read_all(root) == -1 && peer_heard(root, ""));
	UNIT_CHECK(persist_flush(xsd) == -EIO);
	UNIT_CHECK(persist_flush(xsd) == -EIO);
	UNIT_CHECK(send_write(root, "/b", "refused") == 0);
	fail_pwrite = 0;
	fail_sync = EIO;
	for (i = 0; i < 5; i++) {
		usleep(JOURNAL_RETRY_NS / 1000);
		UNIT_CHECK(persist_flush(xsd) == -EIO);
	}
	fail_sync = 0;
	short_write = 5;
	usleep(JOURNAL_RETRY_NS / 1000);
	UNIT_CHECK(persist_flush(xsd) == 0);
	/* Both answers: of the first, which was held back, and of the other. */
	root->nr_replies = 0;
	UNIT_CHECK(peer_read_all(root) == XS_ERROR);
	UNIT_CHECK(root->nr_replies == 2 && strcmp(root->reply, "EIO") == 0);
	UNIT_CHECK(peer_heard(root, "/a=token"));
	UNIT_CHECK(peer_text(root, XS_READ, 0, "/b") == -ENOENT);
	UNIT_CHECK(peer_write(root, 0, "/b", "taken") == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	text = store_dump(xsd);
	peer_close(root);
	xsd_close(xsd);
	UNIT_CHECK(text && strstr(text, "/b d0"));
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

static void a_file_system_without_reservations_serves(void)
{
	struct xsd *xsd;
	struct peer *root;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad(false);
	UNIT_REQUIRE(xsd != NULL);
	fail_fallocate = EOPNOTSUPP;
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_write(root, 0, "/a", "1") == 0);
	UNIT_CHECK(persist_flush(xsd) == 0);
	text = store_dump(xsd);
	peer_close(root);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

/* ---- compaction --------------------------------------------------------- */

static struct xsd *open_small(void)
{
	const struct journal_options options = { .dir = dir,
						 .compact_bytes = 8192 };
	int err;

	return open_with(&options, &err);
}

static int wait_for_child(struct xsd *xsd)
{
	for (unsigned i = 0; i < 20000; i++) {
		if (persist_flush(xsd))
			return -1;
		if (!xsd->store.journal->child)
			return 0;
		usleep(1000);
	}
	return -1;
}

static void old_segments_go_when_the_snapshot_is_whole(void)
{
	struct xsd *xsd;
	struct history h;
	uint64_t segment;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_small();
	UNIT_REQUIRE(xsd && history_open(&h, xsd, 21) == 0);
	/* There is no next snapshot before the one under way is whole. */
	for (unsigned i = 1; i <= 3000; i++) {
		history_step(&h);
		UNIT_CHECK(persist_flush(xsd) == 0);
		if (i % 500 == 0)
			UNIT_CHECK(wait_for_child(xsd) == 0);
	}
	segment = xsd->store.journal->file.segment;
	UNIT_CHECK(segment > 3);
	UNIT_CHECK(!exists("journal.1") && !exists("journal.2"));
	UNIT_CHECK(xsd->store.journal->oldest_segment == segment);
	text = store_dump(xsd);
	history_close(&h);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

/* The child dies at many moments, the parent at once behind it. */
static void a_snapshot_killed_at_any_moment_costs_nothing(void)
{
	for (unsigned delay_us = 0; delay_us < 1200; delay_us += 20) {
		struct xsd *xsd;
		struct history h;
		char *text;

		UNIT_REQUIRE(make_dir() == 0);
		xsd = open_small();
		UNIT_REQUIRE(xsd && history_open(&h, xsd, delay_us + 1) == 0);
		for (unsigned i = 0; i < 5000 && !xsd->store.journal->child;
		     i++) {
			history_step(&h);
			UNIT_CHECK(persist_flush(xsd) == 0);
		}
		UNIT_REQUIRE(xsd->store.journal->child > 0);
		usleep(delay_us);
		kill(xsd->store.journal->child, SIGKILL);
		history_step(&h);
		UNIT_CHECK(persist_flush(xsd) == 0);
		text = store_dump(xsd);
		history_close(&h);
		xsd_close(xsd);
		UNIT_CHECK(recovers_as(text));
		free(text);
		remove_dir();
	}
}

static void a_snapshot_that_fails_is_tried_again(void)
{
	const struct journal_options options = { .dir = dir,
						 .io = &bad_io,
						 .compact_bytes = 8192 };
	struct xsd *xsd;
	struct history h;
	uint64_t failed;
	char *text;
	int err;

	only_pid = getpid();

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_with(&options, &err);
	UNIT_REQUIRE(xsd && history_open(&h, xsd, 9) == 0);
	while (xsd->store.journal->file.segment < 2) {
		history_step(&h);
		UNIT_REQUIRE(persist_flush(xsd) == 0);
	}
	UNIT_CHECK(wait_for_child(xsd) == 0);
	only_pid = 0;
	failed = xsd->store.journal->file.segment;
	UNIT_CHECK(failed == 2 && exists("journal.1"));
	/* Not at once. */
	for (unsigned i = 0; i < 1000; i++) {
		history_step(&h);
		UNIT_CHECK(persist_flush(xsd) == 0);
	}
	UNIT_CHECK(xsd->store.journal->file.segment == failed);
	usleep(1100000);
	UNIT_CHECK(wait_for_child(xsd) == 0);
	UNIT_CHECK(xsd->store.journal->file.segment == failed + 1);
	UNIT_CHECK(!exists("journal.1") && !exists("journal.2"));
	UNIT_CHECK(exists("snapshot.3"));
	text = store_dump(xsd);
	history_close(&h);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

/* Lives that are too short for a snapshot do not make the journal grow. */
static void a_snapshot_that_was_due_is_due_in_the_next_life(void)
{
	struct xsd *xsd;
	struct history h;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_small();
	UNIT_REQUIRE(xsd && history_open(&h, xsd, 17) == 0);
	while (xsd->store.journal->file.segment < 2) {
		history_step(&h);
		UNIT_REQUIRE(persist_flush(xsd) == 0);
	}
	journal_stop_child(xsd->store.journal);
	history_close(&h);
	xsd_close(xsd);
	/* It may have been whole already. */
	unlink(in_dir("snapshot.2"));
	UNIT_REQUIRE(exists("journal.1"));
	xsd = open_small();
	UNIT_REQUIRE(xsd != NULL);
	UNIT_CHECK(persist_flush(xsd) == 0);
	UNIT_CHECK(wait_for_child(xsd) == 0);
	UNIT_CHECK(exists("snapshot.3") && !exists("journal.1"));
	text = store_dump(xsd);
	xsd_close(xsd);
	UNIT_CHECK(recovers_as(text));
	free(text);
	remove_dir();
}

/* Files as after two compactions; expected: what they hold. */
static char *make_snapshot(void)
{
	struct xsd *xsd = open_small();
	struct history h;
	char *text;

	if (!xsd || history_open(&h, xsd, 33))
		return NULL;
	while (xsd->store.journal->file.segment < 2) {
		history_step(&h);
		if (persist_flush(xsd))
			return NULL;
	}
	if (wait_for_child(xsd))
		return NULL;
	for (unsigned i = 0; i < 5; i++)
		history_step(&h);
	if (persist_flush(xsd))
		return NULL;
	text = store_dump(xsd);
	history_close(&h);
	xsd_close(xsd);
	return text;
}

static void a_damaged_snapshot_is_refused(void)
{
	const struct journal_options salvage = { .dir = dir, .salvage = true };
	struct file f;
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	text = make_snapshot();
	UNIT_REQUIRE(text != NULL);
	UNIT_REQUIRE(recovers_as(text));
	UNIT_REQUIRE(file_read("snapshot.2", &f) == 0);
	for (size_t i = 0; i < f.len; i += 1 + i / 50) {
		struct xsd *xsd;
		int err;

		f.data[i] ^= 1;
		UNIT_REQUIRE(file_write("snapshot.2", f.data, f.len) == 0);
		f.data[i] ^= 1;
		xsd = open_store(&err);
		UNIT_CHECK(xsd == NULL && err == -EBADMSG);
		xsd_close(xsd);
	}
	for (size_t len = 0; len < f.len; len += 1 + len / 20) {
		struct xsd *xsd;
		int err;

		UNIT_REQUIRE(file_write("snapshot.2", f.data, len) == 0);
		xsd = open_store(&err);
		UNIT_CHECK(xsd == NULL && err == -EBADMSG);
		xsd_close(xsd);
	}
	{
		int err;
		struct xsd *xsd = open_with(&salvage, &err);

		UNIT_REQUIRE(xsd != NULL);
		UNIT_CHECK(xsd_check(xsd) == 0);
		UNIT_CHECK(exists("snapshot.2.damaged"));
		xsd_close(xsd);
	}
	free(text);
	free(f.data);
	remove_dir();
}

static void a_missing_segment_is_noticed(void)
{
	struct xsd *xsd;
	char *text;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	text = make_snapshot();
	UNIT_REQUIRE(text != NULL);
	unlink(in_dir("journal.2"));
	xsd = open_store(&err);
	UNIT_CHECK(xsd == NULL && err == -EBADMSG);
	xsd_close(xsd);
	free(text);
	remove_dir();
}

static void what_a_dead_child_left_goes(void)
{
	char *text;

	UNIT_REQUIRE(make_dir() == 0);
	text = make_snapshot();
	UNIT_REQUIRE(text != NULL);
	UNIT_REQUIRE(file_write("snapshot.3.part", (const uint8_t *)"x", 1) ==
		     0);
	UNIT_REQUIRE(file_write("journal.1", (const uint8_t *)"x", 1) == 0);
	UNIT_CHECK(recovers_as(text));
	UNIT_CHECK(!exists("snapshot.3.part"));
	UNIT_CHECK(!exists("journal.1"));
	free(text);
	remove_dir();
}

static void an_orderly_end_leaves_nothing(void)
{
	struct xsd *xsd;
	int err;

	UNIT_REQUIRE(make_dir() == 0);
	free(make_snapshot());
	xsd = open_store(&err);
	UNIT_REQUIRE(xsd != NULL);
	persist_erase(xsd);
	xsd_close(xsd);
	UNIT_CHECK(access(dir, F_OK) < 0);
	remove_dir();
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(a_full_disk_refuses_changes_and_nothing_else),
		UNIT_TEST(
			a_disk_that_fails_is_tried_again_from_the_rounds_first_byte),
		UNIT_TEST(a_file_system_without_reservations_serves),
		UNIT_TEST(old_segments_go_when_the_snapshot_is_whole),
		UNIT_TEST(a_snapshot_killed_at_any_moment_costs_nothing),
		UNIT_TEST(a_snapshot_that_fails_is_tried_again),
		UNIT_TEST(a_snapshot_that_was_due_is_due_in_the_next_life),
		UNIT_TEST(a_damaged_snapshot_is_refused),
		UNIT_TEST(a_missing_segment_is_noticed),
		UNIT_TEST(what_a_dead_child_left_goes),
		UNIT_TEST(an_orderly_end_leaves_nothing),
	};

	log_init("store_journal_disk", LOG_ERROR + 1);
	return unit_run("store_journal_disk", cases,
			sizeof(cases) / sizeof(cases[0]));
}
