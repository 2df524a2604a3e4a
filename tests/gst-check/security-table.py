#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether each row of docs/SECURITY.md's tables names tests that exist, and
whether those that docs/TESTING.md names do.

    security-table.py ROOT
"""
import pathlib
import re
import sys


def functions(root, name):
    """The tests in the file of that name; None: there is no such file."""
    if name.startswith("fuzz-"):
        return set() if (root / "tests/fuzz" / f"{name}.c").exists() else None
    for path in (root / "tests/gst-check").glob(f"*/test-{name}.c"):
        return set(re.findall(r"tcase_add_\w*test\w* ?\(\s*\w+,\s*test_(\w+)",
                              path.read_text(encoding="utf-8")))
    return None


def check(root, row, cell):
    """Complaints about the last cell of a row: `file` test, test; `file` …"""
    named = re.findall(r"`([^`]+)`([^`]*)", cell)
    if not named:
        yield f"no test: {row}"
    for name, rest in named:
        there = functions(root, name)
        if there is None:
            yield f"no file test-{name}.c: {row}"
            continue
        for test in re.findall(r"\w+", rest):
            if test not in there:
                yield f"no test {test} in test-{name}.c: {row}"


def check_testing(root):
    """Complaints about the tests and paths that docs/TESTING.md names."""
    text = (root / "docs/TESTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`test-([^`]+)`", text):
        if functions(root, name) is None:
            yield f"docs/TESTING.md: no file test-{name}.c"
    for path in re.findall(r"`(tests/[^` ]+)`", text):
        if not (root / path).exists():
            yield f"docs/TESTING.md: no {path}"
    for row in text[text.index("\n## Bad input"):].splitlines():
        if not row.startswith("| "):
            continue
        if "…" in row:
            yield f"docs/TESTING.md: a name that is cut short: {row}"
        # Between a test's file and what is named next stand its functions.
        for name, rest in re.findall(r"`test-([^`]+)`([\w ,]*)", row):
            for test in re.findall(r"\w+", rest):
                if test not in (functions(root, name) or {test}):
                    yield f"docs/TESTING.md: no test {test} in test-{name}.c"


def main():
    root = pathlib.Path(sys.argv[1])
    text = (root / "docs/SECURITY.md").read_text(encoding="utf-8")
    text = text[text.index("\n## Who tries what"):]
    rows = [line for line in text.splitlines()
            if line.startswith("| ") and not line.startswith("| who |")
            and not line.startswith("| ---")]
    complaints = [f"not four cells: {row}" for row in rows
                  if row.count(" | ") != 3]
    complaints += [complaint for row in rows
                   for complaint in check(root, row, row.split(" | ")[-1])]
    complaints += check_testing(root)
    print("\n".join(complaints) or f"{len(rows)} rows name tests that exist")
    sys.exit(bool(complaints) or not rows)


main()
