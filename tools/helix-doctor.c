/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-doctor.h"

#include <unistd.h>

#include "helix-platform.h"
#include "helix-tool.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

/* Of all the time that there is, what one answer may take: several checks in a
 * row may be late, but not all of them. */
#define ANSWER_PERCENT 30

/* What is not back so long after the time is over is reported as such: a look
 * at all of GStreamer's plugins for the first time can take long, and so can
 * a name server. */
#define GIVE_UP_NS (NS_PER_S / 2)

typedef enum {
  WALK_ELEMENTS, /* over what GStreamer has */
  WALK_STREAM,   /* from the connection to helixguestsink to the guest */
  WALK_FRAMES,   /* from the VM to the host's pipeline */
  WALKS,
  WALK_STREAM_END = WALKS, /* WALK_STREAM goes on, when the others are back */
} WalkKind;

/* Causes come before their effects. The number of the first check that fails
 * is the exit status, so the numbers stay (tools/helix.1 lists them). */
static const struct {
  const gchar *name;
  guint number;
  guint roles;
  WalkKind walk;
  gboolean (*run) (HelixWalk *walk);
} checks[] = {
    {"vm", 10, HELIX_HOST, WALK_FRAMES, helix_check_vm},
    {"socket", 11, HELIX_HOST, WALK_FRAMES, helix_check_socket},
    {"listen", 12, HELIX_HOST, WALK_FRAMES, helix_check_listen},
    {"ping", 13, HELIX_HOST, WALK_FRAMES, helix_check_ping},
    {"shim", 14, HELIX_HOST, WALK_FRAMES, helix_check_shim},
    {"scanout", 15, HELIX_HOST, WALK_FRAMES, helix_check_scanout},
    {"frames", 16, HELIX_HOST, WALK_FRAMES, helix_check_frames},
    {"plugin", 17, HELIX_BOTH, WALK_ELEMENTS, helix_check_plugin},
    {"encoder", 18, HELIX_HOST, WALK_ELEMENTS, helix_check_encoder},
    {"pipeline", 19, HELIX_HOST, WALK_FRAMES, helix_check_pipeline},
    {"connect", 20, HELIX_BOTH, WALK_STREAM, helix_check_connect},
    {"answer", HELIX_CHECK_ANSWER, HELIX_BOTH, WALK_STREAM, helix_check_answer},
    {"stream", 22, HELIX_BOTH, WALK_STREAM, helix_check_stream},
    {"units", 23, HELIX_HOST, WALK_STREAM, helix_check_sent},
    {"units", 23, HELIX_GUEST, WALK_STREAM, helix_check_received},
    {"guest", 24, HELIX_HOST, WALK_STREAM, helix_check_guest},
    {"parse", 25, HELIX_GUEST, WALK_STREAM, helix_check_parse},
    {"decode", 26, HELIX_GUEST, WALK_STREAM_END, helix_check_decode},
};

/* A walk that is not back in time hangs in something outside of this program:
 * what is said of its first check. */
static const struct {
  guint number;
  HelixVerdict verdict;
  const gchar *says;
} hangs[WALKS] = {
    [WALK_ELEMENTS] = {17, HELIX_VERDICT_NOTE,
        "GStreamer still looks at its plugins" BECAUSE
        "it does so once after something was installed" REMEDY
        "Run gst-inspect-1.0, which lets it finish, then this again"},
    [WALK_STREAM] = {20, HELIX_VERDICT_FAIL,
        "the address of the stream cannot be found out in time" BECAUSE
        "the name server does not answer" REMEDY
        "Give a number in place of the name"},
    [WALK_FRAMES] = {10, HELIX_VERDICT_FAIL,
        "the VM's socket cannot be looked at in time" BECAUSE
        "the file system that it lies on hangs" REMEDY
        "Choose a path on a local file system"},
};

typedef struct {
  HelixWalk walk;
  WalkKind kind;
  GThread *thread;   /* NULL: this role has no such walk */
  GAsyncQueue *back; /* where it goes when it is done */
  gboolean done;     /* it was taken from there */
} WalkThread;

/* ---- what the checks share ---- */

HelixFinding *
helix_walk_found (
    HelixWalk *walk, HelixVerdict verdict, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  return helix_report_add (walk->report, walk->check, verdict, "%s", text);
}

guint64
helix_walk_soon (const HelixWalk *walk)
{
  return MIN (
      helix_now_ns () + walk->doctor->answer_ns, walk->doctor->deadline);
}

gboolean
helix_walk_ping (HelixWalk *walk, GError **error)
{
  guint64 round_trip;
  HelixFinding *f;

  if (!helix_probe_ping (
          walk->probe, helix_walk_soon (walk), &round_trip, error))
    return FALSE;
  f = helix_walk_found (
      walk, HELIX_VERDICT_OK, "PONG after %.1f ms", (gdouble) round_trip / 1e6);
  helix_json_ms (f->facts, "round_trip_ms", round_trip);
  return TRUE;
}

const gchar *
helix_walk_remedy (
    const HelixWalk *walk, const HelixRemedy *table, const GError *error)
{
  guint32 code = walk->probe->connection->error.code;

  while (table->loss != HELIX_LOSS_NONE
      && (table->loss != (HelixLoss) error->code
          || (table->code != 0 && table->code != code)))
    table++;
  return table->remedy;
}

HelixFinding *
helix_walk_unanswered (HelixWalk *walk, const gchar *what, const gchar *whom,
    const GError *error, const gchar *remedy)
{
  if (walk->server.stopped)
    return helix_walk_found (walk, HELIX_VERDICT_FAIL,
        "no %s from %s" BECAUSE "that process is stopped (SIGSTOP)" REMEDY
        "Continue it (kill -CONT %ld)",
        what, whom, (long) walk->server.pid);
  return helix_walk_found (walk, HELIX_VERDICT_FAIL,
      "no %s from %s" BECAUSE "%s" REMEDY "%s", what, whom, error->message,
      remedy);
}

/* ---- the walks ---- */

static void
walk_init (HelixWalk *walk, const HelixDoctor *doctor)
{
  walk->doctor = doctor;
  walk->report = helix_report_new ();
  walk->units = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
}

static void
walk_clear (HelixWalk *walk)
{
  g_ptr_array_unref (walk->report);
  g_ptr_array_unref (walk->units);
  helix_probe_free (walk->probe);
  helix_listing_clear (&walk->before);
  helix_listing_clear (&walk->now);
  g_clear_pointer (&walk->vms, helix_vms_free);
  g_clear_pointer (&walk->where, helix_address_free);
}

static void
run_checks (HelixWalk *walk, WalkKind kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (checks); i++) {
    if (checks[i].walk != kind || !(checks[i].roles & walk->doctor->role))
      continue;
    walk->check = checks[i].number;
    if (!checks[i].run (walk))
      break;
  }
}

static gpointer
run_walk (gpointer data)
{
  WalkThread *self = data;

  run_checks (&self->walk, self->kind);
  g_async_queue_push (self->back, self);
  return NULL;
}

/* Waits until all walks are back, or `until`. Returns how many are not. */
static guint
await_walks (GAsyncQueue *back, guint missing, guint64 until)
{
  for (; missing > 0; missing--) {
    guint64 now = helix_now_ns ();
    WalkThread *walk = g_async_queue_timeout_pop (
        back, now < until ? (until - now) / 1000 + 1 : 0);

    if (walk == NULL)
      break;
    walk->done = TRUE;
  }
  return missing;
}

/* Runs all walks. FALSE: one of them hangs, its thread is still there. */
static gboolean
walk_all (const HelixDoctor *doctor, GPtrArray *report)
{
  static WalkThread walks[WALKS];
  HelixWalk *stream = &walks[WALK_STREAM].walk;
  GAsyncQueue *back = g_async_queue_new ();
  guint missing = 0;

  for (guint i = 0; i < WALKS; i++) {
    if (i == WALK_FRAMES && doctor->role == HELIX_GUEST)
      continue;
    walk_init (&walks[i].walk, doctor);
    walks[i].kind = i;
    walks[i].back = back;
    walks[i].thread = g_thread_new ("helix-walk", run_walk, &walks[i]);
    missing++;
  }
  missing = await_walks (back, missing, doctor->deadline);
  g_cancellable_cancel (doctor->cancel);
  missing = await_walks (back, missing, doctor->deadline + GIVE_UP_NS);

  for (guint i = 0; i < WALKS; i++)
    if (walks[i].done)
      g_ptr_array_extend_and_steal (
          report, g_ptr_array_ref (walks[i].walk.report));
    else if (walks[i].thread != NULL)
      helix_report_add (
          report, hangs[i].number, hangs[i].verdict, "%s", hangs[i].says);
  if (missing > 0)
    return FALSE;

  if (stream->units->len > 0 && helix_report_failure (report) == NULL) {
    run_checks (stream, WALK_STREAM_END);
    g_ptr_array_extend_and_steal (report, g_ptr_array_ref (stream->report));
  }
  for (guint i = 0; i < WALKS; i++)
    if (walks[i].thread != NULL) {
      g_thread_join (walks[i].thread);
      walk_clear (&walks[i].walk);
    }
  g_async_queue_unref (back);
  return TRUE;
}

/* ---- the command ---- */

static gint meant = -1, timeout = 5;
static gboolean is_host, is_guest;

static const GOptionEntry entries[] = {
    {"scanout", 'n', 0, G_OPTION_ARG_INT, &meant,
        "The scanout that is meant (default: any that is on)", "N"},
    {"timeout", 0, 0, G_OPTION_ARG_INT, &timeout,
        "How long all of it may take, for slow machines (default 5)",
        "SECONDS"},
    {"host", 0, 0, G_OPTION_ARG_NONE, &is_host,
        "This is the host, whatever it looks like", NULL},
    {"guest", 0, 0, G_OPTION_ARG_NONE, &is_guest,
        "This is the guest, whatever it looks like", NULL},
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static const gchar *
name_of (const HelixFinding *finding)
{
  guint i = 0;

  while (checks[i].number != finding->check)
    i++;
  return checks[i].name;
}

static void
print_text (const GPtrArray *report, HelixRole role, const gchar *why)
{
  gboolean colours = helix_colours_wanted (stdout);

  printf ("This is the %s: %s.\n", role == HELIX_HOST ? "host" : "guest", why);
  for (guint i = 0; i < report->len; i++) {
    const HelixFinding *f = g_ptr_array_index (report, i);

    helix_finding_print (f, name_of (f), stdout, colours);
  }
}

static void
print_json (const GPtrArray *report, HelixRole role, const gchar *why,
    guint status, guint64 took)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();

  helix_json_object (json, NULL);
  helix_json_text (json, "side", role == HELIX_HOST ? "host" : "guest");
  helix_json_text (json, "why", why);
  helix_json_bool (json, "healthy", status == HELIX_EXIT_GOOD);
  helix_json_uint (json, "exit_code", status);
  helix_json_ms (json, "took_ms", took);
  helix_json_array (json, "hops");
  for (guint i = 0; i < report->len; i++) {
    const HelixFinding *f = g_ptr_array_index (report, i);

    helix_finding_json (f, name_of (f), json);
  }
  json_builder_end_array (json);
  json_builder_end_object (json);
  helix_json_print (json);
}

static gint
diagnose (const HelixOptions *options)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *address = NULL;
  g_autoptr (GPtrArray) report = helix_report_new ();
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  guint64 began = helix_now_ns (), all = (guint64) timeout * NS_PER_S;
  HelixDoctor doctor = {.role = is_host ? HELIX_HOST
          : is_guest                    ? HELIX_GUEST
                     : helix_vms_role (options->socket, "/", &why),
      .socket = options->socket,
      .token = options->token,
      .scanout = meant,
      .answer_ns = all / 100 * ANSWER_PERCENT,
      .deadline = began + all,
      .cancel = cancel};
  const HelixFinding *failure;
  gboolean whole;
  guint status;

  if (why == NULL)
    why = g_strdup ("as told");
  doctor.address = address = helix_role_address (doctor.role, options->address);
  whole = walk_all (&doctor, report);
  for (guint i = 0; i < G_N_ELEMENTS (checks); i++)
    if (checks[i].roles & doctor.role
        && !helix_report_knows (report, checks[i].number))
      helix_report_add (
          report, checks[i].number, HELIX_VERDICT_SKIP, "not looked at");
  helix_report_sort (report);
  failure = helix_report_failure (report);
  status = failure != NULL ? failure->check : HELIX_EXIT_GOOD;
  if (options->json)
    print_json (report, doctor.role, why, status, helix_now_ns () - began);
  else
    print_text (report, doctor.role, why);
  if (!whole) {
    /* A thread is still in a library's code, and uses what exit () would take
     * away. */
    fflush (NULL);
    _exit ((gint) status);
  }
  return (gint) status;
}

static gint
run (const HelixOptions *options, gint n, gchar **words)
{
  if (is_host && is_guest)
    return helix_tool_fail (HELIX_EXIT_USAGE, "--host or --guest, not both");
  if (is_guest && options->socket != NULL)
    return helix_tool_fail (
        HELIX_EXIT_USAGE, "a VM's socket is on the host only");
  if (meant < -1 || meant >= (gint) HELIX_MAX_SCANOUTS)
    return helix_tool_fail (HELIX_EXIT_USAGE, "scanouts go from 0 to 15");
  if (timeout < 1 || timeout > 600)
    return helix_tool_fail (HELIX_EXIT_USAGE, "--timeout goes from 1 to 600");
  return diagnose (options);
}

const HelixCommand helix_doctor = {
    .name = "doctor",
    .what = "walk every hop, name the first that fails and the remedy",
    .summary =
        "Walks every hop from the VM's screen to the guest: a line each, with "
        "what is\nwrong, why, and what to do. The exit status is the first "
        "failing hop's number\n(man helix has the list), 0 when all is well.",
    .common = HELIX_OPTION_SOCKET | HELIX_OPTION_STREAM | HELIX_OPTION_JSON,
    .entries = entries,
    .run = run,
};
