/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network between two ends of TCP, on 127.0.0.1, that can go dead: what it
 * carries then vanishes, and nobody is told. Connections made afterwards are
 * carried again.
 */
#ifndef MUTE_PROXY_H
#define MUTE_PROXY_H

#include <glib.h>

typedef struct _MuteProxy MuteProxy;

/* Picks two free ports: its own, and that of the end that listens. */
MuteProxy *mute_proxy_new (void);
void mute_proxy_free (MuteProxy *proxy);

guint mute_proxy_port (MuteProxy *proxy);   /* connect here */
guint mute_proxy_target (MuteProxy *proxy); /* listen here */

/* Carries nothing more on the connections that there are, and reads nothing
 * more from them. */
void mute_proxy_mute (MuteProxy *proxy);

#endif /* MUTE_PROXY_H */
