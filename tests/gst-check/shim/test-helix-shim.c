/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim as a whole: who gets in, how many, and what is left of them.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-test-client.h"
#include "helix-test-nobody.h"

static struct test_shim *
new_shim_for (uint32_t max_clients)
{
  struct helix_shim_config config = {.max_clients = max_clients};
  struct test_shim *test = test_shim_new (&config);

  test_resource_new (test, 1, 64, 48);
  test_show (test, 0, 1);
  return test;
}

GST_START_TEST (test_max_clients)
{
  struct test_shim *test = new_shim_for (2);
  struct test_client *two, *three;

  test_client_new (test);
  two = test_client_new (test);
  three = test_client_connect (test);
  test_client_expect_error (three, 0, HELIX_ERROR_BUSY, "max-clients");
  test_client_expect_closed (three);
  test_client_free (three);
  /* A client that leaves makes room at once: a restart finds its place. */
  for (int i = 0; i < 50; i++) {
    test_client_free (two);
    two = test_client_new (test);
  }
  fail_unless_equals_uint64 (test_stats (test).clients, 2);
  test_shim_free (test);
}

GST_END_TEST;

static void
wait_readable (int fd, int timeout_ms)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};

  poll (&p, 1, timeout_ms);
}

/* In a child of another uid: the type of the answer to PING, or the code of
 * ERROR; 0 = it could not connect. */
static int
ping_as_nobody (void *opaque)
{
  static const uint8_t ping[HELIX_HEADER_SIZE] = {
      'H', 'X', 'F', 'R', HELIX_PING};
  struct test_shim *test = opaque;
  uint8_t answer[HELIX_HEADER_SIZE + sizeof (struct helix_error)] = {0};
  int fd = helix_socket (AF_UNIX);

  if (fd < 0 || helix_unix_connect (fd, test->path) < 0)
    return 0;
  /* A refusal may have closed it already. */
  (void) !send (fd, ping, sizeof ping, MSG_NOSIGNAL);
  wait_readable (fd, 10000);
  (void) !helix_recv (fd, answer, sizeof answer, NULL);
  return answer[answer[4] == HELIX_ERROR ? HELIX_HEADER_SIZE : 4];
}

/* Mode 0600 keeps others out; were the mode changed, the uid still does. */
GST_START_TEST (test_other_users)
{
  struct test_shim *test;

  if (!test_can_be_nobody ("that the shim checks the uid"))
    return;
  test = new_shim_for (4);
  fail_unless (chmod (test->dir, 0755) == 0);
  fail_unless_equals_int (test_as_nobody (ping_as_nobody, test), 0);
  fail_unless (chmod (test->path, 0666) == 0);
  fail_unless_equals_int (
      test_as_nobody (ping_as_nobody, test), HELIX_ERROR_AUTH);
  test_until_logged (test, "uid 65534");
  fail_unless (test_logged (test, "may not watch"));
  fail_unless_equals_uint64 (test_stats (test).refused, 1);
  test_shim_free (test);
}

GST_END_TEST;

/* Users that the shim was told to allow are served, if the file lets them
 * reach it; others are not, whatever its mode. */
GST_START_TEST (test_allowed_users)
{
  static const uid_t users[][2] = {{65534, 65534}, {65533, 1}};
  bool nobody = __i__ == 0;
  struct helix_shim_config config = {
      .access = {.socket = {.mode = 0666}, .allowed = 2}};
  struct test_shim *test;

  if (!test_can_be_nobody ("whom the shim allows"))
    return;
  memcpy (config.access.allow, users[__i__], sizeof users[__i__]);
  test = test_shim_new (&config);
  fail_unless (chmod (test->dir, 0755) == 0);
  fail_unless_equals_int (test_as_nobody (ping_as_nobody, test),
      nobody ? HELIX_PONG : HELIX_ERROR_AUTH);
  fail_unless_equals_uint64 (test_stats (test).refused, nobody ? 0 : 1);
  if (!nobody)
    test_until_logged (test, "allow=65534");
  test_shim_free (test);
}

GST_END_TEST;

/* All that tried have been let in, and nothing of them is left. A connection
 * counts as let in a moment before it counts as a client: so the descriptors
 * count, too. */
static bool
flood_is_over (uint64_t accepted, guint fds)
{
  struct helix_shim_stats stats = test_stats (test);

  return stats.accepted >= accepted && stats.clients == 0
      && test_open_fds () == fds;
}

/* A thousand connections, said nothing, said a little, watched: nothing of
 * them is left. */
GST_START_TEST (test_flood_leaves_nothing)
{
  struct test_client *client;
  uint64_t accepted;
  guint fds;
  char *log;

  test = new_shim_for (64);
  client = test_client_new (test);
  test_client_free (client);
  test_until (test, test_stats (test).clients == 0);
  fds = test_open_fds ();
  accepted = test_stats (test).accepted + 1000;
  for (int i = 0; i < 1000; i++) {
    if (i % 10 == 0) {
      client = test_client_new (test);
      test_client_subscribe (client, 1, 0, 0);
      test_client_frame (client, 1);
    } else {
      client = test_client_connect (test);
      if (i % 10 == 1)
        test_client_send (client, "HXFR", 4);
      if (i % 10 == 2)
        test_client_send_raw (client, HELIX_PING, 0, NULL, 0);
    }
    test_client_free (client);
  }
  /* Some may not be accepted yet. */
  test_until (test, flood_is_over (accepted, fds));
  log = test_log (test);
  fail_unless (strlen (log) < 20000, "the log was flooded");
  g_free (log);
  test_shim_free (test);
}

GST_END_TEST;

static double
cpu_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Out of descriptors while a connection waits: no spinning, one line, and it is
 * accepted when there is one again. */
GST_START_TEST (test_out_of_descriptors)
{
  struct test_client *client;
  struct rlimit old, tight;
  int waste[4096], wasted = 0, last;
  double cpu;
  uint64_t begin;

  /* Valgrind takes the connection first and says EMFILE then. */
  if (strstr (g_getenv ("LD_PRELOAD") ? g_getenv ("LD_PRELOAD") : "",
          "vgpreload")) {
    g_print ("under Valgrind: running out of descriptors is not tested\n");
    return;
  }
  /* Welcomed: so it, and the listener's own probe before it, were let in. */
  client = test_client_new (test);
  test_client_free (client);
  test_until (test, test_stats (test).clients == 0);
  fail_unless (getrlimit (RLIMIT_NOFILE, &old) == 0);
  tight = old;
  tight.rlim_cur = 256;
  fail_unless (setrlimit (RLIMIT_NOFILE, &tight) == 0);
  while ((last = dup (STDIN_FILENO)) >= 0)
    waste[wasted++] = last;
  close (waste[--wasted]); /* for the client's end; none for the shim's */
  client = test_client_connect (test);
  test_client_hello (client, 1, 1, HELIX_ROLE_FRAMES, 1);
  test_until_logged (test, "cannot accept");
  fail_unless (test_logged (test, "ulimit -n"));

  begin = helix_now_ns ();
  cpu = cpu_seconds ();
  while (helix_now_ns () < begin + 1000000000u)
    test_round (test, 100);
  cpu = cpu_seconds () - cpu;
  fail_unless (cpu < 0.5, "%.2f s of CPU in one second of waiting", cpu);
  fail_unless_equals_int (test_log_count (test, "cannot accept"), 1);

  while (wasted > 0)
    close (waste[--wasted]);
  test_client_expect (client, HELIX_WELCOME, 0);
  setrlimit (RLIMIT_NOFILE, &old);
}

GST_END_TEST;

/* Made and not listening, listening and not run: all can be freed. */
GST_START_TEST (test_short_lives)
{
  guint before = test_open_fds ();
  char *error = NULL;

  test_shim_free (test_shim_make (NULL, NULL));
  for (int i = 0; i < 20; i++) {
    struct test_shim *test = test_shim_make (NULL, NULL);

    fail_unless (helix_shim_listen (test->shim, &error), "%s", error);
    test_shim_free (test);
  }
  fail_unless_equals_int (test_open_fds (), before);
}

GST_END_TEST;

struct noise {
  struct test_shim *test;
  bool stop; /* atomic */
};

/* Everything the display thread may be told, as fast as it goes. */
static void *
make_noise (void *opaque)
{
  struct noise *noise = opaque;
  struct helix_shim *shim = noise->test->shim;

  for (uint32_t i = 0; !__atomic_load_n (&noise->stop, __ATOMIC_RELAXED); i++) {
    struct helix_surface surface = {
        1 + i % 2, {i % 3, 0, 40, 40 - i % 2}, HELIX_FOURCC_BGRX};

    helix_shim_display_scanout (shim, 0, i % 7 ? &surface : NULL);
    helix_shim_display_flush (shim, 1 + i % 2, &surface.rect);
    helix_shim_display_run (shim);
    if (i % 11 == 0)
      helix_shim_display_unref (shim, 1 + i % 2);
    if (i % 23 == 0)
      helix_shim_display_reset (shim);
    helix_shim_idle (shim);
  }
  return NULL;
}

static void
talk (const char *path, uint32_t round)
{
  struct helix_hello hello = {
      1, 1, HELIX_ROLE_FRAMES, round % 2, 0, 1, 0, 0, 0};
  struct helix_subscribe request = {
      round % 3 ? 0 : HELIX_NONE32, round % 3 ? 0 : 1, 0, 1, 0, 0};
  uint8_t bytes[4 * HELIX_MAX_MESSAGE], sink[8192];
  size_t size = helix_pack_hello (bytes, &hello, "noise");
  int fd = helix_socket (AF_UNIX);

  size += helix_pack_subscribe (bytes + size, 1, &request);
  size += helix_pack_subscribe (bytes + size, 2, &request);
  if (helix_unix_connect (fd, path) == 0
      && send (fd, bytes, size, MSG_NOSIGNAL) > 0)
    for (uint32_t i = 0; i < round % 20; i++)
      if (helix_recv (fd, sink, sizeof sink, NULL) < 0)
        wait_readable (fd, 1);
  close (fd);
}

/* Display, io and clients at once: for the sanitizers to look at. */
GST_START_TEST (test_all_at_once)
{
  struct test_shim *test = new_shim_for (8);
  struct noise noise = {test, false};
  struct helix_shim_stats stats;
  pthread_t thread;

  test_resource_new (test, 1, 64, 64);
  test_resource_new (test, 2, 64, 64);
  fail_unless (pthread_create (&thread, NULL, make_noise, &noise) == 0);
  for (uint32_t round = 0; round < 300; round++) {
    talk (test->path, round);
    helix_shim_get_stats (test->shim, &stats);
  }
  __atomic_store_n (&noise.stop, true, __ATOMIC_RELAXED);
  pthread_join (thread, NULL);
  test_until (test, test_stats (test).clients == 0);
  fail_unless (test_stats (test).frames > 0);
  test_shim_free (test);
}

GST_END_TEST;

static Suite *
shim_suite (void)
{
  Suite *suite = suite_create ("helix-shim");
  TCase *tc = test_case (suite, NULL);

  tcase_add_test (tc, test_max_clients);
  tcase_add_test (tc, test_other_users);
  tcase_add_loop_test (tc, test_allowed_users, 0, 2);
  tcase_add_test (tc, test_flood_leaves_nothing);
  tcase_add_test (tc, test_short_lives);
  tcase_add_test (tc, test_all_at_once);
  tc = test_case (suite, test_setup);
  tcase_add_test (tc, test_out_of_descriptors);
  return suite;
}

GST_CHECK_MAIN (shim);
