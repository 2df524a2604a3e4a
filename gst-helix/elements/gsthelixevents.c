/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixevents.h"

#define CONTROL_NAME "GstHelixControl"
#define SHOW_NAME "GstHelixShow"
#define REFRESH_NAME "GstHelixRefresh"
#define OUTPUT_NAME "GstHelixOutput"
#define CURSOR_NAME "GstHelixCursor"

/* The structure of an upstream event of this name, or NULL. */
static const GstStructure *
structure_of (GstEvent *event, const gchar *name)
{
  if (GST_EVENT_TYPE (event) != GST_EVENT_CUSTOM_UPSTREAM
      || !gst_event_has_name (event, name))
    return NULL;
  return gst_event_get_structure (event);
}

/* ---- upstream ---- */

GstStructure *
gst_helix_config_to_structure (
    const struct helix_config *config, const gchar *name)
{
  GstStructure *structure = gst_structure_new_empty (name);
  guint32 num = config->rate_num, den = config->rate_den;

  /* GStreamer's fractions are signed: halved until they fit. */
  for (; num > G_MAXINT || den > G_MAXINT; num /= 2)
    den = MAX (den / 2, 1);
  if (config->fields & HELIX_CONFIG_BITRATE)
    gst_structure_set (
        structure, "bitrate", G_TYPE_UINT, config->bitrate, NULL);
  if (config->fields & HELIX_CONFIG_RATE)
    gst_structure_set (structure, "max-framerate", GST_TYPE_FRACTION,
        (gint) num, (gint) den, NULL);
  if (config->fields & HELIX_CONFIG_SCANOUT)
    gst_structure_set (
        structure, "scanout", G_TYPE_UINT, config->scanout, NULL);
  if (config->fields & HELIX_CONFIG_RESOURCE)
    gst_structure_set (
        structure, "resource-id", G_TYPE_UINT, config->resource_id, NULL);
  return structure;
}

GstEvent *
gst_helix_event_new_control (const struct helix_config *config)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
      gst_helix_config_to_structure (config, CONTROL_NAME));
}

gboolean
gst_helix_event_parse_control (GstEvent *event, struct helix_config *config)
{
  const GstStructure *structure = structure_of (event, CONTROL_NAME);
  gint num, den;

  *config = (struct helix_config){.rate_den = 1};
  if (structure == NULL)
    return FALSE;
  if (gst_structure_has_field (structure, "scanout")) {
    if (!gst_structure_get_uint (structure, "scanout", &config->scanout))
      return FALSE;
    config->fields |= HELIX_CONFIG_SCANOUT;
  }
  if (gst_structure_has_field (structure, "resource-id")) {
    if (!gst_structure_get_uint (
            structure, "resource-id", &config->resource_id))
      return FALSE;
    config->fields |= HELIX_CONFIG_RESOURCE;
  }
  if (gst_structure_has_field (structure, "max-framerate")) {
    if (!gst_structure_get_fraction (structure, "max-framerate", &num, &den)
        || num < 0 || den <= 0)
      return FALSE;
    config->rate_num = (guint32) num;
    config->rate_den = (guint32) den;
    config->fields |= HELIX_CONFIG_RATE;
  }
  return config->fields != 0;
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
  const GstStructure *structure = structure_of (event, SHOW_NAME);

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
  return structure_of (event, REFRESH_NAME) != NULL;
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
  const GstStructure *structure = structure_of (event, OUTPUT_NAME);
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
gst_helix_cursor_to_structure (
    const struct helix_cursor *cursor, GstBuffer *image)
{
  gboolean visible = (cursor->flags & HELIX_CURSOR_VISIBLE) != 0;
  GstStructure *structure = gst_structure_new (CURSOR_NAME, "scanout",
      G_TYPE_UINT, cursor->scanout, "visible", G_TYPE_BOOLEAN, visible, "x",
      G_TYPE_INT, (gint32) cursor->x, "y", G_TYPE_INT, (gint32) cursor->y,
      "serial", G_TYPE_UINT, cursor->serial, "width", G_TYPE_UINT,
      cursor->width, "height", G_TYPE_UINT, cursor->height, "hot-x",
      G_TYPE_UINT, cursor->hot_x, "hot-y", G_TYPE_UINT, cursor->hot_y, NULL);

  if (image != NULL)
    gst_structure_set (structure, "image", GST_TYPE_BUFFER, image, NULL);
  return structure;
}

/* The image, if the structure has one that fits. */
static gboolean
take_image (const GstStructure *structure, const struct helix_cursor *cursor,
    GstBuffer **image)
{
  const GValue *value = gst_structure_get_value (structure, "image");

  if (value == NULL)
    return TRUE;
  if (!G_VALUE_HOLDS (value, GST_TYPE_BUFFER))
    return FALSE;
  *image = g_value_get_boxed (value);
  return *image != NULL && cursor->serial != 0 && cursor->width != 0
      && cursor->height != 0
      && gst_buffer_get_size (*image)
      == (gsize) cursor->width * cursor->height * 4;
}

gboolean
gst_helix_cursor_from_structure (const GstStructure *structure,
    struct helix_cursor *cursor, GstBuffer **image)
{
  gboolean visible;

  *cursor = (struct helix_cursor){0};
  *image = NULL;
  if (structure == NULL || !gst_structure_has_name (structure, CURSOR_NAME)
      || !gst_structure_get (structure, "scanout", G_TYPE_UINT,
          &cursor->scanout, "visible", G_TYPE_BOOLEAN, &visible, "x",
          G_TYPE_INT, &cursor->x, "y", G_TYPE_INT, &cursor->y, "serial",
          G_TYPE_UINT, &cursor->serial, "width", G_TYPE_UINT, &cursor->width,
          "height", G_TYPE_UINT, &cursor->height, "hot-x", G_TYPE_UINT,
          &cursor->hot_x, "hot-y", G_TYPE_UINT, &cursor->hot_y, NULL))
    return FALSE;
  cursor->flags = visible ? HELIX_CURSOR_VISIBLE : 0;
  return cursor->scanout < HELIX_MAX_SCANOUTS
      && cursor->width <= HELIX_MAX_CURSOR && cursor->height <= HELIX_MAX_CURSOR
      && take_image (structure, cursor, image);
}

GstEvent *
gst_helix_event_new_cursor (const struct helix_cursor *cursor, GstBuffer *image)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_OOB,
      gst_helix_cursor_to_structure (cursor, image));
}
