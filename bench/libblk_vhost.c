/* SPDX-License-Identifier: MIT */
/* libblk_vhost.c - a load of libblk.h over vhost-user-blk. */
#include <errno.h>

#include "bench/harness.h"
#include "bench/libblk.h"
#include "bench/libvhost.h"
#include "util/clock.h"

int blk_run_vhost(const struct blk_disk *disk, const struct blk_load *load,
		  struct blk_rate *ret)
{
	struct vhost_blk *vb = disk->vhost;
	struct blk_meter meter;
	struct blk_walk walk;
	uint64_t nr_done = 0, nr_sent = 0;
	bool over = false;
	int err = 0;

	if (bench_pin(0))
		return -EIO;
	blk_walk_init(&walk, disk, load);
	blk_meter_start(&meter, disk);
	for (unsigned i = 0; i < load->depth; i++, nr_sent++)
		vhost_blk_put(vb, i, load->write, blk_walk_next(&walk),
			      load->block_bytes);
	vhost_blk_kick(vb);
	while (nr_done < nr_sent && !err) {
		uint64_t nr_before = nr_done;
		unsigned slot;

		while ((err = vhost_blk_get(vb, &slot)) > 0) {
			nr_done++;
			if (over)
				continue;
			nr_sent++;
			vhost_blk_put(vb, slot, load->write,
				      blk_walk_next(&walk), load->block_bytes);
		}
		vhost_blk_kick(vb);
		if (nr_done != nr_before)
			over |= clock_now_ns() >= meter.start_ns + load->run_ns;
		else if (load->sleeps)
			vhost_blk_sleep(vb);
		else
			clock_cpu_relax();
	}
	*ret = blk_meter_stop(&meter, disk, nr_done);
	return err;
}
