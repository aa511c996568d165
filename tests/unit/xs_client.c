/* SPDX-License-Identifier: MIT */
/*
 * xs_client.c - the client library against our own store, which runs in a
 * thread behind a socket pair, and against a store that talks nonsense.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/store_peer.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

/* ---- a store in a thread ---------------------------------------------------
 */

#define SERVED_MAX 4

struct service {
	pthread_t thread;
	struct xsd *xsd;
	struct peer *peers[SERVED_MAX];
	int fds[SERVED_MAX + 1]; /* the last: readable when it is to end */
	int ours[SERVED_MAX], end;
	unsigned nr;
};

/* Both: 0 when the client has gone. */
static int take_from(struct service *s, unsigned i)
{
	struct xsd_conn *conn = s->peers[i]->conn;
	char buf[4096];
	ssize_t n;

	if (!xsd_conn_wants_input(conn))
		return 1;
	n = recv(s->fds[i], buf, sizeof(buf), MSG_DONTWAIT);
	return n < 0 || (n > 0 && !xsd_conn_feed(conn, buf, (size_t)n));
}

static int give_to(struct service *s, unsigned i)
{
	struct xsd_conn *conn = s->peers[i]->conn;
	const void *data;
	size_t len;

	while ((len = xsd_conn_output(conn, &data)) > 0) {
		ssize_t n = send(s->fds[i], data, len, MSG_NOSIGNAL);

		if (n < 0 || xsd_conn_sent(conn, (size_t)n))
			return 0;
	}
	return 1;
}

static void *serve(void *arg)
{
	struct service *s = arg;
	struct pollfd pfd[SERVED_MAX + 1];

	for (unsigned i = 0; i <= s->nr; i++)
		pfd[i] = (struct pollfd){ .fd = s->fds[i], .events = POLLIN };
	while (poll(pfd, s->nr + 1, -1) >= 0 && !pfd[s->nr].revents) {
		for (unsigned i = 0; i < s->nr; i++)
			if (pfd[i].fd >= 0 && pfd[i].revents &&
			    !take_from(s, i))
				pfd[i].fd = -1;
		for (unsigned i = 0; i < s->nr; i++)
			if (pfd[i].fd >= 0 && !give_to(s, i))
				pfd[i].fd = -1;
	}
	return NULL;
}

/* Clients that are domains domids[0..nr). */
static int service_open(struct service *s, const uint32_t *domids, unsigned nr,
			struct xs **xs)
{
	int pair[2];

	memset(s, 0, sizeof(*s));
	s->xsd = peer_store();
	s->nr = nr;
	for (unsigned i = 0; i <= nr; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return 0;
		s->fds[i] = pair[0];
		if (i == nr) {
			s->end = pair[1];
		} else {
			s->peers[i] = peer_open(s->xsd, domids[i]);
			s->ours[i] = pair[1];
			if (xs_open_fd(pair[1], &xs[i]))
				return 0;
		}
	}
	return pthread_create(&s->thread, NULL, serve, s) == 0;
}

static void service_close(struct service *s, struct xs **xs)
{
	UNIT_CHECK(write(s->end, "", 1) == 1);
	pthread_join(s->thread, NULL);
	UNIT_CHECK(xsd_check(s->xsd) == 0);
	for (unsigned i = 0; i < s->nr; i++) {
		xs_close(xs[i]);
		peer_close(s->peers[i]);
		close(s->fds[i]);
	}
	close(s->fds[s->nr]);
	close(s->end);
	xsd_close(s->xsd);
}

static const uint32_t domain0[] = { 0, 0 };

/* ---- against our own store --------------------------------------------------
 */

static void values_go_there_and_back(void)
{
	struct service s;
	struct xs *xs[1];
	char *value, **names, small[4];
	uint32_t u32;
	uint64_t u64;
	size_t len;
	unsigned nr;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	UNIT_CHECK(xs_write(xs[0], 0, "/a/b", "x\0y", 3) == 0);
	UNIT_REQUIRE(xs_read(xs[0], 0, "/a/b", &value, &len) == 0);
	UNIT_CHECK(len == 3 && !memcmp(value, "x\0y", 4));
	free(value);
	UNIT_CHECK(xs_read_str(xs[0], 0, "/a", "b", small, 4) == -EINVAL);
	UNIT_CHECK(xs_write(xs[0], 0, "/a/b", NULL, 0) == 0);
	UNIT_REQUIRE(xs_read(xs[0], 0, "/a/b", &value, NULL) == 0);
	UNIT_CHECK(value[0] == '\0');
	free(value);
	UNIT_CHECK(xs_printf(xs[0], 0, "/a", "n", "%u", 4294967295u) == 0);
	UNIT_CHECK(xs_read_u32(xs[0], 0, "/a", "n", UINT32_MAX, &u32) == 0);
	UNIT_CHECK(u32 == UINT32_MAX);
	UNIT_CHECK(xs_read_u32(xs[0], 0, "/a", "n", 7, &u32) == -ERANGE);
	UNIT_CHECK(xs_printf(xs[0], 0, "/a", "n", "%s", "1x") == 0);
	UNIT_CHECK(xs_read_u64(xs[0], 0, "/a", "n", 7, &u64) == -EINVAL);
	UNIT_CHECK(xs_read_u32(xs[0], 0, "/a", "none", 7, &u32) == -ENOENT);
	UNIT_CHECK(xs_read_u32_default(xs[0], 0, "/a", "none", 7, 5, &u32) ==
			   0 &&
		   u32 == 5);
	UNIT_CHECK(xs_read_u32_default(xs[0], 0, "/a", "n", 7, 5, &u32) ==
		   -EINVAL);
	UNIT_CHECK(xs_read_str(xs[0], 0, "/a", "n", small, 3) == 0 &&
		   !strcmp(small, "1x"));
	UNIT_CHECK(xs_read_str(xs[0], 0, "/a", "n", small, 2) == -ENAMETOOLONG);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/a/c") == 0);
	UNIT_REQUIRE(xs_directory(xs[0], 0, "/a", &names, &nr) == 0);
	UNIT_CHECK(nr == 3 && !strcmp(names[0], "b") &&
		   !strcmp(names[1], "n") && !strcmp(names[2], "c"));
	free(names);
	UNIT_REQUIRE(xs_directory(xs[0], 0, "/a/c", &names, &nr) == 0);
	UNIT_CHECK(nr == 0);
	free(names);
	UNIT_CHECK(xs_rm(xs[0], 0, "/a") == 0);
	UNIT_CHECK(xs_read(xs[0], 0, "/a", &value, NULL) == -ENOENT);
	service_close(&s, xs);
}

static void errors_have_their_numbers(void)
{
	static const uint32_t domids[] = { 1 };
	static char big[5000], path[5000];
	struct service s;
	struct xs *xs[1];
	char *value;

	UNIT_REQUIRE(service_open(&s, domids, 1, xs));
	UNIT_CHECK(xs_read(xs[0], 0, "/secret", &value, NULL) == -EACCES);
	UNIT_CHECK(xs_write(xs[0], 0, "data/x", big, 2049) == -ENOSPC);
	UNIT_CHECK(xs_write(xs[0], 0, "data/x", big, 5000) == -E2BIG);
	UNIT_CHECK(xs_write(xs[0], 0, "/a//b", "", 0) == -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	UNIT_CHECK(xs_rm(xs[0], 0, path) == -E2BIG);
	UNIT_CHECK(xs_rm(xs[0], 99, "data/x") == -ENOENT);
	UNIT_CHECK(xs_is_domain_introduced(xs[0], 1) == 1);
	UNIT_CHECK(xs_is_domain_introduced(xs[0], 0) == -EACCES);
	service_close(&s, xs);
}

static void rights_go_there_and_back(void)
{
	static const uint32_t domids[] = { 0, 1 };
	struct xs_perm perms[] = { { 0, 'n' }, { 1, 'b' } }, got[2];
	struct service s;
	struct xs *xs[2];
	unsigned nr = 2;
	char *value;

	UNIT_REQUIRE(service_open(&s, domids, 2, xs));
	UNIT_CHECK(xs_write(xs[0], 0, "/x", "v", 1) == 0);
	UNIT_CHECK(xs_read(xs[1], 0, "/x", &value, NULL) == -EACCES);
	UNIT_CHECK(xs_set_perms(xs[0], 0, "/x", perms, 2) == 0);
	UNIT_CHECK(xs_get_perms(xs[1], 0, "/x", got, &nr) == 0 && nr == 2);
	UNIT_CHECK(got[0].domid == 0 && got[0].right == 'n' &&
		   got[1].domid == 1 && got[1].right == 'b');
	nr = 1;
	UNIT_CHECK(xs_get_perms(xs[1], 0, "/x", got, &nr) == -E2BIG);
	UNIT_REQUIRE(xs_read(xs[1], 0, "/x", &value, NULL) == 0);
	free(value);
	service_close(&s, xs);
}

static void a_big_directory_comes_whole(void)
{
	struct service s;
	struct xs *xs[1];
	char **names, name[16];
	unsigned nr, same = 0;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		UNIT_CHECK(xs_printf(xs[0], 0, "/big", name, "%u", i) == 0);
	}
	UNIT_REQUIRE(xs_directory(xs[0], 0, "/big", &names, &nr) == 0);
	UNIT_CHECK(nr == 3000);
	for (unsigned i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		same += !strcmp(names[i], name);
	}
	UNIT_CHECK(same == 3000);
	free(names);
	service_close(&s, xs);
}

/* ---- watches
 * ------------------------------------------------------------------ */

struct seen {
	struct xs *xs;
	struct xs_watch *kill; /* unwatched by the first event */
	unsigned nr;
	char last[64];
};

static void saw(void *arg, const char *path)
{
	struct seen *seen = arg;

	seen->nr++;
	snprintf(seen->last, sizeof(seen->last), "%s", path);
	if (seen->kill) {
		xs_unwatch(seen->xs, seen->kill);
		seen->kill = NULL;
	}
}

/* Dispatch until *nr is at least want; at most 10 s. */
static int dispatch_until(struct xs *xs, const unsigned *nr, unsigned want)
{
	for (int i = 0; i < 1000; i++) {
		struct pollfd pfd = { .fd = xs_fd(xs), .events = POLLIN };

		if (xs_dispatch(xs))
			return 0;
		if (*nr >= want)
			return 1;
		if (!xs_pending(xs))
			poll(&pfd, 1, 10);
	}
	return 0;
}

static void a_watch_calls_back_from_dispatch_only(void)
{
	struct service s;
	struct xs *xs[2];
	struct seen seen = { 0 };
	struct xs_watch *watch;

	UNIT_REQUIRE(service_open(&s, domain0, 2, xs));
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &seen, &watch) == 0);
	UNIT_CHECK(seen.nr == 0);
	UNIT_CHECK(dispatch_until(xs[0], &seen.nr, 1));
	UNIT_CHECK(!strcmp(seen.last, "/a"));
	UNIT_CHECK(xs_write(xs[1], 0, "/a/b", "", 0) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &seen.nr, 2));
	UNIT_CHECK(!strcmp(seen.last, "/a/b"));
	/* An event that comes during another call waits. */
	UNIT_CHECK(xs_write(xs[0], 0, "/a/c", "", 0) == 0);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/unrelated") == 0);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/unrelated") == 0);
	UNIT_CHECK(seen.nr == 2);
	UNIT_CHECK(xs_pending(xs[0]));
	UNIT_CHECK(dispatch_until(xs[0], &seen.nr, 3));
	UNIT_CHECK(seen.nr == 3 && !xs_pending(xs[0]));
	xs_unwatch(xs[0], watch);
	service_close(&s, xs);
}

static void nothing_is_called_after_unwatch(void)
{
	struct service s;
	struct xs *xs[1];
	struct seen one = { 0 }, two = { 0 };
	struct xs_watch *watch, *again;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &one, &watch) == 0);
	UNIT_CHECK(xs_write(xs[0], 0, "/a/b", "", 0) == 0);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/unrelated") == 0);
	xs_unwatch(xs[0], watch);
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &two, &again) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &two.nr, 1));
	UNIT_CHECK(one.nr == 0 && two.nr == 1);
	xs_unwatch(xs[0], NULL);
	service_close(&s, xs);
}

static void a_callback_may_unwatch_itself_and_others(void)
{
	struct service s;
	struct xs *xs[1];
	struct seen one = { 0 }, two = { 0 }, self = { 0 };
	struct xs_watch *watch;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	one.xs = self.xs = xs[0];
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &one, &watch) == 0);
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &two, &one.kill) == 0);
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &self, &self.kill) == 0);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/unrelated") == 0);
	UNIT_CHECK(xs_mkdir(xs[0], 0, "/unrelated") == 0);
	UNIT_CHECK(dispatch_until(xs[0], &self.nr, 1));
	UNIT_CHECK(one.nr == 1 && two.nr == 0 && self.nr == 1);
	UNIT_CHECK(xs_write(xs[0], 0, "/a", "", 0) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &one.nr, 2));
	UNIT_CHECK(self.nr == 1);
	service_close(&s, xs);
}

static void a_watch_goes_as_deep_as_it_is_told(void)
{
	struct service s;
	struct xs *xs[1];
	struct seen shallow = { 0 }, deep = { 0 };
	struct xs_watch *a, *b;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	UNIT_REQUIRE(xs_watch_depth(xs[0], "/a", 1, saw, &shallow, &a) == 0);
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &deep, &b) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &deep.nr, 1));
	UNIT_CHECK(xs_write(xs[0], 0, "/a/b", "", 0) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &deep.nr, 2));
	UNIT_CHECK(shallow.nr == 2);
	UNIT_CHECK(xs_write(xs[0], 0, "/a/b/c", "", 0) == 0);
	UNIT_CHECK(dispatch_until(xs[0], &deep.nr, 3));
	UNIT_CHECK(shallow.nr == 2);
	service_close(&s, xs);
}

static void waiting_events_are_bounded(void)
{
	struct service s;
	struct xs *xs[1];
	struct seen seen = { 0 };
	struct xs_watch *watch;
	char name[16];

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	UNIT_REQUIRE(xs_watch(xs[0], "/a", saw, &seen, &watch) == 0);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%u", i);
		UNIT_CHECK(xs_printf(xs[0], 0, "/a", name, "x") == 0);
	}
	UNIT_CHECK(dispatch_until(xs[0], &seen.nr, 1));
	UNIT_CHECK(seen.nr <= 1024);
	service_close(&s, xs);
}

/* ---- transactions
 * --------------------------------------------------------------- */

struct counting {
	struct xs *rival;
	unsigned nr_runs, nr_spoiled;
};

static int count_up(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct counting *c = arg;
	uint32_t n;
	int err = xs_read_u32(xs, tx, "", "counter", UINT32_MAX, &n);

	if (err)
		return err;
	if (c->nr_runs++ < c->nr_spoiled)
		err = xs_printf(c->rival, 0, "", "counter", "%u", n + 1);
	return err ? err : xs_printf(xs, tx, "", "counter", "%u", n + 1);
}

static void a_transaction_is_tried_again_until_it_holds(void)
{
	struct service s;
	struct xs *xs[2];
	struct counting c = { .nr_spoiled = 3 };
	uint32_t n;

	UNIT_REQUIRE(service_open(&s, domain0, 2, xs));
	c.rival = xs[1];
	UNIT_CHECK(xs_transaction(xs[0], count_up, &c) == -ENOENT);
	UNIT_CHECK(xs_printf(xs[0], 0, "", "counter", "0") == 0);
	UNIT_CHECK(xs_transaction(xs[0], count_up, &c) == 0);
	UNIT_CHECK(c.nr_runs == 4);
	UNIT_CHECK(xs_read_u32(xs[1], 0, "", "counter", 9, &n) == 0 && n == 4);
	c = (struct counting){ .rival = xs[1], .nr_spoiled = 1000 };
	UNIT_CHECK(xs_transaction(xs[0], count_up, &c) == -EAGAIN);
	UNIT_CHECK(c.nr_runs == XS_TXN_TRIES);
	service_close(&s, xs);
}

/* ---- a toolstack's calls ---------------------------------------------------
 */

static void domains_are_asked_for_and_released(void)
{
	static const uint32_t domids[] = { 0, 7 };
	struct seen seen = { 0 };
	struct xs_watch *watch;
	struct service s;
	struct xs *xs[2];
	char *path;

	UNIT_REQUIRE(service_open(&s, domids, 2, xs));
	UNIT_REQUIRE(xs_get_domain_path(xs[1], 7, &path) == 0);
	UNIT_CHECK(!strcmp(path, "/local/domain/7"));
	free(path);
	UNIT_CHECK(xs_is_domain_introduced(xs[0], 7) == 1);
	UNIT_CHECK(xs_introduce(xs[1], 7, 1, 2) == -EACCES);
	UNIT_CHECK(xs_set_target(xs[1], 7, 0) < 0);
	UNIT_CHECK(xs_set_quota(xs[1], 7, "nodes", 5) == -EACCES);
	UNIT_CHECK(xs_set_quota(xs[0], 7, "no such", 5) == -EINVAL);
	UNIT_CHECK(xs_set_quota(xs[0], 9, "nodes", 5) == -ENOENT);
	UNIT_CHECK(xs_set_quota(xs[0], 7, "watches", 1) == 0);
	UNIT_REQUIRE(xs_watch(xs[1], "a", saw, &seen, &watch) == 0);
	UNIT_CHECK(xs_watch(xs[1], "b", saw, &seen, &watch) == -E2BIG);
	UNIT_CHECK(xs_resume(xs[1], 7) < 0);
	UNIT_CHECK(xs_release(xs[1], 7) == -EACCES);
	UNIT_CHECK(xs_release(xs[0], 9) == -ENOENT);
	service_close(&s, xs);
}

static void control_takes_words_and_answers_text(void)
{
	static const char *const check[] = { "check", NULL };
	static const char *const two[] = { "check", "what", NULL };
	static char big[3000];
	const char *const too_big[] = { big, big, NULL };
	struct service s;
	struct xs *xs[1];
	char *text;
	size_t len;

	UNIT_REQUIRE(service_open(&s, domain0, 1, xs));
	UNIT_REQUIRE(xs_control(xs[0], check, &text, &len) == 0);
	UNIT_CHECK(!strcmp(text, "OK") && len == 3);
	free(text);
	UNIT_CHECK(xs_control(xs[0], two, &text, NULL) == -EINVAL);
	memset(big, 'x', sizeof(big) - 1);
	UNIT_CHECK(xs_control(xs[0], too_big, &text, NULL) == -E2BIG);
	service_close(&s, xs);
}

/* ---- against a store that talks nonsense
 * ------------------------------------------ */

struct liar {
	int fd;
	const void *bytes;
	size_t len;
};

/* Answer the first request with the bytes, whatever it was, then hang up. */
static void *lie(void *arg)
{
	struct liar *liar = arg;
	char buf[4200];

	if (recv(liar->fd, buf, sizeof(buf), 0) > 0 &&
	    send(liar->fd, liar->bytes, liar->len, MSG_NOSIGNAL) < 0)
		perror("send");
	close(liar->fd);
	return NULL;
}

/* What xs_read says to these bytes; afterwards the connection is lost. */
static int read_from_liar(const void *bytes, size_t len)
{
	struct liar liar = { .bytes = bytes, .len = len };
	struct xs *xs;
	pthread_t thread;
	char *value = NULL;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
	    xs_open_fd(pair[0], &xs))
		return 1;
	liar.fd = pair[1];
	if (pthread_create(&thread, NULL, lie, &liar))
		return 1;
	err = xs_read(xs, 0, "/a", &value, NULL);
	pthread_join(thread, NULL);
	if (!err)
		free(value);
	else if (xs_mkdir(xs, 0, "/a") != -ECONNRESET ||
		 xs_dispatch(xs) != -ECONNRESET || xs_pending(xs))
		err = 1;
	xs_close(xs);
	return err;
}

static int lies(uint32_t type, uint32_t req_id, uint32_t len,
		const void *payload, size_t bytes)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = req_id, .len = len };
	char buf[sizeof(hdr) + 4200];

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, bytes);
	return read_from_liar(buf, sizeof(hdr) + bytes);
}

static void nonsense_ends_the_connection(void)
{
	static const char zeros[4200];

	UNIT_CHECK(lies(XS_READ, 1, 2, "ok", 2) == 0);
	UNIT_CHECK(lies(XS_READ, 2, 2, "ok", 2) == -EPROTO);
	UNIT_CHECK(lies(XS_WRITE, 1, 2, "ok", 2) == -EPROTO);
	UNIT_CHECK(lies(XS_READ, 1, 4097, zeros, 4097) == -EPROTO);
	UNIT_CHECK(lies(XS_READ, 1, UINT32_MAX, zeros, 0) == -EPROTO);
	UNIT_CHECK(lies(XS_READ, 1, 4096, zeros, 17) == -ECONNRESET);
	UNIT_CHECK(lies(XS_ERROR, 1, 0, "", 0) == -EPROTO);
	UNIT_CHECK(lies(XS_ERROR, 1, 6, "ENOENT", 6) == -EPROTO);
	UNIT_CHECK(lies(XS_WATCH_EVENT, 0, 0, "", 0) == -EPROTO);
	UNIT_CHECK(lies(XS_WATCH_EVENT, 0, 2, "/a", 2) == -EPROTO);
	UNIT_CHECK(lies(XS_WATCH_EVENT, 0, 3, "/a", 3) == -EPROTO);
	UNIT_CHECK(lies(XS_WATCH_EVENT, 0, 4096, zeros, 4096) == -ECONNRESET);
	UNIT_CHECK(lies(XS_WATCH_EVENT, 0, 5, "/a\0x", 5) == -ECONNRESET);
	UNIT_CHECK(read_from_liar("", 0) == -ECONNRESET);
}

struct sloth {
	int fd;
	unsigned nr_answers, delay_us;
};

static void *answer_late(void *arg)
{
	static const struct xsd_sockmsg ok = { .type = XS_WRITE, .len = 3 };
	const struct sloth *sloth = arg;
	char buf[sizeof(ok) + 3];

	for (unsigned i = 0; i < sloth->nr_answers; i++) {
		struct xsd_sockmsg hdr = ok;

		if (recv(sloth->fd, buf, sizeof(buf), 0) < (int)sizeof(hdr))
			break;
		memcpy(&hdr.req_id, buf + offsetof(struct xsd_sockmsg, req_id),
		       sizeof(hdr.req_id));
		usleep(sloth->delay_us);
		memcpy(buf, &hdr, sizeof(hdr));
		memcpy(buf + sizeof(hdr), "OK", 3);
		if (send(sloth->fd, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			break;
	}
	return NULL;
}

static uint64_t own_cpu_us(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_THREAD, &ru))
		return 0;
	return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

/* Polling before a sleep is for answers that come at once. */
static void a_call_whose_answer_takes_long_sleeps(void)
{
	struct sloth sloth = { .nr_answers = 20, .delay_us = 20000 };
	pthread_t thread;
	struct xs *xs;
	uint64_t cpu_us;
	int pair[2];

	UNIT_REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	UNIT_REQUIRE(xs_open_fd(pair[0], &xs) == 0);
	sloth.fd = pair[1];
	UNIT_REQUIRE(!pthread_create(&thread, NULL, answer_late, &sloth));
	cpu_us = own_cpu_us();
	for (unsigned i = 0; i < sloth.nr_answers; i++)
		UNIT_CHECK(xs_write(xs, 0, "/", "", 0) == 0);
	cpu_us = own_cpu_us() - cpu_us;
	UNIT_CHECK(cpu_us < sloth.nr_answers * sloth.delay_us / 10);
	pthread_join(thread, NULL);
	xs_close(xs);
	close(pair[1]);
}

static void the_end_of_the_store_is_noticed(void)
{
	struct xs *xs;
	int pair[2];

	UNIT_REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	UNIT_REQUIRE(xs_open_fd(pair[0], &xs) == 0);
	UNIT_CHECK(xs_dispatch(xs) == 0);
	close(pair[1]);
	UNIT_CHECK(xs_dispatch(xs) == -ECONNRESET);
	UNIT_CHECK(xs_mkdir(xs, 0, "/a") == -ECONNRESET);
	xs_close(xs);
	xs_close(NULL);
}

UNIT_MAIN("xs_client", UNIT_TEST(values_go_there_and_back),
	  UNIT_TEST(errors_have_their_numbers),
	  UNIT_TEST(rights_go_there_and_back),
	  UNIT_TEST(a_big_directory_comes_whole),
	  UNIT_TEST(a_watch_calls_back_from_dispatch_only),
	  UNIT_TEST(nothing_is_called_after_unwatch),
	  UNIT_TEST(a_callback_may_unwatch_itself_and_others),
	  UNIT_TEST(a_watch_goes_as_deep_as_it_is_told),
	  UNIT_TEST(waiting_events_are_bounded),
	  UNIT_TEST(a_transaction_is_tried_again_until_it_holds),
	  UNIT_TEST(domains_are_asked_for_and_released),
	  UNIT_TEST(control_takes_words_and_answers_text),
	  UNIT_TEST(nonsense_ends_the_connection),
	  UNIT_TEST(a_call_whose_answer_takes_long_sleeps),
	  UNIT_TEST(the_end_of_the_store_is_noticed))
