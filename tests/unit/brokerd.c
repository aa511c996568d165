/* SPDX-License-Identifier: MIT */
/*
 * brokerd.c - the real brokerd and its store, killed under two domains that
 * share pages and an event channel, and have others to make.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "platform/platform.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define NR_KILLS 4

static struct {
	char run_dir[64];
	pid_t broker;
	struct platform *dom0, *front, *back;
	domid_t front_id, back_id;
} scene;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

/* Programs are beside the tests: BUILD/tests/unit/NAME and BUILD/bin. */
static void find_brokerd(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);

	must(len > 0, "readlink");
	path[len] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	len = (ssize_t)strlen(path);
	must(str_printf(path + len, size - (size_t)len, "/bin/brokerd") > 0,
	     "path");
}

static bool start_brokerd(void)
{
	char path[512], line[16] = "";
	int out[2];
	FILE *f;

	find_brokerd(path, sizeof(path));
	must(pipe(out) == 0, "pipe");
	scene.broker = fork();
	if (scene.broker == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		if (!getenv("V"))
			(void)!freopen("/dev/null", "w", stderr);
		execl(path, path, "--run-dir", scene.run_dir, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	must(f != NULL, "fdopen");
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strcmp(line, "ready\n") == 0;
}

static struct platform *domain(const char *name, domid_t *ret)
{
	struct platform *p;

	must(!lite_domain_create(scene.dom0, name, geteuid(), 0, ret), name);
	must(!platform_lite_open(scene.run_dir, *ret, &p), name);
	return p;
}

static void begin(void)
{
	memset(&scene, 0, sizeof(scene));
	snprintf(scene.run_dir, sizeof(scene.run_dir),
		 "/tmp/pvsplit-unit-XXXXXX");
	must(mkdtemp(scene.run_dir) != NULL, "mkdtemp");
	must(start_brokerd(), "brokerd");
	must(!platform_lite_open(scene.run_dir, 0, &scene.dom0), "domain 0");
	scene.front = domain("front", &scene.front_id);
	scene.back = domain("back", &scene.back_id);
}

static void end(void)
{
	char lock[128];
	int status = -1;

	platform_close(scene.back);
	platform_close(scene.front);
	platform_close(scene.dom0);
	kill(scene.broker, SIGTERM);
	UNIT_CHECK(waitpid(scene.broker, &status, 0) == scene.broker &&
		   status == 0);
	must(str_printf(lock, sizeof(lock), "%s/lock", scene.run_dir) > 0,
	     "path");
	unlink(lock);
	UNIT_CHECK(rmdir(scene.run_dir) == 0);
}

/* brokerd's one child; 0: it has none at the moment. */
static pid_t store_pid(void)
{
	char path[64], buf[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", scene.broker,
		 scene.broker);
	f = fopen(path, "re");
	must(f != NULL, path);
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	return (pid_t)strtol(buf, NULL, 10);
}

static bool ends_within(pid_t pid, int ms)
{
	struct pollfd pfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int n;

	if (pfd.fd < 0)
		return errno == ESRCH;
	n = poll(&pfd, 1, ms);
	close(pfd.fd);
	return n == 1;
}

static bool kill_store(void)
{
	pid_t pid = store_pid();

	return pid > 0 && kill(pid, SIGKILL) == 0 && ends_within(pid, 5000);
}

/* What a domain reads as its own name; "" when it cannot. */
static void read_name(struct platform *p, char *buf, size_t size)
{
	struct xs *xs = NULL;
	char path[64];
	int fd = platform_store_connect(p);

	buf[0] = '\0';
	if (fd < 0)
		return;
	if (xs_open_fd(fd, &xs)) {
		close(fd);
		return;
	}
	snprintf(path, sizeof(path), "/local/domain/%u", platform_domid(p));
	if (xs_read_str(xs, XS_NO_TXN, path, "name", buf, size))
		buf[0] = '\0';
	xs_close(xs);
}

/* ---- what two domains have between them --------------------------------- */

struct channel {
	struct share share;
	struct grant_map map;
	struct evtchn *fe, *be;
};

static bool channel_open(struct channel *c)
{
	memset(c, 0, sizeof(*c));
	return !platform_share(scene.front, scene.back_id, 2, 0, &c->share) &&
	       !platform_map(scene.back, scene.front_id, &c->share.first_ref, 1,
			     true, &c->map) &&
	       !platform_evtchn_alloc(scene.front, scene.back_id, &c->fe) &&
	       !platform_evtchn_bind(scene.back, scene.front_id,
				     evtchn_port(c->fe), &c->be);
}

static void channel_close(struct channel *c)
{
	evtchn_close(c->be);
	evtchn_close(c->fe);
	platform_unmap(scene.back, &c->map);
	UNIT_CHECK(platform_unshare(scene.front, &c->share) == 0);
}

static bool rings(struct evtchn *from, struct evtchn *to)
{
	struct pollfd pfd = { .fd = evtchn_fd(to), .events = POLLIN };

	evtchn_notify(from);
	return poll(&pfd, 1, 2000) == 1 && evtchn_clear(to) == 1 &&
	       evtchn_clear(to) == 0;
}

/* A byte and a notification, both ways. */
static bool channel_works(struct channel *c, char byte)
{
	char *front = c->share.base;
	const volatile char *back;
	char seen = 0;
	struct grant_copy copy = { .domid = scene.front_id,
				   .ref = c->share.first_ref + 1,
				   .size_bytes = 1,
				   .local = &seen };

	front[0] = front[4096] = byte;
	back = (const volatile char *)(uintptr_t)c->map.base;
	return *back == byte && !platform_copy(scene.back, &copy, 1) &&
	       seen == byte && rings(c->fe, c->be) && rings(c->be, c->fe);
}

/* ---- tests -------------------------------------------------------------- */

static void goes_on_when_the_store_is_killed(void)
{
	struct channel old, fresh;
	uint64_t start_ns;
	char name[64];

	begin();
	UNIT_REQUIRE(channel_open(&old));
	for (char i = 1; i <= NR_KILLS; i++) {
		UNIT_REQUIRE(kill_store());
		start_ns = clock_now_ns();
		UNIT_CHECK(channel_works(&old, i));
		/* Pages, ports: none of it is the store's. */
		UNIT_REQUIRE(channel_open(&fresh));
		UNIT_CHECK(channel_works(&fresh, i));
		channel_close(&fresh);
		/* It waits until the next one accepts it. */
		read_name(scene.back, name, sizeof(name));
		UNIT_CHECK(!strcmp(name, "back"));
		UNIT_CHECK(clock_now_ns() - start_ns < 2 * NS_PER_S);
		UNIT_CHECK(channel_works(&old, i));
	}
	channel_close(&old);
	end();
}

static void makes_and_ends_domains_while_there_is_no_store(void)
{
	struct platform *p;
	char name[64];
	domid_t domid;

	begin();
	for (int i = 0; i < 3; i++) {
		UNIT_REQUIRE(kill_store());
		UNIT_REQUIRE(!lite_domain_create(scene.dom0, "outage",
						 geteuid(), 0, &domid));
		UNIT_REQUIRE(!platform_lite_open(scene.run_dir, domid, &p));
		/* Its maker was told: then its nodes are there. */
		read_name(p, name, sizeof(name));
		UNIT_CHECK(!strcmp(name, "outage"));
		UNIT_REQUIRE(kill_store());
		UNIT_CHECK(!lite_domain_destroy(scene.dom0, domid));
		platform_close(p);
		UNIT_CHECK(platform_lite_open(scene.run_dir, domid, &p) ==
			   -ENOENT);
	}
	end();
}

static void takes_the_store_along_when_it_is_killed(void)
{
	int status;
	pid_t store;

	begin();
	store = store_pid();
	UNIT_REQUIRE(store > 0);
	kill(scene.broker, SIGKILL);
	UNIT_CHECK(waitpid(scene.broker, &status, 0) == scene.broker);
	UNIT_CHECK(ends_within(store, 5000));
	platform_close(scene.back);
	platform_close(scene.front);
	platform_close(scene.dom0);
	/* Another one begins with what that one left. */
	must(start_brokerd(), "brokerd");
	must(!platform_lite_open(scene.run_dir, 0, &scene.dom0), "domain 0");
	scene.front = domain("front", &scene.front_id);
	scene.back = domain("back", &scene.back_id);
	end();
}

UNIT_MAIN("brokerd", UNIT_TEST(goes_on_when_the_store_is_killed),
	  UNIT_TEST(makes_and_ends_domains_while_there_is_no_store),
	  UNIT_TEST(takes_the_store_along_when_it_is_killed))
