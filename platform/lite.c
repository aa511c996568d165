/* SPDX-License-Identifier: MIT */
/*
 * lite.c - the connection of a lite platform to its broker: opening, the round
 * trip, and the toolstack's calls. Thread: any; a call holds call_lock for one
 * round trip.
 *
 * A connection may be handed from a dead process to its successor while an
 * answer to the dead one is still in the socket. Sequence numbers start at
 * random, and a reply that is not ours is thrown away with its descriptor.
 */
#include "platform/lite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/num.h"

/* Longer than any path that a socket address can hold. */
#define PATH_SIZE 256

static int wait_readable(int sock, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd pfd = { .fd = sock, .events = POLLIN };
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

static int reset_if_gone(int err)
{
	return err == -EPIPE || err == -ENOTCONN ? -ECONNRESET : err;
}

/* Receive until the reply to seq is there; drop what was another's. */
static int receive_reply(struct lite *l, uint64_t seq, uint64_t deadline_ns,
			 struct lite_reply *rep, int *ret_fd)
{
	for (;;) {
		unsigned nr_fds = 1;
		ssize_t n;
		int fd = -1, err = wait_readable(l->sock, deadline_ns);

		if (err)
			return err;
		n = fdmsg_recv(l->sock, rep, sizeof(*rep), &fd, &nr_fds,
			       MSG_DONTWAIT);
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return reset_if_gone((int)n);
		if (n == 0)
			return -ECONNRESET;
		if (nr_fds == 0)
			fd = -1;
		if (n == sizeof(*rep) && rep->version == LITE_WIRE_VERSION &&
		    rep->seq == seq) {
			*ret_fd = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
		if (n != sizeof(*rep) || rep->version != LITE_WIRE_VERSION)
			return -EPROTO;
	}
}

static int round_trip(struct lite *l, struct lite_request *req,
		      struct lite_reply *rep, int *ret_fd)
{
	bool store_too =
		req->op == LITE_DOMAIN_CREATE || req->op == LITE_DOMAIN_DESTROY;
	uint64_t deadline_ns =
		clock_now_ns() +
		(store_too ? LITE_DOMAIN_TIMEOUT_NS : LITE_CALL_TIMEOUT_NS);
	int err;

	req->version = LITE_WIRE_VERSION;
	req->seq = l->next_seq++;
	/* Full only when the broker has long stopped reading. */
	err = fdmsg_send(l->sock, req, sizeof(*req), NULL, 0, MSG_DONTWAIT);
	if (err)
		return err == -EAGAIN ? -ETIMEDOUT : reset_if_gone(err);
	return receive_reply(l, req->seq, deadline_ns, rep, ret_fd);
}

int lite_call(struct lite *l, struct lite_request *req, struct lite_reply *rep,
	      int *ret_fd)
{
	int fd = -1, err;

	memset(rep, 0, sizeof(*rep));
	pthread_mutex_lock(&l->call_lock);
	err = round_trip(l, req, rep, &fd);
	pthread_mutex_unlock(&l->call_lock);
	if (err)
		return err;
	if (rep->status < 0 && rep->status >= -4095)
		err = rep->status;
	else if (rep->status != 0 || (fd >= 0) != (ret_fd != NULL))
		err = -EPROTO;
	if (!err && ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

int lite_region_check(int fd, uint32_t nr_pages, bool readonly)
{
	int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (readonly)
		need |= F_SEAL_FUTURE_WRITE;
	/* First: it fails at once on whatever is not memory. */
	if (seals < 0 || (seals & need) != need)
		return -EBADF;
	/* Huge pages would raise SIGBUS when the pool runs dry. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EBADF;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != (off_t)lite_region_bytes(nr_pages))
		return -EBADF;
	return 0;
}

static void lite_close(struct platform *p)
{
	struct lite *l = lite_of(p);

	lite_map_fini(l);
	lite_share_fini(l);
	if (l->sock >= 0)
		close(l->sock);
	pthread_mutex_destroy(&l->call_lock);
	pthread_mutex_destroy(&l->map_lock);
	pthread_mutex_destroy(&l->share_lock);
	free(l->store_path);
	free(l);
}

static int lite_store_connect(struct platform *p)
{
	struct lite *l = lite_of(p);
	struct pollfd pfd = { .fd = l->sock };

	if (!l->store_path)
		return -EOPNOTSUPP;
	/* Nobody will start a store any more. */
	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP))
		return -ECONNRESET;
	return unix_connect_now(l->store_path, SOCK_STREAM);
}

static const struct platform_ops lite_ops = {
	.close = lite_close,
	.store_connect = lite_store_connect,
	.share = lite_share,
	.unshare = lite_unshare,
	.map = lite_map,
	.unmap = lite_unmap,
	.forget = lite_forget,
	.copy = lite_copy,
	.evtchn_alloc = lite_evtchn_alloc,
	.evtchn_bind = lite_evtchn_bind,
	.evtchn_notify = lite_evtchn_notify,
	.evtchn_clear = lite_evtchn_clear,
	.evtchn_close = lite_evtchn_close,
};

static int hello(struct lite *l)
{
	struct lite_request req = { .op = LITE_HELLO };
	struct lite_reply rep;
	int err = lite_call(l, &req, &rep, NULL);

	if (err)
		return err;
	if (rep.domid >= DOMID_FIRST_RESERVED)
		return -EPROTO;
	l->platform.domid = (domid_t)rep.domid;
	return 0;
}

int platform_lite_adopt(int broker_fd, struct platform **ret)
{
	struct lite *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	if (getrandom(&l->next_seq, sizeof(l->next_seq), 0) !=
	    (ssize_t)sizeof(l->next_seq)) {
		free(l);
		return -EIO;
	}
	l->platform.ops = &lite_ops;
	l->sock = broker_fd;
	pthread_mutex_init(&l->call_lock, NULL);
	pthread_mutex_init(&l->map_lock, NULL);
	pthread_mutex_init(&l->share_lock, NULL);
	list_init(&l->quarantine);
	lite_map_init(l);
	err = hello(l);
	if (err) {
		l->sock = -1; /* stays the caller's */
		lite_close(&l->platform);
		return err;
	}
	*ret = &l->platform;
	return 0;
}

/* A domain that is not there has no socket, or a dead daemon's. */
static int connect_broker(const char *dir, domid_t domid)
{
	char path[PATH_SIZE];
	int fd, err = str_printf(path, sizeof(path), "%s/%u/broker", dir,
				 domid);

	if (err < 0)
		return err;
	fd = unix_connect(path, SOCK_SEQPACKET);
	return fd == -ECONNREFUSED ? -ENOENT : fd;
}

int platform_lite_open(const char *run_dir, domid_t domid,
		       struct platform **ret)
{
	const char *dir = run_dir ? run_dir : platform_run_dir();
	struct platform *p;
	char *store_path;
	int fd, err;

	if (domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	store_path = malloc(PATH_SIZE);
	if (!store_path)
		return -ENOMEM;
	err = str_printf(store_path, PATH_SIZE, "%s/%u/xenstore", dir, domid);
	if (err < 0)
		goto fail;
	err = fd = connect_broker(dir, domid);
	if (err < 0)
		goto fail;
	err = platform_lite_adopt(fd, &p);
	if (err)
		goto fail_fd;
	lite_of(p)->store_path = store_path;
	*ret = p;
	return 0;

fail_fd:
	close(fd);
	/* The broker closes on whoever is neither the domain nor root. */
	if (err == -ECONNRESET)
		err = -EACCES;
fail:
	free(store_path);
	return err;
}

int lite_domain_create(struct platform *p, const char *name, uid_t uid,
		       uint32_t flags, domid_t *ret)
{
	struct lite_request req = { .op = LITE_DOMAIN_CREATE,
				    .uid = uid,
				    .flags = flags };
	struct lite_reply rep;
	int err;

	if (p->ops != &lite_ops)
		return -EOPNOTSUPP;
	if (str_printf(req.name, sizeof(req.name), "%s", name) < 0)
		return -EINVAL;
	err = lite_call(lite_of(p), &req, &rep, NULL);
	if (!err)
		*ret = (domid_t)rep.domid;
	return err;
}

int lite_domain_destroy(struct platform *p, domid_t domid)
{
	struct lite_request req = { .op = LITE_DOMAIN_DESTROY, .domid = domid };
	struct lite_reply rep;

	if (p->ops != &lite_ops)
		return -EOPNOTSUPP;
	return lite_call(lite_of(p), &req, &rep, NULL);
}
