/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the CPU into a dumb buffer or a guest-memory
 * blob, and tells the kernel exactly what changed (DIRTYFB clips): what a
 * plain framebuffer desktop does. Several scanouts are shown as sub-rectangles
 * of one wide framebuffer, as guests do.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helix-buffer.h"
#include "helix-marker.h"
#include "helix-picture.h"

struct options {
  const char *device;
  const char *go;         /* wait for this file after the first frame */
  int connector;          /* index of the first output */
  uint32_t width, height; /* of each scanout */
  uint32_t scanouts;
  uint32_t first, frames; /* marker of the first frame; how many */
  double rate;            /* frames a second, 0 = as fast as can be */
  uint32_t change_after;  /* frames, 0 = never */
  uint32_t change_width, change_height;
  uint32_t shift; /* of the bars */
  bool blob, hold, noise;
};

static void
usage (FILE *out)
{
  fputs (
      "Usage: helix-draw-2d [options]\n"
      "  --device PATH           (default /dev/dri/card0)\n"
      "  --connector N           first output to use (default 0)\n"
      "  --mode WxH              of each scanout (default 800x600)\n"
      "  --scanouts N            side by side in one framebuffer\n"
      "  --first N               number of the first frame (default 1)\n"
      "  --frames N              (default 300)\n"
      "  --rate FPS              0 = no limit (default 30)\n"
      "  --mode-change-after N:WxH\n"
      "  --bars-shift N          scanout i shows the bars shifted by N + i\n"
      "  --buffer dumb|blob      (default dumb)\n"
      "  --noise                 noise below the marker, in place of the box:\n"
      "                          an encoder makes of it what it may\n"
      "  --go FILE               go on after the first frame when it exists\n"
      "  --hold                  keep the last picture until SIGTERM\n",
      out);
}

static void
parse (int argc, char **argv, struct options *o)
{
  static const struct option longopts[] = {{"device", 1, NULL, 'd'},
      {"connector", 1, NULL, 'c'}, {"mode", 1, NULL, 'm'},
      {"scanouts", 1, NULL, 's'}, {"first", 1, NULL, 'f'},
      {"frames", 1, NULL, 'n'}, {"rate", 1, NULL, 'r'},
      {"mode-change-after", 1, NULL, 'a'}, {"bars-shift", 1, NULL, 'b'},
      {"buffer", 1, NULL, 'u'}, {"noise", 0, NULL, 'o'}, {"go", 1, NULL, 'g'},
      {"hold", 0, NULL, 'h'}, {"help", 0, NULL, '?'}, {NULL, 0, NULL, 0}};
  int option;
  bool good = true;

  *o = (struct options){.device = "/dev/dri/card0",
      .width = 800,
      .height = 600,
      .scanouts = 1,
      .first = 1,
      .frames = 300,
      .rate = 30};
  while (
      good && (option = getopt_long (argc, argv, "", longopts, NULL)) != -1) {
    switch (option) {
      case 'd':
        o->device = optarg;
        break;
      case 'c':
        o->connector = atoi (optarg);
        break;
      case 'm':
        good = helix_parse_size (optarg, &o->width, &o->height);
        break;
      case 's':
        o->scanouts = (uint32_t) atoi (optarg);
        break;
      case 'f':
        o->first = (uint32_t) strtoul (optarg, NULL, 10);
        break;
      case 'n':
        o->frames = (uint32_t) strtoul (optarg, NULL, 10);
        break;
      case 'r':
        o->rate = atof (optarg);
        break;
      case 'a': {
        char *size = strchr (optarg, ':');

        o->change_after = (uint32_t) strtoul (optarg, NULL, 10);
        good = size != NULL
            && helix_parse_size (size + 1, &o->change_width, &o->change_height);
        break;
      }
      case 'b':
        o->shift = (uint32_t) atoi (optarg);
        break;
      case 'u':
        o->blob = strcmp (optarg, "blob") == 0;
        break;
      case 'o':
        o->noise = true;
        break;
      case 'g':
        o->go = optarg;
        break;
      case 'h':
        o->hold = true;
        break;
      default:
        good = false;
    }
  }
  good = good && optind == argc && o->scanouts >= 1 && o->scanouts <= 16
      && o->width >= HELIX_MARKER_WIDTH && o->height >= 64;
  if (good && o->change_after != 0)
    good = o->change_width >= HELIX_MARKER_WIDTH && o->change_height >= 64;
  if (!good) {
    usage (stderr);
    exit (2);
  }
}

static void
buffer_new (
    struct helix_kms *kms, const struct options *o, struct helix_buffer *b)
{
  helix_buffer_new (kms, b, o->width * o->scanouts, o->height, o->blob);
}

/* Fills the strip of the box with noise that no frame before had. */
static void
draw_noise (struct helix_buffer *b)
{
  static uint32_t state = 1;

  for (uint32_t row = HELIX_STRIP_TOP; row < HELIX_BARS_TOP; row++) {
    uint32_t *pixel = (uint32_t *) (b->pixels + (size_t) row * b->stride);

    for (uint32_t x = 0; x < b->stride / 4; x++) {
      state = state * 1664525 + 1013904223; /* Numerical Recipes' LCG */
      pixel[x] = 0xff000000 | state >> 8;
    }
  }
}

/* Draws frame `number` into each scanout and tells the kernel the clips. */
static void
draw_frame (struct helix_kms *kms, const struct options *o,
    struct helix_buffer *b, uint32_t number)
{
  drmModeClip clips[2 * HELIX_KMS_MAX_OUTPUTS];

  for (uint32_t i = 0; i < o->scanouts; i++)
    helix_buffer_frame (b, i * o->width, o->width, number, &clips[2 * i]);
  if (o->noise)
    draw_noise (b);
  helix_buffer_flush (kms, b, clips, 2 * o->scanouts);
}

/* The first frame at a size: everything is drawn before it is shown. */
static void
show (struct helix_kms *kms, const struct options *o, struct helix_buffer *b,
    uint32_t number)
{
  drmModeClip clips[2];

  for (uint32_t i = 0; i < o->scanouts; i++) {
    helix_buffer_background (b, i * o->width, o->width, o->shift + i);
    helix_buffer_frame (b, i * o->width, o->width, number, clips);
  }
  for (uint32_t i = 0; i < o->scanouts; i++)
    helix_kms_show (kms, o->connector + (int) i, b->fb, i * o->width, 0,
        o->width, o->height);
  helix_event ("mode %ux%u resource %u frame %u", o->width, o->height,
      b->resource, number);
}

int
main (int argc, char **argv)
{
  struct options o;
  struct helix_kms kms;
  struct helix_buffer now, next;
  uint64_t start = 0;

  parse (argc, argv, &o);
  helix_kms_open (&kms, o.device);
  buffer_new (&kms, &o, &now);
  show (&kms, &o, &now, o.first);
  if (o.go != NULL)
    helix_await (o.go);
  for (uint32_t i = 0; i < o.frames; i++) {
    helix_pace (&start, i, o.rate);
    if (o.change_after != 0 && i == o.change_after) {
      o.width = o.change_width;
      o.height = o.change_height;
      buffer_new (&kms, &o, &next);
      show (&kms, &o, &next, o.first + i);
      helix_buffer_free (&kms, &now);
      now = next;
    }
    draw_frame (&kms, &o, &now, o.first + i);
  }
  helix_event ("drawn %u", o.first + o.frames - 1);
  if (o.hold)
    helix_hold ();
  return 0;
}
