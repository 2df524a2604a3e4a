/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "helix-pack.h"
#include "helix-stream-caps.h"

/* What goes in on the host, and what comes out in the guest. */
static const struct {
  const gchar *host, *guest;
} cases[] = {
    {"video/x-h264,stream-format=avc,alignment=au,width=640,height=480,"
     "framerate=60/1,profile=constrained-baseline,level=(string)4.2,"
     "colorimetry=bt709",
        "video/x-h264,stream-format=byte-stream,alignment=au,width=640,"
        "height=480,framerate=60/1,pixel-aspect-ratio=1/1,"
        "profile=constrained-baseline,level=(string)4.2,colorimetry=bt709"},
    {"video/x-h265,stream-format=hev1,alignment=au,width=1,height=16384,"
     "pixel-aspect-ratio=4/3",
        "video/x-h265,stream-format=byte-stream,alignment=au,width=1,"
        "height=16384,framerate=0/1,pixel-aspect-ratio=4/3"},
    {"video/x-av1,stream-format=obu-stream,alignment=tu,width=64,height=64,"
     "framerate=30000/1001",
        "video/x-av1,stream-format=obu-stream,alignment=tu,width=64,"
        "height=64,framerate=30000/1001,pixel-aspect-ratio=1/1"},
    {"video/x-vp8,width=64,height=64",
        "video/x-vp8,width=64,height=64,framerate=0/1,"
        "pixel-aspect-ratio=1/1"},
    {"video/x-vp9,width=64,height=64,colorimetry=2:4:16:3",
        "video/x-vp9,width=64,height=64,framerate=0/1,"
        "pixel-aspect-ratio=1/1,colorimetry=2:4:16:3"},
    {"image/jpeg,width=64,height=64,profile=(string)"
     "much-too-long-for-the-field-on-the-wire",
        "image/jpeg,width=64,height=64,framerate=0/1,"
        "pixel-aspect-ratio=1/1"},
};

GST_START_TEST (test_there_and_back)
{
  GstCaps *host = gst_caps_from_string (cases[__i__].host);
  GstCaps *wanted = gst_caps_from_string (cases[__i__].guest), *guest;
  guint8 message[HELIX_MAX_MESSAGE];
  struct helix_caps wire, received;
  const gchar *why;
  gsize size;

  fail_unless (helix_stream_caps_to_wire (host, &wire, &why), "%s", why);
  wire.caps_id = 1;
  size = helix_pack_caps (message, &wire);
  /* The protocol's own judge must have nothing against it. */
  fail_unless (helix_unpack_caps (&received, message + HELIX_HEADER_SIZE,
                   size - HELIX_HEADER_SIZE, &why),
      "%s", why);
  guest = helix_stream_caps_from_wire (&received);
  fail_unless (gst_caps_is_equal (guest, wanted), "%" GST_PTR_FORMAT, guest);
  gst_caps_unref (guest);
  gst_caps_unref (wanted);
  gst_caps_unref (host);
}
GST_END_TEST;

static const gchar *const refused[] = {
    "video/x-raw,width=64,height=64",
    "video/x-vp8",
    "video/x-vp8,width=64",
    "video/x-vp8,width=0,height=64",
    "video/x-vp8,width=64,height=-1",
    "video/x-vp8,width=16385,height=64",
};

GST_START_TEST (test_refused)
{
  GstCaps *caps = gst_caps_from_string (refused[__i__]);
  struct helix_caps wire;
  const gchar *why = NULL;

  fail_if (helix_stream_caps_to_wire (caps, &wire, &why));
  fail_unless (why != NULL);
  gst_caps_unref (caps);
}
GST_END_TEST;

/* Strings of a hostile host do not become anything but plain words. */
GST_START_TEST (test_hostile)
{
  struct helix_caps wire = {.codec = HELIX_CODEC_H264,
      .width = 64,
      .height = 64,
      .rate_num = G_MAXUINT32,
      .rate_den = 1,
      .par_num = 1,
      .par_den = 1};
  GstStructure *s;
  GstCaps *caps;

  strcpy (wire.profile, "high\"; foo=(string)bar");
  memset (wire.level, 'x', sizeof wire.level);
  strcpy (wire.colorimetry, "\xff\xfe");
  caps = helix_stream_caps_from_wire (&wire);
  s = gst_caps_get_structure (caps, 0);
  fail_if (gst_structure_has_field (s, "profile"));
  fail_if (gst_structure_has_field (s, "colorimetry"));
  fail_if (gst_structure_has_field (s, "framerate"));
  fail_unless_equals_int (strlen (gst_structure_get_string (s, "level")), 16);
  gst_caps_unref (caps);
  wire.codec = 99;
  fail_unless (helix_stream_caps_from_wire (&wire) == NULL);
}
GST_END_TEST;

static Suite *
helix_stream_caps_suite (void)
{
  Suite *s = suite_create ("helix-stream-caps");
  TCase *tc = tcase_create ("caps");

  suite_add_tcase (s, tc);
  tcase_add_loop_test (tc, test_there_and_back, 0, G_N_ELEMENTS (cases));
  tcase_add_loop_test (tc, test_refused, 0, G_N_ELEMENTS (refused));
  tcase_add_test (tc, test_hostile);
  return s;
}

GST_CHECK_MAIN (helix_stream_caps);
