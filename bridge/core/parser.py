"""Text of a rule -> tree. Ours from the first character: no text of a user ever reaches Python's own compiler.

Law: `parse` returns a Tree or raises RuleError with a place; nothing else, for any text. Length, nesting and the
number of windows are bounded, so no text costs more than a moment. `unparse` writes a tree so that it parses back
to an equal one.

Loosest first: `a if c else b`, or, and, not, comparisons (chained) and `in`, + -, * / // %, unary - +, **.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.errors import RuleError

MAX_LENGTH = 4096  # characters; the longest rule we know has 300
MAX_DEPTH = 50  # levels of the tree
MAX_WINDOWS = 16  # functions over time in one expression: each holds up to 360 buckets per device
MAX_PARTS = 256  # arguments of one call, items of one list, terms of one chain of `and`, `or` or comparisons

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
WINDOWS = frozenset(
    ("avg_over_time", "min_over_time", "max_over_time", "stddev_over_time", "quantile_over_time", "ratio_over_time")
    + ("delta", "increase", "rate", "deriv", "predict_linear", "changes", "last_change", "held")
    + ("zscore", "seasonal_zscore", "ewma")
)
KEYWORDS = frozenset(("and", "or", "not", "if", "else", "in", "true", "false"))

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?P<unit>[A-Za-z_]\w*)?
    |(?P<name>[A-Za-z_]\w*(?:\[[^\]\s]*\]?)?(?:\.\w+)*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>(),])""",
    re.VERBOSE | re.ASCII,
)
_NAME = re.compile(r"(?P<head>\w+)(?:\[(?P<which>[^\]]*)(?P<close>\]?))?(?P<rest>(?:\.\w+)*)", re.ASCII)
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}
_ESCAPE = re.compile(r"\\(.)")
_INSTEAD = {
    "=": "== compares",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or != to compare",
    "[": "a selector stands right after the class: battery[512].soc",
    "{": "parentheses ( ) group",
    ";": "an expression has one part",
    '"': "the text has no end",
    "'": "the text has no end",
}


class Tree:
    """One node of an expression. Equal when written the same; the place (`at`, an offset) does not count.

    kind      value                          parts
    number    (number in s or plain, unit)
    text      the text
    truth     True or False
    name      (words, selector): selector is None, "*" or an instance number
    call      the function                   its arguments
    unary     "-" "+" "not"                  one
    binary    "+ - * / // % **"              two
    junction  "and" "or"                     two or more
    compare   the signs between the parts    two or more
    in                                       what is looked for, then the items
    choice                                   value if true, condition, value if false
    """

    __slots__ = ("at", "depth", "kind", "parts", "value")

    def __init__(self, kind: str, value: object = None, parts: tuple[Tree, ...] = (), at: int = 0) -> None:
        self.kind = kind
        self.value = value
        self.parts = parts
        self.at = at
        self.depth: int = 1 + max((part.depth for part in parts), default=0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return (self.kind, self.value, self.parts) == (other.kind, other.value, other.parts)

    def __hash__(self) -> int:
        return hash((self.kind, self.value, self.parts))

    def __repr__(self) -> str:
        return f"Tree({unparse(self)!r})"


class Name(NamedTuple):
    """The value of a `name` node: `battery[512].cell_voltage.max` is (battery, cell_voltage, max) with selector 512."""

    words: tuple[str, ...]
    selector: str | int | None = None

    def __str__(self) -> str:
        head = self.words[0] if self.selector is None else f"{self.words[0]}[{self.selector}]"
        return ".".join((head, *self.words[1:]))


class _Token(NamedTuple):
    kind: str  # number name text sign word end
    text: str
    at: int


def place(text: str, at: int) -> tuple[int, int]:
    """Return line and column, both from 1, of offset `at` in `text`."""
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


def parse(text: str) -> Tree:
    """Return the tree of an expression.

    Raises:
        RuleError: it is no expression; says where, why, and what would be right.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(f"the expression has {len(text)} characters, more than {MAX_LENGTH}; split it with a record")
    return _Parser(text).whole()


def duration_s(text: str) -> float | None:
    """Return the seconds of `500ms`, `30s`, `5m`, `2h`, `7d` or `4w`, or None when `text` is no duration."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|[smhdw])", text, re.ASCII)
    return float(match[1]) * UNITS_S[match[2]] if match else None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._next = 0
        self._level = 0
        self._windows = 0

    def _fault(self, message: str, at: int) -> RuleError:
        return RuleError(message, *place(self._text, at))

    # -- tokens ---------------------------------------------------------------------------------------------------

    def _split(self, text: str) -> list[_Token]:
        tokens = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                advice = _INSTEAD.get(text[at])
                raise self._fault(f"{text[at]!r} has no meaning here" + (f"; {advice}" if advice else ""), at)
            kind = match.lastgroup or ""
            if kind == "unit":
                kind = "number"
            if kind == "name" and match.group() in KEYWORDS:
                kind = "word"
            if kind != "space":
                tokens.append(_Token(kind, match.group(), at))
            at = match.end()
        return [*tokens, _Token("end", "", len(text))]

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _is(self, *texts: str) -> bool:
        token = self._peek()
        return token.kind in ("sign", "word") and token.text in texts

    def _expect(self, sign: str, why: str) -> None:
        if not self._is(sign):
            raise self._unexpected(f'"{sign}" {why}')
        self._take()

    def _unexpected(self, wanted: str) -> RuleError:
        token = self._peek()
        found = f'found "{token.text}"' if token.kind != "end" else "the text ends"
        return self._fault(f"expected {wanted}, {found}", token.at)

    # -- grammar --------------------------------------------------------------------------------------------------

    def whole(self) -> Tree:
        tree = self._choice()
        if self._peek().kind != "end":
            raise self._unexpected("an operator or the end")
        return tree

    def _node(self, kind: str, value: object, parts: tuple[Tree, ...], at: int) -> Tree:
        tree = Tree(kind, value, parts, at)
        if tree.depth > MAX_DEPTH:
            raise self._fault(f"nested deeper than {MAX_DEPTH} levels; split it with a record", at)
        if len(parts) > MAX_PARTS:
            raise self._fault(f"more than {MAX_PARTS} parts in a row; split it with a record", at)
        return tree

    def _choice(self) -> Tree:
        self._level += 1
        if self._level > MAX_DEPTH:
            raise self._fault(f"nested deeper than {MAX_DEPTH} levels; split it with a record", self._peek().at)
        tree = self._junction("or")
        if self._is("if"):
            at = self._take().at
            condition = self._junction("or")
            self._expect("else", "after the condition of `if`")
            tree = self._node("choice", None, (tree, condition, self._choice()), at)
        self._level -= 1
        return tree

    def _junction(self, word: str) -> Tree:
        """One level of `or`; inside it one of `and`."""
        at = self._peek().at
        parts = [self._junction("and") if word == "or" else self._negation()]
        while self._is(word):
            self._take()
            parts.append(self._junction("and") if word == "or" else self._negation())
        return parts[0] if len(parts) == 1 else self._node("junction", word, tuple(parts), at)

    def _negation(self) -> Tree:
        signs = []
        while self._is("not"):
            signs.append(self._take().at)
        tree = self._comparison()
        for at in reversed(signs):
            tree = self._node("unary", "not", (tree,), at)
        return tree

    def _comparison(self) -> Tree:
        at = self._peek().at
        parts = [self._arithmetic()]
        signs: list[str] = []
        while self._is("<", "<=", ">", ">=", "==", "!="):
            signs.append(self._take().text)
            parts.append(self._arithmetic())
        if signs:
            return self._node("compare", tuple(signs), tuple(parts), at)
        if self._is("in"):
            self._take()
            self._expect("(", "and a list, as in `in (1, 2)`")
            return self._node("in", None, (parts[0], *self._items("the list")), at)
        return parts[0]

    def _arithmetic(self, level: int = 1) -> Tree:
        """Read operands joined by signs that bind at least as tight as `level`, left to right."""
        tree = self._unary()
        while self._peek().kind == "sign" and _BINDING.get(self._peek().text, 0) >= level:
            token = self._take()
            tree = self._node("binary", token.text, (tree, self._arithmetic(_BINDING[token.text] + 1)), token.at)
        return tree

    def _unary(self) -> Tree:
        signs = []
        while self._is("-", "+"):
            signs.append(self._take())
        tree = self._power()
        for token in reversed(signs):
            tree = self._node("unary", token.text, (tree,), token.at)
        return tree

    def _power(self) -> Tree:
        base = self._atom()
        if not self._is("**"):
            return base
        at = self._take().at
        self._level += 1
        if self._level > MAX_DEPTH:
            raise self._fault(f"nested deeper than {MAX_DEPTH} levels; split it with a record", at)
        exponent = self._unary()
        self._level -= 1
        return self._node("binary", "**", (base, exponent), at)

    def _items(self, of: str) -> tuple[Tree, ...]:
        """Read `a, b)`: at least one item, then the closing parenthesis."""
        items = [self._choice()]
        while self._is(","):
            self._take()
            items.append(self._choice())
        self._expect(")", f"or a comma in {of}")
        return tuple(items)

    def _atom(self) -> Tree:
        token = self._peek()
        if token.kind == "number":
            return self._number(self._take())
        if token.kind == "text":
            text = _ESCAPE.sub(r"\1", self._take().text[1:-1])
            return Tree("text", text, (), token.at)
        if self._is("true", "false"):
            return Tree("truth", self._take().text == "true", (), token.at)
        if self._is("("):
            self._take()
            tree = self._choice()
            self._expect(")", "to close the parenthesis")
            return tree
        if token.kind == "name":
            return self._name(self._take())
        is_percent = self._next > 0 and self._tokens[self._next - 1].text == "%"
        advice = " (the sign of percent is not written: 20, not 20 %)" if is_percent else ""
        raise self._unexpected(f"a value{advice}")

    def _number(self, token: _Token) -> Tree:
        match = _TOKEN.match(token.text)
        digits, unit = (match["number"], match["unit"] or "") if match else (token.text, "")
        if unit and unit not in UNITS_S:
            raise self._fault(f'"{token.text}" is no duration: units are {", ".join(UNITS_S)}', token.at)
        value = float(digits)
        if value > 1e18:
            raise self._fault(f"{digits[:20]} is too large; 1e18 is the most", token.at)
        return Tree("number", (value, unit), (), token.at)

    def _name(self, token: _Token) -> Tree:
        match = _NAME.fullmatch(token.text)
        if match is None:
            raise self._fault(f'"{token.text}" is no name; a selector is [*] or [an instance number]', token.at)
        if self._is("("):
            return self._call(token)
        words = (match["head"], *match["rest"].split(".")[1:])
        which = match["which"]
        if which is None:
            return Tree("name", Name(words), (), token.at)
        if not match["close"] or (which != "*" and not re.fullmatch(r"[0-9]{1,9}", which)):
            raise self._fault(f'"{token.text}": a selector is [*] or [an instance number]', token.at)
        return Tree("name", Name(words, "*" if which == "*" else int(which)), (), token.at)

    def _call(self, token: _Token) -> Tree:
        if "." in token.text or "[" in token.text:
            raise self._fault(f'"{token.text}" is a point, not a function', token.at)
        self._windows += token.text in WINDOWS
        if self._windows > MAX_WINDOWS:
            raise self._fault(f"more than {MAX_WINDOWS} functions over time; split it with a record", token.at)
        self._take()
        if self._is(")"):
            self._take()
            return self._node("call", token.text, (), token.at)
        return self._node("call", token.text, self._items(f"{token.text}(...)"), token.at)


# -- writing ------------------------------------------------------------------------------------------------------

_LEVELS = {"choice": 0, "or": 1, "and": 2, "not": 3, "compare": 4, "in": 4, "+": 5, "*": 6, "unary": 7, "**": 8}


def _level(tree: Tree) -> int:
    if tree.kind in ("junction", "binary"):
        sign = str(tree.value)
        return _LEVELS[{"-": "+", "/": "*", "//": "*", "%": "*"}.get(sign, sign)]
    if tree.kind == "unary":
        return _LEVELS["not" if tree.value == "not" else "unary"]
    return _LEVELS.get(tree.kind, 9)


def unparse(tree: Tree) -> str:
    """Return `tree` as text that parses to an equal tree, with no more parentheses than it takes."""
    parts = tree.parts
    if tree.kind == "number":
        return _number_text(*tree.value)  # type: ignore[misc]
    if tree.kind == "text":
        return '"' + str(tree.value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if tree.kind == "truth":
        return "true" if tree.value else "false"
    if tree.kind == "name":
        return str(tree.value)
    if tree.kind == "call":
        return f"{tree.value}({', '.join(map(unparse, parts))})"
    if tree.kind == "in":
        return f"{_at(parts[0], 5)} in ({', '.join(map(unparse, parts[1:]))})"
    if tree.kind == "choice":
        return f"{_at(parts[0], 1)} if {_at(parts[1], 1)} else {unparse(parts[2])}"
    return _unparse_operation(tree, parts)


def _unparse_operation(tree: Tree, parts: tuple[Tree, ...]) -> str:
    level = _level(tree)
    if tree.kind == "unary":
        return f"{tree.value} {_at(parts[0], level)}" if tree.value == "not" else f"{tree.value}{_at(parts[0], level)}"
    if tree.kind == "junction":
        return f" {tree.value} ".join(_at(part, level + 1) for part in parts)
    if tree.kind == "compare":
        signs: tuple[str, ...] = tree.value  # type: ignore[assignment]
        rest = (f" {sign} {_at(part, 5)}" for sign, part in zip(signs, parts[1:]))
        return _at(parts[0], 5) + "".join(rest)
    if tree.value == "**":
        return f"{_at(parts[0], 9)} ** {_at(parts[1], 7)}"
    return f"{_at(parts[0], level)} {tree.value} {_at(parts[1], level + 1)}"


def _at(tree: Tree, level: int) -> str:
    """Return the text of a part that stands where operators of at least `level` may stand."""
    return unparse(tree) if _level(tree) >= level else f"({unparse(tree)})"


def _number_text(value: float, unit: str) -> str:
    text = repr(value)
    return (text[:-2] if text.endswith(".0") else text) + unit
