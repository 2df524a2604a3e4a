/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-child.h"

SimChild *
sim_child_new (const gchar *path, const gchar *options)
{
  SimChild *sim = child_new_line (
      "'%s' --quiet --socket='%s' %s", g_getenv ("HELIX_SIM"), path, options);

  child_expect (sim, "listening", 20);
  return sim;
}
