/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mute-proxy.h"

#include <gio/gio.h>
#include <gst/check/gstcheck.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct _MuteProxy {
  GSocketListener *listener;
  GSocketClient *client;
  GCancellable *end;
  guint port, target;
  gint mutes; /* so far, atomic: connections made before one are mute */
  GThread *thread;
};

/* One direction of a connection. */
typedef struct {
  MuteProxy *proxy;
  GSocketConnection *from, *to;
  gint mutes; /* when it was made */
} Way;

static gboolean
is_mute (Way *way)
{
  return g_atomic_int_get (&way->proxy->mutes) != way->mutes;
}

static void
await_end (GCancellable *end)
{
  GPollFD fd;

  fail_unless (g_cancellable_make_pollfd (end, &fd));
  g_poll (&fd, 1, -1);
  g_cancellable_release_fd (end);
}

static gpointer
carry (gpointer data)
{
  Way *way = data;
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (way->from));
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (way->to));
  GCancellable *end = way->proxy->end;
  gchar bytes[16384];
  gssize n;

  while ((n = g_input_stream_read (in, bytes, sizeof bytes, end, NULL)) > 0
      && !is_mute (way)
      && g_output_stream_write_all (out, bytes, (gsize) n, NULL, end, NULL))
    continue;
  /* What is sent on then stays in the sockets, unread. */
  if (is_mute (way))
    await_end (end);
  else
    g_socket_shutdown (
        g_socket_connection_get_socket (way->to), TRUE, TRUE, NULL);
  g_object_unref (way->from);
  g_object_unref (way->to);
  g_free (way);
  return NULL;
}

static GThread *
begin_way (MuteProxy *proxy, GSocketConnection *from, GSocketConnection *to)
{
  Way *way = g_new (Way, 1);

  *way = (Way){proxy, g_object_ref (from), g_object_ref (to),
      g_atomic_int_get (&proxy->mutes)};
  return g_thread_new ("way", carry, way);
}

static gpointer
run (gpointer data)
{
  MuteProxy *proxy = data;
  g_autoptr (GPtrArray) ways = g_ptr_array_new ();
  GSocketConnection *in, *out;

  while (
      (in = g_socket_listener_accept (proxy->listener, NULL, proxy->end, NULL))
      != NULL) {
    out = g_socket_client_connect_to_host (
        proxy->client, "127.0.0.1", (guint16) proxy->target, proxy->end, NULL);
    if (out != NULL) {
      g_ptr_array_add (ways, begin_way (proxy, in, out));
      g_ptr_array_add (ways, begin_way (proxy, out, in));
      g_object_unref (out);
    }
    g_object_unref (in);
  }
  for (guint i = 0; i < ways->len; i++)
    g_thread_join (g_ptr_array_index (ways, i));
  return NULL;
}

/* A port that is free, for an end that comes back to it: another one in each
 * process, and below those that the kernel gives to sockets without a chosen
 * port (32768 on Linux, 49152 on macOS), so that no other test takes it
 * meanwhile. */
static guint
free_port (void)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  guint port = 16000 + (guint) getpid () % 16000;
  gint fd = socket (AF_INET, SOCK_STREAM, 0);

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  do {
    address.sin_port = htons ((guint16) ++port);
    fail_unless (port < 32768, "no port is free");
  } while (bind (fd, (struct sockaddr *) &address, sizeof address) != 0);
  close (fd);
  return port;
}

MuteProxy *
mute_proxy_new (void)
{
  MuteProxy *proxy = g_new0 (MuteProxy, 1);
  g_autoptr (GSocketAddress) any =
      g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) bound = NULL;

  proxy->listener = g_socket_listener_new ();
  proxy->client = g_socket_client_new ();
  proxy->end = g_cancellable_new ();
  fail_unless (g_socket_listener_add_address (proxy->listener, any,
      G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &bound, NULL));
  proxy->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound));
  proxy->target = free_port ();
  proxy->thread = g_thread_new ("proxy", run, proxy);
  return proxy;
}

void
mute_proxy_free (MuteProxy *proxy)
{
  g_cancellable_cancel (proxy->end);
  g_thread_join (proxy->thread);
  g_object_unref (proxy->listener);
  g_object_unref (proxy->client);
  g_object_unref (proxy->end);
  g_free (proxy);
}

guint
mute_proxy_port (MuteProxy *proxy)
{
  return proxy->port;
}

guint
mute_proxy_target (MuteProxy *proxy)
{
  return proxy->target;
}

void
mute_proxy_mute (MuteProxy *proxy)
{
  g_atomic_int_inc (&proxy->mutes);
}
