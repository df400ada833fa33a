"""The files of the page that runs a generator."""

import sys
from typing import Any

import jax
import numpy as np
import pytest
from helpers import smallest_config

import ganjax
from ganjax.errors import UserError
from ganjax.web import page as web


def smallest_gan(**overrides: Any) -> ganjax.Gan:
    return ganjax.make_gan(smallest_config(**overrides))


@pytest.mark.parametrize("distribution", ["normal", "uniform", "sphere"])
def test_the_first_point_is_a_scaled_sample_of_the_prior(distribution):
    gan = smallest_gan(prior__distribution=distribution, sample_scale=0.5)
    (z,) = gan.prior.sample(jax.random.key(6), 1)
    settings = web.page_settings(gan, jax.jit(gan.init)(jax.random.key(0))[0], "name")
    np.testing.assert_allclose(settings["start"], 0.5 * z, rtol=1e-6)
    assert (settings["prior"], settings["scale"]) == (distribution, 0.5)


def test_parameters_are_counted():
    gan = smallest_gan()
    g, _ = jax.jit(gan.init)(jax.random.key(0))
    # Dense layers 4 -> 8 -> 28·28.
    assert web.page_settings(gan, g, "name")["parameters"] == 5 * 8 + 9 * 784


def test_points_in_the_plane_have_no_page():
    gan = smallest_gan(data__image_shape=(2,))
    with pytest.raises(UserError, match=r"^config\.data\.image_shape=\(2,\): expected"):
        web.page_settings(gan, jax.jit(gan.init)(jax.random.key(0))[0], "name")


def test_without_npm_one_line_says_what_goes_where(monkeypatch, tmp_path):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        web.runtime_files()
    name = f"onnxruntime-web-{web.VERSION}.tgz"
    assert str(error.value) == (
        f"{tmp_path / name}: expected the package onnxruntime-web {web.VERSION}, got "
        f"no npm: run `npm pack onnxruntime-web@{web.VERSION}` on a computer "
        "with npm and a network, and put the file there"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the npm of this test is a script")
def test_an_error_of_npm_leaves_nothing_in_the_cache(monkeypatch, tmp_path):
    npm, cache = tmp_path / "npm", tmp_path / "cache"
    npm.write_text("#!/bin/sh\necho half > half.tgz\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("GANJAX_CACHE", str(cache))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="got an error of npm: run `npm pack"):
        web.runtime_files()
    assert list(cache.iterdir()) == []


def test_another_package_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    archive = tmp_path / f"onnxruntime-web-{web.VERSION}.tgz"
    archive.write_bytes(b"not the package")
    with pytest.raises(UserError, match="got another SHA-512: delete it$"):
        web.runtime_files()
    assert archive.exists()
