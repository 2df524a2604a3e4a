/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's view of the stream: joins it as helixsrc does, and looks at
 * what comes.
 */
#include "helix-doctor-guest.h"

#include <string.h>

#include "helix-probe.h"
#include "helix-nal.h"
#include "helix-platform.h"

#define NS_PER_MS G_GUINT64_CONSTANT (1000000)

/* After the first keyframe, to see that units go on. */
#define MORE_NS (700 * NS_PER_MS)

/* Units and bytes that are kept for the decoder. */
#define MAX_UNITS 64
#define MAX_BYTES (64u << 20)

static void
unit_free (gpointer data)
{
  g_bytes_unref (data);
}

static HelixDoctorUnits *
units_new (void)
{
  HelixDoctorUnits *self = g_new0 (HelixDoctorUnits, 1);

  self->units = g_ptr_array_new_with_free_func (unit_free);
  return self;
}

void
helix_doctor_units_free (HelixDoctorUnits *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->units);
  g_free (self);
}

/* ---- receiving ---- */

static void
take_unit (HelixDoctorUnits *self, HelixProbe *probe, guint64 began)
{
  const struct helix_reader *r = &probe->reader;
  struct helix_unit unit;
  const gchar *why;

  if (!helix_unpack_unit (
          &unit, r->payload, r->payload_size, r->header.size, &why)) {
    self->malformed = why;
    return;
  }
  self->came++;
  self->bytes += r->bulk_size;
  if (!(unit.flags & HELIX_UNIT_KEY) && self->keyframes == 0)
    return;
  if (unit.flags & HELIX_UNIT_KEY && self->keyframes++ == 0)
    self->first_key_ns = probe->arrived_ns - began;
  if (self->units->len < MAX_UNITS && self->kept + r->bulk_size <= MAX_BYTES) {
    self->kept += r->bulk_size;
    g_ptr_array_add (self->units,
        g_bytes_new_take (g_steal_pointer (&probe->bulk), r->bulk_size));
  }
}

static gboolean
receive (HelixDoctorUnits *self, const HelixDoctor *doctor, HelixProbe *probe,
    GError **error)
{
  guint64 began = helix_now_ns (), end = helix_doctor_soon (doctor);

  probe->keep_bulk = TRUE;
  while (helix_now_ns () < end && self->malformed == NULL) {
    gboolean early = self->keyframes == 0;
    const gchar *why;

    if (!helix_probe_next (probe, end, error))
      return FALSE;
    if (probe->reader.header.type == HELIX_CAPS
        && !helix_unpack_caps (&self->caps, probe->reader.payload,
            probe->reader.payload_size, &why))
      self->malformed = why;
    if (probe->reader.header.type == HELIX_UNIT)
      take_unit (self, probe, began);
    if (early && self->keyframes > 0)
      end = MIN (helix_now_ns () + MORE_NS, doctor->deadline);
  }
  return TRUE;
}

/* ---- what it means ---- */

/* Nothing to decode: says why, as far as the host can tell. */
static void
explain (const HelixDoctor *self, const HelixDoctorUnits *units,
    HelixProbe *probe, const GError *error, HelixReport *report)
{
  HelixFinding *f =
      helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_FAIL,
          units->came > 0 ? "%u units came, but no keyframe" : "no units come",
          units->came);
  HelixListing listing = {0};

  helix_finding_remedy (f, "See helix doctor on the host");
  if (units->malformed != NULL) {
    helix_finding_because (f, "what comes is malformed: %s", units->malformed);
  } else if (error != NULL && error->code != HELIX_PROBE_ERROR_SILENT) {
    helix_finding_because (f, "%s", error->message);
  } else if (!helix_probe_list (probe, &listing, helix_doctor_soon (self), NULL)
      || listing.clients == NULL) {
    helix_finding_because (f, "the host's pipeline makes none, or is paused");
  } else if (listing.status.frames == 0) {
    helix_finding_because (f,
        "none has come to helixguestsink either, in %.1f s",
        (gdouble) listing.status.uptime_ns / 1e9);
  } else if (listing.status.keyframes == 0) {
    helix_finding_because (f,
        "%" G_GUINT64_FORMAT " units came to helixguestsink, none of them a "
        "keyframe with its parameter sets: the encoder ignores force-key-unit",
        listing.status.frames);
    helix_finding_remedy (f,
        "On the host, set the encoder's key interval, and put h264parse "
        "config-interval=-1 behind it");
  } else {
    helix_finding_because (f,
        "the last one came to helixguestsink %.1f s ago: the host's pipeline "
        "is paused or stuck, or the encoder answers no keyframe request",
        (gdouble) listing.status.last_ns / 1e9);
  }
  helix_listing_clear (&listing);
  helix_json_uint (f->facts, "units", units->came);
  helix_json_uint (f->facts, "keyframes", units->keyframes);
}

/* Counts the kinds of NAL units in the first one kept, which has KEY. */
static void
check_nals (const HelixDoctorUnits *units, HelixReport *report)
{
  gboolean h265 = units->caps.codec == HELIX_CODEC_H265;
  guint kinds[HELIX_NAL_SEI + 1] = {0};
  HelixFinding *f;
  HelixNal nal;
  gsize size;
  const guint8 *data =
      g_bytes_get_data (g_ptr_array_index (units->units, 0), &size);

  while (helix_nal_next_annexb (&data, &size, &nal))
    kinds[helix_nal_kind (&nal, h265)]++;
  if (kinds[HELIX_NAL_SPS] > 0 && kinds[HELIX_NAL_PPS] > 0
      && (kinds[HELIX_NAL_KEY] > 0 || kinds[HELIX_NAL_SLICE] > 0)) {
    f = helix_report_add (report, HELIX_CHECK_PARSE, HELIX_VERDICT_OK,
        "%s %ux%u, %s%sparameter sets in band", h265 ? "H.265" : "H.264",
        units->caps.width, units->caps.height, units->caps.profile,
        *units->caps.profile ? ", " : "");
  } else {
    f = helix_report_add (report, HELIX_CHECK_PARSE, HELIX_VERDICT_FAIL,
        "what comes as a keyframe cannot be decoded");
    helix_finding_because (f, "it has %u SPS, %u PPS and %u slices",
        kinds[HELIX_NAL_SPS], kinds[HELIX_NAL_PPS],
        kinds[HELIX_NAL_KEY] + kinds[HELIX_NAL_SLICE]);
    helix_finding_remedy (f,
        "On the host, put h264parse config-interval=-1 between encoder and "
        "helixguestsink");
  }
  helix_json_uint (f->facts, "width", units->caps.width);
  helix_json_uint (f->facts, "height", units->caps.height);
  helix_json_text (f->facts, "profile", units->caps.profile);
}

static void
check_parse (HelixDoctorUnits *units, HelixReport *report)
{
  static const gchar *const codecs[] = {
      "?", "H.264", "H.265", "AV1", "VP8", "VP9", "JPEG"};
  HelixFinding *f;

  if (units->caps.caps_id == 0) {
    f = helix_report_add (report, HELIX_CHECK_PARSE, HELIX_VERDICT_FAIL,
        "units come, but nothing said of what kind they are");
    helix_finding_remedy (
        f, "Use the same release of gst-helix on the host and in the guest");
    return;
  }
  if (units->caps.codec == HELIX_CODEC_H264
      || units->caps.codec == HELIX_CODEC_H265)
    check_nals (units, report);
  else
    helix_report_add (report, HELIX_CHECK_PARSE, HELIX_VERDICT_OK, "%s %ux%u",
        codecs[MIN (units->caps.codec, G_N_ELEMENTS (codecs) - 1)],
        units->caps.width, units->caps.height);
}

HelixDoctorUnits *
helix_doctor_receive (const HelixDoctor *self, HelixReport *report)
{
  g_autoptr (HelixProbe) probe =
      helix_doctor_join (self, HELIX_ROLE_STREAM, report);
  g_autoptr (GError) error = NULL;
  HelixDoctorUnits *units;
  HelixFinding *f;

  if (probe == NULL)
    return NULL;
  units = units_new ();
  receive (units, self, probe, &error);
  if (units->units->len == 0) {
    explain (self, units, probe, error, report);
    helix_doctor_units_free (units);
    return NULL;
  }
  f = helix_report_add (report, HELIX_CHECK_UNITS, HELIX_VERDICT_OK,
      "the first keyframe came after %.0f ms, %u units in all",
      (gdouble) units->first_key_ns / 1e6, units->came);
  helix_json_ms (f->facts, "first_keyframe_ms", units->first_key_ns);
  helix_json_uint (f->facts, "units", units->came);
  helix_json_uint (f->facts, "keyframes", units->keyframes);
  check_parse (units, report);
  return units;
}
