/* SPDX-License-Identifier: MIT */
/*
 * request_quota.c - what the store offers a domain, and how much of it.
 * See request.h.
 *
 * Numbers are decimal and whole. What changes is in force at once: a domain
 * that has more already keeps it, and gets no more; a transaction that is open
 * may still touch as many nodes as when it began.
 */
#include "xenstore-lite/request.h"

#include <errno.h>

#include "util/num.h"
#include "xenstore-lite/persist.h"

static int answer_number(struct xsd_conn *conn, const struct request *rq,
			 uint32_t value)
{
	char text[12];

	if (str_printf(text, sizeof(text), "%u", value) < 0)
		return -EINVAL;
	request_answer_string(conn, rq, text);
	return 0;
}

/* Anybody may ask for his own, domain 0 for another's. */
int do_get_feature(struct xsd_conn *conn, const struct request *rq)
{
	const struct xsd_domain *domain = conn->domain;
	const char *arg;
	int nr = request_strings(rq, &arg, 0, 1), err;

	if (nr == 0)
		return answer_number(conn, rq, domain->features);
	if (!domain->privileged)
		return -EACCES;
	if (nr < 0)
		return nr;
	domain = request_find_domain(conn, arg, &err);
	return domain ? answer_number(conn, rq, domain->features) : err;
}

/*
 * Xen allows it until the domain is introduced. Here that happens as it is
 * made, so it is allowed as long as the domain has no connection: what its
 * clients were told does not change under them. Domain 0 has all, always.
 */
int do_set_feature(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_domain *domain;
	uint32_t features, before;
	const char *args[2];
	int err;

	if (request_strings(rq, args, 2, 2) < 0 ||
	    num_parse_u32(args[1], UINT32_MAX, &features))
		return -EINVAL;
	domain = request_find_domain(conn, args[0], &err);
	if (!domain)
		return err;
	if (domain->privileged || domain->nr_conns > 0)
		return -EBUSY;
	if (features & ~XSD_FEATURES)
		return -EINVAL;
	before = domain->features;
	domain->features = features;
	err = persist_domain(conn->xsd, domain);
	if (err)
		domain->features = before;
	else
		request_answer_ok(conn, rq);
	return err;
}

/* Nothing: all names. A name: of domains to come. Domain and name: its own. */
int do_get_quota(struct xsd_conn *conn, const struct request *rq)
{
	const struct xsd_limits *limits = &conn->xsd->store.domains.defaults;
	const struct xsd_domain *domain;
	const struct xsd_quota *quota;
	const char *args[2];
	int nr = request_strings(rq, args, 0, 2), err;

	if (nr < 0)
		return nr;
	if (nr == 0) {
		request_answer_string(conn, rq, xsd_quota_names());
		return 0;
	}
	if (nr == 2) {
		domain = request_find_domain(conn, args[0], &err);
		if (!domain)
			return err;
		limits = &domain->quota;
	}
	quota = xsd_quota_find(args[nr - 1]);
	if (!quota)
		return -EINVAL;
	return answer_number(conn, rq, xsd_quota_get(quota, limits));
}

int do_set_quota(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_limits *limits = &conn->xsd->store.domains.defaults, before;
	struct xsd_domain *domain = NULL;
	const struct xsd_quota *quota;
	const char *args[3];
	int nr = request_strings(rq, args, 2, 3), err;
	uint32_t value;

	if (nr < 0)
		return nr;
	if (nr == 3) {
		domain = request_find_domain(conn, args[0], &err);
		if (!domain)
			return err;
		limits = &domain->quota;
	}
	quota = xsd_quota_find(args[nr - 2]);
	if (!quota || num_parse_u32(args[nr - 1], UINT32_MAX - 1, &value))
		return -EINVAL;
	before = *limits;
	xsd_quota_set(quota, limits, value);
	err = domain ? persist_domain(conn->xsd, domain)
		     : persist_specials(conn->xsd);
	if (err) {
		*limits = before;
		return err;
	}
	if (domain)
		conn_unhold(domain);
	request_answer_ok(conn, rq);
	return 0;
}
