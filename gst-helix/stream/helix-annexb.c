/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-annexb.h"

#include <string.h>

#include "helix-nal.h"

/* H.264 allows 32 SPS and 256 PPS ids, encoders use one or two. More, or
 * larger ones, are refused rather than kept. */
#define MAX_SETS 16
#define MAX_SET_BYTES 1024

static const guint8 start_code[4] = {0, 0, 0, 1};

typedef struct {
  HelixNalKind kind;
  gint id;
  guint size;
  guint8 data[MAX_SET_BYTES];
} Set;

struct _HelixAnnexb {
  gboolean h265;
  guint prefix; /* bytes of a length, 0 = start codes */
  guint n_sets;
  Set sets[MAX_SETS];
};

/* What one pass over an access unit found. */
typedef struct {
  gsize bytes; /* of all NAL units with 4-byte start codes */
  guint n_nals;
  guint aud;  /* bytes of a leading AUD, start code included */
  gsize sets; /* bytes of parameter sets, start codes included */
  gboolean picture, key, recovery;
  gboolean vps, sps, pps; /* in band */
} Survey;

static gboolean
is_set (HelixNalKind kind)
{
  return kind == HELIX_NAL_VPS || kind == HELIX_NAL_SPS
      || kind == HELIX_NAL_PPS;
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
  return NULL;
}

static gboolean
have (const HelixAnnexb *self, HelixNalKind kind)
{
  for (guint i = 0; i < self->n_sets; i++)
    if (self->sets[i].kind == kind)
      return TRUE;
  return FALSE;
}

/* ---- codec_data ---- */

/* `count` times a 16-bit length and a parameter set. */
static const gchar *
remember_list (HelixAnnexb *self, const guint8 **data, gsize *size, guint count)
{
  const gchar *why = NULL;
  HelixNal nal;

  for (guint i = 0; i < count && why == NULL; i++) {
    if (!helix_nal_next_prefixed (data, size, 2, &nal)
        || nal.size < (self->h265 ? 2 : 1))
      return "codec_data ends within a parameter set";
    /* hvcC may carry SEI as well. */
    if (is_set (helix_nal_kind (&nal, self->h265)))
      why = remember (self, &nal);
  }
  return why;
}

/* AVCDecoderConfigurationRecord, ISO/IEC 14496-15:2019 5.3.3.1 */
static const gchar *
parse_avcc (HelixAnnexb *self, const guint8 *data, gsize size)
{
  const gchar *why;
  guint count;

  if (size < 7)
    return "codec_data is shorter than 7 bytes";
  if (data[0] != 1)
    return "codec_data is of an unknown version";
  self->prefix = (data[4] & 3) + 1;
  count = data[5] & 0x1f;
  data += 6;
  size -= 6;
  why = remember_list (self, &data, &size, count);
  if (why != NULL)
    return why;
  if (size < 1)
    return "codec_data ends before the PPS";
  count = data[0];
  data++;
  size--;
  return remember_list (self, &data, &size, count);
}

/* HEVCDecoderConfigurationRecord, ISO/IEC 14496-15:2019 8.3.3.1 */
static const gchar *
parse_hvcc (HelixAnnexb *self, const guint8 *data, gsize size)
{
  const gchar *why = NULL;
  guint arrays;

  if (size < 23)
    return "codec_data is shorter than 23 bytes";
  self->prefix = (data[21] & 3) + 1;
  arrays = data[22];
  data += 23;
  size -= 23;
  for (; arrays > 0 && why == NULL; arrays--) {
    guint count;

    if (size < 3)
      return "codec_data ends within an array";
    count = (guint) data[1] << 8 | data[2];
    data += 3;
    size -= 3;
    why = remember_list (self, &data, &size, count);
  }
  return why;
}

HelixAnnexb *
helix_annexb_new (const GstCaps *caps, const gchar **why)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  const gchar *format = gst_structure_get_string (s, "stream-format");
  g_autoptr (HelixAnnexb) self = g_new0 (HelixAnnexb, 1);
  const GValue *value = gst_structure_get_value (s, "codec_data");
  GstBuffer *codec_data = NULL;
  GstMapInfo map;

  self->h265 = gst_structure_has_name (s, "video/x-h265");
  if (g_strcmp0 (format, "byte-stream") == 0)
    return g_steal_pointer (&self);

  if (value != NULL && GST_VALUE_HOLDS_BUFFER (value))
    codec_data = gst_value_get_buffer (value);
  if (codec_data == NULL || !gst_buffer_map (codec_data, &map, GST_MAP_READ)) {
    *why = "the caps have no codec_data, which tells the size of lengths";
    return NULL;
  }
  *why = self->h265 ? parse_hvcc (self, map.data, map.size)
                    : parse_avcc (self, map.data, map.size);
  gst_buffer_unmap (codec_data, &map);
  return *why == NULL ? g_steal_pointer (&self) : NULL;
}

void
helix_annexb_free (HelixAnnexb *self)
{
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

static void
note (Survey *survey, HelixNalKind kind, const HelixNal *nal, gboolean h265)
{
  gsize bytes = sizeof start_code + nal->size;

  switch (kind) {
    case HELIX_NAL_AUD:
      if (survey->n_nals == 0)
        survey->aud = (guint) bytes;
      break;
    case HELIX_NAL_VPS:
      survey->vps = TRUE;
      survey->sets += bytes;
      break;
    case HELIX_NAL_SPS:
      survey->sps = TRUE;
      survey->sets += bytes;
      break;
    case HELIX_NAL_PPS:
      survey->pps = TRUE;
      survey->sets += bytes;
      break;
    case HELIX_NAL_KEY:
      survey->key = survey->picture = TRUE;
      break;
    case HELIX_NAL_SLICE:
      survey->picture = TRUE;
      break;
    case HELIX_NAL_SEI:
      if (helix_nal_is_recovery_point (nal, h265))
        survey->recovery = TRUE;
      break;
    case HELIX_NAL_OTHER:
      break;
  }
  survey->bytes += bytes;
  survey->n_nals++;
}

/* Looks at each NAL unit up to the first of the picture's own: what follows
 * that cannot change what the unit is, only how large (when converting). */
static const gchar *
look (HelixAnnexb *self, const guint8 *data, gsize size, Survey *survey)
{
  const gchar *why;
  HelixNal nal;

  while (next (self, &data, &size, &nal)) {
    HelixNalKind kind;

    if (nal.size == 0)
      continue;
    if (nal.size < (self->h265 ? 2 : 1))
      return "a NAL unit is shorter than its header";
    kind = helix_nal_kind (&nal, self->h265);
    if (is_set (kind)) {
      why = remember (self, &nal);
      if (why != NULL)
        return why;
    }
    note (survey, kind, &nal, self->h265);
    if (self->prefix == 0 && survey->picture)
      return NULL;
  }
  for (; self->prefix == 0 && size > 0 && *data == 0; size--)
    data++;
  if (size > 0)
    return self->prefix == 0 ? "the data does not begin with a start code"
                             : "a NAL unit is longer than the buffer";
  return survey->n_nals > 0 ? NULL : "the buffer holds no NAL unit";
}

static guint8 *
put (guint8 *at, const guint8 *data, gsize size)
{
  memcpy (at, start_code, sizeof start_code);
  memcpy (at + sizeof start_code, data, size);
  return at + sizeof start_code + size;
}

static guint8 *
put_sets (const HelixAnnexb *self, guint8 *at)
{
  static const HelixNalKind order[] = {
      HELIX_NAL_VPS, HELIX_NAL_SPS, HELIX_NAL_PPS};

  for (guint k = 0; k < G_N_ELEMENTS (order); k++)
    for (guint i = 0; i < self->n_sets; i++)
      if (self->sets[i].kind == order[k])
        at = put (at, self->sets[i].data, self->sets[i].size);
  return at;
}

/* Writes the unit anew: AUD, then (if `insert`) all known sets in the order
 * in which decoders want them and without those in band, then the rest. */
static GstBuffer *
rewrite (const HelixAnnexb *self, const guint8 *data, gsize size,
    const Survey *survey, gboolean insert)
{
  gsize bytes = survey->bytes;
  gboolean inserted = !insert;
  GstBuffer *out;
  GstMapInfo map;
  HelixNal nal;
  guint8 *at;

  if (insert) {
    bytes -= survey->sets;
    for (guint i = 0; i < self->n_sets; i++)
      bytes += sizeof start_code + self->sets[i].size;
  }
  out = gst_buffer_new_allocate (NULL, bytes, NULL);
  if (out == NULL || !gst_buffer_map (out, &map, GST_MAP_WRITE)) {
    gst_clear_buffer (&out);
    return NULL;
  }
  at = map.data;
  while (next (self, &data, &size, &nal)) {
    HelixNalKind kind;

    if (nal.size == 0)
      continue;
    kind = helix_nal_kind (&nal, self->h265);
    if (insert && is_set (kind))
      continue;
    if (!inserted && kind != HELIX_NAL_AUD) {
      at = put_sets (self, at);
      inserted = TRUE;
    }
    at = put (at, nal.data, nal.size);
  }
  gst_buffer_unmap (out, &map);
  g_assert (at == map.data + bytes);
  return out;
}

/* Byte-stream: the survey stopped at the picture, so look at the rest first. */
static GstBuffer *
splice (const HelixAnnexb *self, const guint8 *data, gsize size)
{
  Survey whole = {0};
  const guint8 *d = data;
  gsize n = size;
  HelixNal nal;

  while (next (self, &d, &n, &nal))
    note (&whole, helix_nal_kind (&nal, self->h265), &nal, self->h265);
  return rewrite (self, data, size, &whole, TRUE);
}

HelixAnnexbResult
helix_annexb_convert (HelixAnnexb *self, GstBuffer *in, GstBuffer **out,
    gboolean *key, const gchar **why)
{
  HelixAnnexbResult result = HELIX_ANNEXB_OK;
  Survey survey = {0};
  gboolean complete;
  GstMapInfo map;

  *out = NULL;
  *why = "the buffer cannot be mapped";
  if (!gst_buffer_map (in, &map, GST_MAP_READ))
    return HELIX_ANNEXB_BROKEN;
  *why = look (self, map.data, map.size, &survey);
  if (*why != NULL) {
    result = HELIX_ANNEXB_BROKEN;
    goto done;
  }
  if (!survey.picture) {
    result = HELIX_ANNEXB_HEADERS;
    goto done;
  }

  /* Intra refresh and open GOPs have no IDR but a recovery point; a stray
   * one on an ordinary unit is told apart by the encoder's own flag. */
  *key = survey.key
      || (survey.recovery
          && !GST_BUFFER_FLAG_IS_SET (in, GST_BUFFER_FLAG_DELTA_UNIT));
  complete = survey.sps && survey.pps && (survey.vps || !self->h265);
  if (*key && !complete
      && !(have (self, HELIX_NAL_SPS) && have (self, HELIX_NAL_PPS)
          && (have (self, HELIX_NAL_VPS) || !self->h265))) {
    result = HELIX_ANNEXB_ORPHAN;
    goto done;
  }

  if (self->prefix > 0)
    *out = rewrite (self, map.data, map.size, &survey, *key && !complete);
  else if (*key && !complete)
    *out = splice (self, map.data, map.size);
  else
    *out = gst_buffer_ref (in);
  if (*out == NULL) {
    *why = "no memory for the converted unit";
    result = HELIX_ANNEXB_BROKEN;
  }

done:
  gst_buffer_unmap (in, &map);
  return result;
}
