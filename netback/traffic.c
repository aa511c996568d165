/* SPDX-License-Identifier: MIT */
/* traffic.c - figures of a vif's queue. See traffic.h. */
#include "netback/traffic.h"

#include <stddef.h>

/* ---- the data thread ----------------------------------------------------- */

void traffic_rx(struct traffic *a, uint32_t size_bytes)
{
	a->rx_packets++;
	a->rx_bytes += size_bytes;
	a->nr_shown++;
}

void traffic_rx_shown(struct traffic *a)
{
	if (a->nr_shown)
		hist_record(&a->rx_batch, a->nr_shown);
	a->nr_shown = 0;
}

void traffic_tx_batch(struct traffic *a, struct times_state *state, unsigned nr,
		      uint64_t held_ns)
{
	state->answered = nr > 0;
	times_batch(&a->times, state);
	if (!nr)
		return;
	hist_record(&a->tx_batch, nr);
	if (held_ns) {
		hist_record(&a->tx_delay_ns, state->now_ns - held_ns);
		nr--;
	}
	hist_record_many(&a->tx_delay_ns, state->now_ns - state->begun_ns, nr);
}

/* ---- readers ------------------------------------------------------------- */

void traffic_add(struct traffic *to, const struct traffic *from,
		 uint64_t now_ns)
{
	to->rx_packets += from->rx_packets;
	to->rx_bytes += from->rx_bytes;
	to->rx_errors += from->rx_errors;
	to->rx_cut += from->rx_cut;
	to->rx_waited += from->rx_waited;
	for (unsigned i = 0; i < TRAFFIC_NR_DROPS; i++)
		to->rx_drops[i] += from->rx_drops[i];
	to->tx_packets += from->tx_packets;
	to->tx_bytes += from->tx_bytes;
	to->tx_errors += from->tx_errors;
	for (unsigned i = 0; i < SWITCH_NR_DROPS; i++)
		to->tx_drops[i] += from->tx_drops[i];
	hist_merge(&to->rx_batch, &from->rx_batch);
	hist_merge(&to->rx_wait_ns, &from->rx_wait_ns);
	hist_merge(&to->tx_batch, &from->tx_batch);
	hist_merge(&to->tx_delay_ns, &from->tx_delay_ns);
	times_add(&to->times, &from->times, now_ns);
}

uint64_t traffic_rx_dropped(const struct traffic *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < TRAFFIC_NR_DROPS; i++)
		sum += a->rx_drops[i];
	return sum;
}

uint64_t traffic_tx_dropped(const struct traffic *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SWITCH_NR_DROPS; i++)
		sum += a->tx_drops[i];
	return sum;
}

/* ---- text ---------------------------------------------------------------- */

static const char *const drop_names[TRAFFIC_NR_DROPS] = {
	[TRAFFIC_DROP_FULL] = "full",	      [TRAFFIC_DROP_OLD] = "old",
	[TRAFFIC_DROP_UNABLE] = "unable",     [TRAFFIC_DROP_LIMIT] = "limit",
	[TRAFFIC_DROP_FILTERED] = "filtered", [TRAFFIC_DROP_LINK] = "link",
};

void traffic_put(const struct traffic *a, struct figures *f)
{
	figures_put(f, "rx_packets", "", a->rx_packets);
	figures_put(f, "rx_bytes", "", a->rx_bytes);
	figures_put(f, "rx_errors", "", a->rx_errors);
	figures_put(f, "rx_cut", "", a->rx_cut);
	figures_put(f, "rx_waited", "", a->rx_waited);
	figures_put(f, "rx_dropped", "", traffic_rx_dropped(a));
	for (unsigned i = 0; i < TRAFFIC_NR_DROPS; i++)
		figures_put(f, "rx_drop_", drop_names[i], a->rx_drops[i]);
	figures_put(f, "tx_packets", "", a->tx_packets);
	figures_put(f, "tx_bytes", "", a->tx_bytes);
	figures_put(f, "tx_errors", "", a->tx_errors);
	figures_put(f, "tx_dropped", "", traffic_tx_dropped(a));
	for (unsigned i = 0; i < SWITCH_NR_DROPS; i++)
		figures_put(f, "tx_drop_",
			    switch_drop_name((enum switch_drop)i),
			    a->tx_drops[i]);
	figures_put_hist(f, "rx_batch", &a->rx_batch);
	figures_put_hist(f, "rx_wait_ns", &a->rx_wait_ns);
	figures_put_hist(f, "tx_batch", &a->tx_batch);
	figures_put_hist(f, "tx_delay_ns", &a->tx_delay_ns);
	figures_put_times(f, &a->times);
}

const struct hist *traffic_hist(const struct traffic *a, unsigned i,
				const char **ret_name)
{
	const struct {
		const char *name;
		const struct hist *hist;
	} hists[] = {
		{ "rx_batch", &a->rx_batch },
		{ "rx_wait_ns", &a->rx_wait_ns },
		{ "tx_batch", &a->tx_batch },
		{ "tx_delay_ns", &a->tx_delay_ns },
	};

	if (i >= sizeof(hists) / sizeof(hists[0]))
		return NULL;
	*ret_name = hists[i].name;
	return hists[i].hist;
}
