/* SPDX-License-Identifier: MIT */
/*
 * xenbus.h - the handshake through the store, for both ends of a device.
 *
 * Each end owns a directory with a `state` node, watches the other end's, and
 * reacts. There is one setter of the state and one table that says what to do
 * for every pair (our state, the other end's state); drivers only fill in the
 * steps. The sequence of a connection and of its end:
 *
 *   backend              frontend
 *   Initialising    1    Initialising      the toolstack made both directories
 *   InitWait        2                      backend: announce()
 *                        Initialised   3   frontend: announce() (or 4 at once)
 *   Connected       4                      backend: connect()
 *                        Connected     4   frontend: connect()
 *     ...
 *                        Closing       5   either end starts
 *   Closing         5                      disconnect() on both ends
 *                        Closed        6
 *   Closed          6
 *   InitWait        2    Initialising  1   a frontend that comes again
 *
 * The other end's directory is untrusted: every value read from it is parsed
 * strictly, a state that is not a number 0..8 counts as Unknown. Two watch
 * events may arrive as one and a state be missed: the reaction depends on the
 * current pair only, never on how it came about.
 *
 * Thread: the control thread. The device logs, with its name as prefix.
 */
#ifndef XENBUS_XENBUS_H
#define XENBUS_XENBUS_H

#include "abi/grant.h"
#include "abi/xenbus.h"
#include "util/log.h"
#include "xenstore-lite/xs.h"

enum xenbus_role { XENBUS_FRONTEND, XENBUS_BACKEND };

/* What the table asks for. */
enum xenbus_action {
	XENBUS_DO_NOTHING,
	XENBUS_DO_ANNOUNCE,   /* write our features; back: InitWait, front: Initialised */
	XENBUS_DO_CONNECT,    /* the other end is ready: map or read, then Connected */
	XENBUS_DO_DISCONNECT, /* stop, give everything back, then Closing/Closed */
	XENBUS_DO_RESET,      /* Closed, and the other end begins again */
	XENBUS_DO_IMPOSSIBLE, /* this pair is the other end's fault: disconnect */
};

/* Pure and total over all 9x9 pairs. */
enum xenbus_action xenbus_react(enum xenbus_role role, enum xenbus_state ours,
				enum xenbus_state theirs);
/* May an end in state from set its state to to? Pure and total. */
bool xenbus_may_switch(enum xenbus_state from, enum xenbus_state to);
const char *xenbus_state_name(enum xenbus_state state);

struct xenbus_device;

/*
 * A driver's steps. Each returns 0 or -errno; an error moves the device to
 * Closing with one logged line (xenbus_fatal). disconnect may be called at any
 * time after announce, more than once, and must be idempotent; it may finish
 * later: it returns -EINPROGRESS and calls xenbus_disconnected when done.
 */
struct xenbus_driver {
	enum xenbus_role role;
	const char *type; /* "vbd", "vif" */
	int (*announce)(struct xenbus_device *dev);
	int (*connect)(struct xenbus_device *dev);
	int (*disconnect)(struct xenbus_device *dev);
	/* Optional: Connected and something in the other end's directory or in
	 * ours may have changed (resize, limits). */
	void (*changed)(struct xenbus_device *dev);
	/* The device is about to be freed; everything was disconnected. */
	void (*remove)(struct xenbus_device *dev);
};

struct xenbus_device {
	const struct xenbus_driver *driver;
	struct xs *xs;
	char node[256];	    /* our directory */
	char otherend[256]; /* the peer's, from our own directory */
	char name[64];	    /* "vbd d3/51712": the log prefix */
	domid_t otherend_id;
	uint32_t handle; /* virtual device number: 51712, or a vif's index */
	enum xenbus_state state;	  /* only xenbus_switch writes it */
	enum xenbus_state otherend_state; /* as last read */
	void *priv;			  /* the driver's */
	struct log_limit limit;
	struct xs_watch *otherend_watch, *own_watch;
	/* Set by the backend bus: tells it that the device may be freed. */
	void (*gone)(struct xenbus_device *dev);
	void *bus;
	bool removing;	    /* online=0, directory gone, or domain gone */
	bool disconnecting; /* disconnect said -EINPROGRESS */
};

/*
 * Begin: read frontend-id/backend-id and the other end's path from node, set
 * the watches, react to what is there. dev is the caller's, zeroed, with
 * driver, xs, node, handle set. resumed: the device was Connected by a
 * predecessor and the driver has re-attached already: keep the state.
 */
int xenbus_device_start(struct xenbus_device *dev, bool resumed) PV_MUST_CHECK;
/* Stop watching. Does not change the state in the store. */
void xenbus_device_stop(struct xenbus_device *dev);

/* The one setter: checks the transition, logs it, publishes it. */
int xenbus_switch(struct xenbus_device *dev, enum xenbus_state to);
/* One line "name: what: errno text" to the log and DIR/error, then Closing. */
void xenbus_fatal(struct xenbus_device *dev, int err, const char *fmt, ...)
	PV_PRINTF(3, 4);
/* End the connection from our side (the device broke, or is to be removed). */
void xenbus_close(struct xenbus_device *dev);
/* The driver's deferred disconnect has finished. */
void xenbus_disconnected(struct xenbus_device *dev);

/* ---- backend bus ------------------------------------------------------- */

/*
 * Watches /local/domain/B/backend/TYPE and keeps one xenbus_device for every
 * N/HANDLE below it: made when its directory appears, closed when online is 0
 * or the directory or the frontend's domain goes away, freed when closed. When
 * the frontend's domain is gone the backend removes its own directory.
 */
struct xenbus_bus;

struct xenbus_bus_ops {
	/* Allocate priv for a new device. resumed: set it true when a
	 * predecessor's connection was taken over. -errno: not taken. */
	int (*probe)(void *arg, struct xenbus_device *dev, bool *resumed);
};

int xenbus_bus_open(struct xs *xs, domid_t backend_id,
		    const struct xenbus_driver *driver,
		    const struct xenbus_bus_ops *ops, void *arg,
		    struct xenbus_bus **ret) PV_MUST_CHECK;
/* Frees all devices (driver->remove each) without touching their state. */
void xenbus_bus_close(struct xenbus_bus *bus);
unsigned xenbus_bus_nr_devices(const struct xenbus_bus *bus);

#endif /* XENBUS_XENBUS_H */
