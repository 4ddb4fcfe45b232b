"""What the field's kernels move and compute for a point, and the time that this takes an H100 at best.

    python scripts/predict_field.py

Counts follow from the kernels' plans (`fieldrx.backends.cuda.layout`); the rates are those below.  Needs
no GPU.
"""

from fieldrx.backends.cuda import layout, load
from fieldrx.field.choices import make_preset
from fieldrx.field.encodings import Hash, Positional
from fieldrx.field.network import Network

H100 = load.Limits(132, 227 * 1024, 228 * 1024)
# Per second: operations by precision; bytes of global memory, of the L2 cache (a guess), of shared memory,
# at 128 bytes a clock of 1.7 GHz on each multiprocessor.
OPERATIONS = {layout.HALF: 800e12, layout.SINGLE: 50e12}
GLOBAL, CACHE, SHARED = 3e12, 5.5e12, 132 * 128 * 1.7e9
POINTS = 1 << 20
HASH = Hash.geometric((3, 6, 6), (24, 96, 96), levels=8, log2_table_size=19)
WAVES = Positional(4, 6, 6)
FIELDS = {
    "default 32 x 2, hash": (HASH, Network(HASH.n_features, width=32)),
    "64 x 2": (WAVES, Network(WAVES.n_features, width=64)),
    "decaf 208 x 10": make_preset("decaf"),
}


def matrices(plan, network):
    """(rows, columns) of every weight matrix, padded: that of the hidden part, that of the features' part."""
    c = plan.constants
    for layer in range(network.depth):
        if layer > 0:
            yield c["WIDTH"], c["WIDTH"], False
        if layer == 0 or layer in network.skips:
            yield c["FEATURES"], c["WIDTH"], True
    yield c["WIDTH"], c["OUTPUTS"], False


def product(plan, rows, columns):
    """Operations and bytes of shared memory for a point of a tile times a matrix."""
    operands = rows // 16 * plan.item * 16 * (16 * plan.constants["M_TILES"] + columns)
    return 2 * rows * columns, operands / (16 * plan.constants["M_TILES"])


def gradient(item, rows, columns, group):
    """The same of a weight gradient, by units of 16 rows and `group` columns."""
    units = rows // 16 * -(-columns // group)
    return 2 * rows * columns, units * item * (16 + group)


def forward(encoding, network, precision):
    """Operations, and bytes of shared memory, cache and global memory, of network_forward for a point."""
    plan = layout.forward_plan(encoding, network, precision, False, H100)
    flops, shared = map(sum, zip(*(product(plan, *m[:2]) for m in matrices(plan, network)), strict=True))
    cache = 0 if plan.constants["RESIDENT"] else plan.packed_size * plan.item / plan.rows
    return flops, shared, cache + lookups(encoding), 12 + 4 * network.n_outputs


def backward(encoding, network, precision):
    """The same of network_backward and, for a wide network, weight_gradient."""
    plan = layout.backward_plan(encoding, network, precision, False, H100)
    table = encoding.kind == "hash"
    counts = [product(plan, *m[:2]) for m in matrices(plan, network)]
    counts += [product(plan, m[1], m[0]) for m in matrices(plan, network) if table or not m[2]]
    width = plan.constants["WIDTH"]
    moved, cache = 12 + 8 * network.n_outputs, 3 * lookups(encoding)
    cache += 0 if plan.constants["RESIDENT"] else plan.packed_size * plan.item / plan.rows
    for rows, columns, of_features in matrices(plan, network):
        group = columns if plan.wide else min(columns, 8 * plan.constants["GROUP"])
        counts.append(gradient(plan.item, rows, columns, group))
        if plan.wide:  # X and D are read once for each 128 rows
            moved += plan.item * (-(-rows // 128) * columns + (0 if of_features else rows))
    if plan.wide:  # written by network_backward, which reads again what derivatives follow from
        moved += layout.workspace_row(plan) + plan.item * network.depth * width
    flops, shared = map(sum, zip(*counts, strict=True))
    return flops, shared, cache, moved


def lookups(encoding):
    """Bytes that a point reads of a table, mostly from the cache."""
    return 8 * 4 * encoding.n_features if encoding.kind == "hash" else 0


def main():
    print(f"per point: operations, and bytes of three memories; microseconds for {POINTS} points")
    print(f"{'field':40} {'kFLOP':>7} {'shared':>7} {'cache':>7} {'global':>7} {'us':>7}  bound by")
    for name, (encoding, network) in FIELDS.items():
        for precision in (layout.HALF, layout.SINGLE):
            for kind in (forward, backward):
                flops, *moved = kind(encoding, network, precision)
                times = {"operations": flops / OPERATIONS[precision]}
                rates = (SHARED, CACHE, GLOBAL)
                names = ("shared memory", "cache", "global memory")
                times |= {n: m / rate for n, m, rate in zip(names, moved, rates, strict=True)}
                bound = max(times, key=times.get)
                cells = " ".join(f"{m:7.0f}" for m in moved)
                print(
                    f"{name:22} {precision:8} {kind.__name__:8} {flops / 1e3:7.1f} {cells} "
                    f"{1e6 * POINTS * times[bound]:7.1f}  {bound}"
                )


if __name__ == "__main__":
    main()
