/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thread: the server's own runs run (); the element's threads enter by the
 * functions of helix-stream-server.h.
 * Lock: those functions and run () take it, all others are called with it held;
 * deliver (), dial () and serve () let it go in between.
 *
 * peer_ functions change one connection only, and what is the server's. Their
 * `now` is helix_now_ns (): tests make it up, but for statistics and the gap
 * between two warnings.
 */
#include "helix-stream-server.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helix-backoff.h"
#include "helix-histogram.h"
#include "helix-platform.h"
#include "helix-proof.h"
#include "helix-server.h"
#include "helix-stats.h"
#include "helix-transport.h"
#include "helix-waiter.h"
#include "helix-writer.h"

#define GST_CAT_DEFAULT helix_stream_debug

#define MSECOND G_GUINT64_CONSTANT (1000000)

/* Bytes that the thread sends before push () may have the lock again: about
 * 20 us of copying. */
#define TURN_BYTES (128 * 1024)

/* Connections taken in one go: before the next, those that are open are served,
 * so that a stranger can become a client before it has to go. */
#define MAX_ACCEPTS 8

/* What to do so that others may connect, too. */
#define OPEN_UP \
  "Set the same token-file (or token) at both ends, or insecure=true of " \
  "helixguestsink"

/* Between two requests for a keyframe; and before one is repeated that the
 * encoder has ignored while it went on making units. */
#define KEY_GAP_NS (200 * MSECOND)
#define KEY_REPEAT_NS (1000 * MSECOND)

/* Between two warnings of peers' making. */
#define PROBLEM_GAP_NS (1000 * MSECOND)

/* Before a connection is accepted again for which nothing was left: until then
 * its listener would wake the thread at once, for ever. */
#define ACCEPT_GAP_NS (200 * MSECOND)

/* connect mode: the time for one attempt. */
#define DIAL_TIMEOUT_MS 900

/* And at least so long after a connection ended, before the next attempt: a
 * peer may end each of its sessions at once. */
#define DIAL_GAP_NS (HELIX_BACKOFF_MIN_NS / 2)

/* Between two turns in which CONFIGs are passed on, and between two SHOWs: more
 * of these than any screen has in a second. */
#define CONFIG_GAP_NS (1000 * MSECOND / HELIX_STREAM_SERVER_REQUESTS)
#define SHOW_GAP_NS (1000 * MSECOND / 250)

/* What CONFIG with one of these and SHOW both decide: the later one has it. */
#define PICTURE (HELIX_CONFIG_SCANOUT | HELIX_CONFIG_RESOURCE)

/* CLIENT messages in one answer: with the longest names they, and STATUS, are
 * less than MAX_CONTROL. */
#define MAX_LISTED 256

/* Control bytes that may wait for a peer. Far beyond need: a peer that lets so
 * much pile up asks without reading the answers. */
#define MAX_CONTROL (64 * 1024)

/* Bytes of units that may wait for a peer, beside the bound of their age: 0.4 s
 * of 160 Mbit/s. A lone larger unit is always accepted. */
#define MAX_BYTES (8u << 20)

/* What a unit counts beside its bytes: its bookkeeping, about. */
#define UNIT_COST 256u

/* PINGs under way that are remembered; and while units flow, how often within
 * max-age it is looked how far a peer is. */
#define MAX_PROBES 8
#define PROBES 4

/* Silence: before HELLO and PROOF, in a session, between two PINGs, and after
 * the last word. */
#define HELLO_NS (3 * GST_SECOND)
#define DEAD_NS (3 * GST_SECOND)
#define PING_NS (1 * GST_SECOND)
#define LINGER_NS (1 * GST_SECOND)

/* One peer's KEYFRAME costs every peer bits, so it counts only so often. One
 * that comes sooner counts when its time has come. */
#define KEYFRAME_NS (500 * GST_MSECOND)

/* Messages, and reads, in one go: other peers wait meanwhile. */
#define MAX_MESSAGES 32
#define MAX_READS 512

/* Pieces of one write: control, the cursor, and some units. */
#define MAX_IOV 16

/* A unit's bytes, or those of a cursor's shape: shared between peers, never
 * copied. */
typedef struct {
  gint refs; /* atomic */
  GstBuffer *buffer;
  GstMapInfo map;
  guint64 arrived_ns; /* unit: helix_now_ns () when the server got it */
} Unit;

typedef enum {
  LIFE_OPEN,    /* session.state says how far it is */
  LIFE_CLOSING, /* a last ERROR or BYE is on its way out */
  LIFE_DEAD,    /* to be freed */
} Life;

/* One client's connection: its sessions, what is still to be sent, and when the
 * client counts as dead. Times are in ns. */
typedef struct {
  HelixStreamServer *owner;
  guint32 id; /* of the session: a new one for each */
  gint fd;
  gchar *address;
  /* A process of the server's user or root's on this machine, by a UNIX socket
   * that was listened on: not a guest. */
  gboolean is_local;

  Life life;
  struct helix_server session;
  HelixProofRound proof; /* while the token is proved */
  guint32 role;          /* of the session: HELIX_ROLE_STREAM, or _CONTROL */
  gboolean was_live;     /* it had a session, or has one */
  guint64 since;         /* of the session, of `life`, or of the wait for one */
  guint64 last_read, last_write;

  struct helix_reader reader;
  struct helix_writer out;
  guint lists;             /* LISTs to be answered */
  struct helix_stats told; /* last STATS, told.units = 0: none */

  /* units: one message each, with CAPS before it if need be */
  guint32 caps_id;     /* announced, 0 = none */
  gboolean waits_key;  /* gets no unit before a key one */
  gboolean owes_key;   /* asks for a keyframe when the backlog is out */
  gboolean asks_again; /* asks for a keyframe when it may again */
  guint64 last_asked;  /* for a keyframe */
  guint64 sent_units, sent_bytes; /* whole units, ever */
  guint64 dropped;    /* units left out: too far behind, or waits_key */
  guint64 last_unit;  /* when it got one; 0: never */
  guint64 skips;      /* how often it was too far behind */
  guint64 skipped_at; /* 0: never, in this session */
  gboolean slow_told;

  guint64 cursor_told;   /* `cursors` of the server then, 0 = nothing */
  guint32 cursor_serial; /* of the last shape that it has, 0 = none */

  /* PINGs without a PONG so far, oldest first. A PONG says that the peer has
   * read all bytes before its PING, also those that two kernels and a
   * virtio-serial port kept. */
  struct {
    guint64 sent;  /* as in the PING */
    guint64 since; /* since when the units have waited that went next */
  } probes[MAX_PROBES];
  guint n_probes;
  guint64 last_ping;
  guint64 best_trip; /* the quickest answer; HELIX_NONE64: none yet */
} Peer;

struct _HelixStreamServer {
  HelixStreamServerFunc on_event;
  gpointer user;
  HelixAddress *address;
  HelixListener *listener; /* NULL: connect mode */
  GCancellable *cancel;
  gchar *token;                           /* that clients must prove, or NULL */
  gboolean recover;                       /* as in HelixStreamServerConfig */
  guint64 max_age;                        /* ns */
  guint max_live[HELIX_ROLE_CONTROL + 1]; /* sessions, by role */
  pthread_t thread;
  HelixWaiter waiter;

  /* all below: under `lock`; the thread alone adds and removes peers */
  pthread_mutex_t lock;
  pthread_cond_t drained;
  gboolean stop, interrupted;
  GPtrArray *peers;                     /* in the order of their coming */
  guint n_live[HELIX_ROLE_CONTROL + 1]; /* sessions, by role */
  GQueue events;                        /* to deliver once the lock is free */
  guint32 next_id;

  struct helix_caps caps; /* caps_id 0: none yet */
  gchar *description;
  guint64 sequence;

  gboolean key_wanted, key_asked;
  guint64 key_asked_at;
  guint units_since_asked;

  /* the cursor as it is now */
  guint64 cursors;            /* how many there were */
  struct helix_cursor cursor; /* without HELIX_CURSOR_SHAPE */
  Unit *shape;                /* of cursor.serial; NULL: it has none */

  /* what peers request, and when the next of it may be passed on */
  gboolean applies;
  struct helix_config wanted; /* `fields`: wait */
  guint wanted_by
      [HELIX_STREAM_N_FIELDS]; /* ids of peers, by the bit of HELIX_CONFIG_* */
  guint picture_by;            /* the last one that wanted a PICTURE */
  guint64 config_at;
  struct helix_show show; /* resource_id 0: none waits */
  guint shower_id; /* whose SHOW had the last word on the picture, 0 = none */
  guint64 show_at;

  guint64 accept_at; /* 0: at any time */
  guint64 dial_at;   /* G_MAXUINT64: never again */
  HelixBackoff backoff;
  gboolean outage_told;
  guint64 problem_at;

  guint64 started, last_unit; /* ns; last_unit 0: none yet */
  guint32 encode_us; /* of the newest unit of a new picture, 0 = not known */
  guint64 units, bytes, keyframes, asked, joined, rejected, rejoined;
  /* Of all peers, those that are gone included: whole units that they got, and
   * units that were left out for one of them. */
  guint64 sent_units, sent_bytes, dropped;
  /* raw picture out -> unit in; captured -> unit in; unit in -> last byte taken
   * by a socket; ns */
  struct helix_histogram encode, latency, send;
};

static Peer *
peer_at (const HelixStreamServer *self, guint i)
{
  return self->peers->pdata[i];
}

/* ---- events ---- */

static HelixStreamServerEvent *
add_event (HelixStreamServer *self, HelixStreamServerEventType type, guint id)
{
  HelixStreamServerEvent *event = g_new0 (HelixStreamServerEvent, 1);

  event->server = self;
  event->type = type;
  event->id = id;
  g_queue_push_tail (&self->events, event);
  return event;
}

static void
event_free (HelixStreamServerEvent *event)
{
  g_clear_error (&event->error);
  g_free (event->text);
  g_free (event);
}

static void
deliver (HelixStreamServer *self)
{
  HelixStreamServerEvent *event;

  while ((event = g_queue_pop_head (&self->events)) != NULL) {
    pthread_mutex_unlock (&self->lock);
    self->on_event (self->user, event);
    event_free (event);
    pthread_mutex_lock (&self->lock);
  }
}

/* ---- CONFIG and SHOW ---- */

/* What waits of its fields is out of date. */
static void
take_config (
    HelixStreamServer *self, const struct helix_config *config, guint id)
{
  for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
    if (config->fields & (1u << i))
      self->wanted_by[i] = id;
  if (config->fields & PICTURE) {
    self->picture_by = id;
    self->shower_id = 0;
    self->show.resource_id = 0; /* it came before, and waited too long */
  }
  helix_stream_merge_config (&self->wanted, config);
}

static void
take_show (HelixStreamServer *self, const struct helix_show *show, guint id)
{
  self->show = *show;
  self->shower_id = id;
}

/* What waits, and peer `id` was the last to request. */
static guint32
fields_of (const HelixStreamServer *self, guint id)
{
  guint32 fields = 0;

  for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
    if (self->wanted_by[i] == id)
      fields |= 1u << i;
  return fields & self->wanted.fields;
}

static void
pass_on_config (HelixStreamServer *self)
{
  while (self->wanted.fields != 0) {
    HelixStreamServerEvent *event;
    guint id = self->picture_by;

    for (guint i = 0; i < HELIX_STREAM_N_FIELDS; i++)
      if (self->wanted.fields & (1u << i)
          && self->wanted_by[i] != self->picture_by)
        id = self->wanted_by[i];
    event = add_event (self, HELIX_STREAM_SERVER_CONFIG, id);
    event->config = self->wanted;
    event->config.fields = fields_of (self, id);
    self->wanted.fields &= ~event->config.fields;
  }
}

/* Passes on what is due. Returns when the next is. */
static guint64
tick_requests (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  if (!self->applies)
    return G_MAXUINT64;
  if (self->wanted.fields != 0 && now < self->config_at) {
    next = self->config_at;
  } else if (self->wanted.fields != 0) {
    self->config_at = now + CONFIG_GAP_NS;
    pass_on_config (self);
  }
  /* A CONFIG that waits is older than a SHOW that waits (take_config), and must
   * not undo it later. */
  if (self->show.resource_id == 0 || self->wanted.fields & PICTURE)
    return next;
  if (now < self->show_at)
    return MIN (next, self->show_at);
  self->show_at = now + SHOW_GAP_NS;
  add_event (self, HELIX_STREAM_SERVER_SHOW, self->shower_id)->show =
      self->show;
  self->show.resource_id = 0;
  return next;
}

/* ---- problems ---- */

static void
note_problem (HelixStreamServer *self, const GError *error)
{
  guint64 now = helix_now_ns ();

  GST_INFO ("%s", error->message);
  if (now - self->problem_at < PROBLEM_GAP_NS)
    return;
  self->problem_at = now;
  add_event (self, HELIX_STREAM_SERVER_PROBLEM, 0)->error =
      g_error_copy (error);
}

/* A client is not served, through a fault of its own. */
static void
note_rejected (HelixStreamServer *self, GQuark domain, gint code,
    const gchar *who, const gchar *why)
{
  g_autoptr (GError) error =
      g_error_new (domain, code, "Client %s refused: %s.", who, why);

  self->rejected++;
  note_problem (self, error);
}

/* ---- units ---- */

static Unit *
unit_new (GstBuffer *buffer)
{
  Unit *unit = g_new0 (Unit, 1);

  unit->refs = 1;
  if (!gst_buffer_map (buffer, &unit->map, GST_MAP_READ)) {
    g_free (unit);
    return NULL;
  }
  unit->buffer = gst_buffer_ref (buffer);
  return unit;
}

static void
unit_unref (Unit *unit)
{
  if (unit == NULL || !g_atomic_int_dec_and_test (&unit->refs))
    return;
  gst_buffer_unmap (unit->buffer, &unit->map);
  gst_buffer_unref (unit->buffer);
  g_free (unit);
}

static void
count_dropped (Peer *self, guint n)
{
  self->dropped += n;
  self->owner->dropped += n;
}

static void
unit_done (void *opaque, void *data, bool sent)
{
  Peer *self = opaque;
  Unit *unit = data;

  if (sent) {
    self->sent_units++;
    self->sent_bytes += unit->map.size;
    self->owner->sent_units++;
    self->owner->sent_bytes += unit->map.size;
    self->last_unit = helix_now_ns ();
    helix_histogram_add (
        &self->owner->send, self->last_unit - unit->arrived_ns);
  }
  unit_unref (unit);
}

static void
shape_done (void *opaque, void *data, bool sent)
{
  if (!sent)
    ((Peer *) opaque)->cursor_serial = 0;
  unit_unref (data);
}

/* ---- the end of a session, or of the connection ---- */

static gboolean
peer_is_live (const Peer *self)
{
  return self->life == LIFE_OPEN && self->session.state == HELIX_SERVER_OPEN;
}

/* Whether units are for it. */
static gboolean
peer_watches (const Peer *self)
{
  return peer_is_live (self) && self->role == HELIX_ROLE_STREAM;
}

/* What waits, whole messages only; CAPS and the cursor among it will be sent
 * again. */
static void
drop (Peer *self)
{
  helix_writer_drop (&self->out, HELIX_WRITER_UNITS);
  helix_writer_drop (&self->out, HELIX_WRITER_CURSOR);
  self->caps_id = 0;
  self->cursor_told = 0;
}

/* Likewise all messages, even one that is partly sent: the peer looks for the
 * next HELLO or WELCOME anyway. */
static void
abandon (Peer *self)
{
  helix_writer_clear (&self->out);
  drop (self);
  self->cursor_serial = 0;
}

/* Owns `fd` and `address` from here on. */
static Peer *
peer_new (HelixStreamServer *owner, gint fd, gchar *address, guint64 now)
{
  Peer *self = g_new0 (Peer, 1);

  self->owner = owner;
  self->id = owner->next_id++;
  self->fd = fd;
  self->address = address != NULL ? address : g_strdup ("?");
  self->since = self->last_read = self->last_write = now;
  self->best_trip = HELIX_NONE64;
  helix_server_init (&self->session, HELIX_ROLE_STREAM, now);
  self->session.lasts = owner->listener == NULL;
  self->session.proves = owner->token != NULL;
  helix_writer_init (&self->out);
  helix_reader_init (&self->reader);
  return self;
}

static void
peer_free (Peer *self)
{
  helix_writer_clear (&self->out);
  close (self->fd);
  g_free (self->address);
  g_free (self);
}

/* The session that there is, if any, ends. If what it showed is still what is
 * to be seen, the scanout comes back: a peer that was killed cannot ask for
 * that. */
static void
end_session (Peer *self, const gchar *why)
{
  const struct helix_config scanout = {.fields = HELIX_CONFIG_RESOURCE};
  HelixStreamServer *owner = self->owner;

  GST_DEBUG ("client %u ends: %s", self->id, why);
  if (peer_is_live (self)) {
    owner->n_live[self->role]--;
    if (owner->shower_id == self->id)
      take_config (owner, &scanout, self->id);
    if (self->role == HELIX_ROLE_STREAM)
      add_event (owner, HELIX_STREAM_SERVER_REMOVED, self->id)->text =
          g_strdup (why);
  }
  self->session.state = HELIX_SERVER_NEW;
}

/* Without a last word. */
static void
peer_die (Peer *self, const gchar *why)
{
  end_session (self, why);
  self->life = LIFE_DEAD;
}

/* Where the stream lasts: only the session is over, and the next client comes
 * over the very same descriptor. Between two messages there is nothing to skip;
 * and a client that only slept is told, at its next message, that it has to say
 * HELLO. */
static void
rest (Peer *self, const gchar *why)
{
  end_session (self, why);
  if (!helix_reader_idle (&self->reader))
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
}

/* At once, without a last word. */
static void
end (Peer *self, const gchar *why)
{
  if (!self->session.lasts) {
    peer_die (self, why);
    return;
  }
  abandon (self);
  rest (self, why);
}

static void
start_closing (Peer *self, const gchar *why, guint64 now)
{
  if (self->life != LIFE_OPEN)
    return;
  drop (self);
  if (self->session.lasts) {
    rest (self, why);
    return;
  }
  end_session (self, why);
  self->life = LIFE_CLOSING;
  self->since = now;
}

/* Queues an answer. A peer that reads none of its answers is closed. */
static void
peer_say (Peer *self, const guint8 *message, gsize size)
{
  if (self->life == LIFE_DEAD)
    return;
  if (self->out.bytes[HELIX_WRITER_CONTROL] + size > MAX_CONTROL)
    end (self, "it asks without reading the answers");
  else
    helix_writer_add (&self->out, HELIX_WRITER_CONTROL, message, size, NULL);
}

static void
peer_bye (Peer *self, guint32 bye_reason, guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  /* Without a session BYE would be no answer to what the peer said. */
  if (peer_is_live (self))
    peer_say (self, message,
        helix_pack_bye (message, bye_reason,
            bye_reason == HELIX_BYE_EOS ? "end of stream" : "closing down"));
  start_closing (self, "this end closes", now);
}

static void
say_error (Peer *self, guint16 channel, enum helix_error_code code,
    guint32 refers, const gchar *text, guint64 now)
{
  guint8 message[HELIX_MAX_MESSAGE];

  peer_say (
      self, message, helix_pack_error (message, channel, code, refers, text));
  if (!helix_error_is_fatal (code) || self->life != LIFE_OPEN)
    return;
  /* That a peer is gone, or comes when the server is full, is no fault. Nor is
   * what a peer that was killed left half said, and the next one completes. */
  if (code != HELIX_ERROR_TIMEOUT && code != HELIX_ERROR_BUSY
      && !(self->session.lasts && code == HELIX_ERROR_PROTOCOL))
    note_rejected (self->owner, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
        self->address, text);
  start_closing (self, text, now);
}

/* Says ERROR. After a fatal one the connection closes, or, where the stream
 * lasts, the session ends. */
static void
peer_refuse (Peer *self, enum helix_error_code code, guint32 refers,
    const gchar *text, guint64 now)
{
  say_error (self, 0, code, refers, text, now);
}

/* ---- LIST ---- */

/* An age, or HELIX_NONE64 of what never was. */
static guint64
age (guint64 then, guint64 now)
{
  if (then == 0)
    return HELIX_NONE64;
  return now > then ? now - then : 0;
}

static void
say_status (HelixStreamServer *self, Peer *asker, guint clients, guint64 now)
{
  struct helix_status status = {
      .uptime_ns = now - self->started,
      .frames = self->units,
      .bytes = self->bytes,
      .dropped = self->dropped,
      .keyframes = self->keyframes,
      .last_ns = age (self->last_unit, now),
      .clients = clients,
      .width = self->caps.width,
      .height = self->caps.height,
      .encode_us = self->encode_us,
  };
  guint8 message[HELIX_MAX_MESSAGE];

  peer_say (
      asker, message, helix_pack_status (message, &status, self->description));
}

/* A guest is not told the other clients' names, nor this host's ports, paths
 * and processes. */
static gchar *
name_for (const Peer *asker, const Peer *peer)
{
  const gchar *name = peer->session.name;

  if (asker->is_local)
    return g_strconcat (name, name[0] != '\0' ? ", " : "", peer->address, NULL);
  return g_strdup (peer == asker ? name : "");
}

static void
say_client (Peer *asker, const Peer *peer, guint index, guint64 now)
{
  gboolean told = peer->told.units > 0;
  struct helix_client client = {
      .index = index,
      .flags = peer == asker ? HELIX_CLIENT_YOU : 0,
      .role = peer->role,
      .scanout = HELIX_NONE32,
      .connected_ns = age (peer->since, now),
      .frames = peer->sent_units,
      .dropped = peer->dropped,
      .received = told ? peer->told.units : HELIX_NONE64,
      .latency_ns = told ? peer->told.latency_ns : HELIX_NONE64,
      .last_ns = age (peer->last_unit, now),
  };
  g_autofree gchar *name = name_for (asker, peer);
  guint8 message[HELIX_MAX_MESSAGE];

  peer_say (asker, message, helix_pack_client (message, &client, name));
}

/* In the order of their coming. If there are more than are named, the asker
 * is named all the same. */
static void
answer_list (HelixStreamServer *self, Peer *asker, guint64 now)
{
  guint live =
      self->n_live[HELIX_ROLE_STREAM] + self->n_live[HELIX_ROLE_CONTROL];
  guint places = MIN (live, MAX_LISTED), index = 0;
  gboolean named = FALSE;

  say_status (self, asker, places, now);
  for (guint i = 0; i < self->peers->len && index < places; i++) {
    const Peer *peer = peer_at (self, i);

    if (!peer_is_live (peer)
        || (peer != asker && !named && index + 1 == places))
      continue;
    named |= peer == asker;
    say_client (asker, peer, index++, now);
  }
}

/* One answer at a time: the peer's reading sets the pace. */
static void
offer_list (Peer *self, guint64 now)
{
  if (self->lists == 0 || !peer_is_live (self)
      || self->out.bytes[HELIX_WRITER_CONTROL] > 0)
    return;
  self->lists--;
  answer_list (self->owner, self, now);
}

/* ---- out ---- */

static gboolean
cursor_is_due (const Peer *self)
{
  return peer_watches (self) && self->cursor_told != self->owner->cursors;
}

/* The cursor as it is now replaces the one that waits: so a slow peer has one
 * message of this kind before it, not one for each of its movements. */
static void
offer_cursor (Peer *self)
{
  struct helix_cursor head = self->owner->cursor;
  Unit *shape = self->owner->shape;
  struct helix_writer_extra extra = {0};
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  if (!cursor_is_due (self)
      || helix_writer_has_begun (&self->out, HELIX_WRITER_CURSOR))
    return;
  helix_writer_drop (&self->out, HELIX_WRITER_CURSOR);
  if (shape != NULL && self->cursor_serial != head.serial) {
    g_atomic_int_inc (&shape->refs);
    self->cursor_serial = head.serial;
    head.flags |= HELIX_CURSOR_SHAPE;
    extra = (struct helix_writer_extra){.bulk = shape->map.data,
        .bulk_size = shape->map.size,
        .done = shape_done,
        .opaque = self,
        .data = shape};
  }
  size = helix_pack_cursor (message, 0, &head, (guint32) extra.bulk_size);
  helix_writer_add (&self->out, HELIX_WRITER_CURSOR, message, size, &extra);
  self->cursor_told = self->owner->cursors;
}

static gboolean
peer_pending (const Peer *self)
{
  return self->life != LIFE_DEAD
      && (helix_writer_pending (&self->out) || cursor_is_due (self)
          || (self->lists > 0 && peer_is_live (self)));
}

/* How many units wait, the one under way included. */
static guint
n_waiting (const Peer *self)
{
  return (guint) self->out.count[HELIX_WRITER_UNITS];
}

/* How long the oldest unit that has not left has been here. */
static guint64
queued_for (const Peer *self, guint64 now)
{
  guint64 oldest = helix_writer_oldest (&self->out, HELIX_WRITER_UNITS);

  return oldest != 0 && now > oldest ? now - oldest : 0;
}

static void
ping (Peer *self, guint64 now)
{
  struct helix_ping ping = {.sent_ns = now};
  guint8 message[HELIX_MAX_MESSAGE];

  self->last_ping = now;
  peer_say (self, message, helix_pack_ping (message, &ping));
  if (self->n_probes == MAX_PROBES)
    return;
  self->probes[self->n_probes].sent = now;
  self->probes[self->n_probes++].since = now - queued_for (self, now);
}

/* Whether it has answered PINGs at all: the protocol does not make it. */
static gboolean
can_probe (const Peer *self)
{
  return self->best_trip != HELIX_NONE64;
}

/* Whether all that was sent has been read, as far as that can be known. */
static gboolean
has_caught_up (const Peer *self)
{
  return n_waiting (self) == 0 && (self->n_probes == 0 || !can_probe (self));
}

/* Sends what the socket takes now, at most `limit` bytes. */
static void
peer_flush (Peer *self, gsize limit, guint64 now)
{
  while (peer_pending (self) && limit > 0) {
    struct iovec iov[MAX_IOV];
    gssize sent;
    gint n, fd;

    offer_list (self, now);
    offer_cursor (self);
    n = helix_writer_iov (&self->out, iov, MAX_IOV, limit, &fd);
    sent = helix_send (self->fd, iov, n, -1);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (sent < 0) {
      peer_die (self, g_strerror (errno));
      return;
    }
    helix_writer_sent (&self->out, (gsize) sent);
    self->last_write = now;
    limit -= (gsize) sent;
  }
  /* Only now: a keyframe made while it was stuck would have been lost on it
   * and have cost the others bits. */
  if (!peer_pending (self) && peer_is_live (self) && self->waits_key
      && self->owes_key && has_caught_up (self)) {
    self->owes_key = FALSE;
    self->owner->key_wanted = TRUE;
  }
}

/* Whether the peer has not read, or will not have read, something that is
 * older than it may be: what waits here, or what left with the last PING. */
static gboolean
is_behind (const Peer *self, guint64 now)
{
  guint64 max_age = self->owner->max_age;

  if (queued_for (self, now) > max_age)
    return TRUE;
  /* A PING tells of what comes behind it, up to the next one. */
  return can_probe (self) && self->n_probes > 0
      && now
      > self->probes[0].since + self->best_trip + max_age - max_age / PROBES;
}

static gboolean
is_full (const Peer *self, gsize size)
{
  return n_waiting (self) > 0
      && self->out.bytes[HELIX_WRITER_UNITS] + size
          + (gsize) n_waiting (self) * UNIT_COST
      > MAX_BYTES;
}

/* Too far behind again and again: told once for each connection. */
static void
note_slow (Peer *self)
{
  self->slow_told = TRUE;
  add_event (self->owner, HELIX_STREAM_SERVER_PROBLEM, 0)->error =
      g_error_new (GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE,
          "Client %s takes less than the encoder makes: what was not with it "
          "within %u ms was dropped, up to a keyframe. Lower the encoder's "
          "bitrate or the framerate, or raise max-age.",
          self->address, (guint) (self->owner->max_age / MSECOND));
}

/* Nothing more for it until it has read what is under way. */
static void
fall_behind (Peer *self, guint64 now)
{
  guint n = n_waiting (self);

  drop (self);
  n -= n_waiting (self);
  count_dropped (self, n);
  GST_INFO ("client %u takes no more: dropped %u units", self->id, n);
  if (!self->owner->recover) {
    end (self, "it is too slow (recover-policy=none)");
    return;
  }
  self->waits_key = self->owes_key = TRUE;
  self->n_probes = 0;
  ping (self, now);
  self->skips++;
  if (self->skipped_at != 0 && now - self->skipped_at < HELIX_STREAM_SLOW_NS
      && !self->slow_told)
    note_slow (self);
  self->skipped_at = now;
}

/* Queues a unit, with CAPS before it if need be, or skips it. head->sent_ns is
 * now. */
static void
peer_push (Peer *self, Unit *unit, const struct helix_unit *head)
{
  const struct helix_writer_extra extra = {.bulk = unit->map.data,
      .bulk_size = unit->map.size,
      .since = unit->arrived_ns,
      .done = unit_done,
      .opaque = self,
      .data = unit};
  gboolean key = (head->flags & HELIX_UNIT_KEY) != 0;
  struct helix_unit own = *head;
  guint8 message[2 * HELIX_MAX_MESSAGE];
  guint64 now = head->sent_ns;
  gsize size = 0;

  if (!peer_watches (self))
    return;
  if (!self->waits_key
      && (is_full (self, unit->map.size) || is_behind (self, now)))
    fall_behind (self, now);
  /* A peer that is stuck could not take the key unit either. */
  if (!peer_is_live (self)
      || (self->waits_key
          && (!key || n_waiting (self) > 0 || self->owes_key))) {
    count_dropped (self, 1);
    return;
  }
  if (self->waits_key)
    own.flags |= HELIX_UNIT_DISCONT;
  self->waits_key = self->owes_key = FALSE;
  if (key)
    self->asks_again = FALSE;
  if (can_probe (self)
      && now >= self->last_ping + self->owner->max_age / PROBES)
    ping (self, now);

  if (self->caps_id != head->caps_id)
    size = helix_pack_caps (message, &self->owner->caps);
  self->caps_id = head->caps_id;
  size += helix_pack_unit (message + size, &own, (guint32) unit->map.size);
  g_atomic_int_inc (&unit->refs);
  helix_writer_add (&self->out, HELIX_WRITER_UNITS, message, size, &extra);
}

/* ---- what it says ---- */

/* HELLO ends the session that there is. */
static void
forget_session (Peer *self, guint64 now)
{
  if (peer_is_live (self)) {
    self->owner->rejoined += self->role == HELIX_ROLE_STREAM;
    self->since = now;
    end_session (self, "it started a new session");
    self->id = self->owner->next_id++;
  }
  self->owes_key = self->asks_again = FALSE;
  self->lists = 0;
  /* The new session must not wait for the old one's backlog. */
  if (self->session.lasts)
    abandon (self);
  else
    drop (self);
  self->cursor_serial = 0;
}

static void
go_live (Peer *self, guint64 now)
{
  gboolean streams = self->role == HELIX_ROLE_STREAM;
  HelixStreamServer *owner = self->owner;

  self->session.state = HELIX_SERVER_OPEN;
  self->was_live = TRUE;
  self->since = now;
  self->waits_key = streams;
  self->last_ping = streams ? now - PING_NS : now;
  self->n_probes = 0;
  self->skipped_at = 0;
  self->best_trip = HELIX_NONE64;
  memset (&self->told, 0, sizeof self->told);

  owner->n_live[self->role]++;
  helix_backoff_reset (&owner->backoff); /* the next outage is another one */
  if (!streams)
    return;
  owner->key_wanted = TRUE;
  owner->joined++;
  owner->outage_told = FALSE;
  add_event (owner, HELIX_STREAM_SERVER_ADDED, self->id)->text =
      g_strdup (self->address);
}

static gboolean
check_room (Peer *self, guint32 role, guint64 now)
{
  /* A peer that begins anew keeps its place. */
  if ((peer_is_live (self) && self->role == role)
      || self->owner->n_live[role] < self->owner->max_live[role])
    return TRUE;
  peer_refuse (self, HELIX_ERROR_BUSY, HELIX_HELLO,
      role == HELIX_ROLE_STREAM
          ? "max-clients are connected already"
          : "too many are connected already that only steer",
      now);
  return FALSE;
}

/* HELLO is good: WELCOME, and with it, if there is a token, the question for a
 * proof of it, before anything else is told. */
static void
got_hello (Peer *self, guint64 now)
{
  const gchar *token = self->owner->token;
  guint8 message[HELIX_MAX_MESSAGE];
  gsize size;

  /* Whether there is room is not told before the token is proved. */
  if (token == NULL && !check_room (self, self->session.hello.role, now))
    return;
  forget_session (self, now);
  self->role = self->session.hello.role;
  self->proof.nonce = self->session.hello.nonce;
  if (token != NULL
      && getentropy (self->proof.challenge, sizeof self->proof.challenge) < 0) {
    peer_refuse (self, HELIX_ERROR_AUTH, HELIX_HELLO,
        "this system gives no random bytes to prove the token with", now);
    return;
  }
  size = helix_server_welcome (&self->session, message, 0, 0,
      "helixguestsink " HELIX_PACKAGE_VERSION,
      token != NULL ? self->proof.challenge : NULL);
  if (token == NULL)
    go_live (self, now);
  peer_say (self, message, size);
}

static void
got_proof (Peer *self, const struct helix_proof *proof, guint64 now)
{
  const gchar *token = self->owner->token;
  guint8 message[HELIX_MAX_MESSAGE];

  if (!helix_proof_is_right (proof, HELIX_PROOF_CLIENT, token, &self->proof)) {
    peer_refuse (self, HELIX_ERROR_AUTH, HELIX_PROOF,
        "the token is wrong: set the same token at both ends", now);
    return;
  }
  if (!check_room (self, self->role, now))
    return;
  go_live (self, now);
  peer_say (self, message,
      helix_proof_pack (message, HELIX_PROOF_SERVER, token, &self->proof));
}

static void
got_keyframe (Peer *self, guint64 now)
{
  self->asks_again = now - self->last_asked < KEYFRAME_NS;
  if (self->asks_again)
    return;
  self->last_asked = now;
  self->owner->key_wanted = TRUE;
}

static void
got_pong (Peer *self, const struct helix_pong *pong, guint64 now)
{
  guint i = 0;

  while (i < self->n_probes && self->probes[i].sent != pong->ping_ns)
    i++;
  if (i == self->n_probes)
    return; /* not asked for, or of no use any more */
  self->best_trip =
      MIN (self->best_trip, now > pong->ping_ns ? now - pong->ping_ns : 0);
  self->n_probes -= i + 1;
  memmove (&self->probes[0], &self->probes[i + 1],
      self->n_probes * sizeof self->probes[0]);
}

static void
got_own (Peer *self, guint64 now)
{
  const struct helix_reader *r = &self->reader;
  struct helix_keyframe keyframe;
  struct helix_config config;
  struct helix_show show;
  const gchar *why = NULL;

  switch (r->header.type) {
    case HELIX_KEYFRAME:
      if (helix_unpack_keyframe (&keyframe, r->payload, r->payload_size, &why))
        got_keyframe (self, now);
      break;
    case HELIX_STATS:
      helix_unpack_stats (&self->told, r->payload, r->payload_size, &why);
      break;
    case HELIX_CONFIG:
      if (helix_unpack_config (&config, r->payload, r->payload_size, &why))
        take_config (self->owner, &config, self->id);
      break;
    case HELIX_SHOW:
      if (helix_unpack_show (&show, r->payload, r->payload_size, &why))
        take_show (self->owner, &show, self->id);
      break;
    default: /* LIST */
      self->lists++;
  }
  if (why != NULL)
    peer_refuse (self, HELIX_ERROR_PROTOCOL, r->header.type, why, now);
}

static void
got_message (Peer *self, guint64 now)
{
  struct helix_server_said said;

  switch (helix_server_take (
      &self->session, &self->reader, now, helix_now_ns (), &said)) {
    case HELIX_SERVER_NOTHING:
      break;
    case HELIX_SERVER_ANSWER:
      peer_say (self, said.answer, said.size);
      break;
    case HELIX_SERVER_REFUSE:
      say_error (self, said.channel, said.code, said.refers, said.text, now);
      break;
    case HELIX_SERVER_HELLO:
      got_hello (self, now);
      break;
    case HELIX_SERVER_PROOF:
      got_proof (self, &said.proof, now);
      break;
    case HELIX_SERVER_PONG:
      got_pong (self, &said.pong, now);
      break;
    case HELIX_SERVER_BYE:
      end (self, "it said goodbye");
      break;
    case HELIX_SERVER_ERROR:
      GST_WARNING ("client %u reports %s: %s", self->id,
          helix_error_name (said.code), said.text);
      if (helix_error_is_fatal (said.code))
        end (self, said.text);
      break;
    case HELIX_SERVER_MESSAGE:
      got_own (self, now);
      break;
  }
}

/* What cannot be a client's message: close, or look for the next HELLO. It is
 * not of the session's owner, which may have died: the session ends, so that
 * nothing more goes to another process that has the stream now. */
static void
got_garbage (Peer *self, const gchar *why, guint64 now)
{
  if (self->session.lasts) {
    GST_DEBUG ("client %u: %s: looking for HELLO", self->id, why);
    if (self->session.state != HELIX_SERVER_NEW)
      end (self, why);
    helix_reader_scan (&self->reader, HELIX_HELLO, 0);
    return;
  }
  peer_refuse (
      self, HELIX_ERROR_PROTOCOL, helix_reader_type (&self->reader), why, now);
}

/* After the last word: what still comes is read and dropped, because a close
 * with unread bytes makes TCP throw our word away. */
static void
drain (Peer *self)
{
  guint8 bytes[4096];
  gssize n = 1;

  for (guint i = 0; i < MAX_MESSAGES && n > 0; i++)
    n = helix_recv (self->fd, bytes, sizeof bytes, NULL);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
    peer_die (self, "it closed the connection");
}

/* Reads and answers what has come, a bounded amount of it. */
static void
peer_read (Peer *self, guint64 now)
{
  guint messages = 0;

  if (self->life == LIFE_CLOSING) {
    drain (self);
    return;
  }
  for (guint i = 0;
       i < MAX_READS && messages < MAX_MESSAGES && self->life == LIFE_OPEN;
       i++) {
    uint8_t *ptr;
    size_t len;
    gssize n;

    helix_reader_want (&self->reader, &ptr, &len);
    n = helix_recv (self->fd, ptr, len, NULL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n <= 0) {
      peer_die (self, n == 0 ? "it closed the connection" : g_strerror (errno));
      return;
    }
    self->last_read = now;
    switch (helix_reader_got (&self->reader, (size_t) n)) {
      case HELIX_READER_MORE:
        break;
      case HELIX_READER_HEAD:
        got_garbage (self, "clients send no cursors and no units", now);
        break;
      case HELIX_READER_ERROR:
        got_garbage (self, self->reader.why, now);
        break;
      case HELIX_READER_MESSAGE:
        messages++;
        got_message (self, now);
        break;
    }
  }
}

/* ---- time ---- */

static guint64
tick_live (Peer *self, guint64 now)
{
  static const gchar silent[] = "nothing came from it for 3 s";
  guint64 alive = self->last_read;

  /* A peer that takes bytes lives, however long its answer is under way. */
  if (peer_pending (self))
    alive = MAX (alive, self->last_write);
  if (now - alive >= DEAD_NS) {
    /* Where the stream lasts, the peer is not told before it speaks: what it
     * does not read would only wait there. */
    if (self->session.lasts)
      end (self, silent);
    else
      peer_refuse (self, HELIX_ERROR_TIMEOUT, HELIX_PING, silent, now);
    return now;
  }
  if (now - self->last_ping >= PING_NS) {
    self->last_ping = now;
    /* Not twice: the one before has not even left. */
    if (self->out.bytes[HELIX_WRITER_CONTROL] == 0)
      ping (self, now);
  }
  if (self->asks_again)
    got_keyframe (self, now);
  return MIN (MIN (alive + DEAD_NS, self->last_ping + PING_NS),
      self->asks_again ? self->last_asked + KEYFRAME_NS : G_MAXUINT64);
}

static guint64
tick_greeting (Peer *self, guint64 now)
{
  gboolean proving = self->session.state == HELIX_SERVER_PROVING;

  if (self->session.lasts)
    return G_MAXUINT64;
  if (now - self->since < HELLO_NS)
    return self->since + HELLO_NS;
  peer_refuse (self, HELIX_ERROR_TIMEOUT, proving ? HELIX_PROOF : HELIX_HELLO,
      proving ? "no PROOF came within 3 s" : "no HELLO came within 3 s", now);
  return now;
}

static guint64
tick_closing (Peer *self, guint64 now)
{
  if (now - self->since >= LINGER_NS) {
    peer_die (self, "it had the last word");
    return now;
  }
  /* The second time it does nothing, or fails (macOS). */
  if (!peer_pending (self))
    shutdown (self->fd, SHUT_WR);
  return self->since + LINGER_NS;
}

/* Deadlines and PING. Returns when to call again. */
static guint64
peer_tick (Peer *self, guint64 now)
{
  switch (self->life) {
    case LIFE_OPEN:
      return peer_is_live (self) ? tick_live (self, now)
                                 : tick_greeting (self, now);
    case LIFE_CLOSING:
      return tick_closing (self, now);
    default:
      return now;
  }
}

/* ---- peers come and go ---- */

/* Before a stranger is taken: those that have no session yet have a bound of
 * their own, so that they take no client's place; and the oldest goes, so that
 * they do not keep others out. Those that had a session, and linger or prove
 * the token anew, have the bound of clients. */
static void
make_room (
    HelixStreamServer *self, gboolean had_session, guint bound, guint64 now)
{
  Peer *oldest = NULL;
  guint n = 0;

  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);

    if (peer_is_live (peer) || peer->life == LIFE_DEAD
        || peer->was_live != had_session)
      continue;
    if (n++ == 0)
      oldest = peer;
  }
  if (n < bound)
    return;
  if (oldest->life == LIFE_OPEN) {
    peer_refuse (oldest, HELIX_ERROR_TIMEOUT, 0,
        "others connected before it had begun a session", now);
    peer_flush (oldest, G_MAXSIZE, now);
    peer_read (oldest, now);
  }
  peer_die (oldest, "others connected");
}

/* Whether the connection may be served at all; else it is answered, and takes
 * no place. */
static gboolean
admit (HelixStreamServer *self, gint fd, const gchar *address, guint64 now)
{
  g_autofree gchar *who = NULL;
  g_autofree gchar *why = helix_listener_refusal (self->listener, fd, &who);
  g_autofree gchar *text = NULL, *from = NULL;

  if (why == NULL) {
    make_room (self, FALSE, HELIX_STREAM_SERVER_MAX_STRANGERS, now);
    make_room (self, TRUE,
        self->max_live[HELIX_ROLE_STREAM] + HELIX_STREAM_SERVER_MAX_CONTROL,
        now);
    return TRUE;
  }
  if (who == NULL) {
    GST_DEBUG ("%s is gone again", address);
    return FALSE;
  }
  text = g_strdup_printf ("%s. " OPEN_UP, why);
  from = g_strdup_printf ("%s of %s", address, who);
  note_rejected (
      self, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED, from, text);
  helix_stream_turn_away (fd, text);
  return FALSE;
}

/* What comes by TCP may be a guest behind QEMU's own network, which the kernel
 * takes for QEMU. */
static gboolean
is_own_process (gint fd)
{
  uid_t uid;
  pid_t pid;

  return helix_peer_credentials (fd, &uid, &pid) == 0
      && helix_user_is_trusted (uid);
}

static void
add_peer (HelixStreamServer *self, gint fd, gchar *address, guint64 now)
{
  Peer *peer;

  if (self->listener != NULL
      && !admit (self, fd, address != NULL ? address : "?", now)) {
    close (fd);
    g_free (address);
    return;
  }
  peer = peer_new (self, fd, address, now);
  peer->is_local = self->listener != NULL && is_own_process (fd);
  GST_DEBUG ("client %u: connection of %s", peer->id, peer->address);
  g_ptr_array_add (self->peers, peer);
}

static void
reap (HelixStreamServer *self, guint64 now)
{
  for (guint i = self->peers->len; i-- > 0;) {
    Peer *peer = peer_at (self, i);

    if (peer->life != LIFE_DEAD)
      continue;
    peer_free (peer);
    g_ptr_array_remove_index (self->peers, i);
    self->dial_at = now + MAX (self->backoff.gap, DIAL_GAP_NS);
  }
}

static void
accept_all (HelixStreamServer *self, guint index, guint64 now)
{
  for (guint i = 0; i < MAX_ACCEPTS; i++) {
    g_autoptr (GError) error = NULL;
    gchar *address = NULL;
    gint fd = helix_listener_accept (self->listener, index, &address, &error);

    if (fd >= 0) {
      add_peer (self, fd, address, now);
      continue;
    }
    if (error != NULL) {
      self->accept_at = now + ACCEPT_GAP_NS;
      note_problem (self, error);
    }
    return;
  }
}

static gboolean
wants_to_dial (const HelixStreamServer *self)
{
  return self->listener == NULL && self->peers->len == 0;
}

/* connect mode: one attempt. The lock is free meanwhile. */
static void
dial (HelixStreamServer *self)
{
  g_autoptr (GError) error = NULL;
  gboolean fatal;
  guint64 now;
  gint fd;

  pthread_mutex_unlock (&self->lock);
  fd = helix_transport_connect (
      self->address, self->cancel, DIAL_TIMEOUT_MS, &error);
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();

  self->dial_at = helix_backoff_next (&self->backoff, now);
  if (fd >= 0) {
    self->rejoined += self->joined > 0;
    add_peer (self, fd, g_strdup (self->address->text), now);
    self->outage_told = FALSE;
    return;
  }
  fatal = !helix_transport_error_is_temporary (error);
  if (fatal)
    self->dial_at = G_MAXUINT64;
  if (!self->stop && (fatal || !self->outage_told))
    add_event (self,
        fatal ? HELIX_STREAM_SERVER_FATAL : HELIX_STREAM_SERVER_PROBLEM, 0)
        ->error = g_steal_pointer (&error);
  self->outage_told = TRUE;
}

/* ---- the thread ---- */

static gboolean
waits_for_key (const HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++) {
    const Peer *peer = peer_at (self, i);

    if (peer_is_live (peer) && peer->waits_key && !peer->owes_key)
      return TRUE;
  }
  return FALSE;
}

/* Whether (and until when not) the encoder is to be asked for a keyframe. */
static guint64
tick_key (HelixStreamServer *self, guint64 now)
{
  guint64 due;

  /* A peer still waits although units came: the request was lost. */
  if (self->key_asked && self->units_since_asked > 0 && waits_for_key (self))
    self->key_wanted = TRUE;
  if (!self->key_wanted)
    return G_MAXUINT64;
  /* The encoder has the request and nothing to make a keyframe of. */
  if (self->key_asked && self->units_since_asked == 0)
    return G_MAXUINT64;
  due = self->key_asked_at + (self->key_asked ? KEY_REPEAT_NS : KEY_GAP_NS);
  if (now < due)
    return due;
  self->key_wanted = FALSE;
  self->key_asked = TRUE;
  self->key_asked_at = now;
  self->units_since_asked = 0;
  self->asked++;
  add_event (self, HELIX_STREAM_SERVER_KEYFRAME, 0);
  return G_MAXUINT64;
}

/* All deadlines. Returns the next one. */
static guint64
tick (HelixStreamServer *self, guint64 now)
{
  guint64 next = G_MAXUINT64;

  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);

    next = MIN (next, peer_tick (peer, now));
    peer_flush (peer, TURN_BYTES, now);
  }
  reap (self, now);
  next = MIN (next, tick_requests (self, now));
  next = MIN (next, tick_key (self, now));
  if (wants_to_dial (self))
    next = MIN (next, self->dial_at);
  if (now >= self->accept_at)
    self->accept_at = 0;
  return self->accept_at != 0 ? MIN (next, self->accept_at) : next;
}

static gboolean
is_drained (const HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++)
    if (peer_pending (peer_at (self, i)))
      return FALSE;
  return TRUE;
}

/* What to wait for: the wake-up (the waiter's), the peers, the listener. */
static void
fill_poll (HelixStreamServer *self, GArray *fds)
{
  struct pollfd entry = {.fd = -1};

  g_array_set_size (fds, 0);
  g_array_append_val (fds, entry);
  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);

    entry.fd = peer->fd;
    entry.events = POLLIN | (peer_pending (peer) ? POLLOUT : 0);
    g_array_append_val (fds, entry);
  }
  if (self->listener == NULL || self->accept_at != 0)
    return;
  entry.events = POLLIN;
  for (guint i = 0; i < self->listener->n_fds; i++) {
    entry.fd = self->listener->fds[i];
    g_array_append_val (fds, entry);
  }
}

/* One round: wait, then serve all that have something. */
static void
serve (HelixStreamServer *self, GArray *fds, guint64 next)
{
  guint n = self->peers->len;
  struct pollfd *ready;
  guint64 now;

  fill_poll (self, fds);
  ready = (struct pollfd *) (void *) fds->data;
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wait (&self->waiter, ready, fds->len, next);
  pthread_mutex_lock (&self->lock);
  now = helix_now_ns ();
  for (guint i = 0; i < n; i++) {
    if (ready[1 + i].revents == 0)
      continue;
    if (ready[1 + i].revents & ~POLLOUT)
      peer_read (peer_at (self, i), now);
    peer_flush (peer_at (self, i), TURN_BYTES, now);
    /* push () gets its chance between two peers. */
    pthread_mutex_unlock (&self->lock);
    pthread_mutex_lock (&self->lock);
  }
  for (guint i = 1 + n; i < fds->len; i++)
    if (ready[i].revents != 0)
      accept_all (self, i - 1 - n, now);
}

static void *
run (void *data)
{
  HelixStreamServer *self = data;
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (struct pollfd));

  helix_thread_name ("helix-stream");
  pthread_mutex_lock (&self->lock);
  while (!self->stop) {
    guint64 now = helix_now_ns ();
    guint64 next = tick (self, now);

    if (is_drained (self))
      pthread_cond_broadcast (&self->drained);
    if (self->events.length > 0)
      deliver (self);
    else if (wants_to_dial (self) && now >= self->dial_at)
      dial (self);
    else
      serve (self, fds, next);
  }
  pthread_mutex_unlock (&self->lock);
  g_array_unref (fds);
  return NULL;
}

/* Takes the lock off after something that the thread may have to go on with. */
static void
unlock_and_wake (HelixStreamServer *self)
{
  pthread_mutex_unlock (&self->lock);
  helix_waiter_wake (&self->waiter);
}

/* ---- its life ---- */

static void
dispose (HelixStreamServer *self)
{
  for (guint i = 0; i < self->peers->len; i++)
    peer_free (peer_at (self, i));
  g_ptr_array_unref (self->peers);
  g_queue_clear_full (&self->events, (GDestroyNotify) event_free);
  unit_unref (self->shape);
  g_free (self->description);
  helix_listener_free (self->listener);
  helix_address_free (self->address);
  g_object_unref (self->cancel);
  g_free (self->token);
  pthread_cond_destroy (&self->drained);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

HelixStreamServer *
helix_stream_server_new (const HelixStreamServerConfig *config,
    HelixStreamServerFunc on_event, gpointer user, GError **error)
{
  g_autoptr (HelixListener) listener = NULL;
  HelixStreamServer *self;
  int failed;

  helix_stream_debug_init ();
  if (config->listen) {
    listener = helix_transport_listen (config->address,
        config->token != NULL || config->insecure ? HELIX_ADMIT_ALL
                                                  : HELIX_ADMIT_OWN,
        NULL, error);
    if (listener == NULL)
      return NULL;
    if (listener->remark != NULL)
      GST_WARNING ("%s", listener->remark);
  }
  self = g_new0 (HelixStreamServer, 1);
  self->on_event = on_event;
  self->user = user;
  self->address = helix_address_parse (config->address->text, NULL);
  self->listener = g_steal_pointer (&listener);
  self->cancel = g_cancellable_new ();
  self->token = g_strdup (config->token);
  self->max_live[HELIX_ROLE_STREAM] = config->max_clients;
  self->max_live[HELIX_ROLE_CONTROL] = HELIX_STREAM_SERVER_MAX_CONTROL;
  self->recover = config->recover;
  self->max_age = config->max_age_ms * MSECOND;
  self->peers = g_ptr_array_new ();
  self->next_id = 1;
  self->started = helix_now_ns ();
  pthread_mutex_init (&self->lock, NULL);
  helix_cond_init (&self->drained);
  failed = helix_waiter_init (&self->waiter) ? 0 : errno;
  if (failed == 0) {
    failed = pthread_create (&self->thread, NULL, run, self);
    if (failed == 0)
      return self;
    helix_waiter_clear (&self->waiter);
  }
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED,
      "%s: cannot start a thread: %s. Raise the limits of this process.",
      config->address->text, g_strerror (failed));
  dispose (self);
  return NULL;
}

void
helix_stream_server_free (HelixStreamServer *self)
{
  guint64 now = helix_now_ns ();

  if (self == NULL)
    return;
  pthread_mutex_lock (&self->lock);
  self->stop = TRUE;
  unlock_and_wake (self);
  g_cancellable_cancel (self->cancel); /* dial () sees `stop` then */
  pthread_join (self->thread, NULL);
  helix_waiter_clear (&self->waiter);

  for (guint i = 0; i < self->peers->len; i++) {
    peer_bye (peer_at (self, i), HELIX_BYE_CLOSING, now);
    peer_flush (peer_at (self, i), TURN_BYTES, now);
  }
  dispose (self);
}

/* ---- for the element's threads ---- */

void
helix_stream_server_set_caps (
    HelixStreamServer *self, const struct helix_caps *caps, const gchar *text)
{
  guint32 id;

  pthread_mutex_lock (&self->lock);
  id = self->caps.caps_id + 1;
  self->caps = *caps;
  self->caps.caps_id = id == 0 ? 1 : id;
  g_free (self->description);
  self->description = g_strdup (text);
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_apply (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->applies = TRUE;
  unlock_and_wake (self);
}

void
helix_stream_server_want_key (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->key_wanted = TRUE;
  unlock_and_wake (self);
}

void
helix_stream_server_refuse (const HelixStreamServerEvent *event,
    enum helix_error_code code, const gchar *text)
{
  HelixStreamServer *self = event->server;

  GST_INFO ("client %u is told: %s", event->id, text);
  pthread_mutex_lock (&self->lock);
  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);

    if (peer->id == event->id && peer_is_live (peer))
      peer_refuse (peer, code,
          event->type == HELIX_STREAM_SERVER_SHOW ? HELIX_SHOW : HELIX_CONFIG,
          text, 0);
  }
  unlock_and_wake (self);
}

/* By the far end's check, so that it never has a reason to complain. */
static gboolean
cursor_is_good (const struct helix_cursor *cursor, const Unit *shape)
{
  guint32 bulk = shape != NULL ? (guint32) shape->map.size : 0;
  struct helix_cursor copy = *cursor;
  guint8 message[HELIX_MAX_MESSAGE];
  const gchar *why;

  if (shape != NULL)
    copy.flags |= HELIX_CURSOR_SHAPE;
  else
    copy.width = copy.height = 0; /* keep_cursor () does not look at them */
  helix_pack_cursor (message, 0, &copy, bulk);
  return helix_unpack_cursor (&copy, message + HELIX_HEADER_SIZE, sizeof copy,
      (guint32) sizeof copy + bulk, &why);
}

/* Takes `shape`. What is told of a shape is always what was told with it. */
static void
keep_cursor (
    HelixStreamServer *self, const struct helix_cursor *cursor, Unit *shape)
{
  struct helix_cursor last = self->cursor;

  self->cursors++;
  self->cursor = *cursor;
  if (shape != NULL) {
    unit_unref (self->shape);
    self->shape = shape;
    return;
  }
  if (self->shape == NULL || last.serial != cursor->serial) {
    g_clear_pointer (&self->shape, unit_unref);
    last.serial = last.width = last.height = last.hot_x = last.hot_y = 0;
  }
  self->cursor.serial = last.serial;
  self->cursor.width = last.width;
  self->cursor.height = last.height;
  self->cursor.hot_x = last.hot_x;
  self->cursor.hot_y = last.hot_y;
}

/* Queues the unit, if there is one, for all peers, and sends what their sockets
 * take. Takes the lock off, and wakes the thread if it must do the rest. */
static void
send_and_unlock (
    HelixStreamServer *self, Unit *unit, const struct helix_unit *head)
{
  gboolean work = FALSE;
  guint64 now = helix_now_ns ();

  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);
    gboolean waited = helix_writer_pending (&peer->out);

    if (unit != NULL)
      peer_push (peer, unit, head);
    /* Otherwise the thread is at it, and order must be kept. */
    if (!waited)
      peer_flush (peer, G_MAXSIZE, now);
    work |= (!waited && peer_pending (peer)) || peer->life == LIFE_DEAD;
    /* A request that was held back for want of units is due now. */
    work |= unit != NULL && peer_is_live (peer) && peer->waits_key;
  }
  work |= self->key_wanted || self->events.length > 0;
  pthread_mutex_unlock (&self->lock);
  if (work)
    helix_waiter_wake (&self->waiter);
}

gboolean
helix_stream_server_cursor (HelixStreamServer *self,
    const struct helix_cursor *cursor, GstBuffer *shape)
{
  struct helix_cursor own = *cursor;
  Unit *unit = NULL;

  if (shape != NULL && (unit = unit_new (shape)) == NULL)
    return FALSE;
  own.flags &= ~HELIX_CURSOR_SHAPE;
  if (!cursor_is_good (&own, unit)) {
    unit_unref (unit);
    return FALSE;
  }
  pthread_mutex_lock (&self->lock);
  keep_cursor (self, &own, unit);
  send_and_unlock (self, NULL, NULL);
  return TRUE;
}

static void
count_unit (HelixStreamServer *self, const struct helix_unit *head, gsize size,
    guint64 pushed_ns)
{
  self->units++;
  self->bytes += size;
  self->units_since_asked++;
  self->last_unit = head->sent_ns;
  if (pushed_ns <= head->sent_ns)
    helix_histogram_add (&self->encode, head->sent_ns - pushed_ns);
  if (pushed_ns <= head->sent_ns && head->capture_ns != HELIX_NONE64)
    self->encode_us = (guint32) MIN (
        (head->sent_ns - pushed_ns) / GST_USECOND, (guint64) G_MAXUINT32);
  if (head->capture_ns <= head->sent_ns)
    helix_histogram_add (&self->latency, head->sent_ns - head->capture_ns);
  if (head->flags & HELIX_UNIT_KEY) {
    self->keyframes++;
    self->key_asked = self->key_wanted = FALSE;
  }
}

void
helix_stream_server_push (HelixStreamServer *self, GstBuffer *buffer,
    const struct helix_unit *head, guint64 pushed_ns)
{
  Unit *unit = unit_new (buffer);
  struct helix_unit own = *head;

  if (unit == NULL)
    return;
  unit->arrived_ns = head->sent_ns;
  pthread_mutex_lock (&self->lock);
  if (self->caps.caps_id == 0) {
    pthread_mutex_unlock (&self->lock);
  } else {
    own.caps_id = self->caps.caps_id;
    own.sequence = self->sequence++;
    count_unit (self, &own, unit->map.size, pushed_ns);
    send_and_unlock (self, unit, &own);
  }
  unit_unref (unit);
}

void
helix_stream_server_skip (HelixStreamServer *self)
{
  pthread_mutex_lock (&self->lock);
  self->sequence++;
  pthread_mutex_unlock (&self->lock);
}

void
helix_stream_server_end (HelixStreamServer *self, guint timeout_ms)
{
  guint64 now = helix_now_ns ();
  guint64 until = now + timeout_ms * MSECOND;

  pthread_mutex_lock (&self->lock);
  while (!self->interrupted && !is_drained (self))
    if (helix_cond_wait_until (&self->drained, &self->lock, until) != 0)
      break;
  now = helix_now_ns ();
  for (guint i = 0; i < self->peers->len; i++) {
    Peer *peer = peer_at (self, i);

    if (peer_is_live (peer)) {
      peer_bye (peer, HELIX_BYE_EOS, now);
      peer_flush (peer, TURN_BYTES, now);
    }
  }
  unlock_and_wake (self);
}

void
helix_stream_server_interrupt (HelixStreamServer *self, gboolean on)
{
  pthread_mutex_lock (&self->lock);
  self->interrupted = on;
  pthread_cond_broadcast (&self->drained);
  pthread_mutex_unlock (&self->lock);
}

/* ---- stats ---- */

guint
helix_stream_server_clients (HelixStreamServer *self)
{
  guint n;

  pthread_mutex_lock (&self->lock);
  n = self->n_live[HELIX_ROLE_STREAM];
  pthread_mutex_unlock (&self->lock);
  return n;
}

static GstStructure *
peer_stats (const Peer *peer)
{
  return gst_structure_new ("client", "id", G_TYPE_UINT, peer->id, "peer",
      G_TYPE_STRING, peer->address, "name", G_TYPE_STRING, peer->session.name,
      "pid", G_TYPE_UINT, peer->session.hello.pid, "units", G_TYPE_UINT64,
      peer->sent_units, "bytes", G_TYPE_UINT64, peer->sent_bytes, "dropped",
      G_TYPE_UINT64, peer->dropped, "skips", G_TYPE_UINT64, peer->skips,
      "queued-units", G_TYPE_UINT, n_waiting (peer), "queued-bytes",
      G_TYPE_UINT64, (guint64) peer->out.bytes[HELIX_WRITER_UNITS],
      "received-units", G_TYPE_UINT64, peer->told.units, "received-bytes",
      G_TYPE_UINT64, peer->told.bytes, "lost", G_TYPE_UINT64, peer->told.lost,
      "latency", G_TYPE_UINT64,
      peer->told.units > 0 ? peer->told.latency_ns : HELIX_NONE64, NULL);
}

/* All that get the stream. */
static void
take_clients (HelixStreamServer *self, GValue *list)
{
  GValue item = G_VALUE_INIT;

  g_value_init (list, GST_TYPE_LIST);
  for (guint i = 0; i < self->peers->len; i++) {
    if (!peer_watches (peer_at (self, i)))
      continue;
    g_value_init (&item, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&item, peer_stats (peer_at (self, i)));
    gst_value_list_append_and_take_value (list, &item);
  }
}

GstStructure *
helix_stream_server_stats (HelixStreamServer *self, const gchar *name)
{
  GValue list = G_VALUE_INIT;
  GstStructure *stats;

  pthread_mutex_lock (&self->lock);
  stats = gst_structure_new (name, "address", G_TYPE_STRING,
      self->listener != NULL ? self->listener->text : self->address->text,
      "num-clients", G_TYPE_UINT, self->n_live[HELIX_ROLE_STREAM],
      "num-controllers", G_TYPE_UINT, self->n_live[HELIX_ROLE_CONTROL],
      "clients-total", G_TYPE_UINT64, self->joined, "reconnects", G_TYPE_UINT64,
      self->rejoined, "rejected", G_TYPE_UINT64, self->rejected, "units",
      G_TYPE_UINT64, self->units, "bytes", G_TYPE_UINT64, self->bytes,
      "keyframes", G_TYPE_UINT64, self->keyframes, "keyframes-requested",
      G_TYPE_UINT64, self->asked, "units-sent", G_TYPE_UINT64, self->sent_units,
      "bytes-sent", G_TYPE_UINT64, self->sent_bytes, "units-dropped",
      G_TYPE_UINT64, self->dropped, NULL);
  helix_stats_set_times (stats, "encode", &self->encode);
  helix_stats_set_times (stats, "send", &self->send);
  helix_stats_set_times (stats, "latency", &self->latency);
  take_clients (self, &list);
  pthread_mutex_unlock (&self->lock);
  gst_structure_take_value (stats, "clients", &list);
  return stats;
}
