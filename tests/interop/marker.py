# SPDX-License-Identifier: LGPL-2.1-or-later
"""The marker of docs/TESTING.md in BGRx pixels: which frame a picture is, and
that it came whole."""

BLOCK, BLOCKS = 16, 40


def crc8(data):
    """Polynomial 0x07, initial value 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def bits_of(number):
    """40 bits: the number, most significant first, and its CRC."""
    whole = number << 8 | crc8(number.to_bytes(4, "big"))
    return [whole >> (39 - i) & 1 for i in range(BLOCKS)]


def draw(pixels, stride, number):
    """White is one, black is zero."""
    row = b"".join((b"\xff" if bit else b"\0") * (BLOCK * 4)
                   for bit in bits_of(number))
    for y in range(BLOCK):
        pixels[y * stride:y * stride + len(row)] = row


def read(plane, stride, step):
    """The number, or None. `step` is the bytes from pixel to pixel: 4 for
    BGRx, 1 for a plane of luma. The middle of each block counts."""
    whole = 0
    for block in range(BLOCKS):
        total = sum(plane[y * stride + (block * BLOCK + x) * step]
                    for y in range(4, 12) for x in range(4, 12))
        whole = whole << 1 | (total >= 128 * 64)
    number = whole >> 8
    return number if crc8(number.to_bytes(4, "big")) == whole & 0xFF else None
