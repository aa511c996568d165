/* SPDX-License-Identifier: MIT */
/*
 * store_ring.c - store-ring: be a domain, and speak to the store over a shared
 * page as Xen's guests do. Domain 0 introduces it; then each line of standard
 * input is a request, and each gets one line in return.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "util/num.h"
#include "xenstore-lite/xs_page.h"

#define LINE_BYTES 8192u

const char store_ring_help[] =
	"Shares a page with domain 0 as DOMAIN, has it introduced to the store,\n"
	"and reads requests from standard input, one a line:\n"
	"  read PATH            list PATH        mkdir PATH    watch PATH\n"
	"  write PATH [VALUE]   rm PATH          begin         commit\n"
	"Each answer is one line: a value, names, \"ok\" or \"error: why\". What\n"
	"is asked between begin and commit is one transaction. A watch says\n"
	"\"event PATH\" whenever it fires: at once, when something changes there,\n"
	"and when the connection had to be made anew. Ends with its input.\n";

struct session {
	struct pvsplit *ps;
	struct platform *platform;
	struct xs_page *page;
	struct xs *xs;
	xs_txn_t tx;
	size_t len; /* of the line that is not whole yet */
	char line[LINE_BYTES];
};

/* ---- requests ----------------------------------------------------------- */

static int say_value(struct session *s, const char *path)
{
	char *value;
	size_t len;
	int err = xs_read(s->xs, s->tx, path, &value, &len);

	if (err)
		return err;
	fwrite(value, 1, len, stdout);
	putchar('\n');
	free(value);
	return 1;
}

static int say_names(struct session *s, const char *path)
{
	char **names;
	unsigned nr;
	int err = xs_directory(s->xs, s->tx, path, &names, &nr);

	if (err)
		return err;
	for (unsigned i = 0; i < nr; i++)
		printf("%s%s", i ? " " : "", names[i]);
	putchar('\n');
	free(names);
	return 1;
}

static void fired(void *arg, const char *path)
{
	(void)arg;
	printf("event %s\n", path);
}

static int begin(struct session *s)
{
	if (s->tx != XS_NO_TXN)
		return -EBUSY;
	return xs_transaction_start(s->xs, &s->tx);
}

static int commit(struct session *s)
{
	xs_txn_t tx = s->tx;

	if (tx == XS_NO_TXN)
		return -ENOENT;
	s->tx = XS_NO_TXN;
	return xs_transaction_end(s->xs, tx, true);
}

/* 0: "ok"; 1: said already; -errno. */
static int carry_out(struct session *s, const char *word, const char *path,
		     const char *value)
{
	struct xs_watch *watch;

	if (!strcmp(word, "begin"))
		return begin(s);
	if (!strcmp(word, "commit"))
		return commit(s);
	if (!path)
		return -EINVAL;
	if (!strcmp(word, "read"))
		return say_value(s, path);
	if (!strcmp(word, "list"))
		return say_names(s, path);
	if (!strcmp(word, "write"))
		return xs_write(s->xs, s->tx, path, value ? value : "",
				value ? strlen(value) : 0);
	if (!strcmp(word, "mkdir"))
		return xs_mkdir(s->xs, s->tx, path);
	if (!strcmp(word, "rm"))
		return xs_rm(s->xs, s->tx, path);
	if (!strcmp(word, "watch"))
		return xs_watch(s->xs, path, fired, NULL, &watch);
	return -EINVAL;
}

static void obey(struct session *s, char *line)
{
	char *path = strchr(line, ' '), *value = NULL;
	int err;

	if (path) {
		*path++ = '\0';
		value = strchr(path, ' ');
	}
	if (value)
		*value++ = '\0';
	err = carry_out(s, line, path, value);
	if (err < 0)
		printf("error: %s\n", strerror(-err));
	else if (err == 0)
		puts("ok");
}

/* 1; 0 at the end of the input; -errno. */
static int take_input(struct session *s)
{
	ssize_t n =
		read(STDIN_FILENO, s->line + s->len, sizeof(s->line) - s->len);
	char *line = s->line, *end;

	if (n < 0)
		return complain(-errno, "standard input: %s", strerror(errno));
	if (n == 0)
		return 0;
	s->len += (size_t)n;
	while ((end = memchr(line, '\n', s->len)) != NULL) {
		*end = '\0';
		s->len -= (size_t)(end + 1 - line);
		obey(s, line);
		line = end + 1;
	}
	memmove(s->line, line, s->len);
	if (s->len == sizeof(s->line))
		return complain(-E2BIG,
				"standard input: a line of more than "
				"%u bytes; shorten it",
				LINE_BYTES);
	return 1;
}

static int converse(struct session *s)
{
	int err = pvsplit_catch_signals(s->ps);

	if (err)
		return err;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = xs_fd(s->xs), .events = POLLIN },
			{ .fd = s->ps->signal_fd, .events = POLLIN },
		};

		/* An answer that takes the store's death to come is waited for
		 * by the next request. */
		(void)!xs_dispatch(s->xs);
		if (poll(fds, 3, xs_pending(s->xs) ? 0 : -1) < 0 &&
		    errno != EINTR)
			return complain(-errno, "poll: %s", strerror(errno));
		if (fds[2].revents)
			return 0;
		err = fds[0].revents ? take_input(s) : 1;
		if (err <= 0)
			return err;
	}
}

/* ---- the ring -------------------------------------------------------------
 */

static int introduce(struct session *s, domid_t domid)
{
	int err = xs_introduce(s->ps->xs, domid, xs_page_gref(s->page),
			       xs_page_port(s->page));

	return err ? complain(err,
			      "store-ring: the store does not take the "
			      "ring of domain %u: %s; see its log",
			      domid, strerror(-err))
		   : 0;
}

static int with_page(struct session *s, domid_t domid)
{
	int err = xs_page_open(s->platform, &s->page);

	if (err)
		return complain(err, "store-ring: cannot share a page: %s",
				strerror(-err));
	err = introduce(s, domid);
	if (!err)
		err = xs_open_page(s->page, &s->xs);
	if (!err) {
		err = converse(s);
		xs_close(s->xs);
	}
	xs_page_close(s->page);
	return err;
}

int store_ring_run(struct pvsplit *ps, const struct args *args)
{
	struct session s = { .ps = ps };
	domid_t domid;
	int err = pvsplit_connect(ps);

	if (!err)
		err = domain_resolve(ps, args->command, args->words[0], &domid);
	if (err)
		return err;
	err = platform_lite_open(ps->run_dir, domid, &s.platform);
	if (err)
		return complain(err,
				"store-ring: cannot be domain %u: %s; run "
				"as its user or as root",
				domid, strerror(-err));
	err = with_page(&s, domid);
	platform_close(s.platform);
	return err;
}
