/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a peer says, and what it gets for an answer. */
#include <string.h>

#include "helix-platform.h"
#include "helix-stream-debug.h"
#include "helix-stream-session-private.h"

#define GST_CAT_DEFAULT helix_stream_debug

static gboolean
has_room (const HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint32 role)
{
  /* It keeps its place, which the policy still counts if it was live then. */
  if ((self->state == HELIX_STREAM_SESSION_LIVE || self->restarted)
      && self->role == role)
    return TRUE;
  return role == HELIX_ROLE_STREAM ? !policy->full : !policy->control_full;
}

/* HELLO ends what was before. */
static void
forget_session (HelixStreamSession *self, guint64 now)
{
  if (self->state == HELIX_STREAM_SESSION_LIVE) {
    self->restarted = TRUE;
    self->opened = now;
  }
  self->state = HELIX_STREAM_SESSION_GREETING;
  self->needs_key = self->owes_key = self->asks_again = FALSE;
  self->lists = 0;
  self->out.cursor_serial = 0;
  /* The new session must not wait for the old one's backlog. */
  if (self->resync)
    helix_stream_session_abandon (self);
  else
    helix_stream_session_drop (self);
}

static void
go_live (HelixStreamSession *self, guint64 now)
{
  self->state = HELIX_STREAM_SESSION_LIVE;
  self->live_since = now;
  g_clear_pointer (&self->reason, g_free);
  self->waits_key = self->needs_key = self->role == HELIX_ROLE_STREAM;
  self->last_ping = now;
  if (self->role == HELIX_ROLE_STREAM)
    self->last_ping -= HELIX_STREAM_SESSION_PING_NS; /* due at once */
  self->n_probes = 0;
  self->skipped_at = 0;
  self->best_trip = HELIX_NONE64;
  self->slow = FALSE;
  memset (&self->told, 0, sizeof self->told);
}

static gboolean
check_room (HelixStreamSession *self, const HelixStreamSessionPolicy *policy,
    guint32 role, guint64 now)
{
  if (has_room (self, policy, role))
    return TRUE;
  helix_stream_session_refuse (self, HELIX_ERROR_BUSY, HELIX_HELLO,
      role == HELIX_ROLE_STREAM
          ? "max-clients are connected already"
          : "too many are connected already that only steer",
      now);
  return FALSE;
}

/* HELLO is good: WELCOME, and with it, if there is a token, the question for a
 * proof of it, before anything else is told. */
static void
welcome_peer (HelixStreamSession *self, const HelixStreamSessionPolicy *policy,
    const struct helix_hello *hello, const gchar *name, guint64 now)
{
  gboolean proves = policy->token != NULL;
  struct helix_welcome welcome = {
      .version = MIN (hello->version_max, HELIX_VERSION_MAX),
      .role = hello->role,
      .nonce = hello->nonce,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  forget_session (self, now);
  self->role = hello->role;
  self->pid = hello->pid;
  g_strlcpy (self->name, name, sizeof self->name);
  self->proof.nonce = hello->nonce;
  if (proves
      && helix_random (self->proof.challenge, sizeof self->proof.challenge)
          < 0) {
    helix_stream_session_refuse (self, HELIX_ERROR_AUTH, HELIX_HELLO,
        "this system gives no random bytes to prove the token with", now);
    return;
  }
  if (proves)
    self->state = HELIX_STREAM_SESSION_PROVING;
  else
    go_live (self, now);
  helix_stream_session_say (self, message,
      helix_pack_welcome (message, &welcome,
          "helixguestsink " HELIX_PACKAGE_VERSION,
          proves ? self->proof.challenge : NULL));
}

static void
got_hello (HelixStreamSession *self, const HelixStreamSessionPolicy *policy,
    guint64 now)
{
  const struct helix_reader *r = &self->reader;
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_hello hello;
  const gchar *why;

  if (!helix_unpack_hello (&hello, name, r->payload, r->payload_size, &why)) {
    helix_stream_session_refuse (
        self, HELIX_ERROR_PROTOCOL, HELIX_HELLO, why, now);
    return;
  }
  if (hello.version_min > HELIX_VERSION_MAX
      || hello.version_max < HELIX_VERSION_MIN) {
    g_autofree gchar *text = g_strdup_printf (
        "it speaks versions %u to %u, this end %u to %u: update the older "
        "end",
        hello.version_min, hello.version_max, HELIX_VERSION_MIN,
        HELIX_VERSION_MAX);
    helix_stream_session_refuse (
        self, HELIX_ERROR_VERSION, HELIX_HELLO, text, now);
    return;
  }
  if (hello.role != HELIX_ROLE_STREAM && hello.role != HELIX_ROLE_CONTROL) {
    helix_stream_session_refuse (self, HELIX_ERROR_ROLE, HELIX_HELLO,
        "this is helixguestsink, which speaks the stream protocol to "
        "helixsrc; helixqemusrc connects to the shim's socket",
        now);
    return;
  }
  if (hello.token_size > 0) {
    helix_stream_session_refuse (self, HELIX_ERROR_AUTH, HELIX_HELLO,
        "it sent its token in the clear, as older versions did: update it",
        now);
    return;
  }
  if (policy->token != NULL && !(hello.features & HELIX_FEATURE_PROOF)) {
    helix_stream_session_refuse (self, HELIX_ERROR_AUTH, HELIX_HELLO,
        "this server asks for a token: set the property token-file or token",
        now);
    return;
  }
  /* Whether there is room is not told before the token is proved. */
  if (policy->token != NULL || check_room (self, policy, hello.role, now))
    welcome_peer (self, policy, &hello, name, now);
}

static void
got_proof (HelixStreamSession *self, const HelixStreamSessionPolicy *policy,
    guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_proof proof;
  const gchar *why;

  if (!helix_unpack_proof (&proof, r->payload, r->payload_size, &why)) {
    helix_stream_session_refuse (
        self, HELIX_ERROR_PROTOCOL, HELIX_PROOF, why, now);
    return;
  }
  if (!helix_proof_is_right (
          &proof, HELIX_PROOF_CLIENT, policy->token, &self->proof)) {
    helix_stream_session_refuse (self, HELIX_ERROR_AUTH, HELIX_PROOF,
        "the token is wrong: set the same token at both ends", now);
    return;
  }
  if (!check_room (self, policy, self->role, now))
    return;
  go_live (self, now);
  helix_stream_session_say (self, message,
      helix_proof_pack (
          message, HELIX_PROOF_SERVER, policy->token, &self->proof));
}

/* Only the fields that it names; what it wished before still holds. */
static void
got_config (HelixStreamSession *self, const struct helix_config *config)
{
  struct helix_config *wish = &self->wish;

  if (config->fields & HELIX_CONFIG_BITRATE)
    wish->bitrate = config->bitrate;
  if (config->fields & HELIX_CONFIG_RATE) {
    wish->rate_num = config->rate_num;
    wish->rate_den = config->rate_den;
  }
  if (config->fields & HELIX_CONFIG_SCANOUT)
    wish->scanout = config->scanout;
  if (config->fields & HELIX_CONFIG_RESOURCE)
    wish->resource_id = config->resource_id;
  /* What is to be seen is as the later of the two says; a SHOW after this is
   * told after it. */
  if (config->fields & (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE))
    self->show.resource_id = 0;
  wish->fields |= config->fields
      & (HELIX_CONFIG_BITRATE | HELIX_CONFIG_RATE | HELIX_CONFIG_SCANOUT
          | HELIX_CONFIG_RESOURCE);
}

static void
got_keyframe (HelixStreamSession *self, guint64 now)
{
  if (now - self->last_asked < HELIX_STREAM_SESSION_KEYFRAME_NS) {
    self->asks_again = TRUE;
    return;
  }
  self->last_asked = now;
  self->asks_again = FALSE;
  self->needs_key = TRUE;
}

static void
got_pong (HelixStreamSession *self, const struct helix_pong *pong, guint64 now)
{
  guint i = 0;

  while (i < self->n_probes && self->probes[i].sent != pong->ping_ns)
    i++;
  if (i == self->n_probes)
    return; /* nobody asked, or nobody cares any more */
  self->best_trip =
      MIN (self->best_trip, now > pong->ping_ns ? now - pong->ping_ns : 0);
  self->n_probes -= i + 1;
  memmove (&self->probes[0], &self->probes[i + 1],
      self->n_probes * sizeof self->probes[0]);
}

static void
answer_unknown (HelixStreamSession *self)
{
  const struct helix_header *header = &self->reader.header;
  guint8 message[HELIX_MAX_MESSAGE];

  helix_stream_session_say (self, message,
      helix_pack_error (message, header->channel, HELIX_ERROR_UNSUPPORTED,
          header->type, "this message means nothing to helixguestsink"));
}

/* Before HELLO: what has a meaning later is too early; on a stream that
 * outlives sessions it may be a leftover. */
static void
got_greeting (HelixStreamSession *self, guint64 now)
{
  guint8 type = self->reader.header.type;

  if (helix_type_is_known (type) && !self->resync)
    helix_stream_session_refuse (self, HELIX_ERROR_PROTOCOL, type,
        self->state == HELIX_STREAM_SESSION_PROVING
            ? "the message after WELCOME must be PROOF"
            : "the first message must be HELLO",
        now);
  else if (!helix_type_is_known (type))
    answer_unknown (self);
}

static void
got_live (HelixStreamSession *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  struct helix_keyframe keyframe;
  struct helix_config config;
  struct helix_stats stats;
  struct helix_show show;
  const gchar *why = NULL;

  switch (r->header.type) {
    case HELIX_KEYFRAME:
      if (helix_unpack_keyframe (&keyframe, r->payload, r->payload_size, &why))
        got_keyframe (self, now);
      break;
    case HELIX_STATS:
      if (helix_unpack_stats (&stats, r->payload, r->payload_size, &why))
        self->told = stats;
      break;
    case HELIX_CONFIG:
      if (helix_unpack_config (&config, r->payload, r->payload_size, &why))
        got_config (self, &config);
      break;
    case HELIX_SHOW:
      if (helix_unpack_show (&show, r->payload, r->payload_size, &why))
        self->show = show;
      break;
    case HELIX_LIST:
      if (self->lists < HELIX_STREAM_SESSION_MAX_LISTS)
        self->lists++;
      else
        helix_stream_session_refuse (self, HELIX_ERROR_LIMIT, HELIX_LIST,
            "too many LISTs at once; wait for the answers", now);
      break;
    default:
      answer_unknown (self);
      break;
  }
  if (why != NULL)
    helix_stream_session_refuse (
        self, HELIX_ERROR_PROTOCOL, r->header.type, why, now);
}

/* On a stream that outlives sessions: a guest that speaks as if there were
 * one. It had it with our predecessor, or before we gave it up, and nobody
 * told it. A bare PING is anybody's, one with a time is a session's. */
static gboolean
is_orphan (const HelixStreamSession *self)
{
  const struct helix_reader *r = &self->reader;
  gboolean greeting = self->state == HELIX_STREAM_SESSION_GREETING;

  switch (r->header.type) {
    case HELIX_PING:
      return self->resync && greeting && r->payload_size > 0;
    case HELIX_PROOF:
      return self->resync && greeting;
    case HELIX_STATS:
    case HELIX_KEYFRAME:
    case HELIX_CONFIG:
    case HELIX_SHOW:
    case HELIX_LIST:
      return self->resync && self->state < HELIX_STREAM_SESSION_LIVE;
    default:
      return FALSE;
  }
}

void
helix_stream_session_message (HelixStreamSession *self,
    const HelixStreamSessionPolicy *policy, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  gchar text[HELIX_MAX_TEXT + 1];
  struct helix_error error;
  struct helix_ping ping;
  struct helix_pong pong;
  struct helix_bye bye;
  const gchar *why = NULL;

  if (is_orphan (self)) {
    /* Nothing is closed: it says HELLO over the very same descriptor. */
    helix_stream_session_say (self, message,
        helix_pack_error (message, 0, HELIX_ERROR_TIMEOUT, r->header.type,
            "the session is over; say HELLO"));
    return;
  }
  switch (r->header.type) {
    case HELIX_PING:
      if (helix_unpack_ping (&ping, r->payload, r->payload_size, &why))
        helix_stream_session_say (self, message,
            helix_pack_pong_for (
                message, &r->header, r->payload, now, helix_now_ns ()));
      break;
    case HELIX_PONG:
      if (helix_unpack_pong (&pong, r->payload, r->payload_size, &why))
        got_pong (self, &pong, now);
      break;
    case HELIX_BYE:
      if (helix_unpack_bye (&bye, text, r->payload, r->payload_size, &why))
        helix_stream_session_end (self, "it said goodbye");
      break;
    case HELIX_HELLO:
      got_hello (self, policy, now);
      break;
    case HELIX_ERROR:
      if (helix_unpack_error (
              &error, text, r->payload, r->payload_size, &why)) {
        GST_WARNING ("client %u reports %s: %s", self->id,
            helix_error_name (error.code), text);
        if (helix_error_is_fatal (error.code))
          helix_stream_session_end (self, text);
      }
      break;
    default:
      if (self->state == HELIX_STREAM_SESSION_LIVE)
        got_live (self, now);
      else if (self->state == HELIX_STREAM_SESSION_PROVING
          && r->header.type == HELIX_PROOF)
        got_proof (self, policy, now);
      else
        got_greeting (self, now);
      break;
  }
  if (why != NULL)
    helix_stream_session_refuse (
        self, HELIX_ERROR_PROTOCOL, r->header.type, why, now);
}
