"""The command line: study, figures, report, verify, certify, info."""

from __future__ import annotations

import json
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import __version__

app = typer.Typer(
    help="Exact, certified optimisation of the Jaccard index.", no_args_is_help=True, add_completion=False
)


def _fail(message: str, code: int = 2) -> typer.Exit:
    typer.echo(f"lovasz-opt: {message}", err=True)
    return typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lovasz-opt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


class _Backend(StrEnum):
    loky = "loky"
    dask = "dask"


_Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; by default one for each core.", show_default=False)
]
_BackendOption = Annotated[
    _Backend, typer.Option(help="Of joblib; dask uses DASK_SCHEDULER_ADDRESS or a local cluster.")
]


@app.command()
def study(
    out: Annotated[
        Path, typer.Option(help="Directory for figures, tables and curves; finished runs are kept in it.")
    ] = Path("study"),
    seed: Annotated[
        int, typer.Option(min=0, help="Deals the tiles or images into training and test parts.")
    ] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller images, fewer iterations: some ten seconds.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="More step sizes and time; with --data all of VOC and CamVid.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with deeplab_train.npz and deeplab_val.npz: adds VOC cats."),
    ] = None,
    jobs: _Jobs = None,
    backend: _BackendOption = _Backend.loky,
) -> None:
    """Compare proximal methods with subgradient descent, with certified gaps.

    Takes about a minute on two cores. Ctrl-C reports what is done; the same command goes on from there.
    """
    from . import study as studies
    from .datasets import DataError, MissingExtra
    from .progress import reporter

    command = shlex.join(["lovasz-opt", *sys.argv[1:]])
    try:
        settings = studies.Settings.of(seed, quick, full, None if data is None else str(data))
    except ValueError as error:
        raise _fail(str(error)) from None
    try:
        _make_writable(out)
        with reporter() as progress:
            done = studies.run(
                settings,
                out,
                command,
                jobs=jobs or os.cpu_count() or 1,
                backend=backend.value,
                progress=progress,
            )
    except (DataError, MissingExtra) as error:
        raise _fail(str(error)) from None
    except OSError as error:
        raise _fail(
            f"cannot write to {error.filename or out}: {error.strerror or error}; choose another --out"
        ) from None
    except KeyboardInterrupt:
        raise _fail("interrupted before anything was done", 130) from None
    typer.echo(done.text)
    typer.echo("wrote " + ", ".join(str(file) for file in done.files))
    if done.done.interrupted:
        raise _fail(f"interrupted: {len(done.done.outcomes)} runs kept in {out / 'cells'}", 130)


@app.command()
def figures(
    only: Annotated[
        list[str] | None,
        typer.Option(help="Names of figures, once for each; all by default.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Directory for pictures and numbers; finished runs are kept in it.")
    ] = Path("figures"),
    seed: Annotated[int, typer.Option(min=0, help="The first random seed.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="One seed, small problems: about a minute.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Larger than the documentation needs.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="LOVASZ_OPT_DATA",
            help="Directory with voc_animals and camvid; without it, images that packages ship.",
        ),
    ] = None,
    jobs: _Jobs = None,
    backend: _BackendOption = _Backend.loky,
) -> None:
    """Make the figures of the paper again: pictures, numbers and a verdict on every claim.

    Takes about a minute without data. Ctrl-C draws what is done; the same command goes on from there.
    """
    from .datasets import DataError, MissingExtra
    from .figures import catalogue
    from .figures.settings import Settings
    from .progress import reporter

    command = shlex.join(["lovasz-opt", *sys.argv[1:]])
    try:
        settings = Settings.of(seed, quick, full, None if data is None else str(data))
        _make_writable(out)
        with reporter() as progress:
            made = catalogue.make(
                settings,
                out,
                command,
                only or (),
                jobs=jobs or os.cpu_count() or 1,
                backend=backend.value,
                progress=progress,
            )
    except (DataError, MissingExtra, ValueError) as error:
        raise _fail(str(error)) from None
    except OSError as error:
        raise _fail(
            f"cannot write to {error.filename or out}: {error.strerror or error}; choose another --out"
        ) from None
    except KeyboardInterrupt:
        raise _fail("interrupted before anything was done", 130) from None
    for name, page in made.pages.items():
        typer.echo(f"{name}: {page.verdict}: {page.why}")
        for finding in page.findings:
            typer.echo(f"  - {finding}")
    failures = made.done.failures
    if failures:
        typer.echo(f"{len(failures)} runs failed, the first with: {next(iter(failures.values()))}", err=True)
    typer.echo(
        f"wrote {len(made.files)} files to {out}; 'lovasz-opt report --out {out}' puts them on one page"
    )
    if made.done.interrupted:
        raise _fail(f"interrupted: {len(made.done.outcomes)} runs kept in {out / 'cells'}", 130)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Directory of the figures.")] = Path("figures"),
    docs: Annotated[
        Path | None,
        typer.Option(help="Also write paper.md, and the pictures in images/paper, into this directory."),
    ] = None,
) -> None:
    """Put all figures on one HTML page that needs nothing else: report.html."""
    from .datasets import DataError
    from .figures.report import write_html, write_markdown

    try:
        files = [write_html(out)]
        if docs is not None:
            files += write_markdown(out, docs / "paper.md", docs / "images" / "paper")
    except DataError as error:
        raise _fail(str(error)) from None
    except OSError as error:
        raise _fail(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    typer.echo("wrote " + ", ".join(str(file) for file in files))


def _make_writable(out: Path) -> None:
    """Find out before the work, not after it, that the results cannot be written."""
    out.mkdir(parents=True, exist_ok=True)
    probe = out / ".writable"
    probe.touch()
    probe.unlink()


@app.command()
def verify(
    seed: Annotated[int, typer.Option(min=0, help="Of the random problems.")] = 0,
    problems: Annotated[int, typer.Option(min=1, help="Number of small random problems.")] = 2000,
    size: Annotated[int, typer.Option(min=10, help="Pixels of the large problems.")] = 10**6,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the report to this file.")
    ] = None,
) -> None:
    """Check the exactness claims on fresh random problems; exit with 1 if a bound is exceeded."""
    from . import verify as checks

    try:
        if json_file is not None:
            json_file.touch()
        report = checks.run(seed, problems, size, lambda name: typer.echo(f"checking: {name}", err=True))
        if json_file is not None:
            json_file.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise _fail(
            f"cannot write to {json_file}: {error.strerror or error}; choose another --json"
        ) from None
    typer.echo(report.table())
    if not report.complete:
        raise _fail("interrupted", 130)
    if not report.passed:
        raise _fail("a bound is exceeded", 1)


@app.command()
def certify(
    problem: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="An .npz file with arrays target, x and possibly z and gamma, or text with a line 'y x' or "
            "'y x z' for each pixel; z is a claimed proximal point.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File for the certificate.")],
    gamma: Annotated[
        str | None, typer.Option(help="Step, such as 12, 0.5 or 1/3; needed if INPUT has none.")
    ] = None,
) -> None:
    """Write a certificate of the exact prox, and of the error of the float64 prox, that others can check.

    Exits with 1 if the z in INPUT is not the prox.
    """
    from .certificates import NotProximalError, certify_prox
    from .problem_file import read_problem

    try:
        target, x, step, z = read_problem(problem)
        if gamma is None and step is None:
            raise ValueError(f"{problem} has no gamma; give --gamma")
        certificate = certify_prox(target, x, step if gamma is None else gamma, z=z, v="float64")
        certificate.write(out)
    except NotProximalError as error:
        raise _fail(str(error), 1) from None
    except (TypeError, ValueError) as error:
        raise _fail(str(error)) from None
    except OSError as error:
        # An error in writing, such as a full disk, does not name its file.
        where = error.filename or out
        raise _fail(f"cannot read or write {where}: {error.strerror or error}; give another path") from None
    typer.echo(certificate.summary())
    typer.echo(f"wrote {out}")


@app.command()
def info() -> None:
    """Show versions, threads, the kernel cache, and which optional packages are present."""
    import numba

    from .versions import versions

    found = versions()
    for name, version in found.items():
        typer.echo(f"{name:14} {version}")
    for extra, packages in {
        "study": ("matplotlib", "scikit-image", "tqdm", "joblib"),
        "dask": ("dask", "distributed"),
        "reference": ("cvxpy",),
    }.items():
        missing = [name for name in packages if name not in found]
        state = f"missing {', '.join(missing)}: pip install 'lovasz-opt[{extra}]'" if missing else "complete"
        typer.echo(f"{'extra ' + extra:14} {state}")
    typer.echo(f"{'threads':14} {numba.get_num_threads()} of {os.cpu_count()} cores")
    cache = os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent / "kernels" / "__pycache__"
    typer.echo(f"{'kernel cache':14} {cache}")


def main() -> None:
    """Entry point of the ``lovasz-opt`` command."""
    app()
