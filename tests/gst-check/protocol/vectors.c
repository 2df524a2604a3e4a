/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vectors.h"

#include <stdlib.h>
#include <string.h>

#include "hex-file.h"

static void
load (struct vector *vector, gchar **columns)
{
  gchar *path;

  expect (g_strv_length (columns) == 5, "columns of '%s'", columns[0]);
  path = g_build_filename (HELIX_VECTORS, columns[0], NULL);
  vector->file = g_strdup (columns[0]);
  vector->valid = g_str_equal (columns[1], "valid");
  vector->in_header = g_str_equal (columns[2], "header");
  vector->canonical = g_str_equal (columns[3], "yes");
  vector->expect = g_strdup (columns[4]);
  vector->bytes = hex_file_read (path, &vector->size);
  expect (vector->bytes, "%s", path);
  expect (vector->size >= HELIX_HEADER_SIZE, "%s", path);
  g_free (path);
}

const struct vector *
vectors_get (guint *n)
{
  static GArray *all;
  gchar *text = NULL, **lines;
  GError *error = NULL;
  guint i;

  if (!all) {
    all = g_array_new (FALSE, TRUE, sizeof (struct vector));
    if (!g_file_get_contents (HELIX_VECTORS "/index.tsv", &text, NULL, &error))
      fail ("%s", error->message);
    lines = g_strsplit (text, "\n", -1);
    for (i = 0; lines[i]; i++) {
      struct vector vector = {NULL};
      gchar **columns = g_strsplit (lines[i], "\t", -1);

      if (lines[i][0] != '\0' && lines[i][0] != '#') {
        load (&vector, columns);
        g_array_append_val (all, vector);
      }
      g_strfreev (columns);
    }
    g_strfreev (lines);
    g_free (text);
    expect (all->len > 100, "only %u vectors", all->len);
  }
  *n = all->len;
  return (const struct vector *) (void *) all->data;
}

const struct vector *
vectors_find (const gchar *file)
{
  const struct vector *all;
  guint i, n;

  all = vectors_get (&n);
  for (i = 0; i < n; i++) {
    if (g_str_equal (all[i].file, file))
      return &all[i];
  }
  fail ("no vector '%s'", file);
  return NULL;
}

gsize
vectors_feed (struct helix_reader *reader, const guint8 *bytes, gsize size,
    gsize chunk, enum helix_reader_status *status)
{
  gsize done = 0;

  *status = HELIX_READER_MORE;
  while (done < size && *status == HELIX_READER_MORE) {
    guint8 *ptr = NULL;
    gsize len = 0;

    helix_reader_want (reader, &ptr, &len);
    expect (ptr && len > 0, "want gave %p, %zu", ptr, len);
    len = MIN (MIN (len, chunk), size - done);
    memcpy (ptr, bytes + done, len);
    done += len;
    *status = helix_reader_got (reader, len);
  }
  return done;
}
