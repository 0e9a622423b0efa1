"""Worker processes for real: a scheduler and workers on this machine, some of them not like the client."""

import logging
import signal
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
from distributed import Security

from machines import Machines
from spikemark.errors import InputError
from spikemark.suites import cluster, dispatch, runner
from spikemark.suites.cluster import ClusterPool, LocalPool
from spikemark.suites.jobs import resolve
from spikemark.suites.place import Place, needs_of
from spikemark.suites.records import load_records
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import Address

SUITE = {
    "name": "short", "frameworks": ["reference"], "systems": ["mlp-lif"], "datasets": ["digits"], "seeds": [0, 1, 2],
    "measures": ["accuracy"], "training": {"epochs": 1}, "sizes": {"train": 100, "validation": 50, "test": 50},
}  # fmt: skip


def jobs_of(epochs=1, seeds=(0, 1, 2)):
    return resolve(load_suite(SUITE | {"training": {"epochs": epochs}, "seeds": list(seeds)}).points())


@pytest.fixture
def machines(tmp_path):
    found = Machines(tmp_path)
    yield found
    found.end()


@contextmanager
def client(machines, jobs, patience=120.0, tls=None):
    """A pool of the machines' workers, as soon as the scheduler listens."""
    machines.wait()
    address = Address(machines.address, tls, patience)
    pool = ClusterPool(address, Place(), lambda event: None)
    try:
        pool.check(needs_of(jobs))
        yield pool
    finally:
        pool.close()


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_workers_that_differ_are_refused_and_those_that_leave_are_replaced(machines, tmp_path, caplog):
    """Only the workers that are like the client work; one is killed at work and one comes later."""
    machines.scheduler()
    machines.worker("no-data", SPIKEMARK_DATA="/nowhere")
    machines.worker("other-torch", **machines.another_torch())
    good = machines.worker("good")
    jobs = [replace(job, timeout=100.0) for job in jobs_of(epochs=40)]
    results = tmp_path / "results"
    with client(machines, jobs) as pool:
        begun = threading.Event()
        pool._listener = lambda event: begun.set()

        def replace_the_good_one():
            begun.wait(120)
            until(lambda: len(pool._states) == 3)
            good.kill()
            machines.worker("late")

        thread = threading.Thread(target=replace_the_good_one)
        thread.start()
        summary = runner.run(jobs, results, pool, "cpu")
        thread.join()
    assert summary.statuses == {"ok": len(jobs)}
    assert {record["key"] for record in load_records(results)} == {job.key for job in jobs}
    refusals = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]
    assert sum("SPIKEMARK_DATA: /nowhere is not a folder" in line for line in refusals) == 1
    assert sum("its torch is 9.9.9, the client's" in line for line in refusals) == 1


def test_a_scheduler_that_dies_is_waited_for_and_a_stuck_worker_set_aside(machines, tmp_path, caplog, monkeypatch):
    """The scheduler dies under a job; another one comes up there. A worker without a nanny that cannot be stopped."""
    scheduler = machines.scheduler()
    machines.worker("first")
    jobs = jobs_of(epochs=40, seeds=[0, 1])
    with client(machines, jobs) as pool:
        begun = threading.Event()
        pool._listener = lambda event: begun.set()

        def restart():
            begun.wait(120)
            scheduler.kill()
            scheduler.wait()
            machines.scheduler()
            machines.worker("second")

        thread = threading.Thread(target=restart)
        thread.start()
        assert runner.run(jobs, tmp_path / "results", pool, "cpu").statuses == {"ok": 2}
        thread.join()
        assert "is lost; waiting" in caplog.text

        (worker,) = pool.workers()
        monkeypatch.setattr(dispatch, "_allowed", lambda group: 1.0)  # the worker itself knows of no deadline
        records = []
        endless = jobs_of(epochs=10**6, seeds=[0])
        dispatch.Dispatch(pool, "cpu", lambda record: not records.append(record)).run([endless])
        assert [record["status"] for record in records] == ["timeout"]
        assert f"worker {worker} is set aside: it does not stop, and has no nanny" in caplog.text
        assert not pool.workers()
        pool._patience = pool._had_workers = 0.0
        with pytest.raises(InputError, match=r"^no worker for 0 s; finished jobs are kept, run the same command"):
            pool.workers()


def test_a_scheduler_that_does_not_come_back_stops_the_run(machines, monkeypatch):
    scheduler = machines.scheduler()
    jobs = jobs_of()
    with client(machines, jobs, patience=0.0) as pool:
        assert not pool._present()
        monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 1.0)
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(InputError, match=r"lost for 0 s; finished jobs are kept"):
            until(pool.workers)


def test_a_cluster_with_certificates(machines, tmp_path, monkeypatch):
    """Made for the test; a client without them is refused."""
    made = Security.temporary()
    files = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    authority, certificate, key = (tmp_path / name for name in files)
    machines.tls = ("--tls-ca-file", authority, "--tls-cert", certificate, "--tls-key", key)
    plain = machines.address
    machines.address = plain.replace("tcp", "tls")
    machines.scheduler("--protocol", "tls")
    machines.worker("encrypted", "--protocol", "tls")
    jobs = jobs_of(epochs=40, seeds=[0])
    with client(machines, jobs, tls=(authority, certificate, key)) as pool:
        assert runner.run(jobs, tmp_path / "results", pool, "cpu").statuses == {"ok": 1}
    monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 2.0)
    for address, words in ((plain, "no dask scheduler answers there"), (machines.address, "TLS needs --tls-ca")):
        with pytest.raises(InputError, match=f"^--scheduler {address}: {words}"):
            ClusterPool(Address(address), Place(), lambda event: None)


def test_a_port_that_says_nothing(monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        address = Address(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(InputError, match=r"no dask scheduler answers there \(nothing for 1 s\)"):
            ClusterPool(address, Place(), lambda event: None)


def processes_of_workers():
    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


def test_local_workers_are_killed_replaced_and_end_at_once(tmp_path):
    """One is killed at work by the system, as for want of memory; in the end one is at work for ever."""
    jobs = jobs_of(epochs=40, seeds=[0])
    begun = threading.Event()
    pool = LocalPool(1, Place(), lambda event: begun.set())
    until(lambda: len(processes_of_workers()) == 1)
    (victim,) = processes_of_workers()
    thread = threading.Thread(target=lambda: (begun.wait(120), victim.kill()))
    thread.start()
    assert runner.run(jobs, tmp_path, pool, "cpu").statuses == {"ok": 1}
    thread.join()
    begun.clear()
    pool.submit(jobs_of(epochs=10**6), pool.workers()[0])
    assert begun.wait(60)
    children = processes_of_workers()
    assert len(children) == 1
    assert all(map(refuses_strangers, ports := listening())), ports
    assert len(ports) == 3, "of scheduler, nanny and worker; none for HTTP"
    assert signal.SIGINT in blocked(children[0].pid), "Ctrl-C reaches all processes of a terminal"
    pool.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def listening():
    """Ports of this process and those it started."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return [
        place.laddr for one in family for place in one.net_connections("inet") if place.status == psutil.CONN_LISTEN
    ]


def refuses_strangers(place):
    """Whether a port speaks TLS, and only with those who have the certificate; seen from this machine alone."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(tuple(place), timeout=20) as plain, stranger.wrap_socket(plain) as connection:
        try:
            connection.recv(1)
        except ssl.SSLError as error:
            return "CERTIFICATE_REQUIRED" in str(error) and place.ip == "127.0.0.1"
    return False


def blocked(pid):
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        (line,) = [line for line in status if line.startswith("SigBlk")]
    mask = int(line.split()[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


def test_dask_is_silent():
    logging.getLogger("distributed.client").setLevel(logging.WARNING)
    cluster._silence()
    assert not logging.getLogger("distributed.client").isEnabledFor(logging.CRITICAL)
