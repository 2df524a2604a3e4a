/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stream-caps.h"

#include <string.h>

static const struct {
  enum helix_codec codec;
  const gchar *name;
  const gchar *stream_format, *alignment; /* NULL: the format knows none */
} codecs[] = {
    {HELIX_CODEC_H264, "video/x-h264", "byte-stream", "au"},
    {HELIX_CODEC_H265, "video/x-h265", "byte-stream", "au"},
    {HELIX_CODEC_AV1, "video/x-av1", "obu-stream", "tu"},
    {HELIX_CODEC_VP8, "video/x-vp8", NULL, NULL},
    {HELIX_CODEC_VP9, "video/x-vp9", NULL, NULL},
    {HELIX_CODEC_JPEG, "image/jpeg", NULL, NULL},
};

/* The wire has room for `size` bytes, NUL padded. A string that does not fit
 * whole is left out: half a level is worse than none. */
static void
copy_string (gchar *wire, gsize size, const GstStructure *s, const gchar *field)
{
  const gchar *value = gst_structure_get_string (s, field);

  memset (wire, 0, size);
  if (value != NULL && strlen (value) < size)
    memcpy (wire, value, strlen (value));
}

static void
copy_fraction (
    guint32 *num, guint32 *den, const GstStructure *s, const gchar *field)
{
  gint n, d;

  if (gst_structure_get_fraction (s, field, &n, &d) && n >= 0 && d > 0) {
    *num = (guint32) n;
    *den = (guint32) d;
  }
}

gboolean
helix_stream_caps_to_wire (
    const GstCaps *caps, struct helix_caps *wire, const gchar **why)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  gint width = 0, height = 0;

  memset (wire, 0, sizeof *wire);
  for (guint i = 0; i < G_N_ELEMENTS (codecs); i++)
    if (gst_structure_has_name (s, codecs[i].name))
      wire->codec = codecs[i].codec;
  *why = "the codec has no number in the protocol";
  if (wire->codec == 0)
    return FALSE;

  gst_structure_get_int (s, "width", &width);
  gst_structure_get_int (s, "height", &height);
  *why = "the caps name no size from 1x1 to 16384x16384";
  if (width < 1 || height < 1 || width > (gint) HELIX_MAX_DIMENSION
      || height > (gint) HELIX_MAX_DIMENSION)
    return FALSE;
  wire->width = (guint32) width;
  wire->height = (guint32) height;
  wire->rate_den = wire->par_num = wire->par_den = 1;
  copy_fraction (&wire->rate_num, &wire->rate_den, s, "framerate");
  copy_fraction (&wire->par_num, &wire->par_den, s, "pixel-aspect-ratio");
  if (wire->par_num == 0)
    wire->par_num = wire->par_den = 1;
  copy_string (wire->profile, sizeof wire->profile, s, "profile");
  copy_string (wire->level, sizeof wire->level, s, "level");
  copy_string (wire->colorimetry, sizeof wire->colorimetry, s, "colorimetry");
  return TRUE;
}

/* Strings come from a peer: anything but plain words is left out. */
static void
set_string (GstStructure *s, const gchar *field, const gchar *wire, gsize size)
{
  g_autofree gchar *text = g_strndup (wire, size);

  for (const gchar *c = text; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && strchr (".-+:_", *c) == NULL)
      return;
  if (*text != '\0')
    gst_structure_set (s, field, G_TYPE_STRING, text, NULL);
}

static void
set_fraction (GstStructure *s, const gchar *field, guint32 num, guint32 den,
    gboolean zero_allowed)
{
  if (num > G_MAXINT || den > G_MAXINT || den == 0
      || (num == 0 && !zero_allowed))
    return;
  gst_structure_set (s, field, GST_TYPE_FRACTION, (gint) num, (gint) den, NULL);
}

GstCaps *
helix_stream_caps_from_wire (const struct helix_caps *wire)
{
  GstStructure *s = NULL;
  GstCaps *caps;

  for (guint i = 0; i < G_N_ELEMENTS (codecs) && s == NULL; i++) {
    if (codecs[i].codec != wire->codec)
      continue;
    s = gst_structure_new_empty (codecs[i].name);
    if (codecs[i].stream_format != NULL)
      gst_structure_set (s, "stream-format", G_TYPE_STRING,
          codecs[i].stream_format, "alignment", G_TYPE_STRING,
          codecs[i].alignment, NULL);
  }
  if (s == NULL)
    return NULL;

  if (wire->width > 0 && wire->width <= HELIX_MAX_DIMENSION && wire->height > 0
      && wire->height <= HELIX_MAX_DIMENSION)
    gst_structure_set (s, "width", G_TYPE_INT, (gint) wire->width, "height",
        G_TYPE_INT, (gint) wire->height, NULL);
  set_fraction (s, "framerate", wire->rate_num, wire->rate_den, TRUE);
  set_fraction (s, "pixel-aspect-ratio", wire->par_num, wire->par_den, FALSE);
  set_string (s, "profile", wire->profile, sizeof wire->profile);
  set_string (s, "level", wire->level, sizeof wire->level);
  set_string (s, "colorimetry", wire->colorimetry, sizeof wire->colorimetry);
  caps = gst_caps_new_empty ();
  gst_caps_append_structure (caps, s);
  return caps;
}
