"""Answers that prove themselves: a question's passages, an engine's sentences, and each quote checked before it shows.

`exchanges.Exchange` is one question and its answer; the modules beside it do one thing each: `retrieving` finds the
passages, `judging` says whether they answer, `sentences` cuts an engine's stream, `proving` compares a sentence with
the passage that it names, `streaming` puts an exchange on HTTP.
"""

from nexus_api.answering.exchanges import Event, Exchange

__all__ = ["Event", "Exchange"]
