/* SPDX-License-Identifier: MIT */
/*
 * link.h - a channel's connection to a server that may go away and come back.
 *
 *	DOWN --begin()--> CONNECTING --link_up()--> UP
 *	  ^------------------'  ^                   |
 *	  '------- lost, time-out, refused ---------'
 *
 * Every io has a slot and the slots keep the order of submission. While the
 * link is not UP ios wait; link_up() issues all of them again, in that order.
 * That repeats reads and writes that the old connection may have carried out.
 * It is right because a write that was not answered may land at any time before
 * its answer, and blkif leaves writes that overlap in flight without an order:
 * a later one that overlaps has not been answered either, or was submitted
 * after the answer. What it cannot do is recall a request that a cut connection
 * left inside the server: no protocol here has a fence for that.
 *
 * A server must not lose across its restart what it answered and was not asked
 * to flush: nobody writes that again. (A page cache survives the server's
 * process, not its machine.)
 *
 * Pauses between two attempts: 0.1 s, doubled to 5 s, until an io succeeds.
 * Policy: wait for ever, or fail what waits once the link was down for
 * fail_after_ns, and fail at once from then until it is up. After
 * link_give_up() nothing waits any more.
 *
 * Thread: one data thread, but for link_init, link_fini (before and after it),
 * link_news (control) and link_wake (any). Used by nbd.c and iscsi.c.
 */
#ifndef BLKBACK_STORAGE_LINK_H
#define BLKBACK_STORAGE_LINK_H

#include "blkback/storage/done.h"
#include "util/list.h"

struct link;

struct link_slot {
	struct list link;
	struct link *owner;
	struct storage_io *io;
	unsigned nr_parts; /* commands under way */
	int result;	   /* the first error of a part */
	/* STORAGE_DISCARD: how much the command under way takes; the next one
	 * follows when it is done. */
	uint64_t step_bytes;
	unsigned nr_tries; /* how often link_part_again() was called */
	bool again, retry;
	/* Instead of io->iov, malloc'ed by the driver; what was read into it is
	 * spread and it is freed at the io's end. */
	void *bounce;
};

struct link_ops {
	/* Start to connect. -errno: not now. */
	int (*begin)(struct link *l);
	/*
	 * Carry the slot's io out: each command increments nr_parts before and
	 * calls link_part_done() at its end, or sets l->lost. A discard takes
	 * step_bytes from io->done_bytes on.
	 */
	void (*issue)(struct link *l, struct link_slot *s);
	/* Forget the connection or the attempt. Nothing of it touches an io's
	 * memory afterwards. */
	void (*drop)(struct link *l);
};

enum link_state {
	LINK_DOWN,
	LINK_CONNECTING,
	LINK_UP,
};

/* What happened since control looked last: bits. */
#define LINK_NEWS_LOST	  0x1u
#define LINK_NEWS_UP	  0x2u
#define LINK_NEWS_FAILING 0x4u
#define LINK_NEWS_REFUSED 0x8u	/* another disk: it is not used */
#define LINK_NEWS_WANTS	  0x10u /* a connection */
#define LINK_NEWS_SIZE	  0x20u /* storage_look_again() */

struct link {
	const struct link_ops *ops;
	struct storage *st;
	enum link_state state;
	bool lost; /* set by the driver: the connection cannot be used */
	bool given_up, failing, was_up;
	int epfd, timer_fd, wake_fd;
	uint32_t socket_events; /* with LINK_SOCKET: EPOLLIN, ... */
	uint64_t timer_ns;	/* when timer_fd fires; 0: it is not set */
	uint64_t next_ns; /* DOWN: the next attempt; CONNECTING: its end */
	uint64_t pause_ns;
	uint64_t down_ns, heard_ns;
	uint64_t fail_after_ns; /* 0: wait for ever */
	struct link_slot *slots;
	struct list free, busy;
	unsigned nr_again;
	uint64_t again_ns; /* not before */
	struct done_list done;
	_Atomic unsigned news; /* pairs: link_tell() and link_news() */
};

/* What link_look() saw. */
#define LINK_SOCKET 0x1u
#define LINK_WAKE   0x2u
#define LINK_TIMER  0x4u

/* depth: the most ios in flight. -ENOMEM, -EMFILE. */
int link_init(struct link *l, const struct link_ops *ops, struct storage *st,
	      unsigned depth, uint64_t fail_after_ns) PV_MUST_CHECK;
/* The driver has dropped its connection. Idempotent after zeroing. */
void link_fini(struct link *l);

/* Have link_look() say bit when fd is ready for events (EPOLLIN, ...). */
int link_watch(struct link *l, int fd, uint32_t events,
	       uint32_t bit) PV_MUST_CHECK;
int link_rewatch(struct link *l, int fd, uint32_t events, uint32_t bit);
void link_unwatch(struct link *l, int fd);
/* Bits: what is ready now. */
unsigned link_look(struct link *l);

/* -EAGAIN: more than depth. */
int link_submit(struct link *l, struct storage_io *io) PV_MUST_CHECK;
/* One command of the slot is over with err. */
void link_part_done(struct link_slot *s, int err);
/*
 * One command of the slot was not carried out, but may be later: instead of
 * ending, the slot is issued again, whole, in pause_ns. Not for ever, and not
 * after link_give_up(): then it ends with err.
 */
void link_part_again(struct link_slot *s, int err, uint64_t pause_ns);
/* The driver is connected and has checked whom it talks to. */
void link_up(struct link *l);
/*
 * Any thread: have link_look() say LINK_WAKE. Control has something for the
 * channel; or the connection was found lost outside of poll(), where its
 * descriptor may be gone, and with it what would have woken the thread.
 */
void link_wake(struct link *l);
/* In every poll(): what is due, and a connection that was lost. */
void link_run(struct link *l);
/* Then: done() for what has ended. Returns how many. */
unsigned link_reap(struct link *l);
void link_give_up(struct link *l);

/* Data thread: tell control. Control: what was told, cleared. */
void link_tell(struct link *l, unsigned bit);
unsigned link_news(struct link *l);
/* Say news to the owner, in words. */
void link_say(unsigned news, const char *refused,
	      const struct storage_keeper *keeper);

#endif /* BLKBACK_STORAGE_LINK_H */
