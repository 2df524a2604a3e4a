/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

#include "helix-memory.h"
#include "helix-test-shim.h"

GST_START_TEST (test_shared)
{
  guint before = test_open_fds ();
  struct helix_memory *memory = helix_memory_new (3, 4097, true);

  fail_unless (memory != NULL);
  fail_unless_equals_uint64 (memory->slot_size, 8192);
  fail_unless_equals_uint64 (memory->total_size, 3 * 8192);
  fail_unless_equals_int (memory->kind, HELIX_POOL_SEALED);
  fail_unless (memory->client_fd >= 0);
  for (uint32_t i = 0; i < 3; i++) {
    fail_unless (helix_memory_pixels (memory, i) == memory->map + i * 8192);
    memset (helix_memory_pixels (memory, i), (int) i, 8192);
    fail_unless_equals_int (memory->slot[i].state, HELIX_SLOT_FREE);
  }
  fail_unless (helix_memory_unref (memory));
  helix_memory_free (memory);
  fail_unless_equals_int (test_open_fds (), before);
}

GST_END_TEST;

GST_START_TEST (test_inline)
{
  struct helix_memory *memory = helix_memory_new (8, 100, false);

  fail_unless (memory != NULL);
  fail_unless_equals_int (memory->kind, HELIX_POOL_INLINE);
  fail_unless_equals_int (memory->client_fd, -1);
  fail_unless_equals_uint64 (memory->slot_size, 4096);
  memset (memory->map, 1, (size_t) memory->total_size);
  fail_unless (helix_memory_unref (memory));
  helix_memory_free (memory);
}

GST_END_TEST;

GST_START_TEST (test_references)
{
  struct helix_memory *memory = helix_memory_new (2, 100, false);

  helix_memory_ref (memory);
  helix_memory_ref (memory);
  fail_if (helix_memory_unref (memory));
  fail_if (helix_memory_unref (memory));
  fail_unless (helix_memory_unref (memory));
  helix_memory_free (memory);
}

GST_END_TEST;

/* Its pages come a part at a time, as many as is said. */
GST_START_TEST (test_fill)
{
  struct helix_memory *memory = helix_memory_new (3, 40960, __i__ == 0);
  uint64_t budget = 0, steps = 0;

  fail_unless (memory != NULL);
  fail_unless_equals_int (helix_memory_fill (memory, &budget), HELIX_FILL_MORE);
  fail_unless_equals_uint64 (memory->filled, 0);
  do {
    budget = 2 * HELIX_PAGE;
    steps++;
    fail_unless (memory->filled == (steps - 1) * 2 * HELIX_PAGE);
  } while (helix_memory_fill (memory, &budget) == HELIX_FILL_MORE);
  fail_unless_equals_uint64 (steps, 15);
  fail_unless_equals_uint64 (memory->filled, memory->total_size);
  budget = 7 * HELIX_PAGE;
  fail_unless_equals_int (helix_memory_fill (memory, &budget), HELIX_FILL_DONE);
  fail_unless_equals_uint64 (budget, 7 * HELIX_PAGE);
  fail_unless (helix_memory_unref (memory));
  helix_memory_free (memory);
}

GST_END_TEST;

/* More than there is: an error, no crash, nothing left. */
GST_START_TEST (test_too_much)
{
  guint before = test_open_fds ();

  fail_unless (helix_memory_new (8, UINT64_MAX / 16, true) == NULL);
  fail_unless (errno != 0);
  fail_unless (helix_memory_new (8, 1ull << 60, false) == NULL);
  fail_unless_equals_int (test_open_fds (), before);
}

GST_END_TEST;

static Suite *
memory_suite (void)
{
  Suite *suite = suite_create ("helix-memory");
  TCase *tc = tcase_create ("memory");

  suite_add_tcase (suite, tc);
  tcase_set_timeout (tc, 30);
  tcase_add_test (tc, test_shared);
  tcase_add_test (tc, test_inline);
  tcase_add_test (tc, test_references);
  tcase_add_loop_test (tc, test_fill, 0, 2);
  tcase_add_test (tc, test_too_much);
  return suite;
}

GST_CHECK_MAIN (memory);
