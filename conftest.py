"""What all tests share: no progress bars, and which outputs of notebooks are not compared."""

import os

import hypothesis

# Kernels inherit it: stored outputs have no progress bars either.
os.environ["CHEMNB_PROGRESS"] = "0"
# Two workers on two cores: more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run; --hypothesis-profile=default looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, print_blob=True)
hypothesis.settings.load_profile("same")

NOT_COMPARED = (
    "application/vnd.chemnb.records+json",  # the same numbers stand rounded in the table beside it
    "image/png",  # the data of figures are asserted in the notebooks
)


def pytest_collectstart(collector):
    if getattr(collector, "skip_compare", None) is not None:
        collector.skip_compare += NOT_COMPARED
