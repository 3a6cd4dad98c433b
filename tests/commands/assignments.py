"""``python run.py assignments WORD``: a course from its sources to the scores."""

import os
import sys
from pathlib import Path

from tests.commands.environment import say

USAGE = """usage: python run.py assignments WORD

  release            make the students' notebooks in build/course/release, and students.zip:
                     the project with them and without solutions
  collect FOLDER     take in the notebooks that students sent: FOLDER/student/any name.ipynb
  grade [STUDENT]    run what is new, apart from everything else, and give points; with a
                     name: that student's, in any case
  mark               open the answers in words, to be read and given points
  feedback           write a page for each submission into build/course/feedback
  scores             write all points to build/course/scores.csv

  --only=NAME        one assignment instead of all
  --folder=FOLDER    where the course lies; build/course if not said
  --limit=SECONDS    time for one cell of a submission; 60 if not said
  --unprotected      grade where the system cannot keep a submission from your files
"""


def options(words):
    """Return (word, argument, options) of a command line, after looking at each."""
    known = {"--only": None, "--folder": None, "--limit": "60", "--unprotected": False}
    plain = []
    for word in words:
        name, _, value = word.partition("=")
        if name in known:
            known[name] = value or True
        elif word.startswith("-"):
            raise SystemExit(f"'{word}' is not understood.\n\n{USAGE}")
        else:
            plain.append(word)
    if not plain or plain[0] not in COMMANDS or len(plain) > 2:
        raise SystemExit(USAGE)
    return plain[0], plain[1] if len(plain) > 1 else None, known


def shown(path):
    return os.path.relpath(path)


def release(course, names, _):
    for name in names:
        print(shown(course.release(name)))
    print(shown(course.bundle()))


def collect(course, names, folder):
    if folder is None:
        raise SystemExit("Say which folder holds the submissions: collect FOLDER.")
    found = [entry for entry in course.collect(folder) if entry[1] in [*names, None]]
    for student, assignment, name in found:
        print(f"{student:<20} {assignment or 'NOT TAKEN: none of our notebooks':<32} {name}")
    if not found:
        print(f"No notebook lies in {folder}.")


def chosen_students(course, assignment, student):
    """Return the students who handed an assignment in, or the one of them that was named."""
    return [who for who in course.handed_in(assignment) if student in (None, who)]


def grade(course, names, student):
    for name in names:
        for who in chosen_students(course, name, student):
            note = ", as before" if course.is_graded(name, who) and not student else ""
            if not note:
                course.grade(name, who)
            points, total, waiting = course.points(name, who)
            note += f", {waiting:g} more to mark" if waiting else ""
            print(f"{who:<20} {name:<28} {points:g} of {total:g}{note}", flush=True)


def feedback(course, names, student):
    for name in names:
        for who in chosen_students(course, name, student):
            if course.is_graded(name, who):
                print(shown(course.feedback(name, who)))


def scores(course, names, _):
    path, rows = course.scores()
    for row in rows:
        if row["assignment"] in names:
            print("{student:<20} {assignment:<28} {points:g} of {of:g}".format(**row))
    print(shown(path))


def mark(course, names, _):
    """Start nbgrader's formgrader, which is in no other server of this environment."""
    from tests.commands.grading import sources

    os.chdir(sources.FOLDER)
    words = ["-m", "jupyter_server", "--ServerApp.default_url=/formgrader"]
    words += ["--ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=True"]
    os.execv(sys.executable, [sys.executable, *words])


COMMANDS = {
    function.__name__: function for function in (release, collect, grade, mark, feedback, scores)
}


def check_protection(unprotected):
    """Stop where submissions could reach the instructor's files, unless that was allowed."""
    from tests.commands.grading import confine

    if unprotected:
        say("submissions are run WITHOUT protection: they can do all that you can.")
    elif confine.version() < confine.LEAST:
        raise SystemExit(
            "chemnb: this system cannot keep a submission from your files; that takes Linux 6.2 or "
            "newer with Landlock. Grade there, for instance in a virtual machine, or add "
            "--unprotected if you trust all that was handed in."
        )


def main(words):
    command, argument, known = options(words)
    from tests.commands.grading import course, sources

    names = sources.names()
    if known["--only"] and known["--only"] not in names:
        raise SystemExit(
            f"There is no assignment '{known['--only']}'; there are: {', '.join(names)}."
        )
    if command == "grade":
        check_protection(known["--unprotected"])
    chosen = [name for name in names if known["--only"] in (None, name)]
    argument = Path(argument).absolute() if command == "collect" and argument else argument
    try:
        here = course.Course(
            known["--folder"], float(known["--limit"]), confined=not known["--unprotected"]
        )
        COMMANDS[command](here, chosen, argument)
    except course.CourseError as error:
        raise SystemExit(f"chemnb: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
