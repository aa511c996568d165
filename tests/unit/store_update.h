/* SPDX-License-Identifier: MIT */
/*
 * store_update.h - a step of a history in which the store is saved, and a new
 * one made of the image takes its place: to the model, nothing happens.
 */
#ifndef TESTS_UNIT_STORE_UPDATE_H
#define TESTS_UNIT_STORE_UPDATE_H

#include "tests/unit/store_rig.h"
#include "xenstore-lite/image.h"

static inline void update_save(void *conn_arg, struct encoder *e)
{
	const struct rig_conn *c = conn_arg;

	enc_u32(e, (uint32_t)(c - c->rig->conns));
}

static inline int update_restore(void *arg, struct xsd_conn *conn,
				 struct decoder *d, void **ret)
{
	struct rig *rig = arg;
	uint32_t i = dec_u32(d);

	if (i >= MODEL_CONNS || !rig->conns[i].conn || rig->fresh[i])
		return -EINVAL;
	rig->fresh[i] = conn;
	*ret = &rig->conns[i];
	return 0;
}

/* A store made of the image; NULL: it cannot be. */
static inline struct xsd *update_revive(struct rig *rig, struct encoder *e,
					const struct image_owner *owner)
{
	struct xsd *xsd = NULL;
	struct decoder d;
	int err = e->failed ? -ENOMEM : xsd_open(0xf00d, rig->ops, &xsd);

	decoder_init(&d, e->data, e->len);
	if (!err)
		err = xsd_restore(xsd, owner, &d);
	if (!err)
		err = decoder_end(&d);
	if (!err)
		return xsd;
	xsd_close(xsd);
	if (err != -ENOMEM)
		rig_differ(rig, "the image cannot be restored: %d", err);
	return NULL;
}

/* For want of memory the old one goes on. */
static inline void update_store(struct rig *rig)
{
	const struct image_owner owner = { update_save, update_restore, rig };
	struct encoder e = { 0 };
	struct xsd *fresh;

	memset(rig->fresh, 0, sizeof(rig->fresh));
	rig->updating = true;
	rig_enter(rig);
	xsd_save(rig->xsd, &owner, &e);
	fresh = update_revive(rig, &e, &owner);
	encoder_fini(&e);
	rig_leave(rig);
	rig->updating = false;
	if (!fresh && !rig->starved)
		rig_differ(rig, "no image, and memory for one");
	if (!fresh)
		return;
	for (unsigned i = 0; i < MODEL_CONNS; i++) {
		xsd_conn_close(rig->conns[i].conn);
		rig->conns[i].conn = rig->fresh[i];
	}
	xsd_close(rig->xsd);
	rig->xsd = fresh;
}

#endif /* TESTS_UNIT_STORE_UPDATE_H */
