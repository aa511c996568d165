/* SPDX-License-Identifier: MIT */
/*
 * storage_iscsi_fake.c - the iscsi driver against a target that does on demand
 * what a real one does rarely.
 */
#include "tests/unit/fake_iscsi.h"
#include "tests/unit/storage_peer.h"

static char url[96];

static struct fake_iscsi serve(void)
{
	struct fake_iscsi f;

	fake_start(&f);
	snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/iqn.fake/3", f.port);
	return f;
}

static void the_fake_is_a_disk(void)
{
	struct fake_iscsi f = serve();
	uint8_t *a = buffer(FAKE_BYTES), *b = buffer(FAKE_BYTES);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(r.st->desc.size_bytes == FAKE_BYTES);
	UNIT_CHECK(r.st->desc.physical_bytes == 4096);
	UNIT_CHECK(r.st->desc.discard_granularity_bytes == 4096);
	fill(a, FAKE_BYTES, 1);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, FAKE_BYTES) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	UNIT_CHECK(f.script->nr_syncs == 1);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, FAKE_BYTES) == 0);
	UNIT_CHECK(memcmp(a, b, FAKE_BYTES) == 0);
	UNIT_CHECK(memcmp(a, f.script->disk, FAKE_BYTES) == 0);
	rig_close(&r);
	fake_stop(&f);
}

static void unit_attentions_are_not_errors(void)
{
	struct fake_iscsi f = serve();
	static struct tracked t[16];
	uint8_t *a = buffer(16 * 4096);
	struct rig r;

	f.script->attention = FAKE_BUS_RESET;
	f.script->nr_attentions = 5;
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(f.script->nr_attentions == 0);
	f.script->nr_attentions = 10;
	fill(a, 16 * 4096, 2);
	for (unsigned i = 0; i < 16; i++) {
		prepare(&t[i], STORAGE_WRITE, i * 4096, a + i * 4096, 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &t[i].io) == 0);
	}
	UNIT_CHECK(wait_all(&r, t, 16));
	for (unsigned i = 0; i < 16; i++)
		UNIT_CHECK(t[i].io.result == 0);
	UNIT_CHECK(memcmp(a, f.script->disk, 16 * 4096) == 0);
	UNIT_CHECK(f.script->nr_logins == 1);
	/* Nothing but attentions: it ends all the same. */
	f.script->nr_attentions = UINT32_MAX;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 512) == -EIO);
	rig_close(&r);
	fake_stop(&f);
}

static void a_busy_target_is_asked_again_later(void)
{
	struct fake_iscsi f = serve();
	uint64_t start_ns;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	f.script->nr_busy = 3;
	start_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == 0);
	UNIT_CHECK(clock_now_ns() - start_ns >= 200 * NS_PER_MS);
	UNIT_CHECK(f.script->nr_busy == 0);
	rig_close(&r);
	fake_stop(&f);
}

static void a_capacity_that_changed_is_noticed(void)
{
	struct fake_iscsi f = serve();
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	f.script->nr_sectors = 2 * FAKE_BYTES / FAKE_SECTOR;
	f.script->attention = FAKE_CAPACITY_CHANGED;
	f.script->nr_attentions = 1;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	for (int i = 0; i < 500 && storage_look_again(r.st) != 1; i++)
		turn(&r, 10);
	UNIT_CHECK(storage_size_bytes(r.st) == 2 * FAKE_BYTES);
	UNIT_CHECK(one(&r, STORAGE_WRITE, FAKE_BYTES, a, 4096) == 0);
	/* Without a word of the target's: when control looks. */
	f.script->nr_sectors = FAKE_BYTES / FAKE_SECTOR;
	UNIT_CHECK(storage_look_again(r.st) == 0);
	for (int i = 0; i < 500 && storage_look_again(r.st) != 1; i++)
		turn(&r, 20);
	UNIT_CHECK(storage_size_bytes(r.st) == FAKE_BYTES);
	UNIT_CHECK(one(&r, STORAGE_WRITE, FAKE_BYTES, a, 4096) == -EINVAL);
	UNIT_CHECK(f.script->nr_logins == 1);
	rig_close(&r);
	fake_stop(&f);
}

static void an_error_reaches_the_io_concerned_only(void)
{
	static const struct {
		uint32_t sense;
		int err;
	} errors[] = {
		{ FAKE_MEDIUM_ERROR, -EIO },
		{ FAKE_WRITE_PROTECTED, -EROFS },
		{ FAKE_SPACE_EXHAUSTED, -ENOSPC },
		{ FAKE_INVALID_OPCODE, -EOPNOTSUPP },
	};
	struct fake_iscsi f = serve();
	static struct tracked t[32];
	uint8_t *a = buffer(32 * 4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		f.script->bad_sense = errors[e].sense;
		f.script->bad_sector = 17 * 8 + 3;
		for (unsigned i = 0; i < 32; i++) {
			prepare(&t[i], i & 1 ? STORAGE_WRITE : STORAGE_READ,
				i * 4096, a + i * 4096, 4096);
			UNIT_CHECK(r.st->ops->submit(r.ch, &t[i].io) == 0);
		}
		UNIT_CHECK(wait_all(&r, t, 32));
		for (unsigned i = 0; i < 32; i++)
			UNIT_CHECK(t[i].io.result ==
				   (i == 17 ? errors[e].err : 0));
	}
	UNIT_CHECK(f.script->nr_logins == 1);
	rig_close(&r);
	fake_stop(&f);
}

/* What was not read must not be taken for what the disk holds. */
static void a_short_answer_is_an_error(void)
{
	struct fake_iscsi f = serve();
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	f.script->short_reads = true;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EIO);
	f.script->short_reads = false;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	rig_close(&r);
	fake_stop(&f);
}

/* Transfers of at most 8 sectors, and pieces that do not keep to them. */
static void the_luns_limits_are_kept(void)
{
	struct fake_iscsi f = serve();
	uint8_t *a = buffer(65536), *b = buffer(65536);
	struct tracked t;
	struct rig r;

	f.script->max_sectors = 8;
	f.script->max_unmap = 16;
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	fill(a, 65536, 6);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 65536) == 0);
	UNIT_CHECK(memcmp(a, f.script->disk, 65536) == 0);
	prepare(&t, STORAGE_READ, 512, b, 12288);
	t.io.nr_iov = 3;
	t.iov[0] = (struct iovec){ b + 8192, 1536 };
	t.iov[1] = (struct iovec){ b, 6144 };
	t.iov[2] = (struct iovec){ b + 16384, 12288 - 1536 - 6144 };
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
	UNIT_CHECK(wait_all(&r, &t, 1) && t.io.result == 0);
	UNIT_CHECK(memcmp(b + 8192, a + 512, 1536) == 0);
	UNIT_CHECK(memcmp(b, a + 2048, 6144) == 0);
	UNIT_CHECK(memcmp(b + 16384, a + 8192, 4608) == 0);
	UNIT_CHECK(f.script->longest == 8);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 4096, NULL, 32768) == 0);
	UNIT_CHECK(f.script->nr_unmaps == 4);
	UNIT_CHECK(is_zero(f.script->disk + 4096, 32768));
	UNIT_CHECK(f.script->disk[4095] == a[4095]);
	rig_close(&r);
	fake_stop(&f);
}

static void without_a_cache_there_is_nothing_to_flush(void)
{
	struct fake_iscsi f = serve();
	struct rig r;

	f.script->write_through = true;
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	UNIT_CHECK(f.script->nr_syncs == 0);
	rig_close(&r);
	fake_stop(&f);
}

/* Its write protection is asked for anew, and found: it is not used. */
static void a_lun_that_became_write_protected_is_another(void)
{
	struct fake_iscsi f = serve();
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	f.script->readonly = true;
	f.script->attention = FAKE_MODE_CHANGED;
	f.script->nr_attentions = 1;
	prepare(&t, STORAGE_WRITE, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &t.io) == 0);
	for (int i = 0; i < 500 && !said(&r, "another disk"); i++)
		turn(&r, 20);
	UNIT_CHECK(said(&r, "another disk"));
	UNIT_CHECK(t.nr_done == 0);
	f.script->readonly = false;
	UNIT_CHECK(wait_all(&r, &t, 1) && t.io.result == 0);
	rig_close(&r);
	fake_stop(&f);
}

/* A size that no arithmetic of ours takes. */
static void impossible_sizes_are_refused(void)
{
	struct fake_iscsi f = serve();
	struct rig r;

	f.script->nr_sectors = 0; /* the last one is UINT64_MAX */
	UNIT_CHECK(rig_open(&r, url, 0) == -EOPNOTSUPP);
	f.script->nr_sectors = UINT64_MAX / 256;
	UNIT_CHECK(rig_open(&r, url, 0) == -EOPNOTSUPP);
	fake_stop(&f);
}

UNIT_MAIN("storage_iscsi_fake", UNIT_TEST(the_fake_is_a_disk),
	  UNIT_TEST(unit_attentions_are_not_errors),
	  UNIT_TEST(a_busy_target_is_asked_again_later),
	  UNIT_TEST(a_capacity_that_changed_is_noticed),
	  UNIT_TEST(an_error_reaches_the_io_concerned_only),
	  UNIT_TEST(a_short_answer_is_an_error),
	  UNIT_TEST(the_luns_limits_are_kept),
	  UNIT_TEST(without_a_cache_there_is_nothing_to_flush),
	  UNIT_TEST(a_lun_that_became_write_protected_is_another),
	  UNIT_TEST(impossible_sizes_are_refused))
