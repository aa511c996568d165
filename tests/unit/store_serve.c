/* SPDX-License-Identifier: MIT */
/*
 * store_serve.c - the store's sockets: whoever has to wait gets his answer
 * without another byte of his, and nobody else waits with him. One thread: the
 * loop runs when told to.
 */
#include "xenstore-lite/serve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "xenstore-lite/credit.h"
#include "xenstore-lite/limits.h"

#define NR_DOMAINS 3u

static struct {
	char dir[64], paths[NR_DOMAINS][96];
	struct loop *loop;
	struct server *server;
	int socks[NR_DOMAINS];
} s;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void begin(void)
{
	log_init("test", LOG_ERROR + 1);
	memset(&s, 0, sizeof(s));
	snprintf(s.dir, sizeof(s.dir), "/tmp/pvsplit-unit-XXXXXX");
	must(mkdtemp(s.dir) != NULL, "mkdtemp");
	must(!loop_open(&s.loop) && !server_open(s.loop, &s.server), "open");
	for (unsigned i = 0; i < NR_DOMAINS; i++) {
		int fd;

		snprintf(s.paths[i], sizeof(s.paths[i]), "%s/%u", s.dir, i);
		fd = unix_listen(s.paths[i], SOCK_STREAM, geteuid());
		must(fd >= 0 && !server_add_domain(s.server, (domid_t)i, i + 1,
						   "d", geteuid(), fd),
		     "domain");
		s.socks[i] = unix_connect(s.paths[i], SOCK_STREAM);
		must(s.socks[i] >= 0, "connect");
	}
}

static void end(void)
{
	for (unsigned i = 0; i < NR_DOMAINS; i++)
		close(s.socks[i]);
	server_close(s.server);
	loop_close(s.loop);
	for (unsigned i = 0; i < NR_DOMAINS; i++)
		unlink(s.paths[i]);
	UNIT_CHECK(rmdir(s.dir) == 0);
}

static void round_until(uint64_t deadline_ns)
{
	must(!loop_once(s.loop, deadline_ns), "loop_once");
}

static void send_to(unsigned who, uint32_t type, uint32_t tx,
		    const void *payload, size_t len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .tx_id = tx,
				   .len = (uint32_t)len };
	char buf[sizeof(hdr) + 256];

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	must(send(s.socks[who], buf, sizeof(hdr) + len, 0) ==
		     (ssize_t)(sizeof(hdr) + len),
	     "send");
}

/* One answer if there is one: its type, else -1. Its text in reply. */
static int take(unsigned who, char reply[XENSTORE_PAYLOAD_MAX + 1])
{
	struct xsd_sockmsg hdr;

	if (recv(s.socks[who], &hdr, sizeof(hdr), MSG_DONTWAIT | MSG_PEEK) !=
	    (ssize_t)sizeof(hdr))
		return -1;
	must(recv(s.socks[who], &hdr, sizeof(hdr), 0) == sizeof(hdr) &&
		     recv(s.socks[who], reply, hdr.len, MSG_WAITALL) ==
			     (ssize_t)hdr.len,
	     "recv");
	reply[hdr.len] = '\0';
	return (int)hdr.type;
}

static int ask(unsigned who, uint32_t type, uint32_t tx, const void *payload,
	       size_t len, char *reply)
{
	char own[XENSTORE_PAYLOAD_MAX + 1];
	int got;

	send_to(who, type, tx, payload, len);
	for (int i = 0; i < 100; i++) {
		round_until(0);
		got = take(who, reply ? reply : own);
		if (got >= 0)
			return got == (int)type ? 0 : -1;
	}
	return -1;
}

#define WRITE(who, text) ask(who, XS_WRITE, 0, text, sizeof(text), NULL)

/* A transaction of domain 0's that domain 1's writing makes fail. */
static void get_paused(void)
{
	char reply[XENSTORE_PAYLOAD_MAX + 1];
	uint32_t tx;

	UNIT_CHECK(WRITE(0, "/x\0") == 0);
	UNIT_CHECK(ask(0, XS_SET_PERMS, 0, "/x\0b0", 6, NULL) == 0);
	for (unsigned i = 0; i < 500; i++)
		UNIT_CHECK(WRITE(1, "/x\0") == 0);
	UNIT_CHECK(ask(0, XS_TRANSACTION_START, 0, "", 1, reply) == 0);
	tx = (uint32_t)strtoul(reply, NULL, 10);
	UNIT_CHECK(ask(0, XS_READ, tx, "/x", 3, NULL) == 0);
	UNIT_CHECK(WRITE(1, "/x\0") == 0);
	UNIT_CHECK(ask(0, XS_TRANSACTION_END, tx, "T", 2, reply) == -1);
	UNIT_CHECK(strcmp(reply, "EAGAIN") == 0);
}

static void who_is_paused_is_answered_when_that_is_over(void)
{
	char reply[XENSTORE_PAYLOAD_MAX + 1];
	uint64_t start_ns, end_ns;
	int got = -1;

	begin();
	get_paused();
	start_ns = clock_now_ns();
	end_ns = start_ns + 10 * NS_PER_S;
	send_to(1, XS_READ, 0, "/x", 3);
	/* Others meanwhile. */
	UNIT_CHECK(ask(2, XS_READ, 0, "name", 5, NULL) == 0);
	UNIT_CHECK(take(1, reply) == -1);
	while (got < 0 && clock_now_ns() < end_ns) {
		round_until(clock_now_ns() + 20 * NS_PER_MS);
		got = take(1, reply);
	}
	UNIT_CHECK(got == XS_READ);
	UNIT_CHECK(clock_now_ns() - start_ns < 2 * XSD_PAUSE_MAX_NS);
	end();
}

static void who_is_paused_may_leave_or_die(void)
{
	begin();
	get_paused();
	send_to(1, XS_READ, 0, "/x", 3);
	close(s.socks[1]);
	s.socks[1] = unix_connect(s.paths[1], SOCK_STREAM);
	for (unsigned i = 0; i < 10; i++)
		round_until(0);
	UNIT_CHECK(server_remove_domain(s.server, 1, 2) == 0);
	UNIT_CHECK(ask(2, XS_READ, 0, "name", 5, NULL) == 0);
	/* Nothing is left to wake up for. */
	round_until(clock_now_ns() + 2 * XSD_CREDIT_OWED_NS);
	UNIT_CHECK(ask(0, XS_READ, 0, "/x", 3, NULL) == 0);
	end();
}

/* Each of one's requests costs a turn; the other's is answered in between. */
static void costly_requests_let_others_pass(void)
{
	char reply[XENSTORE_PAYLOAD_MAX + 1], path[32];
	unsigned nr = 0, nr_before = 0;
	bool answered = false;

	begin();
	for (unsigned i = 0; i < XSD_TURN_WORK; i++) {
		snprintf(path, sizeof(path), "/big/%u", i);
		UNIT_CHECK(ask(0, XS_MKDIR, 0, path, strlen(path) + 1, NULL) ==
			   0);
	}
	UNIT_CHECK(ask(0, XS_SET_PERMS, 0, "/big\0r0", 8, NULL) == 0);
	UNIT_CHECK(ask(2, XS_READ, 0, "name", 5, NULL) == 0);
	for (unsigned i = 0; i < 10; i++)
		send_to(1, XS_DIRECTORY, 0, "/big", 5);
	send_to(2, XS_READ, 0, "name", 5);
	for (unsigned i = 0; i < 100 && nr < 10; i++) {
		round_until(0);
		while (take(1, reply) >= 0) {
			UNIT_CHECK(strcmp(reply, "E2BIG") == 0);
			nr++;
		}
		if (!answered && take(2, reply) >= 0) {
			answered = true;
			nr_before = nr;
		}
	}
	UNIT_CHECK(nr == 10 && answered);
	UNIT_CHECK(nr_before <= 2);
	end();
}

UNIT_MAIN("store_serve", UNIT_TEST(who_is_paused_is_answered_when_that_is_over),
	  UNIT_TEST(who_is_paused_may_leave_or_die),
	  UNIT_TEST(costly_requests_let_others_pass))
