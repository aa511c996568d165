/* SPDX-License-Identifier: MIT */
/*
 * demo_watch.h - what the guest sees of its disk while the backend is killed:
 * the longest wait for a completion, and whether the handshake was repeated.
 */
#ifndef PVSPLIT_DEMO_WATCH_H
#define PVSPLIT_DEMO_WATCH_H

#include "pvsplit/device.h"

/* ---- completions of a block device ---- */

struct disk_watch {
	int fd; /* /sys/block/loopN/stat */
	uint64_t nr_done, written_bytes;
	unsigned in_flight;
	uint64_t last_ns;    /* when something completed or nothing waited */
	uint64_t longest_ns; /* longest time without, since _restart */
};

/* device: "/dev/loop3". Quiet. */
int disk_watch_open(const char *device, struct disk_watch *ret) PV_MUST_CHECK;
void disk_watch_close(struct disk_watch *w);
/* Look once; accuracy is that of calling it often. */
int disk_watch_look(struct disk_watch *w) PV_MUST_CHECK;
void disk_watch_restart(struct disk_watch *w);

/* ---- the handshake ---- */

#define HANDSHAKE_TEXT_MAX 1024

struct handshake {
	struct pvsplit *ps;
	struct device dev;
	struct xs_watch *front, *back;
	char before[HANDSHAKE_TEXT_MAX]; /* every node of the frontend's */
	unsigned nr_events;
};

/*
 * Remember what the frontend wrote (state, ring references, event channel) and
 * both states, and watch all of it from now on.
 */
int handshake_watch(struct pvsplit *ps, const struct device *dev,
		    struct handshake *ret) PV_MUST_CHECK;
/*
 * End. 0: no node was written and all are as before. 1: not so; what takes
 * words. -errno.
 */
int handshake_check(struct handshake *h, char *what, size_t size);

#endif /* PVSPLIT_DEMO_WATCH_H */
