/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-nobody.h"

#include <grp.h>
#include <signal.h>
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
  int fds[2], status = 0, result = 99;
  pid_t pid;

  fail_unless (pipe (fds) == 0);
  pid = fork ();
  fail_unless (pid >= 0);
  if (pid == 0) {
    if (test_be_nobody ())
      result = body (opaque);
    (void) !write (fds[1], &result, sizeof result);
    /* Not _exit (): Valgrind looks for leaks then, and a child has the memory
     * of its parent's other threads without their stacks. */
    raise (SIGKILL);
  }
  close (fds[1]);
  fail_unless (waitpid (pid, &status, 0) == pid);
  fail_unless (read (fds[0], &result, sizeof result) == sizeof result,
      "the child ended early, status 0x%x", status);
  close (fds[0]);
  return result;
}
