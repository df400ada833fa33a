"""The texts: their Python runs, and their commands, flags, files and links exist."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import jax
import pytest
from helpers import ROOT

import ganjax
from ganjax import main
from ganjax.config import flatten
from ganjax.losses import LOSSES
from ganjax.models import GENERATORS

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
ALL = [*PAGES, ROOT / "experiments/README.md", ROOT / "CHANGELOG.md"]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in [*DOCS, ROOT / "CONTRIBUTING.md"]
    for i, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    )
]
TRAIN = re.compile(r"(?:python -m ganjax\.main|ganjax) (-[^`\n&]*)")
COMMANDS = sorted(
    {command for page in ALL for command in TRAIN.findall(page.read_text())}
)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_python_runs(block, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Guides add to these tables; other tests should not see that.
    with patch.dict(LOSSES), patch.dict(GENERATORS), jax.debug_key_reuse(True):
        exec(block, {})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_known_flags(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = dict(parse(command))
    config = ganjax.load_config(flags["config"]).to_dict() if "config" in flags else {}
    known = {f"config.{field}" for field in flatten(config)} | set(main.FLAGS)
    if flags.get("mode") == "report":
        known.add("")
    assert flags.keys() - {"config"} <= known
    assert flags.get("mode", "train") in main.MODES


def parse(command: str) -> Iterator[tuple[str, str]]:
    """Flags with their values, written `--flag=value` or `--flag value`.

    Words that are neither have no name.
    """
    words = shlex.split(command)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            yield "", word
            continue
        flag, equals, value = word.removeprefix("--").partition("=")
        if not equals and words and not words[0].startswith("-"):
            value = words.pop(0)
        yield flag, value


def test_commands_are_found_at_all():
    assert len(COMMANDS) > 10 and "--config configs/mnist.py" in COMMANDS


@pytest.mark.parametrize("page", names(ALL))
def test_experiments_and_files_in_texts_exist(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    for module in re.findall(r"python -m experiments\.(\w+)", text):
        assert (ROOT / f"experiments/{module}.py").is_file(), module
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in link or (folder / link).exists(), link


@pytest.mark.parametrize("page", names(PAGES))
def test_extras_in_texts_exist(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"'\.\[(\w+)\]'", (ROOT / page).read_text()):
        assert extra in project["optional-dependencies"]
