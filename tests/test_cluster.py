"""The same ensemble on a cluster of real processes, workers that are killed, and checkpoints."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import chemnb as cn
from chemnb.networks.network import ReactionNetwork
from chemnb.sampling import checkpoint as saving
from chemnb.sampling import cluster
from chemnb.sampling.ensemble import EnsembleError
from chemnb.sampling.simulator import SimulationError

SKIN = cn.models.single_progenitor()
# A run takes a few milliseconds, so that a job can be interrupted.
SLOW = ReactionNetwork("0 -> A ; 20000 \n A -> 0 ; 1")
JOB = dict(
    initial={"A": 10}, times=[0, 5, 20], seed=11, keep=700, moments=["A^2 B"],
    histograms={20: ["A", ("A", "B")], 5: "B"},
)  # fmt: skip


@pytest.fixture(scope="session")
def client():
    """A client of two worker processes, one thread each, each watched by a nanny."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            host="127.0.0.1",
        ) as local,
        Client(local) as connected,
    ):  # fmt: skip
        yield connected


# --- the same bits -----------------------------------------------------------------------------


def test_a_cluster_gives_the_bits_of_one_machine(client):
    alone = cn.sample(SKIN, runs=3000, threads=1, **JOB)
    assert cn.sample(SKIN, runs=3000, client=client, **JOB) == alone


def test_one_worker_and_small_tasks_give_the_same_bits(client, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_PER_TASK", 0.0)  # every task is one run
    address = next(iter(client.scheduler_info()["workers"]))
    submit = client.submit
    monkeypatch.setattr(client, "submit", lambda *a, **k: submit(*a, workers=[address], **k))
    job = JOB | dict(stop="B > 40", method="next-reaction", first_run=5)
    assert cn.sample(SKIN, runs=150, client=client, **job) == cn.sample(SKIN, runs=150, **job)


def test_parts_from_a_cluster_are_merged(client):
    first = cn.sample(SKIN, runs=300, client=client, **JOB)
    assert first + cn.sample(SKIN, runs=50, first_run=300, **JOB) == cn.sample(
        SKIN, runs=350, **JOB
    )


def test_progress_is_shown(client, monkeypatch):
    shown = []
    bar = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(bar, "__enter__", lambda: bar, raising=False)

    class Bar:
        def __enter__(self):
            return bar

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("chemnb.sampling.gillespie.progress_bar", lambda *_: Bar())
    cn.sample(SKIN, runs=2000, client=client, **JOB)
    assert sum(shown) == 2000 and len(shown) > 4 and shown[0] == 0


# --- what dies ---------------------------------------------------------------------------------


def test_a_killed_worker_loses_and_changes_nothing(client, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_PER_TASK", 0.3)
    arguments = dict(network=SLOW, initial=[0], times=[0.5, 3], runs=1500, seed=3, histograms=[3])
    before = client.run(os.getpid)
    victim = list(before.values())[0]
    killed, wait = [], cluster._patiently

    def patiently(future, task):
        if task.first > 300 and not killed:
            # while tasks of both workers are at work
            assert client.processing() and any(client.processing().values())
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
        return wait(future, task)

    monkeypatch.setattr(cluster, "_patiently", patiently)
    data = cn.sample(client=client, **arguments)
    assert killed and data == cn.sample(**arguments)
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(os.getpid).values()


def test_a_task_that_kills_every_worker_is_told(client, monkeypatch):
    from distributed import KilledWorker

    error = KilledWorker("simulate-1", SimpleNamespace(address="tcp://x"), 3)

    class Lost:
        def result(self, timeout):
            raise error

    task = SimpleNamespace(first=5, size=10)
    with pytest.raises(
        cluster.ClusterError, match="runs 5 to 14 ended every worker.*enough memory"
    ):
        cluster._patiently(Lost(), task)


def test_an_error_in_a_run_is_the_same_as_on_one_machine(client):
    explode = ReactionNetwork("2 A -> 3 A ; 1")
    said = []
    for where in ({}, {"client": client}):
        with pytest.raises(SimulationError, match="passed 1,000 reactions") as error:
            cn.sample(explode, [9], [50], 300, seed=1, max_events=1000, **where)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_the_interrupt_key_ends_a_job_and_leaves_the_cluster_usable(client):
    arguments = dict(network=SLOW, initial=[0], times=[5], seed=3)
    timer = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cn.sample(runs=10**7, client=client, **arguments)
    assert time.monotonic() - began < 10
    assert cn.sample(runs=20, client=client, **arguments) == cn.sample(runs=20, **arguments)


# --- clusters that cannot ----------------------------------------------------------------------


def test_clients_that_are_none(client, monkeypatch):
    job = dict(network=SKIN, initial={"A": 10}, times=[1], runs=5, seed=1)
    with pytest.raises(
        cluster.ClusterError, match=r"client is a str; give a dask.distributed.Client"
    ):
        cn.sample(**job, client="tcp://127.0.0.1:8786")
    with pytest.raises(
        SimulationError, match="threads are of this machine and client is a cluster"
    ):
        cn.sample(**job, client=client, threads=2)
    with pytest.raises(SimulationError, match="first_run=-1 must be a whole number of 0 or more"):
        cn.sample(**job, first_run=-1)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "distributed", None)
        with pytest.raises(cluster.ClusterError, match=r"install chemnb\[cluster\]"):
            cn.sample(**job, client=client)
    from distributed import Client

    gone = Client(client.cluster)
    gone.close()
    with pytest.raises(cluster.ClusterError, match="client is closed; connect it"):
        cn.sample(**job, client=gone)


def test_workers_with_another_version_are_refused(client, monkeypatch):
    monkeypatch.setattr(cn, "__version__", "9.9")
    with pytest.raises(cluster.ClusterError, match="a worker has chemnb .* and this process 9.9"):
        cn.sample(SKIN, {"A": 10}, [1], 5, seed=1, client=client)


def test_dask_and_netcdf_are_imported_only_where_they_are_used():
    code = (
        "import sys, chemnb as cn\n"
        "net = cn.ReactionNetwork('A -> 0 ; 1')\n"
        "data = cn.sample(net, [3], [1.0], 10, seed=1)\n"
        "print(data.runs, {'dask', 'distributed', 'netCDF4'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "10 set()", done.stderr


# --- checkpoints -------------------------------------------------------------------------------


JOB_TEXT = """
import sys
import chemnb as cn
from chemnb.sampling import checkpoint
from tests.test_cluster import SLOW_JOB
checkpoint.SECONDS_BETWEEN = 0.2
where = {}
if __name__ == "__main__":
    if sys.argv[2] == "cluster":
        from distributed import Client, LocalCluster
        local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None,
                             host="127.0.0.1")
        where = dict(client=Client(local))
    cn.sample(**SLOW_JOB, runs=10**6, checkpoint=sys.argv[1], **where)
"""
SLOW_JOB = dict(
    network=SLOW, initial=[0], times=[0.1, 0.5], seed=5, histograms=[0.5], moments=3, keep=50
)


@pytest.mark.parametrize(
    ("end", "where"),
    [(signal.SIGINT, "here"), (signal.SIGKILL, "here"), (signal.SIGINT, "cluster")],
    ids=["interrupted", "killed", "interrupted on a cluster"],
)
def test_an_interrupted_job_goes_on_where_it_was(tmp_path, end, where):
    folder = tmp_path / "job"
    job = subprocess.Popen(
        [sys.executable, "-c", JOB_TEXT, str(folder), where], stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while not (folder / "ensemble.nc").exists() and time.monotonic() < deadline:
            assert job.poll() is None
            time.sleep(0.05)
        job.send_signal(end)
        assert job.wait(30) != 0
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    saved = cn.load_ensemble(folder / "ensemble.nc")
    assert 0 < saved.runs < 10**6
    done = []

    def look(ensemble, simulator, runs, *rest):
        done.append(ensemble.runs)
        return fill(ensemble, simulator, runs, *rest)

    fill = cn.sampling.gillespie._filled
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cn.sampling.gillespie, "_filled", look)
        runs = saved.runs + 100
        data = cn.sample(**SLOW_JOB, runs=runs, checkpoint=folder)
    assert done == [saved.runs]
    assert data == cn.sample(**SLOW_JOB, runs=runs)
    assert cn.load_ensemble(folder / "ensemble.nc") == data
    assert [path.name for path in folder.iterdir()] == ["ensemble.nc"]


def test_checkpoints_go_from_one_machine_to_a_cluster_and_back(client, tmp_path):
    cn.sample(SKIN, runs=400, checkpoint=tmp_path, **JOB)
    cn.sample(SKIN, runs=1100, checkpoint=str(tmp_path), client=client, **JOB)
    data = cn.sample(SKIN, runs=1300, checkpoint=tmp_path, **JOB)
    assert data == cn.sample(SKIN, runs=1300, **JOB)
    again = cn.sample(SKIN, runs=1300, checkpoint=tmp_path, **JOB)  # nothing is left to do
    assert again == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict(network=SKIN.with_parameters(r1=0.1)),
            "another job; use another folder: .*parameters",
        ),
        (dict(initial={"A": 9}), "another job; use another folder: .*differ in initial"),
        (dict(times=[0, 5, 21]), "another job; use another folder: .*differ in times"),
        (dict(method="first-reaction"), "another job; .*differ in method"),
        (dict(stop="A == 0"), "another job; .*differ in stop"),
        (dict(moments=4), "another job; .*differ in moments"),
        (dict(seed=12), "another job; use another folder: seed=11, not 12"),
        (dict(first_run=1), "another job; use another folder: first_run=0, not 1"),
        (dict(keep=5), "another job; use another folder: keep=700, not 5"),
        (dict(runs=39), "has 40 runs already, more than runs=39; ask for as many or more"),
    ],
)
def test_a_checkpoint_of_another_job_is_refused(tmp_path, change, message):
    job = dict(network=SKIN, runs=40, checkpoint=tmp_path) | JOB
    job["histograms"] = [5]
    cn.sample(**job)
    saved = (tmp_path / "ensemble.nc").read_bytes()
    with pytest.raises(EnsembleError, match=message):
        cn.sample(**(job | change))
    assert (tmp_path / "ensemble.nc").read_bytes() == saved


def test_checkpoints_that_cannot_be(tmp_path, monkeypatch):
    job = dict(network=SKIN, runs=40) | JOB
    (tmp_path / "file").write_text("")
    with pytest.raises(EnsembleError, match="file' is a file; name a folder"):
        cn.sample(**job, checkpoint=tmp_path / "file")
    (tmp_path / "ensemble.nc").write_text("damaged")
    with pytest.raises(
        EnsembleError, match="is no ensemble that Ensemble.save wrote, or it is dam"
    ):
        cn.sample(**job, checkpoint=tmp_path)
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    with pytest.raises(EnsembleError, match=r"install chemnb\[netcdf\]"):
        cn.sample(**job, checkpoint=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_half_an_addition_is_never_saved(tmp_path, monkeypatch):
    """The interrupt key may be heard between two sums: what was saved before is kept."""
    monkeypatch.setattr(saving, "SECONDS_BETWEEN", 0.0)
    job = dict(network=SKIN, runs=2000, checkpoint=tmp_path) | JOB
    record = sys.modules["chemnb.sampling.record"]
    count, calls = record.count_states, []

    def count_states(*arguments):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return count(*arguments)

    monkeypatch.setattr(record, "count_states", count_states)
    with pytest.raises(KeyboardInterrupt):
        cn.sample(**job)
    monkeypatch.setattr(record, "count_states", count)
    saved = cn.load_ensemble(tmp_path / "ensemble.nc")
    assert 0 < saved.runs < 2000
    assert saved == cn.sample(SKIN, runs=saved.runs, **JOB)
    assert cn.sample(**job) == cn.sample(SKIN, runs=2000, **JOB)


def test_saves_are_rare_where_they_are_slow(tmp_path, monkeypatch):
    saves = []

    def save(ensemble, path):
        saves.append(ensemble.runs)
        clock.now += 3

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(saving, "save_ensemble", save)
    monkeypatch.setattr(saving.clock, "monotonic", lambda: clock.now)
    keeper = saving.Checkpoint(tmp_path)
    for second in range(1, 200):
        clock.now += 1
        keeper.save_now_and_then(SimpleNamespace(runs=second))
    assert saves == [10, 70, 130, 190]


def test_the_work_is_not_copied_to_the_worker_for_each_run(client):
    """A task is small: the network and what to record, never the results so far."""
    import pickle

    simulator = cn.sampling.gillespie.Simulator(SKIN, np.array([10, 0]), np.array([1.0]), 1)
    ensemble = cn.sample(SKIN, {"A": 10}, [1.0], 2000, seed=1, histograms=[1.0])
    task = cluster._task(ensemble, simulator, 2000, 500)
    assert len(pickle.dumps(task)) < 5000 and task.keep == 500
