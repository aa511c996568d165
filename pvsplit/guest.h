/* SPDX-License-Identifier: MIT */
/*
 * guest.h - a domain as a place where programs run: its own processes, mounts
 * and network, with its disks and interfaces behind frontends.
 *
 * A guest is the process number 1 of fresh PID, mount and network namespaces
 * (guest_init.c). It starts netfront-tap for every interface and blkfront-fuse
 * plus a loop device for every disk, and takes them down in order. It dies with
 * the process that started it, and the kernel sweeps what was in it.
 */
#ifndef PVSPLIT_GUEST_H
#define PVSPLIT_GUEST_H

#include <limits.h>
#include <sys/types.h>

#include "pvsplit/loopdev.h"
#include "pvsplit/process.h"
#include "pvsplit/spec.h"

#define GUEST_DISKS_MAX 16u
#define GUEST_VIFS_MAX	16u

struct guest_disk {
	uint32_t handle;
	char vdev[SPEC_VDEV_MAX];
	bool readonly;
	char mount[PATH_MAX]; /* "": only a device */
};

struct guest_vif {
	uint32_t handle;
	char ip[64], gw[48]; /* "": none */
};

struct guest_config {
	const char *command; /* for messages */
	domid_t domid;
	int log_fd; /* what the frontends say goes there */
	unsigned nr_disks, nr_vifs;
	struct guest_disk disks[GUEST_DISKS_MAX];
	struct guest_vif vifs[GUEST_VIFS_MAX];
};

/* What the guest's init reports when everything stands. */
struct guest_report {
	int err; /* 0, or -errno after it said why */
	char loops[GUEST_DISKS_MAX][LOOPDEV_NAME_MAX]; /* "/dev/loop3" */
};

struct guest {
	const struct guest_config *config;
	struct guest_report report;
	pid_t init;
	int sock; /* readable (end of file) when init is gone */
	int net_fd, mount_fd, pid_fd;
};

/* What can be known to be missing before anything is made. Says so. */
int guest_requirements(const char *command, unsigned nr_disks,
		       unsigned nr_vifs) PV_MUST_CHECK;

/* config must outlive the guest. */
int guest_start(struct pvsplit *ps, const struct guest_config *config,
		struct guest *ret) PV_MUST_CHECK;
/* Start a program inside; in, out, err, env of spec are honoured. */
int guest_exec(struct pvsplit *ps, const struct guest *guest,
	       struct process_spec *spec, pid_t *ret) PV_MUST_CHECK;
/* Unmount, release and disconnect all disks; the interfaces stay. */
int guest_close_disks(struct pvsplit *ps, struct guest *guest) PV_MUST_CHECK;
/* End what runs inside, take everything down in order; the guest is gone. */
void guest_stop(struct guest *guest);

/* ---- between guest.c and guest_init.c ---- */

enum guest_request {
	GUEST_CLOSE_DISKS = 'd'
};

/* Process 1: never returns. */
_Noreturn void guest_init(struct pvsplit *ps, const struct guest_config *config,
			  int sock);
/* Where a guest finds disk number i as a file, on a tmpfs of its own. */
#define GUEST_DIR "mnt"

#endif /* PVSPLIT_GUEST_H */
