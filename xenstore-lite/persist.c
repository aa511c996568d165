/* SPDX-License-Identifier: MIT */
/* persist.c - how a change outlives the process. See persist.h. */
#include "xenstore-lite/persist.h"

#include "xenstore-lite/private.h"

int persist_open(struct xsd *xsd, const struct journal_options *options)
{
	return journal_open(xsd, options, &xsd->store.journal);
}

/* What was held back may go. */
static void wake_all(const struct xsd *xsd)
{
	list_for_each(d, &xsd->store.domains.all)
		list_for_each(l,
			      &container_of(d, struct xsd_domain, link)->conns)
			xsd->ops->output(
				container_of(l, struct xsd_conn, of_domain)
					->arg);
}

static int written(struct xsd *xsd, int err)
{
	bool held = xsd->held;

	xsd->held = err != 0;
	if (held && !err)
		wake_all(xsd);
	return err;
}

int persist_write(struct xsd *xsd)
{
	return xsd->store.journal
		       ? written(xsd, journal_write(xsd->store.journal))
		       : 0;
}

int persist_flush(struct xsd *xsd)
{
	return xsd->store.journal
		       ? written(xsd, journal_flush(xsd->store.journal))
		       : 0;
}

void persist_close(struct xsd *xsd)
{
	journal_close(xsd->store.journal);
	xsd->store.journal = NULL;
}

void persist_erase(struct xsd *xsd)
{
	if (xsd->store.journal)
		journal_erase(xsd->store.journal);
	xsd->store.journal = NULL;
}

int persist_domain(struct xsd *xsd, const struct xsd_domain *domain)
{
	return xsd->store.journal ? journal_domain(xsd->store.journal, domain)
				  : 0;
}

void persist_domain_gone(struct xsd *xsd, const struct xsd_domain *domain)
{
	if (xsd->store.journal)
		journal_domain_gone(xsd->store.journal, domain);
}

int persist_specials(struct xsd *xsd)
{
	return xsd->store.journal ? journal_specials(xsd->store.journal) : 0;
}
