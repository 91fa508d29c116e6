"""`python -m bench.bare.fill`: make the flat table and its 50 rows."""

import os
from datetime import UTC, datetime, timedelta

import django

ROWS = 50


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.bare.settings"
    django.setup()
    from django.db import connection

    from .models import Record

    with connection.schema_editor() as editor:
        editor.create_model(Record)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    Record.objects.bulk_create(
        Record(
            title=f"Record {number}", description="What is to be done, and why. " * 8, kind="normal", priority="medium", state="draft", requester="rita",
            owner="max", score=number / 50, affected=number, urgent=bool(number % 2), created_at=start + timedelta(hours=number),
        )
        for number in range(ROWS)
    )  # fmt: skip


if __name__ == "__main__":
    main()
