/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows pictures that take turns (helix-turns.h), inside a guest. With virgl
 * each is two commands: a copy of a prepared texture onto the one that is
 * shown, and the stamp; what they cost is the host's GPU. Without it they are
 * copied into a dumb buffer.
 *
 *   helix-bench-turns full|box WxH RATE STOP-FILE
 *
 * RATE pictures a second, 0 = as many as the host takes, until the file exists.
 * Events: "renderer NAME", "shown STOP-FILE" with the first picture up, "count
 * N NS" now and then (pictures so far, CLOCK_MONOTONIC), "stopped STOP-FILE".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "helix-buffer.h"
#include "helix-turns.h"
#include "helix-virgl.h"

#define MIN_WIDTH 640u
#define MIN_HEIGHT 256u
/* Between two looks at the file, which is behind a file system of the host's:
 * one for each picture would be most of what a box costs. */
#define LOOK_NS 200000000

struct show {
  struct helix_kms kms;
  struct helix_turns turns;
  bool virgl;
  uint32_t fb;
  /* with virgl */
  struct helix_virgl_texture screen, picture[HELIX_TURNS_PICTURES];
  struct helix_virgl_commands commands;
  /* without */
  struct helix_buffer buffer;
};

static void
prepare_virgl (struct show *show)
{
  const struct helix_turns *turns = &show->turns;
  int fd = show->kms.fd;

  for (uint32_t i = 0; i < turns->pictures; i++) {
    helix_virgl_texture_new (
        fd, &show->picture[i], turns->width, turns->height);
    helix_virgl_upload (fd, &show->picture[i], turns->picture[i]);
  }
  helix_virgl_texture_new (fd, &show->screen, turns->width, turns->height);
  helix_virgl_upload (fd, &show->screen, turns->picture[0]);
  show->fb = helix_virgl_framebuffer (fd, &show->screen);
}

static void
draw_virgl (struct show *show, uint32_t number)
{
  const struct helix_turns *turns = &show->turns;

  if (turns->pictures > 1)
    helix_virgl_copy (&show->commands, &show->screen,
        &show->picture[number % turns->pictures]);
  helix_turns_stamp (turns, number,
      helix_virgl_write (&show->commands, &show->screen, &turns->stamp),
      turns->stamp.width * 4);
  helix_virgl_submit (show->kms.fd, &show->commands);
}

/* Rows that the picture before has, too, are not copied again. */
static void
draw_dumb (struct show *show, uint32_t number, bool all)
{
  const struct helix_turns *turns = &show->turns;
  const uint32_t *picture = helix_turns_picture (turns, number);
  struct helix_buffer *buffer = &show->buffer;

  if (all || turns->pictures > 1)
    for (uint32_t y = 0; y < turns->height; y++)
      memcpy (buffer->pixels + (size_t) y * buffer->stride,
          picture + (size_t) y * turns->width, (size_t) turns->width * 4);
  helix_turns_stamp (turns, number,
      (uint32_t *) (buffer->pixels + (size_t) turns->stamp.y * buffer->stride)
          + turns->stamp.x,
      buffer->stride);
}

static void
draw (struct show *show, uint32_t number, bool all)
{
  const struct helix_rect whole = {0, 0, show->turns.width, show->turns.height};
  const struct helix_rect *damage = all ? &whole : &show->turns.damage;
  struct helix_buffer flushed = {.fb = show->fb};
  drmModeClip clip = {.x1 = (uint16_t) damage->x,
      .y1 = (uint16_t) damage->y,
      .x2 = (uint16_t) (damage->x + damage->width),
      .y2 = (uint16_t) (damage->y + damage->height)};

  if (show->virgl)
    draw_virgl (show, number);
  else
    draw_dumb (show, number, all);
  helix_buffer_flush (&show->kms, &flushed, &clip, 1);
}

static bool
stopped (const char *file, uint32_t number)
{
  static int64_t next;
  struct timespec at;
  int64_t now;

  clock_gettime (CLOCK_MONOTONIC, &at);
  now = (int64_t) at.tv_sec * 1000000000 + at.tv_nsec;
  if (now < next)
    return false;
  next = now + LOOK_NS;
  helix_event ("count %u %lld", number, (long long) now);
  return access (file, F_OK) == 0;
}

int
main (int argc, char **argv)
{
  static struct show show;
  enum helix_turns_scene scene;
  char renderer[128] = "none";
  uint32_t width, height, number = 1;
  uint64_t start = 0;
  double rate;

  if (argc != 5 || !helix_turns_find (argv[1], &scene)
      || !helix_parse_size (argv[2], &width, &height) || width < MIN_WIDTH
      || height < MIN_HEIGHT || !((rate = atof (argv[3])) >= 0)) {
    fputs ("Usage: helix-bench-turns full|box WxH RATE STOP-FILE\n", stderr);
    return 2;
  }
  helix_kms_open (&show.kms, HELIX_CARD);
  helix_turns_init (&show.turns, scene, width, height);
  show.virgl = helix_virgl_renderer (show.kms.fd, renderer, sizeof renderer);
  helix_event ("renderer %s", renderer);
  if (show.virgl) {
    prepare_virgl (&show);
  } else {
    helix_buffer_new (&show.kms, &show.buffer, width, height, false);
    show.fb = show.buffer.fb;
  }
  helix_kms_show (&show.kms, 0, show.fb, 0, 0, width, height);
  draw (&show, number, true);
  helix_event ("shown %s", argv[4]);
  while (!stopped (argv[4], number)) {
    helix_pace (&start, number - 1, rate);
    draw (&show, ++number, false);
  }
  helix_event ("stopped %s", argv[4]);
  return 0;
}
