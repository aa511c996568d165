/* SPDX-License-Identifier: MIT */
/*
 * vbd_faults.c - other faults for a disk that has a fault filter, while it
 * runs; see vbd_private.h.
 *
 * Who wants them writes `fault` into the backend's directory. The node is
 * removed and, when the faults are in force, `fault-state` says which; else
 * `fault-refused` says why not. A worker that takes the disk over goes on with
 * `fault-state`. Neighbours: storage.h. Control thread.
 */
#include "blkback/vbd_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SPEC_MAX 256u

/* 0; -ENOENT it is not there. */
static int read_node(struct vbd *v, const char *node, char spec[SPEC_MAX])
{
	return xs_read_str(v->dev->xs, XS_NO_TXN, v->dev->node, node, spec,
			   SPEC_MAX);
}

static int remove_node(struct vbd *v, const char *node)
{
	char path[sizeof(v->dev->node) + 32];
	int err;

	snprintf(path, sizeof(path), "%s/%s", v->dev->node, node);
	err = xs_rm(v->dev->xs, XS_NO_TXN, path);
	return err == -ENOENT ? 0 : err;
}

static int answer(struct vbd *v, const char *node, const char *text)
{
	return xs_printf(v->dev->xs, XS_NO_TXN, v->dev->node, node, "%s", text);
}

/* The answer first: who waits for `fault` to go reads it then. */
static int set_faults(struct vbd *v, const char *spec)
{
	char why[256];
	int err = storage_set_faults(v->storage, spec, why, sizeof(why));

	if (err) {
		log_limited(&v->dev->limit, LOG_WARN, "%s: %s", v->dev->name,
			    why);
		return answer(v, "fault-refused", why);
	}
	log_info("%s: faults: %s", v->dev->name, spec);
	err = answer(v, "fault-state", spec);
	return err ? err : remove_node(v, "fault-refused");
}

void vbd_faults_changed(struct vbd *v)
{
	char spec[SPEC_MAX];
	int err;

	if (!v->storage)
		return;
	err = read_node(v, "fault", spec);
	if (err == -ENOENT)
		return;
	if (err)
		err = answer(v, "fault-refused", "fault: cannot be read");
	else
		err = set_faults(v, spec);
	if (!err)
		err = remove_node(v, "fault");
	if (err)
		log_limited(&v->dev->limit, LOG_WARN,
			    "%s: answering what was written to fault: %s",
			    v->dev->name, strerrordesc_np(-err));
}

void vbd_faults_opened(struct vbd *v)
{
	char spec[SPEC_MAX], why[256];

	/* What is there was checked when it was written: else, the target's. */
	if (read_node(v, "fault-state", spec) == 0 &&
	    storage_set_faults(v->storage, spec, why, sizeof(why)) == 0)
		log_info("%s: faults: %s", v->dev->name, spec);
}
