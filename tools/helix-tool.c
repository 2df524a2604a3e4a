/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-tool.h"

#include <unistd.h>

gint
helix_tool_fail (gint status, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  g_autofree gchar *clean = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  clean = helix_printable (text);
  fprintf (stderr, "%s: %s\n", g_get_prgname (), clean);
  return status;
}

gboolean
helix_colours_wanted (FILE *out)
{
  const gchar *no = g_getenv ("NO_COLOR");
  const gchar *terminal = g_getenv ("TERM");

  return (no == NULL || *no == '\0') && terminal != NULL
      && g_strcmp0 (terminal, "dumb") != 0 && isatty (fileno (out));
}

gchar *
helix_printable (const gchar *text)
{
  gchar *clean = g_utf8_make_valid (text, -1);

  for (gchar *p = clean; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    /* C1 controls are two bytes, the second of which alone may go. */
    if (c < 0x20 || c == 0x7f)
      *p = '?';
    else if (c >= 0x80 && c < 0xa0)
      p[0] = p[1] = '?';
  }
  return clean;
}
