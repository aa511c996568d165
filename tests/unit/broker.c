/* SPDX-License-Identifier: MIT */
/*
 * broker.c - the broker against clients that lie: raw messages, limits, the
 * life of domains and directories.
 */
#include "broker/broker.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker/private.h"
#include "platform/lite_wire.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"
#include "util/fdmsg.h"

static struct world world;
static domid_t a_id, b_id;

static void begin(void)
{
	world_open(&world);
	a_id = world_domain(&world, "a");
	b_id = world_domain(&world, "b");
}

static void end(void)
{
	UNIT_CHECK(world_close(&world));
}

static int raw_connect(domid_t domid)
{
	char path[128];
	int fd;

	world_must(str_printf(path, sizeof(path), "%s/%u/broker", world.dir,
			      domid) > 0,
		   "path");
	fd = unix_connect(path, SOCK_SEQPACKET);
	world_must(fd >= 0, "connect");
	return fd;
}

/* -ECONNRESET: the broker closed the connection. */
static int receive(int sock, struct lite_reply *rep, int *fd)
{
	unsigned nr = 1;
	ssize_t n;

	if (!world_readable(sock))
		return -ETIMEDOUT;
	n = fdmsg_recv(sock, rep, sizeof(*rep), fd, &nr, MSG_DONTWAIT);
	if (n <= 0)
		return -ECONNRESET;
	if (!nr)
		*fd = -1;
	return n == sizeof(*rep) ? 0 : -EPROTO;
}

static int call(int sock, struct lite_request *req, struct lite_reply *rep,
		int *ret_fd)
{
	int fd = -1, err;

	req->version = LITE_WIRE_VERSION;
	req->seq = 42;
	err = fdmsg_send(sock, req, sizeof(*req), NULL, 0, 0);
	if (!err)
		err = receive(sock, rep, &fd);
	if (err)
		return err == -EPIPE ? -ECONNRESET : err;
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return rep->seq == 42 ? rep->status : -EBADMSG;
}

/* Still there and still right. */
static bool alive(int sock, domid_t domid)
{
	struct lite_request req = { .op = LITE_HELLO };
	struct lite_reply rep;

	return call(sock, &req, &rep, NULL) == 0 && rep.domid == domid;
}

static void closes_only_the_connection_of_a_bad_message(void)
{
	struct lite_request good = { .version = LITE_WIRE_VERSION,
				     .op = LITE_HELLO };
	struct lite_request bad[6];
	struct lite_reply rep;
	char big[sizeof(good) + 1] = { 0 };
	int neighbour, fd;

	begin();
	neighbour = raw_connect(a_id);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].version = 0;
	bad[1].version = UINT32_MAX;
	bad[2].op = 0;
	bad[3].op = LITE_NR_OPS;
	bad[4].op = UINT32_MAX;
	bad[5].reserved = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int sock = raw_connect(a_id);

		UNIT_CHECK(
			!fdmsg_send(sock, &bad[i], sizeof(bad[i]), NULL, 0, 0));
		UNIT_CHECK(receive(sock, &rep, &fd) == -ECONNRESET);
		close(sock);
		UNIT_CHECK(alive(neighbour, a_id));
	}
	memcpy(big, &good, sizeof(good));
	for (size_t size = 0; size <= sizeof(big); size++) {
		int sock;

		if (size == sizeof(good))
			continue;
		sock = raw_connect(a_id);
		UNIT_CHECK(!fdmsg_send(sock, big, size, NULL, 0, 0));
		UNIT_CHECK(receive(sock, &rep, &fd) == -ECONNRESET);
		close(sock);
	}
	UNIT_CHECK(alive(neighbour, a_id));
	close(neighbour);
	end();
}

static void takes_no_descriptors(void)
{
	struct lite_request req = { .version = LITE_WIRE_VERSION,
				    .op = LITE_HELLO };
	int fds[FDMSG_FDS_MAX], neighbour, fd, err;
	struct lite_reply rep;

	begin();
	neighbour = raw_connect(a_id);
	for (unsigned i = 0; i < FDMSG_FDS_MAX; i++)
		fds[i] = i ? dup(fds[0]) : open("/dev/zero", O_RDWR);
	for (unsigned nr = 1; nr <= FDMSG_FDS_MAX; nr++) {
		int sock = raw_connect(b_id);

		/* Refused by the kernel, or the end of the connection. */
		err = fdmsg_send(sock, &req, sizeof(req), fds, nr, 0);
		if (err != -EPERM) {
			UNIT_CHECK(err == 0);
			UNIT_CHECK(receive(sock, &rep, &fd) == -ECONNRESET);
		}
		close(sock);
	}
	for (unsigned i = 0; i < FDMSG_FDS_MAX; i++)
		close(fds[i]);
	UNIT_CHECK(alive(neighbour, a_id));
	close(neighbour);
	end();
}

static void refuses_absurd_numbers(void)
{
	const uint32_t absurd[] = { SHARE_PAGES_MAX + 1, 1u << 31, UINT32_MAX };
	struct lite_reply rep;
	int sock;

	begin();
	sock = raw_connect(a_id);
	for (unsigned i = 0; i < ARRAY_SIZE(absurd); i++) {
		struct lite_request add = { .op = LITE_REGION_ADD,
					    .domid = b_id,
					    .nr_pages = absurd[i] };
		struct lite_request find = { .op = LITE_REGION_FIND,
					     .domid = absurd[i],
					     .number = absurd[i] };
		struct lite_request bind = { .op = LITE_EVTCHN_BIND,
					     .domid = b_id,
					     .number = absurd[i] };
		struct lite_request alloc = { .op = LITE_EVTCHN_ALLOC,
					      .domid = absurd[i] };
		struct lite_request shut = { .op = LITE_EVTCHN_CLOSE,
					     .number = absurd[i] };

		UNIT_CHECK(call(sock, &add, &rep, NULL) == -EINVAL);
		UNIT_CHECK(call(sock, &find, &rep, NULL) == -ENOENT);
		UNIT_CHECK(call(sock, &bind, &rep, NULL) == -ENOENT);
		UNIT_CHECK(call(sock, &alloc, &rep, NULL) == -ENOENT);
		UNIT_CHECK(call(sock, &shut, &rep, NULL) == -ENOENT);
	}
	struct lite_request flags = { .op = LITE_REGION_ADD,
				      .domid = b_id,
				      .nr_pages = 1,
				      .flags = 0x100 };
	struct lite_request none = { .op = LITE_REGION_ADD, .domid = b_id };

	UNIT_CHECK(call(sock, &flags, &rep, NULL) == -EINVAL);
	UNIT_CHECK(call(sock, &none, &rep, NULL) == -EINVAL);
	UNIT_CHECK(alive(sock, a_id));
	close(sock);
	end();
}

static void lets_nobody_end_what_is_another_connections(void)
{
	struct lite_request alloc = { .op = LITE_EVTCHN_ALLOC };
	struct lite_request add = { .op = LITE_REGION_ADD, .nr_pages = 1 };
	struct lite_request shut = { .op = LITE_EVTCHN_CLOSE };
	struct lite_request removal = { .op = LITE_REGION_REMOVE,
					.flags = LITE_REGION_FORGET };
	struct lite_reply port, region, rep;
	int owner, same, other;

	begin();
	alloc.domid = add.domid = b_id;
	owner = raw_connect(a_id);
	same = raw_connect(a_id);
	other = raw_connect(b_id);
	UNIT_CHECK(call(owner, &alloc, &port, NULL) == 0);
	UNIT_CHECK(call(owner, &add, &region, NULL) == 0);
	shut.id = port.id;
	shut.number = port.number;
	removal.id = region.id;
	UNIT_CHECK(call(same, &shut, &rep, NULL) == -ENOENT);
	UNIT_CHECK(call(other, &shut, &rep, NULL) == -ENOENT);
	UNIT_CHECK(call(same, &removal, &rep, NULL) == -ENOENT);
	UNIT_CHECK(call(other, &removal, &rep, NULL) == -ENOENT);
	/* A stale handle: the right port of an earlier life. */
	shut.id = port.id - 1;
	UNIT_CHECK(call(owner, &shut, &rep, NULL) == -ENOENT);
	shut.id = port.id;
	UNIT_CHECK(call(owner, &shut, &rep, NULL) == 0);
	UNIT_CHECK(call(owner, &shut, &rep, NULL) == -ENOENT);
	UNIT_CHECK(call(owner, &removal, &rep, NULL) == 0);
	UNIT_CHECK(call(owner, &removal, &rep, NULL) == -ENOENT);
	close(owner);
	close(same);
	close(other);
	end();
}

static void hides_a_read_only_region_that_is_not_sealed(void)
{
	struct lite_request add = { .op = LITE_REGION_ADD,
				    .nr_pages = 1,
				    .flags = SHARE_PEER_READONLY };
	struct lite_request find = { .op = LITE_REGION_FIND };
	struct lite_reply region, rep;
	int owner, peer, fd, got;

	begin();
	add.domid = b_id;
	owner = raw_connect(a_id);
	peer = raw_connect(b_id);
	UNIT_REQUIRE(call(owner, &add, &region, &fd) == 0);
	find.domid = a_id;
	find.number = region.number;
	UNIT_CHECK(call(peer, &find, &rep, NULL) == -ENOENT);
	UNIT_CHECK(!fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	UNIT_CHECK(call(peer, &find, &rep, NULL) == -ENOENT);
	UNIT_CHECK(!fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	UNIT_CHECK(call(peer, &find, &rep, &got) == 0);
	UNIT_CHECK(rep.id == region.id && rep.nr_pages == 1 && got >= 0);
	close(got);
	close(fd);
	close(owner);
	close(peer);
	end();
}

static void keeps_a_removed_region_out_of_sight_while_it_is_held(void)
{
	struct lite_request add = { .op = LITE_REGION_ADD, .nr_pages = 1 };
	struct lite_request find = { .op = LITE_REGION_FIND };
	struct lite_request removal = { .op = LITE_REGION_REMOVE };
	struct lite_reply region, rep;
	int owner, peer, late;

	begin();
	add.domid = b_id;
	owner = raw_connect(a_id);
	peer = raw_connect(b_id);
	UNIT_REQUIRE(call(owner, &add, &region, NULL) == 0);
	find.domid = a_id;
	find.number = region.number;
	UNIT_CHECK(call(peer, &find, &rep, NULL) == 0);
	UNIT_CHECK(rep.flags == LITE_REGION_SOLE);
	late = raw_connect(b_id);
	UNIT_CHECK(call(late, &find, &rep, NULL) == 0);
	UNIT_CHECK(rep.flags == 0);
	close(late);
	removal.id = region.id;
	UNIT_CHECK(call(owner, &removal, &rep, NULL) == 0);
	UNIT_CHECK(rep.flags == LITE_REGION_HELD);
	UNIT_CHECK(call(peer, &find, &rep, NULL) == -ENOENT);
	rep.flags = LITE_REGION_HELD;
	/* Its last holder goes; the broker may hear of that a little later. */
	close(peer);
	for (int i = 0; i < 1000 && rep.flags != 0; i++)
		UNIT_CHECK(call(owner, &removal, &rep, NULL) == 0);
	UNIT_CHECK(call(owner, &removal, &rep, NULL) == -ENOENT);
	close(owner);
	end();
}

/* Until it is refused; at most max times. */
static uint32_t repeat(int sock, struct lite_request *req, uint32_t max,
		       int *ret_err)
{
	struct lite_reply rep;
	uint32_t n = 0;

	*ret_err = 0;
	while (n < max && !(*ret_err = call(sock, req, &rep, NULL)))
		n++;
	return n;
}

static void limits_each_domain_and_no_other(void)
{
	struct lite_request region = { .op = LITE_REGION_ADD, .nr_pages = 1 };
	struct lite_request huge = { .op = LITE_REGION_ADD,
				     .nr_pages = SHARE_PAGES_MAX };
	struct lite_request port = { .op = LITE_EVTCHN_ALLOC };
	struct lite_reply rep;
	static int socks[1100];
	int sock, other, err;
	unsigned nr = 0;

	begin();
	region.domid = huge.domid = port.domid = b_id;
	other = raw_connect(b_id);
	sock = raw_connect(a_id);
	UNIT_CHECK(repeat(sock, &port, 5000, &err) == 1024 && err == -ENOSPC);
	UNIT_CHECK(repeat(sock, &huge, 5000, &err) == 16 && err == -ENOSPC);
	close(sock);
	/* A second connection has no budget of its own. */
	socks[0] = raw_connect(a_id);
	socks[1] = raw_connect(a_id);
	UNIT_CHECK(repeat(socks[0], &region, 1000, &err) == 1000 && !err);
	UNIT_CHECK(repeat(socks[1], &region, 5000, &err) == 3096 &&
		   err == -ENOSPC);
	for (nr = 2; nr < ARRAY_SIZE(socks); nr++)
		socks[nr] = raw_connect(a_id);
	UNIT_CHECK(alive(socks[1023], a_id));
	UNIT_CHECK(!alive(socks[1024], a_id));
	UNIT_CHECK(!alive(socks[1099], a_id));
	UNIT_CHECK(alive(other, b_id));
	region.domid = a_id;
	UNIT_CHECK(call(other, &region, &rep, NULL) == 0);
	while (nr)
		close(socks[--nr]);
	close(other);
	end();
}

static void drops_a_client_that_does_not_read(void)
{
	struct lite_request req = { .version = LITE_WIRE_VERSION,
				    .op = LITE_HELLO };
	struct lite_reply rep;
	int sock, other, fd, n = 0, err = 0;

	begin();
	other = raw_connect(b_id);
	sock = raw_connect(a_id);
	while (!err && n++ < 100000) {
		err = fdmsg_send(sock, &req, sizeof(req), NULL, 0, 0);
		if (n % 100 == 0)
			UNIT_CHECK(alive(other, b_id));
	}
	UNIT_CHECK(err == -EPIPE || err == -ECONNRESET);
	while (receive(sock, &rep, &fd) == 0)
		continue;
	UNIT_CHECK(alive(other, b_id));
	close(sock);
	close(other);
	end();
}

static void knows_its_caller_by_the_socket(void)
{
	struct lite_request create = { .op = LITE_DOMAIN_CREATE,
				       .name = "mine" };
	struct lite_request destroy = { .op = LITE_DOMAIN_DESTROY };
	struct lite_reply rep;
	domid_t domid;
	int sock;

	begin();
	sock = raw_connect(a_id);
	destroy.domid = b_id;
	UNIT_CHECK(call(sock, &create, &rep, NULL) == -EACCES);
	UNIT_CHECK(call(sock, &destroy, &rep, NULL) == -EACCES);
	UNIT_CHECK(alive(sock, a_id));
	close(sock);
	sock = raw_connect(b_id);
	UNIT_CHECK(alive(sock, b_id));
	close(sock);
	UNIT_CHECK(lite_domain_create(world.dom0, "c", geteuid(), 0x80,
				      &domid) == -EINVAL);
	end();
}

/* In a child of another uid: 0 connected and served, else 1. */
static int child_can_use(domid_t domid, uid_t uid, bool open_door)
{
	char path[128];
	pid_t pid;
	int status = -1;

	world_must(str_printf(path, sizeof(path), "%s/%u", world.dir, domid) >
			   0,
		   "path");
	/* Even with the door open: the kernel says who stands there. */
	if (open_door) {
		char sock[160];

		world_must(chmod(world.dir, 0755) == 0, "chmod");
		world_must(chmod(path, 0755) == 0, "chmod");
		world_must(str_printf(sock, sizeof(sock), "%s/broker", path) >
				   0,
			   "path");
		world_must(chmod(sock, 0666) == 0, "chmod");
	}
	pid = fork();
	if (pid == 0) {
		struct platform *p;

		if (setuid(uid) < 0)
			_exit(99);
		_exit(platform_lite_open(world.dir, domid, &p) != 0);
	}
	world_must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void serves_only_the_domains_uid(void)
{
	struct stat st;
	domid_t domid;
	char path[128];

	if (geteuid() != 0) {
		puts("broker: 1 skipped: another uid needs root");
		return;
	}
	begin();
	UNIT_REQUIRE(
		!lite_domain_create(world.dom0, "of-4711", 4711, 0, &domid));
	UNIT_CHECK(child_can_use(domid, 4712, false) != 0);
	UNIT_CHECK(child_can_use(domid, 4712, true) != 0);
	UNIT_CHECK(child_can_use(domid, 4711, true) == 0);
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/%u/broker", world.dir,
			      domid) > 0);
	UNIT_CHECK(!stat(path, &st) && st.st_uid == 4711);
	UNIT_CHECK(lite_domain_destroy(world.dom0, domid) == 0);
	UNIT_CHECK(stat(path, &st) < 0 && errno == ENOENT);
	end();
}

static void names_domains_strictly(void)
{
	struct lite_request raw = { .op = LITE_DOMAIN_CREATE };
	char lengthy[LITE_NAME_MAX + 1] = { 0 };
	struct lite_reply rep;
	int sock;
	const char *const bad[] = { "",	   "0",	  "123",      "a b",
				    "a/b", "a\n", "\xc3\xa4", lengthy };
	domid_t domid = 77;

	begin();
	memset(lengthy, 'n', LITE_NAME_MAX);
	/* The wire has room for it, but not for its NUL. */
	memset(raw.name, 'n', LITE_NAME_MAX);
	sock = raw_connect(0);
	UNIT_CHECK(call(sock, &raw, &rep, NULL) == -EINVAL);
	close(sock);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(lite_domain_create(world.dom0, bad[i], geteuid(), 0,
					      &domid) == -EINVAL);
	UNIT_CHECK(lite_domain_create(world.dom0, "a", geteuid(), 0, &domid) ==
		   -EEXIST);
	UNIT_CHECK(lite_domain_create(world.dom0, "Domain-0", geteuid(), 0,
				      &domid) == -EEXIST);
	/* The store said no: nothing of it remains. */
	UNIT_CHECK(lite_domain_create(world.dom0, "refused-by-the-store",
				      geteuid(), 0, &domid) == -EDQUOT);
	UNIT_CHECK(lite_domain_create(world.dom0, "refused-by-the-store",
				      geteuid(), 0, &domid) == -EDQUOT);
	UNIT_CHECK(domid == 77);
	UNIT_CHECK(!lite_domain_create(world.dom0, "_ok.-9", geteuid(), 0,
				       &domid));
	UNIT_CHECK(lite_domain_destroy(world.dom0, 0) == -EINVAL);
	UNIT_CHECK(lite_domain_destroy(world.dom0, 4999) == -ENOENT);
	UNIT_CHECK(lite_domain_destroy(world.dom0, domid) == 0);
	UNIT_CHECK(lite_domain_destroy(world.dom0, domid) == -ENOENT);
	end();
}

static void ends_ephemeral_domains_with_their_maker(void)
{
	struct platform *maker, *guest, *peer;
	struct evtchn *fe, *be;
	struct lite_request req = { .op = LITE_HELLO };
	struct lite_reply rep;
	domid_t domid;
	int sock;

	begin();
	maker = world_platform(&world, 0);
	UNIT_REQUIRE(!lite_domain_create(maker, "brief", geteuid(),
					 LITE_DOMAIN_EPHEMERAL, &domid));
	guest = world_platform(&world, domid);
	peer = world_platform(&world, a_id);
	UNIT_REQUIRE(!platform_evtchn_alloc(peer, domid, &fe));
	UNIT_REQUIRE(!platform_evtchn_bind(guest, a_id, evtchn_port(fe), &be));
	sock = raw_connect(domid);
	platform_close(maker);
	UNIT_CHECK(world_clear(fe) == -EPIPE);
	UNIT_CHECK(world_clear(be) == -EPIPE);
	UNIT_CHECK(call(sock, &req, &rep, NULL) == -ECONNRESET);
	close(sock);
	evtchn_close(be);
	evtchn_close(fe);
	platform_close(guest);
	platform_close(peer);
	UNIT_CHECK(platform_lite_open(world.dir, domid, &guest) == -ENOENT);
	UNIT_CHECK(lite_domain_destroy(world.dom0, domid) == -ENOENT);
	end();
}

static void gives_a_new_domain_nothing_of_its_predecessor(void)
{
	struct platform *a, *b;
	struct evtchn *ev, *none = NULL;
	evtchn_port_t port;
	struct share share, fresh;
	struct grant_map map;
	domid_t again;

	begin();
	a = world_platform(&world, a_id);
	UNIT_REQUIRE(!platform_share(a, b_id, 4, 0, &share));
	UNIT_REQUIRE(!platform_evtchn_alloc(a, b_id, &ev));
	port = evtchn_port(ev);
	UNIT_REQUIRE(!lite_domain_destroy(world.dom0, b_id));
	/* The same number once more, as after 32,000 others. */
	__atomic_store_n(&world.broker->next_domid, (uint32_t)b_id,
			 __ATOMIC_SEQ_CST);
	again = world_domain(&world, "b-again");
	UNIT_CHECK(again == b_id);
	b = world_platform(&world, again);
	UNIT_CHECK(platform_map(b, a_id, &share.first_ref, 1, true, &map) ==
		   -EACCES);
	UNIT_CHECK(platform_evtchn_bind(b, a_id, port, &none) == -EACCES);
	evtchn_close(ev);
	UNIT_CHECK(platform_unshare(a, &share) == 0);

	/* And its references begin where a's, were it to die, ended. */
	UNIT_REQUIRE(!platform_share(b, a_id, 4, 0, &share));
	UNIT_REQUIRE(!platform_map(a, b_id, &share.first_ref, 1, true, &map));
	UNIT_REQUIRE(!lite_domain_destroy(world.dom0, b_id));
	__atomic_store_n(&world.broker->next_domid, (uint32_t)b_id,
			 __ATOMIC_SEQ_CST);
	UNIT_CHECK(world_domain(&world, "b-third") == b_id);
	UNIT_CHECK(platform_unshare(b, &share) == -EBUSY);
	platform_close(b);
	b = world_platform(&world, b_id);
	UNIT_REQUIRE(!platform_share(b, a_id, 4, 0, &fresh));
	UNIT_CHECK(fresh.first_ref >= 12);
	platform_unmap(a, &map);
	UNIT_CHECK(platform_unshare(b, &fresh) == 0);
	platform_close(a);
	platform_close(b);
	end();
}

static void retires_a_domid_whose_references_came_round(void)
{
	struct lite_request add = { .op = LITE_REGION_ADD, .nr_pages = 100 };
	uint64_t *used;
	struct lite_reply first = { 0 }, second = { 0 }, third = { 0 };
	int sock;

	begin();
	used = &world.broker->nr_refs[b_id];
	add.domid = a_id;
	sock = raw_connect(b_id);
	UNIT_CHECK(call(sock, &add, &first, NULL) == 0);
	/* At the end the numbers begin anew, past what is still in use. */
	__atomic_store_n(used, BROKER_NR_REFS - 150, __ATOMIC_SEQ_CST);
	UNIT_CHECK(call(sock, &add, &second, NULL) == 0);
	UNIT_CHECK(second.number == UINT32_MAX - 150);
	UNIT_CHECK(call(sock, &add, &third, NULL) == 0);
	UNIT_CHECK(first.number == 8 && third.number == 108);
	close(sock);
	UNIT_CHECK(!lite_domain_destroy(world.dom0, b_id));
	__atomic_store_n(&world.broker->next_domid, (uint32_t)b_id,
			 __ATOMIC_SEQ_CST);
	UNIT_CHECK(world_domain(&world, "another") == b_id + 1);
	end();
}

static void survives_ten_thousand_domains(void)
{
	domid_t domid, last = 0;
	int wraps = 0;

	begin();
	for (int i = 0; i < 10000; i++) {
		UNIT_REQUIRE(!lite_domain_create(world.dom0, "again", geteuid(),
						 0, &domid));
		wraps += domid <= last;
		last = domid;
		UNIT_REQUIRE(!lite_domain_destroy(world.dom0, domid));
	}
	UNIT_CHECK(wraps == 0);
	end();
}

static void removes_what_a_dead_daemon_left(void)
{
	static const struct broker_ops ops = { .created = world_created,
					       .destroyed = world_destroyed };
	char dir[] = "/tmp/pvsplit-unit-XXXXXX", path[64];
	struct world ops_arg = { .nr_created = 0 };
	struct broker *broker;
	struct loop *loop;
	struct stat st;
	domid_t domid;
	int fd;

	UNIT_REQUIRE(mkdtemp(dir) != NULL);
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/7", dir) > 0);
	UNIT_CHECK(!mkdir(path, 0700));
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/7/broker", dir) > 0);
	fd = unix_listen(path, SOCK_SEQPACKET, (uid_t)-1);
	close(fd);
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/7/left", dir) > 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/notes", dir) > 0);
	UNIT_CHECK(!mkdir(path, 0700));

	UNIT_REQUIRE(!loop_open(&loop));
	UNIT_REQUIRE(!broker_open(loop, dir, &ops, &ops_arg, &broker));
	UNIT_CHECK(!stat(path, &st));
	UNIT_CHECK(!rmdir(path));
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/7", dir) > 0);
	UNIT_CHECK(stat(path, &st) < 0 && errno == ENOENT);
	UNIT_CHECK(
		!broker_domain_create(broker, 7, "seven", geteuid(), &domid));
	UNIT_CHECK(broker_domain_create(broker, 7, "other", geteuid(),
					&domid) == -EEXIST);
	UNIT_CHECK(broker_domain_create(broker, 0x7ff0, "other", geteuid(),
					&domid) == -EINVAL);
	UNIT_CHECK(domid == 7);
	broker_close(broker);
	loop_close(loop);
	UNIT_CHECK(!rmdir(dir));
}

static void says_when_a_path_is_too_long(void)
{
	static const struct broker_ops ops = { .created = world_created,
					       .destroyed = world_destroyed };
	char dir[200] = "/tmp/pvsplit-unit-XXXXXX", deep[220];
	struct world ops_arg = { .nr_created = 0 };
	struct broker *broker;
	struct loop *loop;
	domid_t domid;

	UNIT_REQUIRE(mkdtemp(dir) != NULL);
	UNIT_CHECK(str_printf(deep, sizeof(deep), "%s/%070d%s", dir, 1,
			      "xxxxxx") > 0);
	UNIT_CHECK(!mkdir(deep, 0700));
	UNIT_REQUIRE(!loop_open(&loop));
	UNIT_REQUIRE(!broker_open(loop, deep, &ops, &ops_arg, &broker));
	UNIT_CHECK(broker_domain_create(broker, 0, "Domain-0", geteuid(),
					&domid) == -ENAMETOOLONG);
	broker_close(broker);
	loop_close(loop);
	UNIT_CHECK(!rmdir(deep));
	UNIT_CHECK(!rmdir(dir));
}

static void turns_callers_away_when_descriptors_run_out(void)
{
	struct lite_request req = { .op = LITE_HELLO };
	struct lite_reply rep;
	struct rlimit old, low;
	int sock, late;

	begin();
	sock = raw_connect(a_id);
	UNIT_CHECK(alive(sock, a_id));
	UNIT_REQUIRE(!getrlimit(RLIMIT_NOFILE, &old));
	/* The lowest free number is ours, the next would be the broker's. */
	late = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	low = old;
	low.rlim_cur = (rlim_t)late + 1;
	UNIT_REQUIRE(!setrlimit(RLIMIT_NOFILE, &low));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	UNIT_CHECK(!getpeername(sock, (struct sockaddr *)&ss, &len));
	UNIT_CHECK(!connect(late, (struct sockaddr *)&ss, len));
	UNIT_CHECK(call(late, &req, &rep, NULL) == -ECONNRESET);
	UNIT_CHECK(alive(sock, a_id));
	UNIT_REQUIRE(!setrlimit(RLIMIT_NOFILE, &old));
	close(late);
	late = raw_connect(a_id);
	UNIT_CHECK(alive(late, a_id));
	close(late);
	close(sock);
	end();
}

UNIT_MAIN("broker", UNIT_TEST(closes_only_the_connection_of_a_bad_message),
	  UNIT_TEST(takes_no_descriptors), UNIT_TEST(refuses_absurd_numbers),
	  UNIT_TEST(lets_nobody_end_what_is_another_connections),
	  UNIT_TEST(hides_a_read_only_region_that_is_not_sealed),
	  UNIT_TEST(keeps_a_removed_region_out_of_sight_while_it_is_held),
	  UNIT_TEST(limits_each_domain_and_no_other),
	  UNIT_TEST(drops_a_client_that_does_not_read),
	  UNIT_TEST(knows_its_caller_by_the_socket),
	  UNIT_TEST(serves_only_the_domains_uid),
	  UNIT_TEST(names_domains_strictly),
	  UNIT_TEST(ends_ephemeral_domains_with_their_maker),
	  UNIT_TEST(gives_a_new_domain_nothing_of_its_predecessor),
	  UNIT_TEST(retires_a_domid_whose_references_came_round),
	  UNIT_TEST(survives_ten_thousand_domains),
	  UNIT_TEST(removes_what_a_dead_daemon_left),
	  UNIT_TEST(says_when_a_path_is_too_long),
	  UNIT_TEST(turns_callers_away_when_descriptors_run_out))
