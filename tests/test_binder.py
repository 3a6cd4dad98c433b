"""What a BinderHub would build and start from ``binder/``, as far as that can be seen without Docker."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.commands.environment import ROOT

BINDER = ROOT / "binder"
posix_only = pytest.mark.skipif(os.name == "nt", reason="Binder's images are Linux")


@pytest.fixture(scope="module")
def dockerfile():
    """The file that repo2docker makes of this repository."""
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id", "1000",
         "--user-name", "jovyan", str(ROOT)],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_environment_is_that_of_the_root():
    same = (BINDER / "environment.yml").read_text("utf-8")
    assert same == (ROOT / "environment.yml").read_text("utf-8")
    assert "  - python=3.11\n" in same  # repo2docker's own default is older


def test_the_image_has_all_three_files(dockerfile):
    assert "binder/environment.yml" in dockerfile, dockerfile[-2000:]
    assert "RUN ./binder/postBuild" in dockerfile
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_are_programs_that_stop_at_the_first_error(name):
    text = (BINDER / name).read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n") and "\nset -e\n" in text and "\r" not in text
    if os.name != "nt":
        assert os.access(BINDER / name, os.X_OK)


@posix_only
@pytest.mark.parametrize(("limit", "threads"), [("2.0", "2"), ("0.4", "1"), (None, "1")])
def test_start_gives_libraries_as_many_threads_as_there_are_cores(limit, threads):
    environment = {k: v for k, v in os.environ.items() if k != "CPU_LIMIT"}
    environment |= {"PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    if limit:
        environment["CPU_LIMIT"] = limit
    show = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'])"
    done = subprocess.run(
        [str(BINDER / "start"), "python", "-c", show],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [threads, threads]


@posix_only
def test_post_build_runs_in_a_clean_environment(tmp_path):
    """The libraries are there, the package is not: postBuild must bring it and warm it up."""
    copy = tmp_path / "repository"
    for name in ("chemnb", "binder"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy2(ROOT / name, copy / name)
    venv.create(tmp_path / "env", symlinks=True)
    inside = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    packages = sysconfig.get_path("purelib", "venv", inside)
    with open(os.path.join(packages, "libraries.pth"), "w") as libraries:
        libraries.write(sysconfig.get_path("purelib") + "\n")
    environment = os.environ | {
        "PATH": str(tmp_path / "env" / "bin") + os.pathsep + os.environ["PATH"],
        "PYTHONPATH": "",
    }
    script = copy / "binder" / "postBuild"
    done = subprocess.run(
        ["bash", script], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    where = "import chemnb; print(chemnb.__file__)"
    found = subprocess.run(
        ["python", "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(copy / "chemnb" / "__init__.py"), found.stderr
    assert list((copy / "chemnb").rglob("*.nbi")), "nothing was compiled ahead"
