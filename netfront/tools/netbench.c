/* SPDX-License-Identifier: MIT */
/*
 * netbench.c - see netbench.h. Called by netfront-bench.c on its main thread,
 * which becomes the owner of each queue 0; the other lanes get threads.
 *
 * A run has two parts: sending (or, with one interface, waiting for frames) and
 * then what is still under way, until all of it came or nothing more does.
 */
#include "netfront/tools/netbench.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/tools/meet.h"
#include "netfront/tools/role.h"
#include "tools/stop.h"
#include "util/clock.h"
#include "util/spin.h"

#define NR_ENDS	   2u
#define SILENCE_NS (200 * NS_PER_MS) /* then what is missing is lost */
/* Who sleeps looks this often whether the others have ended. */
#define LOOK_NS (20 * NS_PER_MS)

struct bench {
	const struct netbench_config *config;
	uint64_t deadline_ns; /* 0: none */
	uint32_t nr_lanes;
	struct lane *lanes;
	uint32_t nr_active; /* atomic: lanes in their first part */
	int lost;	    /* atomic: an interface is; all end */
};

/* One queue of each interface, and the thread that owns them. */
struct lane {
	struct bench *bench;
	struct role roles[NR_ENDS];
	pthread_t thread;
	bool has_thread, active;
	struct spin spin;
	uint64_t ended_ns; /* the first part */
};

/* ---- when it ends -------------------------------------------------------- */

/* The frames of all lanes, whose owners may be adding to them. */
static uint64_t sum(const struct bench *b, bool received)
{
	uint64_t frames = 0;

	for (uint32_t i = 0; i < b->nr_lanes; i++)
		for (unsigned k = 0; k < NR_ENDS; k++) {
			const struct role *r = &b->lanes[i].roles[k];

			if (received && role_receives(r))
				frames += __atomic_load_n(&r->received.frames,
							  __ATOMIC_RELAXED);
			if (!received && role_sends(r))
				frames += __atomic_load_n(&r->sent.frames,
							  __ATOMIC_RELAXED);
		}
	return frames;
}

static bool has_more(const struct lane *lane, uint64_t now_ns)
{
	const struct bench *b = lane->bench;
	const struct role *r = &lane->roles[0];

	if (stop_asked || (b->deadline_ns && now_ns >= b->deadline_ns))
		return false;
	/* The first interface decides. One without flows sends nothing. */
	if (b->config->mode == NETBENCH_SEND ||
	    b->config->mode == NETBENCH_ECHO)
		return role_sends(r) && r->left;
	return !b->config->nr_frames || sum(b, true) < b->config->nr_frames;
}

static bool is_silent(const struct lane *lane, uint64_t now_ns)
{
	uint64_t since_ns = lane->ended_ns;

	for (unsigned k = 0; k < NR_ENDS; k++)
		if (lane->roles[k].heard_ns > since_ns)
			since_ns = lane->roles[k].heard_ns;
	return now_ns - since_ns > SILENCE_NS;
}

/* May the lane's thread end? */
static bool is_over(struct lane *lane, uint64_t now_ns)
{
	struct bench *b = lane->bench;

	if (lane->active && !has_more(lane, now_ns)) {
		lane->active = false;
		lane->ended_ns = now_ns;
		/* Pairs with the load below, in every thread. */
		__atomic_sub_fetch(&b->nr_active, 1, __ATOMIC_ACQ_REL);
	}
	if (__atomic_load_n(&b->lost, __ATOMIC_ACQUIRE))
		return true;
	if (__atomic_load_n(&b->nr_active, __ATOMIC_ACQUIRE))
		return false;
	if (!lane->roles[1].queue && !role_sends(&lane->roles[0]))
		return true;
	if (b->config->mode == NETBENCH_SEND && !lane->roles[1].queue)
		return true;
	return sum(b, true) >= sum(b, false) || is_silent(lane, now_ns);
}

/* ---- a lane's thread ----------------------------------------------------- */

static void earlier(uint64_t *at_ns, uint64_t other_ns)
{
	if (other_ns && other_ns < *at_ns)
		*at_ns = other_ns;
}

static void sleep_on(struct lane *lane, uint64_t now_ns)
{
	uint64_t until_ns = now_ns + LOOK_NS;
	struct pollfd pfds[NR_ENDS];
	struct timespec timeout = { 0 };
	bool busy = false;
	nfds_t nr = 0;

	for (unsigned k = 0; k < NR_ENDS; k++) {
		struct role *r = &lane->roles[k];

		if (!r->queue)
			continue;
		busy |= netfront_queue_arm(r->queue);
		pfds[nr++] = (struct pollfd){ .fd = netfront_queue_fd(r->queue),
					      .events = POLLIN };
		if (lane->active)
			earlier(&until_ns, r->due_ns);
	}
	earlier(&until_ns, lane->active ? lane->bench->deadline_ns : 0);
	if (busy || until_ns <= now_ns)
		return;
	timeout.tv_nsec = (long)(until_ns - now_ns); /* less than a second */
	ppoll(pfds, nr, &timeout, NULL);
}

/* Returns whether there was anything to do. */
static bool step(struct lane *lane)
{
	bool worked = false;

	for (unsigned k = 0; k < NR_ENDS; k++) {
		struct role *r = &lane->roles[k];
		int err;

		if (!r->queue)
			continue;
		worked |= role_step(r, lane->active);
		err = netfront_queue_poll(r->queue);
		if (err < 0) /* pairs with is_over() */
			__atomic_store_n(&lane->bench->lost, err,
					 __ATOMIC_RELEASE);
	}
	return worked;
}

static void *run_lane(void *arg)
{
	struct lane *lane = arg;

	for (;;) {
		bool worked = step(lane);
		uint64_t now_ns = clock_now_ns();

		if (is_over(lane, now_ns))
			return NULL;
		if (worked)
			spin_worked(&lane->spin);
		else if (lane->bench->config->poll)
			clock_cpu_relax();
		else if (!spin_again(&lane->spin))
			sleep_on(lane, now_ns);
	}
}

static int run_lanes(struct bench *b)
{
	int err = 0;

	for (uint32_t i = 1; i < b->nr_lanes && !err; i++) {
		struct lane *lane = &b->lanes[i];

		err = -pthread_create(&lane->thread, NULL, run_lane, lane);
		lane->has_thread = !err;
	}
	if (err) /* pairs with is_over() */
		__atomic_store_n(&b->lost, err, __ATOMIC_RELEASE);
	run_lane(&b->lanes[0]);
	for (uint32_t i = 1; i < b->nr_lanes; i++)
		if (b->lanes[i].has_thread)
			pthread_join(b->lanes[i].thread, NULL);
	return b->lost;
}

/* ---- making and adding up ------------------------------------------------ */

/* The nr'th of so many parts. */
static uint64_t part(uint64_t all, uint32_t nr, uint32_t parts)
{
	return all / parts + (nr < all % parts);
}

static int make_role(const struct bench *b, struct netfront *const ends[2],
		     uint32_t lane, unsigned end, uint64_t now_ns)
{
	const struct netbench_config *c = b->config;
	struct role *r = &b->lanes[lane].roles[end];
	enum netbench_mode mode = c->mode;
	struct netfront_info info;
	uint32_t parts;

	if (!ends[end])
		return 0;
	netfront_info(ends[end], &info);
	if (lane >= info.nr_queues)
		return 0;
	if (end == 1)
		mode = c->mode == NETBENCH_SEND ? NETBENCH_RECEIVE
						: NETBENCH_REFLECT;
	parts = info.nr_queues;
	/* Of more queues than flows some do not send. */
	if ((mode == NETBENCH_SEND || mode == NETBENCH_ECHO) &&
	    parts > c->nr_flows)
		parts = c->nr_flows;
	r->config = c;
	r->mode = mode;
	r->queue = netfront_queue(ends[end], lane);
	r->both = ends[1];
	memcpy(r->mac, info.mac, sizeof(r->mac));
	r->first_flow = lane;
	r->flow_step = parts;
	r->left = c->nr_frames ? part(c->nr_frames, lane, parts) : UINT64_MAX;
	r->rate = part(c->rate, lane, parts);
	return role_open(r, now_ns);
}

static int make_lanes(struct bench *b, struct netfront *const ends[2])
{
	uint64_t now_ns = clock_now_ns();
	int err = 0;

	for (unsigned k = 0; k < NR_ENDS; k++) {
		struct netfront_info info = { .nr_queues = 0 };

		if (ends[k])
			netfront_info(ends[k], &info);
		if (info.nr_queues > b->nr_lanes)
			b->nr_lanes = info.nr_queues;
	}
	b->lanes = calloc(b->nr_lanes, sizeof(*b->lanes));
	if (!b->lanes)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->nr_lanes && !err; i++) {
		b->lanes[i].bench = b;
		b->lanes[i].active = true;
		for (unsigned k = 0; k < NR_ENDS && !err; k++)
			err = make_role(b, ends, i, k, now_ns);
	}
	b->nr_active = b->nr_lanes;
	return err;
}

static void add(struct netbench_counts *to, const struct netbench_counts *from)
{
	to->frames += from->frames;
	to->bytes += from->bytes;
}

struct span {
	uint64_t first_ns, last_ns;
};

static void add_role(struct netbench_result *to, const struct role *r,
		     struct tracks *tracks, struct span *heard)
{
	if (!r->queue)
		return;
	to->nr_foreign += r->nr_foreign;
	to->nr_unanswered += r->nr_unanswered;
	/* What a reflector sends back counts when there is nothing else. */
	if (role_sends(r) || (r->mode == NETBENCH_REFLECT && !r->both))
		add(&to->sent, &r->sent);
	if (!role_receives(r))
		return;
	add(&to->received, &r->received);
	hist_merge(&to->latency_ns, &r->latency_ns);
	tracks_merge(tracks, r->tracks);
	if (r->first_ns && (!heard->first_ns || r->first_ns < heard->first_ns))
		heard->first_ns = r->first_ns;
	if (r->heard_ns > heard->last_ns)
		heard->last_ns = r->heard_ns;
}

static int add_up(const struct bench *b, uint64_t start_ns,
		  struct netbench_result *ret)
{
	struct span heard = { 0, 0 };
	struct track_sums sums;
	struct tracks *tracks;
	int err = tracks_open(&tracks);

	if (err)
		return err;
	memset(ret, 0, sizeof(*ret));
	ret->nr_queues = b->nr_lanes;
	for (uint32_t i = 0; i < b->nr_lanes; i++) {
		const struct lane *lane = &b->lanes[i];

		for (unsigned k = 0; k < NR_ENDS; k++)
			add_role(ret, &lane->roles[k], tracks, &heard);
		if (lane->ended_ns - start_ns > ret->elapsed_ns)
			ret->elapsed_ns = lane->ended_ns - start_ns;
	}
	sums = tracks_sums(tracks);
	ret->received_ns = heard.last_ns - heard.first_ns;
	ret->nr_reordered = sums.nr_reordered;
	ret->nr_duplicates = sums.nr_duplicates;
	ret->nr_lost = sums.nr_lost;
	if (b->config->mode == NETBENCH_ECHO || b->lanes[0].roles[1].queue)
		ret->nr_lost = ret->sent.frames > ret->received.frames
				       ? ret->sent.frames - ret->received.frames
				       : 0;
	tracks_close(tracks);
	return 0;
}

int netbench_run(struct netfront *const ends[2],
		 const struct netbench_config *config,
		 struct netbench_result *ret)
{
	struct bench b = { .config = config };
	uint64_t start_ns;
	/* Its own probes are of another run, and count nowhere. */
	int err =
		ends[1] ? meet(ends, &config->path, (uint16_t)~config->run) : 0;

	if (!err)
		err = make_lanes(&b, ends);
	start_ns = clock_now_ns();
	if (config->runtime_ns)
		b.deadline_ns = start_ns + config->runtime_ns;
	if (!err)
		err = run_lanes(&b);
	if (!err)
		err = add_up(&b, start_ns, ret);
	for (uint32_t i = 0; b.lanes && i < b.nr_lanes; i++)
		for (unsigned k = 0; k < NR_ENDS; k++)
			role_close(&b.lanes[i].roles[k]);
	free(b.lanes);
	return err;
}
