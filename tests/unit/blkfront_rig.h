/* SPDX-License-Identifier: MIT */
/*
 * blkfront_rig.h - a real brokerd and store, two domains, and what the
 * toolstack writes for one disk. The frontend under test is the real library,
 * in the test's threads; blkfront_backend.h plays the other end.
 */
#ifndef TESTS_UNIT_BLKFRONT_RIG_H
#define TESTS_UNIT_BLKFRONT_RIG_H

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/xenbus.h"
#include "platform/lite_control.h"
#include "util/clock.h"
#include "util/num.h"
#include "xenstore-lite/xs.h"

#define RIG_VDEV       51712u
#define RIG_DISK_BYTES (4u << 20)
#define RIG_WAIT_NS    (10 * NS_PER_S)

struct rig {
	char run_dir[64];
	pid_t broker_pid;
	struct platform *dom0;
	struct xs *xs;
	domid_t guest, driver;
	char front[128], back[128];
};

/* ---- store, domains, device ------------------------------------------------
 */

/* Programs are beside the tests: BUILD/tests/KIND/NAME and BUILD/bin. */
static inline int rig_program(char *path, size_t size, const char *name)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);

	if (len < 0)
		return -errno;
	path[len] = '\0';
	for (int up = 0; up < 3; up++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	len = (ssize_t)strlen(path);
	return str_printf(path + len, size - (size_t)len, "/bin/%s", name);
}

static inline int rig_start_broker(struct rig *rig)
{
	char path[512], line[16] = "";
	int out[2];
	FILE *f;

	if (rig_program(path, sizeof(path), "brokerd") < 0 || pipe(out))
		return -ENOENT;
	rig->broker_pid = fork();
	if (rig->broker_pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execl(path, path, "--run-dir", rig->run_dir, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strcmp(line, "ready\n") == 0 ? 0 : -ECHILD;
}

static inline int rig_dir(struct rig *rig, const char *dir, domid_t owner,
			  domid_t reader)
{
	struct xs_perm perms[] = { { owner, 'n' }, { reader, 'r' } };
	int err = xs_mkdir(rig->xs, XS_NO_TXN, dir);

	return err ? err : xs_set_perms(rig->xs, XS_NO_TXN, dir, perms, 2);
}

static inline int rig_put(struct rig *rig, const char *dir, const char *node,
			  const char *value)
{
	return xs_printf(rig->xs, XS_NO_TXN, dir, node, "%s", value);
}

/* What the toolstack writes for a disk. */
static inline int rig_attach(struct rig *rig)
{
	char id[16];
	int err;

	err = rig_dir(rig, rig->back, rig->driver, rig->guest);
	if (!err)
		err = rig_dir(rig, rig->front, rig->guest, rig->driver);
	snprintf(id, sizeof(id), "%u", rig->guest);
	if (!err)
		err = rig_put(rig, rig->back, "frontend-id", id);
	if (!err)
		err = rig_put(rig, rig->back, "frontend", rig->front);
	if (!err)
		err = rig_put(rig, rig->back, "online", "1");
	if (!err)
		err = rig_put(rig, rig->back, "state", "1");
	snprintf(id, sizeof(id), "%u", rig->driver);
	if (!err)
		err = rig_put(rig, rig->front, "backend-id", id);
	if (!err)
		err = rig_put(rig, rig->front, "backend", rig->back);
	if (!err)
		err = rig_put(rig, rig->front, "state", "1");
	return err;
}

static inline int rig_open_world(struct rig *rig)
{
	int err, fd;

	err = rig_start_broker(rig);
	if (!err)
		err = platform_lite_open(rig->run_dir, 0, &rig->dom0);
	if (err)
		return err;
	fd = platform_store_connect(rig->dom0);
	err = fd < 0 ? fd : xs_open_fd(fd, &rig->xs);
	if (!err)
		err = lite_domain_create(rig->dom0, "guest", getuid(), 0,
					 &rig->guest);
	if (!err)
		err = lite_domain_create(rig->dom0, "driver", getuid(), 0,
					 &rig->driver);
	snprintf(rig->front, sizeof(rig->front),
		 "/local/domain/%u/device/vbd/%u", rig->guest, RIG_VDEV);
	snprintf(rig->back, sizeof(rig->back),
		 "/local/domain/%u/backend/vbd/%u/%u", rig->driver, rig->guest,
		 RIG_VDEV);
	return err ? err : rig_attach(rig);
}

static inline int rig_rm_one(const char *path, const struct stat *st, int flag,
			     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void rig_close(struct rig *rig)
{
	xs_close(rig->xs);
	platform_close(rig->dom0);
	if (rig->broker_pid > 0) {
		kill(rig->broker_pid, SIGTERM);
		waitpid(rig->broker_pid, NULL, 0);
	}
	nftw(rig->run_dir, rig_rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline int rig_open(struct rig *rig)
{
	int err;

	memset(rig, 0, sizeof(*rig));
	snprintf(rig->run_dir, sizeof(rig->run_dir), "/tmp/pvsplit-rig.XXXXXX");
	if (!mkdtemp(rig->run_dir))
		return -errno;
	err = rig_open_world(rig);
	if (err)
		rig_close(rig);
	return err;
}

static inline unsigned rig_state(struct xs *xs, const char *dir)
{
	uint32_t state = 0;

	if (xs_read_u32(xs, XS_NO_TXN, dir, "state", 8, &state))
		return 0;
	return state;
}

#endif /* TESTS_UNIT_BLKFRONT_RIG_H */
