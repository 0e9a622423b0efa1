"""The mechanism of environments, with a framework of three lines that is installed in an environment alone."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile

import psutil
import pytest

from spikemark.core import environments
from spikemark.core.environments import Environment, MissingEnvironment, build, locked_environment, overlay
from spikemark.core.frameworks import environment, environment_of, framework_version, get_adapter
from spikemark.core.remote import RemoteError, call
from spikemark.errors import InputError, UnknownNameError
from spikemark.suites.records import key_of

ADAPTER = """
import toyframe
from spikemark.core.adapter import Adapter, Route, Unsupported
from spikemark.core.oracle import oracle_layer

print("a framework that says hello on standard output")

class ToyAdapter(Adapter):
    name = "toy"
    def route(self, spec):
        return Route("native", toyframe.WHY)
    def neuron(self, spec, shape, *, generator=None):
        return oracle_layer(spec, shape, generator=generator)
    def native(self, shape):
        raise Unsupported("none")
"""
METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n"
TOYFRAME = """
WHY = "three lines"

class Own(Exception):
    pass

def fail():
    raise Own("of the environment alone\\nand more")
"""
LOCK = "# Environment of toyframe==1.2\ntoyframe==1.2\n"
SUITE = """
name = "toy"
frameworks = ["toy"]
networks = ["mlp"]
neurons = ["lif"]
datasets = ["digits"]
seeds = [0]
measures = ["conformance"]
"""


def install(folder, name, version, files):
    """What an installer would leave in `folder`."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA.format(name, version))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return info


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user who has an adapter package, and a folder of environments in which nothing is built."""
    home = tmp_path_factory.mktemp("user")
    info = install(
        home / "packages", "toyadapter", "0.1",
        {"toyadapter/__init__.py": "", "toyadapter/toy.py": ADAPTER, "toyadapter/environments/toy.lock": LOCK},
    )  # fmt: skip
    (info / "entry_points.txt").write_text("[spikemark.adapters]\ntoy = toyadapter.toy:ToyAdapter\n")
    (home / "toy.toml").write_text(SUITE)
    return home


def spikemark(user, *arguments):
    paths = [str(user / "packages"), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(paths), "SPIKEMARK_ENVIRONMENTS": str(user / "environments")}
    command = [sys.executable, "-m", "spikemark", *arguments]
    return subprocess.run(command, env=os.environ | variables, cwd=user, capture_output=True, text=True, check=False)


def built(folder, lock=LOCK):
    """What `build` makes of the lock, without uv."""
    _, packages = overlay(folder / "toy")
    install(packages, "toyframe", "1.2", {"toyframe.py": TOYFRAME})
    mark = {"name": "toy", "lock": hashlib.sha256(lock.encode()).hexdigest()[:16]}
    (folder / "toy" / "spikemark.json").write_text(json.dumps(mark))


def test_jobs_run_in_the_environment_of_their_framework_and_records_name_it(user):
    listed = spikemark(user, "list", "frameworks", "--format", "markdown")
    assert "not built: spikemark env build toy" in listed.stdout
    refused = spikemark(user, "run", "toy.toml", "--out", "out", "--workers", "0")
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last == "spikemark: the environment of toy is not built: spikemark env build toy"

    built(user / "environments")
    ran = spikemark(user, "run", "toy.toml", "--out", "out", "--workers", "0")
    assert ran.returncode == 0, ran.stderr
    (path,) = (user / "out").glob("*.json")
    record = json.loads(path.read_text())
    assert record["cell"]["framework_version"] == "1.2"
    assert record["environment"]["environment"]["name"] == "toy"
    assert record["environment"]["packages"]["toyframe"] == "1.2"
    assert record["route"] == {"kind": "native", "why": "three lines"}
    assert record["status"] == "ok"
    found = {m["metric"]: m["value"] for m in record["measurements"]}
    assert found["differing_spikes"] == 0
    assert found["compared_spikes"] > 0
    assert key_of(record["cell"]) == record["key"] == path.stem.rpartition("_")[2]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A built environment, and the variable that points there."""
    folder = tmp_path_factory.mktemp("environments")
    built(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environments.FOLDER_VARIABLE, str(folder))
        yield Environment("toy", ("toyframe==1.2",), LOCK)


def test_an_environment_of_another_lock_is_not_used(there):
    changed = Environment("toy", there.requirements, LOCK + "# changed\n")
    with pytest.raises(MissingEnvironment, match="is built from another lock: spikemark env build toy"):
        call(changed, "os:getpid")


def test_a_call_gives_what_the_function_gives_there(there):
    assert call(there, "spikemark.core.environments:current")["name"] == "toy"
    assert call(there, "importlib.metadata:version", "toyframe") == "1.2"
    assert environments.current() == {}


def test_errors_come_back_with_their_class_and_message(there):
    with pytest.raises(UnknownNameError, match="no framework 'nrose'; did you mean 'norse'"):
        call(there, "spikemark.core.frameworks:framework_version", "nrose")
    with pytest.raises(ZeroDivisionError) as error:
        call(there, "operator:truediv", 1, 0)
    assert "operator" not in str(error.value)
    assert "Traceback" in error.value.__notes__[0]
    with pytest.raises(RemoteError, match=r"^Own: of the environment alone\n") as error:  # there is no such class here
        call(there, "toyframe:fail")
    assert "raise Own" in error.value.__notes__[0]
    with pytest.raises(TypeError, match="cannot pickle"):  # a result that cannot be sent
        call(there, "threading:Lock")
    assert call(there, "operator:add", 1, 2) == 3  # the process lives on


def test_callbacks_run_here(there):
    told = []
    assert call(there, "json:loads", "[2, 1, 3]", parse_int=told.append) == [None] * 3
    assert told == ["2", "1", "3"]


def test_a_process_that_ends_is_an_error_and_the_next_call_starts_another(there):
    first = call(there, "os:getpid")
    assert call(there, "os:getpid") == first
    with pytest.raises(RemoteError, match="the process of the environment toy ended with status 3"):
        call(there, "os:_exit", 3)
    assert call(there, "os:getpid") != first


def test_it_ends_with_the_process_that_started_it(there):
    code = (
        "import sys; from spikemark.core.environments import Environment; from spikemark.core.remote import call\n"
        f"toy = Environment('toy', ('toyframe==1.2',), {LOCK!r})\n"
        "print(call(toy, 'os:getpid'), flush=True); call(toy, 'time:sleep', 60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.2)  # so that it is asleep
    parent.kill()
    parent.communicate()
    child.wait(timeout=20)


def test_versions_have_environments_and_the_installed_one_needs_none():
    here = framework_version("snntorch")
    assert environment_of("snntorch") is None
    assert environment_of(f"snntorch@{here}") is None
    assert framework_version(f"snntorch@{here}") == here
    assert get_adapter(f"snntorch@{here}").name == "snntorch"
    locked, free = environment_of("snntorch@0.9.0"), environment_of("snntorch@0.7")
    assert "--hash=sha256" in locked.lock
    assert (free.requirements, free.lock) == (("snntorch==0.7",), "")
    assert (framework_version("snntorch@0.9.0"), framework_version("snntorch@0.7")) == ("0.9.0", "0.7")
    with pytest.raises(InputError, match=r"framework 'snntorch@0\.7' is not installed here"):
        get_adapter("snntorch@0.7")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("snntorch@newest", "'newest' is no version"),
        ("sntorch@1", "no framework 'sntorch'; did you mean 'snntorch'"),
        ("snntorch", "has no environment of its own; NAME@VERSION has one"),
        ("reference@1.0", "has no environment of its own"),
    ],
)
def test_what_has_no_environment_is_told_in_one_line(name, message):
    with pytest.raises(InputError, match=message):
        environment(name)


def test_suites_take_versions_also_for_the_frameworks_own_neurons():
    from spikemark.suites.jobs import resolve
    from spikemark.suites.suite import load_suite

    suite = {
        "name": "versions", "frameworks": ["snntorch", "snntorch@0.9.0"], "networks": ["mlp"],
        "neurons": ["lif", "snntorch:leaky", "norse:lif"], "datasets": ["digits"], "seeds": [0],
        "measures": ["accuracy"],
    }  # fmt: skip
    found = [
        (job.axes["neuron"], job.axes["framework"], job.content["framework_version"])
        for job in resolve(load_suite(suite).points())
    ]
    both = [("snntorch", framework_version("snntorch")), ("snntorch@0.9.0", "0.9.0")]
    assert found == [
        *(("lif", *one) for one in both),
        *(("snntorch:leaky", *one) for one in both),
        ("norse:lif", "norse", framework_version("norse")),
    ]


def test_a_lock_that_does_not_say_what_it_is_of_is_told(tmp_path, monkeypatch):
    for text in ("toyframe==1.2\n", "# Environment of ==1\n"):
        (tmp_path / "toy.lock").write_text(text)
        monkeypatch.setattr(environments, "lock_files", lambda: {"toy": tmp_path / "toy.lock"})
        with pytest.raises(InputError, match="its first line should be"):
            locked_environment("toy")


def test_every_committed_lock_is_of_pinned_packages_with_hashes_and_without_torch():
    for one in environments.every_environment():
        lines = [line for line in one.lock.splitlines() if not line.startswith("#")]
        packages = [line.split("==")[0] for line in lines if not line.startswith(" ")]
        assert all("==" in line and line.endswith("\\") for line in lines if not line.startswith(" ")), one.name
        assert all(line.strip().startswith("--hash=sha256:") for line in lines if line.startswith(" ")), one.name
        assert not {"torch", "torchvision", "numpy"} & set(packages), one.name
        assert one.version in one.requirements[0]


def test_without_uv_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv(environments.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    toy = Environment("toy", ("toyframe==1.2",), LOCK)
    with pytest.raises(InputError, match="built by uv, which is not installed: pip install uv"):
        build(toy)
    with pytest.raises(MissingEnvironment, match="spikemark env build toy"):
        toy.require()


def test_uv_builds_what_the_lock_says_and_checks_hashes(tmp_path, monkeypatch):
    if environments.uv() is None:
        pytest.skip("uv is not installed")
    wheel = tmp_path / "toyframe-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("toyframe.py", "WHY = 'from a wheel'\n")
        file.writestr("toyframe-1.2.dist-info/METADATA", METADATA.format("toyframe", "1.2"))
        file.writestr("toyframe-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("toyframe-1.2.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    head = f"# Environment of toyframe==1.2\n--no-index\n--find-links {tmp_path}\n"
    monkeypatch.setenv(environments.FOLDER_VARIABLE, str(tmp_path / "environments"))
    toy = Environment("toy", ("toyframe==1.2",), f"{head}toyframe==1.2 --hash=sha256:{digest}\n")
    build(toy)
    assert toy.state() == "built"
    ask = [str(toy.python), "-c", "import toyframe, torch; print(toyframe.WHY, torch.__version__)"]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout.startswith("from a wheel 2.")
    wrong = Environment("toy", toy.requirements, toy.lock.replace(digest, "0" * 64))
    with pytest.raises(InputError, match=r"uv pip install failed: .*sha256:0000"):
        build(wrong)
    assert "not built" in wrong.state()
