/* SPDX-License-Identifier: MIT */
/*
 * device.h - a split device in the store, whatever it is: attach, find, list,
 * detach. block.c and network.c say what is particular to disks and
 * interfaces. The layout is docs/xenstore-paths.md.
 */
#ifndef PVSPLIT_DEVICE_H
#define PVSPLIT_DEVICE_H

#include "pvsplit/pvsplit.h"
#include "util/clock.h"

#define DEVICE_PATH_MAX	  128
#define DEVICE_ATTACH_NS  (5 * NS_PER_S)
#define DEVICE_DETACH_NS  (5 * NS_PER_S)
#define DEVICE_REASON_MAX 512

enum device_kind {
	DEVICE_VBD,
	DEVICE_VIF
};

struct device {
	enum device_kind kind;
	domid_t domid, backend_id;
	uint32_t handle;
	char front[DEVICE_PATH_MAX]; /* the three directories */
	char back[DEVICE_PATH_MAX];
	char libxl[DEVICE_PATH_MAX];
};

/* One node to be written; device.c adds those that every device has. */
struct device_node {
	const char *name, *value;
};

struct device_nodes { /* each array ends with a NULL name */
	const struct device_node *front, *back, *libxl;
	/* Of front: one that the backend may write, too; NULL: none. */
	const char *shared;
};

const char *device_type(enum device_kind kind); /* "vbd", "vif" */
/* The words of a message: "vbd d3/51712". Static, overwritten by the next. */
const char *device_name(const struct device *dev);
/* What the backend's daemon is called. */
const char *device_daemon(enum device_kind kind);

/* Fill in the paths. Pure. */
void device_init(struct device *dev, enum device_kind kind, domid_t domid,
		 domid_t backend_id, uint32_t handle);

/*
 * Find an attached device in the toolstack's own copy. Quiet.
 * -ENOENT there is none; another -errno of the store.
 */
int device_find(struct pvsplit *ps, enum device_kind kind, domid_t domid,
		uint32_t handle, struct device *ret) PV_MUST_CHECK;

/*
 * Write the three directories in one transaction and, if wait, wait until the
 * backend took the device (state 2 or beyond); when it did not, undo it all
 * and say the backend's reason. -EEXIST (quiet): the handle is in use.
 */
int device_attach(struct pvsplit *ps, const char *command,
		  const struct device *dev, const struct device_nodes *nodes,
		  bool wait) PV_MUST_CHECK;

/*
 * What device_attach does when it waits: for one that it wrote without.
 */
int device_wait_taken(struct pvsplit *ps, const char *command,
		      const struct device *dev) PV_MUST_CHECK;

/*
 * Ask the backend to let go, wait at most until deadline_ns, remove the three
 * directories. When it does not let go: with force remove them all the same,
 * else say so and return -EBUSY.
 */
int device_detach(struct pvsplit *ps, const char *command,
		  const struct device *dev, bool force,
		  uint64_t deadline_ns) PV_MUST_CHECK;

/*
 * Wait until done says non-zero about the backend's directory. Returns that,
 * 0 at the deadline, or -errno (-EINTR: a signal). Quiet. The time in which the
 * store is away (it died and is being started again) is not the backend's.
 */
typedef int device_done_fn(struct pvsplit *ps, const struct device *dev);
int device_wait(struct pvsplit *ps, const struct device *dev,
		uint64_t deadline_ns, device_done_fn *done) PV_MUST_CHECK;

/*
 * Call fn for every device of the kind (of domid, or of all domains when
 * domid is DEVICE_ALL), in the order of domain and handle. Stops when fn
 * returns non-zero, with that value. Quiet.
 */
#define DEVICE_ALL 0x10000u
typedef int device_fn(struct pvsplit *ps, const struct device *dev, void *arg);
int device_for_each(struct pvsplit *ps, enum device_kind kind, uint32_t domid,
		    device_fn *fn, void *arg) PV_MUST_CHECK;

/* The listing's object with what every device has. NULL: no memory. */
json_t *device_json(struct pvsplit *ps, const struct device *dev);
/* "Connected" for 4; the text of a node that holds a state. */
const char *device_state_name(const char *text);

/* Add one node of the libxl directory to a listing's object. */
void device_json_add(struct pvsplit *ps, json_t *object,
		     const struct device *dev, const char *node,
		     const char *key);

/* The commands KIND-list [DOMAIN] and KIND-detach DOMAIN HANDLE. */
/* For commands that begin with DOMAIN HANDLE: connect, and find the device. */
int device_find_args(struct pvsplit *ps, const struct args *args,
		     enum device_kind kind, uint32_t handle,
		     struct device *ret) PV_MUST_CHECK;
int device_list_run(struct pvsplit *ps, const struct args *args,
		    enum device_kind kind, device_fn *add,
		    const struct column *columns);
int device_detach_run(struct pvsplit *ps, const struct args *args,
		      enum device_kind kind, uint32_t handle);

#endif /* PVSPLIT_DEVICE_H */
