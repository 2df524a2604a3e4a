# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frame protocol's client: what helixqemusrc is to a shim."""

import fcntl
import mmap
import os
import secrets
import stat

from helixlink import Link
from helixwire import (CURSOR_SHAPE, FEATURE_SHM, NONE32, POOL_SEALED,
                       ROLE_FRAMES, Malformed, need)


def open_pool(pool):
    """Maps a POOL's memory for reading, after the checks of its section, in
    their order."""
    need(len(pool.fds) == 1, "POOL's descriptors")
    fd, = pool.fds
    need(stat.S_ISREG(os.fstat(fd).st_mode), "POOL is no memory")
    if pool.kind == POOL_SEALED:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        need(seals & fcntl.F_SEAL_SHRINK, "POOL can shrink")
    need(os.fstat(fd).st_size >= pool.total_size, "POOL is too small")
    try:
        mmap.mmap(fd, pool.total_size)
        raise Malformed("POOL can be written")
    except PermissionError:
        pass
    return mmap.mmap(fd, pool.total_size, prot=mmap.PROT_READ)


class Subscription:
    """What a client knows of one channel."""

    def __init__(self, scanout):
        self.scanout = scanout
        self.screen = self.pool = self.memory = self.last = None
        self.held, self.serials = set(), {0}
        self.fresh = True  # the next FRAME is the first of its generation

    def take_screen(self, screen):
        need(screen.scanout == self.scanout, "SCANOUT of another scanout")
        before = self.screen
        if before is None or screen.generation != before.generation:
            need(before is None or screen.generation > before.generation,
                 "generation falls")
            self.fresh = True
        self.screen = screen

    def take_pool(self, pool):
        need(not self.pool or pool.pool_id > self.pool.pool_id, "pool_id")
        self.pool, self.memory, self.held = pool, open_pool(pool), set()

    def take_frame(self, frame):
        need(self.screen and self.pool, "FRAME before SCANOUT and POOL")
        need(frame.sequence == (self.last.sequence + 1 if self.last else 1),
             "sequence")
        need(frame.scanout == self.scanout, "scanout")
        need(frame.generation == self.screen.generation, "generation")
        need((frame.width, frame.height, frame.fourcc) ==
             (self.screen.width, self.screen.height, self.screen.fourcc),
             "size or format is not that of SCANOUT")
        need(frame.pool_id == self.pool.pool_id, "pool_id")
        need(frame.slot < self.pool.slots, "slot")
        need(frame.slot not in self.held, "slot is held")
        need(not (self.fresh and frame.rects), "rectangles of a first FRAME")
        size = frame.stride * frame.height
        need(size <= self.pool.slot_size, "slot_size")
        start = frame.slot * self.pool.slot_size
        frame.pixels = self.memory[start:start + size]
        self.held.add(frame.slot)
        frame.before = None if self.fresh else self.last
        self.last, self.fresh = frame, False

    def take_cursor(self, cursor):
        if cursor.flags & CURSOR_SHAPE:
            self.serials.add(cursor.serial)
        need(cursor.serial in self.serials, "CURSOR without its shape")


class FrameClient(Link):
    def __init__(self, sock, peer):
        super().__init__(sock, "client", "frame", peer)
        self.channels = {}

    def hello(self, features=FEATURE_SHM):
        """Returns the VM's SCANOUTs."""
        nonce = secrets.randbits(64)
        self.send("HELLO", version_min=1, version_max=1, role=ROLE_FRAMES,
                  features=features, pid=os.getpid(), nonce=nonce,
                  tail=b"interop frame client")
        welcome = self.expect("WELCOME")
        if (welcome.version, welcome.role, welcome.nonce) != (
                1, ROLE_FRAMES, nonce) or welcome.features & ~features:
            raise Malformed("WELCOME is not an answer to HELLO")
        return [self.expect("SCANOUT", lambda m, i=i: m.scanout == i)
                for i in range(welcome.scanouts)]

    def subscribe(self, channel, scanout=NONE32, resource_id=0, flags=0,
                  slots=3, rate=(0, 1)):
        self.channels[channel] = Subscription(scanout)
        self.send("SUBSCRIBE", channel, scanout=scanout, slots=slots,
                  resource_id=resource_id, flags=flags, rate_num=rate[0],
                  rate_den=rate[1])
        return self.expect("SCANOUT", lambda m: m.channel == channel)

    def unsubscribe(self, channel):
        del self.channels[channel]
        self.send("UNSUBSCRIBE", channel)

    def note(self, message):
        subscription = self.channels.get(message.channel)
        take = {"SCANOUT": "take_screen", "POOL": "take_pool",
                "FRAME": "take_frame", "CURSOR": "take_cursor"}
        if subscription and message.name in take:
            getattr(subscription, take[message.name])(message)
        for fd in message.fds:
            os.close(fd)

    def drop(self, message):
        if message.name == "FRAME" and message.channel in self.channels:
            self.release(message)

    def frame(self, channel, test=lambda frame: True, keep=False):
        """The next FRAME of a channel that passes the test, its slot handed
        back unless it is kept. Others are handed back, too."""
        while True:
            frame = self.expect("FRAME", lambda m: m.channel == channel)
            good = test(frame)
            if not (good and keep):
                self.release(frame)
            if good:
                return frame

    def release(self, frame):
        self.channels[frame.channel].held.discard(frame.slot)
        self.send("RELEASE", frame.channel, pool_id=frame.pool_id,
                  slot=frame.slot)


def differs_outside(frame):
    """Whether pixels outside of its rectangles differ from the frame before
    on its channel, of which none may be missing in between."""
    if not frame.rects:
        return False
    before = bytearray(frame.before.pixels)
    for x, y, width, height in frame.rects:
        for row in range(y, y + height):
            at = row * frame.stride + x * 4
            before[at:at + width * 4] = frame.pixels[at:at + width * 4]
    return before != frame.pixels
