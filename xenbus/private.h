/* SPDX-License-Identifier: MIT */
/* private.h - between device.c, node.c and bus.c of this folder. */
#ifndef XENBUS_PRIVATE_H
#define XENBUS_PRIVATE_H

#include "xenbus/xenbus.h"

/*
 * Read who and where the other end is from our own directory, and check it
 * (node.c). Fills otherend, otherend_id, name. Needs driver, xs, node, handle.
 */
int xenbus_identify(struct xenbus_device *dev) PV_MUST_CHECK;

/* What node.c finds in the store. */
struct xenbus_view {
	enum xenbus_state ours, theirs; /* Unknown: absent or nonsense */
	bool exists;			/* our directory has a state */
	bool online; /* backend: the toolstack wants the device */
	bool domain_gone;
};

/* Look at both ends. -errno only when the store itself cannot be asked. */
int xenbus_look(struct xenbus_device *dev,
		struct xenbus_view *ret) PV_MUST_CHECK;

/*
 * Write our state if the directory still exists. -ENOENT it does not (what was
 * left of it has been removed); -ECANCELED the toolstack asks for Closing and
 * to is earlier than that.
 */
int xenbus_publish(struct xenbus_device *dev,
		   enum xenbus_state to) PV_MUST_CHECK;
/* Write DIR/NODE if the directory still exists; nobody minds when not. */
void xenbus_publish_text(struct xenbus_device *dev, const char *node,
			 const char *text);
/* Is DIR/disabled there? -errno only when the store itself cannot be asked. */
int xenbus_look_disabled(struct xenbus_device *dev, bool *ret) PV_MUST_CHECK;

/*
 * Something in our directory may have changed: node, its path below it; "" is
 * anything.
 */
void xenbus_own_changed(struct xenbus_device *dev, const char *node);

static inline bool xenbus_is_ending(const struct xenbus_device *dev)
{
	return dev->state == XenbusStateClosing ||
	       dev->state == XenbusStateClosed;
}

/*
 * A backend's directory may have, or no longer have, the node that keeps it
 * from being served (fault.c). The machine is to run afterwards.
 */
void xenbus_look_whether_disabled(struct xenbus_device *dev);

/* Run the machine: look, react, until nothing is left to do. */
void xenbus_run(struct xenbus_device *dev);

/* A number as the store writes it: no leading zero. -EINVAL. */
int xenbus_parse_id(const char *text, uint32_t max,
		    uint32_t *ret) PV_MUST_CHECK;

#endif /* XENBUS_PRIVATE_H */
