/* SPDX-License-Identifier: MIT */
/*
 * net256.c - many vifs on one switch, all held open by this program: what they
 * cost while nobody uses them, and whether each gets its share when all send to
 * one, when one sends to each of them, and when one sends to all at once. Run
 * by net256.sh:
 *
 *	net256 RUN-DIR DOMAIN NR WORKER-PID MONITOR-PID
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/libnet.h"
#include "bench/libusage.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/num.h"

#define VIFS_MAX   1024u
#define FRAME	   64u
#define SETTLE_NS  (2 * NS_PER_S)
#define IDLE_MS	   10000
#define RUN_NS	   (6 * NS_PER_S)
#define POLL_NS	   (50 * NS_PER_MS) /* looks at the store cost system calls */
#define BURST	   2u /* short, so that chance evens out within a run */
#define FAIR	   1.2
#define MEMORY_KIB 1024.0

static struct net_vif vifs[VIFS_MAX];
static uint64_t counts[VIFS_MAX]; /* frames by their sender, or receiver */
static struct pollfd pfds[VIFS_MAX];
static uint32_t nr_vifs;

static void verdict(const char *target, bool met)
{
	printf("    target: %s: %s\n", target, met ? "met" : "MISSED");
	fflush(stdout);
}

/* ---- idle ---------------------------------------------------------------- */

static int open_all(const char *run_dir, domid_t domid, const pid_t pids[2])
{
	static const char *const names[] = { "worker", "monitor" };
	struct usage_memory before[2], after;
	double private = 0;
	uint64_t start_ns;

	for (unsigned i = 0; i < 2; i++)
		before[i] = usage_memory(pids[i]);
	start_ns = clock_now_ns();
	for (uint32_t i = 0; i < nr_vifs; i++) {
		int err = net_vif_open(run_dir, domid, i, &vifs[i]);

		if (err)
			return err;
	}
	printf("net256  %.0f connected a second\n",
	       nr_vifs * 1e9 / (double)(clock_now_ns() - start_ns));
	for (unsigned i = 0; i < 2; i++) {
		after = usage_memory(pids[i]);
		printf("net256  %s: %.1f KiB private each, %.1f with its part "
		       "of what is shared\n",
		       names[i], (after.private - before[i].private) / nr_vifs,
		       (after.share - before[i].share) / nr_vifs);
		private += after.private - before[i].private;
	}
	verdict("at most 1024 KiB private", private / nr_vifs <= MEMORY_KIB);
	return 0;
}

/* Whatever there is to do is done; then all are asleep. */
static int arm_all(void)
{
	uint64_t end_ns = clock_now_ns() + SETTLE_NS;
	bool busy = true;

	while (busy || clock_now_ns() < end_ns) {
		busy = false;
		for (uint32_t i = 0; i < nr_vifs; i++) {
			if (netfront_poll(vifs[i].nf) < 0)
				return -EIO;
			busy |= net_recv(&vifs[i], NULL, 0) > 0;
			busy |= netfront_arm(vifs[i].nf);
			pfds[i] =
				(struct pollfd){ .fd = netfront_fd(vifs[i].nf),
						 .events = POLLIN };
		}
		usleep(10000);
	}
	return 0;
}

static int idle(const pid_t pids[2])
{
	struct usage before[2], after[2];
	unsigned long long nr_runs = 0, cpu_ns = 0;
	int nr, err = arm_all();

	for (unsigned i = 0; i < 2 && !err; i++)
		err = usage_read(pids[i], &before[i]);
	nr = poll(pfds, nr_vifs, IDLE_MS);
	for (unsigned i = 0; i < 2 && !err; i++)
		err = usage_read(pids[i], &after[i]);
	if (err)
		return err;
	for (unsigned i = 0; i < 2; i++) {
		nr_runs += after[i].nr_runs - before[i].nr_runs;
		cpu_ns += after[i].cpu_ns - before[i].cpu_ns;
	}
	printf("net256  %u idle for %d s: backend %llu ns of CPU, %llu "
	       "wake-ups; frontends %d events\n",
	       nr_vifs, IDLE_MS / 1000, cpu_ns, nr_runs, nr);
	verdict("none", !cpu_ns && !nr_runs && !nr);
	return 0;
}

/* ---- shares -------------------------------------------------------------- */

static int poll_all(void)
{
	for (uint32_t i = 0; i < nr_vifs; i++)
		if (netfront_poll(vifs[i].nf) < 0)
			return -EIO;
	return 0;
}

static uint32_t next_random(void)
{
	static uint64_t x = 4711;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

/*
 * More than the first one can take, by senders in random order: in turn they
 * would keep step with the backend, and always the same ones be in luck.
 */
static void all_to_one(void)
{
	for (uint32_t n = 1; n < nr_vifs; n++) {
		uint32_t i = 1 + next_random() % (nr_vifs - 1);

		(void)net_send(&vifs[i], vifs[0].mac, i, FRAME, BURST);
		while (net_recv(&vifs[0], counts, nr_vifs))
			;
	}
}

/* The first one sends to each in turn; whoever was sent something takes it. */
static void one_to_each(void)
{
	static uint32_t next = 1;

	for (unsigned n = 0; n < NET_BURST; n++) {
		if (!net_send(&vifs[0], vifs[next].mac, 0, FRAME, 1))
			break;
		next = next + 1 < nr_vifs ? next + 1 : 1;
	}
	for (uint32_t i = 1; i < nr_vifs; i++)
		counts[i] += net_recv(&vifs[i], NULL, 0);
}

/* A frame to everybody is one for each. */
static void one_to_all(void)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };

	(void)net_send(&vifs[0], everybody, 0, FRAME, BURST);
	for (uint32_t i = 1; i < nr_vifs; i++)
		counts[i] += net_recv(&vifs[i], NULL, 0);
}

static int share(const char *name, void (*round)(void))
{
	uint64_t least = UINT64_MAX, most = 0, sum = 0, start_ns,
		 elapsed_ns = 0;
	uint64_t polled_ns = 0;
	int err = arm_all(); /* nothing is under way */

	memset(counts, 0, sizeof(counts));
	start_ns = clock_now_ns();
	while (!err && elapsed_ns < RUN_NS) {
		round();
		elapsed_ns = clock_now_ns() - start_ns;
		if (elapsed_ns - polled_ns < POLL_NS)
			continue;
		polled_ns = elapsed_ns;
		err = poll_all();
	}
	for (uint32_t i = 1; i < nr_vifs; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
		sum += counts[i];
	}
	if (err)
		return err;
	printf("net256  %s: %.3f Mframes/s delivered, %llu to %llu each, "
	       "max/min %.3f\n",
	       name, (double)sum * 1e3 / (double)elapsed_ns,
	       (unsigned long long)least, (unsigned long long)most,
	       least ? (double)most / (double)least : 0);
	verdict("max/min at most 1.2",
		least && (double)most <= FAIR * (double)least);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t domid, worker, monitor;
	pid_t pids[2];
	int err;

	if (argc != 6 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[3], VIFS_MAX, &nr_vifs) || nr_vifs < 2 ||
	    num_parse_u32(argv[4], INT32_MAX, &worker) ||
	    num_parse_u32(argv[5], INT32_MAX, &monitor)) {
		fprintf(stderr, "usage: net256 RUN-DIR DOMAIN NR WORKER-PID "
				"MONITOR-PID\n");
		return 2;
	}
	log_init("net256", LOG_WARN);
	pids[0] = (pid_t)worker;
	pids[1] = (pid_t)monitor;
	err = bench_pin(0);
	if (!err)
		err = open_all(argv[1], (domid_t)domid, pids);
	if (!err)
		err = idle(pids);
	if (!err)
		err = share("all to one", all_to_one);
	if (!err)
		err = share("one to each", one_to_each);
	if (!err)
		err = share("one to all", one_to_all);
	if (err)
		fprintf(stderr, "net256: %s\n", strerror(-err));
	for (uint32_t i = 0; i < nr_vifs; i++)
		net_vif_close(&vifs[i]);
	return err ? 1 : 0;
}
