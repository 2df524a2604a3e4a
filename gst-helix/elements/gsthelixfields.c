/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixfields.h"

/* Of a GParamSpec: the field's offset, which is never 0. */
#define OFFSET (g_quark_from_static_string ("gst-helix-offset"))

void
gst_helix_field_install (
    GObjectClass *klass, guint id, gsize offset, GParamSpec *pspec)
{
  g_param_spec_set_qdata (pspec, OFFSET, GSIZE_TO_POINTER (offset));
  g_object_class_install_property (klass, id, pspec);
}

/* Returns: NULL for other properties. */
static gpointer
field_of (GObject *object, GParamSpec *pspec)
{
  gsize offset = GPOINTER_TO_SIZE (g_param_spec_get_qdata (pspec, OFFSET));

  return offset != 0 ? G_STRUCT_MEMBER_P (object, offset) : NULL;
}

static const gchar *
default_text (GParamSpec *pspec)
{
  const gchar *address = g_getenv ("HELIX_ADDRESS");

  return g_str_equal (pspec->name, "address") && address != NULL
          && *address != '\0'
      ? address
      : G_PARAM_SPEC_STRING (pspec)->default_value;
}

/* `value`: NULL for the default. */
static void
store (gpointer field, GParamSpec *pspec, const GValue *value)
{
  const GValue *from =
      value != NULL ? value : g_param_spec_get_default_value (pspec);
  const gchar *text;

  if (G_IS_PARAM_SPEC_STRING (pspec)) {
    text = value != NULL ? g_value_get_string (value) : NULL;
    g_free (*(gchar **) field);
    *(gchar **) field = g_strdup (text != NULL ? text : default_text (pspec));
  } else if (G_IS_PARAM_SPEC_BOOLEAN (pspec)) {
    *(gboolean *) field = g_value_get_boolean (from);
  } else if (G_IS_PARAM_SPEC_ENUM (pspec)) {
    *(gint *) field = g_value_get_enum (from);
  } else if (G_IS_PARAM_SPEC_INT (pspec)) {
    *(gint *) field = g_value_get_int (from);
  } else if (G_IS_PARAM_SPEC_UINT (pspec)) {
    *(guint *) field = g_value_get_uint (from);
  } else {
    ((gint *) field)[0] = gst_value_get_fraction_numerator (from);
    ((gint *) field)[1] = gst_value_get_fraction_denominator (from);
  }
}

static void
load (gconstpointer field, GValue *value)
{
  if (G_VALUE_HOLDS_STRING (value))
    g_value_set_string (value, *(gchar *const *) field);
  else if (G_VALUE_HOLDS_BOOLEAN (value))
    g_value_set_boolean (value, *(const gboolean *) field);
  else if (G_VALUE_HOLDS_ENUM (value))
    g_value_set_enum (value, *(const gint *) field);
  else if (G_VALUE_HOLDS_INT (value))
    g_value_set_int (value, *(const gint *) field);
  else if (G_VALUE_HOLDS_UINT (value))
    g_value_set_uint (value, *(const guint *) field);
  else
    gst_value_set_fraction (
        value, ((const gint *) field)[0], ((const gint *) field)[1]);
}

GstState
gst_helix_state_ahead (GstElement *element)
{
  return GST_STATE_RETURN (element) == GST_STATE_CHANGE_FAILURE
      ? GST_STATE (element)
      : MAX (GST_STATE (element), GST_STATE_NEXT (element));
}

void
gst_helix_field_set (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  gpointer field = field_of (object, pspec);

  if (field == NULL) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  if (pspec->flags & GST_PARAM_MUTABLE_PLAYING
      || gst_helix_state_ahead (GST_ELEMENT (object)) <= GST_STATE_READY)
    store (field, pspec, value);
  else
    GST_WARNING_OBJECT (
        object, "'%s' is fixed from PAUSED on: ignored", pspec->name);
}

void
gst_helix_field_get (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  gpointer field = field_of (object, pspec);

  if (field == NULL) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    return;
  }
  GST_OBJECT_LOCK (object);
  load (field, value);
  GST_OBJECT_UNLOCK (object);
}

void
gst_helix_fields_init (GObject *object)
{
  guint n;
  g_autofree GParamSpec **pspecs =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (object), &n);

  for (guint i = 0; i < n; i++) {
    gpointer field = field_of (object, pspecs[i]);

    if (field != NULL)
      store (field, pspecs[i], NULL);
  }
}

void
gst_helix_fields_clear (GObject *object)
{
  guint n;
  g_autofree GParamSpec **pspecs =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (object), &n);

  for (guint i = 0; i < n; i++) {
    gchar **field = field_of (object, pspecs[i]);

    if (field != NULL && G_IS_PARAM_SPEC_STRING (pspecs[i]))
      g_free (*field);
  }
}
