/* SPDX-License-Identifier: MIT */
/*
 * storage_end.c - ends: of a worker that is killed with ios under way, of
 * channels and storages; nothing of them is left.
 */
#include "tests/unit/soak.h"
#include "tests/unit/storage_suite.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>

static bool hung_up(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLHUP);
}

/* Submits writes of byte to all of the disk, says so on fd, and waits. */
static void submit_and_hang(struct rig *r, uint8_t *buf, int fd)
{
	static struct tracked t[DEPTH];
	const size_t part = DISK_BYTES / DEPTH;

	for (unsigned i = 0; i < DEPTH; i++) {
		prepare(&t[i], STORAGE_WRITE, i * part, buf + i * part, part);
		if (r->st->ops->submit(r->ch, &t[i].io))
			_exit(1);
	}
	while (!r->st->ops->flush(r->ch))
		continue;
	if (write(fd, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/*
 * The worker is killed with writes in the kernel. When its fence has hung up,
 * nothing more lands: the disk no longer changes, nor may it without us.
 */
static void after_the_fence_nothing_of_the_dead_lands(void)
{
	uint8_t *buf = buffer(DISK_BYTES), *was = buffer(DISK_BYTES);
	uint8_t *now = buffer(DISK_BYTES);
	static const char *const names[] = {
		"direct or as the file system allows",
		"page cache",
#ifdef HAVE_AIO
		"aio",
		"aio, page cache",
#else
		"sqpoll",
		"sqpoll",
#endif
	};

	make_dirs();
	for (unsigned round = 0; round < 12; round++) {
		const struct way *way = way_named(names[round % 4]);
		struct rig r, mine;
		int fence, pair[2], fds[2];
		pid_t pid;
		char c;

		UNIT_REQUIRE(rig_open(&mine, way, 0) == 0);
		r = mine;
		UNIT_REQUIRE(pipe(pair) == 0);
		memset(buf, (int)round + 1, DISK_BYTES);
		/* The child makes its own ring; its fence comes to us. */
		mine.st->ops->channel_close(mine.ch);
		UNIT_REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
		pid = fork();
		if (pid == 0) {
			struct storage_channel *ch;

			close(fds[0]);
			if (r.st->ops->channel_open(r.st, DEPTH, &ch))
				_exit(1);
			r.ch = ch;
			fence = r.st->ops->fence_fd(ch);
			if (write(fds[1], &fence, sizeof(fence)) !=
			    sizeof(fence))
				_exit(1);
			submit_and_hang(&r, buf, pair[1]);
		}
		close(fds[1]);
		close(pair[1]);
		UNIT_REQUIRE(read(fds[0], &fence, sizeof(fence)) ==
			     sizeof(fence));
		UNIT_REQUIRE(read(pair[0], &c, 1) == 1);
		if (fence >= 0) {
			/* As the monitor's copy: opened from the child's. */
			char path[64];

			snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid,
				 fence);
			fence = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
			UNIT_REQUIRE(fence >= 0);
			UNIT_CHECK(!hung_up(fence, 0));
		}
		kill(pid, SIGKILL);
		UNIT_CHECK(waitpid(pid, NULL, 0) == pid);
		/* Without a fence, the process's end is wait enough. */
		UNIT_CHECK(fence < 0 || hung_up(fence, 10000));
		UNIT_CHECK((fence < 0) == (strncmp(way->name, "aio", 3) == 0));
		UNIT_REQUIRE(mine.st->ops->channel_open(mine.st, DEPTH,
							&mine.ch) == 0);
		UNIT_CHECK(one(&mine, STORAGE_READ, 0, was, DISK_BYTES) == 0);
		usleep(50000);
		UNIT_CHECK(one(&mine, STORAGE_READ, 0, now, DISK_BYTES) == 0);
		UNIT_CHECK(memcmp(was, now, DISK_BYTES) == 0);
		rig_close(&mine);
		if (fence >= 0)
			close(fence);
		close(fds[0]);
		close(pair[0]);
	}
	munmap(buf, DISK_BYTES);
	munmap(was, DISK_BYTES);
	munmap(now, DISK_BYTES);
}

static unsigned nr_descriptors(void)
{
	unsigned nr = 0;

	for (int fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static unsigned nr_threads(void)
{
	unsigned nr = 0;
	DIR *d = opendir("/proc/self/task");

	while (d && readdir(d))
		nr++;
	if (d)
		closedir(d);
	return nr;
}

static void *no_work(void *arg)
{
	return arg;
}

/* A sanitizer starts a thread of its own along with the first of ours. */
static void have_had_a_thread(void)
{
	pthread_t thread;

	UNIT_REQUIRE(pthread_create(&thread, NULL, no_work, NULL) == 0);
	pthread_join(thread, NULL);
}

/* Opened, used and closed again and again: as it was before. */
static void counts_come_back_to_where_they_were(void)
{
	uint8_t *a = buffer(65536);
	unsigned rounds = soak_rounds(25, 200);

	make_dirs();
	have_had_a_thread();
	for (size_t w = 0; w < NR_WAYS; w++) {
		unsigned fds = nr_descriptors(), threads = nr_threads();
		size_t bytes = 0;

		for (unsigned i = 0; i < rounds; i++) {
			struct tracked t[8];
			struct rig r;

			UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
			for (unsigned k = 0; k < 8; k++) {
				prepare(&t[k],
					k % 2 ? STORAGE_WRITE : STORAGE_READ,
					k * 8192, a + (size_t)k * 8192, 8192);
				UNIT_REQUIRE(
					r.st->ops->submit(r.ch, &t[k].io) == 0);
			}
			UNIT_CHECK(wait_all(&r, t, 8));
			rig_close(&r);
			if (i == 9)
				bytes = mallinfo2().uordblks;
		}
		UNIT_CHECK(nr_descriptors() == fds);
		/* The kernel's own end a moment after their ring. */
		for (unsigned i = 0; i < 200 && nr_threads() > threads; i++)
			usleep(10000);
		UNIT_CHECK(nr_threads() <= threads);
		/* The allocator keeps some small pieces as in use. */
		UNIT_CHECK(mallinfo2().uordblks <= bytes + 65536);
	}
	munmap(a, 65536);
}

/* Submits writes of byte to all of the disk. */
static void write_all(struct rig *r, struct tracked *t, uint8_t *buf, int byte)
{
	const size_t part = DISK_BYTES / DEPTH;

	memset(buf, byte, DISK_BYTES);
	for (unsigned i = 0; i < DEPTH; i++) {
		prepare(&t[i], STORAGE_WRITE, i * part, buf + i * part, part);
		UNIT_CHECK(r->st->ops->submit(r->ch, &t[i].io) == 0);
	}
}

static void a_server_that_ends_in_mid_request_is_waited_for(void)
{
	uint8_t *a = buffer(DISK_BYTES), *b = buffer(DISK_BYTES);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t[DEPTH];
		struct rig r;

		if (!ways[w].restart)
			continue;
		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		for (int round = 1; round < 6; round++) {
			write_all(&r, t, a, round);
			while (!r.st->ops->flush(r.ch))
				continue;
			ways[w].restart();
			UNIT_CHECK(wait_all(&r, t, DEPTH));
			for (unsigned i = 0; i < DEPTH; i++)
				UNIT_CHECK(t[i].io.result == 0);
			UNIT_CHECK(one(&r, STORAGE_READ, 0, b, DISK_BYTES) ==
				   0);
			UNIT_CHECK(memcmp(a, b, DISK_BYTES) == 0);
		}
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
	munmap(b, DISK_BYTES);
}

/* A detach: what is under way ends, once each, well or with -EIO; then the
 * channel may be closed. */
static void given_up_all_that_is_under_way_ends(void)
{
	uint8_t *a = buffer(DISK_BYTES);

	make_dirs();
	for (size_t w = 0; w < NR_WAYS; w++) {
		struct tracked t[DEPTH];
		struct rig r;

		UNIT_REQUIRE(rig_open(&r, &ways[w], 0) == 0);
		write_all(&r, t, a, 1);
		while (!r.st->ops->flush(r.ch))
			continue;
		if (r.st->ops->give_up)
			r.st->ops->give_up(r.ch);
		if (ways[w].restart)
			ways[w].restart();
		UNIT_CHECK(wait_all(&r, t, DEPTH));
		for (unsigned i = 0; i < DEPTH; i++)
			UNIT_CHECK(t[i].io.result == 0 ||
				   (ways[w].restart && t[i].io.result == -EIO));
		rig_close(&r);
	}
	munmap(a, DISK_BYTES);
}

UNIT_MAIN("storage_end", UNIT_TEST(counts_come_back_to_where_they_were),
	  UNIT_TEST(after_the_fence_nothing_of_the_dead_lands),
	  UNIT_TEST(a_server_that_ends_in_mid_request_is_waited_for),
	  UNIT_TEST(given_up_all_that_is_under_way_ends),
	  UNIT_TEST(nothing_is_left_behind))
