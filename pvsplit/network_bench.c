/* SPDX-License-Identifier: MIT */
/*
 * network_bench.c - network-bench: frames on interfaces that are attached, or
 * on two that are attached for it. The frames are netfront-bench's, a program
 * of its own, because a frontend is no part of the toolstack. See tool.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/tool.h"
#include "util/num.h"

#define PLACE_MAX 24 /* "DOMAIN:VIF" in numbers */

const struct cmd_option network_bench_options[] = {
	{ "vif", "SPEC", "attach two of these, to a domain of their own" },
	{ "peer", "DOMAIN:VIF", "the interface that receives or reflects" },
#define LOAD_OPTIONS (network_bench_options + 2) /* the program's own */
	{ "mode", "MODE", "send, receive, echo or reflect" },
	{ "to", "MAC", "whom to send to, without a peer of ours" },
	{ "ip", "ADDRESS", "that frames are sent from (198.18.0.1)" },
	{ "to-ip", "ADDRESS", "that they are sent to (198.18.0.2)" },
	{ "size", "SIZE,...", "bytes of the frames, in turn (64), or imix" },
	{ "rate", "RATE", "frames a second, or bits as in 10Mb/s; any" },
	{ "flows", "N", "UDP flows (one for each queue)" },
	{ "depth", "N", "echo: frames under way, each queue's (1)" },
	{ "queues", "N", "queues, with a thread each (1)" },
	{ "runtime", "SECONDS", "how long (5 to send, without --count)" },
	{ "count", "N", "how many frames" },
	{ "poll", NULL, "never sleep" },
	{ "max-loss", "PERCENT", "fail when more frames are lost" },
	{ "seed", "N", "that the frames are known by" },
	{ 0 },
};

const char network_bench_help[] =
	"Sends frames from an interface, as its domain does, and says how many\n"
	"went through, how many were lost or came out of order, and how long\n"
	"they took. With --peer or --vif another interface receives them (mode\n"
	"send) or sends them back (mode echo); without, they go --to whom a\n"
	"network-bench in mode receive or reflect listens, on this host or\n"
	"another. The domains themselves must not be using the interfaces.\n"
	"Ctrl-C ends it early, with the figures so far.\n";

/* NULL for peer: none. */
static int bench(struct pvsplit *ps, const struct args *args, const char *vif,
		 const char *peer)
{
	struct tool tool;

	if (tool_init(ps, "netfront-bench", &tool))
		return -ENOENT;
	tool_add(&tool, "--vif", vif);
	if (peer)
		tool_add(&tool, "--peer", peer);
	tool_add_options(&tool, args, LOAD_OPTIONS);
	return tool_run(ps, args->command, &tool);
}

static void place(domid_t domid, uint32_t handle, char buf[PLACE_MAX])
{
	snprintf(buf, PLACE_MAX, "%u:%u", domid, handle);
}

/* ---- two new interfaces -------------------------------------------------- */

struct new_vifs {
	const struct args *args;
	const struct vif_spec *spec;
};

static int bench_new_vifs(struct pvsplit *ps, domid_t domid, void *arg)
{
	const struct new_vifs *job = arg;
	char places[2][PLACE_MAX];
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		struct vif_spec spec = *job->spec;

		spec.handle = i;
		err = network_attach(ps, job->args->command, domid, &spec, NULL,
				     true, NULL);
		place(domid, i, places[i]);
	}
	return err ? err : bench(ps, job->args, places[0], places[1]);
}

static int run_new_vifs(struct pvsplit *ps, const struct args *args,
			const char *text)
{
	char why[SPEC_WHY_MAX];
	struct vif_spec spec;
	struct new_vifs job = { args, &spec };

	if (spec_vif_parse(text, false, &spec, why))
		return complain(-EINVAL, "%s: %s", args->command, why);
	if (spec.has_mac || spec.handle != SPEC_VIF_AUTO)
		return complain(-EINVAL,
				"%s: there will be two of it; leave mac= and "
				"vif= out",
				args->command);
	return tool_in_domain(ps, args->command, bench_new_vifs, &job);
}

/* ---- interfaces that are there ------------------------------------------- */

static int resolve(struct pvsplit *ps, const struct args *args,
		   const char *domain, const char *vif, char buf[PLACE_MAX])
{
	domid_t domid;
	uint32_t handle;
	int err;

	if (num_parse_u32(vif, SPEC_VIF_MAX, &handle))
		return complain(-EINVAL,
				"%s: '%s' is not a vif's number; 'pvsplit "
				"network-list' shows them",
				args->command, vif);
	err = domain_resolve(ps, args->command, domain, &domid);
	if (!err)
		place(domid, handle, buf);
	return err;
}

static int resolve_peer(struct pvsplit *ps, const struct args *args,
			const char *text, char buf[PLACE_MAX])
{
	const char *colon = strrchr(text, ':');
	char domain[DOMAIN_NAME_MAX];

	if (!colon || str_printf(domain, sizeof(domain), "%.*s",
				 (int)(colon - text), text) < 0)
		return complain_usage(args, "--peer takes DOMAIN:VIF");
	return resolve(ps, args, domain, colon + 1, buf);
}

int network_bench_run(struct pvsplit *ps, const struct args *args)
{
	const char *spec = args_get(args, "vif");
	const char *peer = args_get(args, "peer");
	char places[2][PLACE_MAX];
	int err;

	if (spec ? args->nr != 0 : args->nr != 2)
		return complain_usage(args, "give DOMAIN and VIF, or --vif");
	if (spec && peer)
		return complain_usage(args, "--vif attaches a peer, too");
	err = pvsplit_connect(ps);
	if (!err)
		err = pvsplit_catch_signals(ps);
	if (err)
		return err;
	if (spec)
		return run_new_vifs(ps, args, spec);
	err = resolve(ps, args, args->words[0], args->words[1], places[0]);
	if (!err && peer)
		err = resolve_peer(ps, args, peer, places[1]);
	return err ? err : bench(ps, args, places[0], peer ? places[1] : NULL);
}
