/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints what the plugin's elements offer, as docs/ELEMENTS.md, and fails
 * when a property does not say all that a user needs: what it is, its unit,
 * range and default, and when it may be changed.
 *
 * gst-inspect-1.0 has the same facts, but mixed with those of the base
 * classes and in words that change with GStreamer's version.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

static guint complaints;

static void
complain (const gchar *element, const gchar *thing, const gchar *what)
{
  g_printerr ("%s: %s: %s\n", element, thing, what);
  complaints++;
}

/* Of the types that our elements use. */
static gboolean
is_number (GParamSpec *pspec)
{
  return G_IS_PARAM_SPEC_INT (pspec) || G_IS_PARAM_SPEC_UINT (pspec);
}

/* "0 - 65535" for what has a range, NULL for what has none. */
static gchar *
property_range (GParamSpec *pspec)
{
  if (G_IS_PARAM_SPEC_INT (pspec)) {
    GParamSpecInt *p = G_PARAM_SPEC_INT (pspec);
    return g_strdup_printf ("%d … %d", p->minimum, p->maximum);
  }
  if (G_IS_PARAM_SPEC_UINT (pspec)) {
    GParamSpecUInt *p = G_PARAM_SPEC_UINT (pspec);
    return g_strdup_printf ("%u … %u", p->minimum, p->maximum);
  }
  if (GST_IS_PARAM_SPEC_FRACTION (pspec)) {
    GstParamSpecFraction *p = GST_PARAM_SPEC_FRACTION (pspec);
    return g_strdup_printf (
        "%d/%d … %d/%d", p->min_num, p->min_den, p->max_num, p->max_den);
  }
  if (G_IS_PARAM_SPEC_ENUM (pspec)) {
    GEnumClass *values = G_PARAM_SPEC_ENUM (pspec)->enum_class;
    GString *text = g_string_new (NULL);
    guint i;

    for (i = 0; i < values->n_values; i++)
      g_string_append_printf (
          text, "%s%s", i ? ", " : "", values->values[i].value_nick);
    return g_string_free (text, FALSE);
  }
  return NULL;
}

/* As gst-launch-1.0 would take it. */
static gchar *
property_default (GParamSpec *pspec)
{
  const GValue *value = g_param_spec_get_default_value (pspec);
  gchar *text;

  if (G_IS_PARAM_SPEC_STRING (pspec) && !g_value_get_string (value))
    return g_strdup ("unset");
  if (G_IS_PARAM_SPEC_ENUM (pspec)) {
    GEnumValue *nick = g_enum_get_value (
        G_PARAM_SPEC_ENUM (pspec)->enum_class, g_value_get_enum (value));
    return g_strdup (nick ? nick->value_nick : "?");
  }
  if (G_VALUE_HOLDS_BOXED (value) && !g_value_get_boxed (value))
    return g_strdup ("-");
  if (!gst_value_can_compare (value, value)
      || !(text = gst_value_serialize (value)))
    return g_strdup ("-");
  return text;
}

static const gchar *
property_type (GParamSpec *pspec)
{
  if (G_IS_PARAM_SPEC_ENUM (pspec))
    return "enum";
  if (G_IS_PARAM_SPEC_BOOLEAN (pspec))
    return "boolean";
  if (G_IS_PARAM_SPEC_STRING (pspec))
    return "string";
  if (GST_IS_PARAM_SPEC_FRACTION (pspec))
    return "fraction";
  return g_type_name (pspec->value_type);
}

static const gchar *
property_change (GParamSpec *pspec)
{
  if (!(pspec->flags & G_PARAM_WRITABLE))
    return "read only";
  if (pspec->flags & GST_PARAM_MUTABLE_PLAYING)
    return "any time";
  if (pspec->flags & GST_PARAM_MUTABLE_PAUSED)
    return "up to PAUSED";
  if (pspec->flags & GST_PARAM_MUTABLE_READY)
    return "up to READY";
  return NULL;
}

/* A quantity without a unit is a trap: "(ms)", "(kbit/s)", "(index)". */
static gboolean
names_unit (const gchar *blurb)
{
  const gchar *open = strchr (blurb, '(');

  return open && strchr (open, ')');
}

static void
print_property (const gchar *element, GParamSpec *pspec)
{
  const gchar *name = g_param_spec_get_name (pspec);
  const gchar *blurb = g_param_spec_get_blurb (pspec);
  const gchar *change = property_change (pspec);
  gchar *range = property_range (pspec);
  gchar *standard = property_default (pspec);

  if (!blurb || strlen (blurb) < 12)
    complain (element, name, "has no description");
  else if (is_number (pspec) && !names_unit (blurb))
    complain (element, name, "its description names no unit in parentheses");
  if (!(pspec->flags & G_PARAM_READABLE))
    complain (element, name, "cannot be read");
  if (!change)
    complain (element, name, "does not say when it may be changed");

  printf ("| `%s` | %s | %s | %s | %s | %s |\n", name, property_type (pspec),
      standard, range ? range : "-", change ? change : "?",
      blurb ? blurb : "?");
  g_free (range);
  g_free (standard);
}

static void
print_properties (const gchar *name, GstElement *element)
{
  guint n, i;
  GParamSpec **all =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);

  printf ("\n| property | type | default | range | may change | |\n"
          "| --- | --- | --- | --- | --- | --- |\n");
  for (i = 0; i < n; i++) {
    if (all[i]->owner_type == G_OBJECT_TYPE (element))
      print_property (name, all[i]);
  }
  g_free (all);
}

static void
print_signals (GstElement *element)
{
  guint n, i, p;
  guint *ids = g_signal_list_ids (G_OBJECT_TYPE (element), &n);

  for (i = 0; i < n; i++) {
    GSignalQuery query;

    g_signal_query (ids[i], &query);
    printf ("%s* %s `%s` (", i ? "" : "\n",
        query.signal_flags & G_SIGNAL_ACTION ? "Action" : "Signal",
        query.signal_name);
    for (p = 0; p < query.n_params; p++)
      printf ("%s%s", p ? ", " : "", g_type_name (query.param_types[p]));
    printf (") → %s\n", g_type_name (query.return_type));
  }
  g_free (ids);
}

static void
print_pads (GstElementFactory *factory)
{
  const GList *item = gst_element_factory_get_static_pad_templates (factory);

  printf ("\n");
  for (; item; item = item->next) {
    GstStaticPadTemplate *pad = item->data;
    GstCaps *caps = gst_static_pad_template_get_caps (pad);
    guint i;

    printf ("Pad `%s`:\n\n", pad->name_template);
    for (i = 0; i < gst_caps_get_size (caps); i++) {
      gchar *text = gst_structure_to_string (gst_caps_get_structure (caps, i));

      printf ("    %s\n", text);
      g_free (text);
    }
    gst_caps_unref (caps);
  }
}

/* Under which URIs playbin and its like find it. */
static void
print_protocols (GstElementFactory *factory)
{
  const gchar *const *protocol =
      gst_element_factory_get_uri_protocols (factory);

  if (protocol == NULL)
    return;
  for (guint i = 0; protocol[i] != NULL; i++)
    printf ("%s`%s:`", i ? ", " : "\nURIs: ", protocol[i]);
  printf ("\n");
}

static void
print_element (GstElementFactory *factory)
{
  const gchar *name = GST_OBJECT_NAME (factory);
  GstElement *element = gst_element_factory_create (factory, NULL);
  static const gchar *const keys[] = {GST_ELEMENT_METADATA_LONGNAME,
      GST_ELEMENT_METADATA_KLASS, GST_ELEMENT_METADATA_DESCRIPTION,
      GST_ELEMENT_METADATA_AUTHOR};
  guint i;

  if (!element) {
    complain (name, "element", "cannot be made");
    return;
  }
  for (i = 0; i < G_N_ELEMENTS (keys); i++) {
    const gchar *value = gst_element_factory_get_metadata (factory, keys[i]);

    if (!value || !*value)
      complain (name, keys[i], "is empty");
  }
  printf ("\n## %s\n\n%s (%s). %s\n", name,
      gst_element_factory_get_metadata (factory, keys[0]),
      gst_element_factory_get_metadata (factory, keys[1]),
      gst_element_factory_get_metadata (factory, keys[2]));
  print_pads (factory);
  print_protocols (factory);
  print_properties (name, element);
  print_signals (element);
  gst_object_unref (element);
}

static void
print_provider (GstDeviceProviderFactory *factory)
{
  const gchar *name = GST_OBJECT_NAME (factory);
  static const gchar *const keys[] = {GST_ELEMENT_METADATA_LONGNAME,
      GST_ELEMENT_METADATA_KLASS, GST_ELEMENT_METADATA_DESCRIPTION};
  const gchar *value[G_N_ELEMENTS (keys)];

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    value[i] = gst_device_provider_factory_get_metadata (factory, keys[i]);
    if (value[i] == NULL || *value[i] == '\0')
      complain (name, keys[i], "is empty");
  }
  printf ("\n## %s\n\n%s (device provider, %s). %s\n", name, value[0], value[1],
      value[2]);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (GST_OBJECT_NAME (a), GST_OBJECT_NAME (b));
}

int
main (int argc, char **argv)
{
  GstPlugin *plugin;
  GList *features, *item;

  gst_init (&argc, &argv);
  plugin = gst_registry_find_plugin (gst_registry_get (), "helix");
  if (!plugin) {
    g_printerr ("the plugin helix is not in GST_PLUGIN_PATH\n");
    return 1;
  }
  printf ("# The elements\n\n"
          "Written by `script/check-inspect --update` from the plugin "
          "itself;\n`script/test inspect` fails where the two differ.\n");
  features =
      gst_registry_get_feature_list_by_plugin (gst_registry_get (), "helix");
  features = g_list_sort (features, compare_names);
  for (item = features; item; item = item->next) {
    GstPluginFeature *feature = gst_plugin_feature_load (item->data);

    if (!feature) {
      complain ("helix", GST_OBJECT_NAME (item->data), "cannot be loaded");
      continue;
    }
    if (GST_IS_ELEMENT_FACTORY (feature))
      print_element (GST_ELEMENT_FACTORY (feature));
    else if (GST_IS_DEVICE_PROVIDER_FACTORY (feature))
      print_provider (GST_DEVICE_PROVIDER_FACTORY (feature));
    gst_object_unref (feature);
  }
  gst_plugin_feature_list_free (features);
  gst_object_unref (plugin);
  return complaints ? 1 : 0;
}
