/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-watch.h"

#include <string.h>

#include "helix-platform.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

/* For how long frames are counted; and how much longer a first one may take
 * to come, from a VM that is busy. */
#define COUNT_NS (1000 * NS_PER_MS)
#define FIRST_NS (2000 * NS_PER_MS)

/* The fewest that do: one is shown while the other is filled. */
#define SLOTS 2

static gboolean
subscribe (HelixProbe *probe, guint scanout, guint64 deadline, GError **error)
{
  struct helix_subscribe subscribe = {
      .scanout = scanout, .rate_num = 0, .rate_den = 1, .slots = SLOTS};
  guint8 message[HELIX_MAX_MESSAGE];

  /* The channel says which scanout an answer is about. */
  return helix_probe_send (probe, message,
      helix_pack_subscribe (message, (uint16_t) (scanout + 1), &subscribe),
      deadline, error);
}

static HelixWatched *
watched_of_channel (HelixWatch *self, guint channel)
{
  for (guint i = 0; i < self->n; i++)
    if (self->scanouts[i].scanout + 1 == channel)
      return &self->scanouts[i];
  return NULL;
}

static gboolean
take_frame (HelixProbe *probe, HelixWatched *w, guint64 began, guint64 deadline,
    GError **error)
{
  const struct helix_reader *r = &probe->reader;
  struct helix_rect rects[HELIX_MAX_RECTS];
  struct helix_release release;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_frame frame;
  const gchar *why;

  if (!helix_unpack_frame (&frame, rects, r->payload, r->payload_size, &why)) {
    g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_FOREIGN,
        "its FRAME is malformed: %s", why);
    return FALSE;
  }
  w->last_ns = probe->arrived_ns - began;
  if (w->frames++ == 0)
    w->first_ns = w->last_ns;
  release.pool_id = frame.pool_id;
  release.slot = frame.slot;
  return helix_probe_send (probe, message,
      helix_pack_release (message, r->header.channel, &release), deadline,
      error);
}

static gboolean
take_message (HelixWatch *self, HelixProbe *probe, guint64 began,
    guint64 deadline, GError **error)
{
  const struct helix_reader *r = &probe->reader;
  HelixWatched *w = watched_of_channel (self, r->header.channel);
  struct helix_error refused;
  const gchar *why;

  if (w == NULL)
    return TRUE;
  if (r->header.type == HELIX_FRAME)
    return take_frame (probe, w, began, deadline, error);
  if (r->header.type == HELIX_ERROR
      && !helix_unpack_error (
          &refused, w->refused, r->payload, r->payload_size, &why))
    w->refused[0] = '\0';
  return TRUE;
}

/* Nothing more to wait for after the time for counting. */
static gboolean
all_came (const HelixWatch *self)
{
  for (guint i = 0; i < self->n; i++)
    if (self->scanouts[i].frames == 0 && self->scanouts[i].refused[0] == '\0')
      return FALSE;
  return TRUE;
}

gboolean
helix_watch_run (HelixWatch *self, HelixProbe *probe, guint mask,
    guint64 deadline, GError **error)
{
  guint64 began = helix_now_ns (), end = MIN (began + COUNT_NS, deadline);
  guint8 message[HELIX_MAX_MESSAGE];
  gboolean good = TRUE;

  memset (self, 0, sizeof *self);
  for (guint i = 0; good && i < HELIX_MAX_SCANOUTS; i++) {
    if (!(mask & 1u << i))
      continue;
    self->scanouts[self->n++].scanout = i;
    good = subscribe (probe, i, end, error);
  }
  while (good && helix_now_ns () < end) {
    g_autoptr (GError) mine = NULL;

    if (helix_probe_next (probe, end, &mine)) {
      good = take_message (self, probe, began, end, error);
    } else if (mine->code != HELIX_PROBE_ERROR_SILENT) {
      g_propagate_error (error, g_steal_pointer (&mine));
      good = FALSE;
    }
    if (helix_now_ns () >= end && !all_came (self))
      end = MIN (began + FIRST_NS, deadline);
  }
  for (guint i = 0; i < self->n; i++) {
    HelixWatched *w = &self->scanouts[i];

    if (w->frames > 1 && w->last_ns > w->first_ns)
      w->fps = (w->frames - 1) * 1e9 / (gdouble) (w->last_ns - w->first_ns);
    if (good)
      good = helix_probe_send (probe, message,
          helix_pack_empty (
              message, HELIX_UNSUBSCRIBE, (uint16_t) (w->scanout + 1)),
          helix_now_ns () + COUNT_NS, error);
  }
  return good;
}

const HelixWatched *
helix_watch_of (const HelixWatch *self, guint scanout)
{
  for (guint i = 0; i < self->n; i++)
    if (self->scanouts[i].scanout == scanout)
      return &self->scanouts[i];
  return NULL;
}

void
helix_watch_json (const HelixWatch *self, JsonBuilder *json)
{
  helix_json_array (json, "rates");
  for (guint i = 0; i < self->n; i++) {
    const HelixWatched *w = &self->scanouts[i];

    helix_json_object (json, NULL);
    helix_json_uint (json, "scanout", w->scanout);
    helix_json_uint (json, "frames", w->frames);
    helix_json_double (json, "fps", w->fps);
    helix_json_ms (
        json, "first_ms", w->frames > 0 ? w->first_ns : HELIX_NONE64);
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
}
