/* SPDX-License-Identifier: MIT */
/* libnet_two.c - the other guest of libnet.h, and frames to it. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/libnet.h"
#include "util/clock.h"

#define WAIT_MS	   100
#define LINKED_NS  (15 * NS_PER_S)
#define RECHECK_NS (10 * NS_PER_MS)

/* Shared with the other process, which writes all but its pid. */
struct net_far {
	pid_t pid;
	bool ready;
	uint8_t mac[6];
	uint64_t nr; /* frames that it has taken */
};

static void serve(struct net_far *far, const struct net_vif *vif)
{
	uint64_t nr = 0;

	memcpy(far->mac, vif->mac, sizeof(far->mac));
	/* pairs with net_far_open() */
	__atomic_store_n(&far->ready, true, __ATOMIC_RELEASE);
	for (;;) {
		unsigned n = net_recv(vif, NULL, 0);

		nr += n;
		/* pairs with net_run_two() */
		__atomic_store_n(&far->nr, nr, __ATOMIC_RELEASE);
		if (!n && net_wait(vif, -1))
			return;
	}
}

static void child(struct net_far *far, const char *run_dir, domid_t domid)
{
	struct net_vif vif;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (bench_pin(0) || net_vif_open(run_dir, domid, 0, &vif))
		_exit(1);
	serve(far, &vif);
	_exit(1);
}

int net_far_open(const char *run_dir, domid_t domid, struct net_far **ret)
{
	struct net_far *far = mmap(NULL, sizeof(*far), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t deadline_ns = clock_now_ns() + LINKED_NS;
	int err = -ETIMEDOUT;
	pid_t pid;

	if (far == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		munmap(far, sizeof(*far));
		return err;
	}
	if (!pid)
		child(far, run_dir, domid);
	far->pid = pid;
	while (clock_now_ns() < deadline_ns) {
		/* pairs with serve() */
		if (__atomic_load_n(&far->ready, __ATOMIC_ACQUIRE)) {
			*ret = far;
			return 0;
		}
		usleep(RECHECK_NS / NS_PER_US);
	}
	net_far_close(far);
	return err;
}

void net_far_close(struct net_far *far)
{
	if (!far)
		return;
	kill(far->pid, SIGKILL);
	waitpid(far->pid, NULL, 0);
	munmap(far, sizeof(*far));
}

pid_t net_far_pid(const struct net_far *far)
{
	return far->pid;
}

static uint64_t far_nr(const struct net_far *far)
{
	/* pairs with serve() */
	return __atomic_load_n(&far->nr, __ATOMIC_ACQUIRE);
}

/* Both guests share a CPU, so a sender without room makes way. */
int net_run_two(const struct net_rig *rig, const struct net_load *load,
		struct net_rate *ret)
{
	struct net_meter meter = { .pids = { rig->server, rig->far->pid } };
	uint64_t before = far_nr(rig->far);

	if (bench_pin(0))
		return -EIO;
	net_meter_start(&meter);
	while (clock_now_ns() - meter.start_ns < load->run_ns)
		if (!net_send(&rig->c, rig->far->mac, 0, load->size_bytes,
			      NET_BURST) &&
		    net_wait(&rig->c, WAIT_MS))
			return -EIO;
	*ret = net_meter_stop(&meter, far_nr(rig->far) - before);
	return 0;
}
