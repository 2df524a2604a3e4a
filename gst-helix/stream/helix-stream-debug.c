/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-debug.h"

GST_DEBUG_CATEGORY (helix_stream_debug);

void
helix_stream_debug_init (void)
{
  static gsize once = 0;

  if (g_once_init_enter (&once)) {
    GST_DEBUG_CATEGORY_INIT (
        helix_stream_debug, "helixstream", 0, "helix stream protocol");
    g_once_init_leave (&once, 1);
  }
}
