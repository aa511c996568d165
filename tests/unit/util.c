/* SPDX-License-Identifier: MIT */
/*
 * util.c - words for people, numbers, lists, log lines, descriptors over
 * sockets, the event loop.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/list.h"
#include "util/log.h"
#include "util/loop.h"
#include "util/num.h"
#include "util/say.h"

/* ---- say ----------------------------------------------------------------- */

static void says_times_and_sizes_in_the_unit_that_fits(void)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} times[] = {
		{ 0, "0 ns" },
		{ 999, "999 ns" },
		{ 12340, "12.3 us" },
		{ 61 * NS_PER_MS, "61.0 ms" },
		{ 1500 * NS_PER_MS, "1.5 s" },
		{ 245 * NS_PER_S, "4m05s" },
		{ 12000 * NS_PER_S, "3h20m" },
		{ 198000 * NS_PER_S, "2d07h" },
	};
	char text[SAY_BYTES];

	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		say_duration(times[i].ns, text);
		UNIT_CHECK(!strcmp(text, times[i].text));
	}
	say_duration(UINT64_MAX, text);
	UNIT_CHECK(!strcmp(text, "213503d23h"));
	say_bytes(1023, text);
	UNIT_CHECK(!strcmp(text, "1023 B"));
	say_bytes(3 << 29, text);
	UNIT_CHECK(!strcmp(text, "1.5 GiB"));
	say_bytes(UINT64_MAX, text);
	UNIT_CHECK(!strcmp(text, "16.0 EiB"));
}

/* ---- num ----------------------------------------------------------------- */

static int parse_u64(const char *text, uint64_t max, uint64_t want)
{
	uint64_t v = 4711;
	int err = num_parse_u64(text, max, &v);

	UNIT_CHECK(v == (err ? 4711 : want));
	return err;
}

static void parses_exactly_a_number_and_nothing_else(void)
{
	static const char *const bad[] = { "",	  " 1",	 "1 ",	    "+1",
					   "-1",  "0x1", "1x",	    "x",
					   "1\n", "1.0", "\xd9\xa1" };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(parse_u64(bad[i], UINT64_MAX, 0) == -EINVAL);
	UNIT_CHECK(parse_u64("0", 0, 0) == 0);
	UNIT_CHECK(parse_u64("1", 0, 0) == -ERANGE);
	UNIT_CHECK(parse_u64("007", 7, 7) == 0);
	UNIT_CHECK(parse_u64("18446744073709551615", UINT64_MAX, UINT64_MAX) ==
		   0);
	UNIT_CHECK(parse_u64("18446744073709551616", UINT64_MAX, 0) == -ERANGE);
	UNIT_CHECK(parse_u64("99999999999999999999999", UINT64_MAX, 0) ==
		   -ERANGE);
}

static void parses_32_bits_within_their_limit(void)
{
	uint32_t v = 4711;

	UNIT_CHECK(num_parse_u32("4294967295", UINT32_MAX, &v) == 0 &&
		   v == UINT32_MAX);
	v = 4711;
	UNIT_CHECK(num_parse_u32("4294967296", UINT32_MAX, &v) == -ERANGE);
	UNIT_CHECK(num_parse_u32("9", 8, &v) == -ERANGE);
	UNIT_CHECK(num_parse_u32("8x", 8, &v) == -EINVAL);
	UNIT_CHECK(v == 4711);
}

static int parse_size(const char *text, uint64_t want)
{
	uint64_t v = 4711;
	int err = num_parse_size(text, &v);

	UNIT_CHECK(v == (err ? 4711 : want));
	return err;
}

static void parses_sizes_and_sees_their_overflow(void)
{
	static const char *const bad[] = { "",	 "K",	"1k",  "1KB", "1KiB",
					   "KK", "1 K", "-1K", "1P",  "1KM" };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(parse_size(bad[i], 0) == -EINVAL);
	UNIT_CHECK(parse_size("512", 512) == 0);
	UNIT_CHECK(parse_size("4K", 4096) == 0);
	UNIT_CHECK(parse_size("3M", 3u << 20) == 0);
	UNIT_CHECK(parse_size("5G", 5ull << 30) == 0);
	UNIT_CHECK(parse_size("7T", 7ull << 40) == 0);
	UNIT_CHECK(parse_size("16777215T", 16777215ull << 40) == 0);
	UNIT_CHECK(parse_size("16777216T", 0) == -ERANGE);
}

static int parse_thousands(const char *text, uint64_t max, uint64_t want)
{
	uint64_t v = 4711;
	int err = num_parse_thousands(text, strlen(text), max, &v);

	UNIT_CHECK(v == (err ? 4711 : want));
	return err;
}

static void parses_thousands_and_sees_their_overflow(void)
{
	UNIT_CHECK(parse_thousands("7", 7, 7) == 0);
	UNIT_CHECK(parse_thousands("10K", 10000, 10000) == 0);
	UNIT_CHECK(parse_thousands("3M", UINT64_MAX, 3000000) == 0);
	UNIT_CHECK(parse_thousands("18G", UINT64_MAX, 18000000000) == 0);
	UNIT_CHECK(parse_thousands("10K", 9999, 0) == -ERANGE);
	UNIT_CHECK(parse_thousands("18446744074G", UINT64_MAX, 0) == -ERANGE);
	UNIT_CHECK(parse_thousands("", UINT64_MAX, 0) == -EINVAL);
	UNIT_CHECK(parse_thousands("K", UINT64_MAX, 0) == -EINVAL);
	UNIT_CHECK(parse_thousands("1k", UINT64_MAX, 0) == -EINVAL);
	UNIT_CHECK(parse_thousands("1KM", UINT64_MAX, 0) == -EINVAL);
	UNIT_CHECK(parse_thousands("-1", UINT64_MAX, 0) == -EINVAL);
}

static void checks_ranges_without_overflow(void)
{
	UNIT_CHECK(num_range_within(0, 0, 0));
	UNIT_CHECK(num_range_within(3, 7, 10));
	UNIT_CHECK(num_range_within(10, 0, 10));
	UNIT_CHECK(!num_range_within(3, 8, 10));
	UNIT_CHECK(!num_range_within(11, 0, 10));
	UNIT_CHECK(!num_range_within(UINT64_MAX, 2, 10));
	UNIT_CHECK(!num_range_within(2, UINT64_MAX, 10));
	UNIT_CHECK(num_range_within(0, UINT64_MAX, UINT64_MAX));
}

static void formats_only_what_fits(void)
{
	char buf[6] = "old";

	UNIT_CHECK(str_printf(buf, sizeof(buf), "%d", 12345) == 5);
	UNIT_CHECK(!strcmp(buf, "12345"));
	UNIT_CHECK(str_printf(buf, sizeof(buf), "%d", 123456) == -ENAMETOOLONG);
	UNIT_CHECK(buf[0] == '\0');
	UNIT_CHECK(str_printf(NULL, 0, "x") == -ENAMETOOLONG);
}

/* ---- list ---------------------------------------------------------------- */

struct item {
	struct list link;
	int n;
};

static void keeps_a_list_in_order_through_additions_and_removals(void)
{
	struct list head = LIST_INIT(head);
	struct item items[4] = { 0 };
	int sum = 0;

	UNIT_CHECK(list_empty(&head));
	for (int i = 0; i < 4; i++)
		items[i].n = i;
	list_add_tail(&head, &items[1].link);
	list_add_tail(&head, &items[2].link);
	list_add_head(&head, &items[0].link);
	list_add_tail(&head, &items[3].link);
	list_for_each(l, &head)
		sum = sum * 10 + container_of(l, struct item, link)->n;
	UNIT_CHECK(sum == 123);
	list_for_each_safe(l, tmp, &head)
		if (container_of(l, struct item, link)->n % 2)
			list_del(l);
	sum = 0;
	list_for_each(l, &head)
		sum = sum * 10 + container_of(l, struct item, link)->n;
	UNIT_CHECK(sum == 2);
	/* A detached element points to itself: once more does no harm. */
	list_del(&items[1].link);
	UNIT_CHECK(list_empty(&items[1].link) && !list_empty(&head));
}

/* ---- log ----------------------------------------------------------------- */

static char captured[8192];

/* Run fn with standard error going to captured. */
static void capture(void (*fn)(void))
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	captured[0] = '\0';
	if (saved < 0 || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	dup2(pipe_fds[1], STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[1]);
	n = read(pipe_fds[0], captured, sizeof(captured) - 1);
	captured[n > 0 ? n : 0] = '\0';
	close(pipe_fds[0]);
}

static unsigned count_lines(void)
{
	unsigned n = 0;

	for (const char *p = captured; *p; p++)
		n += *p == '\n';
	return n;
}

static void log_odd_bytes(void)
{
	log_init("prog", LOG_INFO);
	log_info("a\nb\x1b[2J\r\t\x7f\xff%s", "z");
	log_debug("not shown");
	log_warn("careful");
	log_error("bad");
}

static void escapes_what_could_forge_a_line(void)
{
	capture(log_odd_bytes);
	UNIT_CHECK(!strcmp(captured,
			   "prog: a\\x0ab\\x1b[2J\\x0d\\x09\\x7f\\xffz\n"
			   "prog: warning: careful\n"
			   "prog: error: bad\n"));
}

static void log_long(void)
{
	static char text[5000];

	memset(text, '\1', sizeof(text) - 1);
	log_info("%s", text);
	memset(text, 'x', sizeof(text) - 1);
	log_info("%s", text);
}

static void bounds_a_line(void)
{
	capture(log_long);
	UNIT_CHECK(count_lines() == 2);
	UNIT_CHECK(strlen(captured) < 2500);
	UNIT_CHECK(captured[strlen(captured) - 1] == '\n');
}

static struct log_limit limit;

static void log_much(void)
{
	for (unsigned i = 0; i < 1000; i++)
		log_limited(&limit, LOG_WARN, "again %u", i);
}

static void limits_lines_and_says_how_many_were_not_shown(void)
{
	memset(&limit, 0, sizeof(limit));
	capture(log_much);
	UNIT_CHECK(count_lines() == LOG_LIMIT_BURST);
	UNIT_CHECK(limit.nr_suppressed == 1000 - LOG_LIMIT_BURST);
	/* As if the period were over. */
	limit.period_start_ns -= LOG_LIMIT_PERIOD_NS + 1;
	capture(log_much);
	UNIT_CHECK(count_lines() == LOG_LIMIT_BURST + 1);
	UNIT_CHECK(strstr(captured, "992 similar lines were not shown"));
}

/* ---- fdmsg --------------------------------------------------------------- */

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void pair_open(int pair[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
}

static void pair_close(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* Without fdmsg_send's own limits: a hostile peer. */
static void send_raw(int sock, size_t size, unsigned nr_fds)
{
	static char data[4096];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control = { 0 };
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		for (unsigned i = 0; i < nr_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &sock,
			       sizeof(int));
	}
	if (sendmsg(sock, &msg, 0) < 0)
		abort();
}

static void carries_a_message_with_descriptors(void)
{
	int pair[2], fds[FDMSG_FDS_MAX], file = memfd_create("file", 0);
	unsigned nr = FDMSG_FDS_MAX;
	char buf[8] = "";
	struct stat a, b;

	pair_open(pair);
	for (unsigned i = 0; i < FDMSG_FDS_MAX; i++)
		fds[i] = file;
	UNIT_CHECK(fdmsg_send(pair[0], "hello", 6, fds, FDMSG_FDS_MAX, 0) == 0);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), fds, &nr, 0) == 6);
	UNIT_CHECK(nr == FDMSG_FDS_MAX && !strcmp(buf, "hello"));
	for (unsigned i = 0; i < nr; i++) {
		UNIT_CHECK(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
		UNIT_CHECK(fstat(fds[i], &a) == 0 && fstat(file, &b) == 0 &&
			   a.st_ino == b.st_ino);
		close(fds[i]);
	}
	UNIT_CHECK(fdmsg_send(pair[0], "x", 1, fds, FDMSG_FDS_MAX + 1, 0) ==
		   -EINVAL);
	close(file);
	pair_close(pair);
}

static void closes_every_descriptor_of_a_message_it_refuses(void)
{
	int pair[2], before, fds[FDMSG_FDS_MAX];
	char buf[16];

	pair_open(pair);
	before = count_fds();
	for (unsigned sent = 0; sent <= 40; sent++)
		for (unsigned room = 0; room <= FDMSG_FDS_MAX; room++) {
			unsigned nr = room;
			ssize_t n;

			send_raw(pair[0], 4, sent);
			n = fdmsg_recv(pair[1], buf, sizeof(buf), fds, &nr, 0);
			UNIT_CHECK(n == (sent <= room ? 4 : -EPROTO));
			if (n == 4)
				UNIT_CHECK(nr == sent);
			for (unsigned i = 0; n == 4 && i < nr; i++)
				close(fds[i]);
			UNIT_CHECK(count_fds() == before);
		}
	pair_close(pair);
}

static void refuses_a_longer_message_and_goes_on(void)
{
	int pair[2], before, fds[FDMSG_FDS_MAX];
	unsigned nr = 1;
	char buf[16];

	pair_open(pair);
	before = count_fds();
	send_raw(pair[0], 17, 1);
	send_raw(pair[0], 16, 0);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), fds, &nr, 0) ==
		   -EMSGSIZE);
	UNIT_CHECK(count_fds() == before);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), NULL, NULL, 0) == 16);
	pair_close(pair);
}

static void takes_no_descriptors_with_an_empty_message(void)
{
	int pair[2], before, fds[1];
	unsigned nr = 1;
	char buf[16];

	pair_open(pair);
	before = count_fds();
	send_raw(pair[0], 0, 1);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), fds, &nr, 0) ==
		   -EPROTO);
	UNIT_CHECK(count_fds() == before);
	pair_close(pair);
}

static void tells_empty_full_and_ended_sockets_apart(void)
{
	char buf[16], big[4096] = { 0 };
	int pair[2], err, n = 0;

	pair_open(pair);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), NULL, NULL,
			      MSG_DONTWAIT) == -EAGAIN);
	while (!(err = fdmsg_send(pair[0], big, sizeof(big), NULL, 0,
				  MSG_DONTWAIT)) &&
	       n < 100000)
		n++;
	UNIT_CHECK(err == -EAGAIN);
	close(pair[1]);
	/* It went without reading what it had; and no SIGPIPE. */
	UNIT_CHECK(fdmsg_send(pair[0], buf, 1, NULL, 0, 0) == -ECONNRESET);
	UNIT_CHECK(fdmsg_send(pair[0], buf, 1, NULL, 0, 0) == -EPIPE);
	close(pair[0]);
	pair_open(pair);
	close(pair[0]);
	UNIT_CHECK(fdmsg_recv(pair[1], buf, sizeof(buf), NULL, NULL, 0) == 0);
	close(pair[1]);
}

static void listens_privately_and_says_what_is_wrong_with_a_path(void)
{
	char dir[] = "/tmp/pvsplit-util-XXXXXX", path[64], longer[200];
	int fd, peer;
	struct stat st;

	UNIT_REQUIRE(mkdtemp(dir) != NULL);
	UNIT_CHECK(str_printf(path, sizeof(path), "%s/socket", dir) > 0);
	UNIT_CHECK(unix_connect(path, SOCK_STREAM) == -ENOENT);
	fd = unix_listen(path, SOCK_STREAM, (uid_t)-1);
	UNIT_CHECK(fd >= 0);
	UNIT_CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	UNIT_CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	peer = unix_connect(path, SOCK_STREAM);
	UNIT_CHECK(peer >= 0 && fcntl(peer, F_GETFD) == FD_CLOEXEC);
	UNIT_CHECK(unix_connect(path, SOCK_SEQPACKET) == -EPROTOTYPE);
	UNIT_CHECK(unix_listen(path, SOCK_STREAM, (uid_t)-1) == -EADDRINUSE);
	close(peer);
	close(fd);
	UNIT_CHECK(unix_connect(path, SOCK_STREAM) == -ECONNREFUSED);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	UNIT_CHECK(unix_connect(longer, SOCK_STREAM) == -ENAMETOOLONG);
	UNIT_CHECK(unix_listen(longer, SOCK_STREAM, (uid_t)-1) ==
		   -ENAMETOOLONG);
	/* One byte is for the NUL. */
	longer[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	UNIT_CHECK(unix_connect(longer, SOCK_STREAM) == -ENAMETOOLONG);
	longer[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
	UNIT_CHECK(unix_connect(longer, SOCK_STREAM) == -ENOENT);
	unlink(path);
	rmdir(dir);
}

/* ---- loop ---------------------------------------------------------------- */

struct probe {
	struct loop *loop;
	struct loop_fd *src, *others[4];
	struct loop_timer *timer, *other_timer;
	struct loop_prepare *prepare;
	int fd;
	unsigned nr, limit;
};

static struct loop *open_loop(void)
{
	struct loop *loop = NULL;

	if (loop_open(&loop))
		abort();
	return loop;
}

static void round_of(struct loop *loop)
{
	UNIT_CHECK(loop_once(loop, 0) == 0);
}

static void fd_fired(void *arg, uint32_t events)
{
	struct probe *p = arg;

	UNIT_CHECK(events & (EPOLLIN | EPOLLOUT));
	p->nr++;
	for (int i = 0; i < 4; i++) {
		loop_fd_remove(p->others[i]);
		p->others[i] = NULL;
	}
}

/* Whichever runs first removes all others of the same batch, and itself. */
static void removes_sources_of_the_same_batch(void)
{
	struct loop *loop = open_loop();
	struct probe p[4] = { 0 };
	struct loop_fd *src[4];
	unsigned total = 0;

	for (int i = 0; i < 4; i++) {
		p[i].fd = eventfd(1, EFD_CLOEXEC);
		UNIT_CHECK(loop_fd_add(loop, p[i].fd, EPOLLIN, fd_fired, &p[i],
				       &src[i]) == 0);
	}
	for (int i = 0; i < 4; i++)
		memcpy(p[i].others, src, sizeof(src));
	round_of(loop);
	for (int i = 0; i < 4; i++)
		total += p[i].nr;
	UNIT_CHECK(total == 1);
	round_of(loop);
	for (int i = 0; i < 4; i++)
		close(p[i].fd);
	loop_close(loop);
}

static void watches_for_what_it_was_last_told(void)
{
	struct loop *loop = open_loop();
	struct probe p = { .fd = eventfd(0, EFD_CLOEXEC) };

	UNIT_CHECK(loop_fd_add(loop, p.fd, EPOLLIN, fd_fired, &p, &p.src) == 0);
	round_of(loop);
	UNIT_CHECK(p.nr == 0);
	UNIT_CHECK(loop_fd_set_events(p.src, EPOLLOUT) == 0);
	round_of(loop);
	round_of(loop);
	UNIT_CHECK(p.nr == 2);
	loop_fd_remove(p.src);
	loop_fd_remove(NULL);
	round_of(loop);
	UNIT_CHECK(p.nr == 2);
	UNIT_CHECK(loop_fd_add(loop, 9999, EPOLLIN, fd_fired, &p, &p.src) ==
		   -EBADF);
	close(p.fd);
	loop_close(loop);
}

static void timer_fired(void *arg)
{
	struct probe *p = arg;

	p->nr++;
	if (p->nr < p->limit)
		loop_timer_arm(p->timer, clock_now_ns());
	loop_timer_remove(p->other_timer);
	p->other_timer = NULL;
}

static void fires_a_timer_once_and_not_before_its_time(void)
{
	struct loop *loop = open_loop();
	struct probe p = { .limit = 0 };
	uint64_t at;

	UNIT_CHECK(loop_timer_add(loop, timer_fired, &p, &p.timer) == 0);
	round_of(loop);
	UNIT_CHECK(p.nr == 0);
	at = clock_now_ns() + 20 * NS_PER_MS;
	loop_timer_arm(p.timer, at);
	round_of(loop);
	UNIT_CHECK(p.nr == 0 || clock_now_ns() >= at);
	while (p.nr == 0)
		UNIT_CHECK(loop_once(loop, UINT64_MAX) == 0);
	UNIT_CHECK(clock_now_ns() >= at);
	round_of(loop);
	UNIT_CHECK(p.nr == 1);
	loop_timer_arm(p.timer, 0);
	loop_timer_disarm(p.timer);
	round_of(loop);
	UNIT_CHECK(p.nr == 1);
	loop_timer_remove(p.timer);
	loop_timer_remove(NULL);
	loop_close(loop);
}

static void lets_a_timer_arm_itself_and_remove_others(void)
{
	struct loop *loop = open_loop();
	struct probe p = { .limit = 3 }, q = { .limit = 0 };
	struct loop_timer *own;

	UNIT_CHECK(loop_timer_add(loop, timer_fired, &p, &p.timer) == 0);
	UNIT_CHECK(loop_timer_add(loop, timer_fired, &q, &q.timer) == 0);
	p.other_timer = q.timer;
	loop_timer_arm(p.timer, 0);
	loop_timer_arm(q.timer, 0);
	for (int i = 0; i < 5; i++)
		round_of(loop);
	UNIT_CHECK(p.nr == 3 && q.nr == 0);
	/* And itself. */
	own = p.timer;
	p.other_timer = own;
	loop_timer_arm(own, 0);
	round_of(loop);
	round_of(loop);
	UNIT_CHECK(p.nr == 4);
	loop_close(loop);
}

static void wakes_for_a_deadline_although_nothing_happens(void)
{
	struct loop *loop = open_loop();
	uint64_t at = clock_now_ns() + 30 * NS_PER_MS;

	UNIT_CHECK(loop_once(loop, at) == 0);
	UNIT_CHECK(clock_now_ns() >= at);
	loop_close(loop);
}

static bool prepare_fired(void *arg)
{
	struct probe *p = arg;

	p->nr++;
	if (p->nr >= p->limit && p->prepare) {
		loop_prepare_remove(p->prepare);
		p->prepare = NULL;
		if (p->loop)
			loop_stop(p->loop, 42);
		return false;
	}
	return true;
}

/* prepare says that there is more: the loop must not sleep. */
static void goes_round_without_sleep_while_prepare_has_more(void)
{
	struct loop *loop = open_loop();
	struct probe p = { .loop = loop, .limit = 10 }, q = { .limit = 3 };

	UNIT_CHECK(loop_prepare_add(loop, prepare_fired, &q, &q.prepare) == 0);
	UNIT_CHECK(loop_prepare_add(loop, prepare_fired, &p, &p.prepare) == 0);
	UNIT_CHECK(loop_run(loop) == 42);
	UNIT_CHECK(p.nr == 10 && q.nr == 3);
	loop_prepare_remove(NULL);
	loop_close(loop);
}

static int last_signal;

static void signal_fired(void *arg, int signo)
{
	last_signal = signo;
	loop_stop(arg, signo == SIGTERM ? 7 : 8);
}

static void delivers_signals_and_stops_with_a_result(void)
{
	static const int signals[] = { SIGTERM, SIGUSR1 };
	struct loop *loop = open_loop();

	loop_signals_block(signals, ARRAY_SIZE(signals));
	UNIT_CHECK(loop_signals_add(loop, signals, ARRAY_SIZE(signals),
				    signal_fired, loop) == 0);
	kill(getpid(), SIGTERM);
	UNIT_CHECK(loop_run(loop) == 7 && last_signal == SIGTERM);
	kill(getpid(), SIGUSR1);
	UNIT_CHECK(loop_run(loop) == 8 && last_signal == SIGUSR1);
	loop_close(loop);
	loop_close(NULL);
}

static void frees_what_is_left_when_it_is_closed(void)
{
	struct loop *loop = open_loop();
	struct probe p = { .fd = eventfd(0, EFD_CLOEXEC) };

	UNIT_CHECK(loop_fd_add(loop, p.fd, EPOLLIN, fd_fired, &p, &p.src) == 0);
	UNIT_CHECK(loop_timer_add(loop, timer_fired, &p, &p.timer) == 0);
	UNIT_CHECK(loop_prepare_add(loop, prepare_fired, &p, &p.prepare) == 0);
	loop_close(loop);
	close(p.fd);
}

UNIT_MAIN("util", UNIT_TEST(says_times_and_sizes_in_the_unit_that_fits),
	  UNIT_TEST(parses_exactly_a_number_and_nothing_else),
	  UNIT_TEST(parses_32_bits_within_their_limit),
	  UNIT_TEST(parses_sizes_and_sees_their_overflow),
	  UNIT_TEST(parses_thousands_and_sees_their_overflow),
	  UNIT_TEST(checks_ranges_without_overflow),
	  UNIT_TEST(formats_only_what_fits),
	  UNIT_TEST(keeps_a_list_in_order_through_additions_and_removals),
	  UNIT_TEST(escapes_what_could_forge_a_line), UNIT_TEST(bounds_a_line),
	  UNIT_TEST(limits_lines_and_says_how_many_were_not_shown),
	  UNIT_TEST(carries_a_message_with_descriptors),
	  UNIT_TEST(closes_every_descriptor_of_a_message_it_refuses),
	  UNIT_TEST(refuses_a_longer_message_and_goes_on),
	  UNIT_TEST(takes_no_descriptors_with_an_empty_message),
	  UNIT_TEST(tells_empty_full_and_ended_sockets_apart),
	  UNIT_TEST(listens_privately_and_says_what_is_wrong_with_a_path),
	  UNIT_TEST(removes_sources_of_the_same_batch),
	  UNIT_TEST(watches_for_what_it_was_last_told),
	  UNIT_TEST(fires_a_timer_once_and_not_before_its_time),
	  UNIT_TEST(lets_a_timer_arm_itself_and_remove_others),
	  UNIT_TEST(wakes_for_a_deadline_although_nothing_happens),
	  UNIT_TEST(goes_round_without_sleep_while_prepare_has_more),
	  UNIT_TEST(delivers_signals_and_stops_with_a_result),
	  UNIT_TEST(frees_what_is_left_when_it_is_closed))
