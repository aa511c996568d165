/* SPDX-License-Identifier: MIT */
/*
 * vif_capture.c - from the node to a capture; see vif_capture.h. Neighbours:
 * capture.c (the data thread's part); vif.c calls. Control thread.
 */
#include "netback/vif_capture.h"

#include <errno.h>
#include <string.h>

#include "util/log.h"

struct start {
	struct capture *capture;
	struct vif_queues *queues;
};

static int start_on_thread(void *arg)
{
	struct start *s = arg;

	return capture_start(s->capture, s->queues->nb->worker,
			     vif_port_switch_port(s->queues->port));
}

static int stop_on_thread(void *arg)
{
	capture_stop(arg);
	return 0;
}

static int begin(struct vif_capture *vc, struct vif_queues *queues)
{
	struct start s = { .queues = queues };
	struct capture_config config;
	int err = capture_parse(vc->seen, &config);

	if (!err)
		err = capture_open(queues->nb->control.platform, &config,
				   &s.capture);
	if (err)
		return err;
	err = worker_call(queues->nb->worker, start_on_thread, &s);
	if (err)
		capture_close(s.capture);
	else
		vc->capture = s.capture;
	return err;
}

void vif_capture_look(struct vif_capture *vc, struct xenbus_device *dev,
		      struct vif_queues *queues)
{
	char text[CAPTURE_TEXT_MAX];
	int err = xs_read_str(dev->xs, XS_NO_TXN, dev->node, "capture", text,
			      sizeof(text));

	if (err == -ENOENT)
		text[0] = '\0';
	else if (err)
		return;
	if (!queues->port || !strcmp(text, vc->seen))
		return;
	vif_capture_end(vc, queues);
	memcpy(vc->seen, text, sizeof(text));
	if (!*text)
		return;
	err = begin(vc, queues);
	if (err)
		log_limited(&dev->limit, LOG_WARN, "%s: capture '%s': %s",
			    dev->name, text, strerrordesc_np(-err));
	else
		log_info("%s: frames are captured", dev->name);
}

void vif_capture_end(struct vif_capture *vc, struct vif_queues *queues)
{
	vc->seen[0] = '\0';
	if (!vc->capture)
		return;
	worker_call(queues->nb->worker, stop_on_thread, vc->capture);
	capture_close(vc->capture);
	vc->capture = NULL;
}
