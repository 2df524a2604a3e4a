#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the test vectors of this folder and their index.

It shares no code with helix-pack.c: both were written from the specification,
so that the tests, which compare them, prove something.

  generate.py           write the files
  generate.py --check   exit 1 if a file is not what would be written
"""

import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
NONE32 = 0xFFFFFFFF
NONE64 = 0xFFFFFFFFFFFFFFFF

TYPES = {
    "PING": 0x10, "PONG": 0x11, "HELLO": 0x40, "WELCOME": 0x41, "BYE": 0x42,
    "ERROR": 0xFF, "SUBSCRIBE": 0x50, "UNSUBSCRIBE": 0x51, "SCANOUT": 0x52,
    "POOL": 0x53, "FRAME": 0x54, "RELEASE": 0x55, "CAPS": 0x70, "UNIT": 0x71,
    "KEYFRAME": 0x72, "CONFIG": 0x73, "STATS": 0x74,
}

# name:width in bytes, in the order of the wire
FIELDS = {
    "PING": "sent_ns:8",
    "PONG": "ping_ns:8 received_ns:8 sent_ns:8",
    "HELLO": "version_min:2 version_max:2 role:4 features:4 pid:4 nonce:8 "
             "token_size:2 name_size:2 reserved:4",
    "WELCOME": "version:2 scanouts:2 role:4 features:4 pid:4 nonce:8 "
               "name_size:2 reserved0:2 reserved1:4",
    "BYE": "reason:4",
    "ERROR": "code:4 refers:4",
    "SUBSCRIBE": "scanout:4 resource_id:4 rate_num:4 rate_den:4 slots:4 "
                 "flags:4",
    "UNSUBSCRIBE": "",
    "SCANOUT": "scanout:4 flags:4 generation:4 resource_id:4 width:4 "
               "height:4 fourcc:4 reserved:4",
    "POOL": "pool_id:4 kind:4 slots:4 reserved:4 slot_size:8 total_size:8",
    "FRAME": "sequence:8 capture_ns:8 scanout:4 resource_id:4 generation:4 "
             "pool_id:4 slot:4 flags:4 width:4 height:4 stride:4 fourcc:4 "
             "rects:4 readback_ns:4 wait_ns:4 read_bytes:4",
    "RECT": "x:4 y:4 width:4 height:4",
    "RELEASE": "pool_id:4 slot:4",
    "CAPS": "caps_id:4 codec:4 width:4 height:4 rate_num:4 rate_den:4 "
            "par_num:4 par_den:4",
    "UNIT": "sequence:8 running_time:8 dts:8 duration:8 capture_ns:8 "
            "sent_ns:8 caps_id:4 flags:4",
    "KEYFRAME": "reason:4 reserved:4 last_sequence:8",
    "CONFIG": "fields:4 bitrate:4 rate_num:4 rate_den:4 scanout:4 "
              "resource_id:4",
    "STATS": "units:8 bytes:8 keyframes:8 lost:8 last_sequence:8 "
             "latency_ns:8",
}

XR24 = struct.unpack("<I", b"XR24")[0]
AR24 = struct.unpack("<I", b"AR24")[0]
NV12 = struct.unpack("<I", b"NV12")[0]

DEFAULTS = {
    "PING": dict(sent_ns=1000000001),
    "PONG": dict(ping_ns=1000000001, received_ns=5000000002,
                 sent_ns=5000000003),
    "HELLO": dict(version_min=1, version_max=1, role=1, features=1, pid=4242,
                  nonce=0x0123456789ABCDEF),
    "WELCOME": dict(version=1, scanouts=2, role=1, features=1, pid=77,
                    nonce=0x0123456789ABCDEF),
    "BYE": dict(reason=0),
    "ERROR": dict(code=7, refers=0x50),
    "SUBSCRIBE": dict(scanout=1, resource_id=0, rate_num=60, rate_den=1,
                      slots=3, flags=0),
    "UNSUBSCRIBE": {},
    "SCANOUT": dict(scanout=1, flags=1, generation=5, resource_id=33,
                    width=1920, height=1080, fourcc=XR24),
    "POOL": dict(pool_id=9, kind=1, slots=3, slot_size=8294400,
                 total_size=24883200),
    "FRAME": dict(sequence=12, capture_ns=123456789012345, scanout=1,
                  resource_id=33, generation=5, pool_id=9, slot=2, flags=0,
                  width=1920, height=1080, stride=7680, fourcc=XR24, rects=0,
                  readback_ns=250000, wait_ns=0, read_bytes=8294400),
    "RELEASE": dict(pool_id=9, slot=2),
    "CAPS": dict(caps_id=1, codec=1, width=1920, height=1080, rate_num=60,
                 rate_den=1, par_num=1, par_den=1),
    "UNIT": dict(sequence=100, running_time=2000000000, dts=1983333334,
                 duration=16666666, capture_ns=123456789012345,
                 sent_ns=123456799012345, caps_id=1, flags=1),
    "KEYFRAME": dict(reason=2, last_sequence=99),
    "CONFIG": dict(fields=15, bitrate=8000000, rate_num=30, rate_den=1,
                   scanout=2, resource_id=0),
    "STATS": dict(units=600, bytes=5000000, keyframes=3, lost=1,
                  last_sequence=699, latency_ns=7500000),
}


def number(name, value):
    if name in ("nonce", "fourcc"):
        text = "0x%x" % value
        if name == "fourcc" and value:
            text += ' ("%s")' % struct.pack("<I", value).decode("ascii")
        return text
    if value in (NONE32, NONE64):
        return "none"
    return str(value)


class Message:
    """Bytes with a note each, and what the header says of them."""

    def __init__(self, kind, channel=0, flags=0, size=None, magic=b"HXFR",
                 type_=None):
        self.kind, self.channel, self.flags = kind, channel, flags
        self.size, self.magic, self.type = size, magic, type_
        self.parts = []

    def raw(self, data, note):
        self.parts.append((bytes(data), note))
        return self

    def fields(self, **over):
        return self.record(self.kind, over)

    def record(self, name_of, over):
        values = dict(DEFAULTS.get(name_of, {}), **over)
        for item in FIELDS[name_of].split():
            name, width = item.split(":")
            value = values.pop(name, 0)
            self.raw(value.to_bytes(int(width), "little"),
                     "%s = %s" % (name, number(name, value)))
        assert not values, values
        return self

    def cut(self, size):
        """Keeps `size` bytes of payload; the header says so, too."""
        kept, left = [], size
        for data, note in self.parts:
            if left > 0:
                kept.append((data[:left],
                             note if len(data) <= left else note + ", cut"))
                left -= len(data)
        self.parts = kept
        return self

    def lines(self):
        payload = sum(len(data) for data, _ in self.parts)
        size = payload if self.size is None else self.size
        type_ = TYPES[self.kind] if self.type is None else self.type
        head = [(self.magic, 'magic = "%s"' % self.magic.decode("ascii")),
                (bytes([type_]), "type = 0x%02x" % type_),
                (bytes([self.flags]), "flags = %d" % self.flags),
                (struct.pack("<H", self.channel),
                 "channel = %d" % self.channel),
                (struct.pack("<I", size), "size = %d" % size)]
        at = 0
        for data, note in head + self.parts:
            for i in range(0, max(len(data), 1), 16):
                piece = data[i:i + 16]
                text = " ".join("%02x" % b for b in piece)
                if i == 0:
                    yield "%-48s# %4d %s" % (text, at, note)
                elif piece:
                    yield text
            at += len(data)


def simple(message, channel=0, **over):
    return Message(message, channel).fields(**over)


def texted(message, text, note="text"):
    return message.raw(text, note)


def hello(token=b"", name=b"", **over):
    sizes = dict(token_size=len(token), name_size=len(name))
    sizes.update(over)
    message = Message("HELLO").fields(**sizes)
    if token:
        message.raw(token, "token")
    if name:
        message.raw(name, "name")
    return message


def welcome(name=b"", **over):
    sizes = dict(name_size=len(name))
    sizes.update(over)
    message = Message("WELCOME").fields(**sizes)
    return message.raw(name, "name") if name else message


def frame(boxes=(), pixels=b"", channel=3, **over):
    values = dict(rects=len(boxes))
    values.update(over)
    message = Message("FRAME", channel).fields(**values)
    for x, y, width, height in boxes:
        message.record("RECT", dict(x=x, y=y, width=width,
                                    height=height))
    return message.raw(pixels, "pixels") if pixels else message


def caps(profile=b"", level=b"", colorimetry=b"", **over):
    message = Message("CAPS").fields(**over)
    for name, value, room in (("profile", profile, 32), ("level", level, 16),
                              ("colorimetry", colorimetry, 32)):
        message.raw(value.ljust(room, b"\0"),
                    '%s = "%s"' % (name, value.rstrip(b"\0").decode()))
    return message


def unit(data=b"\0\0\0\1\x65\x88\x84", **over):
    message = Message("UNIT").fields(**over)
    return message.raw(data, "data") if data else message


SMALL = dict(width=2, height=2, stride=8, read_bytes=16)


def valid():
    """(file, what it is, pack writes the same bytes, message)"""
    yield "ping-bare", "The 12 bytes that prove a hop alive.", True, \
        Message("PING")
    yield "ping-bare-channel", "A bare PING whose channel PONG must echo.", \
        False, Message("PING", 7)
    yield "ping-stamped", "PING with the sender's time.", True, simple("PING")
    yield "ping-flags", "Flags of the header are ignored.", False, \
        Message("PING", flags=0xA5)
    yield "pong-bare", "Answer to ping-bare-channel.", True, Message("PONG", 7)
    yield "pong-stamped", "Answer to ping-stamped.", True, simple("PONG")
    yield "hello-frames", "A client of the frame protocol.", True, \
        hello(name=b"helixqemusrc 0.1.0")
    yield "hello-stream", "A client of the stream protocol, with a token.", \
        True, hello(b"s3cret", b"helixsrc 0.1.0", role=2, features=0)
    yield "hello-short", "Neither token nor name.", True, hello()
    yield "hello-longest", "Token and name of 128 bytes each.", True, \
        hello(b"t" * 128, b"n" * 128)
    yield "hello-tail", "A later version's fields follow and are ignored.", \
        False, hello(b"tok", b"later").raw(b"\1\2\3\4", "ignored")
    yield "hello-versions", "Versions 1 to 9 spoken, unknown feature bits.", \
        True, hello(version_max=9, features=0xFFFFFFFF)
    yield "welcome-frames", "Answer to hello-frames.", True, \
        welcome(b"helix-shim 0.1.0")
    yield "welcome-stream", "Answer to hello-stream.", True, \
        welcome(b"helixguestsink 0.1.0", scanouts=0, role=2, features=0)
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
    yield "subscribe-scanout", "Scanout 1, at most 60 a second.", True, \
        simple("SUBSCRIBE", 3)
    yield "subscribe-resource", "Resource 33, every frame, pixels inline.", \
        True, simple("SUBSCRIBE", 65535, scanout=NONE32, resource_id=33,
                     rate_num=0, slots=0, flags=1)
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
    yield "pool-inline", "Comes with none: slots are credits only.", True, \
        simple("POOL", 3, kind=0, slot_size=0, total_size=0)
    yield "pool-largest", "8 slots of 256 MiB.", True, \
        simple("POOL", 3, slots=8, slot_size=1 << 28, total_size=1 << 31)
    yield "frame-whole", "Everything changed; pixels in the slot.", True, \
        frame()
    yield "frame-damage", "Two rectangles, one of them at the corner.", True, \
        frame([(0, 0, 64, 64), (1919, 1079, 1, 1)])
    yield "frame-most-rects", "32 rectangles.", True, \
        frame([(i * 16, i, 16, 16) for i in range(32)])
    yield "frame-resource", "Of a resource, bottom row first.", True, \
        frame(scanout=NONE32, flags=1, fourcc=AR24)
    yield "frame-inline", "2 x 2 pixels follow.", True, \
        frame(pixels=bytes(range(16)), **SMALL)
    yield "frame-inline-damage", "One rectangle, then rows of 12 bytes.", \
        True, frame([(1, 1, 1, 1)], bytes(range(24)), width=2, height=2,
                    stride=12, read_bytes=4)
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
    yield "config-all", "All four wishes.", True, simple("CONFIG")
    yield "config-bitrate", "Only the bitrate counts.", True, \
        simple("CONFIG", fields=1, rate_num=0, rate_den=0, scanout=0)
    yield "config-nothing", "No wish at all.", True, \
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
    yield header("frame-too-large",
                 "header: size of a FRAME is above 256 MiB of pixels",
                 Message("FRAME", size=4096 + (256 << 20) + 1))
    yield header("unit-too-large",
                 "header: size of a UNIT is above 64 MiB of data",
                 Message("UNIT", size=56 + (64 << 20) + 1))
    yield header("frame-short", "FRAME: payload is shorter than 72 bytes",
                 frame().cut(71))
    yield header("unit-short", "UNIT: payload is shorter than 56 bytes",
                 unit(b"").cut(55))
    yield header("unit-empty", "UNIT: no data follows", unit(b""))

    yield payload("ping-short", "PING: payload is neither empty nor 8 bytes",
                  simple("PING").cut(7))
    yield payload("pong-short", "PONG: payload is neither empty nor 24 bytes",
                  simple("PONG").cut(23))
    for kind, size in (("HELLO", 32), ("WELCOME", 32), ("ERROR", 8),
                       ("BYE", 4), ("SUBSCRIBE", 24), ("SCANOUT", 32),
                       ("POOL", 32), ("RELEASE", 8), ("KEYFRAME", 16),
                       ("CONFIG", 24), ("STATS", 48)):
        yield payload(kind.lower() + "-short",
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
    yield payload("welcome-name", "WELCOME: name_size is above 128 bytes",
                  welcome(b"n" * 129))
    yield payload("welcome-size",
                  "WELCOME: name_size is more than the payload holds",
                  welcome(b"name", name_size=5))
    yield payload("error-code", "ERROR: code is 0", simple("ERROR", code=0))

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
    yield payload("pool-kind", "POOL: kind is not known",
                  simple("POOL", kind=3))
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
    yield payload("frame-bytes-wraps", large,
                  frame(height=4, stride=0x40000000))
    yield payload("frame-fourcc", "FRAME: fourcc is not known",
                  frame(fourcc=NV12))
    huge = frame()
    huge.size = 72 + (256 << 20) + 4
    yield header("frame-pixels-too-large", "FRAME: pixels are above 256 MiB",
                 huge)
    yield header("frame-rects-many", "FRAME: rects is above 32",
                 frame([(0, 0, 1, 1)] * 33))
    yield header("frame-rects-wrap", "FRAME: rects is above 32",
                 frame(rects=0x10000000))
    number_of = "FRAME: rects is not the number of rectangles that follow"
    yield header("frame-rects-missing", number_of, frame(rects=1))
    follow = "FRAME: pixels that follow are not stride * height bytes"
    yield payload("frame-rects-surplus", follow,
                  frame([(0, 0, 1, 1)], rects=0))
    yield payload("frame-pixels-few", follow,
                  frame(pixels=bytes(15), **SMALL))
    yield payload("frame-pixels-many", follow,
                  frame(pixels=bytes(17), **SMALL))
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
