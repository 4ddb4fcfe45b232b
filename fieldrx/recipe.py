"""The command that makes a fit again, from a field's provenance."""

from __future__ import annotations

from dataclasses import asdict

from fieldrx.acquisition import Acquisition
from fieldrx.field import Network, NeuralField
from fieldrx.field.choices import preset_of
from fieldrx.field.encodings import Encoding, encoding_from_dict
from fieldrx.fit import settings
from fieldrx.models import is_multislice


def recipe(field: NeuralField, acquisition: Acquisition) -> tuple[str, list[str]]:
    """Command lines that repeat a fit and evaluate it.

    Parameters
    ----------
    field : NeuralField
    acquisition : Acquisition
        With the images it was fitted to.

    Returns
    -------
    commands : str
        With ACQ and FIELD.npz for the files; empty for a field that was not fitted.
    besides : list of str
        Settings that differ from the defaults and that only Python can give.
    """
    provenance = field.provenance
    if not provenance.fitted:
        return "", []
    mine = provenance.need("priors") | provenance.need("schedule")
    usual = {k: v for part in settings(provenance.need("model")) for k, v in asdict(part).items()}
    changed = {name: value for name, value in mine.items() if value != usual[name]}
    tv = {mine["tv"], mine["tv_absorption"]}  # one option for both
    kind, *numbers = provenance.need("loss").values()
    images = acquisition.predictable(is_multislice(provenance.need("model")))
    dark = bool(acquisition.dark_field[images].any())
    share = len(provenance.held) / len(images)
    options = {
        "--depth": ":".join(f"{d:g}" for d in provenance.need("depth")),
        "--model": provenance.model,
        "--steps": None if "budget_s" in changed else changed.get("steps"),
        "--budget": f"{mine['budget_s']:g}s" if "budget_s" in changed else None,
        "--patience": changed.get("patience"),
        "--tv": f"{mine['tv']:g}" if len(tv) == 1 and "tv" in changed else None,
        "--holdout": None if len(acquisition.holdout) else f"{share:.4g}",
        "--loss": ":".join([kind, *map(repr, numbers)]) if (kind, dark) != ("squared", False) else None,
        "--refine": ",".join(provenance.refine or ()) or None,
        "--no-absorption": True if field.network.n_outputs == 1 else None,
        "--preset": preset_of(*_architecture(field)),
        "--seed": mine["seed"],
    }
    words = [
        name if value is True else f"{name}={value}" for name, value in options.items() if value is not None
    ]
    said = {"steps", "budget_s", "patience", "seed"} | ({"tv", "tv_absorption"} if len(tv) == 1 else set())
    besides = [f"{name}={value}" for name, value in changed.items() if name not in said]
    return f"fieldrx reconstruct ACQ {' '.join(words)} -o FIELD.npz\nfieldrx evaluate FIELD.npz ACQ", besides


def _architecture(field: NeuralField) -> tuple[Encoding, Network]:
    """Encoding and network of the fit, of a compressed field, too."""
    if field.coded is None:
        return field.encoding, field.network
    told = field.provenance
    return encoding_from_dict(told.need("encoding")), Network.from_dict(told.need("network"))
