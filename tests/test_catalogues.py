"""Every text that people read is in every catalogue, translated, with the same placeholders."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from soonish.i18n import LOCALES

MESSAGES = runpy.run_path(str(Path(__file__).parents[1] / "tools/messages.py"))
CATALOGUES = sorted(LOCALES.glob("*/LC_MESSAGES/soonish.po"))
HOLES = re.compile(r"%\((\w+)\)[sd]|%%")


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    template = tmp_path_factory.mktemp("messages") / "soonish.pot"
    MESSAGES["extract"](template)
    return _read(template)


def _forms(text: object) -> list[str]:
    return [str(one) for one in text] if isinstance(text, (tuple, list)) else [str(text or "")]


def test_there_is_a_catalogue():
    assert [path.parts[-3] for path in CATALOGUES] == ["de"]


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_is_up_to_date(path: Path, wanted: Catalog):
    """`make messages` brings it up to date."""
    assert {m.id for m in _read(path) if m.id} == {m.id for m in wanted if m.id}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_is_complete(path: Path):
    untranslated = [m.id for m in _read(path) if m.id and not all(_forms(m.string))]
    assert untranslated == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_translation_fills_in_what_the_text_does(path: Path):
    for message in _read(path):
        known = set(HOLES.findall(" ".join(_forms(message.id))))
        for form in _forms(message.string) if message.id else []:
            assert set(HOLES.findall(form)) <= known, message.id
        if message.id and not isinstance(message.id, (tuple, list)):
            assert set(HOLES.findall(message.id)) == set(HOLES.findall(_forms(message.string)[0]))
