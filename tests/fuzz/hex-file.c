/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hex-file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the largest file that is read: a vector is far smaller. */
#define LARGEST (1 << 16)

static int
digit (int c)
{
  if (isdigit (c))
    return c - '0';
  c = tolower (c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint8_t *
hex_file_read (const char *path, size_t *size)
{
  uint8_t *bytes = malloc (LARGEST);
  FILE *file = fopen (path, "r");
  size_t digits = 0;
  int c, value;

  if (!bytes || !file) {
    fprintf (stderr, "%s: %s\n", path, strerror (errno));
    goto fail;
  }
  while ((c = getc (file)) != EOF) {
    while (c == '#') {
      while (c != '\n' && c != EOF)
        c = getc (file);
    }
    if (c == EOF)
      break;
    if (isspace (c))
      continue;
    value = digit (c);
    if (value < 0 || digits == 2 * (size_t) LARGEST) {
      fprintf (stderr, "%s: neither digits nor a comment\n", path);
      goto fail;
    }
    if (digits % 2 == 0)
      bytes[digits / 2] = (uint8_t) (value << 4);
    else
      bytes[digits / 2] |= (uint8_t) value;
    digits++;
  }
  if (digits % 2 || ferror (file)) {
    fprintf (stderr, "%s: an odd number of digits, or unreadable\n", path);
    goto fail;
  }
  fclose (file);
  *size = digits / 2;
  return bytes;

fail:
  if (file)
    fclose (file);
  free (bytes);
  return NULL;
}
