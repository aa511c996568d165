/* SPDX-License-Identifier: MIT */
/*
 * ring.c - the ring engine alone, across two cores, never sleeping.
 *
 * Requests of 112 bytes go one way, responses of 16 bytes come back through
 * the same slots. The peer is the least that can carry the same payload: two
 * single-producer single-consumer queues with a private and a shared index
 * each, no checks, no event index, no shared slots. It is a lower bound on the
 * time, not a rival: what the ratio lacks to 1 is the price of Xen's layout
 * and of distrust.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "abi/blkif.h"
#include "bench/harness.h"
#include "ring/ring.h"
#include "util/clock.h"

#define RUNS	  15u
#define DEPTH_MAX 128u

struct job {
	unsigned depth;
	unsigned batch; /* most entries per publication */
	uint64_t total;
	bool round_trip; /* report ns per request instead of Mreq/s */
	unsigned pages;
};

static _Alignas(4096) unsigned char ring_memory[4 * PV_PAGE_SIZE];

static double job_value(const struct job *job, uint64_t elapsed_ns)
{
	if (job->round_trip)
		return (double)elapsed_ns / (double)job->total;
	return (double)job->total * 1e3 / (double)elapsed_ns;
}

static struct blkif_request request_make(uint64_t id)
{
	return (struct blkif_request){ .operation = BLKIF_OP_READ,
				       .nr_segments = 1,
				       .id = id,
				       .sector_number = id * 8,
				       .seg[0] = { .gref = (grant_ref_t)id,
						   .last_sect = 7 } };
}

/* ---- the ring ---------------------------------------------------------- */

static void *ring_serve(void *arg)
{
	const struct job *job = arg;
	struct ring_back r;
	uint64_t done = 0;

	if (bench_pin(1))
		return NULL;
	ring_back_init(&r, (void PV_SHARED *)ring_memory,
		       job->pages * PV_PAGE_SIZE, sizeof(struct blkif_request));
	while (done < job->total) {
		int nr = ring_back_pending(&r);

		if (nr <= 0) {
			clock_cpu_relax();
			continue;
		}
		if ((unsigned)nr > job->batch)
			nr = (int)job->batch;
		for (int i = 0; i < nr; i++) {
			struct blkif_request req;
			struct blkif_response rsp = { 0 };

			ring_back_get(&r, &req, sizeof(req));
			rsp.id = req.id;
			rsp.operation = req.operation;
			rsp.status = (int16_t)(req.sector_number - req.id * 8);
			ring_back_put(&r, &rsp, sizeof(rsp));
		}
		(void)!ring_back_push(&r);
		done += (unsigned)nr;
	}
	return NULL;
}

static double ring_run(void *arg)
{
	const struct job *job = arg;
	struct ring_front r;
	pthread_t thread;
	uint64_t sent = 0, done = 0, start_ns;
	bool bad = false;

	memset(ring_memory, 0, sizeof(ring_memory));
	ring_front_init(&r, (void PV_SHARED *)ring_memory,
			job->pages * PV_PAGE_SIZE,
			sizeof(struct blkif_request));
	if (bench_pin(0) || pthread_create(&thread, NULL, ring_serve, arg))
		return -1;
	start_ns = clock_now_ns();
	while (done < job->total) {
		unsigned nr = 0;
		int got;

		while (nr < job->batch && sent < job->total &&
		       sent - done < job->depth) {
			struct blkif_request req = request_make(sent++);

			ring_front_put(&r, &req, sizeof(req));
			nr++;
		}
		(void)!ring_front_push(&r);
		got = ring_front_pending(&r);
		if (got == 0)
			clock_cpu_relax();
		for (; got > 0; got--) {
			struct blkif_response rsp;

			ring_front_get(&r, &rsp, sizeof(rsp));
			bad |= rsp.id != done++ || rsp.status != 0;
		}
	}
	start_ns = clock_now_ns() - start_ns;
	pthread_join(thread, NULL);
	return bad ? -1 : job_value(job, start_ns);
}

/* ---- the peer: bare queues --------------------------------------------- */

struct spsc {
	_Alignas(128) uint32_t prod; /* shared */
	_Alignas(128) uint32_t cons; /* consumer's own, never looked at */
	_Alignas(128) struct blkif_request slots[DEPTH_MAX];
};

struct spsc_rsp {
	_Alignas(128) uint32_t prod;
	_Alignas(128) uint32_t cons;
	_Alignas(128) struct blkif_response slots[DEPTH_MAX];
};

static struct spsc requests;
static struct spsc_rsp responses;

static void *spsc_serve(void *arg)
{
	const struct job *job = arg;
	uint32_t cons = 0, seen = 0;

	if (bench_pin(1))
		return NULL;
	while (cons < job->total) {
		unsigned nr = 0;

		/* Pairs with the store in spsc_run(). */
		seen = __atomic_load_n(&requests.prod, __ATOMIC_ACQUIRE);
		if (seen == cons) {
			clock_cpu_relax();
			continue;
		}
		while (cons != seen && nr < job->batch) {
			struct blkif_request req =
				requests.slots[cons % DEPTH_MAX];

			responses.slots[cons % DEPTH_MAX] =
				(struct blkif_response){
					.id = req.id,
					.operation = req.operation,
					.status = (int16_t)(req.sector_number -
							    req.id * 8)
				};
			cons++;
			nr++;
		}
		/* Pairs with the load in spsc_run(). */
		__atomic_store_n(&responses.prod, cons, __ATOMIC_RELEASE);
	}
	return NULL;
}

static double spsc_run(void *arg)
{
	const struct job *job = arg;
	pthread_t thread;
	uint64_t start_ns;
	uint32_t sent = 0, done = 0;
	bool bad = false;

	requests.prod = responses.prod = 0;
	if (bench_pin(0) || pthread_create(&thread, NULL, spsc_serve, arg))
		return -1;
	start_ns = clock_now_ns();
	while (done < job->total) {
		unsigned nr = 0;
		uint32_t seen;

		while (nr < job->batch && sent < job->total &&
		       sent - done < job->depth) {
			requests.slots[sent % DEPTH_MAX] = request_make(sent);
			sent++;
			nr++;
		}
		if (nr > 0) /* Pairs with the load in spsc_serve(). */
			__atomic_store_n(&requests.prod, sent,
					 __ATOMIC_RELEASE);
		/* Pairs with the store in spsc_serve(). */
		seen = __atomic_load_n(&responses.prod, __ATOMIC_ACQUIRE);
		if (seen == done)
			clock_cpu_relax();
		for (; done != seen; done++) {
			struct blkif_response rsp =
				responses.slots[done % DEPTH_MAX];

			bad |= rsp.id != done || rsp.status != 0;
		}
	}
	start_ns = clock_now_ns() - start_ns;
	pthread_join(thread, NULL);
	return bad ? -1 : job_value(job, start_ns);
}

static int compare(const char *name, const char *unit, struct job *job)
{
	struct bench_case ours = { name, ring_run, job };
	struct bench_case peer = { "bare-spsc", spsc_run, job };

	return bench_compare(&ours, &peer, unit, RUNS);
}

int main(void)
{
	struct job depth_32 = {
		.depth = 32, .batch = 16, .total = 400000, .pages = 1
	};
	struct job depth_128 = {
		.depth = 128, .batch = 32, .total = 400000, .pages = 4
	};
	struct job depth_1 = { .depth = 1,
			       .batch = 1,
			       .total = 100000,
			       .round_trip = true,
			       .pages = 1 };

	if (bench_nr_cpus() < 2) {
		printf("ring: skipped, needs two CPUs\n");
		return 77;
	}
	bench_machine();
	if (compare("ring-depth-32", "Mreq/s", &depth_32) ||
	    compare("ring-depth-128", "Mreq/s", &depth_128) ||
	    compare("ring-depth-1-round-trip", "ns", &depth_1)) {
		fprintf(stderr, "ring: a run failed\n");
		return 1;
	}
	return 0;
}
