/* SPDX-License-Identifier: MIT */
/*
 * store_domctl.c - the store's side of domctl.h, with real sockets: the test
 * plays the broker and the clients. One thread: the loop runs when told to.
 */
#include "xenstore-lite/domctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "tests/unit/unit.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "util/num.h"
#include "xenstore-lite/domctl.h"

#define ROUNDS 16

static struct {
	char dir[64];
	struct loop *loop;
	struct server *server;
	struct domctl_server *ds;
	int broker, store; /* the two ends */
	uint64_t next_seq;
	unsigned nr_over;
	int err;
} scene;

/* ---- the scene ---------------------------------------------------------- */

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void settle(void)
{
	for (int i = 0; i < ROUNDS; i++)
		must(!loop_once(scene.loop, 0), "loop_once");
}

static void over(void *arg, int err)
{
	(void)arg;
	scene.nr_over++;
	scene.err = err;
}

static void start_store(bool remember)
{
	char dir[128];
	struct journal_options journal = { .dir = dir };
	int pair[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
	     "socketpair");
	scene.broker = pair[0];
	scene.store = pair[1];
	must(!loop_open(&scene.loop) &&
		     !server_open(scene.loop, &scene.server) &&
		     !domctl_server_open(scene.loop, scene.server, pair[1],
					 over, NULL, &scene.ds),
	     "open");
	if (!remember)
		return;
	must(str_printf(dir, sizeof(dir), "%s/store", scene.dir) > 0, "path");
	must(!server_remember(scene.server, &journal), "remember");
}

/* As when it is killed: what it has sent is all that it has done. */
static void kill_store(void)
{
	domctl_server_close(scene.ds);
	server_close(scene.server);
	loop_close(scene.loop);
	close(scene.store);
	if (scene.broker >= 0)
		close(scene.broker);
}

static void begin_scene(bool remember)
{
	log_init("test", LOG_ERROR + 1);
	memset(&scene, 0, sizeof(scene));
	snprintf(scene.dir, sizeof(scene.dir), "/tmp/pvsplit-unit-XXXXXX");
	must(mkdtemp(scene.dir) != NULL, "mkdtemp");
	start_store(remember);
}

static void begin(void)
{
	begin_scene(false);
}

static void end(void)
{
	kill_store();
	UNIT_CHECK(rmdir(scene.dir) == 0);
}

/* ---- the broker --------------------------------------------------------- */

static int listen_at(const char *name)
{
	char path[128];
	int fd;

	must(str_printf(path, sizeof(path), "%s/%s", scene.dir, name) > 0,
	     "path");
	unlink(path);
	fd = unix_listen(path, SOCK_STREAM, geteuid());
	must(fd >= 0, "listen");
	return fd;
}

static void remove_socket(const char *name)
{
	char path[128];

	must(str_printf(path, sizeof(path), "%s/%s", scene.dir, name) > 0 &&
		     unlink(path) == 0,
	     name);
}

static struct domctl_msg message(enum domctl_op op, uint32_t domid,
				 uint64_t life)
{
	struct domctl_msg msg = { .version = DOMCTL_VERSION,
				  .op = op,
				  .seq = ++scene.next_seq,
				  .life = life,
				  .domid = domid };

	if (op == DOMCTL_CREATE) {
		msg.uid = geteuid();
		snprintf(msg.name, sizeof(msg.name), "domain-%u", domid);
	}
	return msg;
}

/* The answer's status; 1: there is none, or it is no answer to that. */
static int tell(struct domctl_msg msg, int fd)
{
	struct domctl_msg back;

	must(!fdmsg_send(scene.broker, &msg, sizeof(msg), &fd, fd >= 0, 0),
	     "tell");
	settle();
	if (fdmsg_recv(scene.broker, &back, sizeof(back), NULL, NULL,
		       MSG_DONTWAIT) != sizeof(back) ||
	    back.op != msg.op || back.seq != msg.seq || back.life != msg.life ||
	    back.domid != msg.domid)
		return 1;
	return back.status;
}

/* A domain, at a socket that has its number. */
static int tell_create(uint32_t domid, uint64_t life)
{
	char name[12];
	int fd, err;

	snprintf(name, sizeof(name), "%u", domid);
	fd = listen_at(name);
	err = tell(message(DOMCTL_CREATE, domid, life), fd);
	close(fd);
	return err;
}

/* ---- clients ------------------------------------------------------------ */

static int client_open(const char *name)
{
	char path[128];
	int sock;

	must(str_printf(path, sizeof(path), "%s/%s", scene.dir, name) > 0,
	     "path");
	sock = unix_connect(path, SOCK_STREAM);
	must(sock >= 0, "connect");
	settle();
	return sock;
}

/* The store has closed it. */
static bool dropped(int sock)
{
	char c;

	settle();
	return recv(sock, &c, 1, MSG_DONTWAIT) == 0;
}

/* One request; the answer's payload, or "ENOENT" and its like; "" none. */
static const char *ask(int sock, enum xsd_sockmsg_type type,
		       const void *payload, size_t len)
{
	static char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg hdr = { .type = type, .len = (uint32_t)len };
	ssize_t n;

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	must(send(sock, buf, sizeof(hdr) + len, MSG_NOSIGNAL) > 0, "send");
	settle();
	n = recv(sock, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	return n > (ssize_t)sizeof(hdr) ? buf + sizeof(hdr) : "";
}

static const char *ask_read(int sock, const char *path)
{
	return ask(sock, XS_READ, path, strlen(path) + 1);
}

static bool writes(int sock, const char *path, const char *value)
{
	char buf[256];
	size_t len = strlen(path) + 1;

	memcpy(buf, path, len);
	memcpy(buf + len, value, strlen(value) + 1); /* its NUL is not sent */
	return !strcmp(ask(sock, XS_WRITE, buf, len + strlen(value)), "OK");
}

/* ---- tests -------------------------------------------------------------- */

static void knows_what_the_broker_gives_it(void)
{
	int pair[2], fd;

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	UNIT_CHECK(domctl_server_is_ours(pair[0]));
	close(pair[0]);
	UNIT_CHECK(!domctl_server_is_ours(pair[0]));
	close(pair[1]);
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	UNIT_CHECK(!domctl_server_is_ours(pair[0]));
	close(pair[0]);
	close(pair[1]);
	must(!pipe(pair), "pipe");
	UNIT_CHECK(!domctl_server_is_ours(pair[0]));
	close(pair[0]);
	close(pair[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	UNIT_CHECK(!domctl_server_is_ours(fd));
	close(fd);
}

static void serves_the_domains_that_it_is_told_of(void)
{
	int sock, early, fd;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0);
	/* One who came before the store did. */
	fd = listen_at("5");
	early = client_open("5");
	UNIT_CHECK(tell(message(DOMCTL_CREATE, 5, 77), fd) == 0);
	close(fd);
	UNIT_CHECK(!strcmp(ask_read(early, "name"), "domain-5"));
	sock = client_open("0");
	UNIT_CHECK(!strcmp(ask_read(sock, "name"), "domain-0"));
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/5/domid"), "5"));
	UNIT_CHECK(tell(message(DOMCTL_SYNCED, 0, 0), -1) == 0);
	UNIT_CHECK(!strcmp(ask_read(early, "name"), "domain-5"));
	close(sock);
	close(early);
	remove_socket("0");
	remove_socket("5");
	end();
}

static void drops_a_domain_that_is_over(void)
{
	int sock, guest;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 77) == 0);
	sock = client_open("0");
	guest = client_open("5");
	UNIT_CHECK(writes(guest, "data/x", "1"));
	/* Another life of it is none of our business. */
	UNIT_CHECK(tell(message(DOMCTL_DESTROY, 5, 76), -1) == -ENOENT);
	UNIT_CHECK(!strcmp(ask_read(guest, "data/x"), "1"));
	UNIT_CHECK(tell(message(DOMCTL_DESTROY, 5, 77), -1) == 0);
	UNIT_CHECK(dropped(guest));
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/5"), "ENOENT"));
	UNIT_CHECK(tell(message(DOMCTL_DESTROY, 5, 77), -1) == -ENOENT);
	UNIT_CHECK(tell(message(DOMCTL_DESTROY, 0, 1), -1) == -EINVAL);
	close(guest);
	close(sock);
	remove_socket("0");
	remove_socket("5");
	end();
}

static void takes_a_new_socket_for_the_same_life(void)
{
	int sock, guest;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 77) == 0);
	sock = client_open("0");
	guest = client_open("5");
	UNIT_CHECK(writes(guest, "data/x", "1"));
	UNIT_CHECK(writes(sock, "/local/domain/0/name", "zero"));
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 77) == 0);
	close(guest);
	guest = client_open("5");
	UNIT_CHECK(!strcmp(ask_read(guest, "data/x"), "1"));
	UNIT_CHECK(!strcmp(ask_read(sock, "name"), "zero"));
	close(guest);
	close(sock);
	remove_socket("0");
	remove_socket("5");
	end();
}

static void clears_what_an_earlier_life_left(void)
{
	int sock, guest, next;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 77) == 0);
	sock = client_open("0");
	guest = client_open("5");
	UNIT_CHECK(writes(guest, "data/x", "1"));
	UNIT_CHECK(tell_create(5, 78) == 0);
	UNIT_CHECK(dropped(guest));
	next = client_open("5");
	UNIT_CHECK(!strcmp(ask_read(next, "data/x"), "ENOENT"));
	UNIT_CHECK(!strcmp(ask_read(next, "name"), "domain-5"));
	close(next);
	close(guest);
	close(sock);
	remove_socket("0");
	remove_socket("5");
	end();
}

/* It died, and remembers: 5 has ended meanwhile, 6 lives, 7 is another one. */
static void sorts_what_it_remembers_by_what_it_is_told(void)
{
	int sock, six, seven;

	begin_scene(true);
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 75) == 0 &&
		   tell_create(6, 76) == 0 && tell_create(7, 77) == 0);
	six = client_open("6");
	seven = client_open("7");
	UNIT_CHECK(writes(six, "data/x", "1") && writes(seven, "data/x", "1"));
	close(six);
	close(seven);
	kill_store();
	start_store(true);
	UNIT_CHECK(tell_create(0, 1) == 0);
	sock = client_open("0");
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/5/name"), "domain-5"));
	UNIT_CHECK(tell_create(6, 76) == 0 && tell_create(7, 78) == 0);
	UNIT_CHECK(tell(message(DOMCTL_SYNCED, 0, 0), -1) == 0);
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/5/name"), "ENOENT"));
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/6/data/x"), "1"));
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/7/data/x"), "ENOENT"));
	UNIT_CHECK(!strcmp(ask_read(sock, "/local/domain/7/name"), "domain-7"));
	close(sock);
	/* In order: nothing is remembered, and nothing is left. */
	UNIT_CHECK(tell(message(DOMCTL_END, 0, 0), -1) == 0);
	remove_socket("0");
	remove_socket("5");
	remove_socket("6");
	remove_socket("7");
	end();
}

static void forgets_everything_and_ends_when_told_so(void)
{
	struct domctl_msg late = message(DOMCTL_SYNCED, 0, 0);
	int sock, guest;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0 && tell_create(5, 77) == 0);
	sock = client_open("0");
	guest = client_open("5");
	UNIT_CHECK(scene.nr_over == 0);
	UNIT_CHECK(tell(message(DOMCTL_END, 0, 0), -1) == 0);
	UNIT_CHECK(scene.nr_over == 1 && scene.err == 0);
	UNIT_CHECK(dropped(guest));
	/* Nothing is carried out any more. */
	UNIT_CHECK(tell(late, -1) == 1);
	close(guest);
	close(sock);
	remove_socket("0");
	remove_socket("5");
	end();
}

static void ends_when_the_broker_is_gone(void)
{
	begin();
	UNIT_CHECK(tell_create(0, 1) == 0);
	close(scene.broker);
	scene.broker = -1;
	settle();
	UNIT_CHECK(scene.nr_over == 1 && scene.err == -ECONNRESET);
	remove_socket("0");
	end();
}

static void ends_when_it_cannot_serve_domain_0(void)
{
	begin();
	UNIT_CHECK(tell_create(0, 2) == 1);
	UNIT_CHECK(scene.nr_over == 1 && scene.err == -EINVAL);
	remove_socket("0");
	end();
}

/* A message that cannot be: over, and nothing of it has happened. */
static void ends_when_the_broker_talks_nonsense(void)
{
	for (int i = 0; i < 10; i++) {
		struct domctl_msg msg = message(DOMCTL_CREATE, 5, 77);
		size_t size = sizeof(msg);
		int fd;

		begin();
		fd = listen_at("5");
		switch (i) {
		case 0: msg.version++; break;
		case 1: msg.op = 0; break;
		case 2: msg.op = DOMCTL_NR_OPS; break;
		case 3: msg.domid = DOMID_FIRST_RESERVED; break;
		case 4: msg.reserved = 1; break;
		case 5: msg.status = -1; break;
		case 6: memset(msg.name, 'n', sizeof(msg.name)); break;
		case 7: size--; break;
		case 8: msg.op = DOMCTL_SYNCED; break;
		case 9:
			close(fd);
			fd = -1;
			break;
		}
		must(!fdmsg_send(scene.broker, &msg, size, &fd, fd >= 0, 0),
		     "send");
		settle();
		UNIT_CHECK(scene.nr_over == 1 && scene.err == -EPROTO);
		if (fd >= 0)
			close(fd);
		remove_socket("5");
		end();
	}
}

/* As many as the broker sends before it waits for an answer, and more. */
static void answers_a_burst_in_order(void)
{
	enum {
		NR = 100
	};
	struct domctl_msg msg, back;
	int fd;

	begin();
	UNIT_CHECK(tell_create(0, 1) == 0);
	fd = listen_at("all");
	for (uint32_t i = 1; i <= NR; i++) {
		msg = message(DOMCTL_CREATE, i, 100 + i);
		must(!fdmsg_send(scene.broker, &msg, sizeof(msg), &fd, 1,
				 MSG_DONTWAIT),
		     "send");
	}
	close(fd);
	settle();
	for (uint32_t i = 1; i <= NR; i++) {
		UNIT_REQUIRE(fdmsg_recv(scene.broker, &back, sizeof(back), NULL,
					NULL, MSG_DONTWAIT) == sizeof(back));
		UNIT_CHECK(back.domid == i && back.status == 0);
	}
	remove_socket("0");
	remove_socket("all");
	end();
}

UNIT_MAIN("store_domctl", UNIT_TEST(knows_what_the_broker_gives_it),
	  UNIT_TEST(serves_the_domains_that_it_is_told_of),
	  UNIT_TEST(drops_a_domain_that_is_over),
	  UNIT_TEST(takes_a_new_socket_for_the_same_life),
	  UNIT_TEST(clears_what_an_earlier_life_left),
	  UNIT_TEST(sorts_what_it_remembers_by_what_it_is_told),
	  UNIT_TEST(forgets_everything_and_ends_when_told_so),
	  UNIT_TEST(ends_when_the_broker_is_gone),
	  UNIT_TEST(ends_when_it_cannot_serve_domain_0),
	  UNIT_TEST(ends_when_the_broker_talks_nonsense),
	  UNIT_TEST(answers_a_burst_in_order))
