/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands of `helix` are made of: reports, stats, listings and
 * the role of this machine.
 */
#include <fcntl.h>
#include <gst/check/gstcheck.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-bench.h"
#include "helix-doctor.h"
#include "helix-platform.h"
#include "helix-probe.h"
#include "helix-tool.h"
#include "helix-vms.h"
#include "tool-run.h"

#define MS G_GUINT64_CONSTANT (1000000)

/* ---- findings ---- */

static const HelixCheck listen_check = {.name = "listen", .number = 12};

static gchar *
printed (const HelixWalk *walk, gboolean colours)
{
  gchar *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream (&text, &size);
  gchar *copy;

  helix_finding_print (g_ptr_array_index (walk->report, 0), out, colours);
  fclose (out);
  copy = g_strdup (text);
  free (text);
  return copy;
}

/* What a peer says cannot steer the terminal, colours or not. */
GST_START_TEST (test_finding)
{
  static const struct {
    HelixVerdict verdict;
    const gchar *text, *plain, *coloured;
  } cases[] = {
      {HELIX_VERDICT_OK, "QEMU listens", "OK   listen     QEMU listens\n",
          "\033[32mOK  \033[0m listen     QEMU listens\n"},
      {HELIX_VERDICT_FAIL, "it is deaf" BECAUSE "it is gone" REMEDY "Start it",
          "FAIL listen     it is deaf: it is gone. Start it.\n",
          "\033[1;31mFAIL\033[0m listen     it is deaf: it is gone. Start "
          "it.\n"},
      {HELIX_VERDICT_FAIL,
          "evil \033[2J \xc2\x9b"
          "2J\n\xff",
          "FAIL listen     evil ?[2J ??2J?\xef\xbf\xbd\n",
          "\033[1;31mFAIL\033[0m listen     evil ?[2J ??2J?\xef\xbf\xbd\n"},
  };
  HelixWalk walk = {.check = &listen_check};
  g_autofree gchar *plain = NULL;
  g_autofree gchar *coloured = NULL;

  helix_walk_found (&walk, cases[__i__].verdict, "%s", cases[__i__].text);
  plain = printed (&walk, FALSE);
  coloured = printed (&walk, TRUE);
  fail_unless_equals_string (plain, cases[__i__].plain);
  fail_unless_equals_string (coloured, cases[__i__].coloured);
  g_ptr_array_unref (walk.report);
}
GST_END_TEST;

/* Only on a terminal, and NO_COLOR has the last word. */
GST_START_TEST (test_colours_wanted)
{
  gint terminal = posix_openpt (O_RDWR | O_NOCTTY);
  FILE *out;

  fail_unless (terminal >= 0);
  out = fdopen (terminal, "r+");
  g_setenv ("TERM", "xterm", TRUE);
  g_unsetenv ("NO_COLOR");
  fail_unless (helix_colours_wanted (out));
  g_setenv ("NO_COLOR", "", TRUE);
  fail_unless (helix_colours_wanted (out));
  g_setenv ("NO_COLOR", "1", TRUE);
  fail_if (helix_colours_wanted (out));
  g_unsetenv ("NO_COLOR");
  g_setenv ("TERM", "dumb", TRUE);
  fail_if (helix_colours_wanted (out));
  g_setenv ("TERM", "xterm", TRUE);
  fclose (out);
  out = fopen ("/dev/null", "we");
  fail_if (helix_colours_wanted (out));
  fclose (out);
}
GST_END_TEST;

/* Texts and numbers of all kinds; what is not known is null. */
GST_START_TEST (test_finding_json)
{
  HelixWalk walk = {.check = &listen_check};
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autofree gchar *text = NULL;

  helix_walk_found (&walk, HELIX_VERDICT_SKIP, "not \"seen\"\n\xff");
  helix_json_add (walk.facts, JSON_UINT ("most", G_MAXUINT64),
      JSON_KNOWN ("pid", 7, 0), JSON_KNOWN ("none", 0, 0),
      JSON_DOUBLE ("rate", 59.9),
      JSON_TEXT ("words", "0.1234567 \\\"0.1234567"), JSON_DOUBLE ("nan", NAN),
      JSON_DOUBLE ("much", 1e307), JSON_MS ("ms", 1500000),
      JSON_MS ("never", HELIX_NONE64), JSON_BOOL ("no", FALSE));
  helix_json_array (json, NULL);
  helix_finding_json (g_ptr_array_index (walk.report, 0), json);
  json_builder_end_array (json);
  text = helix_json_string (json);
  fail_unless_equals_string (text,
      "[{\"hop\":\"listen\",\"code\":12,\"verdict\":\"skip\","
      "\"text\":\"not \\\"seen\\\"\\n\xef\xbf\xbd\",\"cause\":null,"
      "\"remedy\":null,\"facts\":{\"most\":9223372036854775807,\"pid\":7,"
      "\"none\":null,\"rate\":59.900,"
      "\"words\":\"0.1234567 \\\\\\\"0.1234567\","
      "\"nan\":null,\"much\":null,\"ms\":1.500,\"never\":null,\"no\":false}}]");
  g_ptr_array_unref (walk.report);
}
GST_END_TEST;

/* ---- what bench received ---- */

#define BEGAN G_GUINT64_CONSTANT (5000000000)

/* `rate` a second for `seconds`, one more at the end. */
static HelixBenchStats *
steady (guint rate, guint seconds)
{
  HelixBenchStats *stats = helix_bench_stats_new (BEGAN);

  for (guint i = 0; i <= seconds * rate; i++)
    helix_bench_stats_unit (stats, BEGAN + i * 1000 * MS / rate, 1000,
        i % rate == 0, 100 + i, (i + 1) * MS / 10);
  helix_bench_stats_end (stats, BEGAN + seconds * 1000 * MS);
  return stats;
}

/* What --json says of it. */
static void
expect_figures (
    const HelixBenchStats *stats, gdouble target, const gchar *wanted)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autofree gchar *text = NULL;

  helix_json_object (json, NULL);
  helix_bench_stats_json (stats, target, json);
  json_builder_end_object (json);
  text = helix_json_string (json);
  fail_unless (strstr (text, wanted) != NULL, "no %s in %s", wanted, text);
}

GST_START_TEST (test_steady_units)
{
  g_autoptr (HelixBenchStats) stats = steady (60, 2);

  fail_unless_equals_uint64 (stats->received.units, 121);
  fail_unless_equals_uint64 (stats->received.keyframes, 3);
  fail_unless_equals_uint64 (stats->received.lost, 0);
  expect_figures (stats, 60, "\"rate\":60.000,\"bitrate\":484000.000");
  fail_unless_equals_int (stats->per_second->len, 2);
  /* The first starts the clock; the last is on the border. */
  fail_unless_equals_int (g_array_index (stats->per_second, guint, 0), 59);
  fail_unless_equals_int (g_array_index (stats->per_second, guint, 1), 60);
  fail_unless_equals_int (stats->gaps[0], 0);
  fail_unless_equals_uint64 (stats->latency.max, 121 * MS / 10);
}
GST_END_TEST;

GST_START_TEST (test_unit_gaps)
{
  g_autoptr (HelixBenchStats) stats = helix_bench_stats_new (0);
  static const guint at_ms[] = {0, 50, 101, 202, 403, 413};

  for (guint i = 0; i < G_N_ELEMENTS (at_ms); i++)
    helix_bench_stats_unit (
        stats, at_ms[i] * MS, 1, i == 0, i < 4 ? i : i + 10, HELIX_NONE64);
  /* 50, 51, 101, 201, 10 */
  fail_unless_equals_int (stats->gaps[0], 3);
  fail_unless_equals_int (stats->gaps[1], 2);
  fail_unless_equals_int (stats->gaps[2], 1);
  fail_unless_equals_uint64 (stats->shortest, 10 * MS);
  fail_unless_equals_uint64 (stats->longest, 201 * MS);
  fail_unless_equals_uint64 (stats->received.lost, 10);
  /* The end of the world is a gap, too. */
  helix_bench_stats_end (stats, 3413 * MS);
  fail_unless_equals_int (stats->gaps[2], 2);
  fail_unless_equals_uint64 (stats->longest, 3000 * MS);
  fail_unless_equals_int (stats->per_second->len, 3);
  fail_unless_equals_int (g_array_index (stats->per_second, guint, 2), 0);
}
GST_END_TEST;

GST_START_TEST (test_no_units)
{
  g_autoptr (HelixBenchStats) stats = helix_bench_stats_new (BEGAN);

  helix_bench_stats_end (stats, BEGAN);
  expect_figures (stats, 60, "\"rate\":0.000,\"bitrate\":0.000");
  expect_figures (stats, 60,
      "\"count\":0,\"p50\":null,\"p95\":null,\"p99\":null,\"max\":null");
}
GST_END_TEST;

/* From 95, 80 and 50 % of the target on. */
GST_START_TEST (test_grades)
{
  static const struct {
    guint rate;
    const gchar *at, *below;
  } bounds[] = {
      {95, "\"grade\":\"excellent\"", "\"grade\":\"good\""},
      {80, "\"grade\":\"good\"", "\"grade\":\"fair\""},
      {50, "\"grade\":\"fair\"", "\"grade\":\"poor\""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bounds); i++) {
    g_autoptr (HelixBenchStats) stats = steady (bounds[i].rate, 1);

    expect_figures (stats, 100, bounds[i].at);
    expect_figures (stats, 100.1, bounds[i].below);
  }
}
GST_END_TEST;

/* ---- listings ---- */

static void
add_client (HelixListing *listing, guint64 connected, guint64 frames)
{
  HelixListed client = {
      .info = {.pid = 7, .connected_ns = connected, .frames = frames},
      .name = "helixqemusrc"};

  g_array_append_val (listing->clients, client);
}

/* Two elements of one process, connected at almost the same time; one more
 * came between the listings. */
GST_START_TEST (test_same_client)
{
  HelixProbe probe = {.before = {.status = {.uptime_ns = 5000 * MS}},
      .now = {.status = {.uptime_ns = 6000 * MS}}};
  const HelixListed *client;

  probe.before.clients = g_array_new (FALSE, FALSE, sizeof *client);
  probe.now.clients = g_array_new (FALSE, FALSE, sizeof *client);
  add_client (&probe.before, 1001 * MS, 100);
  add_client (&probe.before, 1000 * MS, 60);
  add_client (&probe.now, 2001 * MS, 200);
  add_client (&probe.now, 2000 * MS, 120);
  add_client (&probe.now, 500 * MS, 30);
  for (guint i = 0; i < 3; i++) {
    client = &g_array_index (probe.now.clients, HelixListed, i);
    fail_unless (helix_probe_earlier (&probe, client)
            == (i < 2 ? &g_array_index (probe.before.clients, HelixListed, i)
                      : NULL),
        "%u", i);
  }
  /* A client may name any scanout. */
  fail_if (helix_probe_scanout_on (&probe, 99));
  g_array_unref (probe.before.clients);
  g_array_unref (probe.now.clients);
}
GST_END_TEST;

/* ---- roles ---- */

/* A file below the test's folder, with the folders that lead to it. */
static void
put (const gchar *path, const gchar *text)
{
  g_autofree gchar *file = g_build_filename (tool_folder, path, NULL);
  g_autofree gchar *folder = g_path_get_dirname (file);

  fail_unless (g_mkdir_with_parents (folder, 0700) == 0);
  fail_unless (g_file_set_contents (file, text, -1, NULL));
}

static const struct {
  const gchar *files[4][2]; /* path, text */
  HelixRole role;
  const gchar *why;
} machines[] = {
    {{{NULL}}, HELIX_HOST, "no virtio GPU"},
    /* A host in a cloud: a disk and a network, but no screen of ours. */
    {{{"sys/bus/virtio/devices/virtio0/device", "0x0001\n"},
         {"sys/bus/virtio/devices/virtio1/device", "0x0002\n"},
         {"sys/class/dmi/id/sys_vendor", "QEMU\n"},
         {"dev/virtio-ports/org.qemu.guest_agent.0", ""}},
        HELIX_HOST, "without a virtio GPU"},
    {{{"sys/bus/virtio/devices/virtio0/device", "0x0001\n"},
         {"sys/bus/virtio/devices/virtio3/device", "0x0010\n"}},
        HELIX_GUEST, "a virtio GPU (virtio3)"},
    {{{"dev/virtio-ports/org.helix.stream", ""}}, HELIX_GUEST,
        "virtio port org.helix.stream"},
};

GST_START_TEST (test_role)
{
  g_autofree gchar *why = NULL;

  for (guint i = 0; i < 4 && machines[__i__].files[i][0] != NULL; i++)
    put (machines[__i__].files[i][0], machines[__i__].files[i][1]);
  fail_unless_equals_int (
      helix_role_detect (NULL, tool_folder, &why), machines[__i__].role);
  fail_unless (strstr (why, machines[__i__].why) != NULL, "%s", why);
}
GST_END_TEST;

/* A host may be a guest itself: what it serves says which one is meant. */
GST_START_TEST (test_role_vm_in_guest)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *why_guest = NULL;
  ToolChild *sim;

  put ("dev/virtio-ports/org.helix.stream", "");
  fail_unless_equals_int (
      helix_role_detect (NULL, tool_folder, &why_guest), HELIX_GUEST);
  sim = tool_sim_new (tool_socket, "");
  fail_unless_equals_int (
      helix_role_detect (NULL, tool_folder, &why), HELIX_HOST);
  fail_unless_equals_string (why, "there is a VM's socket");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* A named socket is not connected to: its file system may hang. */
GST_START_TEST (test_named_vm)
{
  gint listener = helix_socket (AF_UNIX);
  struct pollfd waiting = {.fd = listener, .events = POLLIN};
  g_autofree gchar *looked = NULL;
  g_autofree gchar *why = NULL;
  g_autoptr (GPtrArray) vms = NULL;

  fail_unless (helix_unix_bind (listener, tool_socket) == 0);
  fail_unless (listen (listener, 8) == 0);
  vms = helix_vms_find (tool_socket, &looked);
  fail_unless_equals_int (vms->len, 1);
  fail_unless (looked == NULL);
  fail_unless_equals_int (
      helix_role_detect (tool_socket, tool_folder, &why), HELIX_HOST);
  fail_unless_equals_int (poll (&waiting, 1, 0), 0);
  close (listener);
}
GST_END_TEST;

GST_START_TEST (test_role_address)
{
  fail_unless_equals_string (
      helix_role_address (HELIX_GUEST, "unix:x"), "unix:x");
  fail_unless_equals_string (
      helix_role_address (HELIX_GUEST, NULL), tool_address);
  g_unsetenv ("HELIX_ADDRESS");
  fail_unless_equals_string (
      helix_role_address (HELIX_HOST, NULL), "tcp:127.0.0.1:14359");
  fail_unless_equals_string (
      helix_role_address (HELIX_GUEST, NULL), "tcp:10.0.2.2:14359");
}
GST_END_TEST;

static Suite *
helix_tool_parts_suite (void)
{
  Suite *s = suite_create ("helix-tool-parts");
  TCase *tc = tcase_create ("parts");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_loop_test (tc, test_finding, 0, 3);
  tcase_add_test (tc, test_colours_wanted);
  tcase_add_test (tc, test_finding_json);
  tcase_add_test (tc, test_steady_units);
  tcase_add_test (tc, test_unit_gaps);
  tcase_add_test (tc, test_no_units);
  tcase_add_test (tc, test_grades);
  tcase_add_test (tc, test_same_client);
  tcase_add_loop_test (tc, test_role, 0, G_N_ELEMENTS (machines));
  tcase_add_test (tc, test_role_vm_in_guest);
  tcase_add_test (tc, test_named_vm);
  tcase_add_test (tc, test_role_address);
  return s;
}

GST_CHECK_MAIN (helix_tool_parts);
