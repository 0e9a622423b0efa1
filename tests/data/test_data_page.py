from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["data.md", "noise.md"])
def test_worked_examples_run(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    examples = [part.partition("```")[0] for part in text.split("```python\n")[1:]]
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), {})


def test_every_data_set_and_noise_is_described():
    from spikemark.data.card import DATASETS
    from spikemark.noise.case import NOISES

    data, noise = ((DOCS / page).read_text(encoding="utf-8") for page in ("data.md", "noise.md"))
    assert all(f"`{name}`" in data for name in DATASETS)
    for name, entry in NOISES.items():
        assert f"| {name} | {', '.join(f'{level:g}' for level in entry.levels)} |" in noise
