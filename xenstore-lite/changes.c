/* SPDX-License-Identifier: MIT */
/* changes.c - what the journal's records say. See changes.h. */
#include "xenstore-lite/changes.h"

#include <errno.h>

#include "xenstore-lite/private.h"

/* What happens to a node. */
enum step {
	STEP_REMOVE = 1, /* path; its children are gone before */
	STEP_CREATE,	 /* path, state; the last child of its parent */
	STEP_CHANGE,	 /* path, state */
	STEP_WRITE,	 /* path, value; its rights stay */
};

/* ---- writing ------------------------------------------------------------ */

static void enc_step(struct encoder *e, enum step step, const char *path,
		     size_t len, const struct node_state *state)
{
	enc_u8(e, (uint8_t)step);
	enc_path(e, path, len);
	if (step == STEP_WRITE)
		enc_blob(e, state->value);
	else if (step != STEP_REMOVE)
		enc_state(e, state);
}

void enc_commit(struct encoder *e, struct txn_node *const *dirty, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct txn_node *node = dirty[i];
		enum step step = node->generation ? STEP_CHANGE : STEP_CREATE;

		if (!txn_node_present(node)) {
			if (!node->generation)
				continue;
			step = STEP_REMOVE;
		} else if (node->state.perms == node->base.perms) {
			step = STEP_WRITE;
		}
		enc_step(e, step, node->path, node->len, &node->state);
	}
}

void enc_node(struct encoder *e, const struct store_node *node)
{
	enc_step(e, node->parent ? STEP_CREATE : STEP_CHANGE, node->path,
		 node->len, &node->state);
}

static void enc_life(struct encoder *e, const struct xsd_domain *domain)
{
	enc_u16(e, domain ? domain->domid : 0);
	enc_u64(e, domain ? domain->incarnation : 0);
}

void enc_domain(struct encoder *e, const struct xsd_domain *domain)
{
	enc_life(e, domain);
	enc_limits(e, &domain->quota);
	enc_u32(e, domain->features);
	enc_life(e, domain->target);
	enc_perms(e, domain->release_perms);
	enc_u32(e, domain->ring_gref);
	enc_u32(e, domain->ring_port);
}

void enc_domain_gone(struct encoder *e, const struct xsd_domain *domain)
{
	enc_life(e, domain);
}

void enc_specials(struct encoder *e, const struct xsd *xsd)
{
	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++)
		enc_perms(e, xsd->special_perms[i]);
	enc_limits(e, &xsd->store.domains.defaults);
}

/* ---- nodes -------------------------------------------------------------- */

static int touch(struct txn *txn, const struct xpath *path, size_t len,
		 struct txn_node **ret)
{
	return txn_touch(txn, path->text, len,
			 path_hash(&txn->store->seed, path->text, len), ret);
}

static int remove_one(struct txn *txn, struct txn_node *node)
{
	uint32_t before = txn->nr_changes;
	int err;

	if (!txn_node_present(node) || node->len == 1)
		return -EBADMSG;
	err = txn_remove(txn, node);
	if (err)
		return err;
	return txn->nr_changes == before + 1 ? 0 : -EBADMSG;
}

static int create_one(struct txn *txn, const struct xpath *path,
		      struct txn_node *node, struct node_state *state)
{
	struct txn_node *parent;
	int err;

	if (txn_node_present(node) || node->generation || node->len == 1)
		return -EBADMSG;
	err = touch(txn, path, path_parent_len(path->text, path->len), &parent);
	if (err)
		return err;
	if (!txn_node_present(parent))
		return -EBADMSG;
	/* As it most often was when the node was made. */
	perms_share(&state->perms, parent->state.perms);
	txn_create(txn, parent, node, state, false);
	return 0;
}

static int change_one(struct txn *txn, struct txn_node *node,
		      struct node_state *state)
{
	if (!txn_node_present(node))
		return -EBADMSG;
	if (!state->perms)
		state->perms = perms_get(node->state.perms);
	txn_set(txn, node, state, false);
	return 0;
}

/* What is behind the path; state's references are the caller's. */
static int dec_step(struct decoder *d, uint8_t step, struct node_state *state)
{
	if (step == STEP_REMOVE)
		return 0;
	if (step == STEP_WRITE)
		state->value = dec_blob(d);
	else
		dec_state(d, state);
	if (d->bad || (step != STEP_WRITE && !state->perms))
		return d->no_memory ? -ENOMEM : -EBADMSG;
	return 0;
}

static int apply_step(struct txn *txn, struct decoder *d)
{
	struct node_state state = { 0 };
	uint8_t step = dec_u8(d);
	struct txn_node *node;
	struct xpath path;
	int err;

	if (!dec_path(d, &path))
		return -EBADMSG;
	err = dec_step(d, step, &state);
	if (!err)
		err = touch(txn, &path, path.len, &node);
	if (err)
		goto out;
	switch (step) {
	case STEP_REMOVE: err = remove_one(txn, node); break;
	case STEP_CREATE: err = create_one(txn, &path, node, &state); break;
	case STEP_CHANGE:
	case STEP_WRITE: err = change_one(txn, node, &state); break;
	default: err = -EBADMSG;
	}
out:
	node_state_fini(&state);
	return err;
}

static void no_announcement(void *arg, const struct change *change)
{
	(void)arg;
	(void)change;
}

static int apply_commit(struct xsd *xsd, struct decoder *d)
{
	struct txn txn;
	int err = 0;

	txn_init(&txn, &xsd->store, xsd_domain_find(&xsd->store.domains, 0),
		 XSD_UNLIMITED);
	while (!err && d->left)
		err = apply_step(&txn, d);
	if (!err)
		err = txn_commit(&txn, no_announcement, NULL);
	txn_fini(&txn);
	return err && err != -ENOMEM ? -EBADMSG : err;
}

/* ---- domains ------------------------------------------------------------ */

struct life {
	uint16_t domid;
	uint64_t number; /* 0: of nobody */
};

struct attributes {
	struct life who, target;
	struct xsd_limits quota;
	uint32_t features;
	struct perms *release_perms;
	grant_ref_t ring_gref;
	evtchn_port_t ring_port;
};

static struct life dec_life(struct decoder *d)
{
	struct life life = { .domid = dec_u16(d) };

	life.number = dec_u64(d);
	return life;
}

static void dec_attributes(struct decoder *d, struct attributes *ret)
{
	ret->who = dec_life(d);
	dec_limits(d, &ret->quota);
	ret->features = dec_u32(d);
	ret->target = dec_life(d);
	ret->release_perms = dec_perms(d);
	ret->ring_gref = dec_u32(d);
	ret->ring_port = dec_u32(d);
}

static struct xsd_domain *find_life(const struct xsd *xsd,
				    const struct life *life)
{
	struct xsd_domain *domain =
		xsd_domain_find(&xsd->store.domains, life->domid);

	return domain && domain->incarnation == life->number ? domain : NULL;
}

/* Takes release_perms over, on success only. */
static int set_attributes(struct xsd *xsd, struct xsd_domain *domain,
			  struct attributes *a)
{
	struct xsd_domain *target = find_life(xsd, &a->target);

	if (a->target.number && !target)
		return -EBADMSG;
	domain->quota = a->quota;
	domain->features = a->features;
	domain->ring_gref = a->ring_gref;
	domain->ring_port = a->ring_port;
	xsd_domain_set_target(domain, target);
	perms_put(domain->release_perms);
	domain->release_perms = a->release_perms;
	a->release_perms = NULL;
	return 0;
}

static int add_domain(struct xsd *xsd, struct attributes *a)
{
	struct xsd_domain *domain;
	int err = xsd_domain_add(&xsd->store.domains, a->who.domid,
				 a->who.number, &domain);

	if (err)
		return err == -ENOMEM ? err : -EBADMSG;
	err = set_attributes(xsd, domain, a);
	if (err)
		xsd_domain_del(&xsd->store.domains, domain);
	return err;
}

int dec_domain(struct decoder *d, struct xsd *xsd, bool fresh,
	       struct xsd_domain **ret)
{
	struct attributes a;
	int err;

	dec_attributes(d, &a);
	if (d->bad)
		err = d->no_memory ? -ENOMEM : -EBADMSG;
	else if (fresh)
		err = add_domain(xsd, &a);
	else
		err = find_life(xsd, &a.who)
			      ? set_attributes(xsd, find_life(xsd, &a.who), &a)
			      : -EBADMSG;
	perms_put(a.release_perms);
	if (!err)
		*ret = find_life(xsd, &a.who);
	return err;
}

static int apply_domain_add(struct xsd *xsd, struct decoder *d)
{
	struct xsd_domain *domain;
	int err = dec_domain(d, xsd, true, &domain);

	if (err)
		return err;
	err = apply_commit(xsd, d);
	if (err)
		xsd_domain_del(&xsd->store.domains, domain);
	return err;
}

static int apply_domain_set(struct xsd *xsd, struct decoder *d)
{
	struct xsd_domain *domain;
	int err = dec_domain(d, xsd, false, &domain);

	return err ? err : decoder_end(d);
}

static int apply_domain_gone(struct xsd *xsd, struct decoder *d)
{
	struct life life = dec_life(d);

	if (decoder_end(d) || !find_life(xsd, &life))
		return -EBADMSG;
	return xsd_domain_destroy(xsd, life.domid) ? -EBADMSG : 0;
}

/* ---- the rest ----------------------------------------------------------- */

int dec_specials(struct decoder *d, struct xsd *xsd)
{
	struct perms *perms[XSD_NR_SPECIALS];
	struct xsd_limits defaults;
	int err;

	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++) {
		perms[i] = dec_perms(d);
		d->bad |= !perms[i];
	}
	dec_limits(d, &defaults);
	err = d->no_memory ? -ENOMEM : d->bad ? -EBADMSG : 0;
	if (!err)
		xsd->store.domains.defaults = defaults;
	for (unsigned i = 0; i < XSD_NR_SPECIALS; i++) {
		if (!err) {
			perms_put(xsd->special_perms[i]);
			xsd->special_perms[i] = perms[i];
		} else {
			perms_put(perms[i]);
		}
	}
	return err;
}

static int apply_specials(struct xsd *xsd, struct decoder *d)
{
	int err = dec_specials(d, xsd);

	return err ? err : decoder_end(d);
}

static int apply_generation(struct xsd *xsd, struct decoder *d)
{
	uint64_t generation = dec_u64(d);

	if (decoder_end(d) || generation < xsd->store.last_generation)
		return -EBADMSG;
	xsd->store.last_generation = generation;
	return 0;
}

int changes_apply(struct xsd *xsd, const struct record *record)
{
	struct decoder d;

	decoder_init(&d, record->payload, record->len);
	switch (record->type) {
	case RECORD_COMMIT: return apply_commit(xsd, &d);
	case RECORD_DOMAIN_ADD: return apply_domain_add(xsd, &d);
	case RECORD_DOMAIN_SET: return apply_domain_set(xsd, &d);
	case RECORD_DOMAIN_DEL: return apply_domain_gone(xsd, &d);
	case RECORD_SPECIALS: return apply_specials(xsd, &d);
	case RECORD_GENERATION: return apply_generation(xsd, &d);
	case RECORD_SNAPSHOT_BEGIN:
	case RECORD_SNAPSHOT_END:
	case RECORD_NR_TYPES: break;
	}
	return -EBADMSG;
}
