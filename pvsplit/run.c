/* SPDX-License-Identifier: MIT */
/*
 * run.c - run: a command inside a guest that lives as long as the command, or
 * inside one that exists. See guest.h; attach.h for its devices.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "pvsplit/attach.h"
#include "pvsplit/domain.h"
#include "pvsplit/guest.h"
#include "pvsplit/jobs.h"
#include "pvsplit/service.h"
#include "util/num.h"

/* After a signal that was meant for us: how long the command may take. */
#define GRACE_NS  (5 * NS_PER_S)
#define DETACH_NS (5 * NS_PER_S)

const struct cmd_option run_options[] = {
	{ "name", "NAME", "the guest's name" },
	{ "domain", "DOMAIN", "use this domain and what is attached to it" },
	{ "disk", "SPEC", "a disk; SPEC[,mount=DIR] as for block-attach" },
	{ "vif", "SPEC", "an interface; SPEC[,ip=A/B][,gw=A]" },
	{ "keep", NULL, "keep the domain and its devices afterwards" },
	{ 0 },
};

const char run_help[] =
	"Makes a domain, gives it the disks and interfaces, and runs COMMAND\n"
	"in it: with its own network (eth0, eth1, ... are the interfaces),\n"
	"its own mounts and processes. A disk is a block device whose name is\n"
	"in the environment, PVSPLIT_DISK_XVDA=/dev/loopN, and mounted at DIR\n"
	"if mount=DIR is given. The exit status is COMMAND's. Afterwards\n"
	"everything is taken down, also after Ctrl-C.\n";

struct run {
	struct pvsplit *ps;
	const struct args *args;
	struct disk_spec *disks;
	struct vif_spec *vifs;
	unsigned nr_disks, nr_vifs;
	struct guest_config config;
	struct device devices[GUEST_DISKS_MAX + GUEST_VIFS_MAX];
	unsigned nr_devices;
	char name[DOMAIN_NAME_MAX];
	bool created;
};

/* ---- the command line ---- */

static int parse_specs(struct run *r)
{
	char why[SPEC_WHY_MAX];

	for (unsigned i = 0; i < r->args->nr_given; i++) {
		const char *name = r->args->given[i].option->name;
		const char *value = r->args->given[i].value;
		int err = 0;

		if (!strcmp(name, "disk")) {
			if (r->nr_disks == GUEST_DISKS_MAX)
				return complain_usage(r->args,
						      "more than %u disks",
						      GUEST_DISKS_MAX);
			err = spec_disk_parse(value, true,
					      &r->disks[r->nr_disks++], why);
		} else if (!strcmp(name, "vif")) {
			if (r->nr_vifs == GUEST_VIFS_MAX)
				return complain_usage(r->args,
						      "more than %u interfaces",
						      GUEST_VIFS_MAX);
			err = spec_vif_parse(value, true,
					     &r->vifs[r->nr_vifs++], why);
		}
		if (err)
			return complain(err, "run: %s", why);
	}
	return 0;
}

static int check_args(struct run *r)
{
	bool existing = args_get(r->args, "domain") != NULL;

	if (!r->args->nr)
		return complain_usage(r->args, "no command is given");
	if (existing &&
	    (r->nr_disks || r->nr_vifs || args_get(r->args, "name")))
		return complain_usage(r->args,
				      "--domain goes without --name, --disk "
				      "and --vif");
	return 0;
}

/* ---- what the guest has ---- */

static int make_domain(struct run *r)
{
	const char *name = args_get(r->args, "name");
	bool keep = args_get(r->args, "keep") != NULL;
	int err;

	if (name)
		snprintf(r->name, sizeof(r->name), "%s", name);
	else
		snprintf(r->name, sizeof(r->name), "run-%d", getpid());
	if (name && strlen(name) >= sizeof(r->name))
		return complain(-EINVAL,
				"run: the name is longer than %zu "
				"bytes; shorten it",
				sizeof(r->name) - 1);
	err = domain_create(r->ps, "run", r->name, getuid(),
			    keep ? 0 : LITE_DOMAIN_EPHEMERAL, &r->config.domid);
	r->created = !err;
	return err;
}

static void add_disk(struct run *r, uint32_t handle, const char *vdev,
		     bool readonly, const char *mount)
{
	struct guest_disk *d = &r->config.disks[r->config.nr_disks++];

	d->handle = handle;
	d->readonly = readonly;
	snprintf(d->vdev, sizeof(d->vdev), "%s", vdev);
	snprintf(d->mount, sizeof(d->mount), "%s", mount);
}

static void add_vif(struct run *r, uint32_t handle, const char *ip,
		    const char *gw)
{
	struct guest_vif *v = &r->config.vifs[r->config.nr_vifs++];

	v->handle = handle;
	snprintf(v->ip, sizeof(v->ip), "%.63s", ip);
	snprintf(v->gw, sizeof(v->gw), "%s", gw);
}

static int attach_all(struct run *r)
{
	for (unsigned i = 0; i < r->nr_vifs; i++) {
		struct vif_spec *v = &r->vifs[i];
		int err = network_attach(r->ps, "run", r->config.domid, v, NULL,
					 true, &r->devices[r->nr_devices]);

		if (err)
			return err;
		r->nr_devices++;
		add_vif(r, v->handle, v->ip, v->gw);
	}
	for (unsigned i = 0; i < r->nr_disks; i++) {
		const struct disk_spec *d = &r->disks[i];
		int err = block_attach(r->ps, "run", r->config.domid, d, NULL,
				       true, &r->devices[r->nr_devices]);

		if (err)
			return err;
		r->nr_devices++;
		add_disk(r, d->handle, d->vdev, d->readonly, d->mount);
	}
	return 0;
}

static int found_disk(struct pvsplit *ps, const struct device *dev, void *arg)
{
	char vdev[SPEC_VDEV_MAX], mode[4] = "w";
	struct run *r = arg;
	int err;

	if (r->config.nr_disks == GUEST_DISKS_MAX)
		return 0;
	err = xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "vdev", vdev,
			  sizeof(vdev));
	if (!err)
		err = xs_read_str(ps->xs, XS_NO_TXN, dev->libxl, "mode", mode,
				  sizeof(mode));
	if (!err)
		add_disk(r, dev->handle, vdev, !strcmp(mode, "r"), "");
	return err;
}

static int found_vif(struct pvsplit *ps, const struct device *dev, void *arg)
{
	struct run *r = arg;

	(void)ps;
	if (r->config.nr_vifs < GUEST_VIFS_MAX)
		add_vif(r, dev->handle, "", "");
	return 0;
}

static int use_domain(struct run *r, const char *text)
{
	int err = domain_resolve(r->ps, "run", text, &r->config.domid);

	if (err)
		return err;
	domain_name(r->ps, r->config.domid, r->name, sizeof(r->name));
	err = device_for_each(r->ps, DEVICE_VIF, r->config.domid, found_vif, r);
	if (!err)
		err = device_for_each(r->ps, DEVICE_VBD, r->config.domid,
				      found_disk, r);
	if (err)
		return complain(err, "run: cannot read the devices of %s: %s",
				text, strerror(-err));
	return guest_requirements("run", r->config.nr_disks, r->config.nr_vifs);
}

/* Detach, destroy: what this run made is no more. */
static int undo(struct run *r)
{
	struct pvsplit calm = *r->ps;
	int first = 0, err;

	if (!r->created)
		return 0;
	calm.signal_fd = -1;
	for (unsigned i = r->nr_devices; i-- > 0;) {
		err = device_detach(&calm, "run", &r->devices[i], true,
				    clock_now_ns() + DETACH_NS);
		first = first ? first : err;
	}
	err = domain_destroy(&calm, "run", r->config.domid);
	return first ? first : err;
}

/* ---- the command ---- */

/*
 * Pass a signal on that was sent to us alone; what a terminal sends goes to the
 * command as well. Returns true when it has to end soon.
 */
static bool pass_on(const struct pvsplit *ps, pid_t pid)
{
	struct signalfd_siginfo info;
	bool meant_for_us = false;

	while (read(ps->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_code > 0 && info.ssi_signo != SIGHUP)
			continue;
		kill(pid, (int)info.ssi_signo);
		meant_for_us = true;
	}
	return meant_for_us;
}

static int wait_command(struct run *r, const struct guest *guest, pid_t pid)
{
	uint64_t deadline_ns = UINT64_MAX;
	int status, err;

	for (;;) {
		err = process_wait(r->ps, pid, deadline_ns, &status);
		if (err == -EINTR) {
			if (pass_on(r->ps, pid) && deadline_ns == UINT64_MAX)
				deadline_ns = clock_now_ns() + GRACE_NS;
			continue;
		}
		if (err != -ETIMEDOUT)
			break;
		kill(pid, SIGKILL);
		deadline_ns = UINT64_MAX;
	}
	if (err)
		return complain(err, "run: lost sight of the command: %s",
				strerror(-err));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
	    process_state(guest->init) == 'Z')
		complain(0, "run: the guest was killed; see dmesg(1)");
	return process_exit_code(status);
}

static int run_command(struct run *r, struct guest *guest)
{
	struct process_spec spec = {
		.argv = (const char *const *)r->args->words,
		.in = PROCESS_INHERIT,
		.out = PROCESS_INHERIT,
		.err = PROCESS_INHERIT,
	};
	pid_t pid;
	int err = guest_exec(r->ps, guest, &spec, &pid);

	if (err)
		return complain(err,
				"run: cannot run %s: %s; check its name "
				"and PATH",
				r->args->words[0], strerror(-err));
	return wait_command(r, guest, pid);
}

static int run_in_guest(struct run *r)
{
	struct guest guest;
	int ret, err;

	err = service_make_dirs(r->ps);
	if (err)
		return err;
	r->config.log_fd = service_log_open(r->ps, r->name);
	if (r->config.log_fd < 0)
		return r->config.log_fd;
	ret = guest_start(r->ps, &r->config, &guest);
	if (!ret) {
		ret = run_command(r, &guest);
		guest_stop(&guest);
	}
	close(r->config.log_fd);
	if (!ret && r->created)
		service_log_remove(r->ps, r->name);
	return ret;
}

static int make_and_run(struct run *r)
{
	const char *existing = args_get(r->args, "domain");
	int err = parse_specs(r), cleaned = 0;

	if (!err)
		err = check_args(r);
	if (!err)
		err = guest_requirements("run", r->nr_disks, r->nr_vifs);
	if (!err)
		err = pvsplit_connect(r->ps);
	if (!err)
		err = pvsplit_catch_signals(r->ps);
	if (err)
		return err;
	err = existing ? use_domain(r, existing) : make_domain(r);
	if (!err && !existing)
		err = attach_all(r);
	if (!err)
		err = run_in_guest(r);
	if (err < 0 || !args_get(r->args, "keep"))
		cleaned = undo(r);
	return err ? err : cleaned;
}

int run_run(struct pvsplit *ps, const struct args *args)
{
	struct run *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (r) {
		r->ps = ps;
		r->args = args;
		r->config.command = "run";
		r->disks = calloc(GUEST_DISKS_MAX, sizeof(*r->disks));
		r->vifs = calloc(GUEST_VIFS_MAX, sizeof(*r->vifs));
	}
	if (r && r->disks && r->vifs)
		err = make_and_run(r);
	else
		complain(err, "run: out of memory; try again");
	if (r) {
		free(r->disks);
		free(r->vifs);
	}
	free(r);
	return err;
}
