/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structs to bytes and back, whether a message may be believed, and the names
 * of things. See helix-pack.h.
 */
#include "helix-pack.h"

#include <string.h>

/* ---- fields ---- */

/* Every message with a struct: the struct's size and the widths of its fields,
 * in bytes and in order. A struct has no padding, as its size tells, so it has
 * the wire's offsets. Messages differ in nothing but these strings when they
 * are turned into bytes and back, one field at a time and on a machine of any
 * byte order. No struct is ever copied as a whole. */
#define BYTES_16 "1111111111111111"
#define LAYOUTS(LAYOUT) \
  LAYOUT (PING, ping, 8, "8") \
  LAYOUT (PONG, pong, 24, "888") \
  LAYOUT (HELLO, hello, 32, "224448224") \
  LAYOUT (WELCOME, welcome, 32, "224448224") \
  LAYOUT (PROOF, proof, 32, BYTES_16 BYTES_16) \
  LAYOUT (BYE, bye, 4, "4") \
  LAYOUT (STATUS, status, 64, "8888884444") \
  LAYOUT (CLIENT, client, 80, "444444888888224") \
  LAYOUT (ERROR, error, 8, "44") \
  LAYOUT (CURSOR, cursor, 48, "44444444448") \
  LAYOUT (SHOW, show, 16, "448") \
  LAYOUT (SET_SCANOUT, set_scanout, 16, "4444") \
  LAYOUT (SUBSCRIBE, subscribe, 24, "444444") \
  LAYOUT (SCANOUT, scanout, 32, "44444444") \
  LAYOUT (POOL, pool, 32, "444488") \
  LAYOUT (FRAME, frame, 72, "8844444444444444") \
  LAYOUT (RELEASE, release, 8, "44") \
  LAYOUT (CAPS, caps, 112, \
      "44444444" BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16) \
  LAYOUT (UNIT, unit, 56, "88888844") \
  LAYOUT (KEYFRAME, keyframe, 16, "448") \
  LAYOUT (CONFIG, config, 24, "444444") \
  LAYOUT (STATS, stats, 48, "888888")
#define LAYOUT_HEADER "41124"
#define LAYOUT_RECT "4444"

#define ASSERT_SIZE(TYPE, name, size, widths) \
  typedef char assert_##name[sizeof (struct helix_##name) == size ? 1 : -1];
LAYOUTS (ASSERT_SIZE)

static const struct layout {
  uint8_t type;
  const char *name;
  const char *widths;
  size_t size; /* bytes of the struct */
  const char *too_short;
} layouts[] = {
#define ROW(TYPE, name, size, widths) \
  {HELIX_##TYPE, #TYPE, widths, size, \
      #TYPE ": payload is shorter than " #size " bytes"},
    {HELIX_LIST, "LIST", "", 0, NULL},
    {HELIX_UNSUBSCRIBE, "UNSUBSCRIBE", "", 0, NULL},
    LAYOUTS (ROW) /* ends with a comma */
};

static const struct layout *
find_layout (uint32_t type)
{
  size_t i;

  for (i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
    if (layouts[i].type == type)
      return &layouts[i];
  return NULL;
}

/* Struct to wire or wire to struct, which is the same: each field's bytes, in
 * the other order if this machine is big-endian. */
static void
convert (void *to, const void *from, const char *widths)
{
  const uint16_t one = 1;
  const bool little = *(const uint8_t *) &one == 1;
  const uint8_t *src = from;
  uint8_t *dst = to;

  for (; *widths; widths++) {
    unsigned i, width = (unsigned) (*widths - '0');

    for (i = 0; i < width; i++)
      dst[i] = src[little ? i : width - 1 - i];
    src += width;
    dst += width;
  }
}

#define CHECK(cond, sentence) \
  do { \
    if (!(cond)) { \
      *why = (sentence); \
      return false; \
    } \
  } while (0)

/* Takes the struct that a payload begins with; *payload is behind it then. */
static bool
take (uint32_t type, void *to, const uint8_t **payload, size_t size,
    const char **why)
{
  const struct layout *layout = find_layout (type);

  CHECK (size >= layout->size, layout->too_short);
  convert (to, *payload, layout->widths);
  *payload += layout->size;
  return true;
}

#define TAKE(type, to) \
  do { \
    if (!take (type, to, &payload, size, why)) \
      return false; \
  } while (0)

/* Writes the struct; returns the place behind it. */
static uint8_t *
begin (uint8_t *dst, uint32_t type, const void *from)
{
  const struct layout *layout = find_layout (type);

  convert (dst + HELIX_HEADER_SIZE, from, layout->widths);
  return dst + HELIX_HEADER_SIZE + layout->size;
}

/* Writes the header in front of a payload that ends at `end` and that `bulk`
 * bytes will follow. Returns the bytes written. */
static size_t
finish (uint8_t *dst, uint32_t type, uint16_t channel, const uint8_t *end,
    uint32_t bulk)
{
  struct helix_header header = {0};
  size_t size = (size_t) (end - dst);

  header.magic = HELIX_MAGIC;
  header.type = (uint8_t) type;
  header.channel = channel;
  header.size = (uint32_t) (size - HELIX_HEADER_SIZE) + bulk;
  helix_pack_header (dst, &header);
  return size;
}

/* A message that is its struct, and `bulk` bytes that the caller sends. */
static size_t
whole (uint8_t *dst, uint32_t type, uint16_t channel, const void *from,
    uint32_t bulk)
{
  return finish (dst, type, channel, begin (dst, type, from), bulk);
}

/* ---- text ---- */

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

/* A message whose struct is followed by text. */
static size_t
with_text (uint8_t *dst, uint32_t type, uint16_t channel, const void *from,
    const char *text, size_t max)
{
  uint8_t *end = begin (dst, type, from);

  end = put_bytes (end, text, text_size (text, max));
  return finish (dst, type, channel, end, 0);
}

/* Cuts a string field to have a NUL at its end, and nothing behind it. */
static void
pad_field (char *field, size_t room)
{
  size_t size = 0;

  while (size + 1 < room && field[size])
    size++;
  memset (field + size, 0, room - size);
}

/* Bytes of the UTF-8 character at `s`, 0 if it is none (overlong forms,
 * surrogates and what lies beyond U+10FFFF are none). */
static size_t
utf8_length (const uint8_t *s, size_t size, uint32_t *code)
{
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  size_t i, n = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;

  if ((s[0] >= 0x80 && s[0] < 0xC0) || s[0] >= 0xF8 || n > size)
    return 0;
  *code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
  for (i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80)
      return 0;
    *code = *code << 6 | (s[i] & 0x3Fu);
  }
  if (*code < least[n] || *code > 0x10FFFF)
    return 0;
  return *code >= 0xD800 && *code < 0xE000 ? 0 : n;
}

/* What could forge a log line or turn its direction round: C0 and C1
 * controls, DEL, line and paragraph separators, bidirectional overrides. */
static bool
is_control (uint32_t code)
{
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028
      || code == 0x2029 || (code >= 0x202A && code <= 0x202E)
      || (code >= 0x2066 && code <= 0x2069);
}

/* Copies text that a peer sent: NUL-terminated, valid UTF-8, one line. Never
 * longer than it was. `dst` has room for size + 1 bytes, and may be `src`. */
static void
copy_text (char *dst, const uint8_t *src, size_t size)
{
  size_t done = 0;

  while (done < size) {
    uint32_t code = 0;
    size_t n = utf8_length (src + done, size - done, &code);

    if (n == 0 || is_control (code)) {
      bool space = n == 1 && (code == '\n' || code == '\r' || code == '\t');

      *dst++ = space ? ' ' : '?';
      done += n ? n : 1;
    } else {
      memmove (dst, src + done, n);
      dst += n;
      done += n;
    }
  }
  *dst = '\0';
}

/* Makes a string field that a peer sent readable. false: it has no NUL. */
static bool
take_field (char *field, size_t room)
{
  const char *end = memchr (field, 0, room);

  if (!end)
    return false;
  copy_text (field, (const uint8_t *) field, (size_t) (end - field));
  pad_field (field, room);
  return true;
}

/* The text that is the rest of a payload. */
static bool
take_text (char text[HELIX_MAX_TEXT + 1], const uint8_t *payload, size_t size)
{
  copy_text (text, payload, size < HELIX_MAX_TEXT ? size : HELIX_MAX_TEXT);
  return true;
}

/* ---- the header ---- */

void
helix_pack_header (
    uint8_t dst[HELIX_HEADER_SIZE], const struct helix_header *header)
{
  convert (dst, header, LAYOUT_HEADER);
}

bool
helix_unpack_header (struct helix_header *header,
    const uint8_t src[HELIX_HEADER_SIZE], const char **why)
{
  convert (header, src, LAYOUT_HEADER);
  CHECK (header->magic == HELIX_MAGIC, "header: magic is not HXFR");
  switch (header->type) {
    case HELIX_CURSOR:
      CHECK (header->size >= sizeof (struct helix_cursor),
          find_layout (HELIX_CURSOR)->too_short);
      CHECK (header->size <= sizeof (struct helix_cursor)
                  + HELIX_MAX_CURSOR * HELIX_MAX_CURSOR * 4,
          "header: size of a CURSOR is above 256 KiB of pixels");
      break;
    case HELIX_UNIT:
      CHECK (header->size >= sizeof (struct helix_unit),
          find_layout (HELIX_UNIT)->too_short);
      CHECK (
          header->size > sizeof (struct helix_unit), "UNIT: no data follows");
      CHECK (header->size <= sizeof (struct helix_unit) + HELIX_MAX_UNIT_BYTES,
          "header: size of a UNIT is above 64 MiB of data");
      break;
    default:
      CHECK (header->size <= HELIX_MAX_CONTROL,
          "header: size of a control message is above 4096 bytes");
  }
  return true;
}

size_t
helix_pack_empty (uint8_t *dst, enum helix_type type, uint16_t channel)
{
  return finish (dst, type, channel, dst + HELIX_HEADER_SIZE, 0);
}

/* ---- messages that are their struct and nothing else ---- */

#define WHOLE(TYPE, name) \
  HELIX_PACK_ON (name) \
  { \
    return whole (dst, HELIX_##TYPE, channel, m, 0); \
  }
/* On channel 0. */
#define WHOLE_0(TYPE, name) \
  HELIX_PACK (name) \
  { \
    return whole (dst, HELIX_##TYPE, 0, m, 0); \
  }
HELIX_PLAIN_MESSAGES (WHOLE)
HELIX_PLAIN_0_MESSAGES (WHOLE_0)

/* ---- both protocols ---- */

HELIX_UNPACK (ping)
{
  memset (m, 0, sizeof *m);
  CHECK (size == 0 || size >= sizeof *m,
      "PING: payload is neither empty nor 8 bytes");
  return size == 0 || take (HELIX_PING, m, &payload, size, why);
}

HELIX_UNPACK (pong)
{
  memset (m, 0, sizeof *m);
  CHECK (size == 0 || size >= sizeof *m,
      "PONG: payload is neither empty nor 24 bytes");
  return size == 0 || take (HELIX_PONG, m, &payload, size, why);
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

HELIX_PACK_TEXT (hello)
{
  struct helix_hello copy = *m;

  copy.token_size = 0;
  copy.name_size = (uint16_t) text_size (text, HELIX_MAX_NAME);
  copy.reserved = 0;
  return with_text (dst, HELIX_HELLO, 0, &copy, text, HELIX_MAX_NAME);
}

HELIX_UNPACK_TEXT (hello, HELIX_MAX_NAME)
{
  TAKE (HELIX_HELLO, m);
  CHECK (m->version_min != 0, "HELLO: version_min is 0");
  CHECK (m->version_min <= m->version_max,
      "HELLO: version_min is above version_max");
  CHECK (m->role != 0, "HELLO: role is 0");
  CHECK (
      m->token_size <= HELIX_MAX_TOKEN, "HELLO: token_size is above 128 bytes");
  CHECK (m->name_size <= HELIX_MAX_NAME, "HELLO: name_size is above 128 bytes");
  CHECK (sizeof *m + m->token_size + m->name_size <= size,
      "HELLO: token_size and name_size are more than the payload holds");
  copy_text (text, payload + m->token_size, m->name_size);
  return true;
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
  end = begin (dst, HELIX_WELCOME, &copy);
  end = put_bytes (end, name, copy.name_size);
  if (challenge)
    end = put_bytes (end, challenge, HELIX_CHALLENGE_SIZE);
  return finish (dst, HELIX_WELCOME, 0, end, 0);
}

bool
helix_unpack_welcome (struct helix_welcome *welcome,
    char name[HELIX_MAX_NAME + 1], uint8_t challenge[HELIX_CHALLENGE_SIZE],
    const uint8_t *payload, size_t size, const char **why)
{
  bool proof;

  TAKE (HELIX_WELCOME, welcome);
  CHECK (welcome->version != 0, "WELCOME: version is 0");
  CHECK (welcome->role != 0, "WELCOME: role is 0");
  CHECK (
      welcome->scanouts <= HELIX_MAX_SCANOUTS, "WELCOME: scanouts is above 16");
  CHECK (welcome->role != HELIX_ROLE_FRAMES || welcome->scanouts > 0,
      "WELCOME: scanouts is 0 in the frame protocol");
  CHECK (welcome->role == HELIX_ROLE_FRAMES || welcome->scanouts == 0,
      "WELCOME: scanouts is not 0 in the stream protocol");
  CHECK (welcome->name_size <= HELIX_MAX_NAME,
      "WELCOME: name_size is above 128 bytes");
  CHECK (sizeof *welcome + welcome->name_size <= size,
      "WELCOME: name_size is more than the payload holds");
  proof = welcome->features & HELIX_FEATURE_PROOF;
  CHECK (!proof
          || sizeof *welcome + welcome->name_size + HELIX_CHALLENGE_SIZE
              <= size,
      "WELCOME: feature PROOF is set, but no 32 bytes of challenge follow");
  copy_text (name, payload, welcome->name_size);
  if (proof && challenge)
    memcpy (challenge, payload + welcome->name_size, HELIX_CHALLENGE_SIZE);
  return true;
}

void
helix_pack_proof_input (uint8_t dst[HELIX_PROOF_INPUT_SIZE], const char *who,
    uint64_t nonce, const uint8_t challenge[HELIX_CHALLENGE_SIZE])
{
  dst = put_bytes (dst, who, sizeof HELIX_PROOF_CLIENT - 1);
  convert (dst, &nonce, "8");
  put_bytes (dst + 8, challenge, HELIX_CHALLENGE_SIZE);
}

HELIX_UNPACK (proof)
{
  return take (HELIX_PROOF, m, &payload, size, why);
}

size_t
helix_pack_error (uint8_t *dst, uint16_t channel, enum helix_error_code code,
    uint32_t refers, const char *text)
{
  struct helix_error error;

  error.code = (uint32_t) code;
  error.refers = refers;
  return with_text (dst, HELIX_ERROR, channel, &error, text, HELIX_MAX_TEXT);
}

HELIX_UNPACK_TEXT (error, HELIX_MAX_TEXT)
{
  TAKE (HELIX_ERROR, m);
  CHECK (m->code != 0, "ERROR: code is 0");
  return take_text (text, payload, size - sizeof *m);
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
  struct helix_bye bye;

  bye.reason = reason;
  return with_text (dst, HELIX_BYE, 0, &bye, text, HELIX_MAX_TEXT);
}

HELIX_UNPACK_TEXT (bye, HELIX_MAX_TEXT)
{
  TAKE (HELIX_BYE, m);
  return take_text (text, payload, size - sizeof *m);
}

HELIX_PACK_TEXT (status)
{
  return with_text (dst, HELIX_STATUS, 0, m, text, HELIX_MAX_TEXT);
}

HELIX_UNPACK_TEXT (status, HELIX_MAX_TEXT)
{
  TAKE (HELIX_STATUS, m);
  return take_text (text, payload, size - sizeof *m);
}

HELIX_PACK_TEXT (client)
{
  struct helix_client copy = *m;

  copy.name_size = (uint16_t) text_size (text, HELIX_MAX_NAME);
  copy.reserved0 = 0;
  copy.reserved1 = 0;
  return with_text (dst, HELIX_CLIENT, 0, &copy, text, HELIX_MAX_NAME);
}

HELIX_UNPACK_TEXT (client, HELIX_MAX_NAME)
{
  TAKE (HELIX_CLIENT, m);
  CHECK (
      m->name_size <= HELIX_MAX_NAME, "CLIENT: name_size is above 128 bytes");
  CHECK (sizeof *m + m->name_size <= size,
      "CLIENT: name_size is more than the payload holds");
  copy_text (text, payload, m->name_size);
  return true;
}

size_t
helix_pack_cursor (uint8_t *dst, uint16_t channel,
    const struct helix_cursor *cursor, uint32_t bulk)
{
  return whole (dst, HELIX_CURSOR, channel, cursor, bulk);
}

bool
helix_unpack_cursor (struct helix_cursor *cursor, const uint8_t *payload,
    size_t size, uint32_t total, const char **why)
{
  uint64_t pixels;

  TAKE (HELIX_CURSOR, cursor);
  CHECK (cursor->scanout < HELIX_MAX_SCANOUTS, "CURSOR: scanout is above 15");
  CHECK (
      cursor->width <= HELIX_MAX_CURSOR && cursor->height <= HELIX_MAX_CURSOR,
      "CURSOR: width or height is above 256");
  CHECK (!cursor->width == !cursor->height,
      "CURSOR: only one of width and height is 0");
  CHECK (cursor->width == 0
          || (cursor->hot_x < cursor->width && cursor->hot_y < cursor->height),
      "CURSOR: the hot spot is outside of the shape");
  pixels = (uint64_t) cursor->width * cursor->height * 4;
  if (cursor->flags & HELIX_CURSOR_SHAPE) {
    CHECK (pixels > 0 && cursor->serial != 0,
        "CURSOR: a shape without pixels or without a serial");
    CHECK (total >= sizeof *cursor && total - sizeof *cursor == pixels,
        "CURSOR: pixels that follow are not width * height * 4 bytes");
  } else {
    CHECK (total == size, "CURSOR: pixels follow, and no shape is announced");
  }
  return true;
}

HELIX_UNPACK (show)
{
  TAKE (HELIX_SHOW, m);
  CHECK (m->resource_id != 0, "SHOW: resource_id is 0");
  return true;
}

/* ---- frame protocol ---- */

static bool
is_dimension (uint32_t pixels)
{
  return pixels >= 1 && pixels <= HELIX_MAX_DIMENSION;
}

static bool
is_scanout (uint32_t index)
{
  return index < HELIX_MAX_SCANOUTS || index == HELIX_NONE32;
}

HELIX_UNPACK (set_scanout)
{
  TAKE (HELIX_SET_SCANOUT, m);
  CHECK (!m->width == !m->height,
      "SET_SCANOUT: only one of width and height is 0");
  CHECK (m->width == 0 || (is_dimension (m->width) && is_dimension (m->height)),
      "SET_SCANOUT: width or height is above 16384");
  return true;
}

HELIX_UNPACK (subscribe)
{
  TAKE (HELIX_SUBSCRIBE, m);
  CHECK ((m->scanout == HELIX_NONE32) == (m->resource_id != 0),
      "SUBSCRIBE: not exactly one of scanout and resource_id is given");
  CHECK (m->rate_den != 0, "SUBSCRIBE: rate_den is 0");
  CHECK (m->slots == 0 || (m->slots >= 2 && m->slots <= HELIX_MAX_SLOTS),
      "SUBSCRIBE: slots is neither 0 nor 2 to 8");
  return true;
}

HELIX_UNPACK (scanout)
{
  TAKE (HELIX_SCANOUT, m);
  CHECK (is_scanout (m->scanout), "SCANOUT: scanout is above 15");
  if (m->flags & HELIX_SCANOUT_ENABLED) {
    CHECK (is_dimension (m->width), "SCANOUT: width is not 1 to 16384");
    CHECK (is_dimension (m->height), "SCANOUT: height is not 1 to 16384");
    CHECK (helix_fourcc_is_known (m->fourcc), "SCANOUT: fourcc is not known");
  } else {
    CHECK (m->width == 0 && m->height == 0 && m->fourcc == 0,
        "SCANOUT: width, height or fourcc is not 0 though it is off");
  }
  return true;
}

HELIX_UNPACK (pool)
{
  TAKE (HELIX_POOL, m);
  CHECK (m->pool_id != 0, "POOL: pool_id is 0");
  CHECK (m->kind == HELIX_POOL_SEALED || m->kind == HELIX_POOL_FILE,
      "POOL: kind is not known");
  CHECK (m->slots >= 2 && m->slots <= HELIX_MAX_SLOTS,
      "POOL: slots is not 2 to 8");
  CHECK (m->slot_size > 0, "POOL: slot_size is 0");
  CHECK (m->slot_size <= HELIX_MAX_FRAME_BYTES,
      "POOL: slot_size is above 256 MiB");
  CHECK (m->slot_size % 4096 == 0,
      "POOL: slot_size is not a multiple of 4096 bytes");
  CHECK (m->total_size == m->slots * m->slot_size,
      "POOL: total_size is not slots * slot_size");
  return true;
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
  end = begin (dst, HELIX_FRAME, &copy);
  for (i = 0; i < copy.rects; i++, end += sizeof *rects)
    convert (end, &rects[i], LAYOUT_RECT);
  return finish (dst, HELIX_FRAME, channel, end, 0);
}

static bool
unpack_rects (struct helix_rect *rects, const struct helix_frame *frame,
    const uint8_t *payload, const char **why)
{
  uint32_t i;

  for (i = 0; i < frame->rects; i++, payload += sizeof *rects) {
    convert (&rects[i], payload, LAYOUT_RECT);
    CHECK (rects[i].width > 0 && rects[i].height > 0,
        "FRAME: width or height of a rectangle is 0");
    CHECK ((uint64_t) rects[i].x + rects[i].width <= frame->width
            && (uint64_t) rects[i].y + rects[i].height <= frame->height,
        "FRAME: a rectangle reaches beyond the frame");
  }
  return true;
}

bool
helix_unpack_frame (struct helix_frame *frame,
    struct helix_rect rects[HELIX_MAX_RECTS], const uint8_t *payload,
    size_t size, const char **why)
{
  TAKE (HELIX_FRAME, frame);
  CHECK (frame->sequence != 0, "FRAME: sequence is 0");
  CHECK (is_scanout (frame->scanout), "FRAME: scanout is above 15");
  CHECK (frame->pool_id != 0, "FRAME: pool_id is 0");
  CHECK (frame->slot < HELIX_MAX_SLOTS, "FRAME: slot is above 7");
  CHECK (is_dimension (frame->width), "FRAME: width is not 1 to 16384");
  CHECK (is_dimension (frame->height), "FRAME: height is not 1 to 16384");
  CHECK (frame->stride % 4 == 0, "FRAME: stride is not a multiple of 4 bytes");
  CHECK (frame->stride >= frame->width * 4,
      "FRAME: stride is smaller than width * 4 bytes");
  CHECK ((uint64_t) frame->stride * frame->height <= HELIX_MAX_FRAME_BYTES,
      "FRAME: stride * height is above 256 MiB");
  CHECK (helix_fourcc_is_known (frame->fourcc), "FRAME: fourcc is not known");
  CHECK (frame->rects <= HELIX_MAX_RECTS, "FRAME: rects is above 32");
  CHECK (sizeof *frame + frame->rects * sizeof *rects <= size,
      "FRAME: rects is more rectangles than follow");
  return unpack_rects (rects, frame, payload, why);
}

HELIX_UNPACK (release)
{
  TAKE (HELIX_RELEASE, m);
  CHECK (m->pool_id != 0, "RELEASE: pool_id is 0");
  CHECK (m->slot < HELIX_MAX_SLOTS, "RELEASE: slot is above 7");
  return true;
}

/* ---- stream protocol ---- */

HELIX_PACK (caps)
{
  struct helix_caps copy = *m;

  pad_field (copy.profile, sizeof copy.profile);
  pad_field (copy.level, sizeof copy.level);
  pad_field (copy.colorimetry, sizeof copy.colorimetry);
  return whole (dst, HELIX_CAPS, 0, &copy, 0);
}

HELIX_UNPACK (caps)
{
  TAKE (HELIX_CAPS, m);
  CHECK (m->caps_id != 0, "CAPS: caps_id is 0");
  CHECK (m->codec >= HELIX_CODEC_H264 && m->codec <= HELIX_CODEC_JPEG,
      "CAPS: codec is not known");
  CHECK (is_dimension (m->width), "CAPS: width is not 1 to 16384");
  CHECK (is_dimension (m->height), "CAPS: height is not 1 to 16384");
  CHECK (m->rate_den != 0, "CAPS: rate_den is 0");
  CHECK (m->par_num != 0 && m->par_den != 0, "CAPS: par_num or par_den is 0");
  CHECK (take_field (m->profile, sizeof m->profile)
          && take_field (m->level, sizeof m->level)
          && take_field (m->colorimetry, sizeof m->colorimetry),
      "CAPS: profile, level or colorimetry has no NUL at its end");
  return true;
}

size_t
helix_pack_unit (uint8_t *dst, const struct helix_unit *unit, uint32_t bulk)
{
  return whole (dst, HELIX_UNIT, 0, unit, bulk);
}

bool
helix_unpack_unit (struct helix_unit *unit, const uint8_t *payload, size_t size,
    uint32_t total, const char **why)
{
  TAKE (HELIX_UNIT, unit);
  CHECK (unit->sequence != HELIX_NONE64, "UNIT: sequence is no number");
  CHECK (unit->running_time != HELIX_NONE64, "UNIT: running_time is no time");
  CHECK (unit->caps_id != 0, "UNIT: caps_id is 0");
  CHECK (total > sizeof *unit, "UNIT: no data follows");
  CHECK (total - sizeof *unit <= HELIX_MAX_UNIT_BYTES,
      "UNIT: data is above 64 MiB");
  return true;
}

HELIX_UNPACK (keyframe)
{
  return take (HELIX_KEYFRAME, m, &payload, size, why);
}

HELIX_UNPACK (config)
{
  TAKE (HELIX_CONFIG, m);
  CHECK (!(m->fields & HELIX_CONFIG_BITRATE) || m->bitrate != 0,
      "CONFIG: bitrate is 0");
  CHECK (!(m->fields & HELIX_CONFIG_RATE) || m->rate_den != 0,
      "CONFIG: rate_den is 0");
  return true;
}

HELIX_UNPACK (stats)
{
  return take (HELIX_STATS, m, &payload, size, why);
}

/* ---- names ---- */

const char *
helix_type_name (uint32_t type)
{
  const struct layout *layout = find_layout (type);

  return layout ? layout->name : "unknown";
}

bool
helix_type_is_known (uint32_t type)
{
  return find_layout (type) != NULL;
}

size_t
helix_type_size (uint32_t type)
{
  const struct layout *layout = find_layout (type);

  return layout ? layout->size : 0;
}

/* By code; the first one is none. */
static const struct {
  const char *name;
  bool fatal;
} errors[] = {
    {"unknown", false},
    {"protocol", true},
    {"version", true},
    {"role", true},
    {"auth", true},
    {"busy", true},
    {"unsupported", false},
    {"no-scanout", false},
    {"no-resource", false},
    {"limit", false},
    {"no-memory", false},
    {"readback", false},
    {"timeout", true},
    {"internal", true},
};

static uint32_t
known_error (uint32_t code)
{
  return code < sizeof errors / sizeof errors[0] ? code : 0;
}

const char *
helix_error_name (uint32_t code)
{
  return errors[known_error (code)].name;
}

bool
helix_error_is_fatal (uint32_t code)
{
  return errors[known_error (code)].fatal;
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
