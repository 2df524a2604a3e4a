/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes to structs, and the judgement whether they may be believed. See
 * helix-pack.h.
 */
#include "helix-pack.h"

#include <string.h>

#include "helix-layout.h"

static const uint8_t *
get (void *to, const uint8_t *src, const char *layout)
{
  uint8_t *dst = to;

  for (; *layout; layout++) {
    unsigned i, width = (unsigned) (*layout - '0');
    uint64_t value = 0;

    for (i = 0; i < width; i++)
      value |= (uint64_t) *src++ << (8 * i);
    if (width == 2) {
      uint16_t v = (uint16_t) value;
      memcpy (dst, &v, sizeof v);
    } else if (width == 4) {
      uint32_t v = (uint32_t) value;
      memcpy (dst, &v, sizeof v);
    } else {
      memcpy (dst, &value, sizeof value);
    }
    dst += width;
  }
  return src;
}

/* ---- text ---- */

/* Bytes of the UTF-8 character at `s`, 0 if it is none (overlong forms,
 * surrogates and what lies beyond U+10FFFF are none). */
static size_t
utf8_length (const uint8_t *s, size_t size, uint32_t *code)
{
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  size_t i, n;

  if (s[0] < 0x80)
    n = 1, *code = s[0];
  else if (s[0] >= 0xC2 && s[0] < 0xE0)
    n = 2, *code = s[0] & 0x1Fu;
  else if (s[0] >= 0xE0 && s[0] < 0xF0)
    n = 3, *code = s[0] & 0x0Fu;
  else if (s[0] >= 0xF0 && s[0] < 0xF5)
    n = 4, *code = s[0] & 0x07u;
  else
    return 0;
  if (n > size)
    return 0;
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
 * longer than it was. `dst` has room for size + 1 bytes. */
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
      memcpy (dst, src + done, n);
      dst += n;
      done += n;
    }
  }
  *dst = '\0';
}

static const uint8_t *
get_field (char *field, const uint8_t *src, size_t room, bool *terminated)
{
  const uint8_t *end = memchr (src, 0, room);

  *terminated = *terminated && end;
  memset (field, 0, room);
  if (end)
    copy_text (field, src, (size_t) (end - src));
  return src + room;
}

/* ---- both protocols ---- */

static bool
refuse (const char **why, const char *sentence)
{
  *why = sentence;
  return false;
}

#define CHECK(cond, sentence) \
  do { \
    if (!(cond)) \
      return refuse (why, sentence); \
  } while (0)

bool
helix_unpack_header (struct helix_header *header,
    const uint8_t src[HELIX_HEADER_SIZE], const char **why)
{
  src = get (&header->magic, src, "4");
  header->type = *src++;
  header->flags = *src++;
  src = get (&header->channel, src, "2");
  get (&header->size, src, "4");

  CHECK (header->magic == HELIX_MAGIC, "header: magic is not HXFR");
  switch (header->type) {
    case HELIX_CURSOR:
      CHECK (header->size <= sizeof (struct helix_cursor)
                  + HELIX_MAX_CURSOR * HELIX_MAX_CURSOR * 4,
          "header: size of a CURSOR is above 256 KiB of pixels");
      break;
    case HELIX_UNIT:
      CHECK (header->size <= sizeof (struct helix_unit) + HELIX_MAX_UNIT_BYTES,
          "header: size of a UNIT is above 64 MiB of data");
      break;
    default:
      CHECK (header->size <= HELIX_MAX_CONTROL,
          "header: size of a control message is above 4096 bytes");
  }
  return true;
}

bool
helix_unpack_ping (struct helix_ping *ping, const uint8_t *payload, size_t size,
    const char **why)
{
  ping->sent_ns = 0;
  if (size == 0)
    return true;
  CHECK (size >= sizeof *ping, "PING: payload is neither empty nor 8 bytes");
  get (ping, payload, LAYOUT_PING);
  return true;
}

bool
helix_unpack_pong (struct helix_pong *pong, const uint8_t *payload, size_t size,
    const char **why)
{
  memset (pong, 0, sizeof *pong);
  if (size == 0)
    return true;
  CHECK (size >= sizeof *pong, "PONG: payload is neither empty nor 24 bytes");
  get (pong, payload, LAYOUT_PONG);
  return true;
}

bool
helix_unpack_hello (struct helix_hello *hello, char name[HELIX_MAX_NAME + 1],
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (size >= sizeof *hello, "HELLO: payload is shorter than 32 bytes");
  payload = get (hello, payload, LAYOUT_HELLO);
  CHECK (hello->version_min != 0, "HELLO: version_min is 0");
  CHECK (hello->version_min <= hello->version_max,
      "HELLO: version_min is above version_max");
  CHECK (hello->role != 0, "HELLO: role is 0");
  CHECK (hello->token_size <= HELIX_MAX_TOKEN,
      "HELLO: token_size is above 128 bytes");
  CHECK (hello->name_size <= HELIX_MAX_NAME,
      "HELLO: name_size is above 128 bytes");
  CHECK (sizeof *hello + hello->token_size + hello->name_size <= size,
      "HELLO: token_size and name_size are more than the payload holds");
  copy_text (name, payload + hello->token_size, hello->name_size);
  return true;
}

bool
helix_unpack_welcome (struct helix_welcome *welcome,
    char name[HELIX_MAX_NAME + 1], uint8_t challenge[HELIX_CHALLENGE_SIZE],
    const uint8_t *payload, size_t size, const char **why)
{
  bool proof;

  CHECK (size >= sizeof *welcome, "WELCOME: payload is shorter than 32 bytes");
  payload = get (welcome, payload, LAYOUT_WELCOME);
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

bool
helix_unpack_proof (struct helix_proof *proof, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *proof, "PROOF: payload is shorter than 32 bytes");
  memcpy (proof->hmac, payload, sizeof proof->hmac);
  return true;
}

bool
helix_unpack_error (struct helix_error *error, char text[HELIX_MAX_TEXT + 1],
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (size >= sizeof *error, "ERROR: payload is shorter than 8 bytes");
  payload = get (error, payload, LAYOUT_ERROR);
  CHECK (error->code != 0, "ERROR: code is 0");
  size -= sizeof *error;
  copy_text (text, payload, size < HELIX_MAX_TEXT ? size : HELIX_MAX_TEXT);
  return true;
}

bool
helix_unpack_bye (struct helix_bye *bye, char text[HELIX_MAX_TEXT + 1],
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (size >= sizeof *bye, "BYE: payload is shorter than 4 bytes");
  payload = get (bye, payload, LAYOUT_BYE);
  size -= sizeof *bye;
  copy_text (text, payload, size < HELIX_MAX_TEXT ? size : HELIX_MAX_TEXT);
  return true;
}

bool
helix_unpack_status (struct helix_status *status, char text[HELIX_MAX_TEXT + 1],
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (size >= sizeof *status, "STATUS: payload is shorter than 64 bytes");
  payload = get (status, payload, LAYOUT_STATUS);
  size -= sizeof *status;
  copy_text (text, payload, size < HELIX_MAX_TEXT ? size : HELIX_MAX_TEXT);
  return true;
}

bool
helix_unpack_client (struct helix_client *client, char name[HELIX_MAX_NAME + 1],
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (size >= sizeof *client, "CLIENT: payload is shorter than 80 bytes");
  payload = get (client, payload, LAYOUT_CLIENT);
  CHECK (client->name_size <= HELIX_MAX_NAME,
      "CLIENT: name_size is above 128 bytes");
  CHECK (sizeof *client + client->name_size <= size,
      "CLIENT: name_size is more than the payload holds");
  copy_text (name, payload, client->name_size);
  return true;
}

bool
helix_unpack_cursor (struct helix_cursor *cursor, const uint8_t *payload,
    size_t size, uint32_t total, const char **why)
{
  uint64_t pixels;

  CHECK (size >= sizeof *cursor, "CURSOR: payload is shorter than 48 bytes");
  get (cursor, payload, LAYOUT_CURSOR);
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

bool
helix_unpack_show (struct helix_show *show, const uint8_t *payload, size_t size,
    const char **why)
{
  CHECK (size >= sizeof *show, "SHOW: payload is shorter than 16 bytes");
  get (show, payload, LAYOUT_SHOW);
  CHECK (show->resource_id != 0, "SHOW: resource_id is 0");
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

bool
helix_unpack_set_scanout (struct helix_set_scanout *set, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *set, "SET_SCANOUT: payload is shorter than 16 bytes");
  get (set, payload, LAYOUT_SET_SCANOUT);
  CHECK (!set->width == !set->height,
      "SET_SCANOUT: only one of width and height is 0");
  CHECK (set->width == 0
          || (is_dimension (set->width) && is_dimension (set->height)),
      "SET_SCANOUT: width or height is above 16384");
  return true;
}

bool
helix_unpack_subscribe (struct helix_subscribe *subscribe,
    const uint8_t *payload, size_t size, const char **why)
{
  CHECK (
      size >= sizeof *subscribe, "SUBSCRIBE: payload is shorter than 24 bytes");
  get (subscribe, payload, LAYOUT_SUBSCRIBE);
  CHECK ((subscribe->scanout == HELIX_NONE32) == (subscribe->resource_id != 0),
      "SUBSCRIBE: not exactly one of scanout and resource_id is given");
  CHECK (subscribe->rate_den != 0, "SUBSCRIBE: rate_den is 0");
  CHECK (subscribe->slots == 0
          || (subscribe->slots >= 2 && subscribe->slots <= HELIX_MAX_SLOTS),
      "SUBSCRIBE: slots is neither 0 nor 2 to 8");
  return true;
}

bool
helix_unpack_scanout (struct helix_scanout *scanout, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *scanout, "SCANOUT: payload is shorter than 32 bytes");
  get (scanout, payload, LAYOUT_SCANOUT);
  CHECK (is_scanout (scanout->scanout), "SCANOUT: scanout is above 15");
  if (scanout->flags & HELIX_SCANOUT_ENABLED) {
    CHECK (is_dimension (scanout->width), "SCANOUT: width is not 1 to 16384");
    CHECK (is_dimension (scanout->height), "SCANOUT: height is not 1 to 16384");
    CHECK (helix_fourcc_is_known (scanout->fourcc),
        "SCANOUT: fourcc is not known");
  } else {
    CHECK (scanout->width == 0 && scanout->height == 0 && scanout->fourcc == 0,
        "SCANOUT: width, height or fourcc is not 0 though it is off");
  }
  return true;
}

bool
helix_unpack_pool (struct helix_pool *pool, const uint8_t *payload, size_t size,
    const char **why)
{
  CHECK (size >= sizeof *pool, "POOL: payload is shorter than 32 bytes");
  get (pool, payload, LAYOUT_POOL);
  CHECK (pool->pool_id != 0, "POOL: pool_id is 0");
  CHECK (pool->kind == HELIX_POOL_SEALED || pool->kind == HELIX_POOL_FILE,
      "POOL: kind is not known");
  CHECK (pool->slots >= 2 && pool->slots <= HELIX_MAX_SLOTS,
      "POOL: slots is not 2 to 8");
  CHECK (pool->slot_size > 0, "POOL: slot_size is 0");
  CHECK (pool->slot_size <= HELIX_MAX_FRAME_BYTES,
      "POOL: slot_size is above 256 MiB");
  CHECK (pool->slot_size % 4096 == 0,
      "POOL: slot_size is not a multiple of 4096 bytes");
  CHECK (pool->total_size == pool->slots * pool->slot_size,
      "POOL: total_size is not slots * slot_size");
  return true;
}

static bool
unpack_rects (struct helix_rect *rects, const struct helix_frame *frame,
    const uint8_t *payload, const char **why)
{
  uint32_t i;

  for (i = 0; i < frame->rects; i++) {
    payload = get (&rects[i], payload, LAYOUT_RECT);
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
  CHECK (size >= sizeof *frame, "FRAME: payload is shorter than 72 bytes");
  payload = get (frame, payload, LAYOUT_FRAME);
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

bool
helix_unpack_release (struct helix_release *release, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *release, "RELEASE: payload is shorter than 8 bytes");
  get (release, payload, LAYOUT_RELEASE);
  CHECK (release->pool_id != 0, "RELEASE: pool_id is 0");
  CHECK (release->slot < HELIX_MAX_SLOTS, "RELEASE: slot is above 7");
  return true;
}

/* ---- stream protocol ---- */

bool
helix_unpack_caps (struct helix_caps *caps, const uint8_t *payload, size_t size,
    const char **why)
{
  bool terminated = true;

  CHECK (size >= sizeof *caps, "CAPS: payload is shorter than 112 bytes");
  payload = get (caps, payload, LAYOUT_CAPS);
  CHECK (caps->caps_id != 0, "CAPS: caps_id is 0");
  CHECK (caps->codec >= HELIX_CODEC_H264 && caps->codec <= HELIX_CODEC_JPEG,
      "CAPS: codec is not known");
  CHECK (is_dimension (caps->width), "CAPS: width is not 1 to 16384");
  CHECK (is_dimension (caps->height), "CAPS: height is not 1 to 16384");
  CHECK (caps->rate_den != 0, "CAPS: rate_den is 0");
  CHECK (caps->par_num != 0 && caps->par_den != 0,
      "CAPS: par_num or par_den is 0");
  payload =
      get_field (caps->profile, payload, sizeof caps->profile, &terminated);
  payload = get_field (caps->level, payload, sizeof caps->level, &terminated);
  get_field (caps->colorimetry, payload, sizeof caps->colorimetry, &terminated);
  CHECK (
      terminated, "CAPS: profile, level or colorimetry has no NUL at its end");
  return true;
}

bool
helix_unpack_unit (struct helix_unit *unit, const uint8_t *payload, size_t size,
    uint32_t total, const char **why)
{
  CHECK (size >= sizeof *unit, "UNIT: payload is shorter than 56 bytes");
  get (unit, payload, LAYOUT_UNIT);
  CHECK (unit->sequence != HELIX_NONE64, "UNIT: sequence is no number");
  CHECK (unit->running_time != HELIX_NONE64, "UNIT: running_time is no time");
  CHECK (unit->caps_id != 0, "UNIT: caps_id is 0");
  CHECK (total > sizeof *unit, "UNIT: no data follows");
  CHECK (total - sizeof *unit <= HELIX_MAX_UNIT_BYTES,
      "UNIT: data is above 64 MiB");
  return true;
}

bool
helix_unpack_keyframe (struct helix_keyframe *keyframe, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (
      size >= sizeof *keyframe, "KEYFRAME: payload is shorter than 16 bytes");
  get (keyframe, payload, LAYOUT_KEYFRAME);
  return true;
}

bool
helix_unpack_config (struct helix_config *config, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *config, "CONFIG: payload is shorter than 24 bytes");
  get (config, payload, LAYOUT_CONFIG);
  CHECK (!(config->fields & HELIX_CONFIG_BITRATE) || config->bitrate != 0,
      "CONFIG: bitrate is 0");
  CHECK (!(config->fields & HELIX_CONFIG_RATE) || config->rate_den != 0,
      "CONFIG: rate_den is 0");
  return true;
}

bool
helix_unpack_stats (struct helix_stats *stats, const uint8_t *payload,
    size_t size, const char **why)
{
  CHECK (size >= sizeof *stats, "STATS: payload is shorter than 48 bytes");
  get (stats, payload, LAYOUT_STATS);
  return true;
}
