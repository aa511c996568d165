/* SPDX-License-Identifier: MIT */
/*
 * loop.h - a small event loop over epoll, for control threads and daemons.
 *
 * The data path has its own loop (worker/); this one serves sockets, timers
 * and signals. Callbacks run one at a time on the thread in
 * loop_run, may add or remove any source (themselves included), and may stop
 * the loop.
 *
 * Thread: a loop belongs to one thread, and a callback must not run it again
 * (loop_run, loop_once) or close it. Logs: never.
 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "util/annotate.h"

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_prepare;

int loop_open(struct loop **ret) PV_MUST_CHECK;
void loop_close(struct loop *loop); /* frees sources that are still there */

/*
 * Run until loop_stop. Returns the value given to loop_stop, or -errno.
 */
int loop_run(struct loop *loop) PV_MUST_CHECK;
void loop_stop(struct loop *loop, int result);

/*
 * One round: wait at most until deadline_ns (monotonic; 0 = do not wait,
 * UINT64_MAX = no deadline), run what is due. Returns 0 or -errno.
 */
int loop_once(struct loop *loop, uint64_t deadline_ns) PV_MUST_CHECK;

/*
 * From now on poll for up to max_ns before each sleep that follows work, as far
 * as that pays off (spin.h): for a loop whose clients wait for its answers. One
 * without work sleeps. max_ns 0: no more.
 */
void loop_set_spin(struct loop *loop, uint64_t max_ns);

/*
 * Watch fd. events: EPOLLIN, EPOLLOUT (level-triggered). The fd stays the
 * caller's: remove the source first, then close the fd.
 */
typedef void loop_fd_fn(void *arg, uint32_t events);
int loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
		void *arg, struct loop_fd **ret) PV_MUST_CHECK;
int loop_fd_set_events(struct loop_fd *src, uint32_t events);
void loop_fd_remove(struct loop_fd *src); /* NULL is fine */

/* A timer that fires once at a monotonic deadline; disarmed when created. */
typedef void loop_timer_fn(void *arg);
int loop_timer_add(struct loop *loop, loop_timer_fn *fn, void *arg,
		   struct loop_timer **ret) PV_MUST_CHECK;
void loop_timer_arm(struct loop_timer *timer, uint64_t deadline_ns);
void loop_timer_disarm(struct loop_timer *timer);
void loop_timer_remove(struct loop_timer *timer); /* NULL is fine */

/*
 * Called before every wait. Return true when there may be more to do without
 * a descriptor saying so (a library has buffered events): the loop then does
 * not sleep but runs another round.
 */
typedef bool loop_prepare_fn(void *arg);
int loop_prepare_add(struct loop *loop, loop_prepare_fn *fn, void *arg,
		     struct loop_prepare **ret) PV_MUST_CHECK;
void loop_prepare_remove(struct loop_prepare *prep); /* NULL is fine */

/*
 * Deliver SIGINT, SIGTERM (and any in the mask) to fn through a signalfd; the
 * caller blocks the signals before it starts threads (loop_signals_block).
 */
typedef void loop_signal_fn(void *arg, int signo);
void loop_signals_block(const int *signals, unsigned nr);
int loop_signals_add(struct loop *loop, const int *signals, unsigned nr,
		     loop_signal_fn *fn, void *arg) PV_MUST_CHECK;

#endif /* UTIL_LOOP_H */
