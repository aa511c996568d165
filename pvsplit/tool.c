/* SPDX-License-Identifier: MIT */
/* tool.c - see tool.h. */
#include "pvsplit/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "platform/lite_control.h"
#include "pvsplit/domain.h"
#include "pvsplit/process.h"
#include "util/num.h"

void tool_add(struct tool *tool, const char *option, const char *value)
{
	/* There is room for every option of every command. */
	if (tool->nr + 2 > TOOL_ARGS_MAX)
		return;
	tool->argv[tool->nr++] = option;
	if (value)
		tool->argv[tool->nr++] = value;
}

void tool_add_u32(struct tool *tool, const char *option, uint32_t value)
{
	char *number = tool->numbers[tool->nr_numbers++];

	snprintf(number, sizeof(tool->numbers[0]), "%u", value);
	tool_add(tool, option, number);
}

int tool_init(struct pvsplit *ps, const char *program, struct tool *ret)
{
	int err = process_program(program, ret->path, sizeof(ret->path));

	if (err)
		return err;
	memset(ret->argv, 0, sizeof(ret->argv));
	ret->nr = ret->nr_numbers = 0;
	tool_add(ret, ret->path, NULL);
	tool_add(ret, "--run-dir", ps->run_dir);
	if (ps->json)
		tool_add(ret, "--json", NULL);
	return 0;
}

void tool_add_options(struct tool *tool, const struct args *args,
		      const struct cmd_option *table)
{
	for (unsigned i = 0; i < args->nr_given; i++) {
		const struct cmd_option *o = args->given[i].option;
		char *text = tool->options[i];
		const struct cmd_option *known = table;

		while (known->name && known != o)
			known++;
		if (!known->name || str_printf(text, sizeof(tool->options[0]),
					       "--%s", o->name) < 0)
			continue;
		tool_add(tool, text, args->given[i].value);
	}
}

/* Pass a signal on that was sent to us alone; a terminal's reached both. */
static void pass_on(const struct pvsplit *ps, pid_t pid)
{
	struct signalfd_siginfo info;

	while (read(ps->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_code <= 0)
			kill(pid, (int)info.ssi_signo);
}

int tool_run(struct pvsplit *ps, const char *command, const struct tool *tool)
{
	struct process_spec spec = {
		.argv = tool->argv,
		.in = PROCESS_NULL,
		.out = PROCESS_INHERIT,
		.err = PROCESS_INHERIT,
		.dies_with_us = true,
	};
	int status, err;
	pid_t pid;

	fflush(stdout);
	err = process_start(&spec, &pid);
	if (err)
		return complain(err, "%s: cannot start %s: %s", command,
				tool->path, strerror(-err));
	do {
		err = process_wait(ps, pid, UINT64_MAX, &status);
		if (err == -EINTR)
			pass_on(ps, pid);
	} while (err == -EINTR);
	if (err)
		return complain(err, "%s: lost sight of %s: %s", command,
				tool->path, strerror(-err));
	return process_exit_code(status);
}

int tool_in_domain(struct pvsplit *ps, const char *command, tool_domain_fn *fn,
		   void *arg)
{
	struct pvsplit calm = *ps;
	char name[32];
	domid_t domid;
	int err, undo;

	snprintf(name, sizeof(name), "bench-%d", getpid());
	err = domain_create(ps, command, name, getuid(), LITE_DOMAIN_EPHEMERAL,
			    &domid);
	if (err)
		return err;
	calm.signal_fd = -1;
	err = fn(ps, domid, arg);
	undo = domain_destroy(&calm, command, domid);
	return err ? err : undo;
}
