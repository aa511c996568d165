/* SPDX-License-Identifier: MIT */
/*
 * blkfront_bytes.c - reads and writes at any byte. The disk below is a piece of
 * memory whose ios complete when the test says so; afterwards it must hold what
 * a plain array holds after the same writes.
 */
#include "blkfront/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "util/num.h"

#define DISK_BYTES (64u * 512u)
#define REGION	   (1u << 20)
#define NR_REQS	   64u

static uint8_t disk[DISK_BYTES], model[DISK_BYTES];
static uint8_t *region;
static size_t region_used, nr_buffers;
static struct blkfront_io *queued[256];
static unsigned nr_queued;
static int submit_error, io_error;
static uint32_t sector_bytes = 512;

/* ---- blkfront.h as the test wants it ------------------------------------- */

void *blkfront_buf_alloc(struct blkfront *bf, size_t size_bytes)
{
	void *buf = region + region_used;

	(void)bf;
	if (region_used + size_bytes > REGION)
		return NULL;
	region_used += (size_bytes + 4095) & ~4095ul;
	nr_buffers++;
	return buf;
}

void blkfront_buf_free(struct blkfront *bf, void *buf, size_t size_bytes)
{
	(void)bf;
	(void)buf;
	(void)size_bytes;
	if (--nr_buffers == 0)
		region_used = 0;
}

void blkfront_info(struct blkfront *bf, struct blkfront_info *ret)
{
	(void)bf;
	*ret = (struct blkfront_info){ .sector_bytes = sector_bytes };
}

struct blkfront_queue {
	unsigned nr_kicks;
};

static struct blkfront_queue queues[2];

struct blkfront_queue *blkfront_queue(struct blkfront *bf, uint32_t nr)
{
	(void)bf;
	return &queues[nr];
}

void blkfront_queue_kick(struct blkfront_queue *queue)
{
	queue->nr_kicks++;
}

int blkfront_queue_submit(struct blkfront_queue *queue, struct blkfront_io *io)
{
	UNIT_CHECK(queue == &queues[0] || queue == &queues[1]);
	if (submit_error)
		return submit_error;
	UNIT_CHECK(io->offset_bytes % sector_bytes == 0);
	UNIT_CHECK(io->size_bytes % sector_bytes == 0);
	UNIT_CHECK(io->offset_bytes + io->size_bytes <= DISK_BYTES);
	UNIT_CHECK((uintptr_t)io->buf % sector_bytes == 0);
	if (nr_queued < ARRAY_SIZE(queued))
		queued[nr_queued++] = io;
	return 0;
}

/* Carry out and complete the queued io number i. */
static void complete(unsigned i)
{
	struct blkfront_io *io = queued[i];

	queued[i] = queued[--nr_queued];
	io->result = io_error;
	if (!io_error && io->op == BLKFRONT_WRITE)
		memcpy(disk + io->offset_bytes, io->buf, io->size_bytes);
	else if (!io_error)
		memcpy(io->buf, disk + io->offset_bytes, io->size_bytes);
	io->done(io);
}

/* ---- helpers --------------------------------------------------------------
 */

static struct bytes bytes;
static struct bytes_req reqs[NR_REQS];
static unsigned nr_done;

static void req_done(struct bytes_req *req)
{
	nr_done++;
	if (!req->write && !req->result)
		UNIT_CHECK(memcmp(req->data, model + req->offset_bytes,
				  req->size_bytes) == 0);
	bytes_release(&bytes, req);
}

static void start(void)
{
	if (!region)
		region = aligned_alloc(4096, REGION);
	for (unsigned i = 0; i < DISK_BYTES; i++)
		disk[i] = model[i] = (uint8_t)(i * 7 + i / 256);
	memset(reqs, 0, sizeof(reqs));
	region_used = nr_buffers = 0;
	nr_queued = nr_done = 0;
	submit_error = io_error = 0;
	bytes_init(&bytes, NULL);
}

static void begin(unsigned i, bool write, uint64_t off, size_t size,
		  uint8_t value)
{
	struct bytes_req *req = &reqs[i];

	*req = (struct bytes_req){ .queue = req->queue,
				   .write = write,
				   .offset_bytes = off,
				   .size_bytes = size,
				   .done = req_done };
	UNIT_REQUIRE(bytes_prepare(&bytes, req) == 0);
	UNIT_CHECK(req->buf_bytes <= bytes_need(size));
	if (write) {
		memset(req->data, value, size);
		memset(model + off, value, size);
	}
	bytes_start(&bytes, req);
}

static void complete_all(void)
{
	while (nr_queued)
		complete(0);
}

static bool disk_is_model(void)
{
	return memcmp(disk, model, DISK_BYTES) == 0;
}

/* ---- tests ------------------------------------------------------------------
 */

static void aligned_requests_are_one_io_each(void)
{
	start();
	begin(0, true, 512, 1024, 0xaa);
	begin(1, false, 4096, 512, 0);
	UNIT_CHECK(nr_queued == 2);
	complete_all();
	UNIT_CHECK(nr_done == 2 && disk_is_model() && nr_buffers == 0);
}

static void reads_inside_sectors_return_their_bytes(void)
{
	start();
	begin(0, false, 1, 1, 0);
	begin(1, false, 511, 2, 0);
	begin(2, false, 700, 3000, 0);
	begin(3, false, DISK_BYTES - 1, 1, 0);
	complete_all();
	UNIT_CHECK(nr_done == 4 && nr_buffers == 0);
}

static void writes_inside_sectors_keep_what_is_around_them(void)
{
	static const struct {
		uint64_t off;
		size_t size;
	} cases[] = { { 0, 1 },	    { 1, 1 },
		      { 511, 1 },   { 511, 2 },
		      { 100, 200 }, { 500, 1000 },
		      { 512, 100 }, { 1000, 536 },
		      { 3, 5000 },  { DISK_BYTES - 1, 1 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start();
		begin(0, true, cases[i].off, cases[i].size, 0x5a);
		complete_all();
		UNIT_CHECK(nr_done == 1 && reqs[0].result == 0);
		UNIT_CHECK(disk_is_model());
	}
}

static void overlapping_small_writes_lose_nothing(void)
{
	start();
	for (unsigned i = 0; i < 20; i++)
		begin(i, true, i * 100, 100, (uint8_t)(0x80 + i));
	UNIT_CHECK(nr_queued <= 2); /* the first one's edges only */
	complete_all();
	UNIT_CHECK(nr_done == 20 && disk_is_model());
}

static void a_whole_sector_write_waits_for_the_edge_in_it(void)
{
	start();
	begin(0, true, 10, 20, 1);
	begin(1, true, 0, 512, 2);
	complete_all();
	UNIT_CHECK(nr_done == 2 && disk_is_model());
	start();
	begin(0, true, 0, 512, 2);
	begin(1, true, 10, 20, 1);
	UNIT_CHECK(nr_queued == 1);
	complete_all();
	UNIT_CHECK(nr_done == 2 && disk_is_model());
}

static void whole_sector_writes_run_side_by_side(void)
{
	start();
	for (unsigned i = 0; i < 10; i++)
		begin(i, true, i * 512, 512, (uint8_t)i);
	UNIT_CHECK(nr_queued == 10);
	complete_all();
	UNIT_CHECK(nr_done == 10 && disk_is_model());
}

static void errors_reach_every_waiting_write(void)
{
	start();
	for (unsigned i = 0; i < 5; i++)
		begin(i, true, i * 100 + 1, 50, 1);
	io_error = -EIO;
	complete_all();
	UNIT_CHECK(nr_done == 5 && nr_buffers == 0);
	for (unsigned i = 0; i < 5; i++)
		UNIT_CHECK(reqs[i].result == -EIO);
	start();
	submit_error = -ESHUTDOWN;
	begin(0, true, 1, 50, 1);
	begin(1, true, 512, 512, 1);
	begin(2, false, 0, 512, 1);
	UNIT_CHECK(nr_done == 3 && nr_buffers == 0);
	for (unsigned i = 0; i < 3; i++)
		UNIT_CHECK(reqs[i].result == -ESHUTDOWN);
}

static void sectors_may_be_larger(void)
{
	sector_bytes = 4096;
	writes_inside_sectors_keep_what_is_around_them();
	overlapping_small_writes_lose_nothing();
	sector_bytes = 512;
}

/* The write of the other queue waits; who lets it go shows it as well. */
static void a_write_that_waited_is_kicked_on_its_own_queue(void)
{
	start();
	queues[0].nr_kicks = queues[1].nr_kicks = 0;
	begin(0, true, 10, 20, 1);
	reqs[1].queue = &queues[1];
	begin(1, true, 0, 512, 2);
	complete_all();
	UNIT_CHECK(nr_done == 2 && disk_is_model());
	UNIT_CHECK(queues[0].nr_kicks == 0 && queues[1].nr_kicks == 1);
}

static void no_buffer_is_an_error_and_nothing_is_taken(void)
{
	struct bytes_req req = { .write = true,
				 .size_bytes = 2 * REGION,
				 .done = req_done };

	start();
	UNIT_CHECK(bytes_prepare(&bytes, &req) == -ENOBUFS);
	UNIT_CHECK(nr_buffers == 0);
}

/* Writes that overlap one another only where the kernel would not let them run
 * at once are kept apart here too: each owns 1,000 bytes. */
static void random_completion_orders_end_in_the_same_disk(void)
{
	for (unsigned seed = 1; seed < 200; seed++) {
		unsigned state = seed;

		start();
		for (unsigned i = 0; i < 32; i++) {
			state = state * 1664525u + 1013904223u;
			begin(i, true, i * 1000 + (state >> 8) % 300,
			      1 + (state >> 16) % 700, (uint8_t)i);
			while (nr_queued && (state >> 5) % 3 == 0) {
				state = state * 1664525u + 1013904223u;
				complete((state >> 8) % nr_queued);
			}
		}
		while (nr_queued) {
			state = state * 1664525u + 1013904223u;
			complete((state >> 8) % nr_queued);
		}
		UNIT_CHECK(nr_done == 32 && disk_is_model());
	}
	free(region);
	region = NULL;
}

UNIT_MAIN("blkfront_bytes", UNIT_TEST(aligned_requests_are_one_io_each),
	  UNIT_TEST(reads_inside_sectors_return_their_bytes),
	  UNIT_TEST(writes_inside_sectors_keep_what_is_around_them),
	  UNIT_TEST(overlapping_small_writes_lose_nothing),
	  UNIT_TEST(a_whole_sector_write_waits_for_the_edge_in_it),
	  UNIT_TEST(whole_sector_writes_run_side_by_side),
	  UNIT_TEST(errors_reach_every_waiting_write),
	  UNIT_TEST(sectors_may_be_larger),
	  UNIT_TEST(a_write_that_waited_is_kicked_on_its_own_queue),
	  UNIT_TEST(no_buffer_is_an_error_and_nothing_is_taken),
	  UNIT_TEST(random_completion_orders_end_in_the_same_disk))
