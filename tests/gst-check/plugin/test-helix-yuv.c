/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix-yuv.h on every path that this processor has, against the definition of
 * each sample. It needs nothing but C, so that it runs for other processors in
 * an emulator too: script/check-aarch64.
 *
 *   test-helix-yuv                          the test
 *   test-helix-yuv PATH nv12|i420 TIMES     converts a pair of rows of COUNTED
 *                                           pixels so often, to be counted
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helix-yuv.h"

#define WIDEST 200 /* pixels: several steps of the widest path, and any rest */
#define COUNTED 1920 /* pixels */
#define GUARD 0x55   /* a byte that is not to be written stays this */

struct job {
  unsigned path;
  bool planar;
  unsigned place[3]; /* of red, green and blue in a pixel */
  unsigned left, right;
};

/* One pair of rows and what becomes of them. */
struct sheet {
  uint8_t rgb[2][4 * WIDEST];
  uint8_t luma[2][WIDEST + 64], u[WIDEST + 64], v[WIDEST + 64];
};

/* A linear congruential generator: a failure comes back with the same bytes. */
static unsigned
dice (void)
{
  static uint32_t state = 19700101;

  state = state * 1664525 + 1013904223;
  return state >> 24;
}

static int
channel (const struct sheet *sheet, const struct job *job, unsigned row,
    unsigned x, unsigned colour)
{
  if (x >= job->right)
    x = job->right - 1;
  return sheet->rgb[row][4 * x + job->place[colour]];
}

static int
mean (const struct sheet *sheet, const struct job *job, unsigned x,
    unsigned colour)
{
  int left = channel (sheet, job, 0, x, colour)
      + channel (sheet, job, 1, x, colour) + 1;
  int right = channel (sheet, job, 0, x + 1, colour)
      + channel (sheet, job, 1, x + 1, colour) + 1;

  return ((left >> 1) + (right >> 1) + 1) >> 1;
}

/* Sample by sample, from the definition. */
static void
define (struct sheet *sheet, const struct job *job)
{
  for (unsigned x = job->left; x < job->right + job->right % 2; x++)
    for (unsigned r = 0; r < 2; r++)
      sheet->luma[r][x] = (uint8_t) (16
          + ((47 * channel (sheet, job, r, x, 0)
                 + 157 * channel (sheet, job, r, x, 1)
                 + 16 * channel (sheet, job, r, x, 2) + 128)
              >> 8));
  for (unsigned x = job->left; x < job->right; x += 2) {
    int r = mean (sheet, job, x, 0), g = mean (sheet, job, x, 1),
        b = mean (sheet, job, x, 2);
    uint8_t u = (uint8_t) ((-26 * r - 86 * g + 112 * b + 32768 + 128) >> 8);
    uint8_t v = (uint8_t) ((112 * r - 102 * g - 10 * b + 32768 + 128) >> 8);

    sheet->u[job->planar ? x / 2 : x] = u;
    *(job->planar ? &sheet->v[x / 2] : &sheet->u[x + 1]) = v;
  }
}

/* Each row is memory of its own, which ends where the row does: so
 * AddressSanitizer sees what is read behind it. */
static void
convert (struct sheet *sheet, const struct job *job)
{
  struct helix_yuv_weights weights;
  struct helix_yuv_rows rows = {
      .luma = {sheet->luma[0], sheet->luma[1]},
      .u = sheet->u,
      .v = job->planar ? sheet->v : NULL,
  };
  uint8_t *rgb[2];

  for (unsigned r = 0; r < 2; r++) {
    rgb[r] = malloc (4 * job->right);
    if (rgb[r] == NULL)
      abort ();
    memcpy (rgb[r], sheet->rgb[r], 4 * job->right);
    rows.rgb[r] = rows.next[r] = rgb[r];
  }
  helix_yuv_weigh (&weights, job->place[0], job->place[1], job->place[2]);
  helix_yuv_convert (job->path, &weights, &rows, job->left, job->right);
  free (rgb[0]);
  free (rgb[1]);
}

static bool
check (struct sheet *got, const struct job *job)
{
  struct sheet want;
  bool usable;

  memset (got->luma, GUARD, sizeof *got - sizeof got->rgb);
  want = *got;
  define (&want, job);
  convert (got, job);
  if (memcmp (got, &want, sizeof want) == 0)
    return true;
  for (size_t i = 0; i < sizeof want; i++)
    if (((uint8_t *) got)[i] != ((uint8_t *) &want)[i]) {
      printf ("FAIL %s, %s, red at %u, columns %u to %u: byte %zu\n",
          helix_yuv_path (job->path, &usable), job->planar ? "I420" : "NV12",
          job->place[0], job->left, job->right, i);
      break;
    }
  return false;
}

/* Noise; then each byte of a pixel 0 or 255, in each combination: no sum may
 * overflow or saturate. */
static bool
check_columns (struct job *job)
{
  static struct sheet sheet;
  uint8_t *rgb = sheet.rgb[0];
  bool good;

  for (size_t i = 0; i < sizeof sheet.rgb; i++)
    rgb[i] = (uint8_t) dice ();
  good = check (&sheet, job);
  for (unsigned bits = 0; good && bits < 16; bits++) {
    for (size_t i = 0; i < sizeof sheet.rgb; i++)
      rgb[i] = bits & 1u << i % 4 ? 255 : 0;
    good = check (&sheet, job);
  }
  return good;
}

/* The protocol's four orders of bytes; every width. */
static bool
check_path (unsigned path, bool planar)
{
  static const unsigned places[][3] = {
      {2, 1, 0}, {0, 1, 2}, {1, 2, 3}, {3, 2, 1}};

  for (unsigned p = 0; p < sizeof places / sizeof places[0]; p++)
    for (unsigned width = 1; width <= WIDEST - 6; width++)
      for (unsigned left = 0; left <= 6; left += 6) {
        struct job job = {.path = path,
            .planar = planar,
            .left = left,
            .right = left + width};

        memcpy (job.place, places[p], sizeof job.place);
        if (!check_columns (&job))
          return false;
      }
  return true;
}

static int
test (void)
{
  unsigned passed = 0, failed = 0, skipped = 0;
  const char *name;
  bool usable;

  for (unsigned path = 0; (name = helix_yuv_path (path, &usable)) != NULL;
       path++)
    for (unsigned planar = 0; planar < 2; planar++)
      if (!usable) {
        printf ("SKIP in helix-yuv: this processor has no %s\n", name);
        skipped++;
      } else if (check_path (path, planar)) {
        printf ("ok %s, %s\n", name, planar ? "I420" : "NV12");
        passed++;
      } else {
        failed++;
      }
  printf ("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
  return failed == 0 ? 0 : 1;
}

static int
convert_often (const char *wanted, bool planar, unsigned times)
{
  static uint8_t rgb[2][4 * COUNTED], luma[2][COUNTED], u[COUNTED], v[COUNTED];
  struct helix_yuv_rows rows = {.rgb = {rgb[0], rgb[1]},
      .next = {rgb[0], rgb[1]},
      .luma = {luma[0], luma[1]},
      .u = u,
      .v = planar ? v : NULL};
  struct helix_yuv_weights weights;
  unsigned path = 0;
  const char *name;
  bool usable;

  while ((name = helix_yuv_path (path, &usable)) != NULL
      && strcmp (name, wanted) != 0)
    path++;
  if (name == NULL || !usable) {
    fprintf (stderr, "test-helix-yuv: no path %s here\n", wanted);
    return 2;
  }
  helix_yuv_weigh (&weights, 2, 1, 0);
  while (times-- > 0)
    helix_yuv_convert (path, &weights, &rows, 0, COUNTED);
  return 0;
}

int
main (int argc, char **argv)
{
  if (argc == 4)
    return convert_often (argv[1], strcmp (argv[2], "i420") == 0,
        (unsigned) strtoul (argv[3], NULL, 10));
  return test ();
}
