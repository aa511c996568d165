/* SPDX-License-Identifier: MIT */
/*
 * request_special.c - the rights of "@introduceDomain" and "@releaseDomain":
 * who may hear of domains that come and go; and of "@releaseDomain/N": who else
 * may hear of the end of this one. See request.h.
 */
#include "xenstore-lite/request.h"

#include <errno.h>

#include "xenstore-lite/persist.h"

struct special {
	struct perms **perms;	   /* where they are; NULL there: none set */
	struct xsd_domain *domain; /* whose, or NULL */
};

/*
 * A name that is no special is like a node that is missing right below the
 * root: -ENOENT, or -EACCES.
 */
static int find(const struct xsd_conn *conn, const char *text,
		struct special *ret)
{
	const struct perms *above = conn->xsd->store.root->state.perms;
	enum xsd_special special;
	uint32_t domid;
	int err = xsd_special_parse(text, &special, &domid);

	ret->domain = NULL;
	if (!err && domid == XSD_ALL_DOMAINS) {
		ret->perms = &conn->xsd->special_perms[special];
		return 0;
	}
	if (!err && special == XSD_RELEASE_DOMAIN)
		ret->domain = xsd_domain_find(&conn->xsd->store.domains, domid);
	if (!ret->domain)
		return perms_of(above, conn->domain) & PERM_READ ? -ENOENT
								 : -EACCES;
	ret->perms = &ret->domain->release_perms;
	return 0;
}

int special_get_perms(struct xsd_conn *conn, const struct request *rq,
		      const char *text)
{
	const struct perms *all = conn->xsd->special_perms[XSD_RELEASE_DOMAIN];
	struct special special;
	int err = find(conn, text, &special);

	if (err)
		return err;
	if (!(perms_of(*special.perms ? *special.perms : all, conn->domain) &
	      PERM_READ))
		return -EACCES;
	if (!*special.perms)
		return -ENOENT;
	return request_answer_perms(conn, rq, *special.perms);
}

int special_set_perms(struct xsd_conn *conn, const struct request *rq,
		      const char *text, struct perms *perms)
{
	struct special special;
	struct perms *before;
	struct xpath path;
	int err = request_any_path(conn, text, &path);

	if (!err && !conn->domain->privileged)
		err = -EACCES;
	if (!err)
		err = find(conn, text, &special);
	if (err)
		return err;
	if (perms->entries[0].domid != 0)
		return -EINVAL;
	before = *special.perms;
	*special.perms = perms;
	err = special.domain ? persist_domain(conn->xsd, special.domain)
			     : persist_specials(conn->xsd);
	if (err) {
		*special.perms = before;
		return err;
	}
	perms_get(perms);
	watch_fire_perms(&conn->xsd->watches, text, before, perms);
	perms_put(before);
	request_answer_ok(conn, rq);
	return 0;
}
