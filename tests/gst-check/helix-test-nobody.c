/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-nobody.h"

#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

bool
test_can_be_nobody_in (const char *test, const char *what)
{
  if (geteuid () == 0)
    return true;
  g_print ("SKIP in %s, %s: %s: only root can become another user\n",
      g_get_prgname (), test, what);
  return false;
}

bool
test_be_nobody (void)
{
  return geteuid () != 0
      || (setgroups (0, NULL) == 0 && setgid (TEST_NOBODY) == 0
          && setuid (TEST_NOBODY) == 0);
}

int
test_as_nobody (int (*body) (void *opaque), void *opaque)
{
  pid_t pid = fork ();
  int status = 0;

  fail_unless (pid >= 0);
  if (pid == 0)
    _exit (test_be_nobody () ? body (opaque) : 99);
  fail_unless (waitpid (pid, &status, 0) == pid);
  fail_unless (WIFEXITED (status));
  return WEXITSTATUS (status);
}
