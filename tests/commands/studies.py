"""What ``validate`` and ``bench`` share: run the modules of a folder, keep each one's records.

A module has ``run(progress=print)``, which returns a dictionary of records, and tells with
``progress`` how far it is. Its records are stored as soon as it ends. It is run again only when
the module itself, a module of the tests that it imports or, if one of them imports it, the package
has changed, or with ``--fresh``.
"""

import ast
import hashlib
import importlib
import json
import time
import traceback

from tests.commands import records
from tests.commands.environment import ROOT


def discover(folder):
    """Return the names of the studies in a folder of ``tests``; a leading underscore hides a helper."""
    paths = sorted((ROOT / "tests" / folder).glob("*.py"))
    return [path.stem for path in paths if not path.stem.startswith("_")]


def digest(folder, name):
    """Return a digest of all sources that the records of a study depend on."""
    sources = sorted(needed(ROOT / "tests" / folder / f"{name}.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def needed(path, known=frozenset()):
    """Return a module of the tests and all that it imports from the project.

    A study of other packages that leaves chemnb alone is not run again when chemnb changes.
    """
    found = {path} | known
    for name in imported(path):
        if name.split(".")[0] == "chemnb":
            found |= set((ROOT / "chemnb").rglob("*.py"))
        elif name.startswith("tests."):
            file = ROOT / (name.replace(".", "/") + ".py")
            if file.exists() and file not in found:
                found |= needed(file, frozenset(found))
    return found


def imported(path):
    """Return the dotted names that a source imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def parse(words, names):
    """Return the chosen names and whether to run them anew.

    Raises
    ------
    SystemExit
        If a word is not understood or names no study.
    """
    chosen = []
    for word in words:
        if word.startswith("ONLY="):
            chosen += word.removeprefix("ONLY=").split(",")
        elif word != "--fresh":
            raise SystemExit(f"'{word}' is not understood; use ONLY=name[,name] and --fresh.")
    for name in chosen:
        if name not in names:
            raise SystemExit(f"There is no '{name}'; there are: {', '.join(names) or 'none yet'}.")
    return chosen or names, "--fresh" in words


def run_one(folder, name):
    """Run one study and return its records."""
    module = importlib.import_module(f"tests.{folder}.{name}")
    found = module.run(progress=lambda *words: print("   ", *words, flush=True))
    return {key: records.as_record(entry) for key, entry in found.items()}


def main(folder, output, words):
    """Run the studies in ``tests/<folder>`` and keep their records in ``build/<output>.json``."""
    names = discover(folder)
    chosen, fresh = parse(words, names)
    state_path = records.BUILD / f"{output}.state.json"  # study -> its digest and record names
    state = json.loads(state_path.read_text("utf-8")) if state_path.exists() else {}
    found, failed = records.load(output), []
    for gone in [name for name in state if name not in names]:
        drop(found, state.pop(gone))
    for index, name in enumerate(chosen, 1):
        label, now = f"[{index}/{len(chosen)}] {name}", digest(folder, name)
        old = state.get(name, {"records": []})
        if not fresh and old.get("digest") == now and set(old["records"]) <= found.keys():
            print(f"{label}: unchanged, kept ({old['seconds']:.0f} s when it ran)", flush=True)
            continue
        print(f"{label} ...", flush=True)
        start = time.perf_counter()
        try:
            new = run_one(folder, name)
        except Exception:  # whatever goes wrong in one study, the others still count
            traceback.print_exc()
            failed.append(name)
            continue
        seconds = time.perf_counter() - start
        drop(found, old)
        found |= new
        state[name] = {"digest": now, "records": sorted(new), "seconds": round(seconds, 1)}
        records.store(output, found)
        records.write_json(state, state_path)
        print(f"{label}: done in {seconds:.0f} s", flush=True)
    print(f"\n{records.table(found)}\n" if found else "\nNo records yet.")
    print(f"The numbers: {records.store(output, found)}")
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


def drop(found, entry):
    for key in entry["records"]:
        found.pop(key, None)
