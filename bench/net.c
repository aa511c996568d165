/* SPDX-License-Identifier: MIT */
/*
 * net.c - frames over split networks against their peers. Run by net.sh, which
 * starts the daemons and attaches the vifs:
 *
 *	net short|full WHAT RUN-DIR DOMAIN OTHER-DOMAIN SERVER-PID SCRATCH
 *
 * DOMAIN has vif 0 alone with an uplink that swallows frames, vifs 1 and 2 on
 * one switch, and vif 3 on a switch with OTHER-DOMAIN's vif 0. WHAT is one of
 *
 *   hop    one way: to the uplink; against one testpmd that sends to another
 *   round  there and back: from vif 1 to vif 2, which the same thread owns;
 *          against two testpmd that send back what they receive
 *   two    to another guest, three processes on two CPUs
 *   echo   there and back, one frame at a time; against one testpmd that sends
 *          back what it receives over memif, and a lean client
 *   idle   nobody sends
 *
 * The uplink looks at a frame's first 256 bytes and no more; a testpmd that
 * receives copies all. "round" copies every frame whole on both sides.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/libmemif.h"
#include "bench/libnet.h"
#include "bench/libusage.h"
#include "util/clock.h"
#include "util/num.h"

#define RUNS	   3u
#define ECHO_RUNS  7u /* short ones, in which chance has much to say */
#define SMALL	   64u
#define LARGE	   1518u
#define SILENCE_NS NS_PER_S
#define P50	   500000u
#define P99	   990000u

enum unit {
	MFRAMES,
	MFRAMES_CPU
};
static const char *const unit_names[] = { "Mframes/s", "Mframes/CPU-s" };

struct row {
	const char *name;
	net_run_fn *run;
	enum dpdk_way way;
	unsigned size_bytes;
	const char *joined; /* the peer's: memif or vhost */
};

static const struct row rows[] = {
	{ "hop", net_run_hop, DPDK_HOP, SMALL, "memif" },
	{ "hop", net_run_hop, DPDK_HOP, LARGE, "vhost" },
	{ "round", net_run_round, DPDK_ROUND, SMALL, "memif" },
	{ "round", net_run_round, DPDK_ROUND, LARGE, "memif" },
	{ "two", net_run_two, DPDK_HOP, SMALL, "vhost" },
};

struct context {
	const char *what;
	struct net_rig rig;
	uint64_t run_ns, idle_ns;
	struct dpdk *by_memif, *by_vhost, *reflector;
	struct memif *memif; /* its other end is the reflector's */
	struct hist echo_ns, peer_echo_ns; /* of all runs */
};

/* One of the two sides of a row. */
struct side {
	struct context *c;
	const struct row *row;
	enum unit unit;
};

/* Say what went wrong: the harness only knows that something did. */
static double failed(const char *who, int err)
{
	fprintf(stderr, "net: %s: %s\n", who, strerror(-err));
	return -1;
}

static double in_unit(const struct net_rate *rate, enum unit unit)
{
	return unit == MFRAMES ? rate->frames / 1e6 : 1e3 / rate->cpu_ns;
}

static double run_ours(void *arg)
{
	const struct side *side = arg;
	struct net_load load = { side->row->size_bytes, side->c->run_ns };
	struct net_rate rate;
	int err = side->row->run(&side->c->rig, &load, &rate);

	if (err)
		return failed("netfront", err);
	return in_unit(&rate, side->unit);
}

static double run_peer(void *arg)
{
	const struct side *side = arg;
	struct net_load load = { side->row->size_bytes, side->c->run_ns };
	bool is_memif = !strcmp(side->row->joined, "memif");
	struct net_rate rate;
	int err = dpdk_run(is_memif ? side->c->by_memif : side->c->by_vhost,
			   side->row->way, &load, &rate);

	if (err)
		return failed("testpmd", err);
	return in_unit(&rate, side->unit);
}

static void verdict(const char *target, bool met)
{
	printf("%-24s target: %s: %s\n", "", target, met ? "met" : "MISSED");
	fflush(stdout);
}

static int compare(struct context *c, const struct row *row, enum unit unit)
{
	struct side side = { c, row, unit };
	char name[64], peer_name[64];
	struct bench_case ours = { name, run_ours, &side };
	struct bench_case peer = { peer_name, run_peer, &side };
	struct bench_result result;
	int err;

	snprintf(name, sizeof(name), "net-%s-%u", row->name, row->size_bytes);
	snprintf(peer_name, sizeof(peer_name), "testpmd-%s", row->joined);
	err = bench_compare_ret(&ours, &peer, unit_names[unit], RUNS, &result);
	if (err)
		return err;
	verdict("ratio at least 1", result.ratio.median >= 1);
	return 0;
}

/* ---- echo ---------------------------------------------------------------- */

/* The run's median. */
static double echo_median(struct hist *all_ns, const struct hist *run_ns)
{
	hist_merge(all_ns, run_ns);
	return (double)hist_percentile(run_ns, P50);
}

static double echo_ours(void *arg)
{
	struct context *c = arg;
	struct net_load load = { SMALL, c->run_ns };
	struct hist rtt_ns;
	int err = net_run_echo(&c->rig, &load, &rtt_ns);

	if (err)
		return failed("netfront", err);
	return echo_median(&c->echo_ns, &rtt_ns);
}

static int memif_echo(struct context *c, struct hist *ret_ns)
{
	uint8_t frame[SMALL] = { 0 };
	uint64_t start_ns = clock_now_ns(), sent_ns = start_ns, now_ns;

	memset(ret_ns, 0, sizeof(*ret_ns));
	while (sent_ns - start_ns < c->run_ns) {
		if (!memif_send(c->memif, frame, sizeof(frame)))
			return -EIO;
		while (!memif_recv(c->memif)) {
			clock_cpu_relax();
			now_ns = clock_now_ns();
			if (now_ns - sent_ns > SILENCE_NS)
				return -ETIMEDOUT;
		}
		now_ns = clock_now_ns();
		hist_record(ret_ns, now_ns - sent_ns);
		sent_ns = now_ns;
	}
	return 0;
}

static double echo_peer(void *arg)
{
	struct context *c = arg;
	struct hist rtt_ns;
	int err = bench_pin(0), end;

	if (!err)
		err = dpdk_reflect(c->reflector, true);
	if (err)
		return failed("testpmd", err);
	err = memif_echo(c, &rtt_ns);
	end = dpdk_reflect(c->reflector, false);
	if (err || end)
		return failed("memif", err ? err : end);
	return echo_median(&c->peer_echo_ns, &rtt_ns);
}

static void print_tail(const char *name, const struct hist *ns)
{
	printf("%-24s p50 %llu ns, p99 %llu ns\n", name,
	       (unsigned long long)hist_percentile(ns, P50),
	       (unsigned long long)hist_percentile(ns, P99));
}

/* Medians of each run; percentiles of all runs together. */
static int measure_echo(struct context *c)
{
	struct bench_case ours = { "net-echo-64", echo_ours, c };
	struct bench_case peer = { "memif-testpmd", echo_peer, c };
	struct bench_result result;
	int err = bench_compare_ret(&ours, &peer, "ns", ECHO_RUNS, &result);

	if (err)
		return err;
	verdict("ratio at most 1.2", result.ratio.median <= 1.2);
	print_tail(ours.name, &c->echo_ns);
	verdict("p99 at most 5 p50",
		hist_percentile(&c->echo_ns, P99) <=
			5 * hist_percentile(&c->echo_ns, P50));
	print_tail(peer.name, &c->peer_echo_ns);
	return 0;
}

/* ---- idle ---------------------------------------------------------------- */

static int measure_idle(struct context *c)
{
	pid_t pids[] = { c->rig.server, net_far_pid(c->rig.far) };
	static const char *const names[] = { "netbackd", "netfront" };
	struct usage before[2], after;
	int err = 0;

	sleep(1); /* what was under way ends */
	for (unsigned i = 0; !err && i < 2; i++)
		err = usage_read(pids[i], &before[i]);
	usleep((useconds_t)(c->idle_ns / NS_PER_US));
	for (unsigned i = 0; !err && i < 2; i++) {
		err = usage_read(pids[i], &after);
		if (err)
			break;
		after.nr_runs -= before[i].nr_runs;
		after.cpu_ns -= before[i].cpu_ns;
		printf("net-idle-%-15s %llu wake-ups, %llu ns of CPU in %llu "
		       "s\n",
		       names[i], after.nr_runs, after.cpu_ns,
		       (unsigned long long)(c->idle_ns / NS_PER_S));
		verdict("none", !after.nr_runs && !after.cpu_ns);
	}
	return err;
}

/* ---- all ----------------------------------------------------------------- */

static int measure(struct context *c)
{
	int err = 0;

	if (!strcmp(c->what, "echo"))
		return measure_echo(c);
	if (!strcmp(c->what, "idle"))
		return measure_idle(c);
	for (size_t i = 0; !err && i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].name, c->what))
			continue;
		err = compare(c, &rows[i], MFRAMES);
		if (!err)
			err = compare(c, &rows[i], MFRAMES_CPU);
	}
	return err;
}

static int open_peers(struct context *c, const char *scratch)
{
	char socket[108];
	int err = str_printf(socket, sizeof(socket), "%s/memif.sock", scratch);

	if (err >= 0)
		err = dpdk_open("memif", socket, &c->by_memif);
	if (!err)
		err = str_printf(socket, sizeof(socket), "%s/vhost.sock",
				 scratch);
	if (err >= 0)
		err = dpdk_open("vhost", socket, &c->by_vhost);
	return err < 0 ? err : 0;
}

static int open_echo_peer(struct context *c, const char *scratch)
{
	char socket[108];
	int err = str_printf(socket, sizeof(socket), "%s/memif.sock", scratch);

	if (err >= 0)
		err = dpdk_open_reflector(socket, &c->reflector);
	if (!err)
		err = memif_open(socket, &c->memif);
	return err < 0 ? err : 0;
}

static int open_rig(struct net_rig *rig, const char *run_dir, domid_t domid,
		    domid_t other)
{
	struct net_vif *vifs[] = { &rig->out, &rig->a, &rig->b, &rig->c };
	int err = net_far_open(run_dir, other, &rig->far);

	for (uint32_t i = 0; !err && i < ARRAY_SIZE(vifs); i++)
		err = net_vif_open(run_dir, domid, i, vifs[i]);
	return err;
}

static void close_all(struct context *c)
{
	memif_close(c->memif);
	dpdk_close(c->reflector);
	dpdk_close(c->by_memif);
	dpdk_close(c->by_vhost);
	net_vif_close(&c->rig.out);
	net_vif_close(&c->rig.a);
	net_vif_close(&c->rig.b);
	net_vif_close(&c->rig.c);
	net_far_close(c->rig.far);
}

int main(int argc, char **argv)
{
	static struct context c;
	uint32_t domid, other, pid;
	bool is_short;
	int err;

	if (argc != 8 ||
	    num_parse_u32(argv[4], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[5], DOMID_FIRST_RESERVED - 1, &other) ||
	    num_parse_u32(argv[6], INT32_MAX, &pid)) {
		fprintf(stderr, "usage: net short|full WHAT RUN-DIR DOMAIN "
				"OTHER-DOMAIN SERVER-PID SCRATCH\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* a testpmd may end */
	is_short = !strcmp(argv[1], "short");
	c.what = argv[2];
	c.run_ns = (is_short ? 100 : 500) * NS_PER_MS;
	c.idle_ns = (is_short ? 2 : 10) * NS_PER_S;
	c.rig.server = (pid_t)pid;
	err = open_rig(&c.rig, argv[3], (domid_t)domid, (domid_t)other);
	if (!err && !strcmp(c.what, "echo"))
		err = open_echo_peer(&c, argv[7]);
	else if (!err && strcmp(c.what, "idle"))
		err = open_peers(&c, argv[7]);
	if (!err)
		err = measure(&c);
	if (err)
		fprintf(stderr, "net: %s: %s\n", c.what, strerror(-err));
	close_all(&c);
	return err ? 1 : 0;
}
