/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool-peer.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-platform.h"
#include "helix-reader.h"

#define MS G_GUINT64_CONSTANT (1000000)

struct _ToolPeer {
  PeerKind kind;
  gchar *address;
  GSocketListener *listener;
  GCancellable *end;
  GThread *thread;
  GIOStream *stream; /* the connection */
  struct helix_reader reader;
  gboolean over; /* this connection */
  guint lists;   /* LISTs of it */
};

static const guint8 no_sps[] = {0, 0, 0, 1, 0x65, 0x88, 0x84, 0x00, 0x10};
/* SPS, PPS and an IDR slice by their first bytes, and noise behind. */
static const guint8 garbage[] = {0, 0, 0, 1, 0x67, 0xff, 0xff, 0xfe, 0x5a, 0, 0,
    0, 1, 0x68, 0xa5, 0x5a, 0, 0, 0, 1, 0x65, 0xde, 0xad, 0xbe, 0xef};

/* Nothing, when the connection or the peer is over. */
static void
say (ToolPeer *self, const void *data, gsize size)
{
  self->over = self->over
      || !g_output_stream_write_all (
          g_io_stream_get_output_stream (self->stream), data, size, NULL,
          self->end, NULL);
}

/* Returns the bytes that came; 0: the connection or the peer is over. */
static gsize
hear (ToolPeer *self, void *data, gsize size)
{
  gssize n = self->over
      ? 0
      : g_input_stream_read (g_io_stream_get_input_stream (self->stream), data,
          size, self->end, NULL);

  return (gsize) MAX (n, 0);
}

/* ---- strangers ---- */

static void
serve_stranger (ToolPeer *self)
{
  static const gchar vnc[] = "RFB 003.008\n",
                     web[] = "HTTP/1.1 400 Bad\r\n\r\n";
  guint8 buffer[512], message[HELIX_MAX_MESSAGE];
  gsize n;

  if (self->kind == PEER_VNC)
    say (self, vnc, sizeof vnc - 1);
  while (self->kind == PEER_FLOOD && !self->over)
    say (self, message, helix_pack_empty (message, HELIX_PING, 0));
  if (self->kind == PEER_FOREIGN)
    say (self, message,
        helix_pack_error (message, 0, HELIX_ERROR_AUTH, 0,
            "it is another user's connection"));
  self->over |= self->kind == PEER_CLOSES;
  while ((n = hear (self, buffer, sizeof buffer)) > 0) {
    if (self->kind == PEER_ECHO)
      say (self, buffer, n);
    if (self->kind == PEER_WEB)
      say (self, web, sizeof web - 1);
  }
}

/* ---- those that speak ---- */

static void
say_old_error (ToolPeer *self)
{
  struct helix_header header = {
      .magic = HELIX_MAGIC, .type = HELIX_ERROR, .size = 260};
  guint8 message[HELIX_HEADER_SIZE + 260] = {0};

  helix_pack_header (message, &header);
  /* error_code -1, then a text of 256 bytes */
  memset (message + HELIX_HEADER_SIZE, 0xff, 4);
  say (self, message, sizeof message);
}

/* Returns the role of the HELLO; 0: it is malformed. */
static guint32
say_welcome (ToolPeer *self, gboolean shim)
{
  gchar name[HELIX_MAX_NAME + 1];
  struct helix_welcome welcome = {.version = 1, .scanouts = shim ? 2 : 0};
  guint8 message[HELIX_MAX_MESSAGE];
  const guint8 challenge[HELIX_CHALLENGE_SIZE] = {0};
  struct helix_hello hello;
  const gchar *why;

  if (!helix_unpack_hello (
          &hello, name, self->reader.payload, self->reader.payload_size, &why))
    return 0;
  welcome.nonce = hello.nonce;
  welcome.role = hello.role;
  say (self, message,
      helix_pack_welcome (message, &welcome, "staged 0.1.0",
          self->kind == PEER_STREAM_PARROT ? challenge : NULL));
  return hello.role;
}

static void
say_scanouts (ToolPeer *self)
{
  guint8 message[HELIX_MAX_MESSAGE];

  for (guint i = 0; i < 2; i++) {
    struct helix_scanout scanout = {.scanout = i, .generation = 1};

    if (i == 0 && self->kind != PEER_SHIM_OFF
        && self->kind != PEER_SHIM_STUBBORN) {
      scanout.flags = HELIX_SCANOUT_ENABLED;
      scanout.resource_id = 1;
      scanout.width = 640;
      scanout.height = 96;
      scanout.fourcc = HELIX_FOURCC_BGRX;
    }
    say (self, message, helix_pack_scanout (message, 0, &scanout));
  }
}

static void
say_status (ToolPeer *self)
{
  gboolean endless = self->kind == PEER_STREAM_ENDLESS;
  guint clients = self->kind == PEER_STREAM_UNHEARD ? 3 : endless ? 1030 : 1;
  struct helix_status status = {.uptime_ns = 20000 * MS,
      .frames = 100,
      .keyframes = self->kind == PEER_STREAM_KEYLESS ? 0 : 3,
      .last_ns = self->kind == PEER_STREAM_STUCK ? 9000 * MS : 10 * MS,
      .clients = endless ? HELIX_NONE32 : clients};
  struct helix_client client = {.flags = HELIX_CLIENT_YOU,
      .role = HELIX_ROLE_CONTROL,
      .scanout = HELIX_NONE32,
      .received = HELIX_NONE64,
      .latency_ns = HELIX_NONE64,
      .last_ns = HELIX_NONE64};
  const gchar *text = "staged";
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->kind == PEER_STREAM_EMPTY) {
    status.frames = status.keyframes = 0;
    status.last_ns = HELIX_NONE64;
  }
  if (self->kind == PEER_STREAM_HELD) {
    status.encode_us = 760000;
    text = "x264enc, H.264 high 1920x1080";
  }
  say (self, message, helix_pack_status (message, &status, text));
  say (self, message, helix_pack_client (message, &client, "you"));
  client.index = 1;
  client.flags = 0;
  client.role = HELIX_ROLE_STREAM;
  client.connected_ns = 10000 * MS;
  client.frames = 90;
  for (; client.index < clients; client.index++)
    say (self, message,
        helix_pack_client (
            message, &client, client.index == 1 ? "a guest" : "another"));
}

static void
say_units (ToolPeer *self)
{
  struct helix_caps caps = {.caps_id = 1,
      .codec = HELIX_CODEC_H264,
      .width = 640,
      .height = 96,
      .rate_num = 30,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};
  struct helix_unit unit = {.dts = HELIX_NONE64,
      .duration = HELIX_NONE64,
      .capture_ns = HELIX_NONE64,
      .caps_id = 1,
      .flags = HELIX_UNIT_KEY};
  const guint8 *data = self->kind == PEER_STREAM_GARBAGE ? garbage : no_sps;
  gsize size =
      self->kind == PEER_STREAM_GARBAGE ? sizeof garbage : sizeof no_sps;
  guint8 message[HELIX_MAX_MESSAGE];

  if (self->kind < PEER_STREAM_NO_SPS)
    return;
  if (self->kind != PEER_STREAM_UNKNOWN)
    say (self, message, helix_pack_caps (message, &caps));
  for (guint i = 1; i <= 3; i++) {
    unit.sequence = i;
    unit.running_time = i * 33 * MS;
    say (self, message, helix_pack_unit (message, &unit, (guint32) size));
    say (self, data, size);
  }
}

static void
refuse (ToolPeer *self, guint32 code, guint8 type, const gchar *text)
{
  guint8 message[HELIX_MAX_MESSAGE];

  say (self, message, helix_pack_error (message, 0, code, type, text));
}

static void
answer_hello (ToolPeer *self)
{
  gboolean shim =
      self->kind >= PEER_SHIM_OFF && self->kind < PEER_STREAM_KEYLESS;
  guint32 role;

  if (self->kind == PEER_DEAF)
    return;
  if (self->kind == PEER_OLD) {
    say_old_error (self);
    return;
  }
  if (self->kind == PEER_SHIM_BUSY) {
    refuse (self, HELIX_ERROR_BUSY, HELIX_HELLO,
        "16 clients are connected already");
    self->over = TRUE;
    return;
  }
  role = say_welcome (self, shim);
  if (shim)
    say_scanouts (self);
  if (role == HELIX_ROLE_STREAM)
    say_units (self);
}

static void
answer (ToolPeer *self)
{
  const struct helix_reader *r = &self->reader;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_proof proof;
  const gchar *why;

  switch (r->header.type) {
    case HELIX_PING:
      if (self->kind != PEER_STREAM_MUTE)
        say (self, message,
            helix_pack_pong_for (message, &r->header, r->payload,
                helix_now_ns (), helix_now_ns ()));
      break;
    case HELIX_HELLO:
      answer_hello (self);
      break;
    case HELIX_PROOF:
      if (helix_unpack_proof (&proof, r->payload, r->payload_size, &why))
        say (self, message, helix_pack_proof (message, &proof));
      break;
    case HELIX_LIST:
      if (self->kind == PEER_SHIM_OLD
          || (self->kind == PEER_STREAM_FICKLE && self->lists++ > 0))
        refuse (self, HELIX_ERROR_UNSUPPORTED, HELIX_LIST, "what is that?");
      else if (self->kind != PEER_SHIM_LISTLESS)
        say_status (self);
      break;
    case HELIX_SUBSCRIBE:
      if (self->kind == PEER_SHIM_BLIND)
        refuse (self, HELIX_ERROR_READBACK, HELIX_SUBSCRIBE, "no GPU here");
      if (self->kind == PEER_SHIM_LEAVING) {
        say (self, message, helix_pack_bye (message, HELIX_BYE_CLOSING, NULL));
        self->over = TRUE;
      }
      break;
    case HELIX_SET_SCANOUT:
      if (self->kind == PEER_SHIM_STUBBORN)
        refuse (self, HELIX_ERROR_UNSUPPORTED, HELIX_SET_SCANOUT,
            "no monitors here");
      break;
    default:
      break;
  }
}

static void
serve_speaker (ToolPeer *self)
{
  enum helix_reader_status status = HELIX_READER_MORE;
  uint8_t *ptr;
  size_t len;

  helix_reader_init (&self->reader);
  self->lists = 0;
  while (status != HELIX_READER_ERROR) {
    helix_reader_want (&self->reader, &ptr, &len);
    len = hear (self, ptr, len);
    if (len == 0)
      return;
    status = helix_reader_got (&self->reader, len);
    if (status == HELIX_READER_MESSAGE)
      answer (self);
  }
}

static gpointer
run (gpointer data)
{
  ToolPeer *self = data;

  for (;;) {
    GSocketConnection *connection =
        g_socket_listener_accept (self->listener, NULL, self->end, NULL);

    if (connection == NULL)
      return NULL;
    self->stream = G_IO_STREAM (connection);
    self->over = FALSE;
    if (self->kind < PEER_OLD)
      serve_stranger (self);
    else
      serve_speaker (self);
    g_object_unref (connection);
  }
}

ToolPeer *
tool_peer_new (PeerKind kind, const gchar *path)
{
  ToolPeer *self = g_new0 (ToolPeer, 1);
  g_autoptr (GSocketAddress) address = path != NULL
      ? g_unix_socket_address_new (path)
      : g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) bound = NULL;
  GError *error = NULL;

  self->kind = kind;
  self->end = g_cancellable_new ();
  self->listener = g_socket_listener_new ();
  fail_unless (g_socket_listener_add_address (self->listener, address,
                   G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
                   &bound, &error),
      "%s", error != NULL ? error->message : "");
  if (path != NULL)
    self->address = g_strdup_printf ("unix:%s", path);
  else
    self->address = g_strdup_printf ("tcp:127.0.0.1:%u",
        g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound)));
  self->thread = g_thread_new ("tool-peer", run, self);
  return self;
}

void
tool_peer_free (ToolPeer *self)
{
  g_cancellable_cancel (self->end);
  g_thread_join (self->thread);
  g_object_unref (self->listener);
  g_object_unref (self->end);
  g_free (self->address);
  g_free (self);
}

const gchar *
tool_peer_address (const ToolPeer *self)
{
  return self->address;
}
