/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What arrived, in figures: units a second, the gaps between them, their
 * age. Pure arithmetic on what it is told; times in ns.
 */
#ifndef HELIX_FIGURES_H
#define HELIX_FIGURES_H

#include "helix-histogram.h"
#include "helix-json.h"

G_BEGIN_DECLS

#define HELIX_FIGURES_GAPS 3

typedef struct {
  guint64 began, ended;
  guint64 units, bytes, keyframes;
  guint64 lost;              /* sequence numbers that were left out */
  GArray *per_second;        /* guint: units in each whole second */
  guint64 shortest, longest; /* between two units; NONE64, 0: less than two */
  guint gaps[HELIX_FIGURES_GAPS]; /* longer than 50, 100, 200 ms each */
  struct helix_histogram latency; /* capture -> receipt, where known */
  /* private */
  guint64 last, last_sequence;
} HelixFigures;

/* A stretch of time that begins now. */
HelixFigures *helix_figures_new (guint64 began);
void helix_figures_free (HelixFigures *self);

/* A unit came. `latency` HELIX_NONE64 = unknown. */
void helix_figures_unit (HelixFigures *self, guint64 arrived, gsize bytes,
    gboolean key, guint64 sequence, guint64 latency);
/* The stretch ends: what did not come until now is a gap, too. */
void helix_figures_end (HelixFigures *self, guint64 ended);

gdouble helix_figures_rate (const HelixFigures *self);    /* units a second */
gdouble helix_figures_bitrate (const HelixFigures *self); /* bit/s */

/* "excellent" from 95 % of the target on, "good" from 80 %, "fair" from 50 %,
 * else "poor". */
const gchar *helix_figures_grade (gdouble rate, gdouble target);

void helix_figures_print (const HelixFigures *self, gdouble target);
/* Members of an object. */
void helix_figures_json (
    const HelixFigures *self, gdouble target, JsonBuilder *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelixFigures, helix_figures_free)

G_END_DECLS

#endif /* HELIX_FIGURES_H */
