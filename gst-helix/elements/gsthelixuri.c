/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GstUri does not parse the query: it keeps one of two equal keys without an
 * error, takes a bad percent code for an empty value, and writes keys in no
 * fixed order.
 */
#include "gsthelixuri.h"

#include <string.h>

#include "helix-address.h"

#define TOKEN "token"
#define MAX_KEYS 9

/* A protocol and the value that it stands for: `scheme`, then the location. */
typedef struct {
  const gchar *protocol, *scheme;
  gboolean authority; /* //HOST:PORT, else a path */
} Kind;

/* The URIs of one element. */
typedef struct {
  const gchar *where; /* property that the location goes to */
  const Kind *kinds;  /* ended by one without a protocol */
  /* Properties that a query may set, as far as the element has them. token-file
   * is not among them: a URI from elsewhere must not choose a file whose HMAC
   * is sent to its host. */
  const gchar *const keys[MAX_KEYS + 1];
} Form;

static const gchar *const frames_protocols[] = {"helix+unix", NULL};
static const gchar *const stream_protocols[] = {
    "helix+tcp", "helix+vsock", "helix+serial", "helix+stream-unix", NULL};

static const Kind frames_kinds[] = {
    {"helix+unix", "", FALSE},
    {NULL, NULL, FALSE},
};
static const Kind stream_kinds[] = {
    {"helix+tcp", "tcp:", TRUE},
    {"helix+vsock", "vsock:", TRUE},
    {"helix+serial", "serial:", FALSE},
    {"helix+stream-unix", "unix:", FALSE},
    {NULL, NULL, FALSE},
};

static const Form frames = {"socket-path", frames_kinds,
    {"scanout", "resource-id", "max-framerate", "keepalive-time", "show-cursor",
        "when-off", "auto-reconnect", "reconnect-timeout", NULL}};
static const Form stream = {"address", stream_kinds,
    {"mode", TOKEN, "scanout", "resource-id", "bitrate", "max-framerate",
        "max-age", "auto-reconnect", "reconnect-timeout", NULL}};

static const Form *
form_of (gpointer handler)
{
  return g_object_class_find_property (
             G_OBJECT_GET_CLASS (handler), frames.where)
          != NULL
      ? &frames
      : &stream;
}

static gboolean complain (GError **error, const gchar *uri, const gchar *format,
    ...) G_GNUC_PRINTF (3, 4);

/* Returns: FALSE. */
static gboolean
complain (GError **error, const gchar *uri, const gchar *format, ...)
{
  g_autofree gchar *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (
      error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI, "%s: %s.", uri, text);
  return FALSE;
}

/* Returns: `text` without its percent-encoding, the caller's; or NULL and an
 * error that names `text`. */
static gchar *
decode (const gchar *uri, const gchar *text, GError **error)
{
  gchar *decoded = g_uri_unescape_string (text, NULL);

  if (decoded == NULL)
    complain (error, uri,
        "'%s' is not percent-encoded properly (two hexadecimal digits behind "
        "each %%, and no %%00)",
        text);
  return decoded;
}

/* ---- the query ---- */

static gboolean
parse_setting (const gchar *uri, GObjectClass *klass, const Form *form,
    const gchar *key, const gchar *text, GValue *values, GError **error)
{
  GParamSpec *pspec = NULL;
  GValue *value = values;

  for (guint i = 0; form->keys[i] != NULL; i++)
    if (g_str_equal (form->keys[i], key)) {
      pspec = g_object_class_find_property (klass, key);
      value = &values[i];
    }
  if (pspec == NULL) {
    g_autofree gchar *known = g_strjoinv (", ", (gchar **) form->keys);

    return complain (error, uri,
        "'%s' cannot be set by a URI; what can be is %s", key, known);
  }
  if (G_IS_VALUE (value))
    return complain (error, uri, "'%s' is there twice", key);
  g_value_init (value, pspec->value_type);
  if (G_IS_PARAM_SPEC_STRING (pspec))
    g_value_set_string (value, text);
  else if (*text == '\0'
      || !gst_value_deserialize_with_pspec (value, text, pspec))
    return complain (error, uri, "'%s' is no value of %s (%s)", text, key,
        g_type_name (pspec->value_type));
  /* It changes values out of range. */
  if (g_param_value_validate (pspec, value))
    return complain (error, uri, "'%s' is out of %s's range", text, key);
  return TRUE;
}

/* `values` are in the order of the form's keys; unset = not in the query. */
static gboolean
parse_query (const gchar *uri, const gchar *query, GObjectClass *klass,
    const Form *form, GValue *values, GError **error)
{
  g_auto (GStrv) pairs = g_strsplit (query, "&", 0);

  for (guint i = 0; pairs[i] != NULL; i++) {
    gchar *equals = strchr (pairs[i], '=');
    g_autofree gchar *key = NULL, *text = NULL;

    if (*pairs[i] == '\0')
      continue;
    if (equals == NULL)
      return complain (error, uri, "'%s' has no '=' and value", pairs[i]);
    *equals = '\0';
    if ((key = decode (uri, pairs[i], error)) == NULL
        || (text = decode (uri, equals + 1, error)) == NULL
        || !parse_setting (uri, klass, form, key, text, values, error))
      return FALSE;
  }
  return TRUE;
}

/* Sets all that a URI may name, the others to their defaults, except a token
 * that was set beside the URI. A URI's token replaces token-file, too. */
static void
apply_query (GObject *object, const Form *form, const GValue *values)
{
  for (guint i = 0; form->keys[i] != NULL; i++) {
    const gchar *key = form->keys[i];
    GParamSpec *pspec =
        g_object_class_find_property (G_OBJECT_GET_CLASS (object), key);
    gboolean named = G_IS_VALUE (&values[i]);

    if (pspec == NULL || (!named && g_str_equal (key, TOKEN)))
      continue;
    g_object_set_property (object, key,
        named ? &values[i] : g_param_spec_get_default_value (pspec));
    if (g_str_equal (key, TOKEN))
      g_object_set (object, "token-file", NULL, NULL);
  }
}

static void
append_query (GString *uri, GObject *object, const Form *form)
{
  gchar separator = '?';

  for (guint i = 0; form->keys[i] != NULL; i++) {
    const gchar *key = form->keys[i];
    GParamSpec *pspec =
        g_object_class_find_property (G_OBJECT_GET_CLASS (object), key);
    g_auto (GValue) value = G_VALUE_INIT;
    g_autofree gchar *text = NULL, *escaped = NULL;

    if (pspec == NULL || g_str_equal (key, TOKEN))
      continue;
    g_value_init (&value, pspec->value_type);
    g_object_get_property (object, key, &value);
    if (g_param_value_defaults (pspec, &value))
      continue;
    /* Not serialized if it is a string: set_uri () takes no quotes off. */
    text = G_IS_PARAM_SPEC_STRING (pspec) ? g_value_dup_string (&value)
                                          : gst_value_serialize (&value);
    escaped = g_uri_escape_string (text, "/", FALSE);
    g_string_append_printf (uri, "%c%s=%s", separator, key, escaped);
    separator = '&';
  }
}

/* ---- the location ---- */

/* The value of form->where that `location`, between protocol and query, stands
 * for; NULL and an error. */
static gchar *
parse_location (
    const gchar *uri, const Kind *kind, const gchar *location, GError **error)
{
  gboolean slashes = g_str_has_prefix (location, "//");
  const gchar *rest = slashes ? location + 2 : location;
  const gchar *slash = kind->authority ? strchr (rest, '/') : NULL;
  g_autofree gchar *part = NULL, *decoded = NULL;

  if (kind->authority && !slashes)
    complain (
        error, uri, "write %s://, then where to connect to", kind->protocol);
  else if (slash != NULL && slash[1] != '\0')
    complain (error, uri, "'%s' leads nowhere: remove it", slash);
  else if (!kind->authority && slashes && *rest != '/') /* else as file:/// */
    complain (error, uri,
        "behind '//' stands a host, and a file has none; write %s:/PATH or, "
        "relative to the working directory, %s:PATH",
        kind->protocol, kind->protocol);
  else
    part = g_strndup (
        rest, slash != NULL ? (gsize) (slash - rest) : strlen (rest));
  if (part == NULL)
    return NULL;
  decoded = decode (uri, part, error);
  return decoded != NULL ? g_strconcat (kind->scheme, decoded, NULL) : NULL;
}

static gboolean
check_address (const gchar *uri, const gchar *address, GError **error)
{
  g_autoptr (GError) cause = NULL;
  HelixAddress *parsed = helix_address_parse (address, &cause);

  if (parsed == NULL)
    g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI, "%s: %s", uri,
        cause->message);
  helix_address_free (parsed);
  return cause == NULL;
}

/* ---- the interface ---- */

static gchar *
get_uri (GstURIHandler *handler)
{
  const Form *form = form_of (handler);
  const Kind *kind = form->kinds;
  GString *uri = g_string_new (NULL);
  g_autofree gchar *where = NULL, *escaped = NULL;

  g_object_get (handler, form->where, &where, NULL);
  if (where == NULL)
    where = g_strdup ("");
  while (kind->protocol != NULL && !g_str_has_prefix (where, kind->scheme))
    kind++;
  if (kind->protocol == NULL) /* an address that start () would refuse */
    return g_string_free (uri, TRUE);
  escaped = g_uri_escape_string (where + strlen (kind->scheme),
      kind->authority ? "[]:" : G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE);
  /* A path that begins with two slashes gets an empty host before them. */
  g_string_printf (uri, "%s:%s%s", kind->protocol,
      kind->authority || g_str_has_prefix (escaped, "//") ? "//" : "", escaped);
  append_query (uri, G_OBJECT (handler), form);
  return g_string_free (uri, FALSE);
}

/* A change while data flows would have no effect. */
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

static gboolean
set_uri (GstURIHandler *handler, const gchar *uri, GError **error)
{
  const Form *form = form_of (handler);
  const Kind *kind = form->kinds;
  GObjectClass *klass = G_OBJECT_GET_CLASS (handler);
  g_autofree gchar *protocol = gst_uri_get_protocol (uri), *location = NULL;
  g_autofree gchar *where = NULL;
  GValue values[MAX_KEYS] = {G_VALUE_INIT};
  gchar *query;
  gboolean ok;

  if (!check_state (handler, uri, error))
    return FALSE;
  if (protocol == NULL)
    return complain (error, uri, "it does not begin with a protocol");
  if (strchr (uri, '#') != NULL)
    return complain (
        error, uri, "it has a '#'; one that belongs to a name is %%23");
  while (kind->protocol != NULL
      && g_ascii_strcasecmp (kind->protocol, protocol) != 0)
    kind++;
  if (kind->protocol == NULL)
    return complain (error, uri, "%s has no such protocol",
        GST_OBJECT_NAME (gst_element_get_factory (GST_ELEMENT (handler))));
  location = g_strdup (uri + strlen (protocol) + 1);
  query = strchr (location, '?');
  if (query != NULL)
    *query++ = '\0';
  ok = parse_query (uri, query != NULL ? query : "", klass, form, values, error)
      && (where = parse_location (uri, kind, location, error)) != NULL
      && (form == &frames || check_address (uri, where, error));
  if (ok) {
    g_object_set (handler, form->where, *where != '\0' ? where : NULL, NULL);
    apply_query (G_OBJECT (handler), form, values);
  }
  for (guint i = 0; i < MAX_KEYS; i++)
    if (G_IS_VALUE (&values[i]))
      g_value_unset (&values[i]);
  return ok;
}

static GstURIType
get_type_source (GType type)
{
  return GST_URI_SRC;
}

static const gchar *const *
get_frames_protocols (GType type)
{
  return frames_protocols;
}

static const gchar *const *
get_stream_protocols (GType type)
{
  return stream_protocols;
}

void
gst_helix_uri_init_frames (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  handler->get_type = get_type_source;
  handler->get_protocols = get_frames_protocols;
  handler->get_uri = get_uri;
  handler->set_uri = set_uri;
}

void
gst_helix_uri_init_stream (gpointer iface, gpointer data)
{
  gst_helix_uri_init_frames (iface, data);
  ((GstURIHandlerInterface *) iface)->get_protocols = get_stream_protocols;
}
