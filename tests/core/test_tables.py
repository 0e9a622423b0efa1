import csv
import io

import pandas as pd
import pytest

from spikemark.core.tables import to_csv


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_would_be_a_formula_is_text(start):
    formula = f'{start}HYPERLINK("http://example.org")'
    frame = pd.DataFrame({"name": ["fine", formula], formula: [1, 2], "mixed": [None, formula], "value": [-1.5, 2e-9]})
    header, first, second = csv.reader(io.StringIO(to_csv(frame), newline=""))
    assert header == ["name", f"'{formula}", "mixed", "value"]
    assert first == ["fine", "1", "", "-1.5"]
    assert second == [f"'{formula}", "2", f"'{formula}", "2e-09"]


def test_numbers_stay_numbers_also_as_text():
    frame = pd.DataFrame({"text": ["-1.5", "+3", "-", "-x"], "number": [-1 / 3, 0.0, float("nan"), -2.0]})
    assert to_csv(frame, "%.3g") == "text,number\n-1.5,-0.333\n+3,0\n-,\n'-x,-2\n"
    assert frame["text"].tolist() == ["-1.5", "+3", "-", "-x"], "the table itself is left alone"
