"""A student's program: a kernel of its own in a folder of its own, held in bounds and in time."""

import contextlib
import ctypes
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty

import nbformat
import psutil
import zmq
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from traitlets import Dict, default

from tests.commands.environment import ROOT
from tests.commands.grading import answers, confine, kernel
from tests.commands.grading.answers import AnswerError

LINUX = sys.platform.startswith("linux")
LIMITS = {"memory": 6_000_000_000, "file": 200_000_000}  # bytes: address space, size of a file
SHOWN = 1_000_000  # characters of output that are kept of one cell
ROUNDS = 10  # a whole notebook may take this many times as long as one cell
# Where a Python program finds its parts; not the home folder, nor any other of the project.
PARTS = ["/usr", "/lib", "/lib64", "/bin", "/proc", "/sys"]
PARTS += ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]  # not the disks
PARTS += [f"/etc/{name}" for name in ("ld.so.cache", "localtime", "passwd", "group", "fonts")]


class OutOfTime(Exception):
    """Raised when a kernel was still at work at the end of its time."""


class Died(Exception):
    """Raised when a kernel has ended while it was waited for."""


class ConfinedKernel(KernelManager):
    """Starts the kernel of this environment behind ``confine.py``."""

    settings = Dict()

    @default("kernel_spec_manager")
    def only_native(self):
        return KernelSpecManager(kernel_dirs=[])

    def format_kernel_cmd(self, extra_arguments=None):
        words = [sys.executable, *self.settings["kernel"], "-f", self.connection_file]
        if os.name == "nt":
            return words
        return [sys.executable, confine.__file__, json.dumps(self.settings), *words]


def adopt_orphans():
    """Become the parent of what programs leave behind, so that it can be ended (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def end_all(started):
    """End all that was started since, and what that started, until nothing is left."""
    for _ in range(100):
        left = [p for p in psutil.Process().children(recursive=True) if p not in started]
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1)


class Student:
    """Runs the cells of one submission and asks it for answers.

    Parameters
    ----------
    limit : float
        Seconds that one cell or one call of a function may take.
    confined : bool
        Whether the system must keep the program in its folder.
    """

    def __init__(self, limit=60, confined=True):
        self.limit, self.confined = limit, confined
        self.end = time.monotonic() + ROUNDS * limit
        self.done, self.manager = [], None

    def __enter__(self):
        adopt_orphans()
        self.others = psutil.Process().children(recursive=True)
        self.begin()
        return self

    def __exit__(self, *_):
        self.stop()

    def begin(self):
        """Start a kernel in a new folder: an old one may hold links that lead out of it."""
        self.folder = Path(tempfile.mkdtemp(prefix="chemnb-"))
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.stop()
            raise

    def prepare(self):
        """Lay out the folder: a copy of the package with its compiled kernels, and a home."""
        library = self.folder / "lib"
        shutil.copytree(ROOT / "chemnb", library / "chemnb")
        shutil.copy(answers.__file__, library / "chemnb_answers.py")
        shutil.copy(kernel.__file__, library / "chemnb_kernel.py")
        for name in ("work", "home/matplotlib", "tmp"):
            (self.folder / name).mkdir(parents=True)
        import matplotlib

        for fonts in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
            shutil.copy(fonts, self.folder / "home" / "matplotlib")

    def environment(self):
        """Return the variables of the program: none of this one's but where Windows lies."""
        home = self.folder / "home"
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LANG") if name in os.environ}
        folders = dict.fromkeys(["HOME", "USERPROFILE", "IPYTHONDIR", "XDG_CACHE_HOME"], str(home))
        temporary = dict.fromkeys(["TMPDIR", "TEMP", "TMP"], str(self.folder / "tmp"))
        return kept | folders | temporary | {
            "PATH": os.path.dirname(sys.executable),
            "PYTHONPATH": str(self.folder / "lib"),
            "MPLCONFIGDIR": str(home / "matplotlib"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "OMP_NUM_THREADS": "1",
            "CHEMNB_PROGRESS": "0",
            "TQDM_DISABLE": "1",
        }  # fmt: skip

    def start(self):
        python = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))}
        settings = LIMITS | {
            "confined": self.confined,
            "kernel": [str(self.folder / "lib" / "chemnb_kernel.py"), "--log-level=ERROR"],
            "read": [*PARTS, *python],
            "write": [str(self.folder), "/dev/null"],
        }
        context = zmq.Context()
        context.setsockopt(zmq.MAXMSGSIZE, 4 * answers.LARGEST)  # a larger one ends the talk
        context.setsockopt(zmq.LINGER, 0)
        self.manager = ConfinedKernel(
            settings=settings,
            context=context,
            transport="ipc" if LINUX else "tcp",
            connection_file=str(self.folder / "kernel.json"),
        )
        if LINUX:
            self.manager.ip = str(self.folder / "socket")
        with open(self.folder / "said", "wb") as said:
            self.manager.start_kernel(
                env=self.environment(), cwd=str(self.folder / "work"), stdout=said, stderr=said
            )
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError as error:
            said = (self.folder / "said").read_text("utf-8", "replace")[-1000:]
            raise RuntimeError(f"no kernel for submissions could be started: {said}") from error

    def stop(self):
        """End the program and all that it started, and remove its folder."""
        if self.manager:
            self.client.stop_channels()
            with contextlib.suppress(Exception):
                self.manager.shutdown_kernel(now=True)
            end_all(self.others)
            self.manager.cleanup_resources()
            self.manager.context.destroy(linger=0)
            self.manager = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, code, limit):
        """Run code and return its outputs as a notebook keeps them.

        Raises
        ------
        OutOfTime, Died
        """
        end, size, found = time.monotonic() + limit, 0, []
        mine = self.client.execute(code, store_history=True, allow_stdin=False)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise OutOfTime
            try:
                message = self.client.get_iopub_msg(timeout=min(0.5, left))
            except Empty:
                if not self.manager.is_alive():
                    raise Died from None
                continue
            except Exception:  # what comes is no message of a kernel
                raise Died from None
            with contextlib.suppress(Exception):  # a student's program can send what it likes
                if message["parent_header"]["msg_id"] != mine:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "status" and content["execution_state"] == "idle":
                    return found
                if kind in ("stream", "display_data", "execute_result", "error"):
                    if kind == "stream":
                        content["text"] = content["text"][: max(0, SHOWN - size)]
                    output = nbformat.v4.output_from_msg(message)
                    nbformat.validate(output, ref="output", version=4)
                    size += len(str(output))
                    if size <= 2 * SHOWN or answers.KIND in output.get("data", {}):
                        found.append(output)

    def attempt(self, code, limit=None):
        """Run code and return (outputs, what went wrong or None); afterwards a kernel is ready."""
        limit = min(limit or self.limit, self.end - time.monotonic())
        if limit <= 0:
            return [], f"the notebook took longer than {ROUNDS * self.limit:g} s in all"
        try:
            return self.send(code, limit), None
        except OutOfTime:
            fault = f"this took longer than {limit:.0f} s and was stopped"
            with contextlib.suppress(OutOfTime, Died):
                self.manager.interrupt_kernel()
                self.send("", 3)
                return [], fault
        except Died:
            fault = "this ended the whole program"
        self.again()
        return [], fault

    def again(self):
        """Start a new kernel and run in it what had run well in the one that is gone."""
        self.stop()
        self.begin()
        for code in self.done:
            with contextlib.suppress(OutOfTime, Died):
                self.send(code, min(self.limit, max(1, self.end - time.monotonic())))

    def run(self, code):
        """Run a cell and return its outputs as a notebook keeps them."""
        outputs, fault = self.attempt(code)
        if fault:
            return [*outputs, error_output("Stopped", fault)]
        self.done.append(code)
        return outputs

    def ask(self, request):
        """Return what the program answers to a request, as plain data.

        Raises
        ------
        AnswerError
            If there is no answer, or none that can be used.
        """
        name = request["name"]
        code = f"__import__('chemnb_answers').reply(globals(), {json.dumps(request)!r})"
        outputs, fault = self.attempt(code)
        if fault:
            raise AnswerError(f"{name}: {fault}")
        shown = [output.get("data", {}).get(answers.KIND) for output in outputs]
        shown = [text for text in shown if isinstance(text, str)]
        if not shown or len(shown[-1]) > answers.LARGEST:
            raise AnswerError(f"{name}: no answer came, or one that is too long")
        try:
            found = json.loads(shown[-1])
            if found.get("missing"):
                raise AnswerError(
                    "it does not exist; the cell that makes it did not run to its end"
                )
            if "error" in found:
                raise AnswerError(str(found["error"])[:500])
            return answers.decode(found["value"], lambda name: Function(self, name))
        except Exception as error:  # whatever a student's program may send
            raise AnswerError(f"{name}: {error}") from error


class Function:
    """A student's function, called where it lives."""

    def __init__(self, student, name):
        self.student, self.__name__ = student, name

    def __call__(self, *arguments, **named):
        coded = answers.encode((arguments, named))
        return self.student.ask({"name": self.__name__, "arguments": coded})


def error_output(name, text):
    return nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])
