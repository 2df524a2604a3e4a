/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both ends of the stream protocol, each with a peer that says anything at
 * any time, reads when it likes and sleeps for hours.
 *
 * First byte: bit 0 = which end, bit 1 = a stream that outlives sessions
 * (serial), the others what both ends are like. Each further byte chooses a
 * deed of the peer or of the program around: see deeds_at_host () and
 * deeds_at_guest ().
 */
#include <sys/socket.h>
#include <unistd.h>

#include <gst/gst.h>

#include "fuzz-input.h"
#include "helix-platform.h"
#include "helix-stream-connection.h"
#include "helix-stream-peer.h"

#define TOKEN "secret"
#define UNIT_BYTES 3000 /* of the units that are pushed */
#define STEP_NS G_GUINT64_CONSTANT (100000000) /* 0 to 25.5 s in a step */

static int pair[2]; /* ours, the peer's */
static guint64 now, sequence;
static guint right_proofs; /* that the peer has sent, perhaps not whole */
static guint in_session;   /* the host's end: 1 from BEGAN to ENDED */

static void
send_bytes (const uint8_t *bytes, size_t size)
{
  /* What does not fit is lost: half a message, as when a peer dies. */
  if (size > 0)
    MUST (send (pair[1], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) != 0);
}

static void
drain_peer (size_t most)
{
  uint8_t bytes[4096];

  while (most-- > 0 && recv (pair[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
    ;
}

static void
open_pair (void)
{
  int size = 8192;

  gst_init (NULL, NULL);
  MUST (socketpair (AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  MUST (helix_fd_prepare (pair[0]) == 0);
  /* So that a peer that does not read is soon a full one. */
  MUST (setsockopt (pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
  now = helix_now_ns ();
  sequence = 0;
  right_proofs = 0;
}

/* A PROOF of that round: right or not, whole or not. */
static void
say_proof (const HelixProofRound *round, const gchar *who, guint8 how)
{
  const gchar *other = g_str_equal (who, HELIX_PROOF_CLIENT)
      ? HELIX_PROOF_SERVER
      : HELIX_PROOF_CLIENT;
  uint8_t message[HELIX_MAX_MESSAGE];
  size_t size = helix_proof_pack (
      message, how & 8 ? other : who, how & 16 ? "guess" : TOKEN, round);

  right_proofs += !(how & 24);
  send_bytes (message, how & 32 ? size - 1 : size);
}

/* ---- the host's end ---- */

static const struct fuzz_type to_host[] = {
    {HELIX_PING, sizeof (struct helix_ping) / 4},
    {HELIX_PONG, sizeof (struct helix_pong) / 4},
    {HELIX_HELLO, sizeof (struct helix_hello) / 4},
    {HELIX_BYE, sizeof (struct helix_bye) / 4}, {HELIX_LIST, 0},
    {HELIX_ERROR, sizeof (struct helix_error) / 4},
    {HELIX_SHOW, sizeof (struct helix_show) / 4},
    {HELIX_KEYFRAME, sizeof (struct helix_keyframe) / 4},
    {HELIX_CONFIG, sizeof (struct helix_config) / 4},
    {HELIX_STATS, sizeof (struct helix_stats) / 4},
    {HELIX_SUBSCRIBE, sizeof (struct helix_subscribe) / 4},
    {HELIX_UNIT, sizeof (struct helix_unit) / 4}, {0x7f, 1}};

static HelixStreamUnit *
new_unit (gsize size)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);
  HelixStreamUnit *unit;

  gst_buffer_memset (buffer, 0, 'u', size);
  unit = helix_stream_unit_new (buffer);
  gst_buffer_unref (buffer);
  return unit;
}

static void
push (HelixStreamPeer *peer, guint8 flags)
{
  struct helix_caps caps = {.caps_id = 1u + (flags >> 7),
      .codec = HELIX_CODEC_H264,
      .width = 640,
      .height = 480,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};
  struct helix_unit head = {.sequence = ++sequence,
      .flags = flags & 1 ? HELIX_UNIT_KEY : 0,
      .caps_id = caps.caps_id,
      .sent_ns = now};
  HelixStreamUnit *unit = new_unit (UNIT_BYTES);
  guint before = peer->units;

  unit->arrived_ns = now;
  helix_stream_peer_push (peer, unit, &head, &caps);
  helix_stream_unit_unref (unit);
  MUST (helix_stream_peer_is_live (peer) || peer->units <= before);
}

static void
move_cursor (HelixStreamPeer *peer, guint8 how)
{
  HelixStreamCursor *cursor = &peer->host->cursor;

  cursor->known = TRUE;
  cursor->head.x = how;
  if (how & 1) {
    helix_stream_unit_unref (cursor->shape);
    cursor->shape = new_unit (8 * 8 * 4);
    cursor->head.serial++;
    cursor->head.width = cursor->head.height = 8;
  }
  peer->cursor_due = TRUE;
}

static void
on_event (gpointer user, HelixStreamPeer *peer, HelixStreamPeerEvent event,
    gconstpointer data)
{
  const struct helix_config *config = data;

  switch (event) {
    case HELIX_STREAM_PEER_BEGAN:
      MUST (helix_stream_peer_is_live (peer) && in_session++ == 0);
      break;
    case HELIX_STREAM_PEER_ENDED:
    case HELIX_STREAM_PEER_RESTARTED:
      MUST (!helix_stream_peer_is_live (peer) && --in_session == 0);
      break;
    case HELIX_STREAM_PEER_CONFIG:
      MUST (in_session);
      MUST (!(config->fields & HELIX_CONFIG_RATE) || config->rate_den > 0);
      break;
    case HELIX_STREAM_PEER_REFUSED:
      MUST (((const GError *) data)->message != NULL);
      break;
    default:
      MUST (in_session);
  }
}

/* What must hold after each deed. */
static void
look_at (const HelixStreamPeer *peer)
{
  gboolean live = helix_stream_peer_is_live (peer);

  MUST (live == (in_session == 1));
  MUST (peer->host->n_live[HELIX_ROLE_STREAM]
          + peer->host->n_live[HELIX_ROLE_CONTROL]
      == in_session);
  MUST (!live || peer->host->token == NULL || right_proofs > 0);
  /* A HELLO in an open session leaves the unit that is partly sent. */
  MUST (peer->server.state != HELIX_SERVER_PROVING || peer->units <= 1);
  MUST (peer->units <= 1
      || peer->out.bytes[HELIX_WRITER_UNITS] <= HELIX_STREAM_PEER_MAX_BYTES);
  MUST (peer->units <= peer->out.count[HELIX_WRITER_UNITS]);
  MUST (strlen (peer->server.name) <= HELIX_MAX_NAME);
  MUST (!live || peer->role == HELIX_ROLE_STREAM
      || peer->role == HELIX_ROLE_CONTROL);
}

static void
say_hello (guint8 role)
{
  const struct helix_hello hello = {.version_min = 1,
      .version_max = 1,
      .role = role & 1 ? 2 : 3,
      .features = role & 2 ? HELIX_FEATURE_PROOF : 0,
      .nonce = 7};
  uint8_t message[HELIX_MAX_MESSAGE];

  send_bytes (message, helix_pack_hello (message, &hello, "fuzz"));
}

static void
deed_at_host (struct fuzz_input *in, HelixStreamPeer *peer)
{
  uint8_t message[HELIX_MAX_MESSAGE], what;

  switch (fuzz_byte (in) % 9) {
    case 0:
      send_bytes (
          message, fuzz_message (in, to_host, G_N_ELEMENTS (to_host), message));
      break;
    case 1:
      send_bytes (message, fuzz_raw (in, message));
      break;
    case 2:
      what = fuzz_byte (in);
      if (what & 4)
        say_proof (&peer->proof, HELIX_PROOF_CLIENT, what);
      else
        say_hello (what);
      break;
    case 3:
      helix_stream_peer_read (peer, now);
      break;
    case 4:
      helix_stream_peer_flush (peer, 1 + 64u * fuzz_byte (in), now);
      break;
    case 5:
      push (peer, fuzz_byte (in));
      break;
    case 6:
      now += fuzz_byte (in) * STEP_NS;
      helix_stream_peer_tick (peer, now);
      break;
    case 7:
      drain_peer (fuzz_byte (in));
      break;
    case 8:
      move_cursor (peer, fuzz_byte (in));
      break;
  }
}

static void
deeds_at_host (struct fuzz_input *in, gboolean serial, guint8 how)
{
  HelixStreamHost host = {.max_age = 4 * STEP_NS,
      .token = how & 4 ? TOKEN : NULL,
      .recover = (how & 32) != 0,
      .max_live = {[HELIX_ROLE_STREAM] = !(how & 8),
          [HELIX_ROLE_CONTROL] = !(how & 16)},
      .event = on_event};
  HelixStreamPeer *peer =
      helix_stream_peer_new (&host, 1, pair[0], NULL, serial, now);

  in_session = 0;
  while (in->left > 0 && peer->life != HELIX_STREAM_PEER_DEAD) {
    deed_at_host (in, peer);
    look_at (peer);
  }
  helix_stream_peer_bye (peer, HELIX_BYE_CLOSING, now);
  helix_stream_peer_flush (peer, G_MAXSIZE, now);
  helix_stream_peer_free (peer);
  helix_stream_unit_unref (host.cursor.shape);
}

/* ---- the guest's end ---- */

static const struct fuzz_type to_guest[] = {
    {HELIX_PING, sizeof (struct helix_ping) / 4},
    {HELIX_PONG, sizeof (struct helix_pong) / 4},
    {HELIX_WELCOME, sizeof (struct helix_welcome) / 4},
    {HELIX_BYE, sizeof (struct helix_bye) / 4},
    {HELIX_ERROR, sizeof (struct helix_error) / 4},
    {HELIX_CAPS, sizeof (struct helix_caps) / 4},
    {HELIX_UNIT, sizeof (struct helix_unit) / 4},
    {HELIX_CURSOR, sizeof (struct helix_cursor) / 4},
    {HELIX_STATUS, sizeof (struct helix_status) / 4},
    {HELIX_FRAME, sizeof (struct helix_frame) / 4}, {0x7f, 1}};

/* Asks for a proof, or not; then comes the own one, or not. */
static void
say_welcome (const HelixStreamConnection *client, guint8 how)
{
  const guint8 challenge[HELIX_CHALLENGE_SIZE] = {how};
  const struct helix_welcome welcome = {.version = 1,
      .role = client->config.role,
      .nonce = client->connection->proof.nonce};
  uint8_t message[HELIX_MAX_MESSAGE];

  if (client->connection->welcomed)
    say_proof (
        &client->connection->proof, HELIX_PROOF_SERVER, how & 64 ? 16 : 0);
  else
    send_bytes (message,
        helix_pack_welcome (
            message, &welcome, "fuzz", how & 32 ? challenge : NULL));
}

/* CAPS, and units that fit it or nearly so. */
static void
say_unit (struct fuzz_input *in)
{
  struct helix_caps caps = {.caps_id = 1,
      .codec = HELIX_CODEC_H264,
      .width = 640,
      .height = 480,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};
  guint8 flags = fuzz_byte (in), bulk[300] = {0};
  struct helix_unit head = {.sequence = sequence += flags >> 6,
      .flags = flags & 3,
      .caps_id = 1,
      .sent_ns = now};
  uint8_t message[HELIX_MAX_MESSAGE];

  if (flags & 4)
    send_bytes (message, helix_pack_caps (message, &caps));
  send_bytes (message, helix_pack_unit (message, &head, sizeof bulk));
  send_bytes (bulk, flags & 8 ? sizeof bulk : fuzz_byte (in));
}

static gboolean
read_client (HelixStreamConnection *client)
{
  HelixConnectionEvent event = helix_stream_connection_read (client);

  if (event != HELIX_CONNECTION_MESSAGE)
    return event != HELIX_CONNECTION_LOST;
  switch (client->item.kind) {
    case HELIX_STREAM_UNIT:
      MUST (client->item.buffer != NULL && client->connection->live);
      MUST (client->item.unit.caps_id == client->item.caps.caps_id);
      client->item.discont = FALSE;
      break;
    case HELIX_STREAM_CURSOR:
      MUST (client->item.cursor.scanout < HELIX_MAX_SCANOUTS);
      MUST (client->item.buffer == NULL
          || gst_buffer_get_size (client->item.buffer)
              == (gsize) client->item.cursor.width * client->item.cursor.height
                  * 4);
      break;
    case HELIX_STREAM_CAPS:
      MUST (client->item.caps.caps_id != 0);
      break;
    default:
      MUST (client->item.kind == HELIX_STREAM_WARNING);
      MUST (strlen (client->connection->text) <= HELIX_MAX_TEXT);
  }
  gst_clear_buffer (&client->item.buffer);
  return TRUE;
}

/* FALSE: the connection is over. */
static gboolean
deed_at_guest (struct fuzz_input *in, HelixStreamConnection *client, guint8 how)
{
  const struct helix_config config = {
      .fields = HELIX_CONFIG_BITRATE, .bitrate = 1000000, .rate_den = 1};
  uint8_t message[HELIX_MAX_MESSAGE];

  switch (fuzz_byte (in) % 9) {
    case 0:
      send_bytes (message,
          fuzz_message (in, to_guest, G_N_ELEMENTS (to_guest), message));
      break;
    case 1:
      send_bytes (message, fuzz_raw (in, message));
      break;
    case 2:
      say_welcome (client, how);
      break;
    case 3:
      for (guint i = fuzz_byte (in); i > 0; i--)
        if (!read_client (client))
          return FALSE;
      break;
    case 4:
      helix_connection_flush (client->connection);
      break;
    case 5:
      say_unit (in);
      break;
    case 6:
      now += fuzz_byte (in) * STEP_NS;
      return helix_stream_connection_tick (client, now) != 0;
    case 7:
      drain_peer (fuzz_byte (in));
      break;
    case 8:
      helix_stream_connection_ask (client, fuzz_byte (in) % 3, now);
      helix_stream_connection_request (
          client, message, helix_pack_config (message, &config));
      break;
  }
  return TRUE;
}

static void
deeds_at_guest (struct fuzz_input *in, gboolean serial, guint8 how)
{
  const HelixStreamConnectionConfig config = {.address = "fuzz",
      .serial = serial,
      .strangers = (how & 4) != 0,
      .role = how & 8 ? HELIX_ROLE_CONTROL : HELIX_ROLE_STREAM,
      .token = how & 16 ? TOKEN : NULL,
      .name = "fuzz"};
  HelixStreamConnection *client =
      helix_stream_connection_new (pair[0], &config, now);

  while (in->left > 0 && deed_at_guest (in, client, how))
    MUST (
        !client->connection->live || config.token == NULL || right_proofs > 0);
  helix_stream_connection_free (client);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct fuzz_input in = {data, size};
  uint8_t how = fuzz_byte (&in);

  open_pair ();
  if (how & 1)
    deeds_at_guest (&in, (how & 2) != 0, how);
  else
    deeds_at_host (&in, (how & 2) != 0, how);
  close (pair[1]);
  return 0;
}
