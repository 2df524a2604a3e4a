# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was spoken with whom, held against the text's table of types."""

from helixlink import spoken
from helixtext import PROTOCOLS, TYPES

BOTH_WAYS = ["client → server", "server → client"]


def wanted():
    """(message, protocol, direction) of all that the text has."""
    for name, type_ in TYPES.items():
        for protocol in sorted(PROTOCOLS[name]):
            for direction in (BOTH_WAYS if type_.direction == "both"
                              else [type_.direction]):
                yield name, protocol, direction


def peers(name, protocol, direction, way):
    """Who was spoken to, or who spoke: "to it", "from it"."""
    pairs = spoken.get((protocol, name, direction), ())
    return ", ".join(sorted(peer for peer, how in pairs if how == way))


def print_table():
    """Returns what was not spoken."""
    line = "{:12} {:7} {:16} {:46} {}".format
    print(line("message", "in", "direction", "said to", "heard from"))
    missing = []
    for name, protocol, direction in wanted():
        said, heard = (peers(name, protocol, direction, way)
                       for way in ("to it", "from it"))
        print(line(name, protocol, direction, said or "-", heard or "-"))
        if not said and not heard:
            missing.append(f"{name} ({protocol}, {direction})")
    return missing
