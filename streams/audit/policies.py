"""Which policy decided: the files given, by the hash that a decision names.

Only a gate makes hashes of policies, because the audit could not without sharing code. The control topic says which
text it published under which hash, and a decision is judged by the file of that text. If the control topic does not
say, name and version decide.

Invariant: with files given, no other text is ever used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.audit.settings import AuditError
from streams.oracle.model import Customer, Model
from streams.oracle.policy import read_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TEXT_KEY: Final = b"policy:"


class PolicyBook(NamedTuple):
    """Texts by what a decision names."""

    by_hash: Mapping[str, str]
    by_name: Mapping[tuple[str, str], str]
    texts: tuple[str, ...]


def policy_book(files: Sequence[Path], control: Mapping[bytes, bytes]) -> PolicyBook:
    """The policies a run may have been decided by.

    Raises:
        AuditError: a file cannot be read, or there is none and the control topic has none either.
    """
    published = dict(_published(control))
    try:
        texts = tuple(path.read_text(encoding="utf-8") for path in files)
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"A policy cannot be read: {error}.") from None
    if texts:
        by_hash = {name: text for name, text in published.items() if text in texts}
    else:
        by_hash, texts = published, tuple(dict.fromkeys(published.values()))
    if not texts:
        raise AuditError("No policy was given, and the control topic has none. Give the file: --policy FILE.")
    by_name: dict[tuple[str, str], str] = {}
    for text in texts:
        policy = read_policy(text)
        by_name[policy.name, policy.version] = text
    return PolicyBook(by_hash, by_name, texts)


def _published(control: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
    found = []
    for key, value in control.items():
        if key.startswith(TEXT_KEY):
            try:
                found.append((key.removeprefix(TEXT_KEY).decode(), str(json.loads(value)["text"])))
            except (ValueError, KeyError, TypeError):
                continue
    return found


class Models:
    """The oracle under every policy, of the same customers."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._models: dict[str, Model] = {}
        self.customers: dict[str, Customer] = {}
        self.any = self._model(book.texts[0])
        """For what does not depend on a policy, and until one is known."""

    def of(self, named: Any) -> Model | None:  # noqa: ANN401 - what a decision says
        """The oracle under the policy a decision names; None if that was not given."""
        try:
            text = self._book.by_hash.get(named["hash"]) or self._book.by_name.get((named["name"], named["version"]))
        except (KeyError, TypeError):
            return None
        return None if text is None else self._model(text)

    def every(self, first: Model) -> Iterator[Model]:
        """The oracle under every policy that was given, one of them first."""
        yield first
        for text in self._book.texts:
            if (model := self._model(text)) is not first:
                yield model

    def all(self) -> list[Model]:
        """Every one that was asked."""
        return list(self._models.values())

    def for_life(self, tags: tuple[str | None, ...]) -> bool:
        """Whether a lifetime cap counts contacts like this. Under several policies nobody can tell which one forgot."""
        return len(self._models) == 1 and self.any.counts_for_life(tags)

    def _model(self, text: str) -> Model:
        if text not in self._models:
            model = self._models[text] = Model(text)
            model.customers = self.customers
            model.confirms = False  # the tests of the oracle do; here it would double the work
        return self._models[text]
