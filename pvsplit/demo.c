/* SPDX-License-Identifier: MIT */
/*
 * demo.c - demo: everything at work once, measured and checked. See demo.h.
 *
 * The outer process only waits and removes the temporary directory; the inner
 * one is process 1 of fresh namespaces and plays the user.
 */
#include "pvsplit/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/link.h"
#include "pvsplit/namespace.h"
#include "pvsplit/up.h"
#include "util/num.h"

#define TIME_LIMIT_NS  (180 * NS_PER_S)
#define SPACE_NEEDED   (700 * MIB)
#define IMAGE_BYTES    (512 * MIB)
#define EXIT_ON_SIGNAL 130
#define DETACH_NS      (5 * NS_PER_S)
/* For run directories: leaves room for the names of sockets. */
#define TEMP_LENGTH_MAX 60u

const struct cmd_option demo_options[] = {
	{ "keep-files", NULL, "keep the image, the data and the logs" },
	{ 0 },
};

const char demo_help[] =
	"Starts a store, a storage and a network driver domain and two\n"
	"guests; formats and fills a disk through blkfront, kills the storage\n"
	"backend meanwhile, checks the image from outside; lets the guests\n"
	"talk to each other and to a server behind a bridge. Everything lives\n"
	"in namespaces and a directory below $TMPDIR (else /var/tmp) that go\n"
	"when it ends. The exit status is 0 only when every check passed.\n";

/* ---- saying what happens ---- */

void demo_head(struct demo *d, const char *text)
{
	fprintf(d->show, "\n%s\n", text);
	fflush(d->show);
}

void demo_say(struct demo *d, const char *fmt, ...)
{
	va_list ap;

	fputs("  ", d->show);
	va_start(ap, fmt);
	vfprintf(d->show, fmt, ap);
	va_end(ap);
	fputc('\n', d->show);
	fflush(d->show);
}

void demo_progress(struct demo *d, const char *what, uint64_t done,
		   uint64_t all)
{
	static const char bar[] = "########################################";
	const int width = (int)sizeof(bar) - 1;
	int n;

	if (!d->terminal)
		return;
	if (!what) {
		fputs("\r\033[K", d->show);
	} else {
		n = done >= all ? width : (int)(done * (uint64_t)width / all);
		fprintf(d->show, "\r  %s [%.*s%*s] %3d%%", what, n, bar,
			width - n, "", n * 100 / width);
	}
	fflush(d->show);
}

void demo_result(struct demo *d, bool ok, const char *what, const char *fmt,
		 ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!ok)
		d->failed = true;
	demo_say(d, "%-6s %s: %s", ok ? "ok" : "FAILED", what, text);
	json_array_append_new(d->results,
			      json_pack("{s:s, s:s, s:b}", "what", what,
					"measured", text, "ok", (int)ok));
}

void demo_path(const struct demo *d, const char *name, char *buf, size_t size)
{
	int n = str_printf(buf, size, "%s/%s", d->dir, name);

	(void)n; /* dir is short and the names are our own */
}

/* ---- programs ---- */

static int start_program(struct demo *d, const struct guest *guest,
			 const char *const *argv, int out, pid_t *ret)
{
	struct process_spec spec = { .argv = argv,
				     .in = PROCESS_NULL,
				     .out = out,
				     .err = d->log_fd,
				     .dies_with_us = true };
	int err;

	if (guest)
		err = guest_exec(d->ps, guest, &spec, ret);
	else
		err = process_start(&spec, ret);
	if (err)
		return complain(err, "demo: cannot run %s: %s", argv[0],
				strerror(-err));
	return 0;
}

int demo_spawn(struct demo *d, const struct guest *guest,
	       const char *const *argv, pid_t *ret)
{
	return start_program(d, guest, argv, d->log_fd, ret);
}

static int read_file(const char *path, char **ret)
{
	FILE *f = fopen(path, "re");
	size_t size = 0;
	int err = 0;

	if (!f)
		return -errno;
	*ret = NULL;
	if (getdelim(ret, &size, '\0', f) < 0) {
		free(*ret);
		*ret = strdup("");
		err = *ret ? 0 : -ENOMEM;
	}
	fclose(f);
	return err;
}

int demo_run(struct demo *d, const struct guest *guest, const char *const *argv,
	     char **out)
{
	char path[DEMO_PATH_MAX];
	int fd = d->log_fd, status = 0, err;
	pid_t pid;

	demo_path(d, "output", path, sizeof(path));
	if (out) {
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			return complain(-errno,
					"demo: cannot write %s: %s; "
					"make room there",
					path, strerror(errno));
	}
	err = start_program(d, guest, argv, fd, &pid);
	if (out)
		close(fd);
	if (err)
		return err;
	err = process_wait(d->ps, pid, UINT64_MAX, &status);
	if (!err && status)
		return complain(-EIO,
				"demo: %s failed with status %d; its "
				"words are in the log (--keep-files)",
				argv[0], process_exit_code(status));
	if (!err && out)
		err = read_file(path, out);
	return err;
}

/* ---- the inner process ---- */

static int make_guest(struct demo *d, struct demo_guest *g)
{
	int err;

	demo_say(d, "$ pvsplit domain-create %s", g->name);
	g->config =
		(struct guest_config){ .command = "demo", .log_fd = d->log_fd };
	err = domain_create(d->ps, "demo", g->name, getuid(), 0,
			    &g->config.domid);
	g->guest.init = -1;
	return err;
}

static int give_vif(struct demo *d, struct demo_guest *g)
{
	struct guest_vif *vif = &g->config.vifs[g->config.nr_vifs];
	char why[SPEC_WHY_MAX];
	struct vif_spec spec;
	int err;

	demo_say(d, "$ pvsplit network-attach %s bridge=" DEMO_BRIDGE, g->name);
	err = spec_vif_parse("bridge=" DEMO_BRIDGE, false, &spec, why);
	if (err)
		return complain(err, "demo: %s", why);
	err = network_attach(d->ps, "demo", g->config.domid, &spec, NULL, true,
			     NULL);
	if (err)
		return err;
	vif->handle = spec.handle;
	snprintf(vif->ip, sizeof(vif->ip), "%s/24", g->address);
	g->config.nr_vifs++;
	return 0;
}

static int give_disk(struct demo *d, struct demo_guest *g)
{
	struct guest_disk *disk = &g->config.disks[g->config.nr_disks];
	char path[DEMO_PATH_MAX], text[DEMO_PATH_MAX + 32], why[SPEC_WHY_MAX];
	struct disk_spec *spec;
	int err, fd;

	demo_path(d, "disk.img", path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, IMAGE_BYTES) < 0)
		return complain(-errno,
				"demo: cannot make %s: %s; make room "
				"there",
				path, strerror(errno));
	close(fd);
	snprintf(text, sizeof(text), "%s,raw,xvda,rw", path);
	demo_say(d, "$ pvsplit block-attach %s %s", g->name, text);
	spec = malloc(sizeof(*spec));
	if (!spec)
		return complain(-ENOMEM, "demo: out of memory; try again");
	err = spec_disk_parse(text, false, spec, why);
	if (err)
		complain(err, "demo: %s", why);
	if (!err)
		err = block_attach(d->ps, "demo", g->config.domid, spec, NULL,
				   true, NULL);
	if (!err) {
		disk->handle = spec->handle;
		snprintf(disk->vdev, sizeof(disk->vdev), "%s", spec->vdev);
		g->config.nr_disks++;
	}
	free(spec);
	return err;
}

static int start_all(struct demo *d)
{
	int err;

	demo_head(d, "Driver domains");
	demo_say(d, "$ pvsplit up");
	err = up_start(d->ps, 1, true);
	if (err)
		return err;
	demo_say(d, "brokerd, blkbackd (domain storage) and netbackd "
		    "(domain network) run");
	demo_head(d, "Guests");
	err = link_add_bridge(DEMO_BRIDGE);
	if (err)
		return complain(err,
				"demo: cannot make a bridge: %s; this "
				"kernel needs CONFIG_BRIDGE",
				strerror(-err));
	demo_say(d, "a bridge, " DEMO_BRIDGE ", in the network driver "
		    "domain's network");
	err = make_guest(d, &d->alice);
	if (!err)
		err = make_guest(d, &d->bob);
	if (!err)
		err = give_disk(d, &d->alice);
	if (!err)
		err = give_vif(d, &d->alice);
	if (!err)
		err = give_vif(d, &d->bob);
	if (!err)
		err = guest_start(d->ps, &d->alice.config, &d->alice.guest);
	if (!err)
		err = guest_start(d->ps, &d->bob.config, &d->bob.guest);
	if (!err)
		demo_say(d, "alice: xvda is %s, eth0 is %s; bob: eth0 is %s",
			 d->alice.guest.report.loops[0], d->alice.address,
			 d->bob.address);
	return err;
}

static int stop_all(struct demo *d)
{
	int err;

	demo_head(d, "The end");
	guest_stop(&d->bob.guest);
	guest_stop(&d->alice.guest);
	demo_say(d, "$ pvsplit domain-destroy alice");
	err = domain_destroy(d->ps, "demo", d->alice.config.domid);
	demo_say(d, "$ pvsplit domain-destroy bob");
	if (!err)
		err = domain_destroy(d->ps, "demo", d->bob.config.domid);
	demo_say(d, "$ pvsplit down");
	pvsplit_disconnect(d->ps);
	return err ? err : up_stop(d->ps);
}

static int show_table(struct demo *d)
{
	static const struct column columns[] = { { "what", "WHAT" },
						 { "measured", "MEASURED" },
						 { "check", "CHECK" },
						 { 0 } };
	json_t *row;
	size_t idx;

	json_array_foreach(d->results, idx, row) json_object_set_new(
		row, "check",
		json_string(json_is_true(json_object_get(row, "ok"))
				    ? "ok"
				    : "FAILED"));
	fputc('\n', d->show);
	fflush(d->show);
	return output_list(d->ps, d->results, columns);
}

static int inner(struct demo *d)
{
	uint64_t start_ns = clock_now_ns();
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	umask(022);
	err = namespace_make_own();
	if (err)
		return complain(err,
				"demo: cannot make namespaces: %s; is "
				"this a restricted container?",
				strerror(-err));
	err = start_all(d);
	if (!err)
		err = demo_disk(d);
	if (!err)
		err = demo_net(d);
	if (!err)
		err = stop_all(d);
	if (err)
		return err;
	demo_result(d, clock_now_ns() - start_ns < 60 * NS_PER_S, "time",
		    "%.1f s in all", (double)(clock_now_ns() - start_ns) / 1e9);
	err = show_table(d);
	if (err)
		return err;
	if (d->failed)
		return complain(-EIO, "demo: a check failed; see above, and "
				      "the logs with --keep-files");
	return 0;
}

/* ---- the outer process ---- */

static int check_tools(void)
{
	static const struct {
		const char *program, *package;
	} tools[] = {
		{ "sh", "dash" },
		{ "cp", "coreutils" },
		{ "sha256sum", "coreutils" },
		{ "find", "findutils" },
		{ "xargs", "findutils" },
		{ "mount", "mount" },
		{ "mkfs.ext4", "e2fsprogs" },
		{ "fsck.ext4", "e2fsprogs" },
		{ "ping", "iputils-ping" },
		{ "curl", "curl" },
		{ "iperf3", "iperf3" },
		{ "grep", "grep" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(tools); i++)
		if (!process_have(tools[i].program))
			return complain(-ENOENT,
					"demo: %s is not installed; 'apt-get "
					"install %s'",
					tools[i].program, tools[i].package);
	return 0;
}

/* mkfs and friends are not in every root's PATH. */
static int extend_path(void)
{
	const char *path = getenv("PATH");
	char *longer;
	int err;

	if (asprintf(&longer, "%s%s/usr/sbin:/sbin:/usr/bin:/bin",
		     path ? path : "", path && *path ? ":" : "") < 0)
		return complain(-ENOMEM, "demo: out of memory; try again");
	err = setenv("PATH", longer, 1) < 0 ? -errno : 0;
	free(longer);
	return err;
}

static int make_dir(struct demo *d)
{
	const char *tmp = getenv("TMPDIR");
	struct statvfs vfs;

	if (!tmp || *tmp != '/' || strlen(tmp) > TEMP_LENGTH_MAX)
		tmp = "/var/tmp";
	if (statvfs(tmp, &vfs) < 0)
		return complain(-errno, "demo: %s: %s; set TMPDIR", tmp,
				strerror(errno));
	if ((uint64_t)vfs.f_bavail * vfs.f_frsize < SPACE_NEEDED)
		return complain(-ENOSPC,
				"demo: %s has %llu MiB free and %llu are "
				"needed; make room or set TMPDIR",
				tmp,
				(unsigned long long)vfs.f_bavail *
					vfs.f_frsize / MIB,
				SPACE_NEEDED / MIB);
	snprintf(d->dir, sizeof(d->dir), "%s/pvsplit.XXXXXX", tmp);
	if (!mkdtemp(d->dir))
		return complain(-errno,
				"demo: cannot make a directory in %s: "
				"%s; set TMPDIR",
				tmp, strerror(errno));
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_dir(const struct demo *d, bool keep)
{
	if (keep)
		complain(0, "demo: the files are in %s", d->dir);
	else if (nftw(d->dir, remove_one, 16,
		      FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		complain(0, "demo: cannot remove %s: %s; remove it by hand",
			 d->dir, strerror(errno));
}

/* Run inner() as process 1 of a PID namespace, and sweep. */
static int run_inner(struct demo *d)
{
	int own, err, status;
	pid_t pid;

	err = namespace_enter_pids(-1, &own);
	if (err)
		return complain(err,
				"demo: cannot make a PID namespace: %s; "
				"is this a restricted container?",
				strerror(-err));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		d->ps->signal_fd = -1;
		err = inner(d);
		fflush(NULL);
		_exit(err ? EXIT_FAILED : 0);
	}
	err = namespace_leave_pids(own);
	if (pid < 0)
		return complain(-EAGAIN, "demo: cannot start a process; try "
					 "again");
	if (!err)
		err = process_wait(d->ps, pid, clock_now_ns() + TIME_LIMIT_NS,
				   &status);
	if (!err)
		return process_exit_code(status);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	complain(err, "demo: %s; everything is taken down",
		 err == -EINTR	     ? "interrupted"
		 : err == -ETIMEDOUT ? "it took too long"
				     : strerror(-err));
	return EXIT_ON_SIGNAL;
}

static int run_in_dir(struct demo *d)
{
	char path[DEMO_PATH_MAX];
	int ret;

	demo_path(d, "log", path, sizeof(path));
	d->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (d->log_fd < 0)
		return complain(-errno,
				"demo: cannot write %s: %s; make room "
				"there",
				path, strerror(errno));
	demo_path(d, "run", path, sizeof(path));
	d->ps->run_dir = path;
	ret = run_inner(d);
	d->ps->run_dir = NULL;
	close(d->log_fd);
	return ret;
}

static int run_demo(struct pvsplit *ps, bool keep)
{
	struct demo *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return complain(-ENOMEM, "demo: out of memory; try again");
	d->ps = ps;
	d->show = ps->json ? stderr : stdout;
	d->terminal = isatty(fileno(d->show));
	d->alice.name = "alice";
	d->alice.address = "10.77.0.2";
	d->bob.name = "bob";
	d->bob.address = "10.77.0.3";
	d->results = json_array();
	ret = make_dir(d);
	if (!ret) {
		ret = run_in_dir(d);
		remove_dir(d, keep);
	}
	json_decref(d->results);
	free(d);
	return ret;
}

int demo_command_run(struct pvsplit *ps, const struct args *args)
{
	int err = guest_requirements("demo", 1, 1);

	if (!err)
		err = extend_path();
	if (!err)
		err = check_tools();
	if (!err)
		err = pvsplit_catch_signals(ps);
	return err ? err : run_demo(ps, args_get(args, "keep-files") != NULL);
}
