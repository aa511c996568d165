/* SPDX-License-Identifier: MIT */
/*
 * net_cycles.c - a guest that connects its first vif and leaves it, again and
 * again, in every manner: closed; killed while it sends; killed in the middle
 *of the handshake; its state written by somebody else meanwhile. Used by
 * net-cycles.sh.
 *
 *	net_cycles RUN_DIR DOMID COUNT
 *
 * Prints how many cycles it were. 1: a connection did not come about, or of a
 * closed one something was left in this process.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netfront/netfront.h"
#include "platform/platform.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define FRAME_BYTES 60u
#define BURST	    16u
#define NR_BURSTS   4u
#define HASTE_US    3000u /* a handshake takes about as long */

struct cycles {
	const char *run_dir;
	struct platform *platform;
	struct xs *xs;
	domid_t domid;
	uint32_t nr;
	uint64_t random;
};

static uint32_t dice(struct cycles *c, uint32_t sides)
{
	c->random = c->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(c->random >> 33) % sides;
}

static int connect_vif(const struct cycles *c, struct netfront **ret)
{
	const struct netfront_config config = {
		.run_dir = c->run_dir,
		.domid = c->domid,
		.nr_queues = c->nr % 3 + 1,
	};
	char why[256] = "";
	int err = netfront_open(&config, ret, why, sizeof(why));

	if (err)
		fprintf(stderr, "net_cycles: cycle %u: %s\n", c->nr, why);
	return err;
}

/* A burst to everybody, whatever comes is given back. */
static void talk(struct netfront *nf)
{
	struct netfront_frame frames[BURST];
	unsigned n = netfront_prepare(nf, frames, BURST, FRAME_BYTES);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *frame = frames[i].iov[0].iov_base;

		memset(frame, 0, FRAME_BYTES);
		memset(frame, 0xff, 6);
		frame[6] = 2;
		frame[12] = 0x88;
		frame[13] = 0xb5;
	}
	(void)netfront_send(nf, frames, n);
	(void)!netfront_recv(nf, frames, BURST);
	netfront_recv_done(nf);
	netfront_kick(nf);
}

static int close_in_order(struct cycles *c)
{
	struct netfront *nf;
	int err = connect_vif(c, &nf);

	for (unsigned i = 0; !err && i < NR_BURSTS; i++) {
		talk(nf);
		err = netfront_poll(nf) < 0 ? -EPIPE : 0;
	}
	if (!err)
		netfront_close(nf);
	return err;
}

/* In a child, which never comes back. */
static void talk_until_killed(const struct cycles *c)
{
	struct netfront *nf;

	if (connect_vif(c, &nf))
		_exit(1);
	for (unsigned i = 0; i < NR_BURSTS; i++)
		talk(nf);
	raise(SIGKILL);
}

/* haste_us: kill it after so long, 0: it does that itself. */
static int be_killed(struct cycles *c, uint32_t haste_us)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid)
		talk_until_killed(c);
	if (haste_us) {
		usleep(haste_us);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFSIGNALED(status) ? 0 : -EIO;
}

static int jump(struct cycles *c)
{
	static const char *const states[] = { "6", "5", "1", "3",   "4",
					      "0", "7", "9", "six", "" };
	struct netfront *nf;
	int err = connect_vif(c, &nf);

	for (unsigned i = 0; !err && i < 3; i++) {
		const char *state = states[dice(c, ARRAY_SIZE(states))];

		err = xs_write(c->xs, XS_NO_TXN, "device/vif/0/state", state,
			       strlen(state));
		talk(nf);
		/* That it is lost, or about to be, is as it should be. */
		(void)netfront_poll(nf);
	}
	if (!err)
		netfront_close(nf);
	return err;
}

static int cycle(struct cycles *c)
{
	switch (c->nr % 4) {
	case 0: return close_in_order(c);
	case 1: return be_killed(c, 0);
	case 2: return jump(c);
	default: return be_killed(c, 1 + dice(c, HASTE_US));
	}
}

static unsigned nr_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int run(struct cycles *c, uint32_t count)
{
	unsigned before = nr_descriptors();
	int err = 0;

	for (c->nr = 0; !err && c->nr < count; c->nr++)
		err = cycle(c);
	if (!err && nr_descriptors() != before) {
		fprintf(stderr, "net_cycles: %u descriptors, %u before\n",
			nr_descriptors(), before);
		err = -EMFILE;
	}
	return err;
}

int main(int argc, char **argv)
{
	struct cycles c = { .random = 1 };
	uint32_t domid, count;
	int err;

	if (argc != 4 ||
	    num_parse_u32(argv[2], DOMID_FIRST_RESERVED - 1, &domid) ||
	    num_parse_u32(argv[3], UINT32_MAX, &count)) {
		fprintf(stderr, "usage: net_cycles RUN_DIR DOMID COUNT\n");
		return 2;
	}
	c.run_dir = argv[1];
	c.domid = (domid_t)domid;
	err = platform_lite_open(c.run_dir, c.domid, &c.platform);
	if (!err)
		err = xs_open(platform_store_connector, c.platform, &c.xs);
	if (!err)
		err = run(&c, count);
	if (err)
		fprintf(stderr, "net_cycles: after %u cycles: %s\n", c.nr,
			strerror(-err));
	printf("%u\n", c.nr);
	xs_close(c.xs);
	platform_close(c.platform);
	return err ? 1 : 0;
}
