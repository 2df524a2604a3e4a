/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim as a whole: made, listening, accepting, timers, stopped. Io thread,
 * but where helix-shim.h says otherwise.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-shim-client.h"
#include "helix-shim-memory.h"
#include "helix-shim-screen.h"

#define ACCEPTS_AT_ONCE 16
/* Out of descriptors: the waiting connection stays readable, so accepting
 * pauses instead of spinning. */
#define ACCEPT_PAUSE_NS 200000000u
/* How often that is worth a line. */
#define ACCEPT_TELL_NS 60000000000u
/* So long the QEMU that a VM comes from may keep the socket after the VM began
 * to run here, before that is told as a failure. It hears a moment later than
 * we do that the migration is complete. */
#define HANDOVER_NS 2000000000u

struct helix_shim *
helix_shim_new (const struct helix_shim_config *config,
    const struct helix_display_ops *display, void *display_opaque,
    const struct helix_loop_ops *loop, void *loop_opaque)
{
  struct helix_shim *shim = g_new0 (struct helix_shim, 1);

  shim->config = *config;
  shim->config.path = g_strdup (config->path);
  shim->config.name = g_strdup (config->name);
  shim->config.scanouts = CLAMP (config->scanouts, 1, HELIX_MAX_SCANOUTS);
  shim->config.slots = CLAMP (config->slots, 2, HELIX_MAX_SLOTS);
  shim->config.max_clients = MAX (config->max_clients, 1);
  if (!config->max_width || !config->max_height) {
    shim->config.max_width = HELIX_DEFAULT_MAX_WIDTH;
    shim->config.max_height = HELIX_DEFAULT_MAX_HEIGHT;
  }
  if (!config->max_memory)
    shim->config.max_memory = HELIX_DEFAULT_MAX_MEMORY;
  shim->too_large = g_strdup_printf (
      "the picture is larger than may be exported (max-size=%ux%u)",
      shim->config.max_width, shim->config.max_height);
  shim->display = *display;
  shim->display_opaque = display_opaque;
  shim->loop = *loop;
  shim->loop_opaque = loop_opaque;
  pthread_mutex_init (&shim->lock, NULL);
  pthread_mutex_init (&shim->log_lock, NULL);
  shim->fresh = g_ptr_array_new ();
  shim->subscriptions =
      g_ptr_array_new_with_free_func (helix_shim_subscription_free);
  shim->pending = g_ptr_array_new ();
  shim->clients = g_ptr_array_new ();
  shim->log_bucket =
      (struct helix_bucket){HELIX_SHIM_LOG_BURST, helix_now_ns ()};
  shim->listener = (struct helix_unix_listener) HELIX_UNIX_LISTENER_INIT;
  shim->accept_again_ns = HELIX_NONE64;
  shim->display_deadline_ns = HELIX_NONE64;
  return shim;
}

void
helix_shim_free (struct helix_shim *shim)
{
  if (!shim->stopped)
    helix_shim_io_stop (shim);
  g_ptr_array_free (shim->fresh, TRUE);
  g_ptr_array_free (shim->subscriptions, TRUE);
  g_ptr_array_free (shim->pending, TRUE);
  g_ptr_array_free (shim->clients, TRUE);
  helix_shim_screen_free_cursors (shim);
  helix_shim_memory_free_unused (shim);
  pthread_mutex_destroy (&shim->lock);
  pthread_mutex_destroy (&shim->log_lock);
  g_free ((char *) shim->config.path);
  g_free ((char *) shim->config.name);
  g_free (shim->too_large);
  g_free (shim);
}

/* ---- clients ---- */

static void
sweep (struct helix_shim *shim)
{
  for (guint i = shim->clients->len; i-- > 0;) {
    struct helix_shim_client *client = g_ptr_array_index (shim->clients, i);

    if (client->dead) {
      g_ptr_array_remove_index (shim->clients, i);
      helix_shim_client_free (client);
    }
  }
}

/* A client that left just now makes room for the one that comes. */
static void
sweep_gone (struct helix_shim *shim)
{
  for (guint i = 0; i < shim->clients->len; i++)
    helix_shim_client_turn (g_ptr_array_index (shim->clients, i));
  sweep (shim);
}

/* ---- listening ---- */

static void on_connection (void *opaque);

static void
watch_listener (struct helix_shim *shim, bool on)
{
  shim->loop.watch (shim->loop_opaque, shim->listener.fd,
      on ? on_connection : NULL, NULL, on ? shim : NULL);
}

static bool
is_allowed (const struct helix_shim *shim, uid_t uid)
{
  const struct helix_access *access = &shim->config.access;

  for (uint32_t i = 0; i < access->allowed; i++)
    if (access->allow[i] == uid)
      return true;
  return helix_user_is_trusted (uid);
}

/* Takes a connection over. One that is refused is a client, too, until its
 * ERROR has left. */
static void
adopt (struct helix_shim *shim, int fd)
{
  struct helix_shim_client *client;
  uid_t uid = 0;
  pid_t pid = 0;
  int error = helix_peer_credentials (fd, &uid, &pid) < 0 ? errno : 0;

  /* Not for a user who is refused in any case: it costs a system call for each
   * client. */
  if (!error && is_allowed (shim, uid)
      && shim->clients->len >= shim->config.max_clients)
    sweep_gone (shim);
  client = helix_shim_client_new (shim, fd, pid);
  g_ptr_array_add (shim->clients, client);
  helix_shim_count (shim, accepted, 1);
  if (error)
    helix_shim_client_error (client, 0, HELIX_ERROR_AUTH, 0,
        "the client's uid cannot be told: %s", strerror (error));
  else if (!is_allowed (shim, uid))
    helix_shim_client_error (client, 0, HELIX_ERROR_AUTH, 0,
        "uid %lu (pid %ld) may not watch a screen of uid %lu; run the client "
        "as that user, or add allow=%lu to the server's options",
        (unsigned long) uid, (long) pid, (unsigned long) geteuid (),
        (unsigned long) uid);
  else if (shim->clients->len > shim->config.max_clients)
    helix_shim_client_error (client, 0, HELIX_ERROR_BUSY, 0,
        "%u clients are connected, the limit (max-clients); close one, or "
        "raise it",
        shim->clients->len - 1);
  /* Its first run watches the socket. */
  helix_shim_wake_io (shim);
}

/* Linux says EMFILE before it looks whether there is a connection. */
static bool
is_pending (struct helix_shim *shim)
{
  struct pollfd p = {.fd = shim->listener.fd, .events = POLLIN};

  return poll (&p, 1, 0) > 0;
}

static void
pause_accepting (struct helix_shim *shim, int error)
{
  uint64_t now = helix_now_ns ();

  if (now >= shim->accept_told_ns) {
    shim->accept_told_ns = now + ACCEPT_TELL_NS;
    helix_shim_log (shim, HELIX_LOG_WARN,
        "cannot accept on '%s': %s. Trying again; close something or raise "
        "the limit of open files (ulimit -n)",
        shim->config.path, strerror (error));
  }
  shim->accept_again_ns = now + ACCEPT_PAUSE_NS;
  watch_listener (shim, false);
  helix_shim_wake_io (shim); /* for its timer */
}

static void
on_connection (void *opaque)
{
  struct helix_shim *shim = opaque;

  for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
    int fd = helix_accept (shim->listener.fd);

    if (fd >= 0) {
      adopt (shim, fd);
    } else {
      int error = errno;

      if (error != EAGAIN && error != EWOULDBLOCK && is_pending (shim))
        pause_accepting (shim, error);
      return;
    }
  }
}

/* The connection that the listener made to itself is no client. */
static void
skip_own_proof (struct helix_shim *shim)
{
  int fd = helix_accept (shim->listener.fd);
  uid_t uid = 0;
  pid_t pid = 0;

  if (fd < 0)
    return;
  if (helix_peer_credentials (fd, &uid, &pid) == 0 && pid != getpid ())
    adopt (shim, fd);
  else
    close (fd);
}

/* So that programs find it that are not told the path. */
static void
enter_registry (struct helix_shim *shim)
{
  const char *why = NULL;

  if (!helix_registry_add (shim->config.path, shim->entry, &why))
    helix_shim_log (shim, HELIX_LOG_INFO,
        "'%s' is not among the running VMs that programs find by themselves: "
        "%s. Name its path to them",
        shim->config.path, why);
}

static bool
take_place (struct helix_shim *shim, char **error)
{
  char why[HELIX_UNIX_WHY];

  *error = NULL;
  if (!helix_unix_listener_open (&shim->listener, shim->config.path,
          &shim->config.access.socket, why)) {
    int number = errno;

    *error = strdup (why);
    errno = number;
    return false;
  }
  if (shim->listener.replaced)
    helix_shim_log (shim, HELIX_LOG_WARN,
        "replaced the socket that a dead server had left at '%s'",
        shim->config.path);
  skip_own_proof (shim);
  watch_listener (shim, true);
  if (!shim->born_ns)
    shim->born_ns = helix_now_ns ();
  helix_shim_log (shim, HELIX_LOG_INFO, "listening on '%s'", shim->config.path);
  enter_registry (shim);
  return true;
}

bool
helix_shim_listen (struct helix_shim *shim, char **error)
{
  if (!take_place (shim, error))
    return false;
  __atomic_store_n (&shim->serve, true, __ATOMIC_RELEASE);
  return true;
}

bool
helix_shim_try (struct helix_shim *shim, bool taken_is_fine, char **error)
{
  struct helix_unix_listener listener;
  char why[HELIX_UNIX_WHY];

  *error = NULL;
  if (helix_unix_listener_open (
          &listener, shim->config.path, &shim->config.access.socket, why)) {
    helix_unix_listener_close (&listener);
    return true;
  }
  if (errno == EADDRINUSE && taken_is_fine)
    return true;
  *error = strdup (why);
  return false;
}

void
helix_shim_serve (struct helix_shim *shim, bool on)
{
  __atomic_store_n (&shim->serve, on, __ATOMIC_RELEASE);
  helix_shim_wake_io (shim);
}

/* Sends all clients away, and leaves the path to others. */
static void
leave (struct helix_shim *shim, const char *why)
{
  for (guint i = 0; i < shim->clients->len; i++) {
    struct helix_shim_client *client = g_ptr_array_index (shim->clients, i);

    helix_shim_client_dismiss (client, why);
  }
  sweep (shim);
  helix_shim_memory_free_unused (shim);
  if (shim->listener.fd >= 0 && shim->accept_again_ns == HELIX_NONE64)
    watch_listener (shim, false);
  shim->accept_again_ns = HELIX_NONE64;
  helix_registry_remove (shim->entry);
  helix_unix_listener_close (&shim->listener);
}

static void
listen_again (struct helix_shim *shim, uint64_t now)
{
  char *error = NULL;

  if (take_place (shim, &error)) {
    shim->listen_tell_ns = 0;
    helix_shim_log (shim, HELIX_LOG_NOTICE, "'%s' is served from here now",
        shim->config.path);
    return;
  }
  if (!shim->listen_tell_ns)
    shim->listen_tell_ns = now + HANDOVER_NS;
  shim->listen_again_ns = now + HELIX_LISTEN_AGAIN_NS;
  if (shim->listen_tell_ns != HELIX_NONE64
      && (errno != EADDRINUSE || now >= shim->listen_tell_ns)) {
    shim->listen_tell_ns = HELIX_NONE64;
    helix_shim_log (shim, HELIX_LOG_ERROR,
        "the VM runs, but its screen is NOT exported: %s. Trying again, until "
        "it works",
        error);
  }
  free (error);
}

/* Takes the socket, or lets it go, as helix_shim_serve () said. */
static void
keep_place (struct helix_shim *shim, uint64_t now)
{
  bool serve = __atomic_load_n (&shim->serve, __ATOMIC_ACQUIRE);

  if (serve && shim->listener.fd < 0 && now >= shim->listen_again_ns) {
    listen_again (shim, now);
  } else if (!serve) {
    shim->listen_again_ns = shim->listen_tell_ns = 0;
    if (shim->listener.fd < 0)
      return;
    leave (shim, "the VM runs elsewhere now");
    helix_shim_log (shim, HELIX_LOG_NOTICE,
        "'%s' is left to the process that the VM has migrated to",
        shim->config.path);
  }
}

/* ---- the io thread's turn ---- */

/* The nearest deadline there is. */
static uint64_t
next_deadline (struct helix_shim *shim)
{
  uint64_t deadline = shim->accept_again_ns;

  if (shim->listener.fd < 0 && __atomic_load_n (&shim->serve, __ATOMIC_ACQUIRE))
    deadline = MIN (deadline, shim->listen_again_ns);
  for (guint i = 0; i < shim->clients->len; i++) {
    struct helix_shim_client *client = g_ptr_array_index (shim->clients, i);

    deadline = MIN (deadline, helix_shim_client_deadline (client));
  }
  return deadline;
}

void
helix_shim_io_run (struct helix_shim *shim)
{
  uint64_t now = helix_now_ns ();

  if (shim->stopped)
    return;
  keep_place (shim, now);
  if (now >= shim->accept_again_ns) {
    shim->accept_again_ns = HELIX_NONE64;
    watch_listener (shim, true);
  }
  for (guint i = 0; i < shim->clients->len; i++)
    helix_shim_client_run (g_ptr_array_index (shim->clients, i), now);
  sweep (shim);
  helix_shim_memory_free_unused (shim);
  shim->loop.io_timer (shim->loop_opaque, next_deadline (shim));
}

void
helix_shim_io_stop (struct helix_shim *shim)
{
  if (shim->stopped)
    return;
  shim->stopped = true;
  leave (shim, "the server is closing down");
  shim->loop.io_timer (shim->loop_opaque, HELIX_NONE64);
}

/* ---- any thread ---- */

void
helix_shim_get_stats (struct helix_shim *shim, struct helix_shim_stats *stats)
{
  const uint64_t *from = (const uint64_t *) &shim->stats;
  uint64_t *to = (uint64_t *) stats;

  G_STATIC_ASSERT (sizeof *stats % sizeof *to == 0);
  for (size_t i = 0; i < sizeof *stats / sizeof *to; i++)
    to[i] = __atomic_load_n (&from[i], __ATOMIC_RELAXED);
}

static void
add_counter (GString *text, bool json, const char *name, uint64_t value)
{
  if (json)
    g_string_append_printf (
        text, "\"%s\": %" G_GUINT64_FORMAT ", ", name, value);
  else
    g_string_append_printf (text, "%s=%" G_GUINT64_FORMAT " ", name, value);
}

char *
helix_shim_stats_text (struct helix_shim *shim, bool json)
{
  struct helix_shim_stats st;
  const struct {
    const char *name;
    const uint64_t *value;
  } fields[] = {{"clients", &st.clients}, {"subscriptions", &st.subscriptions},
      {"accepted", &st.accepted}, {"refused", &st.refused}, {"lost", &st.lost},
      {"flushes", &st.flushes}, {"readbacks", &st.readbacks},
      {"readbacks_pending", &st.readbacks_pending},
      {"readback_bytes", &st.readback_bytes}, {"readback_ns", &st.readback_ns},
      {"readback_max_ns", &st.readback_max_ns}, {"copies", &st.copies},
      {"copy_bytes", &st.copy_bytes}, {"frames", &st.frames},
      {"no_credit", &st.no_credit}, {"paced", &st.paced},
      {"read_errors", &st.read_errors}, {"cursors", &st.cursors},
      {"shows", &st.shows}, {"set_scanouts", &st.set_scanouts},
      {"holds", &st.stalls.count}, {"hold_ns", &st.stalls.sum},
      {"hold_max_ns", &st.stalls.max}};
  GString *text = g_string_new (NULL);
  char *buckets;

  helix_shim_get_stats (shim, &st);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    add_counter (text, json, fields[i].name, *fields[i].value);
  add_counter (
      text, json, "hold_p50_ns", helix_histogram_percentile (&st.stalls, 50));
  add_counter (
      text, json, "hold_p99_ns", helix_histogram_percentile (&st.stalls, 99));
  buckets = helix_histogram_text (&st.stalls);
  g_string_append_printf (text,
      json ? "\"hold_buckets\": \"%s\"" : "hold_buckets=%s",
      buckets ? buckets : "");
  free (buckets);
  if (!json)
    g_strdelimit (text->str, "_", '-');
  return g_string_free (text, FALSE);
}
