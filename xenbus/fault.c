/* SPDX-License-Identifier: MIT */
/*
 * fault.c - a device that cannot go on, for now or until somebody enables it
 * again; see xenbus.h. Neighbours: device.c (the machine that closes it),
 * node.c. Called by drivers and device.c, control thread.
 */
#include "xenbus/private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "what: errno text" to the log and the directory. */
PV_PRINTF(3, 0)
static void say(struct xenbus_device *dev, int err, const char *fmt, va_list ap)
{
	char text[192], line[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "%s: %s", text,
		 strerrordesc_np(err < 0 ? -err : err));
	log_limited(&dev->limit, LOG_ERROR, "%s: %s%s", dev->name, line,
		    dev->disabled ? "; it is disabled" : "");
	if (dev->vanished)
		return;
	xenbus_publish_text(dev, "error", line);
	if (dev->disabled)
		xenbus_publish_text(dev, "disabled", line);
}

static void break_off(struct xenbus_device *dev)
{
	dev->broken = true;
	if (!xenbus_is_ending(dev) || dev->live)
		dev->closing = true;
	xenbus_run(dev);
}

void xenbus_fatal(struct xenbus_device *dev, int err, const char *fmt, ...)
{
	va_list ap;

	if (dev->broken)
		return;
	va_start(ap, fmt);
	say(dev, err, fmt, ap);
	va_end(ap);
	break_off(dev);
}

void xenbus_disable(struct xenbus_device *dev, int err, const char *fmt, ...)
{
	va_list ap;

	if (dev->broken || dev->disabled)
		return;
	dev->disabled = true;
	va_start(ap, fmt);
	say(dev, err, fmt, ap);
	va_end(ap);
	break_off(dev);
}

void xenbus_look_whether_disabled(struct xenbus_device *dev)
{
	bool disabled;

	if (dev->driver->role != XENBUS_BACKEND || dev->vanished ||
	    xenbus_look_disabled(dev, &disabled) || disabled == dev->disabled)
		return;
	dev->disabled = disabled;
	if (disabled) {
		if (!xenbus_is_ending(dev))
			dev->alone = dev->closing = true;
		return;
	}
	log_info("%s: enabled again", dev->name);
	dev->broken = false;
	/* It begins when the other end has let go of the old connection. */
	if (xenbus_is_ending(dev))
		dev->alone = dev->restarting = true;
}
