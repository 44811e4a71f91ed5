"""Which sentences promise something, and which only sound like it."""

import pytest

from nexus_pipeline.domain.sentences import sentences
from nexus_pipeline.domain.timeline import ActionItem, Segment
from nexus_pipeline.engines.promises import action_items, entities


def _found(said: str, speaker: str | None = None) -> list[ActionItem]:
    return list(action_items(sentences([Segment(0, 3.0, 9.0, said, speaker)]), {}))


@pytest.mark.parametrize(
    ("said", "task", "assignee", "priority"),
    [
        ("Anna will send the invoice by Friday.", "Send the invoice by Friday", "Anna", "medium"),
        ("David, please fix the search today.", "Fix the search today", "David", "high"),
        ("Oliver, can you check the budget?", "Check the budget", "Oliver", "medium"),
        ("Action item: order a new piano.", "Order a new piano", None, "medium"),
        ("Remember to water the garden.", "Water the garden", None, "medium"),
        ("We need to update the document.", "Update the document", None, "medium"),
        ("I'll write the draft.", "Write the draft", "SPEAKER_1", "medium"),
        ("Send the draft to marketing.", "Send the draft to marketing", None, "medium"),
        ("Marcus should repair the bridge if possible.", "Repair the bridge if possible", "Marcus", "low"),
    ],
)
def test_a_plain_promise_is_found(said: str, task: str, assignee: str | None, priority: str) -> None:
    (made,) = _found(said, "SPEAKER_1")
    assert (made.task, made.assignee, made.priority, made.at_s) == (task, assignee, priority, 3.0)
    assert made.context == said


@pytest.mark.parametrize(
    "said",
    [
        "It will rain tomorrow.",
        "They will clean the oven.",
        "Venus will be visible.",
        "If there is rain, we will stay at the hotel.",
        "Will Anna send the invoice?",
        "Anna will not send the invoice.",
        "Add two spoons of butter.",
        "We will see many stars.",
        "Everyone should like music.",
        "On Monday must come a plan.",
    ],
)
def test_what_only_sounds_like_one_is_left_out(said: str) -> None:
    assert _found(said) == []


def test_an_estimate_is_kept_and_a_repetition_is_not() -> None:
    made = _found(
        "Anna will review the contract, it takes two hours. Anna will review the contract, it takes two hours."
    )
    assert [a.estimate for a in made] == ["two hours"]


def test_names_at_the_start_of_a_sentence_count_only_when_they_do_something() -> None:
    said = ["Elena said yes.", "Bread is good.", "We met Marcus Stone in Paris on March 3, 2024.", "I saw NASA."]
    found = entities(sentences([Segment(i, 4.0 * i, 4.0 * i + 3, text) for i, text in enumerate(said)]))
    assert [(e.name, e.kind, e.at_s) for e in found] == [
        ("Elena", "name", 0),
        ("March 3, 2024", "date", 8),
        ("Marcus Stone", "name", 8),
        ("Paris", "name", 8),
        ("NASA", "name", 12),
    ]
