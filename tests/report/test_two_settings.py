"""Results of one folder that were measured with two settings are never averaged, and the table tells them apart."""

from __future__ import annotations

from spikemark import load_results, report
from spikemark.api import run

SUITE = {
    "name": "two", "frameworks": ["reference"], "systems": ["mlp-lif"], "datasets": ["digits"], "seeds": [0],
    "measures": ["accuracy"], "sizes": {"train": 60, "validation": 30, "test": 60},
}  # fmt: skip


def test_other_epochs_in_one_folder_stay_apart(tmp_path):
    for epochs in (3, 4):
        run(SUITE | {"training": {"epochs": epochs, "batch_size": 16}}, out=tmp_path / "r", keep_weights=False)
    table = load_results(tmp_path / "r")
    accuracy = table[(table["metric"] == "accuracy") & (table["split"] == "test")]
    assert sorted(accuracy["settings.training.epochs"]) == [3, 4]
    report(tmp_path / "r", tmp_path / "report")
    page = (tmp_path / "report" / "two.md").read_text()
    for epochs, value in zip(accuracy["settings.training.epochs"], accuracy["value"], strict=True):
        rest = page.split(f"### Test accuracy: digits, mlp, epochs {epochs}\n")[1]
        assert f"{100 * value:.1f}" in rest.split("###")[0]
    assert "### Test accuracy: digits, mlp\n" not in page


def test_arms_that_search_other_options_share_a_table(tmp_path):
    rate = {"option": "optimizer.learning_rate", "values": [0.01, 0.001]}
    decays = {"option": "optimizer.decay_learning_rate_factor", "values": [1, 10]}
    training = {"epochs": 2, "batch_size": 16}
    for system, search in (("mlp-lif", [rate]), ("mlp-plif", [rate, decays])):
        suite = SUITE | {"systems": [system], "training": training, "tuning": {"epochs": 1, "search": search}}
        run(suite, out=tmp_path / "r", keep_weights=False)
    report(tmp_path / "r", tmp_path / "report")
    page = (tmp_path / "report" / "two.md").read_text()
    table = page.split("### Test accuracy: digits, mlp\n")[1].split("###")[0]
    assert "mlp-lif" in table
    assert "mlp-plif" in table
