/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any order, any restart: a VM (helix-shim-sim), the host's pipeline and the
 * guest's, each a process, started in all orders, killed, stopped, and
 * brought back. The picture, read by its marker where the guest decodes it,
 * is back within a second, from an IDR on, and nothing old is shown.
 *
 *   test-restarts tcp|unix|serial
 */
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "helix-platform.h"
#include "serial-line.h"
#include "stream-fixture.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define RATE 30
/* The picture is back within a second of its end being back; what the machine
 * itself withheld meanwhile (see Idler) does not count. */
#define BACK_MS 1000
/* AddressSanitizer makes each program of the chain this much slower. */
#ifdef __SANITIZE_ADDRESS__
#define SLOWER 5
#else
#define SLOWER 1
#endif
#define PATIENCE_S 20
/* The first picture of a new session may be so many behind the VM's newest.
 * What piled up for an end that was away would be AWAY_MS behind at least. */
#define NEW_PICTURES 15
/* How long a guest is away, which the host does not report: long enough that
 * something piles up for it. */
#define AWAY_MS 1000
/* How long a guest is stopped, likewise: beyond the 3 s of silence after which
 * an end is taken for dead. */
#define STOPPED_MS 4000

typedef enum { VM, HOST, GUEST, ROLES } Role;

static const gchar *const role_names[] = {"VM", "host", "guest"};

typedef struct {
  guint64 when;
  gboolean torn, idr; /* of a picture, of a unit */
  guint32 number;
} Sight;

static const gchar *transport;
static gchar *socket_path, *host_address, *guest_address;
static SerialLine line;
static Child *children[ROLES];

static GMutex lock;
static GCond cond;
static GArray *pictures, *units; /* Sight */
static guint32 vm_pictures; /* that the VM has drawn, when it said so last */

/* ---- what the machine withholds ----
 *
 * A thread that wants to wake up every 5 ms and notes how late it does: so
 * late were all other threads, on a machine that others use. */

static gint idler_stop;
static guint64 idler_late; /* ns in sum, under `lock` */
static GThread *idler_thread;

static gpointer
idler_run (gpointer data)
{
  while (!g_atomic_int_get (&idler_stop)) {
    guint64 begin = helix_now_ns (), took;

    /* It measures time: that is its purpose. */
    g_usleep (5000);
    took = helix_now_ns () - begin;
    g_mutex_lock (&lock);
    idler_late += took > 6 * MS ? took - 6 * MS : 0;
    g_mutex_unlock (&lock);
  }
  return NULL;
}

static guint64
withheld (void)
{
  guint64 late;

  g_mutex_lock (&lock);
  late = idler_late;
  g_mutex_unlock (&lock);
  return late;
}

/* ---- the three ---- */

/* How the VM's line of counters begins. */
#define VM_PICTURES "{\"pictures\": "

static void
note_line (gpointer data, const gchar *text, guint64 now)
{
  Sight sight = {.when = now};

  g_mutex_lock (&lock);
  if (g_str_has_prefix (text, VM_PICTURES)) {
    vm_pictures =
        (guint32) g_ascii_strtoull (text + strlen (VM_PICTURES), NULL, 10);
  } else if (g_str_has_prefix (text, "unit ")) {
    sight.idr = g_str_has_prefix (text, "unit idr");
    g_array_append_val (units, sight);
  } else if (g_str_has_prefix (text, "picture ")) {
    sight.torn = g_str_has_prefix (text, "picture torn");
    sight.number = (guint32) g_ascii_strtoull (text + 8, NULL, 10);
    g_array_append_val (pictures, sight);
  }
  g_cond_broadcast (&cond);
  g_mutex_unlock (&lock);
}

static Child *
start_pipeline (gchar *text, ChildLine note)
{
  const gchar *words[] = {g_getenv ("PIPELINE_CHILD"), text, NULL};
  Child *child = child_new (words, note, NULL);

  g_free (text);
  return child;
}

/* Returns when it was there, ns. */
static guint64
start (Role role)
{
  fail_unless (children[role] == NULL);
  switch (role) {
    case VM: {
      g_autofree gchar *socket = g_strdup_printf ("--socket=%s", socket_path);
      const gchar *words[] = {g_getenv ("HELIX_SIM"), "--quiet", socket,
          "--size=640x192", "--rate=30", "--pattern=noise", "--json-stats=-",
          NULL};

      children[VM] = child_new (words, note_line, NULL);
      break;
    }
    case HOST:
      children[HOST] = start_pipeline (
          g_strdup_printf ("helixqemusrc socket-path=%s ! x264enc "
                           "tune=zerolatency speed-preset=ultrafast "
                           "bitrate=6000 ! helixguestsink %s",
              socket_path, host_address),
          NULL);
      break;
    default:
      children[GUEST] = start_pipeline (
          g_strdup_printf ("helixsrc name=units address=%s ! h264parse ! "
                           "avdec_h264 max-threads=1 ! videoconvert ! "
                           "video/x-raw,format=GRAY8 ! appsink name=pictures "
                           "sync=false",
              guest_address),
          note_line);
  }
  return child_expect (
      children[role], role == VM ? "listening" : "playing", PATIENCE_S);
}

static void
finish (Role role)
{
  if (children[role] != NULL)
    child_end (g_steal_pointer (&children[role]), SIGKILL);
}

/* Pictures that the VM has drawn; 0 if there is none. */
static guint32
count_drawn (void)
{
  guint32 drawn;
  guint before;

  if (children[VM] == NULL)
    return 0;
  before = child_count (children[VM], VM_PICTURES);
  child_signal (children[VM], SIGUSR1);
  child_expect_nth (children[VM], VM_PICTURES, before + 1, PATIENCE_S);
  g_mutex_lock (&lock);
  drawn = vm_pictures;
  g_mutex_unlock (&lock);
  return drawn;
}

static void
pause_ms (guint ms)
{
  /* It is the time for which an end is away. */
  g_usleep (ms * 1000);
}

/* The role that reports the outage of another; ROLES: none does. */
static const Role reporters[ROLES] = {HOST, GUEST, ROLES};

static guint
warnings_of (Role role)
{
  return role != ROLES ? child_count (children[role], "warning") : 0;
}

/* `role` is away, and has been for so long that the outage was reported behind
 * `before` warnings: by then the reporter tries again twice a second only. */
static void
await_outage (Role role, guint before, guint otherwise_ms)
{
  if (reporters[role] == ROLES)
    pause_ms (otherwise_ms);
  else
    child_expect_nth (
        children[reporters[role]], "warning", before + 1, PATIENCE_S);
}

/* ---- what the guest sees ---- */

static const Sight *
last_picture (void)
{
  return pictures->len > 0 ? &g_array_index (pictures, Sight, pictures->len - 1)
                           : NULL;
}

/* Waits for the first picture after `since`, with a number below `below`.
 * With the lock. */
static Sight
await_picture (const gchar *what, guint64 since, guint32 below)
{
  gint64 limit = g_get_monotonic_time () + PATIENCE_S * G_TIME_SPAN_SECOND;
  guint at = 0;

  for (;;) {
    for (; at < pictures->len; at++) {
      Sight sight = g_array_index (pictures, Sight, at);

      if (sight.when > since && !sight.torn && sight.number < below)
        return sight;
    }
    if (!g_cond_wait_until (&cond, &lock, limit)) {
      g_mutex_unlock (&lock);
      fail ("%s: no picture came. The host: %s", what,
          child_output (children[HOST]));
    }
  }
}

/* What came since is whole and in order, and keeps coming: half a second. */
static void
expect_clean (const gchar *what, const Sight *first)
{
  guint32 last = first->number;

  await_picture (what, first->when + 500 * MS, G_MAXUINT32);
  for (guint i = 0; i < pictures->len; i++) {
    const Sight *sight = &g_array_index (pictures, Sight, i);

    if (sight->when < first->when)
      continue;
    fail_if (sight->torn, "%s: a torn picture", what);
    fail_unless (sight->number >= last, "%s: picture %u came after %u", what,
        sight->number, last);
    last = sight->number;
  }
}

static void
expect_idr (const gchar *what, guint64 since)
{
  for (guint i = 0; i < units->len; i++) {
    const Sight *unit = &g_array_index (units, Sight, i);

    if (unit->when <= since)
      continue;
    fail_unless (unit->idr, "%s: the first unit is no IDR", what);
    return;
  }
  fail ("%s: no unit", what);
}

typedef struct {
  const gchar *what; /* for messages */
  guint32 drawn;     /* by the VM, before the end was started or continued */
  guint64 back;      /* when it was there, ns */
  guint64 fresh;     /* units from then on are of the new session */
  guint32 below;     /* only pictures of a new VM count */
  gboolean session;  /* the guest's session is a new one */
} Return;

static void
expect_return (const Return *wanted)
{
  guint64 lost = withheld (), ms;
  Sight first;

  g_mutex_lock (&lock);
  first = await_picture (wanted->what, wanted->back, wanted->below);
  lost = idler_late - lost;
  ms = (first.when - wanted->back) / MS;
  g_print ("# %s: %s: back after %u ms\n", transport, wanted->what, (guint) ms);
  if (wanted->session) {
    expect_idr (wanted->what, wanted->fresh);
    fail_unless (first.number + NEW_PICTURES >= wanted->drawn,
        "%s: picture %u is old: the VM had drawn %u", wanted->what,
        first.number, wanted->drawn);
  }
  expect_clean (wanted->what, &first);
  fail_unless (ms * MS <= SLOWER * BACK_MS * MS + lost, "%s: back after %u ms",
      wanted->what, (guint) ms);
  g_mutex_unlock (&lock);
}

/* ---- fixture ---- */

/* A port that is free, for an end that comes back to it: of ten that no process
 * near this one looks at, and below those that the kernel gives to sockets
 * without a chosen port (32768 on Linux, 49152 on macOS), so that no other test
 * takes it meanwhile. */
static guint
free_port (void)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  guint port = 16000 + (guint) getpid () % 1600 * 10;
  gint fd = socket (AF_INET, SOCK_STREAM, 0);

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  do {
    address.sin_port = htons ((guint16) ++port);
    fail_unless (port < 32768, "no port is free");
  } while (bind (fd, (struct sockaddr *) &address, sizeof address) != 0);
  close (fd);
  return port;
}

static void
setup (void)
{
  socket_path = g_build_filename (folder, "vm.sock", NULL);
  g_setenv ("XDG_RUNTIME_DIR", folder, TRUE);
  g_unsetenv ("HELIX_SOCKET");
  g_unsetenv ("HELIX_ADDRESS");
  if (strcmp (transport, "serial") == 0) {
    serial_line_start (&line, path, NULL);
    host_address = g_strdup_printf ("address=%s mode=connect", address);
    guest_address = g_strdup_printf ("serial:%s", line.name);
  } else if (strcmp (transport, "tcp") == 0) {
    guest_address = g_strdup_printf ("tcp:127.0.0.1:%u", free_port ());
    host_address = g_strdup_printf ("address=%s", guest_address);
  } else {
    host_address = g_strdup_printf ("address=%s", address);
    guest_address = g_strdup (address);
  }
  pictures = g_array_new (FALSE, FALSE, sizeof (Sight));
  units = g_array_new (FALSE, FALSE, sizeof (Sight));
  idler_late = 0;
  idler_stop = 0;
  idler_thread = g_thread_new ("idler", idler_run, NULL);
}

static void
teardown (void)
{
  for (Role role = VM; role < ROLES; role++)
    finish (role);
  g_atomic_int_set (&idler_stop, 1);
  g_thread_join (idler_thread);
  if (strcmp (transport, "serial") == 0)
    serial_line_stop (&line);
  g_array_unref (pictures);
  g_array_unref (units);
  g_free (host_address);
  g_free (guest_address);
  g_free (socket_path);
}

static const Role orders[][ROLES] = {
    {VM, HOST, GUEST},
    {VM, GUEST, HOST},
    {HOST, VM, GUEST},
    {HOST, GUEST, VM},
    {GUEST, VM, HOST},
    {GUEST, HOST, VM},
};

static void
start_one (Role role, Return *wanted)
{
  guint64 begun;

  wanted->drawn = count_drawn ();
  begun = helix_now_ns ();
  wanted->back = start (role);
  /* A new guest may have its first unit before it says that it plays. */
  wanted->fresh = role == GUEST ? begun : wanted->back;
}

static void
start_all (const Role *order)
{
  Return wanted = {.below = G_MAXUINT32, .session = TRUE};
  gchar *what = g_strdup_printf ("%s, %s, %s", role_names[order[0]],
      role_names[order[1]], role_names[order[2]]);

  for (guint i = 0; i < ROLES; i++) {
    for (Role role = VM; role < GUEST; role++)
      if (children[role] == NULL && children[reporters[role]] != NULL)
        await_outage (role, 0, 0);
    start_one (order[i], &wanted);
  }
  wanted.what = what;
  expect_return (&wanted);
  g_free (what);
}

GST_START_TEST (test_orders)
{
  start_all (orders[__i__]);
}
GST_END_TEST;

/* New pictures of a VM that began again are those that it can have drawn: its
 * numbers are lower for a while. */
static guint32
new_below (void)
{
  guint32 number;

  g_mutex_lock (&lock);
  number = last_picture ()->number;
  g_mutex_unlock (&lock);
  return number;
}

/* Pictures with higher numbers than a VM draws until it is seen again. */
static void
await_high_number (void)
{
  gint64 limit = g_get_monotonic_time () + PATIENCE_S * G_TIME_SPAN_SECOND;

  g_mutex_lock (&lock);
  while (last_picture ()->torn
      || last_picture ()->number < 2 * RATE * BACK_MS / 1000)
    fail_unless (g_cond_wait_until (&cond, &lock, limit), "no picture comes");
  g_mutex_unlock (&lock);
}

GST_START_TEST (test_kill)
{
  const Role role = (Role) __i__ % ROLES;
  Return wanted = {.below = G_MAXUINT32, .session = role != VM};
  gchar *what = g_strdup_printf ("%s killed", role_names[role]);
  guint warnings;

  wanted.what = what;
  start_all (orders[0]);
  for (guint i = 0; i < 2; i++) {
    if (role == VM)
      await_high_number ();
    warnings = warnings_of (reporters[role]);
    finish (role);
    if (role == VM)
      wanted.below = new_below ();
    await_outage (role, warnings, AWAY_MS);
    start_one (role, &wanted);
    expect_return (&wanted);
    if (role == VM)
      fail_unless_equals_int (warnings_of (HOST), warnings + 1);
  }
  g_free (what);
}
GST_END_TEST;

GST_START_TEST (test_stop)
{
  const Role role = (Role) __i__ % ROLES;
  Return wanted = {.below = G_MAXUINT32, .session = role != VM};
  gchar *what = g_strdup_printf ("%s stopped", role_names[role]);
  guint warnings;

  wanted.what = what;
  start_all (orders[0]);
  warnings = warnings_of (reporters[role]);
  child_signal (children[role], SIGSTOP);
  await_outage (role, warnings, STOPPED_MS);
  wanted.drawn = role != VM ? count_drawn () : 0;
  wanted.back = wanted.fresh = helix_now_ns ();
  child_signal (children[role], SIGCONT);
  expect_return (&wanted);
  /* Each outage is reported once. */
  if (reporters[role] != ROLES)
    fail_unless_equals_int (warnings_of (reporters[role]), warnings + 1);
  g_free (what);
}
GST_END_TEST;

/* A writer that is killed again and again leaves half a message behind now
 * and then, and a machine that is reset throws bytes away: the next session is
 * none the worse for it. */
GST_START_TEST (test_half_messages)
{
  const Role role = __i__ == 0 ? HOST : GUEST;
  Return wanted = {.below = G_MAXUINT32, .session = TRUE};
  gchar *what = g_strdup_printf ("%s killed in a row", role_names[role]);

  wanted.what = what;
  line.lossy = TRUE;
  start_all (orders[0]);
  for (guint i = 0; i < 5; i++) {
    pause_ms ((guint) g_random_int_range (0, 60));
    finish (role);
    start_one (role, &wanted);
    expect_return (&wanted);
  }
  g_free (what);
}
GST_END_TEST;

static Suite *
restarts_suite (void)
{
  TCase *tc;
  Suite *suite = stream_suite ("restarts", 120, &tc);
  gboolean all = strcmp (transport, "tcp") == 0;

  tcase_add_checked_fixture (tc, setup, teardown);
  /* The leg between VM and host is the same, whatever the other one is. */
  tcase_add_loop_test (tc, test_orders, 0, all ? G_N_ELEMENTS (orders) : 2);
  tcase_add_loop_test (tc, test_kill, all ? VM : HOST, ROLES);
  tcase_add_loop_test (tc, test_stop, all ? VM : HOST, ROLES);
  tcase_add_loop_test (tc, test_half_messages, 0, 2);
  return suite;
}

int
main (int argc, char **argv)
{
  gst_check_init (&argc, &argv);
  transport = argc > 1 ? argv[1] : "tcp";
  return gst_check_run_suite (restarts_suite (), "restarts", __FILE__);
}
