/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the connection to helixguestsink to the guest, as the host sees it (by
 * LIST) and as the guest does (by joining the stream as helixsrc does).
 */
#include <gst/gst.h>
#include <string.h>

#include "helix-doctor.h"
#include "helix-encoder.h"
#include "helix-nal.h"
#include "helix-platform.h"
#include "helix-server.h"
#include "helix-transport.h"

/* A unit this young shows that they flow. Older than that, a keyframe is asked
 * for, which a still screen answers, too. */
#define FRESH_NS (700 * GST_MSECOND)
/* For the answer to that. */
#define KEYFRAME_NS (1500 * GST_MSECOND)
/* Between two listings, to see what moves. */
#define GAP_NS (600 * GST_MSECOND)
/* A guest that is connected longer than that has told what it received. */
#define TOLD_NS (3000 * GST_MSECOND)
/* A stream that has so many units and no keyframe never makes one. */
#define MANY_UNITS 30
/* us: an encoder that is set up for low latency takes a tenth of it even where
 * it is slow; x264enc's default look-ahead of 45 pictures is 750 ms. */
#define HELD_US 200000

/* In the guest, after the first keyframe, to see that units go on. */
#define MORE_NS (700 * GST_MSECOND)
/* Units and bytes that are kept for the decoder. */
#define MAX_UNITS 64
#define MAX_BYTES (64u << 20)

#define SAME_RELEASE \
  "Use the same release of gst-helix on the host and in the guest"

/* ---- the connection ---- */

/* Returns FALSE. */
static gboolean
explain_connect (HelixWalk *walk, const GError *error)
{
  gboolean host = walk->doctor->role == HELIX_HOST;
  /* The transport's remedy is for the user of an element. Keep it for a wrong
   * name or port; where no server listens, ours is better. */
  gboolean no_server = strstr (error->message, "no server") != NULL;
  g_autofree gchar *remedy = g_strdup_printf (
      "Start the host's pipeline%s%s; or say --address if it serves elsewhere",
      host ? ": gst-launch-1.0 helixqemusrc ! x264enc tune=zerolatency ! "
             "helixguestsink address="
           : " there, and see helix doctor on the host",
      host ? walk->doctor->address : "");

  return helix_walk_unreachable (
      walk, walk->where->text, error, no_server ? remedy : NULL);
}

/* Who serves, as far as this machine can tell. */
static void
look_at_server (HelixWalk *walk)
{
  const HelixAddress *where = walk->where;

  if (where->kind == HELIX_ADDRESS_UNIX)
    helix_process_of_peer (&walk->server, walk->probe->connection->fd);
  else if (where->kind == HELIX_ADDRESS_TCP
      && (g_str_has_prefix (where->host, "127.")
          || g_str_equal (where->host, "localhost")
          || g_str_equal (where->host, "::1")
          || g_str_equal (where->host, "0.0.0.0")))
    helix_process_of_port (&walk->server, where->port);
}

static gboolean
check_connect (HelixWalk *walk)
{
  guint64 now = helix_now_ns (), until = helix_walk_soon (walk);
  g_autoptr (GError) error = NULL;
  gboolean known;
  gint fd;

  walk->where = helix_address_parse (walk->doctor->address, &error);
  if (walk->where == NULL)
    return helix_walk_fail (walk,
        "%s is no address" REMEDY "Addresses are " HELIX_ADDRESS_FORMS,
        walk->doctor->address);
  fd = helix_transport_connect (walk->where, walk->doctor->cancel,
      until > now ? (gint) ((until - now) / GST_MSECOND) : 1, &error);
  if (fd < 0) {
    explain_connect (walk, error);
  } else {
    walk->probe =
        helix_probe_new (fd, walk->where->kind == HELIX_ADDRESS_SERIAL);
    look_at_server (walk);
    known = walk->server.pid > 0;
    helix_walk_ok (walk, "%s takes connections%s%s", walk->where->text,
        known ? ", " : "", known ? walk->server.words : "");
  }
  helix_json_add (walk->facts, JSON_TEXT ("address", walk->where->text),
      JSON_UINT ("pid", (guint64) walk->server.pid));
  return fd >= 0;
}

/* ---- does helixguestsink answer? ---- */

static const HelixRemedy remedies[] = {
    {HELIX_LOSS_UNASKED, 0,
        "If that is the host's pipeline, set token-file of its helixguestsink "
        "to the same token, or leave --token-file out. If not, another program "
        "has that address"},
    {HELIX_LOSS_UNPROVED, 0,
        "Another program poses as helixguestsink there: find out which, and "
        "end it"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_BUSY,
        "End a client, or raise max-clients of helixguestsink"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_ROLE,
        "That is a shim's socket, or a helixguestsink that is too old to be "
        "asked: check the address, and the versions"},
    {HELIX_LOSS_REFUSED, HELIX_ERROR_VERSION, SAME_RELEASE},
    {HELIX_LOSS_CLOSED, 0,
        "If the host's pipeline serves there, look at its messages. If not, "
        "another program has that address: give helixguestsink another one"},
    {HELIX_LOSS_BYE, 0,
        "The host's pipeline ended just now: look at its messages, and start "
        "it again"},
    {HELIX_LOSS_OLD, 0, SAME_RELEASE},
    {HELIX_LOSS_VERSION, 0, SAME_RELEASE},
    {HELIX_LOSS_NONE, 0,
        "Another program has that address: give helixguestsink, and the "
        "guest, another one"},
};

static const gchar *
remedy_for_auth (const HelixWalk *walk)
{
  /* Before HELLO it is the user who is refused. */
  if (walk->probe->connection->role == 0)
    return walk->doctor->role == HELIX_HOST
        ? "Or run helix doctor as the user who runs helixguestsink"
        : "Or run helixguestsink as the user who runs QEMU, by whose network "
          "this guest connects";
  return walk->doctor->token != NULL
      ? "Put into --token-file the token that helixguestsink has (its property "
        "token-file)"
      : "Say --token-file with the token that helixguestsink has (its property "
        "token-file)";
}

static const gchar *
remedy_for (const HelixWalk *walk, const GError *error)
{
  if (error->code == HELIX_LOSS_REFUSED
      && walk->probe->connection->error.code == HELIX_ERROR_AUTH)
    return remedy_for_auth (walk);
  if (error->code != HELIX_LOSS_SILENT)
    return helix_walk_remedy (walk, remedies, error);
  if (walk->doctor->role == HELIX_HOST
      && g_str_has_prefix (walk->server.name, "qemu"))
    return "QEMU serves that socket itself: it is the host's end of a virtio "
           "port, where helixguestsink mode=connect belongs. Run helix doctor "
           "in the guest; from here that leg cannot be seen";
  if (walk->server.pid > 0)
    return "If that is the host's pipeline, it hangs: start it again. If not, "
           "give helixguestsink another address";
  return "If the host's pipeline serves there, it is stopped or hangs. If not, "
         "another program has the port: give helixguestsink another address";
}

static gboolean
check_answer (HelixWalk *walk)
{
  walk->remedy = remedy_for;
  /* On a virtio port a PING may fall into half a message of the client before
   * us; only HELLO gets through. */
  return walk->where->kind == HELIX_ADDRESS_SERIAL || helix_walk_ping (walk);
}

static gboolean
check_answer_late (HelixWalk *walk)
{
  return walk->where->kind != HELIX_ADDRESS_SERIAL || helix_walk_ping (walk);
}

static gboolean
check_stream (HelixWalk *walk)
{
  return helix_walk_hello (walk,
      walk->doctor->role == HELIX_HOST ? HELIX_ROLE_CONTROL : HELIX_ROLE_STREAM,
      walk->doctor->token);
}

/* ---- the host: do units come to helixguestsink? ---- */

/* LIST until a unit came since the one before, the last one is fresh, or, since
 * a still screen makes none, a keyframe request brought none in time. *took:
 * from that request to the unit in ns, NONE64 = none came or none was made.
 * FALSE: the connection is lost, or of no use any more. */
static gboolean
watch_units (HelixWalk *walk, guint64 *took, GError **error)
{
  const struct helix_keyframe keyframe = {
      .reason = HELIX_KEYFRAME_ASKED, .last_sequence = HELIX_NONE64};
  HelixProbe *probe = walk->probe;
  guint64 pause = MIN (probe->now.taken_ns + GAP_NS, walk->doctor->deadline);
  guint64 asked = 0, now;
  guint8 message[HELIX_MAX_MESSAGE];

  for (;;) {
    while ((now = helix_now_ns ()) < pause)
      if (helix_probe_next (probe, pause, error) < 0)
        return FALSE;
    if (!helix_probe_list (probe, helix_walk_soon (walk), error))
      return FALSE;
    if (probe->now.clients == NULL) {
      g_set_error (error, HELIX_PROBE_ERROR, HELIX_LOSS_REFUSED,
          "it answered LIST once, and now refuses");
      return FALSE;
    }
    if (probe->now.status.frames > probe->before.status.frames) {
      *took = asked != 0 ? helix_now_ns () - asked : HELIX_NONE64;
      return TRUE;
    }
    if (asked == 0 && probe->now.status.last_ns <= FRESH_NS)
      return TRUE;
    if (asked == 0) {
      asked = now;
      helix_connection_send (
          probe->connection, message, helix_pack_keyframe (message, &keyframe));
    }
    if (now >= MIN (asked + KEYFRAME_NS, walk->doctor->deadline))
      return TRUE;
    pause = now + HELIX_LIST_EVERY_NS;
  }
}

/* Pictures come out late, though all goes well. */
static void
judge_encoder (HelixWalk *walk)
{
  const HelixListing *listing = &walk->probe->now;
  /* The text begins with the encoder's name. */
  g_autofree gchar *name =
      g_strndup (listing->text, strcspn (listing->text, ","));
  const gchar *setting = helix_encoder_low_latency (name);

  if (listing->status.encode_us >= HELD_US)
    helix_walk_note (walk,
        "%s holds each picture back for %u ms" BECAUSE
        "it looks ahead (helixqemusrc's stats say held-back), or this machine "
        "is too slow for it" REMEDY "Set %s%s%s",
        name, listing->status.encode_us / 1000,
        setting != NULL ? setting : name,
        setting != NULL ? " of " : " up for low latency",
        setting != NULL ? name : "");
}

#define SET_PLAYING \
  REMEDY \
  "Set the host's pipeline to PLAYING, and look at its messages " \
  "(GST_DEBUG=helix*:4)"

/* Why decoding cannot start, as far as helixguestsink can tell. `stale`: it got
 * no unit of late, though a keyframe was requested. */
static void
explain_units (HelixWalk *walk, const gchar *text, gboolean stale)
{
  const struct helix_status *s = &walk->probe->now.status;

  if (s->frames == 0)
    helix_walk_fail (walk,
        "%s" BECAUSE "none has come to helixguestsink since it started %.1f s "
        "ago, not even for a keyframe request: helixqemusrc has no picture, or "
        "the encoder waits or fails" SET_PLAYING,
        text, (gdouble) s->uptime_ns / 1e9);
  else if (stale)
    helix_walk_fail (walk,
        "%s" BECAUSE "the last one came to helixguestsink %.1f s ago, and a "
        "keyframe request brought none: the host's pipeline is paused or "
        "stuck, or the encoder answers no keyframe request" SET_PLAYING,
        text, (gdouble) s->last_ns / 1e9);
  else
    helix_walk_fail (walk,
        "%s" BECAUSE "%" G_GUINT64_FORMAT " units came to helixguestsink, "
        "%" G_GUINT64_FORMAT " of them keyframes: the encoder ignores "
        "force-key-unit, or SPS and PPS are missing" REMEDY
        "On the host, set the encoder's key interval (x264enc key-int-max, "
        "openh264enc gop-size), and put h264parse config-interval=-1 behind it",
        text, s->frames, s->keyframes);
}

/* What the listings say, the request for a keyframe having taken so long. */
static void
judge_units (HelixWalk *walk, guint64 took)
{
  const HelixListing *first = &walk->probe->before, *last = &walk->probe->now;
  const struct helix_status *s = &last->status;
  gboolean stale = s->last_ns > FRESH_NS && took == HELIX_NONE64;
  gdouble rate = (gdouble) (s->frames - first->status.frames) * 1e9
      / (gdouble) MAX (1, last->taken_ns - first->taken_ns);

  if (stale)
    explain_units (walk, "no encoded units come to helixguestsink", TRUE);
  else if (s->keyframes == 0 && s->frames >= MANY_UNITS)
    explain_units (walk, "units come, but no keyframe is among them", FALSE);
  else if (took != HELIX_NONE64)
    helix_walk_ok (walk,
        "%s: the screen is still; a keyframe request brought a unit within "
        "%.0f ms",
        last->text, (gdouble) took / 1e6);
  else
    helix_walk_ok (walk, "%s: %.1f units a second", last->text, rate);
  helix_json_add (walk->facts, JSON_TEXT ("serves", last->text),
      JSON_UINT ("units", s->frames), JSON_UINT ("keyframes", s->keyframes),
      JSON_UINT ("dropped", s->dropped), JSON_MS ("age_ms", s->last_ns),
      JSON_DOUBLE ("rate", rate));
  if (s->encode_us != 0)
    helix_json_add (walk->facts, JSON_MS ("encode_ms", s->encode_us * 1000ull));
  if (!stale)
    judge_encoder (walk);
}

static gboolean
check_sent (HelixWalk *walk)
{
  g_autoptr (GError) error = NULL;
  guint64 took = HELIX_NONE64;

  if (!helix_probe_list (walk->probe, helix_walk_soon (walk), &error))
    goto lost;
  if (walk->probe->now.clients == NULL) {
    helix_walk_note (walk, "helixguestsink is too old to tell what it gets");
    return FALSE;
  }
  if (!watch_units (walk, &took, &error))
    goto lost;
  judge_units (walk, took);
  return TRUE;

lost:
  helix_walk_fail (walk,
      "helixguestsink does not tell how it does" BECAUSE "%s" REMEDY
      "Look at the messages of the host's pipeline, and start it again",
      error->message);
  return FALSE;
}

/* ---- the host: does a guest receive them? ---- */

static void
judge_guest (HelixWalk *walk, const HelixListed *client)
{
  const struct helix_client *info = &client->info;
  gboolean told = info->received != HELIX_NONE64;
  gdouble age = (gdouble) info->connected_ns / 1e9;
  g_autofree gchar *who = helix_listed_words (client);
  g_autofree gchar *late = info->latency_ns == HELIX_NONE64
      ? g_strdup ("")
      : g_strdup_printf (
          ", %.1f ms after their capture", (gdouble) info->latency_ns / 1e6);

  if (info->frames == 0 && info->connected_ns > KEYFRAME_NS)
    helix_walk_fail (walk,
        "%s is connected, but has been sent nothing for %.1f s" BECAUSE
        "no keyframe came that it could have started with" REMEDY
        "See the line about units",
        who, age);
  else if (info->connected_ns > TOLD_NS && (!told || info->received == 0)
      && info->frames > 0)
    helix_walk_fail (walk,
        "%s receives nothing" BECAUSE "%" G_GUINT64_FORMAT
        " units were sent to it, and it %s" REMEDY
        "In the guest, see helix doctor, and whether its program still runs",
        who, info->frames,
        told ? "says that none arrived" : "never said that one arrived");
  else if (!told)
    helix_walk_ok (walk,
        "%s, connected for %.1f s, was sent %" G_GUINT64_FORMAT " units", who,
        age, info->frames);
  else
    helix_walk_ok (walk,
        "%s received %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " units%s",
        who, info->received, info->frames, late);
  helix_listed_json (client, walk->facts);
}

static gboolean
check_guest (HelixWalk *walk)
{
  guint guests = 0;

  for (guint i = 0; i < walk->probe->now.clients->len; i++) {
    const HelixListed *client =
        &g_array_index (walk->probe->now.clients, HelixListed, i);

    if (client->info.role != HELIX_ROLE_STREAM)
      continue;
    judge_guest (walk, client);
    guests++;
  }
  if (guests == 0)
    helix_walk_fail (walk,
        "no guest is connected" BECAUSE
        "no program receives what helixguestsink serves" REMEDY
        "In the guest, start helixsrc (gst-launch-1.0 helixsrc ! h264parse ! "
        "fakesink), or see helix doctor there");
  return TRUE;
}

/* ---- the guest: do units come? ---- */

/* Keeps the bytes of a unit for the decoder. */
static void
take_unit (HelixWalk *walk)
{
  HelixProbe *probe = walk->probe;
  gsize size = probe->connection->reader.bulk_size;

  walk->came++;
  walk->keyframes += (probe->unit.flags & HELIX_UNIT_KEY) != 0;
  if (walk->keyframes == 0 || walk->units->len >= MAX_UNITS
      || walk->kept + size > MAX_BYTES)
    return;
  if (probe->bulk == NULL) /* no memory was left */
    size = 0;
  walk->kept += size;
  g_ptr_array_add (
      walk->units, g_bytes_new_take (g_steal_pointer (&probe->bulk), size));
}

/* *first_key_ns: from now until the first keyframe. FALSE: the connection was
 * lost. */
static gboolean
receive (HelixWalk *walk, guint64 *first_key_ns, GError **error)
{
  guint64 began = helix_now_ns (), end = helix_walk_soon (walk);

  walk->probe->keep_bulk = TRUE;
  while (helix_now_ns () < end) {
    gint type = helix_probe_next (walk->probe, end, error);
    gboolean early = walk->keyframes == 0;

    if (type < 0)
      return FALSE;
    if (type == HELIX_UNIT)
      take_unit (walk);
    if (!early || walk->keyframes == 0)
      continue;
    *first_key_ns = walk->probe->connection->heard_ns - began;
    end = MIN (helix_now_ns () + MORE_NS, walk->doctor->deadline);
  }
  return TRUE;
}

static gboolean
check_received (HelixWalk *walk)
{
  g_autoptr (GError) error = NULL;
  guint64 first_key_ns = HELIX_NONE64;
  g_autofree gchar *text = NULL;

  receive (walk, &first_key_ns, &error);
  text = walk->came == 0
      ? g_strdup ("no units come")
      : g_strdup_printf ("%u units came, but no keyframe", walk->came);
  if (walk->units->len > 0)
    helix_walk_ok (walk,
        "the first keyframe came after %.0f ms, %u units in all",
        (gdouble) first_key_ns / 1e6, walk->came);
  else if (error == NULL
      && helix_probe_list (walk->probe, helix_walk_soon (walk), NULL)
      && walk->probe->now.clients != NULL)
    explain_units (walk, text, walk->probe->now.status.last_ns > FRESH_NS);
  else
    helix_walk_fail (walk,
        "%s" BECAUSE "%s" REMEDY "See helix doctor on the host", text,
        error != NULL ? error->message
                      : "the host's pipeline makes none, or is paused");
  helix_json_add (walk->facts, JSON_MS ("first_keyframe_ms", first_key_ns));
  helix_json_add (walk->facts, JSON_UINT ("units", walk->came),
      JSON_UINT ("keyframes", walk->keyframes));
  return walk->units->len > 0;
}

/* ---- the guest: are they what they say they are? ---- */

/* Counts the kinds of NAL units in the first one kept, which is a keyframe. */
static void
check_nals (HelixWalk *walk)
{
  const struct helix_caps *caps = &walk->probe->caps;
  gboolean h265 = caps->codec == HELIX_CODEC_H265;
  guint kinds[HELIX_NAL_RECOVERY + 1] = {0}, slices;
  HelixNal nal;
  gsize size;
  const guint8 *data =
      g_bytes_get_data (g_ptr_array_index (walk->units, 0), &size);

  while (helix_nal_next_annexb (&data, &size, &nal))
    kinds[helix_nal_kind (&nal, h265)]++;
  slices = kinds[HELIX_NAL_KEY] + kinds[HELIX_NAL_SLICE];
  if (kinds[HELIX_NAL_SPS] > 0 && kinds[HELIX_NAL_PPS] > 0 && slices > 0)
    helix_walk_ok (walk, "%s %ux%u, %s%sparameter sets in band",
        h265 ? "H.265" : "H.264", caps->width, caps->height, caps->profile,
        *caps->profile ? ", " : "");
  else
    helix_walk_fail (walk,
        "what comes as a keyframe cannot be decoded" BECAUSE
        "it has %u SPS, %u PPS and %u slices" REMEDY
        "On the host, put h264parse config-interval=-1 between encoder and "
        "helixguestsink",
        kinds[HELIX_NAL_SPS], kinds[HELIX_NAL_PPS], slices);
  helix_json_add (walk->facts, JSON_UINT ("width", caps->width),
      JSON_UINT ("height", caps->height), JSON_TEXT ("profile", caps->profile));
}

static gboolean
check_parse (HelixWalk *walk)
{
  static const gchar *const codecs[] = {
      "?", "H.264", "H.265", "AV1", "VP8", "VP9", "JPEG"};
  const struct helix_caps *caps = &walk->probe->caps;

  if (caps->caps_id == 0)
    helix_walk_fail (walk,
        "units come, but nothing said of what kind they are" REMEDY
            SAME_RELEASE);
  else if (caps->codec == HELIX_CODEC_H264 || caps->codec == HELIX_CODEC_H265)
    check_nals (walk);
  else
    helix_walk_ok (walk, "%s %ux%u",
        codecs[MIN (caps->codec, G_N_ELEMENTS (codecs) - 1)], caps->width,
        caps->height);
  return TRUE;
}

const HelixCheck helix_checks_stream[] = {
    {"connect", 20, HELIX_BOTH, check_connect},
    {"answer", 21, HELIX_BOTH, check_answer},
    {"stream", 22, HELIX_BOTH, check_stream},
    {"answer", 21, HELIX_BOTH, check_answer_late},
    {"units", 23, HELIX_HOST, check_sent},
    {"units", 23, HELIX_GUEST, check_received},
    {"guest", 24, HELIX_HOST, check_guest},
    {"parse", 25, HELIX_GUEST, check_parse},
    {NULL, 0, 0, NULL},
};
