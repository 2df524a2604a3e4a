/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HELIX_TEST_TIME_H
#define HELIX_TEST_TIME_H

#include <gst/check/gstcheck.h>

#include "helix-platform.h"

/* ns. How long an event is waited for, and the bound of what the product
 * promises within a second or three: a busy machine withholds seconds. What
 * waits for something else instead waits longer, or for ever. */
#define TEST_SOON UINT64_C (15000000000)

/* FALSE: it is too late to look again. */
static inline gboolean
test_look_again (guint64 end)
{
  /* Nothing else tells. */
  g_usleep (1000);
  return helix_now_ns () < end;
}

/* Waits until `condition`, of which nothing tells but looking again. */
#define TEST_AWAIT(condition) \
  G_STMT_START \
  { \
    guint64 test_end = helix_now_ns () + 2 * TEST_SOON; \
\
    while (!(condition)) \
      fail_unless (test_look_again (test_end), "still not: %s", #condition); \
  } \
  G_STMT_END

#endif /* HELIX_TEST_TIME_H */
