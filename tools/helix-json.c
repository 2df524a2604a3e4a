/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-json.h"

#include <math.h>

#include "helix-protocol.h"

#define NS_PER_MS 1e6

HelixJson *
helix_json_new (void)
{
  HelixJson *self = g_new0 (HelixJson, 1);

  self->text = g_string_new (NULL);
  return self;
}

void
helix_json_free (HelixJson *self)
{
  if (self == NULL)
    return;
  g_string_free (self->text, TRUE);
  g_free (self);
}

static void
append_text (HelixJson *self, const gchar *value)
{
  g_autofree gchar *valid = g_utf8_make_valid (value, -1);

  g_string_append_c (self->text, '"');
  for (const gchar *p = valid; *p != '\0'; p++) {
    guchar c = (guchar) *p;

    if (c == '"' || c == '\\')
      g_string_append_printf (self->text, "\\%c", c);
    else if (c == '\n')
      g_string_append (self->text, "\\n");
    else if (c == '\t')
      g_string_append (self->text, "\\t");
    else if (c < 0x20 || c == 0x7f)
      g_string_append_printf (self->text, "\\u%04x", c);
    else
      g_string_append_c (self->text, (gchar) c);
  }
  g_string_append_c (self->text, '"');
}

/* What stands before every value. */
static void
begin (HelixJson *self, const gchar *key)
{
  if (self->comma)
    g_string_append (self->text, ", ");
  self->comma = TRUE;
  if (key == NULL)
    return;
  append_text (self, key);
  g_string_append (self->text, ": ");
}

static void
open_bracket (HelixJson *self, const gchar *key, gchar bracket)
{
  begin (self, key);
  g_string_append_c (self->text, bracket);
  self->comma = FALSE;
}

static void
close_bracket (HelixJson *self, gchar bracket)
{
  g_string_append_c (self->text, bracket);
  self->comma = TRUE;
}

void
helix_json_object (HelixJson *self, const gchar *key)
{
  open_bracket (self, key, '{');
}

void
helix_json_end_object (HelixJson *self)
{
  close_bracket (self, '}');
}

void
helix_json_array (HelixJson *self, const gchar *key)
{
  open_bracket (self, key, '[');
}

void
helix_json_end_array (HelixJson *self)
{
  close_bracket (self, ']');
}

void
helix_json_text (HelixJson *self, const gchar *key, const gchar *value)
{
  if (value == NULL) {
    helix_json_null (self, key);
    return;
  }
  begin (self, key);
  append_text (self, value);
}

void
helix_json_int (HelixJson *self, const gchar *key, gint64 value)
{
  begin (self, key);
  g_string_append_printf (self->text, "%" G_GINT64_FORMAT, value);
}

void
helix_json_uint (HelixJson *self, const gchar *key, guint64 value)
{
  begin (self, key);
  g_string_append_printf (self->text, "%" G_GUINT64_FORMAT, value);
}

void
helix_json_known (HelixJson *self, const gchar *key, guint64 value)
{
  if (value == HELIX_NONE64)
    helix_json_null (self, key);
  else
    helix_json_uint (self, key, value);
}

void
helix_json_double (HelixJson *self, const gchar *key, gdouble value)
{
  gchar number[G_ASCII_DTOSTR_BUF_SIZE * 16];

  if (!isfinite (value)) {
    helix_json_null (self, key);
    return;
  }
  begin (self, key);
  g_string_append (
      self->text, g_ascii_formatd (number, sizeof number, "%.3f", value));
}

void
helix_json_bool (HelixJson *self, const gchar *key, gboolean value)
{
  begin (self, key);
  g_string_append (self->text, value ? "true" : "false");
}

void
helix_json_null (HelixJson *self, const gchar *key)
{
  begin (self, key);
  g_string_append (self->text, "null");
}

void
helix_json_ms (HelixJson *self, const gchar *key, guint64 ns)
{
  if (ns == HELIX_NONE64)
    helix_json_null (self, key);
  else
    helix_json_double (self, key, (gdouble) ns / NS_PER_MS);
}

void
helix_json_members (HelixJson *self, const HelixJson *other)
{
  if (other->text->len == 0)
    return;
  begin (self, NULL);
  g_string_append (self->text, other->text->str);
}
