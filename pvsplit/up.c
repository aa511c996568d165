/* SPDX-License-Identifier: MIT */
/*
 * up.c - up, down, status: the daemons of a run directory in the background.
 * Services are called as their domains; the broker is "brokerd".
 */
#include "pvsplit/up.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "pvsplit/domain.h"
#include "pvsplit/jobs.h"
#include "pvsplit/service.h"
#include "util/num.h"

#define BROKER	    "brokerd"
#define NETWORK	    "network"
#define STORAGE_MAX 64u
#define NR_DEVICES  2000u /* that a driver domain has room for */
/* What is appended to a run directory: "/32751/xenstore" and a NUL. */
#define SOCKET_TAIL 16u

const struct cmd_option up_options[] = {
	{ "storage", "N", "that many storage driver domains" },
	{ "network", NULL, "a network driver domain" },
	{ 0 },
};

const char up_help[] =
	"Starts brokerd (which keeps the store running), storage driver domains\n"
	"(blkbackd) called storage, storage2, ... and a network driver domain\n"
	"(netbackd) called network. Without options: one of each. What runs\n"
	"already is left alone. Logs are in RUN/log, process numbers in RUN/pid.\n";

/* The services that one up_start started, in order, for undoing. */
struct started {
	char names[STORAGE_MAX + 2][SERVICE_NAME_MAX];
	unsigned nr;
};

static int start_service(struct pvsplit *ps, const char *name,
			 const char *const *argv, struct started *done)
{
	pid_t pid;
	int err;

	if (service_pid(ps, name, &pid) == 0)
		return 0;
	err = service_start(ps, name, argv);
	if (!err)
		snprintf(done->names[done->nr++], SERVICE_NAME_MAX, "%s", name);
	return err;
}

/* Every service but the broker. Returns the first error. */
static int stop_backends(struct pvsplit *ps)
{
	char(*names)[SERVICE_NAME_MAX];
	unsigned nr;
	int err = service_names(ps, &names, &nr), first = 0;

	if (err)
		return complain(err, "down: cannot read %s/pid: %s",
				ps->run_dir, strerror(-err));
	for (unsigned i = 0; i < nr; i++) {
		if (!strcmp(names[i], BROKER))
			continue;
		err = service_stop(ps, names[i]);
		first = first ? first : err;
	}
	free(names);
	return first;
}

static int start_broker(struct pvsplit *ps, struct started *done)
{
	const char *const argv[] = { BROKER, "--run-dir", ps->run_dir, NULL };
	pid_t pid;
	int err = 0;

	/* backends of a broker that died belong to domains that are no more */
	if (service_pid(ps, BROKER, &pid))
		err = stop_backends(ps);
	if (!err)
		err = start_service(ps, BROKER, argv, done);
	return err ? err : pvsplit_connect(ps);
}

/* A driver domain and the daemon that serves it. */
static int start_backend(struct pvsplit *ps, const char *name,
			 const char *program, struct started *done)
{
	char number[12];
	const char *const argv[] = { program,	 "--run-dir", ps->run_dir,
				     "--domain", number,      NULL };
	bool created = false;
	domid_t domid;
	int err = domain_lookup(ps, name, &domid);

	if (err == -ENOENT) {
		err = domain_create(ps, "up", name, getuid(), 0, &domid);
		created = !err;
	}
	if (created)
		err = domain_make_room(ps, "up", domid, NR_DEVICES);
	if (err)
		goto fail;
	snprintf(number, sizeof(number), "%u", domid);
	err = start_service(ps, name, argv, done);
fail:
	if (err && created) {
		int undo = domain_destroy(ps, "up", domid);

		(void)undo; /* said; err is what happened first */
	}
	return err;
}

static void storage_name(unsigned i, char *buf, size_t size)
{
	if (i == 0)
		snprintf(buf, size, "storage");
	else
		snprintf(buf, size, "storage%u", i + 1);
}

/* End what was started, the last first. */
static void undo(struct pvsplit *ps, const struct started *done)
{
	for (unsigned i = done->nr; i-- > 0;) {
		domid_t domid;
		int err = service_stop(ps, done->names[i]);

		if (!err && ps->xs &&
		    domain_lookup(ps, done->names[i], &domid) == 0)
			err = domain_destroy(ps, "up", domid);
		(void)err; /* said */
		service_log_remove(ps, done->names[i]);
	}
}

int up_start(struct pvsplit *ps, unsigned nr_storage, bool network)
{
	struct started done = { .nr = 0 };
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - SOCKET_TAIL;
	int err;

	if (strlen(ps->run_dir) > max)
		return complain(-ENAMETOOLONG,
				"up: %s: the path is too long for a socket "
				"address; use one of at most %zu bytes",
				ps->run_dir, max);
	err = service_make_dirs(ps);
	if (!err)
		err = start_broker(ps, &done);
	for (unsigned i = 0; !err && i < nr_storage; i++) {
		char name[SERVICE_NAME_MAX];

		storage_name(i, name, sizeof(name));
		err = start_backend(ps, name, "blkbackd", &done);
	}
	if (!err && network)
		err = start_backend(ps, NETWORK, "netbackd", &done);
	if (err) {
		undo(ps, &done);
		pvsplit_disconnect(ps);
		service_remove_dirs(ps);
	}
	return err;
}

/* The driver domains first, then the broker, which ends the domains. */
int up_stop(struct pvsplit *ps)
{
	int first = stop_backends(ps), err = service_stop(ps, BROKER);

	first = first ? first : err;
	if (!first)
		service_remove_dirs(ps);
	return first;
}

int up_run(struct pvsplit *ps, const struct args *args)
{
	const char *storage = args_get(args, "storage");
	bool network = args_get(args, "network") != NULL;
	uint32_t nr_storage = 0;
	int err;

	if (!storage && !network) {
		nr_storage = 1;
		network = true;
	}
	if (storage && num_parse_u32(storage, STORAGE_MAX, &nr_storage))
		return complain_usage(args, "--storage takes a number up to %u",
				      STORAGE_MAX);
	err = pvsplit_catch_signals(ps);
	if (!err)
		err = up_start(ps, nr_storage, network);
	return err ? err : status_run(ps, args);
}

int down_run(struct pvsplit *ps, const struct args *args)
{
	(void)args;
	return up_stop(ps);
}

static json_t *service_json(struct pvsplit *ps, const char *name)
{
	json_t *object = json_pack("{s:s}", "name", name);
	domid_t domid;
	pid_t pid;
	int err = service_pid(ps, name, &pid);

	if (!object)
		return NULL;
	json_object_set_new(object, "state",
			    json_string(err ? "ended" : "running"));
	if (!err)
		json_object_set_new(object, "pid", json_integer(pid));
	if (ps->xs && domain_lookup(ps, name, &domid) == 0)
		json_object_set_new(object, "domid", json_integer(domid));
	return object;
}

int status_run(struct pvsplit *ps, const struct args *args)
{
	static const struct column columns[] = {
		{ "name", "SERVICE" },
		{ "state", "STATE" },
		{ "pid", "PID" },
		{ "domid", "DOMAIN" },
		{ 0 },
	};
	char(*names)[SERVICE_NAME_MAX];
	json_t *list = json_array();
	unsigned nr;
	pid_t pid;
	int err = service_names(ps, &names, &nr);

	(void)args;
	if (err) {
		json_decref(list);
		return complain(err, "status: cannot read %s/pid: %s",
				ps->run_dir, strerror(-err));
	}
	if (nr && service_pid(ps, BROKER, &pid) == 0) {
		err = pvsplit_connect(ps);
		(void)err; /* said; the list is shown without domains */
	}
	for (unsigned i = 0; list && i < nr; i++)
		json_array_append_new(list, service_json(ps, names[i]));
	free(names);
	if (!nr && !ps->json) {
		json_decref(list);
		printf("nothing runs in %s\n", ps->run_dir);
		return 0;
	}
	return output_list(ps, list, columns);
}
