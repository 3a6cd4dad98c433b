"""The steps of a course, from the sources to the scores: nbgrader's own where it has one."""

import csv
import io
import os
import re
import sys
import warnings
import zipfile
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from traitlets.config import Config, PyFileConfigLoader

from tests.commands.environment import ROOT
from tests.commands.grading import sources

LARGEST = 20_000_000  # bytes of a notebook that is handed in
NOT_PACKED = ("assignments", "build", "__pycache__", "chemnb.egg-info", "test_assignments.py")
# What learning platforms put behind a name: _12345_assignsubmission_file_ and the like.
PLATFORM = re.compile(r"_\d+_assignsubmission_.*$")


class CourseError(ValueError):
    """Raised where a step cannot be done."""


class Course:
    """A course in a folder of its own, ``build/course`` unless told otherwise.

    Parameters
    ----------
    folder : Path, optional
    limit : float
        Seconds that one cell of a submission may take.
    confined : bool
        Whether the system must keep submissions in their folder.
    """

    def __init__(self, folder=None, limit=60, confined=True):
        # nbgrader starts the command 'alembic', which lies beside this Python.
        os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        if folder:
            os.environ["CHEMNB_COURSE"] = os.path.abspath(folder)
        # Any other settings of nbgrader are left aside: the same everywhere.
        self.config = PyFileConfigLoader("nbgrader_config.py", str(sources.FOLDER)).load_config()
        self.config.merge(Config({"Judge": {"limit": limit, "confined": confined}}))
        self.folder = Path(self.config.CourseDirectory.release_directory).parent

    def step(self, converter, assignment, student="*"):
        """Run one of nbgrader's converters.

        Raises
        ------
        CourseError
            With the converter's own words, if it fails.
        """
        place = CourseDirectory(config=self.config)
        place.assignment_id, place.student_id = assignment, student
        app = converter(coursedir=place, config=self.config)
        app.log.propagate, app.force = False, True
        with warnings.catch_warnings():  # of what nbgrader asks of its database
            warnings.simplefilter("ignore")
            result = capture_log(app)
        if not result["success"]:
            said = (result["log"] or result["error"]).strip()
            raise CourseError(f"{assignment}, {student}: {said}")

    def release(self, assignment):
        """Make the students' version and enter it into the gradebook; return its path."""
        self.step(GenerateAssignment, assignment)
        return self.folder / "release" / assignment / f"{assignment}.ipynb"

    def bundle(self):
        """Pack the project with the released assignments and without the sources; return the path.

        It is what students get: all that ``python run.py lab`` needs, and no solutions.
        """
        path = self.folder / "students.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
            for place, inner, files in os.walk(ROOT):
                here = Path(place)
                inner[:] = sorted(n for n in inner if n[0] != "." and n not in NOT_PACKED)
                for file in (here / name for name in sorted(files)):
                    if (
                        file.name[0] != "."
                        and file.name not in NOT_PACKED
                        and file.suffix != ".pyc"
                    ):
                        pack.write(file, Path("chemnb") / file.relative_to(ROOT))
            for file in sorted((self.folder / "release").glob("*/*.ipynb")):
                place = sources.FOLDER.relative_to(ROOT) / file.parent.name / file.name
                pack.write(file, Path("chemnb") / place)
        return path

    def collect(self, folder):
        """Take the notebooks out of a folder of submissions.

        A notebook belongs to the student that its folder is named after, or else its file:
        ``ann/anything.ipynb`` or ``ann.ipynb``; folders may be zipped. Which assignment it is,
        its cells tell. Nothing but notebooks is taken, and none is opened by more than a reader.

        Returns
        -------
        list of (student, assignment or None, file)
            Without an assignment where the notebook is none of this course.
        """
        found = []
        for student, name, data in handed_in(Path(folder)):
            notebook = parse(data)
            assignment = sources.recognise(notebook) if notebook else None
            if assignment is None:  # an empty or broken file: the name may tell
                named = [known for known in sources.names() if known in name]
                assignment, notebook = (named or [None])[0], nbformat.v4.new_notebook()
            student = re.sub(rf"[-_. ]*{re.escape(assignment or '')}$", "", student) or student
            student = re.sub(r"[^\w.-]+", "_", student).strip("._-")
            found.append((student, assignment, name))
            if student and assignment:
                target = self.folder / "submitted" / student / assignment
                target.mkdir(parents=True, exist_ok=True)
                nbformat.write(notebook, target / f"{assignment}.ipynb")
        return found

    def handed_in(self, assignment):
        """Return the students who have handed in an assignment."""
        pattern = f"*/{assignment}/{assignment}.ipynb"
        return sorted(p.parts[-3] for p in (self.folder / "submitted").glob(pattern))

    def is_graded(self, assignment, student):
        """Whether a submission was graded since it was collected and since its tests changed."""
        done, sent = (
            self.folder / step / student / assignment / f"{assignment}.ipynb"
            for step in ("autograded", "submitted")
        )
        tests = sources.FOLDER / assignment / f"{assignment}.ipynb"
        newest = max(path.stat().st_mtime for path in (sent, tests))
        return done.exists() and done.stat().st_mtime >= newest

    def grade(self, assignment, student):
        """Run and judge one submission and enter its points into the gradebook."""
        self.step(Autograde, assignment, student)

    def points(self, assignment, student):
        """Return the points of a submission, those it could have, and those still to be given."""
        with self.gradebook() as book:
            submission = book.find_submission(assignment, student)
            return submission.score, submission.max_score, to_mark(submission)

    def feedback(self, assignment, student):
        """Write the page that a student is to see; return its path."""
        self.step(GenerateFeedback, assignment, student)
        return self.folder / "feedback" / student / assignment / f"{assignment}.html"

    def gradebook(self):
        return Gradebook(self.config.CourseDirectory.db_url)

    def scores(self):
        """Write all scores to ``scores.csv`` and return (path, rows); one row a submission."""
        rows = []
        with self.gradebook() as book:
            for assignment in sorted(book.assignments, key=lambda a: a.name):
                for submission in book.assignment_submissions(assignment.name):
                    grades = [g for page in submission.notebooks for g in page.grades]
                    row = {"student": submission.student.id, "assignment": assignment.name}
                    row["points"], row["of"] = submission.score, assignment.max_score
                    row["still to mark"] = to_mark(submission)
                    row |= {g.name: g.score for g in sorted(grades, key=lambda g: g.name)}
                    rows.append(row)
        rows.sort(key=lambda row: (row["assignment"], row["student"]))
        names = list(dict.fromkeys(name for row in rows for name in row))
        path = self.folder / "scores.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, names, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path, rows


def to_mark(submission):
    """Return the points of a submission that wait for somebody to read the answer."""
    grades = [g for page in submission.notebooks for g in page.grades]
    return sum(g.max_score for g in grades if g.needs_manual_grade)


def handed_in(folder):
    """Yield (student, file name, bytes) of every notebook in a folder of submissions."""
    if not folder.is_dir():
        raise CourseError(f"There is no folder {folder}; name the one that holds the submissions.")
    for path in sorted(folder.rglob("*")):
        # A link may point to anything that the instructor can read.
        if path.is_symlink() or not path.is_file() or ".ipynb_checkpoints" in path.parts:
            continue
        place = path.relative_to(folder).parts
        student = PLATFORM.sub("", place[0] if len(place) > 1 else path.stem)
        name = "/".join(place)
        if path.suffix == ".ipynb":
            yield student, name, path.read_bytes()[:LARGEST]
        elif path.suffix == ".zip" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as pack:
                for entry in pack.infolist():
                    if entry.filename.endswith(".ipynb") and entry.file_size < LARGEST:
                        inner = Path(entry.filename).parts
                        owner = student if len(place) > 1 or len(inner) < 2 else inner[-2]
                        yield PLATFORM.sub("", owner), f"{name}/{entry.filename}", pack.read(entry)


def parse(data):
    """Return the notebook in a file's bytes, None if they hold none."""
    try:
        notebook = nbformat.read(io.StringIO(data.decode("utf-8-sig")), as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            marks = cell.metadata.get("nbgrader", {})
            if not isinstance(marks.get("grade_id", ""), str):
                return None
    except Exception:  # anything may be in a file that a student sends
        return None
    return notebook
