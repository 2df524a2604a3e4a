/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-report.h"

#include <string.h>
#include <unistd.h>

static void
finding_free (gpointer data)
{
  HelixFinding *self = data;

  g_free (self->text);
  g_free (self->cause);
  g_free (self->remedy);
  g_object_unref (self->facts);
  g_free (self);
}

GPtrArray *
helix_report_new (void)
{
  return g_ptr_array_new_with_free_func (finding_free);
}

/* Cuts `text` at `mark`. Returns a copy of what is behind it, or NULL. */
static gchar *
cut_off (gchar *text, const gchar *mark)
{
  gchar *found = strstr (text, mark);

  if (found == NULL)
    return NULL;
  *found = '\0';
  return g_strdup (found + strlen (mark));
}

HelixFinding *
helix_report_add (GPtrArray *report, guint check, HelixVerdict verdict,
    const gchar *format, ...)
{
  HelixFinding *finding = g_new0 (HelixFinding, 1);
  va_list args;

  va_start (args, format);
  finding->text = g_strdup_vprintf (format, args);
  va_end (args);
  finding->remedy = cut_off (finding->text, REMEDY);
  finding->cause = cut_off (finding->text, BECAUSE);
  finding->check = check;
  finding->verdict = verdict;
  finding->facts = json_builder_new ();
  helix_json_object (finding->facts, NULL);
  g_ptr_array_add (report, finding);
  return finding;
}

gboolean
helix_report_knows (const GPtrArray *report, guint check)
{
  for (guint i = 0; i < report->len; i++)
    if (((HelixFinding *) g_ptr_array_index (report, i))->check == check)
      return TRUE;
  return FALSE;
}

static gint
compare (gconstpointer a, gconstpointer b)
{
  const HelixFinding *x = *(const HelixFinding *const *) a;
  const HelixFinding *y = *(const HelixFinding *const *) b;

  return x->check < y->check ? -1 : x->check > y->check;
}

void
helix_report_sort (GPtrArray *report)
{
  /* A merge sort: equal ones keep their order. */
  g_ptr_array_sort (report, compare);
}

const HelixFinding *
helix_report_failure (const GPtrArray *report)
{
  for (guint i = 0; i < report->len; i++) {
    const HelixFinding *finding = g_ptr_array_index (report, i);

    if (finding->verdict == HELIX_VERDICT_FAIL)
      return finding;
  }
  return NULL;
}

static const struct {
  const gchar *word, *colour, *key;
} verdicts[] = {
    [HELIX_VERDICT_OK] = {"OK", "32", "ok"},
    [HELIX_VERDICT_NOTE] = {"NOTE", "33", "note"},
    [HELIX_VERDICT_FAIL] = {"FAIL", "1;31", "fail"},
    [HELIX_VERDICT_SKIP] = {"-", "2", "skip"},
};

void
helix_finding_print (
    const HelixFinding *self, const gchar *name, FILE *out, gboolean colours)
{
  g_autoptr (GString) line = g_string_new (self->text);
  g_autofree gchar *clean = NULL;

  if (self->cause != NULL)
    g_string_append_printf (line, ": %s", self->cause);
  if (self->cause != NULL || self->remedy != NULL)
    g_string_append_c (line, '.');
  if (self->remedy != NULL)
    g_string_append_printf (line, " %s.", self->remedy);
  clean = helix_printable (line->str);
  fprintf (out, "%s%s%s%-4s%s %-10s %s\n", colours ? "\033[" : "",
      colours ? verdicts[self->verdict].colour : "", colours ? "m" : "",
      verdicts[self->verdict].word, colours ? "\033[0m" : "", name, clean);
}

void
helix_finding_json (
    const HelixFinding *self, const gchar *name, JsonBuilder *json)
{
  helix_json_object (json, NULL);
  helix_json_text (json, "hop", name);
  helix_json_uint (json, "code", self->check);
  helix_json_text (json, "verdict", verdicts[self->verdict].key);
  helix_json_text (json, "text", self->text);
  helix_json_text (json, "cause", self->cause);
  helix_json_text (json, "remedy", self->remedy);
  json_builder_end_object (self->facts);
  json_builder_set_member_name (json, "facts");
  json_builder_add_value (json, json_builder_get_root (self->facts));
  json_builder_end_object (json);
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
