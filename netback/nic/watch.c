/* SPDX-License-Identifier: MIT */
/*
 * watch.c - the kernel's news of its links; see netback/nic.h. Neighbours:
 * link.c, which asks what a link is like. Control thread.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>

#include "netback/nic/private.h"
#include "util/netlink.h"

#define READS_MAX 64 /* of one turn */

struct nic_watch {
	struct nl_sock *sock;
	nic_news_fn *news;
	void *arg;
};

/* An interface was made, changed or removed. */
static int take_message(struct nl_msg *msg, void *arg)
{
	struct nic_watch *w = arg;
	struct nlattr *attrs[IFLA_MAX + 1];

	if (!nlmsg_parse(nlmsg_hdr(msg), sizeof(struct ifinfomsg), attrs,
			 IFLA_MAX, NULL) &&
	    attrs[IFLA_IFNAME])
		w->news(w->arg, nla_get_string(attrs[IFLA_IFNAME]));
	return NL_OK;
}

int nic_watch_open(nic_news_fn *news, void *arg, struct nic_watch **ret)
{
	struct nic_watch *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->news = news;
	w->arg = arg;
	err = netlink_connect(&w->sock);
	if (err) {
		free(w);
		return err;
	}
	/* News are nobody's answers. */
	nl_socket_disable_seq_check(w->sock);
	err = nl_socket_modify_cb(w->sock, NL_CB_VALID, NL_CB_CUSTOM,
				  take_message, w);
	if (!err)
		err = nl_socket_add_membership(w->sock, RTNLGRP_LINK);
	if (!err)
		err = nl_socket_set_nonblocking(w->sock);
	if (err) {
		nic_watch_close(w);
		return netlink_errno(err);
	}
	*ret = w;
	return 0;
}

void nic_watch_close(struct nic_watch *watch)
{
	if (!watch)
		return;
	nl_socket_free(watch->sock);
	free(watch);
}

int nic_watch_fd(const struct nic_watch *watch)
{
	return nl_socket_get_fd(watch->sock);
}

void nic_watch_read(struct nic_watch *watch)
{
	for (int i = 0; i < READS_MAX; i++) {
		int err = nl_recvmsgs_default(watch->sock);

		if (err == -NLE_AGAIN)
			return;
		/* The socket ran over: news were lost. */
		if (err < 0) {
			watch->news(watch->arg, NULL);
			return;
		}
	}
}
