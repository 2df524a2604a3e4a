/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any thread. */
#include "helix-shim-base.h"

#include <stdarg.h>
#include <stdio.h>

#include "helix-platform.h"

/* Whether this line may go. *dropped = how many before it did not. */
static bool
log_allowed (struct helix_shim *shim, uint32_t *dropped)
{
  bool allowed;

  pthread_mutex_lock (&shim->log_lock);
  allowed = helix_bucket_spend (&shim->log_bucket, HELIX_SHIM_LOG_BURST,
      HELIX_SHIM_LOG_EVERY_NS, helix_now_ns ());
  *dropped = shim->log_dropped;
  shim->log_dropped = allowed ? 0 : shim->log_dropped + 1;
  pthread_mutex_unlock (&shim->log_lock);
  return allowed;
}

void
helix_shim_log (struct helix_shim *shim, enum helix_log_level level,
    const char *format, ...)
{
  char line[HELIX_SHIM_LOG_LINE];
  uint32_t dropped;
  va_list args;

  if (!log_allowed (shim, &dropped))
    return;
  if (dropped) {
    snprintf (line, sizeof line, "%u lines like these were left out", dropped);
    shim->display.log (shim->display_opaque, HELIX_LOG_INFO, line);
  }
  va_start (args, format);
  vsnprintf (line, sizeof line, format, args);
  va_end (args);
  shim->display.log (shim->display_opaque, level, line);
}

void
helix_shim_wake_io (struct helix_shim *shim)
{
  shim->loop.wake_io (shim->loop_opaque);
}

void
helix_shim_wake_display (struct helix_shim *shim)
{
  shim->loop.wake_display (shim->loop_opaque);
}
