/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-shim-sim as a program: what its user sees, what a client gets from it,
 * what clients can make it do.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-marker.h"
#include "helix-sim-screen.h"
#include "helix-test-client.h"

/* A test_shim whose shim is another process: enough for test_client. */
struct sim {
  struct test_shim test;
  GPid pid;
  int out, err;
  int signal; /* that ends it */
  struct test_client *client;
  char said[2000]; /* at its end */
};

/* Starts the program with `args`, as a shell takes them. */
static void
spawn (struct sim *sim, const char *args)
{
  char *line = g_strdup_printf ("%s %s", HELIX_SHIM_SIM, args);
  GError *error = NULL;
  char **argv;

  fail_unless (g_shell_parse_argv (line, NULL, &argv, NULL));
  fail_unless (
      g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
          NULL, NULL, &sim->pid, NULL, &sim->out, &sim->err, &error),
      "%s", error ? error->message : "");
  g_strfreev (argv);
  g_free (line);
}

/* What it says next on `fd`. */
static const char *
hear (struct sim *sim, int fd)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};
  ssize_t n;

  fail_unless (poll (&p, 1, 20000) == 1, "the sim says nothing");
  n = read (fd, sim->said, sizeof sim->said - 1);
  fail_unless (n >= 0);
  sim->said[n] = '\0';
  return sim->said;
}

static int
wait_for (struct sim *sim)
{
  int status = 0;

  fail_unless (waitpid (sim->pid, &status, 0) == sim->pid);
  return status;
}

static struct sim the_sim; /* of the test; teardown () ends it */

/* Starts it on a path of its own. It listens, and has a client. */
static struct sim *
start (const char *args)
{
  struct sim *sim = &the_sim;
  char *all;

  sim->signal = SIGTERM;
  test_own_runtime_dir ();
  sim->test.dir = test_dir_new ();
  sim->test.path = g_build_filename (sim->test.dir, "helix.sock", NULL);
  sim->test.log = g_string_new (NULL);
  pthread_mutex_init (&sim->test.log_lock, NULL);
  helix_sim_loops_init (&sim->test.loops, NULL);
  all = g_strdup_printf ("--socket %s --json-stats - %s", sim->test.path, args);
  spawn (sim, all);
  g_free (all);
  fail_unless (g_str_has_prefix (hear (sim, sim->out), "listening on "), "%s",
      sim->said);
  sim->client = test_client_new (&sim->test);
  return sim;
}

/* Ends the sim, and hears its counters. */
static void
stop (struct sim *sim)
{
  if (sim->client)
    test_client_free (sim->client);
  sim->client = NULL;
  kill (sim->pid, sim->signal);
  fail_unless_equals_int (wait_for (sim), 0);
  sim->pid = 0;
  hear (sim, sim->out);
}

static void
teardown (void)
{
  struct sim *sim = &the_sim;

  if (sim->pid)
    stop (sim);
  if (!sim->test.path)
    return;
  close (sim->out);
  close (sim->err);
  helix_sim_loops_clear (&sim->test.loops);
  g_string_free (sim->test.log, TRUE);
  pthread_mutex_destroy (&sim->test.log_lock);
  test_dir_free (sim->test.dir);
  g_free (sim->test.path);
}

static uint64_t
counter (struct sim *sim, const char *name)
{
  char *key = g_strdup_printf ("\"%s\": ", name);
  const char *at = strstr (sim->said, key);
  uint64_t value;

  fail_unless (at != NULL, "%s is not in %s", name, sim->said);
  value = g_ascii_strtoull (at + strlen (key), NULL, 10);
  g_free (key);
  return value;
}

/* The next frame, whose slot goes back; *number of its picture. */
static struct helix_frame
take_frame (struct sim *sim, uint16_t channel, uint32_t *number)
{
  struct test_frame frame = test_client_frame (sim->client, channel);
  struct helix_frame copy = frame.frame;

  fail_unless (helix_marker_read (frame.pixels, copy.stride, 4, number),
      "frame %d did not arrive whole", (int) copy.sequence);
  test_client_release (sim->client, channel, &frame);
  return copy;
}

/* Frames in a row, numbers never going backwards; then still, with the last one
 * there. */
GST_START_TEST (test_play)
{
  static const char *const args[] = {
      "--size 800x600 --rate 300 --frames 400 --pattern marker",
      "--size 800x600 --rate 300 --frames 400 --pattern noise"};
  struct sim *sim = start (args[__i__]);
  uint32_t number = 0, last = 0, frames = 0;

  test_client_subscribe (sim->client, 1, 0, 0);
  for (; last < 400; last = number, frames++) {
    take_frame (sim, 1, &number);
    fail_unless (number > last, "%u after %u", number, last);
  }
  fail_unless_equals_int (test_client_settle (sim->client), 0);
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "pictures"), 400);
  fail_unless_equals_uint64 (counter (sim, "frames"), frames);
  fail_unless_equals_uint64 (counter (sim, "read_errors"), 0);
  /* One subscription: what holds the display thread up is each readback. */
  fail_unless_equals_uint64 (
      counter (sim, "holds"), counter (sim, "readbacks"));
  fail_unless (counter (sim, "hold_ns") >= counter (sim, "readback_ns"));
  fail_unless (
      counter (sim, "hold_max_ns") >= counter (sim, "readback_max_ns"));
}

GST_END_TEST;

/* Readbacks that take longer than a picture lasts: whole pictures, in their
 * order, and the last one. */
GST_START_TEST (test_readback_delay)
{
  struct sim *sim = start ("--size 800x600 --rate 300 --frames 200 "
                           "--pattern noise --readback-delay 7.5");
  uint32_t number = 0, last = 0, frames = 0;

  test_client_subscribe (sim->client, 1, 0, 0);
  for (; last < 200; last = number, frames++) {
    fail_unless (take_frame (sim, 1, &number).readback_ns >= 7500000u);
    fail_unless (number > last, "%u after %u", number, last);
  }
  fail_unless_equals_int (test_client_settle (sim->client), 0);
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "frames"), frames);
  fail_unless_equals_uint64 (counter (sim, "readbacks"), frames);
  fail_unless_equals_uint64 (counter (sim, "readbacks_pending"), 0);
  fail_unless_equals_uint64 (counter (sim, "read_errors"), 0);
  /* Each once, its flush and its end together; one more may have been cut off.
   */
  fail_unless (counter (sim, "holds") >= frames);
  fail_unless (counter (sim, "holds") <= frames + 1);
}

GST_END_TEST;

/* Its end, with one pending. */
GST_START_TEST (test_readback_at_the_end)
{
  struct sim *sim = start ("--size 800x600 --readback-delay 10000");

  test_client_subscribe (sim->client, 1, 0, 0);
  test_client_expect (sim->client, HELIX_POOL, 1);
  do {
    kill (sim->pid, SIGUSR1);
    hear (sim, sim->out);
  } while (counter (sim, "readbacks_pending") == 0);
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "frames"), 0);
  fail_unless_equals_uint64 (counter (sim, "readbacks_pending"), 0);
}

GST_END_TEST;

/* A still screen: one frame. Counters at a signal, which benchmarks ask for
 * once a client was served. ThreadSanitizer must not be signalled any sooner:
 * gcc 12's run time loses a signal that comes while a thread enters its first
 * blocking call (the context that holds it is made there, and made twice). */
GST_START_TEST (test_static_screen)
{
  struct sim *sim = start ("--pattern static");
  struct test_frame frame;
  const uint32_t *row;

  test_client_subscribe (sim->client, 1, 0, 0);
  frame = test_client_frame (sim->client, 1);
  fail_unless_equals_int (frame.frame.width, 1920);
  row = (const uint32_t *) (const void *) (frame.pixels
      + (size_t) 500 * frame.frame.stride);
  for (uint32_t i = 0; i < 8; i++)
    fail_unless_equals_int (row[1920 * i / 8 + 100], helix_sim_bar (i));
  test_client_release (sim->client, 1, &frame);
  fail_unless_equals_int (test_client_settle (sim->client), 0);
  for (int i = 0; i < 3; i++) {
    kill (sim->pid, SIGUSR1);
    hear (sim, sim->out);
    fail_unless_equals_uint64 (counter (sim, "pictures"), 1);
    fail_unless_equals_uint64 (counter (sim, "clients"), 1);
  }
  sim->signal = SIGINT;
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "readbacks"), 1);
  fail_unless_equals_uint64 (counter (sim, "frames"), 1);
}

GST_END_TEST;

GST_START_TEST (test_resize)
{
  struct sim *sim =
      start ("--size 800x600 --rate 200 --resize-every 20:1024x768");
  uint32_t changes = 0, width = 0, last = 0, number;

  test_client_subscribe (sim->client, 1, 0, 0);
  for (; changes < 6; last = number) {
    struct helix_frame frame = take_frame (sim, 1, &number);

    fail_unless (number > last, "%u after %u", number, last);
    if (frame.width == width)
      continue;
    fail_unless (frame.width == (width == 800 ? 1024 : 800) || width == 0);
    width = frame.width;
    changes++;
  }
}

GST_END_TEST;

GST_START_TEST (test_scanouts)
{
  struct sim *sim = start ("--size 640x96 --scanouts 16");

  for (uint16_t i = 0; i < 16; i++) {
    struct test_frame frame;

    test_client_subscribe (sim->client, (uint16_t) (i + 1), i, 0);
    frame = test_client_frame (sim->client, (uint16_t) (i + 1));
    fail_unless_equals_int (frame.frame.scanout, i);
    fail_unless_equals_int (
        ((const uint32_t *) (const void *) frame.pixels)[85 * 640],
        helix_sim_bar (i));
  }
}

GST_END_TEST;

/* What a second one on its path says. */
GST_START_TEST (test_served_already)
{
  struct sim *sim = start (""), second = {.pid = 0};
  char *again = g_strdup_printf ("--socket %s", sim->test.path);

  spawn (&second, again);
  g_free (again);
  fail_unless_equals_int (WEXITSTATUS (wait_for (&second)), 1);
  fail_unless (strstr (hear (&second, second.err), "already served") != NULL,
      "%s", second.said);
  close (second.out);
  close (second.err);
}

GST_END_TEST;

/* What is wrong with a command line, and what would be right. */
GST_START_TEST (test_command_line)
{
  static const char *const bad[][2] = {
      {"--quiet", "--socket"},
      {"--socket x --size=5x5", "640x96"},
      {"--socket x --size=big", "--size big: a size is WIDTHxHEIGHT"},
      {"--socket x --size=16385x100", "16384"},
      {"--socket x --rate=0", "0.001"},
      {"--socket x --rate=nan", "0.001"},
      {"--socket x --rate=1/0", "0.001"},
      {"--socket x --pattern=plaid", "noise"},
      {"--socket x --scanouts=17", "16"},
      {"--socket x --scanouts=3 --scanouts-on=4", "--scanouts"},
      {"--socket x --resources=17", "0 to 16"},
      {"--socket x --cursor-rate=-1", "0.001"},
      {"--socket x --readback-delay=-1", "0 to 10000 ms"},
      {"--socket x --max-clients=0", "1024"},
      {"--socket x --mode=0999", "octal"},
      {"--socket x --allow=1001", "mode=0666"},
      {"--socket x --resize-every=0:800x600", "100:"},
      {"--socket x --frames=-1", "number"},
      {"--socket x --nonsense", "--help"},
      {"--socket x stray", "stray"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    struct sim sim = {.pid = 0};

    spawn (&sim, bad[i][0]);
    fail_unless_equals_int (WEXITSTATUS (wait_for (&sim)), 2);
    fail_unless (strstr (hear (&sim, sim.err), bad[i][1]) != NULL, "%s: %s",
        bad[i][1], sim.said);
    close (sim.out);
    close (sim.err);
  }
}

GST_END_TEST;

/* ---- what clients can make it do ---- */

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
    test_client_expect (client, HELIX_SCANOUT, channel);
  } while (
      client->scanout.scanout != scanout || client->scanout.width != width);
}

/* A monitor is plugged in, changes its mode, and is unplugged. */
GST_START_TEST (test_set_scanout)
{
  struct sim *sim =
      start ("--size 800x600 --rate 100 --scanouts 3 --scanouts-on 1");
  struct test_client *client = sim->client;
  uint32_t number, last;

  test_client_subscribe (client, 1, 2, 0);
  expect_scanout (client, 1, 2, 0);
  set_scanout (client, 2, 1024, 768);
  expect_scanout (client, 1, 2, 1024);
  fail_unless_equals_int (client->generation, 1);
  fail_unless_equals_int (take_frame (sim, 1, &last).width, 1024);
  while (take_frame (sim, 1, &number).sequence < 5)
    ;
  fail_unless (number > last);
  set_scanout (client, 2, 640, 480);
  while (take_frame (sim, 1, &number).width != 640)
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
  /* The largest one that it makes is exported. */
  set_scanout (client, 1, 16384, 4096);
  expect_scanout (client, 0, 1, 16384);
  set_scanout (client, 1, 0, 0);
  /* The first one has been drawn all the while. */
  test_client_subscribe (client, 2, 0, 0);
  take_frame (sim, 2, &number);
  fail_unless (number > last);
  stop (sim);
  /* One off may have taken the other's place. */
  fail_unless (counter (sim, "set_scanouts") >= 3);
}

GST_END_TEST;

/* Resources off the screen advance without a flush: SHOW tells which, and each
 * SHOW brings a newer picture. */
GST_START_TEST (test_resources)
{
  struct sim *sim = start ("--size 800x600 --rate 100 --resources 2");
  struct test_client *client = sim->client;
  uint32_t last[2] = {0, 0}, number;

  test_client_subscribe (client, 1, 0, 0);
  take_frame (sim, 1, &number);
  fail_unless (number < 1000000);
  for (uint32_t i = 0; i < 10; i++) {
    uint32_t which = i % 2;
    struct helix_frame frame;

    test_client_show (client, 1, 1001 + which, HELIX_NONE64);
    do
      frame = take_frame (sim, 1, &number);
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
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "shows"), 10);
}

GST_END_TEST;

/* The first CURSOR with a shape; before the sim has drawn one, CURSOR says that
 * there is none. */
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
  struct sim *sim =
      start ("--size 640x480 --pattern static --cursor --cursor-rate 200");
  struct test_client *client = sim->client;
  const struct helix_subscribe request = {
      0, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  uint8_t shape[HELIX_SIM_CURSOR_SIZE * HELIX_SIM_CURSOR_SIZE * 4], *pixels;
  struct helix_cursor cursor;
  uint64_t moves = 0;
  int32_t x, y;

  helix_sim_cursor_draw (shape);
  test_client_subscribe_with (client, 1, &request);
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
  stop (sim);
  fail_unless_equals_uint64 (counter (sim, "frames"), 1);
  fail_unless_equals_uint64 (counter (sim, "readbacks"), 1);
  fail_unless (counter (sim, "cursors") >= 100);
}

GST_END_TEST;

/* Standing still, for comparing pictures. */
GST_START_TEST (test_cursor_at_rest)
{
  struct sim *sim = start (
      "--size 640x480 --cursor --cursor-rate 0 --scanouts 2 --scanouts-on 1");
  struct test_client *client = sim->client;
  const struct helix_subscribe request = {
      1, 0, 0, 1, 0, HELIX_SUBSCRIBE_CURSOR};
  struct helix_cursor cursor;
  uint8_t *pixels;

  test_client_subscribe_with (client, 1, &request);
  cursor = take_shape (client, &pixels);
  g_free (pixels);
  fail_unless_equals_int (cursor.serial, 1);
  fail_if (cursor.flags & HELIX_CURSOR_VISIBLE);
  set_scanout (client, 1, 640, 480);
  cursor = test_client_cursor (client, 1, &pixels);
  fail_unless (pixels == NULL && cursor.flags & HELIX_CURSOR_VISIBLE);
  fail_unless_equals_int (cursor.x, 96);
  fail_unless_equals_int (cursor.y, 88);
}

GST_END_TEST;

static Suite *
shim_sim_suite (void)
{
  Suite *suite = suite_create ("helix-shim-sim");
  TCase *tc = tcase_create ("shim-sim");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 60);
  tcase_add_checked_fixture (tc, NULL, teardown);
  tcase_add_loop_test (tc, test_play, 0, 2);
  tcase_add_test (tc, test_readback_delay);
  tcase_add_test (tc, test_readback_at_the_end);
  tcase_add_test (tc, test_static_screen);
  tcase_add_test (tc, test_resize);
  tcase_add_test (tc, test_scanouts);
  tcase_add_test (tc, test_served_already);
  tcase_add_test (tc, test_command_line);
  tcase_add_test (tc, test_set_scanout);
  tcase_add_test (tc, test_resources);
  tcase_add_test (tc, test_cursor);
  tcase_add_test (tc, test_cursor_at_rest);
  return suite;
}

GST_CHECK_MAIN (shim_sim);
