/* SPDX-License-Identifier: MIT */
/*
 * iscsi_target.c - the monitor's half of the iscsi driver: what a target's URL
 * says. The name is looked up once, when the disk is attached. No byte of the
 * target's is read here. See iscsi.c for the rest.
 */
#include "blkback/storage/iscsi.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "blkback/storage/uri.h"
#include "util/num.h"
#include "util/url.h"

#define SCHEME	  "iscsi://"
#define PORT	  "3260"
#define INITIATOR "iqn.2026-11.pvsplit:blkback"
#define ISID_MASK 0xffffffu
#define LUN_MAX	  255

bool iscsi_target_claims(const char *target)
{
	return strncmp(target, SCHEME, strlen(SCHEME)) == 0;
}

static int copy(char *to, size_t size, const char *from)
{
	int err = str_printf(to, size, "%s", from);

	return err < 0 ? err : 0;
}

static int set_option(struct iscsi_target *t, const char *key,
		      const char *value)
{
	if (strcmp(key, "fail-after") == 0)
		return num_parse_u32(value, 86400, &t->fail_after_s);
	if (strcmp(key, "initiator") == 0 && value[0])
		return copy(t->initiator, sizeof(t->initiator), value);
	return -EINVAL;
}

/* Takes the options off the URL. */
static int set_options(struct iscsi_target *t, char *url,
		       const struct url_shown *shown, char *why,
		       size_t why_size)
{
	char key[32] = "", value[256], *at = strrchr(url, '@');
	char *query = strchr(at ? at : url, '?');
	struct uri u = { .scheme = "" };
	int n = 0;

	if (!query)
		return 0;
	*query++ = '\0';
	if (copy(u.query, sizeof(u.query), query))
		n = -EINVAL;
	while (!n && (n = uri_next_option(&u, key, value)) > 0)
		n = set_option(t, key, value);
	if (n)
		snprintf(why, why_size,
			 "%.100s: the option '%s' is not known or has a wrong "
			 "value: there are fail-after=SECONDS and "
			 "initiator=NAME",
			 shown->text, key);
	return n ? -EINVAL : 0;
}

/* HOST[:PORT] or [ADDRESS][:PORT] as numbers. */
static int find_address(struct iscsi_target *t, const char *portal)
{
	struct sockaddr_storage address;
	char text[300], host[64], port[8];
	socklen_t bytes;
	struct uri u;
	int err = str_printf(text, sizeof(text), SCHEME "%s", portal);

	if (err < 0)
		return err;
	err = uri_parse(text, &u);
	if (!err && !u.host[0])
		err = -EINVAL;
	if (!err)
		err = uri_resolve(u.host, u.port[0] ? u.port : PORT, &address,
				  &bytes);
	if (err)
		return err;
	if (getnameinfo((struct sockaddr *)&address, bytes, host, sizeof(host),
			port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return -EHOSTUNREACH;
	err = str_printf(t->portal, sizeof(t->portal),
			 strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return err < 0 ? err : 0;
}

static int take_url(struct iscsi_target *t, const struct iscsi_url *u,
		    const struct url_shown *shown, char *why, size_t why_size)
{
	int err;

	if (u->lun < 0 || u->lun > LUN_MAX ||
	    copy(t->name, sizeof(t->name), u->target) ||
	    copy(t->user, sizeof(t->user), u->user) ||
	    copy(t->password, sizeof(t->password), u->passwd)) {
		snprintf(why, why_size,
			 "%.100s: a name of at most 223 bytes, a user and a "
			 "password of at most 63, a LUN of at most %d are "
			 "served",
			 shown->text, LUN_MAX);
		return -EINVAL;
	}
	t->lun = (uint32_t)u->lun;
	err = find_address(t, u->portal);
	if (err == -EHOSTUNREACH)
		snprintf(why, why_size,
			 "%.100s: no address is known for '%.60s': is the name "
			 "right?",
			 shown->text, u->portal);
	else if (err)
		snprintf(why, why_size, "%.100s: '%.60s' is no HOST[:PORT]",
			 shown->text, u->portal);
	return err;
}

static int parse(const char *target, struct iscsi_target *t,
		 const struct url_shown *shown, char *why, size_t why_size)
{
	struct iscsi_context *ctx = NULL;
	struct iscsi_url *u = NULL;
	char url[256];
	int err = copy(url, sizeof(url), target);

	if (!err)
		err = set_options(t, url, shown, why, why_size);
	if (err)
		return err;
	ctx = iscsi_create_context(t->initiator);
	if (ctx)
		u = iscsi_parse_full_url(ctx, url);
	if (u) {
		err = take_url(t, u, shown, why, why_size);
		iscsi_destroy_url(u);
	} else {
		err = ctx ? -EINVAL : -ENOMEM;
		snprintf(why, why_size,
			 "%.100s: is not the URL of a LUN: write " SCHEME
			 "[USER%%PASSWORD@]HOST[:PORT]/TARGET/LUN",
			 shown->text);
	}
	if (ctx)
		iscsi_destroy_context(ctx);
	return err;
}

int iscsi_target_acquire(const char *target, uint32_t flags,
			 struct storage_desc *desc, int fds[STORAGE_FDS_MAX],
			 char *why, size_t why_size)
{
	const struct url_shown shown = url_show(target);
	struct storage_desc d = {
		.driver = "iscsi",
		.sector_bytes = 512,
		.physical_bytes = 512,
		.flags = (flags & STORAGE_READONLY) | STORAGE_UNSEEN,
		.align_bytes = 1,
	};
	struct iscsi_target t = { .initiator = INITIATOR };
	int err;

	(void)fds;
	err = parse(target, &t, &shown, why, why_size);
	if (err)
		return err;
	if (getrandom(&t.isid, sizeof(t.isid), 0) != sizeof(t.isid))
		return -EIO;
	t.isid &= ISID_MASK;
	memcpy(d.private_data, &t, sizeof(t));
	snprintf(d.target, sizeof(d.target), "%.255s", shown.text);
	*desc = d;
	return 0;
}
