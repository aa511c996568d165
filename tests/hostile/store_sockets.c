/* SPDX-License-Identifier: MIT */
/*
 * store_sockets.c - the traps of Unix sockets, at the real brokerd's and
 * xenstored-lite's: a domain may open many, never read, never finish a message,
 * and say what it likes; it stays one domain, and nobody else waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "platform/lite_control.h"
#include "platform/platform.h"
#include "tests/unit/unit.h"
#include "util/clock.h"
#include "util/num.h"

#define NR_SOCKETS 200u
#define WAIT_MS	   5000

static struct {
	char run_dir[64];
	pid_t broker;
	struct platform *dom0;
	domid_t evil, victim;
	int fds[1024];
	unsigned nr_fds;
} scene;

/* ---- the scene ----------------------------------------------------------- */

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

/* Programs are beside the tests: BUILD/tests/hostile/NAME and BUILD/bin. */
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

static void start_brokerd(void)
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
	must(fgets(line, sizeof(line), f) && strcmp(line, "ready\n") == 0,
	     "brokerd");
	fclose(f);
}

static void begin(void)
{
	memset(&scene, 0, sizeof(scene));
	snprintf(scene.run_dir, sizeof(scene.run_dir),
		 "/tmp/pvsplit-unit-XXXXXX");
	must(mkdtemp(scene.run_dir) != NULL, "mkdtemp");
	start_brokerd();
	must(!platform_lite_open(scene.run_dir, 0, &scene.dom0), "domain 0");
	must(!lite_domain_create(scene.dom0, "evil", geteuid(), 0, &scene.evil),
	     "evil");
	must(!lite_domain_create(scene.dom0, "victim", geteuid(), 0,
				 &scene.victim),
	     "victim");
}

static void end(void)
{
	char lock[128];
	int status = -1;

	for (unsigned i = 0; i < scene.nr_fds; i++)
		close(scene.fds[i]);
	platform_close(scene.dom0);
	kill(scene.broker, SIGTERM);
	UNIT_CHECK(waitpid(scene.broker, &status, 0) == scene.broker &&
		   status == 0);
	must(str_printf(lock, sizeof(lock), "%s/lock", scene.run_dir) > 0,
	     "path");
	unlink(lock);
	UNIT_CHECK(rmdir(scene.run_dir) == 0);
}

/* ---- clients ------------------------------------------------------------- */

static void socket_path(domid_t domid, char *path, size_t size)
{
	must(str_printf(path, size, "%s/%u/xenstore", scene.run_dir, domid) > 0,
	     "path");
}

/* A socket of the domain, closed at the end; -errno. */
static int dial(domid_t domid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && scene.nr_fds < ARRAY_SIZE(scene.fds), "socket");
	scene.fds[scene.nr_fds++] = fd;
	socket_path(domid, addr.sun_path, sizeof(addr.sun_path));
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno
								   : fd;
}

static bool send_message(int fd, uint32_t type, const void *payload, size_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr = { .type = type, .len = (uint32_t)len };

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	len += sizeof(hdr);
	return send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* All of len bytes, within a time; false: it was hung up, or took too long. */
static bool receive(int fd, void *data, size_t len)
{
	uint64_t end_ns = clock_now_ns() + WAIT_MS * NS_PER_MS;
	size_t got = 0;

	while (got < len && clock_now_ns() < end_ns) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = recv(fd, (char *)data + got, len - got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		got += n > 0 ? (size_t)n : 0;
	}
	return got == len;
}

static bool is_hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, WAIT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

/* The next answer, events left out: its type, or -1. */
static int answer(int fd, char *payload)
{
	struct xsd_sockmsg hdr;

	do {
		if (!receive(fd, &hdr, sizeof(hdr)) ||
		    hdr.len > XENSTORE_PAYLOAD_MAX ||
		    !receive(fd, payload, hdr.len))
			return -1;
		payload[hdr.len] = '\0';
	} while (hdr.type == XS_WATCH_EVENT);
	return (int)hdr.type;
}

static bool ask(int fd, uint32_t type, const void *payload, size_t len)
{
	static char got[XENSTORE_PAYLOAD_MAX + 1];

	return send_message(fd, type, payload, len) &&
	       answer(fd, got) == (int)type;
}

/* The victim is served on a socket that it has, and on a new one. */
static void victim_is_served(int fd)
{
	uint64_t start_ns = clock_now_ns();
	int again = dial(scene.victim);

	UNIT_CHECK(ask(fd, XS_WRITE, "data/x\0mine", 11));
	UNIT_CHECK(again >= 0 && ask(again, XS_READ, "data/x", 7));
	UNIT_CHECK(clock_now_ns() - start_ns < NS_PER_S * 3);
}

/* No fault was counted, and the domain is gone without a trace. */
static void evil_goes(void)
{
	char got[XENSTORE_PAYLOAD_MAX + 1], path[32];
	int fd = dial(0), len;

	UNIT_CHECK(!lite_domain_destroy(scene.dom0, scene.evil));
	len = str_printf(path, sizeof(path), "/local/domain/%u", scene.evil);
	UNIT_CHECK(send_message(fd, XS_READ, path, (size_t)len + 1) &&
		   answer(fd, got) == XS_ERROR && strcmp(got, "ENOENT") == 0);
	UNIT_CHECK(send_message(fd, XS_CONTROL, "check", 6) &&
		   answer(fd, got) == XS_CONTROL && strcmp(got, "OK") == 0);
}

/* ---- tests --------------------------------------------------------------- */

/* Defence: quotas are counted in struct xsd_domain. */
static void two_hundred_sockets_of_one_domain_share_one_quota(void)
{
	int fds[NR_SOCKETS], victim;
	unsigned nr_watches = 0, nr_txns = 0;
	char text[32];

	begin();
	victim = dial(scene.victim);
	for (unsigned i = 0; i < NR_SOCKETS; i++) {
		fds[i] = dial(scene.evil);
		UNIT_REQUIRE(fds[i] >= 0);
	}
	for (unsigned i = 0; i < NR_SOCKETS; i++) {
		int len = snprintf(text, sizeof(text), "data%ct%u", 0, i);

		nr_watches += ask(fds[i], XS_WATCH, text, (size_t)len + 1);
		nr_txns += ask(fds[i], XS_TRANSACTION_START, "", 1);
	}
	UNIT_CHECK(nr_watches == 128);
	UNIT_CHECK(nr_txns == 10);
	victim_is_served(victim);
	evil_goes();
	end();
}

/*
 * Each asks for all that it may, and none reads. Defence: a connection that
 * does not read is not read from (xsd_conn_wants_input).
 */
static void two_hundred_sockets_that_never_read_stop_nobody(void)
{
	static char value[2000];
	int fds[NR_SOCKETS], victim;
	unsigned nr_sent = 0;

	begin();
	victim = dial(scene.victim);
	memcpy(value, "data/x", 7);
	for (unsigned i = 0; i < NR_SOCKETS; i++)
		fds[i] = dial(scene.evil);
	UNIT_CHECK(ask(fds[0], XS_WRITE, value, sizeof(value)));
	for (unsigned round = 0; round < 50; round++)
		for (unsigned i = 0; i < NR_SOCKETS; i++)
			nr_sent += send_message(fds[i], XS_READ, "data/x", 7);
	UNIT_CHECK(nr_sent > 1000);
	victim_is_served(victim);
	/* And it is as new as soon as it reads. */
	for (unsigned i = 0; i < NR_SOCKETS; i++)
		shutdown(fds[i], SHUT_RDWR);
	UNIT_CHECK(ask(dial(scene.evil), XS_READ, "data/x", 7));
	evil_goes();
	end();
}

/* Defence: the number of a domain's connections is bounded. */
static void a_flood_of_sockets_leaves_room_for_others(void)
{
	unsigned nr_served = 0;
	int victim;

	begin();
	victim = dial(scene.victim);
	for (unsigned i = 0; i < 700; i++) {
		int fd = dial(scene.evil);

		nr_served += fd >= 0 && ask(fd, XS_READ, "name", 5);
	}
	UNIT_CHECK(nr_served == 512);
	victim_is_served(victim);
	evil_goes();
	end();
}

/* Half a header, half a payload, a byte at a time: nobody waits for the rest.
 */
static void a_message_that_never_ends_stops_nobody(void)
{
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 7 };
	int victim, fds[3];

	begin();
	victim = dial(scene.victim);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = dial(scene.evil);
	UNIT_CHECK(send(fds[0], &hdr, 9, MSG_NOSIGNAL) == 9);
	UNIT_CHECK(send(fds[1], &hdr, sizeof(hdr), MSG_NOSIGNAL) == 16);
	UNIT_CHECK(send(fds[1], "dat", 3, MSG_NOSIGNAL) == 3);
	victim_is_served(victim);
	UNIT_CHECK(ask(fds[2], XS_READ, "name", 5));
	/* A length that lies hangs up this one, not its siblings. */
	hdr.len = UINT32_MAX;
	UNIT_CHECK(send(fds[2], &hdr, sizeof(hdr), MSG_NOSIGNAL) == 16);
	UNIT_CHECK(is_hung_up(fds[2]));
	hdr.len = 7;
	UNIT_CHECK(send(fds[0], (char *)&hdr + 9, 7, MSG_NOSIGNAL) == 7);
	UNIT_CHECK(send(fds[0], "data/x", 7, MSG_NOSIGNAL) == 7);
	UNIT_CHECK(receive(fds[0], &hdr, sizeof(hdr)) && hdr.type == XS_ERROR);
	victim_is_served(victim);
	evil_goes();
	end();
}

/* As another uid: the socket is not for it, whoever opens its door. */
static int dial_as(uid_t uid)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		char got[1];
		int fd;

		if (setresuid(uid, uid, uid))
			_exit(2);
		fd = dial(scene.victim);
		if (fd < 0)
			_exit(3);
		send_message(fd, XS_READ, "name", 5);
		_exit(receive(fd, got, 1) ? 0 : 4);
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Defence: SO_PEERCRED, looked at when a connection is accepted. */
static void who_one_is_comes_from_the_socket(void)
{
	char path[128], got[XENSTORE_PAYLOAD_MAX + 1];
	int fd;

	begin();
	/* What a message says of its sender changes nothing: the owner of what
	 * it makes is the socket's domain. */
	fd = dial(scene.evil);
	UNIT_CHECK(ask(fd, XS_WRITE, "data/x\0y", 8));
	UNIT_CHECK(send_message(fd, XS_GET_PERMS, "data/x", 7) &&
		   answer(fd, got) == XS_GET_PERMS &&
		   strtoul(got + 1, NULL, 10) == scene.evil);
	if (geteuid() == 0) {
		must(chmod(scene.run_dir, 0755) == 0, "chmod");
		UNIT_CHECK(dial_as(12345) == 3);
		socket_path(scene.victim, path, sizeof(path));
		must(chmod(path, 0666) == 0, "chmod");
		*strrchr(path, '/') = '\0';
		must(chmod(path, 0755) == 0, "chmod");
		UNIT_CHECK(dial_as(12345) == 4);
		UNIT_CHECK(dial_as(0) == 0);
	}
	evil_goes();
	end();
}

UNIT_MAIN("store_sockets",
	  UNIT_TEST(two_hundred_sockets_of_one_domain_share_one_quota),
	  UNIT_TEST(two_hundred_sockets_that_never_read_stop_nobody),
	  UNIT_TEST(a_flood_of_sockets_leaves_room_for_others),
	  UNIT_TEST(a_message_that_never_ends_stops_nobody),
	  UNIT_TEST(who_one_is_comes_from_the_socket))
