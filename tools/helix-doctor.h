/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helix doctor: the parts of the walk, each a sequence of hops that it
 * reports on and each bounded in time. They know nothing of one another and
 * run at once, each in a thread of its own.
 */
#ifndef HELIX_DOCTOR_H
#define HELIX_DOCTOR_H

#include <gio/gio.h>

#include "helix-report.h"
#include "helix-role.h"

G_BEGIN_DECLS

/* In the order in which causes come before effects; the first that fails is
 * the exit status, so the numbers stay (tools/helix.1 lists them). */
typedef enum {
  HELIX_CHECK_VM = 10,       /* a VM that exports its screen */
  HELIX_CHECK_SOCKET = 11,   /* its socket's file */
  HELIX_CHECK_LISTEN = 12,   /* somebody listens, and lets us in */
  HELIX_CHECK_PING = 13,     /* PONG comes */
  HELIX_CHECK_SHIM = 14,     /* WELCOME comes */
  HELIX_CHECK_SCANOUT = 15,  /* a scanout is on */
  HELIX_CHECK_FRAMES = 16,   /* pictures come */
  HELIX_CHECK_PLUGIN = 17,   /* GStreamer finds our elements */
  HELIX_CHECK_ENCODER = 18,  /* host: and an encoder */
  HELIX_CHECK_PIPELINE = 19, /* host: helixqemusrc watches */
  HELIX_CHECK_CONNECT = 20,  /* the stream's address can be connected to */
  HELIX_CHECK_ANSWER = 21,   /* PONG comes there */
  HELIX_CHECK_STREAM = 22,   /* WELCOME comes there */
  HELIX_CHECK_UNITS = 23,    /* encoded units flow, from a keyframe on */
  HELIX_CHECK_GUEST = 24,    /* host: a guest receives them */
  HELIX_CHECK_PARSE = 25,    /* guest: they are what they say they are */
  HELIX_CHECK_DECODE = 26,   /* guest: and can be decoded */
  HELIX_CHECK_LAST = 26,
} HelixDoctorCheck;

typedef struct {
  HelixRole side;
  const gchar *socket;  /* or NULL */
  const gchar *address; /* never NULL */
  const gchar *token;   /* or NULL */
  gint scanout;         /* the one that is meant, or -1 */
  guint64 answer_ns;    /* longest wait for one answer */
  guint64 deadline;     /* helix_now_ns () time: nothing lasts longer */
  GCancellable *cancel; /* of name look-ups, raised at the deadline */
} HelixDoctor;

/* Until when an answer to what is asked now may come. */
guint64 helix_doctor_soon (const HelixDoctor *self);

/* From the VM to the host's pipeline. */
void helix_doctor_frames (const HelixDoctor *self, HelixReport *report);
/* What GStreamer has. gst_init () happens in there. */
void helix_doctor_elements (const HelixDoctor *self, HelixReport *report);
/* The host's view of the stream: CONNECT to GUEST. */
void helix_doctor_stream (const HelixDoctor *self, HelixReport *report);
/* The guest's view of it: CONNECT to PARSE. What arrived is kept for
 * helix_doctor_decode (). */
typedef struct _HelixDoctorUnits HelixDoctorUnits;
HelixDoctorUnits *helix_doctor_receive (
    const HelixDoctor *self, HelixReport *report);
/* DECODE, after helix_doctor_elements (). */
void helix_doctor_decode (
    HelixDoctorUnits *units, HelixReport *report, guint64 deadline);
void helix_doctor_units_free (HelixDoctorUnits *units);

/* ---- shared by the two views of the stream ---- */

/* CONNECT, ANSWER and STREAM; NULL when one of them failed. */
struct _HelixProbe *helix_doctor_join (
    const HelixDoctor *self, guint32 role, HelixReport *report);

const gchar *helix_doctor_check_name (guint probe);

G_END_DECLS

#endif /* HELIX_DOCTOR_H */
