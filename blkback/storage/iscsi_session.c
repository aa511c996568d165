/* SPDX-License-Identifier: MIT */
/*
 * iscsi_session.c - a connection to a target, from its beginning to a LUN that
 * is known: connected, logged in (and sent elsewhere), asked what it is. Every
 * step is a callback of libiscsi's; nothing here waits. See iscsi.h.
 *
 * What a target sends is checked by libiscsi; what it says of itself is checked
 * here. Thread: who calls iscsi_session_serve().
 */
#include "blkback/storage/iscsi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "util/num.h"

#define TRIES_MAX     16
#define REDIRECTS_MAX 4
/* As nbd_target.c: a host that is silent for 20 s is gone. */
#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_NR	     3
#define UNACKED_MS	     20000

#define SECTOR_MAX	   4096u
#define PHYSICAL_MAX	   65536u
#define TRANSFER_MAX_BYTES (4u << 20)
#define UNMAP_MAX_BYTES	   (1u << 30)
#define PAGE_MAX_BYTES	   255

#define ASCQ_BECOMING_READY	0x0401
#define ASCQ_SPACE_EXHAUSTED	0x2707
#define ASCQ_INQUIRY_CHANGED	SCSI_SENSE_ASCQ_INQUIRY_DATA_HAS_CHANGED
#define MODE_WRITE_PROTECTED	0x80
#define SCSI_STATUS_SESSION_MIN SCSI_STATUS_CANCELLED

static void finish(struct iscsi_session *s, int err)
{
	s->state = err ? ISCSI_OVER : ISCSI_READY;
	s->err = err;
}

/* ---- what an end means --------------------------------------------------- */

static enum iscsi_end judge_sense(const struct scsi_sense *sense, int *ret_err)
{
	switch (sense->key) {
	case SCSI_SENSE_NO_SENSE:
	case SCSI_SENSE_RECOVERED_ERROR: *ret_err = 0; return ISCSI_END_DONE;
	case SCSI_SENSE_UNIT_ATTENTION:
		if (sense->ascq == SCSI_SENSE_ASCQ_CAPACITY_DATA_HAS_CHANGED)
			return ISCSI_END_SIZE;
		/* It may be write-protected now, or another disk. */
		if (sense->ascq == SCSI_SENSE_ASCQ_MODE_PARAMETERS_CHANGED ||
		    sense->ascq == ASCQ_INQUIRY_CHANGED)
			return ISCSI_END_SESSION;
		return ISCSI_END_RETRY;
	case SCSI_SENSE_COMMAND_ABORTED: return ISCSI_END_RETRY;
	case SCSI_SENSE_NOT_READY:
		if (sense->ascq == ASCQ_BECOMING_READY)
			return ISCSI_END_LATER;
		*ret_err = -ENOMEDIUM;
		return ISCSI_END_DONE;
	case SCSI_SENSE_DATA_PROTECTION:
		*ret_err =
			sense->ascq == ASCQ_SPACE_EXHAUSTED ? -ENOSPC : -EROFS;
		return ISCSI_END_DONE;
	case SCSI_SENSE_ILLEGAL_REQUEST:
		if (sense->ascq == SCSI_SENSE_ASCQ_INVALID_OPERATION_CODE)
			*ret_err = -EOPNOTSUPP;
		return ISCSI_END_DONE;
	case SCSI_SENSE_MEDIUM_ERROR:
	case SCSI_SENSE_HARDWARE_ERROR:
	case SCSI_SENSE_BLANK_CHECK:
	case SCSI_SENSE_VENDOR_SPECIFIC:
	case SCSI_SENSE_COPY_ABORTED:
	case SCSI_SENSE_OBSOLETE_ERROR_CODE:
	case SCSI_SENSE_OVERFLOW_COMMAND:
	case SCSI_SENSE_MISCOMPARE: break;
	}
	return ISCSI_END_DONE;
}

enum iscsi_end iscsi_session_judge(int status, const struct scsi_task *task,
				   int *ret_err)
{
	*ret_err = -EIO;
	if (status >= SCSI_STATUS_SESSION_MIN)
		return ISCSI_END_SESSION;
	switch (status) {
	case SCSI_STATUS_GOOD: *ret_err = 0; return ISCSI_END_DONE;
	case SCSI_STATUS_CHECK_CONDITION:
		return judge_sense(&task->sense, ret_err);
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL: return ISCSI_END_LATER;
	case SCSI_STATUS_TASK_ABORTED: return ISCSI_END_RETRY;
	case SCSI_STATUS_RESERVATION_CONFLICT: *ret_err = -EBUSY; break;
	default: break;
	}
	return ISCSI_END_DONE;
}

/* ---- questions to the LUN ------------------------------------------------ */

static int take_inquiry(struct iscsi_session *s, struct scsi_task *task)
{
	const struct scsi_inquiry_standard *i = scsi_datain_unmarshall(task);

	(void)s;
	if (!i)
		return -EPROTO;
	if (i->qualifier != SCSI_INQUIRY_PERIPHERAL_QUALIFIER_CONNECTED)
		return -ENODEV;
	return i->device_type ==
			       SCSI_INQUIRY_PERIPHERAL_DEVICE_TYPE_DIRECT_ACCESS
		       ? 0
		       : -ENOTBLK;
}

int iscsi_session_take_capacity(struct scsi_task *task, struct iscsi_seen *ret)
{
	const struct scsi_readcapacity16 *c = scsi_datain_unmarshall(task);
	uint64_t nr_sectors, physical;

	if (!c)
		return -EPROTO;
	if (c->block_length != 512 && c->block_length != SECTOR_MAX)
		return -EOPNOTSUPP;
	if (__builtin_add_overflow(c->returned_lba, 1, &nr_sectors) ||
	    nr_sectors > INT64_MAX / c->block_length)
		return -EOPNOTSUPP;
	physical = (uint64_t)c->block_length << c->lbppbe;
	ret->sector_bytes = c->block_length;
	ret->size_bytes = nr_sectors * c->block_length;
	ret->physical_bytes =
		physical <= PHYSICAL_MAX ? (uint32_t)physical : c->block_length;
	return 0;
}

static int take_capacity(struct iscsi_session *s, struct scsi_task *task)
{
	const struct scsi_readcapacity16 *c = scsi_datain_unmarshall(task);
	int err = iscsi_session_take_capacity(task, &s->seen);

	if (!err)
		s->is_thin = c->lbpme;
	s->seen.max_bytes = TRANSFER_MAX_BYTES;
	return err;
}

/* Not every target has it: then it is writable, with a cache. */
static int take_mode(struct iscsi_session *s, struct scsi_task *task)
{
	struct scsi_mode_sense *m = scsi_datain_unmarshall(task);
	const struct scsi_mode_page *page;

	if (!m)
		return 0;
	s->seen.readonly = m->device_specific_parameter & MODE_WRITE_PROTECTED;
	page = scsi_modesense_get_page(m, SCSI_MODEPAGE_CACHING, 0);
	if (page)
		s->seen.can_flush = page->caching.wce;
	return 0;
}

static int take_pages(struct iscsi_session *s, struct scsi_task *task)
{
	const struct scsi_inquiry_supported_pages *p =
		scsi_datain_unmarshall(task);

	for (int i = 0; p && i < p->num_pages; i++) {
		switch (p->pages[i]) {
		case SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION:
			s->has_identity = true;
			break;
		case SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS:
			s->has_limits = true;
			break;
		case SCSI_INQUIRY_PAGECODE_LOGICAL_BLOCK_PROVISIONING:
			s->has_provisioning = true;
			break;
		default: break;
		}
	}
	return 0;
}

/* FNV-1a over the page as it is. */
static int take_identity(struct iscsi_session *s, struct scsi_task *task)
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (int i = 0; i < task->datain.size; i++)
		sum = (sum ^ task->datain.data[i]) * 0x100000001b3u;
	s->seen.identity = sum;
	return 0;
}

static int take_limits(struct iscsi_session *s, struct scsi_task *task)
{
	const struct scsi_inquiry_block_limits *b =
		scsi_datain_unmarshall(task);
	const uint32_t sector = s->seen.sector_bytes;
	uint64_t granule;

	if (!b)
		return 0;
	if (b->max_xfer_len && b->max_xfer_len < s->seen.max_bytes / sector)
		s->seen.max_bytes = b->max_xfer_len * sector;
	s->seen.max_unmap_sectors = b->max_unmap < UNMAP_MAX_BYTES / sector
					    ? b->max_unmap
					    : UNMAP_MAX_BYTES / sector;
	granule =
		(uint64_t)(b->opt_unmap_gran ? b->opt_unmap_gran : 1) * sector;
	if (granule > UNMAP_MAX_BYTES)
		granule = sector;
	s->seen.unmap_granularity_bytes = (uint32_t)granule;
	if (b->ugavalid)
		s->seen.unmap_alignment_bytes =
			(uint32_t)((uint64_t)b->unmap_gran_align * sector %
				   granule);
	return 0;
}

static int take_provisioning(struct iscsi_session *s, struct scsi_task *task)
{
	const struct scsi_inquiry_logical_block_provisioning *p =
		scsi_datain_unmarshall(task);

	if (!p || !p->lbpu)
		s->is_thin = false;
	return 0;
}

static struct scsi_task *ask_ready(struct iscsi_session *s, iscsi_command_cb cb)
{
	return iscsi_testunitready_task(s->ctx, (int)s->target->lun, cb, s);
}

static struct scsi_task *ask_inquiry(struct iscsi_session *s,
				     iscsi_command_cb cb)
{
	return iscsi_inquiry_task(s->ctx, (int)s->target->lun, 0, 0,
				  PAGE_MAX_BYTES, cb, s);
}

static struct scsi_task *ask_capacity(struct iscsi_session *s,
				      iscsi_command_cb cb)
{
	return iscsi_readcapacity16_task(s->ctx, (int)s->target->lun, cb, s);
}

static struct scsi_task *ask_mode(struct iscsi_session *s, iscsi_command_cb cb)
{
	return iscsi_modesense6_task(
		s->ctx, (int)s->target->lun, 0, SCSI_MODESENSE_PC_CURRENT,
		SCSI_MODEPAGE_CACHING, 0, PAGE_MAX_BYTES, cb, s);
}

static struct scsi_task *ask_page(struct iscsi_session *s, int page,
				  iscsi_command_cb cb)
{
	return iscsi_inquiry_task(s->ctx, (int)s->target->lun, 1, page,
				  PAGE_MAX_BYTES, cb, s);
}

static struct scsi_task *ask_pages(struct iscsi_session *s, iscsi_command_cb cb)
{
	return ask_page(s, SCSI_INQUIRY_PAGECODE_SUPPORTED_VPD_PAGES, cb);
}

static struct scsi_task *ask_identity(struct iscsi_session *s,
				      iscsi_command_cb cb)
{
	return ask_page(s, SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION, cb);
}

static struct scsi_task *ask_limits(struct iscsi_session *s,
				    iscsi_command_cb cb)
{
	return ask_page(s, SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS, cb);
}

static struct scsi_task *ask_provisioning(struct iscsi_session *s,
					  iscsi_command_cb cb)
{
	return ask_page(s, SCSI_INQUIRY_PAGECODE_LOGICAL_BLOCK_PROVISIONING,
			cb);
}

static const struct question {
	struct scsi_task *(*ask)(struct iscsi_session *s, iscsi_command_cb cb);
	int (*take)(struct iscsi_session *s, struct scsi_task *task);
	bool must; /* without an answer it is no disk */
} questions[] = {
	{ ask_ready, NULL, true },
	{ ask_inquiry, take_inquiry, true },
	{ ask_capacity, take_capacity, true },
	{ ask_mode, take_mode, false },
	{ ask_pages, take_pages, false },
	{ ask_identity, take_identity, false },
	{ ask_limits, take_limits, false },
	{ ask_provisioning, take_provisioning, false },
};

static bool is_asked(const struct iscsi_session *s, unsigned question)
{
	if (questions[question].ask == ask_identity)
		return s->has_identity;
	if (questions[question].ask == ask_limits)
		return s->has_limits;
	if (questions[question].ask == ask_provisioning)
		return s->has_provisioning;
	return true;
}

static void answered(struct iscsi_context *ctx, int status, void *data,
		     void *arg);

static void ask(struct iscsi_session *s)
{
	while (s->question < ARRAY_SIZE(questions) && !is_asked(s, s->question))
		s->question++;
	if (s->question < ARRAY_SIZE(questions)) {
		if (!questions[s->question].ask(s, answered))
			finish(s, -ENOMEM);
		return;
	}
	if (!s->is_thin || !s->has_provisioning)
		s->seen.max_unmap_sectors = 0;
	finish(s, 0);
}

static void answered(struct iscsi_context *ctx, int status, void *data,
		     void *arg)
{
	struct iscsi_session *s = arg;
	const struct question *q = &questions[s->question];
	struct scsi_task *task = data;
	int err;
	enum iscsi_end end = iscsi_session_judge(status, task, &err);

	(void)ctx;
	if (s->state != ISCSI_ASKING)
		goto out;
	if (status >= SCSI_STATUS_SESSION_MIN) {
		finish(s, -ECONNRESET);
	} else if (end != ISCSI_END_DONE && end != ISCSI_END_LATER &&
		   s->nr_tries++ < TRIES_MAX) {
		ask(s);
	} else {
		if (end == ISCSI_END_LATER)
			err = -EBUSY;
		if (!err && q->take)
			err = q->take(s, task);
		if (err && q->must) {
			finish(s, err);
			goto out;
		}
		s->question++;
		s->nr_tries = 0;
		ask(s);
	}
out:
	scsi_free_scsi_task(task);
}

/* ---- connection and login ------------------------------------------------ */

static void connected(struct iscsi_context *ctx, int status, void *data,
		      void *arg);

/* ADDRESS[:PORT][,GROUP]: libiscsi would look a name up and wait for it. */
static bool is_number(const char *portal)
{
	char host[64];
	const char *from = portal, *to;
	struct in6_addr address;
	int family = AF_INET;

	if (*from == '[') {
		family = AF_INET6;
		to = strchr(++from, ']');
	} else {
		to = from + strcspn(from, ":,");
	}
	if (!to || (size_t)(to - from) >= sizeof(host))
		return false;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	return inet_pton(family, host, &address) == 1;
}

static void go_elsewhere(struct iscsi_session *s)
{
	const char *portal = iscsi_get_target_address(s->ctx);

	if (!portal || !is_number(portal) ||
	    s->nr_redirects++ > REDIRECTS_MAX) {
		finish(s, -EHOSTUNREACH);
		return;
	}
	s->moved = true;
	if (iscsi_disconnect(s->ctx) ||
	    iscsi_connect_async(s->ctx, portal, connected, s))
		finish(s, -ECONNREFUSED);
}

static void logged_in(struct iscsi_context *ctx, int status, void *data,
		      void *arg)
{
	struct iscsi_session *s = arg;

	(void)ctx;
	(void)data;
	if (s->state != ISCSI_CONNECTING)
		return;
	if (status == SCSI_STATUS_REDIRECT) {
		go_elsewhere(s);
	} else if (status == SCSI_STATUS_CANCELLED) {
		finish(s, -ECONNRESET);
	} else if (status) {
		/* A wrong name, a wrong password: it does not tell apart. */
		finish(s, -EACCES);
	} else {
		s->state = ISCSI_ASKING;
		ask(s);
	}
}

static void connected(struct iscsi_context *ctx, int status, void *data,
		      void *arg)
{
	struct iscsi_session *s = arg;

	(void)data;
	if (s->state == ISCSI_CONNECTING && !status) {
		if (iscsi_login_async(ctx, logged_in, s))
			finish(s, -ENOMEM);
	} else if (s->state != ISCSI_OVER) {
		finish(s, s->state == ISCSI_CONNECTING ? -ECONNREFUSED
						       : -ECONNRESET);
	}
}

int iscsi_session_begin(struct iscsi_session *s, const struct iscsi_target *t,
			unsigned nr)
{
	struct iscsi_context *ctx = iscsi_create_context(t->initiator);

	if (!ctx)
		return -ENOMEM;
	*s = (struct iscsi_session){ .target = t,
				     .ctx = ctx,
				     .seen.can_flush = true };
	iscsi_set_noautoreconnect(ctx, 1);
	iscsi_set_tcp_keepidle(ctx, KEEPALIVE_IDLE_S);
	iscsi_set_tcp_keepintvl(ctx, KEEPALIVE_INTERVAL_S);
	iscsi_set_tcp_keepcnt(ctx, KEEPALIVE_NR);
	iscsi_set_tcp_user_timeout(ctx, UNACKED_MS);
	if (iscsi_set_isid_random(ctx, t->isid, nr) ||
	    iscsi_set_targetname(ctx, t->name) ||
	    iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL) ||
	    (t->user[0] &&
	     iscsi_set_initiator_username_pwd(ctx, t->user, t->password))) {
		iscsi_session_end(s);
		return -EINVAL;
	}
	if (iscsi_connect_async(ctx, t->portal, connected, s)) {
		iscsi_session_end(s);
		return -ECONNREFUSED;
	}
	return 0;
}

void iscsi_session_end(struct iscsi_session *s)
{
	if (!s || !s->ctx)
		return;
	s->state = ISCSI_OVER;
	iscsi_destroy_context(s->ctx);
	s->ctx = NULL;
}

void iscsi_session_serve(struct iscsi_session *s, uint32_t events)
{
	if (iscsi_service(s->ctx, (int)events) && s->state != ISCSI_OVER)
		finish(s, s->state == ISCSI_CONNECTING ? -ECONNREFUSED
						       : -ECONNRESET);
}

uint32_t iscsi_session_wants(struct iscsi_session *s)
{
	return (uint32_t)iscsi_which_events(s->ctx);
}
