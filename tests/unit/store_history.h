/* SPDX-License-Identifier: MIT */
/*
 * store_history.h - a random but repeatable life of a store: domains that come
 * and go, clients that write, remove, grant, and do so in transactions.
 */
#ifndef TESTS_UNIT_STORE_HISTORY_H
#define TESTS_UNIT_STORE_HISTORY_H

#include "tests/unit/store_peer.h"

#define HISTORY_DOMAINS 5 /* 0 .. 4 */

struct history {
	struct xsd *xsd;
	struct peer *peers[HISTORY_DOMAINS];
	uint32_t txns[HISTORY_DOMAINS];
	uint64_t random;
	uint64_t life;
};

static inline uint32_t history_random(struct history *h, uint32_t below)
{
	h->random = h->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(h->random >> 33) % below;
}

static inline int history_open(struct history *h, struct xsd *xsd,
			       uint64_t seed)
{
	memset(h, 0, sizeof(*h));
	h->xsd = xsd;
	h->random = seed;
	h->life = 100;
	h->peers[0] = peer_open(xsd, 0);
	return h->peers[0] ? 0 : -1;
}

static inline void history_close(struct history *h)
{
	for (unsigned i = 0; i < HISTORY_DOMAINS; i++)
		peer_close(h->peers[i]);
	memset(h->peers, 0, sizeof(h->peers));
}

static inline void history_domain(struct history *h, unsigned d)
{
	char name[16];

	if (d == 0)
		return;
	if (xsd_domain_exists(h->xsd, d)) {
		xsd_domain_destroy(h->xsd, d);
		peer_close(h->peers[d]);
		h->peers[d] = NULL;
		h->txns[d] = 0;
		return;
	}
	snprintf(name, sizeof(name), "d-%u", d);
	if (xsd_domain_create(h->xsd, d, ++h->life, name) == 0)
		h->peers[d] = peer_open(h->xsd, d);
}

static inline const char *history_path(struct history *h, char *buf,
				       size_t size)
{
	static const char *const names[] = {
		"a", "b", "data/x", "data/y", "device/vif/0", "z"
	};
	unsigned r = history_random(h, 4);
	const char *name = names[history_random(h, 6)];

	if (r == 0)
		snprintf(buf, size, "/%s", name);
	else if (r == 1)
		snprintf(buf, size, "/local/domain/%u/%s",
			 history_random(h, HISTORY_DOMAINS), name);
	else if (r == 2)
		snprintf(buf, size, "data/%u/%s", history_random(h, 3), name);
	else
		snprintf(buf, size, "/libxl/%u/%s",
			 history_random(h, HISTORY_DOMAINS), name);
	return buf;
}

static inline void history_txn(struct history *h, unsigned d)
{
	if (!h->txns[d]) {
		h->txns[d] = peer_start(h->peers[d]);
		return;
	}
	peer_end(h->peers[d], h->txns[d], history_random(h, 4) != 0);
	h->txns[d] = 0;
}

static inline void history_chmod(struct history *h, unsigned d, uint32_t tx,
				 const char *path)
{
	char perms[32];

	snprintf(perms, sizeof(perms), "%c%u %c%u",
		 "nrwb"[history_random(h, 4)],
		 history_random(h, 2) ? d : history_random(h, HISTORY_DOMAINS),
		 "nrwb"[history_random(h, 4)], history_random(h, 8));
	peer_chmod(h->peers[d], tx, path, perms);
}

/* What the toolstack does that is no node. */
static inline void history_attributes(struct history *h, unsigned d)
{
	static const char *const specials[] = { "@introduceDomain",
						"@releaseDomain",
						"@releaseDomain/1" };
	char text[64];
	int len;

	switch (history_random(h, 4)) {
	case 0:
		len = snprintf(text, sizeof(text), "%u%c%u%c", d, 0,
			       history_random(h, HISTORY_DOMAINS), 0);
		peer_ask(h->peers[0], XS_SET_TARGET, 0, text, (size_t)len);
		break;
	case 1:
		len = snprintf(text, sizeof(text), "%u%cnodes%c%u%c", d, 0, 0,
			       50 + history_random(h, 9), 0);
		peer_ask(h->peers[0], XS_SET_QUOTA, 0, text, (size_t)len);
		break;
	case 2:
		snprintf(text, sizeof(text), "n0 r%u", d);
		peer_chmod(h->peers[0], 0, specials[history_random(h, 3)],
			   text);
		break;
	default:
		(void)!xsd_domain_set_ring(h->xsd, (domid_t)d,
					   history_random(h, 100),
					   history_random(h, 100));
	}
}

/* One operation of somebody; most of them change something. */
static inline void history_step(struct history *h)
{
	unsigned d = history_random(h, HISTORY_DOMAINS);
	unsigned r = history_random(h, 20);
	char path[64], value[64];
	uint32_t tx;

	if (r == 0 || !h->peers[d]) {
		history_domain(h, d);
		return;
	}
	tx = history_random(h, 2) ? h->txns[d] : 0;
	history_path(h, path, sizeof(path));
	if (r < 9) {
		snprintf(value, sizeof(value), "%u", history_random(h, 1000));
		peer_write(h->peers[d], tx, path, value);
	} else if (r < 11) {
		peer_text(h->peers[d], XS_MKDIR, tx, path);
	} else if (r < 14) {
		peer_text(h->peers[d], XS_RM, tx, path);
	} else if (r < 16) {
		history_chmod(h, d, tx, path);
	} else if (r < 17) {
		history_attributes(h, d);
	} else {
		history_txn(h, d);
	}
	if (!h->peers[d]->conn) {
		peer_close(h->peers[d]);
		h->peers[d] = NULL;
		h->txns[d] = 0;
	}
}

#endif /* TESTS_UNIT_STORE_HISTORY_H */
