"""How checks are run, how they fail, and what is left when they pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True)
class CheckReport:
    """What was looked at; printed, one line for each check.

    Attributes
    ----------
    subject : str
        What was checked.
    passed : tuple of str
        Names of the checks that passed, in the order in which they ran.
    skipped : dict of str to str
        Names of the checks that did not apply, and why.
    """

    subject: str
    passed: tuple[str, ...]
    skipped: dict[str, str]

    def __str__(self) -> str:
        width = max(map(len, (*self.passed, *self.skipped)))
        lines = [f"{name:{width}}  ok" for name in self.passed]
        lines += [f"{name:{width}}  skipped: {why}" for name, why in self.skipped.items()]
        return "\n".join([self.subject, *lines])


class Skipped(Exception):
    """A check does not apply; the message says why."""


def fail(what: str, look: str) -> NoReturn:
    """Fail a check: what is wrong, with numbers and a counterexample, and where to look."""
    raise AssertionError(f"{what}\n  look at: {look}")


def run_checks(subject: str, checks: Mapping[str, Callable[[Any], None]], case: Any) -> CheckReport:
    """Run the checks in their order; the first that fails raises `AssertionError`."""
    passed: list[str] = []
    skipped: dict[str, str] = {}
    for name, check in checks.items():
        try:
            check(case)
        except Skipped as reason:
            skipped[name] = str(reason)
        except AssertionError as error:
            raise AssertionError(_plain(f"{subject} fails '{name}': {error}")) from error.__cause__
        except Exception as error:
            raised = f"{subject} fails '{name}': it raises {type(error).__name__}: {error}"
            raise AssertionError(_plain(f"{raised}\n  look at: the traceback above this one")) from error
        else:
            passed.append(name)
    return CheckReport(subject, tuple(passed), skipped)


def _plain(message: str) -> str:
    """The numbers alone: NumPy 2 shows the type of a scalar with it."""
    return re.sub(r"np\.\w+\(([^()]*)\)", r"\1", message)
