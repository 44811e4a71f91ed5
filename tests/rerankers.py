"""Rerankers for tests, by the constructor contract: what they prefer, or that they cannot."""

from typing import ClassVar

from nexus_pipeline.domain.errors import EngineDown


class Preferring:
    """Grades by a word that stands in the passage; keeps what it was asked."""

    name = "preferring"
    depth = 3
    trust = 10.0
    word: ClassVar[str] = "zebra"
    asked: ClassVar[list[tuple[str, list[str]]]] = []

    @classmethod
    def build(cls, model, site):
        return cls()

    @classmethod
    def present(cls, model, site):
        return None

    @classmethod
    def get(cls, model, site):
        return None

    def grade(self, question, passages, cancelled):
        self.asked.append((question, list(passages)))
        return tuple(float(self.word in passage) for passage in passages)


class Down(Preferring):
    """Does not answer."""

    name = "down"

    def grade(self, question, passages, cancelled):
        raise EngineDown("the reranker does not answer: start it")
