/* SPDX-License-Identifier: MIT */
/*
 * bus.c - all devices of one backend: made when their directory appears, freed
 * when device.c says that they are gone. Control thread.
 *
 * A device is never freed inside one of its own calls: it moves to the dead
 * list and goes when the outermost callback of the bus or the loop comes by.
 */
#include "xenbus/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/list.h"
#include "util/num.h"

#define NR_BUCKETS 512u

struct xenbus_bus {
	struct xs *xs;
	const struct xenbus_driver *driver;
	const struct xenbus_bus_ops *ops;
	void *arg;
	char base[128]; /* /local/domain/B/backend/TYPE */
	size_t base_len;
	struct xs_watch *watch, *release_watch;
	struct list devices, dead;
	struct list by_id[NR_BUCKETS]; /* the devices once more */
	unsigned nr;
	uint64_t deadline_ns; /* the first device's that has one; UINT64_MAX */
	struct loop_timer *timer;
	struct loop_prepare *prepare;
};

struct slot {
	struct list link, of_bucket;
	uint32_t frontend_id, handle;
	struct xenbus_device dev;
};

static struct slot *slot_of(struct list *link)
{
	return container_of(link, struct slot, link);
}

/* Handles are numbers with a step of 16 or 256: all their bits matter. */
static struct list *bucket(struct xenbus_bus *bus, uint32_t frontend_id,
			   uint32_t handle)
{
	uint32_t mixed = (handle ^ frontend_id << 8) * 2654435761u;

	return &bus->by_id[(mixed >> 16) % NR_BUCKETS];
}

static struct slot *find(struct xenbus_bus *bus, uint32_t frontend_id,
			 uint32_t handle)
{
	list_for_each(l, bucket(bus, frontend_id, handle)) {
		struct slot *s = container_of(l, struct slot, of_bucket);

		if (s->frontend_id == frontend_id && s->handle == handle)
			return s;
	}
	return NULL;
}

static bool has_deadline(const struct xenbus_device *dev)
{
	return dev->close_deadline_ns && !dev->alone &&
	       dev->state != XenbusStateClosed;
}

static void find_deadline(struct xenbus_bus *bus)
{
	bus->deadline_ns = UINT64_MAX;
	list_for_each(l, &bus->devices) {
		struct xenbus_device *dev = &slot_of(l)->dev;

		if (has_deadline(dev) &&
		    dev->close_deadline_ns < bus->deadline_ns)
			bus->deadline_ns = dev->close_deadline_ns;
	}
}

static void slot_hurry(struct xenbus_device *dev)
{
	struct xenbus_bus *bus = dev->bus;

	if (dev->close_deadline_ns < bus->deadline_ns)
		bus->deadline_ns = dev->close_deadline_ns;
}

static void slot_gone(struct xenbus_device *dev)
{
	struct slot *s = container_of(dev, struct slot, dev);
	struct xenbus_bus *bus = dev->bus;

	list_del(&s->link);
	list_del(&s->of_bucket);
	list_add_tail(&bus->dead, &s->link);
	bus->nr--;
	if (dev->close_deadline_ns == bus->deadline_ns)
		find_deadline(bus);
}

static void slot_free(struct slot *s)
{
	list_del(&s->link);
	list_del(&s->of_bucket);
	xenbus_device_stop(&s->dev);
	if (s->dev.driver->remove)
		s->dev.driver->remove(&s->dev);
	free(s);
}

static int make(struct xenbus_bus *bus, uint32_t frontend_id, uint32_t handle)
{
	struct slot *s = calloc(1, sizeof(*s));
	bool resumed = false;
	int err;

	if (!s)
		return -ENOMEM;
	list_init(&s->link);
	list_init(&s->of_bucket);
	s->frontend_id = frontend_id;
	s->handle = handle;
	s->dev.driver = bus->driver;
	s->dev.xs = bus->xs;
	s->dev.handle = handle;
	s->dev.gone = slot_gone;
	s->dev.hurry = slot_hurry;
	s->dev.bus = bus;
	err = str_printf(s->dev.node, sizeof(s->dev.node), "%s/%u/%u",
			 bus->base, frontend_id, handle);
	if (err < 0)
		goto fail;
	err = xenbus_identify(&s->dev);
	if (err)
		goto fail;
	err = bus->ops->probe(bus->arg, &s->dev, &resumed);
	if (err)
		goto fail;
	list_add_tail(&bus->devices, &s->link);
	list_add_tail(bucket(bus, frontend_id, handle), &s->of_bucket);
	bus->nr++;
	err = xenbus_device_start(&s->dev, resumed);
	if (!err)
		return 0;
	bus->nr--;
	slot_free(s);
	return err;

fail:
	free(s);
	return err;
}

struct removal {
	struct xenbus_bus *bus;
	uint32_t frontend_id, handle;
};

/* Our directory, unless it is somebody's new one, and an empty parent. */
static int remove_dir_in_txn(struct xs *xs, xs_txn_t tx, void *arg)
{
	struct removal *r = arg;
	char dir[sizeof(r->bus->base) + 32], parent[sizeof(dir)], **names;
	uint32_t state;
	unsigned nr;
	int err;

	if (str_printf(parent, sizeof(parent), "%s/%u", r->bus->base,
		       r->frontend_id) < 0 ||
	    str_printf(dir, sizeof(dir), "%s/%u/%u", r->bus->base,
		       r->frontend_id, r->handle) < 0)
		return -ENAMETOOLONG;
	err = xs_read_u32(xs, tx, dir, "state", XENBUS_NR_STATES - 1, &state);
	if (err)
		return err;
	if (state != XenbusStateClosed)
		return -EEXIST;
	err = xs_rm(xs, tx, dir);
	if (err)
		return err;
	err = xs_directory(xs, tx, parent, &names, &nr);
	if (err)
		return err;
	free(names);
	return nr ? 0 : xs_rm(xs, tx, parent);
}

/* The toolstack removes a detached device's directory, but not a dead guest's.
 */
static void remove_dir(struct xenbus_bus *bus, uint32_t frontend_id,
		       uint32_t handle)
{
	struct removal r = { bus, frontend_id, handle };
	int err = xs_transaction(bus->xs, remove_dir_in_txn, &r);

	if (err && err != -ENOENT && err != -EEXIST)
		log_warn("%s d%u/%u: cannot remove its backend directory: %s",
			 bus->driver->type, frontend_id, handle,
			 strerrordesc_np(-err));
}

/*
 * A directory may be there: take it, unless it is one that was detached and
 * closed. One whose detach a dead predecessor began is taken, to end it.
 * A detached one of a dead guest has nobody else to remove it.
 */
static void consider(struct xenbus_bus *bus, uint32_t frontend_id,
		     uint32_t handle)
{
	char dir[sizeof(bus->base) + 32];
	uint32_t online, state;
	int err;

	if (find(bus, frontend_id, handle) ||
	    str_printf(dir, sizeof(dir), "%s/%u/%u", bus->base, frontend_id,
		       handle) < 0)
		return;
	if (xs_read_u32_default(bus->xs, XS_NO_TXN, dir, "online", 1, 0,
				&online) ||
	    xs_read_u32(bus->xs, XS_NO_TXN, dir, "state", XENBUS_NR_STATES - 1,
			&state))
		return;
	if (!online && state == XenbusStateClosed) {
		if (xs_is_domain_introduced(bus->xs, frontend_id) == 0)
			remove_dir(bus, frontend_id, handle);
		return;
	}
	err = make(bus, frontend_id, handle);
	if (err)
		log_error("%s d%u/%u: not taken: %s", bus->driver->type,
			  frontend_id, handle, strerrordesc_np(-err));
}

static void consider_frontend(struct xenbus_bus *bus, uint32_t frontend_id)
{
	char dir[sizeof(bus->base) + 16], **names;
	unsigned nr;

	if (str_printf(dir, sizeof(dir), "%s/%u", bus->base, frontend_id) < 0 ||
	    xs_directory(bus->xs, XS_NO_TXN, dir, &names, &nr))
		return;
	for (unsigned i = 0; i < nr; i++) {
		uint32_t handle;

		if (!xenbus_parse_id(names[i], UINT32_MAX, &handle))
			consider(bus, frontend_id, handle);
	}
	free(names);
}

static void consider_all(struct xenbus_bus *bus)
{
	char **names;
	unsigned nr;

	if (xs_directory(bus->xs, XS_NO_TXN, bus->base, &names, &nr))
		return;
	for (unsigned i = 0; i < nr; i++) {
		uint32_t id;

		if (!xenbus_parse_id(names[i], DOMID_FIRST_RESERVED - 1, &id))
			consider_frontend(bus, id);
	}
	free(names);
}

static void bury(struct xenbus_bus *bus, struct slot *s)
{
	uint32_t frontend_id = s->frontend_id, handle = s->handle;
	bool made_anew = s->dev.vanished;

	if (s->dev.domain_gone && !s->dev.vanished)
		remove_dir(bus, frontend_id, handle);
	slot_free(s);
	/* The toolstack may have made the same device again meanwhile. */
	if (made_anew)
		consider(bus, frontend_id, handle);
}

static void sweep(struct xenbus_bus *bus)
{
	while (!list_empty(&bus->dead))
		bury(bus, slot_of(bus->dead.next));
}

#define ALL_FRONTENDS UINT32_MAX

/* Anything of these may have changed: who is there, and what is new. */
static void look_at_all(struct xenbus_bus *bus, uint32_t frontend_id)
{
	list_for_each_safe(l, tmp, &bus->devices) {
		struct slot *s = slot_of(l);

		if (frontend_id == ALL_FRONTENDS ||
		    frontend_id == s->frontend_id)
			xenbus_own_changed(&s->dev, "");
	}
	sweep(bus);
	if (frontend_id == ALL_FRONTENDS)
		consider_all(bus);
	else
		consider_frontend(bus, frontend_id);
}

/* The number that path begins with; path goes on behind it and its slash. */
static int take_id(const char **path, uint32_t max, uint32_t *ret)
{
	char word[16];
	size_t len = strcspn(*path, "/");
	int err = str_printf(word, sizeof(word), "%.*s", (int)len, *path);

	if (err >= 0)
		err = xenbus_parse_id(word, max, ret);
	*path += len + ((*path)[len] == '/');
	return err;
}

/* base, base/N, base/N/H, or a node of a device's, base/N/H/NODE. */
static void base_fired(void *arg, const char *path)
{
	struct xenbus_bus *bus = arg;
	const char *node = path + bus->base_len;
	uint32_t id = ALL_FRONTENDS, handle;
	struct slot *s;

	sweep(bus);
	if (strncmp(path, bus->base, bus->base_len) != 0 ||
	    (*node && *node++ != '/') ||
	    (*node && take_id(&node, DOMID_FIRST_RESERVED - 1, &id)))
		return;
	if (!*node) {
		look_at_all(bus, id);
		return;
	}
	if (take_id(&node, UINT32_MAX, &handle))
		return;
	s = find(bus, id, handle);
	if (s) {
		xenbus_own_changed(&s->dev, node);
		sweep(bus);
	} else if (!*node || !strcmp(node, "state") ||
		   !strcmp(node, "online")) {
		consider(bus, id, handle);
	}
}

static void release_fired(void *arg, const char *path)
{
	struct xenbus_bus *bus = arg;

	(void)path;
	list_for_each_safe(l, tmp, &bus->devices)
		xenbus_run(&slot_of(l)->dev);
	sweep(bus);
	consider_all(bus);
}

static void expire(void *arg)
{
	struct xenbus_bus *bus = arg;
	uint64_t now = clock_now_ns();

	list_for_each_safe(l, tmp, &bus->devices) {
		struct xenbus_device *dev = &slot_of(l)->dev;

		if (!has_deadline(dev) || dev->close_deadline_ns > now)
			continue;
		log_limited(&dev->limit, LOG_WARN,
			    "%s: the frontend does not answer: closing anyway",
			    dev->name);
		xenbus_otherend_lost(dev);
	}
	sweep(bus);
	find_deadline(bus);
}

static bool before_wait(void *arg)
{
	struct xenbus_bus *bus = arg;

	sweep(bus);
	loop_timer_arm(bus->timer, bus->deadline_ns);
	return false;
}

int xenbus_bus_use_loop(struct xenbus_bus *bus, struct loop *loop)
{
	int err = loop_timer_add(loop, expire, bus, &bus->timer);

	if (err)
		return err;
	err = loop_prepare_add(loop, before_wait, bus, &bus->prepare);
	if (err) {
		loop_timer_remove(bus->timer);
		bus->timer = NULL;
	}
	return err;
}

int xenbus_bus_open(struct xs *xs, domid_t backend_id,
		    const struct xenbus_driver *driver,
		    const struct xenbus_bus_ops *ops, void *arg,
		    struct xenbus_bus **ret)
{
	struct xenbus_bus *bus = calloc(1, sizeof(*bus));
	int err;

	if (!bus)
		return -ENOMEM;
	bus->xs = xs;
	bus->driver = driver;
	bus->ops = ops;
	bus->arg = arg;
	list_init(&bus->devices);
	list_init(&bus->dead);
	for (unsigned i = 0; i < NR_BUCKETS; i++)
		list_init(&bus->by_id[i]);
	bus->deadline_ns = UINT64_MAX;
	err = str_printf(bus->base, sizeof(bus->base),
			 "/local/domain/%u/backend/%s", backend_id,
			 driver->type);
	if (err < 0)
		goto fail;
	bus->base_len = (size_t)err;
	err = xs_watch(xs, bus->base, base_fired, bus, &bus->watch);
	if (err)
		goto fail;
	err = xs_watch(xs, "@releaseDomain", release_fired, bus,
		       &bus->release_watch);
	if (err) {
		xs_unwatch(xs, bus->watch);
		goto fail;
	}
	consider_all(bus);
	sweep(bus);
	*ret = bus;
	return 0;

fail:
	free(bus);
	return err;
}

void xenbus_bus_close(struct xenbus_bus *bus)
{
	if (!bus)
		return;
	loop_timer_remove(bus->timer);
	loop_prepare_remove(bus->prepare);
	xs_unwatch(bus->xs, bus->watch);
	xs_unwatch(bus->xs, bus->release_watch);
	while (!list_empty(&bus->dead))
		slot_free(slot_of(bus->dead.next));
	while (!list_empty(&bus->devices))
		slot_free(slot_of(bus->devices.next));
	free(bus);
}

unsigned xenbus_bus_nr_devices(const struct xenbus_bus *bus)
{
	return bus->nr;
}
