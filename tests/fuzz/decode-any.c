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
    case HELIX_PING:
      return helix_unpack_ping (&as->ping, payload, size, why);
    case HELIX_PONG:
      return helix_unpack_pong (&as->pong, payload, size, why);
    case HELIX_HELLO:
      return helix_unpack_hello (&as->hello, any->name, payload, size, why);
    case HELIX_WELCOME:
      return helix_unpack_welcome (
          &as->welcome, any->name, any->challenge, payload, size, why);
    case HELIX_PROOF:
      return helix_unpack_proof (&as->proof, payload, size, why);
    case HELIX_BYE:
      return helix_unpack_bye (&as->bye, any->text, payload, size, why);
    case HELIX_ERROR:
      return helix_unpack_error (&as->error, any->text, payload, size, why);
    case HELIX_STATUS:
      return helix_unpack_status (&as->status, any->text, payload, size, why);
    case HELIX_CLIENT:
      return helix_unpack_client (&as->client, any->name, payload, size, why);
    case HELIX_CURSOR:
      return helix_unpack_cursor (&as->cursor, payload, size, total, why);
    case HELIX_SHOW:
      return helix_unpack_show (&as->show, payload, size, why);
    case HELIX_SET_SCANOUT:
      return helix_unpack_set_scanout (&as->set_scanout, payload, size, why);
    case HELIX_SUBSCRIBE:
      return helix_unpack_subscribe (&as->subscribe, payload, size, why);
    case HELIX_SCANOUT:
      return helix_unpack_scanout (&as->scanout, payload, size, why);
    case HELIX_POOL:
      return helix_unpack_pool (&as->pool, payload, size, why);
    case HELIX_FRAME:
      return helix_unpack_frame (&as->frame, any->rects, payload, size, why);
    case HELIX_RELEASE:
      return helix_unpack_release (&as->release, payload, size, why);
    case HELIX_CAPS:
      return helix_unpack_caps (&as->caps, payload, size, why);
    case HELIX_UNIT:
      return helix_unpack_unit (&as->unit, payload, size, total, why);
    case HELIX_KEYFRAME:
      return helix_unpack_keyframe (&as->keyframe, payload, size, why);
    case HELIX_CONFIG:
      return helix_unpack_config (&as->config, payload, size, why);
    case HELIX_STATS:
      return helix_unpack_stats (&as->stats, payload, size, why);
    default:
      return true;
  }
}

size_t
decode_any_pack (
    uint8_t *dst, const struct decode_any *any, const struct helix_header *h)
{
  const union decode_any_struct *as = &any->as;
  size_t bulk;

  switch (any->type) {
    case HELIX_PING:
      return h->size ? helix_pack_ping (dst, &as->ping)
                     : helix_pack_empty (dst, HELIX_PING, h->channel);
    case HELIX_PONG:
      return h->size ? helix_pack_pong (dst, h->channel, &as->pong)
                     : helix_pack_empty (dst, HELIX_PONG, h->channel);
    case HELIX_HELLO:
      return helix_pack_hello (dst, &as->hello, any->name);
    case HELIX_WELCOME:
      return helix_pack_welcome (dst, &as->welcome, any->name,
          as->welcome.features & HELIX_FEATURE_PROOF ? any->challenge : NULL);
    case HELIX_PROOF:
      return helix_pack_proof (dst, &as->proof);
    case HELIX_BYE:
      return helix_pack_bye (dst, as->bye.reason, any->text);
    case HELIX_ERROR:
      return helix_pack_error (dst, h->channel,
          (enum helix_error_code) as->error.code, as->error.refers, any->text);
    case HELIX_STATUS:
      return helix_pack_status (dst, &as->status, any->text);
    case HELIX_CLIENT:
      return helix_pack_client (dst, &as->client, any->name);
    case HELIX_CURSOR:
      bulk = h->size - sizeof as->cursor;
      return helix_pack_cursor (dst, h->channel, &as->cursor, (uint32_t) bulk);
    case HELIX_SHOW:
      return helix_pack_show (dst, h->channel, &as->show);
    case HELIX_SET_SCANOUT:
      return helix_pack_set_scanout (dst, &as->set_scanout);
    case HELIX_SUBSCRIBE:
      return helix_pack_subscribe (dst, h->channel, &as->subscribe);
    case HELIX_SCANOUT:
      return helix_pack_scanout (dst, h->channel, &as->scanout);
    case HELIX_POOL:
      return helix_pack_pool (dst, h->channel, &as->pool);
    case HELIX_FRAME:
      return helix_pack_frame (dst, h->channel, &as->frame, any->rects);
    case HELIX_RELEASE:
      return helix_pack_release (dst, h->channel, &as->release);
    case HELIX_CAPS:
      return helix_pack_caps (dst, &as->caps);
    case HELIX_UNIT:
      bulk = h->size - sizeof as->unit;
      return helix_pack_unit (dst, &as->unit, (uint32_t) bulk);
    case HELIX_KEYFRAME:
      return helix_pack_keyframe (dst, &as->keyframe);
    case HELIX_CONFIG:
      return helix_pack_config (dst, &as->config);
    case HELIX_STATS:
      return helix_pack_stats (dst, &as->stats);
    default:
      return helix_pack_empty (dst, (enum helix_type) any->type, h->channel);
  }
}
