/* SPDX-License-Identifier: MIT */
/* oracle.h - what xenstored.c and the hypervisor.c in Xen's xenstored agree on.
 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#define ORACLE_DOMAINS	  3u
#define ORACLE_PAGE_BYTES 4096u

#endif /* TESTS_ORACLE_ORACLE_H */
