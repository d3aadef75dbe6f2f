"""Means over datasets, and standard errors."""

import numpy as np
import pytest

from limelight.evaluation.averages import jackknife, over_datasets, standard_error


def test_standard_error_of_a_mean() -> None:
    assert standard_error([1.0, 3.0, np.nan, 5.0]) == pytest.approx(2 / 3**0.5)
    assert np.isnan([standard_error([1.0]), standard_error([])]).all()


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).integers(0, 100, (30, 1))
    actual = jackknife(values, lambda total: {"mean": float(total[0]) / 29})
    assert actual == {"mean_se": pytest.approx(standard_error(values[:, 0]))}


def test_the_jackknife_of_a_ratio_is_how_much_it_varies() -> None:
    """Against the spread of the ratio over many draws of as many images."""
    generator = np.random.default_rng(1)

    def drawn() -> np.ndarray:
        whole = generator.integers(50, 150, 40)
        return np.stack([generator.binomial(whole, generator.beta(6, 4, 40)), whole], axis=1)

    ratios = [each[:, 0].sum() / each[:, 1].sum() for each in (drawn() for _ in range(400))]
    errors = [jackknife(drawn(), lambda total: {"ratio": total[0] / total[1]})["ratio_se"] for _ in range(40)]
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.2)


def test_what_is_not_defined_twice_has_no_error() -> None:
    counts = np.array([[1, 1], [0, 1]])
    assert jackknife(counts, lambda total: {"part": 1.0} if total[0] else {}) == {}
    assert jackknife(counts[:1], lambda total: {"part": 1.0} if total[0] else {}) == {}


def test_every_dataset_counts_once() -> None:
    figures = [{"a": 1.0, "a_se": 0.3, "b": 2.0}, {"a": 3.0, "a_se": 0.4}]
    assert over_datasets(figures, ["a", "b"]) == {"a": 2.0, "a_se": pytest.approx(0.25)}
