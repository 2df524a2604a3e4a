/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-annexb.h"

#include <gst/base/gstbytereader.h>
#include <string.h>

#include "helix-nal.h"

/* H.264 allows 32 SPS and 256 PPS ids, encoders use one or two. More, or
 * larger ones, are refused rather than kept. */
#define MAX_SETS 16
#define MAX_SET_BYTES 1024

static const guint8 start_code[4] = {0, 0, 0, 1};

/* A set of kinds of NAL units. */
#define BIT(kind) (1u << (kind))
#define SETS (BIT (HELIX_NAL_VPS) | BIT (HELIX_NAL_SPS) | BIT (HELIX_NAL_PPS))
#define PICTURE (BIT (HELIX_NAL_SLICE) | BIT (HELIX_NAL_KEY))

typedef struct {
  HelixNalKind kind;
  gint id;
  guint size;
  guint8 data[MAX_SET_BYTES];
} Set;

typedef struct {
  HelixNalKind kind;
  HelixNal nal; /* in the mapped buffer */
} Entry;

struct _HelixAnnexb {
  gboolean h265;
  guint header;   /* bytes of a NAL unit's header */
  guint required; /* kinds of parameter sets that a decoder needs */
  guint prefix;   /* bytes of a length, 0 = start codes */
  guint n_sets;
  Set sets[MAX_SETS];
  guint known;     /* kinds in `sets` */
  GArray *entries; /* of Entry: the access unit at hand */
};

static gboolean
is_set (HelixNalKind kind)
{
  return (BIT (kind) & SETS) != 0;
}

static const gchar *
remember (HelixAnnexb *self, const HelixNal *nal)
{
  HelixNalKind kind = helix_nal_kind (nal, self->h265);
  gint id = helix_nal_parameter_id (nal, self->h265);
  Set *set = NULL;

  if (id < 0)
    return "a parameter set is too short for its id";
  if (nal->size > MAX_SET_BYTES)
    return "a parameter set is larger than 1024 bytes";
  for (guint i = 0; i < self->n_sets && set == NULL; i++)
    if (self->sets[i].kind == kind && self->sets[i].id == id)
      set = &self->sets[i];
  if (set == NULL) {
    if (self->n_sets == MAX_SETS)
      return "there are more than 16 parameter sets";
    set = &self->sets[self->n_sets++];
  }
  set->kind = kind;
  set->id = id;
  set->size = (guint) nal->size;
  memcpy (set->data, nal->data, nal->size);
  self->known |= BIT (kind);
  return NULL;
}

/* ---- codec_data ---- */

/* GStreamer's own function loads both bytes at once from an odd address, which
 * UndefinedBehaviorSanitizer reports. */
static gboolean
get_uint16_be (GstByteReader *reader, guint *value)
{
  const guint8 *bytes;

  if (!gst_byte_reader_get_data (reader, 2, &bytes))
    return FALSE;
  *value = (guint) bytes[0] << 8 | bytes[1];
  return TRUE;
}

/* `count` times a 16-bit length and a parameter set. */
static const gchar *
remember_list (HelixAnnexb *self, GstByteReader *reader, guint count)
{
  const gchar *why = NULL;
  guint size;
  HelixNal nal;

  for (guint i = 0; i < count && why == NULL; i++) {
    if (!get_uint16_be (reader, &size)
        || !gst_byte_reader_get_data (reader, size, &nal.data)
        || size < self->header)
      return "codec_data ends within a parameter set";
    nal.size = size;
    /* hvcC may carry SEI as well. */
    if (is_set (helix_nal_kind (&nal, self->h265)))
      why = remember (self, &nal);
  }
  return why;
}

/* AVCDecoderConfigurationRecord, ISO/IEC 14496-15:2019 5.3.3.1 */
static const gchar *
parse_avcc (HelixAnnexb *self, GstByteReader *reader)
{
  const guint8 *head;
  const gchar *why;
  guint8 count;

  if (gst_byte_reader_get_remaining (reader) < 7)
    return "codec_data is shorter than 7 bytes";
  head = gst_byte_reader_get_data_unchecked (reader, 6);
  if (head[0] != 1)
    return "codec_data is of an unknown version";
  self->prefix = (head[4] & 3) + 1;
  why = remember_list (self, reader, head[5] & 0x1f);
  if (why == NULL && !gst_byte_reader_get_uint8 (reader, &count))
    why = "codec_data ends before the PPS";
  return why != NULL ? why : remember_list (self, reader, count);
}

/* HEVCDecoderConfigurationRecord, ISO/IEC 14496-15:2019 8.3.3.1 */
static const gchar *
parse_hvcc (HelixAnnexb *self, GstByteReader *reader)
{
  const gchar *why = NULL;
  const guint8 *head;

  if (gst_byte_reader_get_remaining (reader) < 23)
    return "codec_data is shorter than 23 bytes";
  head = gst_byte_reader_get_data_unchecked (reader, 23);
  self->prefix = (head[21] & 3) + 1;
  for (guint arrays = head[22]; arrays > 0 && why == NULL; arrays--) {
    guint count;

    if (!gst_byte_reader_skip (reader, 1) || !get_uint16_be (reader, &count))
      return "codec_data ends within an array";
    why = remember_list (self, reader, count);
  }
  return why;
}

HelixAnnexb *
helix_annexb_new (const GstCaps *caps, const gchar **why)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  const GValue *value = gst_structure_get_value (s, "codec_data");
  g_autoptr (HelixAnnexb) self = g_new0 (HelixAnnexb, 1);
  GstBuffer *codec_data = NULL;
  GstByteReader reader;
  GstMapInfo map;

  self->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  self->h265 = gst_structure_has_name (s, "video/x-h265");
  self->header = self->h265 ? 2 : 1;
  self->required = self->h265 ? SETS : SETS & ~BIT (HELIX_NAL_VPS);
  if (g_strcmp0 (gst_structure_get_string (s, "stream-format"), "byte-stream")
      == 0)
    return g_steal_pointer (&self);

  if (value != NULL && GST_VALUE_HOLDS_BUFFER (value))
    codec_data = gst_value_get_buffer (value);
  if (codec_data == NULL || !gst_buffer_map (codec_data, &map, GST_MAP_READ)) {
    *why = "the caps have no codec_data, which tells the size of lengths";
    return NULL;
  }
  gst_byte_reader_init (&reader, map.data, (guint) map.size);
  *why = self->h265 ? parse_hvcc (self, &reader) : parse_avcc (self, &reader);
  gst_buffer_unmap (codec_data, &map);
  return *why == NULL ? g_steal_pointer (&self) : NULL;
}

void
helix_annexb_free (HelixAnnexb *self)
{
  g_array_unref (self->entries);
  g_free (self);
}

/* ---- access units ---- */

static gboolean
next (const HelixAnnexb *self, const guint8 **data, gsize *size, HelixNal *nal)
{
  return self->prefix == 0
      ? helix_nal_next_annexb (data, size, nal)
      : helix_nal_next_prefixed (data, size, self->prefix, nal);
}

/* Fills `entries`, remembers parameter sets, and sets the kinds that were
 * seen. Up to `until`, a set of kinds: of a byte-stream, what follows the
 * start of the picture cannot change what the unit is. */
static const gchar *
split (HelixAnnexb *self, const GstMapInfo *map, guint until, guint *seen)
{
  const guint8 *data = map->data;
  gsize size = map->size;
  const gchar *why;
  Entry entry;

  *seen = 0;
  g_array_set_size (self->entries, 0);
  while ((*seen & until) == 0 && next (self, &data, &size, &entry.nal)) {
    if (entry.nal.size == 0)
      continue;
    if (entry.nal.size < self->header)
      return "a NAL unit is shorter than its header";
    entry.kind = helix_nal_kind (&entry.nal, self->h265);
    why = is_set (entry.kind) ? remember (self, &entry.nal) : NULL;
    if (why != NULL)
      return why;
    *seen |= BIT (entry.kind);
    g_array_append_val (self->entries, entry);
  }
  if (*seen & until)
    return NULL;
  for (; self->prefix == 0 && size > 0 && *data == 0; size--)
    data++;
  if (size > 0)
    return self->prefix == 0 ? "the data does not begin with a start code"
                             : "a NAL unit is longer than the buffer";
  return self->entries->len > 0 ? NULL : "the buffer holds no NAL unit";
}

static guint8 *
put (guint8 *at, const guint8 *data, gsize size)
{
  memcpy (at, start_code, sizeof start_code);
  memcpy (at + sizeof start_code, data, size);
  return at + sizeof start_code + size;
}

/* In the order of kinds, which is the one that decoders want. */
static guint8 *
put_sets (const HelixAnnexb *self, guint8 *at)
{
  for (HelixNalKind kind = HELIX_NAL_VPS; kind <= HELIX_NAL_PPS; kind++)
    for (guint i = 0; i < self->n_sets; i++)
      if (self->sets[i].kind == kind)
        at = put (at, self->sets[i].data, self->sets[i].size);
  return at;
}

/* Writes `entries` as Annex B: AUD, then (if `insert`) all known sets and
 * without those in band, then the rest. NULL: no memory. */
static GstBuffer *
join (const HelixAnnexb *self, gboolean insert)
{
  const Entry *entries = (const Entry *) (gpointer) self->entries->data;
  gboolean inserted = !insert;
  gsize bytes = 0;
  GstBuffer *out;
  GstMapInfo map;
  guint8 *at;

  for (guint i = 0; i < self->entries->len; i++)
    if (!(insert && is_set (entries[i].kind)))
      bytes += sizeof start_code + entries[i].nal.size;
  for (guint i = 0; i < self->n_sets && insert; i++)
    bytes += sizeof start_code + self->sets[i].size;
  out = gst_buffer_new_allocate (NULL, bytes, NULL);
  if (out == NULL || !gst_buffer_map (out, &map, GST_MAP_WRITE)) {
    gst_clear_buffer (&out);
    return NULL;
  }
  at = map.data;
  for (guint i = 0; i < self->entries->len; i++) {
    if (insert && is_set (entries[i].kind))
      continue;
    if (!inserted && entries[i].kind != HELIX_NAL_AUD) {
      at = put_sets (self, at);
      inserted = TRUE;
    }
    at = put (at, entries[i].nal.data, entries[i].nal.size);
  }
  g_assert (at == map.data + bytes);
  gst_buffer_unmap (out, &map);
  return out;
}

HelixAnnexbResult
helix_annexb_convert (HelixAnnexb *self, GstBuffer *in, GstBuffer **out,
    gboolean *key, const gchar **why)
{
  HelixAnnexbResult result = HELIX_ANNEXB_BROKEN;
  gboolean insert;
  GstMapInfo map;
  guint seen;

  *out = NULL;
  *why = "the buffer cannot be mapped";
  if (!gst_buffer_map (in, &map, GST_MAP_READ))
    return HELIX_ANNEXB_BROKEN;
  *why = split (self, &map, self->prefix == 0 ? PICTURE : 0, &seen);
  if (*why != NULL)
    goto done;
  result = HELIX_ANNEXB_HEADERS;
  if ((seen & PICTURE) == 0)
    goto done;

  /* Intra refresh and open GOPs have no IDR but a recovery point; a stray
   * one on an ordinary unit is told apart by the encoder's own flag. */
  *key = (seen & BIT (HELIX_NAL_KEY)) != 0
      || (!GST_BUFFER_FLAG_IS_SET (in, GST_BUFFER_FLAG_DELTA_UNIT)
          && (seen & BIT (HELIX_NAL_RECOVERY)) != 0);
  insert = *key && (self->required & ~seen) != 0;
  result = HELIX_ANNEXB_ORPHAN;
  if (insert && (self->required & ~self->known) != 0)
    goto done;

  if (self->prefix == 0 && !insert) {
    *out = gst_buffer_ref (in);
  } else {
    if (self->prefix == 0)
      *why = split (self, &map, 0, &seen);
    if (*why == NULL)
      *out = join (self, insert);
    if (*why == NULL && *out == NULL)
      *why = "no memory for the converted unit";
  }
  result = *out != NULL ? HELIX_ANNEXB_OK : HELIX_ANNEXB_BROKEN;

done:
  gst_buffer_unmap (in, &map);
  return result;
}
