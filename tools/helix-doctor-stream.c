/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's view of the stream, from LIST: does helixguestsink get units,
 * and what becomes of them?
 */
#include "helix-doctor.h"

#include "helix-encoder-table.h"
#include "helix-probe.h"
#include "helix-platform.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

/* A unit this young shows that they flow. Older than that, a keyframe is asked
 * for, which a still screen answers, too. */
#define FRESH_NS (700 * NS_PER_MS)
/* For the answer to that, and between two looks at it. */
#define KEYFRAME_NS (1500 * NS_PER_MS)
#define LOOK_NS (50 * NS_PER_MS)
/* Between two listings, to see what moves. */
#define GAP_NS (600 * NS_PER_MS)
/* A guest that is connected longer than that has told what it received. */
#define TOLD_NS (3000 * NS_PER_MS)
/* A stream that has so many units and no keyframe never makes one. */
#define MANY_UNITS 30
/* us: an encoder that is set up for low latency takes a tenth of it even where
 * it is slow; x264enc's default look-ahead of 45 pictures is 750 ms. */
#define HELD_US 200000

/* Answers PINGs until `until`. FALSE: the connection is lost. */
static gboolean
pause_until (HelixProbe *probe, guint64 until, GError **error)
{
  while (helix_now_ns () < until) {
    g_autoptr (GError) mine = NULL;

    if (!helix_probe_next (probe, until, &mine)
        && mine->code != HELIX_PROBE_ERROR_SILENT) {
      g_propagate_error (error, g_steal_pointer (&mine));
      return FALSE;
    }
  }
  return TRUE;
}

/* LIST once more. FALSE: the connection is lost, or of no use any more. */
static gboolean
look (const HelixDoctor *self, HelixProbe *probe, HelixListing *listing,
    GError **error)
{
  if (!helix_probe_list (probe, listing, helix_doctor_soon (self), error))
    return FALSE;
  if (listing->clients != NULL)
    return TRUE;
  g_set_error (error, HELIX_PROBE_ERROR, HELIX_PROBE_ERROR_REFUSED,
      "it answered LIST once, and now refuses");
  return FALSE;
}

/* Asks for a keyframe and waits for a unit. *took in ns, NONE64 = none came.
 * FALSE: the connection is lost. */
static gboolean
provoke (const HelixDoctor *self, HelixProbe *probe, HelixListing *listing,
    guint64 *took, GError **error)
{
  struct helix_keyframe keyframe = {
      .reason = HELIX_KEYFRAME_ASKED, .last_sequence = HELIX_NONE64};
  guint64 before = listing->status.frames, began = helix_now_ns ();
  guint64 end = MIN (began + KEYFRAME_NS, self->deadline);
  guint8 message[HELIX_MAX_MESSAGE];

  *took = HELIX_NONE64;
  if (!helix_probe_send (
          probe, message, helix_pack_keyframe (message, &keyframe), end, error))
    return FALSE;
  while (helix_now_ns () < end) {
    if (!pause_until (probe, helix_now_ns () + LOOK_NS, error)
        || !look (self, probe, listing, error))
      return FALSE;
    if (listing->status.frames > before) {
      *took = helix_now_ns () - began;
      return TRUE;
    }
  }
  return TRUE;
}

static void
lost (guint probe, const GError *error, HelixReport *report)
{
  HelixFinding *f = helix_report_add (report, probe, HELIX_VERDICT_FAIL,
      "helixguestsink does not tell how it does");

  helix_finding_because (f, "%s", error->message);
  helix_finding_remedy (
      f, "Look at the messages of the host's pipeline, and start it again");
}

static void
status_json (const HelixListing *listing, gdouble rate, JsonBuilder *json)
{
  helix_json_text (json, "serves", listing->text);
  helix_json_uint (json, "units", listing->status.frames);
  helix_json_uint (json, "keyframes", listing->status.keyframes);
  helix_json_uint (json, "dropped", listing->status.dropped);
  helix_json_ms (json, "age_ms", listing->status.last_ns);
  helix_json_double (json, "rate", rate);
  if (listing->status.encode_us != 0)
    helix_json_ms (json, "encode_ms", listing->status.encode_us * 1000ull);
}

/* Pictures come out late, though all goes well. */
static void
judge_encoder (const HelixListing *listing, HelixReport *report)
{
  /* The text begins with the encoder's name. */
  g_autofree gchar *name =
      g_strndup (listing->text, strcspn (listing->text, ","));
  const gchar *setting = helix_encoder_table_low_latency (name);
  HelixFinding *f;

  if (listing->status.encode_us < HELD_US)
    return;
  f = helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_NOTE,
      "%s holds each picture back for %u ms", name,
      listing->status.encode_us / 1000);
  helix_finding_because (f,
      "it looks ahead (helixqemusrc's stats say held-back), or this machine is "
      "too slow for it");
  if (setting != NULL)
    helix_finding_remedy (f, "Set %s of %s", setting, name);
  else
    helix_finding_remedy (f, "Set %s up for low latency", name);
}

static void
explain_no_units (const HelixListing *listing, HelixReport *report)
{
  HelixFinding *f = helix_report_add (report, HELIX_CHECK_UNITS,
      HELIX_VERDICT_FAIL, "no encoded units come to helixguestsink");
  const struct helix_status *s = &listing->status;

  if (s->frames == 0)
    helix_finding_because (f,
        "none has come since it started %.1f s ago, not even for a keyframe "
        "request: helixqemusrc has no picture, or the encoder waits or fails",
        (gdouble) s->uptime_ns / 1e9);
  else
    helix_finding_because (f,
        "the last one came %.1f s ago, and a keyframe request brought none: "
        "the host's pipeline is paused, or stuck before the sink",
        (gdouble) s->last_ns / 1e9);
  helix_finding_remedy (f,
      "Set the host's pipeline to PLAYING, and look at its messages "
      "(GST_DEBUG=helix*:4)");
  status_json (listing, 0, f->facts);
}

static gboolean
check_units (const HelixDoctor *self, HelixProbe *probe, HelixListing *listing,
    HelixReport *report)
{
  HelixListing first = {0};
  g_autoptr (GError) error = NULL;
  guint64 took = HELIX_NONE64;
  gdouble rate;
  HelixFinding *f;

  if (!helix_probe_list (probe, &first, helix_doctor_soon (self), &error))
    goto failed;
  if (first.clients == NULL) {
    helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_NOTE,
        "helixguestsink is too old to tell what it gets");
    return FALSE;
  }
  if (!pause_until (
          probe, MIN (first.taken_ns + GAP_NS, self->deadline), &error)
      || !look (self, probe, listing, &error))
    goto failed;
  if (listing->status.last_ns > FRESH_NS
      && listing->status.frames == first.status.frames
      && !provoke (self, probe, listing, &took, &error))
    goto failed;
  rate = (gdouble) (listing->status.frames - first.status.frames) * 1e9
      / (gdouble) MAX (1, listing->taken_ns - first.taken_ns);
  helix_listing_clear (&first);

  if (listing->status.last_ns > FRESH_NS && took == HELIX_NONE64) {
    explain_no_units (listing, report);
    return TRUE;
  }
  if (listing->status.keyframes == 0 && listing->status.frames >= MANY_UNITS) {
    f = helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_FAIL,
        "units come, but no keyframe is among them");
    helix_finding_because (f,
        "%" G_GUINT64_FORMAT " units so far, none that decoding can start at: "
        "the encoder ignores force-key-unit, or SPS and PPS are missing",
        listing->status.frames);
    helix_finding_remedy (f,
        "Set the encoder's key interval (x264enc key-int-max, openh264enc "
        "gop-size), and put h264parse config-interval=-1 behind it");
  } else if (took != HELIX_NONE64) {
    f = helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_OK,
        "%s: the screen is still; a keyframe request brought a unit within "
        "%.0f ms",
        listing->text, (gdouble) took / 1e6);
  } else {
    f = helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_OK,
        "%s: %.1f units a second", listing->text, rate);
  }
  status_json (listing, rate, f->facts);
  judge_encoder (listing, report);
  return TRUE;

failed:
  lost (HELIX_CHECK_UNITS, error, report);
  helix_listing_clear (&first);
  return FALSE;
}

/* One guest, as a finding of its hop. */
static void
judge_guest (const HelixListed *client, HelixReport *report)
{
  const struct helix_client *info = &client->info;
  gboolean told = info->received != HELIX_NONE64;
  gdouble age = (gdouble) info->connected_ns / 1e9;
  g_autofree gchar *who = helix_listed_words (client);
  HelixFinding *f;

  if (info->frames == 0 && info->connected_ns > KEYFRAME_NS) {
    f = helix_report_add (report, HELIX_CHECK_GUEST, HELIX_VERDICT_FAIL,
        "%s is connected, but has been sent nothing for %.1f s", who, age);
    helix_finding_because (
        f, "no keyframe came that it could have started with");
    helix_finding_remedy (f, "See the line about units");
  } else if (info->connected_ns > TOLD_NS && (!told || info->received == 0)
      && info->frames > 0) {
    f = helix_report_add (report, HELIX_CHECK_GUEST, HELIX_VERDICT_FAIL,
        "%s receives nothing", who);
    helix_finding_because (f, "%" G_GUINT64_FORMAT " units were sent to it, %s",
        info->frames,
        told ? "and it says that none arrived"
             : "and it never said that one arrived");
    helix_finding_remedy (f,
        "In the guest, see helix doctor, and whether its program still runs");
  } else if (!told) {
    f = helix_report_add (report, HELIX_CHECK_GUEST, HELIX_VERDICT_OK,
        "%s, connected for %.1f s, was sent %" G_GUINT64_FORMAT " units", who,
        age, info->frames);
  } else {
    f = helix_report_add (report, HELIX_CHECK_GUEST, HELIX_VERDICT_OK,
        "%s received %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " units", who,
        info->received, info->frames);
    if (info->latency_ns != HELIX_NONE64) {
      gchar *text = g_strdup_printf ("%s, %.1f ms after their capture", f->text,
          (gdouble) info->latency_ns / 1e6);

      g_free (f->text);
      f->text = text;
    }
  }
  helix_json_text (f->facts, "name", client->name[0] ? client->name : NULL);
  helix_json_uint (f->facts, "sent", info->frames);
  helix_json_known (f->facts, "received", info->received, HELIX_NONE64);
  helix_json_known (f->facts, "dropped", info->dropped, HELIX_NONE64);
  helix_json_ms (f->facts, "latency_ms", info->latency_ns);
  helix_json_ms (f->facts, "connected_ms", info->connected_ns);
}

static void
check_guests (const HelixListing *listing, HelixReport *report)
{
  HelixFinding *f;

  for (guint i = 0; i < listing->clients->len; i++) {
    const HelixListed *client =
        &g_array_index (listing->clients, HelixListed, i);

    if (client->info.role == HELIX_ROLE_STREAM)
      judge_guest (client, report);
  }
  if (helix_report_knows (report, HELIX_CHECK_GUEST))
    return;
  f = helix_report_add (
      report, HELIX_CHECK_GUEST, HELIX_VERDICT_FAIL, "no guest is connected");
  helix_finding_because (f, "nobody receives what helixguestsink serves");
  helix_finding_remedy (f,
      "In the guest, start helixsrc (gst-launch-1.0 helixsrc ! h264parse ! "
      "fakesink), or see helix doctor there");
}

void
helix_doctor_stream (const HelixDoctor *self, HelixReport *report)
{
  g_autoptr (HelixProbe) probe =
      helix_doctor_join (self, HELIX_ROLE_CONTROL, report);
  HelixListing listing = {0};

  if (probe != NULL && check_units (self, probe, &listing, report))
    check_guests (&listing, report);
  helix_listing_clear (&listing);
}
