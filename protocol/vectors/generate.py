#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the test vectors of this folder and their index.

It shares no code with helix-pack.c: both were written from the specification,
so that the tests, which compare them, prove something.

  generate.py           write the files
  generate.py --check   exit 1 if a file is not what would be written
"""

import pathlib
import sys

# No cache of the other file in the source tree.
sys.dont_write_bytecode = True
from messages import (  # noqa: E402
    AR24, CHALLENGE, NONE32, NONE64, NV12, Message, caps, client, cursor,
    frame, hello, proof, simple, texted, unit, welcome)

HERE = pathlib.Path(__file__).resolve().parent


def valid():
    """(file, what it is, pack writes the same bytes, message)"""
    yield "ping-bare", "The 12 bytes that prove a hop alive.", True, \
        Message("PING")
    yield "ping-bare-channel", "A bare PING whose channel PONG must echo.", \
        True, Message("PING", 7)
    yield "ping-stamped", "PING with the sender's time.", True, simple("PING")
    yield "ping-flags", "Flags of the header are ignored.", False, \
        Message("PING", flags=0xA5)
    yield "pong-bare", "Answer to ping-bare-channel.", True, Message("PONG", 7)
    yield "pong-stamped", "Answer to ping-stamped.", True, simple("PONG")
    yield "hello-frames", "A client of the frame protocol.", True, \
        hello(name=b"helixqemusrc 0.1.0")
    yield "hello-stream", "A client of the stream protocol.", True, \
        hello(name=b"helixsrc 0.1.0", role=2, features=0)
    yield "hello-proof", "One that has a token and can prove it.", True, \
        hello(name=b"helixsrc 0.1.0", role=2, features=2)
    yield "hello-token", "An older one, with its token in the clear.", False, \
        hello(b"s3cret", b"helixsrc 0.1.0", role=2, features=0)
    yield "hello-short", "No name.", True, hello()
    yield "hello-longest", "A name of 128 bytes.", True, hello(name=b"n" * 128)
    yield "hello-longest-token", "Token and name of 128 bytes each.", False, \
        hello(b"t" * 128, b"n" * 128)
    yield "hello-tail", "A later version's fields follow and are ignored.", \
        False, hello(name=b"later").raw(b"\1\2\3\4", "ignored")
    yield "hello-versions", "Versions 1 to 9 spoken, unknown feature bits.", \
        True, hello(version_max=9, features=0xFFFFFFFF)
    yield "welcome-frames", "Answer to hello-frames.", True, \
        welcome(b"helix-shim 0.1.0")
    yield "welcome-stream", "Answer to hello-stream.", True, \
        welcome(b"helixguestsink 0.1.0", scanouts=0, role=2, features=0)
    asks = dict(scanouts=0, role=2, features=2, pid=0)
    yield "welcome-proof", "Answer to hello-proof.", True, \
        welcome(b"helixguestsink 0.1.0", CHALLENGE, **asks)
    yield "welcome-proof-longest", "A name of 128 bytes and a challenge.", \
        True, welcome(b"n" * 128, CHALLENGE, **asks)
    yield "welcome-proof-tail", "A later version's fields are ignored.", \
        False, welcome(b"later", CHALLENGE, **asks).raw(b"\1\2", "ignored")
    yield "welcome-tail", "The same without a challenge.", False, \
        welcome(b"later").raw(CHALLENGE, "ignored")
    yield "proof-client", "Answer to welcome-proof.", True, \
        proof(b"helix client")
    yield "proof-server", "Answer to proof-client: the session is open.", \
        True, proof(b"helix server")
    yield "proof-tail", "A later version's fields follow and are ignored.", \
        False, proof(b"helix client").raw(b"\1\2\3\4", "ignored")
    yield "bye-closing", "An orderly end, no text.", True, simple("BYE")
    yield "bye-eos", "End of stream, with a sentence.", True, \
        texted(simple("BYE", reason=1), b"the pipeline ended")
    yield "error-no-scanout", "Answer to a SUBSCRIBE on channel 3.", True, \
        texted(simple("ERROR", 3), b"scanout 99 does not exist: 0 to 1 do")
    yield "error-bare", "No text, no type at fault.", True, \
        simple("ERROR", code=12, refers=0)
    yield "error-unknown-code", "A code of a later version.", True, \
        simple("ERROR", code=1000)
    yield "error-longest", "480 bytes of text.", True, \
        texted(simple("ERROR"), b"e" * 480)
    yield "error-too-long", "Text beyond 480 bytes is ignored.", False, \
        texted(simple("ERROR"), b"e" * 500)
    yield "error-hostile-text", \
        "Decodes to 'a?[31m b ?? ?\u00e9 ?': controls, invalid UTF-8 and a " \
        "bidirectional override become '?', line breaks become spaces.", \
        False, texted(simple("ERROR"),
                      b"a\x1b[31m\nb \xff\xc0 \x00\xc3\xa9 \xe2\x80\xae")
    yield "hello-control", "Steers and asks on the stream leg, no video.", \
        True, hello(name=b"helix 0.1.0", role=3, features=0)
    yield "welcome-control", "Answer to hello-control.", True, \
        welcome(b"helixguestsink 0.1.0", scanouts=0, role=3, features=0)
    yield "list", "How goes it, and who is here?", True, Message("LIST")
    yield "status-shim", "A shim's answer; two CLIENTs follow.", True, \
        texted(simple("STATUS"), b"0: 1920x1080, 1: off")
    yield "status-stream", "A helixguestsink's, before the first unit.", \
        True, simple("STATUS", frames=0, bytes=0, dropped=0, keyframes=0,
                     last_ns=NONE64, clients=0)
    yield "status-longest", "480 bytes of text.", True, \
        texted(simple("STATUS", keyframes=3, width=1920, height=1080),
               b"s" * 480)
    yield "status-encoder", "A helixguestsink's whose encoder looks ahead.", \
        True, texted(simple("STATUS", keyframes=3, width=1920, height=1080,
                            encode_us=760000),
                     b"x264enc, H.264 high 1920x1080")
    yield "status-too-long", "Text beyond 480 bytes is ignored.", False, \
        texted(simple("STATUS"), b"s" * 500)
    yield "client-you", "The asker, a client of a shim.", True, \
        client(b"helixqemusrc 0.1.0")
    yield "client-stream", "A guest that reports what arrives; no name.", \
        True, client(index=1, flags=0, pid=0, role=2, scanout=NONE32,
                     received=3598, latency_ns=21000000)
    yield "client-longest", "A name of 128 bytes.", True, client(b"n" * 128)
    yield "client-tail", "A later version's fields follow and are ignored.", \
        False, client(b"later").raw(bytes(8), "ignored")
    yield "cursor-shape", "Visible, 3 x 2 pixels follow.", True, \
        cursor(bytes(range(24)), flags=3)
    yield "cursor-moved", "The shape is known; partly outside, at -5, -7.", \
        True, cursor(x=NONE32 - 4, y=NONE32 - 6)
    yield "cursor-hidden", "The same shape, not shown.", True, \
        cursor(flags=0)
    yield "cursor-hidden-shape", "Hidden, and its shape is new.", True, \
        cursor(bytes(24), flags=2)
    yield "cursor-none", "There was no shape yet.", True, \
        cursor(flags=0, x=0, y=0, serial=0, width=0, height=0, hot_x=0,
               hot_y=0, changed_ns=0)
    yield "cursor-widest", "256 x 1, the hot spot at its end.", True, \
        cursor(flags=0x80000001, width=256, height=1, hot_x=255, hot_y=0)
    yield "cursor-stream", "On the stream leg: channel 0.", True, \
        cursor(bytes(4), 0, flags=3, width=1, height=1, hot_x=0, hot_y=0)
    yield "show", "Resource 33, captured then.", True, simple("SHOW", 3)
    yield "show-now", "On the stream leg, captured now.", True, \
        simple("SHOW", capture_ns=NONE64)
    yield "set-scanout-on", "Scanout 1 at 1280 x 720, 60 Hz.", True, \
        simple("SET_SCANOUT")
    yield "set-scanout-far", "A scanout that no VM has: no-scanout.", True, \
        simple("SET_SCANOUT", scanout=16)
    yield "set-scanout-off", "Scanout 15 is unplugged.", True, \
        simple("SET_SCANOUT", scanout=15, width=0, height=0, refresh=0)
    yield "set-scanout-largest", "16384 x 16384.", True, \
        simple("SET_SCANOUT", scanout=0, width=16384, height=16384)
    yield "subscribe-cursor", "Scanout 0 and its cursor.", True, \
        simple("SUBSCRIBE", 3, scanout=0, flags=2)
    yield "subscribe-scanout", "Scanout 1, at most 60 a second.", True, \
        simple("SUBSCRIBE", 3)
    yield "subscribe-far", "A scanout that no VM has: no-scanout.", True, \
        simple("SUBSCRIBE", 3, scanout=99)
    yield "subscribe-resource", "Resource 33, every frame.", \
        True, simple("SUBSCRIBE", 65535, scanout=NONE32, resource_id=33,
                     rate_num=0, slots=0)
    yield "subscribe-inline", "Of an earlier version: unsupported.", \
        True, simple("SUBSCRIBE", 3, flags=1)
    yield "unsubscribe", "Ends the subscription of channel 3.", True, \
        Message("UNSUBSCRIBE", 3)
    yield "scanout-enabled", "Shows resource 33.", True, simple("SCANOUT", 3)
    yield "scanout-largest", "16384 x 16384 of scanout 15.", True, \
        simple("SCANOUT", scanout=15, width=16384, height=16384, fourcc=AR24)
    yield "scanout-off", "Shows nothing.", True, \
        simple("SCANOUT", flags=0, resource_id=0, width=0, height=0, fourcc=0)
    yield "scanout-resource", "State of a resource subscription.", True, \
        simple("SCANOUT", 3, scanout=NONE32)
    yield "pool-sealed", "Comes with one descriptor of a sealed memfd.", \
        True, simple("POOL", 3)
    yield "pool-file", "Comes with one descriptor, no seals.", True, \
        simple("POOL", 3, kind=2, slots=2, total_size=16588800)
    yield "pool-largest", "8 slots of 256 MiB.", True, \
        simple("POOL", 3, slots=8, slot_size=1 << 28, total_size=1 << 31)
    yield "frame-whole", "Everything changed; pixels in the slot.", True, \
        frame()
    yield "frame-damage", "Two rectangles, one of them at the corner.", True, \
        frame([(0, 0, 64, 64), (1919, 1079, 1, 1)])
    yield "frame-most-rects", "32 rectangles.", True, \
        frame([(i * 16, i, 16, 16) for i in range(32)])
    yield "frame-largest", "256 MiB exactly.", True, \
        frame(width=16384, height=4096, stride=65536)
    yield "frame-resource", "Of a resource; its flags are ignored.", True, \
        frame(scanout=NONE32, flags=1, fourcc=AR24)
    yield "frame-tail", "A later version's fields follow and are ignored.", \
        False, frame([(0, 0, 64, 64)]).raw(bytes(8), "ignored")
    yield "release", "Slot 2 of pool 9 is a credit again.", True, \
        simple("RELEASE", 3)
    yield "caps-h264", "H.264, 1080p60.", True, \
        caps(b"constrained-baseline", b"4.2", b"bt709")
    yield "caps-jpeg", "Nothing but what is required.", True, \
        caps(codec=6, rate_num=0)
    yield "caps-longest", "Strings that leave room for their NUL only.", \
        True, caps(b"p" * 31, b"l" * 15, b"c" * 31)
    yield "unit-key", "Decoding can start here.", True, unit()
    yield "unit-bare", "One byte of data; dts, duration, capture untold.", \
        True, unit(b"\0", sequence=0, running_time=0, dts=NONE64,
                   duration=NONE64, capture_ns=NONE64, flags=2)
    yield "keyframe-gap", "Units after 99 were lost.", True, \
        simple("KEYFRAME")
    yield "keyframe-join", "Nothing received yet.", True, \
        simple("KEYFRAME", reason=1, last_sequence=NONE64)
    yield "config-all", "All four fields.", True, simple("CONFIG")
    yield "config-far", "A scanout that no VM has: no-scanout.", True, \
        simple("CONFIG", fields=4, scanout=NONE32 - 1)
    yield "config-bitrate", "Only the bitrate counts.", True, \
        simple("CONFIG", fields=1, rate_num=0, rate_den=0, scanout=0)
    yield "config-nothing", "No field at all.", True, \
        simple("CONFIG", fields=0, bitrate=0, rate_num=0, rate_den=0,
               scanout=0)
    yield "stats", "A report.", True, simple("STATS")
    yield "stats-tail", "A later version's counters follow.", False, \
        simple("STATS").raw(bytes(16), "ignored")
    yield "unknown-type", "Skipped, and answered by ERROR 6 (unsupported).", \
        False, Message("PING", 5, type_=0x60).raw(b"later", "payload")
    yield "old-dialect", "A reserved type: likewise.", False, \
        Message("PING", type_=0x01).raw(bytes(44), "payload")


def invalid():
    """(file, stage, sentence, message)"""
    def header(file, why, message):
        return file, "header", why, message

    def payload(file, why, message):
        return file, "payload", why, message

    yield header("magic", "header: magic is not HXFR",
                 Message("PING", magic=b"HXFS"))
    yield header("magic-http", "header: magic is not HXFR",
                 Message("PING", magic=b"GET "))
    yield header("control-too-large",
                 "header: size of a control message is above 4096 bytes",
                 Message("PING", size=4097))
    yield header("unknown-too-large",
                 "header: size of a control message is above 4096 bytes",
                 Message("PING", type_=0x60, size=NONE32))
    yield header("unit-too-large",
                 "header: size of a UNIT is above 64 MiB of data",
                 Message("UNIT", size=56 + (64 << 20) + 1))
    yield header("cursor-too-large",
                 "header: size of a CURSOR is above 256 KiB of pixels",
                 Message("CURSOR", size=48 + (256 << 10) + 1))
    yield header("cursor-short", "CURSOR: payload is shorter than 48 bytes",
                 cursor().cut(47))
    yield header("unit-short", "UNIT: payload is shorter than 56 bytes",
                 unit(b"").cut(55))
    yield header("unit-empty", "UNIT: no data follows", unit(b""))

    yield payload("ping-short", "PING: payload is neither empty nor 8 bytes",
                  simple("PING").cut(7))
    yield payload("pong-short", "PONG: payload is neither empty nor 24 bytes",
                  simple("PONG").cut(23))
    for kind, size in (("HELLO", 32), ("WELCOME", 32), ("ERROR", 8),
                       ("BYE", 4), ("SUBSCRIBE", 24), ("SCANOUT", 32),
                       ("POOL", 32), ("FRAME", 72), ("RELEASE", 8),
                       ("KEYFRAME", 16),
                       ("CONFIG", 24), ("STATS", 48), ("STATUS", 64),
                       ("CLIENT", 80), ("SHOW", 16), ("SET_SCANOUT", 16)):
        yield payload(kind.lower().replace("_", "-") + "-short",
                      "%s: payload is shorter than %d bytes" % (kind, size),
                      simple(kind).cut(size - 1))
    yield payload("caps-short", "CAPS: payload is shorter than 112 bytes",
                  caps().cut(111))

    yield payload("hello-version-zero", "HELLO: version_min is 0",
                  hello(version_min=0))
    yield payload("hello-versions-swapped",
                  "HELLO: version_min is above version_max",
                  hello(version_min=2))
    yield payload("hello-role", "HELLO: role is 0", hello(role=0))
    yield payload("hello-token", "HELLO: token_size is above 128 bytes",
                  hello(b"t" * 129))
    yield payload("hello-name", "HELLO: name_size is above 128 bytes",
                  hello(b"", b"n" * 129))
    yield payload(
        "hello-sizes",
        "HELLO: token_size and name_size are more than the payload holds",
        hello(b"token", b"name", name_size=5))
    yield payload("welcome-version", "WELCOME: version is 0",
                  welcome(version=0))
    yield payload("welcome-role", "WELCOME: role is 0", welcome(role=0))
    yield payload("welcome-scanouts", "WELCOME: scanouts is above 16",
                  welcome(scanouts=17))
    yield payload("welcome-no-scanouts",
                  "WELCOME: scanouts is 0 in the frame protocol",
                  welcome(scanouts=0))
    yield payload("welcome-stream-scanouts",
                  "WELCOME: scanouts is not 0 in the stream protocol",
                  welcome(role=2))
    yield payload("welcome-name", "WELCOME: name_size is above 128 bytes",
                  welcome(b"n" * 129))
    yield payload("welcome-size",
                  "WELCOME: name_size is more than the payload holds",
                  welcome(b"name", name_size=5))
    lacks = "WELCOME: feature PROOF is set, but no 32 bytes of challenge follow"
    asks = dict(scanouts=0, role=2, features=2)
    yield payload("welcome-proof-none", lacks, welcome(b"name", **asks))
    yield payload("welcome-proof-short", lacks,
                  welcome(b"name", CHALLENGE[:31], **asks))
    yield payload("proof-short", "PROOF: payload is shorter than 32 bytes",
                  proof(b"helix client").cut(31))
    yield payload("proof-empty", "PROOF: payload is shorter than 32 bytes",
                  Message("PROOF"))
    yield payload("error-code", "ERROR: code is 0", simple("ERROR", code=0))

    yield payload("client-name", "CLIENT: name_size is above 128 bytes",
                  client(b"n" * 129))
    yield payload("client-size",
                  "CLIENT: name_size is more than the payload holds",
                  client(b"name", name_size=5))
    for scanout in (16, NONE32):
        yield payload("cursor-scanout-%x" % scanout,
                      "CURSOR: scanout is above 15", cursor(scanout=scanout))
    for name in ("width", "height"):
        yield payload("cursor-" + name, "CURSOR: width or height is above 256",
                      cursor(**{name: 257}))
        yield payload("cursor-%s-0" % name,
                      "CURSOR: only one of width and height is 0",
                      cursor(**{name: 0}))
    outside = "CURSOR: the hot spot is outside of the shape"
    yield payload("cursor-hot-x", outside, cursor(hot_x=3))
    yield payload("cursor-hot-y", outside, cursor(hot_y=NONE32))
    lacks = "CURSOR: a shape without pixels or without a serial"
    yield payload("cursor-shape-empty", lacks,
                  cursor(flags=3, width=0, height=0, hot_x=0, hot_y=0))
    yield payload("cursor-shape-serial", lacks,
                  cursor(bytes(24), flags=3, serial=0))
    follow = "CURSOR: pixels that follow are not width * height * 4 bytes"
    for size in (0, 23, 25):
        yield payload("cursor-pixels-%d" % size, follow,
                      cursor(bytes(size), flags=3))
    yield payload("cursor-pixels-surplus",
                  "CURSOR: pixels follow, and no shape is announced",
                  cursor(bytes(24)))
    yield payload("show-resource", "SHOW: resource_id is 0",
                  simple("SHOW", 3, resource_id=0))
    for name in ("width", "height"):
        yield payload("set-scanout-%s-0" % name,
                      "SET_SCANOUT: only one of width and height is 0",
                      simple("SET_SCANOUT", **{name: 0}))
        for value in (16385, NONE32):
            yield payload("set-scanout-%s-%x" % (name, value),
                          "SET_SCANOUT: width or height is above 16384",
                          simple("SET_SCANOUT", **{name: value}))

    both = "SUBSCRIBE: not exactly one of scanout and resource_id is given"
    yield payload("subscribe-both", both,
                  simple("SUBSCRIBE", 3, resource_id=33))
    yield payload("subscribe-neither", both,
                  simple("SUBSCRIBE", 3, scanout=NONE32))
    yield payload("subscribe-rate", "SUBSCRIBE: rate_den is 0",
                  simple("SUBSCRIBE", 3, rate_den=0))
    for slots in (1, 9, NONE32):
        yield payload("subscribe-slots-%x" % slots,
                      "SUBSCRIBE: slots is neither 0 nor 2 to 8",
                      simple("SUBSCRIBE", 3, slots=slots))

    for scanout in (16, 255, NONE32 - 1):
        yield payload("scanout-index-%x" % scanout,
                      "SCANOUT: scanout is above 15",
                      simple("SCANOUT", scanout=scanout))
    for name in ("width", "height"):
        for value in (0, 16385, NONE32):
            yield payload("scanout-%s-%x" % (name, value),
                          "SCANOUT: %s is not 1 to 16384" % name,
                          simple("SCANOUT", **{name: value}))
            yield payload("frame-%s-%x" % (name, value),
                          "FRAME: %s is not 1 to 16384" % name,
                          frame(**{name: value}))
        yield payload("caps-%s" % name, "CAPS: %s is not 1 to 16384" % name,
                      caps(**{name: 0}))
    yield payload("scanout-fourcc", "SCANOUT: fourcc is not known",
                  simple("SCANOUT", fourcc=NV12))
    yield payload(
        "scanout-off-size",
        "SCANOUT: width, height or fourcc is not 0 though it is off",
        simple("SCANOUT", flags=0, resource_id=0))

    yield payload("pool-id", "POOL: pool_id is 0", simple("POOL", pool_id=0))
    for kind in (0, 3):
        yield payload("pool-kind-%d" % kind, "POOL: kind is not known",
                      simple("POOL", kind=kind))
    for slots in (0, 1, 9):
        yield payload("pool-slots-%d" % slots, "POOL: slots is not 2 to 8",
                      simple("POOL", slots=slots,
                             total_size=slots * 8294400))
    yield payload("pool-slot-size-zero", "POOL: slot_size is 0",
                  simple("POOL", slot_size=0, total_size=0))
    yield payload("pool-slot-size-large", "POOL: slot_size is above 256 MiB",
                  simple("POOL", slot_size=(1 << 28) + 4096,
                         total_size=3 * ((1 << 28) + 4096)))
    yield payload("pool-slot-size-wraps", "POOL: slot_size is above 256 MiB",
                  simple("POOL", slots=2, slot_size=1 << 63, total_size=0))
    yield payload("pool-slot-size-odd",
                  "POOL: slot_size is not a multiple of 4096 bytes",
                  simple("POOL", slot_size=8294401, total_size=24883203))
    yield payload("pool-total", "POOL: total_size is not slots * slot_size",
                  simple("POOL", total_size=24883200 - 4096))

    yield payload("frame-sequence", "FRAME: sequence is 0", frame(sequence=0))
    yield payload("frame-scanout", "FRAME: scanout is above 15",
                  frame(scanout=16))
    yield payload("frame-pool", "FRAME: pool_id is 0", frame(pool_id=0))
    yield payload("frame-slot", "FRAME: slot is above 7", frame(slot=8))
    yield payload("frame-stride-odd",
                  "FRAME: stride is not a multiple of 4 bytes",
                  frame(stride=7682))
    small = "FRAME: stride is smaller than width * 4 bytes"
    yield payload("frame-stride-small", small, frame(stride=7676))
    yield payload("frame-stride-zero", small, frame(stride=0))
    large = "FRAME: stride * height is above 256 MiB"
    yield payload("frame-bytes", large,
                  frame(width=16384, height=4097, stride=65536))
    yield payload("frame-bytes-pixel", large,
                  frame(width=16384, height=4096, stride=65540))
    yield payload("frame-bytes-wraps", large,
                  frame(height=4, stride=0x40000000))
    yield payload("frame-fourcc", "FRAME: fourcc is not known",
                  frame(fourcc=NV12))
    yield payload("frame-rects-many", "FRAME: rects is above 32",
                  frame([(0, 0, 1, 1)] * 33))
    yield payload("frame-rects-wrap", "FRAME: rects is above 32",
                  frame(rects=0x10000000))
    number_of = "FRAME: rects is more rectangles than follow"
    yield payload("frame-rects-missing", number_of, frame(rects=1))
    yield payload("frame-rects-cut", number_of,
                  frame([(0, 0, 1, 1)] * 2).cut(72 + 31))
    empty = "FRAME: width or height of a rectangle is 0"
    yield payload("frame-rect-width-zero", empty, frame([(0, 0, 0, 1)]))
    yield payload("frame-rect-height-zero", empty, frame([(0, 0, 1, 0)]))
    beyond = "FRAME: a rectangle reaches beyond the frame"
    yield payload("frame-rect-right", beyond, frame([(1919, 0, 2, 1)]))
    yield payload("frame-rect-bottom", beyond,
                  frame([(0, 0, 1, 1), (0, 1080, 1, 1)]))
    yield payload("frame-rect-wraps", beyond,
                  frame([(0xFFFFFFFF, 0, 2, 1)]))

    yield payload("release-pool", "RELEASE: pool_id is 0",
                  simple("RELEASE", 3, pool_id=0))
    yield payload("release-slot", "RELEASE: slot is above 7",
                  simple("RELEASE", 3, slot=8))

    yield payload("caps-id", "CAPS: caps_id is 0", caps(caps_id=0))
    for codec in (0, 7):
        yield payload("caps-codec-%d" % codec, "CAPS: codec is not known",
                      caps(codec=codec))
    yield payload("caps-rate", "CAPS: rate_den is 0", caps(rate_den=0))
    for name in ("par_num", "par_den"):
        yield payload("caps-" + name.replace("_", "-"),
                      "CAPS: par_num or par_den is 0", caps(**{name: 0}))
    ends = "CAPS: profile, level or colorimetry has no NUL at its end"
    yield payload("caps-profile", ends, caps(profile=b"p" * 32))
    yield payload("caps-level", ends, caps(level=b"l" * 16))
    yield payload("caps-colorimetry", ends, caps(colorimetry=b"c" * 32))
    yield payload("unit-sequence", "UNIT: sequence is no number",
                  unit(sequence=NONE64))
    yield payload("unit-running-time", "UNIT: running_time is no time",
                  unit(running_time=NONE64))
    yield payload("unit-caps", "UNIT: caps_id is 0", unit(caps_id=0))
    yield payload("config-bitrate", "CONFIG: bitrate is 0",
                  simple("CONFIG", bitrate=0))
    yield payload("config-rate", "CONFIG: rate_den is 0",
                  simple("CONFIG", rate_den=0))


def files():
    index = ["# file\tresult\tstage\tcanonical\tsentence"]
    for name, what, canonical, message in valid():
        text = ["# %s: %s" % (message.kind if message.type is None
                              else "type 0x%02x" % message.type, what),
                "# result: valid"]
        yield "valid/%s.hex" % name, text + list(message.lines())
        index.append("valid/%s.hex\tvalid\t-\t%s\t-"
                     % (name, "yes" if canonical else "no"))
    for name, stage, sentence, message in invalid():
        text = ["# malformed %s" % message.kind,
                "# result: invalid, known from its %s on: %s"
                % (stage, sentence)]
        yield "invalid/%s.hex" % name, text + list(message.lines())
        index.append("invalid/%s.hex\tinvalid\t%s\tno\t%s"
                     % (name, stage, sentence))
    yield "index.tsv", index


def main():
    check = "--check" in sys.argv[1:]
    wanted, wrong = set(), []
    for name, lines in files():
        path = HERE / name
        assert path not in wanted, name
        wanted.add(path)
        text = "".join(line.rstrip() + "\n" for line in lines)
        if check:
            if not path.exists() or path.read_text("utf-8") != text:
                wrong.append("%s: is not what generate.py writes" % name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    for path in sorted(HERE.glob("*/*.hex")):
        if path not in wanted:
            wrong.append("%s: generate.py knows no such file"
                         % path.relative_to(HERE))
    print("\n".join(wrong) if wrong else "%d files" % len(wanted))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
