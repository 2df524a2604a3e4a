/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of `helix` besides doctor, and what it says to mistakes.
 */
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-marker.h"
#include "helix-test-nobody.h"
#include "stream-pipeline.h"
#include "tool-peer.h"
#include "tool-run.h"

#define ENCODER "x264enc tune=zerolatency speed-preset=ultrafast"

static void
expect_text (const ToolRun *run, const gchar *text)
{
  fail_unless (
      strstr (run->out, text) != NULL || strstr (run->err, text) != NULL,
      "no '%s' in:\n%s%s", text, run->out, run->err);
}

static void
expect_value (const ToolRun *run, const gchar *key, const gchar *wanted)
{
  g_autofree gchar *value = tool_json (run, key);

  fail_unless (g_strcmp0 (value, wanted) == 0, "%s is %s, not %s:\n%s", key,
      value, wanted, run->out);
}

/* ---- mistakes ---- */

static const struct {
  const gchar *arguments, *says;
} mistakes[] = {
    {"", "Usage: helix COMMAND"},
    {"dcotor", "there is no command 'dcotor'"},
    {"doctor --sokcet=x", "Unknown option"},
    {"doctor now", "'now' is one word too many"},
    {"doctor --token=secret", "--token"},
    {"doctor --token-file=/no/such/file", "no such file"},
    {"top --token-file=/", "regular file"},
    {"bench --token-file=/no/such/file", "no such file"},
    {"doctor --host --guest", "--host or --guest, not both"},
    {"doctor --guest --socket=x", "on the host only"},
    {"doctor --scanout=16", "from 0 to 15"},
    {"doctor --timeout=0", "--timeout goes from"},
    {"scanout", "say which scanout, and a size or off"},
    {"scanout 16 off", "'16' is no scanout"},
    {"scanout 1 big", "'big' is no size"},
    {"scanout 1 0x100", "'0x100' is no size"},
    {"scanout 1 100x20000", "'100x20000' is no size"},
    {"scanout 1 100x100x", "'100x100x' is no size"},
    {"scanout 1 off --timeout=0", "--timeout goes from"},
    {"snapshot --scanout=-1", "from 0 to 15"},
    {"bench --seconds=0", "--seconds goes from"},
    {"bench --target=0", "--target goes from"},
};

GST_START_TEST (test_mistakes)
{
  g_autoptr (ToolRun) run = tool_run ("%s", mistakes[__i__].arguments);

  tool_expect_end (run, 2, TOOL_HEALTHY_S);
  fail_unless (strstr (run->err, mistakes[__i__].says) != NULL, "%s", run->err);
}
GST_END_TEST;

GST_START_TEST (test_help)
{
  g_autoptr (ToolRun) help = tool_run ("--help");
  g_autoptr (ToolRun) version = tool_run ("--version");
  g_autoptr (ToolRun) doctor = tool_run ("doctor --help");

  tool_expect_end (help, 0, TOOL_HEALTHY_S);
  expect_text (help, "snapshot");
  tool_expect_end (version, 0, TOOL_HEALTHY_S);
  expect_text (version, "helix 0.");
  tool_expect_end (doctor, 0, TOOL_HEALTHY_S);
  expect_text (doctor, "--address=ADDRESS");
}
GST_END_TEST;

/* ---- list, scanout ---- */

GST_START_TEST (test_list)
{
  g_autofree gchar *other = g_strconcat (tool_folder, "/other.sock", NULL);
  g_autoptr (ToolRun) none = tool_run ("list");
  g_autoptr (ToolRun) gone = tool_run ("list --json --socket=%s", other);
  g_autoptr (ToolRun) both = NULL;
  g_autoptr (ToolRun) json = NULL;
  g_autoptr (ToolRun) stopped = NULL;
  ToolChild *a, *b;

  tool_expect_end (none, 1, TOOL_HEALTHY_S);
  expect_text (none, "no VM that exports its screen was found");
  tool_expect_end (gone, 1, TOOL_HEALTHY_S);
  expect_value (gone, "pid", "null");
  a = tool_sim_new (tool_socket, "");
  b = tool_sim_new (other, "--scanouts=2");
  both = tool_run ("list");
  tool_expect_end (both, 0, TOOL_HEALTHY_S);
  expect_text (both, "vm.sock");
  expect_text (both, " 0:640x96 1:640x96");
  json = tool_run ("list --json --socket=%s", other);
  tool_expect_end (json, 0, TOOL_HEALTHY_S);
  expect_value (json, "socket", other);
  expect_value (json, "width", "640");
  expect_value (json, "error", "null");
  kill (b->pid, SIGSTOP);
  stopped = tool_run ("list");
  tool_expect_end (stopped, 1, TOOL_DEAD_S);
  expect_text (stopped, "it says nothing");
  expect_text (stopped, " 0:640x96");
  tool_child_end (a, SIGTERM);
  tool_child_end (b, SIGKILL);
}
GST_END_TEST;

GST_START_TEST (test_scanout)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--scanouts=2");
  g_autoptr (ToolRun) beyond = tool_run ("scanout 2 off");
  g_autoptr (ToolRun) off = tool_run ("scanout 1 off");
  g_autoptr (ToolRun) again = tool_run ("scanout 1 off");
  g_autoptr (ToolRun) snapshot = tool_run ("snapshot -n 1 -o -");
  g_autoptr (ToolRun) on = tool_run ("scanout 1 800x600 --json");

  tool_expect_end (beyond, 1, TOOL_HEALTHY_S);
  expect_text (beyond, "has 2 scanouts, 0 to 1");
  tool_expect_end (off, 0, TOOL_HEALTHY_S);
  expect_text (off, "scanout 1 is off");
  tool_expect_end (again, 0, TOOL_HEALTHY_S);
  tool_expect_end (snapshot, 1, TOOL_HEALTHY_S);
  expect_text (snapshot, "scanout 1 is off");
  tool_expect_end (on, 0, TOOL_HEALTHY_S);
  expect_value (on, "done", "true");
  expect_value (on, "width", "800");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* ---- shims that do not do as they are asked ---- */

static const struct {
  PeerKind kind;
  const gchar *command;
  gint status;
  const gchar *word;
} shims[] = {
    /* Its main loop is too busy for LIST; it told its scanouts before. */
    {PEER_SHIM_LISTLESS, "list", 0, "staged 0.1.0  0:640x96 1:off"},
    /* Its guest ignores monitors, and is waited for as long as was said. */
    {PEER_SHIM_OFF, "scanout 1 800x600 --timeout=1", 1,
        "the guest has not switched it on"},
    /* A scanout that is off may have a monitor that the guest ignored, so it is
     * plugged out all the same. */
    {PEER_SHIM_STUBBORN, "scanout 1 off", 1, "no monitors here"},
    {PEER_SHIM_BLIND, "snapshot", 1, "refuses (readback): no GPU here"},
    {PEER_SHIM_LEAVING, "snapshot", 1, "closed down"},
};

/* The answer comes at once, with the reason. A command does not promise that
 * the shim tries again: it has ended. */
GST_START_TEST (test_shims)
{
  ToolPeer *peer = tool_peer_new (shims[__i__].kind, tool_socket);
  g_autoptr (ToolRun) run =
      tool_run ("%s --socket=%s", shims[__i__].command, tool_socket);

  tool_expect_end (run, shims[__i__].status, TOOL_HEALTHY_S);
  expect_text (run, shims[__i__].word);
  fail_if (strstr (run->err, "tries again") != NULL, "%s", run->err);
  tool_peer_free (peer);
}
GST_END_TEST;

/* ---- snapshot ---- */

GST_START_TEST (test_snapshot)
{
  g_autofree gchar *file = g_build_filename (tool_folder, "a b.png", NULL);
  ToolChild *sim = tool_sim_new (tool_socket, "--pattern=static");
  g_autoptr (ToolRun) run = tool_run ("snapshot -o '%s'", file);
  GstElement *pipeline;
  GstSample *sample;
  GstVideoFrame frame;
  GstVideoInfo info;
  const guint8 *row;
  guint32 number = 0;

  tool_expect_end (run, 0, TOOL_DEAD_S);
  expect_text (run, "scanout 0, 640x96");
  pipeline = pipeline_play (
      pipeline_launch ("filesrc location=\"%s\" ! pngdec ! videoconvert ! "
                       "video/x-raw,format=BGRx ! appsink name=out",
          file));
  sample = pipeline_pull (pipeline);
  fail_unless (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)));
  fail_unless (gst_video_frame_map (
      &frame, &info, gst_sample_get_buffer (sample), GST_MAP_READ));
  fail_unless (helix_marker_read (GST_VIDEO_FRAME_PLANE_DATA (&frame, 0),
      (guint) GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0), 4, &number));
  fail_unless_equals_int (number, 1);
  /* The second of the eight bars is yellow: to the bit, and in the order of
   * B G R. */
  row = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0)
      + 90 * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);
  fail_unless (
      row[120 * 4] == 0 && row[120 * 4 + 1] == 255 && row[120 * 4 + 2] == 255);
  gst_video_frame_unmap (&frame);
  gst_sample_unref (sample);
  pipeline_end (pipeline);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_snapshot_nowhere)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autoptr (ToolRun) run = tool_run ("snapshot -o %s/none/a.png", tool_folder);
  g_autoptr (ToolRun) beyond = tool_run ("snapshot -n 7");

  tool_expect_end (run, 1, TOOL_DEAD_S);
  expect_text (run, "none/a.png");
  tool_expect_end (beyond, 1, TOOL_DEAD_S);
  expect_text (beyond, "There is no scanout 7");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_snapshot_without_encoder)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autofree gchar *registry =
      g_strdup_printf ("GST_REGISTRY_1_0=%s/registry", tool_folder);
  const gchar *environment[] = {"GST_PLUGIN_SYSTEM_PATH_1_0=", registry, NULL};
  g_autoptr (ToolRun) run = tool_run_as (
      g_getenv ("HELIX_TOOL"), environment, FALSE, "snapshot -o -");

  tool_expect_end (run, 1, TOOL_DEAD_S);
  expect_text (run, "no PNG can be made: GStreamer has no pngenc. Install");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* A FIFO stays one, and so does a device. */
GST_START_TEST (test_snapshot_into_fifo)
{
  static const guint8 png[] = {0x89, 'P', 'N', 'G'};
  g_autofree gchar *fifo = g_build_filename (tool_folder, "fifo", NULL);
  ToolChild *sim = tool_sim_new (tool_socket, "--pattern=static");
  g_autofree gchar *line = g_strdup_printf ("cat %s", fifo);
  g_autoptr (ToolRun) run = NULL;
  guint8 head[sizeof png] = {0};
  struct stat st;
  ToolChild *cat;

  fail_unless (mkfifo (fifo, 0600) == 0);
  cat = tool_child_new (line, FALSE);
  run = tool_run ("snapshot -o %s", fifo);
  tool_expect_end (run, 0, TOOL_DEAD_S);
  fail_unless (stat (fifo, &st) == 0 && S_ISFIFO (st.st_mode),
      "the FIFO is one no more");
  fail_unless_equals_int (
      (gint) read (cat->out, head, sizeof head), sizeof head);
  fail_unless (memcmp (head, png, sizeof png) == 0);
  tool_child_end (cat, SIGKILL);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* Output that is lost is a failure. */
GST_START_TEST (test_full_disk)
{
  g_autofree gchar *arguments = NULL;
  g_autofree gchar *left = NULL;
  g_autoptr (ToolRun) run = NULL;
  g_autoptr (ToolRun) leaving = NULL;
  ToolChild *sim;

  if (access ("/dev/full", W_OK) < 0)
    return; /* Linux has it */
  sim = tool_sim_new (tool_socket, "");
  arguments =
      g_strdup_printf ("-c '\"%s\" list >/dev/full'", g_getenv ("HELIX_TOOL"));
  run = tool_run_as ("/bin/sh", NULL, FALSE, arguments);
  tool_expect_end (run, 1, TOOL_HEALTHY_S);
  expect_text (run, "cannot write to standard output");
  /* A reader that has seen enough is no full disk. */
  left = g_strdup_printf (
      "-c '{ \"%s\" list; echo status $? >&2; } | :'", g_getenv ("HELIX_TOOL"));
  leaving = tool_run_as ("/bin/sh", NULL, FALSE, left);
  fail_unless_equals_string (leaving->err, "status 0\n");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* ---- top, bench ---- */

GST_START_TEST (test_stream)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--rate=30");
  GstElement *host =
      pipeline_play (pipeline_launch ("helixqemusrc socket-path=%s ! " ENCODER
                                      " ! helixguestsink address=%s token=t",
          tool_socket, tool_address));
  g_autofree gchar *token = tool_token ("t");
  g_autofree gchar *doctor = g_strconcat ("doctor ", token, NULL);
  g_autoptr (ToolRun) ready = tool_await ("OK", "units", doctor);
  g_autoptr (ToolRun) top = tool_run ("top --once %s", token);
  g_autoptr (ToolRun) json = tool_run ("top --once --json %s", token);
  g_autoptr (ToolRun) refused = tool_run ("top --once --json");
  g_autoptr (ToolRun) bench =
      tool_run ("bench --seconds=2 --target=30 --json %s", token);
  g_autoptr (ToolRun) text = tool_run ("bench --seconds=1 %s", token);
  g_autofree gchar *rate = NULL;
  g_autofree gchar *p50 = NULL;

  tool_expect (ready, "OK", "stream", "helixguestsink");
  tool_expect_end (top, 0, TOOL_HEALTHY_S);
  expect_text (top, "VM     ");
  expect_text (top, "helixqemusrc");
  expect_text (top, "STREAM unix:");
  tool_expect_end (json, 0, TOOL_HEALTHY_S);
  expect_value (json, "kind", "vm");
  expect_value (json, "where", tool_socket);
  expect_value (json, "problem", "null");
  fail_unless (
      strstr (refused->out, "it refuses (auth)") != NULL, "%s", refused->out);

  tool_expect_end (bench, 0, TOOL_DEAD_S);
  expect_value (bench, "address", tool_address);
  expect_value (bench, "width", "640");
  rate = tool_json (bench, "rate");
  p50 = tool_json (bench, "p50");
  /* The machine may be slow, but it draws no more than it was told to; some
   * of it may come late, or again as keep-alive. */
  fail_unless (
      g_ascii_strtod (rate, NULL) > 1 && g_ascii_strtod (rate, NULL) < 40, "%s",
      bench->out);
  fail_unless (p50 != NULL && g_ascii_strtod (p50, NULL) > 0, "%s", bench->out);
  tool_expect_end (text, 0, TOOL_DEAD_S);
  expect_text (text, "gaps ");
  expect_text (text, "of 60: ");
  pipeline_end (host);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_bench_without)
{
  ToolPeer *silent = tool_peer_new (PEER_SILENT, NULL);
  g_autoptr (ToolRun) none = tool_run ("bench");
  g_autoptr (ToolRun) mute =
      tool_run ("bench --address=%s", tool_peer_address (silent));

  tool_expect_end (none, 1, TOOL_HEALTHY_S);
  expect_text (none, "helix doctor tells more");
  tool_expect_end (mute, 1, TOOL_DEAD_S);
  expect_text (mute, "it says nothing");
  tool_peer_free (silent);
}
GST_END_TEST;

/* The host may be silent for longer than helixsrc waits (3 s). */
GST_START_TEST (test_bench_outage)
{
  ToolPeer *peer = tool_peer_new (PEER_STREAM_MUTE, NULL);
  g_autoptr (ToolRun) run = tool_run (
      "bench --seconds=4 --json --address=%s", tool_peer_address (peer));
  g_autofree gchar *longest = NULL;

  tool_expect_end (run, 0, TOOL_DEAD_S);
  expect_value (run, "units", "3");
  longest = tool_json (run, "interval_max_ms");
  fail_unless (g_ascii_strtod (longest, NULL) > 3000, "%s", run->out);
  tool_peer_free (peer);
}
GST_END_TEST;

/* ---- whose VMs: of this user, of root, and of --server-user ---- */

/* The kernel's "nobody". */
#define OTHER "65534"

static const gchar *const other_commands[] = {"doctor --timeout=2", "list",
    "top --once", "snapshot --output=/dev/null", "scanout 0 640x480"};

/* helix-shim-sim as another user, which lets root in. */
static ToolChild *
other_users_sim (void)
{
  g_autofree gchar *copy = tool_copy (g_getenv ("HELIX_SIM"), "sim", 0755);
  g_autofree gchar *folder = g_build_filename (tool_folder, "other", NULL);
  g_autofree gchar *line = NULL;

  g_chmod (tool_folder, 0755);
  fail_unless_equals_int (g_mkdir (folder, 0777), 0);
  g_chmod (folder, 0777);
  g_free (tool_socket);
  tool_socket = g_build_filename (folder, "socket", NULL);
  line = g_strdup_printf ("setpriv --reuid=" OTHER " --regid=" OTHER
                          " --clear-groups %s --quiet "
                          "--socket=%s --size=640x96 --frames=9000 --exit",
      copy, tool_socket);
  return tool_child_new (line, TRUE);
}

GST_START_TEST (test_other_user)
{
  ToolChild *sim;
  g_autoptr (ToolRun) json = NULL;

  if (!test_can_be_nobody ("a VM of another user"))
    return;
  sim = other_users_sim ();
  for (guint i = 0; i < G_N_ELEMENTS (other_commands); i++) {
    g_autoptr (ToolRun) run =
        tool_run ("%s --socket=%s", other_commands[i], tool_socket);
    g_autofree gchar *said = g_strconcat (run->out, run->err, NULL);

    fail_unless (
        run->status != 0 || g_str_has_prefix (other_commands[i], "top"),
        "%s: %s", other_commands[i], said);
    fail_unless (strstr (said, "nobody (uid " OTHER) != NULL
            && strstr (said, "server-user") != NULL,
        "%s: %s", other_commands[i], said);
  }
  json = tool_run ("doctor --json --socket=%s", tool_socket);
  tool_expect_end (json, 12, TOOL_DEAD_S);
  expect_value (json, "uid", OTHER);
  fail_unless (strstr (json->out, "(sim) of user nobody (uid " OTHER) != NULL
          && strstr (json->out, "say --server-user " OTHER " here") != NULL,
      "%s", json->out);
  tool_await_on (tool_socket, "--server-user=nobody");
  for (guint i = 0; i < G_N_ELEMENTS (other_commands); i++) {
    g_autoptr (ToolRun) run = tool_run (
        "%s --socket=%s --server-user=nobody", other_commands[i], tool_socket);
    g_autofree gchar *said = g_strconcat (run->out, run->err, NULL);

    fail_if (strstr (said, "server-user") != NULL, "%s: %s", other_commands[i],
        said);
    if (!g_str_has_prefix (
            other_commands[i], "doctor")) /* there is no stream */
      fail_unless (run->status == 0, "%s: %s", other_commands[i], said);
  }
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_no_such_user)
{
  for (guint i = 0; i < G_N_ELEMENTS (other_commands); i++) {
    g_autoptr (ToolRun) run =
        tool_run ("%s --server-user=no-such-user", other_commands[i]);

    fail_unless_equals_int (run->status, 2);
    fail_unless (
        strstr (run->err, "server-user no-such-user: there is no such user")
            != NULL,
        "%s", run->err);
  }
}
GST_END_TEST;

/* ---- doctor's JSON ---- */

GST_START_TEST (test_doctor_json)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autoptr (ToolRun) run = tool_run ("doctor --json");

  tool_expect_end (run, 19, TOOL_HEALTHY_S);
  expect_value (run, "side", "host");
  expect_value (run, "healthy", "false");
  expect_value (run, "exit_code", "19");
  expect_value (run, "scanouts", "1"); /* of the shim */
  fail_unless (strstr (run->out,
                   "{\"hop\":\"vm\",\"code\":10,"
                   "\"verdict\":\"ok\",")
          != NULL,
      "%s", run->out);
  /* No terminal, no colours. */
  fail_unless (strchr (run->out, '\033') == NULL);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

static Suite *
helix_tool_suite (void)
{
  Suite *s = suite_create ("helix-tool");
  TCase *tc = tcase_create ("commands");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_loop_test (tc, test_mistakes, 0, G_N_ELEMENTS (mistakes));
  tcase_add_test (tc, test_help);
  tcase_add_test (tc, test_list);
  tcase_add_test (tc, test_scanout);
  tcase_add_loop_test (tc, test_shims, 0, G_N_ELEMENTS (shims));
  tcase_add_test (tc, test_snapshot);
  tcase_add_test (tc, test_snapshot_nowhere);
  tcase_add_test (tc, test_snapshot_without_encoder);
  tcase_add_test (tc, test_snapshot_into_fifo);
  tcase_add_test (tc, test_full_disk);
  tcase_add_test (tc, test_stream);
  tcase_add_test (tc, test_bench_without);
  tcase_add_test (tc, test_bench_outage);
  tcase_add_test (tc, test_other_user);
  tcase_add_test (tc, test_no_such_user);
  tcase_add_test (tc, test_doctor_json);
  return s;
}

GST_CHECK_MAIN (helix_tool);
