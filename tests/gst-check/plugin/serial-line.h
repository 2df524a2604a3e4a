/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for virtio-serial: what QEMU is between a chardev's socket and a
 * guest's port. The host's end connects and disconnects; the guest's end is a
 * terminal that outlives everybody, and neither end is told when the other
 * goes. So bytes of one session may come out before those of the next.
 */
#ifndef SERIAL_LINE_H
#define SERIAL_LINE_H

#include <glib.h>

typedef struct {
  /* what to open in the guest, as serial:NAME */
  gchar name[128];
  /* TRUE: what is not read for 200 ms is thrown away, as when the machine is
   * reset; else the host's end waits. Set it before anything flows. */
  gboolean lossy;
  /* private */
  gint listener, master, slave;
  GByteArray *heard;
  gint stop;
  GThread *thread;
} SerialLine;

/* Listens on `path` for the host's end. heard: NULL, or what all that passes,
 * both ways, is added to, until stop (). */
void serial_line_start (SerialLine *line, const gchar *path, GByteArray *heard);
void serial_line_stop (SerialLine *line);

#endif /* SERIAL_LINE_H */
