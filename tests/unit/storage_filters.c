/* SPDX-License-Identifier: MIT */
/*
 * storage_filters.c - verify finds what comes back as other than it was
 * written, and nothing else; fault does what its text says, which is read
 * strictly, and takes another while it runs.
 */
#include "tests/unit/storage_suite.h"

#include "blkback/storage/fault_spec.h"
#include "util/log.h"

static int open_target(struct rig *r, const char *target)
{
	const struct way way = { "", target, 0, false, NULL, false, NULL };

	make_dirs();
	return rig_open(r, &way, 0);
}

/* Change a byte of the image behind everybody's back. */
static bool corrupt(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool ok = fd >= 0 && pwrite(fd, "\xa5", 1, at) == 1;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void a_changed_byte_is_found_and_the_rest_is_read(void)
{
	uint8_t *a = buffer(8192), *b = buffer(8192);
	struct rig r;

	log_init("storage_filters", LOG_ERROR + 1);
	UNIT_REQUIRE(open_target(&r, verify_file) == 0);
	fill(a, 8192, 1);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 65536, a, 8192) == 0);
	UNIT_REQUIRE(corrupt(shm_path, 65536 + 4096 + 700));
	memset(b, 0, 8192);
	UNIT_CHECK(one(&r, STORAGE_READ, 65536, b, 8192) == -EILSEQ);
	UNIT_CHECK(b[0] == 0); /* nothing of it is shown */
	UNIT_CHECK(one(&r, STORAGE_READ, 65536 + 4096 + 512, b, 512) ==
		   -EILSEQ);
	UNIT_CHECK(one(&r, STORAGE_READ, 65536, b, 4096 + 512) == 0);
	UNIT_CHECK(memcmp(a, b, 4096 + 512) == 0);
	/* Written anew, or no longer needed: good again. */
	UNIT_CHECK(one(&r, STORAGE_WRITE, 65536, a, 8192) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 65536, b, 8192) == 0);
	UNIT_REQUIRE(corrupt(shm_path, 65536));
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 65536, NULL, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 65536, b, 8192) == 0);
	rig_close(&r);
	munmap(a, 8192);
	munmap(b, 8192);
}

static void a_file_of_sums_is_remembered(void)
{
	const struct way *way = way_named("verify with a file of sums");
	uint8_t *a = buffer(4096);
	int fds[STORAGE_FDS_MAX];
	struct rig r;

	make_dirs();
	UNIT_REQUIRE(rig_open(&r, way, 0) == 0);
	fill(a, 4096, 2);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
	rig_close(&r);
	UNIT_REQUIRE(corrupt(shm_path, 5));
	/* Not rig_open, which begins anew. */
	UNIT_REQUIRE(storage_acquire(way->target, 0, &r.desc, fds, r.why,
				     sizeof(r.why)) == 0);
	UNIT_REQUIRE(storage_open(&r.desc, fds, &r.st) == 0);
	UNIT_REQUIRE(r.st->ops->channel_open(r.st, DEPTH, &r.ch) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EILSEQ);
	rig_close(&r);
	munmap(a, 4096);
}

static void overlapping_writes_raise_no_false_alarm(void)
{
	uint8_t *a = buffer(16 * 4096), *b = buffer(4096);
	struct tracked t[16];
	struct rig r;

	UNIT_REQUIRE(open_target(&r,
				 "verify:fault:write:delay=10us-3ms:"
				 "one-in=2+read:delay=10us-1ms,mem:1M") == 0);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 16; i++) {
			uint8_t *mine = a + (size_t)i * 4096;

			fill(mine, 4096, round * 16 + i);
			prepare(&t[i], i % 3 ? STORAGE_WRITE : STORAGE_READ,
				512 * (i % 5), mine, 4096);
			UNIT_REQUIRE(r.st->ops->submit(r.ch, &t[i].io) == 0);
		}
		UNIT_CHECK(wait_all(&r, t, 16));
		for (unsigned i = 0; i < 16; i++)
			UNIT_CHECK(t[i].io.result == 0);
		UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	}
	rig_close(&r);
	munmap(a, 16 * 4096);
	munmap(b, 4096);
}

static void a_torn_write_that_was_called_good_is_found(void)
{
	uint8_t *a = buffer(4096), *b = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(open_target(&r, "verify:fault:write:torn=3:times=1,"
				     "mem:1M") == 0);
	fill(a, 4096, 3);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 8192, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 8192, b, 1536) == 0);
	UNIT_CHECK(memcmp(a, b, 1536) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 8192, b, 4096) == -EILSEQ);
	rig_close(&r);
	UNIT_REQUIRE(open_target(&r, "fault:write:torn=3:error=EIO,mem:1M") ==
		     0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == -EIO);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 1536) == 0 && b[1536] == 0);
	/* A write that is no longer than that is whole. */
	rig_close(&r);
	UNIT_REQUIRE(open_target(&r, "fault:write:torn=8,mem:1M") == 0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	rig_close(&r);
	munmap(a, 4096);
	munmap(b, 4096);
}

static void errors_are_of_the_ios_named_and_no_others(void)
{
	uint8_t *a = buffer(4096);
	unsigned nr_failed = 0;
	struct rig r;

	UNIT_REQUIRE(open_target(&r, "fault:read:sectors=8-9:error=ENOSPC+"
				     "flush:error=EIO:after=1:times=2,"
				     "mem:1M") == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 3584, a, 512) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 3584, a, 1024) == -ENOSPC);
	UNIT_CHECK(one(&r, STORAGE_READ, 9 * 512, a, 512) == -ENOSPC);
	UNIT_CHECK(one(&r, STORAGE_READ, 5120, a, 512) == 0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 4096, a, 512) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == -EIO);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == -EIO);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	UNIT_CHECK(storage_set_faults(r.st, "seed=5+any:error=EIO:one-in=4",
				      r.why, sizeof(r.why)) == 0);
	for (unsigned i = 0; i < 1000; i++)
		nr_failed += one(&r, STORAGE_READ, 0, a, 512) == -EIO;
	UNIT_CHECK(nr_failed > 200 && nr_failed < 300);
	rig_close(&r);
	munmap(a, 4096);
}

static void what_hangs_goes_on_when_faults_are_off(void)
{
	uint8_t *a = buffer(4096);
	struct tracked t;
	struct pollfd p;
	struct rig r;

	UNIT_REQUIRE(open_target(&r, "verify:fault:read:hang,mem:1M") == 0);
	prepare(&t, STORAGE_READ, 0, a, 4096);
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
	UNIT_CHECK(r.st->ops->flush(r.ch));
	p = (struct pollfd){ r.st->ops->wait_fd(r.ch), POLLIN, 0 };
	r.st->ops->poll(r.ch);
	UNIT_CHECK(poll(&p, 1, 50) == 0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
	r.st->ops->poll(r.ch);
	UNIT_CHECK(t.nr_done == 0);
	UNIT_CHECK(storage_set_faults(r.st, "off", r.why, sizeof(r.why)) == 0);
	/* Its descriptor says so. */
	UNIT_CHECK(poll(&p, 1, 1000) == 1);
	UNIT_CHECK(wait_all(&r, &t, 1) && t.io.result == 0);
	r.st->ops->poll(r.ch);
	UNIT_CHECK(poll(&p, 1, 0) == 0);
	rig_close(&r);
	UNIT_REQUIRE(open_target(&r, "verify:mem:1M") == 0);
	UNIT_CHECK(storage_set_faults(r.st, "off", r.why, sizeof(r.why)) ==
		   -EOPNOTSUPP);
	UNIT_CHECK(strstr(r.why, "fault:off,TARGET") != NULL);
	rig_close(&r);
	munmap(a, 4096);
}

/* A detached disk's: what hangs fails, what is late is not waited for. */
static void what_is_held_ends_when_it_is_given_up(void)
{
	uint8_t *a = buffer(4096);
	uint64_t begin_ns = clock_now_ns();
	struct tracked hung, late, next;
	struct rig r;

	UNIT_REQUIRE(open_target(&r, "verify:fault:read:hang+"
				     "write:delay=60s,mem:1M") == 0);
	prepare(&hung, STORAGE_READ, 0, a, 4096);
	prepare(&late, STORAGE_WRITE, 0, a, 4096);
	prepare(&next, STORAGE_READ, 4096, a, 4096);
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &hung.io) == 0);
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &late.io) == 0);
	UNIT_CHECK(r.st->ops->flush(r.ch));
	r.st->ops->poll(r.ch);
	UNIT_CHECK(hung.nr_done == 0 && late.nr_done == 0);
	UNIT_REQUIRE(r.st->ops->give_up != NULL);
	r.st->ops->give_up(r.ch);
	UNIT_CHECK(wait_all(&r, &hung, 1) && hung.io.result == -EIO);
	UNIT_CHECK(wait_all(&r, &late, 1) && late.io.result == 0);
	/* So does what was under way to it. */
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &next.io) == 0);
	UNIT_CHECK(wait_all(&r, &next, 1) && next.io.result == -EIO);
	UNIT_CHECK(clock_now_ns() - begin_ns < 30 * NS_PER_S);
	rig_close(&r);
	munmap(a, 4096);
}

static unsigned order[8], nr_order;

static void note_order(struct storage_io *io)
{
	count_done(io);
	order[nr_order++] = (unsigned)(io->offset_bytes / 512);
}

static void delays_last_and_reordering_reorders(void)
{
	uint8_t *a = buffer(4096);
	struct tracked t[8];
	bool sorted = true;
	uint64_t begin_ns;
	struct rig r;

	UNIT_REQUIRE(open_target(&r, "fault:read:delay=30ms,mem:1M") == 0);
	begin_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 512) == 0);
	UNIT_CHECK(clock_now_ns() - begin_ns >= 30 * NS_PER_MS);
	UNIT_CHECK(storage_set_faults(r.st, "seed=1+any:reorder=4", r.why,
				      sizeof(r.why)) == 0);
	nr_order = 0;
	for (unsigned i = 0; i < 8; i++) {
		prepare(&t[i], STORAGE_READ, i * 512, a, 512);
		t[i].io.done = note_order;
		UNIT_REQUIRE(r.st->ops->submit(r.ch, &t[i].io) == 0);
		r.st->ops->poll(r.ch);
	}
	UNIT_CHECK(wait_all(&r, t, 8) && nr_order == 8);
	for (unsigned i = 1; i < 8; i++)
		sorted &= order[i - 1] < order[i];
	UNIT_CHECK(!sorted);
	rig_close(&r);
	munmap(a, 4096);
}

static void a_text_of_faults_is_read_strictly(void)
{
	static const char *const bad[] = {
		"",
		"of",
		"off+read:hang",
		"read",
		"raed:hang",
		"read:",
		"read:hang=1",
		"read:error",
		"read:error=EWHAT",
		"read:error=5",
		"read:torn=1",
		"any:torn",
		"write:torn=-1",
		"write:torn=1x",
		"read:delay=5",
		"read:delay=5m",
		"read:delay=9ms-5ms",
		"read:delay=99999999999999999999s",
		"read:delay=2h",
		"read:one-in=0:hang",
		"read:sectors=9-8:hang",
		"read:sectors=-8:hang",
		"read:sectors=1-2-3:hang",
		"read:sectors=1-2",
		"seed=x+read:hang",
		"seed=1:hang",
		"read:hang+",
		"read:hang++read:hang",
		"read:hang read:hang",
		"read:hang+read:hang+read:hang+read:hang+read:hang+read:hang+"
		"read:hang+read:hang+read:hang",
		"read:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaa",
	};
	static const char *const good[] = {
		"off",
		"seed=18446744073709551615",
		"any:hang",
		"write:torn+flush:delay=0us-3600s",
		"write:torn=0:error=EIO:delay=5ms:sectors=7",
		"discard:error=EOPNOTSUPP:after=3:times=1:one-in=2",
	};
	struct fault_spec spec;
	char why[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		if (fault_spec_parse(bad[i], &spec, why, sizeof(why)) &&
		    strncmp(why, "fault: '", 8) == 0)
			continue;
		printf("taken, or without a word: %s\n", bad[i]);
		UNIT_CHECK(false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		UNIT_CHECK(fault_spec_parse(good[i], &spec, why, sizeof(why)) ==
			   0);
}

static void filters_that_cannot_be_are_refused(void)
{
	static const struct {
		const char *target;
		int err;
		const char *pattern;
	} cases[] = {
		{ "verify:", -EINVAL, "no driver" },
		{ "verify:what", -EINVAL, "no driver" },
		{ "verify:file=/tmp/x", -EINVAL, "FILTER:ARGUMENTS,TARGET" },
		{ "verify:file=/no/such/sums,mem:1M", -ENOENT, "the sums" },
		{ "fault:mem:1M", -EINVAL, "FILTER:ARGUMENTS,TARGET" },
		{ "fault:read,mem:1M", -EINVAL, "says not what happens" },
		{ "fault:off,verify:fault:off,verify:fault:off,verify:mem:1M",
		  -E2BIG, "fewer filters" },
		{ "aio+uring:/dev/shm", -EINVAL, "both engines" },
		{ "aio:relative", -EINVAL, "no driver" },
		{ "other:/dev/shm", -EINVAL, "no driver" },
		{ "aio+:/dev/shm", -EINVAL, "no driver" },
	};
	unsigned before = 0, after = 0;

	for (int fd = 0; fd < 256; fd++)
		before += fcntl(fd, F_GETFD) >= 0;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig r;
		int err = open_target(&r, cases[i].target);

		if (err == cases[i].err && strstr(r.why, cases[i].pattern))
			continue;
		printf("%s: %d, %s\n", cases[i].target, err, r.why);
		UNIT_CHECK(false);
	}
	for (int fd = 0; fd < 256; fd++)
		after += fcntl(fd, F_GETFD) >= 0;
	UNIT_CHECK(before == after);
}

UNIT_MAIN("storage_filters",
	  UNIT_TEST(a_changed_byte_is_found_and_the_rest_is_read),
	  UNIT_TEST(a_file_of_sums_is_remembered),
	  UNIT_TEST(overlapping_writes_raise_no_false_alarm),
	  UNIT_TEST(a_torn_write_that_was_called_good_is_found),
	  UNIT_TEST(errors_are_of_the_ios_named_and_no_others),
	  UNIT_TEST(what_hangs_goes_on_when_faults_are_off),
	  UNIT_TEST(what_is_held_ends_when_it_is_given_up),
	  UNIT_TEST(delays_last_and_reordering_reorders),
	  UNIT_TEST(a_text_of_faults_is_read_strictly),
	  UNIT_TEST(filters_that_cannot_be_are_refused),
	  UNIT_TEST(nothing_is_left_behind))
