/* SPDX-License-Identifier: MIT */
/*
 * domains.c - 2,000 domains with 20 nodes and 5 watches each: how fast they
 * come and go, what they weigh, how fast each hears of a change, that the store
 * sleeps while they do, and what domain 0's requests cost among them, beside a
 * store without them. Run by domains.sh: domains RUN-DIR PID RUN-DIR PID.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "bench/harness.h"
#include "bench/libload.h"
#include "platform/lite_control.h"
#include "util/clock.h"
#include "util/num.h"

#define NR_DOMAINS 2000u
#define NR_NODES   20u
#define NR_WATCHES 5u
#define NR_KEYS	   10u
#define IDLE_NS	   (10 * NS_PER_S)

struct guest {
	domid_t domid;
	int fd;
};

struct store {
	const char *run_dir;
	pid_t pid;
};

static struct store full, empty;
static struct guest guests[NR_DOMAINS];

/* ---- talking to the store ----------------------------------------------- */

static int connect_as(const char *run_dir, domid_t domid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (str_printf(addr.sun_path, sizeof(addr.sun_path), "%s/%u/xenstore",
		       run_dir, domid) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static char *put(char *at, uint32_t type, const char *path, const char *text)
{
	size_t path_bytes = strlen(path) + 1, text_bytes = strlen(text) + 1;
	struct xsd_sockmsg hdr = { .type = type,
				   .len = (uint32_t)(path_bytes + text_bytes) };

	memcpy(at, &hdr, sizeof(hdr));
	memcpy(at + sizeof(hdr), path, path_bytes);
	memcpy(at + sizeof(hdr) + path_bytes, text, text_bytes);
	return at + sizeof(hdr) + path_bytes + text_bytes;
}

static int receive(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len ? 0 : -EIO;
}

/* Take so many messages, none of them an error. */
static int take(int fd, unsigned nr)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr;

	while (nr-- > 0) {
		int err = receive(fd, &hdr, sizeof(hdr));

		if (err || hdr.type == XS_ERROR || hdr.len > sizeof(payload))
			return -EIO;
		err = hdr.len ? receive(fd, payload, hdr.len) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int talk(int fd, const char *buf, const char *end, unsigned nr_answers)
{
	size_t len = (size_t)(end - buf);

	if (send(fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EIO;
	return take(fd, nr_answers);
}

/* ---- what is measured --------------------------------------------------- */

static int make(struct platform *dom0, struct guest *guest, unsigned i)
{
	char name[32];
	int err;

	snprintf(name, sizeof(name), "bench-%u", i);
	err = lite_domain_create(dom0, name, getuid(), 0, &guest->domid);
	if (err)
		return err;
	guest->fd = connect_as(full.run_dir, guest->domid);
	return guest->fd < 0 ? guest->fd : 0;
}

/* As a guest does: values of its own, watches on some of them. */
static int settle(const struct guest *guest)
{
	char buf[(NR_NODES + NR_WATCHES) * 64], *at = buf, path[32];

	for (unsigned i = 0; i < NR_NODES; i++) {
		snprintf(path, sizeof(path), "data/node-%u", i);
		at = put(at, XS_WRITE, path, "value");
	}
	for (unsigned i = 0; i < NR_WATCHES; i++) {
		snprintf(path, sizeof(path), "data/node-%u", i);
		at = put(at, XS_WATCH, path, "token");
	}
	/* A watch fires once at first. */
	return talk(guest->fd, buf, at, NR_NODES + 2 * NR_WATCHES);
}

/* Domain 0 writes a node of every guest's; all hear of it. */
static int fire_all(int dom0)
{
	char buf[64 * 96], *at = buf, path[64];
	unsigned nr = 0;
	int err = 0;

	for (unsigned i = 0; i < NR_DOMAINS && !err; i++) {
		snprintf(path, sizeof(path), "/local/domain/%u/data/node-0",
			 guests[i].domid);
		at = put(at, XS_WRITE, path, "changed");
		if (++nr < 64 && i + 1 < NR_DOMAINS)
			continue;
		err = talk(dom0, buf, at, nr);
		at = buf;
		nr = 0;
	}
	for (unsigned i = 0; i < NR_DOMAINS && !err; i++)
		err = take(guests[i].fd, 1);
	return err;
}

static void say_rate(const char *name, double nr, uint64_t start_ns)
{
	double s = (double)(clock_now_ns() - start_ns) / 1e9;

	printf("%-24s %10.4g /s  (%.3g s)\n", name, nr / s, s);
	fflush(stdout);
}

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

/* Time on a CPU, and how often it was put there. */
static int schedstat(pid_t pid, uint64_t *cpu_ns, uint64_t *nr_runs)
{
	unsigned long long ns, runs;
	char path[64];
	int nr = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "re");
	if (f) {
		nr = fscanf(f, "%llu %*u %llu", &ns, &runs);
		fclose(f);
	}
	if (nr != 2)
		return -EIO;
	*cpu_ns = ns;
	*nr_runs = runs;
	return 0;
}

static int idle(void)
{
	uint64_t cpu_ns[2], nr_runs[2];
	int err;

	usleep(100000);
	err = schedstat(full.pid, &cpu_ns[0], &nr_runs[0]);
	if (err)
		return err;
	usleep(IDLE_NS / NS_PER_US);
	err = schedstat(full.pid, &cpu_ns[1], &nr_runs[1]);
	if (!err)
		printf("%-24s %10llu ns of CPU, %llu wake-ups in %llu s\n",
		       "idle", (unsigned long long)(cpu_ns[1] - cpu_ns[0]),
		       (unsigned long long)(nr_runs[1] - nr_runs[0]),
		       IDLE_NS / NS_PER_S);
	fflush(stdout);
	return err;
}

/* ---- among the others --------------------------------------------------- */

static double run(void *arg)
{
	struct load_result result;

	if (bench_pin(0) || load_run(arg, &result))
		return -1;
	return result.per_s / 1e3;
}

static int open_load(const struct store *store, enum load_op op,
		     struct load **ret)
{
	char path[128];
	struct load_job job = { .proto = &load_xs,
				.path = path,
				.op = LOAD_FILL,
				.nr_conns = 1,
				.depth = NR_KEYS,
				.nr_keys = NR_KEYS,
				.nr_ops = NR_KEYS };
	int err =
		str_printf(path, sizeof(path), "%s/0/xenstore", store->run_dir);

	if (err < 0)
		return err;
	err = load_open(&job, ret);
	if (err)
		return err;
	err = run(*ret) < 0 ? -EIO : 0;
	load_close(*ret);
	if (err)
		return err;
	job.op = op;
	job.nr_conns = 10;
	job.depth = LOAD_DEPTH_MAX;
	job.nr_ops = 0;
	job.run_ns = 200 * NS_PER_MS;
	return load_open(&job, ret);
}

static int among(const char *name, enum load_op op)
{
	struct bench_case ours = { name, run, NULL };
	struct bench_case peer = { "alone", run, NULL };
	struct load *a, *b;
	int err = open_load(&full, op, &a);

	if (err)
		return err;
	err = open_load(&empty, op, &b);
	if (!err) {
		ours.arg = a;
		peer.arg = b;
		err = bench_compare(&ours, &peer, "kop/s", 5);
		load_close(b);
	}
	load_close(a);
	return err;
}

/* ---- all ---------------------------------------------------------------- */

static int measure(struct platform *dom0, int dom0_fd)
{
	double before = private_bytes(full.pid);
	uint64_t start_ns = clock_now_ns();
	int err = 0;

	for (unsigned i = 0; i < NR_DOMAINS && !err; i++)
		err = make(dom0, &guests[i], i);
	if (err)
		return err;
	say_rate("create", NR_DOMAINS, start_ns);
	start_ns = clock_now_ns();
	for (unsigned i = 0; i < NR_DOMAINS && !err; i++)
		err = settle(&guests[i]);
	if (err)
		return err;
	say_rate("settle", NR_DOMAINS, start_ns);
	printf("%-24s %10.0f bytes of the store's\n", "domain",
	       (private_bytes(full.pid) - before) / NR_DOMAINS);
	start_ns = clock_now_ns();
	err = fire_all(dom0_fd);
	if (err)
		return err;
	say_rate("events", NR_DOMAINS, start_ns);
	err = idle();
	if (!err)
		err = among("read-among-2000", LOAD_READ);
	if (!err)
		err = among("write-among-2000", LOAD_WRITE);
	if (!err)
		err = among("event-among-2000", LOAD_EVENT);
	start_ns = clock_now_ns();
	for (unsigned i = 0; i < NR_DOMAINS && !err; i++)
		err = lite_domain_destroy(dom0, guests[i].domid);
	if (!err)
		say_rate("destroy", NR_DOMAINS, start_ns);
	return err;
}

int main(int argc, char **argv)
{
	struct platform *dom0;
	int err, fd;

	if (argc != 5) {
		fprintf(stderr, "usage: domains (RUN-DIR PID) of two stores\n");
		return 2;
	}
	full = (struct store){ argv[1], (pid_t)strtol(argv[2], NULL, 10) };
	empty = (struct store){ argv[3], (pid_t)strtol(argv[4], NULL, 10) };
	bench_machine();
	err = platform_lite_open(full.run_dir, 0, &dom0);
	if (!err) {
		fd = connect_as(full.run_dir, 0);
		err = fd < 0 ? fd : measure(dom0, fd);
		platform_close(dom0);
	}
	if (err)
		fprintf(stderr, "domains: %s\n", strerror(-err));
	return err ? 1 : 0;
}
