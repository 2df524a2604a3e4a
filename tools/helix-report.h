/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found, hop by hop: a line each for people, an object each for
 * scripts. Made by one thread, printed by another after it.
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
  guint hop; /* what was looked at; the owner's numbering */
  HelixVerdict verdict;
  gchar *text;   /* what is so, without a full stop */
  gchar *cause;  /* why, likewise, or NULL */
  gchar *remedy; /* what to do, likewise, or NULL */
  JsonBuilder *facts;
} HelixFinding;

typedef struct {
  GPtrArray *findings;
} HelixReport;

HelixReport *helix_report_new (void);
void helix_report_free (HelixReport *self);

/* A new finding; it belongs to the report. */
HelixFinding *helix_report_add (HelixReport *self, guint hop,
    HelixVerdict verdict, const gchar *format, ...) G_GNUC_PRINTF (4, 5);
void helix_finding_because (HelixFinding *self, const gchar *format, ...)
    G_GNUC_PRINTF (2, 3);
void helix_finding_remedy (HelixFinding *self, const gchar *format, ...)
    G_GNUC_PRINTF (2, 3);

/* Whether anything was found about that hop, or it was passed over. */
gboolean helix_report_knows (const HelixReport *self, guint hop);

/* Moves the findings of `other` to the end of this one. */
void helix_report_take (HelixReport *self, HelixReport *other);
/* In order of their hops; those of one hop as they were added. */
void helix_report_sort (HelixReport *self);
/* The first that failed, or NULL. */
const HelixFinding *helix_report_failure (const HelixReport *self);

/* One line: verdict, `name`, text, cause, remedy. */
void helix_finding_print (
    const HelixFinding *self, const gchar *name, FILE *out, gboolean colours);
void helix_finding_json (
    const HelixFinding *self, const gchar *name, JsonBuilder *json);

/* Whether what goes to `out` may be coloured: it is a terminal that can, and
 * $NO_COLOR (https://no-color.org) is not set. */
gboolean helix_colours_wanted (FILE *out);

/* A copy without control characters and invalid UTF-8, for terminals. */
gchar *helix_printable (const gchar *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixReport, helix_report_free)

G_END_DECLS

#endif /* HELIX_REPORT_H */
