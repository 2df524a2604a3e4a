# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every vector of protocol/vectors/ as its index says it is."""

from helixtext import TREE
from helixwire import HEADER, Malformed, Reader, repack

FOLDER = TREE / "protocol" / "vectors"


def read_index():
    """(file, result, stage, canonical) of each vector."""
    for line in (FOLDER / "index.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")[:4]


def read_vector(file):
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    return bytes.fromhex(" ".join(line.split("#")[0] for line in lines))


def judge(data):
    """(result, stage, message), from bytes that come one at a time."""
    reader = Reader()
    size = HEADER.unpack_from(data)[4] if len(data) >= HEADER.size else 0
    for count, byte in enumerate(data, 1):
        reader.data.append(byte)
        try:
            message = reader.next()
        except Malformed:
            early = count < HEADER.size + size
            return "invalid", "header" if early else "payload", None
        if message:
            left = len(data) - count
            return ("valid" if not left else f"{left} bytes left"), "-", message
    return "incomplete", "-", None


def wrong_vectors():
    """(number of vectors, [what is wrong])."""
    wrong, count = [], 0
    for file, result, stage, canonical in read_index():
        data = read_vector(file)
        found, where, message = judge(data)
        count += 1
        if (found, where) != (result, stage):
            wrong.append(f"{file}: {found} {where}, the index says "
                         f"{result} {stage}")
        elif canonical == "yes" and repack(message) != data:
            wrong.append(f"{file}: packing it again gives other bytes")
    return count, wrong


if __name__ == "__main__":
    print(*wrong_vectors())
