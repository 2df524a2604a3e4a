/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found: a line each for people, an object each for scripts. A report
 * is a GPtrArray of findings; one thread makes it, another prints it later.
 */
#ifndef HELIX_REPORT_H
#define HELIX_REPORT_H

#include <stdio.h>

#include "helix-json.h"

G_BEGIN_DECLS

typedef enum {
  HELIX_VERDICT_OK,
  HELIX_VERDICT_NOTE, /* works, but not as it might be meant */
  HELIX_VERDICT_FAIL,
  HELIX_VERDICT_SKIP, /* not looked at, since something before it failed */
} HelixVerdict;

typedef struct {
  guint check; /* what was looked at; the caller's numbering */
  HelixVerdict verdict;
  gchar *text;        /* what is so, without a full stop */
  gchar *cause;       /* why, likewise, or NULL */
  gchar *remedy;      /* what to do, likewise, or NULL */
  JsonBuilder *facts; /* an object that was begun */
} HelixFinding;

/* A report without findings: g_ptr_array_unref () it. */
GPtrArray *helix_report_new (void);

/* In the format of a finding: its text [BECAUSE its cause] [REMEDY its
 * remedy]. They are control characters, which no text of a peer contains. */
#define BECAUSE "\036"
#define REMEDY "\037"

/* Adds a finding, which belongs to the report. */
HelixFinding *helix_report_add (GPtrArray *report, guint check,
    HelixVerdict verdict, const gchar *format, ...) G_GNUC_PRINTF (4, 5);
/* Whether there is a finding of that check. */
gboolean helix_report_knows (const GPtrArray *report, guint check);
/* By check; those of one check as they were added. */
void helix_report_sort (GPtrArray *report);
/* The first that failed, or NULL. */
const HelixFinding *helix_report_failure (const GPtrArray *report);

/* One line: verdict, `name` of the check, text, cause, remedy. */
void helix_finding_print (
    const HelixFinding *self, const gchar *name, FILE *out, gboolean colours);
/* Once only: it ends the object of facts. */
void helix_finding_json (
    const HelixFinding *self, const gchar *name, JsonBuilder *json);

/* Whether what goes to `out` may be coloured: it is a terminal that can, and
 * $NO_COLOR (https://no-color.org) is not set. */
gboolean helix_colours_wanted (FILE *out);

/* A copy without control characters and invalid UTF-8, for terminals. */
gchar *helix_printable (const gchar *text);

G_END_DECLS

#endif /* HELIX_REPORT_H */
