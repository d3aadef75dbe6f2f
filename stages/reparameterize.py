"""reparameterize: an artifact's inference form, checked for equality, with its exports and their deviations."""

from pathlib import Path
from typing import TYPE_CHECKING

from limelight.config import Params
from limelight.foundation.artifacts import ARTIFACTS, merged_name
from limelight.stages.runner import stage_main
from limelight.tracking.journal import Note, noted_run

if TYPE_CHECKING:
    import numpy as np

    from limelight.deploy.calibration import Calibration
    from limelight.deploy.parity import Parity
    from limelight.imaging.feeds import Feeds
    from limelight.inference.runtimes import Runtime
    from limelight.models.base import Network


def run(params: Params, name: str) -> None:
    """Write artifacts/<name>-deploy and reports/deploy/<name>.

    Raises:
        UserError: the merged form differs from the training form, or an export exceeds a limit of `deploy`. The
            artifact is then not written; the report is, where it was an export.
    """
    with noted_run(params, "reparameterize", name) as note:
        reparameterize(params, name, note)


def reparameterize(params: Params, name: str, note: Note) -> None:
    """As `run`, recording the figures in `note`."""
    from limelight.deploy.export import export
    from limelight.deploy.inference_form import deployable, read_samples, save_deployed
    from limelight.deploy.parity import measure_parity, plot_parity
    from limelight.foundation.errors import UserError
    from limelight.foundation.files import atomic_path, write_json
    from limelight.models.weights import load_weights

    settings = params.active.deploy
    source, target, report = ARTIFACTS / name, ARTIFACTS / merged_name(name), Path("reports/deploy") / name
    model, card = load_weights(source)
    params.check_imported("deploy", name, card.architecture.family)
    if settings.guided_radius and card.architecture.task != "saliency":
        raise UserError(
            f"{card.architecture.model} finds no saliency, whose borders the guided filter draws; leave out "
            "deploy.guided_radius"
        )
    inputs, masks_NHW = read_samples(card, settings)
    model, difference = deployable(model, inputs, settings)
    if difference is None:
        print(f"{name}: {card.architecture.model} has no merged form; its weights are exported as they are")
    else:
        print(f"{name}: largest logit difference of the merged form {difference:.2g} over {len(masks_NHW)} images")

    fitted = {}
    if settings.calibrate:
        calibration = calibrate(name, model, inputs, masks_NHW)
        fitted = {"calibration": calibration.as_dict()}
        # Fitted before logits are multiplied: those of the surest pixels are then too large for probabilities to show.
        card = card.derived(temperature=round(calibration.temperature * (settings.sharpness or 1), 4))
    if settings.guided_radius:
        card = card.derived(guided_radius=settings.guided_radius, metrics={})  # of the maps before
    if settings.sharpness is not None:
        model.sharpen(settings.sharpness)
        print(f"{name}: logits multiplied by {settings.sharpness:g}")

    with atomic_path(target) as folder:
        merged = save_deployed(folder, model, card, source, settings.sharpness)
        export(model, merged, folder, settings.runtimes, inputs)
        parity = measure_parity(folder, settings.runtimes, inputs, masks_NHW)
        write_json(folder / "parity.json", parity.as_dict())
        proved = {} if difference is None else {"logit_difference": difference}
        figures = {**proved, **fitted, "parameters": merged.architecture.parameters, **parity.as_dict()}
        write_json(report / "metrics.json", figures)
        plot_parity(parity, settings, report / "parity.png")
        note.set_tags({"weights.sha256": merged.provenance.sha256})
        note.log_metrics(figures)
        note.log_artifact(report / "parity.png")
        print_drifts(name, parity)
        if violations := parity.violations(settings):
            raise UserError(f"artifacts/{name} was not deployed: {'; '.join(violations)} (figures in {report})")


def calibrate(name: str, model: "Network", inputs: "Feeds", masks_NHW: "np.ndarray") -> "Calibration":
    """Fit a temperature, and say what it is and brings."""
    from limelight.deploy.calibration import calibrate_network

    calibration = calibrate_network(model, inputs, masks_NHW)
    print(
        f"{name}: temperature {calibration.temperature:.3f}; expected calibration error "
        f"{calibration.error_before:.4f} before, {calibration.error_after:.4f} after"
    )
    return calibration


def print_drifts(name: str, parity: "Parity") -> None:
    """Say how far each export is from the network that it was made of."""
    for export_name, runtime, drift in parity.exports:
        print(
            f"{name} {export_name}: probability {drift.max_probability_difference:.2g} at most, "
            f"MAE {drift.mae_change:+.5f}, max F {drift.max_f_change:+.5f}, {drift.megabytes:.1f} MB"
            f"{_computed_in(runtime)}"
        )


def _computed_in(runtime: "Runtime") -> str:
    """Describe the number format that the processor computes in, if it is not that of the runtime's name."""
    number_format = runtime.computed_in()
    return "" if number_format == runtime.number_format else f", computed in {number_format}"


if __name__ == "__main__":
    stage_main(run)
