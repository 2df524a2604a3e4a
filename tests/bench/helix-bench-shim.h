/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim's own counters, while it runs: the sim writes them to a file when
 * it gets SIGUSR1, QEMU's helix-export tells them over QMP.
 */
#ifndef HELIX_BENCH_SHIM_H
#define HELIX_BENCH_SHIM_H

#include <glib.h>

G_BEGIN_DECLS

/* From helix-shim-sim --json-stats PATH: a JSON object. NULL with a sentence
 * on stderr when none came within two seconds. */
gchar *helix_bench_sim_stats (gint pid, const gchar *path);

/* From QEMU -qmp unix:PATH,server=on with -device helix-export,id=helix: its
 * property `stats` as a JSON object of numbers and texts. NULL likewise. */
gchar *helix_bench_qemu_stats (const gchar *path);

G_END_DECLS

#endif /* HELIX_BENCH_SHIM_H */
