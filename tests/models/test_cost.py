"""Multiply-accumulates against a hand count and against the figures that the papers print."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from limelight.bench.models import count_cost
from limelight.models.cost import count_macs
from limelight.models.inputs import IMAGE
from limelight.models.registry import create_model
from limelight.models.scfnet.mobilenetv3 import SqueezeExcite
from limelight.models.weights import load_weights, save_weights
from limelight.tasks import open_vocabulary, saliency


def test_a_hand_counted_network() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 10 outputs of 27 products, 8 channels
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Flatten(),
        nn.Linear(8 * 8 * 10, 5),
    )
    model.train()
    assert count_macs(model, 16, 20) == 80 * 8 * 27 + 80 * 8 * 25 + 640 * 5
    assert model.training and model[1].num_batches_tracked == 0
    assert next(model.parameters()).device == torch.device("cpu")


def extras(model: nn.Module, size: int) -> int:
    """What KD-SCFNet's counter adds: biases of convolutions, two per batch norm output, the squeezes' inputs."""
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            total += output.numel()
        elif isinstance(module, nn.BatchNorm2d):
            total += 2 * output.numel()
        elif isinstance(module, SqueezeExcite):
            total += inputs[0].numel()

    for module in model.modules():
        module.register_forward_hook(add)
    model.eval().to("meta")(torch.empty(1, 3, size, size, device="meta"))
    return total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "macs", "published_millions"),
    [
        ("scfnet-mobilenetv3", 352, 239_120_640, 253.2),
        ("scfnet-mobilenetv3", 320, 197_685_792, 209.3),
        ("scfnet-mobilenetv3", 224, 97_058_304, 102.8),
        ("scfnet-resnet50", 352, 13_087_212_864, 13_149),
        ("scfnet-swinb", 384, 46_738_805_760, 46_748),
    ],
)
def test_published_costs(name: str, size: int, macs: int, published_millions: float) -> None:
    model = create_model(name)
    assert count_macs(model, size, size) == macs
    total = (macs + extras(model, size)) / 1e6
    assert total == pytest.approx(published_millions, abs=0.051 if published_millions < 1000 else 0.51)


def test_a_difference_convolution_network_in_its_merged_form() -> None:
    macs = count_macs(create_model("sdnet", merged=True), 320, 320)
    # The published graph fuses at the finer size; ours runs the coarse half of each fusion before it is upsampled, on a
    # quarter of the pixels: 24 -> 1 channels at 1/2, 24 -> 24 at 1/4 and 1/8.
    saved = 3 * 24 * (80 * 80 * 1 + 40 * 40 * 24 + 20 * 20 * 24)
    assert (macs + saved) / 1e9 == pytest.approx(1.835, abs=5e-4)


@pytest.mark.slow
def test_companions_are_counted() -> None:
    plain, with_depth = (create_model("sdnet", merged=True, modalities=taken) for taken in (None, ["rgb", "rgbd"]))
    assert count_macs(with_depth, 32, 40) - count_macs(plain, 32, 40) == 32 * 40 * 9 * 60
    drawn = create_model("diffsod-tiny")
    alone = copy.deepcopy(drawn)
    alone.inputs = (IMAGE,)
    assert count_macs(drawn, 64, 64) > count_macs(alone, 64, 64)


@pytest.mark.slow
def test_prompts_are_counted_and_an_image_is_encoded_once() -> None:
    model = create_model("segdiffusion-tiny")
    one, two, three, forty = (count_macs(model, 64, 64, prompts=count) for count in (1, 2, 3, 40))
    # Of a single row torch makes other operations of some products, which are counted.
    assert forty - two == 38 * (three - two)
    assert 0 < two - one < one


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffsod-tiny", "segdiffusion-tiny"])
def test_each_denoising_step_is_counted(name: str) -> None:
    model = create_model(name)
    once, one, two, four = (count_macs(model, 32, 32, steps=steps) for steps in (None, 1, 2, 4))
    assert one == once and two > one
    assert four - two == 2 * (two - one)


@pytest.mark.slow
def test_costs_are_of_the_steps_on_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limelight.evaluation.open_vocabulary.classes_timed", lambda datasets: ("cat", "dog"))
    for name, task in (("diffsod-tiny", saliency.TASK), ("segdiffusion-tiny", open_vocabulary.TASK)):
        folder = tmp_path / name
        save_weights(folder, create_model(name), name=name, input_size=(32, 32), denoise_steps=2)
        network, card = load_weights(folder)
        costs, of_one = task.cost(network, card, {}), count_macs(network, 32, 32, steps=2)
        assert count_cost(folder, (32, 32), unmerged=False)["macs"] == of_one
        if task is saliency.TASK:
            assert costs["macs"] == of_one
        else:
            assert costs["macs_of_one"] == of_one
            assert costs["macs"] == count_macs(network, 32, 32, prompts=2, steps=2)
