/* SPDX-License-Identifier: MIT */
/*
 * blk_model.c - random overlapping operations through a real split disk,
 * against the model of tests/unit/sector_model.h.
 *
 *	blk_model RUN_DIR DOMID SEED OPS QUEUES RING_PAGES [HIDDEN...]
 *
 * A HIDDEN node of xenstore is neither written by our frontend nor seen of the
 * backend's: so it becomes one that does not know that feature. Used by
 * blk-differential.sh, which kills backends meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "blkfront/blkfront.h"
#include "tests/unit/sector_model.h"
#include "util/clock.h"
#include "util/list.h"
#include "xenstore-lite/xs.h"

#define HANDLE	   51712u
#define AREA_BYTES (4u << 20) /* the disk's beginning */
#define LARGEST	   (1u << 20)
#define NR_OPS	   12u
#define STUCK_NS   (60 * NS_PER_S)

/* ---- hidden nodes ----------------------------------------------------------
 */

static char **hidden;
static int nr_hidden;

static bool is_hidden(const char *node)
{
	for (int i = 0; i < nr_hidden; i++)
		if (strcmp(node, hidden[i]) == 0)
			return true;
	return false;
}

int __real_xs_printf(struct xs *xs, xs_txn_t tx, const char *dir,
		     const char *node, const char *fmt, ...);
int __wrap_xs_printf(struct xs *xs, xs_txn_t tx, const char *dir,
		     const char *node, const char *fmt, ...) PV_PRINTF(5, 6);
int __real_xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			       const char *node, uint32_t max, uint32_t def,
			       uint32_t *ret);
int __wrap_xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			       const char *node, uint32_t max, uint32_t def,
			       uint32_t *ret);

int __wrap_xs_printf(struct xs *xs, xs_txn_t tx, const char *dir,
		     const char *node, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return is_hidden(node)
		       ? 0
		       : __real_xs_printf(xs, tx, dir, node, "%s", text);
}

int __wrap_xs_read_u32_default(struct xs *xs, xs_txn_t tx, const char *dir,
			       const char *node, uint32_t max, uint32_t def,
			       uint32_t *ret)
{
	if (!is_hidden(node))
		return __real_xs_read_u32_default(xs, tx, dir, node, max, def,
						  ret);
	*ret = def;
	return 0;
}

/* ---- the load --------------------------------------------------------------
 */

struct op {
	struct blkfront_io io;
	struct model_op model;
	uint8_t *buf;
	bool busy;
};

static struct blkfront *bf;
static struct blkfront_info info;
static struct model model;
static struct op ops[NR_OPS];
static unsigned nr_busy, random_state, nr_queues;
static unsigned long nr_left, nr_failed;

static unsigned below(unsigned end)
{
	return (unsigned)rand_r(&random_state) % end;
}

static void op_done(struct blkfront_io *io)
{
	struct op *op = container_of(io, struct op, io);

	op->busy = false;
	nr_busy--;
	if (io->result) {
		if (!nr_failed++)
			printf("an operation failed: %s\n",
			       strerrordesc_np(-io->result));
		return;
	}
	if (io->op == BLKFRONT_READ)
		model_read_end(&model, &op->model, io->buf);
	else if (io->op != BLKFRONT_FLUSH)
		model_change_end(&model, &op->model);
}

static enum blkfront_op choose_kind(void)
{
	unsigned n = below(20);

	if (n < 9)
		return BLKFRONT_WRITE;
	if (n < 17)
		return BLKFRONT_READ;
	if (n < 19 && info.discard)
		return BLKFRONT_DISCARD;
	return info.flush ? BLKFRONT_FLUSH : BLKFRONT_READ;
}

/* In units of the disk's sector: mostly few and the same, sometimes many. */
static void choose_range(struct op *op)
{
	unsigned unit = info.sector_bytes;
	unsigned first = below(80), nr = 1 + below(24);

	if (below(30) == 0) {
		first = below(AREA_BYTES / unit);
		nr = 1 + below(LARGEST / unit);
	}
	if (nr > AREA_BYTES / unit - first)
		nr = AREA_BYTES / unit - first;
	op->io.offset_bytes = (uint64_t)first * unit;
	op->io.size_bytes = (size_t)nr * unit;
}

/* Anywhere in its pages, as far as it fits. */
static void choose_buffer(struct op *op)
{
	unsigned unit = info.sector_bytes;
	size_t room = LARGEST - op->io.size_bytes;

	op->io.buf = op->buf;
	if (room >= unit)
		op->io.buf = op->buf + below(8) % (room / unit + 1) * unit;
}

static void begin_model(struct op *op)
{
	uint64_t first = op->io.offset_bytes / 512;
	uint64_t nr = op->io.size_bytes / 512;

	if (op->io.op == BLKFRONT_READ) {
		op->model = model_read_begin(&model, first, nr);
		return;
	}
	if (op->io.op == BLKFRONT_DISCARD) {
		op->model = model_discard_begin(&model, first, nr,
						info.physical_bytes / 512);
		return;
	}
	op->model = model_write_begin(&model, first, nr);
	for (uint64_t i = 0; i < nr; i++)
		model_fill((uint8_t *)op->io.buf + i * 512, op->model.tag);
}

static void submit_one(void)
{
	struct op *op = ops;
	int err;

	while (op->busy)
		op++;
	op->io = (struct blkfront_io){ .op = choose_kind(), .done = op_done };
	if (op->io.op != BLKFRONT_FLUSH) {
		choose_range(op);
		if (op->io.op != BLKFRONT_DISCARD)
			choose_buffer(op);
		begin_model(op);
	}
	op->busy = true;
	nr_busy++;
	nr_left--;
	err = blkfront_queue_submit(blkfront_queue(bf, below(nr_queues)),
				    &op->io);
	if (!err)
		return;
	op->io.result = err;
	op_done(&op->io);
}

static void step(void)
{
	struct pollfd fds[BLKFRONT_QUEUES_MAX];
	bool awake = false;

	for (unsigned n = below(5); n && nr_left && nr_busy < NR_OPS; n--)
		submit_one();
	for (unsigned i = 0; i < nr_queues; i++) {
		struct blkfront_queue *q = blkfront_queue(bf, i);
		int n;

		blkfront_queue_kick(q);
		n = blkfront_queue_poll(q);
		awake |= n != 0;
		nr_failed += n < 0;
	}
	if (awake || (nr_left && nr_busy < NR_OPS))
		return;
	for (unsigned i = 0; i < nr_queues; i++) {
		struct blkfront_queue *q = blkfront_queue(bf, i);

		fds[i] = (struct pollfd){ .fd = blkfront_queue_fd(q),
					  .events = POLLIN };
		awake |= blkfront_queue_arm(q);
	}
	if (!awake)
		poll(fds, nr_queues, 1000);
}

static bool run(void)
{
	uint64_t end_ns = clock_now_ns() + STUCK_NS;

	while ((nr_left || nr_busy) && !nr_failed) {
		step();
		if (clock_now_ns() > end_ns) {
			printf("stuck with %u operations\n", nr_busy);
			return false;
		}
	}
	return !nr_failed;
}

/* All of the area, before (make it zero) or after (is it right?). */
static bool zero(void)
{
	memset(ops[0].buf, 0, LARGEST);
	for (unsigned at = 0; at < AREA_BYTES; at += LARGEST)
		if (blkfront_rw_sync(bf, BLKFRONT_WRITE, at, ops[0].buf,
				     LARGEST))
			return false;
	return true;
}

static bool look(void)
{
	bool right = true;

	for (unsigned at = 0; at < AREA_BYTES; at += LARGEST) {
		struct model_op op =
			model_read_begin(&model, at / 512, LARGEST / 512);

		if (blkfront_rw_sync(bf, BLKFRONT_READ, at, ops[0].buf,
				     LARGEST))
			return false;
		right &= model_read_end(&model, &op, ops[0].buf);
	}
	return right;
}

static bool make_buffers(void)
{
	for (unsigned i = 0; i < NR_OPS; i++) {
		ops[i].buf = blkfront_buf_alloc(bf, LARGEST);
		if (!ops[i].buf)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct blkfront_config config = { .handle = HANDLE,
					  .buf_bytes = (NR_OPS + 1) * LARGEST };
	char why[256] = "";
	bool good;

	if (argc < 7)
		return 2;
	config.run_dir = argv[1];
	config.domid = (uint16_t)strtoul(argv[2], NULL, 10);
	random_state = (unsigned)strtoul(argv[3], NULL, 10);
	nr_left = strtoul(argv[4], NULL, 10);
	nr_queues = config.nr_queues = (unsigned)strtoul(argv[5], NULL, 10);
	config.ring_pages = (unsigned)strtoul(argv[6], NULL, 10);
	hidden = argv + 7;
	nr_hidden = argc - 7;
	if (blkfront_open(&config, &bf, why, sizeof(why))) {
		printf("%s\n", why);
		return 1;
	}
	blkfront_info(bf, &info);
	printf("seed %s: %u queues of %u pages, sectors of %u%s\n", argv[3],
	       info.nr_queues, info.ring_pages, info.sector_bytes,
	       info.discard ? ", discard" : "");
	model_init(&model, AREA_BYTES / 512);
	good = info.size_bytes >= AREA_BYTES && make_buffers() && zero() &&
	       run() && look() && !model.nr_wrong;
	blkfront_close(bf);
	model_fini(&model);
	printf("%s\n", good ? "right" : "WRONG");
	return !good;
}
