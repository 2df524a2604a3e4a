/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gsthelixuri.h"

#include <string.h>

#include "helix-address.h"

#define FRAMES_PROTOCOL "helix+unix"

static const gchar *const frames_protocols[] = {FRAMES_PROTOCOL, NULL};
static const gchar *const stream_protocols[] = {
    "helix+tcp", "helix+vsock", "helix+serial", "helix+stream-unix", NULL};

/* What each of stream_protocols is as an address. */
static const struct {
  const gchar *protocol, *scheme;
  gboolean authority; /* //HOST:PORT, else a path */
} stream_kinds[] = {
    {"helix+tcp", "tcp:", TRUE},
    {"helix+vsock", "vsock:", TRUE},
    {"helix+serial", "serial:", FALSE},
    {"helix+stream-unix", "unix:", FALSE},
};

#define TOKEN "token"

/* Properties that a URI may name. One that the element does not have is as
 * unknown as any other. token-file is not among them: a URI that comes from
 * elsewhere must not choose a file whose HMAC is sent to its host. */
static const gchar *const frames_keys[] = {"scanout", "resource-id",
    "max-framerate", "keepalive-time", "show-cursor", "when-off",
    "auto-reconnect", "reconnect-timeout", "shared-memory", NULL};
static const gchar *const stream_keys[] = {"mode", TOKEN, "scanout",
    "resource-id", "bitrate", "max-framerate", "max-age", "auto-reconnect",
    "reconnect-timeout", NULL};

/* A URI, taken apart. */
typedef struct {
  const gchar *uri; /* for messages */
  gchar *protocol;
  gchar *location;      /* between protocol and query, as written */
  gchar *query;         /* as written, or NULL */
  GHashTable *settings; /* property name -> GValue */
} Parts;

static void
value_free (gpointer data)
{
  g_value_unset (data);
  g_free (data);
}

static void
parts_clear (Parts *parts)
{
  g_free (parts->protocol);
  g_free (parts->location);
  g_free (parts->query);
  g_clear_pointer (&parts->settings, g_hash_table_unref);
}

static gboolean complain (GError **error, const Parts *parts,
    const gchar *format, ...) G_GNUC_PRINTF (3, 4);

/* Returns FALSE, for those who parse. */
static gboolean
complain (GError **error, const Parts *parts, const gchar *format, ...)
{
  va_list args;
  gchar *text;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (
      error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI, "%s: %s.", parts->uri, text);
  g_free (text);
  return FALSE;
}

static gboolean
split (Parts *parts, const gchar *uri, GError **error)
{
  const gchar *location, *query;

  parts->uri = uri;
  parts->settings =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, value_free);
  parts->protocol = gst_uri_get_protocol (uri);
  if (parts->protocol == NULL)
    return complain (error, parts, "it does not begin with a protocol");
  if (strchr (uri, '#') != NULL)
    return complain (
        error, parts, "it has a '#'; one that belongs to a name is %%23");
  location = uri + strlen (parts->protocol) + 1;
  query = strchr (location, '?');
  if (query == NULL) {
    parts->location = g_strdup (location);
  } else {
    parts->location = g_strndup (location, (gsize) (query - location));
    parts->query = g_strdup (query + 1);
  }
  return TRUE;
}

static gchar *
decode (const Parts *parts, const gchar *text, GError **error)
{
  gchar *decoded = g_uri_unescape_string (text, NULL);

  if (decoded == NULL)
    complain (error, parts,
        "'%s' is not percent-encoded properly (two hexadecimal digits behind "
        "each %%, and no %%00)",
        text);
  return decoded;
}

/* ---- the query ---- */

static gboolean
add_setting (Parts *parts, GObjectClass *klass, const gchar *const *keys,
    const gchar *key, const gchar *text, GError **error)
{
  GParamSpec *pspec = g_strv_contains (keys, key)
      ? g_object_class_find_property (klass, key)
      : NULL;
  GValue *value;

  if (pspec == NULL) {
    gchar *known = g_strjoinv (", ", (gchar **) keys);

    complain (error, parts, "'%s' cannot be set by a URI; what can be is %s",
        key, known);
    g_free (known);
    return FALSE;
  }
  if (g_hash_table_contains (parts->settings, pspec->name))
    return complain (error, parts, "'%s' is there twice", key);
  value = g_new0 (GValue, 1);
  g_value_init (value, pspec->value_type);
  g_hash_table_insert (parts->settings, (gpointer) pspec->name, value);
  if (G_IS_PARAM_SPEC_STRING (pspec))
    g_value_set_string (value, text);
  else if (*text == '\0'
      || !gst_value_deserialize_with_pspec (value, text, pspec))
    return complain (error, parts, "'%s' is no value of %s (%s)", text, key,
        g_type_name (pspec->value_type));
  /* It changes what is out of range. */
  if (g_param_value_validate (pspec, value))
    return complain (error, parts, "'%s' is out of %s's range", text, key);
  return TRUE;
}

static gboolean
parse_query (
    Parts *parts, GObjectClass *klass, const gchar *const *keys, GError **error)
{
  gchar **pairs = g_strsplit (parts->query != NULL ? parts->query : "", "&", 0);
  gboolean ok = TRUE;

  for (guint i = 0; ok && pairs[i] != NULL; i++) {
    gchar *equals = strchr (pairs[i], '=');
    gchar *key, *text = NULL;

    if (*pairs[i] == '\0')
      continue;
    if (equals == NULL) {
      ok = complain (error, parts, "'%s' has no '=' and value", pairs[i]);
      break;
    }
    *equals = '\0';
    key = decode (parts, pairs[i], error);
    if (key != NULL)
      text = decode (parts, equals + 1, error);
    ok = text != NULL && add_setting (parts, klass, keys, key, text, error);
    g_free (key);
    g_free (text);
  }
  g_strfreev (pairs);
  return ok;
}

/* Sets what the URI names, and the others to their defaults, but for a token
 * that was set beside the URI. A URI's token takes the place of both. */
static void
apply_query (const Parts *parts, GObject *object, const gchar *const *keys)
{
  for (; *keys != NULL; keys++) {
    GParamSpec *pspec =
        g_object_class_find_property (G_OBJECT_GET_CLASS (object), *keys);
    const GValue *value;

    if (pspec == NULL)
      continue;
    value = g_hash_table_lookup (parts->settings, pspec->name);
    if (value == NULL && strcmp (*keys, TOKEN) != 0)
      value = g_param_spec_get_default_value (pspec);
    if (value != NULL)
      g_object_set_property (object, *keys, value);
    if (value != NULL && strcmp (*keys, TOKEN) == 0)
      g_object_set (object, "token-file", NULL, NULL);
  }
}

static void
append_query (GString *uri, GObject *object, const gchar *const *keys)
{
  gchar separator = '?';

  for (; *keys != NULL; keys++) {
    GParamSpec *pspec =
        g_object_class_find_property (G_OBJECT_GET_CLASS (object), *keys);
    GValue value = G_VALUE_INIT;
    gchar *text, *escaped;

    if (pspec == NULL || strcmp (*keys, TOKEN) == 0)
      continue;
    g_value_init (&value, pspec->value_type);
    g_object_get_property (object, *keys, &value);
    if (!g_param_value_defaults (pspec, &value)) {
      /* As it is: what parses a URI takes no quotes off. */
      text = G_IS_PARAM_SPEC_STRING (pspec) ? g_value_dup_string (&value)
                                            : gst_value_serialize (&value);
      escaped = g_uri_escape_string (text, "/", FALSE);
      g_string_append_printf (uri, "%c%s=%s", separator, *keys, escaped);
      separator = '&';
      g_free (escaped);
      g_free (text);
    }
    g_value_unset (&value);
  }
}

/* ---- paths and hosts ---- */

/* "PATH", or "///PATH": an empty host, as in file:///. */
static gchar *
parse_path (const Parts *parts, GError **error)
{
  const gchar *path = parts->location;

  if (g_str_has_prefix (path, "//")) {
    path += 2;
    if (*path != '/') {
      complain (error, parts,
          "behind '//' stands a host, and a file has none; write %s:/PATH or, "
          "relative to the working directory, %s:PATH",
          parts->protocol, parts->protocol);
      return NULL;
    }
  }
  return decode (parts, path, error);
}

static gchar *
parse_authority (const Parts *parts, GError **error)
{
  gchar *authority, *slash, *decoded;

  if (!g_str_has_prefix (parts->location, "//")) {
    complain (
        error, parts, "write %s://, then where to connect to", parts->protocol);
    return NULL;
  }
  authority = g_strdup (parts->location + 2);
  slash = strchr (authority, '/');
  if (slash != NULL && slash[1] != '\0') {
    complain (error, parts, "'%s' leads nowhere: remove it", slash);
    g_free (authority);
    return NULL;
  }
  if (slash != NULL)
    *slash = '\0';
  decoded = decode (parts, authority, error);
  g_free (authority);
  return decoded;
}

static void
append_path (GString *uri, const gchar *path)
{
  gchar *escaped =
      g_uri_escape_string (path, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE);

  /* Two slashes would begin a host: an empty one before them. */
  g_string_append_printf (
      uri, "%s%s", g_str_has_prefix (path, "//") ? "//" : "", escaped);
  g_free (escaped);
}

/* Whoever changes it while data flows would not see an effect. */
static gboolean
check_state (GstURIHandler *handler, const gchar *uri, GError **error)
{
  GstState state;

  GST_OBJECT_LOCK (handler);
  state = MAX (GST_STATE (handler), GST_STATE_NEXT (handler));
  GST_OBJECT_UNLOCK (handler);
  if (state <= GST_STATE_READY)
    return TRUE;
  g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_STATE,
      "%s: the URI can be changed up to READY, and %s is in %s. Set it to "
      "READY first.",
      uri, GST_OBJECT_NAME (handler), gst_element_state_get_name (state));
  return FALSE;
}

static GstURIType
get_type_source (GType type)
{
  return GST_URI_SRC;
}

/* ---- helixqemusrc ---- */

static const gchar *const *
get_frames_protocols (GType type)
{
  return frames_protocols;
}

static gchar *
get_frames_uri (GstURIHandler *handler)
{
  GString *uri = g_string_new (FRAMES_PROTOCOL ":");
  gchar *path;

  g_object_get (handler, "socket-path", &path, NULL);
  if (path != NULL)
    append_path (uri, path);
  append_query (uri, G_OBJECT (handler), frames_keys);
  g_free (path);
  return g_string_free (uri, FALSE);
}

static gboolean
set_frames_uri (GstURIHandler *handler, const gchar *uri, GError **error)
{
  Parts parts = {0};
  gchar *path = NULL;
  gboolean ok;

  ok = check_state (handler, uri, error) && split (&parts, uri, error)
      && parse_query (&parts, G_OBJECT_GET_CLASS (handler), frames_keys, error)
      && (path = parse_path (&parts, error)) != NULL;
  if (ok) {
    g_object_set (handler, "socket-path", *path != '\0' ? path : NULL, NULL);
    apply_query (&parts, G_OBJECT (handler), frames_keys);
  }
  g_free (path);
  parts_clear (&parts);
  return ok;
}

void
gst_helix_uri_init_frames (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  handler->get_type = get_type_source;
  handler->get_protocols = get_frames_protocols;
  handler->get_uri = get_frames_uri;
  handler->set_uri = set_frames_uri;
}

/* ---- helixsrc ---- */

static const gchar *const *
get_stream_protocols (GType type)
{
  return stream_protocols;
}

static gchar *
get_stream_uri (GstURIHandler *handler)
{
  GString *uri = g_string_new (NULL);
  gchar *address;

  g_object_get (handler, "address", &address, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (stream_kinds); i++) {
    const gchar *rest;

    if (!g_str_has_prefix (address, stream_kinds[i].scheme))
      continue;
    rest = address + strlen (stream_kinds[i].scheme);
    g_string_printf (uri, "%s:", stream_kinds[i].protocol);
    if (stream_kinds[i].authority)
      g_string_append_uri_escaped (
          g_string_append (uri, "//"), rest, "[]:", FALSE);
    else
      append_path (uri, rest);
  }
  g_free (address);
  if (uri->len == 0) /* an address that start () would refuse */
    return g_string_free (uri, TRUE);
  append_query (uri, G_OBJECT (handler), stream_keys);
  return g_string_free (uri, FALSE);
}

/* The address that a URI stands for, checked. */
static gchar *
parse_address (const Parts *parts, GError **error)
{
  GError *cause = NULL;
  HelixAddress *parsed;
  gchar *address = NULL, *rest;
  guint i = 0;

  while (g_ascii_strcasecmp (stream_kinds[i].protocol, parts->protocol) != 0)
    if (++i == G_N_ELEMENTS (stream_kinds)) {
      complain (error, parts, "helixsrc has no such protocol");
      return NULL;
    }
  rest = stream_kinds[i].authority ? parse_authority (parts, error)
                                   : parse_path (parts, error);
  if (rest == NULL)
    return NULL;
  address = g_strconcat (stream_kinds[i].scheme, rest, NULL);
  g_free (rest);
  parsed = helix_address_parse (address, &cause);
  if (parsed == NULL) {
    g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI, "%s: %s",
        parts->uri, cause->message);
    g_error_free (cause);
    g_clear_pointer (&address, g_free);
  }
  helix_address_free (parsed);
  return address;
}

static gboolean
set_stream_uri (GstURIHandler *handler, const gchar *uri, GError **error)
{
  Parts parts = {0};
  gchar *address = NULL;
  gboolean ok;

  ok = check_state (handler, uri, error) && split (&parts, uri, error)
      && parse_query (&parts, G_OBJECT_GET_CLASS (handler), stream_keys, error)
      && (address = parse_address (&parts, error)) != NULL;
  if (ok) {
    g_object_set (handler, "address", address, NULL);
    apply_query (&parts, G_OBJECT (handler), stream_keys);
  }
  g_free (address);
  parts_clear (&parts);
  return ok;
}

void
gst_helix_uri_init_stream (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  handler->get_type = get_type_source;
  handler->get_protocols = get_stream_protocols;
  handler->get_uri = get_stream_uri;
  handler->set_uri = set_stream_uri;
}
