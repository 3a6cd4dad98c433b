"""The runner of the SBML Test Suite, on a suite of our own of a few cases with known answers."""

import math

import pytest

pytest.importorskip("libsbml")

from tests.studies import sbml_suite  # noqa: E402
from tests.test_sbml import amounts, build  # noqa: E402

DECAY = {"R": ("A -> ", "k*A")}


@pytest.fixture
def suite(tmp_path):
    """Return a function that writes a case: its kind, model, settings and expected results."""
    counts = {"semantic": 0, "stochastic": 0}

    def write(kind, text, settings, results):
        counts[kind] += 1
        number = f"{counts[kind]:05}"
        folder = tmp_path / "cases" / kind / number
        folder.mkdir(parents=True)
        (folder / f"{number}-sbml-l3v1.xml").write_text(text, "utf-8")
        lines = "".join(f"{key}: {value}\n" for key, value in settings.items())
        (folder / f"{number}-settings.txt").write_text(lines, "utf-8")
        (folder / f"{number}-results.csv").write_text(results, "utf-8")

    write.folder = tmp_path
    return write


def found(folder, kind):
    return [entry[1] for entry in sbml_suite.outcomes(folder, kind, progress=lambda *_: None)]


def course(factor=1.0):
    rows = [f"{t},{7 * math.exp(-2 * t) * factor},{3.5 * math.exp(-2 * t)},2" for t in (0, 0.5, 1)]
    return "\n".join(["time,A,half,k", *rows]) + "\n"


def test_semantic_cases_are_told_apart(suite):
    settings = {"amount": "A", "concentration": "", "absolute": 1e-8, "relative": 1e-5}
    text = build(DECAY, amounts(A=7), {"k": 2, "half": 0}, rules={"half": "A/2"})
    suite("semantic", text, settings, course())
    suite("semantic", text, settings, course(1.001))  # not what the model does
    fast = text.replace('fast="false"', 'fast="true"')
    suite("semantic", fast, settings, course())
    assert found(suite.folder, "semantic") == ["right", "wrong", "refused"]
    why = sbml_suite.outcomes(suite.folder, "semantic", progress=lambda *_: None)
    assert why[1].why.startswith("A at t = 0 is 7, not 7.007")
    assert "reaction 'R' is fast" in why[2].why


def test_amounts_and_concentrations_of_a_case(suite):
    text = build(DECAY, {"A": {"concentration": 7}}, {"k": 2}, compartments={"c": 4})
    settings = {"amount": "", "concentration": "A", "absolute": 1e-8, "relative": 1e-5}
    law = "\n".join(f"{t},{7 * math.exp(-2 * t / 4)}" for t in (0, 1, 2))
    suite("semantic", text, settings, f"time,A\n{law}\n")
    suite("semantic", text, settings | {"amount": "A", "concentration": ""}, f"time,A\n{law}\n")
    assert found(suite.folder, "semantic") == ["right", "wrong"]


def test_stochastic_cases_are_judged_by_means_and_deviations(suite, monkeypatch):
    monkeypatch.setattr(sbml_suite, "RUNS", 2000)
    text = build(DECAY, amounts(A=100), {"k": 1})
    settings = {"output": "A-mean, A-sd", "meanRange": "(-3, 3)", "sdRange": "(-5, 5)"}
    shares = [math.exp(-t / 4) for t in range(9)]

    def results(spread=1.0):
        rows = [
            f"{t / 4},{100 * p},{spread * math.sqrt(100 * p * (1 - p))}"
            for t, p in enumerate(shares)
        ]
        return "\n".join(["time,A-mean,A-sd", *rows]) + "\n"

    suite("stochastic", text, settings, results())
    suite("stochastic", text, settings, results(1.4))
    assert found(suite.folder, "stochastic") == ["right", "wrong"]


def test_without_a_copy_it_is_skipped_and_says_so(monkeypatch):
    said = []
    monkeypatch.delenv(sbml_suite.FOLDER, raising=False)
    assert sbml_suite.run(said.append) == {} and "skipped" in said[0]


def test_a_folder_without_cases_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no cases in"):
        sbml_suite.outcomes(tmp_path, "semantic")


def test_the_table_counts_files_cases_and_reasons(suite, capsys):
    settings = {"amount": "A", "concentration": "", "absolute": 1e-8, "relative": 1e-5}
    text = build(DECAY, amounts(A=7), {"k": 2, "half": 0}, rules={"half": "A/2"})
    suite("semantic", text, settings, course())
    suite("semantic", text.replace('fast="false"', 'fast="true"'), settings, course())
    sbml_suite.main([str(suite.folder), "semantic"])
    shown = capsys.readouterr().out
    assert "semantic: 2 files of 2 cases" in shown
    assert "  right           1 files of    1 cases" in shown
    assert "  refused         1  reaction '...' is fast" in shown
