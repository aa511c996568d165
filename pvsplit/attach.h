/* SPDX-License-Identifier: MIT */
/*
 * attach.h - attaching devices, for the command line, run and the demo; and
 * which interface a command is about.
 */
#ifndef PVSPLIT_ATTACH_H
#define PVSPLIT_ATTACH_H

#include "pvsplit/device.h"
#include "pvsplit/spec.h"

/*
 * Check the image, make its path absolute, attach it to domid. backend: a
 * domain's name or number, or NULL for the specification's, else "storage".
 * ret may be NULL.
 */
int block_attach(struct pvsplit *ps, const char *command, domid_t domid,
		 const struct disk_spec *spec, const char *backend, bool wait,
		 struct device *ret) PV_MUST_CHECK;

/* The same for an interface; default backend "network". Fills in mac, vif. */
int network_attach(struct pvsplit *ps, const char *command, domid_t domid,
		   struct vif_spec *spec, const char *backend, bool wait,
		   struct device *ret) PV_MUST_CHECK;

/* The number that args->words[1] has to be; complains. */
int network_handle(const struct args *args, uint32_t *ret) PV_MUST_CHECK;

/* What an interface in use is to have from now on; xs_transaction()'s arg. */
struct network_change {
	const struct device *dev;
	const struct vif_spec *spec;
};

/*
 * "DOMAIN VIF [SPEC]": make the changes that SPEC names, all or none, and show
 * what the interface has then.
 */
int network_adjust(struct pvsplit *ps, const struct args *args,
		   int (*parse)(const char *text, struct vif_spec *ret,
				char why[SPEC_WHY_MAX]),
		   int (*change)(struct xs *xs, xs_txn_t tx, void *arg),
		   int (*show)(struct pvsplit *ps, const struct args *args,
			       const struct device *dev)) PV_MUST_CHECK;

#endif /* PVSPLIT_ATTACH_H */
