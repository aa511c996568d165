/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - every command's entry, its options and its help text; the table is
 * in pvsplit.c. An entry returns the exit status (0 or, for run, the
 * command's) or a negative value after complain.
 */
#ifndef PVSPLIT_JOBS_H
#define PVSPLIT_JOBS_H

#include "pvsplit/pvsplit.h"

extern const struct cmd_option up_options[], domain_create_options[],
	network_attach_options[], detach_options[], run_options[],
	demo_options[], store_stats_options[], block_bench_options[],
	block_copy_options[];
extern const char up_help[], block_help[], block_resize_help[], network_help[],
	run_help[], demo_help[], store_stats_help[], store_ring_help[],
	block_bench_help[], block_fault_help[], block_copy_help[];
extern const struct cmd_option block_limit_options[], top_options[],
	block_attach_options[];
extern const struct cmd_option network_capture_options[],
	network_bench_options[];
extern const char network_rules_help[], network_capture_help[],
	network_bench_help[];
extern const struct cmd_option network_limit_options[];
extern const char block_limit_help[], block_stats_help[], top_help[],
	network_limit_help[], network_stats_help[], network_enable_help[],
	network_set_help[];

int up_run(struct pvsplit *ps, const struct args *args);
int down_run(struct pvsplit *ps, const struct args *args);
int status_run(struct pvsplit *ps, const struct args *args);
int domain_create_run(struct pvsplit *ps, const struct args *args);
int domain_destroy_run(struct pvsplit *ps, const struct args *args);
int domain_list_run(struct pvsplit *ps, const struct args *args);
int block_attach_run(struct pvsplit *ps, const struct args *args);
int block_list_run(struct pvsplit *ps, const struct args *args);
int block_resize_run(struct pvsplit *ps, const struct args *args);
int block_detach_run(struct pvsplit *ps, const struct args *args);
int block_bench_run(struct pvsplit *ps, const struct args *args);
int block_copy_run(struct pvsplit *ps, const struct args *args);
int block_fault_run(struct pvsplit *ps, const struct args *args);
int block_stats_run(struct pvsplit *ps, const struct args *args);
int top_run(struct pvsplit *ps, const struct args *args);
int block_limit_run(struct pvsplit *ps, const struct args *args);
int network_attach_run(struct pvsplit *ps, const struct args *args);
int network_list_run(struct pvsplit *ps, const struct args *args);
int network_rules_run(struct pvsplit *ps, const struct args *args);
int network_capture_run(struct pvsplit *ps, const struct args *args);
int network_bench_run(struct pvsplit *ps, const struct args *args);
int network_stats_run(struct pvsplit *ps, const struct args *args);
int network_limit_run(struct pvsplit *ps, const struct args *args);
int network_set_run(struct pvsplit *ps, const struct args *args);
int network_enable_run(struct pvsplit *ps, const struct args *args);
int network_detach_run(struct pvsplit *ps, const struct args *args);
int run_run(struct pvsplit *ps, const struct args *args);
int demo_command_run(struct pvsplit *ps, const struct args *args);
int store_stats_run(struct pvsplit *ps, const struct args *args);
int store_ring_run(struct pvsplit *ps, const struct args *args);

#endif /* PVSPLIT_JOBS_H */
