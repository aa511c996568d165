/* SPDX-License-Identifier: MIT */
/*
 * blkpath.c - what blkback's data path costs on one core: a queue on the
 * simulated platform, its frontend a ring filled by hand in the same thread.
 *
 * Nothing crosses between cores and nothing sleeps, and CPU time is what
 * counts: these figures hold while others use the machine, which bench/blk's do
 * not. Peers: the bare copies of request and response; a memcpy of the data.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/blkif.h"
#include "bench/harness.h"
#include "blkback/queue.h"
#include "platform/sim.h"
#include "ring/ring.h"
#include "util/clock.h"
#include "util/num.h"

#define RUNS	   9u
#define RING_ORDER 4u
#define RING_PAGES (1u << RING_ORDER)
#define DEPTH_MAX  128u
#define BACK	   1
#define GUEST	   2
#define DISK_MIB   64u
#define NR_BLOCKS  (DISK_MIB * 256u)
#define BUDGET	   64u /* of a turn, as worker.h has it */
#define WHY_MAX	   256

struct path {
	struct sim *sim;
	struct platform *back, *guest;
	struct share ring_share, data;
	struct evtchn *evtchn;
	struct ring_front ring;
	struct inflight *record;
	struct storage *storage;
	struct blkback_queue *queue;
	unsigned depth;
	uint64_t total, seed;
	bool write;
	unsigned char *disk; /* the peer's; NULL: no data */
};

static uint64_t cpu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t next_block(struct path *p)
{
	p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
	return (p->seed >> 32) * NR_BLOCKS >> 32;
}

static struct blkif_request request_make(struct path *p, uint32_t slot)
{
	return (struct blkif_request){
		.operation = p->write ? BLKIF_OP_WRITE : BLKIF_OP_READ,
		.nr_segments = 1,
		.id = slot,
		.sector_number = next_block(p) * (PV_PAGE_SIZE / 512),
		.seg[0] = { .gref = p->data.first_ref + slot, .last_sect = 7 },
	};
}

/* CPU nanoseconds of a request: the ring filled, served, emptied. */
static double path_run(void *arg)
{
	struct path *p = arg;
	struct work_source *src = blkback_queue_source(p->queue);
	uint64_t start_ns = cpu_now_ns(), done = 0;

	while (done < p->total) {
		for (uint32_t i = 0; i < p->depth; i++) {
			struct blkif_request req = request_make(p, i);

			ring_front_put(&p->ring, &req, sizeof(req));
		}
		(void)!ring_front_push(&p->ring);
		for (unsigned left = p->depth; left;) {
			int got;

			src->ops->poll(src, BUDGET);
			got = ring_front_pending(&p->ring);
			if (got < 0)
				return -1;
			for (; got > 0; got--, left--) {
				struct blkif_response rsp;

				ring_front_get(&p->ring, &rsp, sizeof(rsp));
				if (rsp.status != BLKIF_RSP_OKAY)
					return -1;
			}
		}
		done += p->depth;
	}
	return (double)(cpu_now_ns() - start_ns) / (double)done;
}

/* The same bytes with nothing around them. */
static double bare_run(void *arg)
{
	static struct blkif_request ring[DEPTH_MAX], record[DEPTH_MAX];
	struct path *p = arg;
	uint64_t start_ns = cpu_now_ns(), done = 0;

	while (done < p->total) {
		for (uint32_t i = 0; i < p->depth; i++)
			ring[i] = request_make(p, i);
		__asm__ volatile("" ::: "memory");
		for (uint32_t i = 0; i < p->depth; i++) {
			unsigned char *page = (unsigned char *)p->data.base +
					      (size_t)i * PV_PAGE_SIZE;
			unsigned char *at;

			record[i] = ring[i];
			__asm__ volatile("" ::: "memory");
			if (!p->disk)
				continue;
			at = p->disk + record[i].sector_number * 512;
			memcpy(p->write ? at : page, p->write ? page : at,
			       PV_PAGE_SIZE);
		}
		done += p->depth;
	}
	return (double)(cpu_now_ns() - start_ns) / (double)done;
}

static int open_storage(const char *driver, struct storage **ret)
{
	const struct storage_ops *ops = storage_by_name(driver);
	struct storage_desc desc;
	int fds[STORAGE_FDS_MAX], err;
	char target[32], why[WHY_MAX];

	snprintf(target, sizeof(target), "%s:%uM", driver, DISK_MIB);
	err = ops->acquire(target, 0, &desc, fds, why, sizeof(why));
	return err ? err : ops->open(&desc, fds, ret);
}

static int open_guest(struct path *p)
{
	int err = sim_open(1, &p->sim);

	if (!err)
		err = sim_platform(p->sim, BACK, &p->back);
	if (!err)
		err = sim_platform(p->sim, GUEST, &p->guest);
	if (!err)
		err = platform_share(p->guest, BACK, RING_PAGES, 0,
				     &p->ring_share);
	if (!err)
		err = platform_share(p->guest, BACK, DEPTH_MAX, 0, &p->data);
	if (!err)
		err = platform_evtchn_alloc(p->guest, BACK, &p->evtchn);
	if (err)
		return err;
	ring_front_init(&p->ring, (void PV_SHARED *)p->ring_share.base,
			RING_PAGES * PV_PAGE_SIZE,
			sizeof(struct blkif_request));
	return 0;
}

static int open_queue(struct path *p)
{
	struct inflight_params params = {
		.domid = GUEST,
		.handle = 51712,
		.nr_queues = 1,
		.ring_order = RING_ORDER,
		.layout = BLK_LAYOUT_X86_64,
		.features = INFLIGHT_PERSISTENT,
		.evtchn_port = evtchn_port(p->evtchn),
	};
	struct blkback_queue_config config = { .platform = p->back,
					       .event_fd = -1 };
	int err;

	for (uint32_t i = 0; i < RING_PAGES; i++)
		params.ring_refs[i] = p->ring_share.first_ref + i;
	err = inflight_create(&params, &p->record);
	if (err)
		return err;
	config.inflight = p->record;
	config.storage = p->storage;
	err = blkback_queue_open(&config, &p->queue);
	if (!err)
		blkback_queue_begin(p->queue);
	return err;
}

static void path_close(struct path *p)
{
	blkback_queue_close(p->queue, false);
	inflight_close(p->record);
	if (p->storage)
		p->storage->ops->close(p->storage);
	evtchn_close(p->evtchn);
	if (p->ring_share.nr_pages)
		(void)!platform_unshare(p->guest, &p->ring_share);
	if (p->data.nr_pages)
		(void)!platform_unshare(p->guest, &p->data);
	platform_close(p->guest);
	platform_close(p->back);
	sim_close(p->sim);
	free(p->disk);
}

static int compare(struct path *p, const char *driver, unsigned depth,
		   bool write)
{
	char name[64];
	struct bench_case ours = { name, path_run, p };
	struct bench_case peer = { p->disk ? "memcpy" : "bare-copies", bare_run,
				   p };

	snprintf(name, sizeof(name), "path-%s-%s-%u", driver,
		 write ? "write" : "read", depth);
	p->depth = depth;
	p->write = write;
	return bench_compare(&ours, &peer, "ns", RUNS);
}

static int measure(const char *driver, bool has_data)
{
	struct path p = { .total = 200000 };
	int err = open_storage(driver, &p.storage);

	if (!err)
		err = open_guest(&p);
	if (!err)
		err = open_queue(&p);
	if (!err && has_data) {
		p.disk = malloc((size_t)NR_BLOCKS * PV_PAGE_SIZE);
		err = p.disk ? 0 : -ENOMEM;
	}
	if (p.disk)
		memset(p.disk, 1, (size_t)NR_BLOCKS * PV_PAGE_SIZE);
	for (int write = 1; !err && write >= 0; write--) {
		err = compare(&p, driver, 1, write);
		if (!err)
			err = compare(&p, driver, 32, write);
		if (!err)
			err = compare(&p, driver, 128, write);
	}
	path_close(&p);
	return err;
}

int main(void)
{
	int err;

	bench_machine();
	err = measure("null", false);
	if (!err)
		err = measure("mem", true);
	if (err)
		fprintf(stderr, "blkpath: %s\n", strerror(-err));
	return err ? 1 : 0;
}
