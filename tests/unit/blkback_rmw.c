/* SPDX-License-Identifier: MIT */
/*
 * blkback_rmw.c - 512-byte sectors over a medium of 4096-byte ones: the medium
 * sees whole sectors only, and what overlaps ends as if one had come after the
 * other. By hand, then at random against a model, then on two threads.
 */
#include "blkback/rmw.h"

#include <poll.h>

#include "tests/unit/sector_model.h"
#include "tests/unit/soak.h"
#include "tests/unit/strict_disk.h"
#include "tests/unit/unit.h"
#include "util/list.h"

#define DISK_BYTES   (2u << 20)
#define NR_SECTORS   (DISK_BYTES / 512)
#define LARGEST	     (1u << 20)
#define NR_OPS	     16u /* in flight at most, of one channel */
#define OPS_PER_SEED 1500u

static struct strict_disk disk;
static struct storage *st;

static void open_disk(void)
{
	strict_open(&disk, DISK_BYTES, 4096);
	if (rmw_open(&disk.storage, &st))
		abort();
}

static void close_disk(void)
{
	UNIT_CHECK(disk.nr_crooked == 0);
	st->ops->close(st);
	strict_close(&disk);
}

/* ---- one at a time ----------------------------------------------------------
 */

struct one {
	struct storage_io io;
	struct iovec iov[2];
	unsigned nr_done;
};

static uint8_t memory[8][16384] __attribute__((aligned(4096)));

static void one_done(struct storage_io *io)
{
	((struct one *)io)->nr_done++;
}

/* Two segments, so that gathering has something to do. */
static void one_fill(struct one *o, enum storage_op op, uint64_t sector,
		     unsigned nr, uint8_t *buf)
{
	memset(o, 0, sizeof(*o));
	o->io.op = op;
	o->io.offset_bytes = sector * 512;
	o->io.size_bytes = nr * 512ull;
	o->io.iov = o->iov;
	o->io.done = one_done;
	if (op == STORAGE_FLUSH || op == STORAGE_DISCARD)
		return;
	o->iov[0] = (struct iovec){ buf, 512 };
	o->iov[1] = (struct iovec){ buf + 512, (nr - 1) * 512ull };
	o->io.nr_iov = nr > 1 ? 2 : 1;
}

static int put(struct storage_channel *ch, struct one *o, enum storage_op op,
	       uint64_t sector, unsigned nr, uint8_t *buf)
{
	one_fill(o, op, sector, nr, buf);
	return st->ops->submit(ch, &o->io);
}

static int run(struct storage_channel *ch, enum storage_op op, uint64_t sector,
	       unsigned nr, uint8_t *buf)
{
	struct one o;
	int err = put(ch, &o, op, sector, nr, buf);

	if (err)
		return err;
	if (o.nr_done)
		return -EDEADLK; /* from inside submit() */
	for (unsigned i = 0; i < 1000 && !o.nr_done; i++)
		st->ops->poll(ch);
	return o.nr_done == 1 ? o.io.result : -ETIMEDOUT;
}

static struct storage_channel *open_channel(struct strict_channel **below)
{
	struct storage_channel *ch;

	if (st->ops->channel_open(st, NR_OPS, &ch))
		abort();
	*below = strict_last;
	return ch;
}

static void whole_sectors_go_straight_through(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	struct one o;

	open_disk();
	ch = open_channel(&below);
	below->held = true;
	UNIT_CHECK(put(ch, &o, STORAGE_READ, 8, 16, memory[0]) == 0);
	UNIT_CHECK(below->ios[0] == &o.io);
	strict_complete(below, 0);
	UNIT_CHECK(put(ch, &o, STORAGE_FLUSH, 0, 0, NULL) == 0);
	UNIT_CHECK(below->ios[0] == &o.io);
	strict_complete(below, 0);
	UNIT_CHECK(put(ch, &o, STORAGE_WRITE, 8, 16, memory[0]) == 0);
	UNIT_CHECK(below->ios[0]->iov == o.iov && below->nr == 1);
	strict_complete(below, 0);
	UNIT_CHECK(o.nr_done == 1 && below->nr_submitted == 3);
	st->ops->channel_close(ch);
	close_disk();
}

static void the_bytes_around_a_small_write_stay(void)
{
	static const unsigned sizes[] = { 1, 2, 7, 8, 9, 15, 16, 17, 32 };
	struct strict_channel *below;
	struct storage_channel *ch;
	uint8_t *expected = malloc(DISK_BYTES);

	open_disk();
	ch = open_channel(&below);
	for (size_t i = 0; i < DISK_BYTES; i++)
		disk.bytes[i] = expected[i] = (uint8_t)(i * 7 + i / 512);
	for (unsigned at = 16; at < 33; at++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			size_t n = sizes[k] * 512ull;

			memset(memory[0], (int)(at * k + 1), n);
			memcpy(expected + at * 512ull, memory[0], n);
			UNIT_CHECK(!run(ch, STORAGE_WRITE, at, sizes[k],
					memory[0]));
			UNIT_CHECK(!memcmp(disk.bytes, expected, DISK_BYTES));
			memset(memory[1], 0, n);
			UNIT_CHECK(!run(ch, STORAGE_READ, at, sizes[k],
					memory[1]));
			UNIT_CHECK(!memcmp(memory[0], memory[1], n));
		}
	st->ops->channel_close(ch);
	close_disk();
	free(expected);
}

static void the_last_sector_is_like_any(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;

	open_disk();
	ch = open_channel(&below);
	UNIT_CHECK(!run(ch, STORAGE_WRITE, NR_SECTORS - 1, 1, memory[0]));
	UNIT_CHECK(!run(ch, STORAGE_READ, NR_SECTORS - 1, 1, memory[0]));
	UNIT_CHECK(run(ch, STORAGE_READ, NR_SECTORS, 1, memory[0]) == -EINVAL);
	UNIT_CHECK(run(ch, STORAGE_WRITE, NR_SECTORS - 1, 2, memory[0]) ==
		   -EINVAL);
	UNIT_CHECK(run(ch, STORAGE_WRITE, UINT64_MAX / 512, 2, memory[0]) ==
		   -EINVAL);
	st->ops->channel_close(ch);
	close_disk();
}

static void a_discard_is_of_whole_sectors(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	struct one o;

	open_disk();
	ch = open_channel(&below);
	memset(disk.bytes, 0x5a, DISK_BYTES);
	UNIT_CHECK(!run(ch, STORAGE_DISCARD, 5, 30, NULL)); /* 8..31 */
	for (unsigned s = 0; s < 64; s++)
		UNIT_CHECK(disk.bytes[s * 512] ==
			   (s >= 8 && s < 32 ? 0 : 0x5a));
	UNIT_CHECK(!run(ch, STORAGE_DISCARD, 41, 7, NULL)); /* nothing whole */
	UNIT_CHECK(!run(ch, STORAGE_DISCARD, 41, 1, NULL));
	UNIT_CHECK(below->nr_submitted == 1);
	one_fill(&o, STORAGE_DISCARD, 40, 9, NULL);
	o.io.secure = true;
	UNIT_CHECK(st->ops->submit(ch, &o.io) == -EINVAL);
	o.io.size_bytes = 4096;
	below->held = true;
	UNIT_CHECK(st->ops->submit(ch, &o.io) == 0);
	UNIT_CHECK(below->nr == 1 && below->ios[0]->secure);
	strict_complete(below, 0);
	UNIT_CHECK(o.nr_done == 1);
	st->ops->channel_close(ch);
	close_disk();
}

/* Everybody in the order of coming, but nobody waits without need. */
static void what_overlaps_a_small_write_waits_for_it(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	struct one first, whole, last, apart, read;

	open_disk();
	ch = open_channel(&below);
	below->held = true;
	UNIT_CHECK(!put(ch, &first, STORAGE_WRITE, 9, 1, memory[0]));
	UNIT_CHECK(!put(ch, &whole, STORAGE_WRITE, 0, 16, memory[1]));
	UNIT_CHECK(!put(ch, &last, STORAGE_WRITE, 1, 1, memory[2]));
	UNIT_CHECK(below->nr == 1 && below->ios[0]->op == STORAGE_READ);
	UNIT_CHECK(!put(ch, &apart, STORAGE_WRITE, 16, 8, memory[3]));
	UNIT_CHECK(!put(ch, &read, STORAGE_READ, 8, 8, memory[4]));
	UNIT_CHECK(below->nr == 3); /* neither waits */
	strict_complete(below, 2);
	strict_complete(below, 1);
	UNIT_CHECK(apart.nr_done == 1 && read.nr_done == 1);
	strict_complete(below, 0); /* the sector has been read */
	UNIT_CHECK(below->nr == 1 && below->ios[0]->op == STORAGE_WRITE);
	strict_complete(below, 0);
	UNIT_CHECK(first.nr_done == 1 && below->nr == 0);
	st->ops->poll(ch);
	UNIT_CHECK(below->nr == 1 && below->ios[0]->size_bytes == 8192);
	strict_complete(below, 0);
	UNIT_CHECK(whole.nr_done == 1 && !last.nr_done);
	st->ops->poll(ch);
	strict_complete(below, 0);
	strict_complete(below, 0);
	UNIT_CHECK(last.nr_done == 1);
	st->ops->channel_close(ch);
	close_disk();
}

static bool readable(struct storage_channel *ch)
{
	struct pollfd p = { .fd = st->ops->wait_fd(ch), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void a_wait_for_another_channel_ends_by_the_descriptor(void)
{
	struct strict_channel *below_a, *below_b;
	struct storage_channel *a, *b;
	struct one discard, small;

	open_disk();
	a = open_channel(&below_a);
	b = open_channel(&below_b);
	below_a->held = below_b->held = true;
	UNIT_CHECK(!put(a, &discard, STORAGE_DISCARD, 0, 64, NULL));
	UNIT_CHECK(!put(b, &small, STORAGE_WRITE, 9, 1, memory[0]));
	UNIT_CHECK(below_a->nr == 1 && below_b->nr == 0);
	UNIT_CHECK(!readable(b) && !st->ops->poll(b));
	strict_complete(below_a, 0);
	UNIT_CHECK(below_b->nr == 0); /* not on this thread */
	UNIT_CHECK(readable(b));
	UNIT_CHECK(st->ops->poll(b) == 1 && below_b->nr == 1);
	strict_complete(below_b, 0);
	strict_complete(below_b, 0);
	UNIT_CHECK(small.nr_done == 1);
	UNIT_CHECK(!readable(a) && !readable(b));
	st->ops->channel_close(a);
	st->ops->channel_close(b);
	close_disk();
}

/* At the reading, at the writing, at their submission; then it goes on. */
static void an_error_is_that_io_s_alone(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	struct one o;

	open_disk();
	ch = open_channel(&below);
	for (unsigned size = 1; size < 32; size += 10) {
		below->fail_result = -EIO;
		UNIT_CHECK(run(ch, STORAGE_WRITE, 1, size, memory[0]) == -EIO);
		below->fail_submit = -EBUSY;
		UNIT_CHECK(run(ch, STORAGE_WRITE, 1, size, memory[0]) ==
			   -EBUSY);
		below->held = true;
		UNIT_CHECK(!put(ch, &o, STORAGE_WRITE, 1, size, memory[0]));
		while (below->ios[0]->op == STORAGE_READ)
			strict_complete(below, 0);
		below->fail_result = -ENOSPC;
		strict_complete(below, 0);
		UNIT_CHECK(o.nr_done == 1 && o.io.result == -ENOSPC);
		UNIT_CHECK(!put(ch, &o, STORAGE_WRITE, 1, size, memory[0]));
		below->fail_submit = -ENOMEM;
		while (below->nr)
			strict_complete(below, 0);
		st->ops->poll(ch);
		UNIT_CHECK(o.nr_done == 1);
		below->held = false;
		UNIT_CHECK(!run(ch, STORAGE_WRITE, 0, 40, memory[0]));
	}
	below->fail_submit = -EIO;
	UNIT_CHECK(run(ch, STORAGE_READ, 0, 8, memory[0]) == -EIO);
	st->ops->channel_close(ch);
	close_disk();
}

static void it_has_the_medium_s_size_in_whole_sectors(void)
{
	struct storage *other;

	open_disk();
	UNIT_CHECK(st->desc.sector_bytes == 512);
	UNIT_CHECK(st->desc.physical_bytes == 4096);
	UNIT_CHECK(storage_size_bytes(st) == DISK_BYTES);
	UNIT_CHECK(storage_look_again(st) == 0);
	disk.new_size_bytes = DISK_BYTES / 2 + 512;
	UNIT_CHECK(storage_look_again(st) == 1);
	UNIT_CHECK(storage_size_bytes(st) == DISK_BYTES / 2);
	disk.storage.desc.sector_bytes = 512;
	UNIT_CHECK(rmw_open(&disk.storage, &other) == -EINVAL);
	disk.storage.desc.sector_bytes = 4096;
	close_disk();
}

/* A medium that wants memory aligned gets it. */
static void crooked_memory_is_bounced(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	struct one o;

	open_disk();
	disk.storage.desc.align_bytes = 4096;
	ch = open_channel(&below);
	below->held = true;
	for (size_t i = 0; i < 8192; i++)
		memory[0][512 + i] = (uint8_t)(i * 3 + i / 256);
	UNIT_CHECK(!put(ch, &o, STORAGE_WRITE, 8, 16, memory[0] + 512));
	UNIT_CHECK(below->ios[0]->op == STORAGE_WRITE);
	UNIT_CHECK((uintptr_t)below->ios[0]->iov[0].iov_base % 4096 == 0);
	strict_complete(below, 0);
	UNIT_CHECK(!memcmp(disk.bytes + 4096, memory[0] + 512, 8192));
	UNIT_CHECK(!put(ch, &o, STORAGE_READ, 8, 16, memory[1] + 512));
	UNIT_CHECK((uintptr_t)below->ios[0]->iov[0].iov_base % 4096 == 0);
	strict_complete(below, 0);
	UNIT_CHECK(!memcmp(memory[0] + 512, memory[1] + 512, 8192));
	st->ops->channel_close(ch);
	close_disk();
}

/* Ten of half a MiB at once: there are not as many buffers. */
static void what_finds_no_buffer_waits_in_line(void)
{
	struct strict_channel *below;
	struct storage_channel *ch;
	uint8_t *buf = malloc(LARGEST / 2);
	struct one ones[10];
	unsigned nr;

	open_disk();
	ch = open_channel(&below);
	below->held = true;
	for (unsigned i = 0; i < 10; i++)
		UNIT_CHECK(!put(ch, &ones[i], STORAGE_READ, 1, LARGEST / 1024,
				buf));
	nr = below->nr;
	UNIT_CHECK(nr >= 1 && nr < 10);
	for (unsigned i = 0; i < 10; i++) {
		UNIT_CHECK(below->nr == (i + nr <= 10 ? nr : 10 - i));
		strict_complete(below, 0);
		UNIT_CHECK(ones[i].nr_done == 1);
	}
	UNIT_CHECK(below->nr == 0);
	st->ops->channel_close(ch);
	close_disk();
	free(buf);
}

/* ---- at random
 * ---------------------------------------------------------------
 */

struct op {
	struct storage_io io;
	struct iovec iov[STORAGE_IOV_MAX];
	uint8_t *buf;
	struct actor *actor;
	struct model_op model;
	bool busy;
};

/* Somebody with a channel. */
struct actor {
	struct storage_channel *ch;
	struct model *model;
	struct op ops[NR_OPS];
	unsigned nr_busy, random;
	uint64_t nr_left;
	unsigned nr_failed, nr_stuck;
};

static unsigned below(struct actor *a, unsigned end)
{
	return (unsigned)rand_r(&a->random) % end;
}

static void op_done(struct storage_io *io)
{
	struct op *op = container_of(io, struct op, io);
	struct actor *a = op->actor;

	a->nr_failed += io->result != 0;
	if (io->op == STORAGE_READ)
		model_read_end(a->model, &op->model, op->buf);
	else if (io->op != STORAGE_FLUSH)
		model_change_end(a->model, &op->model);
	op->busy = false;
	a->nr_busy--;
}

/* Cut into segments as a guest would: at most a page each. */
static void cut(struct actor *a, struct op *op)
{
	size_t left = op->io.size_bytes;
	uint8_t *at = op->buf;
	bool fine = left <= 32 * 512 && below(a, 2);

	op->io.nr_iov = 0;
	while (left) {
		size_t n = fine ? 512 * (1 + below(a, 8)) : 4096;

		if (n > left)
			n = left;
		op->iov[op->io.nr_iov++] = (struct iovec){ at, n };
		at += n;
		left -= n;
	}
}

/* Mostly small and in the same few sectors of the medium, sometimes huge. */
static void choose_range(struct actor *a, struct op *op)
{
	unsigned first = below(a, 64), nr = 1 + below(a, 24);

	if (below(a, 100) == 0) {
		first = below(a, NR_SECTORS);
		nr = 1 + below(a, LARGEST / 512);
	} else if (below(a, 3) == 0) {
		first = first / 8 * 8;
		nr = (nr + 7) / 8 * 8;
	}
	if (nr > NR_SECTORS - first)
		nr = NR_SECTORS - first;
	op->io.offset_bytes = first * 512ull;
	op->io.size_bytes = nr * 512ull;
}

static void begin_model(struct actor *a, struct op *op)
{
	uint64_t first = op->io.offset_bytes / 512;
	uint64_t nr = op->io.size_bytes / 512;

	if (op->io.op == STORAGE_READ) {
		op->model = model_read_begin(a->model, first, nr);
		return;
	}
	if (op->io.op == STORAGE_DISCARD) {
		op->model = model_discard_begin(a->model, first, nr, 8);
		return;
	}
	op->model = model_write_begin(a->model, first, nr);
	for (uint64_t i = 0; i < nr; i++)
		model_fill(op->buf + i * 512, op->model.tag);
}

static void submit_one(struct actor *a)
{
	static const enum storage_op kinds[] = {
		STORAGE_WRITE, STORAGE_WRITE,	STORAGE_WRITE,
		STORAGE_WRITE, STORAGE_READ,	STORAGE_READ,
		STORAGE_READ,  STORAGE_DISCARD, STORAGE_FLUSH,
	};
	struct op *op = a->ops;

	while (op->busy)
		op++;
	op->io.op = kinds[below(a, ARRAY_SIZE(kinds))];
	op->io.offset_bytes = op->io.size_bytes = 0;
	op->io.iov = op->iov;
	op->io.nr_iov = 0;
	if (op->io.op != STORAGE_FLUSH) {
		choose_range(a, op);
		begin_model(a, op);
	}
	if (op->io.op == STORAGE_WRITE || op->io.op == STORAGE_READ)
		cut(a, op);
	op->busy = true;
	a->nr_busy++;
	a->nr_left--;
	if (st->ops->submit(a->ch, &op->io)) {
		a->nr_failed++;
		op->busy = false;
		a->nr_busy--;
	}
}

/* One step; sleeps where a queue would. */
static void actor_step(struct actor *a)
{
	struct pollfd p = { .fd = st->ops->wait_fd(a->ch), .events = POLLIN };

	for (unsigned n = below(a, 4); n && a->nr_left && a->nr_busy < NR_OPS;
	     n--)
		submit_one(a);
	st->ops->flush(a->ch);
	if (st->ops->poll(a->ch) || (a->nr_left && a->nr_busy < NR_OPS) ||
	    !a->nr_busy || p.fd < 0)
		return;
	a->nr_stuck += poll(&p, 1, 10000) == 0;
}

static void *actor_run(void *arg)
{
	struct actor *a = arg;

	while ((a->nr_left || a->nr_busy) && !a->nr_stuck)
		actor_step(a);
	return NULL;
}

static struct actor *actor_open(struct model *m, unsigned seed)
{
	struct actor *a = calloc(1, sizeof(*a));
	struct strict_channel *below_ch;

	if (!a)
		abort();
	a->ch = open_channel(&below_ch);
	below_ch->random = seed * 2 + 1;
	a->model = m;
	a->random = seed;
	a->nr_left = OPS_PER_SEED;
	for (unsigned i = 0; i < NR_OPS; i++) {
		a->ops[i].buf = malloc(LARGEST);
		a->ops[i].io.done = op_done;
		a->ops[i].actor = a;
	}
	return a;
}

static bool actor_close(struct actor *a)
{
	bool good = !a->nr_failed && !a->nr_stuck && !a->nr_busy;

	for (unsigned i = 0; i < NR_OPS; i++)
		free(a->ops[i].buf);
	if (!a->nr_busy)
		st->ops->channel_close(a->ch);
	free(a);
	return good;
}

static void run_seed(unsigned seed, unsigned nr_actors, bool no_fd)
{
	struct actor *actors[4];
	pthread_t threads[4];
	struct model m;
	bool good = true;

	open_disk();
	disk.no_fd = no_fd;
	model_init(&m, NR_SECTORS);
	for (unsigned i = 0; i < nr_actors; i++)
		actors[i] = actor_open(&m, seed * 8 + i);
	for (unsigned i = 0; i < nr_actors; i++)
		if (pthread_create(&threads[i], NULL, actor_run, actors[i]))
			abort();
	for (unsigned i = 0; i < nr_actors; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < nr_actors; i++)
		good &= actor_close(actors[i]);
	good &= model_settle(&m, disk.bytes) && !m.nr_wrong;
	if (!good)
		printf("seed %u, %u channels\n", seed, nr_actors);
	UNIT_CHECK(good);
	model_fini(&m);
	close_disk();
}

static void overlapping_ios_end_as_if_one_after_the_other(void)
{
	for (unsigned seed = 1; seed <= soak_rounds(8, 300); seed++)
		run_seed(seed, 1, seed % 3 == 0);
}

static void on_several_threads_too(void)
{
	for (unsigned seed = 1; seed <= soak_rounds(8, 300); seed++)
		run_seed(seed, seed % 4 == 0 ? 4 : 2, seed % 5 == 0);
}

UNIT_MAIN("blkback_rmw", UNIT_TEST(whole_sectors_go_straight_through),
	  UNIT_TEST(the_bytes_around_a_small_write_stay),
	  UNIT_TEST(the_last_sector_is_like_any),
	  UNIT_TEST(a_discard_is_of_whole_sectors),
	  UNIT_TEST(what_overlaps_a_small_write_waits_for_it),
	  UNIT_TEST(a_wait_for_another_channel_ends_by_the_descriptor),
	  UNIT_TEST(an_error_is_that_io_s_alone),
	  UNIT_TEST(it_has_the_medium_s_size_in_whole_sectors),
	  UNIT_TEST(crooked_memory_is_bounced),
	  UNIT_TEST(what_finds_no_buffer_waits_in_line),
	  UNIT_TEST(overlapping_ios_end_as_if_one_after_the_other),
	  UNIT_TEST(on_several_threads_too))
