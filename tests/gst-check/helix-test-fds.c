/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-fds.h"

#include <dirent.h>
#include <gst/check/gstcheck.h>

#include "helix-platform.h"

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

void
test_socketpair (int fds[2])
{
  fail_unless_equals_int (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), 0);
  fail_unless_equals_int (helix_fd_prepare (fds[0]), 0);
  fail_unless_equals_int (helix_fd_prepare (fds[1]), 0);
}
