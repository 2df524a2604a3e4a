/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which process is at the other end of a socket, or has taken a port. From
 * /proc, else from ps; what neither tells stays unknown, and nothing depends on
 * it.
 */
#ifndef HELIX_PROCESS_H
#define HELIX_PROCESS_H

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

typedef struct {
  pid_t pid;        /* 0 = unknown */
  uid_t uid;        /* helix_process_of_peer (); (uid_t) -1 = unknown */
  gboolean lives;   /* there is such a process */
  gboolean stopped; /* by SIGSTOP or a debugger */
  gchar name[32];   /* of its command, "" = unknown */
  gchar words[64];  /* "pid 12 (qemu-system-x86)", "pid 12", "an unknown
                     * process" */
} HelixProcess;

/* What is known about `pid`. */
void helix_process_look (HelixProcess *self, pid_t pid);

/* The process at the other end of a connected UNIX socket. */
void helix_process_of_peer (HelixProcess *self, int fd);

/* The process that listens on a TCP port of this machine. Linux only, and only
 * processes that the caller may look at; else pid is 0. */
void helix_process_of_port (HelixProcess *self, guint port);

G_END_DECLS

#endif /* HELIX_PROCESS_H */
