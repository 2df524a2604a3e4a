/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hex-file.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

uint8_t *
hex_file_read (const char *path, size_t *size)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  uint8_t *bytes;
  size_t digits = 0;

  if (!g_file_get_contents (path, &text, NULL, &error)) {
    fprintf (stderr, "%s\n", error->message);
    return NULL;
  }
  bytes = g_malloc0 (strlen (text) / 2 + 1);
  for (const char *at = text; *at; at++) {
    int value = g_ascii_xdigit_value (*at);

    if (*at == '#') {
      at += strcspn (at, "\n") - 1; /* the end of the line is next */
    } else if (value >= 0) {
      bytes[digits / 2] |= (uint8_t) (digits % 2 ? value : value << 4);
      digits++;
    } else if (!g_ascii_isspace (*at)) {
      goto fail;
    }
  }
  *size = digits / 2;
  if (digits % 2 == 0)
    return bytes;

fail:
  fprintf (stderr, "%s: not pairs of digits and comments\n", path);
  g_free (bytes);
  return NULL;
}
