/* SPDX-License-Identifier: MIT */
/*
 * store_control_disk.c - XS_CONTROL of a store with a journal: its figures, and
 * quotas that the disk has no room for.
 */
#include "tests/unit/store_dir.h"

#include "util/clock.h"
#include "util/num.h"

static int fail_fallocate, fail_pwrite;

static int bad_fallocate(int fd, int mode, off_t off, off_t len)
{
	errno = fail_fallocate;
	return fail_fallocate ? -1 : fallocate(fd, mode, off, len);
}

static ssize_t bad_pwrite(int fd, const void *data, size_t len, off_t off)
{
	errno = fail_pwrite;
	return fail_pwrite ? -1 : pwrite(fd, data, len, off);
}

static const struct journal_io bad_io = { .pwrite = bad_pwrite,
					  .fallocate = bad_fallocate,
					  .fdatasync = fdatasync };

static struct xsd *open_bad(void)
{
	const struct journal_options options = { .dir = dir, .io = &bad_io };
	int err;

	fail_fallocate = fail_pwrite = 0;
	return open_with(&options, &err);
}

/* The value of "journal name=NAME" in the last answer; "" when it has none. */
static const char *figure(struct peer *root, const char *name)
{
	static char value[64];
	char begin[64];
	const char *at;

	snprintf(begin, sizeof(begin), "journal name=%s value=", name);
	if (!root || peer_two(root, XS_CONTROL, 0, "stats", "journal", 8))
		return "";
	at = strstr(root->reply, begin);
	if (!at)
		return "";
	at += strlen(begin);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	return value;
}

static uint64_t number(struct peer *root, const char *name)
{
	uint64_t value;

	return num_parse_u64(figure(root, name), UINT64_MAX, &value)
		       ? UINT64_MAX
		       : value;
}

static void counts_what_is_recorded(void)
{
	struct xsd *xsd;
	struct peer *root;
	uint64_t records, bytes, flushes;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad();
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_write(root, 0, "/a", "1") == 0);
	UNIT_CHECK(strcmp(figure(root, "state"), "writing") == 0);
	UNIT_CHECK(strcmp(figure(root, "last-error"), "none") == 0);
	UNIT_CHECK(strcmp(figure(root, "last-error-age-ns"), "") == 0);
	records = number(root, "records");
	bytes = number(root, "record-bytes");
	flushes = number(root, "flushes");
	UNIT_CHECK(records > 0 && bytes > records && flushes > 0);
	UNIT_CHECK(peer_write(root, 0, "/a", "2") == 0);
	UNIT_CHECK(peer_reads(root, 0, "/a", "2"));
	UNIT_CHECK(number(root, "records") == records + 1);
	UNIT_CHECK(number(root, "record-bytes") > bytes);
	UNIT_CHECK(number(root, "flushes") == flushes + 1);
	UNIT_CHECK(number(root, "file-bytes") > number(root, "record-bytes"));
	UNIT_CHECK(number(root, "flush-max-ns") > 0);
	UNIT_CHECK(number(root, "refused") == 0);
	peer_close(root);
	xsd_close(xsd);
	remove_dir();
}

static void says_that_the_disk_is_full(void)
{
	char value[3000];
	struct xsd *xsd;
	struct peer *root, *guest;
	unsigned i;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad();
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	guest = peer_open(xsd, 3);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	fail_fallocate = ENOSPC;
	for (i = 0; i < 10000; i++)
		if (peer_write(root, 0, "/big", value))
			break;
	UNIT_CHECK(i > 0 && i < 10000);
	/* What is smaller may still find a place in the last page. */
	for (i = 0; i < 1000; i++)
		if (peer_write(root, 0, "/s", "1"))
			break;
	UNIT_CHECK(i < 1000);
	UNIT_CHECK(strcmp(figure(root, "state"), "full") == 0);
	UNIT_CHECK(number(root, "refused") >= 2);
	/* A quota that cannot be remembered is not set, for anybody. */
	UNIT_CHECK(peer_ask(root, XS_CONTROL, 0,
			    "quota\0set\0watches\0"
			    "1",
			    20) == -ENOSPC);
	UNIT_CHECK(peer_watch(guest, "data", "a") == 0);
	UNIT_CHECK(peer_watch(guest, "data", "b") == 0);
	UNIT_CHECK(peer_text(root, XS_CONTROL, 0, "quota") == 0);
	UNIT_CHECK(root &&
		   strstr(root->reply, "watches          :      128 ") != NULL);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
	remove_dir();
}

static void says_that_the_disk_fails(void)
{
	struct xsd *xsd;
	struct peer *root;
	unsigned i;

	UNIT_REQUIRE(make_dir() == 0);
	xsd = open_bad();
	UNIT_REQUIRE(xsd != NULL);
	root = peer_open(xsd, 0);
	UNIT_CHECK(peer_write(root, 0, "/a", "1") == 0);
	fail_pwrite = EIO;
	/* Recorded, but no answer leaves. */
	UNIT_CHECK(peer_write(root, 0, "/a", "2") == -EPROTO);
	fail_pwrite = 0;
	for (i = 0; i < 200 && persist_flush(xsd); i++)
		usleep(20000);
	UNIT_CHECK(i > 0 && i < 200);
	peer_read_all(root);
	/* The next request takes one look at the clock, and not the wait. */
	UNIT_CHECK(peer_reads(root, 0, "/a", "2"));
	UNIT_CHECK(peer_two(root, XS_CONTROL, 0, "stats", "ops", 4) == 0);
	UNIT_CHECK(strstr(root->reply, "op name=READ count=1 errors=0 "
				       "mean-ns=10000000 ") != NULL);
	UNIT_CHECK(strcmp(figure(root, "state"), "writing") == 0);
	UNIT_CHECK(strcmp(figure(root, "last-error"), "EIO") == 0);
	UNIT_CHECK(number(root, "last-error-age-ns") > 0);
	UNIT_CHECK(number(root, "last-error-age-ns") < 60 * NS_PER_S);
	peer_close(root);
	xsd_close(xsd);
	remove_dir();
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(counts_what_is_recorded),
		UNIT_TEST(says_that_the_disk_is_full),
		UNIT_TEST(says_that_the_disk_fails),
	};

	log_init("store_control_disk", LOG_ERROR + 1);
	return unit_run("store_control_disk", cases, ARRAY_SIZE(cases));
}
