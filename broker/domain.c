/* SPDX-License-Identifier: MIT */
/*
 * domain.c - a domain's life: its id, name, limits, directory and listening
 * sockets. Thread: the daemon's loop.
 */
#include "broker/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fdmsg.h"
#include "util/num.h"
#include "xenstore-lite/domctl.h"

/* A domain may fill its directory; we tidy up so much of it. */
#define CLEAN_MAX 4096

const struct broker_limits *broker_limits_of(const struct domain *d)
{
	/* Every command of the toolstack is a connection of domain 0. */
	static const struct broker_limits domain0 = {
		.nr_conns = 4096,
		.nr_regions = 8192,
		.nr_pages = 1u << 22,
		.nr_ports = BROKER_PORTS_MAX - 1,
		.nr_allocated = 4096,
	};
	static const struct broker_limits other = {
		.nr_conns = 1024,
		.nr_regions = 4096,
		.nr_pages = 1u << 20,
		.nr_ports = BROKER_PORTS_MAX - 1,
		.nr_allocated = 1024,
	};

	return d->domid == 0 ? &domain0 : &other;
}

static bool all_digits(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

static bool name_valid(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789._-";
	size_t len = strnlen(name, LITE_NAME_MAX);

	return len > 0 && len < LITE_NAME_MAX && strspn(name, allowed) == len &&
	       !all_digits(name);
}

static bool name_used(struct broker *b, const char *name)
{
	list_for_each(link, &b->domains)
		if (!strcmp(container_of(link, struct domain, link)->name,
			    name))
			return true;
	return false;
}

/* Take a directory from its domain and empty it, one level deep. */
static void dir_empty(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *de;
	DIR *dir;

	if (fd < 0)
		return;
	(void)!fchown(fd, geteuid(), (gid_t)-1);
	(void)fchmod(fd, 0700);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	for (int i = 0; i < CLEAN_MAX && (de = readdir(dir)) != NULL; i++) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (unlinkat(fd, de->d_name, 0) < 0)
			(void)unlinkat(fd, de->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static int dir_remove(const char *path)
{
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	dir_empty(path);
	return rmdir(path) < 0 ? -errno : 0;
}

void broker_clean_run_dir(struct broker *b)
{
	DIR *dir = opendir(b->run_dir);
	char path[BROKER_DIR_MAX];
	struct dirent *de;

	if (!dir)
		return;
	while ((de = readdir(dir)) != NULL)
		if (all_digits(de->d_name) &&
		    str_printf(path, sizeof(path), "%s/%s", b->run_dir,
			       de->d_name) > 0)
			(void)dir_remove(path);
	closedir(dir);
}

static bool domid_free(struct broker *b, uint32_t domid)
{
	return !b->by_id[domid] && b->nr_refs[domid] < BROKER_NR_REFS;
}

/* The next id after the last one, round and round: a reuse is far away. */
static int domid_pick(struct broker *b, domid_t *ret)
{
	for (uint32_t i = 1; i < DOMID_FIRST_RESERVED; i++) {
		uint32_t domid = b->next_domid;

		b->next_domid =
			domid + 1 < DOMID_FIRST_RESERVED ? domid + 1 : 1;
		if (domid_free(b, domid)) {
			*ret = (domid_t)domid;
			return 0;
		}
	}
	return -ENOSPC;
}

static int domid_choose(struct broker *b, uint32_t domid, domid_t *ret)
{
	if (domid == DOMID_ANY)
		return domid_pick(b, ret);
	if (domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	if (!domid_free(b, domid))
		return -EEXIST;
	*ret = (domid_t)domid;
	return 0;
}

/* RUN/N/NAME. Returns the listening socket, or -errno. */
static int socket_make(const struct domain *d, const char *name, int type)
{
	char path[BROKER_DIR_MAX + sizeof("/xenstore")];
	int err = str_printf(path, sizeof(path), "%s/%s", d->dir, name);

	return err < 0 ? err : unix_listen(path, type, d->uid);
}

/* RUN/N, ours for the moment, with the listening sockets in it. */
static int dir_make(struct domain *d)
{
	int err;

	err = str_printf(d->dir, sizeof(d->dir), "%s/%u", d->broker->run_dir,
			 d->domid);
	if (err < 0)
		return err;
	err = dir_remove(d->dir);
	if (err)
		return err;
	if (mkdir(d->dir, 0700) < 0)
		return -errno;
	err = d->listen_fd = socket_make(d, "broker", SOCK_SEQPACKET);
	if (err < 0)
		goto fail;
	lite_socket_refuse_fds(d->listen_fd);
	err = d->store_fd = socket_make(d, "xenstore", SOCK_STREAM);
	if (err < 0)
		goto fail_broker;
	/* Both are there and given away: the directory may be the domain's. */
	if (d->uid != geteuid() && chown(d->dir, d->uid, (gid_t)-1) < 0) {
		err = -errno;
		goto fail_store;
	}
	return 0;

fail_store:
	close(d->store_fd);
fail_broker:
	close(d->listen_fd);
fail:
	(void)dir_remove(d->dir);
	return err;
}

static struct domain *domain_new(struct broker *b, domid_t domid,
				 const char *name, uid_t uid)
{
	struct domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	list_init(&d->link);
	list_init(&d->conns);
	list_init(&d->ephemeral);
	list_init(&d->regions);
	d->broker = b;
	d->serial = domid ? b->next_serial++ : DOMCTL_DOMAIN0_LIFE;
	d->domid = domid;
	d->uid = uid;
	memcpy(d->name, name, strlen(name) + 1); /* name_valid */
	return d;
}

/* That domain 0 comes and goes with us is no news. */
static enum log_level log_level_of(const struct domain *d)
{
	return d->domid ? LOG_INFO : LOG_DEBUG;
}

/* 0; -EINPROGRESS the store will hear of it; another -errno: not begun. */
static int domain_begin(struct domain *d)
{
	struct broker *b = d->broker;
	const struct broker_domain told = { .life = d->serial,
					    .domid = d->domid,
					    .uid = d->uid,
					    .name = d->name,
					    .store_fd = d->store_fd };
	int err = loop_fd_add(b->loop, d->listen_fd, EPOLLIN,
			      broker_conn_accept, d, &d->listener);

	if (err)
		return err;
	err = b->ops->created(b->arg, &told);
	if (err && err != -EINPROGRESS)
		loop_fd_remove(d->listener);
	return err;
}

int broker_domain_make(struct broker *b, uint32_t domid, const char *name,
		       uid_t uid, struct conn *owner, struct domain **ret)
{
	struct domain *d;
	domid_t id;
	int err;

	if (!name_valid(name) || uid == (uid_t)-1)
		return -EINVAL;
	if (name_used(b, name))
		return -EEXIST;
	err = domid_choose(b, domid, &id);
	if (err)
		return err;
	d = domain_new(b, id, name, uid);
	if (!d)
		return -ENOMEM;
	err = dir_make(d);
	if (err)
		goto fail;
	err = domain_begin(d);
	if (err && err != -EINPROGRESS)
		goto fail_dir;
	list_add_tail(&b->domains, &d->link);
	b->by_id[id] = d;
	if (owner)
		list_add_tail(&owner->domains, &d->ephemeral);
	log_line(log_level_of(d), "domain %u (%s) created, uid %u", id, name,
		 uid);
	*ret = d;
	return err;

fail_dir:
	close(d->store_fd);
	close(d->listen_fd);
	(void)dir_remove(d->dir);
fail:
	free(d);
	return err;
}

int broker_domain_free(struct domain *d)
{
	struct broker *b = d->broker;
	struct conn *maker = broker_conn_awaiting(b, d->serial, true);
	int told, err;

	if (maker)
		(void)broker_conn_answer(maker, -ECANCELED);
	loop_fd_remove(d->listener);
	close(d->listen_fd);
	while (!list_empty(&d->conns))
		broker_conn_close(
			container_of(d->conns.next, struct conn, link));
	b->by_id[d->domid] = NULL;
	list_del(&d->link);
	list_del(&d->ephemeral);
	err = dir_remove(d->dir);
	if (err)
		log_warn("domain %u: %s stays: %s", d->domid, d->dir,
			 strerror(-err));
	log_line(log_level_of(d), "domain %u (%s) is gone", d->domid, d->name);
	told = b->ops->destroyed(b->arg, d->domid, d->serial);
	close(d->store_fd);
	free(d->ports);
	free(d);
	return told;
}
