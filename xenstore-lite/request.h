/* SPDX-License-Identifier: MIT */
/*
 * request.h - how one message becomes one answer. Private to the store.
 *
 *	request.c          payloads, views, dispatch
 *	request_node.c     nodes: values, children, rights
 *	request_session.c  watches, transactions
 *	request_domain.c   domains
 *	request_special.c  rights of names with '@'
 *	request_quota.c    features, quotas
 *	control.h          XS_CONTROL
 *
 * A handler gets a checked length and nothing else: it takes the payload apart
 * itself, and either answers or returns -errno, which becomes an XS_ERROR.
 */
#ifndef XENSTORE_LITE_REQUEST_H
#define XENSTORE_LITE_REQUEST_H

#include "xenstore-lite/private.h"

/* ---- payloads --------------------------------------------------------- */

/*
 * The payload's strings. Bytes behind the last NUL are ignored: reserved, as
 * the specification has it. Returns their number; -EINVAL when there are other
 * than min..max.
 */
int request_strings(const struct request *rq, const char **ret, int min,
		    int max) PV_MUST_CHECK;
/* The payload is one string with a NUL at its end, and nothing else. -EINVAL.
 */
int request_only_string(const struct request *rq,
			const char **ret) PV_MUST_CHECK;
/* It is one path, or one domain's number. -EINVAL. */
int request_only_path(const struct xsd_conn *conn, const struct request *rq,
		      struct xpath *ret) PV_MUST_CHECK;
int request_only_domid(const struct request *rq, uint32_t *ret) PV_MUST_CHECK;

/* A path as this connection's domain means it, without or with '@'. -EINVAL. */
int request_path(const struct xsd_conn *conn, const char *text,
		 struct xpath *ret) PV_MUST_CHECK;
int request_any_path(const struct xsd_conn *conn, const char *text,
		     struct xpath *ret) PV_MUST_CHECK;
/* 0 to 65535: the number need not be a domain's. -EINVAL. */
int request_domid(const char *text, uint32_t *ret) PV_MUST_CHECK;
/* The domain of that number; NULL with *err -EINVAL, or -ENOENT none lives. */
struct xsd_domain *request_find_domain(const struct xsd_conn *conn,
				       const char *text, int *err);

/* The one answer; len <= XENSTORE_PAYLOAD_MAX. */
void request_answer(struct xsd_conn *conn, const struct request *rq,
		    const void *data, size_t len);
void request_answer_string(struct xsd_conn *conn, const struct request *rq,
			   const char *text);
void request_answer_ok(struct xsd_conn *conn, const struct request *rq);

/* -E2BIG: they do not fit a message. */
int request_answer_perms(struct xsd_conn *conn, const struct request *rq,
			 const struct perms *perms) PV_MUST_CHECK;

/* ---- views ------------------------------------------------------------ */

/* The connection's open transaction with this id, or NULL. */
struct txn *request_txn(const struct xsd_conn *conn, uint32_t id);
/* The committed tree, or the transaction that the request names. */
void request_view(struct xsd_conn *conn, const struct request *rq,
		  struct access *ret);

/* As txn_commit; who changes much, and breaks others' transactions by it, pays
 * (credit.h). */
int request_commit(struct xsd_conn *conn, struct txn *txn) PV_MUST_CHECK;

/* ---- rights of names with '@' ------------------------------------------ */

/*
 * They answer too. perms are domain 0's to set, and the name stays domain 0's:
 * -EACCES; -EINVAL another owner. -ENOENT there is none such.
 */
int special_get_perms(struct xsd_conn *conn, const struct request *rq,
		      const char *text) PV_MUST_CHECK;
int special_set_perms(struct xsd_conn *conn, const struct request *rq,
		      const char *text, struct perms *perms) PV_MUST_CHECK;

/* ---- handlers --------------------------------------------------------- */

typedef int request_handler(struct xsd_conn *conn, const struct request *rq);

request_handler do_control;
request_handler do_directory;
request_handler do_read;
request_handler do_get_perms;
request_handler do_watch;
request_handler do_unwatch;
request_handler do_transaction_start;
request_handler do_transaction_end;
request_handler do_introduce;
request_handler do_release;
request_handler do_resume;
request_handler do_get_domain_path;
request_handler do_write;
request_handler do_mkdir;
request_handler do_rm;
request_handler do_set_perms;
request_handler do_is_domain_introduced;
request_handler do_set_target;
request_handler do_reset_watches;
request_handler do_directory_part;
request_handler do_get_feature;
request_handler do_set_feature;
request_handler do_get_quota;
request_handler do_set_quota;

#endif /* XENSTORE_LITE_REQUEST_H */
