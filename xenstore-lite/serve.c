/* SPDX-License-Identifier: MIT */
/* serve.c - the store's sockets. See serve.h. */
#include "xenstore-lite/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/list.h"
#include "util/log.h"
#include "xenstore-lite/conn.h"
#include "xenstore-lite/outlet.h"
#include "xenstore-lite/persist.h"
#include "xenstore-lite/rings.h"
#include "xenstore-lite/serve_private.h"

/* New clients of one domain in one round of the loop. */
#define ACCEPT_BATCH 16

/* How long not to accept when the process has no descriptor left. */
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

/* ---- clients ---------------------------------------------------------------
 */

static void client_close(struct client *client)
{
	outlet_fini(&client->outlet);
	list_del(&client->link);
	loop_fd_remove(client->src);
	xsd_conn_close(client->conn);
	close(client->fd);
	free(client);
}

static void client_drop(struct outlet *outlet)
{
	client_close(container_of(outlet, struct client, outlet));
}

static void set_events(struct client *client, bool unsent)
{
	uint32_t events = unsent ? EPOLLOUT : 0;

	if (xsd_conn_wants_input(client->conn))
		events |= EPOLLIN;
	if (events == client->events)
		return;
	client->events = events;
	loop_fd_set_events(client->src, events);
}

/* The process that connected: after a fork others may have the socket too. */
static void client_describe(struct outlet *outlet, char *buf, size_t size)
{
	struct client *client = container_of(outlet, struct client, outlet);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	snprintf(buf, size, "pid:%u", (unsigned)cred.pid);
}

/* As far as the socket takes it: the rest has an event. */
static bool client_flush(struct outlet *outlet)
{
	struct client *client = container_of(outlet, struct client, outlet);
	const void *data;
	size_t len;
	bool full = false;

	if (xsd_conn_sent(client->conn, 0) < 0) {
		client_close(client);
		return false;
	}
	while (!full && (len = xsd_conn_output(client->conn, &data)) > 0) {
		ssize_t n = send(client->fd, data, len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		full = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
		if (!full &&
		    (n < 0 || xsd_conn_sent(client->conn, (size_t)n) < 0)) {
			client_close(client);
			return false;
		}
	}
	set_events(client, full);
	return false;
}

static void client_ready(void *arg, uint32_t events)
{
	static char buf[XSD_FEED_MAX_BYTES];
	struct client *client = arg;
	ssize_t n = -1;

	if (xsd_conn_wants_input(client->conn)) {
		n = recv(client->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN &&
			       errno != EWOULDBLOCK && errno != EINTR)) {
			client_close(client);
			return;
		}
	}
	if (n > 0 && xsd_conn_feed(client->conn, buf, (size_t)n) < 0) {
		client_close(client);
		return;
	}
	/* Nobody will ever read what it has not read. */
	if (n < 0 && (events & (EPOLLHUP | EPOLLERR))) {
		client_close(client);
		return;
	}
	outlet_wake(&client->outlet);
}

int client_open(struct server *server, domid_t domid, int fd,
		struct xsd_conn *conn, struct client **ret)
{
	static const struct outlet_ops ops = { .flush = client_flush,
					       .drop = client_drop,
					       .describe = client_describe };
	struct client *client = calloc(1, sizeof(*client));
	int err;

	if (!client)
		return -ENOMEM;
	outlet_init(&client->outlet, &server->unsent, &ops);
	client->server = server;
	client->fd = fd;
	client->conn = conn;
	client->events = EPOLLIN;
	err = conn ? 0
		   : xsd_conn_open(server->xsd, domid, &client->outlet,
				   &client->conn);
	if (err)
		goto fail;
	err = loop_fd_add(server->loop, fd, client->events, client_ready,
			  client, &client->src);
	if (err)
		goto fail_conn;
	list_add_tail(&server->clients, &client->link);
	*ret = client;
	return 0;

fail_conn:
	if (!conn)
		xsd_conn_close(client->conn);
fail:
	free(client);
	return err;
}

/* ---- listening --------------------------------------------------------------
 */

static bool is_allowed(const struct listener *listener, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	return cred.uid == listener->uid || cred.uid == 0;
}

static void admit(struct listener *listener, int fd)
{
	struct server *server = listener->server;
	struct client *client;
	int err = is_allowed(listener, fd)
			  ? client_open(server, listener->domid, fd, NULL,
					&client)
			  : -EACCES;

	if (!err)
		return;
	log_limited(&server->limit, LOG_WARN, "store d%u: client refused: %s",
		    listener->domid, strerror(-err));
	close(fd);
}

static void listener_ready(void *arg, uint32_t events)
{
	struct listener *listener = arg;
	struct server *server = listener->server;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(listener->fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(listener, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_limited(&server->limit, LOG_WARN,
				    "store d%u: cannot accept: %s",
				    listener->domid, strerror(errno));
			loop_fd_set_events(listener->src, 0);
			loop_timer_arm(server->resume,
				       clock_now_ns() + ACCEPT_PAUSE_NS);
		}
		break;
	}
}

static void resume_accepting(void *arg)
{
	struct server *server = arg;

	list_for_each(l, &server->listeners)
		loop_fd_set_events(container_of(l, struct listener, link)->src,
				   EPOLLIN);
}

/* Takes fd over, on success only. */
int listener_open(struct server *server, domid_t domid, uint64_t life,
		  uid_t uid, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int err;

	if (!listener)
		return -ENOMEM;
	listener->server = server;
	listener->domid = domid;
	listener->life = life;
	listener->uid = uid;
	listener->fd = fd;
	err = loop_fd_add(server->loop, fd, EPOLLIN, listener_ready, listener,
			  &listener->src);
	if (err) {
		free(listener);
		return err;
	}
	list_add_tail(&server->listeners, &listener->link);
	server->by_id[domid] = listener;
	return 0;
}

/* The socket itself is the broker's: whoever connects now waits there. */
static void listener_close(struct listener *listener)
{
	listener->server->by_id[listener->domid] = NULL;
	list_del(&listener->link);
	loop_fd_remove(listener->src);
	close(listener->fd);
	free(listener);
}

/* ---- domains --------------------------------------------------------------
 */

static void stop_serving(struct server *server, domid_t domid)
{
	if (server->by_id[domid])
		listener_close(server->by_id[domid]);
}

int server_add_domain(struct server *server, domid_t domid, uint64_t life,
		      const char *name, uid_t uid, int listen_fd)
{
	uint64_t known = xsd_domain_life(server->xsd, domid);
	int err = 0;

	if (domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	stop_serving(server, domid);
	if (known && known != life) {
		err = xsd_domain_destroy(server->xsd, domid);
		known = 0;
	}
	/* Domain 0 is there from the start, its nodes may not be. */
	if (!err && (!known || domid == 0))
		err = xsd_domain_create(server->xsd, domid, life, name);
	if (err)
		return err;
	err = listener_open(server, domid, life, uid, listen_fd);
	if (!err)
		rings_recover(server->rings, domid);
	else if (!known)
		xsd_domain_destroy(server->xsd, domid);
	return err;
}

int server_set_broker(struct server *server, int fd)
{
	return rings_set_broker(server->rings, fd);
}

int server_remove_domain(struct server *server, domid_t domid, uint64_t life)
{
	const struct listener *listener;

	if (domid >= DOMID_FIRST_RESERVED)
		return -ENOENT;
	listener = server->by_id[domid];
	if (listener && listener->life == life)
		stop_serving(server, domid);
	/* It may be gone already, when the toolstack has released it. */
	if (xsd_domain_life(server->xsd, domid) != life)
		return -ENOENT;
	return xsd_domain_destroy(server->xsd, domid);
}

void server_remove_unserved(struct server *server)
{
	for (domid_t domid = 1; domid < DOMID_FIRST_RESERVED; domid++)
		if (!server->by_id[domid] &&
		    xsd_domain_exists(server->xsd, domid))
			xsd_domain_destroy(server->xsd, domid);
}

void server_remove_all(struct server *server)
{
	for (domid_t domid = 0; domid < DOMID_FIRST_RESERVED; domid++)
		stop_serving(server, domid);
	server_remove_unserved(server);
	persist_erase(server->xsd);
}

int server_remember(struct server *server,
		    const struct journal_options *journal)
{
	return persist_open(server->xsd, journal);
}

/* ---- the server -----------------------------------------------------------
 */

static void has_output(void *arg)
{
	outlet_wake(arg);
}

static void dropped(void *arg)
{
	struct outlet *outlet = arg;

	outlet->ops->drop(outlet);
}

static int introduce(void *arg, domid_t domid, uint64_t gfn, evtchn_port_t port)
{
	const struct outlet *outlet = arg;
	struct server *server =
		container_of(outlet->queue, struct server, unsent);

	return rings_introduce(server->rings, domid, gfn, port);
}

static void describe(void *arg, char *buf, size_t size)
{
	struct outlet *outlet = arg;

	outlet->ops->describe(outlet, buf, size);
}

static void say(const char *line)
{
	log_info("store: %s", line);
}

/* Ends a wait of the loop: flush_all comes next. */
static void retry_flush(void *arg)
{
	(void)arg;
}

static void wake_paused(void *arg)
{
	struct server *server = arg;

	xsd_wake(server->xsd);
	server->wake_ns = 0;
}

static void arm_wake(struct server *server)
{
	uint64_t wake_ns = xsd_wake_ns(server->xsd);

	if (wake_ns == server->wake_ns)
		return;
	server->wake_ns = wake_ns;
	if (wake_ns)
		loop_timer_arm(server->wake, wake_ns);
}

static bool flush_all(void *arg)
{
	struct list turn = LIST_INIT(turn);
	struct server *server = arg;
	bool more = false;

	/* One write for all that this round has changed. */
	if (persist_flush(server->xsd))
		loop_timer_arm(server->retry,
			       clock_now_ns() + JOURNAL_RETRY_NS);
	/* Whoever is woken by this has his turn after those who have input. */
	while (!list_empty(&server->unsent)) {
		struct list *first = server->unsent.next;

		list_del(first);
		list_add_tail(&turn, first);
	}
	while (!list_empty(&turn)) {
		struct outlet *outlet =
			container_of(turn.next, struct outlet, unsent);

		list_del(&outlet->unsent);
		more |= outlet->ops->flush(outlet);
	}
	arm_wake(server);
	return more || !list_empty(&server->unsent);
}

int server_open(struct loop *loop, struct server **ret)
{
	static const struct xsd_ops ops = {
		.output = has_output,
		.dropped = dropped,
		.introduce = introduce,
		.describe = describe,
		.log = say,
		.can_update = true,
	};
	struct server *server = calloc(1, sizeof(*server));
	uint64_t secret;
	int err;

	if (!server)
		return -ENOMEM;
	server->loop = loop;
	list_init(&server->listeners);
	list_init(&server->clients);
	list_init(&server->unsent);
	if (getrandom(&secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
		err = -errno;
		goto fail;
	}
	err = xsd_open(secret, &ops, &server->xsd);
	if (err)
		goto fail;
	/* First what comes in, then what goes out. */
	err = rings_open(loop, server->xsd, &server->unsent, &server->rings);
	if (err)
		goto fail_xsd;
	err = loop_prepare_add(loop, flush_all, server, &server->flush);
	if (err)
		goto fail_rings;
	err = loop_timer_add(loop, resume_accepting, server, &server->resume);
	if (err)
		goto fail_prepare;
	err = loop_timer_add(loop, retry_flush, server, &server->retry);
	if (err)
		goto fail_resume;
	err = loop_timer_add(loop, wake_paused, server, &server->wake);
	if (err)
		goto fail_retry;
	*ret = server;
	return 0;

fail_retry:
	loop_timer_remove(server->retry);
fail_resume:
	loop_timer_remove(server->resume);
fail_prepare:
	loop_prepare_remove(server->flush);
fail_rings:
	rings_close(server->rings);
fail_xsd:
	xsd_close(server->xsd);
fail:
	free(server);
	return err;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	list_for_each_safe(l, tmp, &server->listeners)
		listener_close(container_of(l, struct listener, link));
	rings_close(server->rings);
	xsd_close(server->xsd);
	loop_timer_remove(server->retry);
	loop_timer_remove(server->wake);
	loop_timer_remove(server->resume);
	loop_prepare_remove(server->flush);
	free(server);
}
