/* SPDX-License-Identifier: MIT */
/*
 * client.c - the worker's end of the pair: one call, one answer, a deadline.
 *
 * A call that got no proper answer leaves the pair out of step; from then on
 * every call fails with -ECONNRESET and the worker should end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor/protocol.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/num.h"

/* Opening a target may take a while; a monitor that hangs must not hang us. */
#define CALL_TIMEOUT_NS (30 * NS_PER_S)

struct monitor_client {
	int sock;
	bool lost;
};

static int wait_readable(int fd, uint64_t deadline_ns)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_now_ns();
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(&pfd, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static void close_fds(const int *fds, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		close(fds[i]);
}

/*
 * Send req (with send_fd unless -1), wait for the reply. want_fds: exactly so
 * many descriptors must come with a success; UINT_MAX: as the reply says.
 */
static int call(struct monitor_client *mc, const struct monitor_request *req,
		int send_fd, struct monitor_reply *reply, int *fds,
		unsigned want_fds)
{
	unsigned nr = MONITOR_FDS_MAX;
	ssize_t n;
	int err;

	if (mc->lost)
		return -ECONNRESET;
	err = fdmsg_send(mc->sock, req, sizeof(*req), &send_fd, send_fd >= 0,
			 0);
	if (err)
		goto lost;
	err = wait_readable(mc->sock, clock_now_ns() + CALL_TIMEOUT_NS);
	if (err)
		goto lost;
	n = fdmsg_recv(mc->sock, reply, sizeof(*reply), fds, &nr, MSG_DONTWAIT);
	if (n <= 0) {
		err = n < 0 ? (int)n : -ECONNRESET;
		goto lost;
	}
	if (want_fds == UINT32_MAX)
		want_fds = reply->nr_fds;
	if ((size_t)n != sizeof(*reply) || reply->error > 0 ||
	    reply->info_bytes > MONITOR_INFO_MAX ||
	    nr != (reply->error ? 0 : want_fds)) {
		close_fds(fds, nr);
		err = -EPROTO;
		goto lost;
	}
	return reply->error;

lost:
	mc->lost = true;
	return err == -EPIPE ? -ECONNRESET : err;
}

static int set_key(struct monitor_request *req, const char *key)
{
	int err;

	if (!key[0])
		return -EINVAL;
	err = str_printf(req->key, sizeof(req->key), "%s", key);
	return err < 0 ? err : 0;
}

int monitor_client_open(int sock, int *ret_broker_fd, uint32_t *ret_generation,
			struct monitor_client **ret)
{
	struct monitor_request req = { .op = MONITOR_OP_HELLO };
	struct monitor_client *mc = calloc(1, sizeof(*mc));
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX], err;

	if (!mc)
		return -ENOMEM;
	mc->sock = sock;
	if (fcntl(sock, F_SETFD, FD_CLOEXEC) < 0) {
		err = -errno;
		goto fail;
	}
	err = call(mc, &req, -1, &reply, fds, 1);
	if (err)
		goto fail;
	*ret_broker_fd = fds[0];
	*ret_generation = reply.generation;
	*ret = mc;
	return 0;

fail:
	free(mc);
	return err;
}

void monitor_client_close(struct monitor_client *mc)
{
	if (!mc)
		return;
	close(mc->sock);
	free(mc);
}

int monitor_client_connect_store(struct monitor_client *mc)
{
	struct monitor_request req = { .op = MONITOR_OP_STORE };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX];
	int err = call(mc, &req, -1, &reply, fds, 1);

	return err ? err : fds[0];
}

int monitor_client_open_device(struct monitor_client *mc, domid_t domid,
			       uint32_t handle, struct monitor_device *ret)
{
	struct monitor_request req = { .op = MONITOR_OP_OPEN,
				       .domid = domid,
				       .handle = handle };
	struct monitor_device dev = { 0 };
	struct monitor_reply reply;
	int err = call(mc, &req, -1, &reply, dev.fds, UINT32_MAX);

	if (err)
		return err;
	dev.nr_fds = reply.nr_fds;
	dev.info_bytes = reply.info_bytes;
	memcpy(dev.info, reply.info, reply.info_bytes);
	*ret = dev;
	return 0;
}

int monitor_client_connect_device(struct monitor_client *mc, domid_t domid,
				  uint32_t handle)
{
	struct monitor_request req = { .op = MONITOR_OP_CONNECT,
				       .domid = domid,
				       .handle = handle };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX];
	int err = call(mc, &req, -1, &reply, fds, 1);

	return err ? err : fds[0];
}

int monitor_client_release_device(struct monitor_client *mc, domid_t domid,
				  uint32_t handle)
{
	struct monitor_request req = { .op = MONITOR_OP_RELEASE,
				       .domid = domid,
				       .handle = handle };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX];

	return call(mc, &req, -1, &reply, fds, 0);
}

int monitor_client_keep(struct monitor_client *mc, const char *key, int fd)
{
	struct monitor_request req = { .op = MONITOR_OP_KEEP };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX], err = set_key(&req, key);

	if (err || fd < 0)
		return err ? err : -EBADF;
	return call(mc, &req, fd, &reply, fds, 0);
}

int monitor_client_get(struct monitor_client *mc, const char *key)
{
	struct monitor_request req = { .op = MONITOR_OP_GET };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX], err = set_key(&req, key);

	if (!err)
		err = call(mc, &req, -1, &reply, fds, 1);
	return err ? err : fds[0];
}

int monitor_client_drop(struct monitor_client *mc, const char *key)
{
	struct monitor_request req = { .op = MONITOR_OP_DROP };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX], err = set_key(&req, key);

	return err ? err : call(mc, &req, -1, &reply, fds, 0);
}

int monitor_client_ready(struct monitor_client *mc)
{
	struct monitor_request req = { .op = MONITOR_OP_READY };
	struct monitor_reply reply;
	int fds[MONITOR_FDS_MAX];

	return call(mc, &req, -1, &reply, fds, 0);
}

int monitor_client_fd(const struct monitor_client *mc)
{
	return mc->sock;
}
