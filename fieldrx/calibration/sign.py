"""The sign of all directions, by what is known of the sample: its depth, or its contrast.

The spectra of images do not show it: with all directions reversed they are explained as well, by a sample of
the opposite contrast, mirrored along z.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.calibration.sample import DEPTH_ERROR, Sample

_CERTAIN, _WEAK = 3.0, 1.0  # standard errors beyond which evidence tells the sign, or hints at it


def settle(sample: Sample, depth: Sequence[float] | None, contrast: str) -> tuple[int, float, str]:
    """The sign of the directions, how sure it is, and how it was settled.

    Returns
    -------
    sign : int
        +1 as found or -1.
    evidence : float
        Standard errors for (positive) or against (negative) the directions as found; 0 where nothing speaks.
    why : str
    """
    by_depth, by_contrast = _depth_evidence(sample), _contrast_evidence(sample, contrast)
    said = _depth_words(sample, depth, by_depth), _contrast_words(sample, contrast, by_contrast)
    stronger, first = (by_contrast, 1) if abs(by_contrast) > abs(by_depth) else (by_depth, 0)
    if -_CERTAIN < stronger <= 0:  # a table is not turned round by a hint
        return 1, 0.0, _ambiguous_words(sample, said[0], said[1])
    sign = 1 if stronger > 0 else -1
    kept = {1: "as given", -1: "the other one"}[sign]
    how = "settled" if abs(stronger) >= _CERTAIN else "weakly settled"
    why = f"sign of the light {kept}: {how} by {said[first]}"
    if not by_depth or not by_contrast:
        return sign, stronger, why + ("" if first == 0 or by_depth else said[0])
    if by_depth * by_contrast > 0:
        return sign, stronger, f"{why}; {said[1 - first]} agrees"
    other = ("the depth", "the contrast")
    why += (
        f"; against it speaks {said[1 - first]}: {other[first]} is followed, as the stronger by standard "
        f"errors ({abs(stronger):.1f} against {abs((by_depth, by_contrast)[1 - first]):.1f}); check the "
        f"{'depth' if first else 'contrast'} that was given"
    )
    return sign, by_depth + by_contrast, why


def _depth_evidence(sample):
    """Standard errors by which the range given, rather than its mirror image, holds the sample; or 0."""
    return sample.side * abs(sample.given - sample.mirrored) / DEPTH_ERROR if sample.side else 0.0


def _contrast_evidence(sample, contrast):
    """Standard errors by which the index is skewed as a sample of this contrast makes it; or 0."""
    if contrast == "unknown" or not sample.error > 0 or not sample.stands_out:
        return 0.0
    evidence = sample.skewness / sample.error * (1 if contrast == "positive" else -1)
    return float(evidence) if abs(evidence) >= _WEAK else 0.0


def _depth_words(sample, depth, evidence):
    if evidence:
        best, worse = max(sample.given, sample.mirrored), min(sample.given, sample.mirrored)
        return (
            f"the depth; one thin slice between {min(depth[:2]):g} and {max(depth[:2]):g} um explains "
            f"{best:.0%} of the images' power so, and {worse:.0%} with the other sign"
        )
    if not np.isfinite(sample.given):
        return ""
    return (
        f" (the depth does not tell: best slices explain {sample.given:.1%} of the images' power in it, "
        f"{sample.mirrored:.1%} in its mirror image, and {sample.explained.max():.1%} anywhere)"
    )


def _contrast_words(sample, contrast, evidence):
    if not evidence:
        return ""
    sign = 1 if evidence > 0 else -1
    assumed = ", as assumed; --contrast negative or unknown otherwise" if contrast == "positive" else ""
    return (
        f"{contrast} contrast{assumed} (skewness of the index {sign * sample.skewness:+.2f} +- "
        f"{sample.error:.2f})"
    )


def _ambiguous_words(sample, doubt, hint):
    place = f" at {-sample.height_um:+.1f} um" if np.isfinite(sample.height_um) else ""
    return (
        "sign of the light ambiguous, kept as given: with all directions reversed the images are explained "
        f"as well, by a sample of the opposite contrast{place}{doubt}"
        + (f"; weakly for those speaks {hint}" if hint else "")
        + "; settle it by a depth on one side of the focus, or let `fieldrx run` fit both"
    )
