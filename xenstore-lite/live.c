/* SPDX-License-Identifier: MIT */
/* live.c - the live update. See live.h. */
#include "xenstore-lite/live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/log.h"
#include "util/num.h"
#include "util/spawn.h"
#include "xenstore-lite/domctl.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- the image ------------------------------------------------------------
 */

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A descriptor of bytes that nobody can change any more. */
static int make_image(struct server *server)
{
	struct encoder e = { 0 };
	int err = server_save(server, &e), fd = -1;

	if (!err) {
		fd = memfd_create("xenstore image",
				  MFD_CLOEXEC | MFD_ALLOW_SEALING);
		err = fd < 0 ? -errno : write_all(fd, e.data, e.len);
	}
	if (!err && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		err = -errno;
	encoder_fini(&e);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

struct image {
	void *data;
	size_t len;
};

static int map_image(int fd, struct image *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || fcntl(fd, F_GET_SEALS) < 0 ||
	    (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		return -EBADMSG;
	ret->len = (size_t)st.st_size;
	ret->data = mmap(NULL, ret->len, PROT_READ, MAP_PRIVATE, fd, 0);
	return ret->data == MAP_FAILED ? -errno : 0;
}

/* ---- the next program -----------------------------------------------------
 */

static int own_path(char *buf, size_t size)
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", buf, size - 1);
	size_t len = sizeof(gone) - 1;

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	/* Another file has its name now: that is the new version. */
	if ((size_t)n > len && strcmp(buf + (size_t)n - len, gone) == 0)
		buf[(size_t)n - len] = '\0';
	return 0;
}

/* Its exit status, as an errno; it is killed when it takes too long. */
static int wait_for(pid_t pid)
{
	struct pollfd pfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int status, n = 0;

	if (pfd.fd >= 0) {
		do
			n = poll(&pfd, 1, (int)(LIVE_CHECK_NS / NS_PER_MS));
		while (n < 0 && errno == EINTR);
		close(pfd.fd);
	}
	if (n <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (n <= 0)
		return -EBUSY;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != LIVE_CHECKED)
		return -EINVAL;
	return 0;
}

static int check_program(const char *path, int image)
{
	char fd[12];
	const char *const argv[] = { path, LIVE_CHECK_IMAGE, fd, NULL };
	const struct spawn check = { .program = path,
				     .argv = argv,
				     .sock = image,
				     .dies_with_us = true,
				     .no_stdio = true };
	pid_t pid;
	int err;

	if (str_printf(fd, sizeof(fd), "%d", SPAWN_FD) < 0)
		return -EINVAL;
	err = spawn(&check, &pid);
	return err ? err : wait_for(pid);
}

static bool is_restore(const char *arg)
{
	return strcmp(arg, LIVE_RESTORE) == 0;
}

/* What we were called with, but for the image that we began with. */
static char **make_argv(char *const *argv, char *fd)
{
	static char restore[] = LIVE_RESTORE;
	size_t nr = 0;
	char **ret;

	while (argv[nr])
		nr++;
	ret = calloc(nr + 3, sizeof(*ret));
	if (!ret)
		return NULL;
	nr = 0;
	while (*argv) {
		if (is_restore(*argv) && argv[1]) {
			argv += 2;
			continue;
		}
		ret[nr++] = *argv++;
	}
	ret[nr++] = restore;
	ret[nr] = fd;
	return ret;
}

/* Returns only when it failed. */
static int become(struct server *server, const char *path, int image,
		  char *const *argv)
{
	char fd[12];
	char **args;
	int err;

	if (str_printf(fd, sizeof(fd), "%d", image) < 0)
		return -EINVAL;
	args = make_argv(argv, fd);
	if (!args)
		return -ENOMEM;
	server_inherit(server, true);
	fcntl(DOMCTL_FD, F_SETFD, 0);
	fcntl(image, F_SETFD, 0);
	execv(path, args);
	err = -errno;
	server_inherit(server, false);
	fcntl(DOMCTL_FD, F_SETFD, FD_CLOEXEC);
	free(args);
	return err;
}

static int update(struct server *server, const char *file, char *const *argv)
{
	char own[PATH_MAX];
	int err = 0, image;

	if (!file) {
		err = own_path(own, sizeof(own));
		file = own;
	}
	if (err)
		return err;
	image = make_image(server);
	if (image < 0)
		return image;
	err = check_program(file, image);
	if (!err) {
		log_info("live update: going on as %s", file);
		err = become(server, file, image, argv);
	}
	close(image);
	return err;
}

bool live_update(struct server *server, char *const *argv)
{
	const char *file;
	int err;

	if (!server_update_wanted(server, &file))
		return false;
	err = update(server, file, argv);
	log_error("live update to %s failed: %s; going on as before",
		  file ? file : "this program", strerror(-err));
	server_update_done(server, err);
	return true;
}

/* ---- being the next program ------------------------------------------------
 */

int live_restore(struct server *server, int fd)
{
	struct image image;
	struct decoder d;
	int err = map_image(fd, &image);

	if (!err) {
		decoder_init(&d, image.data, image.len);
		err = server_restore(server, &d);
		munmap(image.data, image.len);
	}
	close(fd);
	if (err) {
		log_error("live update: cannot go on with the image: %s",
			  strerror(-err));
		return err;
	}
	log_info("live update: done");
	server_update_done(server, 0);
	return 0;
}

int live_check_image(int fd)
{
	struct image image;
	int err = map_image(fd, &image);

	if (!err)
		err = server_check_image(image.data, image.len);
	if (err)
		log_error("cannot go on with this image: %s", strerror(-err));
	return err ? 1 : LIVE_CHECKED;
}
