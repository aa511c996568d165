/* SPDX-License-Identifier: MIT */
/*
 * store_kill.c - the store is killed at random moments under a writing load.
 *
 *	store_kill STORE-PROGRAM DIR KILLS [SEED]
 *
 * Plays the broker: starts the store, gives it two listening sockets, kills it,
 * starts it again. Several clients write meanwhile, many requests under way at
 * a time, and write down what was acknowledged. After each death every node
 * must hold what was acknowledged last, or what was asked for and not answered;
 * the three nodes of a transaction must agree; nothing else may be there.
 * Used by store-kill.sh.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/spawn.h"
#include "xenstore-lite/domctl.h"

#define NR_CLIENTS 6 /* the odd ones are domain 1's */
#define NR_KEYS	   12
#define NR_IN_TXN  3 /* keys 0 .. 2 change together, in transactions */
#define DEPTH	   8
#define VALUE_PAD  300 /* so that segments are ended and snapshots written */

struct flight {
	uint32_t req_id, key;
	uint64_t value; /* 0: removed */
};

struct client {
	int fd;
	uint32_t domid, idx, req_id, tx_id;
	uint64_t acked[NR_KEYS], asked[NR_KEYS]; /* asked 0 and !open: none */
	bool open[NR_KEYS];			 /* asked is under way */
	struct flight flights[DEPTH];
	unsigned nr_flights;
	int txn_step; /* 0: none is under way; else what is waited for */
	uint64_t txn_value;
	char in[65536];
	size_t in_len;
};

static struct client clients[NR_CLIENTS];
static int listeners[2];
static char sockets[2][108];
static const char *program, *directory;
static uint64_t seed, next_value, next_seq, nr_acked, nr_commits;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static void die(const char *what, int err)
{
	printf("FAILED  %s: %s\n", what, strerror(err));
	exit(1);
}

/* ---- the broker's part ----------------------------------------------------
 */

static void tell(int sock, uint32_t op, uint32_t domid, int fd)
{
	struct domctl_msg msg = { .version = DOMCTL_VERSION,
				  .op = op,
				  .seq = ++next_seq,
				  .domid = domid };
	int err;

	if (op == DOMCTL_CREATE) {
		msg.life = domid ? 77 : DOMCTL_DOMAIN0_LIFE;
		snprintf(msg.name, sizeof(msg.name), "d%u", domid);
	}
	err = fdmsg_send(sock, &msg, sizeof(msg), &fd, fd >= 0, 0);
	if (err)
		die("the store does not listen", -err);
}

/* Until it has answered that it is synced. */
static void wait_synced(int sock)
{
	struct domctl_msg msg = { 0 };

	while (msg.op != DOMCTL_SYNCED) {
		unsigned nr_fds = 0;
		ssize_t n =
			fdmsg_recv(sock, &msg, sizeof(msg), NULL, &nr_fds, 0);

		if (n != (ssize_t)sizeof(msg))
			die("the store does not come up", n < 0 ? (int)-n : 0);
		if (msg.status)
			die("the store refuses a domain", -msg.status);
	}
}

static pid_t start_store(int *ret_sock)
{
	const char *const argv[] = { program, "--run-dir", directory, NULL };
	struct spawn s = { .program = program,
			   .argv = argv,
			   .dies_with_us = true,
			   .no_stdio = true };
	int pair[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair", errno);
	s.sock = pair[1];
	err = spawn(&s, &pid);
	if (err)
		die(program, -err);
	close(pair[1]);
	tell(pair[0], DOMCTL_CREATE, 0, listeners[0]);
	tell(pair[0], DOMCTL_CREATE, 1, listeners[1]);
	tell(pair[0], DOMCTL_SYNCED, 0, -1);
	wait_synced(pair[0]);
	*ret_sock = pair[0];
	return pid;
}

/* ---- one client -----------------------------------------------------------
 */

static int connect_to(uint32_t domid)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, sockets[domid]);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("connect", errno);
	return fd;
}

static void path_of(const struct client *c, uint32_t key, char *buf,
		    size_t size)
{
	if (c->domid)
		snprintf(buf, size, "data/c%u/k%u", c->idx, key);
	else
		snprintf(buf, size, "/load/c%u/k%u", c->idx, key);
}

/* false: the store is dead. */
static bool ask(struct client *c, uint32_t type, uint32_t tx, const void *data,
		size_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + 1024];
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++c->req_id,
				   .tx_id = tx,
				   .len = (uint32_t)len };

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), data, len);
	return send(c->fd, buf, sizeof(hdr) + len, MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(hdr) + len);
}

static bool ask_value(struct client *c, uint32_t tx, uint32_t key,
		      uint64_t value)
{
	char buf[512];
	size_t len;

	path_of(c, key, buf, 64);
	len = strlen(buf) + 1;
	if (!value)
		return ask(c, XS_RM, tx, buf, len);
	len += (size_t)snprintf(buf + len, sizeof(buf) - len, "%llu:%0*d",
				(unsigned long long)value, VALUE_PAD, 0);
	return ask(c, XS_WRITE, tx, buf, len);
}

/* A node that nobody is asking about, changed. */
static bool begin_change(struct client *c)
{
	uint32_t key = NR_IN_TXN + rnd(NR_KEYS - NR_IN_TXN);
	struct flight *f;

	if (c->open[key] || c->nr_flights == DEPTH)
		return true;
	f = &c->flights[c->nr_flights++];
	f->key = key;
	f->value = rnd(8) || !c->acked[key] ? ++next_value : 0;
	f->req_id = c->req_id + 1;
	c->asked[key] = f->value;
	c->open[key] = true;
	return ask_value(c, 0, key, f->value);
}

/* Steps of a transaction: start, three writes, commit; each when the one
 * before it was answered. */
enum {
	TXN_NONE,
	TXN_START,
	TXN_WRITE,
	TXN_COMMIT = TXN_WRITE + NR_IN_TXN
};

static bool begin_txn(struct client *c)
{
	c->txn_step = TXN_START;
	return ask(c, XS_TRANSACTION_START, 0, "", 1);
}

static bool next_txn_step(struct client *c, const char *reply)
{
	if (c->txn_step == TXN_START) {
		c->tx_id = (uint32_t)strtoul(reply, NULL, 10);
		c->txn_value = ++next_value;
	}
	if (c->txn_step == TXN_COMMIT) {
		for (unsigned i = 0; i < NR_IN_TXN; i++) {
			c->acked[i] = c->txn_value;
			c->open[i] = false;
		}
		nr_commits++;
		c->txn_step = TXN_NONE;
		return true;
	}
	c->txn_step++;
	if (c->txn_step < TXN_COMMIT)
		return ask_value(c, c->tx_id, (uint32_t)c->txn_step - TXN_WRITE,
				 c->txn_value);
	for (unsigned i = 0; i < NR_IN_TXN; i++) {
		c->asked[i] = c->txn_value;
		c->open[i] = true;
	}
	return ask(c, XS_TRANSACTION_END, c->tx_id, "T", 2);
}

static bool answered(struct client *c, const struct xsd_sockmsg *hdr,
		     const char *payload)
{
	if (hdr->type == XS_ERROR && strcmp(payload, "ENOENT") != 0)
		die(payload, EPROTO);
	for (unsigned i = 0; i < c->nr_flights; i++) {
		struct flight f = c->flights[i];

		if (f.req_id != hdr->req_id)
			continue;
		c->acked[f.key] = f.value;
		c->open[f.key] = false;
		c->flights[i] = c->flights[--c->nr_flights];
		nr_acked++;
		return true;
	}
	return next_txn_step(c, payload);
}

/* What has arrived; false: the store is dead. */
static bool hear(struct client *c, int flags)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len,
			 flags);
	struct xsd_sockmsg hdr;
	bool alive = n > 0 || (n < 0 && errno == EAGAIN);
	size_t at = 0;

	c->in_len += n > 0 ? (size_t)n : 0;
	while (c->in_len - at >= sizeof(hdr)) {
		memcpy(&hdr, c->in + at, sizeof(hdr));
		if (c->in_len - at < sizeof(hdr) + hdr.len)
			break;
		alive &= answered(c, &hdr, c->in + at + sizeof(hdr));
		at += sizeof(hdr) + hdr.len;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
	return alive;
}

/* ---- a life of the store --------------------------------------------------
 */

static void load_until(uint64_t end_ns)
{
	struct pollfd pfds[NR_CLIENTS];

	while (clock_now_ns() < end_ns) {
		for (unsigned i = 0; i < NR_CLIENTS; i++) {
			struct client *c = &clients[i];

			if (!c->txn_step && rnd(4) == 0)
				begin_txn(c);
			begin_change(c);
			begin_change(c);
			pfds[i] = (struct pollfd){ .fd = c->fd,
						   .events = POLLIN };
		}
		poll(pfds, NR_CLIENTS, 1);
		for (unsigned i = 0; i < NR_CLIENTS; i++)
			if (pfds[i].revents && !hear(&clients[i], MSG_DONTWAIT))
				die("the store died by itself", ECONNRESET);
	}
}

/* What it had sent before it died was acknowledged. */
static void bury(struct client *c)
{
	while (hear(c, 0))
		;
	close(c->fd);
	c->nr_flights = 0;
	c->in_len = 0;
	c->txn_step = TXN_NONE;
}

/* One answer of a connection that has asked one thing. */
static uint32_t listen_once(int fd, char *buf, size_t size, size_t *len)
{
	struct xsd_sockmsg hdr;

	if (recv(fd, &hdr, sizeof(hdr), MSG_WAITALL) != (ssize_t)sizeof(hdr) ||
	    hdr.len >= size ||
	    recv(fd, buf, hdr.len, MSG_WAITALL) != (ssize_t)hdr.len)
		die("no answer after a restart", EPROTO);
	buf[hdr.len] = '\0';
	*len = hdr.len;
	return hdr.type;
}

static uint64_t read_key(struct client *c, uint32_t key)
{
	char buf[XENSTORE_PAYLOAD_MAX + 1];
	size_t len;

	path_of(c, key, buf, 64);
	ask(c, XS_READ, 0, buf, strlen(buf) + 1);
	if (listen_once(c->fd, buf, sizeof(buf), &len) == XS_READ)
		return strtoull(buf, NULL, 10);
	if (strcmp(buf, "ENOENT") != 0)
		die(buf, EPROTO);
	return 0;
}

static void check_key(struct client *c, uint32_t key)
{
	uint64_t value = read_key(c, key);

	if (value != c->acked[key] &&
	    !(c->open[key] && value == c->asked[key])) {
		printf("FAILED  client %u key %u holds %llu: acknowledged %llu, under way %llu\n",
		       c->idx, key, (unsigned long long)value,
		       (unsigned long long)c->acked[key],
		       (unsigned long long)(c->open[key] ? c->asked[key] : 0));
		exit(1);
	}
	c->acked[key] = value;
	c->open[key] = false;
}

/* As many children as there are nodes that hold something. */
static void check_list(struct client *c)
{
	char buf[XENSTORE_PAYLOAD_MAX + 1], *slash;
	unsigned nr = 0, expected = 0;
	size_t len;

	path_of(c, 0, buf, 64);
	slash = strrchr(buf, '/');
	*slash = '\0';
	ask(c, XS_DIRECTORY, 0, buf, strlen(buf) + 1);
	if (listen_once(c->fd, buf, sizeof(buf), &len) == XS_DIRECTORY)
		for (size_t i = 0; i < len; i++)
			nr += buf[i] == '\0';
	for (unsigned i = 0; i < NR_KEYS; i++)
		expected += c->acked[i] != 0;
	if (nr != expected) {
		printf("FAILED  client %u has %u nodes instead of %u\n", c->idx,
		       nr, expected);
		exit(1);
	}
}

static void check_client(struct client *c)
{
	for (uint32_t key = 0; key < NR_KEYS; key++)
		check_key(c, key);
	for (uint32_t key = 1; key < NR_IN_TXN; key++)
		if (c->acked[key] != c->acked[0]) {
			printf("FAILED  client %u: half a transaction\n",
			       c->idx);
			exit(1);
		}
	check_list(c);
}

static void life(bool kill_it)
{
	int sock, status;
	pid_t pid = start_store(&sock);

	for (unsigned i = 0; i < NR_CLIENTS; i++) {
		clients[i].fd = connect_to(clients[i].domid);
		check_client(&clients[i]);
	}
	if (kill_it) {
		load_until(clock_now_ns() + rnd(40000) * NS_PER_US);
		kill(pid, SIGKILL);
	} else {
		kill(pid, SIGTERM);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid", errno);
	if (kill_it ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL
		    : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("the store died by itself", 0);
	for (unsigned i = 0; i < NR_CLIENTS; i++)
		bury(&clients[i]);
	close(sock);
}

static void set_up(void)
{
	char home[90];

	mkdir(directory, 0755);
	for (uint32_t d = 0; d < 2; d++) {
		snprintf(home, sizeof(home), "%s/%u", directory, d);
		mkdir(home, 0755);
		snprintf(sockets[d], sizeof(sockets[d]), "%s/xenstore", home);
		listeners[d] = unix_listen(sockets[d], SOCK_STREAM, geteuid());
		if (listeners[d] < 0)
			die(sockets[d], -listeners[d]);
	}
	for (unsigned i = 0; i < NR_CLIENTS; i++) {
		clients[i].idx = i;
		clients[i].domid = i % 2;
	}
}

int main(int argc, char **argv)
{
	unsigned kills;

	if (argc < 4) {
		fprintf(stderr, "usage: store_kill PROGRAM DIR KILLS [SEED]\n");
		return 2;
	}
	program = argv[1];
	directory = argv[2];
	kills = (unsigned)strtoul(argv[3], NULL, 10);
	seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	set_up();
	for (unsigned i = 0; i < kills; i++)
		life(true);
	life(false);
	printf("%u kills, %llu writes and %llu transactions acknowledged\n",
	       kills, (unsigned long long)nr_acked,
	       (unsigned long long)nr_commits);
	return nr_acked && nr_commits ? 0 : 1;
}
