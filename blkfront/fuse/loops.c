/* SPDX-License-Identifier: MIT */
/*
 * loops.c - loop devices learn that the file below them has another size.
 *
 * The ioctl makes the kernel ask us for the size: whoever does it must not be a
 * server. It has to see /sys and /dev, which we left with the mount namespace.
 * So a process of its own does it and ends. Called by serve.c.
 */
#include "blkfront/fuse/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blkfront/fuse/mount_ns.h"
#include "util/log.h"

static bool is_backed_by(const char *name, const char *path)
{
	char file[PATH_MAX], line[PATH_MAX] = "";
	FILE *f;

	if (str_printf(file, sizeof(file), "/sys/block/%s/loop/backing_file",
		       name) < 0)
		return false;
	f = fopen(file, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, path) == 0;
}

static void follow(const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (str_printf(path, sizeof(path), "/dev/%s", name) < 0)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	ioctl(fd, LOOP_SET_CAPACITY, 0);
	close(fd);
}

static void follow_all(const char *path)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "loop", 4) == 0 &&
		    is_backed_by(entry->d_name, path))
			follow(entry->d_name);
	if (dir)
		closedir(dir);
}

void loops_follow(const char *path, int home)
{
	pid_t pid = fork();

	if (pid < 0)
		log_warn("cannot tell loop devices of the new size: %s",
			 strerrordesc_np(errno));
	if (pid != 0)
		return;
	/* Nothing of the server's may live on in here, /dev/fuse least. */
	if (home >= 0 && dup2(home, STDIN_FILENO) < 0)
		_exit(1);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	if (home >= 0 && mount_ns_return(STDIN_FILENO))
		_exit(1);
	follow_all(path);
	_exit(0);
}
