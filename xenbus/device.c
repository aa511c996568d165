/* SPDX-License-Identifier: MIT */
/*
 * device.c - one device's handshake: look at both ends, ask the table, run the
 * driver's step, publish the new state; until nothing is left to do.
 *
 * The machine never runs inside itself: a driver's step that closes or faults
 * its own device only leaves a flag, which the machine acts on afterwards.
 * Called by bus.c, by frontend drivers and by watches; control thread.
 */
#include "xenbus/private.h"

#include <errno.h>
#include <string.h>

#include "util/num.h"

/* No honest pair of ends needs more; a flipping peer cannot hold us. */
#define STEPS_MAX  16
#define ROUNDS_MAX 8

static bool is_linked(enum xenbus_state state)
{
	return state == XenbusStateInitialised ||
	       state == XenbusStateConnected ||
	       state == XenbusStateReconfiguring ||
	       state == XenbusStateReconfigured;
}

int xenbus_switch(struct xenbus_device *dev, enum xenbus_state to)
{
	enum xenbus_state from = dev->state;
	enum log_level level = LOG_DEBUG;
	int err = 0;

	if (!xenbus_may_switch(from, to))
		return -EINVAL;
	if (!dev->vanished)
		err = xenbus_publish(dev, to);
	if (err)
		return err;
	dev->state = to;
	if (to == XenbusStateConnected || to == XenbusStateClosed)
		level = LOG_INFO;
	if (from != to)
		log_limited(&dev->state_limit, level, "%s: %s", dev->name,
			    xenbus_state_name(to));
	return 0;
}

static void set_vanished(struct xenbus_device *dev)
{
	dev->vanished = dev->removing = dev->alone = true;
	if (!xenbus_is_ending(dev))
		dev->closing = true;
}

/* Switch inside the machine. Returns whether to go on with the next step. */
static bool go(struct xenbus_device *dev, enum xenbus_state to)
{
	int err = xenbus_switch(dev, to);

	switch (-err) {
	case 0: return true;
	case ENOENT: set_vanished(dev); return true;
	case ECANCELED: dev->again = true; return false;
	default:
		log_limited(&dev->limit, LOG_ERROR,
			    "%s: cannot write state %s: %s", dev->name,
			    xenbus_state_name(to), strerrordesc_np(-err));
		return false;
	}
}

static void set_dead(struct xenbus_device *dev)
{
	dev->live = dev->announced = dev->connected = false;
}

static bool finish(struct xenbus_device *dev)
{
	enum xenbus_state to;

	if (dev->live) {
		int err = dev->driver->disconnect(dev);

		if (err == -EINPROGRESS) {
			dev->disconnecting = true;
			return false;
		}
		if (err)
			log_limited(&dev->limit, LOG_WARN, "%s: disconnect: %s",
				    dev->name, strerrordesc_np(-err));
		set_dead(dev);
	}
	to = xenbus_after_disconnect(dev->driver->role, dev->state,
				     dev->otherend_state);
	if (dev->alone && dev->state == XenbusStateClosing)
		to = XenbusStateClosed;
	return to != dev->state && go(dev, to);
}

/* Is there somebody who will answer our Closing with its own? */
static bool will_answer(const struct xenbus_device *dev)
{
	if (dev->alone || !dev->live)
		return false;
	if (dev->driver->role == XENBUS_BACKEND)
		return dev->state == XenbusStateConnected &&
		       is_linked(dev->otherend_state);
	return dev->state != XenbusStateInitialising &&
	       (dev->otherend_state == XenbusStateInitWait ||
		is_linked(dev->otherend_state));
}

static bool begin_close(struct xenbus_device *dev)
{
	dev->closing = false;
	if (dev->removing && !dev->close_deadline_ns) {
		dev->close_deadline_ns = clock_now_ns() + XENBUS_CLOSE_WAIT_NS;
		if (dev->hurry)
			dev->hurry(dev);
	}
	if (xenbus_is_ending(dev))
		return dev->live && dev->broken ? finish(dev) : true;
	if (!dev->broken && will_answer(dev))
		return go(dev, XenbusStateClosing);
	if (dev->removing && dev->state != XenbusStateConnected)
		dev->alone = true;
	return finish(dev);
}

/* The other end begins again, or we do. */
static bool begin_again(struct xenbus_device *dev)
{
	dev->restarting = dev->alone = dev->broken = false;
	return go(dev, XenbusStateInitialising);
}

static bool do_announce(struct xenbus_device *dev)
{
	int err;

	dev->live = true;
	err = dev->announced ? 0 : dev->driver->announce(dev);
	if (err && !dev->broken)
		xenbus_fatal(dev, err, "cannot announce the device");
	dev->announced = !err;
	if (dev->closing)
		return true;
	return go(dev, dev->driver->role == XENBUS_BACKEND
			       ? XenbusStateInitWait
			       : XenbusStateInitialised);
}

static bool do_connect(struct xenbus_device *dev)
{
	int err = dev->connected ? 0 : dev->driver->connect(dev);

	if (err && !dev->broken)
		xenbus_fatal(dev, err, "cannot connect");
	dev->connected = !err;
	if (dev->closing)
		return true;
	return go(dev, XenbusStateConnected);
}

/* to: what follows when it went well. */
static bool do_reconfigure(struct xenbus_device *dev, enum xenbus_state to)
{
	int err = dev->driver->reconfigure ? dev->driver->reconfigure(dev)
					   : -EPROTO;

	if (err && !dev->broken)
		xenbus_fatal(dev, err, "cannot reconfigure");
	return dev->closing || go(dev, to);
}

/*
 * Once more: a second wish may have come before we had seen the end of the
 * first. And what was changed in our directory meanwhile was not told.
 */
static bool do_return(struct xenbus_device *dev)
{
	if (!do_reconfigure(dev, XenbusStateConnected))
		return false;
	if (dev->driver->changed && dev->state == XenbusStateConnected)
		dev->driver->changed(dev, "");
	return true;
}

static bool do_reset(struct xenbus_device *dev)
{
	if (dev->removing || dev->broken)
		return false;
	return begin_again(dev);
}

/* Not connected, and not to be. */
static bool is_held(const struct xenbus_device *dev)
{
	return dev->disabled && (dev->state == XenbusStateUnknown ||
				 dev->state == XenbusStateInitialising ||
				 dev->state == XenbusStateClosed);
}

/* One step. Returns whether to try another. */
static bool step(struct xenbus_device *dev)
{
	if (dev->closing)
		return begin_close(dev);
	if (dev->alone && dev->state == XenbusStateClosing)
		return finish(dev);
	if (is_held(dev))
		return false;
	if (dev->restarting && !dev->removing)
		return !is_linked(dev->otherend_state) &&
		       dev->otherend_state != XenbusStateClosing &&
		       begin_again(dev);
	switch (xenbus_react(dev->driver->role, dev->state,
			     dev->otherend_state)) {
	case XENBUS_DO_NOTHING: return false;
	case XENBUS_DO_ANNOUNCE: return do_announce(dev);
	case XENBUS_DO_CONNECT: return do_connect(dev);
	case XENBUS_DO_DISCONNECT: return finish(dev);
	case XENBUS_DO_RESET: return do_reset(dev);
	case XENBUS_DO_RECONFIGURE:
		return do_reconfigure(dev, XenbusStateReconfigured);
	case XENBUS_DO_RETURN: return do_return(dev);
	case XENBUS_DO_IMPOSSIBLE:
		xenbus_fatal(dev, -EPROTO, "the other end went to %s",
			     xenbus_state_name(dev->otherend_state));
		return true;
	}
	return false;
}

static void take_view(struct xenbus_device *dev, const struct xenbus_view *view)
{
	bool backend = dev->driver->role == XENBUS_BACKEND;

	dev->otherend_state = view->theirs;
	/* An Initialising that we did not write: the directory is a new one. */
	if (!view->exists ||
	    (backend && view->ours == XenbusStateInitialising &&
	     dev->state != XenbusStateInitialising)) {
		set_vanished(dev);
		return;
	}
	if (!backend)
		return;
	/* The toolstack asks for the end in our own state node. */
	if ((view->ours == XenbusStateClosing ||
	     view->ours == XenbusStateClosed) &&
	    !xenbus_is_ending(dev))
		dev->closing = true;
	if (!view->online)
		dev->removing = true;
	if (view->domain_gone)
		dev->removing = dev->alone = dev->domain_gone = true;
	if (dev->removing && !dev->close_deadline_ns &&
	    dev->state != XenbusStateClosed)
		dev->closing = true;
}

static void tell_gone(struct xenbus_device *dev)
{
	if (!dev->removing || dev->state != XenbusStateClosed ||
	    dev->disconnecting || dev->told_gone)
		return;
	dev->told_gone = true;
	if (dev->gone)
		dev->gone(dev);
}

void xenbus_run(struct xenbus_device *dev)
{
	unsigned rounds = 0;

	if (dev->running || dev->told_gone) {
		dev->again = true;
		return;
	}
	dev->running = true;
	do {
		struct xenbus_view view;

		dev->again = false;
		if (!dev->vanished) {
			/* Its watches fire when the store is there again. */
			if (xenbus_look(dev, &view))
				break;
			take_view(dev, &view);
		}
		for (int i = 0; i < STEPS_MAX && !dev->disconnecting; i++)
			if (!step(dev))
				break;
	} while (dev->again && ++rounds < ROUNDS_MAX);
	dev->running = false;
	tell_gone(dev);
}

static void tell_changed(struct xenbus_device *dev, const char *node)
{
	if (dev->driver->changed && dev->state == XenbusStateConnected &&
	    dev->live && !dev->disconnecting && !dev->running)
		dev->driver->changed(dev, node);
}

/* Of our own nodes those that the machine itself looks at. */
static bool is_machines(const char *node)
{
	return !strcmp(node, "state") || !strcmp(node, "online") ||
	       !strcmp(node, "disabled");
}

void xenbus_own_changed(struct xenbus_device *dev, const char *node)
{
	if (!*node || !strcmp(node, "disabled"))
		xenbus_look_whether_disabled(dev);
	if (!*node || is_machines(node))
		xenbus_run(dev);
	if (!is_machines(node))
		tell_changed(dev, node);
}

/* What path is below dir; "": dir itself, or something else. */
static const char *below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/' ? path + len + 1
							    : "";
}

static void own_fired(void *arg, const char *path)
{
	struct xenbus_device *dev = arg;

	xenbus_own_changed(dev, below(path, dev->node));
}

static void otherend_fired(void *arg, const char *path)
{
	struct xenbus_device *dev = arg;
	const char *node = below(path, dev->otherend);
	bool first = !dev->primed;

	dev->primed = true;
	if (*node && strcmp(node, "state") != 0) {
		tell_changed(dev, "");
		return;
	}
	/*
	 * The other end moved after the fault: it may be served again. What a
	 * frontend that failed waits for is a backend that lets go and returns.
	 */
	if (!first && dev->broken && xenbus_is_ending(dev)) {
		struct xenbus_view view;

		if (xenbus_look(dev, &view))
			return;
		if (dev->driver->role == XENBUS_BACKEND
			    ? !is_linked(view.theirs)
			    : view.theirs != XenbusStateInitWait)
			dev->broken = false;
	}
	xenbus_run(dev);
	if (!*node)
		tell_changed(dev, "");
}

/*
 * A backend has as many devices as there is room for, and its bus hears of
 * their directories anyway. What a guest writes beside its state is not heard.
 */
static int start_watches(struct xenbus_device *dev)
{
	bool backend = dev->driver->role == XENBUS_BACKEND;
	char path[sizeof(dev->otherend) + 8];
	int err;

	/* Only a driver that wants changes pays for the whole directory. */
	err = str_printf(path, sizeof(path), "%s%s", dev->otherend,
			 dev->driver->changed && !backend ? "" : "/state");
	if (err < 0)
		return err;
	if (!backend) {
		err = xs_watch(dev->xs, dev->node, own_fired, dev,
			       &dev->own_watch);
		if (err)
			return err;
	}
	err = xs_watch(dev->xs, path, otherend_fired, dev,
		       &dev->otherend_watch);
	if (err)
		xenbus_device_stop(dev);
	return err;
}

/* Undo what a dead predecessor left, or begin where the toolstack left it. */
static bool start_state(struct xenbus_device *dev, bool resumed)
{
	enum xenbus_state ours = dev->state;

	dev->live = resumed;
	if (resumed &&
	    (ours == XenbusStateConnected || ours == XenbusStateClosing ||
	     ours == XenbusStateReconfigured))
		return true;
	if (resumed) {
		/* What the driver took over is not this directory's. */
		dev->closing = dev->restarting = true;
		return true;
	}
	if (dev->driver->role == XENBUS_FRONTEND)
		return go(dev, XenbusStateInitialising);
	/* Announced and not connected: announcing again changes nothing. */
	if (ours == XenbusStateInitWait || ours == XenbusStateUnknown)
		dev->state = XenbusStateInitialising;
	if (ours == XenbusStateInitWait ||
	    (dev->state == XenbusStateInitialising &&
	     !is_linked(dev->otherend_state)))
		return true;
	dev->restarting = true;
	return dev->state == XenbusStateClosed || go(dev, XenbusStateClosed);
}

int xenbus_device_start(struct xenbus_device *dev, bool resumed)
{
	struct xenbus_view view;
	int err = xenbus_identify(dev);

	if (err)
		return err;
	err = start_watches(dev);
	if (err)
		return err;
	err = xenbus_look(dev, &view);
	if (!err && !view.exists)
		err = -ENOENT;
	if (err) {
		xenbus_device_stop(dev);
		return err;
	}
	dev->state = view.ours;
	take_view(dev, &view);
	xenbus_look_whether_disabled(dev);
	dev->running = true;
	start_state(dev, resumed);
	dev->running = false;
	xenbus_run(dev);
	return 0;
}

void xenbus_device_stop(struct xenbus_device *dev)
{
	xs_unwatch(dev->xs, dev->own_watch);
	xs_unwatch(dev->xs, dev->otherend_watch);
	dev->own_watch = dev->otherend_watch = NULL;
}

void xenbus_close(struct xenbus_device *dev)
{
	if (dev->driver->role == XENBUS_FRONTEND)
		dev->removing = true;
	dev->closing = true;
	xenbus_run(dev);
}

void xenbus_otherend_lost(struct xenbus_device *dev)
{
	if (dev->state == XenbusStateClosed)
		return;
	dev->alone = dev->closing = true;
	xenbus_run(dev);
}

void xenbus_disconnected(struct xenbus_device *dev)
{
	if (!dev->disconnecting)
		return;
	dev->disconnecting = false;
	set_dead(dev);
	/* Whatever the other end says by now, this connection is over. */
	if (!xenbus_is_ending(dev))
		dev->closing = true;
	xenbus_run(dev);
}
