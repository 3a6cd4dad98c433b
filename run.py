#!/usr/bin/env python3
"""The one door to chemnb: ``python run.py COMMAND``, the same on Linux, macOS and Windows.

The first call makes the folder .venv from the project's own files; later calls start at once.
Standard library only. This file stays readable for an old Python, so that it can say it is too old.
"""

import os
import platform
import subprocess
import sys

COMMANDS = {
    "lab": "open JupyterLab on notebooks/00_start_here.ipynb",
    "reproduce": "run the notebooks in order and print the paper-versus-here tables",
    "test": "run the test suite (further words go to pytest)",
    "validate": "run the many-seed studies; ONLY=name runs one, --fresh runs all anew",
    "bench": "compare with other packages; ONLY=name and --fresh as above",
    "assignments": "run a course: release, collect FOLDER, grade, mark, feedback, scores",
    "refresh": "run the notebooks and store their outputs; 02 04 runs only those two",
    "browser": "run the notebooks in JupyterLab and a real browser",
    "site": "build the notebooks and the API as pages to read without a kernel or a network",
    "export": "write notebooks as single HTML files; 02 my.ipynb writes only those two",
    "app": "serve the explorers of a notebook as an application (Voila); app 05",
    "lint": "check the code style and the form of the notebooks",
}
# What a command needs besides the base: groups of tests/commands/environment.py.
MORE = {
    "app": ["app"],
    "assignments": ["course"],
    "bench": ["bench"],
    "browser": ["browser", "course"],
    "test": ["course"],
}
MODULES = {"lab": "jupyterlab", "test": "pytest"}  # the others are tests.commands.NAME


def usage():
    lines = ["usage: python run.py COMMAND [further words]", ""]
    return "\n".join(lines + ["  {:<11} {}".format(*pair) for pair in COMMANDS.items()]) + "\n"


def start(arguments):
    """Hand over to a command of the environment, run in the project's folder."""
    sys.stdout.flush()
    os.environ["PATH"] = os.path.dirname(arguments[0]) + os.pathsep + os.environ.get("PATH", "")
    if os.name == "nt":  # exec returns to the prompt at once on Windows
        sys.exit(subprocess.call(arguments))
    os.execv(arguments[0], arguments)


def main(words):
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return
    command = words[0]
    if command not in COMMANDS:
        sys.exit("chemnb: there is no command '{}'.\n\n{}".format(command, usage()))
    if sys.version_info < (3, 11):
        text = "chemnb: needs Python 3.11 or newer; this is {}. Install one, then run: python3.12 run.py {}"
        sys.exit(text.format(platform.python_version(), command))

    from tests.commands import environment

    for group in ["base"] + MORE.get(command, []):
        environment.set_up(group)
    arguments = ["-m", MODULES.get(command, "tests.commands." + command)]
    if command == "lab":
        arguments.append(os.path.join("notebooks", "00_start_here.ipynb"))
    os.chdir(environment.ROOT)
    start([environment.venv_python()] + arguments + words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
