/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `helix` ($HELIX_TOOL) as a child of a test, and what there is for it to
 * look at: folders, ports, helix-shim-sim ($HELIX_SIM).
 */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

#include <glib.h>

/* Bounds of the manual, in seconds. Tests allow TOOL_BUSY times that, since the
 * machine does other things as well, and tool_scale () times that where they
 * run under a tool that slows them down. */
#define TOOL_HEALTHY_S 3
#define TOOL_DEAD_S 6
#define TOOL_BUSY 4

typedef struct {
  gint status; /* exit status; -1 = a signal ended it */
  gchar *out, *err;
  gdouble seconds;
} ToolRun;

/* Runs "helix ARGUMENTS" to its end. */
ToolRun *tool_run (const gchar *format, ...) G_GNUC_PRINTF (1, 2);
/* Another program in its place, with further variables (NULL-terminated
 * "NAME=value") and, if `nobody`, as that user. */
ToolRun *tool_run_as (const gchar *program, const gchar *const *environment,
    gboolean nobody, const gchar *arguments);
void tool_run_free (ToolRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ToolRun, tool_run_free)

/* What it printed as JSON: the first value of that name, wherever it is, as
 * text (a string without its quotes), or NULL. Fails where it is no JSON. */
gchar *tool_json (const ToolRun *run, const gchar *name);

/* The line of a check has this verdict and contains this text. */
void tool_expect (const ToolRun *run, const gchar *verdict, const gchar *check,
    const gchar *text);
/* It ended with that status, within so many seconds (scaled). */
void tool_expect_end (const ToolRun *run, gint status, gdouble seconds);
gdouble tool_scale (void);

/* A folder of the test's own, $XDG_RUNTIME_DIR from then on; an address for a
 * stream in it. Both are gone after tool_teardown (). */
extern gchar *tool_folder, *tool_socket, *tool_address;
void tool_setup (void);
void tool_teardown (void);

/* A copy in tool_folder, where another user can reach it. Free its path. */
gchar *tool_copy (const gchar *path, const gchar *name, gint mode);

/* The option for a token: "--token-file=" and a file in tool_folder. */
gchar *tool_token (const gchar *token);

/* A process to be looked at. It has its say on standard output ("listening
 * on …") before the call returns, if `ready`. */
typedef struct {
  GPid pid;
  gint out;
} ToolChild;
ToolChild *tool_child_new (const gchar *line, gboolean ready);
/* helix-shim-sim on `path`, with further options; its screens are on. */
ToolChild *tool_sim_new (const gchar *path, const gchar *options);
/* Returns when the screens of the VM at `path` are on: it listens before it
 * draws. `options` are for helix list. */
void tool_await_on (const gchar *path, const gchar *options);
/* Sends the signal, waits for the end. */
void tool_child_end (ToolChild *child, gint signal);

/* Runs helix until the line of `check` has `verdict`; fails after 20 s. What
 * the pieces under test need until they are all there varies. */
ToolRun *tool_await (
    const gchar *verdict, const gchar *check, const gchar *arguments);

#define TOOL_NO_PEER -1

/* What doctor says of a scene. @ in its options is the peer's address behind
 * "--address=", where the peer listens at a TCP port, and tool_socket
 * elsewhere. */
typedef struct {
  gint peer;           /* PeerKind or TOOL_NO_PEER */
  const gchar *doctor; /* options */
  gint status;         /* -1: any */
  const gchar *verdict, *check, *texts[3];
} ToolScene;
void tool_scene (const ToolScene *scene);
/* The same without a peer, of what the test has made: up to three texts. */
#define tool_doctor(options, status, verdict, check, ...) \
  tool_scene (&(const ToolScene){ \
      TOOL_NO_PEER, options, status, verdict, check, {__VA_ARGS__}})

#endif /* TOOL_RUN_H */
