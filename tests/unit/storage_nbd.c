/* SPDX-License-Identifier: MIT */
/*
 * storage_nbd.c - the nbd driver against real servers, which the test starts,
 * kills and starts again: nbdkit with its filters, qemu-nbd with qcow2.
 */
#include "tests/unit/storage_peer.h"

#define DISK_BYTES (1u << 20)

static char sock[PEER_PATH_MAX], target[3 * PEER_PATH_MAX];

/* nbdkit on the socket, with the plugin and the filters of words. */
static struct peer serve(const char *words)
{
	struct peer p;

	peer_path(sock, "nbd");
	unlink(sock);
	snprintf(target, sizeof(target), "nbd+unix:///?socket=%s", sock);
	p = peer_start("exec nbdkit -f -U %s %s", sock, words);
	if (!peer_listens(&p, sock))
		abort();
	return p;
}

static void data_written_is_data_read(void)
{
	struct peer p = serve("memory 1M");
	uint8_t *a = buffer(65536), *b = buffer(65536);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
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
	rig_close(&r);
	peer_stop(&p);
}

static void pieces_go_where_they_belong(void)
{
	struct peer p = serve("memory 1M");
	uint8_t *a = buffer(65536), *b = buffer(65536);
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	fill(a, 65536, 2);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 512, a, 8192) == 0);
	prepare(&t, STORAGE_READ, 512, b + 16384, 8192);
	t.io.nr_iov = 3;
	t.iov[0] = (struct iovec){ b + 16384, 512 };
	t.iov[1] = (struct iovec){ b + 512, 4096 };
	t.iov[2] = (struct iovec){ b + 512 + 4096, 8192 - 512 - 4096 };
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
	UNIT_CHECK(wait_all(&r, &t, 1));
	UNIT_CHECK(t.io.result == 0);
	UNIT_CHECK(memcmp(b + 16384, a, 512) == 0);
	UNIT_CHECK(memcmp(b + 512, a + 512, 8192 - 512) == 0);
	rig_close(&r);
	peer_stop(&p);
}

static void what_is_outside_is_refused_at_once(void)
{
	struct peer p = serve("memory 1M");
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, DISK_BYTES, a, 512) == -EINVAL);
	UNIT_CHECK(one(&r, STORAGE_WRITE, DISK_BYTES - 512, a, 1024) ==
		   -EINVAL);
	UNIT_CHECK(one(&r, STORAGE_READ, UINT64_MAX - 511, a, 1024) == -EINVAL);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 0) == -EINVAL);
	rig_close(&r);
	peer_stop(&p);
}

static void a_discard_takes_its_range(void)
{
	struct peer p = serve("memory 1M");
	uint8_t *a = buffer(DISK_BYTES);
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(r.st->desc.flags & STORAGE_CAN_DISCARD);
	memset(a, 0x5a, DISK_BYTES);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, DISK_BYTES) == 0);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 65536, NULL, 131072) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, DISK_BYTES) == 0);
	UNIT_CHECK(is_zero(a + 65536, 131072));
	UNIT_CHECK(a[65535] == 0x5a && a[65536 + 131072] == 0x5a);
	prepare(&t, STORAGE_DISCARD, 0, NULL, 4096);
	t.io.secure = true;
	UNIT_CHECK(r.st->ops->submit(r.ch, &t.io) == -EOPNOTSUPP);
	rig_close(&r);
	peer_stop(&p);
}

/* More than one command can say: 3 GiB and a bit, in steps of 1 GiB. */
static void a_large_discard_is_done_to_its_end(void)
{
	struct peer p = serve("memory 4G");
	const uint64_t end = (3ull << 30) + 4096;
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	memset(a, 1, 4096);
	for (uint64_t at = 0; at <= end; at += (1ull << 30) - 4096)
		UNIT_CHECK(one(&r, STORAGE_WRITE, at, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, end - 4096, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_WRITE, end, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 0, NULL, end) == 0);
	for (uint64_t at = 0; at < end; at += (1ull << 30) - 4096) {
		UNIT_CHECK(one(&r, STORAGE_READ, at, a, 4096) == 0);
		UNIT_CHECK(is_zero(a, 4096));
	}
	UNIT_CHECK(one(&r, STORAGE_READ, end - 4096, a, 4096) == 0);
	UNIT_CHECK(is_zero(a, 4096));
	UNIT_CHECK(one(&r, STORAGE_READ, end, a, 4096) == 0);
	UNIT_CHECK(a[0] == 1 && a[4095] == 1);
	rig_close(&r);
	peer_stop(&p);
}

static void a_read_only_export_is_a_read_only_disk(void)
{
	struct peer p = serve("-r memory 1M");
	uint8_t *a = buffer(4096);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(r.st->desc.flags & STORAGE_READONLY);
	UNIT_CHECK(!(r.st->desc.flags & STORAGE_CAN_DISCARD));
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) < 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	rig_close(&r);
	peer_stop(&p);
}

/* Blocks of 4096, commands of up to 64 KiB, and pieces of 512. */
static void the_servers_block_sizes_are_kept(void)
{
	struct peer p = serve("--filter=blocksize-policy memory 1M "
			      "blocksize-minimum=4096 "
			      "blocksize-preferred=4096 "
			      "blocksize-maximum=65536 "
			      "blocksize-error-policy=error");
	uint8_t *a = buffer(DISK_BYTES), *b = buffer(DISK_BYTES);
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(r.st->desc.sector_bytes == 4096);
	UNIT_CHECK(r.st->desc.physical_bytes == 4096);
	fill(a, DISK_BYTES, 3);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, DISK_BYTES) == 0);
	prepare(&t, STORAGE_WRITE, 0, a, 8192);
	t.io.nr_iov = 3;
	t.iov[0] = (struct iovec){ a + 8192, 512 };
	t.iov[1] = (struct iovec){ a, 4096 };
	t.iov[2] = (struct iovec){ a + 512, 8192 - 4096 - 512 };
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
	UNIT_CHECK(wait_all(&r, &t, 1) && t.io.result == 0);
	prepare(&t, STORAGE_READ, 0, b, 8192);
	t.io.nr_iov = 3;
	t.iov[0] = (struct iovec){ b + 8192, 512 };
	t.iov[1] = (struct iovec){ b, 4096 };
	t.iov[2] = (struct iovec){ b + 16384, 8192 - 4096 - 512 };
	UNIT_REQUIRE(r.st->ops->submit(r.ch, &t.io) == 0);
	UNIT_CHECK(wait_all(&r, &t, 1) && t.io.result == 0);
	UNIT_CHECK(memcmp(b + 8192, a + 8192, 512) == 0);
	UNIT_CHECK(memcmp(b, a, 4096) == 0);
	UNIT_CHECK(memcmp(b + 16384, a + 512, 8192 - 4096 - 512) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 8192, b, DISK_BYTES - 8192) == 0);
	UNIT_CHECK(memcmp(b, a + 8192, DISK_BYTES - 8192) == 0);
	rig_close(&r);
	peer_stop(&p);
}

static void an_error_reaches_the_io_concerned_only(void)
{
	struct peer p = serve("--filter=error memory 1M error=ENOSPC "
			      "error-pwrite-rate=100%");
	static struct tracked t[32];
	uint8_t *a = buffer(4096 * 32);
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	for (unsigned i = 0; i < 32; i++) {
		prepare(&t[i], i % 3 ? STORAGE_READ : STORAGE_WRITE, i * 4096,
			a + i * 4096, 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &t[i].io) == 0);
	}
	UNIT_CHECK(wait_all(&r, t, 32));
	for (unsigned i = 0; i < 32; i++)
		UNIT_CHECK(t[i].io.result == (i % 3 ? 0 : -ENOSPC));
	rig_close(&r);
	peer_stop(&p);
}

static void one_channel_unless_flushes_cover_all(void)
{
	struct peer p = serve("--filter=multi-conn memory 1M "
			      "multi-conn-mode=disable");
	struct storage_channel *second;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(r.st->desc.flags & STORAGE_ONE_CHANNEL);
	UNIT_CHECK(r.st->ops->channel_open(r.st, 8, &second) == -EBUSY);
	rig_close(&r);
	peer_stop(&p);

	p = serve("memory 1M");
	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(!(r.st->desc.flags & STORAGE_ONE_CHANNEL));
	UNIT_REQUIRE(r.st->ops->channel_open(r.st, 8, &second) == 0);
	r.st->ops->channel_close(r.ch);
	r.ch = second;
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == 0);
	rig_close(&r);
	peer_stop(&p);
}

/* Writes are slow; killed in the middle, they end well on the next server. */
static void a_killed_server_is_waited_for(void)
{
	char image[PEER_PATH_MAX], words[3 * PEER_PATH_MAX];
	static struct tracked t[16];
	uint8_t *a = buffer(16 * 4096), *b = buffer(16 * 4096);
	struct peer p;
	struct rig r;

	peer_image(image, "disk", DISK_BYTES);
	snprintf(words, sizeof(words),
		 "--filter=delay file %s delay-write=300ms", image);
	p = serve(words);
	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	fill(a, 16 * 4096, 9);
	for (unsigned i = 0; i < 16; i++) {
		prepare(&t[i], STORAGE_WRITE, i * 4096, a + i * 4096, 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &t[i].io) == 0);
	}
	turn(&r, 50);
	UNIT_CHECK(nr_done(t, 16) == 0);
	peer_kill(&p);
	turn(&r, 300);
	UNIT_CHECK(nr_done(t, 16) == 0);
	UNIT_CHECK(said(&r, "gone"));
	p = serve(words);
	UNIT_CHECK(wait_all(&r, t, 16));
	for (unsigned i = 0; i < 16; i++)
		UNIT_CHECK(t[i].io.result == 0);
	UNIT_CHECK(said(&r, "server is back"));
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 16 * 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 16 * 4096) == 0);
	rig_close(&r);
	peer_stop(&p);
}

static void another_disk_is_refused_until_the_right_one_is_back(void)
{
	struct peer p = serve("memory 1M");
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	peer_kill(&p);
	p = serve("memory 512K");
	prepare(&t, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &t.io) == 0);
	turn(&r, 500);
	UNIT_CHECK(said(&r, "another disk"));
	UNIT_CHECK(!said(&r, "server is back"));
	peer_kill(&p);
	p = serve("-r memory 1M");
	turn(&r, 1000);
	UNIT_CHECK(t.nr_done == 0);
	peer_kill(&p);
	p = serve("memory 2M");
	UNIT_CHECK(wait_all(&r, &t, 1));
	UNIT_CHECK(t.io.result == 0);
	UNIT_CHECK(storage_look_again(r.st) == 1);
	UNIT_CHECK(storage_size_bytes(r.st) == 2 * DISK_BYTES);
	rig_close(&r);
	peer_stop(&p);
}

static void given_up_nothing_waits(void)
{
	struct peer p = serve("memory 1M");
	static struct tracked t[3];
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	peer_kill(&p);
	for (unsigned i = 0; i < 2; i++) {
		prepare(&t[i], i ? STORAGE_FLUSH : STORAGE_READ, 0,
			i ? NULL : buffer(4096), i ? 0 : 4096);
		UNIT_CHECK(r.st->ops->submit(r.ch, &t[i].io) == 0);
	}
	turn(&r, 200);
	UNIT_CHECK(nr_done(t, 2) == 0);
	r.st->ops->give_up(r.ch);
	r.st->ops->poll(r.ch);
	UNIT_CHECK(nr_done(t, 2) == 2);
	UNIT_CHECK(t[0].io.result == -EIO && t[1].io.result == -EIO);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, buffer(4096), 4096) == -EIO);
	rig_close(&r);
}

/* It is there, takes requests, and never answers: a detach ends all the same.
 */
static void given_up_a_silent_server_is_left(void)
{
	struct peer p = serve("--filter=delay memory 1M delay-read=60");
	uint64_t start_ns = clock_now_ns();
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	prepare(&t, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &t.io) == 0);
	turn(&r, 50);
	r.st->ops->give_up(r.ch);
	UNIT_CHECK(wait_all(&r, &t, 1));
	UNIT_CHECK(t.io.result == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns < 8 * NS_PER_S);
	rig_close(&r);
	peer_kill(&p);
}

static void fail_after_ends_the_waiting_and_the_server_may_still_return(void)
{
	struct peer p = serve("memory 1M");
	uint8_t *a = buffer(4096);
	uint64_t start_ns;
	struct rig r;

	snprintf(target, sizeof(target), "nbd+unix:///?socket=%s&fail-after=1",
		 sock);
	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	peer_kill(&p);
	start_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns > NS_PER_S / 2);
	start_ns = clock_now_ns();
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == -EIO);
	UNIT_CHECK(clock_now_ns() - start_ns < NS_PER_S / 2);
	UNIT_CHECK(said(&r, "too long"));
	p = serve("memory 1M");
	for (int i = 0; i < 100 && !said(&r, "server is back"); i++)
		turn(&r, 100);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, a, 4096) == 0);
	rig_close(&r);
	peer_stop(&p);
}

/* A successor starts while the server is away, with what is known of it. */
static void a_successor_needs_no_server_to_begin(void)
{
	struct peer p = serve("memory 1M");
	struct storage_desc seen;
	struct tracked t;
	struct rig r;

	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	seen = r.st->desc;
	rig_close(&r);
	peer_kill(&p);
	UNIT_REQUIRE(rig_open_seen(&r, &seen) == 0);
	UNIT_CHECK(r.st->desc.size_bytes == DISK_BYTES);
	prepare(&t, STORAGE_READ, 0, buffer(4096), 4096);
	UNIT_CHECK(r.st->ops->submit(r.ch, &t.io) == 0);
	turn(&r, 100);
	UNIT_CHECK(t.nr_done == 0);
	p = serve("memory 1M");
	UNIT_CHECK(wait_all(&r, &t, 1));
	UNIT_CHECK(t.io.result == 0);
	rig_close(&r);
	peer_stop(&p);
}

static void a_server_that_never_answers_is_not_waited_for_long(void)
{
	struct peer p;
	uint64_t start_ns = clock_now_ns();
	struct rig r;

	peer_path(sock, "nbd");
	snprintf(target, sizeof(target), "nbd+unix:///?socket=%s", sock);
	/* The handshake is in the queue of a server that is stopped. */
	p = serve("memory 1M");
	peer_signal(&p, SIGSTOP);
	UNIT_CHECK(rig_open(&r, target, 0) == -ETIMEDOUT);
	UNIT_CHECK(clock_now_ns() - start_ns < 8 * NS_PER_S);
	peer_kill(&p);
	UNIT_CHECK(rig_open(&r, target, 0) == -ECONNREFUSED);
}

static void qcow2_over_tcp(void)
{
	uint8_t *a = buffer(65536), *b = buffer(65536);
	unsigned port = peer_port();
	char image[PEER_PATH_MAX];
	struct peer p;
	struct rig r;

	peer_path(image, "disk.qcow2");
	UNIT_REQUIRE(peer_run("qemu-img create -q -f qcow2 %s 64M", image));
	p = peer_start("exec qemu-nbd -t -f qcow2 --discard=unmap -b 127.0.0.1 "
		       "-p %u -x disk %s",
		       port, image);
	UNIT_REQUIRE(peer_listens_on(&p, port));
	snprintf(target, sizeof(target), "nbd://127.0.0.1:%u/disk", port);
	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	UNIT_CHECK(r.st->desc.size_bytes == 64u << 20);
	fill(a, 65536, 5);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 1 << 20, a, 65536) == 0);
	UNIT_CHECK(one(&r, STORAGE_FLUSH, 0, NULL, 0) == 0);
	peer_kill(&p);
	p = peer_start("exec qemu-nbd -t -f qcow2 --discard=unmap -b 127.0.0.1 "
		       "-p %u -x disk %s",
		       port, image);
	UNIT_CHECK(one(&r, STORAGE_READ, 1 << 20, b, 65536) == 0);
	UNIT_CHECK(memcmp(a, b, 65536) == 0);
	UNIT_CHECK(one(&r, STORAGE_DISCARD, 1 << 20, NULL, 65536) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 1 << 20, b, 65536) == 0);
	UNIT_CHECK(is_zero(b, 65536));
	rig_close(&r);
	snprintf(target, sizeof(target), "nbd://localhost:%u/none", port);
	UNIT_CHECK(rig_open(&r, target, 0) < 0);
	peer_stop(&p);
}

static void tls_with_a_shared_key(void)
{
	static const char key[] = "guest:0123456789abcdef0123456789abcdef\n";
	char psk[PEER_PATH_MAX];
	uint8_t *a = buffer(4096), *b = buffer(4096);
	struct peer p;
	struct rig r;

	peer_file(psk, "psk", key, sizeof(key) - 1);
	peer_path(sock, "nbd");
	unlink(sock);
	p = peer_start("exec nbdkit -f -U %s --tls=require --tls-psk=%s "
		       "memory 1M",
		       sock, psk);
	UNIT_REQUIRE(peer_listens(&p, sock));
	snprintf(target, sizeof(target),
		 "nbds+unix://guest@/?socket=%s&tls-psk-file=%s", sock, psk);
	UNIT_REQUIRE(rig_open(&r, target, 0) == 0);
	fill(a, 4096, 7);
	UNIT_CHECK(one(&r, STORAGE_WRITE, 0, a, 4096) == 0);
	UNIT_CHECK(one(&r, STORAGE_READ, 0, b, 4096) == 0);
	UNIT_CHECK(memcmp(a, b, 4096) == 0);
	rig_close(&r);
	/* In the clear: the server will not. */
	snprintf(target, sizeof(target), "nbd+unix:///?socket=%s", sock);
	UNIT_CHECK(rig_open(&r, target, 0) < 0);
	peer_stop(&p);
}

static void wrong_targets_are_refused_with_a_sentence(void)
{
	static const struct {
		const char *target, *says;
	} wrong[] = {
		{ "nbd://", "is written as" },
		{ "nbd:///export", "is written as" },
		{ "nbd://host:0/x", "is not a URI" },
		{ "nbd://host:99999/x", "is not a URI" },
		{ "nbd://[::1/x", "is not a URI" },
		{ "nbd://127.0.0.1/%zz", "is not a URI" },
		{ "nbd://127.0.0.1/%00", "is not a URI" },
		{ "nbd+unix:///x", "is written as" },
		{ "nbd+unix://host/x?socket=/tmp/s", "is written as" },
		{ "nbd://127.0.0.1/?socket=/tmp/s", "is written as" },
		{ "nbd://127.0.0.1/x?speed=9", "option 'speed'" },
		{ "nbd://127.0.0.1/x?fail-after=soon", "option 'fail-after'" },
		{ "nbd://127.0.0.1/x?fail-after", "option" },
		{ "nbds://127.0.0.1/x", "pre-shared key" },
		{ "nbd://127.0.0.1/x?tls-psk-file=/x", "option" },
	};
	struct rig r;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		UNIT_CHECK(rig_open(&r, wrong[i].target, 0) < 0);
		UNIT_CHECK(strstr(r.why, wrong[i].says) != NULL);
	}
}

static void nothing_is_left_behind(void)
{
	peer_clean();
}

UNIT_MAIN(
	"storage_nbd", UNIT_TEST(data_written_is_data_read),
	UNIT_TEST(pieces_go_where_they_belong),
	UNIT_TEST(what_is_outside_is_refused_at_once),
	UNIT_TEST(a_discard_takes_its_range),
	UNIT_TEST(a_large_discard_is_done_to_its_end),
	UNIT_TEST(a_read_only_export_is_a_read_only_disk),
	UNIT_TEST(the_servers_block_sizes_are_kept),
	UNIT_TEST(an_error_reaches_the_io_concerned_only),
	UNIT_TEST(one_channel_unless_flushes_cover_all),
	UNIT_TEST(a_killed_server_is_waited_for),
	UNIT_TEST(another_disk_is_refused_until_the_right_one_is_back),
	UNIT_TEST(given_up_nothing_waits),
	UNIT_TEST(given_up_a_silent_server_is_left),
	UNIT_TEST(fail_after_ends_the_waiting_and_the_server_may_still_return),
	UNIT_TEST(a_successor_needs_no_server_to_begin),
	UNIT_TEST(a_server_that_never_answers_is_not_waited_for_long),
	UNIT_TEST(qcow2_over_tcp), UNIT_TEST(tls_with_a_shared_key),
	UNIT_TEST(wrong_targets_are_refused_with_a_sentence),
	UNIT_TEST(nothing_is_left_behind))
