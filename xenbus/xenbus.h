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
 *                        Reconfiguring 7   frontend: wants other settings
 *   Reconfigured    8                      backend: reconfigure()
 *                        Connected     4
 *   Connected       4
 *     ...
 *                        Closing       5   either end starts
 *   Closing         5                      disconnect() on both ends
 *                        Closed        6
 *   Closed          6
 *   InitWait        2    Initialising  1   a frontend that comes again
 *
 * A backend that is told to close (detach) while its frontend is Connected
 * writes Closing and goes on serving until the frontend is Closing or Closed,
 * says that it is lost, or 4 s are over: the frontend can finish what is in
 * flight. In every other case disconnect() comes before Closing. docs/xenbus.md
 * has the table and the reasons.
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
#include "util/clock.h"
#include "util/log.h"
#include "util/loop.h"
#include "xenstore-lite/xs.h"

enum xenbus_role {
	XENBUS_FRONTEND,
	XENBUS_BACKEND
};

/* What the table asks for. */
enum xenbus_action {
	XENBUS_DO_NOTHING,
	XENBUS_DO_ANNOUNCE,   /* write our features; back: InitWait, front:
				 Initialised */
	XENBUS_DO_CONNECT,    /* the other end is ready: map or read, then
				 Connected */
	XENBUS_DO_DISCONNECT, /* stop, give everything back, then Closing/Closed
			       */
	XENBUS_DO_RESET,      /* Closed, and the other end begins again */
	XENBUS_DO_RECONFIGURE, /* read again what may change, then Reconfigured
				*/
	XENBUS_DO_RETURN,      /* to Connected: that was seen */
	XENBUS_DO_IMPOSSIBLE,  /* this pair is the other end's fault: disconnect
				*/
};
#define XENBUS_CLOSE_WAIT_NS (4 * NS_PER_S) /* a detach ends after this */

/* Pure and total over all 9x9 pairs. */
enum xenbus_action xenbus_react(enum xenbus_role role, enum xenbus_state ours,
				enum xenbus_state theirs);
/*
 * The state to write once disconnect() is done. Pure and total; Closing or
 * Closed, and Closed follows from Closing in at most one more step.
 */
enum xenbus_state xenbus_after_disconnect(enum xenbus_role role,
					  enum xenbus_state ours,
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
	/*
	 * Optional, a backend's: the frontend has written anew what may be
	 * changed while it is connected. Without it that is a fault.
	 */
	int (*reconfigure)(struct xenbus_device *dev);
	/*
	 * Optional: Connected, and something in our directory may have changed
	 * (resize, limits), or, for a frontend, in the other end's. node: what,
	 * as its path below our directory; "": anything.
	 */
	void (*changed)(struct xenbus_device *dev, const char *node);
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
	struct xs_watch *otherend_watch;
	struct xs_watch *own_watch; /* a backend's bus watches for it */
	/* The bus's: close_deadline_ns was set. */
	void (*hurry)(struct xenbus_device *dev);
	/*
	 * Called once, when a device that is being removed is closed for good:
	 * by xenbus_close on a frontend, or because its directory is gone. It
	 * may call xenbus_device_stop and nothing else of the device. The
	 * backend bus sets it; a frontend driver may, with bus its own.
	 */
	void (*gone)(struct xenbus_device *dev);
	void *bus;
	bool removing;	    /* online=0, directory gone, or domain gone */
	bool disconnecting; /* disconnect said -EINPROGRESS */
	/* xenbus's own: */
	struct log_limit state_limit;
	uint64_t close_deadline_ns; /* 0: none */
	bool live;		    /* announced: a disconnect() is owed */
	/* The step was done; the store may not have been told in time. */
	bool announced, connected;
	bool broken;	  /* xenbus_fatal: no new start before a new event */
	bool disabled;	  /* a backend's: DIR/disabled is there */
	bool closing;	  /* xenbus_close, fatal or removal: to be acted on */
	bool alone;	  /* nobody is there to answer: close without waiting */
	bool restarting;  /* a dead predecessor's connection is being ended */
	bool vanished;	  /* our directory is gone or was made anew */
	bool domain_gone; /* the frontend's domain is no more */
	bool running, again; /* inside the machine; look once more */
	bool primed;	     /* the other end's watch has fired at first */
	bool told_gone;
};

/*
 * Begin: read frontend-id/backend-id and the other end's path from node, set
 * the watches, react to what is there. dev is the caller's, zeroed, with
 * driver, xs, node, handle set. resumed: the device was Connected by a
 * predecessor and the driver has re-attached already: keep the state.
 * Not resumed, whatever a dead predecessor left is undone: a frontend sets its
 * state to 1; a backend whose frontend is still connected to the dead one goes
 * to Closed first and comes again when the frontend has let go.
 * -ENOENT the directory is not there; -EPERM its other end is not where it has
 * to be; -EINVAL malformed.
 *
 * A frontend's library drives everything else by xs_dispatch. After a backend
 * ended or failed (disconnect() was called) and comes again in InitWait, the
 * machine runs announce() anew by itself.
 */
int xenbus_device_start(struct xenbus_device *dev, bool resumed) PV_MUST_CHECK;
/* Stop watching. Does not change the state in the store. */
void xenbus_device_stop(struct xenbus_device *dev);

/* The one setter: checks the transition, logs it, publishes it. */
int xenbus_switch(struct xenbus_device *dev, enum xenbus_state to);
/* One line "name: what: errno text" to the log and DIR/error, then Closing. */
void xenbus_fatal(struct xenbus_device *dev, int err, const char *fmt, ...)
	PV_PRINTF(3, 4);
/*
 * The same of a backend whose frontend broke a rule on its rings, and it stays
 * Closed whatever that end does next: the line is in DIR/disabled, too, until
 * the administrator removes that node (or the device). Who writes the node
 * himself closes the device at once.
 */
void xenbus_disable(struct xenbus_device *dev, int err, const char *fmt, ...)
	PV_PRINTF(3, 4);
/*
 * End the connection from our side. A frontend's end is for good: Closing, and
 * when the backend has answered (or is not there) disconnect() and Closed; wait
 * by xs_dispatch until state is Closed, then xenbus_device_stop. A backend may
 * be connected again by a frontend that comes again.
 */
void xenbus_close(struct xenbus_device *dev);
/*
 * The other end's process is gone (evtchn_clear said -EPIPE), or the caller
 * will not wait for it any longer: disconnect and close at once. A backend in
 * Closed with online=1 serves a frontend that comes again.
 */
void xenbus_otherend_lost(struct xenbus_device *dev);
/* The driver's deferred disconnect has finished. */
void xenbus_disconnected(struct xenbus_device *dev);

/* ---- backend bus ------------------------------------------------------- */

/*
 * Watches /local/domain/B/backend/TYPE, for itself and for all its devices, and
 * keeps one xenbus_device for every N/HANDLE below it: made when its directory
 * appears, closed when online is 0 or the directory or the frontend's domain
 * goes away, freed when closed. When the frontend's domain is gone the backend
 * removes its own directory.
 */
struct xenbus_bus;

struct xenbus_bus_ops {
	/* Allocate priv for a new device. resumed: set it true when a
	 * predecessor's connection was taken over. -errno: not taken.
	 * node, otherend, otherend_id, handle, name are set; priv is probe's
	 * to set and is freed by driver->remove. */
	int (*probe)(void *arg, struct xenbus_device *dev, bool *resumed);
};

int xenbus_bus_open(struct xs *xs, domid_t backend_id,
		    const struct xenbus_driver *driver,
		    const struct xenbus_bus_ops *ops, void *arg,
		    struct xenbus_bus **ret) PV_MUST_CHECK;
/*
 * Let the bus put its timer into loop: needed for the 4 s within which every
 * detach ends. Call once, after xenbus_bus_open; close the bus before the loop.
 */
int xenbus_bus_use_loop(struct xenbus_bus *bus,
			struct loop *loop) PV_MUST_CHECK;
/* Frees all devices (driver->remove each) without touching their state. */
void xenbus_bus_close(struct xenbus_bus *bus);
unsigned xenbus_bus_nr_devices(const struct xenbus_bus *bus);

#endif /* XENBUS_XENBUS_H */
