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
/* Its peers are fuzzed without its thread. */
#include "helix-stream-server.c"

#include "fuzz-input.h"
#include "helix-stream-client.h"

#define TOKEN "secret"
#define UNIT_BYTES 3000 /* of the units that are pushed */
#define STEP_NS G_GUINT64_CONSTANT (100000000) /* 0 to 25.5 s in a step */

static int pair[2]; /* ours, the peer's */
static guint64 now, sequence;
static guint right_proofs; /* that the peer has sent, perhaps not whole */

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

static Unit *
new_unit (gsize size)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);
  Unit *unit;

  gst_buffer_memset (buffer, 0, 'u', size);
  unit = unit_new (buffer);
  gst_buffer_unref (buffer);
  return unit;
}

static void
push (Peer *peer, guint8 flags)
{
  struct helix_unit head = {.sequence = ++sequence,
      .flags = flags & 1 ? HELIX_UNIT_KEY : 0,
      .caps_id = 1u + (flags >> 7),
      .sent_ns = now};
  Unit *unit = new_unit (UNIT_BYTES);
  guint before = n_waiting (peer);

  unit->arrived_ns = now;
  peer->owner->caps.caps_id = head.caps_id;
  peer_push (peer, unit, &head);
  unit_unref (unit);
  MUST (peer_is_live (peer) || n_waiting (peer) <= before);
}

static void
move_cursor (Peer *peer, guint8 how)
{
  struct helix_cursor cursor = peer->owner->cursor;
  Unit *shape = how & 1 ? new_unit (8 * 8 * 4) : NULL;

  cursor.x = how;
  if (shape != NULL) {
    cursor.serial++;
    cursor.width = cursor.height = 8;
  }
  keep_cursor (peer->owner, &cursor, shape);
}

/* The events of a session: it begins, requests, ends. */
static void
take_events (HelixStreamServer *server)
{
  static guint watching;
  HelixStreamServerEvent *event;

  while ((event = g_queue_pop_head (&server->events)) != NULL) {
    switch (event->type) {
      case HELIX_STREAM_SERVER_ADDED:
        MUST (watching++ == 0);
        break;
      case HELIX_STREAM_SERVER_REMOVED:
        MUST (--watching == 0 && event->text != NULL);
        break;
      case HELIX_STREAM_SERVER_CONFIG:
        MUST (event->config.fields != 0);
        MUST (!(event->config.fields & HELIX_CONFIG_RATE)
            || event->config.rate_den > 0);
        break;
      case HELIX_STREAM_SERVER_SHOW:
        MUST (event->show.resource_id != 0);
        break;
      case HELIX_STREAM_SERVER_PROBLEM:
        MUST (event->error->message != NULL);
        break;
      case HELIX_STREAM_SERVER_KEYFRAME:
        break;
      case HELIX_STREAM_SERVER_FATAL:
        MUST (FALSE);
    }
    event_free (event);
  }
  MUST (watching == server->n_live[HELIX_ROLE_STREAM]);
}

/* What must hold after each deed. */
static void
look_at (const Peer *peer)
{
  gboolean live = peer_is_live (peer);

  MUST (peer->owner->n_live[HELIX_ROLE_STREAM]
          + peer->owner->n_live[HELIX_ROLE_CONTROL]
      == (guint) live);
  MUST (!live || peer->owner->token == NULL || right_proofs > 0);
  /* A HELLO in an open session leaves the unit that is partly sent. */
  MUST (peer->session.state != HELIX_SERVER_PROVING || n_waiting (peer) <= 1);
  MUST (n_waiting (peer) <= 1
      || peer->out.bytes[HELIX_WRITER_UNITS] <= MAX_BYTES);
  MUST (strlen (peer->session.name) <= HELIX_MAX_NAME);
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
deed_at_host (struct fuzz_input *in, Peer *peer)
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
      peer_read (peer, now);
      break;
    case 4:
      peer_flush (peer, 1 + 64u * fuzz_byte (in), now);
      break;
    case 5:
      push (peer, fuzz_byte (in));
      break;
    case 6:
      now += fuzz_byte (in) * STEP_NS;
      peer_tick (peer, now);
      tick_requests (peer->owner, now);
      tick_key (peer->owner, now);
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
  HelixListener listener = {0};
  HelixStreamServer server = {.max_age = 4 * STEP_NS,
      .listener = serial ? NULL : &listener,
      .token = how & 4 ? (gchar *) TOKEN : NULL,
      .recover = (how & 32) != 0,
      .max_live = {[HELIX_ROLE_STREAM] = !(how & 8),
          [HELIX_ROLE_CONTROL] = !(how & 16)},
      .peers = g_ptr_array_new (),
      .caps = {.codec = HELIX_CODEC_H264,
          .width = 640,
          .height = 480,
          .rate_den = 1,
          .par_num = 1,
          .par_den = 1},
      .applies = TRUE};
  Peer *peer = peer_new (&server, pair[0], NULL, now);

  g_ptr_array_add (server.peers, peer);
  while (in->left > 0 && peer->life != LIFE_DEAD) {
    deed_at_host (in, peer);
    take_events (&server);
    look_at (peer);
  }
  peer_bye (peer, HELIX_BYE_CLOSING, now);
  peer_flush (peer, G_MAXSIZE, now);
  take_events (&server);
  peer_free (peer);
  g_ptr_array_unref (server.peers);
  unit_unref (server.shape);
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

static HelixProofRound round_of_guest; /* nonce of its HELLO, our challenge */
static struct helix_hello guest_hello;
static gboolean welcomed;
static guint32 caps_id; /* of the CAPS taken last */

/* What the guest's end sends first: HELLO, on a serial port behind padding. */
static void
read_hello (gboolean serial)
{
  struct helix_reader reader;
  uint8_t *at;
  size_t size;
  const char *why;
  char name[HELIX_MAX_NAME + 1];

  helix_reader_init (&reader);
  if (serial)
    helix_reader_scan (&reader, HELIX_HELLO, 0);
  do {
    ssize_t n;

    helix_reader_want (&reader, &at, &size);
    n = recv (pair[1], at, size, MSG_DONTWAIT);
    MUST (n > 0);
    size = (size_t) n;
  } while (helix_reader_got (&reader, size) != HELIX_READER_MESSAGE);
  MUST (helix_unpack_hello (
      &guest_hello, name, reader.payload, reader.payload_size, &why));
  round_of_guest = (HelixProofRound){.nonce = guest_hello.nonce};
}

/* Asks for a proof, or not; then comes the own one, or not. */
static void
say_welcome (guint8 how)
{
  const struct helix_welcome welcome = {
      .version = 1, .role = guest_hello.role, .nonce = guest_hello.nonce};
  uint8_t message[HELIX_MAX_MESSAGE];

  round_of_guest.challenge[0] = how;
  if (welcomed)
    say_proof (&round_of_guest, HELIX_PROOF_SERVER, how & 64 ? 16 : 0);
  else
    send_bytes (message,
        helix_pack_welcome (message, &welcome, "fuzz",
            how & 32 ? round_of_guest.challenge : NULL));
  welcomed = TRUE;
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
is_connected (HelixStreamClient *client)
{
  g_autoptr (GstStructure) stats = helix_stream_client_stats (client, "stats");
  gboolean connected;

  MUST (gst_structure_get_boolean (stats, "connected", &connected));
  return connected;
}

/* What must hold after each deed. FALSE: nothing more comes. */
static gboolean
take_all (HelixStreamClient *client, const gchar *token)
{
  g_autoptr (GError) error = NULL;
  HelixStreamItem item;

  MUST (token == NULL || right_proofs > 0 || !is_connected (client));
  for (; helix_stream_client_take (client, &item, &error);
       g_clear_error (&error)) {
    switch (item.kind) {
      case HELIX_STREAM_CAPS:
        caps_id = item.caps.caps_id;
        MUST (caps_id != 0);
        break;
      case HELIX_STREAM_UNIT:
        MUST (item.buffer != NULL && item.unit.caps_id == caps_id);
        break;
      case HELIX_STREAM_CURSOR:
        MUST (item.cursor.scanout < HELIX_MAX_SCANOUTS);
        MUST (item.buffer == NULL
            || gst_buffer_get_size (item.buffer)
                == (gsize) item.cursor.width * item.cursor.height * 4);
        break;
      case HELIX_STREAM_WARNING:
        MUST (error != NULL);
        continue;
      default:
        return FALSE;
    }
    gst_clear_buffer (&item.buffer);
  }
  return TRUE;
}

static void
deed_at_guest (struct fuzz_input *in, HelixStreamClient *client, guint8 how)
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
      say_welcome (how);
      break;
    case 3:
      for (guint i = fuzz_byte (in); i > 0; i--)
        helix_stream_client_step (client, now);
      break;
    case 4:
      helix_stream_client_show (client, fuzz_byte (in), now);
      break;
    case 5:
      say_unit (in);
      break;
    case 6:
      now += fuzz_byte (in) * STEP_NS;
      helix_stream_client_step (client, now);
      break;
    case 7:
      drain_peer (fuzz_byte (in));
      break;
    case 8:
      if (fuzz_byte (in) & 1)
        helix_stream_client_ask_keyframe (client);
      helix_stream_client_configure (client, &config, 0);
      break;
  }
}

static void
deeds_at_guest (struct fuzz_input *in, gboolean serial, guint8 how)
{
  gboolean strangers = !serial && (how & 4) != 0;
  g_autoptr (HelixAddress) address =
      helix_address_parse (serial ? "serial:/fuzz"
              : strangers         ? "tcp:127.0.0.1:0"
                                  : "unix:/fuzz",
          NULL);
  const HelixStreamClientConfig config = {.address = address,
      .listen = strangers,
      .reconnect = strangers,
      .max_age_ms = HELIX_STREAM_MAX_AGE_MS,
      .role = how & 8 ? HELIX_ROLE_CONTROL : HELIX_ROLE_STREAM,
      .token = how & 16 ? TOKEN : NULL,
      .name = "fuzz"};
  HelixStreamClient *client = helix_stream_client_new (&config, NULL);

  helix_stream_client_adopt (client, pair[0], now);
  welcomed = FALSE;
  caps_id = 0;
  read_hello (serial);
  do
    deed_at_guest (in, client, how);
  while (take_all (client, config.token) && in->left > 0);
  helix_stream_client_free (client);
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
