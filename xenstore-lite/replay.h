/* SPDX-License-Identifier: MIT */
/*
 * replay.h - the journal's files, as bytes, made a store again.
 *
 * No file is touched here: what is read may be anything, and is either carried
 * out or found to be damaged. Logs: never.
 */
#ifndef XENSTORE_LITE_REPLAY_H
#define XENSTORE_LITE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/annotate.h"
#include "xenstore-lite/record.h"

struct xsd;

struct replay {
	struct xsd *xsd;
	bool salvage;	   /* go on behind damage */
	uint64_t next_seq; /* of the journal; 0: whatever comes first */

	uint64_t nr_applied;
	/* What is damaged first in the file last read, and why. */
	size_t offset;
	const char *why;
	/* What salvage could not keep. */
	uint64_t lost_bytes, nr_refused, nr_missing;
};

/*
 * Whether a snapshot is whole, without carrying it out. -EBADMSG with offset
 * and why; -EPROTONOSUPPORT.
 */
int replay_check_snapshot(struct replay *r, const uint8_t *data, size_t len,
			  uint64_t segment) PV_MUST_CHECK;
/* Carry it out in a fresh store; with salvage, as much of it as there is. */
int replay_snapshot(struct replay *r, const uint8_t *data, size_t len,
		    uint64_t segment) PV_MUST_CHECK;

/*
 * Carry a segment out. last: no other follows, so that a bad record with no
 * whole one behind it is what a dying writer left: *whole is where it begins,
 * and the file is to be cut there (0: there is not even a header). Else *whole
 * is len. *file: its header.
 * -EBADMSG damaged; -EPROTONOSUPPORT; -ENOMEM.
 */
int replay_journal(struct replay *r, const uint8_t *data, size_t len,
		   uint64_t segment, bool last, struct record_file *file,
		   size_t *whole) PV_MUST_CHECK;

#endif /* XENSTORE_LITE_REPLAY_H */
