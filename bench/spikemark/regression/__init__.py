"""Is HEAD slower or worse than BASE: a verdict with a known false-alarm rate.

``sources`` reads numbers, ``verdicts`` judges one of them, ``compare`` all of them, ``render`` says so. ``ab`` measures
two commits against each other (``worktrees``, ``visit``, ``counting``), ``turns`` two functions. ``history``,
``trends`` and ``trend_page`` watch one branch. Nothing here knows how a cell is measured. ``docs/regression.md`` has
the rules and their measured error rates.
"""
