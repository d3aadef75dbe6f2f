"""The comparison of sampling is fair, and counts what it says."""

from argparse import Namespace

import torch

from benchmarks.sampling import ONE_STEP, VELOCITY, counted, denoise, settings
from limelight.data.samples import Batch
from models.registry import create_model


def test_both_ways_differ_in_what_they_learn_alone() -> None:
    params = settings(Namespace(scenes=40, autoencoder_epochs=2, epochs=3), 5)
    one_step, velocity = params.run(ONE_STEP), params.run(VELOCITY)
    assert (one_step.objective, velocity.objective) == ("masks", "velocity")
    assert one_step.model_copy(update={"objective": "velocity"}) == velocity
    assert one_step.epochs == 3 and one_step.parts == {"vae": "artifacts/autoencoder"}
    assert params.train[0] == "autoencoder" and params.run("autoencoder").epochs == 2
    assert {request.modality for request in params.active.data.datasets} == {"rgb", "rgbd", "rgbt"}


def test_every_picture_that_passes_the_unet_counts() -> None:
    network = create_model("diffsod-tiny").eval()
    image_B3HW, alone_B = torch.rand(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)
    batch = Batch(image_B3HW, torch.zeros(2, 1, 32, 32), torch.ones(2, dtype=torch.bool), None, alone_B, ["a", "b"])
    with torch.inference_mode(), counted(network.unet) as passes:
        denoise(5, 3, "leading")(network, batch, [0, 1])
        assert passes == [6] * 5
        network(image_B3HW)
        assert sum(passes) == 32
    network(image_B3HW)
    assert len(passes) == 6
