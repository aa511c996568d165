/* SPDX-License-Identifier: MIT */
/*
 * broker_store.c - the broker and its link to the store, which is played by the
 * test: what the store is told, when a client is answered, what happens when
 * the store goes away in between. One thread: the loop runs when it is told to.
 */
#include "broker/store_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "platform/lite_wire.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "util/num.h"
#include "xenstore-lite/domctl.h"

#define ROUNDS 16

static struct {
	char dir[64];
	struct loop *loop;
	struct store_link *link;
	struct broker *broker;
	int store; /* our end; -1: no store */
	unsigned nr_synced;
	int lost;	/* what the link said last */
	int connection; /* what the store is given; 0: nothing */
} scene;

/* ---- the scene ---------------------------------------------------------- */

static int tell_created(void *arg, const struct broker_domain *domain)
{
	(void)arg;
	return store_link_create(scene.link, domain);
}

static int tell_destroyed(void *arg, domid_t domid, uint64_t life)
{
	(void)arg;
	return store_link_destroy(scene.link, domid, life);
}

static void heard_created(void *arg, domid_t domid, uint64_t life, int status)
{
	(void)arg;
	broker_domain_created(scene.broker, domid, life, status);
}

static void heard_destroyed(void *arg, uint64_t life)
{
	(void)arg;
	broker_domain_destroyed(scene.broker, life);
}

static void heard_synced(void *arg)
{
	(void)arg;
	scene.nr_synced++;
}

static void heard_lost(void *arg, int err)
{
	(void)arg;
	scene.lost = err;
}

static int give_connection(void *arg)
{
	(void)arg;
	return scene.connection ? scene.connection : -EDQUOT;
}

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

static void open_broker(void)
{
	static const struct broker_ops ops = { .created = tell_created,
					       .destroyed = tell_destroyed };
	domid_t domid;

	must(!broker_open(scene.loop, scene.dir, &ops, NULL, &scene.broker),
	     "broker_open");
	must(!broker_domain_create(scene.broker, 0, "Domain-0", geteuid(),
				   &domid),
	     "domain 0");
}

static void begin(void)
{
	static const struct store_link_ops ops = { .created = heard_created,
						   .destroyed = heard_destroyed,
						   .synced = heard_synced,
						   .connection =
							   give_connection,
						   .lost = heard_lost };

	log_init("test", LOG_ERROR + 1);
	memset(&scene, 0, sizeof(scene));
	scene.store = -1;
	snprintf(scene.dir, sizeof(scene.dir), "/tmp/pvsplit-unit-XXXXXX");
	must(mkdtemp(scene.dir) != NULL, "mkdtemp");
	must(!loop_open(&scene.loop), "loop_open");
	must(!store_link_open(scene.loop, &ops, NULL, &scene.link), "link");
	open_broker();
}

static void end(void)
{
	broker_close(scene.broker);
	store_link_close(scene.link);
	loop_close(scene.loop);
	if (scene.store >= 0)
		close(scene.store);
	UNIT_CHECK(rmdir(scene.dir) == 0);
}

/* ---- the store ---------------------------------------------------------- */

static void store_starts(void)
{
	int pair[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
	     "socketpair");
	must(!store_link_attach(scene.link, pair[0]), "attach");
	scene.store = pair[1];
}

static void store_dies(void)
{
	close(scene.store);
	scene.store = -1;
	settle();
	store_link_detach(scene.link);
}

/* The next message; its descriptor is looked at, and closed. */
static bool told(enum domctl_op op, struct domctl_msg *msg)
{
	int fd = -1, listening = 0;
	socklen_t len = sizeof(listening);
	unsigned nr_fds = 1;

	settle();
	if (fdmsg_recv(scene.store, msg, sizeof(*msg), &fd, &nr_fds,
		       MSG_DONTWAIT) != sizeof(*msg))
		return false;
	if (nr_fds) {
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
		close(fd);
	}
	return msg->op == op && msg->version == DOMCTL_VERSION &&
	       listening == (op == DOMCTL_CREATE);
}

static bool told_nothing(void)
{
	struct domctl_msg msg;

	settle();
	return fdmsg_recv(scene.store, &msg, sizeof(msg), NULL, NULL,
			  MSG_DONTWAIT) == -EAGAIN;
}

static void answer(struct domctl_msg msg, int status)
{
	msg.status = status;
	must(!fdmsg_send(scene.store, &msg, sizeof(msg), NULL, 0, 0), "answer");
	settle();
}

/* Told of a domain; answered at once. The life, or 0. */
static uint64_t learns(enum domctl_op op, domid_t domid)
{
	struct domctl_msg msg;

	if (!told(op, &msg) || msg.domid != domid)
		return 0;
	answer(msg, 0);
	return msg.life;
}

static bool syncs(void)
{
	unsigned before = scene.nr_synced;

	return learns(DOMCTL_SYNCED, 0) == 0 && scene.nr_synced == before + 1;
}

/* A store that knows of domain 0. */
static void begin_with_store(void)
{
	begin();
	store_starts();
	must(learns(DOMCTL_CREATE, 0) == 1 && syncs(), "first sync");
}

/* ---- clients ------------------------------------------------------------ */

static int client_open(void)
{
	char path[128];
	int sock;

	must(str_printf(path, sizeof(path), "%s/0/broker", scene.dir) > 0,
	     "path");
	sock = unix_connect(path, SOCK_SEQPACKET);
	must(sock >= 0, "connect");
	return sock;
}

static void ask(int sock, struct lite_request req)
{
	req.version = LITE_WIRE_VERSION;
	req.seq = 7000 + req.op;
	must(!fdmsg_send(sock, &req, sizeof(req), NULL, 0, 0), "ask");
	settle();
}

static void ask_create(int sock, const char *name, uint32_t flags)
{
	struct lite_request req = { .op = LITE_DOMAIN_CREATE,
				    .uid = geteuid(),
				    .flags = flags };

	snprintf(req.name, sizeof(req.name), "%s", name);
	ask(sock, req);
}

static void ask_destroy(int sock, domid_t domid)
{
	ask(sock,
	    (struct lite_request){ .op = LITE_DOMAIN_DESTROY, .domid = domid });
}

/* Its reply: the domid, or -errno; -EAGAIN there is none yet. */
static int replied(int sock, enum lite_op op)
{
	struct lite_reply rep;
	ssize_t n;

	settle();
	n = fdmsg_recv(sock, &rep, sizeof(rep), NULL, NULL, MSG_DONTWAIT);
	if (n != sizeof(rep))
		return n < 0 ? (int)n : -ECONNRESET;
	if (rep.seq != 7000 + (uint64_t)op || (rep.status && rep.domid))
		return -EPROTO;
	return rep.status ? rep.status : (int)rep.domid;
}

static bool has_directory(domid_t domid)
{
	char path[128];
	struct stat st;

	must(str_printf(path, sizeof(path), "%s/%u", scene.dir, domid) > 0,
	     "path");
	return stat(path, &st) == 0;
}

/* ---- tests -------------------------------------------------------------- */

static void tells_every_domain_and_then_that_it_was_all(void)
{
	struct domctl_msg zero, one, synced;
	int sock;

	begin();
	sock = client_open();
	ask_create(sock, "one", 0);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == -EAGAIN);
	store_starts();
	UNIT_REQUIRE(told(DOMCTL_CREATE, &zero) && told(DOMCTL_CREATE, &one) &&
		     told(DOMCTL_SYNCED, &synced));
	UNIT_CHECK(zero.domid == 0 && zero.life == DOMCTL_DOMAIN0_LIFE &&
		   !strcmp(zero.name, "Domain-0") && zero.uid == geteuid());
	UNIT_CHECK(one.domid == 1 && one.life > 1 && !strcmp(one.name, "one"));
	UNIT_CHECK(told_nothing());
	answer(zero, 0);
	answer(one, 0);
	UNIT_CHECK(scene.nr_synced == 0);
	answer(synced, 0);
	UNIT_CHECK(scene.nr_synced == 1);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 1);
	close(sock);
	end();
}

static void answers_a_client_when_the_store_has_heard(void)
{
	struct domctl_msg msg;
	uint64_t life;
	int sock;

	begin_with_store();
	sock = client_open();
	ask_create(sock, "one", 0);
	UNIT_REQUIRE(told(DOMCTL_CREATE, &msg));
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == -EAGAIN);
	answer(msg, 0);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 1);
	life = msg.life;
	ask_destroy(sock, 1);
	UNIT_REQUIRE(told(DOMCTL_DESTROY, &msg));
	UNIT_CHECK(msg.domid == 1 && msg.life == life);
	UNIT_CHECK(!has_directory(1));
	UNIT_CHECK(replied(sock, LITE_DOMAIN_DESTROY) == -EAGAIN);
	/* The toolstack may have released it before. */
	answer(msg, -ENOENT);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_DESTROY) == 0);
	close(sock);
	end();
}

static void does_not_read_from_a_client_that_waits(void)
{
	int sock, other;

	begin_with_store();
	sock = client_open();
	other = client_open();
	ask_create(sock, "one", 0);
	ask(sock, (struct lite_request){ .op = LITE_HELLO });
	ask(other, (struct lite_request){ .op = LITE_HELLO });
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == -EAGAIN);
	UNIT_CHECK(replied(other, LITE_HELLO) == 0);
	UNIT_CHECK(learns(DOMCTL_CREATE, 1) > 1);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 1);
	UNIT_CHECK(replied(sock, LITE_HELLO) == 0);
	close(sock);
	close(other);
	end();
}

static void ends_a_domain_that_the_store_refuses(void)
{
	struct domctl_msg msg;
	int sock;

	begin_with_store();
	sock = client_open();
	ask_create(sock, "one", 0);
	UNIT_REQUIRE(told(DOMCTL_CREATE, &msg));
	UNIT_CHECK(has_directory(1));
	answer(msg, -ENOSPC);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == -ENOSPC);
	UNIT_CHECK(!has_directory(1));
	/* The store does not hear of it any more; the name is free. */
	UNIT_CHECK(told_nothing());
	ask_create(sock, "one", 0);
	UNIT_CHECK(learns(DOMCTL_CREATE, 2) > msg.life);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 2);
	close(sock);
	end();
}

static void ends_a_domain_whose_maker_left_before_it_was_told(void)
{
	struct domctl_msg msg;
	int sock;

	begin_with_store();
	sock = client_open();
	ask_create(sock, "one", 0);
	UNIT_REQUIRE(told(DOMCTL_CREATE, &msg));
	close(sock);
	settle();
	UNIT_CHECK(!has_directory(1));
	UNIT_CHECK(told_nothing());
	answer(msg, 0);
	UNIT_CHECK(learns(DOMCTL_DESTROY, 1) == msg.life);
	/* One whose maker was told lives on. */
	sock = client_open();
	ask_create(sock, "two", 0);
	UNIT_CHECK(learns(DOMCTL_CREATE, 2) > msg.life);
	close(sock);
	settle();
	UNIT_CHECK(has_directory(2) && told_nothing());
	end();
}

/* So many answers fit into a connection whose client does not read. */
static unsigned count_unread_answers(void)
{
	struct lite_request req = { .version = LITE_WIRE_VERSION,
				    .op = LITE_HELLO };
	int sock = client_open();
	unsigned nr = 0;

	while (nr < 10000 && !fdmsg_send(sock, &req, sizeof(req), NULL, 0, 0)) {
		settle();
		nr++;
	}
	close(sock);
	return nr - 1;
}

static void ends_a_domain_whose_maker_does_not_read(void)
{
	unsigned room;
	uint64_t life;
	int sock;

	begin_with_store();
	room = count_unread_answers();
	sock = client_open();
	for (unsigned i = 0; i < room; i++)
		ask(sock, (struct lite_request){ .op = LITE_HELLO });
	ask_create(sock, "one", 0);
	life = learns(DOMCTL_CREATE, 1);
	UNIT_CHECK(life > 1 && !has_directory(1));
	UNIT_CHECK(learns(DOMCTL_DESTROY, 1) == life);
	for (unsigned i = 0; i < room; i++)
		UNIT_CHECK(replied(sock, LITE_HELLO) == 0);
	UNIT_CHECK(replied(sock, LITE_HELLO) == -ECONNRESET);
	close(sock);
	end();
}

static void cancels_a_creation_when_somebody_ends_the_domain(void)
{
	struct domctl_msg msg;
	int maker, killer;

	begin_with_store();
	maker = client_open();
	killer = client_open();
	ask_create(maker, "one", 0);
	UNIT_REQUIRE(told(DOMCTL_CREATE, &msg));
	ask_destroy(killer, 1);
	UNIT_CHECK(replied(maker, LITE_DOMAIN_CREATE) == -ECANCELED);
	UNIT_CHECK(replied(killer, LITE_DOMAIN_DESTROY) == -EAGAIN);
	answer(msg, 0);
	UNIT_CHECK(replied(killer, LITE_DOMAIN_DESTROY) == -EAGAIN);
	UNIT_CHECK(learns(DOMCTL_DESTROY, 1) == msg.life);
	UNIT_CHECK(replied(killer, LITE_DOMAIN_DESTROY) == 0);
	close(maker);
	close(killer);
	end();
}

static void ends_ephemeral_domains_that_wait_with_their_maker(void)
{
	struct domctl_msg msg, gone;
	int sock;

	begin_with_store();
	sock = client_open();
	ask_create(sock, "told", LITE_DOMAIN_EPHEMERAL);
	UNIT_CHECK(learns(DOMCTL_CREATE, 1) > 1);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 1);
	ask_create(sock, "waiting", LITE_DOMAIN_EPHEMERAL);
	UNIT_REQUIRE(told(DOMCTL_CREATE, &msg) && msg.domid == 2);
	close(sock);
	settle();
	UNIT_CHECK(!has_directory(1) && !has_directory(2));
	UNIT_CHECK(told(DOMCTL_DESTROY, &gone) && gone.domid == 1);
	answer(msg, 0);
	answer(gone, 0);
	UNIT_CHECK(learns(DOMCTL_DESTROY, 2) == msg.life);
	UNIT_CHECK(told_nothing());
	end();
}

static void says_nothing_of_a_domain_that_no_store_heard_of(void)
{
	int maker, killer;

	begin();
	maker = client_open();
	killer = client_open();
	ask_create(maker, "one", 0);
	ask_destroy(killer, 1);
	UNIT_CHECK(replied(maker, LITE_DOMAIN_CREATE) == -ECANCELED);
	UNIT_CHECK(replied(killer, LITE_DOMAIN_DESTROY) == 0);
	store_starts();
	UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1);
	UNIT_CHECK(syncs() && told_nothing());
	close(maker);
	close(killer);
	end();
}

/* The first store dies knowing of one and three, told of two and of one's end;
 * three ends and four begins while there is none. */
static void tells_the_next_store_everything_again(void)
{
	uint64_t one, two, three;
	int client[5];
	struct domctl_msg msg;

	begin_with_store();
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
		client[i] = client_open();
	ask_create(client[0], "one", 0);
	one = learns(DOMCTL_CREATE, 1);
	ask_create(client[1], "two", 0);
	UNIT_CHECK(told(DOMCTL_CREATE, &msg) && msg.domid == 2);
	two = msg.life;
	ask_create(client[2], "three", 0);
	UNIT_CHECK(told(DOMCTL_CREATE, &msg) && msg.domid == 3);
	three = msg.life;
	UNIT_CHECK(replied(client[0], LITE_DOMAIN_CREATE) == 1);
	ask_destroy(client[0], 1);
	UNIT_CHECK(told(DOMCTL_DESTROY, &msg) && msg.life == one);
	store_dies();
	UNIT_CHECK(scene.lost == -ECONNRESET);
	ask_destroy(client[3], 3);
	UNIT_CHECK(replied(client[2], LITE_DOMAIN_CREATE) == -ECANCELED);
	ask_create(client[4], "four", 0);

	store_starts();
	UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1);
	UNIT_CHECK(replied(client[1], LITE_DOMAIN_CREATE) == -EAGAIN);
	UNIT_CHECK(learns(DOMCTL_CREATE, 2) == two);
	UNIT_CHECK(replied(client[1], LITE_DOMAIN_CREATE) == 2);
	UNIT_CHECK(learns(DOMCTL_CREATE, 4) > three);
	UNIT_CHECK(replied(client[4], LITE_DOMAIN_CREATE) == 4);
	/* That they are over is known when all others have been told. */
	UNIT_CHECK(replied(client[0], LITE_DOMAIN_DESTROY) == -EAGAIN);
	UNIT_CHECK(replied(client[3], LITE_DOMAIN_DESTROY) == -EAGAIN);
	UNIT_CHECK(syncs());
	UNIT_CHECK(replied(client[0], LITE_DOMAIN_DESTROY) == 0);
	UNIT_CHECK(replied(client[3], LITE_DOMAIN_DESTROY) == 0);
	UNIT_CHECK(told_nothing());
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
		close(client[i]);
	end();
}

static void keeps_a_domain_that_a_later_store_refuses(void)
{
	struct domctl_msg msg;
	uint64_t life;
	int sock;

	begin_with_store();
	sock = client_open();
	ask_create(sock, "one", 0);
	life = learns(DOMCTL_CREATE, 1);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_CREATE) == 1);
	for (int status = -ENOMEM; status <= 0; status += ENOMEM) {
		store_dies();
		store_starts();
		UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1);
		UNIT_REQUIRE(told(DOMCTL_CREATE, &msg) && msg.life == life);
		answer(msg, status);
		UNIT_CHECK(syncs());
		UNIT_CHECK(has_directory(1));
	}
	ask_destroy(sock, 1);
	UNIT_CHECK(learns(DOMCTL_DESTROY, 1) == life);
	UNIT_CHECK(replied(sock, LITE_DOMAIN_DESTROY) == 0);
	close(sock);
	end();
}

#define MANY 100

static void never_has_more_unanswered_than_its_window(void)
{
	struct domctl_msg msgs[STORE_LINK_WINDOW], msg;
	int sock[MANY];
	domid_t next = 0;

	begin();
	for (unsigned i = 0; i < MANY; i++) {
		char name[16];

		sock[i] = client_open();
		snprintf(name, sizeof(name), "d-%u", i);
		ask_create(sock[i], name, 0);
	}
	store_starts();
	for (unsigned i = 0; i < STORE_LINK_WINDOW; i++)
		UNIT_REQUIRE(told(DOMCTL_CREATE, &msgs[i]) &&
			     msgs[i].domid == next++);
	UNIT_CHECK(told_nothing());
	answer(msgs[0], 0);
	UNIT_CHECK(told(DOMCTL_CREATE, &msg) && msg.domid == next++);
	UNIT_CHECK(told_nothing());
	for (unsigned i = 1; i < STORE_LINK_WINDOW; i++)
		answer(msgs[i], 0);
	answer(msg, 0);
	while (next <= MANY) {
		UNIT_REQUIRE(learns(DOMCTL_CREATE, next) > 0);
		next++;
	}
	for (unsigned i = 0; i < MANY; i++) {
		UNIT_CHECK(replied(sock[i], LITE_DOMAIN_CREATE) == (int)i + 1);
		close(sock[i]);
	}
	end();
}

/* Each way to answer wrongly; what is right about it does not help. */
static void stops_listening_to_a_store_that_talks_nonsense(void)
{
	struct domctl_msg good, bad;

	for (int i = 0; i < 10; i++) {
		size_t size = sizeof(bad);
		int fd = -1;

		begin();
		store_starts();
		UNIT_REQUIRE(told(DOMCTL_CREATE, &good));
		bad = good;
		switch (i) {
		case 0: bad.seq++; break;
		case 1: bad.seq = 0; break;
		case 2: bad.op = DOMCTL_DESTROY; break;
		case 3: bad.op = DOMCTL_SYNCED; break;
		case 4: bad.version++; break;
		case 5: bad.status = 1; break;
		case 6: bad.status = INT32_MIN; break;
		case 7: size--; break;
		case 8: fd = scene.store; break;
		case 9:
			/* Everything is answered: no more is due. */
			answer(good, 0);
			UNIT_CHECK(syncs());
			bad.seq = 3;
			break;
		}
		must(!fdmsg_send(scene.store, &bad, size, &fd, fd >= 0, 0),
		     "send");
		settle();
		UNIT_CHECK(scene.lost == -EPROTO);
		/* Nor is it heard, or told anything, from now on. */
		must(!fdmsg_send(scene.store, &good, sizeof(good), NULL, 0, 0),
		     "send");
		/* SYNCED was on its way before. */
		UNIT_CHECK(i == 9 || told(DOMCTL_SYNCED, &good));
		UNIT_CHECK(told_nothing());
		UNIT_CHECK(scene.nr_synced == (i == 9));
		store_dies();
		store_starts();
		UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1 && syncs());
		end();
	}
}

static void never_uses_a_life_again(void)
{
	uint64_t lives[3];
	int sock;

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(lives); i++) {
		if (i == 2) {
			/* As after the broker's death. */
			store_dies();
			broker_close(scene.broker);
			open_broker();
		}
		if (scene.store < 0) {
			store_starts();
			UNIT_CHECK(learns(DOMCTL_CREATE, 0) ==
				   DOMCTL_DOMAIN0_LIFE);
			UNIT_CHECK(syncs());
		}
		sock = client_open();
		ask_create(sock, "one", LITE_DOMAIN_EPHEMERAL);
		lives[i] = learns(DOMCTL_CREATE, i == 1 ? 2 : 1);
		close(sock);
		UNIT_CHECK(learns(DOMCTL_DESTROY, i == 1 ? 2 : 1) == lives[i]);
		UNIT_CHECK(lives[i] > (i ? lives[i - 1] : 1));
	}
	end();
}

/* Each store gets it, before anything else, and may refuse it. */
static void gives_each_store_the_same_connection(void)
{
	struct domctl_msg msg;
	char byte = 0;
	int pair[2];

	begin();
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
	     "socketpair");
	scene.connection = pair[0];
	for (int status = -EBADF; status <= 0; status += EBADF) {
		int fd = -1;
		unsigned nr_fds = 1;

		store_starts();
		settle();
		UNIT_REQUIRE(fdmsg_recv(scene.store, &msg, sizeof(msg), &fd,
					&nr_fds, MSG_DONTWAIT) == sizeof(msg));
		UNIT_REQUIRE(msg.op == DOMCTL_BROKER && nr_fds == 1);
		UNIT_CHECK(send(fd, "x", 1, 0) == 1 &&
			   recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1);
		close(fd);
		answer(msg, status);
		UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1 && syncs());
		UNIT_CHECK(scene.lost == 0);
		store_dies();
		scene.lost = 0;
	}
	/* There is none to give: it is a store all the same. */
	scene.connection = 0;
	store_starts();
	UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1 && syncs());
	close(pair[0]);
	close(pair[1]);
	end();
}

/* The kernel had no room, although the store had read everything. */
static void tries_again_when_it_could_not_send(void)
{
	struct domctl_msg msg;
	unsigned nr_junk = 0;
	int pair[2];

	begin();
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
	     "socketpair");
	while (send(pair[0], &msg, 1, MSG_DONTWAIT) == 1)
		nr_junk++;
	must(!store_link_attach(scene.link, pair[0]), "attach");
	scene.store = pair[1];
	settle();
	while (nr_junk--)
		must(recv(scene.store, &msg, 1, MSG_DONTWAIT) == 1, "junk");
	must(!loop_once(scene.loop, clock_now_ns() + NS_PER_S), "loop_once");
	UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1 && syncs());
	end();
}

static void tells_the_store_when_it_ends_in_order(void)
{
	struct domctl_msg msg;

	begin();
	UNIT_CHECK(store_link_end(scene.link) == -ENOTCONN);
	store_starts();
	UNIT_CHECK(learns(DOMCTL_CREATE, 0) == 1 && syncs());
	UNIT_CHECK(store_link_end(scene.link) == 0);
	UNIT_CHECK(told(DOMCTL_END, &msg) && told_nothing());
	UNIT_CHECK(store_link_end(scene.link) == -ENOTCONN);
	answer(msg, 0);
	store_dies();
	UNIT_CHECK(scene.lost == 0);
	end();
}

UNIT_MAIN("broker_store",
	  UNIT_TEST(tells_every_domain_and_then_that_it_was_all),
	  UNIT_TEST(answers_a_client_when_the_store_has_heard),
	  UNIT_TEST(does_not_read_from_a_client_that_waits),
	  UNIT_TEST(ends_a_domain_that_the_store_refuses),
	  UNIT_TEST(ends_a_domain_whose_maker_left_before_it_was_told),
	  UNIT_TEST(ends_a_domain_whose_maker_does_not_read),
	  UNIT_TEST(cancels_a_creation_when_somebody_ends_the_domain),
	  UNIT_TEST(ends_ephemeral_domains_that_wait_with_their_maker),
	  UNIT_TEST(says_nothing_of_a_domain_that_no_store_heard_of),
	  UNIT_TEST(tells_the_next_store_everything_again),
	  UNIT_TEST(keeps_a_domain_that_a_later_store_refuses),
	  UNIT_TEST(never_has_more_unanswered_than_its_window),
	  UNIT_TEST(stops_listening_to_a_store_that_talks_nonsense),
	  UNIT_TEST(never_uses_a_life_again),
	  UNIT_TEST(gives_each_store_the_same_connection),
	  UNIT_TEST(tries_again_when_it_could_not_send),
	  UNIT_TEST(tells_the_store_when_it_ends_in_order))
