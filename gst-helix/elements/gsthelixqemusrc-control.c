/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Doing what the guest wants, and telling it where its cursor is. Events come
 * from any thread, the rest is the streaming thread's.
 */
#include "gsthelixqemusrc-private.h"

#include "gsthelixevents.h"
#include "gsthelixmode.h"
#include "helix-platform.h"

/* ns between two warnings of a refusal: a guest may ask for nonsense without
 * end, and a bus keeps what nobody reads. */
#define REFUSALS_EVERY (1 * GST_SECOND)

/* Which properties were changed, to be notified of without the lock. */
typedef struct {
  gboolean scanout, resource_id, rate;
} Changes;

static void
notify (GstHelixQemuSrc *self, const Changes *changes)
{
  if (changes->scanout)
    g_object_notify (G_OBJECT (self), "scanout");
  if (changes->resource_id)
    g_object_notify (G_OBJECT (self), "resource-id");
  if (changes->rate) {
    g_object_notify (G_OBJECT (self), "max-framerate");
    gst_pad_mark_reconfigure (GST_BASE_SRC_PAD (self)); /* caps announce it */
  }
}

/* ---- wishes ---- */

/* With the object lock. */
static void
set_target (
    GstHelixQemuSrc *self, guint scanout, guint resource_id, Changes *changes)
{
  changes->scanout = self->scanout != scanout;
  changes->resource_id = self->resource_id != resource_id;
  self->scanout = scanout;
  self->resource_id = resource_id;
}

/* With the object lock: whether a refusal is worth a message. */
static gboolean
may_complain (GstHelixQemuSrc *self)
{
  guint64 now = helix_now_ns ();

  if (self->refused_ns != 0 && now - self->refused_ns < REFUSALS_EVERY)
    return FALSE;
  self->refused_ns = now;
  return TRUE;
}

static gboolean
change (GstHelixQemuSrc *self, const GstHelixControl *control)
{
  guint scanout, resource_id, scanouts = 0;
  gboolean ok, complain = FALSE;
  Changes changes = {FALSE, FALSE, FALSE};

  GST_OBJECT_LOCK (self);
  scanout = self->scanout;
  resource_id = self->resource_id;
  if (self->client != NULL)
    scanouts = helix_frame_client_scanouts (self->client);
  if (scanouts == 0) /* not known before there is a connection */
    scanouts = HELIX_MAX_SCANOUTS;
  if (control->fields & GST_HELIX_CONTROL_SCANOUT)
    scanout = control->scanout;
  if (control->fields & GST_HELIX_CONTROL_RESOURCE)
    resource_id = control->resource_id;
  ok = scanout < scanouts || !(control->fields & GST_HELIX_CONTROL_SCANOUT);
  if (!ok) {
    complain = may_complain (self);
    goto out;
  }
  set_target (self, scanout, resource_id, &changes);
  if (control->fields & GST_HELIX_CONTROL_RATE) {
    changes.rate = gst_util_fraction_compare (self->max_num, self->max_den,
                       control->rate_num, control->rate_den)
        != 0;
    self->max_num = control->rate_num;
    self->max_den = control->rate_den;
  }
  if (changes.rate)
    gst_helix_qemu_src_get_limit (self, &self->rate_num, &self->rate_den);
  if (changes.scanout || changes.resource_id || changes.rate)
    gst_helix_qemu_src_subscribe (self, TRUE);
  /* Also when it names what the properties say already. */
  if (self->client != NULL
      && control->fields
          & (GST_HELIX_CONTROL_SCANOUT | GST_HELIX_CONTROL_RESOURCE))
    helix_frame_client_show (self->client, 0, 0);
out:
  GST_OBJECT_UNLOCK (self);
  if (complain)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
        ("The guest asks for scanout %u, but there are %u (0 to %u). What was "
         "shown before goes on. Give the VM more with max_outputs of its "
         "virtio-gpu device.",
            control->scanout, scanouts, scanouts - 1),
        (NULL));
  notify (self, &changes);
  return ok;
}

static gboolean
show (GstHelixQemuSrc *self, guint resource_id, guint64 capture_time)
{
  gboolean ok;

  GST_OBJECT_LOCK (self);
  ok = self->client != NULL;
  if (ok)
    helix_frame_client_show (self->client, resource_id, capture_time);
  GST_OBJECT_UNLOCK (self);
  return ok;
}

static gboolean
refresh (GstHelixQemuSrc *self)
{
  GST_OBJECT_LOCK (self);
  self->refresh = TRUE;
  if (self->client != NULL)
    helix_frame_client_poke (self->client);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static gboolean
note_output (GstHelixQemuSrc *self, const GstHelixOutput *output)
{
  GST_OBJECT_LOCK (self);
  if (gst_helix_holdback_reported (&self->holdback, output, helix_now_ns ())
      && self->client != NULL)
    helix_frame_client_poke (self->client);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

gboolean
gst_helix_qemu_src_obey (GstHelixQemuSrc *self, GstEvent *event, gboolean *ok)
{
  GstHelixControl control;
  GstHelixOutput output;
  guint64 capture_time;
  guint resource_id;

  if (gst_helix_event_parse_control (event, &control))
    *ok = change (self, &control);
  else if (gst_helix_event_parse_show (event, &resource_id, &capture_time))
    *ok = show (self, resource_id, capture_time);
  else if (gst_helix_event_is_refresh (event))
    *ok = refresh (self);
  else if (gst_helix_event_parse_output (event, &output))
    *ok = note_output (self, &output);
  else
    return FALSE;
  return TRUE;
}

void
gst_helix_qemu_src_refused (GstHelixQemuSrc *self, const GError *error)
{
  Changes changes = {FALSE, FALSE, FALSE};
  HelixFrameWish wish;
  gboolean complain;

  GST_OBJECT_LOCK (self);
  helix_frame_client_get_wish (self->client, &wish);
  set_target (self, wish.scanout, wish.resource_id, &changes);
  complain = may_complain (self);
  GST_OBJECT_UNLOCK (self);
  if (complain)
    gst_helix_post (GST_ELEMENT (self), GST_MESSAGE_WARNING, error);
  notify (self, &changes);
}

/* ---- the cursor ---- */

/* Tells downstream where the cursor is, and, if `image`, what it looks like. */
static void
send_cursor (GstHelixQemuSrc *self, gboolean visible, gboolean image)
{
  const struct helix_cursor *info = &self->cursor.info;
  GstHelixCursor cursor = {
      .scanout = info->scanout,
      .visible = visible,
      .x = (gint32) info->x,
      .y = (gint32) info->y,
      .serial = info->serial,
      .width = info->width,
      .height = info->height,
      .hot_x = info->hot_x,
      .hot_y = info->hot_y,
      .image = image ? self->cursor.image : NULL,
  };

  gst_pad_push_event (
      GST_BASE_SRC_PAD (self), gst_helix_event_new_cursor (&cursor));
}

void
gst_helix_qemu_src_take_cursor (GstHelixQemuSrc *self)
{
  const struct helix_cursor *info = &self->cursor.info;

  helix_cursor_clear (&self->cursor);
  helix_frame_client_get_cursor (self->client, &self->cursor);
  if (self->blend)
    self->cursor_moved = TRUE;
  else
    send_cursor (self, !!(info->flags & HELIX_CURSOR_VISIBLE),
        !!(info->flags & HELIX_CURSOR_SHAPE));
}

gboolean
gst_helix_qemu_src_follow_show_cursor (GstHelixQemuSrc *self)
{
  gboolean blend;

  GST_OBJECT_LOCK (self);
  blend = self->show_cursor;
  GST_OBJECT_UNLOCK (self);
  if (blend == self->blend)
    return FALSE;
  self->blend = blend;
  self->cursor_moved = blend;
  g_clear_pointer (&self->still, gst_memory_unref);
  if (self->cursor.info.serial != 0)
    send_cursor (
        self, !blend && self->cursor.info.flags & HELIX_CURSOR_VISIBLE, !blend);
  return TRUE;
}
