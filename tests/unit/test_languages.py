"""Which language a text is in."""

import pytest

from nexus_pipeline.engines.languages import code, detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The budget meeting moved from Tuesday to Thursday, and Anna will send the invoice.", "en"),
        ("Die Besprechung wurde von Dienstag auf Donnerstag verschoben, und Anna schickt die Rechnung.", "de"),
        ("La réunion a été déplacée de mardi à jeudi, et Anna enverra la facture.", "fr"),
        ("Møtet ble flyttet fra tirsdag til torsdag, og Anna sender fakturaen i morgen tidlig.", "no"),
        ("会議は火曜日から木曜日に変更されました。アンナが請求書を送ります。よろしくお願いします。", "ja"),
        ("", None),
        ("Ok.", None),
        ("12345 67890 12345 67890", None),
    ],
)
def test_a_text_tells_its_language_when_it_is_long_enough(text: str, language: str | None) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    ("told", "language"),
    [
        ("en", "en"),
        ("eng", "en"),
        ("en-US", "en"),
        ("English", "en"),
        ("DE_at", "de"),
        ("nb", "no"),
        ("no", "no"),
        ("nn-NO", "no"),
        ("zz", None),
        ("", None),
        (None, None),
    ],
)
def test_a_language_has_one_code_however_it_is_named(told: str | None, language: str | None) -> None:
    assert code(told) == language
