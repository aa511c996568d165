/* SPDX-License-Identifier: MIT */
/*
 * xenstore.c - the store against redis-server over their Unix sockets, with the
 * same generator, keys and values: reads, writes, watches, transactions, by 1
 * to 2,000 connections, one operation at a time and 64 at once; what the
 * journal costs; what more nodes cost; what a node and a connection weigh.
 * Run by xenstore.sh, which starts the servers and gives them the other CPU.
 *
 * The ratio is ours to the peer's, operations a second; below it the times
 * from sending to the last answer, and the CPU that the server took for one
 * operation, its spinning too: that hardly changes when others use the machine.
 * redis runs without its append-only file beside a store without journal, and
 * with it (unsynced, as the journal) beside one with.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/libload.h"
#include "util/clock.h"
#include "util/num.h"

#define NR_KEYS	    100000u
#define NR_KEYS_FEW 10u
#define NR_CONNS    2000u
#define RUNS_MAX    8u

struct server {
	const struct load_proto *proto;
	const char *path;
	pid_t pid;
};

/* In the order of the command line. */
enum {
	STORE,
	STORE_MANY, /* has NR_KEYS nodes while STORE has NR_KEYS_FEW */
	STORE_JOURNAL,
	REDIS,
	REDIS_FILE,
	NR_SERVERS
};

static struct server servers[NR_SERVERS] = {
	[STORE] = { .proto = &load_xs },
	[STORE_MANY] = { .proto = &load_xs },
	[STORE_JOURNAL] = { .proto = &load_xs },
	[REDIS] = { .proto = &load_redis },
	[REDIS_FILE] = { .proto = &load_redis },
};

static const char *const server_names[NR_SERVERS] = {
	"store", "store-many", "store-journal", "redis", "redis-aof",
};

static unsigned nr_runs;
static uint64_t run_ns;

/* ---- pairs -------------------------------------------------------------- */

struct side {
	struct load *load;
	pid_t pid;
	double p50_us[RUNS_MAX + 1], p99_us[RUNS_MAX + 1];
	double cpu_us[RUNS_MAX + 1]; /* the server's, an operation */
	unsigned nr; /* runs so far, the unmeasured first one too */
};

/* What the process has had of a CPU; 0: cannot say. */
static double cpu_us(pid_t pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return (double)ns / 1e3;
}

static double side_run(void *arg)
{
	struct side *side = arg;
	struct load_result result;
	double before_us = cpu_us(side->pid);

	if (bench_pin(0) || load_run(side->load, &result))
		return -1;
	side->cpu_us[side->nr] =
		(cpu_us(side->pid) - before_us) / (double)result.nr_ops;
	side->p50_us[side->nr] = result.p50_us;
	side->p99_us[side->nr++] = result.p99_us;
	return result.per_s / 1e3;
}

static int side_open(struct side *side, const struct load_job *job, int server)
{
	struct load_job own = *job;

	*side = (struct side){ .pid = servers[server].pid };
	own.proto = servers[server].proto;
	own.path = servers[server].path;
	return load_open(&own, &side->load);
}

static double median(double *values, unsigned nr)
{
	return bench_stats(values, nr).median;
}

static void print_times(struct side *a, struct side *b)
{
	unsigned nr = a->nr - 1;

	printf("%-24s p50 %.1f us, p99 %.1f us, CPU %.2f us; "
	       "peer p50 %.1f us, p99 %.1f us, CPU %.2f us\n",
	       "", median(a->p50_us + 1, nr), median(a->p99_us + 1, nr),
	       median(a->cpu_us + 1, nr), median(b->p50_us + 1, nr),
	       median(b->p99_us + 1, nr), median(b->cpu_us + 1, nr));
	fflush(stdout);
}

static int compare(const struct load_job *job, const char *name, int server,
		   const struct load_job *peer_job, int peer)
{
	struct side a, b;
	struct bench_case ours = { name, side_run, &a };
	struct bench_case theirs = { server_names[peer], side_run, &b };
	int err = side_open(&a, job, server);

	if (err)
		return err;
	err = side_open(&b, peer_job, peer);
	if (err)
		goto out;
	err = bench_compare(&ours, &theirs, "kop/s", nr_runs);
	if (!err)
		print_times(&a, &b);
	load_close(b.load);
out:
	load_close(a.load);
	return err;
}

/* ---- against redis ------------------------------------------------------ */

static const char *const op_names[] = {
	[LOAD_READ] = "read",
	[LOAD_WRITE] = "write",
	[LOAD_TXN] = "txn",
	[LOAD_EVENT] = "event",
};

/* As many as wanted, as far as each in flight has a key of its own. */
static unsigned depth_of(unsigned nr_conns, unsigned depth)
{
	return depth < NR_KEYS / nr_conns ? depth : NR_KEYS / nr_conns;
}

static int against(enum load_op op, unsigned nr_conns, unsigned depth,
		   bool sleeps, bool journal)
{
	struct load_job job = {
		.op = op,
		.nr_conns = nr_conns,
		.depth = depth_of(nr_conns, depth),
		.nr_keys = NR_KEYS,
		.run_ns = run_ns,
		.sleeps = sleeps,
	};
	char name[64];

	/* Two to a pair. */
	if (op == LOAD_EVENT && nr_conns > 1)
		job.nr_conns /= 2;
	snprintf(name, sizeof(name), "%s-c%u-d%u%s%s", op_names[op], nr_conns,
		 job.depth, sleeps ? "-sleep" : "", journal ? "-journal" : "");
	return compare(&job, name, journal ? STORE_JOURNAL : STORE, &job,
		       journal ? REDIS_FILE : REDIS);
}

static int against_redis(bool journal)
{
	static const unsigned nr_conns[] = { 1, 10, 100, NR_CONNS };
	static const enum load_op ops[] = { LOAD_READ, LOAD_WRITE, LOAD_TXN,
					    LOAD_EVENT };
	int err = 0;

	for (unsigned op = journal; op < ARRAY_SIZE(ops) && !err; op++) {
		for (unsigned i = 0; i < ARRAY_SIZE(nr_conns) && !err; i++) {
			err = against(ops[op], nr_conns[i], 1, false, journal);
			if (!err)
				err = against(ops[op], nr_conns[i],
					      LOAD_DEPTH_MAX, false, journal);
		}
		if (!err)
			err = against(ops[op], 1, 1, true, journal);
	}
	return err;
}

/* ---- against itself ----------------------------------------------------- */

static int fill(int server, unsigned nr_keys)
{
	struct load_job job = {
		.proto = servers[server].proto,
		.path = servers[server].path,
		.op = LOAD_FILL,
		.nr_conns = 1,
		.depth = nr_keys < LOAD_DEPTH_MAX ? nr_keys : LOAD_DEPTH_MAX,
		.nr_keys = nr_keys,
		.nr_ops = nr_keys,
	};
	struct load_result result;
	struct load *load;
	int err = load_open(&job, &load);

	if (err)
		return err;
	err = load_run(load, &result);
	load_close(load);
	return err;
}

/*
 * 100,000 nodes to 10. Always the same ten of them: what the store does more;
 * any of them: with what the CPU's caches miss.
 */
static int more_nodes(enum load_op op, bool any)
{
	struct load_job few = { .op = op,
				.nr_conns = 10,
				.depth = LOAD_DEPTH_MAX,
				.nr_keys = NR_KEYS_FEW,
				.run_ns = run_ns };
	struct load_job many = few;
	char name[64];

	many.nr_keys = any ? NR_KEYS : NR_KEYS_FEW;
	snprintf(name, sizeof(name), "%s-%s-of-100000", op_names[op],
		 any ? "any" : "ten");
	return compare(&many, name, STORE_MANY, &few, STORE);
}

static int journal_cost(enum load_op op, unsigned nr_conns, unsigned depth)
{
	struct load_job job = { .op = op,
				.nr_conns = nr_conns,
				.depth = depth,
				.nr_keys = NR_KEYS,
				.run_ns = run_ns };
	char name[64];

	snprintf(name, sizeof(name), "%s-c%u-d%u-journal", op_names[op],
		 nr_conns, depth);
	return compare(&job, name, STORE_JOURNAL, &job, STORE);
}

/* ---- weights ------------------------------------------------------------ */

/* Bytes that the process shares with nobody; 0: cannot say. */
static double private_bytes(pid_t pid)
{
	char path[64], line[256];
	double bytes = 0;
	unsigned long kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_%*[^:]: %lu kB", &kib) == 1)
			bytes += (double)kib * 1024;
	if (f)
		fclose(f);
	return bytes;
}

static int node_weight(int server)
{
	double before = private_bytes(servers[server].pid);
	int err = fill(server, NR_KEYS);

	if (!err)
		printf("%-24s %10.0f bytes  (32 bytes of value, 15 of path)\n",
		       server == REDIS ? "key-redis" : "node",
		       (private_bytes(servers[server].pid) - before) / NR_KEYS);
	return err;
}

static int conn_weight(int server)
{
	struct load_job job = { .proto = servers[server].proto,
				.path = servers[server].path,
				.op = LOAD_READ,
				.nr_conns = NR_CONNS,
				.depth = 1,
				.nr_keys = NR_KEYS_FEW,
				.nr_ops = NR_CONNS };
	double before = private_bytes(servers[server].pid);
	struct load_result result;
	struct load *load;
	int err = load_open(&job, &load);

	if (err)
		return err;
	err = load_run(load, &result);
	if (!err)
		printf("%-24s %10.0f bytes\n",
		       server == REDIS ? "idle-connection-redis"
				       : "idle-connection",
		       (private_bytes(servers[server].pid) - before) /
			       NR_CONNS);
	load_close(load);
	return err;
}

/* ---- all ---------------------------------------------------------------- */

static int weights(void)
{
	int err = fill(STORE, NR_KEYS_FEW);

	if (!err)
		err = node_weight(STORE_MANY);
	if (!err)
		err = node_weight(REDIS);
	if (!err)
		err = conn_weight(STORE);
	return err ? err : conn_weight(REDIS);
}

static int costs(void)
{
	int err = more_nodes(LOAD_READ, false);

	if (!err)
		err = more_nodes(LOAD_WRITE, false);
	if (!err)
		err = more_nodes(LOAD_READ, true);
	if (!err)
		err = more_nodes(LOAD_WRITE, true);
	if (!err)
		err = fill(STORE, NR_KEYS);
	if (!err)
		err = fill(STORE_JOURNAL, NR_KEYS);
	if (!err)
		err = fill(REDIS_FILE, NR_KEYS);
	if (!err)
		err = journal_cost(LOAD_WRITE, 1, 1);
	if (!err)
		err = journal_cost(LOAD_WRITE, 1, LOAD_DEPTH_MAX);
	if (!err)
		err = journal_cost(LOAD_WRITE, 100, LOAD_DEPTH_MAX);
	if (!err)
		err = journal_cost(LOAD_TXN, 10, LOAD_DEPTH_MAX);
	return err;
}

int main(int argc, char **argv)
{
	bool is_short;
	int err;

	if (argc != 2 + 2 * NR_SERVERS) {
		fprintf(stderr, "usage: xenstore full|short "
				"(SOCKET PID) of each: store, with many nodes, "
				"with journal, redis, with its file\n");
		return 2;
	}
	is_short = strcmp(argv[1], "short") == 0;
	nr_runs = is_short ? 3 : 5;
	run_ns = (is_short ? 50 : 200) * NS_PER_MS;
	for (int i = 0; i < NR_SERVERS; i++) {
		servers[i].path = argv[2 + 2 * i];
		servers[i].pid = (pid_t)strtol(argv[3 + 2 * i], NULL, 10);
	}
	bench_machine();
	err = weights();
	if (!err)
		err = costs();
	if (!err)
		err = against_redis(false);
	if (!err)
		err = against_redis(true);
	if (err)
		fprintf(stderr, "xenstore: a run failed: %s\n", strerror(-err));
	return err ? 1 : 0;
}
