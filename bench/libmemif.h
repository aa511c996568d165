/* SPDX-License-Identifier: MIT */
/*
 * libmemif.h - the client's end of a memif, of one queue each way, that polls:
 * as lean as the protocol lets it be. One region holds rings and buffers; a
 * frame is copied in, and what arrives is looked at where it is.
 *
 * Its server is one to be measured, not one to be distrusted: but an index that
 * cannot be reads no memory that is not ours.
 * Thread: the owner's. Logs: never.
 */
#ifndef BENCH_LIBMEMIF_H
#define BENCH_LIBMEMIF_H

#include <stdbool.h>
#include <stdint.h>

#include "util/annotate.h"

#define MEMIF_FRAME_MAX 2048u

struct memif;

/* Connect to interface 0 of the server that listens at socket. */
int memif_open(const char *socket, struct memif **ret) PV_MUST_CHECK;
void memif_close(struct memif *memif); /* NULL is fine */

/* Send a frame now. False: there is no room. */
bool memif_send(struct memif *memif, const void *frame, uint32_t size_bytes);
/* Take what has arrived and give the buffers back. Returns how many frames. */
unsigned memif_recv(struct memif *memif);

#endif /* BENCH_LIBMEMIF_H */
