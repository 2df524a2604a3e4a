/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-stats.h"

void
helix_stats_set_times (GstStructure *stats, const gchar *stage,
    const struct helix_histogram *times)
{
  static const guint percents[] = {50, 95, 99};
  gchar name[64];

  for (guint i = 0; i < G_N_ELEMENTS (percents); i++) {
    g_snprintf (name, sizeof name, "%s-p%u", stage, percents[i]);
    gst_structure_set (stats, name, G_TYPE_UINT64,
        helix_histogram_percentile (times, percents[i]), NULL);
  }
  g_snprintf (name, sizeof name, "%s-max", stage);
  gst_structure_set (stats, name, G_TYPE_UINT64, times->max, NULL);
}
