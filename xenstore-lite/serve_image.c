/* SPDX-License-Identifier: MIT */
/*
 * serve_image.c - the daemon in the live-update image: who listens where, which
 * connection has which descriptor. See serve.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xenstore-lite/image.h"
#include "xenstore-lite/persist.h"
#include "xenstore-lite/serve_private.h"
#include "xenstore-lite/update.h"

#define NO_FD UINT32_MAX

/* What a client speaks over. */
enum outlet_kind {
	OUTLET_SOCKET = 1, /* its descriptor */
	OUTLET_RING,	   /* rings_save */
};

/* ---- saving ---------------------------------------------------------------
 */

static void save_outlet(void *arg, struct encoder *e)
{
	struct outlet *outlet = arg;

	if (rings_is_ring(outlet)) {
		enc_u8(e, OUTLET_RING);
		rings_save(outlet, e);
	} else {
		enc_u8(e, OUTLET_SOCKET);
		enc_u32(e, (uint32_t)container_of(outlet, struct client, outlet)
				   ->fd);
	}
}

static void save_listeners(struct encoder *e, const struct server *server)
{
	uint32_t nr = 0;

	list_for_each(l, &server->listeners)
		nr++;
	enc_u32(e, nr);
	list_for_each(l, &server->listeners) {
		const struct listener *listener =
			container_of(l, struct listener, link);

		enc_u16(e, listener->domid);
		enc_u64(e, listener->life);
		enc_u32(e, listener->uid);
		enc_u32(e, (uint32_t)listener->fd);
	}
}

int server_save(struct server *server, struct encoder *e)
{
	static const struct image_owner owner = { .save = save_outlet };
	int err = persist_flush(server->xsd);

	if (err)
		return err;
	enc_u32(e, (uint32_t)rings_broker_fd(server->rings));
	save_listeners(e, server);
	xsd_save(server->xsd, &owner, e);
	persist_save(server->xsd, e);
	return e->failed ? -ENOMEM : 0;
}

static void inherit_fd(int fd, bool inherit)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, inherit ? 0 : FD_CLOEXEC);
}

void server_inherit(struct server *server, bool inherit)
{
	int fds[PERSIST_NR_FDS];

	inherit_fd(rings_broker_fd(server->rings), inherit);
	list_for_each(l, &server->listeners)
		inherit_fd(container_of(l, struct listener, link)->fd, inherit);
	list_for_each(l, &server->clients)
		inherit_fd(container_of(l, struct client, link)->fd, inherit);
	persist_fds(server->xsd, fds);
	for (unsigned i = 0; i < PERSIST_NR_FDS; i++)
		inherit_fd(fds[i], inherit);
}

/* ---- restoring ------------------------------------------------------------
 */

/* A descriptor that we were left; from here on ours alone. */
static int adopt(struct decoder *d)
{
	uint32_t fd = dec_u32(d);

	if (d->bad || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return -EBADF;
	return (int)fd;
}

static int restore_broker(struct server *server, struct decoder *d)
{
	uint32_t none = NO_FD;
	int fd;

	if (d->left >= sizeof(none) && memcmp(d->at, &none, sizeof(none)) == 0)
		return dec_u32(d) == NO_FD ? 0 : -EBADMSG;
	fd = adopt(d);
	return fd < 0 ? fd : rings_set_broker(server->rings, fd);
}

static int restore_listeners(struct server *server, struct decoder *d)
{
	uint32_t nr = dec_u32(d);
	int err = 0;

	while (nr-- && !err) {
		domid_t domid = dec_u16(d);
		uint64_t life = dec_u64(d);
		uid_t uid = dec_u32(d);
		int fd = adopt(d);

		if (fd < 0 || domid >= DOMID_FIRST_RESERVED ||
		    server->by_id[domid])
			return -EBADMSG;
		err = listener_open(server, domid, life, uid, fd);
	}
	return err;
}

static int restore_outlet(void *arg, struct xsd_conn *conn, struct decoder *d,
			  void **ret)
{
	struct server *server = arg;
	struct client *client;
	int fd, err;

	switch (dec_u8(d)) {
	case OUTLET_SOCKET:
		fd = adopt(d);
		err = fd < 0 ? fd : client_open(server, 0, fd, conn, &client);
		if (err)
			return err;
		*ret = &client->outlet;
		break;
	case OUTLET_RING:
		err = rings_restore(server->rings, conn, d, ret);
		if (err)
			return err;
		break;
	default: return -EBADMSG;
	}
	outlet_wake(*ret);
	return 0;
}

int server_restore(struct server *server, struct decoder *d)
{
	const struct image_owner owner = { .save = save_outlet,
					   .restore = restore_outlet,
					   .arg = server };
	int err = restore_broker(server, d);

	if (!err)
		err = restore_listeners(server, d);
	if (!err)
		err = xsd_restore(server->xsd, &owner, d);
	if (!err)
		err = persist_restore(server->xsd, d);
	return err ? err : decoder_end(d);
}

/* ---- looking only -----------------------------------------------------------
 */

static void nothing(void *arg)
{
	(void)arg;
}

static void close_it(void *arg)
{
	xsd_conn_close(arg);
}

static int skip_outlet(void *arg, struct xsd_conn *conn, struct decoder *d,
		       void **ret)
{
	(void)arg;
	switch (dec_u8(d)) {
	case OUTLET_SOCKET: dec_u32(d); break;
	case OUTLET_RING: dec_bytes(d, RINGS_SAVED_BYTES); break;
	default: return -EBADMSG;
	}
	*ret = conn;
	return d->bad ? -EBADMSG : 0;
}

static void skip_listeners(struct decoder *d)
{
	uint32_t nr = dec_u32(d);

	while (nr-- && !d->bad) {
		d->bad |= dec_u16(d) >= DOMID_FIRST_RESERVED;
		dec_u64(d);
		dec_u32(d);
		dec_u32(d);
	}
}

int server_check_image(const void *data, size_t len)
{
	static const struct xsd_ops ops = { .output = nothing,
					    .dropped = close_it };
	static const struct image_owner owner = { .restore = skip_outlet };
	struct decoder d;
	struct xsd *xsd;
	int err = xsd_open(0, &ops, &xsd);

	if (err)
		return err;
	decoder_init(&d, data, len);
	dec_u32(&d);
	skip_listeners(&d);
	err = d.bad ? -EBADMSG : xsd_restore(xsd, &owner, &d);
	if (!err)
		err = persist_check_image(&d);
	if (!err)
		err = decoder_end(&d);
	xsd_close(xsd);
	return err;
}

bool server_update_wanted(const struct server *server, const char **file)
{
	return xsd_update_wanted(server->xsd, file);
}

void server_update_done(struct server *server, int err)
{
	xsd_update_done(server->xsd, err);
}
