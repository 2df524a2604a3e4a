/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What --json prints, by json-glib's builder: members of the types that our
 * output has.
 */
#ifndef HELIX_JSON_H
#define HELIX_JSON_H

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* A member of an object; its key is NULL in an array. */
typedef struct {
  const gchar *key;
  enum {
    HELIX_JSON_TEXT,
    HELIX_JSON_UINT,
    HELIX_JSON_DOUBLE,
    HELIX_JSON_BOOL
  } type;
  const gchar *text;
  guint64 uint;
  gdouble number;
  gboolean known; /* else it is null */
} HelixJson;

/* Made valid UTF-8 first; NULL becomes null. */
#define JSON_TEXT(key, value) \
  ((HelixJson){key, HELIX_JSON_TEXT, .text = (value), .known = TRUE})
/* At most G_MAXINT64, the largest that json-glib knows. */
#define JSON_UINT(key, value) \
  ((HelixJson){key, HELIX_JSON_UINT, .uint = (value), .known = TRUE})
/* Likewise, but the value `unknown` becomes null. */
#define JSON_KNOWN(key, value, unknown) \
  ((HelixJson){ \
      key, HELIX_JSON_UINT, .uint = (value), .known = (value) != (unknown)})
/* Rounded to three digits behind the point; null if not finite. */
#define JSON_DOUBLE(key, value) \
  ((HelixJson){key, HELIX_JSON_DOUBLE, .number = (value), .known = TRUE})
#define JSON_BOOL(key, value) \
  ((HelixJson){key, HELIX_JSON_BOOL, .uint = (value), .known = TRUE})
/* Nanoseconds as milliseconds, the unit of every time in our JSON;
 * HELIX_NONE64 becomes null. */
#define JSON_MS(key, ns) \
  ((HelixJson){key, HELIX_JSON_DOUBLE, .number = (gdouble) (ns) / 1e6, \
      .known = (ns) != HELIX_NONE64})

/* Adds all of these, in order. */
#define helix_json_add(json, ...) \
  helix_json_add_all (json, (const HelixJson[]){__VA_ARGS__}, \
      sizeof ((const HelixJson[]){__VA_ARGS__}) / sizeof (HelixJson))
void helix_json_add_all (JsonBuilder *json, const HelixJson *members, gsize n);

/* `key` is NULL for the document itself and in arrays. */
void helix_json_object (JsonBuilder *json, const gchar *key);
void helix_json_array (JsonBuilder *json, const gchar *key);

/* The complete document, numbers with three digits behind the point. The caller
 * frees it. */
gchar *helix_json_string (JsonBuilder *json);
/* The same as one line on standard output. */
void helix_json_print (JsonBuilder *json);

G_END_DECLS

#endif /* HELIX_JSON_H */
