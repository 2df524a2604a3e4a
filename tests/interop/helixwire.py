# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages as bytes: packing, unpacking, what is malformed, a reader for any
fragmentation, the scanner of section 6 and the proof of a token."""

import hashlib
import hmac
import struct

from helixtext import LAYOUTS, TYPES

HEADER = struct.Struct("<4sBBHI")
MAGIC = b"HXFR"
NONE32 = 0xFFFFFFFF
NONE64 = 0xFFFFFFFFFFFFFFFF
NAMES = {type_.value: name for name, type_ in TYPES.items()}

# ---- section 1, limits
CONTROL_MAX = 4096
PIXELS_MAX = 1 << 28
CURSOR_MAX = 256 * 256 * 4
UNIT_MAX = 1 << 26
SIDE_MAX = 16384
RECTS_MAX = 32
TEXT_MAX = 480
NAME_MAX = 128
CHALLENGE_BYTES = 32
# least and most bytes of payload of the two that bulk data follows
BULK = {
    "CURSOR": (48, 48 + CURSOR_MAX),
    "UNIT": (57, 56 + UNIT_MAX),
}
# What a client on a stream that outlives its sessions sends before HELLO.
HELLO_PAD = bytes(4120)

# ---- bits and numbers of the tables
ROLE_FRAMES, ROLE_STREAM, ROLE_CONTROL = 1, 2, 3
FEATURE_SHM, FEATURE_PROOF = 1, 2
SUBSCRIBE_INLINE, SUBSCRIBE_CURSOR = 1, 2
SCANOUT_ENABLED = 1
POOL_SEALED, POOL_FILE = 1, 2
CURSOR_VISIBLE, CURSOR_SHAPE = 1, 2
UNIT_KEY, UNIT_DISCONT = 1, 2
CONFIG_BITRATE, CONFIG_RATE, CONFIG_SCANOUT, CONFIG_RESOURCE = 1, 2, 4, 8
FOURCCS = {int.from_bytes(name, "little") for name in (
    b"XR24", b"AR24", b"XB24", b"AB24", b"BX24", b"BA24", b"RX24", b"RA24")}


class Malformed(Exception):
    """Names the field. The receiver answers ERROR `protocol` and closes."""


class NoMessage(Malformed):
    """What cannot be passed over either: a wrong magic or size."""


class Message:
    """`name` is None for a type that is not in the text. The fields of the
    struct are attributes. `tail` is what follows it and has a meaning: text,
    name, data, or `rects` of a FRAME. `fds` came beside it."""

    def __init__(self, name, channel=0, tail=b"", **fields):
        self.name, self.channel, self.tail = name, channel, tail
        self.rects, self.token, self.fds = [], b"", []
        self.challenge = b""
        self.__dict__.update(fields)

    def __repr__(self):
        fields = [f"{f.name}={getattr(self, f.name, '-')}"
                  for f in LAYOUTS.get(self.name, ()) if f.name != "reserved"]
        if self.name in ("ERROR", "BYE", "STATUS", "CLIENT"):
            fields.append(repr(self.tail))
        return f"{self.name}[{self.channel}] {' '.join(fields)}"


def struct_of(name):
    """The struct module's format, and the names of the fields in it."""
    code, names = "<", []
    for field in LAYOUTS[name]:
        if field.name == "reserved":
            code += f"{field.size}x"
            continue
        code += {2: "H", 4: "I", 8: "Q"}.get(field.size, f"{field.size}s")
        names.append(field.name)
    return struct.Struct(code), names


STRUCTS = {name: struct_of(name) for name in LAYOUTS}


def pack_struct(name, fields):
    layout, names = STRUCTS[name]
    for wrong in set(fields) - set(names):
        raise TypeError(f"{name} has no field {wrong}")
    strings = {f.name for f in LAYOUTS[name] if f.size > 8}
    return layout.pack(*(fields.get(n, b"" if n in strings else 0)
                         for n in names))


def pack_raw(type_, channel=0, payload=b""):
    return HEADER.pack(MAGIC, type_, 0, channel, len(payload)) + payload


def pack(name, channel=0, tail=b"", rects=(), bare=False, **fields):
    """A message as bytes. Fields that are not given are 0; `bare` leaves the
    struct of a PING or PONG out."""
    if name in ("HELLO", "WELCOME", "CLIENT"):
        fields.setdefault("name_size", len(tail))
    if name == "FRAME":
        fields["rects"] = len(rects)
        tail = b"".join(pack_struct("RECT", dict(zip(STRUCTS["RECT"][1], r)))
                        for r in rects)
    head = b"" if bare else pack_struct(name, fields)
    return pack_raw(TYPES[name].value, channel, head + tail)


# ---- what is malformed: a function for each type that can be

def need(condition, what):
    if not condition:
        raise Malformed(what)


def need_side(message, *names):
    for name in names:
        need(1 <= getattr(message, name) <= SIDE_MAX, name)


def check_scanout_index(message):
    need(message.scanout <= 15 or message.scanout == NONE32, "scanout")


def check_hello(m):
    need(m.version_min, "version_min")
    need(m.version_max >= m.version_min, "version_max")
    need(m.role, "role")
    need(m.token_size <= NAME_MAX, "token_size")
    need(m.name_size <= NAME_MAX, "name_size")
    need(m.token_size + m.name_size <= len(m.tail), "size")
    m.token = m.tail[:m.token_size]
    m.tail = m.tail[m.token_size:m.token_size + m.name_size]


def check_welcome(m):
    need(m.version, "version")
    need(m.role, "role")
    low, high = (1, 16) if m.role == ROLE_FRAMES else (0, 0)
    need(low <= m.scanouts <= high, "scanouts")
    more = m.tail[m.name_size:]
    check_name(m)
    if m.features & FEATURE_PROOF:
        need(len(more) >= CHALLENGE_BYTES, "size")
        m.challenge = more[:CHALLENGE_BYTES]


def check_name(m):
    need(m.name_size <= NAME_MAX, "name_size")
    need(m.name_size <= len(m.tail), "size")
    m.tail = m.tail[:m.name_size]


def check_text(m):
    m.tail = m.tail[:TEXT_MAX]


def check_error(m):
    need(m.code, "code")
    check_text(m)


def check_cursor(m):
    need(m.scanout <= 15, "scanout")
    need(m.width <= 256, "width")
    need(m.height <= 256, "height")
    need(bool(m.width) == bool(m.height), "width without height")
    need(not m.width or m.hot_x < m.width, "hot_x")
    need(not m.height or m.hot_y < m.height, "hot_y")
    shape = bool(m.flags & CURSOR_SHAPE)
    need(not shape or m.serial and m.width, "SHAPE")
    need(len(m.tail) == (m.width * m.height * 4 if shape else 0), "pixels")


def check_show(m):
    need(m.resource_id, "resource_id")


def check_set_scanout(m):
    if m.width or m.height:
        need_side(m, "width", "height")


def check_subscribe(m):
    need((m.scanout == NONE32) == bool(m.resource_id), "scanout, resource_id")
    need(m.rate_den, "rate_den")
    need(m.slots == 0 or 2 <= m.slots <= 8, "slots")


def check_scanout(m):
    check_scanout_index(m)
    if m.flags & SCANOUT_ENABLED:
        need_side(m, "width", "height")
        need(m.fourcc in FOURCCS, "fourcc")
    else:
        need(not (m.width or m.height or m.fourcc), "size of what is off")


def check_pool(m):
    need(m.pool_id, "pool_id")
    need(m.kind in (POOL_SEALED, POOL_FILE), "kind")
    need(2 <= m.slots <= 8, "slots")
    need(m.slot_size, "slot_size")
    need(m.slot_size % 4096 == 0 and m.slot_size <= PIXELS_MAX, "slot_size")
    need(m.total_size == m.slots * m.slot_size, "total_size")


def check_frame(m):
    need(m.sequence, "sequence")
    check_scanout_index(m)
    need(m.pool_id, "pool_id")
    need(m.slot < 8, "slot")
    need_side(m, "width", "height")
    need(m.stride % 4 == 0 and m.stride >= m.width * 4, "stride")
    need(m.stride * m.height <= PIXELS_MAX, "stride x height")
    need(m.fourcc in FOURCCS, "fourcc")
    layout = STRUCTS["RECT"][0]
    count = m.rects
    need(count <= RECTS_MAX and count * layout.size <= len(m.tail), "rects")
    m.rects = [layout.unpack_from(m.tail, i * layout.size)
               for i in range(count)]
    m.tail = b""
    for x, y, width, height in m.rects:
        need(width and height, "rectangle without pixels")
        need(x + width <= m.width and y + height <= m.height, "rectangle")


def check_release(m):
    need(m.pool_id, "pool_id")
    need(m.slot <= 7, "slot")


def check_caps(m):
    need(m.caps_id, "caps_id")
    need(1 <= m.codec <= 6, "codec")
    need_side(m, "width", "height")
    need(m.rate_den, "rate_den")
    need(m.par_num and m.par_den, "par")
    for name in ("profile", "level", "colorimetry"):
        need(b"\0" in getattr(m, name), name)


def check_unit(m):
    need(m.sequence != NONE64, "sequence")
    need(m.running_time != NONE64, "running_time")
    need(m.caps_id, "caps_id")


def check_config(m):
    need(m.bitrate or not m.fields & CONFIG_BITRATE, "bitrate")
    need(m.rate_den or not m.fields & CONFIG_RATE, "rate_den")


CHECKS = {
    "HELLO": check_hello, "WELCOME": check_welcome, "BYE": check_text,
    "STATUS": check_text, "CLIENT": check_name, "ERROR": check_error,
    "CURSOR": check_cursor, "SHOW": check_show,
    "SET_SCANOUT": check_set_scanout, "SUBSCRIBE": check_subscribe,
    "SCANOUT": check_scanout, "POOL": check_pool, "FRAME": check_frame,
    "RELEASE": check_release, "CAPS": check_caps, "UNIT": check_unit,
    "CONFIG": check_config,
}


def check_early(data):
    """What the first bytes of a message show: returns the bytes of all of it,
    None if they are too few to tell."""
    if data[:4] != MAGIC[:len(data)]:
        raise NoMessage("magic")
    if len(data) < HEADER.size:
        return None
    _, type_, _, _, size = HEADER.unpack_from(data)
    name = NAMES.get(type_)
    least, most = BULK.get(name, (0, CONTROL_MAX))
    if not least <= size <= most:
        raise NoMessage(f"size of {name or hex(type_)}")
    return HEADER.size + size


def unpack(data):
    """One whole message."""
    _, type_, flags, channel, _ = HEADER.unpack_from(data)
    payload = bytes(data[HEADER.size:])
    name = NAMES.get(type_)
    if name is None:
        return Message(None, channel, payload, type=type_)
    layout, names = STRUCTS[name]
    bare = name in ("PING", "PONG") and not payload
    need(bare or len(payload) >= layout.size, f"{name} is too short")
    values = () if bare else layout.unpack_from(payload)
    message = Message(name, channel, payload[layout.size:], type=type_,
                      bare=bare, **dict(zip(names, values)))
    CHECKS.get(name, lambda m: None)(message)
    return message


def repack(m):
    """The bytes of a message that unpack made, from its fields alone."""
    fields = {n: getattr(m, n, 0) for n in STRUCTS[m.name][1] if n != "rects"}
    known = m.name in CHECKS or m.name == "UNIT"
    tail = m.token + m.tail + m.challenge if known else b""
    return pack(m.name, m.channel, tail, rects=m.rects,
                bare=getattr(m, "bare", False), **fields)


class Reader:
    """Takes bytes in any fragmentation, gives messages."""

    def __init__(self):
        self.data = bytearray()

    def next(self):
        """The next message, None if it is not whole. Raises Malformed as
        soon as it shows."""
        total = check_early(self.data[:HEADER.size])
        if total is None or len(self.data) < total:
            return None
        whole = self.data[:total]
        del self.data[:total]
        return unpack(whole)

    def scan(self, wanted):
        """Section 6: drops all before the first whole message for which
        `wanted` is true, and returns that; None if there is none yet."""
        first, best = None, None
        start = self.data.find(MAGIC[:1])
        while start >= 0 and (best is None or start < best[1]):
            end, message = self.try_at(start, wanted)
            if end is not None and message is None and first is None:
                first = start
            if message and (best is None or end < best[1]):
                best = message, end
            start = self.data.find(MAGIC[:1], start + 1)
        if best:
            del self.data[:best[1]]
            return best[0]
        del self.data[:len(self.data) if first is None else first]
        return None

    def try_at(self, start, wanted):
        """(end, message): end is None where no message can begin, message is
        None where it may still become one."""
        try:
            total = check_early(self.data[start:start + HEADER.size])
            if total is None:
                return start, None
            whole = self.data[start:start + total]
            name = NAMES.get(whole[4])
            if name not in ("HELLO", "WELCOME", "ERROR"):
                return None, None
            if len(whole) < total:
                return start + total, None
            message = unpack(whole)
        except Malformed:
            return None, None
        return (start + total, message) if wanted(message) else (None, None)


def proof(token, who, nonce, challenge):
    """The payload of a PROOF; `who` is b"client" or b"server"."""
    text = b"helix " + who + struct.pack("<Q", nonce) + challenge
    return hmac.new(token, text, hashlib.sha256).digest()
