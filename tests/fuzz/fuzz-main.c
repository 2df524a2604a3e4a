/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target over files, for compilers without libFuzzer and as a
 * plain test:
 *
 *   fuzz-TARGET-run FILE|FOLDER...            each file once
 *   fuzz-TARGET-run --random N FILE|FOLDER... then N inputs made from them
 *   fuzz-TARGET-run --write FOLDER FILE|...   writes them as seeds
 *
 * A .hex file of protocol/vectors becomes one input for each mode of
 * fuzz-reader.c, any other file is one input as it is. A line on standard
 * output counts the inputs.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex-file.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define LARGEST (1 << 16)
#define MOST 4096

struct input {
  uint8_t *bytes;
  size_t size;
};

static struct input inputs[MOST];
static size_t n_inputs;
static unsigned long long n_runs;

static void
die (const char *path)
{
  fprintf (stderr, "%s: %s\n", path, errno ? strerror (errno) : "too many");
  exit (2);
}

static void
add (const uint8_t *bytes, size_t size, int mode)
{
  struct input *input = &inputs[n_inputs];
  size_t lead = mode >= 0;

  errno = 0;
  if (n_inputs == MOST || !(input->bytes = malloc (size + lead + 1)))
    die ("inputs");
  if (lead)
    input->bytes[0] = (uint8_t) mode;
  memcpy (input->bytes + lead, bytes, size);
  input->size = size + lead;
  n_inputs++;
}

static void
load_file (const char *path)
{
  size_t length = strlen (path), size;
  uint8_t *bytes;
  FILE *file;
  int mode;

  if (length > 4 && strcmp (path + length - 4, ".hex") == 0) {
    bytes = hex_file_read (path, &size);
    if (!bytes)
      exit (2);
    for (mode = 0; mode < 3; mode++)
      add (bytes, size, mode | (int) ((size & 63u) << 2));
  } else {
    bytes = malloc (LARGEST);
    file = fopen (path, "rb");
    if (!bytes || !file)
      die (path);
    size = fread (bytes, 1, LARGEST, file);
    fclose (file);
    add (bytes, size, -1);
  }
  free (bytes);
}

static void
load (const char *path)
{
  DIR *folder = opendir (path);
  struct dirent *entry;
  char name[4096];

  if (!folder) {
    load_file (path);
    return;
  }
  while ((entry = readdir (folder))) {
    if (entry->d_name[0] == '.')
      continue;
    snprintf (name, sizeof name, "%s/%s", path, entry->d_name);
    load_file (name);
  }
  closedir (folder);
}

static void
write_seeds (const char *folder)
{
  char name[4096];
  size_t i;
  FILE *file;

  for (i = 0; i < n_inputs; i++) {
    snprintf (name, sizeof name, "%s/seed-%04zu", folder, i);
    file = fopen (name, "wb");
    if (!file || fwrite (inputs[i].bytes, 1, inputs[i].size, file) == 0
        || fclose (file) != 0)
      die (name);
  }
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
run_random (unsigned long count)
{
  static uint8_t bytes[LARGEST];
  size_t size, i;

  while (n_inputs && count-- > 0) {
    size = 1;
    bytes[0] = (uint8_t) next ();
    for (i = next () % 6; i > 0; i--) {
      const struct input *input = &inputs[next () % n_inputs];

      if (input->size > 1 && size + input->size <= sizeof bytes) {
        memcpy (bytes + size, input->bytes + 1, input->size - 1);
        size += input->size - 1;
      }
      if (next () % 4 == 0)
        size -= next () % size; /* a half message; never the first byte */
    }
    for (i = next () % 8; i > 0; i--)
      bytes[next () % size] = (uint8_t) (next () % 3 ? next () : 0xFF);
    LLVMFuzzerTestOneInput (bytes, size);
    n_runs++;
  }
}

int
main (int argc, char **argv)
{
  const char *seeds = NULL;
  unsigned long random = 0;
  size_t i;
  int arg = 1;

  if (argc > 3 && strcmp (argv[1], "--random") == 0) {
    random = strtoul (argv[2], NULL, 10);
    arg = 3;
  } else if (argc > 3 && strcmp (argv[1], "--write") == 0) {
    seeds = argv[2];
    arg = 3;
  }
  for (; arg < argc; arg++)
    load (argv[arg]);
  if (n_inputs == 0) {
    fprintf (stderr, "usage: %s [--random N|--write FOLDER] FILE|FOLDER...\n",
        argv[0]);
    return 2;
  }
  if (seeds)
    write_seeds (seeds);
  for (i = 0; i < n_inputs && !seeds; i++, n_runs++)
    LLVMFuzzerTestOneInput (inputs[i].bytes, inputs[i].size);
  run_random (random);
  printf ("%zu inputs, %llu runs\n", n_inputs, n_runs);
  for (i = 0; i < n_inputs; i++)
    free (inputs[i].bytes);
  return 0;
}
