/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-kms.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xf86drm.h>

#define NS_PER_S 1000000000ull
#define MAX_OPTIONS 16
#define AWAIT_S 120u /* seconds the harness may take to answer */
#define AWAIT_HZ 50u /* looks a second */

void
helix_die (const char *format, ...)
{
  int error = errno;
  va_list args;

  fprintf (stderr, "%s: ", program_invocation_short_name);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  if (error != 0)
    fprintf (stderr, ": %s", strerror (error));
  fputc ('\n', stderr);
  exit (1);
}

void
helix_event (const char *format, ...)
{
  const char *path = getenv ("HELIX_EVENTS");
  FILE *out = path != NULL ? fopen (path, "ae") : stdout;
  char text[256];
  va_list args;

  if (out == NULL)
    helix_die ("cannot append to HELIX_EVENTS=%s", path);
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  /* One write: several programs append to the same file. */
  fprintf (out, "HELIX-EVENT %s\n", text);
  if (path != NULL ? fclose (out) != 0 : fflush (out) != 0)
    helix_die ("cannot write the event \"%s\"", text);
}

/* The first CRTC that the connector's encoders can use and nobody has. */
static uint32_t
find_crtc (const struct helix_kms *kms, const drmModeRes *resources,
    const drmModeConnector *connector, uint32_t *taken)
{
  for (int i = 0; i < connector->count_encoders; i++) {
    drmModeEncoder *encoder =
        drmModeGetEncoder (kms->fd, connector->encoders[i]);
    uint32_t possible;

    if (encoder == NULL)
      continue;
    possible = encoder->possible_crtcs & ~*taken;
    drmModeFreeEncoder (encoder);
    for (int crtc = 0; crtc < resources->count_crtcs; crtc++) {
      if (possible & 1u << crtc) {
        *taken |= 1u << crtc;
        return resources->crtcs[crtc];
      }
    }
  }
  return 0;
}

void
helix_kms_open (struct helix_kms *kms, const char *path)
{
  drmModeRes *resources;
  uint32_t taken = 0;

  memset (kms, 0, sizeof *kms);
  kms->fd = open (path, O_RDWR | O_CLOEXEC);
  if (kms->fd < 0)
    helix_die ("cannot open %s", path);
  if (drmSetMaster (kms->fd) != 0)
    helix_die ("somebody else is master of %s", path);
  resources = drmModeGetResources (kms->fd);
  if (resources == NULL)
    helix_die ("%s can set no modes", path);

  for (int i = 0;
       i < resources->count_connectors && kms->outputs < HELIX_KMS_MAX_OUTPUTS;
       i++) {
    drmModeConnector *connector =
        drmModeGetConnector (kms->fd, resources->connectors[i]);
    uint32_t crtc;

    if (connector == NULL)
      continue;
    crtc = find_crtc (kms, resources, connector, &taken);
    if (crtc != 0)
      kms->output[kms->outputs++] = (struct helix_kms_output){
          .connector = connector->connector_id, .crtc = crtc};
    drmModeFreeConnector (connector);
  }
  drmModeFreeResources (resources);
}

/* A mode of exactly width x height pixels; virtio-gpu has no use for the
 * timings but the kernel wants them in order. */
static void
make_mode (drmModeModeInfo *mode, uint32_t width, uint32_t height)
{
  memset (mode, 0, sizeof *mode);
  mode->hdisplay = (uint16_t) width;
  mode->hsync_start = (uint16_t) (width + 16);
  mode->hsync_end = (uint16_t) (width + 32);
  mode->htotal = (uint16_t) (width + 48);
  mode->vdisplay = (uint16_t) height;
  mode->vsync_start = (uint16_t) (height + 1);
  mode->vsync_end = (uint16_t) (height + 2);
  mode->vtotal = (uint16_t) (height + 3);
  mode->vrefresh = 60;
  mode->clock = (uint32_t) mode->htotal * mode->vtotal * 60 / 1000; /* kHz */
  mode->type = DRM_MODE_TYPE_USERDEF;
  snprintf (mode->name, sizeof mode->name, "%ux%u", width, height);
}

void
helix_kms_show (struct helix_kms *kms, int output, uint32_t fb, uint32_t x,
    uint32_t y, uint32_t width, uint32_t height)
{
  drmModeModeInfo mode;

  if (output < 0 || output >= kms->outputs) {
    errno = 0;
    helix_die ("no output %d: the card has %d", output, kms->outputs);
  }
  make_mode (&mode, width, height);
  if (drmModeSetCrtc (kms->fd, kms->output[output].crtc, fb, x, y,
          &kms->output[output].connector, 1, &mode)
      != 0)
    helix_die ("cannot set %ux%u on output %d", width, height, output);
}

void
helix_kms_off (struct helix_kms *kms, int output)
{
  if (drmModeSetCrtc (kms->fd, kms->output[output].crtc, 0, 0, 0, NULL, 0, NULL)
      != 0)
    helix_die ("cannot switch output %d off", output);
}

bool
helix_kms_plugged (
    struct helix_kms *kms, int output, uint32_t *width, uint32_t *height)
{
  drmModeConnector *connector =
      drmModeGetConnector (kms->fd, kms->output[output].connector);
  const drmModeModeInfo *mode = NULL;

  if (connector == NULL)
    helix_die ("cannot look at output %d", output);
  if (connector->connection == DRM_MODE_CONNECTED)
    for (int i = 0; i < connector->count_modes; i++)
      if (mode == NULL
          || (!(mode->type & DRM_MODE_TYPE_PREFERRED)
              && connector->modes[i].type & DRM_MODE_TYPE_PREFERRED))
        mode = &connector->modes[i];
  *width = mode != NULL ? mode->hdisplay : 0;
  *height = mode != NULL ? mode->vdisplay : 0;
  drmModeFreeConnector (connector);
  return mode != NULL;
}

bool
helix_parse_size (const char *text, uint32_t *width, uint32_t *height)
{
  int end = 0;

  return sscanf (text, "%ux%u%n", width, height, &end) == 2 && text[end] == '\0'
      && *width >= 1 && *width <= 16384 && *height >= 1 && *height <= 16384;
}

static bool
take_option (const struct helix_option *option, const char *text)
{
  uint32_t *number = option->value;
  char *end = NULL;

  switch (option->kind) {
    case HELIX_OPTION_TEXT:
      *(const char **) option->value = text;
      return true;
    case HELIX_OPTION_NUMBER:
      *number = (uint32_t) strtoul (text, &end, 10);
      return *end == '\0';
    case HELIX_OPTION_RATE:
      *(double *) option->value = strtod (text, &end);
      return *end == '\0' && *(double *) option->value > 0;
    case HELIX_OPTION_SIZE:
      return helix_parse_size (text, &number[0], &number[1]);
    case HELIX_OPTION_FLAG:
      *(bool *) option->value = true;
      return true;
  }
  return false;
}

void
helix_options (int argc, char **argv, const struct helix_option *options)
{
  struct option known[MAX_OPTIONS + 1] = {{0}};
  bool good = true;
  int n, got;

  for (n = 0; n < MAX_OPTIONS && options[n].name != NULL; n++)
    known[n] = (struct option){.name = options[n].name,
        .has_arg = options[n].kind != HELIX_OPTION_FLAG,
        .val = n};
  while (good && (got = getopt_long (argc, argv, "", known, NULL)) != -1)
    good = got < n && take_option (&options[got], optarg);
  if (good && optind == argc)
    return;
  fprintf (stderr, "Usage: %s [options]\n", program_invocation_short_name);
  for (; options->name != NULL; options++)
    fprintf (stderr, "  --%-18s %s\n", options->name, options->help);
  exit (2);
}

void
helix_pace (uint64_t *start_ns, uint64_t index, double rate)
{
  struct timespec at;

  if (*start_ns == 0) {
    clock_gettime (CLOCK_MONOTONIC, &at);
    *start_ns = (uint64_t) at.tv_sec * NS_PER_S + (uint64_t) at.tv_nsec;
  }
  if (rate > 0) {
    uint64_t due =
        *start_ns + (uint64_t) ((double) index * (double) NS_PER_S / rate);

    at.tv_sec = (time_t) (due / NS_PER_S);
    at.tv_nsec = (long) (due % NS_PER_S);
    while (clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
      ;
  }
}

void
helix_await (const char *path)
{
  uint64_t start = 0;

  for (uint64_t tick = 0; access (path, F_OK) != 0; tick++) {
    if (tick == AWAIT_S * AWAIT_HZ)
      helix_die ("%s did not appear within %u s", path, AWAIT_S);
    helix_pace (&start, tick, AWAIT_HZ);
  }
}

void
helix_hold (void)
{
  sigset_t set;
  int signal_number;

  sigemptyset (&set);
  sigaddset (&set, SIGTERM);
  sigaddset (&set, SIGINT);
  sigprocmask (SIG_BLOCK, &set, NULL);
  sigwait (&set, &signal_number);
}
