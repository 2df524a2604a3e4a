/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decode-any.h"

#include <string.h>

bool
decode_any (struct decode_any *any, const struct helix_header *header,
    const uint8_t *payload, size_t size, const char **why)
{
  union decode_any_struct *as = &any->as;
  uint32_t total = header->size;

  any->type = header->type;
  switch (header->type) {
#define UNPACK(TYPE, name) \
  case HELIX_##TYPE: \
    return helix_unpack_##name (&as->name, payload, size, why);
#define UNPACK_TEXT(TYPE, name, most) \
  case HELIX_##TYPE: \
    return helix_unpack_##name (&as->name, any->text, payload, size, why);
    HELIX_PLAIN_MESSAGES (UNPACK)
    HELIX_PLAIN_0_MESSAGES (UNPACK)
    HELIX_TEXT_MESSAGES (UNPACK_TEXT)
    UNPACK (CAPS, caps)
    UNPACK_TEXT (ERROR, error, )
    UNPACK_TEXT (BYE, bye, )
    case HELIX_WELCOME:
      return helix_unpack_welcome (
          &as->welcome, any->text, any->challenge, payload, size, why);
    case HELIX_CURSOR:
      return helix_unpack_cursor (&as->cursor, payload, size, total, why);
    case HELIX_FRAME:
      return helix_unpack_frame (&as->frame, any->rects, payload, size, why);
    case HELIX_UNIT:
      return helix_unpack_unit (&as->unit, payload, size, total, why);
    default:
      return true;
  }
}

size_t
decode_any_pack (
    uint8_t *dst, const struct decode_any *any, const struct helix_header *h)
{
  const union decode_any_struct *as = &any->as;

  if (h->size == 0)
    return helix_pack_empty (dst, (enum helix_type) any->type, h->channel);
  switch (any->type) {
#define PACK(TYPE, name) \
  case HELIX_##TYPE: \
    return helix_pack_##name (dst, h->channel, &as->name);
#define PACK_0(TYPE, name) \
  case HELIX_##TYPE: \
    return helix_pack_##name (dst, &as->name);
#define PACK_TEXT(TYPE, name, most) \
  case HELIX_##TYPE: \
    return helix_pack_##name (dst, &as->name, any->text);
    HELIX_PLAIN_MESSAGES (PACK)
    HELIX_PLAIN_0_MESSAGES (PACK_0)
    HELIX_TEXT_MESSAGES (PACK_TEXT)
    PACK_0 (CAPS, caps)
    case HELIX_WELCOME:
      return helix_pack_welcome (dst, &as->welcome, any->text,
          as->welcome.features & HELIX_FEATURE_PROOF ? any->challenge : NULL);
    case HELIX_BYE:
      return helix_pack_bye (dst, as->bye.reason, any->text);
    case HELIX_ERROR:
      return helix_pack_error (dst, h->channel,
          (enum helix_error_code) as->error.code, as->error.refers, any->text);
    case HELIX_CURSOR:
      return helix_pack_cursor (
          dst, h->channel, &as->cursor, h->size - (uint32_t) sizeof as->cursor);
    case HELIX_FRAME:
      return helix_pack_frame (dst, h->channel, &as->frame, any->rects);
    case HELIX_UNIT:
      return helix_pack_unit (
          dst, &as->unit, h->size - (uint32_t) sizeof as->unit);
    default:
      return helix_pack_empty (dst, (enum helix_type) any->type, h->channel);
  }
}
