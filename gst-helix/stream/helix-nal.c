/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-nal.h"

#include <string.h>

#include <gst/base/gstbitreader.h>
#include <gst/base/gstbytereader.h>

/* Bytes of a parameter set that are looked at for its id: an H.265 SPS has
 * its own behind at most 2 + 1 + 12 + 2 + 6 * 11 bytes of other things. */
#define ID_WINDOW 96

#define SEI_RECOVERY_POINT 6 /* payloadType */

/* by nal_unit_type; an SEI may be another one */
static const guint8 kinds_h264[32] = {
    [1] = HELIX_NAL_SLICE,
    [2] = HELIX_NAL_SLICE,
    [3] = HELIX_NAL_SLICE,
    [4] = HELIX_NAL_SLICE,
    [5] = HELIX_NAL_KEY,
    [6] = HELIX_NAL_RECOVERY,
    [7] = HELIX_NAL_SPS,
    [8] = HELIX_NAL_PPS,
    [9] = HELIX_NAL_AUD,
};

/* by nal_unit_type; below 32 all are pictures */
static const guint8 kinds_h265[64] = {
    [32] = HELIX_NAL_VPS,
    [33] = HELIX_NAL_SPS,
    [34] = HELIX_NAL_PPS,
    [35] = HELIX_NAL_AUD,
    [39] = HELIX_NAL_RECOVERY,
};

/* payloadType and payloadSize: each 255 adds to what follows. */
static gboolean
get_sei_number (GstByteReader *sei, guint32 *number)
{
  guint8 byte;

  *number = 0;
  do {
    if (!gst_byte_reader_get_uint8 (sei, &byte))
      return FALSE;
    *number += byte;
  } while (byte == 255);
  return TRUE;
}

static gboolean
is_recovery_point (const HelixNal *nal, guint header)
{
  guint32 type, size;
  GstByteReader sei;

  if (nal->size <= header)
    return FALSE;
  gst_byte_reader_init (&sei, nal->data + header, (guint) (nal->size - header));
  while (get_sei_number (&sei, &type) && get_sei_number (&sei, &size)) {
    if (type == SEI_RECOVERY_POINT)
      return TRUE;
    if (!gst_byte_reader_skip (&sei, size))
      break;
  }
  return FALSE;
}

HelixNalKind
helix_nal_kind (const HelixNal *nal, gboolean h265)
{
  guint type = h265 ? nal->data[0] >> 1 & 0x3f : nal->data[0] & 0x1f;
  HelixNalKind kind = h265 ? kinds_h265[type] : kinds_h264[type];

  if (kind == HELIX_NAL_RECOVERY && !is_recovery_point (nal, h265 ? 2 : 1))
    return HELIX_NAL_OTHER;
  if (!h265 || type >= 32)
    return kind;
  /* 16 to 23 are the random access points, two of them reserved. */
  return type >= 16 && type <= 23 ? HELIX_NAL_KEY : HELIX_NAL_SLICE;
}

/* ---- parameter sets ---- */

/* The start of a NAL unit behind its header, without emulation prevention. */
static guint
unescape (const HelixNal *nal, gsize skip, guint8 bytes[ID_WINDOW])
{
  guint zeros = 0, n = 0;

  for (gsize i = skip; i < nal->size && n < ID_WINDOW; i++) {
    guint8 byte = nal->data[i];

    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    bytes[n++] = byte;
  }
  return n;
}

/* ue(v). Ids are below 256: anything longer than 16 zeros is nonsense. */
static gboolean
get_ue (GstBitReader *bits, guint32 *value)
{
  guint zeros = 0;
  guint8 bit = 0;

  while (bit == 0)
    if (!gst_bit_reader_get_bits_uint8 (bits, &bit, 1) || zeros++ > 16)
      return FALSE;
  zeros--;
  if (!gst_bit_reader_get_bits_uint32 (bits, value, zeros))
    return FALSE;
  *value += (1u << zeros) - 1;
  return TRUE;
}

/* H.265 7.3.2.2.1 up to the id: profile_tier_level (1, max_sub_layers) in
 * 7.3.3 is before it. */
static gboolean
skip_to_h265_sps_id (GstBitReader *bits)
{
  guint8 sub_layers = 0, present = 0;
  guint skip = 0;

  if (!gst_bit_reader_skip (bits, 4)
      || !gst_bit_reader_get_bits_uint8 (bits, &sub_layers, 3)
      || !gst_bit_reader_skip (bits, 1 + 88 + 8))
    return FALSE;
  for (guint i = 0; i < sub_layers; i++) {
    if (!gst_bit_reader_get_bits_uint8 (bits, &present, 2))
      return FALSE;
    skip += (present & 2 ? 88 : 0) + (present & 1 ? 8 : 0);
  }
  if (sub_layers > 0)
    skip += 2 * (8u - sub_layers);
  return gst_bit_reader_skip (bits, skip);
}

gint
helix_nal_parameter_id (const HelixNal *nal, gboolean h265)
{
  HelixNalKind kind = helix_nal_kind (nal, h265);
  guint8 bytes[ID_WINDOW];
  GstBitReader bits;
  guint32 id = 0;

  gst_bit_reader_init (&bits, bytes, unescape (nal, h265 ? 2 : 1, bytes));
  if (kind == HELIX_NAL_VPS)
    return gst_bit_reader_get_bits_uint32 (&bits, &id, 4) ? (gint) id : -1;
  if (kind != HELIX_NAL_SPS && kind != HELIX_NAL_PPS)
    return -1;
  if (kind == HELIX_NAL_SPS
      && !(
          h265 ? skip_to_h265_sps_id (&bits) : gst_bit_reader_skip (&bits, 24)))
    return -1;
  return get_ue (&bits, &id) ? (gint) id : -1;
}

/* ---- where NAL units end ---- */

/* The offset of the first 00 00 01, or `size`. */
static gsize
find_start_code (const guint8 *data, gsize size)
{
  const guint8 *end = data + size, *one;

  if (size < 3)
    return size;
  one = data + 2;
  /* memchr () is quick: the third byte is looked for first. */
  while ((one = memchr (one, 1, (gsize) (end - one))) != NULL) {
    if (one[-1] == 0 && one[-2] == 0)
      return (gsize) (one - 2 - data);
    one++;
  }
  return size;
}

gboolean
helix_nal_next_annexb (const guint8 **data, gsize *size, HelixNal *nal)
{
  gsize zeros = 0, end;

  /* Only zeros may stand before a start code. */
  while (zeros < *size && (*data)[zeros] == 0)
    zeros++;
  if (zeros < 2 || zeros == *size || (*data)[zeros] != 1)
    return FALSE;
  *data += zeros + 1;
  *size -= zeros + 1;

  end = find_start_code (*data, *size);
  nal->data = *data;
  nal->size = end;
  *data += end;
  *size -= end;
  /* trailing_zero_8bits, and the first zero of a four-byte start code. */
  while (nal->size > 0 && nal->data[nal->size - 1] == 0)
    nal->size--;
  return nal->size > 0;
}

gboolean
helix_nal_next_prefixed (
    const guint8 **data, gsize *size, guint prefix, HelixNal *nal)
{
  gsize length = 0;

  if (*size < prefix || *size == 0)
    return FALSE;
  for (guint i = 0; i < prefix; i++)
    length = length << 8 | (*data)[i];
  if (length > *size - prefix)
    return FALSE;
  nal->data = *data + prefix;
  nal->size = length;
  *data += prefix + length;
  *size -= prefix + length;
  return TRUE;
}
