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

static void
add (JsonBuilder *json, const HelixJson *member)
{
  g_autofree gchar *valid = NULL;

  name (json, member->key);
  if (!member->known
      || (member->type == HELIX_JSON_DOUBLE && !isfinite (member->number * 1e3))
      || (member->type == HELIX_JSON_TEXT && member->text == NULL)) {
    json_builder_add_null_value (json);
    return;
  }
  switch (member->type) {
    case HELIX_JSON_TEXT:
      valid = g_utf8_make_valid (member->text, -1);
      json_builder_add_string_value (json, valid);
      break;
    case HELIX_JSON_UINT:
      json_builder_add_int_value (
          json, (gint64) MIN (member->uint, G_MAXINT64));
      break;
    case HELIX_JSON_DOUBLE:
      json_builder_add_double_value (json, rint (member->number * 1e3) / 1e3);
      break;
    case HELIX_JSON_BOOL:
      json_builder_add_boolean_value (json, member->uint != 0);
      break;
  }
}

void
helix_json_add_all (JsonBuilder *json, const HelixJson *members, gsize n)
{
  for (gsize i = 0; i < n; i++)
    add (json, &members[i]);
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
