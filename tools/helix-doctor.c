/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-doctor.h"

#include <stdlib.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-tool.h"
#include "helix-vms.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

/* Of all the time that there is, what one answer may take: several hops in a
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

/* One of the walks that run at once. */
typedef struct {
  const HelixDoctor *doctor;
  HelixReport *report;
  HelixDoctorUnits *units;
  GThread *thread;
  gboolean done; /* under `lock` */
} Walk;

typedef enum { WALK_ELEMENTS, WALK_STREAM, WALK_FRAMES, WALKS } WalkKind;

static GMutex lock;
static GCond finished;

static const gchar *const hop_names[] = {
    [HELIX_CHECK_VM] = "vm",
    [HELIX_CHECK_SOCKET] = "socket",
    [HELIX_CHECK_LISTEN] = "listen",
    [HELIX_CHECK_PING] = "ping",
    [HELIX_CHECK_SHIM] = "shim",
    [HELIX_CHECK_SCANOUT] = "scanout",
    [HELIX_CHECK_FRAMES] = "frames",
    [HELIX_CHECK_PLUGIN] = "plugin",
    [HELIX_CHECK_ENCODER] = "encoder",
    [HELIX_CHECK_PIPELINE] = "pipeline",
    [HELIX_CHECK_CONNECT] = "connect",
    [HELIX_CHECK_ANSWER] = "answer",
    [HELIX_CHECK_STREAM] = "stream",
    [HELIX_CHECK_UNITS] = "units",
    [HELIX_CHECK_GUEST] = "guest",
    [HELIX_CHECK_PARSE] = "parse",
    [HELIX_CHECK_DECODE] = "decode",
};

const gchar *
helix_doctor_check_name (guint hop)
{
  return hop_names[hop];
}

guint64
helix_doctor_soon (const HelixDoctor *self)
{
  return MIN (helix_now_ns () + self->answer_ns, self->deadline);
}

/* Which hops there are on a side. */
static gboolean
is_hop_of (HelixRole side, guint hop)
{
  if (side == HELIX_HOST)
    return hop <= HELIX_CHECK_GUEST;
  return hop == HELIX_CHECK_PLUGIN || hop == HELIX_CHECK_PARSE
      || hop == HELIX_CHECK_DECODE
      || (hop >= HELIX_CHECK_CONNECT && hop <= HELIX_CHECK_UNITS);
}

/* ---- the walks ---- */

static void
done (Walk *walk)
{
  g_mutex_lock (&lock);
  walk->done = TRUE;
  g_cond_signal (&finished);
  g_mutex_unlock (&lock);
}

static gpointer
walk_elements (gpointer data)
{
  Walk *walk = data;

  helix_doctor_elements (walk->doctor, walk->report);
  done (walk);
  return NULL;
}

static gpointer
walk_frames (gpointer data)
{
  Walk *walk = data;

  helix_doctor_frames (walk->doctor, walk->report);
  done (walk);
  return NULL;
}

static gpointer
walk_stream (gpointer data)
{
  Walk *walk = data;

  if (walk->doctor->side == HELIX_GUEST)
    walk->units = helix_doctor_receive (walk->doctor, walk->report);
  else
    helix_doctor_stream (walk->doctor, walk->report);
  done (walk);
  return NULL;
}

/* Waits until every walk is done, or `until`. */
static void
wait_for (Walk *walks, guint64 until)
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

/* Something outside of this program's power hangs. */
static void
give_up (const Walk *walks, HelixReport *report)
{
  HelixFinding *f;

  if (!walks[WALK_ELEMENTS].done) {
    f = helix_report_add (report, HELIX_CHECK_PLUGIN, HELIX_VERDICT_NOTE,
        "GStreamer still looks at its plugins");
    helix_finding_because (f, "it does so once after something was installed");
    helix_finding_remedy (
        f, "Run gst-inspect-1.0, which lets it finish, then this again");
  }
  if (!walks[WALK_STREAM].done) {
    f = helix_report_add (report, HELIX_CHECK_CONNECT, HELIX_VERDICT_FAIL,
        "the address of the stream cannot be found out in time");
    helix_finding_because (f, "the name server does not answer");
    helix_finding_remedy (f, "Give a number in place of the name");
  }
  if (walks[WALK_FRAMES].thread != NULL && !walks[WALK_FRAMES].done) {
    f = helix_report_add (report, HELIX_CHECK_VM, HELIX_VERDICT_FAIL,
        "the VM's socket cannot be looked at in time");
    helix_finding_because (f, "the file system that it lies on hangs");
    helix_finding_remedy (f, "Choose a path on a local file system");
  }
}

/* Runs all walks. FALSE: one of them hangs, its thread is still there. */
static gboolean
walk_all (HelixDoctor *doctor, HelixReport *report)
{
  static Walk walks[WALKS];
  gboolean whole = TRUE;

  for (guint i = 0; i < WALKS; i++) {
    static const GThreadFunc functions[WALKS] = {
        walk_elements, walk_stream, walk_frames};

    if (i == WALK_FRAMES && doctor->side == HELIX_GUEST)
      continue;
    walks[i].doctor = doctor;
    walks[i].report = helix_report_new ();
    walks[i].thread = g_thread_new ("helix-walk", functions[i], &walks[i]);
  }
  wait_for (walks, doctor->deadline);
  g_cancellable_cancel (doctor->cancel);
  wait_for (walks, doctor->deadline + GIVE_UP_NS);

  g_mutex_lock (&lock);
  give_up (walks, report);
  for (guint i = 0; i < WALKS; i++)
    if (walks[i].thread != NULL && !walks[i].done)
      whole = FALSE;
    else if (walks[i].thread != NULL)
      helix_report_take (report, walks[i].report);
  g_mutex_unlock (&lock);
  if (!whole)
    return FALSE;

  for (guint i = 0; i < WALKS; i++)
    if (walks[i].thread != NULL) {
      g_thread_join (walks[i].thread);
      helix_report_free (walks[i].report);
    }
  if (walks[WALK_STREAM].units != NULL) {
    if (helix_report_failure (report) == NULL)
      helix_doctor_decode (
          walks[WALK_STREAM].units, report, doctor->deadline + GIVE_UP_NS);
    helix_doctor_units_free (walks[WALK_STREAM].units);
  }
  return TRUE;
}

/* ---- the command ---- */

static HelixRole
find_side (const Options *options, gchar **why)
{
  if (options->host || options->guest) {
    *why = g_strdup ("as told");
    return options->host ? HELIX_HOST : HELIX_GUEST;
  }
  return helix_vms_role (options->socket, "/", why);
}

static void
print_text (const HelixReport *report, HelixRole side, const gchar *why)
{
  gboolean colours = helix_colours_wanted (stdout);

  printf ("This is the %s: %s.\n", side == HELIX_HOST ? "host" : "guest", why);
  for (guint i = 0; i < report->findings->len; i++) {
    const HelixFinding *f = g_ptr_array_index (report->findings, i);

    helix_finding_print (f, hop_names[f->hop], stdout, colours);
  }
}

static void
print_json (const HelixReport *report, HelixRole side, const gchar *why,
    gint status, guint64 took)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();

  helix_json_object (json, NULL);
  helix_json_text (json, "side", side == HELIX_HOST ? "host" : "guest");
  helix_json_text (json, "why", why);
  helix_json_bool (json, "healthy", status == HELIX_EXIT_GOOD);
  helix_json_uint (json, "exit_code", status);
  helix_json_ms (json, "took_ms", took);
  helix_json_array (json, "hops");
  for (guint i = 0; i < report->findings->len; i++) {
    const HelixFinding *f = g_ptr_array_index (report->findings, i);

    helix_finding_json (f, hop_names[f->hop], json);
  }
  json_builder_end_array (json);
  json_builder_end_object (json);
  helix_json_print (json);
}

static gint
run (const Options *options)
{
  g_autofree gchar *why = NULL;
  g_autofree gchar *address = g_strdup (options->address);
  g_autoptr (HelixReport) report = helix_report_new ();
  g_autoptr (GCancellable) cancel = g_cancellable_new ();
  HelixRole side = find_side (options, &why);
  HelixDoctor doctor = {.side = side,
      .socket = options->socket,
      .token = options->token,
      .scanout = options->scanout,
      .cancel = cancel};
  guint64 began = helix_now_ns ();
  const HelixFinding *failure;
  gboolean whole;
  gint status;

  if (address == NULL)
    address = helix_role_address (side);
  doctor.address = address;
  doctor.deadline = began + (guint64) options->timeout * NS_PER_S;
  doctor.answer_ns =
      (guint64) options->timeout * NS_PER_S / 100 * ANSWER_PERCENT;
  whole = walk_all (&doctor, report);
  for (guint hop = HELIX_CHECK_VM; hop <= HELIX_CHECK_LAST; hop++)
    if (is_hop_of (side, hop) && !helix_report_knows (report, hop))
      helix_report_add (report, hop, HELIX_VERDICT_SKIP, "not looked at");
  helix_report_sort (report);
  failure = helix_report_failure (report);
  status = failure != NULL ? (gint) failure->hop : HELIX_EXIT_GOOD;
  if (options->json)
    print_json (report, side, why, status, helix_now_ns () - began);
  else
    print_text (report, side, why);
  if (!whole) {
    /* A thread is still in somebody else's code, and has what exit () would
     * take away. */
    fflush (NULL);
    _exit (status);
  }
  return status;
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
