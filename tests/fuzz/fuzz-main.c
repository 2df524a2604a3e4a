/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target over files, for compilers without libFuzzer and as a
 * plain test:
 *
 *   fuzz-TARGET-run FILE|FOLDER...            each file once
 *   fuzz-TARGET-run --random N FILE|FOLDER... then N inputs made from them
 *
 * A .hex file of protocol/vectors becomes one input for each mode of
 * fuzz-reader.c, any other file is one input as it is. A line on standard
 * output counts the inputs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "hex-file.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define LARGEST (1 << 16)

static GPtrArray *inputs; /* GByteArray */
static unsigned long long n_runs;

static void
run (const uint8_t *bytes, size_t size)
{
  LLVMFuzzerTestOneInput (bytes, size);
  n_runs++;
}

static void
load_file (const char *path)
{
  GError *error = NULL;
  gchar *bytes;
  gsize size;

  if (g_str_has_suffix (path, ".hex")) {
    g_autofree uint8_t *vector = hex_file_read (path, &size);

    for (int mode = 0; vector && mode < 3; mode++) {
      GByteArray *input = g_byte_array_new ();
      const guint8 lead = (guint8) ((unsigned) mode | (size & 63u) << 2);

      g_byte_array_append (input, &lead, 1);
      g_byte_array_append (input, vector, (guint) size);
      g_ptr_array_add (inputs, input);
    }
    if (vector)
      return;
  } else if (g_file_get_contents (path, &bytes, &size, &error)) {
    g_ptr_array_add (
        inputs, g_byte_array_new_take ((guint8 *) bytes, MIN (size, LARGEST)));
    return;
  }
  if (error)
    fprintf (stderr, "%s\n", error->message);
  exit (2);
}

static void
load (const char *path)
{
  GDir *folder = g_dir_open (path, 0, NULL);
  const char *name;

  if (!folder) {
    load_file (path);
    return;
  }
  while ((name = g_dir_read_name (folder))) {
    g_autofree char *file = g_build_filename (path, name, NULL);

    if (name[0] != '.')
      load_file (file);
  }
  g_dir_close (folder);
}

/* xorshift64 with a fixed seed: the same inputs every time. */
static uint32_t
next (void)
{
  static uint64_t state = UINT64_C (0x9e3779b97f4a7c15);

  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t) (state >> 32);
}

/* Some of the inputs in a row, with a few bytes changed, and cut. */
static void
run_random (void)
{
  static uint8_t bytes[LARGEST];
  size_t size = 1;

  bytes[0] = (uint8_t) next ();
  for (uint32_t i = next () % 6; i > 0; i--) {
    const GByteArray *input = inputs->pdata[next () % inputs->len];

    if (input->len > 1 && size + input->len <= sizeof bytes) {
      memcpy (bytes + size, input->data + 1, input->len - 1);
      size += input->len - 1;
    }
    if (next () % 4 == 0)
      size -= next () % size; /* a half message; never the first byte */
  }
  for (uint32_t i = next () % 8; i > 0; i--)
    bytes[next () % size] = (uint8_t) (next () % 3 ? next () : 0xFF);
  run (bytes, size);
}

int
main (int argc, char **argv)
{
  unsigned long random = 0;
  int arg = 1;

  if (argc > 3 && g_str_equal (argv[1], "--random")) {
    random = strtoul (argv[2], NULL, 10);
    arg = 3;
  }
  inputs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_byte_array_unref);
  for (; arg < argc; arg++)
    load (argv[arg]);
  if (inputs->len == 0) {
    fprintf (stderr, "usage: %s [--random N] FILE|FOLDER...\n", argv[0]);
    return 2;
  }
  for (guint i = 0; i < inputs->len; i++) {
    const GByteArray *input = inputs->pdata[i];

    run (input->data, input->len);
  }
  while (random-- > 0)
    run_random ();
  printf ("%u inputs, %llu runs\n", inputs->len, n_runs);
  g_ptr_array_unref (inputs);
  return 0;
}
