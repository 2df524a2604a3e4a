/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix doctor on the way from the VM to the host's pipeline: each failure is
 * staged, and has to be named.
 */
#include <glib/gstdio.h>
#include <gst/check/gstcheck.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-test-nobody.h"
#include "stream-pipeline.h"
#include "tool-peer.h"
#include "tool-run.h"

/* There is no stream: what fails before it decides the status. */
#define VM "--socket=@"

#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X120 X40 X40 X40

GST_START_TEST (test_two_vms)
{
  g_autofree gchar *other = g_strconcat (tool_folder, "/other.sock", NULL);
  ToolChild *a = tool_sim_new (tool_socket, "");
  ToolChild *b = tool_sim_new (other, "");

  tool_doctor ("", 10, "FAIL", "vm", "2 VMs", other, "Say --socket PATH");
  tool_child_end (a, SIGTERM);
  tool_child_end (b, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_no_file_of_the_kind)
{
  fail_unless (g_file_set_contents (tool_socket, "", 0, NULL));
  tool_doctor (VM, 11, "FAIL", "socket", "a regular file, not a socket",
      "Say the path given to QEMU");
}
GST_END_TEST;

/* A path may contain what separates a cause from its remedy. */
GST_START_TEST (test_no_file_of_an_odd_name)
{
  g_autofree gchar *text = g_strdup_printf (
      "cannot connect to %s. b: there is no socket", tool_socket);

  tool_doctor ("'--socket=@. b'", 11, "FAIL", "socket", text);
}
GST_END_TEST;

GST_START_TEST (test_stale_socket)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autofree gchar *left = g_strdup_printf (
      "left behind by pid %ld, which is gone", (long) sim->pid);

  tool_child_end (sim, SIGKILL);
  tool_doctor (VM, 12, "FAIL", "listen", "no process listens", left,
      "it replaces the file by itself");
}
GST_END_TEST;

/* A socket that its maker has not listened on, and no lock file. */
GST_START_TEST (test_unheard_socket)
{
  g_autofree gchar *name = g_strconcat (tool_socket, X120, NULL);
  gint fd = helix_socket (AF_UNIX);

  fail_unless (helix_unix_bind (fd, tool_socket) == 0);
  tool_doctor (VM, 12, "FAIL", "listen", "left behind by a QEMU that is gone");
  fail_unless (g_rename (tool_socket, name) == 0);
  tool_doctor ("--socket=@" X120, 11, "FAIL", "socket", "Use a shorter path");
  close (fd);
}
GST_END_TEST;

/* The kernel holds as many connections as listen () allows, and then no more.
 * The lock file names the process. */
GST_START_TEST (test_full_socket)
{
  g_autofree gchar *lock = g_strconcat (tool_socket, ".lock", NULL);
  gint fd = helix_socket (AF_UNIX), fillers[8];

  fail_unless (helix_unix_bind (fd, tool_socket) == 0);
  fail_unless (listen (fd, 0) == 0);
  fail_unless (g_file_set_contents (lock, "4711\n", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++) {
    fillers[i] = helix_socket (AF_UNIX);
    (void) helix_unix_connect (fillers[i], tool_socket);
  }
  tool_doctor (VM, 12, "FAIL", "listen", "too many connections wait",
      "continue it (kill -CONT 4711)");
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++)
    close (fillers[i]);
  close (fd);
}
GST_END_TEST;

/* Root may do everything: as root, doctor runs as another user, with what the
 * tests know of GStreamer's plugins. Else it would look at all of them in its
 * own process; if it gets to the end of that in time, LeakSanitizer judges what
 * they leak. It also wants a file that this user may not be able to read. */
static ToolRun *
run_as_stranger (void)
{
  const gchar *program = g_getenv ("HELIX_TOOL");
  const gchar *sanitizer = g_getenv ("ASAN_OPTIONS");
  g_autofree gchar *arguments =
      g_strdup_printf ("doctor --socket=%s", tool_socket);
  g_autofree gchar *copy = tool_copy (program, "helix", 0755);
  g_autofree gchar *registry =
      tool_copy (g_getenv ("GST_REGISTRY_1_0"), "registry", 0644);
  g_autofree gchar *named = g_strdup_printf ("GST_REGISTRY_1_0=%s", registry);
  g_autofree gchar *unjudged = g_strdup_printf (
      "ASAN_OPTIONS=%s:detect_leaks=0", sanitizer != NULL ? sanitizer : "");
  const gchar *environment[] = {named, unjudged, NULL};

  fail_unless (g_chmod (tool_folder, 0755) == 0);
  return tool_run_as (copy, environment, TRUE, arguments);
}

GST_START_TEST (test_no_permission)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autoptr (ToolRun) run = NULL;

  g_chmod (tool_socket, geteuid () == 0 ? 0600 : 0);
  run = run_as_stranger ();
  tool_expect_end (run, 12, TOOL_DEAD_S);
  tool_expect (run, "FAIL", "listen", "not allowed to connect");
  tool_expect (run, "FAIL", "listen", "as the user that runs QEMU");
  tool_expect (run, "FAIL", "listen", "mode=0666,allow=USER");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_closed_folder)
{
  g_autofree gchar *folder = g_build_filename (tool_folder, "closed", NULL);
  g_autoptr (ToolRun) run = NULL;

  fail_unless (g_mkdir (folder, geteuid () == 0 ? 0700 : 0) == 0);
  g_free (tool_socket);
  tool_socket = g_build_filename (folder, "socket", NULL);
  run = run_as_stranger ();
  tool_expect_end (run, 11, TOOL_DEAD_S);
  tool_expect (run, "FAIL", "socket", "its directory is closed to this user");
  tool_expect (run, "FAIL", "socket", "mode=0666,allow=USER");
  g_chmod (folder, 0700);
}
GST_END_TEST;

/* The file lets it in, but the shim asks the kernel who it is. */
GST_START_TEST (test_wrong_user)
{
  ToolChild *sim;
  g_autoptr (ToolRun) run = NULL;

  if (!test_can_be_nobody ("that the shim checks the uid"))
    return;
  sim = tool_sim_new (tool_socket, "");
  g_chmod (tool_socket, 0666);
  run = run_as_stranger ();
  fail_unless (run->status == 13 || run->status == 14, "%s", run->out);
  fail_unless (strstr (run->out, "refuses (auth)") != NULL
          && strstr (run->out, "as the user that runs QEMU") != NULL
          && strstr (run->out, "allow=65534") != NULL,
      "%s", run->out);
  tool_child_end (sim, SIGTERM);
  /* And what it says helps. */
  sim = tool_sim_new (tool_socket, "--mode=0666 --allow=65534");
  g_clear_pointer (&run, tool_run_free);
  run = run_as_stranger ();
  tool_expect (run, "OK", "listen", "listens, user 0");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

static const ToolScene scenes[] = {
    {TOOL_NO_PEER, "--host", 10, "FAIL", "vm",
        {"no VM that exports its screen was found",
            "Start QEMU with -device helix-export"}},
    {TOOL_NO_PEER, "--host", 10, "-", "socket", {"not looked at"}},
    {TOOL_NO_PEER, VM, 11, "FAIL", "socket", {"there is no socket"}},
    {TOOL_NO_PEER, "--socket=@" X120, 11, "FAIL", "socket",
        {"Use a shorter path"}},
    {PEER_SILENT, VM, 13, "FAIL", "ping", {"it says nothing"}},
    {PEER_CLOSES, VM, 13, "FAIL", "ping",
        {"the other end closed the connection"}},
    {PEER_VNC, VM, 13, "FAIL", "ping", {"a VNC server answers there"}},
    {PEER_WEB, VM, 13, "FAIL", "ping", {"a web server answers there"}},
    /* Whose buffer is full first, decides what is said of it. */
    {PEER_FLOOD, VM, 13, "FAIL", "ping", {"no PONG from"}},
    {PEER_ECHO, VM, 14, "FAIL", "shim", {"it sends back what it is sent"}},
    {PEER_OLD, VM, 14, "FAIL", "shim",
        {"the dialect from before version 1", "Replace the older"}},
    {PEER_DEAF, VM, 14, "FAIL", "shim", {"it says nothing more"}},
    {PEER_SHIM_BUSY, VM, 14, "FAIL", "shim",
        {"16 clients are connected already", "max-clients"}},
    {PEER_SHIM_OFF, VM, 15, "FAIL", "scanout",
        {"every scanout is off (0:off 1:off)"}},
    {PEER_SHIM_FRAMELESS, VM, 16, "FAIL", "frames",
        {"no picture of scanout 0"}},
    /* From before LIST: what it cannot tell is no failure. */
    {PEER_SHIM_OLD, VM, -1, "NOTE", "pipeline", {"too old to tell"}},
};

static const struct {
  const gchar *sim;    /* options of helix-shim-sim */
  const gchar *before; /* a command of helix that is run first, or NULL */
  ToolScene scene;
} sims[] = {
    {"--scanouts=2", NULL,
        {TOOL_NO_PEER, "--socket=@ --scanout=2", 15, "FAIL", "scanout",
            {"there is no scanout 2", "0:640x96 1:640x96"}}},
    {"--scanouts=2", "scanout 1 off",
        {TOOL_NO_PEER, "--scanout=1", 15, "FAIL", "scanout",
            {"scanout 1 is off", "helix scanout 1 1920x1080"}}},
    /* A screen on which nothing moves is no failure. */
    {"--pattern=static", NULL,
        {TOOL_NO_PEER, "", -1, "OK", "frames", {"then still"}}},
};

GST_START_TEST (test_scenes)
{
  tool_scene (&scenes[__i__]);
}
GST_END_TEST;

GST_START_TEST (test_sims)
{
  ToolChild *sim = tool_sim_new (tool_socket, sims[__i__].sim);

  if (sims[__i__].before != NULL) {
    g_autoptr (ToolRun) run = tool_run ("%s", sims[__i__].before);

    tool_expect_end (run, 0, TOOL_DEAD_S);
  }
  tool_scene (&sims[__i__].scene);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_no_pipeline)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--rate=30");
  g_autofree gchar *process =
      g_strdup_printf ("pid %ld (helix-shim-sim)", (long) sim->pid);
  g_autofree gchar *listens =
      g_strdup_printf ("%s listens, user %ld", process, (long) geteuid ());
  g_autoptr (ToolRun) run = tool_run ("doctor");

  tool_expect_end (run, 19, TOOL_DEAD_S);
  tool_expect (run, "OK", "vm", "one VM exports its screen");
  tool_expect (run, "OK", "vm", process);
  tool_expect (run, "OK", "listen", listens);
  tool_expect (run, "OK", "frames", "frames a second");
  tool_expect (run, "FAIL", "pipeline", "no host pipeline watches this VM");
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* Everything is served by the dead: no longer than all of them together. */
GST_START_TEST (test_all_dead)
{
  ToolPeer *shim = tool_peer_new (PEER_SILENT, tool_socket);
  ToolPeer *stream = tool_peer_new (PEER_SILENT, NULL);
  g_autoptr (ToolRun) run = tool_run ("doctor --socket=%s --address=%s",
      tool_socket, tool_peer_address (stream));

  tool_expect_end (run, 13, TOOL_DEAD_S);
  tool_expect (run, "FAIL", "answer", "it says nothing");
  tool_peer_free (shim);
  tool_peer_free (stream);
}
GST_END_TEST;

GST_START_TEST (test_stopped)
{
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autofree gchar *remedy =
      g_strdup_printf ("Continue it (kill -CONT %ld)", (long) sim->pid);

  kill (sim->pid, SIGSTOP);
  tool_doctor (
      VM, 13, "FAIL", "ping", "that process is stopped (SIGSTOP)", remedy);
  tool_child_end (sim, SIGKILL);
}
GST_END_TEST;

GST_START_TEST (test_pipeline_on_dead_scanout)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--scanouts=2");
  GstElement *pipeline;
  g_autoptr (ToolRun) off = tool_run ("scanout 1 off");
  g_autoptr (ToolRun) run = NULL;

  tool_expect_end (off, 0, TOOL_DEAD_S);
  pipeline = pipeline_play (pipeline_launch (
      "helixqemusrc socket-path=%s scanout=1 ! fakesink", tool_socket));
  run = tool_await ("FAIL", "pipeline", "doctor");
  tool_expect_end (run, 19, TOOL_HEALTHY_S);
  tool_expect (run, "FAIL", "pipeline", "watches scanout 1, which is off");
  tool_expect (run, "FAIL", "pipeline", "0:640x96 1:off");
  pipeline_end (pipeline);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* All is well, but for the picture: it is not the one that is meant. */
GST_START_TEST (test_pipeline_on_other_scanout)
{
  ToolChild *sim = tool_sim_new (tool_socket, "--scanouts=2");
  GstElement *pipeline = pipeline_play (pipeline_launch (
      "helixqemusrc socket-path=%s scanout=0 ! fakesink", tool_socket));
  g_autoptr (ToolRun) ready = tool_await ("OK", "pipeline", "doctor -n 0");
  g_autoptr (ToolRun) run = tool_run ("doctor -n 1");

  tool_expect (ready, "OK", "pipeline", "watches scanout 0");
  fail_if (strstr (ready->out, "no host pipeline") != NULL, "%s", ready->out);
  tool_expect_end (run, 19, TOOL_HEALTHY_S);
  tool_expect (run, "FAIL", "pipeline", "no host pipeline watches scanout 1");
  tool_expect (run, "FAIL", "pipeline", "Set scanout=1 of helixqemusrc");
  pipeline_end (pipeline);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

GST_START_TEST (test_pipeline_stopped)
{
  const gchar *launch = g_getenv ("GST_LAUNCH");
  g_autofree gchar *line = g_strdup_printf (
      "%s -q helixqemusrc socket-path=%s ! fakesink", launch, tool_socket);
  g_autoptr (ToolRun) before = NULL;
  g_autoptr (ToolRun) run = NULL;
  ToolChild *sim, *host;

  if (launch == NULL)
    return; /* not with the sanitizers */
  sim = tool_sim_new (tool_socket, "");
  host = tool_child_new (line, FALSE);
  before = tool_await ("OK", "pipeline", "doctor");
  kill (host->pid, SIGSTOP);
  run = tool_run ("doctor");
  tool_expect_end (run, 19, TOOL_HEALTHY_S);
  tool_expect (run, "FAIL", "pipeline", "is stopped");
  tool_expect (run, "FAIL", "pipeline", "kill -CONT");
  tool_child_end (host, SIGKILL);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

/* GStreamer without any plugin of the system: with ours, and without. */
GST_START_TEST (test_bare)
{
  static const struct {
    const gchar *path;
    gint status;
    const gchar *check, *what, *remedy;
  } cases[] = {
      {NULL, 18, "encoder", "no encoder", "gstreamer1.0-plugins-ugly"},
      {"GST_PLUGIN_PATH_1_0=", 17, "plugin", "does not find helixqemusrc",
          "Set GST_PLUGIN_PATH"},
  };
  ToolChild *sim = tool_sim_new (tool_socket, "");
  g_autofree gchar *none =
      g_strdup_printf ("GST_PLUGIN_SYSTEM_PATH_1_0=%s/none", tool_folder);
  g_autofree gchar *registry =
      g_strdup_printf ("GST_REGISTRY_1_0=%s/registry", tool_folder);
  const gchar *environment[] = {none, registry, cases[__i__].path, NULL};
  g_autoptr (ToolRun) run =
      tool_run_as (g_getenv ("HELIX_TOOL"), environment, FALSE, "doctor");

  tool_expect_end (run, cases[__i__].status, TOOL_DEAD_S);
  tool_expect (run, "FAIL", cases[__i__].check, cases[__i__].what);
  tool_expect (run, "FAIL", cases[__i__].check, cases[__i__].remedy);
  tool_child_end (sim, SIGTERM);
}
GST_END_TEST;

static Suite *
helix_doctor_vm_suite (void)
{
  Suite *s = suite_create ("helix-doctor-vm");
  TCase *tc = tcase_create ("staged");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_test (tc, test_two_vms);
  tcase_add_test (tc, test_no_file_of_the_kind);
  tcase_add_test (tc, test_no_file_of_an_odd_name);
  tcase_add_test (tc, test_stale_socket);
  tcase_add_test (tc, test_unheard_socket);
  tcase_add_test (tc, test_full_socket);
  tcase_add_test (tc, test_no_permission);
  tcase_add_test (tc, test_closed_folder);
  tcase_add_test (tc, test_wrong_user);
  tcase_add_loop_test (tc, test_scenes, 0, G_N_ELEMENTS (scenes));
  tcase_add_loop_test (tc, test_sims, 0, G_N_ELEMENTS (sims));
  tcase_add_test (tc, test_no_pipeline);
  tcase_add_test (tc, test_all_dead);
  tcase_add_test (tc, test_stopped);
  tcase_add_test (tc, test_pipeline_on_dead_scanout);
  tcase_add_test (tc, test_pipeline_on_other_scanout);
  tcase_add_test (tc, test_pipeline_stopped);
  tcase_add_loop_test (tc, test_bare, 0, 2);
  return s;
}

GST_CHECK_MAIN (helix_doctor_vm);
