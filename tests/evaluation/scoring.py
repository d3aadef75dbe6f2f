"""Scores of a few maps, in one call."""

from collections.abc import Collection, Iterable

from limelight.config import SlowMeasure
from limelight.evaluation.metrics import Pair, SaliencyScores, Scorer


def score_maps(pairs: Iterable[Pair], workers: int | None = None, slow: Collection[SlowMeasure] = ()) -> SaliencyScores:
    with Scorer(workers, slow) as scorer:
        return scorer.score(pairs)
