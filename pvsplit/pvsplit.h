/* SPDX-License-Identifier: MIT */
/*
 * pvsplit.h - what the jobs of the command share: the connection to a run
 * directory, the parsed command line, and how results and errors are said.
 *
 * Convention of this folder: a function that fails has said why in one line
 * (complain) and returns -errno, unless its comment says that it is quiet.
 * Thread: pvsplit has one.
 */
#ifndef PVSPLIT_PVSPLIT_H
#define PVSPLIT_PVSPLIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/platform.h"
#include "util/annotate.h"
#include "xenstore-lite/xs.h"

#define PVSPLIT_VERSION "0.1"

#define EXIT_FAILED 1
#define EXIT_USAGE  2

struct pvsplit {
	const char *run_dir;
	bool json;
	int signal_fd;		   /* SIGINT, SIGTERM are read here; -1 */
	struct platform *platform; /* as domain 0; see pvsplit_connect */
	struct xs *xs;
};

/* ---- the command line ---- */

#define ARGS_OPTIONS_MAX 64u

struct cmd_option {
	const char *name;
	const char *value; /* what the value is called; NULL: takes none */
	const char *help;
};

struct args {
	const char *command;
	struct {
		const struct cmd_option *option;
		const char *value;
	} given[ARGS_OPTIONS_MAX];
	unsigned nr_given;
	unsigned nr;  /* what is not an option */
	char **words; /* NULL-terminated */
};

struct command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *summary;
	const char *help;		  /* paragraphs for --help, or NULL */
	const char *example;		  /* one or more lines */
	const struct cmd_option *options; /* ends with a NULL name; or NULL */
	unsigned min_words, max_words;
	bool stops_at_word; /* the first word ends the options */
	int (*run)(struct pvsplit *ps, const struct args *args);
};

/* The last value given for the option, "" for one without value, or NULL. */
const char *args_get(const struct args *args, const char *name);

/* ---- saying things ---- */

/* One line "pvsplit: what: why; what to do" on standard error. Returns err. */
int complain(int err, const char *fmt, ...) PV_PRINTF(2, 3);
/* The same, for a wrong command line: main then exits with EXIT_USAGE. */
#define USAGE_ERROR (-4096)
int complain_usage(const struct args *args, const char *fmt, ...)
	PV_PRINTF(2, 3);

struct column {
	const char *key, *title;
};

/*
 * Print a listing, an array of objects: as JSON, or the columns (ended by a
 * NULL key) as a table. Takes the reference over; NULL: out of memory.
 */
int output_list(const struct pvsplit *ps, json_t *list,
		const struct column *columns);
/* The columns as a table; the list stays the caller's. */
void output_table(const json_t *list, const struct column *columns);
/* As JSON the object; plain: the sentence. */
int output_result(const struct pvsplit *ps, json_t *object, const char *fmt,
		  ...) PV_PRINTF(3, 4);

/* ---- connection and waiting ---- */

/* Open the run directory as domain 0; twice is fine. */
int pvsplit_connect(struct pvsplit *ps) PV_MUST_CHECK;
void pvsplit_disconnect(struct pvsplit *ps);

/* From now on SIGINT and SIGTERM end waits with -EINTR instead of us. */
int pvsplit_catch_signals(struct pvsplit *ps) PV_MUST_CHECK;
/*
 * Wait until fd is readable. Returns 1; 0 when the deadline passed; -EINTR
 * when a signal asked us to end (it stays pending). Quiet.
 */
int pvsplit_wait_fd(const struct pvsplit *ps, int fd, uint64_t deadline_ns);
/* Sleep less than a second. */
void pvsplit_pause(uint64_t ns);

/* Which commands there are; ends with a NULL name. */
extern const struct command commands[];

#endif /* PVSPLIT_PVSPLIT_H */
