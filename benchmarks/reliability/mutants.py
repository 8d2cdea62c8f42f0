"""Mutants of a Python source: one small change each, as a text editor would make it.

What is changed: comparisons, arithmetic, bit and boolean operators, signs, numbers, truth values,
conditions, ``min`` and ``max``, ``break`` and ``continue``; and statements that change something are left
out. Text is not changed (messages are not what is tested), and neither are annotations, decorators and
imports.
"""

from __future__ import annotations

import ast
import bisect
import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_OPERATORS = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
_EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    path : str
        Of the file, relative to the tree.
    function : str
        Qualified name of the function around the change, "" at the level of the module.
    line : int
        Of the change, from 1.
    start, end : int
        Bytes of the source that are replaced.
    before, after : str
        What stands there, and what takes its place.
    text : str
        The line as it is, without its indentation.
    column : int
        Of the change, in bytes of that text.
    number : int
        From 1, among the same changes of the same text in one function.
    """

    path: str
    function: str
    line: int
    start: int
    end: int
    before: str
    after: str
    text: str
    column: int
    number: int = 1

    @property
    def key(self) -> str:
        """A name that no other mutant has, and that stays where other lines change."""
        place = f"{self.path}::{self.function}::{self.text}::{self.column}"
        return f"{place}: {self.before} → {self.after}" + (f" #{self.number}" if self.number > 1 else "")

    @property
    def mutated(self) -> str:
        """The line with the change, for people; of a change over several lines the first."""
        text = self.text.encode()
        return (
            text[: self.column] + self.after.encode() + text[self.column + len(self.before.encode()) :]
        ).decode()

    def apply(self, source: bytes) -> bytes:
        """The mutated source."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All mutants of a source, in the order of the file.

    Parameters
    ----------
    path : str
    source : bytes
        UTF-8.

    Returns
    -------
    list of Mutant
    """
    mutants: list[Mutant] = []
    seen: Counter[str] = Counter()
    for found in sorted(_Finder(path, source).find(), key=lambda m: (m.start, m.end, m.after)):
        seen[found.key] += 1
        mutants.append(dataclasses.replace(found, number=seen[found.key]))
    return mutants


class _Finder:
    """Walks the syntax tree and notes what may be changed."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source
        self._lines = source.splitlines(keepends=True)
        self._offsets = [0]
        for line in self._lines:
            self._offsets.append(self._offsets[-1] + len(line))

    def find(self) -> Iterator[Mutant]:
        yield from self._walk(ast.parse(self._source), ())

    def _walk(self, node: ast.AST, names: tuple[str, ...]) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = (*names, node.name)
        yield from self._changes(node, ".".join(names))
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(
                    child, ast.JoinedStr | ast.Import | ast.ImportFrom
                ):
                    yield from self._walk(child, names)

    def _changes(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for first, op, second in zip([left, *comparators], ops, comparators, strict=False):
                    yield from self._between(first, second, _COMPARISONS[type(op)], function)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                yield from self._between(left, right, _OPERATORS[type(op)], function)
            case ast.BoolOp(op=op, values=values):
                after = "or" if isinstance(op, ast.And) else "and"
                for first, second in itertools.pairwise(values):
                    yield from self._between(first, second, after, function)
            case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
                # Brackets around the operand stay.
                sign = self._text(self._at(node), self._at(operand)).partition("(")[0]
                yield self._replace(self._at(node), self._at(node) + len(sign), "", function)
            case ast.AugAssign(target=target, op=op, value=value):
                if type(op) in _OPERATORS:
                    yield from self._between(target, value, f"{_OPERATORS[type(op)]}=", function)
                yield self._whole(node, "pass", function)
            case ast.Constant(value=bool(value)):
                yield self._whole(node, str(not value), function)
            case ast.Constant(value=int(value)):
                yield self._whole(node, str(value + 1), function)
            case ast.Constant(value=float(value)):
                yield self._whole(node, repr(2.0 * value if value else 1.0), function)
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                    text = self._text(self._at(test), self._end(test))
                    yield self._whole(test, f"(not {text})", function)
            case ast.Call(func=func):
                name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
                if name in _EXTREMES and not (isinstance(func, ast.Attribute) and name in ("min", "max")):
                    end = self._end(func)
                    yield self._replace(end - len(name), end, _EXTREMES[name], function)
            case ast.Break():
                yield self._whole(node, "continue", function)
            case ast.Continue():
                yield self._whole(node, "break", function)
            case ast.Expr(value=ast.Call()) | ast.Raise():
                yield self._whole(node, "pass", function)
            case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
                yield self._whole(node, "pass", function)

    def _at(self, node: ast.expr | ast.stmt) -> int:
        return self._offsets[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._offsets[node.end_lineno - 1] + node.end_col_offset  # type: ignore[operator]

    def _text(self, start: int, end: int) -> str:
        return self._source[start:end].decode()

    def _between(self, first: ast.expr, second: ast.expr, after: str, function: str) -> Iterator[Mutant]:
        """Replace the operator, which stands among blanks and brackets between two operands."""
        start, end = self._end(first), self._at(second)
        gap = self._text(start, end)
        operator = gap.strip(" \n()\\")
        # A comment in between: rather no mutant than a wrong one.
        if operator and "#" not in gap:
            at = start + len(gap[: gap.index(operator)].encode())
            yield self._replace(at, at + len(operator.encode()), after, function)

    def _whole(self, node: ast.expr | ast.stmt, after: str, function: str) -> Mutant:
        return self._replace(self._at(node), self._end(node), after, function)

    def _replace(self, start: int, end: int, after: str, function: str) -> Mutant:
        number = bisect.bisect_right(self._offsets, start)
        line = self._lines[number - 1]
        column = start - self._offsets[number - 1] - (len(line) - len(line.lstrip()))
        before, text = self._text(start, end), line.decode().strip()
        return Mutant(self._path, function, number, start, end, before, after, text, column)


def mutants_of_tree(root: Path, patterns: tuple[str, ...]) -> list[Mutant]:
    """All mutants of the files of a tree.

    Parameters
    ----------
    root : Path
    patterns : tuple of str
        As for `Path.glob`, relative to the root.

    Returns
    -------
    list of Mutant
    """
    files = sorted({file for pattern in patterns for file in root.glob(pattern)})
    return [
        mutant
        for file in files
        for mutant in mutants_of(file.relative_to(root).as_posix(), file.read_bytes())
    ]
