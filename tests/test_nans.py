"""`config.debug_nans`: the first NaN is traced to its operation and line."""

from pathlib import Path

import jax.numpy as jnp
import pytest
from helpers import small_config
from test_kill import noise

import ganjax
from ganjax import losses

HERE = Path(__file__)


def log_of_a_negative_number(real_logits, fake_logits):
    return jnp.log(-1.0 - real_logits**2)  # forward


def root_of_zero(real_logits, fake_logits):
    # The derivative is inf − inf, a sum of two.
    return jnp.sqrt(real_logits - real_logits)  # backward


def masked_infinity(real_logits, fake_logits):
    return jnp.where(jnp.exp(real_logits * 0 + 1000.0) > 1, real_logits**2, 0.0)


def train(workdir, monkeypatch, loss, **overrides):
    """Three steps with a loss of real images."""
    bad = losses.LOSSES["non_saturating"]._replace(real=loss)
    monkeypatch.setitem(losses.LOSSES, "bad", bad)
    config = small_config(
        loss="bad", num_steps=3, sample_every=0, debug_nans=True, **overrides
    )
    return ganjax.train_and_evaluate(config, workdir, noise())


def line_of(comment):
    lines = HERE.read_text().splitlines()
    return 1 + next(i for i, line in enumerate(lines) if line.endswith(f"# {comment}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss,operation,comment",
    [
        pytest.param(
            log_of_a_negative_number, "log", "forward", marks=pytest.mark.long
        ),
        (root_of_zero, "add", "backward"),
    ],
)
def test_the_operation_of_the_first_nan_is_named(
    loss, operation, comment, tmp_path, monkeypatch
):
    with pytest.raises(ganjax.UserError) as error:
        train(tmp_path, monkeypatch, loss)
    assert str(error.value) == (
        f"config.debug_nans: NaN in operation {operation}, at {HERE}:"
        f"{line_of(comment)} ({loss.__name__}), step 1"
    )
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.slow
def test_infinities_that_do_no_harm_are_no_nans(tmp_path, monkeypatch):
    assert int(train(tmp_path, monkeypatch, masked_infinity).step) == 3


@pytest.mark.slow
def test_the_step_and_a_line_of_the_package_are_named(tmp_path, monkeypatch):
    too_fast = {"g_optimizer.learning_rate": 1e30}
    message = r"NaN in operation \w+, at ganjax/\w+(/\w+)?\.py:\d+ \(\w+\), step 2$"
    with pytest.raises(ganjax.UserError, match=message):
        train(tmp_path, monkeypatch, losses.LOSSES["non_saturating"].real, **too_fast)
