/* SPDX-License-Identifier: MIT */
/* request_domain.c - domains: who they are, that come and go. See request.h. */
#include "xenstore-lite/request.h"

#include <errno.h>

#include "util/num.h"
#include "xenstore-lite/persist.h"

int do_get_domain_path(struct xsd_conn *conn, const struct request *rq)
{
	char path[40];
	uint32_t domid;
	int err = request_only_domid(rq, &domid);

	if (err)
		return err;
	if (str_printf(path, sizeof(path), "/local/domain/%u", domid) < 0)
		return -EINVAL;
	request_answer_string(conn, rq, path);
	return 0;
}

/*
 * One may ask about oneself; about others whoever may hear of domains that are
 * released, or of the release of this one, for he could learn it that way too.
 * That is more than Xen's xenstored allows, which answers domain 0 alone: a
 * backend's domain must learn whether its frontend's still lives.
 */
int do_is_domain_introduced(struct xsd_conn *conn, const struct request *rq)
{
	const struct perms *all = conn->xsd->special_perms[XSD_RELEASE_DOMAIN];
	const struct xsd_domain *domain;
	const struct perms *one;
	uint32_t domid;
	int err = request_only_domid(rq, &domid);

	if (err)
		return err;
	if (domid == DOMID_SELF)
		domid = conn->domain->domid;
	domain = xsd_domain_find(&conn->xsd->store.domains, domid);
	one = domain ? domain->release_perms : NULL;
	if (domain != conn->domain &&
	    !(perms_of(all, conn->domain) & PERM_READ) &&
	    !(one && (perms_of(one, conn->domain) & PERM_READ)))
		return -EACCES;
	request_answer_string(conn, rq, domain ? "T" : "F");
	return 0;
}

/* From now on the first may do what the second may; its own rights are its own
 * without that. */
int do_set_target(struct xsd_conn *conn, const struct request *rq)
{
	struct xsd_domain *domain, *target, *before;
	const char *args[3];
	int err;

	if (request_strings(rq, args, 2, (int)ARRAY_SIZE(args)) < 0)
		return -EINVAL;
	domain = request_find_domain(conn, args[0], &err);
	if (!domain)
		return err;
	target = request_find_domain(conn, args[1], &err);
	if (!target)
		return err;
	before = domain->target;
	xsd_domain_set_target(domain, target == domain ? NULL : target);
	err = persist_domain(conn->xsd, domain);
	if (err)
		xsd_domain_set_target(domain, before);
	else
		request_answer_ok(conn, rq);
	return err;
}

/*
 * The broker has made the domain known; what is introduced is its ring: the
 * page gfn and the event channel. What follows them is ignored, as by Xen's
 * xenstored.
 */
int do_introduce(struct xsd_conn *conn, const struct request *rq)
{
	const struct xsd_domain *domain;
	const char *args[4];
	uint64_t gfn;
	uint32_t port;
	int err;

	if (request_strings(rq, args, 3, (int)ARRAY_SIZE(args)) < 0 ||
	    num_parse_u64(args[1], UINT64_MAX, &gfn) ||
	    num_parse_u32(args[2], UINT32_MAX, &port) || port == 0)
		return -EINVAL;
	domain = request_find_domain(conn, args[0], &err);
	if (!domain)
		return err;
	/* Domain 0 has none here, and may not take its own connection away. */
	if (domain->privileged)
		return -EINVAL;
	if (!conn->xsd->ops->introduce)
		return -ENOSYS;
	err = conn->xsd->ops->introduce(conn->arg, domain->domid, gfn, port);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}

/*
 * The domain was shut down and is to go on. Shutting down is no state of a
 * domain here, where a domain is there or is not, so that nothing remains to
 * be undone.
 */
int do_resume(struct xsd_conn *conn, const struct request *rq)
{
	const struct xsd_domain *domain;
	const char *text;
	int err = request_only_string(rq, &text);

	if (err)
		return err;
	domain = request_find_domain(conn, text, &err);
	if (!domain)
		return err;
	if (domain->privileged)
		return -EINVAL;
	request_answer_ok(conn, rq);
	return 0;
}

int do_release(struct xsd_conn *conn, const struct request *rq)
{
	uint32_t domid;
	int err = request_only_domid(rq, &domid);

	if (!err)
		err = xsd_domain_destroy(conn->xsd, domid);
	if (!err)
		request_answer_ok(conn, rq);
	return err;
}
