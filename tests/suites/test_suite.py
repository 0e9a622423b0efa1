import json
import subprocess
import sys

import pytest

from spikemark.core.neurons import NEURONS
from spikemark.errors import InputError
from spikemark.registry import registry
from spikemark.suites.jobs import resolve, select
from spikemark.suites.suite import SuiteError, load_suite

GOOD = """
name = "mine"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0, 1]
measures = ["accuracy"]
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def jobs(tmp_path, text):
    return resolve(load_suite(write(tmp_path, text)).points())


@pytest.mark.parametrize("name", sorted(registry("suite")))
def test_shipped_suites_are_valid_and_named_as_their_files(name):
    suite = load_suite(name)
    assert suite.name == name
    points = suite.points()
    assert points
    found = resolve(points)
    assert len({job.key for job in found}) == len(found) == len(points)


def test_points_of_a_suite(tmp_path):
    found = jobs(tmp_path, GOOD)
    assert [(job.axes["measure"], job.axes["seed"]) for job in found] == [("accuracy", 0), ("accuracy", 1)]
    assert found[0].content["settings"].keys() == {"sizes", "training", "encoding", "accuracy"}


def test_whatever_trains_gives_its_accuracy_too_and_shares_the_training(tmp_path):
    found = jobs(tmp_path, GOOD.replace('["accuracy"]', '["energy", "robustness"]').replace("[0, 1]", "[0]"))
    assert [job.axes["measure"] for job in found] == ["accuracy", "energy", "robustness"]
    assert len({job.training for job in found}) == 1
    assert len({job.key for job in found}) == 3


def test_exclusive_jobs_come_last():
    flags = [job.exclusive for job in resolve(load_suite("quick").points())]
    assert flags == sorted(flags)
    assert any(flags)


def test_keys_follow_what_determines_the_result_and_not_the_suite_name(tmp_path):
    base = jobs(tmp_path, GOOD)[0]
    renamed = jobs(tmp_path, GOOD.replace('"mine"', '"yours"'))[0]
    longer = jobs(tmp_path, GOOD + "[training]\nepochs = 99\n")[0]
    assert base.key == renamed.key
    assert base.key != longer.key
    assert base.training != longer.training


def test_a_further_noise_changes_no_training(tmp_path):
    text = GOOD.replace('["accuracy"]', '["robustness"]') + '[robustness]\nnoises = ["gaussian"{}]\n'
    before, after = (jobs(tmp_path, text.replace("{}", more)) for more in ("", ', "uniform"'))
    assert [job.training for job in before] == [job.training for job in after]
    same = [old.key == new.key for old, new in zip(before, after, strict=True)]
    assert same == [old.axes["measure"] == "accuracy" for old in before]


def test_a_job_is_rebuilt_from_plain_data(tmp_path):
    text = GOOD.replace('["mlp-lif"]', '["mlp-ltmd", "time-count", "sleep-reversed-0.1", "ncg-mnist"]')
    suite = load_suite(write(tmp_path, text))
    systems = suite.contenders()
    for job in resolve(suite.points()):
        assert job.system is not None
        assert job.system.to_dict() == systems[job.axes["system"]].to_dict()
        assert json.loads(json.dumps(job.content)) == job.content


def test_networks_times_neurons_are_systems(tmp_path):
    text = GOOD.replace('systems = ["mlp-lif"]', 'networks = ["mlp", "convnet"]\nneurons = ["lif", "stl"]')
    found = jobs(tmp_path, text.replace("[0, 1]", "[0]"))
    assert [job.axes["system"] for job in found] == ["mlp-lif", "mlp-stl", "convnet-lif", "convnet-stl"]
    plain = jobs(tmp_path, GOOD)[0]
    assert found[0].key == plain.key, "the same work has the same key, however it was named"
    slow = jobs(tmp_path, text + '[rule]\nname = "rate-m"\n')
    assert {job.content["system_definition"]["rule"]["name"] for job in slow} == {"rate-m"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('systems = ["mlp-lif"]', "", r"systems: name some, or networks and neurons"),
        ('systems = ["mlp-lif"]', 'networks = ["mlp"]', r"networks and neurons belong together"),
        (
            'systems = ["mlp-lif"]',
            'networks = ["mlp"]\nneurons = ["lif"]\nrule = { name = "bptt", los = "x" }',
            r"rule bptt: .*no field 'los'",
        ),
        ('systems = ["mlp-lif"]', 'systems = ["mlp-lif"]\nrule = { loss = "mse-rate" }', r"systems have their own"),
        ('systems = ["mlp-lif"]', 'networks = ["mlp"]\nneurons = ["lfi"]', r"no neuron 'lfi'; did you mean 'lif'"),
    ],
)
def test_bad_products_are_named(tmp_path, old, new, message):
    with pytest.raises(SuiteError, match=message):
        load_suite(write(tmp_path, GOOD.replace(old, new)))


def test_neurons_with_a_framework_of_their_own_run_there_alone(tmp_path):
    text = GOOD.replace('["reference"]', '["snntorch", "norse"]').replace('["mlp-lif"]', '["mlp-lif", "time-count"]')
    places = {(job.axes["system"], job.axes["framework"]) for job in jobs(tmp_path, text)}
    assert places == {("mlp-lif", "snntorch"), ("mlp-lif", "norse"), ("time-count", "reference")}


NATIVE = """
name = "mine"
frameworks = ["reference", "norse", "snntorch"]
networks = ["mlp"]
tracks = ["native"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy"]
"""


def test_the_native_track_runs_every_own_neuron_in_its_framework_alone(tmp_path):
    found = {(job.axes["framework"], job.axes["neuron"]): job for job in jobs(tmp_path, NATIVE)}
    own = {(name.partition(":")[0], name) for name in NEURONS if name.startswith(("norse:", "snntorch:"))}
    assert found.keys() == own
    assert len(own) > 10
    assert {job.axes["track"] for job in found.values()} == {"native"}


def test_both_tracks_stand_side_by_side_and_matched_jobs_keep_their_keys(tmp_path):
    both = NATIVE.replace('tracks = ["native"]', 'tracks = ["matched", "native"]\nneurons = ["lif"]')
    matched = NATIVE.replace('tracks = ["native"]', 'neurons = ["lif"]')
    keys = {job.key for job in jobs(tmp_path, both)}
    assert keys == {job.key for job in jobs(tmp_path, NATIVE)} | {job.key for job in jobs(tmp_path, matched)}
    assert all("track" not in job.content for job in jobs(tmp_path, matched))
    only = select(load_suite(write(tmp_path, both)).points(), ["track=native", "framework=norse"])
    assert {point.framework for point in only} == {"norse"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["native"]', '["native"]\nneurons = ["lif"]', "those named are of the track matched"),
        ('["native"]', '["matched"]', "networks and neurons belong together"),
        ('["native"]', '["natural"]', "tracks"),
        ('["native"]', '["native", "native"]', "tracks"),
        ('["native"]', "[]", "tracks"),
        (', "norse", "snntorch"', "", "networks and neurons belong together"),
    ],
)
def test_bad_tracks_are_named(tmp_path, old, new, message):
    with pytest.raises(SuiteError, match=message):
        load_suite(write(tmp_path, NATIVE.replace(old, new)))


def test_planning_imports_neither_torch_nor_a_framework():
    code = (
        "import sys\n"
        "from spikemark.suites.jobs import resolve\n"
        "from spikemark.suites.suite import load_suite\n"
        "assert len(resolve(load_suite('claims').points())) > 500\n"
        "heavy = {'torch', 'pandas', 'scipy', 'snntorch', 'norse', 'spikingjelly', 'numba', 'sklearn'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds =", "seedz =", r"no key 'seedz'; did you mean 'seeds'\?.*"),
        ('["reference"]', '["refrence"]', r"frameworks: no framework 'refrence'; did you mean 'reference'\?"),
        ('["mlp-lif"]', '["mlp-lfi"]', r"systems: no system 'mlp-lfi'; did you mean 'mlp-lif'\?"),
        ('["digits"]', '["digts"]', r"datasets: no dataset 'digts'; did you mean 'digits'\?"),
        ("[0, 1]", "[]", r"seeds: .*at least 1"),
        ("[0, 1]", '"zero"', r"seeds: .*found 'zero'"),
        ("[0, 1]", "[0, 0]", r"seeds: named twice: 0"),
        ("[0, 1]", "[-1]", r"seeds.0: .*greater than or equal to 0.*found -1"),
        ('["accuracy"]', '["accurcy"]', r"measures: no measure 'accurcy'; did you mean 'accuracy'\?"),
        ('"mine"', '"../mine"', r"name: .*pattern"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepochs = -3', r"training.epochs: .*found -3"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepochs = "3"', r"training.epochs: .*integer.*found '3'"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepoch = 3', r"training.epoch: there is no field 'epoch'"),
        ('["accuracy"]', '["accuracy"]\n[encoding]\nname = "dierct"', r"no encoder 'dierct'; did you mean 'direct'\?"),
        ('["accuracy"]', '["accuracy"]\n[robustness]\nseverities = [6]', r"robustness.severities.0: .*found 6"),
        ('["accuracy"]', '["accuracy"]\n[robustness]\nnoises = ["gausian"]', r"no noise 'gausian'; did you mean"),
        (
            '["accuracy"]',
            '["accuracy"]\n[robustness]\nnoises = ["shot", "shot"]',
            r"robustness.noises: named twice: shot",
        ),
        (
            '["accuracy"]',
            '["accuracy"]\n[energy]\nprofiles = ["45nm-int8", "45nm-int8"]',
            r"energy.profiles: named twice",
        ),
        (
            '["accuracy"]',
            '["robustness"]\n[robustness]\nsamples = 498',
            r"robustness.samples: 498 asked for, digits gives 497 test samples",
        ),
        (
            '["accuracy"]',
            '["energy"]\n[energy]\nsamples = 9\n[sizes]\ntest = 8',
            r"energy.samples: 9 asked for, digits gives 8 test samples",
        ),
        ('["accuracy"]', '["accuracy"]\ntimeout = inf', r"timeout: .*finite.*found inf"),
        ('["accuracy"]', '["accuracy"]\ntimeout = 1e400', r"timeout: .*finite.*found inf"),
        ('["accuracy"]', '["accuracy"]\n[throughput]\nseconds = inf', r"throughput.seconds: .*finite.*found inf"),
        ('["accuracy"]', '["accuracy"]\n[encoding]\nsteps = 1e9', r"encoding.steps: .*integer"),
        ('"mine"', f'"{"m" * 101}"', r"name: .*at most 100 characters"),
        ('datasets = ["digits"]', "", r"datasets: is missing"),
        ("name = ", "name == ", r"is not TOML"),
    ],
)
def test_bad_suites_name_file_key_and_what_would_be_right(tmp_path, old, new, message):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(SuiteError, match=message) as error:
        load_suite(path)
    assert "mine.toml" in str(error.value)


def test_unknown_suite_has_a_hint():
    with pytest.raises(SuiteError, match="did you mean 'quick'"):
        load_suite("quik")
    with pytest.raises(SuiteError, match=r"nowhere\.toml does not exist"):
        load_suite("nowhere.toml")


def test_select():
    points = load_suite("quick").points()
    chosen = select(points, ["framework=norse,reference", "neuron=stl", "measure=accuracy", "seed=0"])
    assert [str(point) for point in chosen] == [
        "accuracy reference mlp-stl digits seed 0",
        "accuracy norse mlp-stl digits seed 0",
    ]
    twice = ["framework=norse", "neuron=stl", "framework=reference", "measure=accuracy", "seed=0"]
    assert select(points, twice) == chosen
    with pytest.raises(InputError, match="no job has framework brian"):
        select(points, ["framework=norse", "framework=brian"])
    with pytest.raises(InputError, match="no job has neuron stll"):
        select(points, ["neuron=stll"])
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        select(points, ["neuron"])
    with pytest.raises(InputError, match="no key 'sead'; did you mean 'seed'"):
        select(points, ["sead=3"])


PARTS = (
    GOOD
    + """
[training]
epochs = 3
batch_size = 32

[[parts]]

[[parts]]
variant = "long"
seeds = [7]
[parts.training]
epochs = 9

[[parts]]
seeds = [0]
"""
)


def test_parts_share_what_stands_at_the_top_and_join_tables(tmp_path):
    points = load_suite(write(tmp_path, PARTS)).points()
    assert [(p.variant, p.seed, p.settings["training"]) for p in points] == [
        ("", 0, {"epochs": 3, "batch_size": 32}),
        ("", 1, {"epochs": 3, "batch_size": 32}),
        ("long", 7, {"epochs": 9, "batch_size": 32}),
    ]
    assert [point.seed for point in select(points, ["variant=long"])] == [7]


def test_a_variant_enters_the_key(tmp_path):
    plain = jobs(tmp_path, GOOD)[0]
    other = jobs(tmp_path, 'variant = "x"' + GOOD)[0]
    assert other.key != plain.key
    assert other.training == plain.training, "it is the same training, so it is not done twice"


def test_a_problem_that_all_parts_share_is_told_once(tmp_path):
    with pytest.raises(SuiteError, match="batch_size") as error:
        load_suite(write(tmp_path, PARTS.replace("batch_size = 32", "batch_size = 1")))
    assert str(error.value).count("batch_size") == 1
    with pytest.raises(SuiteError, match="parts"):
        load_suite(write(tmp_path, 'parts = "many"' + GOOD))


def test_binning_of_events_is_a_setting_and_must_fit_the_data(tmp_path):
    events = GOOD.replace('"digits"', '"nmnist1k"') + '[events]\nsteps = 6\npolarities = "merge"\n'
    (job, _) = jobs(tmp_path, events)
    assert job.content["settings"]["events"]["steps"] == 6
    with pytest.raises(SuiteError, match="digits"):
        load_suite(write(tmp_path, events.replace('"nmnist1k"', '"digits"')))
    with pytest.raises(SuiteError, match=r"larger than the sensor"):
        load_suite(write(tmp_path, events + "size = [99, 99]\n"))


LAYERS = (
    GOOD.replace('["accuracy"]', '["layers"]')
    + """
[layers]
width = 32
threads = 2
[layers.axes]
steps = [1, 2]
convolution = [[2, 3, 4]]
"""
)


def test_layers_have_a_job_for_every_axis(tmp_path):
    found = jobs(tmp_path, LAYERS)
    assert [str(job) for job in found] == [
        "layers reference lif steps seed 0",
        "layers reference lif convolution seed 0",
    ]
    assert all(job.exclusive and job.threads == 2 and job.axes["neuron"] == "lif" for job in found)
    assert all("network" not in job.axes and "system_definition" not in job.content for job in found)
    assert [job.content["settings"]["layers"]["axes"]["steps"] for job in found] == [[1, 2], []]
    assert found[1].content["settings"]["layers"]["axes"]["convolution"] == [[2, 3, 4]]


def test_what_has_no_spec_has_no_jobs_of_neurons(tmp_path):
    text = GOOD.replace('["accuracy"]', '["conformance"]').replace(
        'systems = ["mlp-lif"]', 'systems = ["mlp-lif", "sleep-stdp-0"]'
    )
    assert "sleep" in text
    assert [job.axes["neuron"] for job in jobs(tmp_path, text)] == ["lif"]


def test_training_by_the_rule_enters_the_key(tmp_path):
    text = GOOD.replace('["accuracy"]', '["throughput"]')
    plain, gradients, rule = (
        jobs(tmp_path, text + table)[0]
        for table in ("", '[throughput]\ntraining = "gradients"\n', '[throughput]\ntraining = "rule"\n')
    )
    assert plain.key == gradients.key != rule.key
    assert rule.content["settings"]["throughput"]["training"] == "rule"


def test_a_job_of_layers_depends_on_its_own_axis_alone(tmp_path):
    before = jobs(tmp_path, LAYERS)
    after = jobs(tmp_path, LAYERS.replace("[[2, 3, 4]]", "[[2, 3, 5]]"))
    assert [a.key == b.key for a, b in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = [1, 2]\nconvolution = [[2, 3, 4]]", "", r"layers.axes: name at least one of steps, batch"),
        ("steps = [1, 2]", "stepz = [1, 2]", r"layers.axes.stepz: there is no field 'stepz'"),
        ("steps = [1, 2]", "steps = [0]", r"layers.axes.steps.0: .*found 0"),
        ("steps = [1, 2]", "steps = [1, 1]", r"layers.axes.steps: named twice: 1"),
        ("[[2, 3, 4]]", "[[2, 3]]", r"layers.axes.convolution.0"),
        ("threads = 2", 'phases = ["backward"]', r"layers.phases.0: 'backward' is not one of"),
    ],
)
def test_bad_settings_of_layers_are_named(tmp_path, old, new, message):
    with pytest.raises(SuiteError, match=message):
        load_suite(write(tmp_path, LAYERS.replace(old, new)))
