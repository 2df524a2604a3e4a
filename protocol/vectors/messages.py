# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every message of the protocol as a table, and how it becomes bytes with a
note each. For generate.py."""

import hmac
import struct

NONE32 = 0xFFFFFFFF
NONE64 = 0xFFFFFFFFFFFFFFFF

TYPES = {
    "PING": 0x10, "PONG": 0x11, "HELLO": 0x40, "WELCOME": 0x41, "BYE": 0x42,
    "ERROR": 0xFF, "SUBSCRIBE": 0x50, "UNSUBSCRIBE": 0x51, "SCANOUT": 0x52,
    "POOL": 0x53, "FRAME": 0x54, "RELEASE": 0x55, "CURSOR": 0x58,
    "SET_SCANOUT": 0x59, "SHOW": 0x5A, "LIST": 0x43, "STATUS": 0x44,
    "CLIENT": 0x45, "PROOF": 0x46, "CAPS": 0x70, "UNIT": 0x71, "KEYFRAME": 0x72,
    "CONFIG": 0x73, "STATS": 0x74,
}

# name:width in bytes, in the order of the wire
FIELDS = {
    "PING": "sent_ns:8",
    "PONG": "ping_ns:8 received_ns:8 sent_ns:8",
    "HELLO": "version_min:2 version_max:2 role:4 features:4 pid:4 nonce:8 "
             "token_size:2 name_size:2 reserved:4",
    "WELCOME": "version:2 scanouts:2 role:4 features:4 pid:4 nonce:8 "
               "name_size:2 reserved0:2 reserved1:4",
    "PROOF": "",
    "BYE": "reason:4",
    "ERROR": "code:4 refers:4",
    "LIST": "",
    "STATUS": "uptime_ns:8 frames:8 bytes:8 dropped:8 keyframes:8 last_ns:8 "
              "clients:4 width:4 height:4 encode_us:4",
    "CLIENT": "index:4 flags:4 pid:4 role:4 scanout:4 resource_id:4 "
              "connected_ns:8 frames:8 dropped:8 received:8 latency_ns:8 "
              "last_ns:8 name_size:2 reserved0:2 reserved1:4",
    "CURSOR": "scanout:4 flags:4 x:4 y:4 serial:4 width:4 height:4 hot_x:4 "
              "hot_y:4 reserved:4 changed_ns:8",
    "SHOW": "resource_id:4 reserved:4 capture_ns:8",
    "SET_SCANOUT": "scanout:4 width:4 height:4 refresh:4",
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

TOKEN = b"s3cret"
CHALLENGE = bytes(range(0xA0, 0xC0))

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
    "LIST": {},
    "STATUS": dict(uptime_ns=3600000000000, frames=4000, bytes=123456789,
                   dropped=7, last_ns=16000000, clients=2),
    "CLIENT": dict(index=0, flags=1, pid=4242, role=1, scanout=1,
                   connected_ns=60000000000, frames=3600, dropped=7,
                   received=NONE64, latency_ns=NONE64, last_ns=16000000),
    "CURSOR": dict(scanout=1, flags=1, x=100, y=200, serial=3, width=3,
                   height=2, hot_x=1, hot_y=1, changed_ns=123456789012345),
    "SHOW": dict(resource_id=33, capture_ns=123456789012345),
    "SET_SCANOUT": dict(scanout=1, width=1280, height=720, refresh=60000),
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


def welcome(name=b"", challenge=b"", **over):
    sizes = dict(name_size=len(name))
    sizes.update(over)
    message = Message("WELCOME").fields(**sizes)
    if name:
        message.raw(name, "name")
    return message.raw(challenge, "challenge") if challenge else message


def proof(who):
    """Of the token `TOKEN`, for the nonce of HELLO and CHALLENGE."""
    signed = who + struct.pack("<Q", DEFAULTS["HELLO"]["nonce"]) + CHALLENGE
    return Message("PROOF").raw(
        hmac.new(TOKEN, signed, "sha256").digest(),
        'HMAC-SHA256 with key "%s" of "%s", nonce, challenge'
        % (TOKEN.decode(), who.decode()))


def frame(boxes=(), channel=3, **over):
    values = dict(rects=len(boxes))
    values.update(over)
    message = Message("FRAME", channel).fields(**values)
    for x, y, width, height in boxes:
        message.record("RECT", dict(x=x, y=y, width=width,
                                    height=height))
    return message


def client(name=b"", **over):
    sizes = dict(name_size=len(name))
    sizes.update(over)
    message = Message("CLIENT").fields(**sizes)
    return message.raw(name, "name") if name else message


def cursor(pixels=b"", channel=3, **over):
    message = Message("CURSOR", channel).fields(**over)
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
