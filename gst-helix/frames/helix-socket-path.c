/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-socket-path.h"

#include <errno.h>
#include <gst/gst.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helix-platform.h"
#include "helix-server-user.h"
#include "helix-vm-peek.h"
#include "helix-vm-places.h"

/* ns that several sockets have to answer in. A VM that is stopped does not;
 * one that runs does in well under a millisecond. */
#define ANSWER_NS (500 * GST_MSECOND)
/* ns that a VM which was found is waited for before another may take its
 * place: as long as a restart of QEMU takes, and then some. */
#define RESTART_NS (10 * GST_SECOND)
/* VMs that an error names. */
#define NAMED_MAX 8

void
helix_socket_search_clear (HelixSocketSearch *search)
{
  g_clear_pointer (&search->path, g_free);
  g_clear_pointer (&search->found, g_free);
  search->lost_ns = 0;
}

const gchar *
helix_socket_path_named (const gchar *wanted)
{
  if (wanted == NULL || *wanted == '\0')
    wanted = g_getenv ("HELIX_SOCKET");
  return wanted != NULL && *wanted != '\0' ? wanted : NULL;
}

static const gchar *
describe (mode_t mode)
{
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a FIFO";
    default:
      return "a device";
  }
}

/* Puts connect's errno into words; TRUE when it is final. */
static gboolean
explain (int err, const gchar *path, const gchar *looked, GError **error)
{
  struct stat st;

  if (err == ENAMETOOLONG) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "The socket path %s is too long: %zu bytes, the system takes %zu. "
        "Use a shorter one, or a relative one from a nearer directory.",
        path, strlen (path), helix_sun_path_max () - 1);
    return TRUE;
  }
  /* connect () to a file of another kind says only "connection refused". */
  if (stat (path, &st) == 0 && !S_ISSOCK (st.st_mode)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s is %s, not a socket. Set socket-path to the path given to QEMU as "
        "-device helix-export,path=...",
        path, describe (st.st_mode));
    return TRUE;
  }
  switch (err) {
    case ENOENT:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "There is no socket at %s%s%s (%s). Start QEMU with -device "
          "helix-export,path=%s, or set socket-path to where it listens.",
          path, *looked ? "; looked at " : "", looked, g_strerror (err), path);
      return FALSE;
    case ECONNREFUSED:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
          "Nobody listens on %s (%s): the QEMU that made it is gone. Start "
          "QEMU with -device helix-export,path=%s.",
          path, g_strerror (err), path);
      return FALSE;
    case EAGAIN:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY,
          "%s takes no connection now, too many wait already (%s). Is its "
          "QEMU stopped? Continue it.",
          path, g_strerror (err));
      return FALSE;
    case EACCES:
    case EPERM:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED,
          "Not allowed to connect to %s (%s). Run this as the user that runs "
          "QEMU, or start QEMU with -device helix-export,mode=0666,allow=USER "
          "and a path whose folders this user may enter.",
          path, g_strerror (err));
      return TRUE;
    case ENOTDIR:
    case ELOOP:
    case EPROTOTYPE:
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
          "%s cannot be a helix socket (%s). Set socket-path to the path "
          "given to QEMU as -device helix-export,path=...",
          path, g_strerror (err));
      return TRUE;
    default:
      g_set_error (error, GST_RESOURCE_ERROR,
          GST_RESOURCE_ERROR_OPEN_READ_WRITE,
          "Cannot connect to %s (%s). Is the QEMU that made it in order?", path,
          g_strerror (err));
      return FALSE;
  }
}

static void
explain_no_socket (int err, const gchar *path, GError **error)
{
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
      "Cannot make a socket to connect to %s (%s). Raise the limit of open "
      "files (ulimit -n).",
      path, g_strerror (err));
}

static gboolean
out_of_descriptors (int err)
{
  return err == EMFILE || err == ENFILE;
}

/* A descriptor that is connected to a server that is trusted, or -1: then
 * *error, or, if that stays NULL, errno. */
static int
dial (const gchar *path, uid_t further, GError **error)
{
  int fd = helix_socket (AF_UNIX);
  int err;

  if (fd < 0)
    return -1;
  if ((helix_unix_connect (fd, path) == 0 || errno == EINPROGRESS)
      && helix_server_user_check (fd, path, further, error))
    return fd;
  err = errno;
  close (fd);
  errno = err;
  return -1;
}

int
helix_socket_path_dial (
    const gchar *path, uid_t further, gboolean *final, GError **error)
{
  GError *refusal = NULL;
  int fd = dial (path, further, &refusal);
  int err = errno;

  *final = refusal != NULL;
  if (refusal != NULL)
    g_propagate_error (error, refusal);
  else if (fd < 0 && out_of_descriptors (err))
    explain_no_socket (err, path, error);
  else if (fd < 0)
    *final = explain (err, path, "", error);
  return fd;
}

/* ---- the search ---- */

typedef struct {
  GString *looked;   /* at these places */
  GPtrArray *places; /* what was there: HelixVmPlace */
  int *fds;          /* of each place, -1 and ... */
  int *errors;       /* ... why, if it is not that ... */
  GError **refusals; /* ... the server is not trusted */
  guint connected;
} Search;

static void
search_begin (Search *search, uid_t further)
{
  search->looked = g_string_new ("$HELIX_SOCKET (not set)");
  search->places = helix_vm_places_list (search->looked);
  search->fds = g_new (int, search->places->len);
  search->errors = g_new0 (int, search->places->len);
  search->refusals = g_new0 (GError *, search->places->len);
  search->connected = 0;
  for (guint i = 0; i < search->places->len; i++) {
    const HelixVmPlace *place = g_ptr_array_index (search->places, i);

    search->fds[i] = dial (place->path, further, &search->refusals[i]);
    if (search->fds[i] < 0)
      search->errors[i] = errno;
    else
      search->connected++;
  }
}

static void
search_end (Search *search)
{
  for (guint i = 0; i < search->places->len; i++) {
    if (search->fds[i] >= 0)
      close (search->fds[i]);
    g_clear_error (&search->refusals[i]);
  }
  g_free (search->fds);
  g_free (search->errors);
  g_free (search->refusals);
  g_ptr_array_unref (search->places);
  g_string_free (search->looked, TRUE);
}

/* The connection to place `index` is the caller's now. */
static int
choose (Search *search, guint index, gchar **path)
{
  const HelixVmPlace *place = g_ptr_array_index (search->places, index);
  int fd = search->fds[index];

  *path = g_strdup (place->path);
  search->fds[index] = -1;
  return fd;
}

/* Puts why there is no connection to place `index` into words. */
static void
explain_place (const Search *search, guint index, GError **error)
{
  const HelixVmPlace *place = g_ptr_array_index (search->places, index);

  if (search->refusals[index] != NULL)
    g_propagate_error (error, g_error_copy (search->refusals[index]));
  else
    explain (search->errors[index], place->path, search->looked->str, error);
}

/* Nobody listens anywhere. A VM may still come: nothing of it is final. */
static int
none (Search *search, gchar **path, GError **error)
{
  for (guint i = 0; i < search->places->len; i++) {
    const HelixVmPlace *place = g_ptr_array_index (search->places, i);

    if (search->refusals[i] == NULL && out_of_descriptors (search->errors[i])) {
      explain_no_socket (search->errors[i], place->path, error);
      return -1;
    }
  }
  if (search->places->len > 0) {
    const HelixVmPlace *first = g_ptr_array_index (search->places, 0);

    *path = g_strdup (first->path);
    explain_place (search, 0, error);
    return -1;
  }
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "No VM that exports its screen was found; looked at %s. Start QEMU with "
      "-device helix-export,path=helix.sock, or set socket-path to where it "
      "listens.",
      search->looked->str);
  return -1;
}

static void
name_all (GPtrArray *vms, GError **error)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < MIN (vms->len, NAMED_MAX); i++) {
    gchar *one = helix_vm_peek_describe (g_ptr_array_index (vms, i));

    g_string_append_printf (text, "%s%s", i > 0 ? "; " : "", one);
    g_free (one);
  }
  if (vms->len > NAMED_MAX)
    g_string_append_printf (text, "; and %u more", vms->len - NAMED_MAX);
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "%u VMs run here: %s. Set socket-path to the socket of one of them.",
      vms->len, text->str);
  g_string_free (text, TRUE);
}

/* Several sockets take connections: which of them answer? */
static int
ask_all (Search *search, const HelixSocketSearch *memory, int interrupt,
    gchar **path, GError **error)
{
  GPtrArray *vms =
      g_ptr_array_new_with_free_func ((GDestroyNotify) helix_vm_peek_free);
  guint alive = 0;
  int fd = -1;

  for (guint i = 0; i < search->places->len; i++) {
    const HelixVmPlace *place = g_ptr_array_index (search->places, i);

    if (search->fds[i] < 0)
      continue;
    g_ptr_array_add (vms,
        helix_vm_peek_new (place->path, place->pid, search->fds[i],
            "helixqemusrc " HELIX_PACKAGE_VERSION ", looking for its VM"));
    search->fds[i] = -1;
  }
  if (!helix_vm_peek_wait (vms, helix_now_ns () + ANSWER_NS, interrupt))
    goto out;
  for (guint i = 0; i < vms->len; i++)
    alive += ((HelixVmPeek *) g_ptr_array_index (vms, i))->alive;
  /* One that is stopped is a VM all the same, but not beside one that runs. */
  for (guint i = vms->len; alive > 0 && i-- > 0;)
    if (!((HelixVmPeek *) g_ptr_array_index (vms, i))->alive)
      g_ptr_array_remove_index (vms, i);
  if (vms->len == 1) {
    const HelixVmPeek *vm = g_ptr_array_index (vms, 0);
    gboolean final;

    *path = g_strdup (vm->path);
    fd = helix_socket_path_dial (*path, memory->server_uid, &final, error);
  } else {
    name_all (vms, error);
  }
out:
  g_ptr_array_unref (vms);
  return fd;
}

/* Whether the VM that was found before is there; *index is its place, beyond
 * the last one if there is not even a file. */
static gboolean
find_again (const Search *search, const gchar *path, guint *index)
{
  for (*index = 0; *index < search->places->len; (*index)++) {
    const HelixVmPlace *place = g_ptr_array_index (search->places, *index);

    if (g_str_equal (place->path, path))
      return search->fds[*index] >= 0;
  }
  return FALSE;
}

/* Keeps in mind which VM was chosen, and why; `again` it was there before. */
static void
note_choice (HelixSocketSearch *memory, const Search *search, const gchar *path,
    int fd, gboolean again)
{
  guint n = search->places->len, index = 0;
  const HelixVmPlace *place;
  uid_t uid;

  while (index + 1 < n
      && !g_str_equal (path,
          ((HelixVmPlace *) g_ptr_array_index (search->places, index))->path))
    index++;
  place = g_ptr_array_index (search->places, index);
  memory->lost_ns = 0;
  memory->pid = place->pid;
  if (memory->pid == 0 && helix_peer_credentials (fd, &uid, &memory->pid) < 0)
    memory->pid = 0;
  if (g_strcmp0 (memory->path, path) != 0) {
    g_free (memory->path);
    memory->path = g_strdup (path);
  }
  g_free (memory->found);
  if (again)
    memory->found = g_strdup ("it serves the socket of the VM before");
  else if (n == 1)
    memory->found = g_strdup_printf ("it is the only one, %s", place->where);
  else
    memory->found = g_strdup_printf (
        "of %u it is the only one that answers, %s", n, place->where);
}

static int
connect_found (HelixSocketSearch *memory, int interrupt, gchar **path,
    gboolean *final, GError **error)
{
  guint64 now = helix_now_ns ();
  gboolean again;
  Search search;
  guint index;
  int fd = -1;

  search_begin (&search, memory->server_uid);
  if (memory->path != NULL && find_again (&search, memory->path, &index)) {
    fd = choose (&search, index, path);
  } else if (memory->path != NULL && memory->lost_ns == 0) {
    memory->lost_ns = now;
  }
  again = fd >= 0;
  if (again)
    goto out;
  if (memory->path != NULL && now - memory->lost_ns < RESTART_NS) {
    *path = g_strdup (memory->path);
    if (index < search.places->len)
      explain_place (&search, index, error);
    else
      explain (ENOENT, *path, search.looked->str, error);
  } else if (search.connected == 0) {
    fd = none (&search, path, error);
  } else if (search.connected == 1) {
    for (index = 0; search.fds[index] < 0; index++)
      ;
    fd = choose (&search, index, path);
  } else {
    fd = ask_all (&search, memory, interrupt, path, error);
    /* Only the user can say which. One that was shown may come back, though,
     * and then there is nothing to say. */
    *final = memory->path == NULL
        && g_error_matches (
            *error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  }
out:
  if (fd >= 0)
    note_choice (memory, &search, *path, fd, again);
  search_end (&search);
  return fd;
}

int
helix_socket_path_connect (const gchar *wanted, HelixSocketSearch *search,
    int interrupt, gchar **path, gboolean *final, GError **error)
{
  const gchar *named = helix_socket_path_named (wanted);

  *path = NULL;
  *final = FALSE;
  if (named == NULL)
    return connect_found (search, interrupt, path, final, error);
  g_clear_pointer (&search->found, g_free);
  *path = g_strdup (named);
  return helix_socket_path_dial (named, search->server_uid, final, error);
}
