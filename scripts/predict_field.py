"""What the field's kernels move and compute for a point, and the time that this takes an H100 at best.

    python scripts/predict_field.py

Counts follow from the kernels' plans (`fieldrx.backends.cuda.layout`); the rates are those below.  Needs
no GPU.
"""

from typing import NamedTuple

from fieldrx.backends.cuda import layout, load
from fieldrx.field.choices import make_preset
from fieldrx.field.encodings import Hash, Positional
from fieldrx.field.network import Network

H100 = load.Limits(132, 227 * 1024, 228 * 1024)
# Per second: operations of matrix products, by precision; bytes of global memory, of the cache (a guess);
# instructions of single threads and bytes of shared memory, 128 a clock on every multiprocessor.
OPERATIONS = {layout.HALF: 800e12, layout.SINGLE: 50e12}
GLOBAL, CACHE = 3e12, 5.5e12
INSTRUCTIONS = SHARED = 132 * 128 * 1.7e9
# A warp reads 128 bytes of halves at once; of floats, which several lanes share, a quarter of that.
SHARE_USED = {layout.HALF: 1, layout.SINGLE: 0.25}
# Instructions beside the products, read off the kernels, a shuffle counting 4: features of a wave and of a
# table's level, and the gradient of the latter; a neuron's activation, and the way back, with its bias' sum.
WAVE, LEVEL, SCATTER, ACTIVATE, BACK = 40, 100, 600, 8, 14
POINTS = 1 << 20
HASH = Hash.geometric((3, 6, 6), (24, 96, 96), levels=8, log2_table_size=19)
WAVES = Positional(4, 6, 6)
FIELDS = {
    "default 32 x 2, hash": (HASH, Network(HASH.n_features, width=32)),
    "64 x 2": (WAVES, Network(WAVES.n_features, width=64)),
    "decaf 208 x 10": make_preset("decaf"),
}


class Counts(NamedTuple):
    """Of one kernel, for a point."""

    operations: float
    instructions: float
    shared: float  # bytes
    cache: float
    moved: float

    def bound(self, precision):
        """Seconds for a point, and what takes them."""
        times = {
            "products": self.operations / OPERATIONS[precision],
            "other instructions": self.instructions / INSTRUCTIONS,
            "shared memory": self.shared / SHARE_USED[precision] / SHARED,
            "cache": self.cache / CACHE,
            "global memory": self.moved / GLOBAL,
        }
        slowest = max(times, key=times.get)
        return times[slowest], slowest


def matrices(plan, network):
    """(rows, columns, whether the rows are those of the features) of every weight matrix, padded."""
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


def sums(pairs):
    """Sums of the operations and of the bytes of many products."""
    return map(sum, zip(*pairs, strict=True))


def forward(encoding, network, precision):
    """Counts of network_forward."""
    plan = layout.forward_plan(encoding, network, precision, False, H100)
    flops, shared = sums(product(plan, *m[:2]) for m in matrices(plan, network))
    lookups, instructions = encode(encoding)
    instructions += ACTIVATE * network.depth * plan.constants["WIDTH"]
    return Counts(flops, instructions, shared, weights(plan) + lookups, 12 + 4 * network.n_outputs)


def backward(encoding, network, precision):
    """Counts of network_backward, which of a narrow network sums the weights' gradient too."""
    plan = layout.backward_plan(encoding, network, precision, False, H100)
    table, width = encoding.kind == "hash", plan.constants["WIDTH"]
    counts = [product(plan, *m[:2]) for m in matrices(plan, network)]
    counts += [product(plan, m[1], m[0]) for m in matrices(plan, network) if table or not m[2]]
    lookups, instructions = encode(encoding)
    instructions += (ACTIVATE + BACK) * network.depth * width
    instructions += SCATTER * len(encoding.resolutions) if table else 0
    moved = 12 + 8 * network.n_outputs
    if plan.wide:  # activations and gradients are written, and those that give the slopes read again
        moved += layout.workspace_row(plan) + plan.item * network.depth * width
    else:
        group = 8 * plan.constants["GROUP"]
        counts += [gradient(plan.item, m[0], m[1], min(m[1], group)) for m in matrices(plan, network)]
    cache = weights(plan) + lookups * (3 if table else 1)
    flops, shared = sums(counts)
    return Counts(flops, instructions, shared, cache, moved)


def weight_gradient(encoding, network, precision):
    """Counts of weight_gradient, None where network_backward does its work."""
    plan = layout.backward_plan(encoding, network, precision, False, H100)
    if not plan.wide:
        return None
    counts, moved, blocks_of_features = [], 12, 0
    for rows, columns, of_features in matrices(plan, network):
        blocks = -(-rows // 128)  # each reads the gradient, and its rows of the activations or encodes anew
        counts.append(gradient(plan.item, rows, columns, columns))
        moved += plan.item * (blocks * columns + (0 if of_features else rows))
        blocks_of_features += blocks if of_features else 0
    lookups, instructions = (blocks_of_features * count for count in encode(encoding))
    flops, shared = sums(counts)
    return Counts(flops, instructions, shared, lookups, moved)


def weights(plan):
    """Bytes of weights that a point's tile brings to shared memory."""
    return 0 if plan.constants["RESIDENT"] else plan.packed_size * plan.item / plan.rows


def encode(encoding):
    """Bytes that a point reads of a table, mostly from the cache, and instructions for its features."""
    if encoding.kind == "hash":
        return 8 * 4 * encoding.n_features, LEVEL * len(encoding.resolutions)
    return 0, WAVE * len(encoding.waves().frequencies)


def main():
    print(f"per point: operations, other instructions, bytes of three memories; us for {POINTS} points")
    print(
        f"{'field':30} {'kernel':15} {'kFLOP':>6} {'instr.':>6} {'shared':>6} {'cache':>6} {'global':>6} "
        f"{'us':>7}  bound by"
    )
    for name, (encoding, network) in FIELDS.items():
        for precision in (layout.HALF, layout.SINGLE):
            for kernel in (forward, backward, weight_gradient):
                counts = kernel(encoding, network, precision)
                if counts is None:
                    continue
                seconds, bound = counts.bound(precision)
                cells = " ".join(f"{count:6.0f}" for count in counts[1:])
                print(
                    f"{name:21} {precision:8} {kernel.__name__:15} {counts.operations / 1e3:6.0f} {cells} "
                    f"{1e6 * POINTS * seconds:7.0f}  {bound}"
                )


if __name__ == "__main__":
    main()
