/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-outbox.h"
#include "helix-test-shim.h"

static void
tiny_pair (int fds[2])
{
  int size = 2048;

  fail_unless (helix_socketpair (fds) == 0);
  fail_unless (
      setsockopt (fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

/* Order and every byte survive a socket that takes little at a time. */
GST_START_TEST (test_order_and_bytes)
{
  struct helix_outbox outbox;
  uint8_t message[1000], got[1000];
  guint received = 0, total = 100 * sizeof message;
  int fds[2];

  tiny_pair (fds);
  helix_outbox_init (&outbox);
  for (int i = 0; i < 100; i++) {
    memset (message, i, sizeof message);
    helix_outbox_push (&outbox, message, sizeof message);
  }
  fail_unless_equals_uint64 (outbox.size, total);
  fail_unless (helix_outbox_full (&outbox));
  while (received < total) {
    ssize_t n;

    fail_unless (helix_outbox_flush (&outbox, fds[0]));
    n = helix_recv (fds[1], got, sizeof got, NULL);
    fail_unless (n > 0);
    for (ssize_t i = 0; i < n; i++, received++)
      if (got[i] != received / sizeof message)
        ck_abort_msg ("byte %u is %u", received, got[i]);
  }
  fail_unless (helix_outbox_empty (&outbox));
  fail_unless_equals_uint64 (outbox.size, 0);
  close (fds[0]);
  close (fds[1]);
}

GST_END_TEST;

GST_START_TEST (test_limit)
{
  struct helix_outbox outbox;
  uint8_t message[1024] = {0};

  helix_outbox_init (&outbox);
  fail_if (helix_outbox_full (&outbox));
  for (guint i = 0; i < HELIX_OUTBOX_LIMIT / sizeof message; i++) {
    fail_if (helix_outbox_full (&outbox));
    helix_outbox_push (&outbox, message, sizeof message);
  }
  fail_unless (helix_outbox_full (&outbox));
  helix_outbox_clear (&outbox);
  fail_unless (helix_outbox_empty (&outbox));
  fail_if (helix_outbox_full (&outbox));
}

GST_END_TEST;

/* The descriptor goes with its message and is closed here after. */
GST_START_TEST (test_pool_descriptor)
{
  struct helix_memory *memory = helix_memory_new (2, 5000, true);
  struct helix_outbox outbox;
  uint8_t message[32] = {1}, got[32];
  const char *why = NULL;
  int fds[2], fd = -1;
  uint64_t budget = UINT64_MAX;
  struct helix_shm shm;

  fail_unless (memory != NULL);
  fail_unless_equals_int (helix_memory_fill (memory, &budget), HELIX_FILL_DONE);
  tiny_pair (fds);
  helix_outbox_init (&outbox);
  helix_outbox_push (&outbox, message, sizeof message);
  helix_outbox_push_pool (&outbox, message, sizeof message, memory);
  fail_unless (helix_outbox_flush (&outbox, fds[0]));
  fail_unless_equals_int (memory->client_fd, -1);
  fail_unless (helix_recv (fds[1], got, sizeof got, &fd) == 32);
  fail_unless_equals_int (fd, -1);
  fail_unless (helix_recv (fds[1], got, sizeof got, &fd) == 32);
  fail_unless (fd >= 0);
  fail_unless (helix_shm_open (
                   &shm, fd, 2 * 8192, memory->kind == HELIX_POOL_SEALED, &why),
      "%s", why);
  memory->map[8192] = 0x5a;
  fail_unless_equals_int (helix_shm_fetch (&shm, 8192, 1), 0);
  fail_unless_equals_int (shm.bytes[8192], 0x5a);
  helix_shm_close (&shm);
  close (fd);
  close (fds[0]);
  close (fds[1]);
  fail_unless (helix_memory_unref (memory));
  helix_memory_free (memory);
}

GST_END_TEST;

/* Nobody reads at the other end any more. */
GST_START_TEST (test_lost)
{
  struct helix_outbox outbox;
  uint8_t message[32] = {0};
  int fds[2];

  tiny_pair (fds);
  helix_outbox_init (&outbox);
  close (fds[1]);
  helix_outbox_push (&outbox, message, sizeof message);
  fail_if (helix_outbox_flush (&outbox, fds[0]));
  fail_unless_equals_int (errno, EPIPE);
  helix_outbox_clear (&outbox);
  close (fds[0]);
}

GST_END_TEST;

static Suite *
outbox_suite (void)
{
  Suite *suite = suite_create ("helix-outbox");
  TCase *tc = tcase_create ("outbox");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_order_and_bytes);
  tcase_add_test (tc, test_limit);
  tcase_add_test (tc, test_pool_descriptor);
  tcase_add_test (tc, test_lost);
  return suite;
}

GST_CHECK_MAIN (outbox);
