/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helix wire protocols, version 1: every number and every struct.
 *
 * Two conversations share one framing (README.md in this folder is the
 * specification, this header is its letter):
 *
 *   frame protocol   QEMU shim  <-> helixqemusrc   raw frames, UNIX socket
 *   stream protocol  helixguestsink <-> helixsrc   encoded units, any stream
 *
 * Every message is a 12-byte header and `size` bytes of payload, all integers
 * little-endian. The structs below mirror the wire byte for byte (helix-pack.c
 * asserts that) but hold host-endian values: only helix-pack.h turns one into
 * the other.
 *
 * C99, no GLib, no I/O: this compiles into QEMU, the plugin, the tests and
 * the fuzzers alike.
 */
#ifndef HELIX_PROTOCOL_H
#define HELIX_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define HELIX_MAGIC 0x52465848u /* bytes 48 58 46 52, "HXFR" */
#define HELIX_VERSION_MIN 1
#define HELIX_VERSION_MAX 1

/* "No value" in a field of that width. */
#define HELIX_NONE32 UINT32_MAX
#define HELIX_NONE64 UINT64_MAX

/* Limits. A message beyond one of them is malformed. */
#define HELIX_HEADER_SIZE 12u
#define HELIX_MAX_CONTROL 4096u    /* bytes: control payload, bulk head */
#define HELIX_MAX_DIMENSION 16384u /* pixels: width or height */
#define HELIX_MAX_FRAME_BYTES (256u << 20) /* bytes: pixels; 8K is 127 MiB */
#define HELIX_MAX_UNIT_BYTES (64u << 20)   /* bytes: one access unit */
#define HELIX_MAX_SCANOUTS 16u             /* VIRTIO_GPU_MAX_SCANOUTS */
#define HELIX_MAX_SLOTS 8u                 /* slots of one pool */
#define HELIX_MAX_RECTS 32u                /* damage rectangles of one frame */
#define HELIX_MAX_TEXT 480u                /* bytes: text of ERROR and BYE */
#define HELIX_MAX_NAME 128u                /* bytes: HELLO, WELCOME name */
#define HELIX_MAX_TOKEN 128u               /* bytes: the secret of PROOF */
#define HELIX_CHALLENGE_SIZE 32u           /* bytes: behind WELCOME's name */
#define HELIX_PROOF_SIZE 32u               /* bytes: HMAC-SHA256 */
#define HELIX_MAX_CURSOR 256u /* pixels: a cursor's width, height */

/* Message types. C client (helixqemusrc, helixsrc), S server (shim,
 * helixguestsink). 0x01-0x05, 0x20-0x22 and 0x30-0x31 belong to the dialect
 * of the first implementation: answered by ERROR UNSUPPORTED, never reused. */
enum helix_type {
  /* both protocols */
  HELIX_PING = 0x10,    /* both ways; empty or struct helix_ping */
  HELIX_PONG = 0x11,    /* both ways; empty or struct helix_pong */
  HELIX_HELLO = 0x40,   /* C->S; struct helix_hello + name */
  HELIX_WELCOME = 0x41, /* S->C; struct helix_welcome + name [+ challenge] */
  HELIX_BYE = 0x42,     /* both ways; struct helix_bye + text */
  HELIX_LIST = 0x43,    /* C->S; empty: how goes it, and who is here? */
  HELIX_STATUS = 0x44,  /* S->C; struct helix_status + text: the one answer, */
  HELIX_CLIENT = 0x45,  /* S->C; struct helix_client + name: then the others */
  HELIX_PROOF = 0x46,   /* both ways; struct helix_proof */
  HELIX_ERROR = 0xFF,   /* both ways; struct helix_error + text */

  /* frame protocol; channel = the subscription, chosen by the client */
  HELIX_SUBSCRIBE = 0x50,   /* C->S; struct helix_subscribe */
  HELIX_UNSUBSCRIBE = 0x51, /* C->S; empty */
  HELIX_SCANOUT = 0x52,     /* S->C; struct helix_scanout */
  HELIX_POOL = 0x53,        /* S->C; struct helix_pool + one fd */
  HELIX_FRAME = 0x54,       /* S->C; struct helix_frame + rects */
  HELIX_RELEASE = 0x55,     /* C->S; struct helix_release */
  HELIX_CURSOR = 0x58,      /* S->C; struct helix_cursor [+ pixels] (both) */
  HELIX_SET_SCANOUT = 0x59, /* C->S; struct helix_set_scanout */
  HELIX_SHOW = 0x5A,        /* C->S; struct helix_show (both) */

  /* stream protocol; channel 0 */
  HELIX_CAPS = 0x70,     /* S->C; struct helix_caps */
  HELIX_UNIT = 0x71,     /* S->C; struct helix_unit + data */
  HELIX_KEYFRAME = 0x72, /* C->S; struct helix_keyframe */
  HELIX_CONFIG = 0x73,   /* C->S; struct helix_config */
  HELIX_STATS = 0x74,    /* C->S; struct helix_stats */
};

/* Who speaks, in HELLO and WELCOME. */
enum helix_role {
  HELIX_ROLE_FRAMES = 1, /* the frame protocol */
  HELIX_ROLE_STREAM = 2, /* the stream protocol */
  /* The stream protocol without the stream: neither CAPS nor UNITs nor CURSOR
   * come, no keyframe is made for it and max-clients does not count it. For a
   * client that only steers (SHOW, CONFIG, KEYFRAME) or asks (LIST). */
  HELIX_ROLE_CONTROL = 3,
};

/* Features, in HELLO (what the client can) and WELCOME (what will be used:
 * always a subset of the client's). Unknown bits are ignored. */
enum helix_feature {
  /* frames: pools come as a file descriptor. Both ends always set it: earlier
   * versions could do without. */
  HELIX_FEATURE_SHM = 1u << 0,
  /* stream: HELLO: has a token and can prove it; WELCOME: asks for that */
  HELIX_FEATURE_PROOF = 1u << 1,
};

/* Codes of HELIX_ERROR. FATAL: the sender closes the connection behind it. */
enum helix_error_code {
  HELIX_ERROR_PROTOCOL = 1,    /* fatal: malformed message */
  HELIX_ERROR_VERSION = 2,     /* fatal: no common version */
  HELIX_ERROR_ROLE = 3,        /* fatal: this end speaks the other protocol */
  HELIX_ERROR_AUTH = 4,        /* fatal: no proof of the token, or the uid */
  HELIX_ERROR_BUSY = 5,        /* fatal: max-clients reached */
  HELIX_ERROR_UNSUPPORTED = 6, /* type not known, or cannot be done */
  HELIX_ERROR_NO_SCANOUT = 7,  /* SUBSCRIBE, ...: no such scanout */
  HELIX_ERROR_NO_RESOURCE = 8, /* SUBSCRIBE, SHOW, ...: no such resource */
  HELIX_ERROR_LIMIT = 9,       /* too many channels, too large, ... */
  HELIX_ERROR_NO_MEMORY = 10,  /* the pool could not be allocated */
  HELIX_ERROR_READBACK = 11,   /* unreadable; no frames until it can be read */
  HELIX_ERROR_TIMEOUT = 12,    /* fatal: no HELLO, no PONG */
  HELIX_ERROR_INTERNAL = 13,   /* fatal */
};

struct helix_header {
  uint32_t magic;
  uint8_t type;     /* enum helix_type */
  uint8_t flags;    /* 0; receivers ignore it */
  uint16_t channel; /* frame protocol: subscription; else 0; PONG echoes it */
  uint32_t size;    /* bytes of payload after this header */
};

/* PING with a time stamp; the bare, empty PING is as good a sign of life. */
struct helix_ping {
  uint64_t sent_ns; /* sender's CLOCK_MONOTONIC */
};

/* Answer to struct helix_ping; with both clocks' stamps the asker knows their
 * offset to half the round trip. */
struct helix_pong {
  uint64_t ping_ns;     /* ping.sent_ns, echoed */
  uint64_t received_ns; /* answerer's CLOCK_MONOTONIC at receipt */
  uint64_t sent_ns;     /* answerer's CLOCK_MONOTONIC at sending */
};

/* Followed by token_size bytes, which older clients filled with their token in
 * the clear and receivers skip, and by name_size bytes of UTF-8 name. */
struct helix_hello {
  uint16_t version_min, version_max; /* versions the client speaks */
  uint32_t role;                     /* enum helix_role */
  uint32_t features;                 /* enum helix_feature */
  uint32_t pid;                      /* client's process, 0 = untold */
  uint64_t nonce;                    /* random; WELCOME echoes it */
  uint16_t token_size;               /* 0; older: <= HELIX_MAX_TOKEN */
  uint16_t name_size;                /* bytes, <= HELIX_MAX_NAME */
  uint32_t reserved;                 /* 0; receivers ignore it */
};

/* Followed by name_size bytes of UTF-8 name, e.g. "helix-shim 0.1.0", and with
 * HELIX_FEATURE_PROOF by a challenge of HELIX_CHALLENGE_SIZE random bytes. */
struct helix_welcome {
  uint16_t version;   /* within the client's [min, max] */
  uint16_t scanouts;  /* frames: scanouts of this VM, 1-16; stream: 0 */
  uint32_t role;      /* the client's */
  uint32_t features;  /* subset of the client's */
  uint32_t pid;       /* server's process, 0 = untold */
  uint64_t nonce;     /* the client's */
  uint16_t name_size; /* bytes, <= HELIX_MAX_NAME */
  uint16_t reserved0; /* 0; receivers ignore it */
  uint32_t reserved1; /* 0; receivers ignore it */
};

/* That the sender knows the token, without telling it. From the client after a
 * WELCOME with a challenge; from the server as the answer, which opens the
 * session. */
struct helix_proof {
  /* HMAC-SHA256, the key being the token's bytes, over the bytes that
   * helix_pack_proof_input () writes. */
  uint8_t hmac[HELIX_PROOF_SIZE];
};
#define HELIX_PROOF_CLIENT "helix client" /* so that no proof is sent back */
#define HELIX_PROOF_SERVER "helix server"
#define HELIX_PROOF_INPUT_SIZE (12u + 8u + HELIX_CHALLENGE_SIZE) /* bytes */

/* Followed by 0..HELIX_MAX_TEXT bytes of UTF-8: a sentence for a person. */
struct helix_error {
  uint32_t code;   /* enum helix_error_code */
  uint32_t refers; /* type of the message at fault, 0 = none */
};

/* An orderly end. Followed by 0..HELIX_MAX_TEXT bytes of UTF-8. */
struct helix_bye {
  uint32_t reason; /* 0 = closing down, 1 = end of stream */
};
#define HELIX_BYE_CLOSING 0u
#define HELIX_BYE_EOS 1u

/* How a server does, first answer to LIST. Followed by 0..HELIX_MAX_TEXT bytes
 * of UTF-8 for a person: what it serves, as "x264enc, 1920x1080". */
struct helix_status {
  uint64_t uptime_ns;     /* since it began to serve */
  uint64_t frames;        /* frames sent; stream: units that came in */
  uint64_t bytes;         /* bytes read back; stream: of units that came in */
  uint64_t dropped;       /* flushes without a credit; stream: units not sent */
  uint64_t keyframes;     /* stream: among the units; else 0 */
  uint64_t last_ns;       /* age of the newest frame or unit, or NONE64 */
  uint32_t clients;       /* CLIENT messages that follow */
  uint32_t width, height; /* pixels; stream: of the units; else 0 */
  uint32_t encode_us;     /* stream: us that the newest unit of a new picture
                           * was in the encoder, 0 = not known; else 0 */
};

/* One client of the server, the asker included. Followed by name_size bytes
 * of UTF-8: what it called itself, and where it comes from. */
struct helix_client {
  uint32_t index;        /* 0, 1 ... status.clients - 1 */
  uint32_t flags;        /* HELIX_CLIENT_* */
  uint32_t pid;          /* its process, 0 = untold */
  uint32_t role;         /* enum helix_role */
  uint32_t scanout;      /* of its first subscription, or NONE32 */
  uint32_t resource_id;  /* of that, or 0 */
  uint64_t connected_ns; /* for so long */
  uint64_t frames;       /* frames or units sent to it */
  uint64_t dropped;      /* of those meant for it; NONE64 = not counted */
  uint64_t received;     /* units that it says arrived, or NONE64 */
  uint64_t latency_ns;   /* capture -> received, as it says, or NONE64 */
  uint64_t last_ns;      /* age of the newest frame or unit sent, or NONE64 */
  uint16_t name_size;    /* bytes, <= HELIX_MAX_NAME */
  uint16_t reserved0;    /* 0; receivers ignore it */
  uint32_t reserved1;    /* 0; receivers ignore it */
};
#define HELIX_CLIENT_YOU (1u << 0) /* the asker itself */

/* The cursor plane of a scanout: which shape, where. Frame protocol: on the
 * channel of a subscription that asked for it, at its start and at each
 * change. Stream protocol: as the other end's pipeline passes it on. With
 * SHAPE, width * height * 4 bytes follow: B G R A, colours multiplied by
 * alpha, rows from the top; without, the shape of that serial is known. */
struct helix_cursor {
  uint32_t scanout;       /* index */
  uint32_t flags;         /* HELIX_CURSOR_* */
  uint32_t x, y;          /* pixels, two's complement: the image's top left */
  uint32_t serial;        /* of the shape, 0 = there was none yet */
  uint32_t width, height; /* pixels, 1..HELIX_MAX_CURSOR; 0 without a shape */
  uint32_t hot_x, hot_y;  /* pixels from the image's top left: what points */
  uint32_t reserved;      /* 0; receivers ignore it */
  uint64_t changed_ns;    /* host CLOCK_MONOTONIC */
};
#define HELIX_CURSOR_VISIBLE (1u << 0)
#define HELIX_CURSOR_SHAPE (1u << 1) /* pixels follow */

/* Shows a resource: it is read back now, whole, as the next frame of the
 * subscription (frame protocol: of the message's channel), which from then on
 * shows this resource. For pictures that no scanout shows and no flush
 * announces, like the buffers of a compositor's screen cast. */
struct helix_show {
  uint32_t resource_id; /* virtio-gpu resource, not 0 */
  uint32_t reserved;    /* 0; receivers ignore it */
  uint64_t capture_ns;  /* host CLOCK_MONOTONIC of the picture, NONE64 = now */
};

/* ---- frame protocol ---- */

/* Exactly one of scanout and resource_id names what to watch. A SUBSCRIBE on
 * a channel in use replaces the subscription. Answered on the same channel by
 * SCANOUT (the state now), or by ERROR. */
struct helix_subscribe {
  uint32_t scanout;     /* index, or HELIX_NONE32 */
  uint32_t resource_id; /* virtio-gpu resource, or 0 */
  uint32_t rate_num;    /* frames: at most rate_num / rate_den a second, */
  uint32_t rate_den;    /* 0/1 = as they come */
  uint32_t slots;       /* wanted, 2..HELIX_MAX_SLOTS, 0 = server's choice */
  uint32_t flags;       /* HELIX_SUBSCRIBE_* */
};
/* Reserved. Of earlier versions: pixels behind each FRAME, no pool fd. A server
 * answers ERROR UNSUPPORTED. */
#define HELIX_SUBSCRIBE_INLINE (1u << 0)
#define HELIX_SUBSCRIBE_CURSOR (1u << 1) /* CURSOR messages, too */

/* Asks the guest to switch a scanout on at a size, or off: a monitor is
 * plugged in, or out. What the guest makes of it, SCANOUT tells. Channel 0. */
struct helix_set_scanout {
  uint32_t scanout;       /* index; any number: ERROR NO_SCANOUT answers it */
  uint32_t width, height; /* pixels, both 0 = off */
  uint32_t refresh;       /* mHz, 0 = the device's default */
};

/* State of a scanout: on a subscription's channel as answer and at each
 * change; on channel 0 for every scanout after WELCOME and at each change. */
struct helix_scanout {
  uint32_t scanout;       /* index, or HELIX_NONE32 (resource subscription) */
  uint32_t flags;         /* HELIX_SCANOUT_* */
  uint32_t generation;    /* grows at every change of size or format */
  uint32_t resource_id;   /* shown now, 0 = none */
  uint32_t width, height; /* pixels, 0 when off */
  uint32_t fourcc;        /* DRM fourcc, 0 when off */
  uint32_t reserved;      /* 0; receivers ignore it */
};
#define HELIX_SCANOUT_ENABLED (1u << 0) /* shows a resource */

/* Announces the memory of a subscription's slots; replaces the pool before
 * (slots of the old one that the client still holds stay mapped at its side
 * until it lets go; their RELEASE is ignored). One file descriptor comes with
 * it, read-only for the client; slot i starts at i * slot_size. */
struct helix_pool {
  uint32_t pool_id; /* not 0, unique on the connection */
  uint32_t kind;    /* enum helix_pool_kind */
  uint32_t slots;   /* 2..HELIX_MAX_SLOTS */
  uint32_t reserved;
  uint64_t slot_size;  /* bytes, multiple of the 4096-byte page */
  uint64_t total_size; /* bytes = slots * slot_size */
};
enum helix_pool_kind {
  HELIX_POOL_SEALED = 1, /* fd: Linux memfd, F_SEAL_SHRINK | F_SEAL_GROW */
  HELIX_POOL_FILE = 2,   /* fd: POSIX shm or unlinked file, no seals */
};

struct helix_rect {
  uint32_t x, y, width, height; /* pixels, from the frame's top left */
};

/* One frame in one slot, which is the client's until RELEASE. Followed by
 * `rects` struct helix_rect: what differs from the frame before it on this
 * channel; none = everything. */
struct helix_frame {
  uint64_t sequence;      /* 1, 2, 3 ... on this channel, across generations */
  uint64_t capture_ns;    /* host CLOCK_MONOTONIC when the readback began */
  uint32_t scanout;       /* as subscribed, or HELIX_NONE32 */
  uint32_t resource_id;   /* read */
  uint32_t generation;    /* of the last SCANOUT on this channel */
  uint32_t pool_id;       /* of the last POOL on this channel */
  uint32_t slot;          /* index, < pool.slots */
  uint32_t flags;         /* 0; receivers ignore it */
  uint32_t width, height; /* pixels */
  uint32_t stride;        /* bytes, >= width * 4, multiple of 4 */
  uint32_t fourcc;        /* DRM fourcc, one of helix_fourcc */
  uint32_t rects;         /* <= HELIX_MAX_RECTS, 0 = everything changed */
  uint32_t readback_ns;   /* the readback took, saturating */
  uint32_t wait_ns;       /* damage waited before the readback, saturating */
  uint32_t read_bytes;    /* bytes the readback copied, saturating */
};

/* The 32-bit formats of virtio-gpu as DRM fourccs (drm_fourcc.h; named by
 * little-endian word, so XR24 is the bytes B G R x). */
#define HELIX_FOURCC(a, b, c, d) \
  ((uint32_t) (a) | (uint32_t) (b) << 8 | (uint32_t) (c) << 16 \
      | (uint32_t) (d) << 24)
enum helix_fourcc {
  HELIX_FOURCC_BGRX = HELIX_FOURCC ('X', 'R', '2', '4'),
  HELIX_FOURCC_BGRA = HELIX_FOURCC ('A', 'R', '2', '4'),
  HELIX_FOURCC_RGBX = HELIX_FOURCC ('X', 'B', '2', '4'),
  HELIX_FOURCC_RGBA = HELIX_FOURCC ('A', 'B', '2', '4'),
  HELIX_FOURCC_XRGB = HELIX_FOURCC ('B', 'X', '2', '4'),
  HELIX_FOURCC_ARGB = HELIX_FOURCC ('B', 'A', '2', '4'),
  HELIX_FOURCC_XBGR = HELIX_FOURCC ('R', 'X', '2', '4'),
  HELIX_FOURCC_ABGR = HELIX_FOURCC ('R', 'A', '2', '4'),
};

/* Gives the slot back: a credit. */
struct helix_release {
  uint32_t pool_id;
  uint32_t slot;
};

/* ---- stream protocol ---- */

enum helix_codec {
  HELIX_CODEC_H264 = 1, /* Annex B, SPS and PPS in band before every IDR */
  HELIX_CODEC_H265 = 2, /* Annex B, VPS, SPS and PPS likewise */
  HELIX_CODEC_AV1 = 3,  /* OBU stream, one temporal unit each */
  HELIX_CODEC_VP8 = 4,
  HELIX_CODEC_VP9 = 5,
  HELIX_CODEC_JPEG = 6,
};

/* Zero bytes before HELLO on a stream that outlives its sessions: they finish
 * the longest message that a predecessor left half sent, and are a header
 * without a magic besides, whereupon the far end scans for HELLO. */
#define HELIX_HELLO_PAD (2 * HELIX_HEADER_SIZE + HELIX_MAX_CONTROL)

/* What the units from here on are. Strings are NUL-padded UTF-8 in
 * GStreamer's words, empty = untold. */
struct helix_caps {
  uint32_t caps_id; /* not 0; UNIT names it */
  uint32_t codec;   /* enum helix_codec */
  uint32_t width, height;
  uint32_t rate_num, rate_den; /* nominal framerate, 0/1 = variable */
  uint32_t par_num, par_den;   /* pixel aspect ratio */
  char profile[32];
  char level[16];
  char colorimetry[32];
};

/* One access unit. Followed by size - sizeof (struct helix_unit) bytes. */
struct helix_unit {
  uint64_t sequence;     /* +1 per unit of the stream; a gap = dropped here */
  uint64_t running_time; /* ns, of the sender's pipeline */
  uint64_t dts;          /* ns, likewise, or HELIX_NONE64 */
  uint64_t duration;     /* ns, or HELIX_NONE64 */
  uint64_t capture_ns;   /* host CLOCK_MONOTONIC, or HELIX_NONE64 */
  uint64_t sent_ns;      /* host CLOCK_MONOTONIC when the sink took it */
  uint32_t caps_id;
  uint32_t flags; /* HELIX_UNIT_* */
};
#define HELIX_UNIT_KEY (1u << 0)     /* decoding can start here */
#define HELIX_UNIT_DISCONT (1u << 1) /* does not continue the unit before */

/* Asks for a keyframe. */
struct helix_keyframe {
  uint32_t reason; /* HELIX_KEYFRAME_* */
  uint32_t reserved;
  uint64_t last_sequence; /* last unit received whole, or HELIX_NONE64 */
};
#define HELIX_KEYFRAME_ASKED 0u /* the application wants one */
#define HELIX_KEYFRAME_JOIN 1u  /* nothing received yet */
#define HELIX_KEYFRAME_GAP 2u   /* units were lost */

/* Tells what the guest wants. Only the fields named in `fields` count. */
struct helix_config {
  uint32_t fields;             /* HELIX_CONFIG_* */
  uint32_t bitrate;            /* bit/s */
  uint32_t rate_num, rate_den; /* highest framerate, 0/1 = no limit */
  uint32_t scanout;            /* index */
  uint32_t resource_id;        /* virtio-gpu resource, 0 = the scanout again */
};
#define HELIX_CONFIG_BITRATE (1u << 0)
#define HELIX_CONFIG_RATE (1u << 1)
#define HELIX_CONFIG_SCANOUT (1u << 2)
#define HELIX_CONFIG_RESOURCE (1u << 3)

/* What arrived, since HELLO; about once a second while units flow. */
struct helix_stats {
  uint64_t units, bytes, keyframes;
  uint64_t lost;          /* sequence numbers that never came */
  uint64_t last_sequence; /* or HELIX_NONE64 */
  uint64_t latency_ns;    /* capture -> received, recent median, or NONE64 */
};

#endif /* HELIX_PROTOCOL_H */
