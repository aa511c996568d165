/* SPDX-License-Identifier: MIT */
/*
 * block_tool.h - programs over blkfront that the command starts in order to
 * work on disks: they are frontends, and the toolstack is none.
 *
 *	block_tool_init(ps, "blkfront-bench", &tool)
 *	block_tool_add(&tool, "--vdev", "xvda") ...
 *	block_tool_run(ps, command, &tool)
 */
#ifndef PVSPLIT_BLOCK_TOOL_H
#define PVSPLIT_BLOCK_TOOL_H

#include <limits.h>

#include "pvsplit/pvsplit.h"

#define BLOCK_TOOL_ARGS_MAX (2 * ARGS_OPTIONS_MAX + 16)

struct block_tool {
	char path[PATH_MAX];
	const char *argv[BLOCK_TOOL_ARGS_MAX + 1];
	unsigned nr;
	char options[ARGS_OPTIONS_MAX][24]; /* "--NAME" of each given */
	char numbers[2][12];
	unsigned nr_numbers;
};

/* The program, with --run-dir and, as the command was given it, --json. */
int block_tool_init(struct pvsplit *ps, const char *program,
		    struct block_tool *ret) PV_MUST_CHECK;
/* Another option; value NULL: it takes none. The strings stay the caller's. */
void block_tool_add(struct block_tool *tool, const char *option,
		    const char *value);
void block_tool_add_u32(struct block_tool *tool, const char *option,
			uint32_t value); /* at most two of these */
/* What the command was given of the options in a table, as it is. */
void block_tool_add_options(struct block_tool *tool, const struct args *args,
			    const struct cmd_option *table);

/*
 * Start it on our standard descriptors and wait; what ends us ends it first.
 * Returns its exit status, or -errno.
 */
int block_tool_run(struct pvsplit *ps, const char *command,
		   const struct block_tool *tool) PV_MUST_CHECK;

#endif /* PVSPLIT_BLOCK_TOOL_H */
