/* SPDX-License-Identifier: MIT */
/* network_limit.c - network-limit: the limits of a vif and of its group. */
#include "pvsplit/attach.h"
#include "pvsplit/jobs.h"
#include "pvsplit/limits.h"
#include "util/num.h"

const struct cmd_option network_limit_options[] = {
	{ "packets", "N", "frames a second, both ways together" },
	{ "rx-packets", "N", "frames a second to the guest" },
	{ "tx-packets", "N", "frames a second from the guest" },
	{ "bytes", "SIZE", "bytes a second, both ways together" },
	{ "rx-bytes", "SIZE", "bytes a second to the guest" },
	{ "tx-bytes", "SIZE", "bytes a second from the guest" },
	{ "burst", "MS", "what may be saved up while idle, as time (100)" },
	{ "group", "NAME", "share the group's limits; those named are its" },
	{ "none", NULL, "no limits any more, and no group" },
	{ 0 },
};

const char network_limit_help[] =
	"Without options: show them. Limits that are not named stay as they\n"
	"are; 0 takes one away. A size may end in K, M, G or T. What the guest\n"
	"sends beyond its limit waits in its ring; what comes for it beyond its\n"
	"limit is dropped. All interfaces of a driver domain with the same\n"
	"group share the limits of that group; each may have limits of its own\n"
	"besides. A change is obeyed at once.\n";

int network_limit_run(struct pvsplit *ps, const struct args *args)
{
	char name[16];
	uint32_t handle;
	int err = network_handle(args, &handle);

	if (err)
		return err;
	err = str_printf(name, sizeof(name), "vif %u", handle);
	return err < 0 ? err : limits_run(ps, args, DEVICE_VIF, handle, name);
}
