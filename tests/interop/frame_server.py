# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frame protocol's server: what a shim is to helixqemusrc. Its pictures
are numbered; a subscription gets the next one when a slot comes back."""

import fcntl
import mmap
import os
import time

import marker
from helixlink import Gone
from helixwire import (CURSOR_SHAPE, CURSOR_VISIBLE, FEATURE_SHM, NONE32,
                       NONE64, POOL_SEALED, ROLE_FRAMES,
                       SCANOUT_ENABLED, SUBSCRIBE_CURSOR, SUBSCRIBE_INLINE,
                       need)
from serving import NEVER, Served, Server

XR24 = int.from_bytes(b"XR24", "little")
F_SEAL_FUTURE_WRITE = 0x10  # <linux/fcntl.h>; the module fcntl lacks it
BOX = 32  # pixels of the box that moves


def box_of(number, width, height):
    """Where the box is in picture `number`: x, y, width, height."""
    return number * 8 % (width - BOX), height - BOX, BOX, BOX


def paint(number, width, height):
    """A picture of BGRx: grey, with a marker and a white box."""
    pixels = bytearray(b"\x80" * (width * height * 4))
    marker.draw(pixels, width * 4, number)
    x, y, _, _ = box_of(number, width, height)
    for row in range(y, y + BOX):
        at = (row * width + x) * 4
        pixels[at:at + BOX * 4] = b"\xff" * (BOX * 4)
    return pixels


class Pool:
    """Slots of one size in sealed memory."""

    def __init__(self, pool_id, slots, size):
        self.id, self.slots = pool_id, slots
        self.slot_size = -(-size // 4096) * 4096
        self.total = self.slot_size * slots
        self.free = set(range(slots))
        self.fd = os.memfd_create("interop", os.MFD_ALLOW_SEALING)
        os.posix_fallocate(self.fd, 0, self.total)
        self.memory = mmap.mmap(self.fd, self.total)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK |
                    fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

    def fill(self, slot, pixels):
        start = slot * self.slot_size
        self.memory[start:start + len(pixels)] = pixels


class Subscription:
    def __init__(self, message, size):
        self.channel, self.scanout = message.channel, message.scanout
        self.resource, self.flags = message.resource_id, message.flags
        self.slots = message.slots or 3
        self.pause = (message.rate_den / message.rate_num
                      if message.rate_num else 0)
        self.size, self.generation = size, int(bool(size))
        self.pool, self.due, self.shown_ns = None, 0, None
        self.sequence, self.number = 0, None


class Client(Served):
    """One client of the server."""

    protocol = "frame"

    def __init__(self, sock, server):
        super().__init__(sock, server)
        self.features, self.subscriptions, self.pools = 0, {}, {}

    # ---- section 3

    def on_hello(self, hello):
        need(not self.hello, "a second HELLO")
        if hello.version_min > 1:
            self.refuse_hello("version", hello)
        if hello.role != ROLE_FRAMES:
            self.refuse_hello("role", hello)
        self.hello = hello
        self.features = hello.features & FEATURE_SHM
        self.send("WELCOME", version=1, scanouts=len(self.server.sizes),
                  role=ROLE_FRAMES, features=self.features, pid=os.getpid(),
                  nonce=hello.nonce, tail=b"interop frame server")
        for index, size in enumerate(self.server.sizes):
            self.send_screen(0, index, size, self.server.generations[index])
        self.probe()

    def figures(self):
        """What CLIENT says of this one."""
        first = next(iter(self.subscriptions.values()), None)
        return dict(pid=self.hello.pid, dropped=NONE64, received=NONE64,
                    latency_ns=NONE64, last_ns=NONE64,
                    scanout=first.scanout if first else NONE32,
                    resource_id=first.resource if first else 0)

    # ---- section 4

    def send_screen(self, channel, scanout, size, generation, resource=0):
        flags = SCANOUT_ENABLED if size else 0
        width, height = size or (0, 0)
        self.send("SCANOUT", channel, scanout=scanout, flags=flags,
                  generation=generation, resource_id=resource, width=width,
                  height=height, fourcc=XR24 if size else 0)

    def on_subscribe(self, message):
        if message.resource_id:
            there = message.resource_id in self.server.resources
            size = self.server.resources.get(message.resource_id)
        else:
            there = message.scanout < len(self.server.sizes)
            size = self.server.sizes[message.scanout] if there else None
        if not there:
            code = "no-resource" if message.resource_id else "no-scanout"
            self.send_error(code, message.type, message.channel,
                            f"there are {len(self.server.sizes)} scanouts")
            return
        if message.flags & SUBSCRIBE_INLINE or not self.features:
            self.send_error("unsupported", message.type, message.channel)
            return
        here = Subscription(message, size)
        self.subscriptions[message.channel] = here
        self.send_screen(here.channel, here.scanout, size, here.generation,
                         here.resource)
        if size:
            self.send_pool(here)
        if here.flags & SUBSCRIBE_CURSOR and here.scanout != NONE32:
            self.send_cursor(here)

    def on_unsubscribe(self, message):
        self.subscriptions.pop(message.channel, None)

    def send_pool(self, here):
        pool = Pool(len(self.pools) + 1, here.slots,
                    here.size[0] * here.size[1] * 4)
        here.pool = self.pools[pool.id] = pool
        self.send("POOL", here.channel, [pool.fd], pool_id=pool.id,
                  kind=POOL_SEALED, slots=pool.slots,
                  slot_size=pool.slot_size, total_size=pool.total)
        os.close(pool.fd)

    def send_cursor(self, here):
        """A white arrow head of 4 x 4 at (8, 24)."""
        self.send("CURSOR", here.channel, scanout=here.scanout,
                  flags=CURSOR_VISIBLE | CURSOR_SHAPE, x=8, y=24, serial=1,
                  width=4, height=4, hot_x=1, hot_y=2,
                  changed_ns=time.monotonic_ns(), tail=b"\xff" * 64)

    def on_release(self, message):
        pool = self.pools.get(message.pool_id)
        need(pool, "RELEASE of a pool that never was")
        here = self.subscriptions.get(message.channel)
        if here and here.pool is pool:
            need(message.slot < pool.slots and message.slot not in pool.free,
                 "RELEASE of a slot that is not held")
            pool.free.add(message.slot)

    def on_show(self, message):
        here = self.subscriptions.get(message.channel)
        size = self.server.resources.get(message.resource_id)
        if not here or not size:
            self.send_error("no-resource", message.type, message.channel)
            return
        here.resource, here.shown_ns = message.resource_id, message.capture_ns
        self.change(here, size)

    def on_set_scanout(self, message):
        if message.scanout >= len(self.server.sizes):
            self.send_error("no-scanout", message.type)
            return
        size = (message.width, message.height) if message.width else None
        if size == self.server.sizes[message.scanout]:
            return
        self.server.sizes[message.scanout] = size
        self.server.generations[message.scanout] += bool(size)
        for client in self.server.clients:
            if client.hello:
                client.mode_changed(message.scanout, size)

    def mode_changed(self, scanout, size):
        self.send_screen(0, scanout, size, self.server.generations[scanout])
        for here in self.subscriptions.values():
            if here.scanout == scanout and not here.resource:
                self.change(here, size)

    def change(self, here, size):
        """Another size, or none: a new generation and a new pool."""
        here.number = None
        if size != here.size:
            here.size = size
            here.generation += bool(size)
            self.send_screen(here.channel, here.scanout, size,
                             here.generation, here.resource)
            if size:
                self.send_pool(here)

    # ---- pictures

    def ready_ones(self):
        """Subscriptions that there is something for, and a credit. While two
        slots are held no new picture is drawn, so that none is left out."""
        return [s for s in self.subscriptions.values()
                if s.size and s.pool.slots - len(s.pool.free) < 2 and
                (s.number or 0) < self.server.pictures]

    def next_due(self):
        return min((s.due for s in self.ready_ones()), default=NEVER)

    def send_due(self):
        for here in self.ready_ones():
            if here.due > time.monotonic():
                continue
            before = here.number
            here.number = (before or 0) + 1
            here.due = time.monotonic() + here.pause
            self.send_frame(here, before)
            if here.number == self.server.pictures and self.server.ends:
                self.send("BYE", reason=1, tail=b"that was the last picture")
                raise Gone("done")

    def send_frame(self, here, before):
        width, height = here.size
        pixels = paint(here.number, width, height)
        rects = [] if before is None else [
            box_of(before, width, height), box_of(here.number, width, height),
            (0, 0, marker.BLOCK * marker.BLOCKS, marker.BLOCK)]
        slot = min(here.pool.free)
        here.pool.free.remove(slot)
        here.pool.fill(slot, pixels)
        here.sequence += 1
        self.frames += 1
        now = time.monotonic_ns()
        shown = here.shown_ns if here.shown_ns not in (None, NONE64) else now
        self.send("FRAME", here.channel, sequence=here.sequence,
                  capture_ns=min(shown, now), scanout=here.scanout,
                  resource_id=here.resource or 1, generation=here.generation,
                  pool_id=here.pool.id, slot=slot, width=width,
                  height=height, stride=width * 4, fourcc=XR24, rects=rects)
        here.shown_ns = None


class FrameServer(Server):
    """`sizes` of the scanouts, None for one that is off; `resources` as {id:
    size}. Each subscription gets `pictures` of them; then BYE if it `ends`."""

    def __init__(self, peer, sizes, resources=None, pictures=NONE32,
                 ends=False):
        super().__init__(Client, peer)
        self.sizes, self.resources = list(sizes), resources or {}
        self.generations = [int(bool(size)) for size in self.sizes]
        self.pictures, self.ends = pictures, ends

    def figures(self):
        """What STATUS says."""
        return dict(uptime_ns=time.monotonic_ns() - self.begun,
                    frames=sum(c.frames for c in self.clients),
                    last_ns=NONE64, tail=b"scanouts of the interop server")
