"""The reference page says what the table says."""

from pathlib import Path

from gateway.tracking.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "tracking-routes.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m gateway.tracking.reference > docs/reference/tracking-routes.md"
