/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shim as a whole: made, listening, accepting, ticking, stopped.
 */
#include "helix-shim-private.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-session.h"

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
  shim->path = g_strdup (config->path);
  shim->name = g_strdup (config->name);
  shim->config.path = shim->path;
  shim->config.name = shim->name;
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
  shim->subscriptions = g_ptr_array_new ();
  shim->sessions = g_ptr_array_new ();
  shim->pass = g_ptr_array_new ();
  shim->listener = (struct helix_unix_listener) HELIX_UNIX_LISTENER_INIT;
  shim->log_tokens = HELIX_LOG_BURST;
  shim->accept_again_ns = HELIX_NONE64;
  shim->deadline = HELIX_NONE64;
  return shim;
}

void
helix_shim_free (struct helix_shim *shim)
{
  if (!shim->stopped)
    helix_shim_io_stop (shim);
  g_ptr_array_free (shim->subscriptions, TRUE);
  g_ptr_array_free (shim->sessions, TRUE);
  g_ptr_array_free (shim->pass, TRUE);
  helix_cursor_free_all (shim);
  while (shim->dead) {
    struct helix_memory *next = shim->dead->next;

    helix_memory_free (shim->dead);
    shim->dead = next;
  }
  pthread_mutex_destroy (&shim->lock);
  g_free (shim->path);
  g_free (shim->name);
  g_free (shim->too_large);
  g_free (shim);
}

/* ---- for the other files ---- */

/* Whether this line may go; how many did not, before it. */
static bool
log_allowed (struct helix_shim *shim, uint32_t *dropped)
{
  uint64_t now = helix_now_ns (), earned;
  bool allowed;

  pthread_mutex_lock (&shim->lock);
  earned = (now - shim->log_time) / HELIX_LOG_EVERY_NS;
  if (earned > 0) {
    shim->log_tokens =
        (uint32_t) MIN (shim->log_tokens + earned, (uint64_t) HELIX_LOG_BURST);
    shim->log_time = now;
  }
  allowed = shim->log_tokens > 0;
  *dropped = shim->log_dropped;
  if (allowed) {
    shim->log_tokens--;
    shim->log_dropped = 0;
  } else {
    shim->log_dropped++;
  }
  pthread_mutex_unlock (&shim->lock);
  return allowed;
}

void
helix_shim_log (struct helix_shim *shim, enum helix_log_level level,
    const char *format, ...)
{
  char line[HELIX_LOG_LINE];
  uint32_t dropped;
  va_list args;

  if (!log_allowed (shim, &dropped))
    return;
  if (dropped) {
    snprintf (line, sizeof line, "%u lines like these were left out", dropped);
    shim->display.log (shim->display_opaque, HELIX_LOG_INFO, line);
  }
  va_start (args, format);
  vsnprintf (line, sizeof line, format, args);
  va_end (args);
  shim->display.log (shim->display_opaque, level, line);
}

void
helix_shim_drop_memory (struct helix_shim *shim, struct helix_memory *memory)
{
  if (!helix_memory_unref (memory))
    return;
  pthread_mutex_lock (&shim->lock);
  memory->next = shim->dead;
  shim->dead = memory;
  pthread_mutex_unlock (&shim->lock);
  shim->loop.wake_io (shim->loop_opaque);
}

static void
bury_memory (struct helix_shim *shim)
{
  struct helix_memory *dead;

  pthread_mutex_lock (&shim->lock);
  dead = shim->dead;
  shim->dead = NULL;
  pthread_mutex_unlock (&shim->lock);
  while (dead) {
    struct helix_memory *next = dead->next;

    helix_memory_free (dead);
    dead = next;
  }
}

/* ---- sessions ---- */

static void
sweep (struct helix_shim *shim)
{
  for (guint i = shim->sessions->len; i-- > 0;) {
    struct helix_session *session = g_ptr_array_index (shim->sessions, i);

    if (session->dead) {
      g_ptr_array_remove_index_fast (shim->sessions, i);
      helix_session_free (session);
    }
  }
}

/* A client that left just now makes room for the one that comes. */
static void
sweep_gone (struct helix_shim *shim)
{
  for (guint i = 0; i < shim->sessions->len; i++)
    helix_session_read (g_ptr_array_index (shim->sessions, i));
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

static void
refuse (struct helix_shim *shim, int fd, enum helix_error_code code,
    const char *text)
{
  uint8_t message[HELIX_MAX_MESSAGE];
  struct iovec iov = {message, 0};

  iov.iov_len = helix_pack_error (message, 0, code, 0, text);
  helix_count (shim, refused, 1);
  helix_shim_log (shim, HELIX_LOG_WARN, "a connection was refused: %s", text);
  /* Fresh and empty, its buffer takes the message whole; should it not, the
   * end says enough. */
  if (helix_send (fd, &iov, 1, -1) < 0)
    errno = 0;
  close (fd);
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

/* Takes a connection over, or refuses it. */
static void
adopt (struct helix_shim *shim, int fd)
{
  char text[HELIX_MAX_TEXT];
  uid_t uid = 0;
  pid_t pid = 0;

  helix_count (shim, accepted, 1);
  if (helix_peer_credentials (fd, &uid, &pid) < 0) {
    snprintf (text, sizeof text, "the client's uid cannot be told: %s",
        strerror (errno));
    refuse (shim, fd, HELIX_ERROR_AUTH, text);
    return;
  }
  if (!is_allowed (shim, uid)) {
    snprintf (text, sizeof text,
        "uid %lu (pid %ld) may not watch a screen of uid %lu; run the client "
        "as that user, or add allow=%lu to the server's options",
        (unsigned long) uid, (long) pid, (unsigned long) geteuid (),
        (unsigned long) uid);
    refuse (shim, fd, HELIX_ERROR_AUTH, text);
    return;
  }
  if (shim->sessions->len >= shim->config.max_clients)
    sweep_gone (shim);
  if (shim->sessions->len >= shim->config.max_clients) {
    snprintf (text, sizeof text,
        "%u clients are connected, the limit (max-clients); close one, or "
        "raise it",
        shim->sessions->len);
    refuse (shim, fd, HELIX_ERROR_BUSY, text);
    return;
  }
  g_ptr_array_add (shim->sessions, helix_session_new (shim, fd, uid, pid));
  /* Its first run watches the socket. */
  shim->loop.wake_io (shim->loop_opaque);
}

/* Linux says EMFILE before it looks whether anybody waits. */
static bool
somebody_waits (struct helix_shim *shim)
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
        shim->path, strerror (error));
  }
  shim->accept_again_ns = now + ACCEPT_PAUSE_NS;
  watch_listener (shim, false);
  helix_shim_schedule (shim);
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

      if (error != EAGAIN && error != EWOULDBLOCK && somebody_waits (shim))
        pause_accepting (shim, error);
      return;
    }
  }
}

/* The listener connected to itself: that one is no client. */
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

/* So that it can be found. Who is told the path needs none of this. */
static void
enter_registry (struct helix_shim *shim)
{
  const char *why = NULL;

  if (!helix_registry_add (shim->path, shim->entry, &why))
    helix_shim_log (shim, HELIX_LOG_INFO,
        "'%s' is not among the running VMs that programs find by themselves: "
        "%s. Name its path to them",
        shim->path, why);
}

static bool
take_place (struct helix_shim *shim, char **error)
{
  char why[HELIX_UNIX_WHY];

  *error = NULL;
  if (!helix_unix_listener_open (
          &shim->listener, shim->path, &shim->config.access.socket, why)) {
    int number = errno;

    *error = strdup (why);
    errno = number;
    return false;
  }
  if (shim->listener.replaced)
    helix_shim_log (shim, HELIX_LOG_WARN,
        "replaced the socket that a dead server had left at '%s'", shim->path);
  skip_own_proof (shim);
  watch_listener (shim, true);
  if (!shim->born_ns)
    shim->born_ns = helix_now_ns ();
  helix_shim_log (shim, HELIX_LOG_INFO, "listening on '%s'", shim->path);
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
          &listener, shim->path, &shim->config.access.socket, why)) {
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
  shim->loop.wake_io (shim->loop_opaque);
}

/* Sends all clients away, and leaves the path to others. */
static void
leave (struct helix_shim *shim, const char *why)
{
  for (guint i = 0; i < shim->sessions->len; i++) {
    struct helix_session *session = g_ptr_array_index (shim->sessions, i);

    helix_session_bye (session, why);
    helix_session_end (session, true);
    session->dead = true;
  }
  sweep (shim);
  bury_memory (shim);
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
    shim->listen_failed_ns = 0;
    shim->listen_told = false;
    helix_shim_log (
        shim, HELIX_LOG_NOTICE, "'%s' is served from here now", shim->path);
    return;
  }
  if (!shim->listen_failed_ns)
    shim->listen_failed_ns = now;
  shim->listen_again_ns = now + HELIX_LISTEN_AGAIN_NS;
  if (!shim->listen_told
      && (errno != EADDRINUSE || now >= shim->listen_failed_ns + HANDOVER_NS)) {
    shim->listen_told = true;
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
    shim->listen_again_ns = shim->listen_failed_ns = 0;
    shim->listen_told = false;
    if (shim->listener.fd < 0)
      return;
    leave (shim, "the VM runs elsewhere now");
    helix_shim_log (shim, HELIX_LOG_NOTICE,
        "'%s' is left to the process that the VM has migrated to", shim->path);
  }
}

/* ---- the io thread's turn ---- */

void
helix_shim_schedule (struct helix_shim *shim)
{
  uint64_t deadline = shim->accept_again_ns;

  if (shim->listener.fd < 0 && __atomic_load_n (&shim->serve, __ATOMIC_ACQUIRE))
    deadline = MIN (deadline, shim->listen_again_ns);
  for (guint i = 0; i < shim->sessions->len; i++)
    deadline = MIN (deadline,
        helix_session_deadline (g_ptr_array_index (shim->sessions, i)));
  shim->loop.io_timer (shim->loop_opaque, deadline);
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
  for (guint i = 0; i < shim->sessions->len; i++)
    helix_session_run (g_ptr_array_index (shim->sessions, i), now);
  sweep (shim);
  bury_memory (shim);
  helix_shim_schedule (shim);
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

bool
helix_shim_idle (struct helix_shim *shim)
{
  return __atomic_load_n (&shim->watched, __ATOMIC_RELAXED) == 0;
}
