/* SPDX-License-Identifier: MIT */
/* credit.c - who writes too much, and breaks others' transactions by it. See
 * credit.h. */
#include "xenstore-lite/credit.h"

#include "xenstore-lite/domain.h"

void credit_init(struct xsd_credit *credit)
{
	credit->left_ns = (int64_t)XSD_CREDIT_MAX_NS;
	credit->at_ns = 0;
	credit->paused_until_ns = 0;
	credit->nr_doubled = 0;
	credit->nr_pauses = 0;
	credit->pauses_ns = 0;
	credit->paused = false;
	list_init(&credit->of_paused);
}

void credit_fini(struct xsd_credit *credit)
{
	list_del(&credit->of_paused);
}

/* What came back since, then what something costs. */
static void take(struct xsd_credit *credit, uint64_t now_ns, uint64_t cost_ns)
{
	uint64_t since = now_ns > credit->at_ns ? now_ns - credit->at_ns : 0;

	if (since > XSD_CREDIT_MAX_NS + XSD_CREDIT_OWED_NS)
		since = XSD_CREDIT_MAX_NS + XSD_CREDIT_OWED_NS;
	credit->at_ns = now_ns;
	credit->left_ns += (int64_t)since;
	if (credit->left_ns > (int64_t)XSD_CREDIT_MAX_NS)
		credit->left_ns = (int64_t)XSD_CREDIT_MAX_NS;
	credit->left_ns -= (int64_t)cost_ns;
	if (credit->left_ns < -(int64_t)XSD_CREDIT_OWED_NS)
		credit->left_ns = -(int64_t)XSD_CREDIT_OWED_NS;
}

void credit_spend(struct xsd_domain *domain, uint64_t now_ns)
{
	if (!domain->privileged)
		take(&domain->credit, now_ns, XSD_CREDIT_WRITE_NS);
}

void credit_blame(struct xsd_domain *domain, bool could, uint64_t now_ns,
		  struct list *paused)
{
	struct xsd_credit *credit = &domain->credit;
	uint64_t length_ns;

	if (domain->privileged)
		return;
	take(credit, now_ns, could ? XSD_CREDIT_CONFLICT_NS : 0);
	if (credit->left_ns >= 0 || credit->paused)
		return;
	if (now_ns > credit->paused_until_ns + XSD_PAUSE_FORGET_NS)
		credit->nr_doubled = 0;
	length_ns = (uint64_t)-credit->left_ns;
	if (length_ns < XSD_PAUSE_MIN_NS)
		length_ns = XSD_PAUSE_MIN_NS;
	if (could) {
		length_ns <<= credit->nr_doubled;
		if (length_ns < XSD_PAUSE_MAX_NS)
			credit->nr_doubled++;
		else
			length_ns = XSD_PAUSE_MAX_NS;
	}
	credit->nr_pauses++;
	credit->pauses_ns += length_ns;
	credit->paused = true;
	credit->paused_until_ns = now_ns + length_ns;
	list_add_tail(paused, &credit->of_paused);
}

bool credit_resume(struct xsd_domain *domain, uint64_t now_ns)
{
	struct xsd_credit *credit = &domain->credit;

	if (!credit->paused || now_ns < credit->paused_until_ns)
		return false;
	credit->paused = false;
	list_del(&credit->of_paused);
	return true;
}
