/* SPDX-License-Identifier: MIT */
/*
 * netfront-bench.c - generates and counts frames on split interfaces: rates,
 * loss, order, latencies. `pvsplit network-bench` starts it. See netbench.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfront/tools/options.h"
#include "netfront/tools/report.h"
#include "tools/stop.h"
#include "util/log.h"

#define WHY_BYTES  256
#define PAGE_BYTES 4096u

static int open_vif(const struct netfront_config *vif, struct netfront **ret)
{
	char why[WHY_BYTES] = "";
	int err = netfront_open(vif, ret, why, sizeof(why));

	if (err)
		log_error("vif %u of domain %u: %s", vif->handle, vif->domid,
			  why);
	return err;
}

/* From here, to there; what is sent must be possible. */
static int set_path(struct options *opt, struct netfront *const ends[2])
{
	struct netbench_config *b = &opt->bench;
	struct netfront_info info;

	netfront_info(ends[0], &info);
	memcpy(b->path.from_mac, info.mac, sizeof(info.mac));
	for (uint32_t i = 0; i < b->nr_sizes; i++)
		if (b->sizes[i] > PAGE_BYTES && !info.sg) {
			log_error("--size %u: this backend takes frames of %u "
				  "bytes at most",
				  b->sizes[i], PAGE_BYTES);
			return -EINVAL;
		}
	if (opt->both) {
		netfront_info(ends[1], &info);
		memcpy(b->path.to_mac, info.mac, sizeof(info.mac));
	}
	return 0;
}

static int judge(const struct options *opt, const struct netbench_result *r)
{
	double loss = report_loss_percent(r);

	if (opt->bench.mode == NETBENCH_REFLECT ||
	    (opt->bench.mode == NETBENCH_SEND && !opt->both))
		return 0;
	fflush(stdout);
	if (!r->received.frames) {
		log_error("nothing arrived");
		return -ENODATA;
	}
	if (opt->max_loss >= 0 && loss > opt->max_loss) {
		log_error("%.4f %% of the frames were lost, more than %g %%",
			  loss, opt->max_loss);
		return -ENODATA;
	}
	return 0;
}

static int run(struct options *opt, struct netbench_result *result)
{
	struct netfront *ends[2] = { NULL, NULL };
	int err = open_vif(&opt->vifs[0], &ends[0]);

	if (!err && opt->both)
		err = open_vif(&opt->vifs[1], &ends[1]);
	if (!err)
		err = set_path(opt, ends);
	stop_catch();
	if (!err) {
		err = netbench_run(ends, &opt->bench, result);
		if (err == -ETIMEDOUT)
			log_error("frames of the interface do not reach the "
				  "other one: are both on one bridge?");
		else if (err)
			log_error("it did not go to its end: %s",
				  strerrordesc_np(-err));
		else
			err = report_print(opt, result);
		if (!err)
			err = judge(opt, result);
	}
	netfront_close(ends[1]);
	netfront_close(ends[0]);
	return err;
}

int main(int argc, char **argv)
{
	static struct options opt;
	struct netbench_result *result;
	int err;

	log_init(PROGRAM, LOG_WARN);
	err = options_parse(argc, argv, &opt);
	if (err)
		return err > 0 ? 0 : 2;
	result = calloc(1, sizeof(*result));
	if (!result) {
		log_error("out of memory");
		return 1;
	}
	err = run(&opt, result);
	free(result);
	return err || fflush(stdout) ? 1 : 0;
}
