"""Which worker gets which group, on a pool of made-up workers: tries, blame, workers that come and go."""

from concurrent.futures import Future

import pytest

from spikemark.errors import InputError
from spikemark.suites.dispatch import Dispatch
from spikemark.suites.execution import lost_record
from spikemark.suites.jobs import resolve
from spikemark.suites.runner import grouped
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import Pool


class Lost(RuntimeError):
    pass


class Cluster(Pool):
    """Workers by name, each a function of a group: gives records, raises, or None for a group that never ends."""

    unlike = True

    def __init__(self, **workers):
        self.present, self.ran, self.aside, self.stopped = dict(workers), [], {}, []
        self.asked = 0

    def workers(self):
        self.asked += 1
        return [name for name in self.present if name not in self.aside]

    def submit(self, group, worker):
        self.ran.append((worker, str(group[0])))
        future = Future()
        try:
            records = self.present[worker](group)
        except Lost as error:
            del self.present[worker]
            future.set_exception(error)
        except Exception as error:
            future.set_exception(error)
        else:
            if records == "again":
                future.cancel()
                future.set_running_or_notify_cancel()
            elif records is not None:
                future.set_result(records)
        return future

    def began(self, future):
        return None

    def stop(self, worker):
        self.stopped.append(worker)

    def set_aside(self, worker, why):
        self.aside[worker] = why


def good(group):
    return [lost_record(job, "cpu", "ok", "") | {"error": None} for job in group]


def bad(group):
    return [lost_record(job, "cpu", "failed", "no such data") for job in group]


def lost(group):
    raise Lost("the worker left while it ran the job")


@pytest.fixture
def groups():
    points = load_suite("smoke").points()
    return grouped(resolve(point for point in points if point.measure.name == "conformance")) + grouped(
        resolve(point for point in points if point.measure.name == "accuracy")
    )


def dispatched(cluster, groups, **options):
    records = []

    def keep(record):
        records.append(record)
        return True

    left = Dispatch(cluster, "cpu", keep).run(groups, **options)
    assert not left
    assert sorted(record["key"] for record in records) == sorted(job.key for group in groups for job in group)
    return records


def statuses(records):
    return [record["status"] for record in records]


def test_every_worker_works(groups):
    cluster = Cluster(a=good, b=good)
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    assert {worker for worker, _ in cluster.ran} == {"a", "b"}


def test_alone_means_one_at_a_time(groups):
    cluster = Cluster(a=good, b=good)
    dispatched(cluster, groups, alone=True)
    assert {worker for worker, _ in cluster.ran} == {"a"}


def test_a_worker_that_leaves_gives_its_group_to_another(groups):
    cluster = Cluster(a=lost, b=good)
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    assert len(cluster.ran) == len(groups) + 1


def test_two_workers_that_leave_with_one_group_are_a_failure_with_both_errors(groups):
    cluster = Cluster(a=lost, b=lambda group: (_ for _ in ()).throw(ValueError("out of memory")))
    (record,) = dispatched(cluster, groups[:1])
    assert record["status"] == "failed"
    first, second = (line for line in record["error"].splitlines() if line.startswith("on "))
    assert first.startswith("on a: Lost: the worker left")
    assert second.startswith("on b: ValueError: out of memory")


def test_a_job_that_fails_everywhere_fails_once_in_its_own_words(groups):
    cluster = Cluster(a=bad, b=bad)
    records = dispatched(cluster, groups)
    assert {(record["status"], record["error"]) for record in records} == {("failed", "no such data")}
    assert not cluster.aside, "the jobs are at fault"
    assert len(cluster.ran) == 2 * len(groups)


def test_a_job_that_fails_late_is_not_tried_again(groups):
    slowly = lambda group: [record | {"seconds": 3600.0} for record in bad(group)]  # noqa: E731
    cluster = Cluster(a=slowly, b=slowly)
    dispatched(cluster, groups)
    assert len(cluster.ran) == len(groups)


def test_workers_of_one_machine_are_alike_so_a_failed_job_is_not_tried_again(groups):
    cluster = Cluster(a=bad, b=good)
    cluster.unlike = False
    dispatched(cluster, groups)
    assert len(cluster.ran) == len(groups)


def test_a_broken_worker_is_set_aside_and_swallows_nothing(groups):
    cluster = Cluster(a=bad, b=good)
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    assert cluster.aside == {"a": "jobs that fail there succeed elsewhere"}


def test_a_worker_that_fails_waits_until_another_has_judged(groups):
    """The only other worker is busy with one group for ever: the broken one must not burn through the queue."""
    busy = []

    def slow(group):
        busy.append(group)
        if len(busy) == 1:
            return None
        return good(group)

    cluster = Cluster(b=slow, a=bad)
    failures = []

    def workers():
        failures.append(sum(worker == "a" for worker, _ in cluster.ran))
        if len(failures) > 6:
            raise KeyboardInterrupt
        return list(cluster.present)

    cluster.workers = workers
    with pytest.raises(KeyboardInterrupt):
        Dispatch(cluster, "cpu", lambda record: True).run(groups * 4)
    assert max(failures) == 3


def test_records_of_other_jobs_are_not_taken(groups):
    others = lambda group: [record | {"key": "0" * 16} for record in good(group)]  # noqa: E731
    cluster = Cluster(a=others, b=good)
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    (record, *_) = dispatched(Cluster(a=others), groups)
    assert record["error"].startswith("RuntimeError: the records that came back are not those of the jobs")


def test_a_lost_scheduler_is_nobodys_fault(groups):
    answers = iter(["again", "again", "again"])
    cluster = Cluster(a=lambda group: next(answers, None) or good(group))
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    assert len(cluster.ran) == len(groups) + 3


def test_workers_that_come_later_are_used(groups):
    cluster = Cluster()
    here = cluster.workers

    def later():
        if cluster.asked == 3:
            cluster.present["late"] = good
        return here()

    cluster.workers = later
    assert set(statuses(dispatched(cluster, groups))) == {"ok"}
    assert {worker for worker, _ in cluster.ran} == {"late"}


def test_without_workers_nothing_is_written_off(groups):
    cluster = Cluster(a=lost)
    here = cluster.workers

    def until_too_long():
        if not cluster.present:
            raise InputError("no worker for 600 s")
        return here()

    cluster.workers = until_too_long
    kept = []
    with pytest.raises(InputError, match="no worker"):
        Dispatch(cluster, "cpu", lambda record: not kept.append(record)).run(groups)
    assert not kept


def test_an_interrupt_keeps_what_has_ended(groups):
    """It comes while the first is written; another has ended meanwhile, and one is still at work."""
    cluster = Cluster(a=good, b=lambda group: None, c=good)

    def stop(record):
        kept.append(record)
        if len(kept) == 1:
            raise KeyboardInterrupt
        return True

    kept = []
    with pytest.raises(KeyboardInterrupt):
        Dispatch(cluster, "cpu", stop).run(groups)
    assert {record["key"] for record in kept} == {job.key for job in groups[0] + groups[2]}
