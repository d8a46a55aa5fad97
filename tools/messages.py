#!/usr/bin/env python3
"""The catalogues in src/soonish/locales: `messages.py update` collects what is said in the code
and the templates, `messages.py compile` makes what the program reads. `make messages` does both.

A new language: `.venv/bin/pybabel init -i src/soonish/locales/soonish.pot -d src/soonish/locales
-D soonish -l fr` after an update.
"""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.frontend import CommandLineInterface

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "src/soonish/locales"
TEMPLATE = LOCALES / "soonish.pot"  # made anew each time, not committed
# Errors say what they say in English to programs; pages translate it.
ERRORS = ("InvalidInput:2", "FieldError:2", "Conflict", "Forbidden", "Unauthorized", "NotFound",
          "Gone", "Unavailable")  # fmt: skip


def extract(template: Path) -> None:
    """Write every text that is to be translated to `template`, sorted, without line numbers."""
    keywords = [part for name in ERRORS for part in ("-k", name)]
    _pybabel(
        "extract", "-F", str(ROOT / "pyproject.toml"), *keywords, "-c", "Translators:",
        "--strip-comments", "--no-location", "--sort-output", "--no-wrap",
        "--project", "Soonish", "-o", str(template), str(ROOT / "src/soonish"),
    )  # fmt: skip


def update() -> None:
    extract(TEMPLATE)
    _pybabel(
        "update", "-i", str(TEMPLATE), "-d", str(LOCALES), "-D", "soonish",
        "--no-fuzzy-matching", "--no-wrap", "--ignore-obsolete", "--ignore-pot-creation-date",
    )  # fmt: skip


def compile_all() -> None:
    _pybabel("compile", "-d", str(LOCALES), "-D", "soonish")


def _pybabel(*arguments: str) -> None:
    CommandLineInterface().run(["pybabel", "--quiet", *arguments])


if __name__ == "__main__":
    {"update": update, "compile": compile_all}[sys.argv[1]]()
