/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of helix-shim-sim.
 */
#ifndef HELIX_SIM_OPTIONS_H
#define HELIX_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "helix-shim.h"
#include "helix-sim-screen.h"

#define HELIX_SIM_MAX_RESOURCES 16u /* off the screen */

struct helix_sim_options {
  char *socket;           /* path */
  uint32_t width, height; /* pixels */
  uint32_t scanouts;      /* 1..HELIX_MAX_SCANOUTS */
  uint32_t scanouts_on;   /* of those, on from the start */
  uint32_t resources;     /* that no scanout shows */
  bool cursor;
  double cursor_rate; /* moves a second, 0 = it stands still */
  double rate;        /* pictures a second */
  enum helix_sim_pattern pattern;
  uint64_t frames;       /* pictures, 0 = for ever */
  bool exit;             /* after the last picture */
  uint64_t resize_every; /* pictures, 0 = never */
  uint32_t resize_width, resize_height;
  uint64_t burst;      /* pictures, 0 = steady */
  double burst_period; /* seconds */
  uint32_t slots;      /* 2..HELIX_MAX_SLOTS */
  uint32_t max_clients;
  uint32_t max_width, max_height; /* of an exported picture */
  struct helix_access access;
  char *stats_path; /* NULL = none, "-" = stdout */
  bool quiet;
};

/* false: told on stderr what is wrong. --help and --version do not return. */
bool helix_sim_options_parse (
    struct helix_sim_options *options, int *argc, char ***argv);
void helix_sim_options_clear (struct helix_sim_options *options);

#endif /* HELIX_SIM_OPTIONS_H */
