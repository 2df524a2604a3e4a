/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-common.h"

#include "helix-pack.h"
#include "helix-platform.h"

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

void
helix_stream_merge_config (
    struct helix_config *config, const struct helix_config *newer)
{
  config->fields |= newer->fields & ((1u << HELIX_STREAM_N_FIELDS) - 1);
  if (newer->fields & HELIX_CONFIG_BITRATE)
    config->bitrate = newer->bitrate;
  if (newer->fields & HELIX_CONFIG_RATE) {
    config->rate_num = newer->rate_num;
    config->rate_den = newer->rate_den;
  }
  if (newer->fields & HELIX_CONFIG_SCANOUT)
    config->scanout = newer->scanout;
  if (newer->fields & HELIX_CONFIG_RESOURCE)
    config->resource_id = newer->resource_id;
}

void
helix_stream_turn_away (gint fd, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];
  struct iovec iov = {.iov_base = message,
      .iov_len = helix_pack_error (message, 0, HELIX_ERROR_AUTH, 0, text)};

  helix_send (fd, &iov, 1, -1);
  helix_recv (fd, message, sizeof message, NULL);
}
