# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of the product that a case starts, and the cases themselves."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import tty

import serving
from helixlink import LIMIT, Tty

# No picture waits for the next one.
ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast"


def check(condition, what):
    """An assertion that python -O does not leave out."""
    if not condition:
        raise AssertionError(what)


def open_tty():
    """A pseudo-terminal: (our end, path of the other one), raw. The other one
    stays open here, too, so that the line outlives who opens it."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return Tty(ours), os.ttyname(theirs)


class Rig:
    """A folder for sockets and logs, and the programs of one case."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="helix-io."))
        self.programs = []
        runtime = self.folder / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ.update(
            GST_PLUGIN_PATH=str(self.build / "gst-helix"),
            GST_REGISTRY_FORK="no", XDG_RUNTIME_DIR=str(runtime))
        os.environ.setdefault("G_DEBUG", "fatal-criticals")
        os.environ.setdefault("GST_REGISTRY_1_0",
                              str(self.build / "gst-helix/tests.registry"))
        for name in ("HELIX_SOCKET", "HELIX_ADDRESS", "DISPLAY",
                     "WAYLAND_DISPLAY"):
            os.environ.pop(name, None)

    def path(self, name):
        return str(self.folder / name)

    def start(self, name, *command):
        """In the background; its output is NAME.log."""
        with open(self.path(name + ".log"), "wb") as log:
            program = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "sim" else log,
                stderr=log)
        self.programs.append(program)
        return program

    def sim(self, *options):
        """A shim that listens: (process, path of its socket)."""
        path = self.path("shim.sock")
        program = self.start(
            "sim", self.build / "qemu-shim/sim/helix-shim-sim", "--socket",
            path, *options)
        for line in program.stdout:
            if line.startswith(b"listening on"):
                return program, path
        raise RuntimeError("helix-shim-sim ended early")

    def gst(self, name, pipeline, *options):
        return self.start(name, "gst-launch-1.0", *options, *pipeline.split())

    def helix(self, *arguments):
        """The output of the helix command."""
        return self.run(self.build / "tools/helix", *arguments)

    def check_video(self, file, *rules):
        """helix-check-video's verdict on a file of units."""
        return self.run(self.build / "tests/system/helix-check-video",
                        *rules, file)

    def run(self, *command):
        return subprocess.run([str(word) for word in command], check=True,
                              timeout=LIMIT, capture_output=True).stdout

    def end(self, program, by=signal.SIGINT):
        """Ends it as Ctrl-C would; returns its exit status."""
        program.send_signal(by)
        return program.wait(LIMIT)

    def close(self):
        for program in self.programs:
            program.kill()
            program.wait()
        shutil.rmtree(self.folder)

    def logs(self):
        for log in sorted(self.folder.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines()[-12:]:
                yield f"{log.name}: {line[:300]}"


def run_case(case, build):
    """True if it passed."""
    name, rig = case.__name__, Rig(build)
    serving.faults.clear()
    try:
        said = case(rig)
        check(not serving.faults, serving.faults)
        print(f"ok   {name}" + (f": {said}" if said else ""), flush=True)
        return True
    except Exception as fault:  # whatever it is, the others are run
        print(f"FAIL {name}: {type(fault).__name__}: {fault}")
        traceback.print_exc(limit=-6, file=sys.stdout)
        if isinstance(fault, subprocess.CalledProcessError):
            print(fault.stdout, fault.stderr)
        print("\n".join(f"     {line}" for line in rig.logs()), flush=True)
        return False
    finally:
        rig.close()
