/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-registry.h"

#include <string.h>

#include "helix-registry.h"

struct count {
  const char *socket_path;
  unsigned n;
};

static void
note (void *opaque, const char *entry, const char *socket_path)
{
  struct count *count = opaque;

  count->n += strcmp (socket_path, count->socket_path) == 0;
}

unsigned
test_registered (const char *socket_path)
{
  char folder[HELIX_REGISTRY_PATH];
  struct count count = {socket_path, 0};
  const char *why;

  if (helix_registry_folder (folder, &why))
    helix_registry_scan (folder, note, &count, &why);
  return count.n;
}
