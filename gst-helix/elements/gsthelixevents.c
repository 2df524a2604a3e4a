/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixevents.h"

#include "helix-protocol.h"

#define CONTROL_NAME "GstHelixControl"
#define SHOW_NAME "GstHelixShow"
#define REFRESH_NAME "GstHelixRefresh"
#define OUTPUT_NAME "GstHelixOutput"
#define CURSOR_NAME "GstHelixCursor"

/* The structure of an event of this type and name, or NULL. */
static const GstStructure *
structure_of (GstEvent *event, GstEventType type, const gchar *name)
{
  if (GST_EVENT_TYPE (event) != type || !gst_event_has_name (event, name))
    return NULL;
  return gst_event_get_structure (event);
}

/* ---- upstream ---- */

GstEvent *
gst_helix_event_new_control (const GstHelixControl *control)
{
  GstStructure *structure;

  if (control->fields == 0)
    return NULL;
  structure = gst_structure_new_empty (CONTROL_NAME);
  if (control->fields & GST_HELIX_CONTROL_SCANOUT)
    gst_structure_set (
        structure, "scanout", G_TYPE_UINT, control->scanout, NULL);
  if (control->fields & GST_HELIX_CONTROL_RESOURCE)
    gst_structure_set (
        structure, "resource-id", G_TYPE_UINT, control->resource_id, NULL);
  if (control->fields & GST_HELIX_CONTROL_RATE)
    gst_structure_set (structure, "max-framerate", GST_TYPE_FRACTION,
        control->rate_num, control->rate_den, NULL);
  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM, structure);
}

gboolean
gst_helix_event_parse_control (GstEvent *event, GstHelixControl *control)
{
  const GstStructure *structure =
      structure_of (event, GST_EVENT_CUSTOM_UPSTREAM, CONTROL_NAME);

  *control = (GstHelixControl){.rate_den = 1};
  if (structure == NULL)
    return FALSE;
  if (gst_structure_has_field (structure, "scanout")) {
    if (!gst_structure_get_uint (structure, "scanout", &control->scanout))
      return FALSE;
    control->fields |= GST_HELIX_CONTROL_SCANOUT;
  }
  if (gst_structure_has_field (structure, "resource-id")) {
    if (!gst_structure_get_uint (
            structure, "resource-id", &control->resource_id))
      return FALSE;
    control->fields |= GST_HELIX_CONTROL_RESOURCE;
  }
  if (gst_structure_has_field (structure, "max-framerate")) {
    if (!gst_structure_get_fraction (
            structure, "max-framerate", &control->rate_num, &control->rate_den)
        || control->rate_num < 0 || control->rate_den <= 0)
      return FALSE;
    control->fields |= GST_HELIX_CONTROL_RATE;
  }
  return control->fields != 0;
}

GstEvent *
gst_helix_event_new_show (guint resource_id, guint64 capture_time)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
      gst_structure_new (SHOW_NAME, "resource-id", G_TYPE_UINT, resource_id,
          "capture-time", G_TYPE_UINT64, capture_time, NULL));
}

gboolean
gst_helix_event_parse_show (
    GstEvent *event, guint *resource_id, guint64 *capture_time)
{
  const GstStructure *structure =
      structure_of (event, GST_EVENT_CUSTOM_UPSTREAM, SHOW_NAME);

  return structure != NULL
      && gst_structure_get_uint (structure, "resource-id", resource_id)
      && gst_structure_get_uint64 (structure, "capture-time", capture_time)
      && *resource_id != 0;
}

GstEvent *
gst_helix_event_new_refresh (void)
{
  return gst_event_new_custom (
      GST_EVENT_CUSTOM_UPSTREAM, gst_structure_new_empty (REFRESH_NAME));
}

gboolean
gst_helix_event_is_refresh (GstEvent *event)
{
  return structure_of (event, GST_EVENT_CUSTOM_UPSTREAM, REFRESH_NAME) != NULL;
}

GstEvent *
gst_helix_event_new_output (const GstHelixOutput *output)
{
  GstStructure *structure = gst_structure_new (OUTPUT_NAME, "sink", G_TYPE_UINT,
      output->sink, "running-time", G_TYPE_UINT64, output->running_time, NULL);

  if (output->encoder[0] != '\0')
    gst_structure_set (
        structure, "encoder", G_TYPE_STRING, output->encoder, NULL);
  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM, structure);
}

gboolean
gst_helix_event_parse_output (GstEvent *event, GstHelixOutput *output)
{
  const GstStructure *structure =
      structure_of (event, GST_EVENT_CUSTOM_UPSTREAM, OUTPUT_NAME);
  const gchar *encoder;

  *output = (GstHelixOutput){.running_time = GST_CLOCK_TIME_NONE};
  if (structure == NULL
      || !gst_structure_get_uint (structure, "sink", &output->sink)
      || !gst_structure_get_uint64 (
          structure, "running-time", &output->running_time))
    return FALSE;
  if (!gst_structure_has_field (structure, "encoder"))
    return TRUE;
  encoder = gst_structure_get_string (structure, "encoder");
  return encoder != NULL && g_utf8_validate (encoder, -1, NULL)
      && g_strlcpy (output->encoder, encoder, sizeof output->encoder)
      < sizeof output->encoder;
}

/* ---- downstream ---- */

GstStructure *
gst_helix_cursor_to_structure (const GstHelixCursor *cursor)
{
  GstStructure *structure = gst_structure_new (CURSOR_NAME, "scanout",
      G_TYPE_UINT, cursor->scanout, "visible", G_TYPE_BOOLEAN, cursor->visible,
      "x", G_TYPE_INT, cursor->x, "y", G_TYPE_INT, cursor->y, "serial",
      G_TYPE_UINT, cursor->serial, "width", G_TYPE_UINT, cursor->width,
      "height", G_TYPE_UINT, cursor->height, "hot-x", G_TYPE_UINT,
      cursor->hot_x, "hot-y", G_TYPE_UINT, cursor->hot_y, NULL);

  if (cursor->image != NULL)
    gst_structure_set (
        structure, "image", GST_TYPE_BUFFER, cursor->image, NULL);
  return structure;
}

/* The image, if the structure has one that fits. */
static gboolean
take_image (const GstStructure *structure, GstHelixCursor *cursor)
{
  const GValue *value = gst_structure_get_value (structure, "image");

  if (value == NULL)
    return TRUE;
  if (!G_VALUE_HOLDS (value, GST_TYPE_BUFFER))
    return FALSE;
  cursor->image = g_value_get_boxed (value);
  return cursor->image != NULL && cursor->serial != 0 && cursor->width != 0
      && cursor->height != 0
      && gst_buffer_get_size (cursor->image)
      == (gsize) cursor->width * cursor->height * 4;
}

gboolean
gst_helix_cursor_from_structure (
    const GstStructure *structure, GstHelixCursor *cursor)
{
  *cursor = (GstHelixCursor){0};
  return gst_structure_has_name (structure, CURSOR_NAME)
      && gst_structure_get (structure, "scanout", G_TYPE_UINT, &cursor->scanout,
          "visible", G_TYPE_BOOLEAN, &cursor->visible, "x", G_TYPE_INT,
          &cursor->x, "y", G_TYPE_INT, &cursor->y, "serial", G_TYPE_UINT,
          &cursor->serial, "width", G_TYPE_UINT, &cursor->width, "height",
          G_TYPE_UINT, &cursor->height, "hot-x", G_TYPE_UINT, &cursor->hot_x,
          "hot-y", G_TYPE_UINT, &cursor->hot_y, NULL)
      && cursor->scanout < HELIX_MAX_SCANOUTS
      && cursor->width <= HELIX_MAX_CURSOR && cursor->height <= HELIX_MAX_CURSOR
      && take_image (structure, cursor);
}

GstEvent *
gst_helix_event_new_cursor (const GstHelixCursor *cursor)
{
  return gst_event_new_custom (
      GST_EVENT_CUSTOM_DOWNSTREAM_OOB, gst_helix_cursor_to_structure (cursor));
}

gboolean
gst_helix_event_parse_cursor (GstEvent *event, GstHelixCursor *cursor)
{
  const GstStructure *structure =
      structure_of (event, GST_EVENT_CUSTOM_DOWNSTREAM_OOB, CURSOR_NAME);

  return structure != NULL
      && gst_helix_cursor_from_structure (structure, cursor);
}
