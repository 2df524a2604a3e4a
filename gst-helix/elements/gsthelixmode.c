/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixmode.h"

GType
gst_helix_mode_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_HELIX_MODE_LISTEN, "Wait for the other end", "listen"},
      {GST_HELIX_MODE_CONNECT, "Connect to the other end", "connect"},
      {0, NULL, NULL},
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstHelixMode", values));
  return (GType) type;
}

GType
gst_helix_recover_policy_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_HELIX_RECOVER_POLICY_NONE, "Disconnect the client", "none"},
      {GST_HELIX_RECOVER_POLICY_KEYFRAME, "Skip to the next keyframe",
          "keyframe"},
      {0, NULL, NULL},
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstHelixRecoverPolicy", values));
  return (GType) type;
}

GType
gst_helix_when_off_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_HELIX_WHEN_OFF_BLACK, "Show black", "black"},
      {GST_HELIX_WHEN_OFF_LAST, "Go on with the last picture", "last"},
      {0, NULL, NULL},
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstHelixWhenOff", values));
  return (GType) type;
}

/* Caps for the life of the process: no reference to give back. */
static GstCaps *
keep (GstStaticCaps *caps)
{
  GstCaps *kept = gst_static_caps_get (caps);

  GST_MINI_OBJECT_FLAG_SET (kept, GST_MINI_OBJECT_FLAG_MAY_BE_LEAKED);
  return kept;
}

GstCaps *
gst_helix_capture_caps (void)
{
  static GstStaticCaps caps = GST_STATIC_CAPS ("timestamp/x-system-monotonic");
  static gsize kept = 0;

  if (g_once_init_enter (&kept))
    g_once_init_leave (&kept, (gsize) keep (&caps));
  return (GstCaps *) kept;
}

GstCaps *
gst_helix_pushed_caps (void)
{
  static GstStaticCaps caps = GST_STATIC_CAPS ("timestamp/x-helix-pushed");
  static gsize kept = 0;

  if (g_once_init_enter (&kept))
    g_once_init_leave (&kept, (gsize) keep (&caps));
  return (GstCaps *) kept;
}

void
gst_helix_inform (GstElement *element, const GError *error)
{
  gst_element_post_message (element,
      gst_message_new_info (
          GST_OBJECT (element), (GError *) error, error->message));
}

void
gst_helix_post (GstElement *element, GstMessageType type, const GError *error)
{
  gst_element_message_full (element, type, error->domain, error->code,
      g_strdup (error->message), NULL, "", "", 0);
}
