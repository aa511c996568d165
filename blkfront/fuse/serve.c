/* SPDX-License-Identifier: MIT */
/*
 * serve.c - the servers: threads that take requests from /dev/fuse and poll
 * their queues. The first one is the main thread and owns queue 0: it sees
 * signals and everything of the connection. Called by blkfront-fuse.c.
 */
#include "blkfront/fuse/disk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"

#define BATCH	 64u /* requests read before completions are looked at */
#define DRAIN_NS (5 * NS_PER_S)

static _Thread_local struct server *here;

struct server *server_here(void)
{
	return here;
}

void disk_resized(void *arg, uint64_t size_bytes)
{
	struct disk *disk = arg;

	/* Pairs with the load in disk_size(). */
	__atomic_store_n(&disk->size_bytes, size_bytes, __ATOMIC_RELEASE);
	if (!disk->session)
		return;
	/* Only the attributes: nothing of the file is cached. */
	fuse_lowlevel_notify_inval_inode(disk->session, DISK_INO, -1, 0);
	loops_follow(disk->path, disk->home);
}

/* Returns the number of requests taken, or -errno; -ENODEV: unmounted. */
static int take_requests(struct server *server)
{
	struct fuse_session *session = server->disk->session;
	int nr = 0;

	while ((unsigned)nr < BATCH && request_have_room(server)) {
		int got = fuse_session_receive_buf(session, &server->buf);

		if (got == -EAGAIN || got == -EINTR)
			break;
		if (got == 0)
			return -ENODEV;
		if (got < 0)
			return got;
		fuse_session_process_buf(session, &server->buf);
		if (fuse_session_exited(session))
			return -ENODEV;
		nr++;
	}
	return nr;
}

/* Sleep until there may be work. Returns whether we are to end. */
static bool wait_for_work(struct server *server, bool take)
{
	struct disk *disk = server->disk;
	struct pollfd pfd[] = {
		{ .fd = disk->stop_fd, .events = POLLIN },
		{ .fd = server->nr == 0 ? disk->signal_fd : -1,
		  .events = POLLIN },
		{ .fd = blkfront_queue_fd(server->queue), .events = POLLIN },
		{ .fd = take ? fuse_session_fd(disk->session) : -1,
		  .events = POLLIN },
	};

	if (blkfront_queue_arm(server->queue))
		return false;
	poll(pfd, ARRAY_SIZE(pfd), -1);
	return pfd[0].revents || pfd[1].revents;
}

static int serve(struct server *server)
{
	here = server;
	for (;;) {
		int reaped = blkfront_queue_poll(server->queue);
		int taken;

		if (reaped < 0)
			return reaped;
		taken = take_requests(server);
		if (taken < 0)
			return taken == -ENODEV ? 0 : taken;
		blkfront_queue_kick(server->queue);
		if (reaped || taken) {
			spin_worked(&server->spin);
			continue;
		}
		if (spin_again(&server->spin))
			continue;
		if (wait_for_work(server, request_have_room(server)))
			return 0;
	}
}

/* A server has ended: so do the others, and the first error counts. */
static void end(struct disk *disk, int result)
{
	uint64_t one = 1;
	int none = 0;

	if (result)
		__atomic_compare_exchange_n(&disk->result, &none, result, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	(void)!write(disk->stop_fd, &one, sizeof(one));
}

static void *run_server(void *arg)
{
	struct server *server = arg;

	end(server->disk, serve(server));
	return NULL;
}

int disk_serve(struct disk *disk)
{
	unsigned nr = 1;
	int err = 0;

	for (; nr < disk->nr_servers && !err; nr++) {
		struct server *server = &disk->servers[nr];

		err = -pthread_create(&server->thread, NULL, run_server,
				      server);
		if (err) {
			log_error("cannot start a thread: %s",
				  strerrordesc_np(-err));
			break;
		}
	}
	if (!err)
		err = serve(&disk->servers[0]);
	end(disk, err);
	for (unsigned i = 1; i < nr; i++)
		pthread_join(disk->servers[i].thread, NULL);
	return disk->result;
}

static unsigned nr_active(const struct disk *disk)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < disk->nr_servers; i++)
		nr += disk->servers[i].nr_active;
	return nr;
}

/* The other threads have ended: every queue is ours. */
void disk_drain(struct disk *disk)
{
	uint64_t end_ns = clock_now_ns() + DRAIN_NS;

	while (nr_active(disk) && clock_now_ns() < end_ns) {
		struct pollfd pfd[SERVERS_MAX];
		bool busy = false;

		for (unsigned i = 0; i < disk->nr_servers; i++) {
			struct blkfront_queue *queue = disk->servers[i].queue;

			if (blkfront_queue_poll(queue) < 0)
				return;
			busy = blkfront_queue_arm(queue) || busy;
			pfd[i] =
				(struct pollfd){ .fd = blkfront_queue_fd(queue),
						 .events = POLLIN };
		}
		if (!busy && nr_active(disk))
			poll(pfd, disk->nr_servers, 100);
	}
	if (nr_active(disk))
		log_warn("%u requests were not answered in time",
			 nr_active(disk));
}
