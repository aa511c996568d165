/* SPDX-License-Identifier: MIT */
/* request_domain.c - domains: who they are, that come and go. See request.h. */
#include "xenstore-lite/request.h"

#include <errno.h>

#include "util/num.h"

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
 * released, for he could learn it that way too.
 */
int do_is_domain_introduced(struct xsd_conn *conn, const struct request *rq)
{
	const struct perms *perms =
		conn->xsd->special_perms[XSD_RELEASE_DOMAIN];
	uint32_t domid;
	int err = request_only_domid(rq, &domid);

	if (err)
		return err;
	if (domid != conn->domain->domid &&
	    !(perms_of(perms, conn->domain) & PERM_READ))
		return -EACCES;
	request_answer_string(conn, rq,
			      xsd_domain_exists(conn->xsd, domid) ? "T" : "F");
	return 0;
}

/* The broker introduces domains; to say it again does nothing. */
int do_introduce(struct xsd_conn *conn, const struct request *rq)
{
	const char *args[3];
	uint32_t domid;

	if (request_strings(rq, args, 3, 3) != 3 ||
	    num_parse_u32(args[0], DOMID_FIRST_RESERVED - 1, &domid) ||
	    !xsd_domain_exists(conn->xsd, domid))
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
