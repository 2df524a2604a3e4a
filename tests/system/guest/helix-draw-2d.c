/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws the test picture with the CPU into a dumb buffer or a guest-memory
 * blob, and tells the kernel exactly what changed (DIRTYFB clips): what a
 * plain framebuffer desktop does. Several scanouts are shown as sub-rectangles
 * of one wide framebuffer, as guests do.
 */
#include <stdio.h>
#include <string.h>

#include "helix-buffer.h"
#include "helix-marker.h"
#include "helix-picture.h"

static const char *go; /* wait for this file after the first frame */
static uint32_t size[2] = {800, 600}; /* of each scanout */
static uint32_t scanouts = 1, first = 1, frames = 300;
static double rate = 30;
static const char *change; /* N:WxH */
static const char *kind;   /* of the buffer */
static bool noise, hold;

static const struct helix_option options[] = {
    {"mode", HELIX_OPTION_SIZE, size, "WxH of each scanout (default 800x600)"},
    {"scanouts", HELIX_OPTION_NUMBER, &scanouts,
        "N, side by side in one framebuffer"},
    {"first", HELIX_OPTION_NUMBER, &first,
        "number of the first frame (default 1)"},
    {"frames", HELIX_OPTION_NUMBER, &frames, "N (default 300)"},
    {"rate", HELIX_OPTION_RATE, &rate, "FPS (default 30)"},
    {"mode-change-after", HELIX_OPTION_TEXT, &change, "N:WxH"},
    {"buffer", HELIX_OPTION_TEXT, &kind, "dumb|blob (default dumb)"},
    {"noise", HELIX_OPTION_FLAG, &noise,
        "noise below the marker, in place of the box: an encoder makes of it "
        "what it may"},
    {"go", HELIX_OPTION_TEXT, &go,
        "FILE: go on after the first frame when it exists"},
    {"hold", HELIX_OPTION_FLAG, &hold, "keep the last picture until SIGTERM"},
    {NULL},
};

static void
buffer_new (struct helix_kms *kms, struct helix_buffer *b)
{
  if (size[0] < HELIX_MARKER_WIDTH || size[1] < 64)
    helix_die ("%ux%u is too small for the picture", size[0], size[1]);
  helix_buffer_new (kms, b, size[0] * scanouts, size[1],
      kind != NULL && strcmp (kind, "blob") == 0);
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
draw_frame (struct helix_kms *kms, struct helix_buffer *b, uint32_t number)
{
  drmModeClip clips[2 * HELIX_KMS_MAX_OUTPUTS];

  for (uint32_t i = 0; i < scanouts; i++)
    helix_buffer_frame (b, i * size[0], size[0], number, &clips[2 * i]);
  if (noise)
    draw_noise (b);
  helix_buffer_flush (kms, b, clips, 2 * scanouts);
}

/* The first frame at a size: everything is drawn before it is shown. */
static void
show (struct helix_kms *kms, struct helix_buffer *b, uint32_t number)
{
  drmModeClip clips[2];

  for (uint32_t i = 0; i < scanouts; i++) {
    helix_buffer_background (b, i * size[0], size[0], i);
    helix_buffer_frame (b, i * size[0], size[0], number, clips);
  }
  for (uint32_t i = 0; i < scanouts; i++)
    helix_kms_show (kms, (int) i, b->fb, i * size[0], 0, size[0], size[1]);
  helix_event (
      "mode %ux%u resource %u frame %u", size[0], size[1], b->resource, number);
}

int
main (int argc, char **argv)
{
  uint32_t change_after = 0, other[2];
  struct helix_buffer now, next;
  struct helix_kms kms;
  uint64_t start = 0;

  helix_options (argc, argv, options);
  if (scanouts < 1 || scanouts > HELIX_KMS_MAX_OUTPUTS)
    helix_die ("--scanouts is 1 to %d", HELIX_KMS_MAX_OUTPUTS);
  if (change != NULL
      && sscanf (change, "%u:%ux%u", &change_after, &other[0], &other[1]) != 3)
    helix_die ("--mode-change-after is N:WxH");
  helix_kms_open (&kms, HELIX_CARD);
  buffer_new (&kms, &now);
  show (&kms, &now, first);
  if (go != NULL)
    helix_await (go);
  for (uint32_t i = 0; i < frames; i++) {
    helix_pace (&start, i, rate);
    if (change_after != 0 && i == change_after) {
      memcpy (size, other, sizeof size);
      buffer_new (&kms, &next);
      show (&kms, &next, first + i);
      helix_buffer_free (&kms, &now);
      now = next;
    }
    draw_frame (&kms, &now, first + i);
  }
  helix_event ("drawn %u", first + frames - 1);
  if (hold)
    helix_hold ();
  return 0;
}
