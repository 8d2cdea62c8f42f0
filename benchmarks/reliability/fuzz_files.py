"""Entries for what reads files, and for the command line: good files, damaged ones, and any bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from fuzz_source import Call, Finding, Source
from typer.testing import CliRunner

import lovasz_opt as lo
from lovasz_opt import cli, datasets, problems, solvers
from lovasz_opt.figures.catalogue import NAMES
from lovasz_opt.problem_file import read_problem


def _write(s: Source, path: Path, arrays: dict[str, Any]) -> None:
    """An .npz file; once in a while an array is wrong or missing, or the file is damaged."""
    kept = {}
    for name, array in arrays.items():
        if s.byte() > 245:
            s.good = False
            continue
        value = s.or_bad(array)
        try:
            kept[name] = np.asarray(value)
        except ValueError:
            # Lists of different lengths.
            kept[name] = np.asarray(value, dtype=object)
    np.savez(path, **kept)
    _perhaps_damaged(s, path)


def _perhaps_damaged(s: Source, path: Path) -> None:
    if s.below(3) == 0:
        path.write_bytes(s.damaged(path.read_bytes()))


def _command(call: Call, *arguments: Any) -> int:
    """Exit status of the command line; an exception is a finding."""
    call.made[f"lovasz_opt.cli.{arguments[0]}"] += 1
    result = CliRunner().invoke(cli.app, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if not result.output:
        raise Finding(f"lovasz-opt {arguments[0]} says nothing and ends with status {result.exit_code}")
    return result.exit_code


def _expect(status: int, good: bool, *allowed: int) -> None:
    if status not in ((allowed or (0,)) if good else (0, 1, 2)):
        raise Finding(f"status {status} of {'good' if good else 'any'} arguments")


def _problem_file(s: Source, call: Call, folder: Path) -> None:
    n = s.below(5) + 1
    target, x = s.labels((n,)), s.array((n,), largest=1e6)
    claim = s.flag()
    if s.flag():
        path = folder / "problem.npz"
        arrays = {"target": target, "x": x, "gamma": np.float64(s.positive())}
        _write(s, path, arrays | ({"z": x} if claim else {}))
    else:
        path = folder / "problem.txt"
        rows = zip(target.tolist(), x.tolist(), *([x.tolist()] if claim else []), strict=True)
        path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
        _perhaps_damaged(s, path)
    call(read_problem, path, finite=False)
    gamma = s.or_bad(s.pick(("12", "0.5", "1/3", "1e-3")))
    out = folder / "certificate.txt"
    status = _command(call, "certify", path, "--gamma", gamma, "--out", out)
    # A claimed point that is none is told by status 1.
    _expect(status, s.good, 0, 1) if claim else _expect(status, s.good)
    if status == 0 and call(lo.ProxCertificate.read, out).refutation() is not None:
        raise Finding("lovasz-opt certify wrote a certificate that is refuted")


def _certificate_file(s: Source, call: Call, folder: Path) -> None:
    path = folder / "certificate.txt"
    v = s.pick((None, "float64"))
    certificate = lo.certify_prox([1, 0, 1], s.array((3,), largest=1e6).tolist(), 12, v=v)
    call(certificate.write, path)
    if s.flag():
        path.write_bytes(s.damaged(path.read_bytes()))
    claim = call(lo.ProxCertificate.read, path)
    call(lo.ProxCertificate.from_text, path.read_bytes().decode("utf-8", "replace"))
    if claim is not None:
        call(claim.refutation)
        call(claim.summary)
        if s.good and claim != certificate:
            raise Finding("a certificate is another one after writing and reading")
        if lo.ProxCertificate.from_text(call(claim.to_text)) != claim:
            raise Finding("a certificate is another one in text")


def _result_file(s: Source, call: Call, folder: Path) -> None:
    path = folder / "result.npz"
    problem = problems.ImageProx(s.array((3,), largest=1e3), s.labels((3,)), 1.0)
    solver = s.pick(
        (solvers.prox, solvers.admm, solvers.bundle, solvers.fista, solvers.pdhg, solvers.subgradient)
    )
    result = call(solver, problem, max_iter=s.below(3), tol=0.0)
    call(result.save, path)
    if s.flag():
        with np.load(path) as stored:
            arrays = dict(stored)
        if s.flag():
            arrays["plain"] = np.array(s.damaged(str(arrays["plain"]).encode()).decode("utf-8", "replace"))
        _write(s, path, arrays)
    again = call(solvers.Result.load, path, finite=False)
    if s.good:
        if repr(again) != repr(result) or not all(
            map(np.array_equal, again.trace.values(), result.trace.values())
        ):
            raise Finding("a result is another one after saving and loading")
        call(solver, problem, max_iter=5, resume=again)


def _voc_files(s: Source, call: Call, folder: Path) -> None:
    cls = s.pick(datasets.VOC_CLASSES[1:])
    masks = np.zeros((1, 129, 129), np.uint8)
    masks[:, 40:90, 30:80] = datasets.VOC_CLASSES.index(cls)
    masks[:, 120:] = datasets.VOID
    arrays = {
        "features": np.full((1, 33, 33, 256), s.byte(), np.uint8),
        "scale": np.float32(0.5),
        "zero": np.float32(s.byte()),
        "logits": np.full((1, 33, 33, 21), s.byte(), np.uint8),
        "logits_scale": np.float32(0.25),
        "logits_zero": np.float32(s.byte()),
        "masks129": masks,
        "ids": np.array(["one"]),
    }
    _write(s, folder / "deeplab_train.npz", arrays)
    split = s.or_bad("train")
    match s.below(4):
        case 0:
            others = s.pick(("none", "equal", "all"))
            options = {
                "limit": s.or_bad(None),
                "seed": s.or_bad(s.byte()),
                "fine": s.flag(),
                "others": others,
            }
            call(datasets.voc, folder, s.or_bad(cls), split, **options)
        case 1:
            call(datasets.voc_multiclass, folder, split, s.or_bad([cls]))
        case 2:
            call(datasets.voc_logits, folder, split)
        case 3:
            s.good = False
            call(datasets.check_files, folder, s.flag())


def _camvid_files(s: Source, call: Call, folder: Path) -> None:
    from PIL import Image

    cls = s.pick(datasets.CAMVID_CLASSES)
    masks = np.full((1, 12, 16), datasets.CAMVID_CLASSES.index(cls), np.uint8)
    _write(s, folder / "train_masks.npz", {"masks": masks, "names": np.array(["one"])})
    photograph = folder / "train" / "one.jpg"
    photograph.parent.mkdir()
    picture = io.BytesIO()
    Image.fromarray(np.full((12, 16, 3), s.byte(), np.uint8)).save(picture, s.pick(("jpeg", "png")))
    photograph.write_bytes(picture.getvalue())
    _perhaps_damaged(s, photograph)
    options = {"limit": s.or_bad(None), "seed": s.or_bad(s.byte()), "stride": s.or_bad(s.below(4) + 1)}
    call(datasets.camvid, folder, s.or_bad(cls), s.or_bad("train"), **options)


def _figure_folder(s: Source, call: Call, folder: Path) -> None:
    """What `lovasz-opt figures` leaves, and `lovasz-opt report` reads."""
    (folder / "picture.png").write_bytes(b"")
    (folder / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    document: dict[str, Any] = {
        "claim": "", "verdict": "confirmed", "why": "", "findings": ["one"], "failures": [], "numbers": {},
        "pictures": [{"file": "picture.png", "caption": ""}], "tables": [{"file": "table.csv", "title": ""}],
        "command": "", "versions": {"numpy": "2"}, "cells": 1, "cells_done": 1,
        "settings": {"quick": True, "full": False, "data": None, "seed": 0, "seeds": 1},
    }  # fmt: skip
    path = folder / f"{s.pick(NAMES)}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    for damaged in (path, folder / "table.csv"):
        _perhaps_damaged(s, damaged)
    _expect(_command(call, "report", "--out", folder, *(["--docs", folder] if s.flag() else [])), s.good)


def _commands(s: Source, call: Call, folder: Path) -> None:
    """Options, but none that would run for minutes."""
    match s.below(4):
        case 0:
            _expect(_command(call, "info"), True)
        case 1:
            _expect(
                _command(call, s.pick(("study", "figures", "report", "verify", "certify")), "--help"), True
            )
        case 2:
            name, wrong = s.pick(
                (("study", "--seed"), ("study", "--jobs"), ("figures", "--seed"), ("figures", "--jobs"),
                 ("verify", "--seed"), ("verify", "--problems"), ("verify", "--size"))
            )  # fmt: skip
            value = s.pick(("-1", "-9" * 30, "text", "", "nan", "1.5", "1e3", "0x1"))
            _expect(_command(call, name, f"{wrong}={value}"), True, 2)
        case 3:
            words = s.rest().decode("utf-8", "replace").replace("\0", "").split()
            status = _command(
                call, "certify", folder / "missing.txt", "--out", folder / "out.txt", *words[:3]
            )
            _expect(status, False)


def _in_a_folder(entry: Callable[[Source, Call, Path], None]) -> Callable[[Source, Call], None]:
    def run(s: Source, call: Call) -> None:
        with TemporaryDirectory() as name:
            entry(s, call, Path(name))

    run.__name__ = entry.__name__
    return run


FILE_ENTRIES = tuple(
    map(
        _in_a_folder,
        (
            _problem_file,
            _certificate_file,
            _result_file,
            _voc_files,
            _camvid_files,
            _figure_folder,
            _commands,
        ),
    )
)
