"""Read the rows of a bulk change from CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from soonish.domain.subscriptions.bulk import MAX_ROWS, Row
from soonish.errors import InvalidInput

_ID_COLUMNS, _EMAIL_COLUMNS = ("id", "subscription_id"), ("email", "address", "e-mail")


def read_csv(body: bytes) -> list[Row]:
    """Return a row per non-empty line of UTF-8 text, by its `id` or `email` column.

    Without a header the first column is either. Commas, semicolons and tabs separate columns.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("body", "must be text in UTF-8") from None
    rows = list(_csv_rows(text))
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InvalidInput("body", f"must have 1 to {MAX_ROWS} rows")
    return rows


def _csv_rows(text: str) -> Iterator[Row]:
    first = text.partition("\n")[0]
    delimiter = next((one for one in ";\t" if one in first), ",")
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(line)]
    except csv.Error:
        raise InvalidInput("body", "must be CSV") from None
    names = [cell.strip().lower() for cell in lines[0]] if lines else []
    header = bool({*names} & {*_ID_COLUMNS, *_EMAIL_COLUMNS})
    for index, line in enumerate(lines[1:] if header else lines):
        cells = dict(zip(names, line, strict=False)) if header else {}
        yield _csv_row(index, cells) if header else _either(index, line[0])


def _csv_row(index: int, cells: dict[str, str]) -> Row:
    number = next((cells[n] for n in _ID_COLUMNS if cells.get(n, "").strip()), None)
    if number is not None:
        return _either(index, number)
    return Row(index, email=next((cells[n] for n in _EMAIL_COLUMNS if n in cells), "").strip())


def _either(index: int, cell: str) -> Row:
    cell = cell.strip()
    is_id = cell.isascii() and cell.isdigit() and len(cell) < 19
    return Row(index, id=int(cell)) if is_id else Row(index, email=cell)
