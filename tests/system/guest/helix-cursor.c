/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows a picture that stays as it is and a cursor that does not: appears,
 * moves, looks otherwise (another buffer, then the same buffer with other
 * pixels), disappears. Each step waits for a file of the harness's, STEP.1 and
 * so on, and ends with an event that says what must have arrived.
 */
#include <stdio.h>
#include <stdlib.h>

#include "helix-buffer.h"
#include "helix-marker.h"
#include "helix-picture.h"

#define SIZE 64u /* pixels: the one size that virtio-gpu takes */
#define MOVES 100
#define MOVE_RATE 60.0 /* positions a second */

struct cursor {
  const char *name;
  struct helix_buffer buffer;
  int hot_x, hot_y;
};

static struct helix_kms kms;
static const char *step_prefix;

static void
await_step (int step)
{
  char path[256];

  snprintf (path, sizeof path, "%s.%d", step_prefix, step);
  helix_await (path);
}

/* Every alpha from none to full, colours multiplied by it, no two rows or
 * columns alike. */
static void
paint (struct cursor *cursor, uint32_t seed)
{
  for (uint32_t y = 0; y < SIZE; y++) {
    uint8_t *pixel = cursor->buffer.pixels + (size_t) y * cursor->buffer.stride;

    for (uint32_t x = 0; x < SIZE; x++, pixel += 4) {
      uint32_t alpha = (x + seed) % SIZE * 255 / (SIZE - 1);

      pixel[0] = (uint8_t) (alpha * y / SIZE);
      pixel[1] = (uint8_t) (alpha * (SIZE - 1 - y) / SIZE);
      pixel[2] = (uint8_t) (alpha * seed / SIZE);
      pixel[3] = (uint8_t) alpha;
    }
  }
}

/* Shows it; a call with the same buffer tells the device that its pixels are
 * others now. */
static void
set_shape (struct cursor *cursor)
{
  if (drmModeSetCursor2 (kms.fd, kms.output[0].crtc, cursor->buffer.handle,
          SIZE, SIZE, cursor->hot_x, cursor->hot_y)
      != 0)
    helix_die ("cannot set cursor %s", cursor->name);
  helix_event ("shape %s hot %d,%d sum %08x", cursor->name, cursor->hot_x,
      cursor->hot_y,
      helix_picture_sum (cursor->buffer.pixels, SIZE * SIZE * 4));
}

static void
move (int x, int y)
{
  if (drmModeMoveCursor (kms.fd, kms.output[0].crtc, x, y) != 0)
    helix_die ("cannot move the cursor to %d,%d", x, y);
}

static void
new_cursor (
    struct cursor *cursor, const char *name, int hot_x, int hot_y, int seed)
{
  *cursor = (struct cursor){.name = name, .hot_x = hot_x, .hot_y = hot_y};
  helix_buffer_new (&kms, &cursor->buffer, SIZE, SIZE, false);
  if (cursor->buffer.stride != SIZE * 4)
    helix_die ("a cursor's rows are %u bytes apart", cursor->buffer.stride);
  paint (cursor, (uint32_t) seed);
}

static void
show_picture (uint32_t width, uint32_t height)
{
  struct helix_buffer picture;
  drmModeClip clips[2];

  helix_buffer_new (&kms, &picture, width, height, false);
  helix_buffer_background (&picture, 0, width, 0);
  helix_buffer_frame (&picture, 0, width, 1, clips);
  helix_kms_show (&kms, 0, picture.fb, 0, 0, width, height);
  helix_event ("mode %ux%u", width, height);
}

int
main (int argc, char **argv)
{
  struct cursor first, second;
  uint64_t start = 0;

  if (argc != 2) {
    fputs ("Usage: helix-cursor STEP\n", stderr);
    return 2;
  }
  step_prefix = argv[1];
  helix_kms_open (&kms, HELIX_CARD);
  show_picture (800, 600);
  new_cursor (&first, "first", 5, 9, 7);
  new_cursor (&second, "second", 63, 0, 40);

  move (100, 50);
  set_shape (&first);

  await_step (1);
  for (int i = 1; i < MOVES; i++) {
    helix_pace (&start, (uint64_t) i, MOVE_RATE);
    move (100 + 3 * i, 50 + 2 * i);
  }
  /* Beyond the edge, as a cursor with a hot spot in its middle goes. */
  move (-20, -11);
  helix_event ("moved -20,-11");

  await_step (2);
  move (300, 200);
  set_shape (&second);

  await_step (3);
  paint (&second, 11);
  second.name = "repainted";
  set_shape (&second);

  await_step (4);
  if (drmModeSetCursor (kms.fd, kms.output[0].crtc, 0, 0, 0) != 0)
    helix_die ("cannot hide the cursor");
  helix_event ("hidden");
  helix_hold ();
  return 0;
}
