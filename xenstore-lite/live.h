/* SPDX-License-Identifier: MIT */
/*
 * live.h - one program after another in the same process: the live update.
 *
 *	old	save all into a sealed memfd
 *		NEW --check-image, as a child: can it read that?
 *		exec NEW ... --restore FD
 *	new	make the store of it, answer who asked
 *
 * Descriptors stay where they are. Until the exec nothing is lost by an error:
 * the old program goes on, and answers with it.
 *
 * Thread: the loop's; waits for the check, LIVE_CHECK_NS at most. Logs: each
 * update, one line, or why there was none.
 */
#ifndef XENSTORE_LITE_LIVE_H
#define XENSTORE_LITE_LIVE_H

#include <stdbool.h>

#include "util/annotate.h"
#include "util/clock.h"
#include "xenstore-lite/serve.h"

#define LIVE_CHECK_NS (10 * NS_PER_S)

#define LIVE_RESTORE	 "--restore"
#define LIVE_CHECK_IMAGE "--check-image"
/* The exit status that says yes: one that a program that knows nothing of
 * images does not end with. */
#define LIVE_CHECKED 94

/*
 * Carry out an update that a client has asked for, if one has. argv: ours,
 * NULL-terminated; the next program gets the same. Only returns when there is
 * none (false), or it failed (true: the client has an answer).
 */
bool live_update(struct server *server, char *const *argv);

/* The next program: go on with the image in fd. -errno, logged. */
int live_restore(struct server *server, int fd) PV_MUST_CHECK;
/* The same, only looking. The process's exit status. */
int live_check_image(int fd);

#endif /* XENSTORE_LITE_LIVE_H */
