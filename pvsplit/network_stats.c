/* SPDX-License-Identifier: MIT */
/* network_stats.c - network-stats: what vifs did and why frames were dropped.
 */
#include "pvsplit/attach.h"
#include "pvsplit/jobs.h"
#include "pvsplit/stats_list.h"

const char network_stats_help[] =
	"Since the interface was connected; RX is what the guest received.\n"
	"ERRORS: frames that the guest got wrong; DROPPED: those that went\n"
	"nowhere. DELAY P99: what 99 of 100 frames waited at most, from when\n"
	"they were found in the ring. BATCH: frames that were found at once, as\n"
	"a median. BUSY, STALLED, FULL, THROTTLED: shares of the time, of the\n"
	"guest's sending, as block-stats has them. --json has all figures, the\n"
	"reasons of drops, each queue and the histograms.\n";

/* What the table shows of the figures. */
static void refine(json_t *row, const json_t *stats)
{
	stats_add_sum(row, stats, "rx_packets", "rx-packets");
	stats_add_sum(row, stats, "rx_bytes", "rx-bytes");
	stats_add_sum(row, stats, "tx_packets", "tx-packets");
	stats_add_sum(row, stats, "tx_bytes", "tx-bytes");
	stats_add_sum(row, stats, "rx_errors tx_errors", "errors");
	stats_add_sum(row, stats, "rx_dropped tx_dropped", "dropped");
	stats_add_duration(row, stats, "tx_delay_ns-p99", "delay");
	stats_add_sum(row, stats, "tx_batch-p50", "batch");
	stats_add_shares(row, stats);
}

int network_stats_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "domain", "DOMAIN" },
		{ "handle", "VIF" },
		{ "rx-packets", "RX" },
		{ "rx-bytes", "RX BYTES" },
		{ "tx-packets", "TX" },
		{ "tx-bytes", "TX BYTES" },
		{ "errors", "ERRORS" },
		{ "dropped", "DROPPED" },
		{ "delay", "DELAY P99" },
		{ "batch", "BATCH" },
		{ "busy", "BUSY" },
		{ "stalled", "STALLED" },
		{ "full", "FULL" },
		{ "throttled", "THROTTLED" },
		{ 0 },
	};
	struct stats_list s = {
		.kind = DEVICE_VIF,
		.one = args->nr == 2,
		.refine = refine,
		.columns = columns,
		.list_command = "network-list",
	};
	int err = s.one ? network_handle(args, &s.handle) : 0;

	return err ? err : stats_list_run(ps, args, &s);
}
