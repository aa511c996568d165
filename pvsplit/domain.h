/* SPDX-License-Identifier: MIT */
/* domain.h - domains by name or number; making and ending them. */
#ifndef PVSPLIT_DOMAIN_H
#define PVSPLIT_DOMAIN_H

#include "pvsplit/pvsplit.h"

#define DOMAIN_NAME_MAX 64

/* A number or a name to a domain that exists. */
int domain_resolve(struct pvsplit *ps, const char *command, const char *text,
		   domid_t *ret) PV_MUST_CHECK;
/* The same without a message; -ENOENT. */
int domain_lookup(struct pvsplit *ps, const char *text,
		  domid_t *ret) PV_MUST_CHECK;
/* Its name, or its number as text when it has none. */
void domain_name(struct pvsplit *ps, domid_t domid, char *buf, size_t size);

/* All domain numbers, ascending; free(*ret). Quiet. */
int domain_numbers(struct pvsplit *ps, uint32_t **ret,
		   unsigned *nr) PV_MUST_CHECK;

/*
 * Give the domain room in the store for so many disks and interfaces, its own
 * or those that it serves: quotas of nodes, watches, memory and connections
 * above what every domain has.
 */
#define DOMAIN_DEVICES_MAX 20000u
int domain_make_room(struct pvsplit *ps, const char *command, domid_t domid,
		     uint32_t nr_devices) PV_MUST_CHECK;

/* flags: LITE_DOMAIN_EPHEMERAL or 0. */
int domain_create(struct pvsplit *ps, const char *command, const char *name,
		  uid_t uid, uint32_t flags, domid_t *ret) PV_MUST_CHECK;
/* Detach all devices (bounded), end the domain, remove its /libxl node. */
int domain_destroy(struct pvsplit *ps, const char *command,
		   domid_t domid) PV_MUST_CHECK;

#endif /* PVSPLIT_DOMAIN_H */
