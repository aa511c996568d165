/* SPDX-License-Identifier: MIT */
/* sim.c - the simulated world: domains, chance, death. See sim.h. */
#include "platform/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "platform/sim_private.h"

int sim_open(uint64_t seed, struct sim **ret)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		return -ENOMEM;
	sim->random_state = seed;
	list_init(&sim->domains);
	list_init(&sim->shares);
	list_init(&sim->channels);
	list_init(&sim->travelling);
	*ret = sim;
	return 0;
}

void sim_close(struct sim *sim)
{
	if (!sim)
		return;
	assert(list_empty(&sim->domains) && list_empty(&sim->shares) &&
	       list_empty(&sim->channels));
	free(sim);
}

void sim_set_faults(struct sim *sim, const struct sim_faults *faults)
{
	sim->faults = *faults;
}

/* Splitmix64: any seed is a good seed. */
uint64_t sim_random(struct sim *sim)
{
	uint64_t z = sim->random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

bool sim_strikes(struct sim *sim, uint32_t chance)
{
	return chance && sim_random(sim) % SIM_CHANCE_ONE < chance;
}

struct sim_domain *sim_find(struct sim *sim, domid_t domid)
{
	list_for_each(link, &sim->domains) {
		struct sim_domain *d =
			container_of(link, struct sim_domain, link);

		if (d->platform.domid == domid && !d->dead)
			return d;
	}
	return NULL;
}

static void domain_end(struct sim_domain *d)
{
	if (d->dead)
		return;
	d->dead = true;
	sim_grants_end(d);
	sim_evtchns_end(d);
}

void sim_kill(struct sim *sim, domid_t domid)
{
	struct sim_domain *d = sim_find(sim, domid);

	if (d)
		domain_end(d);
}

static void sim_platform_close(struct platform *p)
{
	struct sim_domain *d = sim_domain_of(p);

	domain_end(d);
	list_del(&d->link);
	free(d);
}

static int sim_store_connect(struct platform *p)
{
	(void)p;
	return -EOPNOTSUPP;
}

static const struct platform_ops sim_ops = {
	.close = sim_platform_close,
	.store_connect = sim_store_connect,
	.share = sim_share,
	.unshare = sim_unshare,
	.map = sim_map,
	.unmap = sim_unmap,
	.copy = sim_copy,
	.evtchn_alloc = sim_evtchn_alloc,
	.evtchn_bind = sim_evtchn_bind,
	.evtchn_notify = sim_evtchn_notify,
	.evtchn_clear = sim_evtchn_clear,
	.evtchn_close = sim_evtchn_close,
};

int sim_platform(struct sim *sim, domid_t domid, struct platform **ret)
{
	struct sim_domain *d;

	if (domid >= DOMID_FIRST_RESERVED)
		return -EINVAL;
	if (sim_find(sim, domid))
		return -EEXIST;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->platform.ops = &sim_ops;
	d->platform.domid = domid;
	d->sim = sim;
	d->next_ref = GNTTAB_NR_RESERVED_ENTRIES;
	d->next_port = 1;
	list_init(&d->maps);
	list_add_tail(&sim->domains, &d->link);
	*ret = &d->platform;
	return 0;
}

uint32_t sim_nr_shares(const struct sim *sim)
{
	return sim->nr_shares;
}

uint32_t sim_nr_mapped_pages(const struct sim *sim)
{
	return sim->nr_mapped_pages;
}

uint32_t sim_nr_channels(const struct sim *sim)
{
	return sim->nr_channels;
}
