/* SPDX-License-Identifier: MIT */
/*
 * storage_iscsi.c - the iscsi driver against a real target, which the test
 * starts, kills and starts again.
 */
#include "tests/unit/storage_peer.h"
#include "tests/unit/storage_tgt.h"

#define DISK_BYTES (1u << 20)
#define SLOW_BYTES (64u << 20)

static char url[3 * PEER_PATH_MAX];

/* A target with a fresh image, and its URL. */
static struct tgt serve(off_t size_bytes, const char *more)
{
	struct tgt t = { .port = 0 };

	peer_image(t.image, "lun", size_bytes);
	tgt_start(&t, more);
	tgt_url(&t, url, sizeof(url), "", "");
	return t;
}

static void serve_again(struct tgt *t)
{
	tgt_start(t, "");
}

static void data_written_is_data_read(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	uint8_t *a = buffer(65536), *b = buffer(65536);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(r.st->desc.size_bytes == DISK_BYTES);
	UNIT_CHECK(r.st->desc.sector_bytes == 512);
	UNIT_CHECK(!(r.st->desc.flags & STORAGE_UNSEEN));
	fill(a, 65536, 1);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 4096, a, 65536) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 4096, b, 65536) == 0);
	UNIT_CHECK(memcmp(a, b, 65536) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(is_zero(b, 4096));
	UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES, b, 512) == -EINVAL);
	UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES - 512, b, 512) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void sectors_of_4096_bytes(void)
{
	struct tgt t = serve(DISK_BYTES, "--blocksize 4096");
	uint8_t *a = buffer(8192), *b = buffer(16384);
	struct tracked w;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(r.st->desc.sector_bytes == 4096);
	UNIT_CHECK(r.st->desc.size_bytes == DISK_BYTES);
	fill(a, 8192, 4);
	/* In pieces that are no sectors. */
	prepare(&w, STORAGE_WRITE, 4096, a, 8192);
	w.io.nr_iov = 3;
	w.iov[0] = (struct iovec){ a, 512 };
	w.iov[1] = (struct iovec){ a + 512, 4096 };
	w.iov[2] = (struct iovec){ a + 4608, 8192 - 4608 };
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &w.io) == 0);
	UNIT_CHECK(wait_all(&r, &w, 1) && w.io.result == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 16384) == 0);
	UNIT_CHECK(is_zero(b, 4096) && is_zero(b + 12288, 4096));
	UNIT_CHECK(memcmp(a, b + 4096, 8192) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void a_discard_takes_its_range(void)
{
	struct tgt t = serve(SLOW_BYTES, "");
	uint8_t *a = buffer(DISK_BYTES);
	struct tracked s;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(r.st->desc.flags & STORAGE_CAN_DISCARD);
	memset(a, 0x5a, DISK_BYTES);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, DISK_BYTES) == 0);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 65536, NULL, 131072) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, DISK_BYTES) == 0);
	UNIT_CHECK(is_zero(a + 65536, 131072));
	UNIT_CHECK(a[65535] == 0x5a && a[65536 + 131072] == 0x5a);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 0, NULL, SLOW_BYTES) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, DISK_BYTES) == 0);
	UNIT_CHECK(is_zero(a, DISK_BYTES));
	prepare(&s, STORAGE_DISCARD, 0, NULL, 4096);
	s.io.secure = true;
	UNIT_CHECK(r.st->ops->submit(r.ch, &s.io) == -EOPNOTSUPP);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void a_write_protected_lun_is_a_read_only_disk(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(tgt_admin(&t, "-m logicalunit -o update -t 1 -l 1 "
				   "--params readonly=1"));
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(r.st->desc.flags & STORAGE_READONLY);
	UNIT_CHECK(!(r.st->desc.flags & STORAGE_CAN_DISCARD));
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == -EBADF);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void chap_with_the_right_and_the_wrong_password(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	char with[3 * PEER_PATH_MAX];
	struct rig r;

	UNIT_REQUIRE(tgt_admin(&t, "-m account -o new --user guest "
				   "--password 'sec@ret/12345'"));
	UNIT_REQUIRE(tgt_admin(&t, "-m account -o bind -t 1 --user guest"));
	UNIT_CHECK(rig_open(&r, url, 0) == -EACCES);
	tgt_url(&t, with, sizeof(with), "guest%wrong-secret@", "");
	UNIT_CHECK(rig_open(&r, with, 0) == -EACCES);
	UNIT_CHECK(strstr(r.acquired.target, "wrong-secret") == NULL);
	peer_kill(&t.peer);

	t = serve(DISK_BYTES, "");
	UNIT_REQUIRE(tgt_admin(&t, "-m account -o new --user guest "
				   "--password sesame123456"));
	UNIT_REQUIRE(tgt_admin(&t, "-m account -o bind -t 1 --user guest"));
	tgt_url(&t, with, sizeof(with), "guest%sesame123456@", "");
	UNIT_REQUIRE(rig_open(&r, with, 0) == 0);
	UNIT_CHECK(strstr(r.st->desc.target, "sesame") == NULL);
	UNIT_CHECK(strstr(r.st->desc.how, "CHAP") != NULL);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void what_is_not_there_is_an_error(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	char other[3 * PEER_PATH_MAX];
	struct rig r;

	snprintf(other, sizeof(other), "iscsi://127.0.0.1:%u/iqn.none/1",
		 t.port);
	UNIT_CHECK(rig_open(&r, other, 0) == -EACCES);
	snprintf(other, sizeof(other), "iscsi://127.0.0.1:%u/" TGT_NAME "/7",
		 t.port);
	UNIT_CHECK(rig_open(&r, other, 0) < 0);
	/* LUN 0 of this target is its controller. */
	snprintf(other, sizeof(other), "iscsi://127.0.0.1:%u/" TGT_NAME "/0",
		 t.port);
	UNIT_CHECK(rig_open(&r, other, 0) == -ENOTBLK);
	peer_kill(&t.peer);
	UNIT_CHECK(rig_open(&r, url, 0) == -ECONNREFUSED);
}

static void several_channels_see_one_disk(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	struct storage_channel *second, *third;
	uint8_t *a = buffer(4096), *b = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_REQUIRE(r.st->ops->channel_open(r.st, 8, &second) == 0);
	UNIT_REQUIRE(r.st->ops->channel_open(r.st, 8, &third) == 0);
	fill(a, 4096, 5);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
	r.st->ops->channel_close(r.ch);
	r.ch = second;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	r.st->ops->channel_close(third);
	/* The first one's number again. */
	UNIT_REQUIRE(r.st->ops->channel_open(r.st, 8, &third) == 0);
	r.st->ops->channel_close(r.ch);
	r.ch = third;
	memset(b, 0, 4096);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void a_killed_target_is_waited_for(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	static struct tracked w[16];
	uint8_t *a = buffer(16 * 4096), *b = buffer(16 * 4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	fill(a, 16 * 4096, 9);
	/* It takes the requests and does not answer. */
	peer_signal(&t.peer, SIGSTOP);
	for (unsigned i = 0; i < 16; i++) {
		prepare(&w[i], STORAGE_WRITE, i * 4096, a + i * 4096, 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &w[i].io) == 0);
	}
	turn(&r, 100);
	UNIT_CHECK(nr_done(w, 16) == 0);
	peer_kill(&t.peer);
	for (int i = 0; i < 500 && !said(&r, "gone"); i++)
		turn(&r, 20);
	UNIT_CHECK(nr_done(w, 16) == 0);
	UNIT_CHECK(said(&r, "gone"));
	serve_again(&t);
	UNIT_CHECK(wait_all(&r, w, 16));
	for (unsigned i = 0; i < 16; i++)
		UNIT_CHECK(w[i].io.result == 0);
	UNIT_CHECK(said(&r, "server is back"));
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 16 * 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 16 * 4096) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

/* No io is there to fail: the socket alone tells. */
static void an_idle_disk_notices_the_end_and_the_return(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	peer_kill(&t.peer);
	for (int i = 0; i < 500 && !said(&r, "gone"); i++)
		turn(&r, 20);
	UNIT_CHECK(said(&r, "gone"));
	serve_again(&t);
	for (int i = 0; i < 100 && !said(&r, "server is back"); i++)
		turn(&r, 100);
	UNIT_CHECK(said(&r, "server is back"));
	rig_close(&r);
	peer_kill(&t.peer);
}

static void a_lun_that_grew_is_larger_and_another_is_refused(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	struct tracked w;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	peer_kill(&t.peer);
	UNIT_REQUIRE(truncate(t.image, 2 * DISK_BYTES) == 0);
	serve_again(&t);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == 0);
	UNIT_CHECK(storage_look_again(r.st) == 1);
	UNIT_CHECK(storage_size_bytes(r.st) == 2 * DISK_BYTES);
	peer_kill(&t.peer);
	serve_again(&t);
	/* It calls itself something else: another disk in its place. */
	UNIT_REQUIRE(tgt_admin(&t, "-m logicalunit -o update -t 1 -l 1 "
				   "--params scsi_id=another"));
	prepare(&w, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &w.io) == 0);
	for (int i = 0; i < 500 && !said(&r, "another disk"); i++)
		turn(&r, 20);
	UNIT_CHECK(said(&r, "another disk"));
	UNIT_CHECK(w.nr_done == 0);
	r.st->ops->give_up(r.ch);
	UNIT_CHECK(wait_all(&r, &w, 1));
	rig_close(&r);
	peer_kill(&t.peer);
}

static void given_up_nothing_waits(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	static struct tracked w[3];
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	peer_kill(&t.peer);
	for (unsigned i = 0; i < 2; i++) {
		prepare(&w[i], i ? STORAGE_FLUSH : STORAGE_READ, 0,
			i ? NULL : buffer(4096), i ? 0 : 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &w[i].io) == 0);
	}
	turn(&r, 200);
	UNIT_CHECK(nr_done(w, 2) == 0);
	r.st->ops->give_up(r.ch);
	r.st->ops->poll(r.ch);
	UNIT_CHECK(nr_done(w, 2) == 2);
	UNIT_CHECK(w[0].io.result == -EIO && w[1].io.result == -EIO);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == -EIO);
	rig_close(&r);
}

static void given_up_a_silent_target_is_left(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	uint64_t start_ns;
	struct tracked w;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	peer_signal(&t.peer, SIGSTOP);
	start_ns = clock_now_ns();
	prepare(&w, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &w.io) == 0);
	turn(&r, 50);
	r.st->ops->give_up(r.ch);
	UNIT_CHECK(wait_all(&r, &w, 1));
	UNIT_CHECK(w.io.result == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns < 8 * NS_PER_S);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void fail_after_ends_the_waiting_and_the_target_may_still_return(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	uint8_t *a = buffer(4096);
	uint64_t start_ns;
	struct rig r;

	tgt_url(&t, url, sizeof(url), "", "?fail-after=1");
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	peer_kill(&t.peer);
	start_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns > NS_PER_S / 2);
	start_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns < NS_PER_S / 2);
	UNIT_CHECK(said(&r, "too long"));
	serve_again(&t);
	for (int i = 0; i < 100 && !said(&r, "server is back"); i++)
		turn(&r, 100);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

/* A successor starts while the target is away, with what is known of it. */
static void a_successor_needs_no_target_to_begin(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	struct storage_desc seen;
	struct tracked w;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	seen = r.st->desc;
	rig_close(&r);
	peer_kill(&t.peer);
	UNIT_REQUIRE(rig_open_seen(&r, &seen) == 0);
	UNIT_CHECK(r.st->desc.size_bytes == DISK_BYTES);
	prepare(&w, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &w.io) == 0);
	turn(&r, 100);
	UNIT_CHECK(w.nr_done == 0);
	serve_again(&t);
	UNIT_CHECK(wait_all(&r, &w, 1));
	UNIT_CHECK(w.io.result == 0);
	rig_close(&r);
	peer_kill(&t.peer);
}

static void a_target_that_never_answers_is_not_waited_for_long(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	uint64_t start_ns = clock_now_ns();
	struct rig r;

	peer_signal(&t.peer, SIGSTOP);
	UNIT_CHECK(rig_open(&r, url, 0) == -ETIMEDOUT);
	UNIT_CHECK(clock_now_ns() - start_ns < 8 * NS_PER_S);
	peer_kill(&t.peer);
}

static void a_redirect_is_followed(void)
{
	struct tgt t = serve(DISK_BYTES, "");
	struct tgt there = { .host = "127.0.0.2" };
	uint8_t *a = buffer(4096), *b = buffer(4096);
	struct rig r;
	int fd;

	memcpy(there.image, t.image, sizeof(there.image));
	UNIT_REQUIRE(tgt_admin(&t, "-m target -o update -t 1 -n "
				   "RedirectReason -v Temporary") &&
		     tgt_admin(&t, "-m target -o update -t 1 -n "
				   "RedirectAddress -v 127.0.0.2"));
	there.port = peer_port();
	UNIT_REQUIRE(tgt_admin(&t,
			       "-m target -o update -t 1 -n RedirectPort "
			       "-v %u",
			       there.port));
	UNIT_CHECK(rig_open(&r, url, 0) == -ECONNREFUSED);
	tgt_start(&there, "");
	fill(a, 4096, 8);
	fd = open(t.image, O_WRONLY | O_CLOEXEC);
	UNIT_REQUIRE(fd >= 0 && pwrite(fd, a, 4096, 0) == 4096);
	close(fd);
	UNIT_REQUIRE(rig_open(&r, url, 0) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	/* The same way again, after the end of the one that it led to. */
	peer_kill(&there.peer);
	for (int i = 0; i < 500 && !said(&r, "gone"); i++)
		turn(&r, 20);
	serve_again(&there);
	memset(b, 0, 4096);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	rig_close(&r);
	peer_kill(&there.peer);
	peer_kill(&t.peer);
}

static void wrong_targets_are_refused_with_a_sentence(void)
{
	static const struct {
		const char *target, *says;
	} wrong[] = {
		{ "iscsi://", "is not the URL" },
		{ "iscsi://127.0.0.1", "is not the URL" },
		{ "iscsi://127.0.0.1/iqn.x", "is not the URL" },
		{ "iscsi://127.0.0.1/iqn.x/soon", "is not the URL" },
		{ "iscsi://127.0.0.1/iqn.x/256", "LUN of at most" },
		{ "iscsi://127.0.0.1:0/iqn.x/1", "is no HOST" },
		{ "iscsi://127.0.0.1:99999/iqn.x/1", "is no HOST" },
		{ "iscsi://no.such.host.invalid/iqn.x/1", "no address" },
		{ "iscsi://127.0.0.1/iqn.x/1?speed=9", "option 'speed'" },
		{ "iscsi://127.0.0.1/iqn.x/1?fail-after=soon",
		  "option 'fail-after'" },
		{ "iscsi://127.0.0.1/iqn.x/1?initiator=", "option" },
		{ "iscsi://u%secret@127.0.0.1/iqn.x/1?speed=9", "option" },
		{ "iscsi://u%se/cret@127.0.0.1", "is not the URL" },
		{ "verify:iscsi://u%secret@127.0.0.1/iqn.x/1", "no filter" },
	};
	int fds[STORAGE_FDS_MAX];
	struct storage_desc d;
	char why[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why[0] = '\0';
		UNIT_CHECK(storage_acquire(wrong[i].target, 0, &d, fds, why,
					   sizeof(why)) < 0);
		UNIT_CHECK(strstr(why, wrong[i].says) != NULL);
		UNIT_CHECK(strstr(why, "cret") == NULL);
	}
}

static void nothing_is_left_behind(void)
{
	peer_clean();
}

UNIT_MAIN(
	"storage_iscsi", UNIT_TEST(data_written_is_data_read),
	UNIT_TEST(sectors_of_4096_bytes), UNIT_TEST(a_discard_takes_its_range),
	UNIT_TEST(a_write_protected_lun_is_a_read_only_disk),
	UNIT_TEST(chap_with_the_right_and_the_wrong_password),
	UNIT_TEST(what_is_not_there_is_an_error),
	UNIT_TEST(several_channels_see_one_disk),
	UNIT_TEST(a_killed_target_is_waited_for),
	UNIT_TEST(an_idle_disk_notices_the_end_and_the_return),
	UNIT_TEST(a_lun_that_grew_is_larger_and_another_is_refused),
	UNIT_TEST(given_up_nothing_waits),
	UNIT_TEST(given_up_a_silent_target_is_left),
	UNIT_TEST(fail_after_ends_the_waiting_and_the_target_may_still_return),
	UNIT_TEST(a_successor_needs_no_target_to_begin),
	UNIT_TEST(a_target_that_never_answers_is_not_waited_for_long),
	UNIT_TEST(a_redirect_is_followed),
	UNIT_TEST(wrong_targets_are_refused_with_a_sentence),
	UNIT_TEST(nothing_is_left_behind))
