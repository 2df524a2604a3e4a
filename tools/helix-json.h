/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes JSON (RFC 8259) on one line: what --json prints. Commas are its own
 * business; whoever calls pairs begin and end and gives keys in objects.
 *
 * It is here because a parser and an object model are not needed, and the
 * library that has them would be a dependency for nothing else.
 */
#ifndef HELIX_JSON_H
#define HELIX_JSON_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  GString *text;
  gboolean comma; /* the next value stands behind another */
} HelixJson;

HelixJson *helix_json_new (void);
void helix_json_free (HelixJson *self);

/* `key` is NULL for the document itself and in arrays. Text is made valid
 * UTF-8 first; NULL becomes null. */
void helix_json_object (HelixJson *self, const gchar *key);
void helix_json_end_object (HelixJson *self);
void helix_json_array (HelixJson *self, const gchar *key);
void helix_json_end_array (HelixJson *self);
void helix_json_text (HelixJson *self, const gchar *key, const gchar *value);
void helix_json_int (HelixJson *self, const gchar *key, gint64 value);
void helix_json_uint (HelixJson *self, const gchar *key, guint64 value);
/* HELIX_NONE64 becomes null. */
void helix_json_known (HelixJson *self, const gchar *key, guint64 value);
/* Three digits behind the point, whatever the locale; null if not finite. */
void helix_json_double (HelixJson *self, const gchar *key, gdouble value);
void helix_json_bool (HelixJson *self, const gchar *key, gboolean value);
void helix_json_null (HelixJson *self, const gchar *key);

/* Nanoseconds as milliseconds, the unit of every time in our JSON;
 * HELIX_NONE64 becomes null. */
void helix_json_ms (HelixJson *self, const gchar *key, guint64 ns);

/* The members of `other`, written between no braces, as members here. */
void helix_json_members (HelixJson *self, const HelixJson *other);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixJson, helix_json_free)

G_END_DECLS

#endif /* HELIX_JSON_H */
