/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sim's scenes inside a guest: drawn into a dumb buffer, with the damage
 * told to the kernel, as a desktop without GL does. On a GPU with virgl the
 * same buffer is a texture of the host's, and reading it back goes through GL.
 *
 *   helix-bench-draw PATTERN WxH RATE STOP-FILE
 *
 * Draws until the file exists. Events: "shown STOP-FILE" with the first picture
 * up, "stopped STOP-FILE N" with the number of pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "helix-buffer.h"
#include "helix-sim-screen.h"

static void
put (struct helix_kms *kms, struct helix_buffer *buffer,
    const struct helix_sim_screen *screen, const struct helix_rect *damage)
{
  drmModeClip clip = {.x1 = (uint16_t) damage->x,
      .y1 = (uint16_t) damage->y,
      .x2 = (uint16_t) (damage->x + damage->width),
      .y2 = (uint16_t) (damage->y + damage->height)};

  helix_sim_screen_read (screen, damage,
      buffer->pixels + (size_t) damage->y * buffer->stride
          + (size_t) damage->x * 4,
      buffer->stride);
  helix_buffer_flush (kms, buffer, &clip, 1);
}

int
main (int argc, char **argv)
{
  struct helix_sim_screen screen;
  struct helix_rect all = {0}, damage;
  struct helix_kms kms;
  struct helix_buffer buffer;
  enum helix_sim_pattern pattern;
  uint64_t start = 0, index = 0;
  double rate;

  if (argc != 5 || !helix_parse_size (argv[2], &all.width, &all.height)
      || !((rate = atof (argv[3])) > 0)
      || !helix_sim_pattern_find (argv[1], &pattern)) {
    fputs ("Usage: helix-bench-draw PATTERN WxH RATE STOP-FILE\n", stderr);
    return 2;
  }
  helix_kms_open (&kms, HELIX_CARD);
  helix_buffer_new (&kms, &buffer, all.width, all.height, false);
  helix_sim_screen_init (&screen, 0, 1, all.width, all.height, pattern, 1);
  helix_kms_show (&kms, 0, buffer.fb, 0, 0, all.width, all.height);
  put (&kms, &buffer, &screen, &all);
  helix_event ("shown %s", argv[4]);
  while (access (argv[4], F_OK) != 0) {
    helix_pace (&start, index++, rate);
    if (helix_sim_screen_next (&screen, &damage))
      put (&kms, &buffer, &screen, &damage);
  }
  helix_event ("stopped %s %u", argv[4], screen.number);
  return 0;
}
