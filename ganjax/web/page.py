"""A page that runs an exported generator in the browser, by onnxruntime-web.

The folder is complete: any static file server can publish it, and the page requests
nothing from anywhere else.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import jax

from ganjax.errors import UserError
from ganjax.files import cache_folder, write_bytes, write_text
from ganjax.gan import Variables
from ganjax.gans.standard import Standard
from ganjax.latent import directions

RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
# Integrity of the package as npm states it: SHA-512 in base 64.
SHA512 = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4C"
    "XAfKYQ=="
)
# The smallest build: the CPU alone. Servers know the type of .js, but not all of .mjs.
RUNTIME_FILES = {
    "package/dist/ort.wasm.bundle.min.mjs": "ort.js",
    "package/dist/ort-wasm-simd-threaded.wasm": "ort.wasm",
}
PAGE_FILES = ("index.html", "style.css", "latent.js", "page.js")
NUM_DIRECTIONS = 8


def write_page(
    folder: Path,
    gan: Standard,
    g: Variables,
    name: str,
    human: dict[str, Any] | None = None,
) -> None:
    """Writes index.html and its files beside the generator.onnx in `folder`.

    Args:
      folder: has generator.onnx, from z float32 [B, z_dim] and, of a class-conditional
        GAN, labels int32 [B] to images uint8 [B, H, W, C].
      gan: the GAN.
      g: generator variables, those in generator.onnx.
      name: what the page calls the generator.
      human: the data of human.js, for the section "Real or generated?".

    Raises:
      UserError: the GAN's samples are not images, or there is no onnxruntime-web.
    """
    settings = page_settings(gan, g, name) | {"human": human is not None}
    for file, content in runtime_files().items():
        write_bytes(folder / file, content)
    sources = resources.files("ganjax.web")
    for file in PAGE_FILES if human is None else (*PAGE_FILES, "human.js"):
        write_bytes(folder / file, (sources / file).read_bytes())
    if human is not None:
        write_text(folder / "human.json", json.dumps(human))
    write_text(folder / "page.json", json.dumps(settings))


def page_settings(gan: Standard, g: Variables, name: str) -> dict[str, Any]:
    """What page.js has to know of a generator.

    Raises:
      UserError: its samples are not images of 1 or 3 channels.
    """
    shape = tuple(gan.generator.image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise UserError(
            f"config.data.image_shape={shape}: expected height, width, and 1 or 3 "
            "channels, for a page that shows images"
        )
    start = gan.sample_scale * gan.prior.sample(jax.random.key(6), 1)[0]
    distribution = gan.prior.distribution.__name__
    return {
        "name": name,
        "z_dim": gan.prior.z_dim,
        "image_shape": shape,
        "num_classes": gan.num_classes,
        "parameters": sum(x.size for x in jax.tree.leaves(g["params"])),
        "prior": distribution,
        "scale": gan.sample_scale,
        "start": start.tolist(),
        "directions": directions(gan, g).vectors[:NUM_DIRECTIONS].tolist(),
    }


def runtime_files() -> dict[str, bytes]:
    """The files of onnxruntime-web that the page loads, by their name there.

    Raises:
      UserError: the package is neither in the cache nor to be had from npm.
    """
    archive = cache_folder() / f"{RUNTIME}-{VERSION}.tgz"
    if not archive.exists():
        download(archive)
    check_integrity(archive)
    contents = {}
    with tarfile.open(archive) as package:
        for member, name in RUNTIME_FILES.items():
            file = package.extractfile(member)
            assert file is not None  # a folder or a link: not in what was checked
            contents[name] = file.read()
    return contents


def download(archive: Path) -> None:
    """Gets the package with npm.

    Raises:
      UserError: npm is not installed, or failed.
    """
    command = ["npm", "pack", f"{RUNTIME}@{VERSION}"]
    # Without a network npm would try again for a minute.
    options = ["--silent", "--fetch-retries=0"]
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        try:
            npm = shutil.which("npm") or "npm"  # a script on Windows
            arguments = [npm, *command[1:], *options]
            subprocess.run(arguments, cwd=scratch, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = "no npm" if isinstance(error, OSError) else "an error of npm"
            raise UserError(
                f"{archive}: expected the package {RUNTIME} {VERSION}, got {reason}: "
                f"run `{' '.join(command)}` on a computer with npm and a network, and "
                "put the file there"
            ) from error
        write_bytes(archive, (Path(scratch) / archive.name).read_bytes())


def check_integrity(archive: Path) -> None:
    """Checks that a package is the one that this code was written for.

    Raises:
      UserError: it has another SHA-512.
    """
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if base64.b64encode(digest).decode() != SHA512:
        raise UserError(
            f"{archive}: expected the package {RUNTIME} {VERSION} as npm has it, got "
            "another SHA-512: delete it"
        )
