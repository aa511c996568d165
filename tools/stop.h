/* SPDX-License-Identifier: MIT */
/* stop.h - SIGINT and SIGTERM end a run early, a second one ends the program.
 * Any thread may look. */
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

#include <signal.h>

extern volatile sig_atomic_t stop_asked;

void stop_catch(void);

#endif /* TOOLS_STOP_H */
