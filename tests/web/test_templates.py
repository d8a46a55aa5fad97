"""Every page renders in every state, with its landmarks, labels and nothing left untyped."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from starlette.requests import Request

from soonish.web.rendering.templating import TEMPLATES, environment
from tests.web.every_sample import EVERY_SAMPLE, render_sample, templates_shown
from tests.web.samples import wrong


def sample_html(name: str) -> str:
    scope = {"type": "http", "method": "GET", "path": "/sample", "query_string": b"", "headers": []}
    return bytes(render_sample(Request(scope), name).body).decode()


@pytest.mark.parametrize("name", EVERY_SAMPLE)
def test_a_page_is_whole(name: str):
    html = sample_html(name)
    ids = Counter(re.findall(r'\sid="([^"]*)"', html))
    assert [i for i, count in ids.items() if count > 1] == []
    assert html.count("<h1") == (0 if name == "api-docs" else 1)  # Swagger UI writes its own
    assert html.count("<main") == 1
    for described in re.findall(r'aria-describedby="([^"]*)"', html):
        assert set(described.split()) <= ids.keys()
    labelled = set(re.findall(r'<label for="([^"]*)"', html))
    assert labelled <= ids.keys()


@pytest.mark.parametrize("name", EVERY_SAMPLE)
def test_a_page_needs_no_inline_script_or_style(name: str):
    html = sample_html(name)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", html)


def test_a_signed_out_visitor_sees_one_email_field():
    assert sample_html("event").count('type="email"') == 1
    assert sample_html("login").index('name="password"') < sample_html("login").index("/magic-link")


def test_errors_stand_beside_their_fields_and_values_stay():
    html = sample_html("new-wrong")
    assert 'aria-invalid="true"' in html
    assert 'id="start_date-error"' in html
    assert 'value="2020-01-01T12:00"' in html


def test_what_people_type_is_text():
    form = wrong()
    form.errors["name"] = "<b>bold</b>"
    template = environment().from_string(
        '{% from "partials/ui.html" import field %}{{ field(form, "name", "<i>Name</i>") }}'
    )
    html = template.render(form=form)
    assert "&lt;b&gt;" in html
    assert "<i>" not in html


def test_every_template_is_in_a_sample():
    there = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html")}
    assert there - templates_shown() == set()


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_template_compiles(path: object):
    name = str(path).removeprefix(f"{TEMPLATES}/")
    environment().get_template(name)
