/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-doctor.h"

#include <gst/gst.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-tool.h"

/* Of all the time that there is, what one answer may take: several checks in a
 * row may be late, but not all of them. */
#define ANSWER_PERCENT 30

/* What is not back so long after the time is over is reported as such: a look
 * at all of GStreamer's plugins for the first time can take long, and so can
 * a name server. */
#define GIVE_UP_NS (GST_SECOND / 2)

/* `says`: a walk that is not back in time hangs in something outside of this
 * program, on which its first check depends. */
static const struct {
  const HelixCheck *checks;
  HelixVerdict verdict;
  const gchar *says;
} kinds[] = {
    {helix_checks_elements, HELIX_VERDICT_NOTE,
        "GStreamer still looks at its plugins" BECAUSE
        "it does so once after something was installed" REMEDY
        "Run gst-inspect-1.0, which lets it finish, then this again"},
    {helix_checks_stream, HELIX_VERDICT_FAIL,
        "the address of the stream cannot be found out in time" BECAUSE
        "the name server does not answer" REMEDY
        "Give a number in place of the name"},
    {helix_checks_frames, HELIX_VERDICT_FAIL,
        "the VM's socket cannot be looked at in time" BECAUSE
        "the file system that it lies on hangs" REMEDY
        "Choose a path on a local file system"},
    {helix_checks_decode, HELIX_VERDICT_SKIP, NULL},
};
enum { STREAM = 1, WALKS = 3 };

/* ---- what is found ---- */

static const struct {
  const gchar *word, *colour, *key;
} verdicts[] = {
    [HELIX_VERDICT_OK] = {"OK", "32", "ok"},
    [HELIX_VERDICT_NOTE] = {"NOTE", "33", "note"},
    [HELIX_VERDICT_FAIL] = {"FAIL", "1;31", "fail"},
    [HELIX_VERDICT_SKIP] = {"-", "2", "skip"},
};

static void
finding_free (gpointer data)
{
  HelixFinding *self = data;

  g_free (self->text);
  g_object_unref (self->json);
  g_free (self);
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

gboolean
helix_walk_found (
    HelixWalk *walk, HelixVerdict verdict, const gchar *format, ...)
{
  HelixFinding *finding = g_new0 (HelixFinding, 1);
  g_autofree gchar *text = NULL;
  g_autofree gchar *cause = NULL;
  g_autofree gchar *remedy = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  remedy = cut_off (text, REMEDY);
  cause = cut_off (text, BECAUSE);
  finding->check = walk->check;
  finding->verdict = verdict;
  finding->text = g_strconcat (text, cause != NULL ? ": " : "",
      cause != NULL ? cause : "", cause != NULL || remedy != NULL ? "." : "",
      remedy != NULL ? " " : NULL, remedy, ".", NULL);
  finding->json = walk->facts = json_builder_new ();
  helix_json_object (walk->facts, NULL);
  helix_json_add (walk->facts, JSON_TEXT ("hop", walk->check->name),
      JSON_UINT ("code", walk->check->number),
      JSON_TEXT ("verdict", verdicts[verdict].key), JSON_TEXT ("text", text),
      JSON_TEXT ("cause", cause), JSON_TEXT ("remedy", remedy));
  helix_json_object (walk->facts, "facts");
  if (walk->report == NULL)
    walk->report = g_ptr_array_new_with_free_func (finding_free);
  g_ptr_array_add (walk->report, finding);
  return verdict != HELIX_VERDICT_FAIL;
}

void
helix_finding_print (const HelixFinding *self, FILE *out, gboolean colours)
{
  g_autofree gchar *clean = helix_printable (self->text);

  fprintf (out, "%s%s%s%-4s%s %-10s %s\n", colours ? "\033[" : "",
      colours ? verdicts[self->verdict].colour : "", colours ? "m" : "",
      verdicts[self->verdict].word, colours ? "\033[0m" : "", self->check->name,
      clean);
}

void
helix_finding_json (const HelixFinding *self, JsonBuilder *json)
{
  json_builder_end_object (self->json);
  json_builder_end_object (self->json);
  json_builder_add_value (json, json_builder_get_root (self->json));
}

/* ---- what the checks share ---- */

gboolean
helix_walk_unreachable (HelixWalk *walk, const gchar *where,
    const GError *error, const gchar *remedy)
{
  g_autofree gchar *message = g_strdup (error->message);
  g_autofree gchar *own = NULL;
  gchar *cause = message;

  if (g_str_has_prefix (cause, where)
      && g_str_has_prefix (cause + strlen (where), ": "))
    cause += strlen (where) + strlen (": ");
  own = cut_off (cause, ". ");
  if (own != NULL && g_str_has_suffix (own, "."))
    own[strlen (own) - 1] = '\0';
  if (remedy == NULL)
    remedy = own != NULL ? own : "";
  return helix_walk_fail (walk, "cannot connect to %s" BECAUSE "%s%s%s", where,
      cause, *remedy ? REMEDY : "", remedy);
}

guint64
helix_walk_soon (const HelixWalk *walk)
{
  return MIN (
      helix_now_ns () + walk->doctor->answer_ns, walk->doctor->deadline);
}

gboolean
helix_walk_ping (HelixWalk *walk)
{
  g_autoptr (GError) error = NULL;
  guint64 round_trip;

  if (!helix_probe_ping (
          walk->probe, helix_walk_soon (walk), &round_trip, &error))
    return helix_walk_unanswered (walk, "PONG", error);
  helix_walk_ok (walk, "PONG after %.1f ms", (gdouble) round_trip / 1e6);
  helix_json_add (walk->facts, JSON_MS ("round_trip_ms", round_trip));
  return TRUE;
}

gboolean
helix_walk_hello (HelixWalk *walk, enum helix_role role, const gchar *token)
{
  const HelixConnection *server = walk->probe->connection;
  g_autoptr (GError) error = NULL;

  if (!helix_probe_hello (
          walk->probe, role, token, helix_walk_soon (walk), &error))
    return helix_walk_unanswered (walk, "WELCOME", error);
  helix_walk_ok (walk, "%s, protocol version %u",
      *server->name ? server->name : "a nameless server",
      server->welcome.version);
  helix_json_add (walk->facts, JSON_TEXT ("name", server->name),
      JSON_UINT ("pid", (guint64) walk->server.pid),
      JSON_UINT ("version", server->welcome.version));
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

gboolean
helix_walk_unanswered (HelixWalk *walk, const gchar *what, const GError *error)
{
  const HelixProcess *server = &walk->server;
  guint32 code = walk->probe->connection->error.code;
  g_autofree gchar *whom = NULL;

  helix_process_look (&walk->server, server->pid);
  whom = walk->where == NULL
      ? g_strdup (server->words)
      : g_strconcat (walk->doctor->address,
          server->pid > 0 ? ", which is " : NULL, server->words, NULL);
  if (server->stopped)
    helix_walk_fail (walk,
        "no %s from %s" BECAUSE "that process is stopped (SIGSTOP)" REMEDY
        "Continue it (kill -CONT %ld)",
        what, whom, (long) server->pid);
  else
    helix_walk_fail (walk, "no %s from %s" BECAUSE "%s" REMEDY "%s", what, whom,
        error->message, walk->remedy (walk, error));
  helix_json_add (walk->facts, JSON_UINT ("pid", (guint64) server->pid),
      JSON_BOOL ("stopped", server->stopped),
      JSON_TEXT ("error", code != 0 ? helix_error_name (code) : NULL));
  return FALSE;
}

/* ---- the walks ---- */

/* Static, because a thread that hangs outlives helix_doctor's run (). */
static HelixWalk walks[WALKS];
static GAsyncQueue *back; /* walks that are done */

static void
walk_clear (HelixWalk *walk)
{
  g_clear_pointer (&walk->report, g_ptr_array_unref);
  g_clear_pointer (&walk->units, g_ptr_array_unref);
  helix_probe_free (walk->probe);
  g_clear_error (&walk->error);
  g_clear_pointer (&walk->vms, g_ptr_array_unref);
  g_clear_pointer (&walk->where, helix_address_free);
}

static void
run_checks (HelixWalk *walk, const HelixCheck *check)
{
  for (; check->name != NULL; check++) {
    if (!(check->roles & walk->doctor->role))
      continue;
    walk->check = check;
    if (!check->run (walk))
      break;
  }
}

static gpointer
run_walk (gpointer data)
{
  HelixWalk *walk = data;

  run_checks (walk, kinds[walk - walks].checks);
  g_async_queue_push (back, walk);
  return NULL;
}

/* Waits until all walks are back, or `until`. Returns how many are not. */
static guint
await_walks (guint missing, guint64 until)
{
  for (; missing > 0; missing--) {
    guint64 now = helix_now_ns ();
    HelixWalk *walk = g_async_queue_timeout_pop (
        back, now < until ? (until - now) / 1000 + 1 : 0);

    if (walk == NULL)
      break;
    walk->done = TRUE;
  }
  return missing;
}

static void
take_report (HelixWalk *report, HelixWalk *walk)
{
  if (walk->report != NULL)
    g_ptr_array_extend_and_steal (
        report->report, g_steal_pointer (&walk->report));
}

static const HelixFinding *
find_failure (const HelixWalk *report)
{
  for (guint i = 0; i < report->report->len; i++) {
    const HelixFinding *finding = g_ptr_array_index (report->report, i);

    if (finding->verdict == HELIX_VERDICT_FAIL)
      return finding;
  }
  return NULL;
}

/* Runs all walks. `report`: what they found, in no order. FALSE: one of them
 * hangs, its thread is still there. */
static gboolean
walk_all (const HelixDoctor *doctor, HelixWalk *report)
{
  HelixWalk *stream = &walks[STREAM];
  guint missing = WALKS;

  back = g_async_queue_new ();
  for (guint i = 0; i < WALKS; i++) {
    walks[i].doctor = doctor;
    walks[i].units =
        g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
    walks[i].thread = g_thread_new ("helix-walk", run_walk, &walks[i]);
  }
  missing = await_walks (missing, doctor->deadline);
  g_cancellable_cancel (doctor->cancel);
  missing = await_walks (missing, doctor->deadline + GIVE_UP_NS);
  for (guint i = 0; i < WALKS; i++)
    if (walks[i].done) {
      take_report (report, &walks[i]);
    } else {
      report->check = kinds[i].checks;
      helix_walk_found (report, kinds[i].verdict, "%s", kinds[i].says);
    }
  if (missing > 0)
    return FALSE;

  if (stream->units->len > 0 && find_failure (report) == NULL) {
    run_checks (stream, helix_checks_decode);
    take_report (report, stream);
  }
  for (guint i = 0; i < WALKS; i++) {
    g_thread_join (walks[i].thread);
    walk_clear (&walks[i]);
  }
  g_async_queue_unref (back);
  return TRUE;
}

static gint
by_number (gconstpointer a, gconstpointer b)
{
  const HelixFinding *x = *(const HelixFinding *const *) a;
  const HelixFinding *y = *(const HelixFinding *const *) b;

  return (gint) x->check->number - (gint) y->check->number;
}

static gboolean
knows (const HelixWalk *report, const HelixCheck *check)
{
  for (guint i = 0; i < report->report->len; i++) {
    const HelixFinding *f = g_ptr_array_index (report->report, i);

    if (f->check->number == check->number)
      return TRUE;
  }
  return FALSE;
}

/* Adds the checks that were not made, and sorts all by their numbers. */
static void
complete (HelixWalk *report, HelixRole role)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    for (report->check = kinds[i].checks; report->check->name != NULL;
         report->check++)
      if (report->check->roles & role && !knows (report, report->check))
        helix_walk_found (report, HELIX_VERDICT_SKIP, "not looked at");
  /* A merge sort: equal ones keep their order. */
  g_ptr_array_sort (report->report, by_number);
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

static void
print_text (const HelixWalk *report, HelixRole role, const gchar *why)
{
  gboolean colours = helix_colours_wanted (stdout);

  printf ("This is the %s: %s.\n", role == HELIX_HOST ? "host" : "guest", why);
  for (guint i = 0; i < report->report->len; i++)
    helix_finding_print (
        g_ptr_array_index (report->report, i), stdout, colours);
}

static void
print_json (const HelixWalk *report, HelixRole role, const gchar *why,
    guint status, guint64 took)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();

  helix_json_object (json, NULL);
  helix_json_add (json,
      JSON_TEXT ("side", role == HELIX_HOST ? "host" : "guest"),
      JSON_TEXT ("why", why), JSON_BOOL ("healthy", status == HELIX_EXIT_GOOD),
      JSON_UINT ("exit_code", status), JSON_MS ("took_ms", took));
  helix_json_array (json, "hops");
  for (guint i = 0; i < report->report->len; i++)
    helix_finding_json (g_ptr_array_index (report->report, i), json);
  json_builder_end_array (json);
  json_builder_end_object (json);
  helix_json_print (json);
}

static gint
diagnose (const HelixOptions *options)
{
  g_autofree gchar *why = NULL;
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  guint64 began = helix_now_ns (), all = (guint64) timeout * GST_SECOND;
  HelixDoctor doctor = {.role = is_host ? HELIX_HOST
          : is_guest                    ? HELIX_GUEST
                     : helix_role_detect (options->socket, "/", &why),
      .socket = options->socket,
      .token = options->token,
      .scanout = meant,
      .answer_ns = all / 100 * ANSWER_PERCENT,
      .deadline = began + all,
      .cancel = cancel};
  HelixWalk report = {.report = g_ptr_array_new_with_free_func (finding_free)};
  const HelixFinding *failure;
  gboolean whole;
  guint status;

  if (why == NULL)
    why = g_strdup ("as told");
  doctor.address = helix_role_address (doctor.role, options->address);
  whole = walk_all (&doctor, &report);
  complete (&report, doctor.role);
  failure = find_failure (&report);
  status = failure != NULL ? failure->check->number : HELIX_EXIT_GOOD;
  if (options->json)
    print_json (&report, doctor.role, why, status, helix_now_ns () - began);
  else
    print_text (&report, doctor.role, why);
  if (!whole) {
    /* A thread is still in a library's code, and uses what exit () would take
     * away. */
    fflush (NULL);
    _exit ((gint) status);
  }
  walk_clear (&report);
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
