/* SPDX-License-Identifier: MIT */
/*
 * demo.h - the demo's parts and what they share.
 *
 * demo.c makes a temporary directory and one set of namespaces, in which all
 * of the demo lives; when it ends, however it ends, the kernel sweeps them.
 * demo_disk.c and demo_net.c are the two parts, demo_tree.c makes the data,
 * demo_http.c is the server behind the bridge.
 */
#ifndef PVSPLIT_DEMO_H
#define PVSPLIT_DEMO_H

#include "pvsplit/guest.h"

#define DEMO_PATH_MAX 512
#define MIB	      (1024 * 1024ull)

struct demo_guest {
	const char *name, *address; /* "10.77.0.2" */
	struct guest_config config;
	struct guest guest;
};

struct demo {
	struct pvsplit *ps;
	char dir[DEMO_PATH_MAX]; /* the temporary directory */
	int log_fd;		 /* what the tools say */
	FILE *show;		 /* what the demo says */
	bool terminal;		 /* progress is shown */
	bool failed;
	json_t *results;
	struct demo_guest alice, bob;
};

/* A headline, a step, a command that a user would type. */
void demo_head(struct demo *d, const char *text);
void demo_say(struct demo *d, const char *fmt, ...) PV_PRINTF(2, 3);
/* On a terminal: a line that is written over; NULL removes it. */
void demo_progress(struct demo *d, const char *what, uint64_t done,
		   uint64_t all);
/* One row of the table at the end; a false ok makes the demo fail. */
void demo_result(struct demo *d, bool ok, const char *what, const char *fmt,
		 ...) PV_PRINTF(4, 5);

/* DIR/name. */
void demo_path(const struct demo *d, const char *name, char *buf, size_t size);

/*
 * Run a program to its end: in a guest, or (NULL) in the demo's own namespaces.
 * out: NULL, or takes what it printed (free it). Says when it fails.
 */
int demo_run(struct demo *d, const struct guest *guest, const char *const *argv,
	     char **out) PV_MUST_CHECK;
/* Start one that goes on; its output goes to the log. */
int demo_spawn(struct demo *d, const struct guest *guest,
	       const char *const *argv, pid_t *ret) PV_MUST_CHECK;

/* ---- demo_tree.c ---- */

struct demo_tree {
	unsigned nr_dirs, nr_files;
	uint64_t size_bytes;
};
/* A tree of files of many sizes with incompressible contents. */
int demo_tree_make(const char *dir, struct demo_tree *ret) PV_MUST_CHECK;
int demo_file_make(const char *path, uint64_t size_bytes) PV_MUST_CHECK;

/* ---- demo_http.c ---- */

/*
 * A process with its own network that answers every GET with the file: eth0
 * has address ("10.77.0.1/24") and is a port of bridge.
 */
int demo_http_start(const char *file, const char *bridge, const char *address,
		    uint16_t port, pid_t *ret) PV_MUST_CHECK;

/* ---- the parts ---- */

/* Returns -errno only when the demo cannot go on. */
int demo_disk(struct demo *d) PV_MUST_CHECK;
int demo_net(struct demo *d) PV_MUST_CHECK;

#define DEMO_BRIDGE "pvbr0"

#endif /* PVSPLIT_DEMO_H */
