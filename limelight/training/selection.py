"""Which samples of the manifest a run is trained on and validated on."""

import os
import sys
from collections.abc import Sequence

from limelight.config import Run
from limelight.data.manifest import MANIFEST, Sample, check_splits, read_manifest
from limelight.foundation.errors import UserError
from limelight.training.learner import Learner


def training_samples(run: Run, learner: Learner) -> list[Sample]:
    """Select the labelled samples, and the unlabelled ones if the learner uses them.

    Raises:
        UserError: there are none, no sample has a split that is named (`validation` too), none of use has one, or
            they are incompatible with the run's settings.
    """
    samples = read_manifest()
    rows = _usable(samples, learner)
    given = run.samples.model_fields_set  # the usual split need not be there where only unlabelled pictures are
    named = [name for key in ("labelled", "unlabelled") if key in given for name in getattr(run.samples, key)]
    if run.samples.validation and "validation" in given:
        named.append(run.samples.validation)
    check_splits(named, {sample.split for sample in samples})
    labelled = [sample for sample in rows if sample.split in run.samples.labelled and sample.mask]
    unlabelled = [sample for sample in rows if learner.unlabelled and sample.split in run.samples.unlabelled]
    if not labelled and not unlabelled:
        splits = sorted({sample.split for sample in rows}) or "none"
        raise UserError(
            f"no samples in labelled {run.samples.labelled} or unlabelled {run.samples.unlabelled} for modalities "
            f"{learner.modalities}; {MANIFEST} has the splits {splits}"
        )
    for key, chosen in (("labelled", labelled), ("unlabelled", unlabelled)):
        idle = {*getattr(run.samples, key)} - {sample.split for sample in chosen} if key in given else ()
        if idle:
            raise UserError(
                f"samples.{key} names {', '.join(sorted(idle))}, where nothing is of use: no sample with "
                f"{'labels' if key == 'labelled' else 'a picture'} of modalities {learner.modalities}; leave it out"
            )
    learner.check_samples(labelled)
    return [*labelled, *unlabelled]


def validation_samples(run: Run, learner: Learner, name: str) -> list[Sample]:
    """Select the labelled samples of the validation split; if there are none, one warning on standard error."""
    rows = [sample for sample in _usable(read_manifest(), learner) if sample.mask]
    split = run.samples.validation
    chosen = [sample for sample in rows if sample.split == split]
    if split and not chosen and os.environ.get("RANK", "0") == "0":
        known = ", ".join(sorted({sample.split for sample in rows})) or "none"
        print(
            f"warning: run {name!r} is not validated: no sample has a mask and split {split!r}; there are: {known}",
            file=sys.stderr,
        )
    return chosen


def _usable(samples: Sequence[Sample], learner: Learner) -> list[Sample]:
    """Select the samples of the learner's modalities, of datasets with the kind of labels that it learns from.

    A dataset labelled with classes is not used for saliency, nor are its unlabelled images.
    """
    with_classes = {sample.dataset for sample in samples if sample.labels == "classes"}
    needs_classes = learner.labels == "classes"
    return [
        each
        for each in samples
        if (each.dataset in with_classes) == needs_classes and each.modality in learner.modalities
    ]
