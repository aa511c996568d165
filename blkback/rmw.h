/* SPDX-License-Identifier: MIT */
/*
 * rmw.h - sectors of 512 bytes on a medium whose sectors have 4096: a storage
 * over another, for frontends that know no other size.
 *
 * What is made of whole sectors of the medium goes straight through. A read of
 * less is widened into a bounce buffer. A write of less reads the sectors at
 * its edges, puts its bytes in and writes them back; until that is over, every
 * overlapping write and discard of the disk waits, on whichever channel it
 * came, in the order of coming. A discard is shrunk to whole sectors; a secure
 * one that would have to be shrunk is refused (-EINVAL), because what is left
 * would not be gone. One io is at most STORAGE_IOV_MAX pages long.
 *
 * A worker that dies in the middle has changed nothing that it was not asked
 * to: the bytes around are written back as they were read, its successor waits
 * at the fence and does all of it again.
 *
 * Thread: as storage.h says; the book-keeping of who waits for whom is under a
 * mutex that is never held while anything is carried out. An io that waited
 * goes on on its own channel's thread. Allocates: when opened.
 */
#ifndef BLKBACK_RMW_H
#define BLKBACK_RMW_H

#include "blkback/storage.h"

/*
 * below (desc.sector_bytes == 4096) stays the caller's and outlives *ret, whose
 * ops->close closes *ret alone. Ask *ret for its size (storage_look_again), not
 * below. Returns 0; -EINVAL the medium has other sectors; -ENOMEM.
 */
int rmw_open(struct storage *below, struct storage **ret) PV_MUST_CHECK;

#endif /* BLKBACK_RMW_H */
