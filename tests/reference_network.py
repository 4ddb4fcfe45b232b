"""The field's operators in plain NumPy float64: what the backends are compared with.

Written for reading: whole batches, no tiles, no sharing of work.
"""

import numpy as np

from fieldrx.field.encodings import Fourier, Hash, Identity, PlaneWaves, Positional, Radial


def features_and_taps(encoding, params, points):
    """Features (n, n_features); for Hash also per level the entries (n, 8) and weights (n, 8)."""
    points = np.asarray(points, np.float64)
    if isinstance(encoding, Identity):
        return points, None
    if isinstance(encoding, Hash):
        return _hash(encoding, np.asarray(params, np.float64), points)
    z, y, x = points.T
    if isinstance(encoding, Radial):
        return _radial(encoding, z, y, x), None
    if isinstance(encoding, Positional):
        octaves = (encoding.z_octaves, encoding.y_octaves, encoding.x_octaves)
        columns = []
        for coordinate, count in zip((z, y, x), octaves, strict=True):
            for octave in range(count):
                columns += [np.sin(2**octave * np.pi * coordinate), np.cos(2**octave * np.pi * coordinate)]
        return np.stack(columns, 1), None
    if isinstance(encoding, PlaneWaves):
        phase = 2 * np.pi * points @ np.array(encoding.frequencies).T
        return np.concatenate([np.sin(phase), np.cos(phase)], 1), None
    assert isinstance(encoding, Fourier)
    sigmas = [encoding.sigma_z, encoding.sigma_y, encoding.sigma_x]
    drawn = np.random.default_rng(encoding.seed).normal(size=(encoding.n_frequencies, 3)) * sigmas
    phase = 2 * np.pi * points @ drawn.T
    return np.concatenate([np.sin(phase), np.cos(phase)], 1), None


def _radial(encoding, z, y, x):
    angles = np.deg2rad(np.arange(0, 180, encoding.angle_step_deg))
    along = y[:, None] * np.sin(angles) + x[:, None] * np.cos(angles)
    blocks = []
    for octave in range(encoding.xy_octaves):
        blocks += [np.sin(2**octave * np.pi * along), np.cos(2**octave * np.pi * along)]
    for octave in range(encoding.z_octaves):
        blocks += [np.sin(2**octave * np.pi * z)[:, None], np.cos(2**octave * np.pi * z)[:, None]]
    return np.concatenate(blocks, 1)


def _hash(encoding, params, points):
    n_features, start, features, taps = encoding.n_features_per_level, 0, [], []
    for rz, ry, rx in encoding.resolutions:
        dense = rz * ry * rx <= 2**encoding.log2_table_size
        size = rz * ry * rx if dense else 2**encoding.log2_table_size
        table = params[start : start + size * n_features].reshape(size, n_features)
        place = np.clip((points + 1) / 2, 0, 1) * (np.array([rz, ry, rx]) - 1)
        cell = np.minimum(np.floor(place), np.array([rz, ry, rx]) - 2).astype(int)
        upper = place - cell
        if encoding.smooth:
            upper = upper**2 * (3 - 2 * upper)
        entries, weights = [], []
        for corner in np.ndindex(2, 2, 2):
            z, y, x = (cell + corner).T
            if dense:
                entries.append((z * ry + y) * rx + x)
            else:
                entries.append((x ^ (y * 2654435761) ^ (z * 805459861)) % size)
            weights.append(np.prod(np.where(corner, upper, 1 - upper), 1))
        entries, weights = np.stack(entries, 1), np.stack(weights, 1)
        features.append((weights[..., None] * table[entries]).sum(1))
        taps.append((start, size, entries, weights))
        start += size * n_features
    return np.concatenate(features, 1), taps


def _hash_gradient(encoding, taps, d_features, gradient):
    n_features = encoding.n_features_per_level
    for level, (start, size, entries, weights) in enumerate(taps):
        d = d_features[:, level * n_features : (level + 1) * n_features]
        table = gradient[start : start + size * n_features].reshape(size, n_features)
        np.add.at(table, entries, weights[..., None] * d[:, None, :])


def _activate(network, v):
    """Activation and its derivative."""
    if network.activation == "sine":
        return np.sin(network.omega * v), network.omega * np.cos(network.omega * v)
    slope = network.slope if network.activation == "leaky_relu" else 0.0
    return np.where(v > 0, v, slope * v), np.where(v > 0, 1, slope)


def forward_and_gradient(encoding, network, params, points, d_out=None, gain=None):
    """Value (n, n_outputs), and the gradient of sum(d_out * value) if d_out is given."""
    params = np.asarray(params, np.float64)
    features, taps = features_and_taps(encoding, params[: encoding.n_params], points)
    gain = np.ones(encoding.n_features) if gain is None else np.asarray(gain, np.float64)
    features = features * gain
    named = network.unpack(params[encoding.n_params :])
    inputs, derivatives, h = [], [], None
    for layer in range(network.depth):
        if layer == 0:
            read = features
        elif layer in network.skips:
            read = np.concatenate([h, features], 1)
        else:
            read = h
        h, derivative = _activate(network, read @ named[f"weight_{layer}"] + named[f"bias_{layer}"])
        inputs.append(read)
        derivatives.append(derivative)
    inputs.append(h)
    out = h @ named[f"weight_{network.depth}"] + named[f"bias_{network.depth}"]
    if d_out is None:
        return out

    gradient = np.zeros(params.size)
    d_named = network.unpack(gradient[encoding.n_params :])
    d, d_features = np.asarray(d_out, np.float64), np.zeros_like(features)
    for layer in range(network.depth, -1, -1):
        if layer < network.depth:
            d = d * derivatives[layer]
        d_named[f"weight_{layer}"][...] = inputs[layer].T @ d
        d_named[f"bias_{layer}"][...] = d.sum(0)
        d = d @ named[f"weight_{layer}"].T
        if layer == 0:
            d_features += d
        elif layer in network.skips:
            d_features += d[:, network.width :]
            d = d[:, : network.width]
    if taps is not None:
        _hash_gradient(encoding, taps, d_features * gain, gradient)
    return out, gradient


def away_from_kinks(encoding, network, params, points, gain, margin=2e-5):
    """Which points, (n,) bool, have no ReLU so near its kink that float32 may take either slope."""
    if network.activation == "sine":
        return np.ones(len(points), bool)
    params = np.asarray(params, np.float64)
    features, _ = features_and_taps(encoding, params[: encoding.n_params], points)
    features, named = features * gain, network.unpack(params[encoding.n_params :])
    clear, h = np.ones(len(points), bool), features[:, :0]
    for layer in range(network.depth):
        if layer == 0 or layer in network.skips:
            h = np.concatenate([h, features], 1)
        h = h @ named[f"weight_{layer}"] + named[f"bias_{layer}"]
        clear &= (np.abs(h) > margin * np.abs(h).max()).all(1)
        h = _activate(network, h)[0]
    return clear
