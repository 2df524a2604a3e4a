/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POOLs with descriptors that are not what is said of them. */
#include "fake-shim-private.h"

#include <fcntl.h>
#include <unistd.h>

#include "hostile-fd.h"

static const struct {
  FakeFault fault;
  enum hostile_fd kind;
} kinds[] = {
    {FAKE_POOL_PIPE, HOSTILE_FD_PIPE},
    {FAKE_POOL_DIRECTORY, HOSTILE_FD_DIRECTORY},
    {FAKE_POOL_UNSEALED, HOSTILE_FD_UNSEALED},
    {FAKE_POOL_WRITABLE, HOSTILE_FD_WRITABLE},
    {FAKE_POOL_SPARSE, HOSTILE_FD_SPARSE},
    {FAKE_POOL_HUGE, HOSTILE_FD_HUGE},
    {FAKE_POOL_FILE, HOSTILE_FD_FILE},
};

int
fake_pool_descriptor (FakeShim *shim, gsize size)
{
  int fd = -1;

  if (shim->config.fault == FAKE_POOL_SHORT)
    return hostile_fd_open (HOSTILE_FD_GOOD, size - 4096);
  if (shim->config.fault == FAKE_POOL_CUT_OFF) {
    shim->cut_fd = hostile_fd_open (HOSTILE_FD_UNSEALED, size);
    return fcntl (shim->cut_fd, F_DUPFD_CLOEXEC, 0);
  }
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (kinds[i].fault == shim->config.fault)
      fd = hostile_fd_open (kinds[i].kind, size);
  return fd;
}

void
fake_pool_cut_off (FakeShim *shim)
{
  if (shim->cut_fd >= 0)
    g_assert (ftruncate (shim->cut_fd, 0) == 0);
}
