/* SPDX-License-Identifier: MIT */
/* drivers.c - every NIC driver there is; see netback/nic.h. */
#include "netback/nic.h"

#include <errno.h>
#include <string.h>

#include "netback/nic/private.h"
#include "util/num.h"

const struct nic_ops *const nic_drivers[] = {
	&nic_tap,    &nic_af_packet,
#ifdef HAVE_AF_XDP
	&nic_af_xdp,
#endif
	&nic_null,   NULL,
};

const struct nic_ops *nic_by_name(const char *name)
{
	for (const struct nic_ops *const *d = nic_drivers; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}

int nic_explain(int err, char *why, size_t why_size, const char *what)
{
	if (str_printf(why, why_size, "%s: %s%s", what, strerror(-err),
		       err == -EPERM || err == -EACCES
			       ? "; it needs root or CAP_NET_ADMIN"
			       : "") < 0 &&
	    why_size)
		why[0] = '\0';
	return err;
}
