/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixmode.h"

static GType
get_enum (gsize *type, const gchar *name, const GEnumValue *values)
{
  if (g_once_init_enter (type))
    g_once_init_leave (type, g_enum_register_static (name, values));
  return (GType) *type;
}

GType
gst_helix_mode_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {GST_HELIX_MODE_LISTEN, "Wait for the other end", "listen"},
      {GST_HELIX_MODE_CONNECT, "Connect to the other end", "connect"},
      {0, NULL, NULL},
  };

  return get_enum (&type, "GstHelixMode", values);
}

GType
gst_helix_recover_policy_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {GST_HELIX_RECOVER_POLICY_NONE, "Disconnect the client", "none"},
      {GST_HELIX_RECOVER_POLICY_KEYFRAME, "Skip to the next keyframe",
          "keyframe"},
      {0, NULL, NULL},
  };

  return get_enum (&type, "GstHelixRecoverPolicy", values);
}

GType
gst_helix_when_off_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {GST_HELIX_WHEN_OFF_BLACK, "Show black", "black"},
      {GST_HELIX_WHEN_OFF_LAST, "Go on with the last picture", "last"},
      {0, NULL, NULL},
  };

  return get_enum (&type, "GstHelixWhenOff", values);
}

/* No reference to give back: `caps` keeps one for the life of the process. */
static GstCaps *
get_caps (GstStaticCaps *caps)
{
  GstCaps *kept = gst_static_caps_get (caps);

  gst_caps_unref (kept);
  return kept;
}

GstCaps *
gst_helix_capture_caps (void)
{
  static GstStaticCaps caps = GST_STATIC_CAPS ("timestamp/x-system-monotonic");

  return get_caps (&caps);
}

GstCaps *
gst_helix_pushed_caps (void)
{
  static GstStaticCaps caps = GST_STATIC_CAPS ("timestamp/x-helix-pushed");

  return get_caps (&caps);
}

void
gst_helix_post (GstElement *element, GstMessageType type, const GError *error)
{
  if (type == GST_MESSAGE_INFO)
    gst_element_post_message (element,
        gst_message_new_info (
            GST_OBJECT (element), (GError *) error, error->message));
  else
    gst_element_message_full (element, type, error->domain, error->code,
        g_strdup (error->message), NULL, "", "", 0);
}
