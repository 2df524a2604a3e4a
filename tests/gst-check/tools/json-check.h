/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads JSON as RFC 8259 has it, strictly, for the tests of what writes it.
 */
#ifndef JSON_CHECK_H
#define JSON_CHECK_H

#include <glib.h>

/* Whether `text` is one JSON document, white space around it allowed. */
gboolean json_is_valid (const gchar *text);

/* The value of the first key of that name anywhere, as text (a string with
 * its escapes undone), or NULL. */
gchar *json_value (const gchar *text, const gchar *key);

#endif /* JSON_CHECK_H */
