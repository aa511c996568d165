/* SPDX-License-Identifier: MIT */
/*
 * tool.h - programs that the command starts in order to work on disks and
 * interfaces: they are frontends, and the toolstack is none.
 *
 *	tool_init(ps, "blkfront-bench", &tool)
 *	tool_add(&tool, "--vdev", "xvda") ...
 *	tool_run(ps, command, &tool)
 */
#ifndef PVSPLIT_TOOL_H
#define PVSPLIT_TOOL_H

#include <limits.h>

#include "pvsplit/pvsplit.h"

#define TOOL_ARGS_MAX	 (2 * ARGS_OPTIONS_MAX + 16)
#define TOOL_NUMBERS_MAX 4u

struct tool {
	char path[PATH_MAX];
	const char *argv[TOOL_ARGS_MAX + 1];
	unsigned nr;
	char options[ARGS_OPTIONS_MAX][24]; /* "--NAME" of each given */
	char numbers[TOOL_NUMBERS_MAX][12];
	unsigned nr_numbers;
};

/* The program, with --run-dir and, as the command was given it, --json. */
int tool_init(struct pvsplit *ps, const char *program,
	      struct tool *ret) PV_MUST_CHECK;
/* Another option; value NULL: it takes none. The strings stay the caller's. */
void tool_add(struct tool *tool, const char *option, const char *value);
void tool_add_u32(struct tool *tool, const char *option,
		  uint32_t value); /* at most TOOL_NUMBERS_MAX */
/* What the command was given of the options in a table, as it is. */
void tool_add_options(struct tool *tool, const struct args *args,
		      const struct cmd_option *table);

/*
 * Start it on our standard descriptors and wait; what ends us ends it first.
 * Returns its exit status, or -errno.
 */
int tool_run(struct pvsplit *ps, const char *command,
	     const struct tool *tool) PV_MUST_CHECK;

/*
 * Make a domain that lasts as long as fn, whose result is returned, and end it
 * with all devices that fn attached. A signal does not cut that short.
 */
typedef int tool_domain_fn(struct pvsplit *ps, domid_t domid, void *arg);
int tool_in_domain(struct pvsplit *ps, const char *command, tool_domain_fn *fn,
		   void *arg) PV_MUST_CHECK;

#endif /* PVSPLIT_TOOL_H */
