/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-discovery.h"

#include <errno.h>
#include <gst/gst.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-registry.h"
#include "helix-transport.h"

#define SOCKET_NAME "helix.sock"
#define CLIENT_NAME "helixqemusrc " HELIX_PACKAGE_VERSION ", looking for its VM"

/* ns that VMs have to say what they are in. One that is stopped does not; one
 * that runs does in well under a millisecond. */
#define ANSWER_NS (500 * GST_MSECOND)
/* Sockets that are listed, those of killed VMs included: as many as a registry
 * gives. */
#define SOCKETS_MAX 300
/* Reads at one go: a peer that never stops talking must not keep others from
 * being heard. */
#define READS_AT_ONCE 128

/* ---- the user that serves a socket ---- */

gboolean
helix_discovery_find_user (const gchar *user, uid_t *uid, GError **error)
{
  *uid = HELIX_SERVER_USER_NONE;
  if (user == NULL || *user == '\0' || helix_user_find (user, uid))
    return TRUE;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "server-user %s: there is no such user. Set it to the name or the number "
      "of the user that runs the VM.",
      user);
  return FALSE;
}

/* "user NAME (uid N, pid P)", as far as it is known. */
static gchar *
describe_user (uid_t uid, pid_t pid)
{
  g_autofree gchar *process =
      pid > 0 ? g_strdup_printf (", pid %ld", (glong) pid) : g_strdup ("");
  char name[HELIX_USER_NAME];

  if (!helix_user_name (uid, name))
    strcpy (name, "without a name");
  return g_strdup_printf ("user %s (uid %lu%s)", name, (gulong) uid, process);
}

gboolean
helix_discovery_trusts (
    int fd, const gchar *path, uid_t server_uid, pid_t *pid, GError **error)
{
  g_autofree gchar *server = NULL;
  uid_t uid;

  if (helix_peer_credentials (fd, &uid, pid) < 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
        "%s: the system does not tell which user serves there (%s). Is it a "
        "UNIX socket of this machine?",
        path, g_strerror (errno));
    return FALSE;
  }
  if (helix_user_is_trusted (uid) || uid == server_uid)
    return TRUE;
  server = describe_user (uid, *pid);
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
      "%s: served by %s, who is neither root nor this user (uid %lu), so "
      "nothing was said to it. If that user runs the VM on purpose, set "
      "server-user to %lu; else choose a path in a folder of your own.",
      path, server, (gulong) geteuid (), (gulong) uid);
  return FALSE;
}

/* ---- sockets ---- */

#define SET_PATH \
  "Set socket-path to the path given to QEMU as -device helix-export,path=..."
#define LET_IN \
  "Run this as the user that runs QEMU, or start QEMU with -device " \
  "helix-export,mode=0666,allow=USER and a path whose folders this user may " \
  "enter"

static const HelixFailure failures[] = {
    {ENOENT, "there is no socket",
        "Start QEMU with -device helix-export,path=... and this path, or set "
        "socket-path to where it listens"},
    {ECONNREFUSED, "no process listens, the QEMU that made it is gone",
        "Start QEMU with -device helix-export,path=... and this path"},
    {EAGAIN, "it takes no connection now, too many wait already",
        "Is its QEMU stopped? Continue it"},
    {EACCES, "not allowed to connect", LET_IN},
    {EPERM, "not allowed to connect", LET_IN},
    {ENOTSOCK, "it is no socket", SET_PATH},
    {ENOTDIR, "it cannot be a helix socket", SET_PATH},
    {ELOOP, "it cannot be a helix socket", SET_PATH},
    {EPROTOTYPE, "it cannot be a helix socket", SET_PATH},
    {0, "cannot connect", "Is the QEMU that made it in order?"},
};

const gchar *
helix_discovery_named (const gchar *wanted)
{
  if (wanted == NULL || *wanted == '\0')
    wanted = g_getenv ("HELIX_SOCKET");
  return wanted != NULL && *wanted != '\0' ? wanted : NULL;
}

int
helix_discovery_dial (
    const gchar *path, uid_t server_uid, pid_t *pid, GError **error)
{
  int fd = helix_transport_connect_path (path, path, failures, error);

  *pid = 0;
  if (fd >= 0 && !helix_discovery_trusts (fd, path, server_uid, pid, error))
    fd = helix_close (fd);
  return fd;
}

typedef struct {
  GPtrArray *vms;
  GString *looked;    /* at these places */
  const gchar *where; /* the directory of links that is read, for a person */
} List;

/* Adds the socket if there is one, and unless it was found before, by another
 * name. */
static void
add (List *list, const gchar *path, const gchar *where)
{
  HelixVm *vm;
  struct stat st;

  if (stat (path, &st) < 0 || list->vms->len >= SOCKETS_MAX)
    return;
  for (guint i = 0; i < list->vms->len; i++) {
    vm = g_ptr_array_index (list->vms, i);
    if (vm->device == st.st_dev && vm->inode == st.st_ino)
      return;
  }
  vm = helix_vm_new (path, where);
  vm->device = st.st_dev;
  vm->inode = st.st_ino;
  g_ptr_array_add (list->vms, vm);
}

static void
add_entry (void *opaque, const char *entry, const char *socket_path)
{
  List *list = opaque;

  add (list, socket_path, list->where);
}

static void
look_in_registry (List *list, const gchar *folder, const gchar *reason)
{
  g_autofree gchar *where = g_strdup_printf ("in %s (%s)", folder, reason);
  const char *why = NULL;

  list->where = where;
  if (!helix_registry_scan (folder, add_entry, list, &why))
    g_string_append_printf (list->looked, ", the registry of VMs, %s (%s; %s)",
        folder, why, reason);
  else
    g_string_append_printf (list->looked, ", %s (%s)", folder, reason);
}

static void
look_in_folder (List *list, const gchar *folder, const gchar *reason)
{
  g_autofree gchar *path = g_build_filename (folder, SOCKET_NAME, NULL);
  g_autofree gchar *where = g_strdup_printf ("in %s (%s)", folder, reason);

  g_string_append_printf (list->looked, ", %s", path);
  add (list, path, where);
}

/* UTM's sandbox lets its QEMU listen in a folder of macOS only, which is its
 * XDG_RUNTIME_DIR there. It is named after its group; UTM that is signed ad hoc
 * has no prefix. */
static void
look_in_utm (List *list)
{
  g_autofree gchar *parent =
      g_build_filename (g_get_home_dir (), "Library/Group Containers", NULL);
  g_autoptr (GDir) dir = g_dir_open (parent, 0, NULL);
  const gchar *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree gchar *folder = g_build_filename (parent, name, NULL);
    g_autofree gchar *registry = g_build_filename (folder, "gst-helix", NULL);

    if (!g_str_has_suffix (name, "com.utmapp.UTM"))
      continue;
    look_in_registry (list, registry, "UTM's folder");
    look_in_folder (list, folder, "UTM's folder");
  }
}

GPtrArray *
helix_discovery_list (gchar **looked)
{
  char folder[HELIX_REGISTRY_PATH];
  const gchar *runtime = g_getenv ("XDG_RUNTIME_DIR");
  const gchar *named = helix_discovery_named (NULL);
  g_autoptr (GString) places = g_string_new (
      named != NULL ? "$HELIX_SOCKET" : "$HELIX_SOCKET (not set)");
  List list = {.looked = places};
  const char *why = NULL;

  list.vms = g_ptr_array_new_with_free_func ((GDestroyNotify) helix_vm_free);
  if (named != NULL)
    add (&list, named, "named by HELIX_SOCKET");
  if (!helix_registry_folder (folder, &why)) {
    g_string_append_printf (list.looked, ", no registry of VMs (%s)", why);
  } else if (runtime == NULL || g_str_has_prefix (folder, runtime)) {
    look_in_registry (&list, folder, why);
  } else {
    g_autofree gchar *reason = g_strdup_printf ("%s: %s", why, runtime);

    look_in_registry (&list, folder, reason);
  }
  if (runtime != NULL && *runtime != '\0')
    look_in_folder (&list, runtime, "XDG_RUNTIME_DIR");
  else
    g_string_append (list.looked, ", $XDG_RUNTIME_DIR (not set)");
  look_in_utm (&list);
  if (looked != NULL)
    *looked = g_strdup (places->str);
  return list.vms;
}

/* ---- one VM ---- */

HelixVm *
helix_vm_new (const gchar *path, const gchar *where)
{
  HelixVm *self = g_new0 (HelixVm, 1);

  self->path = g_strdup (path);
  self->where = g_strdup (where);
  return self;
}

void
helix_vm_free (HelixVm *self)
{
  if (self->connection != NULL) {
    helix_connection_bye (self->connection, NULL);
    helix_connection_unref (self->connection);
  }
  g_free (self->path);
  g_free (self->where);
  g_free (self);
}

gboolean
helix_vm_connect (
    HelixVm *self, const gchar *name, uid_t server_uid, GError **error)
{
  const HelixConnectionConfig config = {.name = name};
  int fd = helix_discovery_dial (self->path, server_uid, &self->pid, error);

  if (fd >= 0)
    self->connection = helix_connection_new (fd, &config, helix_now_ns ());
  return fd >= 0;
}

static void
take_message (HelixVm *self)
{
  const struct helix_reader *reader = &self->connection->reader;
  const guint scanouts = self->connection->welcome.scanouts;
  struct helix_scanout scanout;
  const char *why;

  if (reader->header.type == HELIX_PONG || reader->header.type == HELIX_ERROR)
    return;
  if (reader->header.type != HELIX_SCANOUT) {
    helix_connection_unknown (self->connection);
    return;
  }
  if (!helix_unpack_scanout (
          &scanout, reader->payload, reader->payload_size, &why)) {
    helix_connection_violation (self->connection, why);
    return;
  }
  if (reader->header.channel != 0 || scanout.scanout >= scanouts)
    return;
  self->scanout[scanout.scanout] = scanout;
  self->known |= 1u << scanout.scanout;
  self->complete |= self->known == (1u << scanouts) - 1;
  self->news = TRUE;
}

static void
read_from (HelixVm *self)
{
  for (guint i = 0; i < READS_AT_ONCE; i++) {
    switch (helix_connection_read (self->connection)) {
      case HELIX_CONNECTION_IDLE:
        return;
      case HELIX_CONNECTION_MESSAGE:
        take_message (self);
        break;
      case HELIX_CONNECTION_LOST:
        /* It answers, but takes no more clients. */
        if (self->connection->loss == HELIX_LOSS_REFUSED)
          self->complete = self->news = TRUE;
        helix_connection_close (self->connection);
        return;
      case HELIX_CONNECTION_LIVE:
      case HELIX_CONNECTION_HEAD: /* its bulk is dropped */
      case HELIX_CONNECTION_MORE:
        break;
    }
  }
}

gboolean
helix_vm_poll (GPtrArray *vms, HelixWaiter *waiter, guint64 deadline)
{
  const guint n = vms->len + 1; /* fds[0] is the waiter's */
  g_autofree struct pollfd *fds = g_new0 (struct pollfd, n);

  for (guint i = 1; i < n; i++) /* -1 when the connection is over */
    helix_connection_pollfd (
        ((HelixVm *) g_ptr_array_index (vms, i - 1))->connection, &fds[i]);
  helix_waiter_wait (waiter, fds, n, deadline);
  for (guint i = 1; i < n; i++)
    if (fds[i].revents)
      read_from (g_ptr_array_index (vms, i - 1));
  return !fds[0].revents;
}

gboolean
helix_vm_ask (GPtrArray *vms, HelixWaiter *waiter)
{
  guint64 deadline = helix_now_ns () + ANSWER_NS;

  while (helix_now_ns () < deadline) {
    guint waiting = 0;

    for (guint i = 0; i < vms->len; i++) {
      const HelixVm *vm = g_ptr_array_index (vms, i);

      waiting += !vm->complete && vm->connection->loss == HELIX_LOSS_NONE;
    }
    if (waiting == 0)
      break;
    if (!helix_vm_poll (vms, waiter, deadline))
      return FALSE;
  }
  return TRUE;
}

gchar *
helix_vm_label (const gchar *name, const gchar *path)
{
  const gchar *open = strstr (name, " (");
  const gchar *close = g_strrstr (name, "),");
  gsize len = strcspn (name, ",");

  if (open != NULL && close != NULL && close > open + 2)
    return g_strndup (open + 2, (gsize) (close - open - 2));
  if (len > 0)
    return g_strndup (name, len);
  return g_path_get_basename (path);
}

/* ---- the one to connect to ---- */

void
helix_discovery_clear (HelixDiscovery *self)
{
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->found, g_free);
}

static void
name_all (GPtrArray *vms, const gchar *option, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < vms->len; i++) {
    const HelixVm *vm = g_ptr_array_index (vms, i);
    const gchar *name = vm->connection->name;

    g_string_append_printf (
        text, "%s%s", i > 0 ? "; " : "", *name ? name : "a VM");
    if (vm->pid != 0)
      g_string_append_printf (text, " (pid %ld)", (glong) vm->pid);
    g_string_append_printf (text, " at %s", vm->path);
  }
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%u VMs run here: %s. Set %s to the socket of one of them.", vms->len,
      text->str, option);
}

/* Removes those that cannot be reached. If that is all, *error is about the
 * first. None of it is final: another VM may come. */
static void
connect_all (GPtrArray *vms, uid_t server_uid, GError **error)
{
  g_autoptr (GError) first = NULL;

  for (guint i = 0; i < vms->len;)
    if (helix_vm_connect (g_ptr_array_index (vms, i), CLIENT_NAME, server_uid,
            first == NULL ? &first : NULL))
      i++;
    else
      g_ptr_array_remove_index (vms, i);
  if (vms->len == 0)
    g_propagate_error (error, g_steal_pointer (&first));
}

static gboolean
answers (const HelixVm *vm)
{
  return vm->connection->welcomed || vm->complete;
}

/* Removes those that do not answer, if there are others: a VM that is stopped
 * is one all the same, but not beside one that runs. FALSE: `waiter`
 * was woken. */
static gboolean
remove_silent (GPtrArray *vms, HelixWaiter *waiter)
{
  guint alive = 0;

  for (guint i = 0; i < vms->len; i++)
    helix_connection_hello (
        ((HelixVm *) g_ptr_array_index (vms, i))->connection, HELIX_ROLE_FRAMES,
        NULL);
  if (!helix_vm_ask (vms, waiter))
    return FALSE;
  for (guint i = 0; i < vms->len; i++)
    alive += answers (g_ptr_array_index (vms, i));
  for (guint i = vms->len; alive > 0 && i-- > 0;)
    if (!answers (g_ptr_array_index (vms, i)))
      g_ptr_array_remove_index (vms, i);
  return TRUE;
}

/* Sets self->path and self->found. */
static gboolean
search (HelixDiscovery *self, HelixWaiter *waiter, gchar **path,
    gboolean *final, GError **error)
{
  const gchar *option = self->option != NULL ? self->option : "socket-path";
  g_autofree gchar *looked = NULL;
  g_autoptr (GPtrArray) vms = helix_discovery_list (&looked);
  const guint n = vms->len;
  const HelixVm *vm;

  if (n == 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "No VM that exports its screen was found; looked at %s. Start QEMU "
        "with -device helix-export,path=helix.sock, or set %s to where it "
        "listens.",
        looked, option);
    return FALSE;
  }
  vm = g_ptr_array_index (vms, 0);
  *path = g_strdup (vm->path);
  if (n > 1)
    connect_all (vms, self->server_uid, error);
  if (vms->len == 0 || (vms->len > 1 && !remove_silent (vms, waiter)))
    return FALSE;
  if (vms->len > 1) {
    name_all (vms, option, error);
    *final = TRUE; /* only the user can say which */
    return FALSE;
  }
  vm = g_ptr_array_index (vms, 0);
  self->path = g_strdup (vm->path);
  self->found = n == 1
      ? g_strdup_printf ("it is the only one, %s", vm->where)
      : g_strdup_printf (
          "of %u it is the only one that answers, %s", n, vm->where);
  return TRUE;
}

int
helix_discovery_connect (HelixDiscovery *self, const gchar *wanted,
    HelixWaiter *waiter, gchar **path, gboolean *final, GError **error)
{
  const gchar *named = helix_discovery_named (wanted);
  gboolean again;
  int fd;

  *path = NULL;
  *final = FALSE;
  if (named != NULL) {
    helix_discovery_clear (self);
    *path = g_strdup (named);
    fd = helix_discovery_dial (named, self->server_uid, &self->pid, error);
    /* Other errors, such as those of a file system that is away, may pass. */
    *final = fd < 0
        && (g_error_matches (
                *error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS)
            || g_error_matches (
                *error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED));
    return fd;
  }
  again = self->path != NULL;
  if (!again && !search (self, waiter, path, final, error))
    return -1;
  g_free (*path);
  *path = g_strdup (self->path);
  fd = helix_discovery_dial (self->path, self->server_uid, &self->pid, error);
  if (fd < 0 && !again)
    helix_discovery_clear (self); /* another VM may come */
  if (fd >= 0 && again) {
    g_free (self->found);
    self->found = g_strdup ("it serves the socket of the VM before");
  }
  return fd;
}
