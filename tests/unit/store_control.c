/* SPDX-License-Identifier: MIT */
/* store_control.c - XS_CONTROL: the commands that an operator has. */
#include "tests/unit/store_control.h"

/* ---- commands --------------------------------------------------------- */

static void answers_only_the_privileged_and_what_it_knows(void)
{
	static const char *const bad[] = { "",
					   "chekc",
					   "check now",
					   "log maybe",
					   "log on off",
					   "memreport /etc/x",
					   "print",
					   "logfile /x",
					   "stats nothing",
					   "stats ops 0 0",
					   "help me",
					   "1 2 3 4 5 6 7 8 9 10" };
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(says(root, "check", "OK"));
	UNIT_CHECK(control(guest, "check") == -EACCES);
	UNIT_CHECK(control(guest, "stats totals") == -EACCES);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		UNIT_CHECK(control(root, bad[i]) == -EINVAL);
	UNIT_CHECK(peer_ask(root, XS_CONTROL, 0, "check", 5) == -EINVAL);
	UNIT_CHECK(control(root, "help") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "check ") == 1);
	UNIT_CHECK(nr_lines_of(root->reply, "stats ") == 1);
	UNIT_CHECK(control(root, "memreport") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "nodes: 15") == 1);
	UNIT_CHECK(says(root, "print hello", "OK"));
	UNIT_CHECK(strcmp(lines, "control: hello\n") == 0);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void logs_requests_while_it_is_told_to(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(says(root, "log", "Log switch settings:\nio      : off\n"));
	peer_write(guest, 0, "data/x", "1");
	UNIT_CHECK(lines[0] == '\0');
	UNIT_CHECK(says(root, "log on", "OK"));
	lines[0] = '\0';
	peer_write(guest, 0, "data/x", "1");
	peer_text(guest, XS_READ, 7, "/tool");
	peer_ask(guest, 4711, 0, NULL, 0);
	UNIT_CHECK(
		strcmp(lines,
		       "d3 c2: WRITE data/x tx 0: OK, 8 bytes in, 1000 ns\n"
		       "d3 c2: READ /tool tx 7: ENOENT, 6 bytes in, 1000 ns\n"
		       "d3 c2: other  tx 0: ENOSYS, 0 bytes in, 1000 ns\n") ==
		0);
	UNIT_CHECK(says(root, "log -io", "OK"));
	lines[0] = '\0';
	peer_write(guest, 0, "data/x", "1");
	UNIT_CHECK(lines[0] == '\0');
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void does_not_log_more_than_a_disk_can_bear(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(control(root, "log +io") == 0);
	clock_ns += NS_PER_S;
	for (unsigned i = 0; i < 450; i++)
		peer_write(guest, 0, "data/x", "1");
	UNIT_CHECK(nr_lines_of(lines, "d3 c2: WRITE data/x") == 200);
	clock_ns += NS_PER_S;
	peer_write(guest, 0, "data/x", "1");
	UNIT_CHECK(nr_lines_of(lines, "250 requests were not shown\n") == 1);
	UNIT_CHECK(nr_lines_of(lines, "d3 c2: WRITE data/x") == 201);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void shows_and_sets_quotas_as_xen_does(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(control(root, "quota") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "Quota settings:\n") == 1);
	UNIT_CHECK(nr_lines_of(root->reply, "nodes            :     1000 "
					    "Nodes per domain\n") == 1);
	UNIT_CHECK(nr_lines_of(root->reply, "memory           :  2621440 ") ==
		   1);
	UNIT_CHECK(says(root, "quota-soft",
			"Quota settings:\nmemory           :  2097152 "
			"Memory per domain (warning level)\n"));
	UNIT_CHECK(says(root, "quota-soft set memory 4711", "OK"));
	UNIT_CHECK(control(root, "quota-soft") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "memory           :     4711 ") ==
		   1);
	UNIT_CHECK(control(root, "quota-soft set nodes 3") == -EINVAL);
	UNIT_CHECK(control(root, "quota-soft 3") == -EINVAL);
	UNIT_CHECK(control(root, "quota set nodes") == -EINVAL);
	UNIT_CHECK(control(root, "quota set nodes 0") == -EINVAL);
	UNIT_CHECK(control(root, "quota set nodes -1") == -EINVAL);
	UNIT_CHECK(control(root, "quota set nodes 2147483648") == -EINVAL);
	UNIT_CHECK(control(root, "quota set soft-memory 5") == -EINVAL);
	UNIT_CHECK(control(root, "quota set pears 5") == -EINVAL);
	UNIT_CHECK(control(guest, "quota set nodes 5000") == -EACCES);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

/* Whoever has a quota of his own keeps it; the others get the new one. */
static void sets_the_quota_of_those_that_have_none_of_their_own(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);
	struct peer *own = peer_open(xsd, 4), *later;

	UNIT_CHECK(peer_ask(root, XS_SET_QUOTA, 0, "4\0watches\0002", 12) == 0);
	UNIT_CHECK(says(root, "quota set watches 1", "OK"));
	later = peer_open(xsd, 5);
	UNIT_CHECK(peer_watch(guest, "data", "a") == 0);
	UNIT_CHECK(peer_watch(guest, "data", "b") < 0);
	UNIT_CHECK(peer_watch(later, "data", "a") == 0);
	UNIT_CHECK(peer_watch(later, "data", "b") < 0);
	UNIT_CHECK(peer_watch(own, "data", "a") == 0);
	UNIT_CHECK(peer_watch(own, "data", "b") == 0);
	UNIT_CHECK(peer_watch(own, "data", "c") < 0);
	peer_close(later);
	peer_close(own);
	peer_close(guest);
	peer_close(root);
	xsd_close(xsd);
}

static void shows_what_domains_use_as_xen_does(void)
{
	struct xsd *xsd = open_store();
	struct peer *root = peer_open(xsd, 0), *guest = peer_open(xsd, 3);

	UNIT_CHECK(peer_watch(guest, "data", "a") == 0);
	UNIT_CHECK(peer_watch(guest, "data", "b") == 0);
	UNIT_CHECK(peer_unwatch(guest, "data", "b") == 0);
	UNIT_CHECK(control(root, "quota 3") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "Domain 3:\n") == 1);
	UNIT_CHECK(nr_lines_of(root->reply, "watches          :        1 "
					    "(max        2)\n") == 1);
	UNIT_CHECK(control(root, "quota 4") == -ENOENT);
	UNIT_CHECK(control(root, "quota x") == -EINVAL);
	peer_close(guest);
	UNIT_CHECK(xsd_domain_destroy(xsd, 3) == 0);
	UNIT_CHECK(control(root, "quota max") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "Max. seen accounting values:\n") ==
		   1);
	UNIT_CHECK(nr_lines_of(root->reply, "watches          :        2\n") ==
		   1);
	UNIT_CHECK(control(root, "quota max -x") == -EINVAL);
	UNIT_CHECK(control(root, "quota max -r") == 0);
	UNIT_CHECK(nr_lines_of(root->reply, "watches          :        0\n") ==
		   1);
	peer_close(root);
	xsd_close(xsd);
}

UNIT_MAIN("store_control",
	  UNIT_TEST(answers_only_the_privileged_and_what_it_knows),
	  UNIT_TEST(logs_requests_while_it_is_told_to),
	  UNIT_TEST(does_not_log_more_than_a_disk_can_bear),
	  UNIT_TEST(shows_and_sets_quotas_as_xen_does),
	  UNIT_TEST(sets_the_quota_of_those_that_have_none_of_their_own),
	  UNIT_TEST(shows_what_domains_use_as_xen_does))
