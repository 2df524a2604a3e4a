/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix doctor on the way from the host's pipeline to the guest, from both
 * sides: each failure is staged, and has to be named; and all is well.
 */
#include <arpa/inet.h>
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-platform.h"
#include "stream-pipeline.h"
#include "tool-peer.h"
#include "tool-run.h"

#define ENCODER \
  "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=600"

static ToolChild *sim;
static GstElement *host, *guest;

/* A VM and a host pipeline whose sink has these properties. */
static void
start_host (const gchar *screen, const gchar *sink)
{
  sim = tool_sim_new (tool_socket, screen);
  host =
      pipeline_play (pipeline_launch ("helixqemusrc socket-path=%s ! " ENCODER
                                      " ! helixguestsink address=%s %s",
          tool_socket, tool_address, sink));
}

static void
start_guest (void)
{
  guest = pipeline_play (pipeline_launch (
      "helixsrc address=%s ! h264parse ! fakesink", tool_address));
}

/* At the end of each test: GStreamer's check waits for its tasks before a
 * teardown is called. */
static void
stop (void)
{
  if (guest != NULL)
    pipeline_end (guest);
  if (host != NULL)
    pipeline_end (host);
  if (sim != NULL)
    tool_child_end (sim, SIGTERM);
  guest = host = NULL;
  sim = NULL;
}

/* ---- all is well ---- */

GST_START_TEST (test_healthy_host)
{
  g_autoptr (ToolRun) ready = NULL;
  g_autoptr (ToolRun) run = NULL;

  start_host ("--rate=30", "");
  start_guest ();
  ready = tool_await ("OK", "guest", "doctor");
  run = tool_run ("doctor");
  tool_expect_end (run, 0, TOOL_HEALTHY_S);
  tool_expect (run, "OK", "pipeline", "watches scanout 0");
  tool_expect (run, "OK", "units", "units a second");
  tool_expect (run, "OK", "guest", "helixsrc");
  fail_if (strstr (run->out, "FAIL") != NULL, "%s", run->out);
  stop ();
}
GST_END_TEST;

/* A still screen makes units on demand only; that is no failure. */
GST_START_TEST (test_healthy_still)
{
  g_autoptr (ToolRun) ready = NULL;
  g_autoptr (ToolRun) run = NULL;

  sim = tool_sim_new (tool_socket, "--pattern=static");
  host = pipeline_play (
      pipeline_launch ("helixqemusrc socket-path=%s keepalive-time=0 ! " ENCODER
                       " ! helixguestsink address=%s",
          tool_socket, tool_address));
  start_guest ();
  ready = tool_await ("OK", "guest", "doctor");
  run = tool_run ("doctor");
  tool_expect_end (run, 0, TOOL_HEALTHY_S);
  tool_expect (run, "OK", "units", "the screen is still");
  stop ();
}
GST_END_TEST;

GST_START_TEST (test_healthy_guest)
{
  g_autoptr (ToolRun) ready = NULL;
  g_autoptr (ToolRun) run = NULL;

  start_host ("--rate=30", "");
  ready = tool_await ("OK", "units", "doctor");
  /* A busy machine may take its time to decode. */
  run = tool_run ("doctor --guest --timeout=20");
  tool_expect_end (run, 0, TOOL_HEALTHY_S);
  tool_expect (run, "OK", "units", "the first keyframe came after");
  tool_expect (run, "OK", "parse", "H.264 640x96");
  tool_expect (run, "OK", "decode", "makes pictures of it");
  stop ();
}
GST_END_TEST;

/* ---- the way there ---- */

/* Nothing accepts, and the queue is full: SYNs go unanswered, as from a
 * machine that is gone. */
GST_START_TEST (test_dead_machine)
{
  struct sockaddr_in local = {.sin_family = AF_INET};
  socklen_t size = sizeof local;
  gint listener = helix_socket (AF_INET), fillers[8];
  g_autoptr (ToolRun) run = NULL;

  local.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  fail_unless (bind (listener, (struct sockaddr *) &local, size) == 0);
  fail_unless (listen (listener, 0) == 0);
  fail_unless (getsockname (listener, (struct sockaddr *) &local, &size) == 0);
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++) {
    fillers[i] = helix_socket (AF_INET);
    (void) connect (fillers[i], (struct sockaddr *) &local, size);
  }
  run = tool_run (
      "doctor --guest --address=tcp:127.0.0.1:%u", ntohs (local.sin_port));
  tool_expect_end (run, 20, TOOL_DEAD_S);
  tool_expect (run, "FAIL", "connect", g_strerror (ETIMEDOUT));
  for (guint i = 0; i < G_N_ELEMENTS (fillers); i++)
    close (fillers[i]);
  close (listener);
}
GST_END_TEST;

#define GUEST "--guest --address=@"
#define HOST "--host --address=@"

static const ToolScene strangers[] = {
    {TOOL_NO_PEER, "--guest", 20, "FAIL", "connect",
        {"cannot connect to unix:", "helix doctor on the host"}},
    {TOOL_NO_PEER, "--guest --address=14359", 20, "FAIL", "connect",
        {"14359 is no address"}},
    {TOOL_NO_PEER, "--guest --address=serial:/no/port", 20, "FAIL", "connect",
        {"no such port", "virtserialport"}},
    /* the port is another program's */
    {PEER_VNC, GUEST, 21, "FAIL", "answer", {"a VNC server answers there"}},
    {PEER_WEB, GUEST, 21, "FAIL", "answer", {"a web server answers there"}},
    {PEER_SILENT, GUEST, 21, "FAIL", "answer", {"it says nothing"}},
    {PEER_CLOSES, GUEST, 21, "FAIL", "answer", {"closed the connection"}},
    {PEER_FOREIGN, GUEST, 21, "FAIL", "answer", {"as the user who runs QEMU"}},
    {PEER_FOREIGN, HOST, 10, "FAIL", "answer", {"run helix doctor as the"}},
    /* Whose buffer is full first, decides what is said of it. */
    {PEER_FLOOD, GUEST, 21, "FAIL", "answer", {"no PONG from"}},
    {PEER_ECHO, GUEST, 22, "FAIL", "stream", {"it sends back what it is sent"}},
    {PEER_OLD, GUEST, 22, "FAIL", "stream", {"from before version 1"}},
    {PEER_DEAF, GUEST, 22, "FAIL", "stream", {"it says nothing more"}},
    /* what a guest meets */
    {PEER_STREAM_KEYLESS, GUEST, 23, "FAIL", "units", {"ignores force-key"}},
    {PEER_STREAM_EMPTY, GUEST, 23, "FAIL", "units", {"none has come to"}},
    {PEER_STREAM_STUCK, GUEST, 23, "FAIL", "units", {"is paused or stuck"}},
    /* The host still gets units, but the guest's request brings it none. */
    {PEER_STREAM_LONELY, GUEST, 23, "FAIL", "units",
        {"3 of them keyframes", "ignores force-key", "key interval"}},
    {PEER_STREAM_NO_SPS, GUEST, 25, "FAIL", "parse", {"it has 0 SPS, 0 PPS"}},
    {PEER_STREAM_UNKNOWN, GUEST, 25, "FAIL", "parse", {"of what kind"}},
    {PEER_STREAM_GARBAGE, GUEST, 26, "FAIL", "decode", {"no picture came out"}},
    /* what a host meets; without a VM its status is that of the first check */
    {PEER_STREAM_KEYLESS, HOST, 10, "FAIL", "units", {"no keyframe is among"}},
    {PEER_STREAM_EMPTY, HOST, 10, "FAIL", "units", {"none has come to"}},
    {PEER_STREAM_STUCK, HOST, 10, "FAIL", "units",
        {"helixguestsink 9.0 s ago"}},
    {PEER_STREAM_HELD, HOST, 10, "NOTE", "units",
        {"x264enc holds each picture back for 760 ms",
            "Set tune=zerolatency of"}},
    {PEER_STREAM_LONELY, HOST, 10, "FAIL", "guest", {"no guest is connected"}},
    {PEER_STREAM_FICKLE, HOST, 10, "FAIL", "units", {"and now refuses"}},
    {PEER_STREAM_UNHEARD, HOST, 10, "FAIL", "guest", {"receives nothing"}},
};

GST_START_TEST (test_strangers)
{
  tool_scene (&strangers[__i__]);
}
GST_END_TEST;

/* STATUS may promise more clients than any server has: they end at 1024. One
 * is doctor itself. */
GST_START_TEST (test_endless_list)
{
  ToolPeer *peer = tool_peer_new (PEER_STREAM_ENDLESS, NULL);
  g_autoptr (ToolRun) run = tool_run (
      "doctor --host --timeout=20 --address=%s", tool_peer_address (peer));
  g_auto (GStrv) guests = g_strsplit (run->out, "FAIL guest ", -1);

  fail_unless_equals_int ((gint) g_strv_length (guests) - 1, 1023);
  tool_peer_free (peer);
}
GST_END_TEST;

/* Lines are in the order of the checks' numbers, those of one check in the
 * order in which it found them, and the first failure is the status: not that
 * of the walk that was back first. */
GST_START_TEST (test_order)
{
  static const gchar *const starts[] = {"FAIL vm ", "-    socket ",
      "OK   plugin ", "-    pipeline ", "OK   answer ", "OK   units ",
      "FAIL guest      a guest ", "FAIL guest      another "};
  ToolPeer *peer = tool_peer_new (PEER_STREAM_UNHEARD, NULL);
  g_autoptr (ToolRun) run =
      tool_run ("doctor --host --address=%s", tool_peer_address (peer));
  const gchar *from = run->out;

  tool_expect_end (run, 10, TOOL_HEALTHY_S);
  for (guint i = 0; i < G_N_ELEMENTS (starts); i++) {
    from = strstr (from, starts[i]);
    fail_unless (from != NULL, "no '%s' behind the one before it:\n%s",
        starts[i], run->out);
  }
  tool_peer_free (peer);
}
GST_END_TEST;

/* Who has taken the port is named, where the system tells. */
GST_START_TEST (test_port_taken)
{
  ToolPeer *peer = tool_peer_new (PEER_VNC, NULL);
  g_autofree gchar *who =
      g_strdup_printf ("which is pid %ld", (long) getpid ());
  g_autofree gchar *options =
      g_strconcat ("--host --address=", tool_peer_address (peer), NULL);

  tool_doctor (options, 10, "FAIL", "answer", "a VNC server answers there",
      "Another program has that address",
      access ("/proc/net/tcp", R_OK) == 0 ? who : NULL);
  tool_peer_free (peer);
}
GST_END_TEST;

GST_START_TEST (test_token)
{
  g_autofree gchar *secret = tool_token ("secret");
  g_autofree gchar *guess = tool_token ("guess");
  g_autofree gchar *doctor = g_strconcat ("doctor ", secret, NULL);
  g_autofree gchar *as_guest = g_strconcat ("--guest ", guess, NULL);
  g_autoptr (ToolRun) ready = NULL;

  start_host ("--rate=30", "token=secret");
  ready = tool_await ("OK", "units", doctor);
  tool_doctor ("", 22, "FAIL", "stream", "refuses (auth)", "Say --token-file");
  tool_doctor (guess, 22, "FAIL", "stream", "the token is wrong",
      "Put into --token-file");
  tool_doctor (as_guest, 22, "FAIL", "stream", "the token is wrong");
  /* PONG came all the same. */
  tool_doctor (as_guest, 22, "OK", "answer", "PONG");
  stop ();
}
GST_END_TEST;

/* A server without a PROOF is refused. */
GST_START_TEST (test_impostors)
{
  static const struct {
    PeerKind kind;
    const gchar *cause, *remedy;
  } cases[] = {
      {PEER_STREAM_LONELY, "does not ask for the token", "set token-file of"},
      {PEER_STREAM_PARROT, "proof of the token is wrong", "poses as"},
  };
  ToolPeer *peer = tool_peer_new (cases[__i__].kind, NULL);
  g_autofree gchar *secret = tool_token ("secret");

  for (guint i = 0; i < 2; i++) {
    g_autoptr (ToolRun) run = tool_run ("doctor --%s %s --address=%s",
        i == 0 ? "host" : "guest", secret, tool_peer_address (peer));

    tool_expect (run, "OK", "answer", "PONG");
    tool_expect (run, "FAIL", "stream", cases[__i__].cause);
    tool_expect (run, "FAIL", "stream", cases[__i__].remedy);
  }
  tool_peer_free (peer);
}
GST_END_TEST;

/* ---- behind it ---- */

GST_START_TEST (test_no_guest)
{
  g_autoptr (ToolRun) run = NULL;

  start_host ("--rate=30", "");
  run = tool_await ("FAIL", "guest", "doctor");
  tool_expect_end (run, 24, TOOL_HEALTHY_S);
  tool_expect (run, "FAIL", "guest", "no guest is connected");
  stop ();
}
GST_END_TEST;

/* The guest is connected, and the host's pipeline stands still. */
GST_START_TEST (test_paused)
{
  g_autoptr (ToolRun) ready = NULL;
  g_autoptr (ToolRun) run = NULL;

  start_host ("--rate=30", "");
  start_guest ();
  ready = tool_await ("OK", "guest", "doctor");
  gst_element_set_state (host, GST_STATE_PAUSED);
  run = tool_await ("FAIL", "units", "doctor");
  tool_expect (run, "FAIL", "units", "no encoded units come");
  tool_expect (run, "FAIL", "units", "Set the host's pipeline to PLAYING");
  stop ();
}
GST_END_TEST;

GST_START_TEST (test_sink_stopped)
{
  const gchar *launch = g_getenv ("GST_LAUNCH");
  g_autofree gchar *line = g_strdup_printf (
      "%s -q helixqemusrc socket-path=%s ! " ENCODER " ! helixguestsink",
      launch, tool_socket);
  g_autoptr (ToolRun) ready = NULL;
  ToolChild *child;

  if (launch == NULL)
    return; /* not with the sanitizers */
  sim = tool_sim_new (tool_socket, "");
  child = tool_child_new (line, FALSE);
  ready = tool_await ("OK", "units", "doctor");
  kill (child->pid, SIGSTOP);
  tool_doctor (
      "--guest", 21, "FAIL", "answer", "that process is stopped (SIGSTOP)");
  tool_child_end (child, SIGKILL);
  stop ();
}
GST_END_TEST;

/* Units arrive, but nothing here can decode them: not the stream's fault. */
GST_START_TEST (test_no_decoder)
{
  g_autofree gchar *none =
      g_strdup_printf ("GST_PLUGIN_SYSTEM_PATH_1_0=%s/none", tool_folder);
  g_autofree gchar *registry =
      g_strdup_printf ("GST_REGISTRY_1_0=%s/registry", tool_folder);
  const gchar *environment[] = {none, registry, NULL};
  g_autoptr (ToolRun) ready = NULL;
  g_autoptr (ToolRun) run = NULL;

  start_host ("--rate=30", "");
  ready = tool_await ("OK", "units", "doctor");
  run = tool_run_as (
      g_getenv ("HELIX_TOOL"), environment, FALSE, "doctor --guest");
  tool_expect_end (run, 0, TOOL_DEAD_S);
  tool_expect (run, "NOTE", "decode", "no decoder for video/x-h264");
  stop ();
}
GST_END_TEST;

static Suite *
helix_doctor_stream_suite (void)
{
  Suite *s = suite_create ("helix-doctor-stream");
  TCase *tc = tcase_create ("staged");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, tool_setup, tool_teardown);
  tcase_add_test (tc, test_healthy_host);
  tcase_add_test (tc, test_healthy_still);
  tcase_add_test (tc, test_healthy_guest);
  tcase_add_test (tc, test_dead_machine);
  tcase_add_loop_test (tc, test_strangers, 0, G_N_ELEMENTS (strangers));
  tcase_add_test (tc, test_endless_list);
  tcase_add_test (tc, test_order);
  tcase_add_test (tc, test_port_taken);
  tcase_add_test (tc, test_token);
  tcase_add_loop_test (tc, test_impostors, 0, 2);
  tcase_add_test (tc, test_no_guest);
  tcase_add_test (tc, test_paused);
  tcase_add_test (tc, test_sink_stopped);
  tcase_add_test (tc, test_no_decoder);
  return s;
}

GST_CHECK_MAIN (helix_doctor_stream);
