"""The one door: what run.py says and does, without installing anything."""

import ast
import os
import subprocess
import sys

import pytest

import run
from tests.commands import environment, studies
from tests.commands.environment import ROOT

SCRIPT = ROOT / "run.py"


def call(*words, **options):
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, cwd=ROOT, **options
    )


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A project folder without an environment; what would be installed is only noted."""
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "INSTALLING", tmp_path / ".venv" / "chemnb-installing")
    return tmp_path


def test_without_words_it_lists_every_command():
    done = call()
    assert done.returncode == 0
    for command in (
        "lab",
        "reproduce",
        "test",
        "assignments",
        "validate",
        "bench",
        "refresh",
        "lint",
        "site",
        "export",
        "app",
        "browser",
    ):
        assert f"\n  {command} " in done.stdout


def test_an_unknown_command_is_named():
    done = call("tests")
    assert done.returncode == 1
    assert "there is no command 'tests'" in done.stderr and "usage:" in done.stderr


def test_an_old_python_is_told(monkeypatch):
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match="needs Python 3.11 or newer.*python3.12 run.py lint"):
        run.main(["lint"])


def test_it_is_short_and_needs_the_standard_library_only():
    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) < 150
    for path in (SCRIPT, ROOT / "tests" / "commands" / "environment.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
        assert names <= set(sys.stdlib_module_names) | {"tests"}
    assert not any(isinstance(node, ast.JoinedStr) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("command", [name for name in run.COMMANDS if name not in run.MODULES])
def test_every_command_is_a_module(command):
    assert (ROOT / "tests" / "commands" / f"{command}.py").exists()


def test_a_ready_environment_starts_no_installer(empty, monkeypatch):
    python = environment.venv_python()
    os.makedirs(os.path.dirname(python))
    open(python, "w").close()
    environment.stamp_of("base").write_text(environment.fingerprint("base"))
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(subprocess, "call", None)
    environment.set_up("base")


def test_the_stamp_is_written_last_and_names_what_it_was_made_from(empty, monkeypatch):
    made = []
    monkeypatch.setattr(environment, "make_venv", lambda: os.makedirs(environment.VENV))
    monkeypatch.setattr(environment, "install", made.append)
    environment.set_up("base")
    assert made == ["base"] and environment.stamp_of("base").exists()
    before = environment.fingerprint("base")
    with open(empty / "constraints.txt", "a") as handle:
        handle.write("# changed\n")
    assert environment.fingerprint("base") != before


def test_a_kill_before_the_end_leaves_no_stamp(empty, monkeypatch):
    monkeypatch.setattr(environment, "make_venv", lambda: os.makedirs(environment.VENV))

    def killed(group):
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "install", killed)
    with pytest.raises(KeyboardInterrupt):
        environment.set_up("base")
    assert not environment.is_ready("base") and not environment.stamp_of("base").exists()


def test_too_little_space_is_told(empty, monkeypatch):
    usage = environment.shutil.disk_usage(empty)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    with pytest.raises(SystemExit, match=r"no space: 1.0 GB are free .* about 3 GB are needed"):
        environment.make_venv()


def test_no_network_is_told(empty, monkeypatch):
    environment.VENV.mkdir()
    environment.INSTALLING.touch()
    monkeypatch.setattr(
        environment, "quiet", lambda *command: (False, "ERROR: name resolution failed")
    )
    with pytest.raises(SystemExit, match="no network: the packages cannot be fetched"):
        environment.install("base")
    assert not environment.INSTALLING.exists()


def test_a_failed_installation_says_what_to_do(empty, monkeypatch):
    environment.VENV.mkdir()
    monkeypatch.setattr(environment, "installers", lambda: iter([(["pip"], {})]))
    monkeypatch.setattr(environment.subprocess, "call", lambda *args, **kwargs: 1)
    with pytest.raises(SystemExit, match="could not be installed.*run the same command again"):
        environment.install("base")


def test_a_benchmark_of_other_packages_is_not_run_again_when_chemnb_changes():
    folder, package = ROOT / "tests", ROOT / "chemnb" / "__init__.py"
    alone = studies.needed(folder / "benchmarks" / "sindy.py")
    assert folder / "studies" / "_systems.py" in alone and package not in alone
    assert package in studies.needed(folder / "studies" / "identification.py")
