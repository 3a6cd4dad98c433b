"""The notebooks as files: which there are, how one is run, read, normalised and written."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

import nbformat
import psutil
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm
from traitlets import Type, default

from tests.commands.environment import ROOT

FOLDER = ROOT / "notebooks"
RECORDS = "application/vnd.chemnb.records+json"
# A notebook that nobody watches shows no progress bars: stored outputs and tests see the same.
QUIET = {"CHEMNB_PROGRESS": "0", "TQDM_DISABLE": "1"}


def numbered(folder=FOLDER):
    """Return the paths of the numbered notebooks in their order."""
    return sorted(Path(folder).glob("[0-9][0-9]*_*.ipynb"))


def select(words, folder=FOLDER):
    """Return the notebooks that the words name by number, name or path; all for no words.

    Raises
    ------
    SystemExit
        If a word names no notebook.
    """
    every, chosen = numbered(folder), set()
    for word in words:
        name = Path(word).name.removesuffix(".ipynb")
        found = [path for path in every if name == path.stem or name == path.stem.split("_")[0]]
        if not found:
            numbers = ", ".join(path.stem.split("_")[0] for path in every) or "none yet"
            raise SystemExit(f"There is no notebook '{word}' in {folder}; there are: {numbers}.")
        chosen.update(found)
    return [path for path in every if path in chosen or not words]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def read(path):
    return nbformat.read(path, as_version=4)


def dumps(notebook):
    """Return the text of a notebook file: sorted keys, one space of indent, one end of line."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def write(notebook, path):
    """Write a notebook whole or not at all."""
    fresh = Path(path).with_suffix(".new")
    fresh.write_text(dumps(notebook), encoding="utf-8", newline="\n")
    fresh.replace(path)


@dataclass
class Run:
    """One execution of a notebook: its outputs, what it cost, and where it failed, if it did."""

    notebook: nbformat.NotebookNode
    seconds: float
    peak_mb: float
    error: str | None = None


class ShortPolls(AsyncZMQSocketChannel):
    """Looks for a reply every second: where widgets talk, the sign that one is there may be lost.

    Without this, now and then a cell that has ended is waited for until its time is up; see
    issue 312 of nbclient.
    """

    async def get_msg(self, timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 1.0 if end is None else max(0.0, min(1.0, end - time.monotonic()))
            try:
                return await super().get_msg(timeout=left)
            except Empty:
                if end is not None and time.monotonic() >= end:
                    raise


class OwnClient(AsyncKernelClient):
    shell_channel_class = Type(ShortPolls)


class OwnKernel(AsyncKernelManager):
    """Starts the kernel of this environment, whatever other kernels are installed."""

    @default("kernel_spec_manager")
    def only_native(self):
        return KernelSpecManager(kernel_dirs=[])

    def client(self, **options):
        return OwnClient(**{"parent": self, **self.get_connection_info(session=True), **options})


class PeakMemory(threading.Thread):
    """Samples the resident memory of all processes that this one started, in MB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.done = 0.0, threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # it ended while it was being counted
                    continue
            self.peak = max(self.peak, total / 1e6)


def execute(path, timeout=600, position=0):
    """Run a notebook from a clean kernel in its own folder, with a progress bar over its cells.

    An exception in a cell does not raise here: it is told in ``Run.error``.
    """
    path, notebook, index = Path(path), read(path), 0

    def started(cell, cell_index):
        nonlocal index
        index = cell_index

    cells, memory, error = len(code_cells(notebook)), PeakMemory(), None
    start = time.perf_counter()
    memory.start()
    with tqdm(total=cells, desc=path.stem, unit="cell", leave=False, position=position) as bar:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_manager_class=OwnKernel,
            kernel_name="python3",
            # Without it every kernel warns that others on this machine could read its messages.
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=started,
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute(env=os.environ | QUIET)
        except CellExecutionError as caught:
            error = f"{caught.ename}: {caught.evalue}"
        except (CellTimeoutError, DeadKernelError) as caught:
            error = str(caught).strip().splitlines()[0]
    memory.done.set()
    memory.join()
    if error:
        number = len([cell for cell in notebook.cells[: index + 1] if cell.cell_type == "code"])
        error = f"{path.name}, cell {index} (code cell {number}): {error}"
    return Run(notebook, time.perf_counter() - start, memory.peak, error)
