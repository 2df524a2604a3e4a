/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vectors of protocol/vectors, and a way to feed a reader in pieces.
 */
#ifndef HELIX_TEST_VECTORS_H
#define HELIX_TEST_VECTORS_H

#include <gst/check/gstcheck.h>

#include "decode-any.h"

/* fail_unless () tells its runner about every success, which is too slow for
 * the millions of these tests. */
#define expect(cond, ...) \
  do { \
    if (G_UNLIKELY (!(cond))) { \
      gchar *expect_text = g_strdup_printf (__VA_ARGS__); \
      fail ("%s: %s", #cond, expect_text); \
    } \
  } while (0)

struct vector {
  gchar *file; /* relative to protocol/vectors */
  gboolean valid;
  gboolean in_header;  /* invalid, and the reader knows it */
  gboolean canonical;  /* packing what it unpacks to gives the same bytes */
  const gchar *expect; /* sentence that refuses it */
  guint8 *bytes;
  gsize size;
};

/* All of index.tsv, loaded once; fails the test when any is missing. */
const struct vector *vectors_get (guint *n);
const struct vector *vectors_find (const gchar *file);

/* Feeds at most `size` bytes, at most `chunk` at a time, until the reader
 * says something else than MORE. Returns how many bytes it took. */
gsize vectors_feed (struct helix_reader *reader, const guint8 *bytes,
    gsize size, gsize chunk, enum helix_reader_status *status);

#endif /* HELIX_TEST_VECTORS_H */
