import pytest

from spikemark.errors import InputError
from spikemark.measures.speed.points import Point
from spikemark.suites.jobs import select
from spikemark.suites.suite import SuiteError, load_suite, shipped_suites

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


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_shipped_suites_are_valid_and_named_as_their_files(name):
    suite = load_suite(name)
    assert suite.name == name
    cells = suite.cells()
    assert cells
    assert len({cell.key() for cell in cells}) == len(cells)


def test_cells_of_a_suite(tmp_path):
    cells = load_suite(write(tmp_path, GOOD)).cells()
    assert [(c.task, c.seed) for c in cells] == [("train", 0), ("train", 1)]
    assert cells[0].content()["settings"].keys() == {"sizes", "training", "encoding"}


def test_exclusive_cells_come_last():
    flags = [cell.exclusive for cell in load_suite("quick").cells()]
    assert flags == sorted(flags)
    assert any(flags)


def test_keys_follow_what_determines_the_result_and_not_the_suite_name(tmp_path):
    base = load_suite(write(tmp_path, GOOD)).cells()[0].key()
    renamed = load_suite(write(tmp_path, GOOD.replace('"mine"', '"yours"'))).cells()[0].key()
    longer = load_suite(write(tmp_path, GOOD + "[training]\nepochs = 99\n")).cells()[0].key()
    assert base == renamed
    assert base != longer


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
        ('["accuracy"]', '["accurcy"]', r"measures.0: .*'accuracy'.*found 'accurcy'"),
        ('"mine"', '"../mine"', r"name: .*pattern"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepochs = -3', r"training.epochs: .*found -3"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepochs = "3"', r"training.epochs: .*integer.*found '3'"),
        ('["accuracy"]', '["accuracy"]\n[training]\nepoch = 3', r"no key 'epoch'; did you mean 'epochs'\?.*training"),
        ('["accuracy"]', '["accuracy"]\n[encoding]\nname = "dierct"', r"no encoder 'dierct'; did you mean 'direct'\?"),
        ('["accuracy"]', '["accuracy"]\n[robustness]\nseverities = [6]', r"robustness.severities.0: .*found 6"),
        ('["accuracy"]', '["accuracy"]\n[robustness]\nnoises = ["gausian"]', r"no noise 'gausian'; did you mean"),
        ('datasets = ["digits"]', "", r"datasets: Field required"),
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
    cells = load_suite("quick").cells()
    chosen = select(cells, ["framework=norse,reference", "neuron=stl", "measure=train", "seed=0"])
    assert [str(cell) for cell in chosen] == [
        "train reference mlp-stl digits seed 0",
        "train norse mlp-stl digits seed 0",
    ]
    with pytest.raises(InputError, match="no cell has neuron stll"):
        select(cells, ["neuron=stll"])
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        select(cells, ["neuron"])
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        select(cells, ["epochs=3"])


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
    cells = load_suite(write(tmp_path, PARTS)).cells()
    assert [(c.variant, c.seed, c.settings["training"]) for c in cells] == [
        ("", 0, {"epochs": 3, "batch_size": 32}),
        ("", 1, {"epochs": 3, "batch_size": 32}),
        ("long", 7, {"epochs": 9, "batch_size": 32}),
    ]
    assert [cell.seed for cell in select(cells, ["variant=long"])] == [7]


def test_a_variant_enters_the_key(tmp_path):
    plain = load_suite(write(tmp_path, GOOD)).cells()[0].key()
    assert load_suite(write(tmp_path, 'variant = "x"' + GOOD)).cells()[0].key() != plain


def test_a_problem_that_all_parts_share_is_told_once(tmp_path):
    with pytest.raises(SuiteError, match="batch_size") as error:
        load_suite(write(tmp_path, PARTS.replace("batch_size = 32", "batch_size = 1")))
    assert str(error.value).count("batch_size") == 1
    with pytest.raises(SuiteError, match="parts"):
        load_suite(write(tmp_path, 'parts = "many"' + GOOD))


def test_binning_of_events_is_a_setting_and_must_fit_the_data(tmp_path):
    events = GOOD.replace('"digits"', '"nmnist1k"') + '[events]\nsteps = 6\npolarities = "merge"\n'
    (cell, _) = load_suite(write(tmp_path, events)).cells()
    assert cell.content()["settings"]["events"]["steps"] == 6
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


def test_layers_have_a_cell_for_every_axis(tmp_path):
    cells = load_suite(write(tmp_path, LAYERS)).cells()
    assert [str(cell) for cell in cells] == [
        "layers reference lif steps seed 0",
        "layers reference lif convolution seed 0",
    ]
    assert all(cell.exclusive and cell.neuron == "lif" and cell.network is None for cell in cells)
    settings = [cell.content()["settings"]["layers"] for cell in cells]
    assert [point.label for s in settings for point in Point.of_settings(s)] == [
        "T=1 B=64 N=32",
        "T=2 B=64 N=32",
        "T=16 B=64 C=2x3x4",
    ]
    assert "system_definition" not in cells[0].content()


def test_what_has_no_spec_has_no_cells_of_neurons(tmp_path):
    text = GOOD.replace('["accuracy"]', '["conformance"]').replace(
        'systems = ["mlp-lif"]', 'systems = ["mlp-lif", "sleep-stdp-0"]'
    )
    assert "sleep" in text
    assert [cell.system for cell in load_suite(write(tmp_path, text)).cells()] == ["lif"]


def test_training_by_the_rule_enters_the_key_and_gradients_do_not(tmp_path):
    text = GOOD.replace('["accuracy"]', '["throughput"]')
    plain, gradients, rule = (
        load_suite(write(tmp_path, text + table)).cells()[0]
        for table in ("", '[throughput]\ntraining = "gradients"\n', '[throughput]\ntraining = "rule"\n')
    )
    assert plain.key() == gradients.key() != rule.key()
    assert "training" not in plain.settings["throughput"]
    assert rule.settings["throughput"]["training"] == "rule"


def test_a_cell_of_layers_depends_on_its_own_axis_alone(tmp_path):
    before = load_suite(write(tmp_path, LAYERS)).cells()
    after = load_suite(write(tmp_path, LAYERS.replace("[[2, 3, 4]]", "[[2, 3, 5]]"))).cells()
    assert [a.key() == b.key() for a, b in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = [1, 2]\nconvolution = [[2, 3, 4]]", "", r"layers.axes: name at least one of steps, batch"),
        ("steps = [1, 2]", "stepz = [1, 2]", r"no key 'stepz'; did you mean 'steps'\?.*layers.axes"),
        ("steps = [1, 2]", "steps = [0]", r"layers.axes.steps.0: .*found 0"),
        ("steps = [1, 2]", "steps = [1, 1]", r"layers.axes.steps: named twice: 1"),
        ("[[2, 3, 4]]", "[[2, 3]]", r"layers.axes.convolution.0"),
        ("threads = 2", 'phases = ["backward"]', r"layers.phases.0: .*found 'backward'"),
    ],
)
def test_bad_settings_of_layers_are_named(tmp_path, old, new, message):
    with pytest.raises(SuiteError, match=message):
        load_suite(write(tmp_path, LAYERS.replace(old, new)))
