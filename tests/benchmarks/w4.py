"""W4, what one answer costs: a new Python, import, a new network, 100 runs, their table.

Processor time of a process of its own, twice: with an empty and with a filled cache of compiled
kernels; and for comparison a job that is large enough to need them.

The answer is what a notebook shows of the result: means, variances and covariances with their
standard errors. It needs neither Numba nor xarray. The first labelled array, such as `mean()`,
imports xarray (and with it pandas), which costs more than all of the rest: a record of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

REPEATS = 5
PROGRAM = """
import json, sys, time
began = time.process_time()
import chemnb as cn
imported = time.process_time()
net = cn.ReactionNetwork("A -> 2 A ; 1 \\n A -> 0 ; 1.1 \\n 2 A -> B ; 0.01")
data = cn.sample(net, {"A": 10}, range(11), %d, seed=1, threads=1, progress=False)
assert "Cov(A, B)" in data._repr_html_()
shown = time.process_time()
data.mean()
print(json.dumps([imported - began, shown - imported, time.process_time() - shown]))
"""


def run(progress=print):
    """Return the records of W4."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = [], []
        for repeat in range(REPEATS):
            for times, cache in ((cold, f"{folder}/{repeat}"), (warm, folder)):
                times.append(first_answer(100, cache))
            progress(
                f"repeat {repeat + 1}/{REPEATS}: cold {sum(cold[-1][:2]):.2f}, "
                f"warm {sum(warm[-1][:2]):.2f}, labelled {sum(warm[-1]):.2f}"
            )
        kernels = [first_answer(3000, f"{folder}/large") for _ in range(2)]
    for name, times in (("cold", cold), ("warm", warm)):
        what = f"processor time from import to the first result, {name} cache"
        found[f"bench.w4.first_answer_seconds_{name}"] = seconds([sum(t[:2]) for t in times], what)
    found["bench.w4.labelled_answer_seconds_warm"] = seconds(
        map(sum, warm), "the same and the first labelled array, which imports xarray"
    )
    found["bench.w4.import_seconds"] = seconds([t[0] for t in warm], "the import alone")
    for (_, answer, _), cache in zip(kernels, ("empty", "filled"), strict=True):
        found[f"bench.w4.kernels_seconds_{cache}"] = seconds(
            [answer], f"3000 runs after the import, {cache} cache"
        )
    return found


def seconds(values, what):
    values = list(values)
    return {"value": statistics.median(values), "unit": "s", "what": what, "n": len(values)}


def first_answer(runs, cache):
    """Return the processor time of the import, of the answer and of the first labelled array."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    words = [sys.executable, "-c", PROGRAM % runs]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
