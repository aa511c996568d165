/* SPDX-License-Identifier: MIT */
/*
 * xenstored.c - the same random requests of domain 0 and two guests to our
 *store and to Xen's own xenstored, answers and events compared.
 *
 *	oracle XENSTORED HYPERVISOR.SO [SEED [STEPS]]
 *
 * Xen's runs as it is, upon tests/oracle/hypervisor.c instead of a hypervisor:
 * domain 0 speaks to it over its socket, the guests over their shared pages, by
 * the guest's half of our xsring.h. Ours is the machine of conn.h, in here.
 *
 * What is known to differ is not asked: values that with a node's rights exceed
 * node-size (Xen's counts them together), another owner of the root (ours
 * refuses), two transactions at a time (Xen's may show one that was overtaken a
 * mixture), requests that only newer ones know. And an event of ours that Xen's
 * lacks is no fault after a commit: there Xen's forgets that who may read a
 * removed node's parent may know.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"
#include "tests/unit/store_peer.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xsring.h"

#define PATIENCE_NS (10 * NS_PER_S)
#define EVENTS_MAX  256u

/* A client of Xen's: a socket, or a page. */
struct client {
	int fd; /* -1: ring */
	struct xsring ring;
	uint32_t req_id, type; /* of the last answer */
	char reply[XENSTORE_PAYLOAD_MAX];
	size_t len;
	char *events[EVENTS_MAX]; /* path '=' token */
	unsigned nr_events;
};

static struct {
	char dir[64];
	pid_t pid;
	struct client clients[ORACLE_DOMAINS];
	struct xsd *xsd;
	struct peer *peers[ORACLE_DOMAINS];
	unsigned seed, step;
	bool committed; /* in this step */
	unsigned nr_faults, nr_asked;
} o;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- Xen's ----------------------------------------------------------------
 */

static const char *in_dir(const char *name)
{
	static char path[96];

	if (str_printf(path, sizeof(path), "%s/%s", o.dir, name) < 0)
		exit(1);
	return path;
}

static void make_file(const char *name, const char *text, off_t size)
{
	int fd = open(in_dir(name), O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 ||
	    (size && ftruncate(fd, size)))
		die(name);
	close(fd);
}

static void start(const char *program, const char *hypervisor)
{
	char name[16];

	snprintf(o.dir, sizeof(o.dir), "/tmp/oracle.XXXXXX");
	if (!mkdtemp(o.dir))
		die("mkdtemp");
	make_file("port", "1", 0);
	for (unsigned i = 0; i < ORACLE_DOMAINS; i++) {
		snprintf(name, sizeof(name), "ring.%u", i);
		make_file(name, "", ORACLE_PAGE_BYTES);
	}
	o.pid = fork();
	if (o.pid < 0)
		die("fork");
	if (o.pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("ORACLE_DIR", o.dir, 1);
	setenv("XENSTORED_RUNDIR", o.dir, 1);
	setenv("LD_PRELOAD", hypervisor, 1);
	freopen(in_dir("log"), "w", stderr);
	execl(program, program, "-N", (char *)NULL);
	die(program);
}

static void stop(void)
{
	static const char *const names[] = { "port",	  "ring.0", "ring.1",
					     "ring.2",	  "log",    "socket",
					     "socket_ro", "tdb" };

	kill(o.pid, SIGKILL);
	waitpid(o.pid, NULL, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	rmdir(o.dir);
}

/* Give and take what can be; false when nothing moved. */
static bool exchange(struct client *c, const char **out, size_t *left, char *in,
		     size_t *got, size_t want)
{
	size_t had = *left + (want - *got);
	ssize_t n;

	if (c->fd >= 0) {
		n = *left ? send(c->fd, *out, *left, MSG_DONTWAIT) : 0;
		if (n > 0) {
			*out += n;
			*left -= (size_t)n;
		}
		n = recv(c->fd, in + *got, want - *got, MSG_DONTWAIT);
		if (n > 0)
			*got += (size_t)n;
	} else {
		if (xsring_readable(&c->ring) < 0 ||
		    xsring_writable(&c->ring) < 0)
			die("ring");
		n = (ssize_t)xsring_write(&c->ring, *out, *left);
		*out += n;
		*left -= (size_t)n;
		*got += xsring_read(&c->ring, in + *got, want - *got);
		(void)!xsring_push(&c->ring);
	}
	return *left + (want - *got) != had;
}

/* want bytes of what comes, while the rest of out goes. */
static void take(struct client *c, const char **out, size_t *left, void *in,
		 size_t want)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	size_t got = 0;

	while (got < want) {
		if (exchange(c, out, left, in, &got, want))
			continue;
		if (clock_now_ns() > deadline_ns ||
		    waitpid(o.pid, NULL, WNOHANG))
			die("Xen's xenstored does not answer");
		usleep(50);
	}
}

static void keep_event(struct client *c, char *payload)
{
	payload[strlen(payload)] = '=';
	for (unsigned i = 0; i < c->nr_events; i++)
		if (strcmp(c->events[i], payload) == 0)
			return;
	if (c->nr_events < EVENTS_MAX)
		c->events[c->nr_events++] = strdup(payload);
}

static void ask_xen(struct client *c, uint32_t type, uint32_t tx,
		    const void *payload, size_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	char in[XENSTORE_PAYLOAD_MAX];
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++c->req_id,
				   .tx_id = tx,
				   .len = (uint32_t)len };
	size_t left = sizeof(hdr) + len;
	const char *out = buf;

	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), payload, len);
	for (;;) {
		take(c, &out, &left, &hdr, sizeof(hdr));
		if (hdr.len > sizeof(in))
			die("Xen's xenstored sends too much");
		take(c, &out, &left, in, hdr.len);
		if (hdr.type != XS_WATCH_EVENT)
			break;
		keep_event(c, in);
	}
	if (hdr.req_id != c->req_id || hdr.tx_id != tx)
		die("Xen's xenstored answers something else");
	c->type = hdr.type;
	c->len = hdr.len;
	memcpy(c->reply, in, hdr.len);
}

static void connect_xen(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
	struct client *root = &o.clients[0];
	char text[16];
	void *page;
	int fd;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", in_dir("socket"));
	root->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	while (connect(root->fd, (struct sockaddr *)&sun, sizeof(sun))) {
		if (clock_now_ns() > deadline_ns)
			die(sun.sun_path);
		usleep(1000);
	}
	for (unsigned i = 1; i < ORACLE_DOMAINS; i++) {
		memcpy(text, "N\0001\0009", 6);
		text[0] = (char)('0' + i);
		ask_xen(root, XS_INTRODUCE, 0, text, 6);
		snprintf(text, sizeof(text), "ring.%u", i);
		fd = open(in_dir(text), O_RDWR);
		page = mmap(NULL, ORACLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
		if (root->type == XS_ERROR || page == MAP_FAILED)
			die(text);
		close(fd);
		o.clients[i].fd = -1;
		xsring_guest_init(&o.clients[i].ring, page, false);
		if (xsring_guest_state(&o.clients[i].ring) != XSRING_CONNECTED)
			die("ring");
	}
}

/* ---- both ----------------------------------------------------------------
 */

static void show(const char *who, uint32_t type, const char *reply, size_t len)
{
	printf("  %-5s %s \"", who, type == XS_ERROR ? "error" : "ok");
	for (size_t i = 0; i < len && i < 60; i++)
		putchar(reply[i] >= ' ' && reply[i] <= '~' ? reply[i] : '|');
	printf("\"\n");
}

/* The generation in front of a part of a directory is each store's own. */
static size_t skip(uint32_t type, const char *reply, size_t len)
{
	return type == XS_DIRECTORY_PART ? strnlen(reply, len) : 0;
}

static void fault(unsigned who, uint32_t type, const char *payload)
{
	printf("seed %u, step %u, domain %u, type %u \"%.60s\":\n", o.seed,
	       o.step, who, type, payload);
	o.nr_faults++;
}

/* tx[0] ours, tx[1] Xen's. Returns whether both answered no error. */
static bool ask(unsigned who, uint32_t type, const uint32_t tx[2],
		const char *payload, size_t len)
{
	struct client *c = &o.clients[who];
	struct peer *p = o.peers[who];
	int err = peer_ask(p, type, tx ? tx[0] : 0, payload, len);
	uint32_t our_type = err ? XS_ERROR : type;
	size_t at, our_at;

	ask_xen(c, type, tx ? tx[1] : 0, payload, len);
	o.nr_asked++;
	at = skip(c->type, c->reply, c->len);
	our_at = skip(our_type, p->reply, p->reply_len);
	if (type != XS_TRANSACTION_START &&
	    (c->type != our_type || c->len - at != p->reply_len - our_at ||
	     memcmp(c->reply + at, p->reply + our_at, c->len - at) != 0)) {
		fault(who, type, payload);
		show("ours", our_type, p->reply, p->reply_len);
		show("Xen's", c->type, c->reply, c->len);
	}
	return c->type != XS_ERROR && our_type != XS_ERROR;
}

static bool ours_has(const struct peer *p, const char *event)
{
	char text[2 * XENSTORE_PAYLOAD_MAX];

	for (unsigned i = 0; i < p->nr_events && i < PEER_EVENTS; i++) {
		snprintf(text, sizeof(text), "%s=%s", p->events[i].path,
			 p->events[i].token);
		if (strcmp(text, event) == 0)
			return true;
	}
	return false;
}

static bool xens_has(const struct client *c, const char *path,
		     const char *token)
{
	char text[2 * XENSTORE_PAYLOAD_MAX];

	snprintf(text, sizeof(text), "%s=%s", path, token);
	for (unsigned i = 0; i < c->nr_events; i++)
		if (strcmp(c->events[i], text) == 0)
			return true;
	return false;
}

/* Events come before the answer to whatever is asked next. */
static void compare_events(unsigned who)
{
	struct client *c = &o.clients[who];
	struct peer *p = o.peers[who];

	ask(who, XS_GET_DOMAIN_PATH, NULL, "1", 2);
	for (unsigned i = 0; i < c->nr_events; i++) {
		if (!ours_has(p, c->events[i])) {
			fault(who, XS_WATCH_EVENT, c->events[i]);
			printf("  ours has no such event\n");
		}
	}
	for (unsigned i = 0; i < p->nr_events && i < PEER_EVENTS; i++) {
		if (!o.committed &&
		    !xens_has(c, p->events[i].path, p->events[i].token)) {
			fault(who, XS_WATCH_EVENT, p->events[i].path);
			printf("  Xen's has no such event\n");
		}
	}
	while (c->nr_events)
		free(c->events[--c->nr_events]);
	p->nr_events = 0;
}

/* ---- what is asked --------------------------------------------------------
 */

static unsigned roll(unsigned n)
{
	return (unsigned)rand_r(&o.seed) % n;
}

struct text {
	const char *text;
	size_t len; /* with its NULs */
};
#define TEXT(t)                                                                \
	{                                                                      \
		t, sizeof(t)                                                   \
	}

static const struct text rights[] = {
	TEXT("n0"),	 TEXT("n1"),	     TEXT("n2"),
	TEXT("r0"),	 TEXT("b0"),	     TEXT("w1"),
	TEXT("n1\0r2"),	 TEXT("n2\0b1"),     TEXT("n0\0r1\0w2"),
	TEXT("b2\0n1"),	 TEXT("n1\0w2\0r2"), TEXT("r1\0n1\0b2"),
	TEXT("x1"),	 TEXT("n"),	     TEXT("n1\0n1\0n1\0n1\0n1\0n1"),
	TEXT("n0\0xyz"),
};

static const struct text values[] = { { "", 0 }, { "v", 1 }, { "w\0x", 3 } };

static const struct text offsets[] = { TEXT("0"), TEXT("2"), TEXT("999") };

static const struct text tokens[] = {
	TEXT("t"), TEXT("u"), { "t", 1 }, TEXT("t\0xyz")
};

/* The last of them are none. */
#define NR_BAD_PATHS 5u
static const char *const paths[] = {
	"/s",
	"/s/a",
	"/s/a/b",
	"/s/a/b/c",
	"/s/b",
	"/p",
	"/p/x",
	"/p/x/y",
	"data",
	"data/a",
	"data/a/b",
	"backend/q",
	"/local/domain/1/data/a",
	"/local/domain/2/data/a",
	"/local/domain/1/data",
	"/local/domain/2/data/a/b",
	"/local/domain/1",
	"/none/deep/er",
	"/local/domain/2/backend/q",
	"/s/",
	"//s",
	"",
	"@nonsense",
	"/s/a b",
};

static const struct {
	uint32_t type;
	struct text payload;
} others[] = {
	{ XS_SET_TARGET, TEXT("1\0002") },
	{ XS_SET_TARGET, TEXT("2\0001") },
	{ XS_SET_TARGET, TEXT("1\0001") },
	{ XS_SET_TARGET, TEXT("2\0002") },
	{ XS_SET_TARGET, TEXT("1\0007") },
	{ XS_SET_TARGET, TEXT("1") },
	{ XS_RESET_WATCHES, TEXT("") },
	{ XS_RELEASE, TEXT("0") },
	{ XS_RELEASE, TEXT("9") },
	{ XS_RESUME, TEXT("9") },
	{ XS_READ, TEXT("/") },
	{ XS_DIRECTORY, TEXT("/s") },
	{ XS_RM, TEXT("/") },
	{ XS_TRANSACTION_END, TEXT("T") },
	{ XS_TRANSACTION_END, TEXT("x") },
	{ 20, TEXT("1") },
	{ XS_WATCH_EVENT, TEXT("1") },
	{ XS_GET_DOMAIN_PATH, TEXT("65535") },
};

static void ask_about(unsigned who, uint32_t type, const uint32_t tx[2],
		      const char *path, const struct text *more)
{
	char buf[512];
	size_t head = strlen(path) + 1;

	memcpy(buf, path, head);
	if (more)
		memcpy(buf + head, more->text, more->len);
	ask(who, type, tx, buf, head + (more ? more->len : 0));
}

/* In a transaction nothing that would end it. */
static void one_request(unsigned who, const uint32_t tx[2])
{
	const char *path = paths[roll(ARRAY_SIZE(paths))];
	unsigned other = roll(ARRAY_SIZE(others));

	switch (roll(tx ? 11 : 14)) {
	case 0:
	case 1:
	case 2:
		ask_about(who, XS_WRITE, tx, path,
			  &values[roll(ARRAY_SIZE(values))]);
		break;
	case 3: ask_about(who, XS_MKDIR, tx, path, NULL); break;
	case 4: ask_about(who, XS_RM, tx, path, NULL); break;
	case 5: ask_about(who, XS_DIRECTORY, tx, path, NULL); break;
	case 6: ask_about(who, XS_READ, tx, path, NULL); break;
	case 7:
		if (path[0] != '@')
			ask_about(who, XS_GET_PERMS, tx, path, NULL);
		break;
	case 8:
	case 9:
		if (path[0] != '@')
			ask_about(who, XS_SET_PERMS, tx, path,
				  &rights[roll(ARRAY_SIZE(rights))]);
		break;
	case 10:
		ask_about(who, XS_DIRECTORY_PART, tx, path,
			  &offsets[roll(ARRAY_SIZE(offsets))]);
		break;
	case 11:
		ask_about(who, XS_WATCH, tx, path,
			  &tokens[roll(ARRAY_SIZE(tokens))]);
		break;
	case 12:
		ask_about(who, XS_UNWATCH, tx,
			  paths[roll(ARRAY_SIZE(paths) - NR_BAD_PATHS)],
			  &tokens[roll(ARRAY_SIZE(tokens))]);
		break;
	default:
		ask(who, others[other].type, NULL, others[other].payload.text,
		    others[other].payload.len);
	}
}

static void transaction(unsigned who)
{
	struct client *c = &o.clients[who];
	uint32_t tx[2];

	if (!ask(who, XS_TRANSACTION_START, NULL, "", 1))
		return;
	tx[0] = (uint32_t)strtoul(o.peers[who]->reply, NULL, 10);
	c->reply[c->len - 1] = '\0';
	tx[1] = (uint32_t)strtoul(c->reply, NULL, 10);
	for (unsigned i = roll(8); i > 0; i--)
		one_request(who, tx);
	ask(who, XS_TRANSACTION_END, tx, roll(4) ? "T" : "F", 2);
	o.committed = true;
}

/* What our store makes for a domain, in Xen's; and two folders for all. */
static void begin(void)
{
	static const struct text nodes[] = {
		TEXT("/local/domain/1\0n0\0r1"),
		TEXT("/local/domain/1/data\0n1"),
		TEXT("/local/domain/1/backend\0n1"),
		TEXT("/local/domain/2\0n0\0r2"),
		TEXT("/local/domain/2/data\0n2"),
		TEXT("/local/domain/2/backend\0n2"),
		TEXT("/s\0b0"),
		TEXT("/p\0n0"),
	};
	static const struct text gone[] = { TEXT("/local/domain/0"),
					    TEXT("/local/domain/1"),
					    TEXT("/local/domain/2"),
					    TEXT("/tool") };

	for (unsigned i = 0; i < ARRAY_SIZE(gone); i++)
		ask(0, XS_WRITE, NULL, gone[i].text, gone[i].len);
	for (unsigned i = 0; i < ARRAY_SIZE(gone); i++)
		ask(0, XS_RM, NULL, gone[i].text, gone[i].len);
	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
		ask(0, XS_WRITE, NULL, nodes[i].text,
		    strlen(nodes[i].text) + 1);
		ask(0, XS_SET_PERMS, NULL, nodes[i].text, nodes[i].len);
	}
}

int main(int argc, char **argv)
{
	uint32_t seed = 1, steps = 2000;

	if (argc < 3 || argc > 5 ||
	    (argc > 3 && num_parse_u32(argv[3], UINT32_MAX, &seed)) ||
	    (argc > 4 && num_parse_u32(argv[4], UINT32_MAX, &steps))) {
		fprintf(stderr,
			"usage: %s XENSTORED HYPERVISOR.SO "
			"[SEED [STEPS]]\n",
			argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	start(argv[1], argv[2]);
	connect_xen();
	o.xsd = peer_store();
	for (unsigned i = 0; i < ORACLE_DOMAINS; i++)
		o.peers[i] = peer_open(o.xsd, i);
	begin();
	for (o.step = 0; o.step < steps && o.nr_faults < 20; o.step++) {
		unsigned who;

		o.seed = seed + o.step * 7919u;
		who = roll(ORACLE_DOMAINS);
		o.committed = false;
		if (roll(5))
			one_request(who, NULL);
		else
			transaction(who);
		for (unsigned i = 0; i < ORACLE_DOMAINS; i++)
			compare_events(i);
		o.nr_faults += xsd_check(o.xsd) != 0;
	}
	for (unsigned i = 0; i < ORACLE_DOMAINS; i++)
		peer_close(o.peers[i]);
	xsd_close(o.xsd);
	stop();
	printf("oracle seed %u: %u requests compared, %u faults\n", seed,
	       o.nr_asked, o.nr_faults);
	return o.nr_faults != 0;
}
