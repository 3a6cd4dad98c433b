"""The settings of nbgrader, which reads them in the folder that it is started in."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbgrader import preprocessors as steps

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("CHEMNB_COURSE") or HERE.parents[1] / "build" / "course")
BUILD.mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(HERE.parents[1]))

from tests.commands.grading import judge, sources  # noqa: E402 - found by the line above

c = get_config()  # noqa: F821 - nbgrader gives it
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.source_directory = "."
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__"]
for step in ("release", "submitted", "autograded", "feedback", "solution"):
    c.CourseDirectory[f"{step}_directory"] = str(BUILD / step)
c.CourseDirectory.db_url = f"sqlite:///{BUILD / 'gradebook.db'}"

c.NbGrader.logfile = str(BUILD / "nbgrader.log")

c.ClearSolutions.code_stub = {"python": "# Your code here.\nraise NotImplementedError"}
c.ClearSolutions.text_stub = sources.UNANSWERED

c.Autograde.sanitize_preprocessors = [
    judge.Rebuild,
    steps.ClearOutput,
    steps.OverwriteCells,
    steps.CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    judge.Judge,
    SanitizeHTML,  # the page is opened by the one who marks it: no script of a student's
    steps.LimitOutput,
    steps.SaveAutoGrades,
    steps.AssignLatePenalties,
    steps.CheckCellMetadata,
]
c.SanitizeHTML.enabled = True
# The tests that students did not see stay unseen: next year they are asked again.
c.GenerateFeedback.preprocessors = [
    steps.GetGrades,
    steps.ClearHiddenTests,
    CSSHTMLHeaderPreprocessor,
]
