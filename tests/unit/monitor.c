/* SPDX-License-Identifier: MIT */
/*
 * monitor.c - a real monitor in a child process, whose worker is this program
 * again. The test plays the store daemon: it listens where the monitor
 * connects, and the worker reports to it over the store connection.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/protocol.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/log.h"
#include "util/num.h"

#define PATIENCE_MS 20000

/* What a worker found, told over its store connection. */
struct report {
	uint32_t generation;
	int32_t pid;
	int32_t nr_fds_at_start;
	int32_t signals_blocked;
	int32_t open_err;  /* of device 3/51712 */
	uint32_t nr_opens; /* how often the monitor had opened anything */
	uint64_t device_ino;
	int32_t kept_err;
	char kept[16];
	int32_t results[16];
};

/* ---- the worker --------------------------------------------------------- */

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the directory itself */
}

static int make_memfd(const char *text)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	if (fd >= 0 && pwrite(fd, text, strlen(text), 0) < 0)
		abort();
	return fd;
}

static void look_at_device(struct monitor_client *mc, struct report *r)
{
	struct monitor_device dev;
	struct stat st;

	r->open_err = monitor_client_open_device(mc, 3, 51712, &dev);
	if (r->open_err)
		return;
	if (dev.nr_fds != 1 || fstat(dev.fds[0], &st) < 0 ||
	    dev.info_bytes != sizeof(r->nr_opens))
		abort();
	memcpy(&r->nr_opens, dev.info, sizeof(r->nr_opens));
	r->device_ino = st.st_ino;
	close(dev.fds[0]);
}

static void look_at_kept(struct monitor_client *mc, struct report *r)
{
	int fd = monitor_client_get(mc, "record/3/51712");

	r->kept_err = fd < 0 ? fd : 0;
	if (fd < 0)
		return;
	if (pread(fd, r->kept, sizeof(r->kept) - 1, 0) < 0)
		abort();
	close(fd);
}

/* Every call with what must be refused, or must work, in order. */
static void try_calls(struct monitor_client *mc, struct report *r)
{
	struct monitor_device dev;
	int32_t *res = r->results;
	char key[80];
	int fd = make_memfd("first"), other;

	*res++ = monitor_client_open_device(mc, 3, 7, &dev);
	*res++ = monitor_client_open_device(mc, DOMID_FIRST_RESERVED, 7, &dev);
	*res++ = monitor_client_release_device(mc, 3, 7);
	*res++ = monitor_client_release_device(mc, 3, 51712);
	*res++ = monitor_client_get(mc, "nothing");
	*res++ = monitor_client_drop(mc, "nothing");
	*res++ = monitor_client_keep(mc, "", fd);
	memset(key, 'k', sizeof(key));
	key[MONITOR_KEY_MAX] = '\0';
	*res++ = monitor_client_keep(mc, key, fd);
	key[MONITOR_KEY_MAX - 1] = '\0';
	*res++ = monitor_client_keep(mc, key, fd);
	other = make_memfd("second");
	*res++ = monitor_client_keep(mc, key, other);
	close(fd);
	fd = monitor_client_get(mc, key);
	*res++ = fd >= 0 && pread(fd, key, 6, 0) == 6 &&
		 !memcmp(key, "second", 6);
	close(fd);
	close(other);
	/* One more connection to the store. */
	fd = monitor_client_connect_store(mc);
	*res++ = fd >= 0;
	close(fd);
	/* Released above, then opened again; and one that never was. */
	*res++ = monitor_client_connect_device(mc, 3, 51712);
	if (monitor_client_open_device(mc, 3, 51712, &dev))
		abort();
	close(dev.fds[0]);
	fd = monitor_client_connect_device(mc, 3, 51712);
	*res++ =
		fd >= 0 && pread(fd, key, 4, 0) == 4 && !memcmp(key, "sock", 4);
	close(fd);
	*res++ = monitor_client_connect_device(mc, DOMID_FIRST_RESERVED, 7);
}

static int fill_kept(struct monitor_client *mc)
{
	int fd = make_memfd("x"), err = 0, n = 0;

	for (; !err && n < 2 * (int)MONITOR_KEPT_MAX; n += !err) {
		char key[32];

		snprintf(key, sizeof(key), "key%d", n);
		err = monitor_client_keep(mc, key, fd);
	}
	close(fd);
	return err == -ENOSPC ? n : err;
}

/* The nth way to break the protocol. */
static void lie(uint32_t n)
{
	struct monitor_request req = { .op = MONITOR_OP_READY };
	char big[2 * sizeof(req)] = { 0 };
	int fds[2] = { 1, 2 };
	size_t size = sizeof(req);
	const void *msg = &req;
	unsigned nr_fds = 0;

	switch (n) {
	case 0: size = 3; break;
	case 1:
		msg = big;
		size = sizeof(big);
		break;
	case 2: req.op = 0; break;
	case 3: req.op = 99; break;
	case 4: nr_fds = 1; break;
	case 5:
		req.op = MONITOR_OP_KEEP;
		req.key[0] = 'k';
		nr_fds = 2;
		break;
	case 6:
		req.op = MONITOR_OP_KEEP;
		req.key[0] = 'k';
		break;
	case 7:
		req.op = MONITOR_OP_GET;
		memset(req.key, 'k', sizeof(req.key));
		break;
	case 8: req.op = MONITOR_OP_DROP; break;
	case 9:
		req.op = MONITOR_OP_GET;
		memcpy(req.key, "a\nb", 4);
		break;
	}
	if (fdmsg_send(MONITOR_WORKER_FD, msg, size, fds, nr_fds, 0))
		abort();
	pause();
}
#define NR_LIES 10u

static int blocked_signals(void)
{
	sigset_t set;

	sigprocmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, SIGTERM) + sigismember(&set, SIGCHLD);
}

static void worker(const char *mode)
{
	struct report r = { .nr_fds_at_start = count_fds(),
			    .signals_blocked = blocked_signals(),
			    .pid = getpid() };
	struct monitor_client *mc;
	int broker_fd, store_fd, fd;

	if (monitor_client_open(MONITOR_WORKER_FD, &broker_fd, &r.generation,
				&mc))
		abort();
	if (!strcmp(mode, "crash"))
		_exit(monitor_client_connect_store(mc) < 0 ? 4 : 3);
	if (!strcmp(mode, "liar") && r.generation < NR_LIES)
		lie(r.generation);
	/* The second dies before it is ready, the fourth wants nothing. */
	if (!strcmp(mode, "forget") && r.generation == 1)
		raise(SIGKILL);
	if (strcmp(mode, "forget") != 0 || r.generation != 3) {
		look_at_device(mc, &r);
		look_at_kept(mc, &r);
	}
	if (!strcmp(mode, "calls"))
		try_calls(mc, &r);
	if (!strcmp(mode, "fill"))
		r.results[0] = fill_kept(mc);
	if (!strcmp(mode, "stubborn"))
		signal(SIGTERM, SIG_IGN);
	if (r.generation == 0 &&
	    (!strcmp(mode, "hold") || !strcmp(mode, "forget"))) {
		fd = make_memfd("in flight");
		if (monitor_client_keep(mc, "record/3/51712", fd))
			abort();
		close(fd);
	}
	store_fd = monitor_client_connect_store(mc);
	if (store_fd < 0 || monitor_client_ready(mc) ||
	    write(broker_fd, &r.pid, 4) != 4 ||
	    write(store_fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		abort();
	for (;;)
		pause();
}

/* ---- the scene ---------------------------------------------------------- */

static struct {
	char dir[64];
	int broker_listener, store_listener;
	int broker, store; /* as accepted */
	int stdout_fd;
	pid_t monitor;
} scene;

static uint32_t nr_opens; /* in the monitor's process */

static int test_open(void *arg, domid_t domid, uint32_t handle,
		     struct monitor_device *ret, char *why)
{
	int err;

	(void)arg;
	if (domid != 3 || handle != 51712) {
		err = str_printf(why, WHY_MAX, "not configured");
		return err < 0 ? err : -ENOENT;
	}
	nr_opens++;
	ret->fds[0] = make_memfd("disk");
	ret->nr_fds = 1;
	ret->info_bytes = sizeof(nr_opens);
	memcpy(ret->info, &nr_opens, sizeof(nr_opens));
	return 0;
}

static int test_connect(void *arg, const struct monitor_device *dev)
{
	(void)arg;
	return dev->nr_fds == 1 ? make_memfd("sock") : -EINVAL;
}

static const struct monitor_ops ops = { .open = test_open,
					.connect = test_connect };

static void run_monitor(const char *program, const char *mode, int out)
{
	const char *argv[] = { "worker", "--worker", mode, NULL };
	struct monitor_config config = {
		.program = program,
		.worker_argv = argv,
		.run_dir = scene.dir,
		.domid = 1,
		.ops = &ops,
		.ready_line = "ready",
	};

	/* A failing test leaves nothing behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	if (!getenv("V"))
		(void)!freopen("/dev/null", "w", stderr);
	_exit(monitor_run(&config) ? 1 : 0);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1;
}

static int accept_one(int listener)
{
	return readable(listener, PATIENCE_MS)
		       ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
		       : -1;
}

static void listen_in(const char *domain)
{
	char path[128];

	if (str_printf(path, sizeof(path), "%s/%s", scene.dir, domain) < 0 ||
	    mkdir(path, 0700) < 0)
		abort();
	if (str_printf(path, sizeof(path), "%s/%s/broker", scene.dir, domain) <
	    0)
		abort();
	scene.broker_listener = unix_listen(path, SOCK_SEQPACKET, (uid_t)-1);
	if (str_printf(path, sizeof(path), "%s/%s/xenstore", scene.dir,
		       domain) < 0)
		abort();
	scene.store_listener = unix_listen(path, SOCK_STREAM, (uid_t)-1);
}

static void begin_program(const char *program, const char *mode)
{
	int out[2];

	scene.broker = scene.store = -1;
	snprintf(scene.dir, sizeof(scene.dir), "/tmp/pvsplit-monitor-XXXXXX");
	if (!mkdtemp(scene.dir) || pipe2(out, O_CLOEXEC) < 0)
		abort();
	listen_in("1");
	scene.monitor = fork();
	if (scene.monitor == 0)
		run_monitor(program, mode, out[1]);
	close(out[1]);
	scene.stdout_fd = out[0];
}

static void begin(const char *mode)
{
	begin_program("/proc/self/exe", mode);
	scene.broker = accept_one(scene.broker_listener);
}

/* Wait for the monitor's end; -1 when it does not come. */
static int monitor_status(void)
{
	int pidfd = pidfd_open(scene.monitor, 0), status = -1;

	if (readable(pidfd, PATIENCE_MS) &&
	    waitpid(scene.monitor, &status, 0) == scene.monitor)
		scene.monitor = 0;
	close(pidfd);
	return status;
}

static void unlink_in(const char *name)
{
	char path[128];

	if (str_printf(path, sizeof(path), "%s/1/%s", scene.dir, name) > 0)
		remove(path);
}

static void finish(void)
{
	if (scene.monitor) {
		kill(scene.monitor, SIGKILL);
		waitpid(scene.monitor, NULL, 0);
	}
	if (scene.broker >= 0)
		close(scene.broker);
	if (scene.store >= 0)
		close(scene.store);
	close(scene.broker_listener);
	close(scene.store_listener);
	close(scene.stdout_fd);
	unlink_in("broker");
	unlink_in("xenstore");
	unlink_in("");
	rmdir(scene.dir);
}

/* The next worker's report. */
static bool next_report(struct report *r)
{
	ssize_t n;

	do {
		if (scene.store >= 0)
			close(scene.store);
		scene.store = accept_one(scene.store_listener);
		if (scene.store < 0 || !readable(scene.store, PATIENCE_MS))
			return false;
		/* A worker that died first: its connection is just closed. */
		n = recv(scene.store, r, sizeof(*r), MSG_WAITALL);
	} while (n == 0);
	return n == (ssize_t)sizeof(*r);
}

/* Wait until process pid is gone. */
static bool is_gone(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0);
	bool gone;

	if (pidfd < 0)
		return errno == ESRCH;
	gone = readable(pidfd, PATIENCE_MS);
	close(pidfd);
	return gone;
}

/* ---- the tests ---------------------------------------------------------- */

static void hands_the_next_worker_what_the_dead_one_had(void)
{
	struct report a = { 0 }, b = { 0 };
	int32_t told[2] = { 0, 0 };
	char out[64] = "";
	ssize_t n;

	begin("hold");
	UNIT_CHECK(next_report(&a));
	UNIT_CHECK(a.generation == 0 && a.open_err == 0 && a.nr_opens == 1);
	UNIT_CHECK(a.kept_err == -ENOENT);
	UNIT_CHECK(kill(a.pid, SIGKILL) == 0);
	UNIT_CHECK(next_report(&b));
	UNIT_CHECK(b.generation == 1 && b.pid != a.pid);
	UNIT_CHECK(b.device_ino == a.device_ino && b.nr_opens == 1);
	UNIT_CHECK(b.kept_err == 0 && !strcmp(b.kept, "in flight"));
	/* Both spoke over the one broker connection. */
	UNIT_CHECK(recv(scene.broker, &told[0], 4, 0) == 4);
	UNIT_CHECK(recv(scene.broker, &told[1], 4, 0) == 4);
	UNIT_CHECK(told[0] == a.pid && told[1] == b.pid);
	UNIT_CHECK(!readable(scene.broker_listener, 0));
	UNIT_CHECK(kill(scene.monitor, SIGTERM) == 0);
	UNIT_CHECK(monitor_status() == 0);
	UNIT_CHECK(is_gone(b.pid));
	n = read(scene.stdout_fd, out, sizeof(out) - 1);
	UNIT_CHECK(n == 6 && !strcmp(out, "ready\n"));
	UNIT_CHECK(read(scene.stdout_fd, out, 1) == 0);
	finish();
}

static void gives_up_what_no_later_worker_asks_for(void)
{
	struct report r[5];

	memset(r, 0, sizeof(r));
	begin("forget");
	UNIT_CHECK(next_report(&r[0]));
	kill(r[0].pid, SIGKILL);
	/* One that was never ready gives nothing up. */
	UNIT_CHECK(next_report(&r[2]));
	UNIT_CHECK(r[2].generation == 2 && r[2].nr_opens == 1);
	UNIT_CHECK(r[2].kept_err == 0);
	kill(r[2].pid, SIGKILL);
	UNIT_CHECK(next_report(&r[3]) && r[3].generation == 3);
	kill(r[3].pid, SIGKILL);
	UNIT_CHECK(next_report(&r[4]) && r[4].generation == 4);
	UNIT_CHECK(r[4].nr_opens == 2 && r[4].kept_err == -ENOENT);
	finish();
}

static void gives_a_worker_nothing_but_its_socket(void)
{
	struct report r = { 0 };

	begin("hold");
	UNIT_CHECK(next_report(&r));
	UNIT_CHECK(r.nr_fds_at_start == 4);
	UNIT_CHECK(r.signals_blocked == 0);
	finish();
}

static void answers_every_call_and_refuses_what_is_not_there(void)
{
	static const int32_t want[] = {
		-ENOENT, -EINVAL, -ENOENT,	 0, -ENOENT,
		-ENOENT, -EINVAL, -ENAMETOOLONG, 0, 0,
		1,	 1,	  -ENOENT,	 1, -EINVAL,
	};
	struct report r = { 0 };

	begin("calls");
	UNIT_CHECK(next_report(&r));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		UNIT_CHECK(r.results[i] == want[i]);
	finish();
}

static void keeps_a_bounded_number_of_descriptors(void)
{
	struct report r = { 0 };

	begin("fill");
	UNIT_CHECK(next_report(&r));
	UNIT_CHECK(r.results[0] == (int32_t)MONITOR_KEPT_MAX);
	finish();
}

static void kills_and_replaces_a_worker_that_breaks_the_protocol(void)
{
	struct report r = { 0 };

	begin("liar");
	UNIT_CHECK(next_report(&r));
	UNIT_CHECK(r.generation == NR_LIES && r.open_err == 0);
	finish();
}

static void backs_off_while_workers_keep_dying(void)
{
	uint64_t start, took_ns;

	begin("crash");
	start = clock_now_ns();
	for (int i = 0; i < 8; i++) {
		int fd = accept_one(scene.store_listener);

		UNIT_CHECK(fd >= 0);
		close(fd);
	}
	took_ns = clock_now_ns() - start;
	/* Pauses of 0, 10, 20, 40, 80, 160 and 320 ms lie between them. */
	UNIT_CHECK(took_ns >= 630 * NS_PER_MS);
	/* In a pause it ends at once, too. */
	UNIT_CHECK(kill(scene.monitor, SIGTERM) == 0);
	UNIT_CHECK(monitor_status() == 0);
	finish();
}

static void kills_a_worker_that_does_not_end(void)
{
	struct report r = { 0 };
	uint64_t start;

	begin("stubborn");
	UNIT_CHECK(next_report(&r));
	start = clock_now_ns();
	UNIT_CHECK(kill(scene.monitor, SIGTERM) == 0);
	UNIT_CHECK(monitor_status() == 0);
	UNIT_CHECK(clock_now_ns() - start >= 1900 * NS_PER_MS);
	UNIT_CHECK(is_gone(r.pid));
	finish();
}

static void takes_the_worker_along_when_it_is_killed(void)
{
	struct report r = { 0 };

	begin("stubborn");
	UNIT_CHECK(next_report(&r));
	UNIT_CHECK(kill(scene.monitor, SIGKILL) == 0);
	UNIT_CHECK(is_gone(r.pid));
	finish();
}

static void ends_with_an_error_when_the_broker_is_gone(void)
{
	struct report r = { 0 };
	int status;

	begin("hold");
	UNIT_CHECK(next_report(&r));
	close(scene.broker);
	scene.broker = -1;
	status = monitor_status();
	UNIT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	UNIT_CHECK(is_gone(r.pid));
	finish();
}

static void ends_with_an_error_when_the_program_cannot_be_started(void)
{
	int status;

	begin_program("/nonexistent/program", "hold");
	status = monitor_status();
	UNIT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	finish();
}

static void ends_with_an_error_when_there_is_no_such_domain(void)
{
	struct monitor_config config = { .run_dir = "/nonexistent",
					 .domid = 1,
					 .ops = &ops };

	UNIT_CHECK(monitor_run(&config) == -ENOENT);
}

/* ---- the client against a monitor that answers wrongly ------------------- */

static int client_of(int sock, struct monitor_client **ret)
{
	struct monitor_reply hello = { .nr_fds = 1 };
	int fd = 1, broker_fd, err;
	uint32_t generation;

	err = fdmsg_send(sock, &hello, sizeof(hello), &fd, 1, 0);
	if (err)
		return err;
	return monitor_client_open(dup(scene.store), &broker_fd, &generation,
				   ret)
		       ?: (close(broker_fd), 0);
}

static void client_gives_up_on_a_wrong_answer(void)
{
	for (int i = 0; i < 5; i++) {
		struct monitor_reply reply = { 0 };
		struct monitor_client *mc = NULL;
		size_t size = sizeof(reply);
		int pair[2], fd = 1;
		unsigned nr_fds = 0;

		UNIT_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC,
					0, pair) == 0);
		scene.store = pair[0];
		UNIT_CHECK(client_of(pair[1], &mc) == 0);
		switch (i) {
		case 0: size = 4; break;
		case 1: reply.error = 7; break;
		case 2: nr_fds = 1; break; /* unasked */
		case 3: reply.info_bytes = MONITOR_INFO_MAX + 1; break;
		case 4: reply.nr_fds = 3; break; /* says so only */
		}
		UNIT_CHECK(fdmsg_send(pair[1], &reply, size, &fd, nr_fds, 0) ==
			   0);
		if (i == 4) {
			struct monitor_device dev;

			UNIT_CHECK(monitor_client_open_device(mc, 1, 1, &dev) ==
				   -EPROTO);
		} else {
			UNIT_CHECK(monitor_client_ready(mc) == -EPROTO);
		}
		UNIT_CHECK(monitor_client_ready(mc) == -ECONNRESET);
		monitor_client_close(mc);
		close(pair[0]);
		close(pair[1]);
	}
}

static void client_sees_the_end_of_its_monitor(void)
{
	struct monitor_client *mc = NULL;
	int pair[2];

	UNIT_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				pair) == 0);
	scene.store = pair[0];
	UNIT_CHECK(client_of(pair[1], &mc) == 0);
	while (recv(pair[1], &(struct monitor_request){ 0 },
		    sizeof(struct monitor_request), MSG_DONTWAIT) > 0)
		;
	close(pair[1]);
	UNIT_CHECK(readable(monitor_client_fd(mc), 0));
	UNIT_CHECK(monitor_client_ready(mc) == -ECONNRESET);
	monitor_client_close(mc);
	close(pair[0]);
}

int main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(hands_the_next_worker_what_the_dead_one_had),
		UNIT_TEST(gives_up_what_no_later_worker_asks_for),
		UNIT_TEST(gives_a_worker_nothing_but_its_socket),
		UNIT_TEST(answers_every_call_and_refuses_what_is_not_there),
		UNIT_TEST(keeps_a_bounded_number_of_descriptors),
		UNIT_TEST(kills_and_replaces_a_worker_that_breaks_the_protocol),
		UNIT_TEST(backs_off_while_workers_keep_dying),
		UNIT_TEST(kills_a_worker_that_does_not_end),
		UNIT_TEST(takes_the_worker_along_when_it_is_killed),
		UNIT_TEST(ends_with_an_error_when_the_broker_is_gone),
		UNIT_TEST(
			ends_with_an_error_when_the_program_cannot_be_started),
		UNIT_TEST(ends_with_an_error_when_there_is_no_such_domain),
		UNIT_TEST(client_gives_up_on_a_wrong_answer),
		UNIT_TEST(client_sees_the_end_of_its_monitor),
	};

	log_init("monitor-test", LOG_INFO);
	if (argc == 3 && !strcmp(argv[1], "--worker"))
		worker(argv[2]);
	return unit_run("monitor", cases, ARRAY_SIZE(cases));
}
