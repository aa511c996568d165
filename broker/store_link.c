/* SPDX-License-Identifier: MIT */
/*
 * store_link.c - a note of every domain: what the store knows of it. See
 * store_link.h.
 */
#include "broker/store_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/lite_wire.h"
#include "util/clock.h"
#include "util/fdmsg.h"
#include "util/list.h"
#include "util/log.h"
#include "xenstore-lite/domctl.h"

_Static_assert(DOMCTL_NAME_MAX == LITE_NAME_MAX, "one notion of a name");

/* Until a send is tried again that failed although nothing was under way. */
#define RETRY_NS (50 * NS_PER_MS)

enum note_state {
	QUEUED, /* a message of it is to be sent */
	SENT,	/* its answer is due; answers come in this order */
	KNOWN,
	OVER, /* ended before this store was told of it: SYNCED will tell */
};
#define NR_STATES (OVER + 1)

struct note {
	struct list link; /* in link.notes[state] */
	enum note_state state;
	uint64_t life;
	enum domctl_op asked; /* what the message in flight says */
	domid_t domid;
	uid_t uid;
	int store_fd;
	bool heard; /* some store may know of it: a CREATE was sent once */
	bool known; /* a store said so, and so did we */
	bool ended;
	char name[DOMCTL_NAME_MAX];
};

struct store_link {
	struct loop *loop;
	const struct store_link_ops *ops;
	void *arg;
	int sock;	     /* -1: no store */
	struct loop_fd *src; /* NULL: it is not talked to any more */
	struct loop_timer *retry;
	uint64_t next_seq, next_answer;
	uint64_t sync_seq; /* 0: not sent to this store yet */
	bool connected;	   /* DOMCTL_BROKER was the first message */
	struct list notes[NR_STATES];
	struct note *by_id[DOMID_FIRST_RESERVED]; /* those that live */
};

static struct note *first(struct list *list)
{
	return container_of(list->next, struct note, link);
}

static void move(struct store_link *link, struct note *note,
		 enum note_state state)
{
	list_del(&note->link);
	list_add_tail(&link->notes[state], &note->link);
	note->state = state;
}

static void forget(struct store_link *link, struct note *note)
{
	if (link->by_id[note->domid] == note)
		link->by_id[note->domid] = NULL;
	list_del(&note->link);
	free(note);
}

/* ---- telling ------------------------------------------------------------ */

/* 0; -EAGAIN later; another -errno: the store is going, or gone. */
static int send_message(struct store_link *link, struct domctl_msg *msg, int fd)
{
	int err;

	msg->version = DOMCTL_VERSION;
	msg->seq = link->next_seq;
	err = fdmsg_send(link->sock, msg, sizeof(*msg), &fd, fd >= 0,
			 MSG_DONTWAIT);
	if (!err)
		link->next_seq++;
	return err;
}

static int tell(struct store_link *link, struct note *note)
{
	enum domctl_op op = note->ended ? DOMCTL_DESTROY : DOMCTL_CREATE;
	struct domctl_msg msg = { .op = op,
				  .life = note->life,
				  .domid = note->domid };
	int fd = -1, err;

	if (!note->ended) {
		msg.uid = note->uid;
		memcpy(msg.name, note->name, sizeof(msg.name));
		fd = note->store_fd;
	}
	err = send_message(link, &msg, fd);
	if (err)
		return err;
	note->asked = op;
	note->heard = true;
	move(link, note, SENT);
	return 0;
}

static int tell_synced(struct store_link *link)
{
	struct domctl_msg msg = { .op = DOMCTL_SYNCED };
	int err = send_message(link, &msg, -1);

	if (!err)
		link->sync_seq = msg.seq;
	return err;
}

/* Without it the store serves sockets alone. */
static void tell_broker(struct store_link *link)
{
	struct domctl_msg msg = { .op = DOMCTL_BROKER };
	int fd;

	link->connected = false;
	if (!link->ops->connection)
		return;
	fd = link->ops->connection(link->arg);
	if (fd < 0)
		log_error("no connection for the store: %s; it serves no rings",
			  strerror(-fd));
	else
		link->connected = send_message(link, &msg, fd) == 0;
}

/*
 * As much as the window has room for. What cannot be sent now is sent after
 * the next answer, or a while later when none is due; a store that is going
 * says so by its end of file.
 */
static void pump(void *arg)
{
	struct store_link *link = arg;
	int err = 0;

	if (!link->src)
		return;
	while (!err && link->next_seq - link->next_answer < STORE_LINK_WINDOW) {
		if (!list_empty(&link->notes[QUEUED]))
			err = tell(link, first(&link->notes[QUEUED]));
		else if (!link->sync_seq)
			err = tell_synced(link);
		else
			break;
	}
	if (err && link->next_seq == link->next_answer)
		loop_timer_arm(link->retry, clock_now_ns() + RETRY_NS);
}

/* ---- hearing ------------------------------------------------------------ */

/* An answer to CREATE of a domain that lives. */
static void created(struct store_link *link, struct note *note, int status)
{
	bool fresh = !note->known;
	domid_t domid = note->domid;
	uint64_t life = note->life;

	if (status && !fresh)
		log_error("domain %u (%s) lives, but the store refuses it: %s; "
			  "it is without a store until that starts again",
			  domid, note->name, strerror(-status));
	if (status && fresh) {
		forget(link, note);
	} else {
		note->known = true;
		move(link, note, KNOWN);
	}
	if (fresh)
		link->ops->created(link->arg, domid, life, status);
}

static void destroyed(struct store_link *link, struct note *note)
{
	uint64_t life = note->life;

	forget(link, note);
	link->ops->destroyed(link->arg, life);
}

static void connected(int status)
{
	if (status)
		log_error("the store cannot use its connection: %s; it serves "
			  "no rings",
			  strerror(-status));
}

static void synced(struct store_link *link)
{
	while (!list_empty(&link->notes[OVER]))
		destroyed(link, first(&link->notes[OVER]));
	link->ops->synced(link->arg);
}

/* -EPROTO: no answer to what is due one. */
static int answer(struct store_link *link, const struct domctl_msg *msg)
{
	struct note *note = NULL;
	enum domctl_op op = DOMCTL_SYNCED;

	if (link->next_answer == link->next_seq)
		return -EPROTO;
	if (link->connected && link->next_answer == 1) {
		op = DOMCTL_BROKER;
	} else if (link->next_answer != link->sync_seq) {
		note = first(&link->notes[SENT]);
		op = note->asked;
	}
	if (msg->version != DOMCTL_VERSION || msg->seq != link->next_answer ||
	    msg->op != op || msg->status > 0 || msg->status < -4095)
		return -EPROTO;
	link->next_answer++;
	if (op == DOMCTL_BROKER)
		connected(msg->status);
	else if (op == DOMCTL_SYNCED)
		synced(link);
	else if (op == DOMCTL_DESTROY)
		destroyed(link, note);
	else if (note->ended)
		move(link, note, QUEUED); /* DESTROY comes next */
	else
		created(link, note, msg->status);
	return 0;
}

static void mute(struct store_link *link)
{
	loop_fd_remove(link->src);
	link->src = NULL;
}

static void store_answers(void *arg, uint32_t events)
{
	struct store_link *link = arg;
	struct domctl_msg msg;
	int err = 0;

	(void)events;
	for (int i = 0; i < STORE_LINK_WINDOW; i++) {
		ssize_t n = fdmsg_recv(link->sock, &msg, sizeof(msg), NULL,
				       NULL, MSG_DONTWAIT);

		if (n == -EAGAIN)
			break;
		if (n == sizeof(msg))
			err = answer(link, &msg);
		else
			err = n == 0 || n == -ECONNRESET ? -ECONNRESET
							 : -EPROTO;
		if (err) {
			mute(link);
			link->ops->lost(link->arg, err);
			return;
		}
	}
	pump(link);
}

/* ---- a store comes and goes --------------------------------------------- */

int store_link_attach(struct store_link *link, int sock)
{
	int err = loop_fd_add(link->loop, sock, EPOLLIN, store_answers, link,
			      &link->src);

	if (err)
		return err;
	link->sock = sock;
	link->next_seq = link->next_answer = 1;
	link->sync_seq = 0;
	tell_broker(link);
	pump(link);
	return 0;
}

static void take_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *l = from->next;

		list_del(l);
		list_add_tail(to, l);
	}
}

void store_link_detach(struct store_link *link)
{
	struct list all = LIST_INIT(all);

	if (link->sock < 0)
		return;
	mute(link);
	close(link->sock);
	link->sock = -1;
	/* The older ones first, as they were told. */
	take_all(&link->notes[KNOWN], &all);
	take_all(&link->notes[SENT], &all);
	take_all(&link->notes[QUEUED], &all);
	while (!list_empty(&all)) {
		struct note *note = first(&all);

		move(link, note, note->ended ? OVER : QUEUED);
	}
}

int store_link_end(struct store_link *link)
{
	struct domctl_msg msg = { .op = DOMCTL_END };
	int err;

	if (!link->src)
		return -ENOTCONN;
	err = send_message(link, &msg, -1);
	mute(link);
	return err;
}

/* ---- domains ------------------------------------------------------------ */

int store_link_create(struct store_link *link,
		      const struct broker_domain *domain)
{
	struct note *note = calloc(1, sizeof(*note));

	if (!note)
		return -ENOMEM;
	note->life = domain->life;
	note->domid = domain->domid;
	note->uid = domain->uid;
	note->store_fd = domain->store_fd;
	memcpy(note->name, domain->name,
	       strnlen(domain->name, sizeof(note->name) - 1));
	list_init(&note->link);
	move(link, note, QUEUED);
	link->by_id[note->domid] = note;
	pump(link);
	return -EINPROGRESS;
}

int store_link_destroy(struct store_link *link, domid_t domid, uint64_t life)
{
	struct note *note = link->by_id[domid];

	if (!note || note->life != life)
		return 0;
	link->by_id[domid] = NULL;
	note->ended = true;
	if (note->state == QUEUED && !note->heard) {
		forget(link, note);
		return 0;
	}
	/* One that is SENT waits for its answer. */
	if (note->state == QUEUED)
		move(link, note, OVER);
	else if (note->state == KNOWN)
		move(link, note, QUEUED);
	pump(link);
	return -EINPROGRESS;
}

int store_link_open(struct loop *loop, const struct store_link_ops *ops,
		    void *arg, struct store_link **ret)
{
	struct store_link *link = calloc(1, sizeof(*link));
	int err;

	if (!link)
		return -ENOMEM;
	err = loop_timer_add(loop, pump, link, &link->retry);
	if (err) {
		free(link);
		return err;
	}
	link->loop = loop;
	link->ops = ops;
	link->arg = arg;
	link->sock = -1;
	for (unsigned i = 0; i < NR_STATES; i++)
		list_init(&link->notes[i]);
	*ret = link;
	return 0;
}

void store_link_close(struct store_link *link)
{
	if (!link)
		return;
	store_link_detach(link);
	loop_timer_remove(link->retry);
	for (unsigned i = 0; i < NR_STATES; i++)
		while (!list_empty(&link->notes[i]))
			forget(link, first(&link->notes[i]));
	free(link);
}
