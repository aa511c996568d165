/* SPDX-License-Identifier: MIT */
/*
 * service.h - daemons of a run directory that pvsplit started.
 *
 * RUN/log/NAME.log takes what a daemon says, RUN/pid/NAME says which process
 * it is: number, start time and boot. Only a process for which all three match
 * is ever signalled.
 */
#ifndef PVSPLIT_SERVICE_H
#define PVSPLIT_SERVICE_H

#include <sys/types.h>

#include "pvsplit/pvsplit.h"

#define SERVICE_NAME_MAX 64

/*
 * Start program (one of ours) with argv[1..] as service name, wait until it is
 * ready. Says why not.
 */
int service_start(struct pvsplit *ps, const char *name,
		  const char *const *argv) PV_MUST_CHECK;
/* Its pid when it runs; -ESRCH not (any more); -ENOENT never. Quiet. */
int service_pid(const struct pvsplit *ps, const char *name,
		pid_t *ret) PV_MUST_CHECK;
/* End it and wait; fine when it does not run. */
int service_stop(const struct pvsplit *ps, const char *name) PV_MUST_CHECK;

/* Every service with a pid file, sorted by name; free(*ret). Quiet. */
int service_names(const struct pvsplit *ps, char (**ret)[SERVICE_NAME_MAX],
		  unsigned *nr) PV_MUST_CHECK;

/* The last line of a service's log, "" when there is none. */
void service_last_words(const struct pvsplit *ps, const char *name, char *buf,
			size_t size);
/* Append-only descriptor of RUN/log/NAME.log. Says why not. */
int service_log_open(const struct pvsplit *ps, const char *name);
/* Remove that log. Quiet. */
void service_log_remove(const struct pvsplit *ps, const char *name);
/* RUN, RUN/log, RUN/pid. Says why not. */
int service_make_dirs(const struct pvsplit *ps) PV_MUST_CHECK;
/* Remove RUN/pid, and RUN/log and RUN when empty. */
void service_remove_dirs(const struct pvsplit *ps);

#endif /* PVSPLIT_SERVICE_H */
