"""A teacher that sees each picture once, before the training."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from limelight.config import Run
from limelight.data.batches.ahead import from_thread
from limelight.data.batches.maker import BatchMaker
from limelight.data.batches.plans import BatchPlan
from limelight.data.manifest import Sample
from limelight.data.samples import Batch, SampleStore
from limelight.data.teacher_maps import map_path
from limelight.foundation.errors import UserError
from limelight.foundation.progress import track
from limelight.imaging.map_store import write_map
from limelight.models.card import Normalisation
from limelight.training.teacher import NetworkTeacher, Teacher

_BATCH = 8


class KeptMaps(Teacher):
    """The maps of whole pictures, stretched to the size that the teacher sees, augmented as the masks are.

    A training of E epochs asks the teacher once for each picture instead of E times, and further trainings not at all.
    The maps are kept by content, in 256 levels; a training that was stopped goes on with those that are there.

    Args:
        teacher: released once the maps are made.
        maps: their folder, named by all that they depend on besides the pictures.

    Raises:
        UserError: the teacher sees clips.
    """

    def __init__(self, teacher: NetworkTeacher, maps: Path) -> None:
        super().__init__()
        if any(each.source == "clip" for each in teacher.inputs):
            raise UserError("its maps depend on the neighbouring frames; set objective.teacher_maps: each-step")
        self.teacher: NetworkTeacher | None = teacher
        self.folder = self.maps = maps

    def prepare(
        self, samples: Sequence[Sample], run: Run, accelerator: Accelerator, normalisation: Normalisation
    ) -> None:
        teacher, self.teacher = self.teacher, None
        assert teacher is not None, "it is called once"
        missing = {sample.sample_id: sample for sample in samples if not map_path(self.folder, sample).is_file()}
        accelerator.wait_for_everyone()  # a process that lists later would find the first ones' maps there
        rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
        if missing:
            teacher.to(device)
            if run.compute.channels_last:
                teacher.to(memory_format=torch.channels_last)
            own = tuple(missing.values())[rank::world]
            with closing(_batches(teacher, own, teacher.side or run.size.input, device, normalisation)) as batches:
                total = -(-len(missing) // world)
                made = _maps(teacher, batches, accelerator)
                for sample_id, probability_HW in track(made, total, "making the teacher's maps"):
                    write_map(map_path(self.folder, missing[sample_id]), probability_HW)
        accelerator.wait_for_everyone()

    def targets(self, batch: Batch) -> Tensor:
        assert batch.teacher_B1HW is not None, "the loader reads the maps"
        return batch.teacher_B1HW


def _batches(
    teacher: NetworkTeacher, samples: tuple[Sample, ...], side: int, device: torch.device, normalisation: Normalisation
) -> Generator[Batch]:
    """Yield whole pictures stretched to side x side, in order, with their companions as the teacher's card says."""
    store = SampleStore(samples, lambda decoded: decoded, capacity=0, companions=teacher.companions)
    windows = tuple((index,) for index in range(len(samples)))
    maker = BatchMaker(store, windows, frozenset(), normalisation, teacher.inputs)
    step, places = 1 if teacher.single_rows or teacher.steps else _BATCH, range(len(samples))
    plans = (BatchPlan(tuple(places[at : at + step]), side, ()) for at in places[::step])
    return from_thread(maker, plans, device.type == "cuda")


def _maps(
    teacher: NetworkTeacher, batches: Iterable[Batch], accelerator: Accelerator
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the ids of samples with their maps, float32 (H, W) in [0, 1]; sampled ones begin with the same noise."""
    for batch in batches:
        with accelerator.autocast():
            maps_B1HW = teacher.targets(batch.to(accelerator.device))
        yield from zip(batch.ids, maps_B1HW[:, 0].float().cpu().numpy(), strict=True)
