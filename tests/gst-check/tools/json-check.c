/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-check.h"

#include <string.h>

#define MAX_DEPTH 32

static gboolean value (const gchar **p, guint depth);

static void
space (const gchar **p)
{
  *p += strspn (*p, " \t\r\n");
}

static gboolean
literal (const gchar **p, const gchar *word)
{
  if (!g_str_has_prefix (*p, word))
    return FALSE;
  *p += strlen (word);
  return TRUE;
}

static gboolean
string (const gchar **p)
{
  if (**p != '"')
    return FALSE;
  for ((*p)++; **p != '"'; (*p)++) {
    if ((guchar) * *p < 0x20)
      return FALSE; /* the end, too */
    if (**p != '\\')
      continue;
    (*p)++;
    if (**p == 'u') {
      for (guint i = 0; i < 4; i++)
        if (!g_ascii_isxdigit (*++*p))
          return FALSE;
    } else if (**p == '\0' || strchr ("\"\\/bfnrt", **p) == NULL) {
      return FALSE;
    }
  }
  (*p)++;
  return TRUE;
}

static gboolean
digits (const gchar **p)
{
  gsize n = strspn (*p, "0123456789");

  *p += n;
  return n > 0;
}

static gboolean
number (const gchar **p)
{
  if (**p == '-')
    (*p)++;
  if (**p == '0')
    (*p)++;
  else if (!digits (p))
    return FALSE;
  if (**p == '.') {
    (*p)++;
    if (!digits (p))
      return FALSE;
  }
  if (**p == 'e' || **p == 'E') {
    (*p)++;
    if (**p == '+' || **p == '-')
      (*p)++;
    return digits (p);
  }
  return TRUE;
}

/* The inside of an object (`keys`) or an array, and its end. */
static gboolean
members (const gchar **p, gboolean keys, gchar end, guint depth)
{
  (*p)++;
  space (p);
  if (**p == end) {
    (*p)++;
    return TRUE;
  }
  for (;;) {
    space (p);
    if (keys) {
      if (!string (p))
        return FALSE;
      space (p);
      if (*(*p)++ != ':')
        return FALSE;
    }
    if (!value (p, depth + 1))
      return FALSE;
    space (p);
    if (**p == end) {
      (*p)++;
      return TRUE;
    }
    if (*(*p)++ != ',')
      return FALSE;
  }
}

static gboolean
value (const gchar **p, guint depth)
{
  space (p);
  if (depth > MAX_DEPTH)
    return FALSE;
  switch (**p) {
    case '{':
      return members (p, TRUE, '}', depth);
    case '[':
      return members (p, FALSE, ']', depth);
    case '"':
      return string (p);
    case 't':
      return literal (p, "true");
    case 'f':
      return literal (p, "false");
    case 'n':
      return literal (p, "null");
    default:
      return number (p);
  }
}

gboolean
json_is_valid (const gchar *text)
{
  const gchar *p = text;

  if (!g_utf8_validate (text, -1, NULL) || !value (&p, 0))
    return FALSE;
  space (&p);
  return *p == '\0';
}

gchar *
json_value (const gchar *text, const gchar *key)
{
  g_autofree gchar *name = g_strdup_printf ("\"%s\": ", key);
  const gchar *begin = strstr (text, name), *end;
  g_autofree gchar *inside = NULL;

  if (begin == NULL)
    return NULL;
  begin += strlen (name);
  end = begin;
  if (!value (&end, 0))
    return NULL;
  if (*begin != '"')
    return g_strndup (begin, (gsize) (end - begin));
  inside = g_strndup (begin + 1, (gsize) (end - begin) - 2);
  return g_strcompress (inside);
}
