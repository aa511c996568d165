/* SPDX-License-Identifier: MIT */
/*
 * credit.h - that who writes all the time cannot keep others' transactions from
 * ever being committed (XSA-206).
 *
 * A domain's changes cost credit, which comes back with time. Nothing happens
 * when it is used up, until a change of the domain's makes a transaction of
 * another one fail. Then the domain is paused: for as long as its credit needs
 * to come back, and twice as long each time that it happens again, up to a
 * second. Its connections are not served meanwhile, so the other's next try
 * finds the nodes at rest.
 *
 * Nobody is paused for what others did: the blame for a conflict goes to him
 * who made the very change that it was found by; where that is not known for
 * certain, to nobody. Nobody is paused for writing at a rate that is fine
 * (XSD_CREDIT_WRITE_NS), whoever reads along. And a transaction of somebody
 * who may only read the node cannot make it worse than that rate: its conflicts
 * cost the writer nothing, and his pauses do not grow. Domain 0 is never
 * paused.
 *
 * Thread: the store's. Logs: never. Time is the caller's.
 */
#ifndef XENSTORE_LITE_CREDIT_H
#define XENSTORE_LITE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "util/clock.h"
#include "util/list.h"

struct xsd_domain;

/* What a change costs, 200 a second being fine; and one that made a transaction
 * fail whose domain could have made the change itself. */
#define XSD_CREDIT_WRITE_NS    (NS_PER_S / 200)
#define XSD_CREDIT_CONFLICT_NS (10 * XSD_CREDIT_WRITE_NS)
/* The most that one can have, 200 changes; and owe. */
#define XSD_CREDIT_MAX_NS  (200 * XSD_CREDIT_WRITE_NS)
#define XSD_CREDIT_OWED_NS (20 * XSD_CREDIT_WRITE_NS)

#define XSD_PAUSE_MIN_NS    (10 * NS_PER_MS)
#define XSD_PAUSE_MAX_NS    NS_PER_S
#define XSD_PAUSE_FORGET_NS (10 * NS_PER_S) /* without one: short again */

/* In the image, but the list. */
struct xsd_credit {
	int64_t left_ns; /* of the time that changes cost; below 0: owed */
	uint64_t at_ns;	 /* as of this time */
	uint64_t paused_until_ns;
	uint32_t nr_doubled;
	uint32_t nr_pauses; /* so far, and how long they were meant to be */
	uint64_t pauses_ns;
	bool paused;
	struct list of_paused;
};

void credit_init(struct xsd_credit *credit);
void credit_fini(struct xsd_credit *credit);

/* The domain has changed something. */
void credit_spend(struct xsd_domain *domain, uint64_t now_ns);
/*
 * A change of the domain's made another's transaction fail. could: the other
 * could have made that change too. paused: where those wait who are.
 */
void credit_blame(struct xsd_domain *domain, bool could, uint64_t now_ns,
		  struct list *paused);
/* True when the domain was paused and is not any more. */
bool credit_resume(struct xsd_domain *domain, uint64_t now_ns);

#endif /* XENSTORE_LITE_CREDIT_H */
