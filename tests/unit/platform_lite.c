/* SPDX-License-Identifier: MIT */
/*
 * platform_lite.c - what only the lite platform has: sealed memfds, sockets,
 * connections that outlive a process, and peers that abuse them.
 */
#include "platform/lite.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "broker/private.h"
#include "platform/lite_entry.h"
#include "tests/unit/platform_world.h"
#include "tests/unit/unit.h"
#include "util/fdmsg.h"

static struct world world;
static domid_t front_id, back_id;
static struct platform *front, *back;
static int front_fd, back_fd;

static void begin(void)
{
	world_open(&world);
	back_id = world_domain(&world, "back");
	front_id = world_domain(&world, "front");
	back = world_adopt(&world, back_id, &back_fd);
	front = world_adopt(&world, front_id, &front_fd);
}

static void end(void)
{
	platform_close(front);
	platform_close(back);
	close(front_fd);
	close(back_fd);
	UNIT_CHECK(world_close(&world));
}

/* Another process takes the back's connection over. */
static struct platform *successor(int fd)
{
	struct platform *p = NULL;
	int copy = dup(fd);

	world_must(!platform_lite_adopt(copy, &p), "adopt");
	return p;
}

static char *at(const struct grant_map *map)
{
	return (char *)(uintptr_t)map->base;
}

/* The entries before a share's pages: the granting side's own view. */
static lite_entry_t *entry_at(const struct share *share, uint32_t idx)
{
	char *base = (char *)share->base -
		     (size_t)lite_entry_pages(share->nr_pages) * PV_PAGE_SIZE;

	return (lite_entry_t *)(void *)base + idx;
}

static void gives_a_successor_what_the_dead_had(void)
{
	struct evtchn *fe, *be, *be2;
	struct grant_map map, map2;
	struct platform *next;
	evtchn_port_t port;
	struct share share;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 4, 0, &share));
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	UNIT_REQUIRE(
		!platform_evtchn_bind(back, front_id, evtchn_port(fe), &be));
	UNIT_REQUIRE(
		!platform_map(back, front_id, &share.first_ref, 1, true, &map));
	port = evtchn_port(be);
	/* It dies with the page mapped; its connection is the monitor's too. */
	evtchn_abandon(be);
	platform_close(back);
	UNIT_CHECK(lite_entry_load(entry_at(&share, 0)).flags & GTF_writing);
	evtchn_notify(fe);
	UNIT_CHECK(evtchn_clear(fe) == 0);

	next = successor(back_fd);
	UNIT_CHECK(platform_domid(next) == back_id);
	UNIT_REQUIRE(
		!platform_evtchn_bind(next, front_id, evtchn_port(fe), &be2));
	UNIT_CHECK(evtchn_port(be2) == port);
	UNIT_CHECK(world_clear(be2) == 1);
	UNIT_REQUIRE(!platform_map(next, front_id,
				   &(grant_ref_t){ share.first_ref + 1 }, 1,
				   true, &map2));
	/* The dead one's bits are gone, the new one's are there. */
	UNIT_CHECK(!(lite_entry_load(entry_at(&share, 0)).flags & LITE_IN_USE));
	UNIT_CHECK(lite_entry_load(entry_at(&share, 1)).flags & GTF_writing);
	evtchn_notify(be2);
	UNIT_CHECK(world_clear(fe) == 1);
	platform_unmap(next, &map2);
	evtchn_close(be2);
	UNIT_CHECK(world_clear(fe) == -EPIPE);
	evtchn_close(fe);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	back = next;
	end();
}

static void drops_replies_to_a_dead_predecessor(void)
{
	struct lite_request req = { .version = LITE_WIRE_VERSION,
				    .op = LITE_EVTCHN_ALLOC,
				    .seq = 12345 };
	struct platform *next;
	struct evtchn *fe, *be;

	begin();
	req.domid = front_id;
	/* Three questions whose answers, with descriptors, nobody awaits. */
	for (int i = 0; i < 3; i++)
		UNIT_CHECK(!fdmsg_send(back_fd, &req, sizeof(req), NULL, 0, 0));
	UNIT_CHECK(world_readable(back_fd));
	platform_close(back);
	next = successor(back_fd);
	UNIT_CHECK(platform_domid(next) == back_id);
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	UNIT_CHECK(!platform_evtchn_bind(next, front_id, evtchn_port(fe), &be));
	evtchn_close(be);
	evtchn_close(fe);
	back = next;
	end();
}

static void refuses_what_is_no_region(void)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	off_t size = (off_t)lite_region_bytes(3);
	int fd, pipe_fds[2];

	fd = memfd_create("good", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	UNIT_REQUIRE(fd >= 0 && !ftruncate(fd, size));
	UNIT_CHECK(lite_region_check(fd, 3, false) == -EBADF);
	UNIT_CHECK(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	UNIT_CHECK(lite_region_check(fd, 3, false) == -EBADF);
	UNIT_CHECK(!fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	UNIT_CHECK(lite_region_check(fd, 3, false) == 0);
	UNIT_CHECK(lite_region_check(fd, 3, true) == -EBADF);
	UNIT_CHECK(lite_region_check(fd, 2, false) == -EBADF);
	UNIT_CHECK(lite_region_check(fd, 4, false) == -EBADF);
	UNIT_CHECK(lite_region_check(fd, 65536, false) == -EBADF);
	close(fd);

	fd = memfd_create("huge",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (fd >= 0) {
		UNIT_CHECK(!fcntl(fd, F_ADD_SEALS, seals));
		UNIT_CHECK(lite_region_check(fd, 0, false) == -EBADF);
		close(fd);
	}
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	UNIT_CHECK(lite_region_check(fd, 3, false) == -EBADF);
	close(fd);
	UNIT_REQUIRE(!pipe(pipe_fds));
	UNIT_CHECK(lite_region_check(pipe_fds[0], 3, false) == -EBADF);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0) {
		UNIT_CHECK(!ftruncate(fd, size));
		UNIT_CHECK(lite_region_check(fd, 3, false) == -EBADF);
		close(fd);
	}
	UNIT_CHECK(lite_region_check(-1, 3, false) == -EBADF);
}

/* The region's descriptor as a hostile peer has it. */
static int region_fd(struct platform *p, domid_t domid, grant_ref_t ref)
{
	struct lite_request req = { .op = LITE_REGION_FIND,
				    .domid = domid,
				    .number = ref };
	struct lite_reply rep;
	int fd = -1;

	return lite_call(lite_of(p), &req, &rep, &fd) ? -1 : fd;
}

static void cannot_be_truncated_by_the_peer(void)
{
	struct share share;
	int fd;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 4, 0, &share));
	fd = region_fd(back, front_id, share.first_ref);
	UNIT_REQUIRE(fd >= 0);
	UNIT_CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
	UNIT_CHECK(ftruncate(fd, 1 << 20) < 0 && errno == EPERM);
	UNIT_CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
	UNIT_CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	((volatile char *)share.base)[4 * PV_PAGE_SIZE - 1] = 1;
	close(fd);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

/* Exit status 0 when every way to write was refused. */
static int try_to_write(int fd)
{
	char path[64];
	int rw;

	if (write(fd, "x", 1) >= 0)
		return 1;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) !=
	    MAP_FAILED)
		return 2;
	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096))
		return 3;
	if (str_printf(path, sizeof(path), "/proc/self/fd/%d", fd) < 0)
		return 4;
	rw = open(path, O_RDWR | O_CLOEXEC);
	if (rw >= 0 &&
	    (write(rw, "x", 1) >= 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					    MAP_SHARED, rw, 0) != MAP_FAILED))
		return 5;
	return 0;
}

/* In a child with another identity. */
static int child_status(int fd, uid_t uid)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(uid && setuid(uid) < 0 ? 99 : try_to_write(fd));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void cannot_be_written_when_read_only(void)
{
	struct grant_map map;
	struct share share;
	int fd;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 2, SHARE_PEER_READONLY,
				     &share));
	fd = region_fd(back, front_id, share.first_ref);
	UNIT_REQUIRE(fd >= 0);
	UNIT_CHECK(child_status(fd, 0) == 0);
	if (geteuid() == 0)
		UNIT_CHECK(child_status(fd, 65534) == 0);
	else
		puts("platform_lite: 1 skipped: another uid needs root");
	close(fd);
	/* The owner's mapping was made before the seal and still writes. */
	memcpy(share.base, "mine", sizeof("mine"));
	UNIT_REQUIRE(!platform_map(back, front_id, &share.first_ref, 1, false,
				   &map));
	UNIT_CHECK(!strcmp(at(&map), "mine"));
	platform_unmap(back, &map);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

static void believes_no_entry_that_grants_something_else(void)
{
	const struct {
		uint16_t flags;
		int domid_off;
		uint32_t frame;
	} bad[] = {
		{ GTF_invalid, 0, 1 },
		{ GTF_accept_transfer, 0, 1 },
		{ GTF_transitive, 0, 1 },
		{ GTF_permit_access, 1, 1 },
		{ GTF_permit_access, 0, 0 },
		{ GTF_permit_access, 0, 2 },
		{ GTF_permit_access, 0, UINT32_MAX },
		{ GTF_permit_access | GTF_readonly, 0, 1 },
	};
	struct grant_map map;
	struct share share;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 3, 0, &share));
	ref = share.first_ref + 1;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		lite_entry_grant(entry_at(&share, 1), bad[i].flags,
				 (domid_t)(back_id + bad[i].domid_off),
				 bad[i].frame);
		UNIT_CHECK(platform_map(back, front_id, &ref, 1, true, &map) ==
			   -EACCES);
	}
	/* Read-only is good enough for reading; the neighbours are fine. */
	UNIT_REQUIRE(!platform_map(back, front_id, &ref, 1, false, &map));
	platform_unmap(back, &map);
	lite_entry_grant(entry_at(&share, 1), GTF_permit_access, back_id, 1);
	UNIT_REQUIRE(!platform_map(back, front_id, &ref, 1, true, &map));
	platform_unmap(back, &map);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

/* The broker is idle: every call so far has been answered. */
static void rewind_references(void)
{
	__atomic_store_n(&world.broker->nr_refs[front_id], 0, __ATOMIC_SEQ_CST);
}

static void sees_a_new_region_behind_an_old_reference(void)
{
	struct grant_map old_map, new_map;
	struct share old, new;
	grant_ref_t ref;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 2, 0, &old));
	ref = old.first_ref;
	memcpy(old.base, "old", sizeof("old"));
	UNIT_REQUIRE(!platform_map(back, front_id, &ref, 1, true, &old_map));
	UNIT_CHECK(platform_unshare(front, &old) == -EBUSY);
	/* As after four billion references: the broker starts again. */
	rewind_references();
	UNIT_REQUIRE(!platform_share(front, back_id, 2, 0, &new));
	memcpy(new.base, "new", sizeof("new"));
	UNIT_REQUIRE(!platform_map(back, front_id, &new.first_ref, 1, true,
				   &new_map));
	UNIT_CHECK(!strcmp(at(&new_map), "new"));
	UNIT_CHECK(!strcmp(at(&old_map), "old"));
	platform_unmap(back, &old_map);
	platform_unmap(back, &new_map);
	UNIT_CHECK(platform_unshare(front, &new) == 0);
	end();
}

static void stops_asking_for_references_that_never_exist(void)
{
	uint64_t start_ns = clock_now_ns(), nr_periods;
	uint32_t nr_asked = 0, nr_refused = 0;
	struct share known, fresh;
	struct grant_map map;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 1, 0, &known));
	UNIT_REQUIRE(
		!platform_map(back, front_id, &known.first_ref, 1, true, &map));
	platform_unmap(back, &map);
	for (grant_ref_t i = 0; i < 5000; i++) {
		grant_ref_t bad = 1000000 + i;
		int err = platform_map(back, front_id, &bad, 1, true, &map);

		/* The broker says "no such", we ourselves "no access". */
		nr_asked += err == -ENOENT;
		nr_refused += err == -EACCES;
	}
	nr_periods = (clock_now_ns() - start_ns) / NS_PER_S + 2;
	UNIT_CHECK(nr_asked >= 64 && nr_asked <= 64 * nr_periods);
	UNIT_CHECK(nr_asked + nr_refused == 5000);
	/* What is known already goes on, and so do the other guests. */
	UNIT_CHECK(
		!platform_map(back, front_id, &known.first_ref, 1, true, &map));
	platform_unmap(back, &map);
	UNIT_REQUIRE(!platform_share(world.dom0, back_id, 1, 0, &fresh));
	UNIT_CHECK(!platform_map(back, 0, &fresh.first_ref, 1, true, &map));
	platform_unmap(back, &map);
	UNIT_CHECK(platform_unshare(world.dom0, &fresh) == 0);
	UNIT_CHECK(platform_unshare(front, &known) == 0);
	end();
}

static void keeps_a_page_marked_for_its_last_user(void)
{
	struct grant_map w1, w2, r;
	struct share share;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 1, 0, &share));
	UNIT_REQUIRE(
		!platform_map(back, front_id, &share.first_ref, 1, false, &r));
	UNIT_CHECK((lite_entry_load(entry_at(&share, 0)).flags & LITE_IN_USE) ==
		   GTF_reading);
	UNIT_REQUIRE(
		!platform_map(back, front_id, &share.first_ref, 1, true, &w1));
	UNIT_REQUIRE(
		!platform_map(back, front_id, &share.first_ref, 1, true, &w2));
	platform_unmap(back, &w1);
	UNIT_CHECK((lite_entry_load(entry_at(&share, 0)).flags & LITE_IN_USE) ==
		   LITE_IN_USE);
	platform_unmap(back, &w2);
	UNIT_CHECK((lite_entry_load(entry_at(&share, 0)).flags & LITE_IN_USE) ==
		   GTF_reading);
	platform_unmap(back, &r);
	UNIT_CHECK(!(lite_entry_load(entry_at(&share, 0)).flags & LITE_IN_USE));
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

static void bounds_what_a_hostile_peer_can_pin(void)
{
	struct grant_map maps[64];
	struct share share;
	int nr = 0, err = 0;

	begin();
	while (nr < 64) {
		err = platform_share(front, back_id, 2, 0, &share);
		if (err)
			break;
		UNIT_REQUIRE(!platform_map(back, front_id, &share.first_ref, 1,
					   true, &maps[nr]));
		UNIT_CHECK(platform_unshare(front, &share) == -EBUSY);
		nr++;
	}
	UNIT_CHECK(err == -ENOSPC && nr > 8);
	while (nr)
		platform_unmap(back, &maps[--nr]);
	UNIT_REQUIRE(!platform_share(front, back_id, 2, 0, &share));
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

/* Fill the channel from the hostile end until it takes no more. */
static void flood(int fd)
{
	static const char junk[65536];
	int big = 1 << 22;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		continue;
	while (send(fd, junk, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		continue;
}

static void never_waits_for_a_peer_that_fills_the_channel(void)
{
	struct evtchn *fe, *be;
	uint64_t start_ns;
	int off = 0, n = 0;

	begin();
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	UNIT_REQUIRE(
		!platform_evtchn_bind(back, front_id, evtchn_port(fe), &be));
	/* The peer makes its end blocking, and fills what it can. */
	UNIT_CHECK(!fcntl(evtchn_fd(fe), F_SETFL, 0));
	UNIT_CHECK(!ioctl(evtchn_fd(fe), FIONBIO, &off));
	flood(evtchn_fd(fe));
	/* The other direction, never read, and our own end blocking too. */
	UNIT_CHECK(!fcntl(evtchn_fd(be), F_SETFL, 0));
	start_ns = clock_now_ns();
	for (int i = 0; i < 100000; i++)
		evtchn_notify(be);
	UNIT_CHECK(clock_now_ns() - start_ns < 5 * NS_PER_S);
	while (evtchn_clear(be) == 1)
		n++;
	UNIT_CHECK(n > 0);
	UNIT_CHECK(evtchn_clear(be) == 0);
	UNIT_CHECK(world_clear(fe) == 1);
	evtchn_close(fe);
	evtchn_notify(be);
	UNIT_CHECK(world_clear(be) == -EPIPE);
	evtchn_close(be);
	end();
}

static void takes_no_descriptor_through_a_channel(void)
{
	struct evtchn *fe, *be;
	int fd, err;

	begin();
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	UNIT_REQUIRE(
		!platform_evtchn_bind(back, front_id, evtchn_port(fe), &be));
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	err = fdmsg_send(evtchn_fd(fe), "x", 1, &fd, 1, MSG_DONTWAIT);
	/* Linux 6.16 refuses it at once; before, it is dropped on receipt. */
	UNIT_CHECK(err == -EPERM || err == 0);
	if (err == 0)
		UNIT_CHECK(world_clear(be) == 1);
	close(fd);
	evtchn_notify(fe);
	UNIT_CHECK(world_clear(be) == 1);
	evtchn_close(be);
	evtchn_close(fe);
	end();
}

static void ends_a_channel_although_copies_of_it_live(void)
{
	struct evtchn *fe, *be;
	int copy;

	begin();
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	UNIT_REQUIRE(
		!platform_evtchn_bind(back, front_id, evtchn_port(fe), &be));
	copy = dup(evtchn_fd(fe));
	evtchn_close(fe);
	UNIT_CHECK(world_clear(be) == -EPIPE);
	evtchn_close(be);
	close(copy);
	end();
}

static void has_no_store_when_adopted(void)
{
	int fd;

	begin();
	UNIT_CHECK(platform_store_connect(back) == -EOPNOTSUPP);
	/* Opened by path it has one; it waits there until a store accepts. */
	fd = platform_store_connect(world.dom0);
	UNIT_CHECK(fd >= 0 && recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0 &&
		   errno == EAGAIN);
	close(fd);
	end();
}

static void says_why_it_cannot_open(void)
{
	struct platform *p = NULL;
	char lengthy[300];

	begin();
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	UNIT_CHECK(platform_lite_open(world.dir, 999, &p) == -ENOENT);
	UNIT_CHECK(platform_lite_open("/nonexistent", 0, &p) == -ENOENT);
	UNIT_CHECK(platform_lite_open(lengthy, 0, &p) == -ENAMETOOLONG);
	lengthy[103] = '\0';
	UNIT_CHECK(platform_lite_open(lengthy, 0, &p) == -ENAMETOOLONG);
	UNIT_CHECK(platform_lite_open(world.dir, 0x7ff0, &p) == -EINVAL);
	UNIT_CHECK(p == NULL);
	end();
}

static void answers_every_call_when_the_broker_is_gone(void)
{
	struct grant_map map;
	struct share share, more;
	struct evtchn *fe, *none;

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 1, 0, &share));
	UNIT_REQUIRE(!platform_evtchn_alloc(front, back_id, &fe));
	shutdown(front_fd, SHUT_RDWR);
	UNIT_CHECK(platform_share(front, back_id, 1, 0, &more) == -ECONNRESET);
	UNIT_CHECK(platform_map(front, back_id, &share.first_ref, 1, true,
				&map) == -ECONNRESET);
	UNIT_CHECK(platform_evtchn_alloc(front, back_id, &none) == -ECONNRESET);
	UNIT_CHECK(platform_evtchn_bind(front, back_id, 1, &none) ==
		   -ECONNRESET);
	evtchn_close(fe);
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

struct racer {
	struct platform *p;
	const struct share *share;
	int bad;
};

static void *map_and_unmap(void *arg)
{
	struct racer *r = arg;

	for (uint32_t i = 0; i < 3000; i++) {
		grant_ref_t ref = r->share->first_ref + i % 16;
		struct grant_map map;
		struct evtchn *ev;

		if (platform_map(r->p, front_id, &ref, 1, i & 1, &map))
			r->bad++;
		else
			platform_unmap(r->p, &map);
		if (i % 100 == 0 && !platform_evtchn_alloc(r->p, front_id, &ev))
			evtchn_close(ev);
	}
	return NULL;
}

static void serves_many_threads_at_once(void)
{
	struct share share;
	struct racer racers[4];
	pthread_t threads[4];

	begin();
	UNIT_REQUIRE(!platform_share(front, back_id, 16, 0, &share));
	for (int i = 0; i < 4; i++) {
		racers[i] = (struct racer){ .p = back, .share = &share };
		world_must(!pthread_create(&threads[i], NULL, map_and_unmap,
					   &racers[i]),
			   "thread");
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		UNIT_CHECK(racers[i].bad == 0);
	}
	/* Counted right: nothing is in use any more. */
	UNIT_CHECK(platform_unshare(front, &share) == 0);
	end();
}

/* How many of the pages' files this process has open. */
static unsigned nr_files(void)
{
	char path[32], name[64];
	unsigned nr = 0;

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		nr += strstr(name, "pvsplit-grants") != NULL;
	}
	return nr;
}

static void lets_go_of_a_device_that_has_ended(void)
{
	struct grant_map idle, used;
	struct share shares[2];
	unsigned before;

	begin();
	for (unsigned i = 0; i < 2; i++)
		UNIT_REQUIRE(!platform_share(front, back_id, 4, 0, &shares[i]));
	before = nr_files();
	UNIT_REQUIRE(!platform_map(back, front_id, &shares[0].first_ref, 1,
				   true, &idle) &&
		     !platform_map(back, front_id, &shares[1].first_ref, 1,
				   true, &used));
	UNIT_CHECK(nr_files() == before + 2);
	platform_unmap(back, &idle);
	/* For the next map, which comes at once as a rule. */
	UNIT_CHECK(nr_files() == before + 2);
	platform_forget(back, back_id);
	UNIT_CHECK(nr_files() == before + 2);
	platform_forget(back, front_id);
	UNIT_CHECK(nr_files() == before + 1);
	/* What is mapped stays, and what was let go of can be had again. */
	at(&used)[0] = 'x';
	UNIT_CHECK(((char *)shares[1].base)[0] == 'x');
	UNIT_CHECK(!platform_map(back, front_id, &shares[0].first_ref, 1, true,
				 &idle));
	platform_unmap(back, &idle);
	platform_unmap(back, &used);
	platform_forget(back, front_id);
	UNIT_CHECK(nr_files() == before);
	for (unsigned i = 0; i < 2; i++)
		UNIT_CHECK(platform_unshare(front, &shares[i]) == 0);
	end();
}

UNIT_MAIN("platform_lite", UNIT_TEST(gives_a_successor_what_the_dead_had),
	  UNIT_TEST(drops_replies_to_a_dead_predecessor),
	  UNIT_TEST(refuses_what_is_no_region),
	  UNIT_TEST(cannot_be_truncated_by_the_peer),
	  UNIT_TEST(cannot_be_written_when_read_only),
	  UNIT_TEST(believes_no_entry_that_grants_something_else),
	  UNIT_TEST(sees_a_new_region_behind_an_old_reference),
	  UNIT_TEST(stops_asking_for_references_that_never_exist),
	  UNIT_TEST(keeps_a_page_marked_for_its_last_user),
	  UNIT_TEST(bounds_what_a_hostile_peer_can_pin),
	  UNIT_TEST(never_waits_for_a_peer_that_fills_the_channel),
	  UNIT_TEST(takes_no_descriptor_through_a_channel),
	  UNIT_TEST(ends_a_channel_although_copies_of_it_live),
	  UNIT_TEST(has_no_store_when_adopted),
	  UNIT_TEST(says_why_it_cannot_open),
	  UNIT_TEST(answers_every_call_when_the_broker_is_gone),
	  UNIT_TEST(lets_go_of_a_device_that_has_ended),
	  UNIT_TEST(serves_many_threads_at_once))
