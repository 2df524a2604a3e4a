/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-fds.h"

#include <dirent.h>
#include <gst/check/gstcheck.h>

unsigned
test_count_fds (void)
{
  DIR *dir = opendir ("/dev/fd");
  unsigned n = 0;

  fail_unless (dir != NULL);
  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n;
}
