"""The project's own files agree with each other, and the README tells the truth."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.commands.environment import ROOT

CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
README = (ROOT / "README.md").read_text("utf-8")


def ranges(lines):
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def constraints():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            assert [part.operator for part in requirement.specifier] == ["=="], line
            version = next(iter(requirement.specifier)).version
            found.setdefault(canonicalize_name(requirement.name), set()).add(version)
    return found


def conda():
    text = (ROOT / "environment.yml").read_text("utf-8")
    entries = yaml.safe_load(text)["dependencies"]
    by_pip = [entry for group in entries if isinstance(group, dict) for entry in group["pip"]]
    return [entry for entry in entries if isinstance(entry, str)] + by_pip


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_every_range_holds_the_version_that_was_tested():
    exact, every = constraints(), [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]
    for name, allowed in ranges(every).items():
        assert name in exact, f"{name} is not in constraints.txt"
        assert all(version in allowed for version in exact[name]), name
    assert exact["torch"] == {"2.13.0"}


def test_constraints_name_no_place_and_no_build():
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text and "+cpu" not in text and "nvidia-" not in text


def test_conda_has_the_same_ranges():
    wanted = ranges([*PROJECT["dependencies"], *EXTRAS["learn"], *EXTRAS["notebooks"]])
    found = {}
    for entry in conda():
        name, limits = re.fullmatch(r"([a-z0-9-]+)(.*)", entry).groups()
        found[name] = limits
    assert re.fullmatch(r"=3\.\d+", found.pop("python"))
    found.pop("pip")
    expected = {CONDA_NAMES.get(name, name): limits for name, limits in wanted.items()}
    assert found.keys() == expected.keys()
    for name, limits in expected.items():
        assert set(found[name].split(",")) == {str(part) for part in limits}, name


def test_conda_understands_every_line():
    rattler = pytest.importorskip("rattler")
    for entry in conda():
        assert rattler.MatchSpec(entry).name is not None


def test_ci_calls_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "python3 run.py test" in script and "set -euo pipefail" in script
    assert "python run.py test" in README and "python run.py reproduce" in README


EXAMPLES = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", README, re.DOTALL)


def test_every_piece_of_code_in_the_readme_shows_what_it_prints():
    assert len(EXAMPLES) == README.count("```python") >= 2
    assert len([line for line in EXAMPLES[0][0].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("code, shown", EXAMPLES)
def test_the_example_in_the_readme_runs(code, shown):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shown.strip()


def test_citation_and_version_agree():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    init = (ROOT / "chemnb" / "__init__.py").read_text("utf-8")
    assert cited["version"] == PROJECT["version"]
    assert f'__version__ = "{PROJECT["version"]}"' in init
    assert cited["license"] == PROJECT["license"] == "MIT"
    assert "Attribution 4.0" in (ROOT / "LICENSE-TEXT").read_text("utf-8")


def test_the_package_lists_all_its_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = {p.parent.relative_to(ROOT) for p in (ROOT / "chemnb").rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in found} == set(listed["packages"])


# From the ground up: a floor imports from the floors below it, never from its own.
FLOORS = (
    {"checks", "networks", "progress", "plots"},
    {"_kernels", "equations", "models", "paper", "sbml"},
    {"projection", "sampling"},
    {"learning"},
    {"reduction"},
    {"explorers"},
    {"__init__"},
)


def test_the_rooms_of_the_package_import_only_from_below():
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    package = ROOT / "chemnb"
    for path in package.rglob("*.py"):
        *folders, _ = place = path.relative_to(package).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = list(folders[: len(folders) - node.level + 1])
            names = node.module.split(".") if node.module else [node.names[0].name]
            room = (base + names)[0]
            if room in (place[0], "__version__"):
                continue
            assert floor[room] < floor[place[0]], f"{path.name} imports from {room}"


def test_the_package_is_imported_without_heavy_libraries():
    heavy = {"matplotlib", "numba", "pandas", "scipy", "sympy", "torch", "xarray"}
    program = f"import sys, chemnb; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_no_file_names_a_machine_or_a_package_index():
    never = re.compile(r"/opt/|/work/|/root/|/home/\w|index-url|/simple/|" + "pypi" + r"\.org")
    for path in tracked():
        if path.suffix in (".png", ".ipynb") or path.name in ("test_project.py", "lint.py"):
            continue
        assert not (found := never.search(path.read_text("utf-8"))) or "test_lint" in path.name, (
            f"{path.name}: {found[0]}"
        )
