/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-bench-shim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "helix-bench-table.h"

#define TIMEOUT_NS 2000000000u
#define LOOK_US 500u /* between two looks at a file */

static const gchar commands[] =
    "{\"execute\":\"qmp_capabilities\"}\n"
    "{\"execute\":\"qom-get\",\"arguments\":{"
    "\"path\":\"/machine/peripheral/helix\",\"property\":\"stats\"}}\n";

gchar *
helix_bench_sim_stats (gint pid, const gchar *path)
{
  guint64 begin = helix_bench_now ();
  gchar *text = NULL;

  unlink (path);
  if (kill (pid, SIGUSR1) != 0) {
    fprintf (stderr, "no sim to ask: %s\n", g_strerror (errno));
    return NULL;
  }
  while (!g_file_get_contents (path, &text, NULL, NULL)) {
    if (helix_bench_now () - begin > TIMEOUT_NS) {
      fprintf (stderr, "the sim wrote no %s\n", path);
      return NULL;
    }
    /* A file that appears; the wait is outside of what is measured. */
    g_usleep (LOOK_US);
  }
  return g_strchomp (text);
}

static int
connect_to (const gchar *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct timeval limit = {.tv_sec = 2};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (fd >= 0
      && connect (fd, (struct sockaddr *) &address, sizeof address) == 0)
    return fd;
  fprintf (
      stderr, "cannot connect to QMP at %s: %s\n", path, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* "key=value key=value" as a JSON object. */
static gchar *
to_json (const gchar *stats)
{
  g_auto (GStrv) words = g_strsplit (stats, " ", -1);
  GString *json = g_string_new ("{");

  for (guint i = 0; words[i] != NULL; i++) {
    gchar *value = strchr (words[i], '=');

    if (value == NULL)
      continue;
    *value++ = '\0';
    g_strdelimit (words[i], "-", '_');
    g_string_append_printf (
        json, "%s\"%s\": ", json->len > 1 ? ", " : "", words[i]);
    if (*value != '\0' && value[strspn (value, "0123456789")] == '\0')
      g_string_append (json, value);
    else
      g_string_append_printf (json, "\"%s\"", value);
  }
  g_string_append_c (json, '}');
  return g_string_free (json, FALSE);
}

gchar *
helix_bench_qemu_stats (const gchar *path)
{
  static const gchar before[] = "{\"return\": \"";
  GString *reply = g_string_new (NULL);
  gchar part[4096], *at, *end, *json = NULL;
  int fd = connect_to (path);
  gssize n;

  if (fd < 0 || write (fd, commands, strlen (commands)) < 0)
    goto out;
  while ((n = read (fd, part, sizeof part)) > 0) {
    g_string_append_len (reply, part, n);
    at = strstr (reply->str, before);
    end = at != NULL ? strchr (at + strlen (before), '"') : NULL;
    if (end != NULL) {
      *end = '\0';
      json = to_json (at + strlen (before));
      break;
    }
    if (strstr (reply->str, "\"error\"") != NULL)
      break;
  }
  if (json == NULL)
    fprintf (stderr, "QMP gave no stats: %s\n", reply->str);
out:
  if (fd >= 0)
    close (fd);
  g_string_free (reply, TRUE);
  return json;
}
