"""The assignments: their form, their solutions, and grading that a submission cannot reach."""

import ast
import csv
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest

from tests.commands import lint, normal, notebooks
from tests.commands.environment import ROOT
from tests.commands.grading import answers, confine, sources

NAMES = sources.names()
SMALL = "04_rate_constants"
CONFINED = confine.version() >= confine.LEAST
NEEDS_LANDLOCK = pytest.mark.skipif(not CONFINED, reason="no Landlock: programs cannot be confined")


def command(folder, *words):
    """Run ``assignments`` as an instructor does and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.commands.assignments", *map(str, words), f"--folder={folder}"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A course of its own, with all assignments released."""
    folder = tmp_path_factory.mktemp("course")
    command(folder, "release")
    return folder


def released(folder, name):
    return notebooks.read(folder / "release" / name / f"{name}.ipynb")


# --- the sources ------------------------------------------------------------------------------


def test_each_core_notebook_has_its_assignment():
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("name", NAMES)
def test_a_source_has_the_form_that_grading_needs(name):
    path = sources.FOLDER / name / f"{name}.ipynb"
    notebook = notebooks.read(path)
    assert notebooks.dumps(normal.normalise(notebook)) == path.read_text("utf-8")
    assert not any(cell.get("outputs") for cell in notebook.cells)
    ids = [sources.cell_id(cell) for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(i.startswith(f"a{name[:2]}_") for i in ids)
    roles = [sources.role(cell) for cell in notebook.cells]
    assert roles.count("text") == 1 and 4 <= roles.count("test") + 1 <= 6
    text = lint.prose(notebook)
    assert str(sources.points(notebook, "test", "text")) in re.search(r"\| Points \|.*", text)[0]
    for cell in notebook.cells:
        role = sources.role(cell)
        assert ("BEGIN SOLUTION" in cell.source) == (role in ("solution", "text"))
        assert ("BEGIN HIDDEN TESTS" in cell.source) == (role == "test")
        if cell.cell_type == "code":
            assert "nbgrader" not in cell.source  # a student does not have it


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_in_words_what_is_wrong(name):
    source = sources.read(name)
    for cell in source.cells:
        if sources.role(cell) == "test":
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.Assert) or node.msg, f"bare: {ast.unparse(node)}"
            seen = sources.HIDDEN.sub("", cell.source)
            assert "compare(" in seen or "assert" in seen


@pytest.mark.parametrize("name", NAMES)
def test_what_an_answer_is_called_is_told(name):
    source = sources.read(name)
    told = "\n".join(sources.SOLUTION.sub("", cell.source) for cell in source.cells)
    for answer in sources.answers(source):
        assert re.search(rf"`{answer}\b|def {answer}\(|^{answer} = None", told, re.MULTILINE), (
            answer
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_the_source_without_the_solutions(folder, name):
    source, stub = sources.read(name), released(folder, name)
    assert [c.cell_type for c in source.cells] == [c.cell_type for c in stub.cells]
    assert "SOLUTION" not in str(stub) and "HIDDEN" not in str(stub)
    for before, after in zip(source.cells, stub.cells, strict=True):
        wanted = sources.HIDDEN.sub("", before.source)
        if sources.role(before) == "text":
            wanted = sources.SOLUTION.sub(sources.UNANSWERED, wanted)
        wanted = sources.SOLUTION.sub(stub_of_region, wanted)
        assert after.source.rstrip("\n") == wanted.rstrip("\n")
        if sources.role(before) == "solution":
            assert "raise NotImplementedError" in after.source


def test_students_get_the_project_without_the_solutions(folder):
    with zipfile.ZipFile(folder / "students.zip") as pack:
        inside = set(pack.namelist())
        assert {"chemnb/run.py", "chemnb/chemnb/checks.py", "chemnb/constraints.txt"} <= inside
        notebooks_inside = {name for name in inside if "/assignments/" in name}
        wanted = {f"chemnb/notebooks/assignments/{name}/{name}.ipynb" for name in NAMES}
        assert notebooks_inside == wanted
        for name in wanted:
            text = pack.read(name).decode()
            assert "HIDDEN" not in text and "SOLUTION" not in text
    assert not any(".git" in name or ".venv" in name or "/build/" in name for name in inside)


def stub_of_region(match):
    indent = re.match(r"[ \t]*", match[0])[0]
    return f"{indent}# Your code here.\n{indent}raise NotImplementedError"


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_gets_full_points_and_a_stub_none(folder, name):
    source = sources.read(name)
    total = sources.points(source, "test")
    assert judged(sources.rebuild(source, source), source) == total
    assert judged(sources.rebuild(released(folder, name), source), source) == 0


def judged(notebook, source):
    """Return the points that the tests of a submission give."""
    from tests.commands.grading.judge import judge
    from tests.commands.grading.student import Student

    with Student(60, CONFINED) as student:
        judge(notebook, source, student)
    tests = [cell for cell in notebook.cells if sources.role(cell) == "test"]
    return sum(cell.metadata.nbgrader.points for cell in tests if not cell.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_needs_nothing_but_the_package(name, tmp_path):
    path = tmp_path / "any name.ipynb"
    notebooks.write(sources.read(name), path)
    done = notebooks.execute(path)
    assert done.error is None
    assert done.seconds < 60


# --- six submissions ---------------------------------------------------------------------------

WRONG = {
    "a04_matrix": "matrix = np.array([[1, -1, -1, 0], [0, 0, 1, 0], [0, 0, 0, -1], [1, -1, -1, 0]])",
    "a04_weighted_fit": """
        def weighted_fit(matrix, c, covariance):
            weighted = np.linalg.solve(covariance, matrix)
            spread = np.linalg.inv(matrix.T @ weighted)
            return spread @ weighted.T @ c, np.diag(spread)  # no root
        """,
}
ENDLESS = """
    import os, time
    for name in ("said", "kernel.json", "lib/chemnb_kernel.py"):  # the grader may write there
        os.remove("../" + name)
        os.symlink({target!r}, "../" + name)
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass
    """
HOSTILE = """
    import builtins, glob, os, signal, socket, subprocess, sys, time
    import chemnb.checks, IPython

    found = []
    def attempt(what, function):
        try:
            function()
            found.append(what)
        except BaseException as error:
            print(what, type(error).__name__)

    IPython.display.display({{"text/html": {script!r}, "text/plain": "-"}}, raw=True)
    # Every check passes, no exception is shown, everything is equal to everything.
    compare = chemnb.checks.compare = lambda *words, **more: None
    np.allclose = np.isclose = np.array_equal = lambda *words, **more: True
    np.testing.assert_allclose = lambda *words, **more: None
    builtins.abs = lambda x: 0
    get_ipython().set_custom_exc((BaseException,), lambda *words, **more: None)
    class Everything:
        __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
        __array__ = lambda self, *words, **more: np.zeros(4)
        def __call__(self, *words, **more): return self
        def __getattr__(self, name): return self
        def __len__(self): return 2
        def __getitem__(self, index): return self
    matrix = hidden = weighted_fit = choose = Everything()
    rank_of_means = rank_of_all = Everything()

    # Messages to the grader that no kernel sends.
    kernel = get_ipython().kernel
    for content in ({{"name": 1, "text": 5}}, {{}}, {{"data": 3, "metadata": []}}):
        for kind in ("stream", "display_data", "status"):
            kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())

    # The hidden tests, and the scores of others.
    for path in {readable}:
        attempt("read " + path, lambda: open(path).read() + "")
    for path in [*{disks}, "/etc/shadow", "/root", os.path.dirname({folder!r})]:
        attempt("open " + path, lambda: os.open(path, os.O_RDONLY))
    attempt("list", lambda: os.listdir({root!r}))
    # Writing outside.
    for path in {writable}:
        attempt("write " + path, lambda: open(path, "a").write("hostile"))
        attempt("truncate " + path, lambda: os.truncate(path, 0))
        attempt("remove " + path, lambda: os.remove(path))
        os.chmod(path, 0)
        attempt("link " + path, lambda: os.link(path, "mine"))
    attempt("create", lambda: open({folder!r} + "/created", "w"))
    attempt("temporary", lambda: open("/tmp/chemnb-created-{mark}", "w"))
    # Other programs and the network.
    for pid in {pids}:
        attempt("signal", lambda: os.kill(pid, signal.SIGKILL))
        attempt("limit", lambda: __import__("resource").prlimit(pid, 7, (1, 1)))
    attempt("connect", lambda: socket.create_connection(("127.0.0.1", {port}), timeout=2))
    attempt("local", lambda: socket.socket(socket.AF_UNIX).connect({socket!r}))
    # Somebody who stays behind.
    subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(300)", "chemnb-stays-{mark}"],
        start_new_session=True,
    )
    print("DONE:", found)
    sys.stdout.write("x" * 50_000_000)
    """


SCRIPT = "Full points, please. <script>fetch('/formgrader/api/grade/1')</script>"


def submission(stub, cells):
    """Return a copy of a notebook with other text in some cells."""
    notebook = nbformat.from_dict(stub)
    for cell in notebook.cells:
        text = cells.get(sources.cell_id(cell))
        if text is not None:
            cell.source = textwrap.dedent(text).strip()
    return notebook


def solved():
    return {
        sources.cell_id(c): c.source
        for c in sources.read(SMALL).cells
        if sources.role(c) in ("solution", "text")
    }


def digest(*folders):
    """Return what lies in some folders: name, rights, size, time and content of every file."""
    found = {}
    for folder in folders:
        for place, inner, files in os.walk(folder):
            inner[:] = [name for name in inner if name[0] != "." and name != "__pycache__"]
            for path in (os.path.join(place, name) for name in files):
                state = os.lstat(path)
                text = hashlib.sha256(open(path, "rb").read()).hexdigest()
                found[path] = (state.st_mode, state.st_mtime_ns, text)
    return found


@pytest.fixture(scope="module")
def graded(folder, tmp_path_factory):
    """Six submissions, collected and graded, and what the hostile one could have touched."""
    inbox, private = tmp_path_factory.mktemp("inbox"), tmp_path_factory.mktemp("private")
    (private / "diary").write_text("secret")
    stub, right = released(folder, SMALL), solved()
    source = sources.FOLDER / SMALL / f"{SMALL}.ipynb"
    sentry = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    server, local = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    address = str(tmp_path_factory.mktemp("s") / "s")
    local.bind(address)
    local.listen()
    mark = os.urandom(4).hex()
    attack = HOSTILE.format(
        readable=[str(source), str(folder / "gradebook.db"), str(private / "diary")],
        writable=[str(private / "diary"), str(source), str(ROOT / "chemnb" / "checks.py")],
        root=str(sources.FOLDER), folder=str(folder), mark=mark, pids=[sentry.pid, os.getpid()],
        port=server.getsockname()[1], socket=address, script=SCRIPT,
        disks=[str(path) for path in Path("/dev").glob("[svn][dv]*")],
    )  # fmt: skip
    endless = ENDLESS.format(target=str(private / "diary"))
    attack = {"a04_matrix": attack if CONFINED else WRONG["a04_matrix"], "a04_interpret": SCRIPT}
    hostile = submission(stub, right | attack)
    for cell in hostile.cells:
        if sources.role(cell) == "test":  # easier tests, and worth more
            cell.source, cell.metadata.nbgrader.points = "pass", 100
        if sources.cell_id(cell) in ("a04_hidden", "a04_weighted_fit", "a04_choose"):
            cell.source = "pass"
    hostile.cells.insert(0, nbformat.v4.new_code_cell("import numpy\nnumpy.pi = 3"))
    written = {
        "right": submission(stub, right),
        "wrong": submission(stub, right | WRONG),
        "crashing": submission(
            stub, right | {"a04_hidden": "import os\nos._exit(1)", "a04_matrix": "1/0"}
        ),
        "endless": submission(stub, right | {"a04_hidden": endless}),
        "hostile": hostile,
    }
    for student, notebook in written.items():
        (inbox / student).mkdir()
        nbformat.write(notebook, inbox / student / "my work (1).ipynb")
    (inbox / f"empty-{SMALL}.ipynb").write_text("")
    (inbox / "linked").mkdir()
    (inbox / "linked" / "link.ipynb").symlink_to(private / "diary")
    taken = command(folder, "collect", inbox)
    project = [ROOT / name for name in ("notebooks", "chemnb", "tests")]
    places = [*project, private, folder / "submitted", folder / "release"]
    before = digest(*places)
    said = command(
        folder, "grade", f"--only={SMALL}", "--limit=12", *([] if CONFINED else ["--unprotected"])
    )
    after = digest(*places)
    alive = sentry.poll() is None
    sentry.kill()
    sentry.wait()
    server.setblocking(False)
    local.setblocking(False)
    return {
        "folder": folder, "taken": taken, "said": said, "before": before, "after": after,
        "alive": alive, "listeners": (server, local), "mark": mark,
    }  # fmt: skip


def lines(text):
    return {line.split()[0]: line for line in text.splitlines() if line.strip()}


def test_a_notebook_is_known_by_its_cells_and_its_student_by_its_place(graded):
    taken = lines(graded["taken"])
    assert set(taken) == {"right", "wrong", "crashing", "endless", "hostile", "empty"}
    assert all(SMALL in line for line in taken.values())


def test_six_submissions_get_the_points_that_they_are_worth(graded):
    said = lines(graded["said"])
    wanted = {"right": 15, "wrong": 8, "empty": 0, "crashing": 9, "endless": 12, "hostile": 0}
    found = {student: re.search(r" (\d+) of 18", line)[1] for student, line in said.items()}
    assert found == {student: str(points) for student, points in wanted.items()}, graded["said"]
    again = command(graded["folder"], "grade")
    assert again.count("as before") == 6  # nothing is run twice without a reason
    assert "3 more to mark" in said["right"] and "mark" not in said["empty"]


@NEEDS_LANDLOCK
def test_nothing_outside_of_its_folder_is_touched_by_a_submission(graded):
    assert graded["before"] == graded["after"]
    assert graded["alive"], "the submission ended a program of the instructor"
    for listener in graded["listeners"]:
        with pytest.raises(BlockingIOError):
            listener.accept()
    page = notebooks.read(graded["folder"] / "autograded" / "hostile" / SMALL / f"{SMALL}.ipynb")
    text = str([cell.get("outputs") for cell in page.cells])
    assert "<script" not in text + lint.prose(page)
    assert "DONE: []" in text and "PermissionError" in text and len(text) < 3_000_000
    assert not [name for name in os.listdir("/tmp") if graded["mark"] in name]
    running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert not any(f"chemnb-stays-{graded['mark']}" in str(words) for words in running)


def test_a_page_of_feedback_says_why_and_hides_what_was_hidden(graded):
    folder = graded["folder"]
    command(folder, "feedback", "wrong", f"--only={SMALL}")
    page = (folder / "feedback" / "wrong" / SMALL / f"{SMALL}.html").read_text("utf-8")
    assert "take the root of the diagonal" in page
    assert "HIDDEN" not in page and "errors with correlated errors" not in page


def test_an_answer_in_words_is_marked_and_all_scores_are_exported(graded):
    from nbgrader.api import Gradebook

    folder = graded["folder"]
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        answer = book.find_grade("a04_interpret", SMALL, SMALL, "right")
        answer.manual_score, answer.needs_manual_grade = 2.5, False
        book.db.commit()
    assert "right" in command(folder, "scores")
    with open(folder / "scores.csv", encoding="utf-8", newline="") as handle:
        rows = {row["student"]: row for row in csv.DictReader(handle)}
    assert float(rows["right"]["points"]) == 17.5 and float(rows["right"]["of"]) == 18
    assert rows["right"]["still to mark"] == "0" and rows["wrong"]["a04_weighted_fit_test"] == "0.0"
    assert len(rows) == 6


# --- the parts ---------------------------------------------------------------------------------


ATTEMPTS = """
import os, socket, sys
outside, pid = sys.argv[1], int(sys.argv[2])
def attempt(what, function):
    try:
        function()
    except OSError:
        return
    print(what)
attempt("read", lambda: open(outside).read())
attempt("write", lambda: open(outside, "r+"))
attempt("truncate", lambda: os.truncate(outside, 1))
attempt("create", lambda: open(outside + "2", "w"))
attempt("link", lambda: os.link(outside, "linked"))
attempt("rename", lambda: os.rename(outside, outside + "3"))
attempt("signal", lambda: os.kill(pid, 0))
attempt("tcp", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
os.chmod(sys.argv[3], 0o600)
open("inside", "w").write("mine")
print("ended")
"""


def attempts(tmp_path, confined):
    """Return what a program got done, and the rights of a file that it changed."""
    outside, other, inside = tmp_path / "out", tmp_path / "other", tmp_path / "in"
    outside.write_text("secret")
    other.write_text("")
    other.chmod(0o644)
    inside.mkdir()
    settings = {
        "confined": confined,
        "read": ["/usr", "/lib", "/lib64", "/etc", sys.prefix, sys.base_prefix],
        "write": [str(inside), "/dev/null"],
        "memory": 10**10,
        "file": 10**6,
    }
    done = subprocess.run(
        [sys.executable, confine.__file__, json.dumps(settings), sys.executable, "-c", ATTEMPTS,
         str(outside), str(os.getpid()), str(other)],
        cwd=inside, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (inside / "inside").read_text() == "mine"
    return done.stdout.split(), other.stat().st_mode & 0o777


@pytest.mark.skipif(os.name == "nt", reason="confine.py is not used there")
@pytest.mark.parametrize("confined", [pytest.param(True, marks=NEEDS_LANDLOCK), False])
def test_a_confined_program_gets_nothing_done_outside_that_another_can(tmp_path, confined):
    done, rights = attempts(tmp_path, confined)
    every = ["read", "write", "truncate", "create", "link", "rename", "signal", "tcp", "udp"]
    if confined and confine.version() < 6:
        done = [what for what in done if what != "signal"]
    assert done == ([] if confined else every) + ["ended"]
    assert rights == (0o644 if confined else 0o600)


def test_what_a_student_changed_elsewhere_is_undone():
    source = sources.read(SMALL)
    sent = submission(
        source, {"a04_choose": "mine = 1", "a04_choose_test": "pass", "a04_t1": "easy"}
    )
    extra = nbformat.v4.new_code_cell("helper = 2")
    del sent.cells[1]
    sent.cells = [*sent.cells[:3], extra, *reversed(sent.cells[3:]), *sent.cells[5:8]]
    rebuilt = sources.rebuild(sent, source)
    kept = [cell for cell in rebuilt.cells if sources.role(cell)]
    assert [sources.cell_id(c) for c in kept] == [sources.cell_id(c) for c in source.cells]
    for mine, theirs in zip(kept, source.cells, strict=True):
        changed = sources.cell_id(theirs) == "a04_choose"
        assert mine.source == ("mine = 1" if changed else theirs.source)
    assert [c.source for c in rebuilt.cells if not sources.role(c)] == ["helper = 2"]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", [1, (2, 3.0)], {"a": 1, ("plain", 2): [True]}, {1, 2},
     np.arange(6.0).reshape(2, 3), np.array([1, 2]), np.array(1.5), np.array([1 + 2j]), np.float64(2)],
    ids=str,
)  # fmt: skip
def test_plain_data_come_over_as_they_are(value):
    coded = json.loads(json.dumps(answers.encode(value)))
    found = answers.decode(coded, None)
    assert type(found) is type(value) or isinstance(value, np.generic)
    np.testing.assert_equal(found, value)


def test_what_is_no_plain_data_is_refused():
    with pytest.raises(answers.AnswerError, match="it is a object; give numbers"):
        answers.decode(answers.encode([object()]), None)
    coded = answers.encode(np.arange(3.0))
    for change in ({"shape": [10**9]}, {"type": "|O"}, {"shape": [2]}):
        with pytest.raises(answers.AnswerError, match="malformed"):
            answers.decode(coded | change, None)


def test_submissions_come_from_folders_platforms_and_archives(tmp_path):
    from tests.commands.grading.course import handed_in

    places = ["ann/a.ipynb", "Bob B_77_assignsubmission_file_/x.ipynb", "cy.ipynb", "ann/notes.txt"]
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("{}")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as pack:
        pack.writestr("../../dora/a.ipynb", "{}")
    found = {(student, data) for student, _, data in handed_in(tmp_path)}
    assert found == {("ann", b"{}"), ("Bob B", b"{}"), ("cy", b"{}"), ("dora", b"{}")}


def test_a_system_that_cannot_protect_is_told(monkeypatch, capsys):
    from tests.commands import assignments

    monkeypatch.setattr(confine, "version", lambda: 2)
    with pytest.raises(SystemExit, match="cannot keep a submission from your files"):
        assignments.check_protection(False)
    assignments.check_protection(True)
    assert "WITHOUT protection" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["grades"], ["grade", "--fast"], ["grade", "a", "b"]])
def test_words_that_are_not_understood_bring_the_usage(words):
    from tests.commands import assignments

    with pytest.raises(SystemExit, match="usage: python run.py assignments WORD"):
        assignments.main(words)


def test_lab_does_not_load_what_only_grading_needs():
    """With the extension of nbgrader on, every start of Lab takes seconds longer."""
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "jupyterlab" in said
    assert not re.search(r"nbgrader\S* .*enabled", re.sub(r"\x1b\[\d+m", "", said)), said
