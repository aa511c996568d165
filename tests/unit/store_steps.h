/* SPDX-License-Identifier: MIT */
/*
 * store_steps.h - what happens to a store and its model, one step after
 * another (store_words.h says what a step is).
 */
#ifndef TESTS_UNIT_STORE_STEPS_H
#define TESTS_UNIT_STORE_STEPS_H

#include "tests/unit/store_rig.h"
#include "tests/unit/store_update.h"
#include "tests/unit/store_words.h"

/* ---- transactions -------------------------------------------------------- */

#define STEP_BAD_TX UINT32_MAX

/* The transaction that a step is in: one of those that are open, or NULL. */
static inline struct model_txn *step_txn(struct rig *rig, const struct step *s,
					 unsigned i, uint32_t *ret_id)
{
	unsigned open = 0, nth;

	*ret_id = s->tx == UINT8_MAX ? STEP_BAD_TX : 0;
	for (unsigned slot = 0; slot < MODEL_TXNS; slot++)
		open += rig->m.conns[i].txns[slot].open;
	if (s->tx == UINT8_MAX || s->tx % 3 == 0 || !open)
		return NULL;
	nth = s->tx / 3 % open;
	for (unsigned slot = 0; slot < MODEL_TXNS; slot++) {
		if (!rig->m.conns[i].txns[slot].open || nth--)
			continue;
		*ret_id = rig->conns[i].tx_ids[slot];
		return &rig->m.conns[i].txns[slot];
	}
	return NULL;
}

/*
 * A transaction that was overtaken may see a mixture: only what it has seen
 * already is certain.
 */
static inline bool step_is_certain(const struct rig *rig,
				   const struct model_txn *txn, uint32_t domid,
				   uint32_t type, const char *text)
{
	const struct model_touch *t;
	char *path;

	if (!txn || (!txn->cloudy && !model_overtaken(&rig->m, txn)))
		return true;
	if (txn->cloudy || (type != XS_READ && type != XS_GET_PERMS))
		return false;
	path = model_path(domid, text);
	t = path ? model_touched(txn, path) : NULL;
	free(path);
	return t && t->now;
}

/* ---- steps --------------------------------------------------------------- */

/* After an exchange that ended the connection, or ended want otherwise. */
static inline void step_verify(struct rig *rig, unsigned i, int err,
			       struct model_answer *want)
{
	struct rig_conn *c = &rig->conns[i];

	if (!err && !rig_same_answer(&c->answer, want))
		rig_differ(rig, "the answer is %d (%zu bytes), not %d (%zu)",
			   c->answer.err, c->answer.len, want->err, want->len);
	if (err && !(err == -ENOMEM && rig->starved))
		rig_differ(rig, "the connection is over: %d", err);
	if (!err)
		rig_compare_events(rig, i);
	else
		rig_close(rig, i);
}

/* Whether the request just made has, for want of memory, not happened. */
static inline bool step_refused(const struct rig *rig, unsigned i)
{
	const struct rig_conn *c = &rig->conns[i];

	return rig->starved && (!c->answered || c->answer.err == -ENOMEM);
}

static inline void step_say_ok(struct model_answer *want, int err)
{
	memset(want, 0, sizeof(*want));
	want->err = err;
	if (!err)
		model_say(want, "OK", 3);
}

/* What follows the path of a request of this type. */
static inline size_t step_data(const struct step *s, uint32_t domid,
			       uint32_t type, char *buf, size_t size)
{
	if (type == XS_WRITE)
		return step_value(s, buf, size);
	if (type == XS_SET_PERMS)
		return step_perms_text(domid, s->arg, buf, size);
	return 0;
}

static inline void step_node(struct rig *rig, const struct step *s, unsigned i,
			     uint32_t type)
{
	uint32_t domid = rig_domids[i], id;
	struct model_txn *txn = step_txn(rig, s, i, &id);
	char payload[XENSTORE_PAYLOAD_MAX];
	const char *path = step_path(s->path);
	size_t head = strlen(path) + 1, len;
	struct model_answer want;
	int err;

	if (!step_is_certain(rig, txn, domid, type, path))
		return;
	memcpy(payload, path, head);
	len = step_data(s, domid, type, payload + head, sizeof(payload) - head);
	err = rig_exchange(&rig->conns[i], type, id, payload, head + len,
			   s->more % 64u);
	if (step_refused(rig, i)) {
		want = rig->conns[i].answer;
		if (txn)
			txn->cloudy = true;
	} else if (id == STEP_BAD_TX) {
		step_say_ok(&want, -ENOENT);
	} else {
		model_request(&rig->m, domid, txn, type, path, payload + head,
			      len, &want);
		if (!want.err && type != XS_READ && type != XS_DIRECTORY &&
		    type != XS_GET_PERMS)
			step_say_ok(&want, 0);
	}
	if (type == XS_DIRECTORY) {
		rig_sort_names(&want);
		rig_sort_names(&rig->conns[i].answer);
	}
	step_verify(rig, i, err, &want);
}

static inline void step_watch(struct rig *rig, const struct step *s, unsigned i,
			      uint32_t type)
{
	/* One in two has a depth. */
	static const char *const depths[] = { NULL, NULL, NULL, NULL,
					      "0",  "1",  "2",	"1" };
	const char *depth =
		type == XS_WATCH ? depths[s->tx % ARRAY_SIZE(depths)] : NULL;
	char payload[XENSTORE_PAYLOAD_MAX], token[8];
	const char *path = step_path(s->path);
	size_t len = strlen(path) + 1;
	int err, want_err;
	struct model_answer want;

	snprintf(token, sizeof(token), "%s%u", s->arg & 8 ? "" : "t",
		 s->arg & 3u);
	if ((s->arg & 0xf) == 0xf)
		token[0] = '\0';
	memcpy(payload, path, len);
	len += (size_t)sprintf(payload + len, "%s", token) + 1;
	if (depth)
		len += (size_t)sprintf(payload + len, "%s", depth) + 1;
	err = rig_exchange(&rig->conns[i], type, 0, payload, len,
			   s->more % 64u);
	if (step_refused(rig, i)) {
		want = rig->conns[i].answer;
	} else {
		want_err =
			type == XS_WATCH
				? model_watch(&rig->m, &rig->m.conns[i], path,
					      token,
					      depth ? (unsigned)atoi(depth)
						    : MODEL_ALL_LEVELS)
				: model_unwatch(&rig->m.conns[i], path, token);
		step_say_ok(&want, want_err);
	}
	step_verify(rig, i, err, &want);
}

static inline void step_reset(struct rig *rig, const struct step *s, unsigned i)
{
	struct model_answer want;
	uint32_t id;
	int err;

	if (s->tx == UINT8_MAX)
		return;
	(void)step_txn(rig, s, i, &id);
	err = rig_exchange(&rig->conns[i], XS_RESET_WATCHES, id, "", 1, 0);
	step_say_ok(&want, 0);
	if (!step_refused(rig, i))
		model_reset(&rig->m.conns[i]);
	step_verify(rig, i, err, &want);
}

static inline void step_start(struct rig *rig, const struct step *s, unsigned i)
{
	struct model_conn *mc = &rig->m.conns[i];
	struct rig_conn *c = &rig->conns[i];
	uint32_t domid = rig_domids[i], id = 0;
	struct model_answer want;
	unsigned slot = 0;
	int err;

	while (slot < MODEL_TXNS && mc->txns[slot].open)
		slot++;
	if (slot == MODEL_TXNS || s->tx == UINT8_MAX)
		return;
	if (s->arg % 16 == 0)
		(void)step_txn(rig, s, i, &id);
	err = rig_exchange(c, XS_TRANSACTION_START, id, "", 1, s->more % 64u);
	step_say_ok(&want, 0);
	if (step_refused(rig, i)) {
		want = c->answer;
	} else if (id) {
		step_say_ok(&want, -EBUSY);
	} else if (domid && model_nr_txns(&rig->m, domid) >=
				    rig->m.domains[domid].quota.transactions) {
		step_say_ok(&want, -ENOSPC);
	} else {
		want = c->answer;
		c->tx_ids[slot] = (uint32_t)strtoul(c->answer.data, NULL, 10);
		mc->txns[slot].open = true;
		mc->txns[slot].domid = domid;
		if (c->answer.err || !c->tx_ids[slot])
			rig_differ(rig, "no transaction: %d", c->answer.err);
	}
	step_verify(rig, i, err, &want);
}

static inline void step_end(struct rig *rig, const struct step *s, unsigned i)
{
	struct rig_conn *c = &rig->conns[i];
	struct model_answer want;
	struct model_txn *txn;
	bool commit = s->arg % 8 != 0;
	uint32_t id;
	int err;

	txn = step_txn(rig, s, i, &id);
	err = rig_exchange(c, XS_TRANSACTION_END, id, commit ? "T" : "F", 2,
			   s->more % 64u);
	if (!txn) {
		step_say_ok(&want, -ENOENT);
		if (step_refused(rig, i))
			want = c->answer;
	} else if (step_refused(rig, i) ||
		   (txn->cloudy && c->answered &&
		    (c->answer.err == -EAGAIN || c->answer.err == -ENOMEM))) {
		want = c->answer;
		if (c->answered)
			model_txn_free(txn);
	} else {
		step_say_ok(&want, commit ? model_commit(&rig->m, txn) : 0);
		model_txn_free(txn);
	}
	step_verify(rig, i, err, &want);
}

/* Domain 0 says whose stand-in a domain is, or what it may have. */
static inline void step_administer(struct rig *rig, const struct step *s,
				   unsigned i, uint32_t type)
{
	static const char *const quotas[] = { "nodes",	   "nodes",
					      "watches",   "transactions",
					      "node-size", "node-permissions",
					      "none" };
	const char *name = quotas[s->path % ARRAY_SIZE(quotas)];
	uint32_t domid = s->arg % (MODEL_DOMAINS + 1), n = s->more % 8u;
	struct model_answer want;
	char text[64];
	int len, err;

	if (type == XS_SET_QUOTA && n && strcmp(name, "nodes") == 0)
		n += model_nr_nodes(&rig->m, &rig->m.tree, domid);
	len = type == XS_SET_TARGET
		      ? snprintf(text, sizeof(text), "%u|%u|", domid, n)
		      : snprintf(text, sizeof(text), "%u|%s|%u|", domid, name,
				 n);
	for (char *c = text; *c; c++)
		if (*c == '|')
			*c = '\0';
	err = rig_exchange(&rig->conns[i], type, 0, text, (size_t)len, 0);
	if (step_refused(rig, i))
		want = rig->conns[i].answer;
	else if (rig_domids[i])
		step_say_ok(&want, -EACCES);
	else if (type == XS_SET_TARGET)
		step_say_ok(&want, model_set_target(&rig->m, domid, n));
	else
		step_say_ok(&want, model_set_quota(&rig->m, domid, name, n));
	step_verify(rig, i, err, &want);
}

static inline void step_create(struct rig *rig, const struct step *s)
{
	uint32_t domid = s->who % MODEL_DOMAINS;
	bool lives = rig->m.domains[domid].life != 0;
	int err;

	if (domid == 0)
		return;
	rig_enter(rig);
	err = xsd_domain_create(rig->xsd, domid, ++rig->life, "guest");
	rig_leave(rig);
	if (err == -ENOMEM && rig->starved)
		return;
	if (err != (lives ? -EEXIST : 0))
		rig_differ(rig, "domain %u is not created: %d", domid, err);
	if (!lives)
		model_domain_create(&rig->m, domid, "guest");
}

/* Everybody listens: whether events above a dead node come is not certain. */
static inline void step_listen(struct rig *rig, unsigned i)
{
	if (rig->conns[i].conn) {
		int err = rig_drain(&rig->conns[i]);
		struct model_answer none = rig->conns[i].answer;

		step_verify(rig, i, err, &none);
	}
}

static inline void step_destroy(struct rig *rig, const struct step *s)
{
	uint32_t domid = s->who % MODEL_DOMAINS;
	bool lives = rig->m.domains[domid].life != 0;
	int err;

	if (domid == 0)
		return;
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		step_listen(rig, i);
	rig_enter(rig);
	err = xsd_domain_destroy(rig->xsd, domid);
	rig_leave(rig);
	if (err != (lives ? 0 : -ENOENT))
		rig_differ(rig, "domain %u is not destroyed: %d", domid, err);
	if (lives)
		model_domain_destroy(&rig->m, domid);
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		step_listen(rig, i);
}

static inline void step_tell(struct rig *rig, const struct step *s)
{
	unsigned i = s->who % MODEL_CONNS, kind = step_kind(s);
	uint32_t id;
	char perms[128];
	size_t len =
		step_perms_text(rig_domids[i], s->arg, perms, sizeof(perms));

	for (size_t at = 0; at + 1 < len; at++)
		if (!perms[at])
			perms[at] = ' ';
	if (kind >= STEP_CREATE) {
		fprintf(rig->trace, "%s %u\n", step_kinds[kind].name,
			s->who % MODEL_DOMAINS);
		return;
	}
	(void)step_txn(rig, s, i, &id);
	fprintf(rig->trace, "conn %u (domain %u), tx %d: %s %.40s", i,
		rig_domids[i], (int)id, step_kinds[kind].name,
		step_path(s->path));
	if (step_kinds[kind].type == XS_SET_PERMS)
		fprintf(rig->trace, " to %.*s", (int)len, perms);
	if (kind == STEP_END)
		fprintf(rig->trace, " %s", s->arg % 8 ? "commit" : "abort");
	fprintf(rig->trace, "\n");
}

/* Who has lost an event for want of memory is cut off. */
static inline void step_cut_off(struct rig *rig)
{
	for (unsigned i = 0; i < MODEL_CONNS; i++)
		if (rig->conns[i].conn && rig_is_dead(&rig->conns[i]))
			rig_close(rig, i);
}

/* One step; rig->why says what is not as it should be. */
static inline void step_run(struct rig *rig, const struct step *s)
{
	unsigned i = s->who % MODEL_CONNS, kind = step_kind(s);

	rig->starved = false;
	if (rig->trace)
		step_tell(rig, s);
	if (kind == STEP_CREATE)
		step_create(rig, s);
	else if (kind == STEP_DESTROY)
		step_destroy(rig, s);
	else if (kind == STEP_UPDATE)
		update_store(rig);
	else if (kind == STEP_HANG_UP)
		rig_close(rig, i);
	else if (!rig_open(rig, i))
		return;
	else if (kind < STEP_NODES)
		step_node(rig, s, i, step_kinds[kind].type);
	else if (kind == STEP_WATCH || kind == STEP_UNWATCH)
		step_watch(rig, s, i, step_kinds[kind].type);
	else if (kind == STEP_RESET)
		step_reset(rig, s, i);
	else if (kind == STEP_START)
		step_start(rig, s, i);
	else if (kind == STEP_END)
		step_end(rig, s, i);
	else if (kind == STEP_TARGET || kind == STEP_QUOTA)
		step_administer(rig, s, i, step_kinds[kind].type);
	else
		step_listen(rig, i);
	if (rig->starved)
		step_cut_off(rig);
	rig_compare_counts(rig);
}

#endif /* TESTS_UNIT_STORE_STEPS_H */
