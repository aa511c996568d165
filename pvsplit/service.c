/* SPDX-License-Identifier: MIT */
/* service.c - daemons of a run directory. See service.h. */
#include "pvsplit/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pvsplit/process.h"
#include "util/clock.h"
#include "util/num.h"

#define READY_NS  (10 * NS_PER_S)
#define STOP_NS	  (5 * NS_PER_S)
#define BOOT_MAX  40
#define ARGV_MAX  12
#define WORDS_MAX 400

static int path_of(const struct pvsplit *ps, const char *kind, const char *name,
		   const char *suffix, char *buf, size_t size)
{
	int n = str_printf(buf, size, "%s/%s%s%s%s", ps->run_dir, kind,
			   *name ? "/" : "", name, suffix);

	return n < 0 ? n : 0;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	return complain(
		-errno, "up: cannot make %s: %s; %s", path, strerror(errno),
		errno == ENOSPC	  ? "make room there"
		: errno == ENOENT ? "make the directory above it"
				  : "run as root or give a --run-dir of "
				    "your own");
}

int service_make_dirs(const struct pvsplit *ps)
{
	char path[PATH_MAX];
	int err = make_dir(ps->run_dir);

	if (!err)
		err = path_of(ps, "log", "", "", path, sizeof(path));
	if (!err)
		err = make_dir(path);
	if (!err)
		err = path_of(ps, "pid", "", "", path, sizeof(path));
	return err ? err : make_dir(path);
}

void service_remove_dirs(const struct pvsplit *ps)
{
	static const char *const dirs[] = { "pid", "log", "mnt" };
	char path[PATH_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++)
		if (!path_of(ps, dirs[i], "", "", path, sizeof(path)))
			rmdir(path);
	rmdir(ps->run_dir);
}

int service_log_open(const struct pvsplit *ps, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (path_of(ps, "log", name, ".log", path, sizeof(path)))
		return complain(-ENAMETOOLONG,
				"%s: the path is too long; choose a shorter "
				"--run-dir",
				ps->run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return complain(-errno, "%s: cannot write it: %s; %s", path,
				strerror(errno),
				errno == ENOSPC ? "make room there"
						: "run as root or give a "
						  "--run-dir of your own");
	return fd;
}

void service_log_remove(const struct pvsplit *ps, const char *name)
{
	char path[PATH_MAX];

	if (!path_of(ps, "log", name, ".log", path, sizeof(path)))
		unlink(path);
}

void service_last_words(const struct pvsplit *ps, const char *name, char *buf,
			size_t size)
{
	char path[PATH_MAX], line[1024];
	FILE *f;

	buf[0] = '\0';
	if (path_of(ps, "log", name, ".log", path, sizeof(path)))
		return;
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line)
			snprintf(buf, size, "%s", line);
	}
	fclose(f);
}

/* ---- pid files ---- */

/* Which boot this is: a start time means nothing in another one. */
static void boot_id(char buf[BOOT_MAX])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	buf[0] = '\0';
	if (!f)
		return;
	if (fgets(buf, BOOT_MAX, f))
		buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
}

static int write_pid(const struct pvsplit *ps, const char *name, pid_t pid)
{
	char path[PATH_MAX], tmp[PATH_MAX], boot[BOOT_MAX];
	uint64_t start;
	FILE *f;
	int err = path_of(ps, "pid", name, "", path, sizeof(path));

	if (!err)
		err = path_of(ps, "pid", name, ".new", tmp, sizeof(tmp));
	if (!err)
		err = process_start_time(pid, &start);
	if (err)
		return complain(err, "up: %s ended at once; see %s/log/%s.log",
				name, ps->run_dir, name);
	boot_id(boot);
	f = fopen(tmp, "we");
	if (!f)
		goto fail;
	fprintf(f, "%d %llu %s\n", pid, (unsigned long long)start, boot);
	if (fclose(f) != 0 || rename(tmp, path) < 0)
		goto fail;
	return 0;

fail:
	err = -errno;
	unlink(tmp);
	return complain(err, "up: cannot write %s: %s; make room there", path,
			strerror(-err));
}

/* "PID START BOOT", as write_pid wrote it. */
static int parse_pid(char *line, uint32_t *pid, uint64_t *start, char **boot)
{
	char *word = strsep(&line, " ");

	if (!word || num_parse_u32(word, INT32_MAX, pid) || *pid <= 1)
		return -EINVAL;
	word = strsep(&line, " ");
	if (!word || num_parse_u64(word, UINT64_MAX, start) || !line)
		return -EINVAL;
	line[strcspn(line, "\n")] = '\0';
	*boot = line;
	return 0;
}

int service_pid(const struct pvsplit *ps, const char *name, pid_t *ret)
{
	char path[PATH_MAX], line[BOOT_MAX + 40] = "", now[BOOT_MAX], *then;
	uint64_t start, really;
	uint32_t pid;
	FILE *f;
	int err = path_of(ps, "pid", name, "", path, sizeof(path));

	if (err)
		return err;
	f = fopen(path, "re");
	if (!f)
		return -errno;
	then = fgets(line, sizeof(line), f);
	fclose(f);
	boot_id(now);
	if (!then || parse_pid(line, &pid, &start, &then) ||
	    strcmp(then, now) != 0 || process_start_time((pid_t)pid, &really) ||
	    really != start || process_state((pid_t)pid) == 'Z')
		return -ESRCH;
	*ret = (pid_t)pid;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* One more name; -ENOMEM. */
static int add_name(char (**names)[SERVICE_NAME_MAX], unsigned *nr,
		    const char *name)
{
	char(*more)[SERVICE_NAME_MAX];
	size_t len = strlen(name);

	if (name[0] == '.' || len >= SERVICE_NAME_MAX)
		return 0;
	more = reallocarray(*names, *nr + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more[(*nr)++], name, len + 1);
	*names = more;
	return 0;
}

int service_names(const struct pvsplit *ps, char (**ret)[SERVICE_NAME_MAX],
		  unsigned *ret_nr)
{
	char path[PATH_MAX], (*names)[SERVICE_NAME_MAX] = NULL;
	unsigned nr = 0;
	struct dirent *e;
	DIR *dir;
	int err = path_of(ps, "pid", "", "", path, sizeof(path));

	if (err)
		return err;
	dir = opendir(path);
	while (dir && !err && (e = readdir(dir)) != NULL)
		err = add_name(&names, &nr, e->d_name);
	if (dir)
		closedir(dir);
	if (err) {
		free(names);
		return err;
	}
	if (nr)
		qsort(names, nr, sizeof(*names), compare_names);
	*ret = names;
	*ret_nr = nr;
	return 0;
}

/* ---- start and stop ---- */

static bool is_full(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && fs.f_bavail == 0;
}

/* Why it did not start, in its own last words. */
static int explain(const struct pvsplit *ps, const char *name, int err)
{
	char words[WORDS_MAX];

	if (err == -EINTR)
		return complain(err, "up: interrupted while starting %s", name);
	if (err == -ETIMEDOUT)
		return complain(err,
				"up: %s is not ready after %llu s; see "
				"%s/log/%s.log",
				name, READY_NS / NS_PER_S, ps->run_dir, name);
	service_last_words(ps, name, words, sizeof(words));
	if (err == -EPIPE && !*words && is_full(ps->run_dir)) {
		service_log_remove(ps, name);
		return complain(-ENOSPC,
				"up: %s did not start, nor could it say why: "
				"%s: %s; make room there",
				name, ps->run_dir, strerror(ENOSPC));
	}
	if (err == -EPIPE && *words)
		return complain(err, "up: %s did not start: %s", name, words);
	return complain(err, "up: %s did not start: %s; see %s/log/%s.log",
			name, strerror(-err), ps->run_dir, name);
}

int service_start(struct pvsplit *ps, const char *name, const char *const *argv)
{
	const char *words[ARGV_MAX] = { 0 };
	char program[PATH_MAX];
	struct process_spec spec = { .argv = words,
				     .in = PROCESS_NULL,
				     .own_session = true,
				     .ignore_sigpipe = true,
				     .dir = "/" };
	pid_t pid = 0;
	int err, out = -1;

	err = process_program(argv[0], program, sizeof(program));
	if (err)
		return err;
	words[0] = program;
	for (unsigned i = 1; argv[i] && i < ARGV_MAX - 1; i++)
		words[i] = argv[i];
	spec.err = service_log_open(ps, name);
	if (spec.err < 0)
		return spec.err;
	/* an old log's last words are not this one's */
	if (ftruncate(spec.err, 0) < 0)
		lseek(spec.err, 0, SEEK_END);
	err = process_start_ready(ps, &spec, clock_now_ns() + READY_NS, &pid,
				  &out);
	close(spec.err);
	if (err)
		return explain(ps, name, err);
	close(out);
	err = write_pid(ps, name, pid);
	if (err) {
		process_end(pid, STOP_NS);
		service_log_remove(ps, name);
	}
	return err;
}

/* pid is not our child (or may be): wait for its end without reaping. */
static int end_by_pidfd(int pidfd, const char *name)
{
	static const struct pvsplit calm = { .signal_fd = -1 };

	if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		return complain(-errno,
				"down: cannot end %s: %s; run as its user",
				name, strerror(errno));
	if (pvsplit_wait_fd(&calm, pidfd, clock_now_ns() + STOP_NS) > 0)
		return 0;
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	if (pvsplit_wait_fd(&calm, pidfd, clock_now_ns() + STOP_NS) > 0)
		return 0;
	return complain(-ETIMEDOUT, "down: %s does not end; see ps(1)", name);
}

int service_stop(const struct pvsplit *ps, const char *name)
{
	char path[PATH_MAX];
	pid_t pid = 0, again;
	int err, fd;

	err = service_pid(ps, name, &pid);
	if (!err) {
		fd = pidfd_open(pid, 0);
		/* the descriptor is of the process that was just verified */
		if (fd >= 0 && service_pid(ps, name, &again) == 0)
			err = end_by_pidfd(fd, name);
		if (fd >= 0)
			close(fd);
		if (err)
			return err;
	}
	if (!path_of(ps, "pid", name, "", path, sizeof(path)))
		unlink(path);
	return 0;
}
