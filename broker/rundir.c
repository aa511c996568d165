/* SPDX-License-Identifier: MIT */
/* rundir.c - the daemon's directory. See rundir.h. */
#include "broker/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/log.h"
#include "util/num.h"

/* What is put behind the directory's own path, with the NUL. */
#define LONGEST_SOCKET "/65535/xenstore"

static const char *const socket_names[] = { "xenstore", "broker" };

static int check_length(const char *path)
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) -
		      sizeof(LONGEST_SOCKET);

	if (strlen(path) <= room)
		return 0;
	log_error("run directory %s: the path is too long for sockets (%zu "
		  "bytes, at most %zu): choose a shorter --run-dir",
		  path, strlen(path), room);
	return -ENAMETOOLONG;
}

/* Whoever may write there could put his own sockets in the place of ours. */
static int check_owner(const char *path, int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -errno;
	if (st.st_uid == geteuid() && !(st.st_mode & 022))
		return 0;
	log_error("run directory %s: must belong to the user that runs the "
		  "daemon (uid %u) and be writable by nobody else",
		  path, geteuid());
	return -EPERM;
}

static int open_directory(const char *path)
{
	int dir, err;

	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		err = -errno;
		log_error("run directory %s: cannot make it: %s", path,
			  strerror(-err));
		return err;
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0) {
		err = -errno;
		log_error("run directory %s: cannot open it: %s", path,
			  strerror(-err));
		return err;
	}
	return dir;
}

static int take_lock(const char *path, int dir)
{
	int lock = openat(dir, "lock",
			  O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int err;

	if (lock < 0) {
		err = -errno;
		log_error("%s/lock: cannot open it: %s", path, strerror(-err));
		return err;
	}
	if (flock(lock, LOCK_EX | LOCK_NB) == 0)
		return lock;
	err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (err == -EBUSY)
		log_error("run directory %s: another brokerd serves it; "
			  "stop that one or choose another --run-dir",
			  path);
	else
		log_error("%s/lock: cannot lock it: %s", path, strerror(-err));
	close(lock);
	return err;
}

/* A dead domain's directory: its sockets and itself, nothing else. */
static int remove_domain(const char *path, int dir, const char *name)
{
	int sub = openat(dir, name,
			 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (sub >= 0) {
		for (size_t i = 0; i < ARRAY_SIZE(socket_names); i++)
			if (fstatat(sub, socket_names[i], &st,
				    AT_SYMLINK_NOFOLLOW) == 0 &&
			    S_ISSOCK(st.st_mode))
				unlinkat(sub, socket_names[i], 0);
		close(sub);
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
			return 0;
	}
	log_error("%s/%s: is in the way, and was not left by a daemon that "
		  "died: remove it",
		  path, name);
	return -ENOTEMPTY;
}

static int remove_stale(const char *path, int dir)
{
	int copy = dup(dir), err = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	unsigned nr = 0;
	uint32_t domid;

	if (!d) {
		err = -errno;
		if (copy >= 0)
			close(copy);
		log_error("run directory %s: %s", path, strerror(-err));
		return err;
	}
	while (!err && (entry = readdir(d)) != NULL) {
		if (num_parse_u32(entry->d_name, UINT16_MAX, &domid))
			continue;
		err = remove_domain(path, dir, entry->d_name);
		nr += !err;
	}
	closedir(d);
	if (nr)
		log_info("run directory %s: an earlier daemon died: removed "
			 "the sockets of %u domains",
			 path, nr);
	return err;
}

int rundir_open(const char *path)
{
	int err = check_length(path), dir, lock;

	if (err)
		return err;
	dir = open_directory(path);
	if (dir < 0)
		return dir;
	err = check_owner(path, dir);
	lock = err ? err : take_lock(path, dir);
	if (lock >= 0) {
		err = remove_stale(path, dir);
		if (err) {
			close(lock);
			lock = err;
		}
	}
	close(dir);
	return lock;
}
