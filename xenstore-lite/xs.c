/* SPDX-License-Identifier: MIT */
/*
 * xs.c - client of a xenstore. See xs.h; helpers over these calls are in
 * xs_util.c.
 *
 * The store may be hostile or broken: a message that is too long, an answer to
 * what was not asked, or an event without its strings ends the connection with
 * -EPROTO; an event for a token that is not ours is ignored.
 */
#include "xenstore-lite/xs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/xs_wire.h"
#include "util/list.h"
#include "util/num.h"

#define MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* Numbers in one request. */
#define NUMBERS_MAX 3

/* Unread events of one watch; above it they are joined to one for the watched
 * path, as the store does. */
#define XS_EVENTS_MAX 1024u

/* A directory that the store sends in parts: most bytes of names, and how often
 * the list may change meanwhile. */
#define XS_DIRECTORY_MAX   (4u << 20)
#define XS_DIRECTORY_TRIES 64

struct xs {
	int fd, err; /* err: why the connection ended */
	uint32_t last_req_id;
	uint64_t last_token;
	struct list watches, events;
	size_t rx_len;
	char rx[4 * MESSAGE_MAX];
};

struct xs_watch {
	struct list link;
	struct list events;
	unsigned nr_events;
	xs_watch_fn *fn;
	void *arg;
	char token[20];
	char path[];
};

struct event {
	struct list link, of_watch;
	struct xs_watch *watch;
	char path[];
};

int xs_open_fd(int fd, struct xs **ret)
{
	struct xs *xs = malloc(sizeof(*xs));

	if (!xs)
		return -ENOMEM;
	xs->fd = fd;
	xs->err = 0;
	xs->last_req_id = 0;
	xs->last_token = 0;
	xs->rx_len = 0;
	list_init(&xs->watches);
	list_init(&xs->events);
	*ret = xs;
	return 0;
}

static void event_free(struct event *event)
{
	list_del(&event->link);
	list_del(&event->of_watch);
	event->watch->nr_events--;
	free(event);
}

static void watch_free(struct xs_watch *watch)
{
	list_for_each_safe(l, tmp, &watch->events)
		event_free(container_of(l, struct event, of_watch));
	list_del(&watch->link);
	free(watch);
}

void xs_close(struct xs *xs)
{
	if (!xs)
		return;
	list_for_each_safe(l, tmp, &xs->watches)
		watch_free(container_of(l, struct xs_watch, link));
	close(xs->fd);
	free(xs);
}

int xs_fd(const struct xs *xs)
{
	return xs->fd;
}

static int lost(struct xs *xs, int err)
{
	if (!xs->err)
		xs->err = err;
	return err;
}

/* ---- events ---------------------------------------------------------------
 */

static struct xs_watch *find_watch(struct xs *xs, const char *token)
{
	list_for_each(l, &xs->watches) {
		struct xs_watch *watch = container_of(l, struct xs_watch, link);

		if (strcmp(watch->token, token) == 0)
			return watch;
	}
	return NULL;
}

static bool is_queued(const struct xs_watch *watch, const char *path)
{
	list_for_each(l, &watch->events)
		if (strcmp(container_of(l, struct event, of_watch)->path,
			   path) == 0)
			return true;
	return false;
}

static int queue_event(struct xs *xs, struct xs_watch *watch, const char *path)
{
	struct event *event;
	size_t bytes;

	if (watch->nr_events >= XS_EVENTS_MAX) {
		list_for_each_safe(l, tmp, &watch->events)
			event_free(container_of(l, struct event, of_watch));
		path = watch->path;
	} else if (is_queued(watch, path)) {
		return 0;
	}
	bytes = strlen(path) + 1;
	event = malloc(sizeof(*event) + bytes);
	if (!event)
		return -ENOMEM;
	event->watch = watch;
	memcpy(event->path, path, bytes);
	list_add_tail(&xs->events, &event->link);
	list_add_tail(&watch->events, &event->of_watch);
	watch->nr_events++;
	return 0;
}

static int take_event(struct xs *xs, const char *payload, size_t len)
{
	const char *path = payload, *token;
	struct xs_watch *watch;
	size_t path_bytes;

	if (len == 0 || payload[len - 1] != '\0')
		return -EPROTO;
	path_bytes = strlen(path) + 1;
	if (path_bytes >= len || path_bytes > XS_PATH_MAX)
		return -EPROTO;
	token = path + path_bytes;
	watch = find_watch(xs, token);
	return watch ? queue_event(xs, watch, path) : 0;
}

/* ---- messages -------------------------------------------------------------
 */

static bool whole_message(const struct xs *xs, struct xsd_sockmsg *hdr)
{
	if (xs->rx_len < sizeof(*hdr))
		return false;
	memcpy(hdr, xs->rx, sizeof(*hdr));
	return hdr->len > XENSTORE_PAYLOAD_MAX ||
	       xs->rx_len >= sizeof(*hdr) + hdr->len;
}

static void drop_message(struct xs *xs, const struct xsd_sockmsg *hdr)
{
	size_t used = sizeof(*hdr) + hdr->len;

	xs->rx_len -= used;
	memmove(xs->rx, xs->rx + used, xs->rx_len);
}

static const char *payload_of(const struct xs *xs)
{
	return xs->rx + sizeof(struct xsd_sockmsg);
}

/*
 * Queue the events at the front of what was received. *hdr is the first
 * message that is none: 1; 0 when there is no whole one; -errno.
 */
static int next_answer(struct xs *xs, struct xsd_sockmsg *hdr)
{
	while (whole_message(xs, hdr)) {
		int err;

		if (hdr->len > XENSTORE_PAYLOAD_MAX)
			return lost(xs, -EPROTO);
		if (hdr->type != XS_WATCH_EVENT)
			return 1;
		err = take_event(xs, payload_of(xs), hdr->len);
		if (err)
			return lost(xs, err);
		drop_message(xs, hdr);
	}
	return 0;
}

/* Returns the bytes received; -EAGAIN when there are none now; -errno. */
static ssize_t receive(struct xs *xs)
{
	ssize_t n;

	do
		n = recv(xs->fd, xs->rx + xs->rx_len,
			 sizeof(xs->rx) - xs->rx_len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	if (n <= 0)
		return lost(xs, -ECONNRESET);
	xs->rx_len += (size_t)n;
	return n;
}

static int wait_for(struct xs *xs, short events)
{
	struct pollfd pfd = { .fd = xs->fd, .events = events };

	if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
		return lost(xs, -errno);
	return 0;
}

/* Reads nothing meanwhile, and need not: only one request is in flight, and
 * one fits the socket's buffer whether or not the store is waiting for us. */
static int send_all(struct xs *xs, struct iovec *iov, unsigned nr)
{
	while (nr) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
		ssize_t n = sendmsg(xs->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (wait_for(xs, POLLOUT))
				return xs->err;
			continue;
		}
		if (n < 0 && errno != EINTR)
			return lost(xs, -ECONNRESET);
		for (; n > 0 && nr; iov++, nr--) {
			size_t used = (size_t)n < iov->iov_len ? (size_t)n
							       : iov->iov_len;

			iov->iov_base = (char *)iov->iov_base + used;
			iov->iov_len -= used;
			n -= (ssize_t)used;
			if (iov->iov_len)
				break;
		}
		while (nr && iov->iov_len == 0) {
			iov++;
			nr--;
		}
	}
	return 0;
}

static int wait_answer(struct xs *xs, struct xsd_sockmsg *hdr)
{
	for (;;) {
		int got = next_answer(xs, hdr);
		ssize_t n;

		if (got)
			return got < 0 ? got : 0;
		n = receive(xs);
		if (n == -EAGAIN)
			n = wait_for(xs, POLLIN);
		if (n < 0)
			return (int)n;
	}
}

/* The (positive) errno that an error answer names; 0 when it names none. */
static int error_of(const struct xs *xs, size_t len)
{
	const char *name = payload_of(xs);

	if (len == 0 || name[len - 1] != '\0')
		return 0;
	return strcmp(name, "EQUOTA") ? xsd_error_number(name) : EDQUOT;
}

/*
 * One request, its payload in nr (at most 3) pieces, and its answer.
 * ret (NULL: not wanted): allocated, with a NUL behind its *len bytes.
 */
static int talk(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
		const struct iovec *parts, unsigned nr, char **ret, size_t *len)
{
	struct xsd_sockmsg hdr = { .type = type,
				   .req_id = ++xs->last_req_id,
				   .tx_id = tx };
	struct iovec iov[4] = { { .iov_base = &hdr, .iov_len = sizeof(hdr) } };
	char *copy = NULL;
	size_t bytes = 0;
	int err;

	if (xs->err)
		return -ECONNRESET;
	for (unsigned i = 0; i < nr; i++) {
		iov[i + 1] = parts[i];
		bytes += parts[i].iov_len;
	}
	if (bytes > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	hdr.len = (uint32_t)bytes;
	err = send_all(xs, iov, nr + 1);
	if (!err)
		err = wait_answer(xs, &hdr);
	if (err)
		return err;
	if (hdr.req_id != xs->last_req_id ||
	    (hdr.type != (uint32_t)type && hdr.type != XS_ERROR))
		return lost(xs, -EPROTO);
	if (hdr.type == XS_ERROR) {
		err = -error_of(xs, hdr.len);
		if (err >= 0) {
			err = -EPROTO;
			lost(xs, err);
		}
	} else if (ret) {
		copy = malloc(hdr.len + 1u);
		if (copy) {
			memcpy(copy, payload_of(xs), hdr.len);
			copy[hdr.len] = '\0';
			*ret = copy;
			*len = hdr.len;
		} else {
			err = -ENOMEM;
		}
	}
	if (!xs->err)
		drop_message(xs, &hdr);
	return err;
}

static struct iovec text_part(const char *text)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)text,
			       .iov_len = strlen(text) + 1 };
}

static int talk_text(struct xs *xs, enum xsd_sockmsg_type type, xs_txn_t tx,
		     const char *text, char **ret, size_t *len)
{
	struct iovec part = text_part(text);

	return talk(xs, type, tx, &part, 1, ret, len);
}

/* ---- nodes -----------------------------------------------------------------
 */

int xs_read(struct xs *xs, xs_txn_t tx, const char *path, char **ret,
	    size_t *len)
{
	size_t unused;

	return talk_text(xs, XS_READ, tx, path, ret, len ? len : &unused);
}

int xs_write(struct xs *xs, xs_txn_t tx, const char *path, const void *data,
	     size_t len)
{
	struct iovec parts[] = { text_part(path),
				 { (void *)(uintptr_t)data, len } };

	return talk(xs, XS_WRITE, tx, parts, len ? 2 : 1, NULL, NULL);
}

int xs_mkdir(struct xs *xs, xs_txn_t tx, const char *path)
{
	return talk_text(xs, XS_MKDIR, tx, path, NULL, NULL);
}

int xs_rm(struct xs *xs, xs_txn_t tx, const char *path)
{
	return talk_text(xs, XS_RM, tx, path, NULL, NULL);
}

/* One part of a listing, appended to *names. 1: that was the last. */
static int add_part(struct xs *xs, xs_txn_t tx, const char *path, char **names,
		    size_t *len, char *generation, size_t size)
{
	struct iovec parts[2] = { text_part(path) };
	char offset[24], *part, *grown;
	size_t bytes, head;
	int err;

	if (str_printf(offset, sizeof(offset), "%zu", *len) < 0)
		return -EOVERFLOW;
	parts[1] = text_part(offset);
	err = talk(xs, XS_DIRECTORY_PART, tx, parts, 2, &part, &bytes);
	if (err)
		return err;
	head = strlen(part) + 1;
	err = -EPROTO;
	if (head >= bytes || part[bytes - 1] != '\0' || head > size)
		goto out;
	err = -EAGAIN;
	if (*len && strcmp(part, generation) != 0)
		goto out;
	memcpy(generation, part, head);
	bytes -= head;
	err = -EOVERFLOW;
	if (bytes > XS_DIRECTORY_MAX - *len)
		goto out;
	err = -ENOMEM;
	grown = realloc(*names, *len + bytes);
	if (!grown)
		goto out;
	*names = grown;
	memcpy(grown + *len, part + head, bytes);
	/* The last part ends with an empty name. */
	err = bytes == 1 || part[head + bytes - 2] == '\0';
	*len += bytes - (unsigned)err;
out:
	free(part);
	return err;
}

static int directory_parts(struct xs *xs, xs_txn_t tx, const char *path,
			   char **ret, size_t *ret_len)
{
	char generation[32] = "", *names = NULL;
	size_t len = 0;
	int err, tries = XS_DIRECTORY_TRIES;

	do {
		err = add_part(xs, tx, path, &names, &len, generation,
			       sizeof(generation));
		if (err == -EAGAIN) {
			len = 0;
			err = --tries ? 0 : -EAGAIN;
		}
	} while (err == 0);
	if (err < 0) {
		free(names);
		return err;
	}
	*ret = names;
	*ret_len = len;
	return 0;
}

/* Turn names into an array of pointers with the text behind it. */
static int split_names(const char *names, size_t len, char ***ret,
		       unsigned *ret_nr)
{
	unsigned nr = 0;
	char **array, *text;

	if (len && names[len - 1] != '\0')
		return -EPROTO;
	for (size_t i = 0; i < len; i++)
		nr += names[i] == '\0';
	array = malloc((nr + 1) * sizeof(char *) + len);
	if (!array)
		return -ENOMEM;
	text = (char *)(array + nr + 1);
	if (len)
		memcpy(text, names, len);
	for (unsigned i = 0; i < nr; i++) {
		array[i] = text;
		text += strlen(text) + 1;
	}
	array[nr] = NULL;
	*ret = array;
	*ret_nr = nr;
	return 0;
}

int xs_directory(struct xs *xs, xs_txn_t tx, const char *path, char ***ret,
		 unsigned *nr)
{
	char *names;
	size_t len;
	int err = talk_text(xs, XS_DIRECTORY, tx, path, &names, &len);

	if (err == -E2BIG)
		err = directory_parts(xs, tx, path, &names, &len);
	if (err)
		return err;
	err = split_names(names, len, ret, nr);
	free(names);
	return err == -EPROTO ? lost(xs, err) : err;
}

/* ---- rights -----------------------------------------------------------------
 */

int xs_get_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 struct xs_perm *perms, unsigned *nr)
{
	unsigned n = 0;
	char *text;
	size_t len;
	int err = talk_text(xs, XS_GET_PERMS, tx, path, &text, &len);

	if (err)
		return err;
	for (size_t i = 0; i < len && !err; i += strlen(text + i) + 1, n++) {
		struct xs_perm perm = { .right = text[i] };

		if (n == *nr)
			err = -E2BIG;
		else if (!text[i] || !strchr("nrwb", text[i]) ||
			 num_parse_u32(text + i + 1, UINT32_MAX, &perm.domid))
			err = -EPROTO;
		else
			perms[n] = perm;
	}
	free(text);
	if (err || n == 0)
		return err ? err : -EPROTO;
	*nr = n;
	return 0;
}

int xs_set_perms(struct xs *xs, xs_txn_t tx, const char *path,
		 const struct xs_perm *perms, unsigned nr)
{
	char text[XENSTORE_PAYLOAD_MAX];
	struct iovec parts[2] = { text_part(path) };
	size_t used = 0;

	for (unsigned i = 0; i < nr; i++) {
		int n = str_printf(text + used, sizeof(text) - used, "%c%u",
				   perms[i].right, perms[i].domid);

		if (n < 0)
			return -E2BIG;
		used += (size_t)n + 1;
	}
	parts[1] = (struct iovec){ .iov_base = text, .iov_len = used };
	return talk(xs, XS_SET_PERMS, tx, parts, 2, NULL, NULL);
}

/* ---- watches
 * ----------------------------------------------------------------- */

static int talk_watch(struct xs *xs, enum xsd_sockmsg_type type,
		      const struct xs_watch *watch)
{
	struct iovec parts[] = { text_part(watch->path),
				 text_part(watch->token) };

	return talk(xs, type, XS_NO_TXN, parts, 2, NULL, NULL);
}

int xs_watch(struct xs *xs, const char *path, xs_watch_fn *fn, void *arg,
	     struct xs_watch **ret)
{
	size_t bytes = strlen(path) + 1;
	struct xs_watch *watch = malloc(sizeof(*watch) + bytes);
	int err;

	if (!watch)
		return -ENOMEM;
	list_init(&watch->events);
	watch->nr_events = 0;
	watch->fn = fn;
	watch->arg = arg;
	memcpy(watch->path, path, bytes);
	/* Never used again: a late event cannot be taken for another's. */
	err = str_printf(watch->token, sizeof(watch->token), "%llx",
			 (unsigned long long)++xs->last_token);
	list_add_tail(&xs->watches, &watch->link);
	if (err >= 0)
		err = talk_watch(xs, XS_WATCH, watch);
	if (err) {
		watch_free(watch);
		return err;
	}
	*ret = watch;
	return 0;
}

void xs_unwatch(struct xs *xs, struct xs_watch *watch)
{
	int err;

	if (!watch)
		return;
	/* Whatever it says: an event that comes after this has no watch. */
	err = talk_watch(xs, XS_UNWATCH, watch);
	(void)err;
	watch_free(watch);
}

bool xs_pending(const struct xs *xs)
{
	struct xsd_sockmsg hdr;

	return !xs->err &&
	       (!list_empty(&xs->events) || whole_message(xs, &hdr));
}

/* Run what is queued now; what callbacks cause comes with the next dispatch,
 * so that a watch which fires itself does not keep us here. */
static void run_events(struct xs *xs)
{
	struct list now = LIST_INIT(now);

	while (!list_empty(&xs->events)) {
		struct list *l = xs->events.next;

		list_del(l);
		list_add_tail(&now, l);
	}
	while (!list_empty(&now)) {
		struct event *event =
			container_of(now.next, struct event, link);
		xs_watch_fn *fn = event->watch->fn;
		void *arg = event->watch->arg;
		char path[XS_PATH_MAX];

		memcpy(path, event->path, strlen(event->path) + 1);
		event_free(event);
		fn(arg, path);
	}
}

int xs_dispatch(struct xs *xs)
{
	struct xsd_sockmsg hdr;
	int got;

	if (xs->err)
		return -ECONNRESET;
	got = next_answer(xs, &hdr);
	if (got == 0) {
		ssize_t n = receive(xs);

		/* What arrived before the end is still delivered. */
		if (n > 0)
			got = next_answer(xs, &hdr);
	}
	run_events(xs);
	if (got > 0) /* nobody asked */
		return lost(xs, -EPROTO);
	return xs->err;
}

/* ---- transactions, domains
 * ---------------------------------------------------- */

int xs_transaction_start(struct xs *xs, xs_txn_t *ret)
{
	char *text;
	size_t len;
	uint32_t id;
	int err =
		talk_text(xs, XS_TRANSACTION_START, XS_NO_TXN, "", &text, &len);

	if (err)
		return err;
	err = num_parse_u32(text, UINT32_MAX, &id);
	free(text);
	if (err || id == XS_NO_TXN)
		return lost(xs, -EPROTO);
	*ret = id;
	return 0;
}

int xs_transaction_end(struct xs *xs, xs_txn_t tx, bool commit)
{
	return talk_text(xs, XS_TRANSACTION_END, tx, commit ? "T" : "F", NULL,
			 NULL);
}

/* A request whose whole payload is nr numbers. */
static int talk_numbers(struct xs *xs, enum xsd_sockmsg_type type,
			const uint64_t *numbers, unsigned nr, char **ret,
			size_t *len)
{
	char text[NUMBERS_MAX][24];
	struct iovec parts[NUMBERS_MAX];

	for (unsigned i = 0; i < nr; i++) {
		int n = str_printf(text[i], sizeof(text[i]), "%llu",
				   (unsigned long long)numbers[i]);

		if (n < 0)
			return n;
		parts[i] = text_part(text[i]);
	}
	return talk(xs, type, XS_NO_TXN, parts, nr, ret, len);
}

int xs_is_domain_introduced(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;
	char *text;
	size_t len;
	int err = talk_numbers(xs, XS_IS_DOMAIN_INTRODUCED, &number, 1, &text,
			       &len);

	if (err)
		return err;
	if (strcmp(text, "T") == 0)
		err = 1;
	else if (strcmp(text, "F") != 0)
		err = lost(xs, -EPROTO);
	free(text);
	return err;
}

int xs_get_domain_path(struct xs *xs, uint32_t domid, char **ret)
{
	uint64_t number = domid;
	size_t len;

	return talk_numbers(xs, XS_GET_DOMAIN_PATH, &number, 1, ret, &len);
}

int xs_introduce(struct xs *xs, uint32_t domid, uint64_t gfn, uint32_t port)
{
	uint64_t numbers[] = { domid, gfn, port };

	return talk_numbers(xs, XS_INTRODUCE, numbers, 3, NULL, NULL);
}

int xs_release(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;

	return talk_numbers(xs, XS_RELEASE, &number, 1, NULL, NULL);
}

int xs_resume(struct xs *xs, uint32_t domid)
{
	uint64_t number = domid;

	return talk_numbers(xs, XS_RESUME, &number, 1, NULL, NULL);
}

int xs_set_target(struct xs *xs, uint32_t domid, uint32_t target)
{
	uint64_t numbers[] = { domid, target };

	return talk_numbers(xs, XS_SET_TARGET, numbers, 2, NULL, NULL);
}

int xs_control(struct xs *xs, const char *const *args, char **ret, size_t *len)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	struct iovec part = { .iov_base = payload };
	size_t unused;

	for (; *args; args++) {
		size_t bytes = strlen(*args) + 1;

		if (bytes > sizeof(payload) - part.iov_len)
			return -E2BIG;
		memcpy(payload + part.iov_len, *args, bytes);
		part.iov_len += bytes;
	}
	return talk(xs, XS_CONTROL, XS_NO_TXN, &part, 1, ret,
		    len ? len : &unused);
}
