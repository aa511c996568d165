/* SPDX-License-Identifier: MIT */
/*
 * libblk_iscsi.c - the least that can carry out a load of libblk.h on an iSCSI
 * target's LUN: a loop around libiscsi, with its own session, straight into one
 * buffer a transfer. Without libiscsi it cannot.
 */
#include <errno.h>

#include "bench/libblk.h"

#ifdef HAVE_ISCSI
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

#define SECTOR	  512
#define INITIATOR "iqn.2026-11.pvsplit:bench"

struct loop_run;

struct transfer {
	struct loop_run *run;
	struct scsi_iovec iov;
};

struct loop_run {
	const struct blk_load *load;
	struct iscsi_context *ctx;
	int lun;
	struct blk_walk walk;
	unsigned char *memory;
	struct transfer transfers[BLK_DEPTH_MAX];
	unsigned nr_under_way;
	uint64_t nr_done, end_ns;
	int err;
};

static void start(struct transfer *t);

static void ended(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct transfer *t = arg;
	struct loop_run *r = t->run;

	(void)ctx;
	scsi_free_scsi_task(data);
	r->nr_under_way--;
	r->nr_done++;
	if (status)
		r->err = -EIO;
	else if (clock_now_ns() < r->end_ns)
		start(t);
}

static void start(struct transfer *t)
{
	struct loop_run *r = t->run;
	uint32_t bytes = r->load->block_bytes;
	uint64_t lba = blk_walk_next(&r->walk) / SECTOR;
	struct scsi_task *task;

	if (r->load->write)
		task = iscsi_write16_iov_task(r->ctx, r->lun, lba, NULL, bytes,
					      SECTOR, 0, 0, 0, 0, 0, ended, t,
					      &t->iov, 1);
	else
		task = iscsi_read16_iov_task(r->ctx, r->lun, lba, bytes, SECTOR,
					     0, 0, 0, 0, 0, ended, t, &t->iov,
					     1);
	if (task)
		r->nr_under_way++;
	else
		r->err = -ENOMEM;
}

static int loop(struct loop_run *r)
{
	for (unsigned i = 0; i < r->load->depth; i++) {
		r->transfers[i].run = r;
		r->transfers[i].iov.iov_base =
			r->memory + (size_t)i * r->load->block_bytes;
		r->transfers[i].iov.iov_len = r->load->block_bytes;
		start(&r->transfers[i]);
	}
	while (r->nr_under_way && !r->err) {
		struct pollfd p = { .fd = iscsi_get_fd(r->ctx),
				    .events =
					    (short)iscsi_which_events(r->ctx) };

		if (poll(&p, 1, 1000) < 0 || iscsi_service(r->ctx, p.revents))
			return -EIO;
	}
	return r->err;
}

static int log_in(struct loop_run *r, const char *text)
{
	struct iscsi_url *url = iscsi_parse_full_url(r->ctx, text);
	int err = url ? 0 : -EINVAL;

	if (!err && (iscsi_set_session_type(r->ctx, ISCSI_SESSION_NORMAL) ||
		     iscsi_set_targetname(r->ctx, url->target) ||
		     iscsi_full_connect_sync(r->ctx, url->portal, url->lun)))
		err = -ECONNREFUSED;
	if (!err)
		r->lun = url->lun;
	if (url)
		iscsi_destroy_url(url);
	return err;
}

int blk_run_iscsi(const struct blk_disk *disk, const struct blk_load *load,
		  struct blk_rate *ret)
{
	struct loop_run r = { .load = load };
	struct blk_meter meter;
	int err = -ENOMEM;

	blk_walk_init(&r.walk, disk, load);
	r.memory = calloc(load->depth, load->block_bytes);
	r.ctx = iscsi_create_context(INITIATOR);
	if (r.memory && r.ctx)
		err = log_in(&r, disk->file);
	if (!err) {
		r.end_ns = clock_now_ns() + load->run_ns;
		blk_meter_start(&meter, disk);
		err = loop(&r);
		*ret = blk_meter_stop(&meter, disk, r.nr_done);
	}
	if (r.ctx)
		iscsi_destroy_context(r.ctx);
	free(r.memory);
	return err;
}
#else
int blk_run_iscsi(const struct blk_disk *disk, const struct blk_load *load,
		  struct blk_rate *ret)
{
	(void)disk;
	(void)load;
	(void)ret;
	return -EOPNOTSUPP;
}
#endif
