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

typedef struct {
  gchar *socket, *address, *token_file, *token;
  gint scanout, timeout;
  gboolean host, guest, json;
} Options;

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
  GThread *thread;
  gboolean done; /* under `lock` */
} WalkThread;

static GMutex lock;
static GCond finished;

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
  g_mutex_lock (&lock);
  self->done = TRUE;
  g_cond_signal (&finished);
  g_mutex_unlock (&lock);
  return NULL;
}

/* Waits until every walk is done, or `until`. */
static void
wait_for (WalkThread *walks, guint64 until)
{
  g_mutex_lock (&lock);
  for (guint i = 0; i < WALKS; i++)
    while (walks[i].thread != NULL && !walks[i].done) {
      guint64 now = helix_now_ns ();

      if (now >= until)
        break;
      g_cond_wait_until (&finished, &lock,
          g_get_monotonic_time () + (gint64) ((until - now) / 1000 + 1));
    }
  g_mutex_unlock (&lock);
}

/* Runs all walks. FALSE: one of them hangs, its thread is still there. */
static gboolean
walk_all (const HelixDoctor *doctor, GPtrArray *report)
{
  static WalkThread walks[WALKS];
  HelixWalk *stream = &walks[WALK_STREAM].walk;
  gboolean whole = TRUE;

  for (guint i = 0; i < WALKS; i++) {
    if (i == WALK_FRAMES && doctor->role == HELIX_GUEST)
      continue;
    walk_init (&walks[i].walk, doctor);
    walks[i].kind = i;
    walks[i].thread = g_thread_new ("helix-walk", run_walk, &walks[i]);
  }
  wait_for (walks, doctor->deadline);
  g_cancellable_cancel (doctor->cancel);
  wait_for (walks, doctor->deadline + GIVE_UP_NS);

  g_mutex_lock (&lock);
  for (guint i = 0; i < WALKS; i++) {
    if (walks[i].thread == NULL)
      continue;
    if (walks[i].done) {
      g_ptr_array_extend_and_steal (
          report, g_ptr_array_ref (walks[i].walk.report));
    } else {
      whole = FALSE;
      helix_report_add (
          report, hangs[i].number, hangs[i].verdict, "%s", hangs[i].says);
    }
  }
  g_mutex_unlock (&lock);
  if (!whole)
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
  return TRUE;
}

/* ---- the command ---- */

static HelixRole
find_role (const Options *options, gchar **why)
{
  if (options->host || options->guest) {
    *why = g_strdup ("as told");
    return options->host ? HELIX_HOST : HELIX_GUEST;
  }
  return helix_vms_role (options->socket, "/", why);
}

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
run (const Options *options)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *address = NULL;
  g_autoptr (GPtrArray) report = helix_report_new ();
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  guint64 began = helix_now_ns (), all = (guint64) options->timeout * NS_PER_S;
  HelixDoctor doctor = {.role = find_role (options, &why),
      .socket = options->socket,
      .token = options->token,
      .scanout = options->scanout,
      .answer_ns = all / 100 * ANSWER_PERCENT,
      .deadline = began + all,
      .cancel = cancel};
  const HelixFinding *failure;
  gboolean whole;
  guint status;

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
    /* A thread is still in somebody else's code, and uses what exit () would
     * take away. */
    fflush (NULL);
    _exit ((gint) status);
  }
  return (gint) status;
}

gint
helix_doctor_main (gint argc, gchar **argv)
{
  Options options = {.scanout = -1, .timeout = 5};
  const GOptionEntry entries[] = {
      {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options.socket,
          "Socket of the VM's shim (default: the one VM that runs)", "PATH"},
      HELIX_VMS_SERVER_USER,
      {"address", 'a', 0, G_OPTION_ARG_STRING, &options.address,
          "Where helixguestsink serves (default $HELIX_ADDRESS, else that of "
          "the elements)",
          "ADDRESS"},
      HELIX_TOOL_TOKEN_FILE (&options.token_file),
      {"scanout", 'n', 0, G_OPTION_ARG_INT, &options.scanout,
          "The scanout that is meant (default: any that is on)", "N"},
      {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout,
          "How long all of it may take, for slow machines (default 5)",
          "SECONDS"},
      {"host", 0, 0, G_OPTION_ARG_NONE, &options.host,
          "This is the host, whatever it looks like", NULL},
      {"guest", 0, 0, G_OPTION_ARG_NONE, &options.guest,
          "This is the guest, whatever it looks like", NULL},
      {"json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
          "One JSON object in place of the lines", NULL},
      {NULL, 0, 0, 0, NULL, NULL, NULL},
  };
  gint status = HELIX_EXIT_USAGE;

  if (helix_tool_options ("doctor", NULL,
          "Walks every hop from the VM's screen to the guest: a line each, "
          "with what is\nwrong, why, and what to do. The exit status is the "
          "first failing hop's number\n(man helix has the list), 0 when all "
          "is well.",
          entries, 0, &argc, &argv)) {
    if (options.host && options.guest)
      helix_tool_complain ("doctor", "--host or --guest, not both");
    else if (options.guest && options.socket != NULL)
      helix_tool_complain ("doctor", "a VM's socket is on the host only");
    else if (options.scanout < -1
        || options.scanout >= (gint) HELIX_MAX_SCANOUTS)
      helix_tool_complain ("doctor", "scanouts go from 0 to 15");
    else if (options.timeout < 1 || options.timeout > 600)
      helix_tool_complain ("doctor", "--timeout goes from 1 to 600");
    else if (helix_tool_token ("doctor", options.token_file, &options.token))
      status = run (&options);
  }
  g_free (options.socket);
  g_free (options.address);
  g_free (options.token_file);
  g_free (options.token);
  return status;
}
