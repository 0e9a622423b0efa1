"""What headings of tables and abbreviations mean, as tooltips of the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from markupsafe import Markup, escape

from spikemark.report.model import TIMES

_MEANINGS: Mapping[str, str] = {
    "rank": "systems that a paired test cannot tell apart share a rank",
    "system": "neuron, network and rule of learning",
    "neuron": "name in the catalogue",
    "accuracy (%)": "test accuracy, mean over seeds and test samples [95 % interval]",
    "against lif": "accuracy against LIF, by a paired test with correction; undecided is not equal",
    "under noise (%)": "accuracy, mean over the noises and severities of the suite",
    f"energy ({TIMES} lif)": "energy per sample under the profile 45nm-fp32, divided by that of LIF",
    "firing rate (%)": "spikes per neuron and time step",
    f"training ({TIMES})": "training speed of the fastest framework, divided by that of plain PyTorch",
    f"inference ({TIMES})": "inference speed of the fastest framework, divided by that of plain PyTorch",
    "memory (MiB)": "what one forward and backward pass adds, in the framework that needs least",
    "frameworks": "on which it was trained; their matched layers compute the same spikes",
    "tier": "how far the numbers of a submission are confirmed; measured here: this project's own records",
    "seeds": "independent trainings",
    "n": "independent trainings",
    "route": "native: the framework's own class; composed: its functions in our order; custom: our subclass",
    "paper": "the publication that the neuron comes from",
    "points lost": "clean accuracy minus accuracy under noise, in percentage points",
    "p": "after Holm's correction; below 0.05 is a difference",
    "area": "share of the margin over chance that is kept, from clean to the strongest severity",
    "track": "matched: the same neuron in every framework; native: the framework's own default neuron",
    "MACs": "multiply-accumulates per sample, where the input of a layer is a real number",
    "ACs": "accumulates per sample, where the input of a layer is spikes",
    "dense": "multiply-accumulates without any sparsity",
    "gain": "factor on the neuron's input that the search on validation data chose",
    "measured energy, J per sample": "joules that a counter of this machine told; estimates are of other hardware",
}


def meaning(heading: str) -> str:
    """What a heading means; "" where it speaks for itself."""
    if heading.startswith("lost to "):
        return "percentage points of accuracy lost under this family of noise, mean over its noises and severities"
    found = (_MEANINGS.get(name) or terms().get(name) for name in (heading, heading.partition(" (")[0]))
    return next(filter(None, found), "")


@cache
def terms() -> Mapping[str, str]:
    """The glossary: what every term means. The documentation shows the same file."""
    text = resources.files("spikemark.report").joinpath("glossary.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^\*\[(.+?)\]: (.+)$", text, re.MULTILINE))


@cache
def _pattern() -> re.Pattern[str]:
    every = sorted(map(re.escape, terms()), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(every)})(?=s?(?![\w-]))")


class Explained:
    """Marks the terms of one page, and keeps which there were."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    def mark(self, text: str) -> Markup:
        """Text as HTML, each term with its meaning where it comes first."""
        parts, told, end = [], set[str](), 0
        for match in _pattern().finditer(text):
            term = match[1]
            if term not in told:
                told.add(term)
                parts += [
                    escape(text[end : match.start()]),
                    Markup('<abbr title="{}">{}</abbr>').format(terms()[term], term),
                ]
                end = match.end()
        self._met |= told
        return Markup("").join([*parts, escape(text[end:])])

    def met(self) -> dict[str, str]:
        """The terms that were marked, with their meanings, by name."""
        return {term: terms()[term] for term in sorted(self._met, key=str.lower)}
