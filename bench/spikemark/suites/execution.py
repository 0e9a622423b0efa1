"""From jobs to their records: trains, measures. Runs in whatever process the runner chose."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import torch

from spikemark.core.adapter import Unsupported
from spikemark.core.allocator import keep_freed_memory
from spikemark.core.frameworks import FRAMEWORKS, MissingFramework, entry_name, environment_of, get_adapter
from spikemark.core.measurement import pack_correct
from spikemark.core.neurons import NEURONS, FrameworkNeuron, NetworkNeuron
from spikemark.core.remote import call
from spikemark.data.card import DATASETS
from spikemark.errors import InputError
from spikemark.measures.counting.tracing import UncountableError
from spikemark.measures.health import recall, silent_shares
from spikemark.measures.subject import Subject
from spikemark.registry import PluginError, digests, load_plugin
from spikemark.suites.environment import environment
from spikemark.suites.jobs import Job
from spikemark.suites.place import Listener, Place
from spikemark.suites.records import SCHEMA, Record, Status, TrainingRecord, check_record
from spikemark.suites.settings import OF_TRAINING
from spikemark.training.loop import DivergedError, JobTimeoutError, Watch
from spikemark.training.weights import WeightStore


def run_jobs(jobs: Sequence[Job], place: Place, listener: Listener) -> list[Record]:
    """Measure the jobs of one group, which share a training; where their framework is, here or in its environment.

    Args:
        jobs: of one group.
        place: where they run.
        listener: told of every job that starts, and of every epoch.

    Returns:
        One record per job; whatever a job raises is in its own record.

    Raises:
        PluginError: a plug-in of the jobs is missing here, or is not the one that they were planned with.
        MissingEnvironment: the framework's environment is not built here.
    """
    framework = jobs[0].axes["framework"]
    elsewhere = environment_of(framework) if entry_name(framework) in FRAMEWORKS else None
    if elsewhere is not None:
        records: list[Record] = call(elsewhere, f"{__name__}:run_jobs", jobs, place, listener=listener)
        return records
    for plugin in dict.fromkeys(plugin for job in jobs for plugin in job.plugins):
        load_plugin(plugin)
    here = digests()
    for name, digest in (item for job in jobs for item in job.content.get("plugins", {}).items()):
        if here.get(name) != digest:
            found = "has another version of it" if name in here else "does not have it"
            raise PluginError(
                f"plug-in {name}: the process that should run the job {found}; install the planner's there"
            )
    subject = _subject(jobs[0], place)
    records = []
    for job in jobs:
        listener({"job": str(job)})
        records.append(measured(job, subject, empty_record(job, place.device), listener))
    return records


def measured(job: Job, subject: Subject, record: Record, listener: Listener) -> Record:
    """Take a job's measure of its subject; whatever goes wrong is in the record. Freed memory is kept from then on.

    Args:
        job: what is measured.
        subject: on what.
        record: that says everything but the numbers; filled in.
        listener: told of every epoch.
    """
    keep_freed_memory()
    subject.watch = Watch(job.timeout, lambda event: listener({"job": str(job)} | event))
    subject.fingerprints, subject.left_out = {}, {}
    start = time.monotonic()
    with _threads(job.threads):
        try:
            _fill(record, job, subject)
            check_record(record)
        except (Unsupported, UncountableError) as error:
            record["status"], record["error"] = "unsupported", str(error)
        except DivergedError as error:
            record["status"], record["error"] = "diverged", str(error)
        except JobTimeoutError as error:
            record["status"], record["error"] = "timeout", str(error)
        except InputError as error:
            record["status"], record["error"] = "failed", str(error)
        except Exception as error:  # noqa: BLE001 (a measure that fails must not take the others' numbers along)
            record["status"], record["error"] = "failed", _told(error)
    if record["status"] not in ("ok", "degenerate"):
        record["measurements"] = []
        record.pop("trained", None)
        record.pop("correct", None)
    record["fingerprints"] = subject.fingerprints
    record["seconds"] = round(time.monotonic() - start, 3)
    return record


def _fill(record: Record, job: Job, subject: Subject) -> None:
    measure = job.measure
    if job.subject == "system":
        reason = subject.degenerate
        if reason is not None:
            record["status"], record["error"] = "degenerate", reason
    record["measurements"] = measure.run(subject)
    if subject.left_out:
        record["left_out"] = subject.left_out
    if job.subject == "system" and (fused := subject.fused):
        record["fused"] = fused
    if measure.name == "accuracy":
        if not subject.given:
            record["trained"] = _training(subject)
        right = subject.test_outputs.argmax(1) == subject.dataset.test.labels
        record["correct"] = pack_correct(right.numpy())


def _training(subject: Subject) -> TrainingRecord:
    trained, rule = subject.trained, subject.rule
    told: TrainingRecord = {
        "rule": {"name": rule.name, **rule.model_dump(mode="json")},
        "best_epoch": trained.best_epoch,
        "curve": [
            {
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "validation_accuracy": epoch.validation_accuracy,
                "seconds": round(epoch.seconds, 4),
            }
            for epoch in trained.history
        ],
        "parameters": [
            {
                "layer": change.layer,
                "parameter": change.parameter,
                "count": change.count,
                "first": list(change.first),
                "last": list(change.last),
                "share_moved": change.share_moved,
                "share_not_positive": change.share_not_positive,
                "late": change.late,
            }
            for change in trained.parameters
        ],
        "recall": recall(subject.test_outputs, subject.dataset.test.labels, subject.dataset.classes),
        "silent": silent_shares(subject),
    }
    if subject.trials:
        told["tuning"] = [
            {"options": dict(trial.options), "validation_accuracy": trial.validation_accuracy}
            for trial in subject.trials
        ]
    return told


def lost_record(job: Job, device: str, status: Status, error: str) -> Record:
    """The record of a job that could not report itself."""
    record = empty_record(job, device)
    record["status"], record["error"] = status, error
    return record


def failed_record(job: Job, device: str, error: BaseException) -> Record:
    """The record of a job whose process ended in an error, told in one line if a user can mend it."""
    return lost_record(job, device, "failed", str(error) if isinstance(error, InputError) else _told(error))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"


def empty_record(job: Job, device: str) -> Record:
    """A record that says everything but the numbers, of a job that registered entries determine."""
    dataset = job.axes.get("dataset")
    return blank_record(job, device, None if dataset is None else 1 / DATASETS[dataset].classes, _route(job))


def blank_record(job: Job, device: str, chance: float | None, route: dict[str, str]) -> Record:
    """A record that says everything but the numbers."""
    return {
        "schema": SCHEMA,
        "key": job.key,
        "training": job.training,
        "suite": job.suite,
        "cell": dict(job.content),  # type: ignore[typeddict-item]
        "chance": chance,
        "route": route,
        "environment": environment() | {"device": device, "threads": job.threads},
        "status": "ok",
        "error": None,
        "measurements": [],
        "fingerprints": {},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
    }


def _route(job: Job) -> dict[str, str]:
    neuron = NEURONS[job.axes["neuron"]]
    match neuron:
        case NetworkNeuron():
            return {"kind": "own", "why": neuron.why}
        case FrameworkNeuron(lacks=""):
            about = neuron.about or f"a class of {neuron.framework}, as it is"
            return {"kind": "native", "why": f"{about}; no spec, so no oracle"}
        case FrameworkNeuron():
            return {"kind": "unsupported", "why": neuron.lacks}
        case _:
            try:
                route = get_adapter(job.axes["framework"]).route(neuron)
            except (Unsupported, MissingFramework) as error:  # of a job that was lost in another environment
                return {"kind": "unsupported", "why": str(error)}
            return {"kind": route.kind, "why": route.why}


def _subject(job: Job, place: Place) -> Subject:
    settings = job.content["settings"]
    return Subject(
        framework=job.axes["framework"],
        neuron_name=job.axes["neuron"],
        system=job.system,
        dataset_name=job.axes.get("dataset"),
        seed=job.axes["seed"],
        settings={name: settings[name] for name in OF_TRAINING if settings.get(name) is not None},
        device=place.device,
        data_dir=place.data_dir,
        training_key=job.training,
        tuning_key=job.tuning,
        weights=WeightStore(place.weights) if place.weights is not None else None,
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """One thread per job, since jobs run side by side; timings have the machine to themselves."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
