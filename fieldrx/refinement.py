"""Refining the optics while the field is fitted: single directions, intensities, defocus, aberrations.

The board as a whole is aligned by `fieldrx.alignment`.

Now and then the fit corrects the optics theta by a damped Gauss-Newton step on the training images, in which
the sample may change as well: an unfinished field has adapted to the wrong optics and would hold them fast.
With residual r = measured - predicted signal, columns J = d signal / d theta, and H the linear map from the
sample's changes to all images (`fieldrx.tikhonov`), the best changes are eliminated (variable projection:
Golub & Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)):

    (J^H P J / v + D) step = J^H P r / v - D (theta - theta_0),
    P = 1 - H (H^H H + tau)^-1 H^H = tau (H H^H + tau)^-1,      D = diag(1 / width^2),

where `width` says how far a parameter may be expected from where it started and v is the variance of the
residual per independent number, raised where a field's misfit is not the white noise that this supposes.  P
is one small matrix per lateral frequency.  So this runs on spectra: of images that fade to 0 at their
borders, and without frequencies at the edge of a pupil, whose light comes and goes while directions move.
Columns of single scattering have a closed form (`Born.sensitivities`).  Multi-slice models are differenced:
one march more per column in the compiled engine costs a fraction of the plain engine's gradient.

What an image cannot tell is not refined.  All directions shifted together, with the sample sheared, make the
same images, so the mean shift stays that of the table (`fieldrx calibrate` finds it from the pupil's edge);
all images dimmed together are a volume that absorbs, so the mean gain stays what it was;
piston, tilt and defocus among the Zernike terms are shifts of the sample, and stay out.  The focus itself is
such a shift, along z: it moves only as far as the depth range and the priors tell where the sample is.
Held-out images are not looked at: their directions move with the board, an affine map fitted to the others,
their gain stays.

A correction that makes the held-out error worse by a tenth is taken back, and said: less than that the field
may still make good, once it has adapted; the field and optics that are kept are those of the lowest held-out
error.  Fits that start from the closed form are corrected there first, but for their directions: a closed
form, of which the missing frequencies make a smear, tells nothing of them.  Where intensities are refined
this error leaves out the brightness of each held-out image, which nothing predicts and which would hide the
rest.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends.fft import rfft2, taper
from fieldrx.errors import InputError
from fieldrx.metrics import image_errors, levelled
from fieldrx.models import Born, Rytov, predict
from fieldrx.models.corrections import Optics
from fieldrx.optics import Illumination
from fieldrx.shading import flattened
from fieldrx.tikhonov import choose, passband, transfer_matrix

KINDS = ("illumination", "board", "intensity", "defocus", "pupil", "background")
ELSEWHERE = ("board", "background")  # at every step of a fit: `fieldrx.alignment`, `fieldrx.shading`
ZERNIKE = (3, 5, 6, 7, 8, 9, 12)  # astigmatism, coma, trefoil, spherical aberration
FIRST, EVERY, LAST = 0.1, 0.1, 0.75  # shares of the fit: first correction, distance, none from here on

_WIDTH = {"illumination": 0.002, "intensity": 0.03, "pupil": 0.3}  # NA, 1, rad; defocus: see `_widths`
_BOUND = 4.0  # widths from the start at which a parameter is held
_STEP = {"illumination": 5e-4, "pupil": 0.05}  # of differences; defocus: a twentieth of a depth of field
_ROOM = 0.1  # share by which the held-out error may rise, as the field has yet to adapt to a correction
_BATCH = 16
_CLEAR = 2.0  # frequency steps from the edge of a pupil within which a spectrum is not looked at
_FREQUENCIES, _BLOCK = 20000, 512  # looked at, at most, and at once
_FEWEST = 8  # blocks, from which their scatter is looked at


def parse_refine(text) -> tuple[str, ...]:
    """Read "illumination,board,intensity,defocus,pupil,background", or any of them.

    Raises
    ------
    InputError
        If a word is unknown.
    """
    words = tuple(dict.fromkeys(w.strip() for w in (text.split(",") if isinstance(text, str) else text)))
    unknown = [w for w in words if w not in KINDS]
    if unknown or not words:
        raise InputError(f'--refine knows {", ".join(KINDS)}, separated by commas; got "{text}"')
    return words


class Refinement:
    """Corrections of one fit's optics.

    Parameters
    ----------
    kinds : str or sequence of str
        Of `KINDS`; those `ELSEWHERE` are not corrected here.
    acquisition : Acquisition
    name : str
        Of the model.
    grid : Grid
    train, held : arrays of int
        Images to learn from, and those held out.
    start : Optics, optional
        Where to start from; those of the acquisition when not given.
    background : bool
        Whether a smooth factor of every image is open, see `fieldrx.shading`; it holds the brightness too.
    """

    def __init__(self, kinds, acquisition, name, grid, train, held, start=None, background=False):
        kinds = parse_refine(kinds) if kinds else ()
        self.kinds = tuple(kind for kind in kinds if kind not in ELSEWHERE)
        self.background = background
        self.acquisition, self.name, self.grid = acquisition, name, grid
        self.train, self.held = train, held
        start = Optics.of(acquisition.illumination) if start is None else start
        self.start = start.padded(max(ZERNIKE) + 1 if "pupil" in self.kinds else 0)
        scope = acquisition.microscope
        self.depth_of_field = scope.medium_index * scope.wavelength_um / scope.objective_na**2
        lit = acquisition.illumination.pattern[train].any(axis=0)
        self.seen = np.flatnonzero(lit & acquisition.illumination.bright(scope))
        self.parts = self._layout()
        self.width = self._widths()
        self._taper = taper(acquisition.image_shape)
        self._chosen = None

    def model(self, optics, **options):
        """The fit's model with these optics."""
        acq = self.acquisition
        return optics.model(
            self.name, self.grid, acq.microscope, acq.illumination, acq.image_shape, **options
        )

    def due(self, share, done) -> bool:
        """Whether it is time for the next correction, after `done` of them."""
        return bool(self.kinds) and FIRST + EVERY * done <= share < LAST

    def score(self, predicted, measured, mask=None) -> float:
        """Error of held-out images, by which fields and corrections are chosen.

        Where intensities are refined, each image's own brightness, which nothing predicts, is taken out.
        """
        if "intensity" in self.kinds:
            predicted = levelled(predicted, measured, mask)
        return image_errors(predicted, measured, mask)[0]

    def improve(self, optics, contrast, closed_form=False):
        """One correction at a contrast.

        Parameters
        ----------
        optics : Optics
        contrast : complex array, shape ``grid.shape``
        closed_form : bool
            The contrast is a closed-form inversion: directions stay, as it tells nothing of them.

        Returns
        -------
        Optics
            The corrected ones, or those that came.
        str
            What happened, in words.
        """
        normal, right, v = self._normal_equations(optics, contrast)
        now = self._pack(optics)
        begun = self._pack(self.start)
        normal = normal / v + np.diag(1 / self.width**2)
        right = right / v - (now - begun) / self.width**2
        free = np.ones(len(now), bool)
        if closed_form and "illumination" in self.parts:
            free[self.parts["illumination"]] = False
        found = now.copy()
        found[free] += np.linalg.solve(normal[np.ix_(free, free)], right[free])
        found = begun + np.clip(found - begun, -_BOUND * self.width, _BOUND * self.width)
        trial = self.keep_inside(self._unpack(found, optics))
        before, after = self._held_error(optics, contrast), self._held_error(trial, contrast)
        words = self._words(trial)
        if after > (1 + _ROOM) * before:
            return optics, f"{words}: taken back, the held-out error rose from {before:.4f} to {after:.4f}"
        if not len(self.held):
            return trial, f"{words} (nothing is held out to check it)"
        return trial, f"{words}: held-out error {before:.4f} to {after:.4f}"

    # ---- parameters as a row ---------------------------------------------------------------------

    def _layout(self):
        sizes = {
            "illumination": 2 * len(self.seen),
            "intensity": len(self.train),
            "defocus": 1,
            "pupil": len(ZERNIKE),
        }
        parts, first = {}, 0
        for kind in self.kinds:
            parts[kind] = slice(first, first + sizes[kind])
            first += sizes[kind]
        return parts

    def _widths(self):
        width = np.empty(sum(p.stop - p.start for p in self.parts.values()))
        for kind, part in self.parts.items():
            width[part] = _WIDTH.get(kind, 0.1 * self.depth_of_field)
        return width

    def _pack(self, optics):
        row = np.empty(len(self.width))
        values = {
            "illumination": optics.sources_na[self.seen].ravel(),
            "intensity": optics.gain[self.train],
            "defocus": optics.defocus_um,
            "pupil": np.asarray(optics.zernike)[list(ZERNIKE)] if "pupil" in self.kinds else (),
        }
        for kind, part in self.parts.items():
            row[part] = values[kind]
        return row

    def _unpack(self, row, optics):
        sources, gain = optics.sources_na.copy(), optics.gain.copy()
        defocus, zernike = optics.defocus_um, np.array(optics.zernike)
        for kind, part in self.parts.items():
            if kind == "illumination":
                sources = self._carried(row[part].reshape(-1, 2))
            elif kind == "intensity":
                gain[self.train] = row[part] * (self.start.gain[self.train].mean() / row[part].mean())
            elif kind == "defocus":
                defocus = float(row[part][0])
            else:
                zernike[list(ZERNIKE)] = row[part]
        return Optics(sources, gain, defocus, zernike)

    def _carried(self, seen):
        """Directions of all sources: those seen, less a common shift; others as the board moves."""
        nominal, out = self.start.sources_na, self.start.sources_na.copy()
        moved = seen - nominal[self.seen]
        moved -= moved.mean(axis=0)
        out[self.seen] += moved
        others = np.setdiff1d(np.arange(len(nominal)), self.seen)
        if len(others) and len(self.seen) >= 6:
            here, there = (np.c_[nominal[k], np.ones(len(k))] for k in (self.seen, others))
            out[others] += there @ np.linalg.lstsq(here, moved, rcond=None)[0]
        return out

    def keep_inside(self, optics):
        """Sources that were inside the pupil stay there: its edge makes or breaks a background."""
        scope = self.acquisition.microscope
        bright = self.acquisition.illumination.bright(scope)
        na = np.linalg.norm(optics.sources_na, axis=1)
        limit = np.where(bright, scope.objective_na, np.inf)
        scale = np.minimum(1.0, limit / np.maximum(na, 1e-12))
        return Optics(optics.sources_na * scale[:, None], optics.gain, optics.defocus_um, optics.zernike)

    # ---- columns: for each image its number, predicted signal, and pairs (place in the row, derivative)

    def _normal_equations(self, optics, contrast):
        """J^H P J, J^H P r, and the variance of the residual per independent number."""
        linear = self._linear(optics)
        rows, cols, tau = self._frequencies()
        residual, columns, places, spread = self._spectra(optics, contrast, rows, cols)
        clear = self._clear(optics, rows, cols)
        residual, columns = residual * clear, columns * clear[:, None]
        twice = (cols > 0) & (2 * cols != self.grid.shape[2])  # stand for their mirror images as well
        n, (count, width) = len(self.width), places.shape
        parts, squares, free = [], 0.0, 0.0
        for first in range(0, len(rows), _BLOCK):
            block = slice(first, first + _BLOCK)
            h = transfer_matrix(linear, rows[block], cols[block], self.train) * clear.T[block][..., None]
            left = tau * np.linalg.inv(h @ h.conj().swapaxes(1, 2) + tau * np.eye(count, dtype=np.float32))
            left *= np.where(twice[block], 2, 1)[:, None, None]
            j, r = columns[..., block].conj(), residual[:, block]
            rest = np.einsum("fmn,nf->mf", left, r)
            squares += float(np.vdot(r, rest).real)
            free += float((np.diagonal(left, axis1=1, axis2=2).real * clear.T[block]).sum())
            normal, right = np.zeros((n + 1, n + 1)), np.zeros(n + 1)
            np.add.at(right, places, np.einsum("maf,mf->ma", j, rest).real)
            left = left.transpose(1, 0, 2)
            for b in range(width):
                product = (j @ (left * columns[:, b, block].T)).real  # (image, column, other image)
                np.add.at(normal, (places[:, :, None], places[None, None, :, b]), product)
            parts.append((normal[:n, :n], right[:n]))
        v = max(spread * squares / max(free, 1e-30), 1e-30)
        normal, right = map(sum, zip(*parts, strict=True))
        return normal, right, v * self._structure(parts, normal, right, v) ** 2

    def _structure(self, parts, normal, right, v):
        """How far the residual is from white noise of variance v; at least 1.

        What a field does not explain yet has structure: the scores J^H P r / v of different blocks of
        frequencies scatter more than their curvature says (White, Econometrica 50, 1 (1982)), for that kind
        of parameters most that resembles it.  Such a residual also biases the step, by about as much, hence
        the square where this is used.
        """
        if len(parts) < _FEWEST:
            return 1.0
        best = np.linalg.solve(normal / v + 1e-6 * np.diag(1 / self.width**2), right / v)
        scores = np.stack([(r - h @ best) / v for h, r in parts])
        excess = (scores**2).sum(axis=0) * len(parts) / (len(parts) - 1) / (np.diag(normal) / v)
        return max(1.0, *(float(excess[part].mean()) for part in self.parts.values()))

    def _clear(self, optics, rows, cols):
        """Where the spectrum of an image (image, frequency) is clear of the edges of its pupils: what these
        let through jumps while directions move."""
        scope, clear = self.acquisition.microscope, np.ones((len(self.train), len(rows)), bool)
        nu = np.stack([nu[k] for nu, k in zip(self.grid.frequencies(), (rows, cols), strict=True)], axis=1)
        steps = [1 / (n * d) for n, d in zip(self.grid.shape[1:], self.grid.spacing_um[1:], strict=True)]
        margin = 2 * _WIDTH["illumination"] / scope.wavelength_um + _CLEAR * max(steps)
        for k, m in enumerate(self.train):
            for source in optics.sources_na[self.acquisition.illumination.pattern[m] > 0]:
                for sign in (1, -1):
                    reach = np.linalg.norm(nu + sign * source / scope.wavelength_um, axis=1)
                    clear[k] &= np.abs(reach - scope.cutoff) > margin
        return clear | ((rows == 0) & (cols == 0))  # the mean, which every source in the pupil lets through

    def _linear(self, optics):
        """The model of single scattering with these optics, which says what a changed sample can explain."""
        acq, name = self.acquisition, self.name if self.name in ("born", "rytov") else "rytov"
        return optics.model(name, self.grid, acq.microscope, acq.illumination, acq.image_shape)

    def _frequencies(self):
        """Rows and columns of the frequencies looked at, and tau: chosen once, by the optics at the start."""
        if self._chosen is None:
            linear = self._linear(self.start)
            signal = linear.signal(self.acquisition.images[self.train])
            rows, cols = passband(linear, self.train)
            spectrum = self._spectrum(np.where(np.isfinite(signal), signal, 0), linear.window)
            peak, best = choose(linear, spectrum, self.train, rows, cols)
            if len(rows) > _FREQUENCIES:
                some = np.sort(np.random.default_rng(0).permutation(len(rows))[:_FREQUENCIES])
                rows, cols = rows[some], cols[some]
            self._chosen = rows, cols, np.float32(peak * best)
        return self._chosen

    def _spectrum(self, images, window):
        """Of images that fade to 0 at their borders, on the grid: no cut edge spreads over it."""
        padded = np.zeros((len(images), *self.grid.shape[1:]), np.float32)
        padded[(slice(None), *window)] = images * self._taper
        return rfft2(padded)

    def _spectra(self, optics, contrast, rows, cols):
        """Spectra of the residuals (image, frequency), of the columns (image, column, frequency), the
        columns' places in the row of parameters (image, column), one beyond its end where there is none, and
        how many of the residuals' numbers stand for an independent one: the grid over the area that the
        residual covers (for noise, whose fourth moment is three squared variances, that of the taper)."""
        model, out, moments = self.model(optics), [], np.zeros(2)
        for first in range(0, len(self.train), _BATCH):
            batch = self.train[first : first + _BATCH]
            images = (
                self._closed_form(model, contrast, batch)
                if isinstance(model, Born)
                else self._differences(model, optics, contrast, batch)
            )
            for m, predicted, columns in images:
                valid, residual = self._residual(model, m, predicted)
                stack = np.stack([residual, *(c for _, c in columns)]) * valid
                moments += [((self._taper * stack[0]) ** k).sum() for k in (2, 4)]
                spectrum = self._spectrum(stack, model.window)[:, rows, cols]
                out.append((spectrum, [place for place, _ in columns]))
        width = max(len(p) for _, p in out)
        places = np.full((len(out), width), len(self.width))
        columns = np.zeros((len(out), width, len(rows)), np.complex64)
        for k, (spectrum, p) in enumerate(out):
            places[k, : len(p)], columns[k, : len(p)] = p, spectrum[1:]
        numbers = np.prod(self.grid.shape[1:]) * len(out)
        spread = numbers * moments[1] / (3 * max(moments[0], 1e-30) ** 2)
        return np.stack([spectrum[0] for spectrum, _ in out]), columns, places, spread

    def _residual(self, model, m, predicted):
        """Valid pixels of image m, and measured less predicted signal, 0 elsewhere."""
        measured = self.acquisition.images[m]
        valid = np.isfinite(model.signal(measured))
        if self.acquisition.mask is not None:
            valid &= self.acquisition.mask[m]
        if self.background:
            light = np.exp(predicted.clip(-10, 10)) if isinstance(model, Rytov) else predicted + 1
            measured = flattened(measured[None], light[None], valid[None])[0]
        return valid, np.where(valid, model.signal(measured) - predicted, 0)

    def _closed_form(self, model, contrast, batch):
        for m, slopes in zip(batch, model.sensitivities(contrast, batch), strict=True):
            per_linear, per_gain = model.signal_slopes(slopes.linear, m)
            predicted = model.signal_of_linear(slopes.linear, m)
            columns = self._own(
                m, per_gain, {s: per_linear * along for s, (_, along) in slopes.sources.items()}
            )
            if "defocus" in self.parts:
                columns.append((self.parts["defocus"].start, per_linear * slopes.defocus))
            if "pupil" in self.parts:
                first = self.parts["pupil"].start
                columns += [(first + k, per_linear * slopes.pupil[j]) for k, j in enumerate(ZERNIKE)]
            yield m, predicted, columns

    def _differences(self, model, optics, contrast, batch):
        """One march per parameter; a source is moved towards the axis, so that it stays inside the pupil."""
        base = model.forward(contrast, batch)
        pattern = self.acquisition.illumination.pattern
        lit = np.flatnonzero(pattern[batch].any(axis=0))
        along = self._along(optics, contrast, lit) if "illumination" in self.parts else {}
        shared = []
        if "defocus" in self.parts:
            step = 0.05 * self.depth_of_field
            moved = Optics(optics.sources_na, optics.gain, optics.defocus_um + step, optics.zernike)
            shared.append((self.parts["defocus"].start, moved, step))
        if "pupil" in self.parts:
            for k, j in enumerate(ZERNIKE):
                zernike = np.array(optics.zernike)
                zernike[j] += _STEP["pupil"]
                moved = Optics(optics.sources_na, optics.gain, optics.defocus_um, zernike)
                shared.append((self.parts["pupil"].start + k, moved, _STEP["pupil"]))
        shared = [(p, (self.model(o).forward(contrast, batch) - base) / h) for p, o, h in shared]
        background = pattern[:, model.illumination.bright(model.microscope)].sum(axis=1)
        for k, m in enumerate(batch):
            share = optics.gain[m] * pattern[m] / background[m]
            by_source = {s: share[s] * along[s] for s in np.flatnonzero(pattern[m]) if s in along}
            columns = self._own(m, base[k] / optics.gain[m], by_source)
            yield m, base[k] - 1, columns + [(place, slope[k]) for place, slope in shared]

    def _along(self, optics, contrast, sources):
        """Derivative of |E_s|^2 by the direction of each source, as a dictionary of (2, ny, nx)."""
        sources = np.intersect1d(sources, self.seen)
        here = self._alone(optics.sources_na[sources], optics).forward(contrast)
        out = {s: np.empty((2, *here.shape[1:]), here.dtype) for s in sources}
        for axis in (0, 1):
            moved = optics.sources_na[sources].copy()
            step = np.where(moved[:, axis] > 0, -1.0, 1.0) * _STEP["illumination"]
            moved[:, axis] += step
            there = self._alone(moved, optics).forward(contrast)
            for k, s in enumerate(sources):
                out[s][axis] = (there[k] - here[k]) / step[k]
        return out

    def _alone(self, sources_na, optics):
        """A model with one image of each of these sources; differences need a pupil with a soft edge."""
        each = Optics(sources_na, np.ones(len(sources_na)), optics.defocus_um, optics.zernike)
        acq, light = self.acquisition, Illumination(sources_na)
        return each.model(self.name, self.grid, acq.microscope, light, acq.image_shape, edge="soft")

    def _own(self, m, per_gain, by_source):
        """Columns of image m's gain and of its sources' directions."""
        columns = []
        if "intensity" in self.parts:
            columns.append((self.parts["intensity"].start + int(np.searchsorted(self.train, m)), per_gain))
        if "illumination" in self.parts:
            for s, slopes in by_source.items():
                place = np.searchsorted(self.seen, s)
                if place < len(self.seen) and self.seen[place] == s:
                    first = self.parts["illumination"].start + 2 * int(place)
                    columns += [(first, slopes[0]), (first + 1, slopes[1])]
        return columns

    # ---- what it did -----------------------------------------------------------------------------

    def _held_error(self, optics, contrast):
        if not len(self.held):
            return 0.0
        acq = self.acquisition
        model = self.model(optics)
        predicted = np.concatenate([part for _, part in predict(model, contrast, self.held)])
        mask = None if acq.mask is None else acq.mask[self.held]
        measured = acq.images[self.held]
        measured = flattened(measured, predicted, mask) if self.background else measured
        return self.score(predicted, measured, mask)

    def _words(self, optics):
        words = []
        if "illumination" in self.kinds:
            moved = np.linalg.norm(optics.sources_na - self.start.sources_na, axis=1)[self.seen]
            words.append(f"directions by {np.median(moved):.4f} NA (median, at most {moved.max():.4f})")
        if "intensity" in self.kinds:
            words.append(f"intensities by {np.std(optics.gain[self.train]):.2%}")
        if "defocus" in self.kinds:
            words.append(f"focus by {optics.defocus_um:+.2f} um")
        if "pupil" in self.kinds:
            largest = max(ZERNIKE, key=lambda j: abs(optics.zernike[j]))
            words.append(f"Zernike term {largest} by {optics.zernike[largest]:+.3f} rad, others less")
        return f"refined {', '.join(words)}"
