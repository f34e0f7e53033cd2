"""Expressions that select runs: `loss.weighting=dwa and seed>2`. Parsed by hand, never evaluated as code.

    expression  := conjunction { "or" conjunction }
    conjunction := term { "and" term }
    term        := "not" term | "(" expression ")" | key compare value | key ["not"] "in" "(" value { "," value } ")"
    compare     := "=" | "!=" | "<" | "<=" | ">" | ">="
Keys and texts of special characters stand in quotes. An unquoted value is read as YAML reads it: 1, 1e-4, true, null, dwa.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from orchestrator.grid.canonical import canonical, same
from orchestrator.grid.dotted import ABSENT, flatten, lookup, nearest_keys
from orchestrator.grid.loading import resolve_scalar
from orchestrator.store.errors import SelectionError

Values = Mapping[str, Any]
"""What is known of a run: a nested mapping, or dotted keys, or both."""

Test = Callable[[Values], bool]
T = TypeVar("T")

MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|==|=|<|>|\(|\)|,)
      | (?P<word>[^\s"'()<>=!,]+)
    )""",
    re.VERBOSE,
)
_KEYWORDS = ("and", "or", "not", "in")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_BARE = re.compile(r"[\w./:@+-]+\Z", re.ASCII)


class Token(NamedTuple):
    """A piece of an expression and its position, counted from 1."""

    kind: str
    text: str
    position: int


class UnknownKey(SelectionError):
    """The expression names a key that a run does not have."""


@dataclass(frozen=True)
class Where:
    """A parsed expression; call it with what is known of a run."""

    text: str
    keys: frozenset[str]
    test: Test

    def __call__(self, values: Values) -> bool:
        """Say whether a run is selected; raise SelectionError for a key that it does not have, naming those near to it."""
        return self.test(values)

    def select(self, items: Iterable[T], values_of: Callable[[T], Values]) -> Iterator[T]:
        """Yield the items that match. A run that lacks a key is not selected; a key that all lack is an error."""
        known = [(item, values_of(item)) for item in items]
        for key in sorted(self.keys):
            if known and all(_find(values, key) is ABSENT for _, values in known):
                raise _unknown(self.text, key, {name for _, values in known[:200] for name in flatten(values)})
        for item, values in known:
            try:
                if self.test(values):
                    yield item
            except UnknownKey:
                continue

    def select_by_short_keys(self, items: Iterable[T], values_of: Callable[[T], Values]) -> list[T]:
        """Return the items that match, as `select` does; a key may be written by its last words, where these end one key only."""
        known = [(item, values_of(item)) for item in items]
        return [item for item, _ in self.completed([values for _, values in known]).select(known, lambda pair: pair[1])]

    def completed(self, runs: Sequence[Values]) -> Where:
        """Return the expression with its short keys written out: acceleration for mask.acceleration.

        `runs`: what is known of them. Raises SelectionError for a short key that several keys end in.
        """
        short = [key for key in sorted(self.keys) if all(_find(values, key) is ABSENT for values in runs)]
        if not short:
            return self
        known = dict.fromkeys(name for values in runs for name in flatten(values))
        found = {key: [name for name in known if name.endswith(f".{key}")] for key in short}
        several = next((key for key, names in found.items() if len(names) > 1), None)
        if several is not None:
            listed = ", ".join(found[several][:8])
            raise SelectionError(
                f"--where {self.text[:120]!r}: the key {several!r} means {len(found[several])} keys: {listed}. Write the one that you mean."
            )
        return parse_where(self.text, {key: names[0] for key, names in found.items() if names})


def parse_where(text: str, full: Mapping[str, str] | None = None) -> Where:
    """Parse an expression; SelectionError names the position of what cannot be read. `full`: short keys, and what they mean."""
    parser = _Parser(text, full or {})
    test = parser.whole()
    return Where(text, frozenset(parser.keys), test)


def quoted(value: Any) -> str:
    """Return a value as an expression reads it back: texts in quotes where they need them."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if not isinstance(value, str):
        return canonical(value)
    if _BARE.match(value) and value not in _KEYWORDS and _is_text(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_text(word: str) -> bool:
    try:
        return isinstance(resolve_scalar(word), str)
    except ValueError:
        return False


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str, full: Mapping[str, str]) -> None:
        self.text = text
        self.full = full
        self.tokens = list(_tokens(text))
        self.place = 0
        self.depth = 0
        self.keys: set[str] = set()

    def whole(self) -> Test:
        test = self.expression()
        if self.peek().kind != "end":
            raise self.error("and, or, or the end is expected")
        return test

    def peek(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += token.kind != "end"
        return token

    def takes(self, *texts: str) -> bool:
        """Take the next token if it is one of these words or operators."""
        token = self.peek()
        if token.kind in ("word", "operator") and token.text in texts:
            self.place += 1
            return True
        return False

    def error(self, problem: str) -> SelectionError:
        token = self.peek()
        found = f"'{token.text[:40]}'" if token.text else "its end"
        return SelectionError(
            f"--where {self.text[:120]!r}: {problem} at position {token.position}, but there is {found}. Write it like 'loss.weighting=dwa "
            f"and seed>2'."
        )

    def expression(self) -> Test:
        tests = [self.conjunction()]
        while self.takes("or"):
            tests.append(self.conjunction())
        return tests[0] if len(tests) == 1 else _combined(any, tests)

    def conjunction(self) -> Test:
        tests = [self.term()]
        while self.takes("and"):
            tests.append(self.term())
        return tests[0] if len(tests) == 1 else _combined(all, tests)

    def term(self) -> Test:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"at most {MAX_DEPTH} parentheses and nots may be nested")
        test = self.nested_term()
        self.depth -= 1
        return test

    def nested_term(self) -> Test:
        if self.takes("not"):
            inner = self.term()
            return lambda values: not inner(values)
        if self.takes("("):
            test = self.expression()
            if not self.takes(")"):
                raise self.error("')' is expected")
            return test
        return self.comparison()

    def comparison(self) -> Test:
        key = self.key()
        if self.takes("not"):
            if not self.takes("in"):
                raise self.error("'in' is expected")
            return self.membership(key, wanted=False)
        if self.takes("in"):
            return self.membership(key, wanted=True)
        operator = self.peek()
        if not self.takes("=", "==", "!=", *_COMPARE):
            raise self.error("one of = != < <= > >= in is expected")
        value = self.value()
        if operator.text in _COMPARE:
            return self.ordering(key, operator, value)
        wanted = operator.text != "!="
        return lambda values: same(self.find(values, key), value) is wanted

    def membership(self, key: str, *, wanted: bool) -> Test:
        if not self.takes("("):
            raise self.error("'(' is expected")
        options = [canonical(self.value())]
        while self.takes(","):
            options.append(canonical(self.value()))
        if not self.takes(")"):
            raise self.error("',' or ')' is expected")
        return lambda values: (canonical(self.find(values, key)) in options) is wanted

    def ordering(self, key: str, operator: Token, value: Any) -> Test:
        def test(values: Values) -> bool:
            found = self.find(values, key)
            if found is None:
                return False
            if not _are_comparable(found, value):
                raise SelectionError(
                    f"--where {self.text[:120]!r}: {key} holds {found!r}, which '{operator.text}' at position {operator.position} cannot "
                    f"compare "
                    f"with {value!r}. Compare numbers with numbers and texts with texts, or use = and in."
                )
            return _COMPARE[operator.text](found, value)

        return test

    def find(self, values: Values, key: str) -> Any:
        value = _find(values, key)
        if value is ABSENT:
            raise _unknown(self.text, key, flatten(values))
        return value

    def key(self) -> str:
        token = self.peek()
        if token.kind == "quoted" or (token.kind == "word" and token.text not in _KEYWORDS):
            self.take()
            key = _unquote(token.text) if token.kind == "quoted" else token.text
            key = self.full.get(key, key)
            self.keys.add(key)
            return key
        raise self.error("a key is expected")

    def value(self) -> Any:
        token = self.peek()
        if token.kind == "quoted":
            return _unquote(self.take().text)
        if token.kind != "word" or token.text in _KEYWORDS:
            raise self.error("a value is expected (quote it if it holds spaces or is a word such as and)")
        try:
            return resolve_scalar(self.take().text)
        except ValueError as error:
            raise SelectionError(f"--where {self.text[:120]!r}: the value at position {token.position} {error}.") from error


def _combined(combine: Callable[[Iterable[bool]], bool], tests: Sequence[Test]) -> Test:
    """Ask every test, so that an unknown key is told even where the others decide."""

    def combined(values: Values) -> bool:
        answers = [test(values) for test in tests]
        return combine(answers)

    return combined


def _tokens(text: str) -> Iterator[Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise SelectionError(
                f"--where {text[:120]!r}: cannot read {text[start : start + 20]!r} at position {start + 1}. Close the quotes, or quote "
                f"special characters."
            )
        yield Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1)
        place = match.end()
    yield Token("end", "", len(text) + 1)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _are_comparable(left: Any, right: Any) -> bool:
    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    return (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))


def _find(values: Values, key: str) -> Any:
    return values[key] if key in values else lookup(values, key)


def _unknown(text: str, key: str, known: Iterable[str]) -> UnknownKey:
    return UnknownKey(f"--where {text[:120]!r}: the key {key!r} is unknown. {nearest_keys(key, known)}")
