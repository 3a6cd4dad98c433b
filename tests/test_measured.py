"""The table of benchmarks: what is stored, how it is shown, and that the README shows it."""

import pytest

from tests.commands import measured
from tests.commands.environment import ROOT
from tests.commands.records import Record


def stored(**values):
    records = {f"bench.{k.replace('__', '.')}": Record(v).as_dict() for k, v in values.items()}
    return {"machine": "one core", "records": records}


def test_the_readme_shows_what_is_stored():
    text = (ROOT / "README.md").read_text("utf-8")
    assert measured.BEGIN in text and measured.END in text
    assert measured.with_table(text, measured.load()) == text


def test_only_what_was_measured_is_shown():
    found = measured.rows(stored(w1__over_gillespy2=31.66, w1__unknown=1.0))
    assert found == [(measured.SHOWN["bench.w1.over_gillespy2"], "31.7", "", "bench ONLY=w1")]


def test_a_row_names_range_unit_and_command():
    entry = Record(399.6, "MB", low=390.0, high=410.0).as_dict()
    table = measured.table({"machine": "one core", "records": {"bench.memory_mb": entry}})
    assert "| 400 MB | 390 to 410 | `bench ONLY=kernels` |" in table
    assert "Measured on one core." in table


def test_every_command_names_a_benchmark():
    names = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    for name in measured.SHOWN:
        module = name.split(".")[1]
        assert measured.MODULES.get(module, module) in names


def test_records_are_stored_with_the_machine_and_read_again(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{measured.BEGIN}\nold\n{measured.END}\nafter\n", "utf-8")
    (tmp_path / "tests" / "benchmarks").mkdir(parents=True)
    monkeypatch.setattr(measured, "ROOT", tmp_path)
    monkeypatch.setattr(measured, "STORED", tmp_path / "measured.json")
    monkeypatch.setattr(
        measured.records, "load", lambda name: {"bench.threads.two_over_one": Record(1.9, n=7)}
    )
    assert measured.main([]) == 0
    assert (
        measured.load(tmp_path / "measured.json")["records"]["bench.threads.two_over_one"]["n"] == 7
    )
    text = readme.read_text("utf-8")
    assert "| 1.90 |" in text and "cores of" in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("\nafter\n")


def test_without_numbers_nothing_is_stored(monkeypatch):
    monkeypatch.setattr(measured.records, "load", lambda name: {})
    with pytest.raises(SystemExit, match="run.py bench"):
        measured.main([])
    with pytest.raises(SystemExit, match="not understood"):
        measured.main(["--all"])
