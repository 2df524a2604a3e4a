/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GstUri does not parse the query: it keeps one of two equal keys without an
 * error, takes a bad percent code for an empty value, and writes keys in no
 * fixed order.
 */
#include "gsthelixuri.h"

#include <string.h>

#include "gsthelixelements.h"
#include "gsthelixfields.h"
#include "helix-address.h"

#define TOKEN "token"

/* A protocol and the value that it stands for: `scheme`, then the location. */
typedef struct {
  const gchar *scheme;
  gboolean authority; /* //HOST:PORT, else a path */
} Kind;

/* The URIs of one element. */
typedef struct {
  const gchar *where; /* property that the location goes to */
  /* The second is of the first at the same place. */
  const gchar *protocols[5];
  Kind kinds[4];
  /* Properties that a query may set. token-file is not among them: a URI from
   * elsewhere must not choose a file: its HMAC would go to that URI's host. */
  const gchar *keys[10];
} Form;

static const Form frames = {"socket-path", {"helix+unix", NULL}, {{"", FALSE}},
    {"scanout", "resource-id", "max-framerate", "keepalive-time", "show-cursor",
        "when-off", "auto-reconnect", "reconnect-timeout", NULL}};
static const Form stream = {"address",
    {"helix+tcp", "helix+vsock", "helix+serial", "helix+stream-unix", NULL},
    {{"tcp:", TRUE}, {"vsock:", TRUE}, {"serial:", FALSE}, {"unix:", FALSE}},
    {"mode", TOKEN, "scanout", "resource-id", "bitrate", "max-framerate",
        "max-age", "auto-reconnect", "reconnect-timeout", NULL}};

static const Form *
form_of (gpointer handler)
{
  return GST_IS_HELIX_QEMU_SRC (handler) ? &frames : &stream;
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

static GParamSpec *
find_pspec (gpointer handler, const gchar *key)
{
  return g_object_class_find_property (G_OBJECT_GET_CLASS (handler), key);
}

/* A GValue for each of the form's keys, without a type while the key is not
 * set. A GstStructure would refuse a token that is not UTF-8. */
static GArray *
settings_new (const Form *form)
{
  GArray *settings = g_array_new (FALSE, TRUE, sizeof (GValue));

  g_array_set_clear_func (settings, (GDestroyNotify) g_value_unset);
  return g_array_set_size (settings, G_N_ELEMENTS (form->keys));
}

static gboolean
parse_setting (const gchar *uri, gpointer handler, const gchar *key,
    const gchar *text, GArray *settings, GError **error)
{
  const gchar *const *keys = form_of (handler)->keys;
  GParamSpec *pspec;
  GValue *value;
  guint i = 0;

  while (keys[i] != NULL && !g_str_equal (keys[i], key))
    i++;
  if (keys[i] == NULL) {
    g_autofree gchar *known = g_strjoinv (", ", (gchar **) keys);

    return complain (error, uri,
        "'%s' cannot be set by a URI; what can be is %s", key, known);
  }
  value = &g_array_index (settings, GValue, i);
  if (G_IS_VALUE (value))
    return complain (error, uri, "'%s' is there twice", key);
  pspec = find_pspec (handler, key);
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

/* Stores the properties that `query` names in `settings`. */
static gboolean
parse_query (const gchar *uri, const gchar *query, gpointer handler,
    GArray *settings, GError **error)
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
        || !parse_setting (uri, handler, key, text, settings, error))
      return FALSE;
  }
  return TRUE;
}

/* Sets all that a URI may name, the others to their defaults, except a token
 * that was set beside the URI. A URI's token replaces token-file, too. */
static void
apply_query (gpointer handler, GArray *settings)
{
  const gchar *const *keys = form_of (handler)->keys;

  for (guint i = 0; keys[i] != NULL; i++) {
    const GValue *value = &g_array_index (settings, GValue, i);
    gboolean is_token = g_str_equal (keys[i], TOKEN);

    if (G_IS_VALUE (value)) {
      g_object_set_property (handler, keys[i], value);
      if (is_token)
        g_object_set (handler, "token-file", NULL, NULL);
    } else if (!is_token) {
      g_object_set_property (handler, keys[i],
          g_param_spec_get_default_value (find_pspec (handler, keys[i])));
    }
  }
}

static void
append_query (GString *uri, gpointer handler)
{
  gchar separator = '?';

  for (const gchar *const *key = form_of (handler)->keys; *key != NULL; key++) {
    GParamSpec *pspec = find_pspec (handler, *key);
    g_auto (GValue) value = G_VALUE_INIT;
    g_autofree gchar *text = NULL, *escaped = NULL;

    g_object_get_property (handler, *key, &value);
    if (g_str_equal (*key, TOKEN) || g_param_value_defaults (pspec, &value))
      continue;
    /* Not serialized if it is a string: set_uri () takes no quotes off. */
    text = G_IS_PARAM_SPEC_STRING (pspec) ? g_value_dup_string (&value)
                                          : gst_value_serialize (&value);
    escaped = g_uri_escape_string (text, "/", FALSE);
    g_string_append_printf (uri, "%c%s=%s", separator, *key, escaped);
    separator = '&';
  }
}

/* ---- the location ---- */

/* The value of the property `where` for `location`, which stands between the
 * protocol and the query; NULL and an error. */
static gchar *
parse_location (const gchar *uri, const gchar *protocol, const Kind *kind,
    const gchar *location, GError **error)
{
  gboolean slashes = g_str_has_prefix (location, "//");
  const gchar *rest = slashes ? location + 2 : location;
  const gchar *slash = kind->authority ? strchr (rest, '/') : NULL;
  g_autofree gchar *part = NULL, *decoded = NULL;

  if (kind->authority && !slashes)
    complain (error, uri, "write %s://, then where to connect to", protocol);
  else if (slash != NULL && slash[1] != '\0')
    complain (error, uri, "'%s' leads nowhere: remove it", slash);
  else if (!kind->authority && slashes && *rest != '/') /* else as file:/// */
    complain (error, uri,
        "behind '//' stands a host, and a file has none; write %s:/PATH or, "
        "relative to the working directory, %s:PATH",
        protocol, protocol);
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
  const Kind *kind;
  GString *uri;
  guint i = 0;
  g_autofree gchar *where = NULL, *escaped = NULL;

  g_object_get (handler, form->where, &where, NULL);
  if (where == NULL)
    where = g_strdup ("");
  while (form->protocols[i] != NULL
      && !g_str_has_prefix (where, form->kinds[i].scheme))
    i++;
  if (form->protocols[i] == NULL) /* an address that start () would refuse */
    return NULL;
  kind = &form->kinds[i];
  uri = g_string_new (form->protocols[i]);
  escaped = g_uri_escape_string (where + strlen (kind->scheme),
      kind->authority ? "[]:" : G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE);
  /* A path that begins with two slashes gets an empty host before them. */
  g_string_append_printf (uri, ":%s%s",
      kind->authority || g_str_has_prefix (escaped, "//") ? "//" : "", escaped);
  append_query (uri, handler);
  return g_string_free (uri, FALSE);
}

/* A change while data flows would have no effect. */
static gboolean
check_state (GstURIHandler *handler, const gchar *uri, GError **error)
{
  GstState state;

  GST_OBJECT_LOCK (handler);
  state = gst_helix_state_ahead (GST_ELEMENT (handler));
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
  g_autofree gchar *protocol = gst_uri_get_protocol (uri), *location = NULL;
  g_autofree gchar *where = NULL;
  g_autoptr (GArray) settings = settings_new (form);
  gchar *query;
  guint i = 0;

  if (!check_state (handler, uri, error))
    return FALSE;
  if (protocol == NULL)
    return complain (error, uri, "it does not begin with a protocol");
  if (strchr (uri, '#') != NULL)
    return complain (
        error, uri, "it has a '#'; one that belongs to a name is %%23");
  while (form->protocols[i] != NULL
      && g_ascii_strcasecmp (form->protocols[i], protocol) != 0)
    i++;
  if (form->protocols[i] == NULL)
    return complain (error, uri, "%s has no such protocol",
        GST_OBJECT_NAME (gst_element_get_factory (GST_ELEMENT (handler))));
  location = g_strdup (uri + strlen (protocol) + 1);
  query = strchr (location, '?');
  if (query != NULL)
    *query++ = '\0';
  if (!parse_query (uri, query != NULL ? query : "", handler, settings, error))
    return FALSE;
  where = parse_location (
      uri, form->protocols[i], &form->kinds[i], location, error);
  if (where == NULL || (form == &stream && !check_address (uri, where, error)))
    return FALSE;
  g_object_set (handler, form->where, *where != '\0' ? where : NULL, NULL);
  apply_query (handler, settings);
  return TRUE;
}

static GstURIType
get_type_source (GType type)
{
  return GST_URI_SRC;
}

static const gchar *const *
get_protocols (GType type)
{
  return type == GST_TYPE_HELIX_QEMU_SRC ? frames.protocols : stream.protocols;
}

void
gst_helix_uri_init (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *handler = iface;

  handler->get_type = get_type_source;
  handler->get_protocols = get_protocols;
  handler->get_uri = get_uri;
  handler->set_uri = set_uri;
}
