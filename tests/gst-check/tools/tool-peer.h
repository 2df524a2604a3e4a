/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `helix` may meet in place of a shim or of helixguestsink: strangers,
 * the dead, and servers in a state that real ones are hard to bring into. One
 * thread each, one connection after the other.
 */
#ifndef TOOL_PEER_H
#define TOOL_PEER_H

#include <glib.h>

typedef enum {
  /* no helix at all */
  PEER_SILENT,  /* takes the connection and says nothing */
  PEER_CLOSES,  /* at once */
  PEER_ECHO,    /* sends back what it gets */
  PEER_VNC,     /* greets first, as VNC servers do */
  PEER_WEB,     /* answers anything by HTTP */
  PEER_FLOOD,   /* sends PING without end */
  PEER_FOREIGN, /* ERROR auth: it serves another user */
  PEER_OLD,     /* answers PING; HELLO by the old dialect's ERROR */
  PEER_DEAF,    /* answers PING, nothing else */
  /* shims */
  PEER_SHIM_OFF,       /* two scanouts, both off */
  PEER_SHIM_BUSY,      /* ERROR busy */
  PEER_SHIM_FRAMELESS, /* scanout 0 is on, but no FRAME comes */
  PEER_SHIM_OLD,       /* does not know LIST */
  PEER_SHIM_LISTLESS,  /* never answers LIST */
  PEER_SHIM_STUBBORN,  /* both off, and refuses SET_SCANOUT */
  PEER_SHIM_BLIND,     /* scanout 0 is on, but cannot be read back */
  PEER_SHIM_LEAVING,   /* says BYE to SUBSCRIBE */
  /* streams */
  PEER_STREAM_KEYLESS, /* 100 units so far, no keyframe */
  PEER_STREAM_HELD,    /* all well, but an encoder that looks ahead */
  PEER_STREAM_STUCK,   /* the last of 100 units came 9 s ago */
  PEER_STREAM_EMPTY,   /* no unit ever */
  PEER_STREAM_LONELY,  /* all well, no guest */
  PEER_STREAM_UNHEARD, /* two guests that say nothing arrived */
  PEER_STREAM_ENDLESS, /* lists more clients than any server takes */
  PEER_STREAM_FICKLE,  /* answers LIST once */
  PEER_STREAM_PARROT,  /* asks for a proof, and sends it back for its own */
  PEER_STREAM_NO_SPS,  /* keyframes without parameter sets */
  PEER_STREAM_GARBAGE, /* parameter sets and slices of noise */
  PEER_STREAM_UNKNOWN, /* units without CAPS */
  PEER_STREAM_MUTE,    /* three units, then nothing, not even PONG */
} PeerKind;

typedef struct _ToolPeer ToolPeer;

/* Listens at unix:PATH or, for NULL, on a free TCP port of this machine. */
ToolPeer *tool_peer_new (PeerKind kind, const gchar *path);
void tool_peer_free (ToolPeer *peer);
/* "tcp:127.0.0.1:PORT" or "unix:PATH". */
const gchar *tool_peer_address (const ToolPeer *peer);

#endif /* TOOL_PEER_H */
