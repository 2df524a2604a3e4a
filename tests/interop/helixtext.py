# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of protocol/README.md, read from the text itself.

The layout of a message here *is* what the text says of it, so a wrong offset
or a forgotten field of the text fails as a wrong program would."""

import pathlib
import re
from collections import namedtuple

TREE = pathlib.Path(__file__).resolve().parents[2]
TEXT = TREE / "protocol" / "README.md"

Type = namedtuple("Type", "value name direction payload")
Field = namedtuple("Field", "offset size name")


def rows(lines):
    """The cells of each table row of `lines`, without its rulers."""
    for line in lines:
        if line.startswith("|") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def sections(text):
    """{heading: lines} of all headings of the second and third order, and
    {heading: that of the second order above it}."""
    found, above, chapter, here = {}, {}, None, []
    for line in text.splitlines():
        if line.startswith("## ") or line.startswith("### "):
            heading = line.lstrip("# ")
            chapter = heading if line.startswith("## ") else chapter
            above[heading] = chapter
            here = found.setdefault(heading, [])
        else:
            here.append(line)
    return found, above


def read_protocols(above):
    """{name: the protocols that have such a message}, by the chapter that
    describes it."""
    chapters = {"4": {"frame"}, "5": {"stream"}}
    protocols = {name: chapters.get(chapter[0], {"frame", "stream"})
                 for heading, chapter in above.items()
                 for name in names_in(heading)}
    protocols["PROOF"] = {"stream"}
    return protocols


def names_in(heading):
    """The messages that a heading names."""
    return re.findall(r"([A-Z_]+) 0x[0-9a-f]{2}\b", heading)


def read_types(lines):
    """{name: Type} of the table of types."""
    return {
        cells[1]: Type(int(cells[0], 16), *cells[1:])
        for cells in rows(lines) if cells[0].startswith("0x")
    }


def read_layouts(lines):
    """The tables of fields of one section: a list of lists of Field."""
    layouts, here = [], None
    for cells in rows(lines):
        if cells[0] == "offset":
            here = []
            if cells[2] == "field":
                layouts.append(here)
        elif here is not None and cells[0].isdigit() and cells[1].isdigit():
            here.append(Field(int(cells[0]), int(cells[1]),
                              cells[2].strip("`")))
    return layouts


def fixed_bytes(payload):
    """Bytes of the struct that a type's payload begins with, 0 = none."""
    number = re.search(r"(\d+) bytes", payload)
    return int(number[1]) if number else 0


def check_layout(name, layout, total):
    """The fields touch one another, and are as long as the types' table
    says."""
    end = 0
    for field in layout:
        if field.offset != end:
            raise SystemExit(f"{TEXT}: {name}: {field.name} is at "
                             f"{field.offset}, the field before ends at {end}")
        end += field.size
    if end != total:
        raise SystemExit(f"{TEXT}: {name}: the fields are {end} bytes, the "
                         f"table of types says {total}")


def read_messages(all_sections, types):
    """{name: [Field]} of every message, and of the RECT of a FRAME."""
    layouts = {name: [] for name in types}
    for heading, lines in all_sections.items():
        names = names_in(heading)
        for name in names:
            if f"{name} {types[name].value:#04x}" not in heading:
                raise SystemExit(f"{TEXT}: '{heading}' has another number "
                                 f"than the table of types")
        with_struct = [n for n in names if fixed_bytes(types[n].payload)]
        if "FRAME" in names:
            with_struct.append("RECT")
        tables = read_layouts(lines) if names else []
        if len(tables) != len(with_struct):
            raise SystemExit(f"{TEXT}: '{heading}' has {len(tables)} tables "
                             f"of fields for {with_struct}")
        layouts.update(zip(with_struct, tables))
    for name, type_ in types.items():
        check_layout(name, layouts[name], fixed_bytes(type_.payload))
    return layouts


_sections, _above = sections(TEXT.read_text(encoding="utf-8"))
TYPES = read_types(_sections["Types"])
PROTOCOLS = read_protocols(_above)
LAYOUTS = read_messages(_sections, TYPES)
# {name: (code, whether its sender closes)} of section 8
ERRORS = {
    cells[1]: (int(cells[0]), cells[2] == "yes")
    for cells in rows(_sections["8. Errors"]) if cells[0].isdigit()
}
