/* SPDX-License-Identifier: MIT */
/*
 * store_stage.h - an attack on the store and its bystanders: domain 1 attacks,
 * domain 2 has something to lose, domain 0 looks on. Whatever domain 1 did,
 * afterwards 2 has what it had and is served, and once 1 is gone every counter
 * is where it was before it came.
 */
#ifndef TESTS_HOSTILE_STORE_STAGE_H
#define TESTS_HOSTILE_STORE_STAGE_H

#include "tests/unit/store_peer.h"
#include "util/num.h"
#include "xenstore-lite/private.h"

#define STAGE_PRECIOUS "/local/domain/2/data/precious"

struct stage_counts {
	uint32_t domains, nodes, points, events; /* eight: no padding */
	uint32_t of_root, of_victim, victims_watches, victims_txns;
	uint64_t roots_memory, victims_memory;
};

static struct stage {
	struct xsd *xsd;
	struct peer *root, *victim, *evil;
	struct stage_counts before;
} stage;

static inline struct stage_counts stage_count(void)
{
	const struct xsd_domains *domains = &stage.xsd->store.domains;
	const struct xsd_domain *root = xsd_domain_find(domains, 0);
	const struct xsd_domain *victim = xsd_domain_find(domains, 2);

	uint32_t nr = 0;

	list_for_each(l, &domains->all)
		nr++;
	return (struct stage_counts){
		.domains = nr,
		.nodes = stage.xsd->store.nodes.nr,
		.points = stage.xsd->watches.points.nr,
		.events = stage.xsd->watches.events.nr,
		.of_root = root->nr_nodes,
		.of_victim = victim->nr_nodes,
		.victims_watches = victim->nr_watches,
		.victims_txns = victim->nr_transactions,
		.roots_memory = root->memory_bytes,
		.victims_memory = victim->memory_bytes,
	};
}

static inline int stage_begin(void)
{
	memset(&stage, 0, sizeof(stage));
	stage.xsd = peer_store();
	stage.root = peer_open(stage.xsd, 0);
	stage.victim = peer_open(stage.xsd, 2);
	if (!stage.root || !stage.victim ||
	    peer_write(stage.victim, 0, "data/precious", "mine") ||
	    peer_watch(stage.victim, "data", "v") ||
	    !peer_heard(stage.victim, "data=v"))
		return 0;
	stage.before = stage_count();
	stage.evil = peer_open(stage.xsd, 1);
	return stage.evil != NULL;
}

/* What the victim had is as it was, and it is served. */
static inline void stage_spared(void)
{
	UNIT_CHECK(peer_reads(stage.victim, 0, "data/precious", "mine"));
	UNIT_CHECK(peer_has_perms(stage.root, STAGE_PRECIOUS, "n2"));
	peer_heard(stage.victim, "");
	UNIT_CHECK(peer_write(stage.victim, 0, "data/precious", "mine") == 0);
	UNIT_CHECK(peer_heard(stage.victim, "data/precious=v"));
	UNIT_CHECK(xsd_check(stage.xsd) == 0);
}

static inline void stage_end(void)
{
	struct stage_counts after;

	stage_spared();
	if (xsd_domain_exists(stage.xsd, 1))
		UNIT_CHECK(xsd_domain_destroy(stage.xsd, 1) == 0);
	peer_read_all(stage.root);
	peer_read_all(stage.victim);
	after = stage_count();
	UNIT_CHECK(memcmp(&after, &stage.before, sizeof(after)) == 0);
	UNIT_CHECK(xsd_check(stage.xsd) == 0);
	peer_close(stage.evil);
	peer_close(stage.victim);
	peer_close(stage.root);
	xsd_close(stage.xsd);
}

/* words: strings with blanks between them, each of which gets its NUL. */
static inline int stage_ask(struct peer *peer, uint32_t type, uint32_t tx,
			    const char *words)
{
	char text[512];
	size_t len = strlen(words) + 1;

	snprintf(text, sizeof(text), "%s", words);
	for (char *c = text; *c; c++)
		if (*c == ' ')
			*c = '\0';
	return peer_ask(peer, type, tx, text, len);
}

#endif /* TESTS_HOSTILE_STORE_STAGE_H */
