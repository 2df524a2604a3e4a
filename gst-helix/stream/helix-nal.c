/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-nal.h"

#include <string.h>

/* Bytes of a parameter set that are looked at for its id: an H.265 SPS has
 * its own behind at most 2 + 1 + 12 + 2 + 6 * 11 bytes of other things. */
#define ID_WINDOW 96

typedef struct {
  guint8 bytes[ID_WINDOW]; /* without emulation prevention */
  guint bits, at;
  gboolean overrun;
} Bits;

static void
bits_init (Bits *bits, const HelixNal *nal, gsize skip)
{
  guint zeros = 0, n = 0;

  for (gsize i = skip; i < nal->size && n < ID_WINDOW; i++) {
    guint8 byte = nal->data[i];

    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    bits->bytes[n++] = byte;
  }
  bits->bits = n * 8;
  bits->at = 0;
  bits->overrun = FALSE;
}

static guint
bits_get (Bits *bits, guint count)
{
  guint value = 0;

  for (; count > 0; count--, bits->at++) {
    if (bits->at >= bits->bits) {
      bits->overrun = TRUE;
      return 0;
    }
    value =
        value << 1 | ((bits->bytes[bits->at / 8] >> (7 - bits->at % 8)) & 1);
  }
  return value;
}

static void
bits_skip (Bits *bits, guint count)
{
  bits->at += count;
}

/* ue(v). Ids are below 256: anything longer than 16 zeros is nonsense. */
static guint
bits_get_ue (Bits *bits)
{
  guint zeros = 0;

  while (zeros <= 16 && !bits->overrun && bits_get (bits, 1) == 0)
    zeros++;
  if (zeros > 16 || bits->overrun) {
    bits->overrun = TRUE;
    return 0;
  }
  return (1u << zeros) - 1 + bits_get (bits, zeros);
}

static HelixNalKind
kind_h264 (guint type)
{
  switch (type) {
    case 5:
      return HELIX_NAL_KEY;
    case 1:
    case 2:
    case 3:
    case 4:
      return HELIX_NAL_SLICE;
    case 6:
      return HELIX_NAL_SEI;
    case 7:
      return HELIX_NAL_SPS;
    case 8:
      return HELIX_NAL_PPS;
    case 9:
      return HELIX_NAL_AUD;
    default:
      return HELIX_NAL_OTHER;
  }
}

static HelixNalKind
kind_h265 (guint type)
{
  /* 16 to 23 are the random access points, two of them reserved. */
  if (type >= 16 && type <= 23)
    return HELIX_NAL_KEY;
  if (type <= 31)
    return HELIX_NAL_SLICE;
  switch (type) {
    case 32:
      return HELIX_NAL_VPS;
    case 33:
      return HELIX_NAL_SPS;
    case 34:
      return HELIX_NAL_PPS;
    case 35:
      return HELIX_NAL_AUD;
    case 39:
      return HELIX_NAL_SEI;
    default:
      return HELIX_NAL_OTHER;
  }
}

HelixNalKind
helix_nal_kind (const HelixNal *nal, gboolean h265)
{
  return h265 ? kind_h265 (nal->data[0] >> 1 & 0x3f)
              : kind_h264 (nal->data[0] & 0x1f);
}

/* H.265 7.3.3, profile_tier_level (1, max_sub_layers_minus1) */
static void
skip_profile_tier_level (Bits *bits, guint max_sub_layers_minus1)
{
  guint profile[8] = {0}, level[8] = {0};

  bits_skip (bits, 88 + 8);
  for (guint i = 0; i < max_sub_layers_minus1; i++) {
    profile[i] = bits_get (bits, 1);
    level[i] = bits_get (bits, 1);
  }
  if (max_sub_layers_minus1 > 0)
    bits_skip (bits, 2 * (8 - max_sub_layers_minus1));
  for (guint i = 0; i < max_sub_layers_minus1; i++)
    bits_skip (bits, profile[i] * 88 + level[i] * 8);
}

gint
helix_nal_parameter_id (const HelixNal *nal, gboolean h265)
{
  Bits bits;
  guint id = 0;

  bits_init (&bits, nal, h265 ? 2 : 1);
  switch (helix_nal_kind (nal, h265)) {
    case HELIX_NAL_VPS:
      id = bits_get (&bits, 4);
      break;
    case HELIX_NAL_SPS:
      if (h265) {
        bits_skip (&bits, 4);
        guint sub_layers = bits_get (&bits, 3);
        bits_skip (&bits, 1);
        skip_profile_tier_level (&bits, sub_layers);
      } else {
        bits_skip (&bits, 24);
      }
      id = bits_get_ue (&bits);
      break;
    case HELIX_NAL_PPS:
      id = bits_get_ue (&bits);
      break;
    default:
      return -1;
  }
  return bits.overrun ? -1 : (gint) id;
}

gboolean
helix_nal_is_recovery_point (const HelixNal *nal, gboolean h265)
{
  gsize at = h265 ? 2 : 1;

  /* sei_message: type and size, 255 continues either. */
  while (at + 1 < nal->size && nal->data[at] != 0x80) {
    gsize type = 0, size = 0;

    for (; at < nal->size && nal->data[at] == 0xff; at++)
      type += 255;
    if (at == nal->size)
      return FALSE;
    type += nal->data[at++];
    for (; at < nal->size && nal->data[at] == 0xff; at++)
      size += 255;
    if (at == nal->size)
      return FALSE;
    size += nal->data[at++];
    if (type == 6)
      return TRUE;
    if (size > nal->size - at)
      return FALSE;
    at += size;
  }
  return FALSE;
}

/* The offset of the first 00 00 01, or `size`. */
static gsize
find_start_code (const guint8 *data, gsize size)
{
  gsize i = 0;

  while (size >= 3 && i <= size - 3) {
    /* Look at the third byte first: three positions go at once. */
    if (data[i + 2] > 1)
      i += 3;
    else if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1)
      return i;
    else
      i++;
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
