/* SPDX-License-Identifier: MIT */
/* lanes.c - see lanes.h. Calls blkfront.h only. */
#include "blkfront/lanes.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/num.h"

/* What this thread leads for. */
static _Thread_local struct waiter *leading;
/* A spin's count of preemptions is of one thread: each has its own. */
static _Thread_local long nr_taken;

static void wake_fd(int fd)
{
	uint64_t one = 1;

	/* Full means woken already. */
	(void)!write(fd, &one, sizeof(one));
}

static void drain_fd(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

/* ---- waiting --------------------------------------------------------------
 */

void waiter_init(struct waiter *w, struct lane *lane)
{
	w->lane = lane;
	w->result = 0;
	w->done = false;
	list_init(&w->link);
	sem_init(&w->woken, 0, 0);
}

void waiter_end(struct waiter *w, int result)
{
	struct lane *lane = w->lane;

	pthread_mutex_lock(&lane->lock);
	w->result = result;
	if (!list_empty(&w->link)) {
		list_del(&w->link);
		list_init(&w->link);
		sem_post(&w->woken);
	} else if (lane->leader == w && leading != w) {
		wake_fd(lane->wake_fd);
	}
	/* Pairs with lead(). */
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lane->lock);
}

static void sleep_on(struct lane *lane)
{
	struct pollfd pfd[] = {
		{ .fd = blkfront_queue_fd(lane->queue), .events = POLLIN },
		{ .fd = lane->wake_fd, .events = POLLIN },
	};

	if (blkfront_queue_arm(lane->queue))
		return;
	poll(pfd, ARRAY_SIZE(pfd), -1);
	if (pfd[1].revents)
		drain_fd(lane->wake_fd);
}

/* Own the queue until our own request is done. */
static void lead(struct waiter *w)
{
	struct lane *lane = w->lane;

	leading = w;
	lane->spin.calm.nr_taken = nr_taken;
	/* Pairs with waiter_end(). */
	while (!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE)) {
		/* Lost for good: our request ends, if not in this poll. */
		if (blkfront_queue_poll(lane->queue) > 0)
			spin_worked(&lane->spin);
		else if (!spin_again(&lane->spin))
			sleep_on(lane);
	}
	nr_taken = lane->spin.calm.nr_taken;
	leading = NULL;
}

/* With the lock: nobody leads; let somebody who sleeps do it. */
static void pass_on(struct lane *lane)
{
	struct waiter *next;

	if (list_empty(&lane->waiting))
		return;
	next = container_of(lane->waiting.next, struct waiter, link);
	list_del(&next->link);
	list_init(&next->link);
	sem_post(&next->woken);
}

/* With the lock: is there nobody who leads, or may be taken for that? */
static bool may_lead(struct lane *lane)
{
	if (lane->leader || (lane->kept && !lane->asleep))
		return false;
	/* Else not written to: the keeper looks without the lock. */
	if (lane->kept) {
		wake_fd(lane->lanes->wake_fd);
		lane->kept = lane->asleep = false;
	}
	return true;
}

static void sleep_until_woken(struct waiter *w)
{
	while (sem_wait(&w->woken) < 0 && errno == EINTR)
		;
}

int waiter_wait(struct waiter *w)
{
	struct lane *lane = w->lane;

	pthread_mutex_lock(&lane->lock);
	while (!w->done) {
		bool first = may_lead(lane);

		if (first) {
			lane->leader = w;
			lane->nr_led++;
		} else {
			list_add_tail(&lane->waiting, &w->link);
		}
		pthread_mutex_unlock(&lane->lock);
		if (first)
			lead(w);
		else
			sleep_until_woken(w);
		pthread_mutex_lock(&lane->lock);
		if (first)
			lane->leader = NULL;
	}
	if (!lane->leader && !lane->kept)
		pass_on(lane);
	pthread_mutex_unlock(&lane->lock);
	sem_destroy(&w->woken);
	return w->result;
}

/* ---- the keeper -----------------------------------------------------------
 */

/* Take what nobody leads. Returns whether it has to look again soon. */
static bool claim(struct lanes *lanes)
{
	bool resting = false;

	for (uint32_t i = 0; i < lanes->nr; i++) {
		struct lane *lane = &lanes->lane[i];

		pthread_mutex_lock(&lane->lock);
		if (!lane->kept && !lane->leader &&
		    lane->nr_led == lane->seen_led)
			lane->kept = true;
		lane->seen_led = lane->nr_led;
		resting |= !lane->kept;
		pthread_mutex_unlock(&lane->lock);
	}
	return resting;
}

/* Somebody came while we were awake: the lane is theirs. */
static bool let_go(struct lane *lane, bool asleep)
{
	pthread_mutex_lock(&lane->lock);
	if (lane->kept) {
		lane->kept = list_empty(&lane->waiting);
		lane->asleep = lane->kept && asleep;
		if (!lane->kept)
			pass_on(lane);
	}
	asleep = lane->asleep;
	pthread_mutex_unlock(&lane->lock);
	return asleep;
}

/* Poll all that are ours. Returns 0, 1 when there may be more, or -errno. */
static int poll_kept(struct lanes *lanes)
{
	int more = 0;

	for (uint32_t i = 0; i < lanes->nr; i++) {
		struct lane *lane = &lanes->lane[i];
		int nr;

		/* Only we make it true, and nobody takes it from us awake. */
		if (!lane->kept)
			continue;
		nr = blkfront_queue_poll(lane->queue);
		if (nr < 0)
			return nr;
		more |= nr > 0 || blkfront_queue_arm(lane->queue);
		let_go(lane, false);
	}
	return more;
}

static void keeper_sleep(struct lanes *lanes, bool resting)
{
	struct pollfd pfd[BLKFRONT_QUEUES_MAX + 1];
	nfds_t nr = 0;

	pfd[nr++] = (struct pollfd){ .fd = lanes->wake_fd, .events = POLLIN };
	for (uint32_t i = 0; i < lanes->nr; i++) {
		struct lane *lane = &lanes->lane[i];

		if (let_go(lane, true))
			pfd[nr++] = (struct pollfd){ .fd = blkfront_queue_fd(
							     lane->queue),
						     .events = POLLIN };
		else
			resting = true;
	}
	poll(pfd, nr, resting ? (int)(LANES_REST_NS / NS_PER_MS) : -1);
	drain_fd(lanes->wake_fd);
	for (uint32_t i = 0; i < lanes->nr; i++)
		let_go(&lanes->lane[i], false);
}

static void *keeper_main(void *arg)
{
	struct lanes *lanes = arg;
	int err = 0;

	while (!__atomic_load_n(&lanes->stop, __ATOMIC_ACQUIRE)) {
		bool resting = claim(lanes);

		err = poll_kept(lanes);
		if (err < 0)
			break;
		if (!err)
			keeper_sleep(lanes, resting);
	}
	for (uint32_t i = 0; i < lanes->nr; i++) {
		struct lane *lane = &lanes->lane[i];

		pthread_mutex_lock(&lane->lock);
		lane->kept = lane->asleep = false;
		pass_on(lane);
		pthread_mutex_unlock(&lane->lock);
	}
	if (err < 0 && lanes->lost)
		lanes->lost(lanes->arg, err);
	return NULL;
}

/* ---- beginning and end ----------------------------------------------------
 */

static int lane_init(struct lanes *lanes, uint32_t i)
{
	struct lane *lane = &lanes->lane[i];

	lane->lanes = lanes;
	lane->queue = blkfront_queue(lanes->bf, i);
	list_init(&lane->waiting);
	pthread_mutex_init(&lane->lock, NULL);
	lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return lane->wake_fd < 0 ? -errno : 0;
}

int lanes_init(struct lanes *lanes, struct blkfront *bf, uint32_t nr)
{
	int err = 0;

	memset(lanes, 0, sizeof(*lanes));
	lanes->bf = bf;
	lanes->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lanes->wake_fd < 0)
		return -errno;
	while (!err && lanes->nr < nr)
		err = lane_init(lanes, lanes->nr++);
	return err;
}

int lanes_start(struct lanes *lanes)
{
	int err = pthread_create(&lanes->keeper, NULL, keeper_main, lanes);

	lanes->started = !err;
	return -err;
}

void lanes_fini(struct lanes *lanes)
{
	if (lanes->started) {
		__atomic_store_n(&lanes->stop, true, __ATOMIC_RELEASE);
		wake_fd(lanes->wake_fd);
		pthread_join(lanes->keeper, NULL);
		lanes->started = false;
	}
	for (uint32_t i = 0; i < lanes->nr; i++) {
		if (lanes->lane[i].wake_fd >= 0)
			close(lanes->lane[i].wake_fd);
		pthread_mutex_destroy(&lanes->lane[i].lock);
	}
	if (lanes->wake_fd >= 0)
		close(lanes->wake_fd);
	lanes->wake_fd = -1;
	lanes->nr = 0;
}

struct lane *lanes_next(struct lanes *lanes)
{
	uint32_t turn = __atomic_fetch_add(&lanes->next, 1, __ATOMIC_RELAXED);
	struct blkfront_info info;
	uint32_t nr;

	blkfront_info(lanes->bf, &info);
	nr = info.nr_queues < lanes->nr ? info.nr_queues : lanes->nr;
	return &lanes->lane[turn % (nr ? nr : 1)];
}
