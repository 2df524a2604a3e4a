/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs to bytes, and the names of things. See helix-pack.h.
 */
#include "helix-pack.h"

#include <string.h>

#include "helix-layout.h"

static uint8_t *
put (uint8_t *dst, const void *from, const char *layout)
{
  const uint8_t *src = from;

  for (; *layout; layout++) {
    unsigned i, width = (unsigned) (*layout - '0');
    uint64_t value = 0;

    if (width == 2) {
      uint16_t v;
      memcpy (&v, src, sizeof v);
      value = v;
    } else if (width == 4) {
      uint32_t v;
      memcpy (&v, src, sizeof v);
      value = v;
    } else {
      memcpy (&value, src, sizeof value);
    }
    for (i = 0; i < width; i++)
      *dst++ = (uint8_t) (value >> (8 * i));
    src += width;
  }
  return dst;
}

/* Bytes of `text` to send: at most `max`, no character cut in two. */
static size_t
text_size (const char *text, size_t max)
{
  size_t size = 0;

  if (!text)
    return 0;
  while (size <= max && text[size])
    size++;
  if (size <= max)
    return size;
  for (size = max; size > 0 && ((uint8_t) text[size] & 0xC0) == 0x80; size--)
    ;
  return size;
}

static uint8_t *
put_bytes (uint8_t *dst, const void *bytes, size_t size)
{
  if (size)
    memcpy (dst, bytes, size);
  return dst + size;
}

/* A string field: NUL-padded, its last byte NUL. */
static uint8_t *
put_field (uint8_t *dst, const char *field, size_t room)
{
  size_t size = 0;

  while (size + 1 < room && field[size])
    size++;
  memcpy (dst, field, size);
  memset (dst + size, 0, room - size);
  return dst + room;
}

/* Writes the header in front of a payload that ends at `end` and that `bulk`
 * bytes will follow. Returns the bytes written. */
static size_t
finish (uint8_t *dst, uint32_t type, uint16_t channel, const uint8_t *end,
    uint32_t bulk)
{
  struct helix_header header;
  size_t size = (size_t) (end - dst);

  header.magic = HELIX_MAGIC;
  header.type = (uint8_t) type;
  header.flags = 0;
  header.channel = channel;
  header.size = (uint32_t) (size - HELIX_HEADER_SIZE) + bulk;
  helix_pack_header (dst, &header);
  return size;
}

/* A message that is its struct and nothing else. */
static size_t
whole (uint8_t *dst, uint32_t type, uint16_t channel, const void *from,
    const char *layout)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, from, layout);

  return finish (dst, type, channel, end, 0);
}

void
helix_pack_header (
    uint8_t dst[HELIX_HEADER_SIZE], const struct helix_header *header)
{
  dst = put (dst, &header->magic, "4");
  *dst++ = header->type;
  *dst++ = header->flags;
  dst = put (dst, &header->channel, "2");
  put (dst, &header->size, "4");
}

size_t
helix_pack_empty (uint8_t *dst, enum helix_type type, uint16_t channel)
{
  return finish (dst, type, channel, dst + HELIX_HEADER_SIZE, 0);
}

size_t
helix_pack_ping (uint8_t *dst, const struct helix_ping *ping)
{
  return whole (dst, HELIX_PING, 0, ping, LAYOUT_PING);
}

size_t
helix_pack_pong (uint8_t *dst, uint16_t channel, const struct helix_pong *pong)
{
  return whole (dst, HELIX_PONG, channel, pong, LAYOUT_PONG);
}

size_t
helix_pack_pong_for (uint8_t *dst, const struct helix_header *header,
    const uint8_t *payload, uint64_t received_ns, uint64_t sent_ns)
{
  struct helix_pong pong;
  struct helix_ping ping;
  const char *why;

  if (header->size == 0
      || !helix_unpack_ping (&ping, payload, header->size, &why))
    return helix_pack_empty (dst, HELIX_PONG, header->channel);
  pong.ping_ns = ping.sent_ns;
  pong.received_ns = received_ns;
  pong.sent_ns = sent_ns;
  return helix_pack_pong (dst, header->channel, &pong);
}

size_t
helix_pack_hello (
    uint8_t *dst, const struct helix_hello *hello, const char *name)
{
  struct helix_hello copy = *hello;
  uint8_t *end;

  copy.token_size = 0;
  copy.name_size = (uint16_t) text_size (name, HELIX_MAX_NAME);
  copy.reserved = 0;
  end = put (dst + HELIX_HEADER_SIZE, &copy, LAYOUT_HELLO);
  end = put_bytes (end, name, copy.name_size);
  return finish (dst, HELIX_HELLO, 0, end, 0);
}

size_t
helix_pack_welcome (uint8_t *dst, const struct helix_welcome *welcome,
    const char *name, const uint8_t challenge[HELIX_CHALLENGE_SIZE])
{
  struct helix_welcome copy = *welcome;
  uint8_t *end;

  copy.features &= ~(uint32_t) HELIX_FEATURE_PROOF;
  if (challenge)
    copy.features |= HELIX_FEATURE_PROOF;
  copy.name_size = (uint16_t) text_size (name, HELIX_MAX_NAME);
  copy.reserved0 = 0;
  copy.reserved1 = 0;
  end = put (dst + HELIX_HEADER_SIZE, &copy, LAYOUT_WELCOME);
  end = put_bytes (end, name, copy.name_size);
  if (challenge)
    end = put_bytes (end, challenge, HELIX_CHALLENGE_SIZE);
  return finish (dst, HELIX_WELCOME, 0, end, 0);
}

void
helix_pack_proof_input (uint8_t dst[HELIX_PROOF_INPUT_SIZE], const char *who,
    uint64_t nonce, const uint8_t challenge[HELIX_CHALLENGE_SIZE])
{
  dst = put_bytes (dst, who, sizeof HELIX_PROOF_CLIENT - 1);
  dst = put (dst, &nonce, "8");
  put_bytes (dst, challenge, HELIX_CHALLENGE_SIZE);
}

size_t
helix_pack_proof (uint8_t *dst, const struct helix_proof *proof)
{
  uint8_t *end =
      put_bytes (dst + HELIX_HEADER_SIZE, proof->hmac, HELIX_PROOF_SIZE);

  return finish (dst, HELIX_PROOF, 0, end, 0);
}

size_t
helix_pack_error (uint8_t *dst, uint16_t channel, enum helix_error_code code,
    uint32_t refers, const char *text)
{
  struct helix_error error;
  uint8_t *end;

  error.code = (uint32_t) code;
  error.refers = refers;
  end = put (dst + HELIX_HEADER_SIZE, &error, LAYOUT_ERROR);
  end = put_bytes (end, text, text_size (text, HELIX_MAX_TEXT));
  return finish (dst, HELIX_ERROR, channel, end, 0);
}

size_t
helix_pack_unsupported (
    uint8_t *dst, const struct helix_header *header, uint32_t told[8])
{
  uint32_t bit = 1u << header->type % 32;

  if (told[header->type / 32] & bit)
    return 0;
  told[header->type / 32] |= bit;
  return helix_pack_error (dst, header->channel, HELIX_ERROR_UNSUPPORTED,
      header->type, "this end does not know messages of that type");
}

size_t
helix_pack_bye (uint8_t *dst, uint32_t reason, const char *text)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, &reason, LAYOUT_BYE);

  end = put_bytes (end, text, text_size (text, HELIX_MAX_TEXT));
  return finish (dst, HELIX_BYE, 0, end, 0);
}

size_t
helix_pack_status (
    uint8_t *dst, const struct helix_status *status, const char *text)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, status, LAYOUT_STATUS);

  end = put_bytes (end, text, text_size (text, HELIX_MAX_TEXT));
  return finish (dst, HELIX_STATUS, 0, end, 0);
}

size_t
helix_pack_client (
    uint8_t *dst, const struct helix_client *client, const char *name)
{
  struct helix_client copy = *client;
  uint8_t *end;

  copy.name_size = (uint16_t) text_size (name, HELIX_MAX_NAME);
  copy.reserved0 = 0;
  copy.reserved1 = 0;
  end = put (dst + HELIX_HEADER_SIZE, &copy, LAYOUT_CLIENT);
  end = put_bytes (end, name, copy.name_size);
  return finish (dst, HELIX_CLIENT, 0, end, 0);
}

size_t
helix_pack_cursor (uint8_t *dst, uint16_t channel,
    const struct helix_cursor *cursor, uint32_t bulk)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, cursor, LAYOUT_CURSOR);

  return finish (dst, HELIX_CURSOR, channel, end, bulk);
}

size_t
helix_pack_show (uint8_t *dst, uint16_t channel, const struct helix_show *show)
{
  return whole (dst, HELIX_SHOW, channel, show, LAYOUT_SHOW);
}

size_t
helix_pack_set_scanout (uint8_t *dst, const struct helix_set_scanout *set)
{
  return whole (dst, HELIX_SET_SCANOUT, 0, set, LAYOUT_SET_SCANOUT);
}

size_t
helix_pack_subscribe (
    uint8_t *dst, uint16_t channel, const struct helix_subscribe *subscribe)
{
  return whole (dst, HELIX_SUBSCRIBE, channel, subscribe, LAYOUT_SUBSCRIBE);
}

size_t
helix_pack_scanout (
    uint8_t *dst, uint16_t channel, const struct helix_scanout *scanout)
{
  return whole (dst, HELIX_SCANOUT, channel, scanout, LAYOUT_SCANOUT);
}

size_t
helix_pack_pool (uint8_t *dst, uint16_t channel, const struct helix_pool *pool)
{
  return whole (dst, HELIX_POOL, channel, pool, LAYOUT_POOL);
}

size_t
helix_pack_frame (uint8_t *dst, uint16_t channel,
    const struct helix_frame *frame, const struct helix_rect *rects)
{
  struct helix_frame copy = *frame;
  uint8_t *end;
  uint32_t i;

  if (!rects || copy.rects > HELIX_MAX_RECTS)
    copy.rects = 0; /* everything changed: never wrong */
  end = put (dst + HELIX_HEADER_SIZE, &copy, LAYOUT_FRAME);
  for (i = 0; i < copy.rects; i++)
    end = put (end, &rects[i], LAYOUT_RECT);
  return finish (dst, HELIX_FRAME, channel, end, 0);
}

size_t
helix_pack_release (
    uint8_t *dst, uint16_t channel, const struct helix_release *release)
{
  return whole (dst, HELIX_RELEASE, channel, release, LAYOUT_RELEASE);
}

size_t
helix_pack_caps (uint8_t *dst, const struct helix_caps *caps)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, caps, LAYOUT_CAPS);

  end = put_field (end, caps->profile, sizeof caps->profile);
  end = put_field (end, caps->level, sizeof caps->level);
  end = put_field (end, caps->colorimetry, sizeof caps->colorimetry);
  return finish (dst, HELIX_CAPS, 0, end, 0);
}

size_t
helix_pack_unit (uint8_t *dst, const struct helix_unit *unit, uint32_t bulk)
{
  uint8_t *end = put (dst + HELIX_HEADER_SIZE, unit, LAYOUT_UNIT);

  return finish (dst, HELIX_UNIT, 0, end, bulk);
}

size_t
helix_pack_keyframe (uint8_t *dst, const struct helix_keyframe *keyframe)
{
  return whole (dst, HELIX_KEYFRAME, 0, keyframe, LAYOUT_KEYFRAME);
}

size_t
helix_pack_config (uint8_t *dst, const struct helix_config *config)
{
  return whole (dst, HELIX_CONFIG, 0, config, LAYOUT_CONFIG);
}

size_t
helix_pack_stats (uint8_t *dst, const struct helix_stats *stats)
{
  return whole (dst, HELIX_STATS, 0, stats, LAYOUT_STATS);
}

/* ---- names ---- */

/* In the order of the types, NULL where there is none. */
static const char *
type_name (uint32_t type)
{
  static const struct {
    uint32_t type;
    const char *name;
  } names[] = {
      {HELIX_PING, "PING"},
      {HELIX_PONG, "PONG"},
      {HELIX_HELLO, "HELLO"},
      {HELIX_WELCOME, "WELCOME"},
      {HELIX_BYE, "BYE"},
      {HELIX_LIST, "LIST"},
      {HELIX_STATUS, "STATUS"},
      {HELIX_CLIENT, "CLIENT"},
      {HELIX_PROOF, "PROOF"},
      {HELIX_ERROR, "ERROR"},
      {HELIX_SUBSCRIBE, "SUBSCRIBE"},
      {HELIX_UNSUBSCRIBE, "UNSUBSCRIBE"},
      {HELIX_SCANOUT, "SCANOUT"},
      {HELIX_POOL, "POOL"},
      {HELIX_FRAME, "FRAME"},
      {HELIX_RELEASE, "RELEASE"},
      {HELIX_CURSOR, "CURSOR"},
      {HELIX_SET_SCANOUT, "SET_SCANOUT"},
      {HELIX_SHOW, "SHOW"},
      {HELIX_CAPS, "CAPS"},
      {HELIX_UNIT, "UNIT"},
      {HELIX_KEYFRAME, "KEYFRAME"},
      {HELIX_CONFIG, "CONFIG"},
      {HELIX_STATS, "STATS"},
  };
  size_t i;

  for (i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (names[i].type == type)
      return names[i].name;
  }
  return NULL;
}

const char *
helix_type_name (uint32_t type)
{
  const char *name = type_name (type);

  return name ? name : "unknown";
}

bool
helix_type_is_known (uint32_t type)
{
  return type_name (type) != NULL;
}

const char *
helix_error_name (uint32_t code)
{
  static const char *const names[] = {NULL, "protocol", "version", "role",
      "auth", "busy", "unsupported", "no-scanout", "no-resource", "limit",
      "no-memory", "readback", "timeout", "internal"};

  return code > 0 && code < sizeof names / sizeof names[0] ? names[code]
                                                           : "unknown";
}

bool
helix_error_is_fatal (uint32_t code)
{
  switch (code) {
    case HELIX_ERROR_PROTOCOL:
    case HELIX_ERROR_VERSION:
    case HELIX_ERROR_ROLE:
    case HELIX_ERROR_AUTH:
    case HELIX_ERROR_BUSY:
    case HELIX_ERROR_TIMEOUT:
    case HELIX_ERROR_INTERNAL:
      return true;
    default:
      return false;
  }
}

bool
helix_fourcc_is_known (uint32_t fourcc)
{
  switch (fourcc) {
    case HELIX_FOURCC_BGRX:
    case HELIX_FOURCC_BGRA:
    case HELIX_FOURCC_RGBX:
    case HELIX_FOURCC_RGBA:
    case HELIX_FOURCC_XRGB:
    case HELIX_FOURCC_ARGB:
    case HELIX_FOURCC_XBGR:
    case HELIX_FOURCC_ABGR:
      return true;
    default:
      return false;
  }
}
