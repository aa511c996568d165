/* SPDX-License-Identifier: MIT */
/*
 * broker_child.c - the store's process: this program, started once more, plays
 * a store that serves, fails, is deaf or talks nonsense.
 */
#include "broker/store_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "xenstore-lite/domctl.h"

#define PATIENCE_NS (10 * NS_PER_S)

/* ---- the store ---------------------------------------------------------- */

static int answer_all(bool deaf)
{
	struct domctl_msg msg;

	for (;;) {
		ssize_t n =
			fdmsg_recv(DOMCTL_FD, &msg, sizeof(msg), NULL, NULL, 0);

		/* Nothing is told here that has a descriptor. */
		if (n != sizeof(msg))
			break;
		if (fdmsg_send(DOMCTL_FD, &msg, sizeof(msg), NULL, 0, 0))
			break;
		if (msg.op == DOMCTL_END && !deaf)
			return 0;
	}
	if (!deaf)
		return 0;
	for (;;)
		pause();
}

static bool is_null(int fd)
{
	struct stat here, null;

	return fstat(fd, &here) == 0 && stat("/dev/null", &null) == 0 &&
	       here.st_rdev == null.st_rdev && S_ISCHR(here.st_mode);
}

static int play_store(const char *mode)
{
	struct domctl_msg msg = { 0 };

	/* Nothing of the broker's, whatever it held. */
	if (!is_null(STDIN_FILENO) || !is_null(STDOUT_FILENO) ||
	    fcntl(DOMCTL_FD + 1, F_GETFD) >= 0)
		return 99;
	if (!strcmp(mode, "serve"))
		return answer_all(false);
	if (!strcmp(mode, "deaf"))
		return answer_all(true);
	if (!strcmp(mode, "nonsense"))
		return fdmsg_send(DOMCTL_FD, &msg, 1, NULL, 0, 0)
			       ? 98
			       : answer_all(true);
	return (int)strtol(mode, NULL, 10);
}

/* ---- the scene ---------------------------------------------------------- */

static struct {
	struct loop *loop;
	struct store_link *link;
	struct store_child *child;
	struct store_child_config config;
	const char *argv[3];
	char program[PATH_MAX];
	unsigned nr_serving, nr_synced;
	bool over;
	int err;
} scene;

static void synced(void *arg)
{
	(void)arg;
	scene.nr_synced++;
	store_child_synced(scene.child);
}

static void lost(void *arg, int err)
{
	(void)arg;
	store_child_lost(scene.child, err);
}

static void serving(void *arg)
{
	(void)arg;
	scene.nr_serving++;
}

static void over(void *arg, int err)
{
	(void)arg;
	scene.over = true;
	scene.err = err;
}

static int begin(const char *mode)
{
	static const struct store_link_ops ops = { .synced = synced,
						   .lost = lost };
	ssize_t n;

	memset(&scene, 0, sizeof(scene));
	log_init("test", LOG_ERROR + 1);
	n = readlink("/proc/self/exe", scene.program, sizeof(scene.program));
	if (n < 0 || n == sizeof(scene.program))
		abort();
	scene.argv[0] = "store";
	scene.argv[1] = mode;
	scene.config = (struct store_child_config){ .program = scene.program,
						    .argv = scene.argv,
						    .serving = serving,
						    .over = over };
	if (loop_open(&scene.loop) ||
	    store_link_open(scene.loop, &ops, NULL, &scene.link))
		abort();
	return store_child_open(scene.loop, scene.link, &scene.config,
				&scene.child);
}

static void end(void)
{
	store_child_close(scene.child);
	store_link_close(scene.link);
	loop_close(scene.loop);
	/* Nobody is left, not even to be buried. */
	UNIT_CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* Run the loop until nr stores have synced, or it is over. */
static bool wait_for(unsigned nr)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;

	while (scene.nr_synced < nr && !scene.over &&
	       clock_now_ns() < deadline_ns)
		if (loop_once(scene.loop, deadline_ns))
			abort();
	return scene.nr_synced == nr;
}

/* The one child. */
static pid_t store_pid(void)
{
	char path[64], buf[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	if (!f || !fgets(buf, sizeof(buf), f))
		abort();
	fclose(f);
	return (pid_t)strtol(buf, NULL, 10);
}

/* ---- tests -------------------------------------------------------------- */

static void waits_longer_after_each_quick_death(void)
{
	static const uint64_t ms[] = { 0,   0,	  100,	200,  400,
				       800, 1600, 3200, 5000, 5000 };

	for (unsigned i = 0; i < sizeof(ms) / sizeof(ms[0]); i++)
		UNIT_CHECK(store_child_pause_ns(i) == ms[i] * NS_PER_MS);
	UNIT_CHECK(store_child_pause_ns(UINT_MAX) == STORE_PAUSE_MAX_NS);
}

static void starts_it_again_when_it_dies(void)
{
	uint64_t started_ns, took_ns[4];

	UNIT_REQUIRE(!begin("serve"));
	for (unsigned i = 0; i < 4; i++) {
		started_ns = clock_now_ns();
		UNIT_REQUIRE(wait_for(i + 1));
		took_ns[i] = clock_now_ns() - started_ns;
		kill(store_pid(), SIGKILL);
	}
	UNIT_CHECK(scene.nr_serving == 1 && !scene.over);
	/* The first death costs nothing, the next ones do. */
	UNIT_CHECK(took_ns[1] < 100 * NS_PER_MS);
	UNIT_CHECK(took_ns[2] >= 100 * NS_PER_MS);
	UNIT_CHECK(took_ns[3] >= 200 * NS_PER_MS);
	end();
}

static void starts_one_again_that_ends_by_itself(void)
{
	UNIT_REQUIRE(!begin("serve"));
	UNIT_REQUIRE(wait_for(1));
	kill(store_pid(), SIGTERM);
	UNIT_CHECK(wait_for(2) && !scene.over);
	end();
}

static void is_over_when_the_first_one_does_not_serve(void)
{
	static const char *const modes[] = { "0", "1", "2", "3" };

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		UNIT_REQUIRE(!begin(modes[i]));
		UNIT_CHECK(!wait_for(1));
		UNIT_CHECK(scene.over && scene.err == -ECHILD);
		UNIT_CHECK(scene.nr_serving == 0);
		end();
	}
}

static void kills_one_that_talks_nonsense(void)
{
	UNIT_REQUIRE(!begin("nonsense"));
	UNIT_CHECK(!wait_for(1));
	UNIT_CHECK(scene.over && scene.err == -ECHILD);
	end();
}

static void goes_on_trying_when_it_cannot_be_started(void)
{
	UNIT_REQUIRE(!begin("serve"));
	UNIT_REQUIRE(wait_for(1));
	kill(store_pid(), SIGKILL);
	scene.config.program = "/nonexistent";
	for (int i = 0; i < 4; i++)
		if (loop_once(scene.loop, clock_now_ns() + 50 * NS_PER_MS))
			abort();
	scene.config.program = scene.program;
	UNIT_CHECK(wait_for(2) && !scene.over);
	end();
	UNIT_CHECK(begin("serve") == 0);
	store_child_close(scene.child);
	scene.config.program = "/nonexistent";
	UNIT_CHECK(store_child_open(scene.loop, scene.link, &scene.config,
				    &scene.child) == -ENOENT);
	scene.child = NULL;
	end();
}

static void ends_it_in_order(void)
{
	UNIT_REQUIRE(!begin("serve"));
	UNIT_REQUIRE(wait_for(1));
	store_child_end(scene.child);
	UNIT_CHECK(!wait_for(2));
	UNIT_CHECK(scene.over && scene.err == 0);
	end();
}

static void kills_one_that_does_not_end(void)
{
	uint64_t start_ns;

	UNIT_REQUIRE(!begin("deaf"));
	UNIT_REQUIRE(wait_for(1));
	start_ns = clock_now_ns();
	store_child_end(scene.child);
	UNIT_CHECK(!wait_for(2));
	UNIT_CHECK(scene.over && scene.err == 0);
	UNIT_CHECK(clock_now_ns() - start_ns >= STORE_END_WAIT_NS);
	end();
	/* Asked twice, at once. */
	UNIT_REQUIRE(!begin("deaf"));
	UNIT_REQUIRE(wait_for(1));
	start_ns = clock_now_ns();
	store_child_end(scene.child);
	store_child_end(scene.child);
	UNIT_CHECK(!wait_for(2));
	UNIT_CHECK(scene.over && scene.err == 0);
	UNIT_CHECK(clock_now_ns() - start_ns < STORE_END_WAIT_NS);
	end();
}

static void does_not_wait_for_one_that_is_dead(void)
{
	UNIT_REQUIRE(!begin("serve"));
	UNIT_REQUIRE(wait_for(1));
	kill(store_pid(), SIGKILL);
	UNIT_CHECK(wait_for(2));
	kill(store_pid(), SIGKILL);
	/* Its end is seen in one round or two; then there is a pause. */
	for (int i = 0; i < 4; i++)
		if (loop_once(scene.loop, clock_now_ns() + 10 * NS_PER_MS))
			abort();
	store_child_end(scene.child);
	UNIT_CHECK(!wait_for(3));
	UNIT_CHECK(scene.over && scene.err == 0);
	end();
}

static const struct unit_case cases[] = {
	UNIT_TEST(waits_longer_after_each_quick_death),
	UNIT_TEST(starts_it_again_when_it_dies),
	UNIT_TEST(starts_one_again_that_ends_by_itself),
	UNIT_TEST(is_over_when_the_first_one_does_not_serve),
	UNIT_TEST(kills_one_that_talks_nonsense),
	UNIT_TEST(goes_on_trying_when_it_cannot_be_started),
	UNIT_TEST(ends_it_in_order),
	UNIT_TEST(kills_one_that_does_not_end),
	UNIT_TEST(does_not_wait_for_one_that_is_dead),
};

int main(int argc, char **argv)
{
	if (argc == 2)
		return play_store(argv[1]);
	return unit_run("broker_child", cases,
			sizeof(cases) / sizeof(cases[0]));
}
