/* SPDX-License-Identifier: MIT */
/*
 * libnet_dpdk.c - two of DPDK's testpmd for libnet.h, spoken to on their
 * standard input and output. Between two runs both rest: only their command
 * lines wait. Neither has huge pages; the defaults of rings stay as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/libnet.h"
#include "util/clock.h"
#include "util/num.h"

#define PROMPT	  "testpmd> "
#define REPLY_MAX 65536u
#define ANSWER_NS (10 * NS_PER_S)
#define ASK_TIMES 3
#define SETTLE_NS (20 * NS_PER_MS)
#define UNDER_WAY "4" /* bursts of 32, as many frames as ours at most */

struct testpmd {
	pid_t pid;
	int in, out;
	char reply[REPLY_MAX];
};

struct dpdk {
	struct testpmd receiver, sender;
};

static void rest(uint64_t ns)
{
	usleep((useconds_t)(ns / NS_PER_US));
}

/* ---- one testpmd --------------------------------------------------------- */

/* The CPU's number that the system has for the nr'th of ours. */
static int cpu_id(unsigned nr)
{
	cpu_set_t before;
	int id;

	if (sched_getaffinity(0, sizeof(before), &before) != 0 || bench_pin(nr))
		return -1;
	id = sched_getcpu();
	(void)sched_setaffinity(0, sizeof(before), &before);
	return id;
}

static void exec_testpmd(const char *prefix, const char *vdev, unsigned cpu)
{
	char lcores[32];

	/* Its command line's thread on one CPU, the one that works on another.
	 */
	snprintf(lcores, sizeof(lcores), "0@%d,1@%d", cpu_id(!cpu),
		 cpu_id(cpu));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Into a pipe it would keep its answers back. */
	execlp("stdbuf", "stdbuf", "-oL", "dpdk-testpmd", "--lcores", lcores,
	       "--no-huge", "-m", "512", "--no-pci", "--no-telemetry",
	       "--file-prefix", prefix, "--vdev", vdev, "--", "-i",
	       "--nb-cores=1", "--total-num-mbufs=8192", "--port-topology=loop",
	       "--disable-link-check", NULL);
	_exit(127);
}

static bool is_answer(const char *reply, size_t len, const char *command)
{
	return len >= strlen(PROMPT) && strstr(reply, command) &&
	       !strcmp(reply + len - strlen(PROMPT), PROMPT);
}

/* Read the command, which is echoed, and on up to the next prompt. */
static int hear(struct testpmd *t, const char *command)
{
	uint64_t deadline_ns = clock_now_ns() + ANSWER_NS;
	struct pollfd pfd = { .fd = t->out, .events = POLLIN };
	size_t len = 0;

	while (clock_now_ns() < deadline_ns) {
		ssize_t n;

		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = read(t->out, t->reply + len, REPLY_MAX - 1 - len);
		if (n <= 0)
			return -EPIPE;
		len += (size_t)n;
		t->reply[len] = '\0';
		if (is_answer(t->reply, len, command))
			return 0;
		if (len == REPLY_MAX - 1)
			return -EMSGSIZE;
	}
	return -ETIMEDOUT;
}

static int say(struct testpmd *t, const char *command)
{
	char line[128];
	int n = str_printf(line, sizeof(line), "%s\n", command);

	if (n < 0)
		return n;
	if (write(t->in, line, (size_t)n) != n)
		return -EPIPE;
	return hear(t, command);
}

static int testpmd_open(struct testpmd *t, const char *name, const char *vdev,
			unsigned cpu)
{
	int in[2], out[2], err;

	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC)) {
		err = -errno;
		close(in[0]);
		close(in[1]);
		return err;
	}
	t->pid = fork();
	if (!t->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		exec_testpmd(name, vdev, cpu);
	}
	close(in[0]);
	close(out[1]);
	t->in = in[1];
	t->out = out[0];
	err = hear(t, "");
	if (err && t->reply[0])
		fprintf(stderr, "net: %s: %s\n", name, t->reply);
	return err == -EPIPE && !t->reply[0] ? -ENOENT : err;
}

static void testpmd_close(struct testpmd *t)
{
	if (t->pid <= 0)
		return;
	close(t->in);
	close(t->out);
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
}

/* ---- two of them --------------------------------------------------------- */

static int name_devices(const char *joined, const char *socket, char *receiver,
			char *sender, size_t size)
{
	if (!strcmp(joined, "memif")) {
		snprintf(receiver, size,
			 "net_memif0,role=server,socket=%s,socket-abstract=no",
			 socket);
		snprintf(sender, size,
			 "net_memif0,role=client,socket=%s,socket-abstract=no",
			 socket);
		return 0;
	}
	snprintf(receiver, size, "net_vhost0,iface=%s,queues=1", socket);
	snprintf(sender, size, "net_virtio_user0,path=%s,queues=1", socket);
	return strcmp(joined, "vhost") ? -EINVAL : 0;
}

int dpdk_open(const char *joined, const char *socket, struct dpdk **ret)
{
	struct dpdk *dpdk = calloc(1, sizeof(*dpdk));
	char receiver[256], sender[256], names[2][32];
	int err;

	if (!dpdk)
		return -ENOMEM;
	snprintf(names[0], sizeof(names[0]), "%s-receiver", joined);
	snprintf(names[1], sizeof(names[1]), "%s-sender", joined);
	err = name_devices(joined, socket, receiver, sender, sizeof(sender));
	if (!err)
		err = testpmd_open(&dpdk->receiver, names[0], receiver, 1);
	if (!err)
		err = testpmd_open(&dpdk->sender, names[1], sender, 0);
	if (err) {
		dpdk_close(dpdk);
		return err;
	}
	*ret = dpdk;
	return 0;
}

int dpdk_open_reflector(const char *socket, struct dpdk **ret)
{
	struct dpdk *dpdk = calloc(1, sizeof(*dpdk));
	char device[256];
	int err;

	if (!dpdk)
		return -ENOMEM;
	err = str_printf(device, sizeof(device),
			 "net_memif0,role=server,socket=%s,socket-abstract=no",
			 socket);
	if (err >= 0)
		err = testpmd_open(&dpdk->receiver, "reflector", device, 1);
	if (!err)
		err = say(&dpdk->receiver, "set fwd io");
	if (err) {
		dpdk_close(dpdk);
		return err;
	}
	*ret = dpdk;
	return 0;
}

int dpdk_reflect(struct dpdk *dpdk, bool on)
{
	return say(&dpdk->receiver, on ? "start" : "stop");
}

void dpdk_close(struct dpdk *dpdk)
{
	if (!dpdk)
		return;
	testpmd_close(&dpdk->sender);
	testpmd_close(&dpdk->receiver);
	free(dpdk);
}

static int both(struct dpdk *dpdk, const char *to_receiver,
		const char *to_sender)
{
	int err = say(&dpdk->receiver, to_receiver);

	return err ? err : say(&dpdk->sender, to_sender);
}

/* Whatever is left of an earlier run goes nowhere. */
static int drain(struct dpdk *dpdk)
{
	int err = both(dpdk, "set fwd rxonly", "set fwd rxonly");

	if (!err)
		err = both(dpdk, "start", "start");
	rest(SETTLE_NS);
	return err ? err : both(dpdk, "stop", "stop");
}

static int begin(struct dpdk *dpdk, enum dpdk_way way, unsigned size_bytes)
{
	char size[48];
	int err = drain(dpdk);

	if (err)
		return err;
	snprintf(size, sizeof(size), "set txpkts %u", size_bytes);
	err = say(&dpdk->sender, size);
	if (err)
		return err;
	switch (way) {
	case DPDK_HOP:
		err = both(dpdk, "set burst 32", "set burst 32");
		if (!err)
			err = both(dpdk, "set fwd rxonly", "set fwd txonly");
		return err ? err : both(dpdk, "start", "start");
	case DPDK_ROUND:
		err = both(dpdk, "set burst 32", "set burst 32");
		if (!err)
			err = both(dpdk, "set fwd io", "set fwd io");
		return err ? err
			   : both(dpdk, "start", "start tx_first " UNDER_WAY);
	}
	return -EINVAL;
}

/* Asked once more when a late line of the driver's came in between. */
static int received(struct dpdk *dpdk, uint64_t *ret)
{
	static const char mark[] = "RX-packets: ";

	for (int i = 0; i < ASK_TIMES; i++) {
		int err = say(&dpdk->receiver, "show port stats 0");
		const char *at;

		if (err)
			return err;
		at = strstr(dpdk->receiver.reply, mark);
		if (at) {
			*ret = strtoull(at + strlen(mark), NULL, 10);
			return 0;
		}
	}
	return -EPROTO;
}

int dpdk_run(struct dpdk *dpdk, enum dpdk_way way, const struct net_load *load,
	     struct net_rate *ret)
{
	struct net_meter meter = { .pids = { dpdk->receiver.pid,
					     dpdk->sender.pid } };
	uint64_t from, to;
	int err = begin(dpdk, way, load->size_bytes);

	if (err)
		return err;
	rest(SETTLE_NS);
	err = received(dpdk, &from);
	if (err)
		return err;
	net_meter_start(&meter);
	rest(load->run_ns);
	err = received(dpdk, &to);
	if (err)
		return err;
	*ret = net_meter_stop(&meter, to - from);
	err = both(dpdk, "stop", "stop");
	return err ? err : to > from ? 0 : -EIO;
}
