/* SPDX-License-Identifier: MIT */
/* libusage.c - see libusage.h. */
#include "bench/libusage.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

int usage_read(pid_t pid, struct usage *ret)
{
	struct usage sum = { 0 };
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		unsigned long long cpu_ns, nr_runs;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat",
			 (int)pid, entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%llu %*u %llu", &cpu_ns, &nr_runs) == 2) {
			sum.cpu_ns += cpu_ns;
			sum.nr_runs += nr_runs;
		}
		fclose(f);
	}
	closedir(dir);
	*ret = sum;
	return 0;
}

struct usage_memory usage_memory(pid_t pid)
{
	struct usage_memory sum = { 0, 0 };
	char path[64], line[256];
	double kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Private_%*[A-Za-z]: %lf kB", &kib) == 1)
			sum.private += kib;
		if (sscanf(line, "Pss: %lf kB", &kib) == 1)
			sum.share = kib;
	}
	if (f)
		fclose(f);
	return sum;
}
