/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a desktop does with monitors that come and go: each one that is plugged
 * in gets a picture of its own at the size that it prefers, one that is gone
 * is switched off. Draws on all of them, up to the frame number that the file
 * --until holds (none = no frame after the first of each).
 */
#include <signal.h>
#include <stdio.h>

#include "helix-buffer.h"
#include "helix-marker.h"

#define RATE 25.0     /* ticks a second */
#define LOOK_TICKS 3u /* ticks from one look at the connectors to the next */

struct screen {
  bool on;
  uint32_t width, height;
  struct helix_buffer buffer;
};

static volatile sig_atomic_t stopped;

static void
on_signal (int number)
{
  stopped = 1;
}

static void
show (struct helix_kms *kms, struct screen *screen, int output, uint32_t number)
{
  drmModeClip clips[2];

  if (screen->width < HELIX_MARKER_WIDTH || screen->height < 64)
    helix_die ("output %d prefers %ux%u, too small for the picture", output,
        screen->width, screen->height);
  helix_buffer_new (kms, &screen->buffer, screen->width, screen->height, false);
  helix_buffer_background (
      &screen->buffer, 0, screen->width, (uint32_t) output);
  helix_buffer_frame (&screen->buffer, 0, screen->width, number, clips);
  helix_kms_show (
      kms, output, screen->buffer.fb, 0, 0, screen->width, screen->height);
  screen->on = true;
  helix_event ("on %d %ux%u", output, screen->width, screen->height);
}

/* Looks whether a monitor came, went or prefers another size. */
static void
look (struct helix_kms *kms, struct screen *screen, int output, uint32_t number)
{
  struct screen old = *screen;
  uint32_t width, height;
  bool plugged = helix_kms_plugged (kms, output, &width, &height);

  if (plugged == old.on
      && (!plugged || (width == old.width && height == old.height)))
    return;
  if (plugged) {
    *screen = (struct screen){.width = width, .height = height};
    show (kms, screen, output, number);
  } else {
    *screen = (struct screen){0};
    helix_kms_off (kms, output);
    helix_event ("off %d", output);
  }
  if (old.on)
    helix_buffer_free (kms, &old.buffer);
}

/* The number in the file; 0 while there is none. */
static uint32_t
wanted (const char *path)
{
  FILE *file = path != NULL ? fopen (path, "re") : NULL;
  uint32_t number = 0;

  if (file != NULL) {
    if (fscanf (file, "%u", &number) != 1)
      number = 0;
    fclose (file);
  }
  return number;
}

static void
draw (struct helix_kms *kms, struct screen *screens, uint32_t number)
{
  for (int i = 0; i < kms->outputs; i++) {
    struct screen *screen = &screens[i];
    drmModeClip clips[2];

    if (!screen->on)
      continue;
    helix_buffer_frame (&screen->buffer, 0, screen->width, number, clips);
    helix_buffer_flush (kms, &screen->buffer, clips, 2);
  }
}

int
main (int argc, char **argv)
{
  struct screen screens[HELIX_KMS_MAX_OUTPUTS] = {{0}};
  struct sigaction action = {.sa_handler = on_signal};
  uint32_t number = 1, last = 0;
  const char *until = NULL;
  const struct helix_option options[] = {
      {"until", HELIX_OPTION_TEXT, &until, "FILE: number of the last frame"},
      {NULL}};
  struct helix_kms kms;
  uint64_t start = 0;

  helix_options (argc, argv, options);
  sigaction (SIGINT, &action, NULL);
  sigaction (SIGTERM, &action, NULL);
  helix_kms_open (&kms, HELIX_CARD);
  for (uint64_t tick = 0; !stopped; tick++) {
    helix_pace (&start, tick, RATE);
    for (int i = 0; tick % LOOK_TICKS == 0 && i < kms.outputs; i++)
      look (&kms, &screens[i], i, number);
    if (number >= last)
      last = wanted (until);
    if (number < last) {
      draw (&kms, screens, ++number);
      if (number == last)
        helix_event ("drawn %u", number);
    }
  }
  return 0;
}
