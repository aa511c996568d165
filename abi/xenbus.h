/* SPDX-License-Identifier: MIT */
/*
 * xenbus.h - the numbers that each end writes to its `state` node.
 *
 * A value outside this list, or an unreadable node, is XenbusStateUnknown.
 *
 * Source: xen/include/public/io/xenbus.h.
 */
#ifndef ABI_XENBUS_H
#define ABI_XENBUS_H

enum xenbus_state {
	XenbusStateUnknown = 0,
	XenbusStateInitialising = 1,  /* the toolstack made the directory */
	XenbusStateInitWait = 2,      /* features are out, waiting for peer */
	XenbusStateInitialised = 3,   /* ring and channel are out */
	XenbusStateConnected = 4,     /* carrying requests */
	XenbusStateClosing = 5,	      /* error or unplug: winding down */
	XenbusStateClosed = 6,	      /* nothing shared any more */
	XenbusStateReconfiguring = 7, /* pausing to change */
	XenbusStateReconfigured = 8   /* changed, waiting for the peer */
};

#define XENBUS_NR_STATES 9

#endif /* ABI_XENBUS_H */
