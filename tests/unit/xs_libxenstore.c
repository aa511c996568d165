/* SPDX-License-Identifier: MIT */
/*
 * xs_libxenstore.c - our client against Xen's own, over one store: the same
 * random calls through both, in two trees of the same shape; results and error
 * numbers are compared, and each reads what the other has written.
 *
 * libxenstore is loaded at run time, since both libraries call their functions
 * alike. Source: xenstore.h, xenstore_lib.h of libxen-dev.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store_peer.h"
#include "util/fdmsg.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define NR_DOMAINS  2 /* 0 and 1 */
#define CLIENTS_MAX 16
#define NR_STEPS    20000
#define NR_PATHS    14

/* ---- Xen's library ---------------------------------------------------------
 */

struct xs_handle;

struct theirs_perm {
	unsigned id, perms; /* bits: 1 read, 2 write */
};

static struct {
	struct xs_handle *(*open)(unsigned long flags);
	void (*close)(struct xs_handle *h);
	char **(*directory)(struct xs_handle *h, uint32_t t, const char *path,
			    unsigned *nr);
	void *(*read)(struct xs_handle *h, uint32_t t, const char *path,
		      unsigned *len);
	bool (*write)(struct xs_handle *h, uint32_t t, const char *path,
		      const void *data, unsigned len);
	bool (*mkdir)(struct xs_handle *h, uint32_t t, const char *path);
	bool (*rm)(struct xs_handle *h, uint32_t t, const char *path);
	struct theirs_perm *(*get_permissions)(struct xs_handle *h, uint32_t t,
					       const char *path, unsigned *nr);
	bool (*set_permissions)(struct xs_handle *h, uint32_t t,
				const char *path, struct theirs_perm *perms,
				unsigned nr);
	bool (*watch)(struct xs_handle *h, const char *path, const char *token);
	bool (*unwatch)(struct xs_handle *h, const char *path,
			const char *token);
	char **(*read_watch)(struct xs_handle *h, unsigned *nr);
	uint32_t (*transaction_start)(struct xs_handle *h);
	bool (*transaction_end)(struct xs_handle *h, uint32_t t, bool abort);
	bool (*introduce_domain)(struct xs_handle *h, unsigned domid,
				 unsigned long gfn, unsigned port);
	bool (*release_domain)(struct xs_handle *h, unsigned domid);
	bool (*resume_domain)(struct xs_handle *h, unsigned domid);
	bool (*set_target)(struct xs_handle *h, unsigned domid,
			   unsigned target);
	char *(*get_domain_path)(struct xs_handle *h, unsigned domid);
	bool (*is_domain_introduced)(struct xs_handle *h, unsigned domid);
	char *(*control_command)(struct xs_handle *h, const char *cmd,
				 void *data, unsigned len);
} lib;

static int load(void)
{
	static const struct {
		const char *name;
		void *where;
	} names[] = {
		{ "xs_open", &lib.open },
		{ "xs_close", &lib.close },
		{ "xs_directory", &lib.directory },
		{ "xs_read", &lib.read },
		{ "xs_write", &lib.write },
		{ "xs_mkdir", &lib.mkdir },
		{ "xs_rm", &lib.rm },
		{ "xs_get_permissions", &lib.get_permissions },
		{ "xs_set_permissions", &lib.set_permissions },
		{ "xs_watch", &lib.watch },
		{ "xs_unwatch", &lib.unwatch },
		{ "xs_read_watch", &lib.read_watch },
		{ "xs_transaction_start", &lib.transaction_start },
		{ "xs_transaction_end", &lib.transaction_end },
		{ "xs_introduce_domain", &lib.introduce_domain },
		{ "xs_release_domain", &lib.release_domain },
		{ "xs_resume_domain", &lib.resume_domain },
		{ "xs_set_target", &lib.set_target },
		{ "xs_get_domain_path", &lib.get_domain_path },
		{ "xs_is_domain_introduced", &lib.is_domain_introduced },
		{ "xs_control_command", &lib.control_command },
	};
	void *so = dlopen("libxenstore.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!so)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *fn = dlsym(so, names[i].name);

		if (!fn)
			return 0;
		memcpy(names[i].where, &fn, sizeof(fn));
	}
	return 1;
}

/* ---- one store for both ----------------------------------------------------
 */

static struct {
	pthread_t thread;
	struct xsd *xsd;
	char dir[64], path[NR_DOMAINS][96];
	int listeners[NR_DOMAINS], end[2];
	struct peer *peers[CLIENTS_MAX];
	int fds[CLIENTS_MAX];
	unsigned nr;
} store;

static void take_client(unsigned domid)
{
	int fd = accept4(store.listeners[domid], NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || store.nr == CLIENTS_MAX)
		abort();
	store.fds[store.nr] = fd;
	store.peers[store.nr++] = peer_open(store.xsd, domid);
}

/* 0: it has gone. */
static int serve_client(unsigned i, short events)
{
	struct xsd_conn *conn = store.peers[i]->conn;
	char buf[4096];
	const void *data;
	size_t len;

	if (!conn)
		return 0;
	if (events && xsd_conn_wants_input(conn)) {
		ssize_t n = recv(store.fds[i], buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0 || (n > 0 && xsd_conn_feed(conn, buf, (size_t)n)))
			return 0;
	}
	while ((len = xsd_conn_output(conn, &data)) > 0) {
		ssize_t n = send(store.fds[i], data, len, MSG_NOSIGNAL);

		if (n < 0 || xsd_conn_sent(conn, (size_t)n))
			return 0;
	}
	return 1;
}

static void *serve(void *arg)
{
	struct pollfd pfd[CLIENTS_MAX + NR_DOMAINS + 1];

	(void)arg;
	for (;;) {
		unsigned nr = store.nr;

		for (unsigned i = 0; i < nr; i++)
			pfd[i] = (struct pollfd){ store.fds[i], POLLIN, 0 };
		for (unsigned i = 0; i < NR_DOMAINS; i++)
			pfd[nr + i] = (struct pollfd){ store.listeners[i],
						       POLLIN, 0 };
		pfd[nr + NR_DOMAINS] =
			(struct pollfd){ store.end[0], POLLIN, 0 };
		if (poll(pfd, nr + NR_DOMAINS + 1, -1) < 0 ||
		    pfd[nr + NR_DOMAINS].revents)
			return NULL;
		for (unsigned i = 0; i < nr; i++)
			if (store.fds[i] >= 0 &&
			    !serve_client(i, pfd[i].revents)) {
				peer_close(store.peers[i]);
				store.peers[i] = calloc(1, sizeof(struct peer));
				close(store.fds[i]);
				store.fds[i] = -1;
			}
		/* Events that others caused. */
		for (unsigned i = 0; i < nr; i++)
			if (store.fds[i] >= 0)
				serve_client(i, 0);
		for (unsigned i = 0; i < NR_DOMAINS; i++)
			if (pfd[nr + i].revents)
				take_client(i);
	}
}

static int store_open(void)
{
	memset(&store, 0, sizeof(store));
	snprintf(store.dir, sizeof(store.dir), "/tmp/xs-libxenstore-XXXXXX");
	store.xsd = peer_store();
	if (!store.xsd || !mkdtemp(store.dir) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, store.end))
		return 0;
	for (unsigned i = 0; i < NR_DOMAINS; i++) {
		snprintf(store.path[i], sizeof(store.path[i]), "%s/%u",
			 store.dir, i);
		store.listeners[i] =
			unix_listen(store.path[i], SOCK_STREAM, (uid_t)-1);
		if (store.listeners[i] < 0)
			return 0;
	}
	/* For INTRODUCE, RELEASE and the like. */
	for (uint32_t i = 1; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d-%u", i);
		if (xsd_domain_create(store.xsd, i, i + 1, name))
			return 0;
	}
	return !pthread_create(&store.thread, NULL, serve, NULL);
}

static void store_close(void)
{
	UNIT_CHECK(write(store.end[1], "", 1) == 1);
	pthread_join(store.thread, NULL);
	UNIT_CHECK(xsd_check(store.xsd) == 0);
	for (unsigned i = 0; i < store.nr; i++) {
		peer_close(store.peers[i]);
		if (store.fds[i] >= 0)
			close(store.fds[i]);
	}
	xsd_close(store.xsd);
	for (unsigned i = 0; i < NR_DOMAINS; i++) {
		close(store.listeners[i]);
		unlink(store.path[i]);
	}
	close(store.end[0]);
	close(store.end[1]);
	rmdir(store.dir);
}

/* ---- a pair of clients -----------------------------------------------------
 */

struct pair {
	unsigned domid;
	struct xs *ours;
	struct xs_handle *theirs;
	xs_txn_t our_tx;
	uint32_t their_tx;
	uint64_t seed;
	unsigned nr_good; /* steps that succeeded */
	unsigned seen[256];
};

static int connect_domain(void *arg)
{
	return unix_connect_now(store.path[*(unsigned *)arg], SOCK_STREAM);
}

static int pair_open(struct pair *p, unsigned domid, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->domid = domid;
	p->seed = seed;
	setenv("XENSTORED_PATH", store.path[domid], 1);
	p->theirs = lib.open(0);
	return p->theirs && !xs_open(connect_domain, &p->domid, &p->ours);
}

static void pair_close(struct pair *p)
{
	xs_close(p->ours);
	lib.close(p->theirs);
}

static unsigned pick(struct pair *p, unsigned nr)
{
	p->seed = p->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(p->seed >> 33) % nr;
}

/*
 * Both trees are alike: T stands for the letter of the library. What is above
 * them is there from the beginning, so that they share nothing that changes.
 */
static const char *path_of(const struct pair *p, unsigned i, char tree,
			   char buf[4096])
{
	static const char *const paths[NR_PATHS] = {
		"data/T/r",
		"data/T/r/a",
		"data/T/r/a/b",
		"data/T/r/b",
		"data/T/r/c",
		"data/T/r/c/d",
		"data/T/r/a/x",
		"/T/x",
		"/T//x",
		"T?",
		"",
		"data/T/r/",
		"data/T/long",
		"/local/domain/5/data/T/x",
	};
	size_t len;

	snprintf(buf, 4096, "%s%s",
		 !paths[i][0] || paths[i][0] == '/' || p->domid ? "" : "/",
		 paths[i]);
	for (char *c = buf; *c; c++)
		if (*c == 'T')
			*c = tree;
	/* As long as a path may be, and longer. */
	len = strlen(buf);
	if (i == 12) {
		memset(buf + len, 'x', 3500);
		buf[len + (p->nr_good % 2 ? 2030 : 3050) + p->nr_good % 40] =
			'\0';
	}
	return buf;
}

static int make_above(struct xs *dom0)
{
	static const char *const above[] = {
		"/data/o",
		"/data/t",
		"/o",
		"/t",
		"/local/domain/5/data/o",
		"/local/domain/5/data/t",
	};
	struct xs_perm guests = { 1, 'n' };
	int err = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(above); i++)
		err = err ?: xs_mkdir(dom0, 0, above[i]);
	err = err ?: xs_mkdir(dom0, 0, "/local/domain/1/data/o");
	err = err ?: xs_mkdir(dom0, 0, "/local/domain/1/data/t");
	err = err
		      ?: xs_set_perms(dom0, 0, "/local/domain/1/data/o",
				      &guests, 1);
	return err
		       ?: xs_set_perms(dom0, 0, "/local/domain/1/data/t",
				       &guests, 1);
}

static int result(bool ok)
{
	return ok ? 0 : -errno;
}

/* Compare; what is equal is counted. */
static bool same(struct pair *p, const char *what, int ours, int theirs)
{
	if (ours == theirs) {
		p->nr_good += ours == 0;
		p->seen[(unsigned)-ours & 255]++;
		return true;
	}
	printf("domain %u: %s: ours %d, theirs %d\n", p->domid, what, ours,
	       theirs);
	UNIT_CHECK(ours == theirs);
	return false;
}

static void one_read(struct pair *p, const char *our_path,
		     const char *their_path)
{
	char *ours = NULL, *theirs;
	size_t our_len = 0;
	unsigned their_len = 0;
	int our_err = xs_read(p->ours, p->our_tx, our_path, &ours, &our_len);

	theirs = lib.read(p->theirs, p->their_tx, their_path, &their_len);
	if (same(p, "read", our_err, result(theirs)) && !our_err)
		UNIT_CHECK(our_len == their_len &&
			   !memcmp(ours, theirs, our_len));
	free(ours);
	free(theirs);
}

static void one_directory(struct pair *p, const char *our_path,
			  const char *their_path)
{
	char **ours = NULL, **theirs;
	unsigned our_nr = 0, their_nr = 0;
	int our_err =
		xs_directory(p->ours, p->our_tx, our_path, &ours, &our_nr);

	theirs = lib.directory(p->theirs, p->their_tx, their_path, &their_nr);
	if (same(p, "directory", our_err, result(theirs)) && !our_err) {
		UNIT_CHECK(our_nr == their_nr);
		for (unsigned i = 0; i < our_nr && i < their_nr; i++)
			UNIT_CHECK(!strcmp(ours[i], theirs[i]));
	}
	free(ours);
	free(theirs);
}

static void one_get_perms(struct pair *p, const char *our_path,
			  const char *their_path)
{
	static const char letters[] = "nrwb";
	struct xs_perm ours[16];
	struct theirs_perm *theirs;
	unsigned our_nr = ARRAY_SIZE(ours), their_nr = 0;
	int our_err = xs_get_perms(p->ours, p->our_tx, our_path, ours, &our_nr);

	theirs = lib.get_permissions(p->theirs, p->their_tx, their_path,
				     &their_nr);
	if (same(p, "get_perms", our_err, result(theirs)) && !our_err) {
		UNIT_CHECK(our_nr == their_nr);
		for (unsigned i = 0; i < our_nr && i < their_nr; i++)
			UNIT_CHECK(ours[i].domid == theirs[i].id &&
				   ours[i].right ==
					   letters[theirs[i].perms & 3]);
	}
	free(theirs);
}

static void one_set_perms(struct pair *p, const char *our_path,
			  const char *their_path)
{
	static const char letters[] = "nrwb";
	struct xs_perm ours[7];
	struct theirs_perm theirs[7];
	unsigned nr = pick(p, 8);
	int our_err;

	for (unsigned i = 0; i < nr; i++) {
		unsigned right = pick(p, 4);

		ours[i].domid = theirs[i].id = i	    ? pick(p, 9)
					       : pick(p, 4) ? p->domid
							    : 1 - p->domid;
		ours[i].right = letters[right];
		theirs[i].perms = right;
	}
	our_err = xs_set_perms(p->ours, p->our_tx, our_path, ours, nr);
	same(p, "set_perms", our_err,
	     result(lib.set_permissions(p->theirs, p->their_tx, their_path,
					theirs, nr)));
}

static void one_write(struct pair *p, const char *our_path,
		      const char *their_path)
{
	static char value[5000];
	size_t len = pick(p, 20) ? pick(p, 40) : 2000 + pick(p, 3000);
	int our_err;

	for (size_t i = 0; i < len; i++)
		value[i] = (char)pick(p, 256);
	our_err = xs_write(p->ours, p->our_tx, our_path, value, len);
	same(p, "write", our_err,
	     result(lib.write(p->theirs, p->their_tx, their_path, value,
			      (unsigned)len)));
}

static void one_transaction(struct pair *p)
{
	if (p->our_tx) {
		bool commit = pick(p, 4) != 0;
		int our_err = xs_transaction_end(p->ours, p->our_tx, commit);

		same(p, "transaction_end", our_err,
		     result(lib.transaction_end(p->theirs, p->their_tx,
						!commit)));
		p->our_tx = p->their_tx = 0;
	} else {
		int our_err = xs_transaction_start(p->ours, &p->our_tx);

		p->their_tx = lib.transaction_start(p->theirs);
		same(p, "transaction_start", our_err, result(p->their_tx));
	}
}

static void one_domain(struct pair *p)
{
	unsigned domid = pick(p, 10);
	char *ours = NULL, *theirs;
	int our_err = xs_get_domain_path(p->ours, domid, &ours);

	theirs = lib.get_domain_path(p->theirs, domid);
	if (same(p, "get_domain_path", our_err, result(theirs)) && !our_err)
		UNIT_CHECK(!strcmp(ours, theirs));
	free(ours);
	free(theirs);
	/* Theirs cannot tell no from an error. */
	our_err = xs_is_domain_introduced(p->ours, domid);
	UNIT_CHECK((our_err == 1) ==
		   lib.is_domain_introduced(p->theirs, domid));
}

static void step(struct pair *p)
{
	char our_buf[4096], their_buf[4096];
	unsigned i = pick(p, NR_PATHS);
	const char *our_path = path_of(p, i, 'o', our_buf);
	const char *their_path = path_of(p, i, 't', their_buf);
	int err;

	switch (pick(p, 12)) {
	case 0:
	case 1: one_read(p, our_path, their_path); break;
	case 2:
	case 3:
	case 4: one_write(p, our_path, their_path); break;
	case 5:
		err = xs_mkdir(p->ours, p->our_tx, our_path);
		same(p, "mkdir", err,
		     result(lib.mkdir(p->theirs, p->their_tx, their_path)));
		break;
	case 6:
		err = xs_rm(p->ours, p->our_tx, our_path);
		same(p, "rm", err,
		     result(lib.rm(p->theirs, p->their_tx, their_path)));
		break;
	case 7: one_directory(p, our_path, their_path); break;
	case 8: one_get_perms(p, our_path, their_path); break;
	case 9: one_set_perms(p, our_path, their_path); break;
	case 10: one_transaction(p); break;
	case 11: one_domain(p); break;
	}
}

/* ---- the tests -------------------------------------------------------------
 */

static void random_calls_answer_alike(unsigned domid)
{
	struct pair p, dom0;

	UNIT_REQUIRE(store_open());
	UNIT_REQUIRE(pair_open(&p, domid, 4711 + domid));
	UNIT_REQUIRE(pair_open(&dom0, 0, 1) && !make_above(dom0.ours));
	for (unsigned i = 0; i < NR_STEPS; i++)
		step(&p);
	UNIT_CHECK(p.nr_good > NR_STEPS / 5);
	UNIT_CHECK(p.seen[ENOENT] && p.seen[EINVAL]);
	UNIT_CHECK(p.seen[domid ? EACCES : E2BIG]);
	pair_close(&dom0);
	pair_close(&p);
	store_close();
}

static void random_calls_of_domain_0_answer_alike(void)
{
	random_calls_answer_alike(0);
}

static void random_calls_of_a_guest_answer_alike(void)
{
	random_calls_answer_alike(1);
}

struct heard {
	unsigned nr;
	char words[512];
};

static void hear(void *arg, const char *path)
{
	struct heard *h = arg;
	size_t used = strlen(h->words);

	h->nr++;
	snprintf(h->words + used, sizeof(h->words) - used, "%s ", path);
}

static void hear_theirs(struct xs_handle *h, unsigned nr, struct heard *heard)
{
	while (nr--) {
		unsigned nr_words;
		char **words = lib.read_watch(h, &nr_words);

		UNIT_REQUIRE(words && nr_words == 2);
		hear(heard, words[0]);
		free(words);
	}
}

static void watches_hear_the_same(void)
{
	static const char *const paths[] = { "data/w", "/local/domain/1/data/w",
					     "@releaseDomain" };
	struct heard ours = { 0 }, theirs = { 0 };
	struct xs_watch *watches[ARRAY_SIZE(paths)];
	struct pair p, dom0;

	UNIT_REQUIRE(store_open());
	UNIT_REQUIRE(pair_open(&p, 1, 1) && pair_open(&dom0, 0, 1));
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		UNIT_CHECK(lib.watch(p.theirs, paths[i], paths[i]));
		UNIT_CHECK(xs_watch(p.ours, paths[i], hear, &ours,
				    &watches[i]) == 0);
	}
	UNIT_CHECK(xs_write(dom0.ours, 0, "/local/domain/1/data/w/x", "", 0) ==
		   0);
	UNIT_CHECK(lib.write(dom0.theirs, 0, "/local/domain/1/data/w", "1", 1));
	UNIT_CHECK(lib.rm(dom0.theirs, 0, "/local/domain/1/data/w"));
	UNIT_CHECK(xs_mkdir(p.ours, 0, "data") == 0);
	for (int i = 0; i < 10; i++)
		UNIT_CHECK(xs_dispatch(p.ours) == 0);
	/* Ours joins equal paths that nobody has looked at. */
	UNIT_CHECK(ours.nr >= 5);
	hear_theirs(p.theirs, ours.nr, &theirs);
	UNIT_CHECK(!strcmp(ours.words, theirs.words));
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		xs_unwatch(p.ours, watches[i]);
		UNIT_CHECK(lib.unwatch(p.theirs, paths[i], paths[i]));
	}
	pair_close(&dom0);
	pair_close(&p);
	store_close();
}

static void a_toolstack_is_answered_alike(void)
{
	static const char *const check[] = { "check", NULL };
	static const char *const unknown[] = { "no-such-command", NULL };
	struct pair p, guest;
	char *ours, *theirs;
	size_t len;

	UNIT_REQUIRE(store_open());
	UNIT_REQUIRE(pair_open(&p, 0, 1) && pair_open(&guest, 1, 1));
	same(&p, "release", xs_release(p.ours, 4),
	     result(lib.release_domain(p.theirs, 5)));
	same(&p, "release again", xs_release(p.ours, 4),
	     result(lib.release_domain(p.theirs, 5)));
	same(&p, "introduce", xs_introduce(p.ours, 6, 1, 1),
	     result(lib.introduce_domain(p.theirs, 7, 1, 1)));
	same(&p, "introduce nobody", xs_introduce(p.ours, 99, 1, 1),
	     result(lib.introduce_domain(p.theirs, 99, 1, 1)));
	same(&p, "resume", xs_resume(p.ours, 6),
	     result(lib.resume_domain(p.theirs, 7)));
	same(&p, "set_target", xs_set_target(p.ours, 6, 1),
	     result(lib.set_target(p.theirs, 7, 1)));
	same(&p, "set_target of nobody", xs_set_target(p.ours, 99, 1),
	     result(lib.set_target(p.theirs, 99, 1)));
	UNIT_REQUIRE(xs_control(p.ours, check, &ours, &len) == 0);
	theirs = lib.control_command(p.theirs, "check", NULL, 0);
	UNIT_CHECK(theirs && !strcmp(ours, theirs));
	free(ours);
	free(theirs);
	same(&p, "control", xs_control(p.ours, unknown, &ours, &len),
	     result(lib.control_command(p.theirs, unknown[0], NULL, 0)));
	same(&guest, "release", xs_release(guest.ours, 6),
	     result(lib.release_domain(guest.theirs, 6)));
	same(&guest, "introduce", xs_introduce(guest.ours, 6, 1, 1),
	     result(lib.introduce_domain(guest.theirs, 6, 1, 1)));
	same(&guest, "resume", xs_resume(guest.ours, 6),
	     result(lib.resume_domain(guest.theirs, 6)));
	same(&guest, "set_target", xs_set_target(guest.ours, 1, 6),
	     result(lib.set_target(guest.theirs, 1, 6)));
	same(&guest, "control", xs_control(guest.ours, check, &ours, &len),
	     result(lib.control_command(guest.theirs, "check", NULL, 0)));
	pair_close(&guest);
	pair_close(&p);
	store_close();
}

static void each_reads_what_the_other_wrote(void)
{
	struct pair p;
	char *value;
	unsigned len;

	UNIT_REQUIRE(store_open());
	UNIT_REQUIRE(pair_open(&p, 0, 1));
	UNIT_CHECK(xs_write(p.ours, 0, "/a", "a\0b", 3) == 0);
	value = lib.read(p.theirs, 0, "/a", &len);
	UNIT_CHECK(value && len == 3 && !memcmp(value, "a\0b", 3));
	free(value);
	UNIT_CHECK(lib.write(p.theirs, 0, "/b", "c\0d", 3));
	UNIT_REQUIRE(xs_read(p.ours, 0, "/b", &value, NULL) == 0);
	UNIT_CHECK(!memcmp(value, "c\0d", 4));
	free(value);
	pair_close(&p);
	store_close();
}

int main(void)
{
	static const struct unit_case cases[] = {
		UNIT_TEST(random_calls_of_domain_0_answer_alike),
		UNIT_TEST(random_calls_of_a_guest_answer_alike),
		UNIT_TEST(watches_hear_the_same),
		UNIT_TEST(a_toolstack_is_answered_alike),
		UNIT_TEST(each_reads_what_the_other_wrote),
	};

	if (!load()) {
		printf("skipped: needs libxenstore (package libxen-dev)\n");
		return 77;
	}
	return unit_run("xs_libxenstore", cases, ARRAY_SIZE(cases));
}
