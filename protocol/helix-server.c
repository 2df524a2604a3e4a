/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a server can, of what its client offers. PROOF is set by the challenge
 * (helix_pack_welcome). */
#define FEATURES HELIX_FEATURE_SHM

void
helix_server_init (
    struct helix_server *server, enum helix_role role, uint64_t now_ns)
{
  memset (server, 0, sizeof *server);
  server->role = role;
  server->lists.left = HELIX_LIST_BURST;
  server->lists.time_ns = now_ns;
}

bool
helix_bucket_spend (struct helix_bucket *bucket, uint32_t burst,
    uint64_t every_ns, uint64_t now_ns)
{
  uint64_t earned = (now_ns - bucket->time_ns) / every_ns;

  if (earned > 0) {
    earned += bucket->left;
    bucket->left = earned < burst ? (uint32_t) earned : burst;
    bucket->time_ns = now_ns;
  }
  if (bucket->left == 0)
    return false;
  bucket->left--;
  return true;
}

size_t
helix_server_welcome (struct helix_server *server, uint8_t *dst,
    uint32_t scanouts, uint32_t pid, const char *name,
    const uint8_t challenge[HELIX_CHALLENGE_SIZE])
{
  const struct helix_hello *hello = &server->hello;
  struct helix_welcome welcome = {0};

  server->state = challenge ? HELIX_SERVER_PROVING : HELIX_SERVER_OPEN;
  welcome.version = hello->version_max < HELIX_VERSION_MAX ? hello->version_max
                                                           : HELIX_VERSION_MAX;
  welcome.scanouts = (uint16_t) scanouts;
  welcome.role = hello->role;
  if (server->role == HELIX_ROLE_FRAMES)
    welcome.features = hello->features & FEATURES;
  welcome.pid = challenge ? 0 : pid;
  welcome.nonce = hello->nonce;
  return helix_pack_welcome (dst, &welcome, name, challenge);
}

/* ---- what is wrong with a message ---- */

static enum helix_server_verdict __attribute__ ((format (printf, 4, 5)))
refuse (const struct helix_reader *reader, enum helix_error_code code,
    struct helix_server_said *said, const char *format, ...)
{
  va_list args;

  said->code = code;
  said->refers = reader->header.type;
  said->channel = code == HELIX_ERROR_UNSUPPORTED ? reader->header.channel : 0;
  va_start (args, format);
  vsnprintf (said->text, sizeof said->text, format, args);
  va_end (args);
  return HELIX_SERVER_REFUSE;
}

static enum helix_server_verdict
take_hello (struct helix_server *server, const struct helix_reader *reader,
    struct helix_server_said *said)
{
  bool frames = server->role == HELIX_ROLE_FRAMES;
  char name[HELIX_MAX_NAME + 1];
  struct helix_hello hello;
  const char *why;

  if (frames && server->state != HELIX_SERVER_NEW)
    return refuse (reader, HELIX_ERROR_PROTOCOL, said, "HELLO came twice");
  if (!helix_unpack_hello (
          &hello, name, reader->payload, reader->payload_size, &why))
    return refuse (reader, HELIX_ERROR_PROTOCOL, said, "%s", why);
  if (hello.version_min > HELIX_VERSION_MAX
      || hello.version_max < HELIX_VERSION_MIN)
    return refuse (reader, HELIX_ERROR_VERSION, said,
        "the client speaks versions %u to %u, this server %u to %u: update "
        "the older one",
        hello.version_min, hello.version_max, HELIX_VERSION_MIN,
        HELIX_VERSION_MAX);
  if (frames && hello.role != HELIX_ROLE_FRAMES)
    return refuse (reader, HELIX_ERROR_ROLE, said,
        "this socket speaks the frame protocol (helixqemusrc), role %u was "
        "asked",
        hello.role);
  if (!frames && hello.role != HELIX_ROLE_STREAM
      && hello.role != HELIX_ROLE_CONTROL)
    return refuse (reader, HELIX_ERROR_ROLE, said,
        "this is helixguestsink, which speaks the stream protocol to "
        "helixsrc; helixqemusrc connects to the shim's socket");
  if (!frames && hello.token_size > 0)
    return refuse (reader, HELIX_ERROR_AUTH, said,
        "it sent its token in the clear, as older versions did: update it");
  if (server->proves && !(hello.features & HELIX_FEATURE_PROOF))
    return refuse (reader, HELIX_ERROR_AUTH, said,
        "this server asks for a token: set the property token-file or token");
  server->hello = hello;
  memcpy (server->name, name, sizeof name);
  return HELIX_SERVER_HELLO;
}

/* ---- which message has a place ---- */

/* A server's clients send it in an open session; LIST included. */
static bool
is_own (const struct helix_server *server, uint8_t type)
{
  bool frames = server->role == HELIX_ROLE_FRAMES;

  switch (type) {
    case HELIX_LIST:
    case HELIX_SHOW:
      return true;
    case HELIX_SUBSCRIBE:
    case HELIX_UNSUBSCRIBE:
    case HELIX_RELEASE:
    case HELIX_SET_SCANOUT:
      return frames;
    case HELIX_KEYFRAME:
    case HELIX_CONFIG:
    case HELIX_STATS:
      return !frames;
    default:
      return false;
  }
}

/* Where the stream lasts: a client that speaks as if there were a session. It
 * had it with a server before this one, or before this one gave it up, and was
 * not told. A bare PING may be anyone's, one with a time is a session's. */
static bool
is_orphan (const struct helix_server *server, const struct helix_reader *reader)
{
  uint8_t type = reader->header.type;

  if (!server->lasts || server->state == HELIX_SERVER_OPEN)
    return false;
  if (is_own (server, type))
    return true;
  return server->state == HELIX_SERVER_NEW
      && (type == HELIX_PROOF
          || (type == HELIX_PING && reader->payload_size > 0));
}

static enum helix_server_verdict
take_other (struct helix_server *server, const struct helix_reader *reader,
    uint64_t received_ns, struct helix_server_said *said)
{
  uint8_t type = reader->header.type;
  const char *why;

  if (!helix_type_is_known (type))
    return refuse (reader, HELIX_ERROR_UNSUPPORTED, said,
        "messages of type 0x%02x are not known here", type);
  if (server->state == HELIX_SERVER_PROVING && type == HELIX_PROOF) {
    if (!helix_unpack_proof (
            &said->proof, reader->payload, reader->payload_size, &why))
      return refuse (reader, HELIX_ERROR_PROTOCOL, said, "%s", why);
    return HELIX_SERVER_PROOF;
  }
  if (server->state != HELIX_SERVER_OPEN && server->lasts)
    return HELIX_SERVER_NOTHING; /* perhaps a leftover */
  if (server->state != HELIX_SERVER_OPEN)
    return refuse (reader, HELIX_ERROR_PROTOCOL, said, "%s before %s",
        helix_type_name (type),
        server->state == HELIX_SERVER_PROVING ? "PROOF" : "HELLO");
  if (!is_own (server, type))
    return refuse (reader, HELIX_ERROR_UNSUPPORTED, said,
        "%s means nothing to this server", helix_type_name (type));
  if (type == HELIX_LIST
      && !helix_bucket_spend (
          &server->lists, HELIX_LIST_BURST, HELIX_LIST_EVERY_NS, received_ns))
    return refuse (
        reader, HELIX_ERROR_LIMIT, said, "too many LISTs; wait a second");
  return HELIX_SERVER_MESSAGE;
}

enum helix_server_verdict
helix_server_take (struct helix_server *server,
    const struct helix_reader *reader, uint64_t received_ns, uint64_t now_ns,
    struct helix_server_said *said)
{
  const uint8_t *payload = reader->payload;
  size_t size = reader->payload_size;
  struct helix_error error;
  struct helix_ping ping;
  struct helix_bye bye;
  const char *why;

  if (is_orphan (server, reader)) {
    /* Nothing is closed: the client says HELLO over the very same stream. */
    said->size = helix_pack_error (said->answer, 0, HELIX_ERROR_TIMEOUT,
        reader->header.type, "the session is over; say HELLO");
    return HELIX_SERVER_ANSWER;
  }
  switch (reader->header.type) {
    case HELIX_PING:
      if (!helix_unpack_ping (&ping, payload, size, &why))
        break;
      said->size = helix_pack_pong_for (
          said->answer, &reader->header, payload, received_ns, now_ns);
      return HELIX_SERVER_ANSWER;
    case HELIX_PONG:
      if (!helix_unpack_pong (&said->pong, payload, size, &why))
        break;
      return HELIX_SERVER_PONG;
    case HELIX_BYE:
      if (!helix_unpack_bye (&bye, said->text, payload, size, &why))
        break;
      return HELIX_SERVER_BYE;
    case HELIX_ERROR:
      if (!helix_unpack_error (&error, said->text, payload, size, &why))
        break;
      said->code = error.code;
      return HELIX_SERVER_ERROR;
    case HELIX_HELLO:
      return take_hello (server, reader, said);
    default:
      return take_other (server, reader, received_ns, said);
  }
  return refuse (reader, HELIX_ERROR_PROTOCOL, said, "%s", why);
}
