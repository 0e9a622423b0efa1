"""The registry: names, origins, plug-ins; and what a user sees when one of them is wrong."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest

from spikemark import api, registry
from spikemark.errors import InputError, UnknownNameError
from spikemark.registry import PluginError, load_plugin, register
from spikemark.suites.execution import run_jobs
from spikemark.suites.jobs import resolve
from spikemark.suites.place import Place
from spikemark.suites.records import ResultsError, load_results
from spikemark.suites.suite import load_suite

pytestmark = pytest.mark.usefixtures("registries_as_before")

OURS = f"spikemark {version('spikemark')}"
SUITE = """
name = "mine"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy"]
{more}

[sizes]
train = 64
validation = 32
test = 32

[training]
epochs = 1
batch_size = 32
"""

NEURON = """
import torch
from torch import nn
from spikemark import neuron

class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.0))

    def forward(self, currents):
        soft = torch.sigmoid(currents - self.threshold)
        return {gives}

@neuron("odd", framework="torch", learned={learned})
def odd(shape, *, generator=None):
    return {makes}
"""


@pytest.fixture
def write(tmp_path):
    """Write a file into the test's folder; gives its path."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(result):
    """The one line of a refusal."""
    code, _, err = result
    assert code == 2, err
    assert err.startswith("spikemark: ")
    assert err.count("\n") == 1, err
    return err


# --- entries ---------------------------------------------------------------------------------------------------------


def test_names_are_listed_without_importing_what_they_stand_for():
    register("encoder", "lazy", "a_module_that_nobody_has:encode", source="nobody")
    encoders = registry.registry("encoder")
    assert "lazy" in encoders
    assert "lazy" in list(encoders)
    assert encoders.source("lazy") == "nobody"
    with pytest.raises(PluginError, match=r"encoder 'lazy' \(of .*test_registry.*\): .*a_module_that_nobody_has"):
        encoders["lazy"]


def test_a_lazy_entry_is_imported_once_and_is_the_object_itself():
    register("encoder", "lazy", "json:dumps")
    assert registry.registry("encoder")["lazy"] is json.dumps
    register("encoder", "lazy-too", "json:no_such_thing")
    with pytest.raises(PluginError, match=r"encoder 'lazy-too' \(of .*\): .*no_such_thing"):
        registry.registry("encoder")["lazy-too"]


@pytest.mark.parametrize("name", ["", " lif", "lif ", "a=b", "a,b", "a/b", "a\\b", "a\nb"])
def test_names_that_commands_could_not_take_are_refused(name):
    with pytest.raises(PluginError, match="neuron"):
        register("neuron", name, object())


def test_unknown_kinds_and_names_suggest_the_closest():
    with pytest.raises(UnknownNameError, match=r"no kind of entry 'nueron'; did you mean 'neuron'\?"):
        register("nueron", "mine", object())
    with pytest.raises(UnknownNameError, match=r"no neuron 'plfi'; did you mean 'plif'\?"):
        registry.registry("neuron")["plfi"]


def test_our_entries_have_our_origin_and_no_digest():
    origin = registry.registry("neuron").origin("stl")
    assert (origin.name, origin.digest) == (OURS, "")
    assert registry.origins([("neuron", "stl"), ("network", "mlp")]) == {}


def test_every_kind_has_a_registry_that_reads_as_a_mapping():
    for kind in registry.KINDS:
        entries = registry.registry(kind)
        assert len(entries) == len(list(entries))


# --- plug-ins --------------------------------------------------------------------------------------------------------


def test_a_plugin_is_loaded_once_and_its_entries_know_it(write):
    path = write("mine.py", 'from spikemark import register\nregister("encoder", "mine", print)\n')
    first = load_plugin(str(path))
    assert load_plugin(path.name, path.parent) is first  # relative to a folder, and nothing registered twice
    assert registry.registry("encoder").origin("mine") == first
    assert (first.name, first.plugin) == ("mine.py", str(path.resolve()))
    assert set(registry.origins([("encoder", "mine"), ("encoder", "direct")])) == {"mine.py"}


def test_an_edited_plugin_needs_a_new_process(write):
    text = 'from spikemark import register\nregister("encoder", "mine", print)\n'
    path = write("mine.py", text)
    load_plugin(str(path))
    write("mine.py", text + "# another comment\n")
    with pytest.raises(PluginError, match=r"mine\.py: its source changed after it was loaded; start a new process"):
        load_plugin(str(path))


def test_half_a_plugin_leaves_nothing_behind_and_may_be_mended(write):
    path = write("mine.py", 'from spikemark import register\nregister("encoder", "mine", print)\n1 / 0\n')
    with pytest.raises(PluginError, match=r"plug-in .*mine\.py: ZeroDivisionError: division by zero"):
        load_plugin(str(path))
    assert "mine" not in registry.registry("encoder")
    write("mine.py", 'from spikemark import register\nregister("encoder", "mine", print)\n')
    load_plugin(str(path))
    assert "mine" in registry.registry("encoder")


def test_a_module_is_a_plugin_too(write, monkeypatch, tmp_path):
    write("a_plugin_module.py", 'from spikemark import register\nregister("encoder", "of-module", print)\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert load_plugin("a_plugin_module").plugin == "a_plugin_module"
    assert registry.registry("encoder").origin("of-module").name == "a_plugin_module"


# --- what users get wrong --------------------------------------------------------------------------------------------

TAKEN = 'from spikemark import register\nregister("neuron", "stl", object())\n'
TWICE = 'from spikemark import register\nfor _ in range(2):\n    register("encoder", "mine", print)\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('not today')\n", "mine.py: RuntimeError: not today"),
        ("import a_module_that_nobody_has\n", "mine.py: ModuleNotFoundError: No module named 'a_module_that_nobody"),
        ("def broken(:\n", "mine.py: SyntaxError: "),
        (TAKEN, f"mine.py: two neuron entries are called 'stl': {OURS} and mine.py"),
        (TWICE, "mine.py: two encoder entries are called 'mine': mine.py and mine.py"),
        ("from spikemark import register\nregister('nueron', 'a', 1)\n", "mine.py: UnknownNameError: no kind of"),
    ],
)
def test_a_wrong_plugin_is_one_line_that_names_it(write, spikemark, text, message):
    plugin = write("mine.py", text)
    suite = write("suite.toml", SUITE.format(more='plugins = ["mine.py"]'))
    for arguments in (["list", "neurons", "--plugin", plugin], ["run", suite, "--dry-run"]):
        error = refused(spikemark(*arguments))
        assert message in error
        assert str(plugin) in error or "plug-in mine.py" in error


@pytest.mark.parametrize(
    ("plugin", "message"),
    [("no_such_file.py", "there is no file"), ("no_such_module", "no such module"), ("no.such.module", "No module")],
)
def test_a_missing_plugin_is_one_line_that_names_it(write, spikemark, plugin, message):
    error = refused(spikemark("run", "smoke", "--dry-run", "--plugin", plugin))
    assert f"plug-in {plugin}: " in error
    assert message in error
    suite = write("suite.toml", SUITE.format(more=f'plugins = ["{plugin}"]'))
    assert f"plug-in {plugin}: " in refused(spikemark("run", suite, "--dry-run"))


@pytest.mark.parametrize("plugins", ['"mine.py"', "[1]", "{a = 1}"])
def test_plugins_of_a_suite_are_a_list_of_names(write, spikemark, plugins):
    suite = write("suite.toml", SUITE.format(more=f"plugins = {plugins}"))
    assert "suite.toml: plugins: " in refused(spikemark("run", suite, "--dry-run"))


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ('networks = ["mlp"]\nneurons = ["plfi"]', ["suite.toml", "neurons: no neuron 'plfi'; did you mean 'plif'?"]),
        ('networks = ["mpl"]\nneurons = ["stl"]', ["networks: no network 'mpl'; did you mean 'mlp'?"]),
        ('normalization = "joint-nb"', ["normalization: no normalization 'joint-nb'; did you mean 'joint-bn'?"]),
        (
            'networks = ["mlp"]\nneurons = ["stl"]\nrule = { name = "btpt" }',
            ["suite.toml", "no rule 'btpt'; did you mean 'bptt'?"],
        ),
        (
            'networks = ["mlp"]\nneurons = ["stl"]\nrule = { consistency = 1.0 }',
            ["suite.toml", "rule bptt: consistency: "],
        ),
        (
            'networks = ["mlp"]\nneurons = ["stl"]\nrule = { optimizer = { learning_rate = -1 } }',
            ["suite.toml", "rule bptt: optimizer.learning_rate: "],
        ),
        ("encoding = { name = 'poison' }", ["encoding.name: no encoder 'poison'; did you mean 'poisson'?"]),
        ("robustness = { noises = ['gausian'] }", ["no noise 'gausian'; did you mean 'gaussian'?"]),
    ],
)
def test_what_a_suite_names_wrongly_is_one_line(write, spikemark, more, messages):
    text = SUITE.format(more=more).replace('["accuracy"]', '["accuracy", "robustness"]')
    error = refused(spikemark("run", write("suite.toml", text), "--dry-run"))
    for message in messages:
        assert message in error


@pytest.mark.parametrize(
    ("gives", "makes", "learned", "messages"),
    [
        ("soft[:, :, :3]", "Step()", '["threshold"]', ["neuron 'odd'", "shape", "must be the same"]),
        ("(soft, soft)", "Step()", '["threshold"]', ["neuron 'odd'", "tuple", "expected a tensor"]),
        ("soft", "42", "[]", ["neuron 'odd'", "made a int", "expected a torch module"]),
        ("soft", "Step()", '["treshold"]', ["neuron 'odd'", "no parameter 'treshold'", "threshold"]),
    ],
)
def test_a_neuron_of_another_form_is_a_failed_record_that_names_it(
    write, spikemark, tmp_path, gives, makes, learned, messages
):
    write("odd.py", NEURON.format(gives=gives, makes=makes, learned=learned))
    more = 'plugins = ["odd.py"]\nnetworks = ["mlp"]\nneurons = ["odd"]'
    suite = write("suite.toml", SUITE.format(more=more))
    code, _, err = spikemark("run", suite, "--out", tmp_path / "out", "--workers", 0)
    assert code == 1, err
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")]
    by_system = {record["cell"]["system"]: record for record in records}
    assert by_system["mlp-lif"]["status"] != "failed"  # the others go on
    failed = by_system["mlp-odd"]
    assert failed["status"] == "failed"
    assert "\n" not in failed["error"]
    for message in messages:
        assert message in failed["error"]


def test_a_plugin_that_a_worker_lacks_is_named_in_the_records(write):
    plugin = write("odd.py", NEURON.format(gives="soft", makes="Step()", learned='["threshold"]'))
    more = 'plugins = ["odd.py"]\nnetworks = ["mlp"]\nneurons = ["odd"]'
    jobs = resolve(load_suite(write("suite.toml", SUITE.format(more=more))).points())
    (job,) = [job for job in jobs if job.axes["system"] == "mlp-odd"]
    assert job.plugins == (str(plugin.resolve()),)
    plugin.unlink()
    with pytest.raises(PluginError, match=r"plug-in .*odd\.py: there is no file"):
        run_jobs([job], Place(), lambda event: None)


def test_a_record_of_the_first_schema_is_named_with_its_schema(write, spikemark, tmp_path):
    path = write("old.json", json.dumps({"schema": 1, "cell": {}, "measurements": [], "key": "0"}))
    with pytest.raises(ResultsError, match=r"old\.json has schema 1; this version reads schema 2"):
        load_results(tmp_path)
    error = refused(spikemark("report", tmp_path, "--out", tmp_path / "report"))
    assert f"{path} has schema 1" in error


def test_register_of_the_api_says_which_options_a_kind_takes():
    with pytest.raises(InputError, match="register claim 'mine': it takes no framework"):
        api.register("claim", "mine", object(), framework="torch")
    with pytest.raises(InputError, match=r"register encoder 'mine': .*unexpected keyword argument 'framework'"):
        api.register("encoder", "mine", print, framework="torch")
    with pytest.raises(InputError, match=r"register neuron 'mine': .*missing .* 'framework'"):
        api.register("neuron", "mine", print)


# --- what is imported ------------------------------------------------------------------------------------------------


def imported(program, *heavy):
    """Which of the packages a program imports."""
    program += f"\nimport sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return eval(done.stdout.splitlines()[-1])


def test_importing_spikemark_imports_nothing_heavy():
    assert imported("import spikemark", "torch", "numpy", "pandas", "scipy", "pydantic") == []


def test_planning_the_ledger_imports_neither_torch_nor_a_framework():
    program = "from spikemark.api import plan; from spikemark.suites.jobs import resolve; resolve(plan('claims'))"
    heavy = ("torch", "spikingjelly", "snntorch", "norse", "numba", "tonic", "kornia", "matplotlib", "distributed")
    assert imported(program, *heavy) == []


def test_who_schedules_imports_neither_torch_nor_a_framework():
    program = "import spikemark.api, spikemark.suites.runner, spikemark.suites.workers, spikemark.suites.progress"
    assert imported(program, "torch", "spikingjelly", "snntorch", "norse", "pandas", "scipy") == []


def test_training_and_counting_import_no_compiler_and_no_framework_but_their_own(tmp_path):
    only = ["system=mlp-lif", "measure=accuracy,energy"]
    program = f"import spikemark; spikemark.run('smoke', out={str(tmp_path)!r}, only={only})"
    heavy = ("torch._dynamo", "numba", "sklearn", "scipy", "pandas", "spikingjelly", "snntorch", "norse")
    assert imported(program, *heavy) == []


def test_a_report_imports_no_torch():
    assert imported("import spikemark.report", "torch", "snntorch", "norse", "spikingjelly") == []


def test_an_installed_plugin_that_cannot_be_loaded_is_told_every_time(monkeypatch, tmp_path):
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('half way')\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = EntryPoint("broken", "broken_plugin", registry.PLUGIN_GROUP)
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [broken] if group == registry.PLUGIN_GROUP else [],
    )
    monkeypatch.setattr(registry, "_broken", [])
    del registry._loaded[registry.PLUGIN_GROUP]
    for _ in range(2):
        with pytest.raises(PluginError, match=r"^plug-in broken_plugin .*: RuntimeError: half way$"):
            list(registry.registry("neuron"))
