/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What --json prints, by json-glib's builder: members of the types that our
 * output has. `key` is NULL for the document itself and in arrays.
 */
#ifndef HELIX_JSON_H
#define HELIX_JSON_H

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

void helix_json_object (JsonBuilder *json, const gchar *key);
void helix_json_array (JsonBuilder *json, const gchar *key);
/* Made valid UTF-8 first; NULL becomes null. */
void helix_json_text (JsonBuilder *json, const gchar *key, const gchar *value);
/* At most G_MAXINT64, the largest that json-glib knows. */
void helix_json_uint (JsonBuilder *json, const gchar *key, guint64 value);
/* Likewise, but the value `unknown` becomes null. */
void helix_json_known (
    JsonBuilder *json, const gchar *key, guint64 value, guint64 unknown);
/* Rounded to three digits behind the point; null if not finite. */
void helix_json_double (JsonBuilder *json, const gchar *key, gdouble value);
void helix_json_bool (JsonBuilder *json, const gchar *key, gboolean value);
/* Nanoseconds as milliseconds, the unit of every time in our JSON;
 * HELIX_NONE64 becomes null. */
void helix_json_ms (JsonBuilder *json, const gchar *key, guint64 ns);

/* The complete document, numbers with three digits behind the point. The caller
 * frees it. */
gchar *helix_json_string (JsonBuilder *json);
/* The same as one line on standard output. */
void helix_json_print (JsonBuilder *json);

G_END_DECLS

#endif /* HELIX_JSON_H */
