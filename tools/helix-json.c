/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-json.h"

#include <math.h>
#include <stdio.h>

#include "helix-protocol.h"

static JsonBuilder *
name (JsonBuilder *json, const gchar *key)
{
  return key != NULL ? json_builder_set_member_name (json, key) : json;
}

void
helix_json_object (JsonBuilder *json, const gchar *key)
{
  json_builder_begin_object (name (json, key));
}

void
helix_json_array (JsonBuilder *json, const gchar *key)
{
  json_builder_begin_array (name (json, key));
}

void
helix_json_text (JsonBuilder *json, const gchar *key, const gchar *value)
{
  g_autofree gchar *valid = value ? g_utf8_make_valid (value, -1) : NULL;

  /* json-glib makes null of NULL. */
  json_builder_add_string_value (name (json, key), valid);
}

void
helix_json_uint (JsonBuilder *json, const gchar *key, guint64 value)
{
  json_builder_add_int_value (
      name (json, key), (gint64) MIN (value, G_MAXINT64));
}

void
helix_json_known (
    JsonBuilder *json, const gchar *key, guint64 value, guint64 unknown)
{
  if (value == unknown)
    json_builder_add_null_value (name (json, key));
  else
    helix_json_uint (json, key, value);
}

void
helix_json_double (JsonBuilder *json, const gchar *key, gdouble value)
{
  if (isfinite (value * 1e3))
    json_builder_add_double_value (name (json, key), rint (value * 1e3) / 1e3);
  else
    json_builder_add_null_value (name (json, key));
}

void
helix_json_bool (JsonBuilder *json, const gchar *key, gboolean value)
{
  json_builder_add_boolean_value (name (json, key), value);
}

void
helix_json_ms (JsonBuilder *json, const gchar *key, guint64 ns)
{
  helix_json_double (json, key, ns == HELIX_NONE64 ? NAN : (gdouble) ns / 1e6);
}

/* One word of JSON: json-glib writes 59.9 as 59.899999999999999. */
static gboolean
shorten (const GMatchInfo *match, GString *out, gpointer data)
{
  gchar number[G_ASCII_DTOSTR_BUF_SIZE];
  g_autofree gchar *word = g_match_info_fetch (match, 0);

  g_string_append (out,
      word[0] == '"' ? word
                     : g_ascii_formatd (number, sizeof number, "%.3f",
                         g_ascii_strtod (word, NULL)));
  return FALSE;
}

gchar *
helix_json_string (JsonBuilder *json)
{
  g_autoptr (GRegex) words = g_regex_new (
      "\"(?:[^\"\\\\]|\\\\.)*+\"|-?[0-9]+\\.[0-9]+(?:e[-+]?[0-9]+)?",
      G_REGEX_OPTIMIZE, 0, NULL);
  g_autoptr (JsonNode) root = json_builder_get_root (json);
  g_autofree gchar *text = json_to_string (root, FALSE);

  return g_regex_replace_eval (words, text, -1, 0, 0, shorten, NULL, NULL);
}

void
helix_json_print (JsonBuilder *json)
{
  g_autofree gchar *text = helix_json_string (json);

  printf ("%s\n", text);
}
