"""Make ``.venv`` from the project's own files. Standard library only: it runs before anything is installed."""

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
INSTALLING = VENV / "chemnb-installing"  # lies there while packages may be half installed
EXTRAS = {
    "app": ["app"],
    "base": ["learn", "notebooks", "test"],
    "bench": ["bench"],
    "browser": ["browser"],
    "course": ["course"],
}
NO_NETWORK = re.compile(r"connect|name resolution|proxy|ssl|timed out", re.IGNORECASE)


def set_up(group):
    """Make .venv hold what a group of extras needs; most calls find nothing to do.

    Raises
    ------
    SystemExit
        With a message in plain words, when it cannot be done.
    """
    if is_ready(group):
        return
    with one_at_a_time():
        if not is_ready(group):  # the run that this one waited for may have done it
            make_venv()
            install(group)
            if group == "course":
                keep_out_of_lab()
            stamp = stamp_of(group)
            fresh = stamp.with_suffix(".new")
            fresh.write_text(fingerprint(group))
            fresh.replace(
                stamp
            )  # last, and whole or not at all: a kill before it means "not ready"


def say(text):
    print("chemnb: " + text, file=sys.stderr, flush=True)


def venv_python():
    """Return the path of the interpreter in .venv."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def stamp_of(group):
    return VENV / f"chemnb-{group}"


def is_ready(group):
    with contextlib.suppress(OSError):
        return os.path.exists(venv_python()) and stamp_of(group).read_text() == fingerprint(group)
    return False


def fingerprint(group):
    """Return a digest of all that an up-to-date environment is made from."""
    parts = [repr((sys.version_info[:2], extras_of(group), str(ROOT))).encode()]
    parts += [(ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def extras_of(group):
    # torch has no builds for Macs with an Intel processor; the other notebooks run without it.
    intel_mac = sys.platform == "darwin" and platform.machine() == "x86_64"
    return [name for name in EXTRAS[group] if not (intel_mac and name == "learn")]


@contextlib.contextmanager
def one_at_a_time():
    """Hold a lock that the system frees when its holder dies, however it dies."""
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / "run.lock", "a+") as handle:
        waiting = False
        while not try_lock(handle):
            if not waiting:
                say("another run is setting up .venv; waiting for it.")
            waiting = True
            time.sleep(0.2)
        yield


def try_lock(handle):
    try:
        if os.name == "nt":
            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error means a file system without locks: go on without one.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


def quiet(*command):
    """Run a command out of sight and return whether it worked and what it wrote."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    return done.returncode == 0, done.stdout + done.stderr


def make_venv():
    """Keep a sound .venv; put a new one in the place of a missing, half-made or foreign one."""
    sound = os.path.exists(venv_python()) and not INSTALLING.exists()
    if sound:
        same = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        sound, _ = quiet(venv_python(), "-c", same)
    needed, free = (1 if sound else 3), shutil.disk_usage(ROOT).free / 1e9
    if free < needed:
        sys.exit(
            f"chemnb: no space: {free:.1f} GB are free where {ROOT} lies, about {needed} GB are "
            "needed. Free some and run the same command again."
        )
    if sound:
        say("bringing .venv up to date.")
        return
    say("making .venv: downloads about 0.5 GB, once; takes 2 GB of disk and some minutes.")
    # Started from inside the old .venv, the interpreter that once made it makes the new one.
    base = getattr(sys, "_base_executable", None) or sys.executable
    worked, text = quiet(base, "-m", "venv", "--clear", str(VENV))
    if not worked:
        sys.exit(
            f"{text}\nchemnb: 'python -m venv' failed (above). On Debian and Ubuntu this mends it: "
            "apt install python3-venv"
        )


def install(group):
    """Install a group of extras at the versions in constraints.txt."""
    extras = extras_of(group)
    if extras != EXTRAS[group]:
        say(
            "torch has no build for Macs with an Intel processor: what learns with torch cannot run."
        )
    INSTALLING.touch()
    for command, settings in installers():
        command += ["-c", "constraints.txt", "-e", f".[{','.join(extras)}]"]
        if subprocess.call(command, cwd=ROOT, env=settings | os.environ) == 0:
            INSTALLING.unlink()
            return
    if shutil.disk_usage(ROOT).free > 3e8:  # on a full disk, files may be half written
        INSTALLING.unlink()
    sys.exit(
        "chemnb: the packages could not be installed; the lines above say why. Usual reasons: no "
        "network, a full disk, or a Python for which a package has no build (3.11 to 3.14 have all). "
        "Then run the same command again: it goes on from here."
    )


def keep_out_of_lab():
    """Switch off what nbgrader adds to every start of JupyterLab: seconds, for what few need."""
    names = ("assignment_list", "course_list", "formgrader", "validate_assignment")
    switched = {f"nbgrader.server_extensions.{name}": False for name in names}
    settings = {
        "jupyter_server_config.d/zz-chemnb.json": {"ServerApp": {"jpserver_extensions": switched}},
        "labconfig/page_config.json": {"disabledExtensions": {"@jupyter/nbgrader": True}},
    }
    for name, text in settings.items():
        path = VENV / "etc" / "jupyter" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(text), "utf-8")


def installers():
    """Yield the ways to install as (command, environment), the best first."""
    pip = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check"]
    uv = [venv_python(), "-m", "uv", "pip", "install", "--python", venv_python()]
    worked, text = quiet(venv_python(), "-m", "uv", "--version")
    if not worked:
        worked, text = quiet(*pip, "--retries", "2", "--quiet", "uv")
    if not worked and NO_NETWORK.search(text):
        INSTALLING.unlink()
        sys.exit(
            f"{text.strip().splitlines()[-1]}\nchemnb: no network: the packages cannot be fetched. "
            "Check the connection, or pip's proxy settings, and run the same command again."
        )
    if worked:
        links = find_links()
        if links:
            yield [*uv], {"UV_FIND_LINKS": links}
        elif sys.platform.startswith("linux"):
            yield (
                [*uv],
                {"UV_TORCH_BACKEND": "cpu"},
            )  # else torch brings several GB for graphics cards
            say(
                "that failed; trying without the CPU build of torch: this may fetch several GB more."
            )
        if not links:
            yield [*uv], {}
    say("uv is not to be had or failed; trying pip, which takes some minutes.")
    yield [*pip, "--no-compile"], {}


def find_links():
    """Return the folders of wheels that pip is told to look in: uv does not read pip's settings."""
    links = os.environ.get("PIP_FIND_LINKS")
    if links is None:
        worked, text = quiet(venv_python(), "-m", "pip", "config", "get", "global.find-links")
        links = text if worked else ""
    return ",".join(links.split())
