/* SPDX-License-Identifier: MIT */
/* target.c - the privileged half of netback; see target.h. Monitor process. */
#include "netback/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/platform.h"
#include "util/clock.h"
#include "util/num.h"
#include "util/vlan.h"
#include "xenstore-lite/xs.h"

/* The monitor serves nobody meanwhile, and its worker waits. */
#define STORE_TIMEOUT_NS (10 * NS_PER_S)

/* A bridge's name with VLANs behind it; a driver's and an interface's. */
#define BRIDGE_TEXT_MAX 256
#define UPLINK_TEXT_MAX 64

/* What the toolstack wants for a switch's uplink. */
struct uplink_spec {
	const struct nic_ops *ops;
	char name[NIC_NAME_MAX]; /* that of the switch, or of an interface */
};

/* One opened uplink, shared by all vifs of its bridge. */
struct target_uplink {
	struct list link;
	char bridge[BRIDGE_NAME_MAX];
	struct uplink_spec spec;
	struct nic_desc desc;
	int fds[NIC_FDS_MAX];
	unsigned nr_users;
};

_Static_assert(sizeof(struct vif_target) <= MONITOR_INFO_MAX, "info");
_Static_assert(NIC_FDS_MAX <= MONITOR_FDS_MAX, "descriptors");

/* Letters that the kernel takes in an interface's name, as xl uses them. */
static bool interface_name_ok(const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || strchr("/:%", *name))
			return false;
	return true;
}

int vif_target_check(const void *info, uint32_t info_bytes,
		     struct vif_target *ret)
{
	struct vif_target t;

	if (info_bytes != sizeof(t))
		return -EPROTO;
	memcpy(&t, info, sizeof(t));
	if (!memchr(t.bridge, 0, sizeof(t.bridge)) ||
	    !memchr(t.nic.driver, 0, sizeof(t.nic.driver)) ||
	    !memchr(t.nic.ifname, 0, sizeof(t.nic.ifname)) ||
	    !memchr(t.nic.master, 0, sizeof(t.nic.master)))
		return -EPROTO;
	*ret = t;
	return 0;
}

void target_set_init(struct target_set *set, const char *run_dir, domid_t domid,
		     const struct nic_ops *nic, uint32_t nr_queues)
{
	set->run_dir = run_dir;
	set->domid = domid;
	set->nic = nic;
	set->nr_queues = nr_queues;
	list_init(&set->uplinks);
}

static void uplink_free(struct target_uplink *up)
{
	for (int i = 0; i < up->desc.nr_fds; i++)
		close(up->fds[i]);
	list_del(&up->link);
	free(up);
}

void target_set_fini(struct target_set *set)
{
	while (!list_empty(&set->uplinks))
		uplink_free(container_of(set->uplinks.next,
					 struct target_uplink, link));
}

static int explain(int err, char *why, const char *what)
{
	if (str_printf(why, WHY_MAX, "%s: %s", what, strerror(-err)) < 0)
		why[0] = '\0';
	return err;
}

/*
 * "DRIVER:INTERFACE", as `uplink` has it; without an interface that of the
 * bridge's name, without a driver the daemon's.
 */
static int parse_uplink(const struct target_set *set, char *text,
			const char *bridge, struct uplink_spec *ret, char *why)
{
	char *name = strchr(text, ':');
	struct uplink_spec spec = { .ops = set->nic };

	if (name)
		*name++ = '\0';
	if (*text)
		spec.ops = nic_by_name(text);
	if (!spec.ops) {
		if (str_printf(why, WHY_MAX,
			       "uplink %s: no such driver; `netbackd "
			       "--list-drivers` shows them",
			       text) < 0)
			why[0] = '\0';
		return -EPROTONOSUPPORT;
	}
	if (!name || !*name)
		name = (char *)(uintptr_t)bridge;
	if (str_printf(spec.name, sizeof(spec.name), "%s", name) < 0)
		return explain(-ENAMETOOLONG, why, "the uplink's interface");
	if (!interface_name_ok(spec.name))
		return explain(-EINVAL, why, "the uplink's interface");
	*ret = spec;
	return 0;
}

static int read_uplink(const struct target_set *set, struct xs *xs,
		       const char *dir, const char *bridge,
		       struct uplink_spec *ret, char *why)
{
	char text[UPLINK_TEXT_MAX];
	int err = xs_read_str(xs, XS_NO_TXN, dir, "uplink", text, sizeof(text));

	if (err == -ENOENT)
		text[0] = '\0';
	else if (err)
		return explain(err, why, "reading the vif's uplink");
	if (text[0] && !bridge[0])
		return explain(-EINVAL, why,
			       "an uplink for a vif without a bridge");
	return parse_uplink(set, text, bridge, ret, why);
}

static int read_target(const struct target_set *set, struct xs *xs,
		       const char *dir, struct vif_target *ret,
		       struct uplink_spec *ret_uplink, char *why)
{
	struct vif_target t = { 0 };
	uint32_t backend_id;
	char mac[32], bridge[BRIDGE_TEXT_MAX];
	const char *vlan, *trunk;
	int err;

	err = xs_read_u32(xs, XS_NO_TXN, dir, "backend-id",
			  DOMID_FIRST_RESERVED - 1, &backend_id);
	if (err)
		return explain(err, why, "reading the vif's backend-id");
	if (backend_id != set->domid)
		return explain(-EACCES, why, "the vif is another backend's");
	err = xs_read_str(xs, XS_NO_TXN, dir, "bridge", bridge, sizeof(bridge));
	if (err == -ENOENT)
		bridge[0] = '\0';
	else if (err)
		return explain(err, why, "reading the vif's bridge");
	/* Its VLANs are the worker's to read. */
	vlan_split_bridge(bridge, &vlan, &trunk);
	if (str_printf(t.bridge, sizeof(t.bridge), "%s", bridge) < 0)
		return explain(-ENAMETOOLONG, why, "the vif's bridge name");
	if (!interface_name_ok(t.bridge))
		return explain(-EINVAL, why, "the vif's bridge name");
	err = xs_read_str(xs, XS_NO_TXN, dir, "mac", mac, sizeof(mac));
	if (!err)
		err = packet_parse_mac(mac, t.mac);
	if (err)
		return explain(err, why, "reading the vif's mac");
	err = read_uplink(set, xs, dir, t.bridge, ret_uplink, why);
	if (!err)
		*ret = t;
	return err;
}

static struct target_uplink *uplink_find(struct target_set *set,
					 const char *bridge)
{
	list_for_each(l, &set->uplinks) {
		struct target_uplink *up =
			container_of(l, struct target_uplink, link);

		if (!strcmp(up->bridge, bridge))
			return up;
	}
	return NULL;
}

static int refuse_uplink(const struct target_uplink *up, char *why)
{
	if (str_printf(why, WHY_MAX,
		       "bridge %s has the uplink %s:%s already; all of its "
		       "vifs, and no others, must name that",
		       up->bridge, up->spec.ops->name, up->spec.name) < 0)
		why[0] = '\0';
	return -EBUSY;
}

/* An interface serves one switch: two would hear each other's frames twice. */
static int uplink_open_new(struct target_set *set, const char *bridge,
			   const struct uplink_spec *spec,
			   struct target_uplink **ret, char *why)
{
	const struct nic_request req = { .name = spec->name,
					 .nr_queues = set->nr_queues };
	struct target_uplink *up;
	int err;

	list_for_each(l, &set->uplinks) {
		up = container_of(l, struct target_uplink, link);
		if (!strcmp(up->desc.ifname, spec->name))
			return refuse_uplink(up, why);
	}
	up = calloc(1, sizeof(*up));
	if (!up)
		return -ENOMEM;
	memcpy(up->bridge, bridge, strlen(bridge) + 1);
	up->spec = *spec;
	err = spec->ops->acquire(&req, &up->desc, up->fds, why, WHY_MAX);
	if (err) {
		free(up);
		return err;
	}
	list_add_tail(&set->uplinks, &up->link);
	*ret = up;
	return 0;
}

static int uplink_acquire(struct target_set *set, const char *bridge,
			  const struct uplink_spec *spec,
			  struct target_uplink **ret, char *why)
{
	struct target_uplink *up = uplink_find(set, bridge);
	int err = 0;

	if (!up)
		err = uplink_open_new(set, bridge, spec, &up, why);
	else if (up->spec.ops != spec->ops || strcmp(up->spec.name, spec->name))
		err = refuse_uplink(up, why);
	if (err)
		return err;
	up->nr_users++;
	*ret = up;
	return 0;
}

static void uplink_put(struct target_uplink *up)
{
	if (!--up->nr_users)
		uplink_free(up);
}

static int duplicate(const struct target_uplink *up, struct monitor_device *dev)
{
	for (int i = 0; i < up->desc.nr_fds; i++) {
		int fd = fcntl(up->fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			while (dev->nr_fds)
				close(dev->fds[--dev->nr_fds]);
			return err;
		}
		dev->fds[dev->nr_fds++] = fd;
	}
	return 0;
}

/* The store as our own domain sees it, for a few reads. */
static int ask_store(const struct target_set *set, const char *dir,
		     struct vif_target *ret, struct uplink_spec *ret_uplink,
		     char *why)
{
	struct platform *p;
	struct xs *xs;
	int err = platform_lite_open(set->run_dir, set->domid, &p);

	if (err)
		return explain(err, why, "opening the domain");
	err = xs_open(platform_store_connector, p, &xs);
	if (err) {
		explain(err, why, "connecting to the store");
	} else {
		xs_set_timeout(xs, STORE_TIMEOUT_NS);
		err = read_target(set, xs, dir, ret, ret_uplink, why);
		xs_close(xs);
	}
	platform_close(p);
	return err;
}

static int target_open(void *arg, domid_t domid, uint32_t handle,
		       struct monitor_device *ret, char *why)
{
	struct target_set *set = arg;
	struct monitor_device dev = { 0 };
	struct target_uplink *up;
	struct uplink_spec spec;
	struct vif_target target;
	char dir[64];
	int err;

	err = str_printf(dir, sizeof(dir), "/libxl/%u/device/vif/%u", domid,
			 handle);
	if (err < 0)
		return err;
	err = ask_store(set, dir, &target, &spec, why);
	if (err)
		return err;
	if (target.bridge[0]) {
		err = uplink_acquire(set, target.bridge, &spec, &up, why);
		if (err)
			return err;
		target.nic = up->desc;
		err = duplicate(up, &dev);
		if (err) {
			uplink_put(up);
			return explain(err, why, "duplicating a descriptor");
		}
	}
	memcpy(dev.info, &target, sizeof(target));
	dev.info_bytes = sizeof(target);
	*ret = dev;
	return 0;
}

static void target_release(void *arg, domid_t domid, uint32_t handle,
			   struct monitor_device *dev)
{
	struct target_set *set = arg;
	struct target_uplink *up;
	struct vif_target target;

	(void)domid;
	(void)handle;
	if (vif_target_check(dev->info, dev->info_bytes, &target) ||
	    !target.bridge[0])
		return;
	up = uplink_find(set, target.bridge);
	if (up)
		uplink_put(up);
}

const struct monitor_ops target_monitor_ops = {
	.open = target_open,
	.release = target_release,
};
