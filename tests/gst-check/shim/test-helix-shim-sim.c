/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim as a program: what a person sees who starts it, and what a
 * client gets from it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-registry.h"
#include "helix-sim-screen.h"
#include "helix-test-sim.h"

/* 300 frames in a row, numbers never going backwards; then still, with the
 * last one there. */
static void
play (const char *pattern)
{
  const char *const args[] = {"--size", "800x600", "--rate", "300", "--frames",
      "400", "--pattern", pattern, "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint32_t number = 0, last = 0, frames = 0;
  char out[2000];
  int status;

  test_client_subscribe (client, 1, 0, 0);
  while (last < 400) {
    struct test_frame frame = test_client_frame (client, 1);

    number = test_sim_number (&frame);
    fail_unless (number > last, "%u after %u", number, last);
    last = number;
    frames++;
    test_client_release (client, 1, &frame);
    test_frame_done (&frame);
  }
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_free (client);
  status = test_sim_end (sim, SIGTERM, out, sizeof out);
  fail_unless_equals_int (status, 0);
  fail_unless_equals_uint64 (test_sim_counter (out, "pictures"), 400);
  fail_unless_equals_uint64 (test_sim_counter (out, "frames"), frames);
  fail_unless_equals_uint64 (test_sim_counter (out, "read_errors"), 0);
  /* One subscription: what holds the display thread up is each readback. */
  fail_unless_equals_uint64 (
      test_sim_counter (out, "holds"), test_sim_counter (out, "readbacks"));
  fail_unless (test_sim_counter (out, "hold_ns")
      >= test_sim_counter (out, "readback_ns"));
  fail_unless (test_sim_counter (out, "hold_max_ns")
      >= test_sim_counter (out, "readback_max_ns"));
}

GST_START_TEST (test_marker)
{
  play ("marker");
}

GST_END_TEST;

GST_START_TEST (test_noise)
{
  play ("noise");
}

GST_END_TEST;

GST_START_TEST (test_static_screen)
{
  const char *const args[] = {"--pattern", "static", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  struct test_frame frame;
  const uint32_t *row;
  char out[2000];

  test_client_subscribe (client, 1, 0, 0);
  frame = test_client_frame (client, 1);
  fail_unless_equals_int (frame.frame.width, 1920);
  fail_unless_equals_int (test_sim_number (&frame), 1);
  row = (const uint32_t *) (const void *) (frame.pixels
      + (size_t) 500 * frame.frame.stride);
  for (uint32_t i = 0; i < 8; i++)
    fail_unless_equals_int (row[1920 * i / 8 + 100], helix_sim_bar (i));
  test_client_release (client, 1, &frame);
  test_frame_done (&frame);
  fail_unless_equals_int (test_client_settle (client), 0);
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGINT, out, sizeof out), 0);
  fail_unless_equals_uint64 (test_sim_counter (out, "readbacks"), 1);
  fail_unless_equals_uint64 (test_sim_counter (out, "frames"), 1);
}

GST_END_TEST;

/* The box at 4K: what is read and copied for a picture is the box. */
GST_START_TEST (test_box_cost)
{
  const char *const args[] = {"--size", "3840x2160", "--pattern", "box",
      "--rate", "120", "--frames", "200", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint64_t frames = 0, read = 0;
  char out[2000];

  test_client_subscribe (client, 1, 0, 0);
  while (frames < 60) {
    struct test_frame frame = test_client_frame (client, 1);

    if (frame.frame.rects)
      read += frame.frame.read_bytes;
    frames++;
    test_client_release (client, 1, &frame);
    test_frame_done (&frame);
  }
  fail_unless (
      read / frames <= 64 * 1024, "%d bytes a frame", (int) (read / frames));
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, out, sizeof out), 0);
}

GST_END_TEST;

/* Benchmarks ask for the counters in between, that is, once a client was
 * served. ThreadSanitizer must not be signalled any sooner: gcc 12's run time
 * loses a signal that comes while a thread enters its first blocking call
 * (the context that holds it is made there, and made twice). */
GST_START_TEST (test_stats_on_signal)
{
  const char *const args[] = {"--pattern", "static", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  char out[2000];

  for (int i = 0; i < 3; i++) {
    struct pollfd p = {.fd = sim->out, .events = POLLIN};
    ssize_t n;

    kill (sim->pid, SIGUSR1);
    fail_unless (poll (&p, 1, 20000) == 1, "SIGUSR1 brings no counters");
    n = read (sim->out, out, sizeof out - 1);
    fail_unless (n > 0);
    out[n] = '\0';
    fail_unless_equals_uint64 (test_sim_counter (out, "pictures"), 1);
    fail_unless_equals_uint64 (test_sim_counter (out, "clients"), 1);
  }
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, out, sizeof out), 0);
}

GST_END_TEST;

GST_START_TEST (test_resize)
{
  const char *const args[] = {"--size", "800x600", "--rate", "200",
      "--resize-every", "20:1024x768", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint32_t changes = 0, width = 0, last = 0;

  test_client_subscribe (client, 1, 0, 0);
  while (changes < 6) {
    struct test_frame frame = test_client_frame (client, 1);
    uint32_t number = test_sim_number (&frame);

    fail_unless (number > last, "%u after %u", number, last);
    last = number;
    if (frame.frame.width != width) {
      fail_unless (
          frame.frame.width == (width == 800 ? 1024 : 800) || width == 0);
      width = frame.frame.width;
      changes++;
    }
    test_client_release (client, 1, &frame);
    test_frame_done (&frame);
  }
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
}

GST_END_TEST;

/* The last picture of a burst is there within 100 ms of its drawing, with no
 * further drawing needed. The quickest of five counts: the others tell of the
 * machine. */
GST_START_TEST (test_burst)
{
  const char *const args[] = {
      "--size", "800x600", "--rate", "1000", "--burst", "10@0.3", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint64_t quickest = UINT64_MAX;
  uint32_t last_ones = 0;

  test_client_subscribe (client, 1, 0, 0);
  while (last_ones < 5) {
    struct test_frame frame = test_client_frame (client, 1);
    uint64_t age = helix_now_ns () - frame.frame.capture_ns;

    /* Picture 1 is there from the start; each burst adds ten. */
    if (test_sim_number (&frame) % 10 == 1) {
      last_ones++;
      quickest = MIN (quickest, age + frame.frame.wait_ns);
    }
    test_client_release (client, 1, &frame);
    test_frame_done (&frame);
  }
  fail_unless (quickest < 100000000u, "%" G_GUINT64_FORMAT " ns", quickest);
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
}

GST_END_TEST;

GST_START_TEST (test_scanouts)
{
  const char *const args[] = {"--size", "640x96", "--scanouts", "16", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);

  for (uint16_t i = 0; i < 16; i++) {
    struct test_frame frame;

    test_client_subscribe (client, (uint16_t) (i + 1), i, 0);
    frame = test_client_frame (client, (uint16_t) (i + 1));
    fail_unless_equals_int (frame.frame.scanout, i);
    fail_unless_equals_int (
        ((const uint32_t *) (const void *) frame.pixels)[85 * 640],
        helix_sim_bar (i));
    test_frame_done (&frame);
  }
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
}

GST_END_TEST;

/* Killed, its socket is stale; the next one replaces it. A second one beside
 * a living one is refused. */
GST_START_TEST (test_restart)
{
  const char *const none[] = {NULL};
  struct test_sim *sim = test_sim_new (none);
  const char *const again[] = {"--socket", sim->test.path, NULL};
  char *said = g_malloc0 (2000);
  int out, err, status = 0;
  GPid pid = test_sim_start (again, &out, &err);

  fail_unless (waitpid (pid, &status, 0) == pid);
  fail_unless_equals_int (WEXITSTATUS (status), 1);
  fail_unless (read (err, said, 1999) > 0);
  fail_unless (strstr (said, "already served") != NULL, "%s", said);
  close (out);
  close (err);

  kill (sim->pid, SIGKILL);
  fail_unless (waitpid (sim->pid, &status, 0) == sim->pid);
  fail_unless (access (sim->test.path, F_OK) == 0);
  sim->pid = test_sim_start (again, &out, &err);
  fail_unless (read (out, said, 1999) > 0);
  fail_unless (strstr (said, "listening") != NULL);
  test_client_free (test_client_new (&sim->test));
  close (out);
  close (err);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
  g_free (said);
}

GST_END_TEST;

/* What is wrong with a command line, and what would be right. */
GST_START_TEST (test_command_line)
{
  static const struct {
    const char *args[5];
    const char *said;
  } bad[] = {
      {{NULL}, "--socket"},
      {{"--socket", "x", "--size=5x5"}, "640x96"},
      {{"--socket", "x", "--size=big"}, "WIDTHxHEIGHT"},
      {{"--socket", "x", "--size=16385x100"}, "16384"},
      {{"--socket", "x", "--rate=0"}, "0.001"},
      {{"--socket", "x", "--rate=nan"}, "0.001"},
      {{"--socket", "x", "--rate=1/0"}, "0.001"},
      {{"--socket", "x", "--pattern=plaid"}, "noise"},
      {{"--socket", "x", "--scanouts=17"}, "16"},
      {{"--socket", "x", "--scanouts=3", "--scanouts-on=4"}, "--scanouts"},
      {{"--socket", "x", "--resources=17"}, "0 to 16"},
      {{"--socket", "x", "--cursor-rate=-1"}, "0.001"},
      {{"--socket", "x", "--slots=1"}, "2 to 8"},
      {{"--socket", "x", "--max-clients=0"}, "1024"},
      {{"--socket", "x", "--max-size=huge"}, "WIDTHxHEIGHT"},
      {{"--socket", "x", "--mode=0999"}, "octal"},
      {{"--socket", "x", "--allow=1001"}, "mode=0666"},
      {{"--socket", "x", "--burst=5"}, "10@0.5"},
      {{"--socket", "x", "--resize-every=0:800x600"}, "100:"},
      {{"--socket", "x", "--frames=-1"}, "number"},
      {{"--socket", "x", "--nonsense"}, "--help"},
      {{"--socket", "x", "stray"}, "stray"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    char said[2000] = "";
    int out, err, status = 0;
    GPid pid = test_sim_start (bad[i].args, &out, &err);

    fail_unless (waitpid (pid, &status, 0) == pid);
    fail_unless_equals_int (WEXITSTATUS (status), 2);
    fail_unless (read (err, said, sizeof said - 1) > 0);
    fail_unless (
        strstr (said, bad[i].said) != NULL, "%s: %s", bad[i].said, said);
    close (out);
    close (err);
  }
}

GST_END_TEST;

/* ---- what clients can make it do; and that it can be found ---- */

static void
set_scanout (struct test_client *client, uint32_t scanout, uint32_t width,
    uint32_t height)
{
  const struct helix_set_scanout set = {scanout, width, height, 0};
  uint8_t message[HELIX_MAX_MESSAGE];

  test_client_send (client, message, helix_pack_set_scanout (message, &set));
}

/* The next SCANOUT on `channel` that says this. */
static void
expect_scanout (struct test_client *client, uint16_t channel, uint32_t scanout,
    uint32_t width)
{
  do {
    test_message_free (test_client_expect (client, HELIX_SCANOUT, channel));
  } while (
      client->scanout.scanout != scanout || client->scanout.width != width);
}

static struct helix_frame
take_frame (struct test_client *client, uint16_t channel, uint32_t *number)
{
  struct test_frame frame = test_client_frame (client, channel);
  struct helix_frame copy = frame.frame;

  *number = test_sim_number (&frame);
  test_client_release (client, channel, &frame);
  test_frame_done (&frame);
  return copy;
}

/* A monitor is plugged in, changes its mode, and is unplugged. */
GST_START_TEST (test_set_scanout)
{
  const char *const args[] = {"--size", "800x600", "--rate", "100",
      "--scanouts", "3", "--scanouts-on", "1", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint32_t number, last;
  char out[2000];

  test_client_subscribe (client, 1, 2, 0);
  expect_scanout (client, 1, 2, 0);
  set_scanout (client, 2, 1024, 768);
  expect_scanout (client, 1, 2, 1024);
  fail_unless_equals_int (client->generation, 1);
  fail_unless_equals_int (take_frame (client, 1, &last).width, 1024);
  while (take_frame (client, 1, &number).sequence < 5)
    ;
  fail_unless (number > last);
  set_scanout (client, 2, 640, 480);
  while (take_frame (client, 1, &number).width != 640)
    ;
  fail_unless_equals_int (client->generation, 2);
  set_scanout (client, 2, 0, 0);
  expect_scanout (client, 1, 2, 0);
  /* Twice off is off. */
  set_scanout (client, 2, 0, 0);
  /* What its marker does not fit on. */
  set_scanout (client, 2, 320, 200);
  test_client_expect_error (client, 0, HELIX_ERROR_UNSUPPORTED, "640x96");
  set_scanout (client, 2, 16384, 16384);
  test_client_expect_error (client, 0, HELIX_ERROR_UNSUPPORTED, "256 MiB");
  /* The first one has been drawn all the while. */
  test_client_subscribe (client, 2, 0, 0);
  take_frame (client, 2, &number);
  fail_unless (number > last);
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, out, sizeof out), 0);
  /* One off may have taken the other's place. */
  fail_unless (test_sim_counter (out, "set_scanouts") >= 3);
}

GST_END_TEST;

/* Resources off the screen advance without a flush: SHOW tells which, and each
 * SHOW brings a newer picture. */
GST_START_TEST (test_resources)
{
  const char *const args[] = {"--size", "800x600", "--rate", "100",
      "--resources", "2", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  uint32_t last[2] = {0, 0}, number;
  char out[2000];

  test_client_subscribe (client, 1, 0, 0);
  take_frame (client, 1, &number);
  fail_unless (number < 1000000);
  for (uint32_t i = 0; i < 10; i++) {
    uint32_t which = i % 2;
    struct helix_frame frame;

    test_client_show (client, 1, 1001 + which, HELIX_NONE64);
    do
      frame = take_frame (client, 1, &number);
    while (frame.resource_id != 1001 + which);
    fail_unless_equals_int (frame.width, 800);
    fail_unless_equals_int (number / 1000000, 1 + which);
    fail_unless (number >= last[which]);
    last[which] = number;
    /* Nothing comes by itself. */
    fail_unless_equals_int (test_client_settle (client), 0);
  }
  test_client_show (client, 1, 1003, HELIX_NONE64);
  test_client_expect_error (
      client, 1, HELIX_ERROR_NO_RESOURCE, "resource 1003");
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, out, sizeof out), 0);
  fail_unless_equals_uint64 (test_sim_counter (out, "shows"), 10);
}

GST_END_TEST;

/* The first CURSOR with a shape: who is quick is told before the sim has one
 * that there is none. */
static struct helix_cursor
take_shape (struct test_client *client, uint8_t **pixels)
{
  struct helix_cursor cursor;

  do
    cursor = test_client_cursor (client, 1, pixels);
  while (cursor.serial == 0);
  return cursor;
}

/* The screen stands still, the cursor does not: no frame, no readback. */
GST_START_TEST (test_cursor)
{
  const char *const args[] = {"--size", "640x480", "--pattern", "static",
      "--cursor", "--cursor-rate", "200", "--json-stats", "-", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  const struct helix_subscribe wish = {0, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  uint8_t shape[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4], *pixels;
  struct helix_cursor cursor;
  uint64_t moves = 0;
  char out[2000];
  int32_t x, y;

  helix_sim_cursor_draw (shape);
  test_client_subscribe_with (client, 1, &wish);
  for (int i = 0; i < 100; i++) {
    cursor = take_shape (client, &pixels);
    fail_unless_equals_int (cursor.serial, 1);
    fail_unless (cursor.flags & HELIX_CURSOR_VISIBLE);
    fail_unless_equals_int (cursor.width, HELIX_SIM_CURSOR_SIZE);
    fail_unless_equals_int (cursor.hot_x, HELIX_SIM_CURSOR_HOT_X);
    fail_unless ((pixels != NULL) == (i == 0));
    if (pixels)
      fail_unless (memcmp (pixels, shape, sizeof shape) == 0);
    g_free (pixels);
    /* The next place on its way, none of them twice. */
    for (uint64_t limit = moves + 100000; moves < limit; moves++) {
      helix_sim_cursor_place (640, 480, moves, &x, &y);
      if ((int32_t) cursor.x == x && (int32_t) cursor.y == y)
        break;
    }
    fail_unless_equals_int ((int32_t) cursor.x, x);
    fail_unless_equals_int ((int32_t) cursor.y, y);
    moves++;
  }
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, out, sizeof out), 0);
  fail_unless_equals_uint64 (test_sim_counter (out, "frames"), 1);
  fail_unless_equals_uint64 (test_sim_counter (out, "readbacks"), 1);
  fail_unless (test_sim_counter (out, "cursors") >= 100);
}

GST_END_TEST;

/* Standing still, for those who compare pictures. */
GST_START_TEST (test_cursor_at_rest)
{
  const char *const args[] = {"--size", "640x480", "--cursor", "--cursor-rate",
      "0", "--scanouts", "2", "--scanouts-on", "1", NULL};
  struct test_sim *sim = test_sim_new (args);
  struct test_client *client = test_client_new (&sim->test);
  const struct helix_subscribe wish = {1, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  struct helix_cursor cursor;
  uint8_t *pixels;

  test_client_subscribe_with (client, 1, &wish);
  cursor = take_shape (client, &pixels);
  g_free (pixels);
  fail_unless_equals_int (cursor.serial, 1);
  fail_if (cursor.flags & HELIX_CURSOR_VISIBLE);
  set_scanout (client, 1, 640, 480);
  cursor = test_client_cursor (client, 1, &pixels);
  fail_unless (pixels == NULL && cursor.flags & HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int (cursor.x, 96);
  fail_unless_equals_int (cursor.y, 88);
  test_client_free (client);
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
}

GST_END_TEST;

static void
count (void *opaque, const char *socket_path, pid_t pid)
{
  struct test_sim *sim = opaque;

  if (pid == sim->pid && g_str_equal (socket_path, sim->test.path))
    sim->test.sets++;
}

static guint
found (struct test_sim *sim)
{
  sim->test.sets = 0;
  helix_registry_scan (count, sim);
  return sim->test.sets;
}

/* It is among the running VMs while it runs, and not when it was killed. */
GST_START_TEST (test_registry)
{
  const char *const args[] = {"--size", "640x96", NULL};
  struct test_sim *sim = test_sim_new (args), *killed = test_sim_new (args);
  int status;

  /* The entry is made before "listening" is said. */
  fail_unless_equals_int (found (sim), 1);
  fail_unless_equals_int (found (killed), 1);
  kill (killed->pid, SIGKILL);
  fail_unless (waitpid (killed->pid, &status, 0) == killed->pid);
  fail_unless_equals_int (found (killed), 0);
  fail_unless_equals_int (found (sim), 1);
  /* Not signalled before it served (see test_stats_on_signal). */
  test_client_free (test_client_new (&sim->test));
  fail_unless_equals_int (test_sim_end (sim, SIGTERM, NULL, 0), 0);
  fail_unless_equals_int (helix_registry_scan (count, killed), 0);
  test_sim_forget (killed);
}

GST_END_TEST;

static Suite *
shim_sim_suite (void)
{
  Suite *suite = suite_create ("helix-shim-sim");
  TCase *tc = tcase_create ("shim-sim");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_test (tc, test_marker);
  tcase_add_test (tc, test_noise);
  tcase_add_test (tc, test_static_screen);
  tcase_add_test (tc, test_box_cost);
  tcase_add_test (tc, test_stats_on_signal);
  tcase_add_test (tc, test_resize);
  tcase_add_test (tc, test_burst);
  tcase_add_test (tc, test_scanouts);
  tcase_add_test (tc, test_restart);
  tcase_add_test (tc, test_command_line);
  tcase_add_test (tc, test_set_scanout);
  tcase_add_test (tc, test_resources);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_cursor_at_rest);
  tcase_add_test (tc, test_registry);
  return suite;
}

GST_CHECK_MAIN (shim_sim);
