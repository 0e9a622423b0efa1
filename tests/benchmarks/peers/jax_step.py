"""The training step of `test_training_step.py` written in JAX: one jitted function, a scan over the steps.

``python jax_step.py network=convnet steps=4 batch=128 constant=True threads=2``

The same networks: 3x3 convolutions without bias, batch norm over steps, batch and space together, neurons with one
learned threshold each, 2x2 maximum pooling, a linear readout of populations; first weights are of the same range.
Synapses and norms of a stage see all steps at once, and a constant input once; the neurons are the scan. Adam is
written out, which saves a package.
"""

import os
import sys
import time
from itertools import pairwise

OPTIONS = dict(argument.split("=") for argument in sys.argv[1:])
if OPTIONS["threads"] == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402 (it reads the flags when imported)
import jax.numpy as jnp  # noqa: E402

SHAPE, CLASSES, POPULATION = (1, 28, 28), 10, 10
DECAY, THRESHOLD, ALPHA, EPS = 0.5, 2.0, 2.0, 1e-5
RATE, BETAS, ADAM_EPS = 1e-3, (0.9, 0.999), 1e-8


@jax.custom_jvp
def fire(z):
    """A step whose derivative is the arctangent's."""
    return (z >= 0).astype(z.dtype)


@fire.defjvp
def _slope(primals, tangents):
    (z,), (tangent,) = primals, tangents
    return fire(z), ALPHA / 2 / (1 + (jnp.pi / 2 * ALPHA * z) ** 2) * tangent


def neurons(threshold, currents):
    """``[T, B, ...]`` to spikes of the same shape; a spike resets to zero."""

    def one(v, x):
        u = DECAY * v + x
        o = fire(u - threshold)
        return u * (1 - o), o

    return jax.lax.scan(one, jnp.zeros_like(currents[0]), currents)[1]


def norm(gain, offset, x):
    """One mean and variance per channel, over everything else: axis 2 of ``[T, B, C, ...]``."""
    axes = tuple(axis for axis in range(x.ndim) if axis != 2)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    shape = (1, 1, -1, *[1] * (x.ndim - 3))
    return (x - mean) * jax.lax.rsqrt(variance + EPS) * gain.reshape(shape) + offset.reshape(shape)


def synapses(weight, x):
    """A 3x3 convolution or a matrix, for all steps at once."""
    flat = x.reshape(-1, *x.shape[2:])
    if weight.ndim == 2:
        out = flat.reshape(len(flat), -1) @ weight
    else:
        out = jax.lax.conv_general_dilated(flat, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return out.reshape(*x.shape[:2], *out.shape[1:])


def pooled(x):
    """2x2 maxima."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 1, 2, 2), (1, 1, 1, 2, 2), "VALID")


def loss(parameters, frames, labels, steps):
    """Cross-entropy of the mean rates; `frames` are ``[T, B, ...]``, or ``[1, B, ...]`` where they are constant."""
    x = frames
    for weight, gain, offset, threshold in parameters:
        currents = norm(gain, offset, synapses(weight, x))
        x = neurons(threshold, jnp.broadcast_to(currents, (steps, *currents.shape[1:])))
        x = pooled(x) if weight.ndim == 4 else x
    rates = x.reshape(*x.shape[:2], CLASSES, POPULATION).mean((0, 3))
    return -jnp.take_along_axis(jax.nn.log_softmax(rates), labels[:, None], 1).mean()


def first_parameters(network, key):
    """A list of stages: weight, gain, offset, thresholds."""
    stages, fan_in, side = [], SHAPE[0], SHAPE[1]
    shapes = []
    if network == "convnet":
        for channels in (8, 16):
            shapes.append(((channels, fan_in, 3, 3), fan_in * 9, (channels, side, side)))
            fan_in, side = channels, side // 2
        shapes.append(((fan_in * side * side, CLASSES * POPULATION), fan_in * side * side, (CLASSES * POPULATION,)))
    else:
        widths = [SHAPE[0] * side * side, 256, CLASSES * POPULATION]
        shapes = [((a, b), a, (b,)) for a, b in pairwise(widths)]
    for shape, fan, features in shapes:
        key, own = jax.random.split(key)
        weight = jax.random.uniform(own, shape, minval=-(fan**-0.5), maxval=fan**-0.5)
        stages.append((weight, jnp.ones(features[0]), jnp.zeros(features[0]), jnp.full(features, THRESHOLD)))
    return stages


def main():
    """Make a step for every line."""
    steps, batch = int(OPTIONS["steps"]), int(OPTIONS["batch"])
    drawn = 1 if OPTIONS["constant"] == "True" else steps
    key = jax.random.PRNGKey(0)
    frames = jax.random.uniform(key, (drawn, batch, *SHAPE))
    labels = jnp.arange(batch) % CLASSES

    @jax.jit
    def step(parameters, first, second, count):
        value, gradients = jax.value_and_grad(loss)(parameters, frames, labels, steps)
        first = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, first, gradients)
        second = jax.tree.map(lambda s, g: BETAS[1] * s + (1 - BETAS[1]) * g * g, second, gradients)
        scale = RATE / (1 - BETAS[0] ** count)

        def moved(p, m, s):
            return p - scale * m / (jnp.sqrt(s / (1 - BETAS[1] ** count)) + ADAM_EPS)

        return jax.tree.map(moved, parameters, first, second), first, second, value

    parameters = first_parameters(OPTIONS["network"], key)
    first = second = jax.tree.map(jnp.zeros_like, parameters)
    for count, _ in enumerate(sys.stdin, start=1):
        parameters, first, second, value = step(parameters, first, second, float(count))
        sys.stdout.write(f"{float(jax.block_until_ready((parameters, value))[1])} {time.process_time()}\n")
        sys.stdout.flush()


main()
