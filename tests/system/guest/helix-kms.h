/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The little of kernel mode setting that the guest's drawing programs share:
 * the card, its connectors, modes of any size, events for the harness.
 *
 * These programs run inside the guest, for one test each: whatever goes wrong
 * ends the process with a sentence on stderr, where the harness shows it.
 */
#ifndef HELIX_KMS_H
#define HELIX_KMS_H

#include <stdbool.h>
#include <stdint.h>
#include <xf86drmMode.h>

#define HELIX_KMS_MAX_OUTPUTS 16
#define HELIX_CARD "/dev/dri/card0"

struct helix_kms_output {
  uint32_t connector, crtc; /* KMS object ids */
};

struct helix_kms {
  int fd;
  int outputs;
  struct helix_kms_output output[HELIX_KMS_MAX_OUTPUTS];
};

/* Ends the program with "NAME: text" (and errno's text, if errno is set). */
void helix_die (const char *format, ...)
    __attribute__ ((noreturn, format (printf, 1, 2)));

/* Appends "HELIX-EVENT text" to the file that $HELIX_EVENTS names (stdout
 * without it): what the harness waits for. */
void helix_event (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

/* Opens `path` and pairs each of its connectors with a CRTC of its own. */
void helix_kms_open (struct helix_kms *kms, const char *path);

/* Shows framebuffer `fb` from (x, y) on output number `output`. */
void helix_kms_show (struct helix_kms *kms, int output, uint32_t fb, uint32_t x,
    uint32_t y, uint32_t width, uint32_t height);

/* Shows nothing on output number `output`. */
void helix_kms_off (struct helix_kms *kms, int output);

/* Whether a monitor is plugged in there, and the size that it prefers. */
bool helix_kms_plugged (
    struct helix_kms *kms, int output, uint32_t *width, uint32_t *height);

enum helix_option_kind {
  HELIX_OPTION_TEXT,   /* const char * */
  HELIX_OPTION_NUMBER, /* uint32_t */
  HELIX_OPTION_RATE,   /* double, above 0: frames a second */
  HELIX_OPTION_SIZE,   /* uint32_t [2], "WxH" */
  HELIX_OPTION_FLAG,   /* bool, true if given */
};

struct helix_option {
  const char *name; /* "rate" is --rate; NULL ends the list */
  enum helix_option_kind kind;
  void *value; /* what it is without the option */
  const char *help;
};

/* Sets the values that the command line has; ends the program with its usage
 * if that has anything else. */
void helix_options (int argc, char **argv, const struct helix_option *options);

/* Parses "WxH" (1..16384); false if it is anything else. */
bool helix_parse_size (const char *text, uint32_t *width, uint32_t *height);

/* Sleeps until frame `index` of `rate` frames a second is due, counted from
 * *start_ns (0 = now is the start). rate 0 = never sleep. */
void helix_pace (uint64_t *start_ns, uint64_t index, double rate);

/* Waits until the file `path` exists (the harness makes it, through 9p, where
 * inotify tells nothing); ends the program after two minutes. */
void helix_await (const char *path);

/* Waits for SIGTERM or SIGINT: keeps the last picture on the screen. */
void helix_hold (void);

#endif /* HELIX_KMS_H */
