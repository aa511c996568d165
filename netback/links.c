/* SPDX-License-Identifier: MIT */
/*
 * links.c - which bridge news of a link are about; see links.h. Neighbours:
 * bridge.c (whose links), nic/watch.c (the kernel); netbackd.c opens it, vif.c
 * hears of changes. Control thread.
 */
#include "netback/links.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "util/log.h"

struct links {
	struct nic_watch *watch;
	struct loop_fd *source;
	struct list *bridges;
	links_fn *changed;
	void *arg;
};

/* ifname: whose link; NULL: any may be another. */
static void on_news(void *arg, const char *ifname)
{
	struct links *l = arg;

	list_for_each(at, l->bridges) {
		struct bridge *b = container_of(at, struct bridge, link);
		struct nic_link was = b->uplink_link;

		if (!bridge_look(b, ifname))
			continue;
		log_info("bridge %s: %s, MTU %u", b->name,
			 b->uplink_link.up ? "up" : "down", b->uplink_link.mtu);
		l->changed(l->arg, b, &was);
	}
}

static void readable(void *arg, uint32_t events)
{
	struct links *l = arg;

	(void)events;
	nic_watch_read(l->watch);
}

int links_open(struct loop *loop, struct list *bridges, links_fn *changed,
	       void *arg, struct links **ret)
{
	struct links *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->bridges = bridges;
	l->changed = changed;
	l->arg = arg;
	err = nic_watch_open(on_news, l, &l->watch);
	if (!err)
		err = loop_fd_add(loop, nic_watch_fd(l->watch), EPOLLIN,
				  readable, l, &l->source);
	if (err) {
		links_close(l);
		return err;
	}
	*ret = l;
	return 0;
}

void links_close(struct links *links)
{
	if (!links)
		return;
	loop_fd_remove(links->source);
	nic_watch_close(links->watch);
	free(links);
}
