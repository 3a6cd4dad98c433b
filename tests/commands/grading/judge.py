"""The two steps that take the place of nbgrader's own: an assignment made whole, and judged.

nbgrader runs its tests in the student's own program, where whatever they need can be replaced.
Here the tests run in this program. The student's answers come as plain data from another one.
"""

import matplotlib
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Float

from tests.commands.grading import sources
from tests.commands.grading.student import Student, error_output


class Rebuild(NbGraderPreprocessor):
    """Puts a student's text into a fresh copy of the released assignment."""

    def preprocess(self, notebook, resources):
        source = sources.read(resources["nbgrader"]["assignment"])
        return sources.rebuild(notebook, source), resources


class Judge(NbGraderPreprocessor):
    """Runs the cells of a submission in bounds, and the tests out of its reach."""

    limit = Float(60, help="Seconds for one cell, or one call of a student's function.").tag(
        config=True
    )
    confined = Bool(True, help="Whether the system must keep programs in their folder.").tag(
        config=True
    )

    def preprocess(self, notebook, resources):
        source = sources.read(resources["nbgrader"]["assignment"])
        with Student(self.limit, self.confined) as student:
            judge(notebook, source, student)
        return notebook, resources


def judge(notebook, source, student):
    """Fill in the outputs of a notebook whose given cells and tests are those of its source."""
    matplotlib.use("agg")  # here only: programs that are started later keep their own
    wanted, scope, count = sources.answers(source), {"__name__": "assignment"}, 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = count = count + 1
        if sources.role(cell) == "test":
            cell.outputs = outcome(cell.source, scope, wanted, student)
            continue
        cell.outputs = student.run(cell.source)
        # What is given but shows an answer is of no use to the tests, and of no trust.
        if sources.role(cell) == "given" and not sources.used(cell.source) & wanted:
            exec(compile(cell.source, "<given>", "exec"), scope)


def outcome(code, scope, wanted, student):
    """Return the outputs of a test: none if it passes, else an error that says why."""
    scope, name = dict(scope), ""
    try:
        for name in sorted(sources.used(code) & wanted):
            scope[name] = student.ask({"name": name})
        exec(compile(code, "<test>", "exec"), scope)
    except Exception as error:
        return [error_output(type(error).__name__, str(error))]
    return []
