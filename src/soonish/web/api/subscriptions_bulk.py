"""POST /api/events/{id}/subscriptions/bulk, as JSON or CSV, and the decisions about who asks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints, ValidationError, model_validator

from soonish.domain.subscriptions import approval, bulk, listing
from soonish.domain.subscriptions.bulk import MAX_ROWS, Action, Result, Row
from soonish.domain.subscriptions.bulk_csv import read_csv
from soonish.domain.subscriptions.schemas import SubscriberOut
from soonish.errors import InvalidInput
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import MAX_ID, Input, Output, Text
from soonish.web.deps import CurrentUser, DbDep, MailAllowanceDep
from soonish.web.errors import field_errors
from soonish.web.params import RowId

router = APIRouter(prefix="/api/events/{event_id}/subscriptions", tags=["subscriptions"])

_Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
_Address = Annotated[Text, StringConstraints(max_length=320)]
CsvAction = Annotated[Action | None, Query(description="With a body of text/csv")]


class BulkInput(Input):
    """Rows by `ids` of subscriptions, by `emails`, or both; at most 1,000."""

    action: Action
    ids: Annotated[list[_Id], Field(max_length=MAX_ROWS)] = Field(default_factory=list[int])
    emails: Annotated[list[_Address], Field(max_length=MAX_ROWS)] = Field(default_factory=list[str])

    @model_validator(mode="after")
    def _has_rows(self) -> BulkInput:
        if not 1 <= len(self.ids) + len(self.emails) <= MAX_ROWS:
            raise ValueError(f"must have 1 to {MAX_ROWS} rows in ids and emails")
        if self.ids and self.action == "add":
            raise ValueError("add takes emails, no ids")
        return self


class RowOut(Output):
    """What became of one row: `index` counts from 0, ids first, then emails."""

    index: int
    id: int | None
    email: str | None
    outcome: str
    message: str


class BulkOut(Output):
    results: list[RowOut]


def row_out(one: Result) -> RowOut:
    row = one.row
    return RowOut(
        index=row.index, id=row.id, email=row.email, outcome=one.outcome, message=one.message
    )


def read_rows(body: bytes, content_type: str, action: str | None) -> tuple[Action, list[Row]]:
    """Read the action and the rows from a request's body. Raise InvalidInput if it has none."""
    if content_type.partition(";")[0].strip().lower() == "text/csv":
        wanted = _valid({"action": action, "emails": ["x"]}).action
        return wanted, read_csv(body)
    try:
        given = BulkInput.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput(errors=field_errors(error.errors())) from None
    rows = [Row(index, id=one) for index, one in enumerate(given.ids)]
    rows += [Row(len(given.ids) + i, email=one) for i, one in enumerate(given.emails)]
    return given.action, rows


def _valid(values: dict[str, Any]) -> BulkInput:
    try:
        return BulkInput.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(errors=field_errors(error.errors())) from None


BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": BulkInput.model_json_schema()},
        "text/csv": {"schema": {"type": "string", "example": "email\nanna@example.org\n"}},
    },
}


@router.post("/bulk", openapi_extra={"requestBody": BODY})
async def change_many(
    event_id: RowId,
    request: Request,
    user: CurrentUser,
    db: DbDep,
    allowance: MailAllowanceDep,
    action: CsvAction = None,
) -> BulkOut:
    """Add addresses (each gets a mail that asks it to confirm), approve or remove subscriptions;
    as JSON, or as text/csv with `?action=`. A row that cannot be done stops no other."""
    content_type = request.headers.get("content-type", "")
    wanted, rows = read_rows(await request.body(), content_type, action)
    results = await bulk.run(db, event_id, user, wanted, rows, allowance=allowance)
    return BulkOut(results=[row_out(one) for one in results])


@router.post("/{subscription_id}/approve")
async def approve(
    event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep
) -> SubscriberOut:
    """Make it active; the subscriber is welcomed now."""
    async with db.write() as session:
        await approval.approve(session, event_id, user, subscription_id, utc_now())
        return await listing.subscriber(session, event_id, user, subscription_id)


@router.post("/{subscription_id}/reject", status_code=204)
async def reject(event_id: RowId, subscription_id: RowId, user: CurrentUser, db: DbDep) -> None:
    """End the request; the asker is told by mail."""
    async with db.write() as session:
        await approval.reject(session, event_id, user, subscription_id, utc_now())
