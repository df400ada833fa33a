"""pyproject.toml: packages and versions."""

import re
import tomllib

from helpers import ROOT

import ganjax

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_all_packages_are_installed():
    folders = [file.parent for file in (ROOT / "ganjax").rglob("__init__.py")]
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(packages | {"ganjax.configs"}) == sorted(listed)


def test_version_is_that_of_changelog_and_citation():
    (newest, *_) = re.findall(r"## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text())
    (cited,) = re.findall(
        r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE
    )
    assert newest == cited == ganjax.__version__


def test_lowest_versions_are_the_lower_bounds():
    requirements = PYPROJECT["project"]["dependencies"]
    bounds = {re.sub(r" *;.*", "", requirement) for requirement in requirements}
    lines = (ROOT / ".ci/lowest.txt").read_text().splitlines()
    pins = {line.replace("==", ">=") for line in lines if not line.startswith("#")}
    assert pins == bounds
