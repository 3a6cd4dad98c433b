"""A JupyterLab server of its own, and notebooks in a browser: what the tests click and read."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No look-ups beyond this machine, no window, no sandbox (which a root user cannot have).
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)
IDLE = "session => session && session.kernel && session.kernel.status === 'idle'"
# A kernel calls itself idle between the messages of a progress bar, too.
RAN = "cells => [...cells].every(cell => cell.type !== 'code' || cell.executionState !== 'running')"
PANEL = "jupyterapp.shell.currentWidget"
MINUTE = 60_000


def browser_path():
    """Return where the system's Chromium is, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def server(root, home):
    """Start JupyterLab on a folder; yield the address that takes a path after it.

    Parameters
    ----------
    root : Path
        What it serves.
    home : Path
        An empty folder for its settings, so that none of the user's play a part.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    environment = {name: value for name, value in os.environ.items() if name != "CHEMNB_PROGRESS"}
    environment |= {name: str(home / name.lower()) for name in FOLDERS}
    quiet = home / FOLDERS[3].lower() / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    settings = {"fetchNews": "false", "checkForUpdates": False}
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(settings))
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with open(home / "lab.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"{address}/api/status?token={token}", process, home / "lab.log")
        yield (
            lambda path, workspace: (
                f"{address}/lab/workspaces/{workspace}/tree/{path}?token={token}&reset"
            )
        )
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url, process, log, seconds=90):
    """Return when the server answers; fail with its log if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5)
            return
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


class Notebook:
    """One notebook that is open in the browser."""

    def __init__(self, page, url):
        self.page = page
        page.goto(url)
        self.wait_until_idle()

    def ask(self, expression, argument=None):
        """Return the value of a JavaScript function; ``panel`` is the notebook's."""
        return self.page.evaluate(
            f"async argument => {{ const panel = {PANEL}; return await ({expression})(panel, argument) }}",
            argument,
        )

    def wait_until_idle(self, minutes=5):
        """Wait until the notebook is loaded and its kernel has nothing to do."""
        ready = (
            f"p && p.context && p.context.isReady && ({IDLE})(p.sessionContext.session) "
            f"&& ({RAN})(p.content.model.cells)"
        )
        self.page.wait_for_function(
            f"() => {{ try {{ const p = {PANEL}; return {ready} }} catch (e) {{ return false }} }}",
            timeout=minutes * MINUTE,
        )

    def run_all(self):
        """Run all cells, as the menu does, and wait for the last."""
        self.ask("() => jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_until_idle()

    @property
    def path(self):
        """The file that the notebook in front shows."""
        return self.ask("panel => panel.context.path")

    def faults(self):
        """Return the errors and the messages on stderr of all cells."""
        return self.ask("""panel => [...panel.content.model.cells].flatMap((cell, i) =>
            cell.type !== 'code' ? [] : cell.outputs.toJSON()
                .filter(out => out.output_type === 'error' || out.name === 'stderr')
                .map(out => `cell ${i}: ${out.ename || out.text}: ${out.evalue || ''}`))""")

    def cells_not_run(self):
        """Return the numbers of code cells that were not executed."""
        return self.ask("""panel => [...panel.content.model.cells]
            .map((cell, i) => cell.type === 'code' && !cell.executionCount ? i : -1)
            .filter(i => i >= 0)""")

    def cells_with(self, text):
        """Return the numbers of the code cells whose source has a text."""
        return self.ask(
            """(panel, text) => [...panel.content.model.cells]
            .map((cell, i) => cell.type === 'code' && cell.sharedModel.source.includes(text) ? i : -1)
            .filter(i => i >= 0)""",
            text,
        )

    def show(self, cell):
        """Scroll to a cell and return what is on the page of it."""
        self.ask(
            "async (panel, i) => { panel.content.activeCellIndex = i; await panel.content.scrollToItem(i) }",
            cell,
        )
        return self.page.locator(
            f'.jp-NotebookPanel:not(.lm-mod-hidden) [data-windowed-list-index="{cell}"]'
        )

    def close(self):
        """Stop the kernel and leave."""
        self.ask("panel => panel.sessionContext.shutdown()")
        self.page.close()
