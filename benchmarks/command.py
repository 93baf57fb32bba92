"""Run the cases, print what came of them, and write it down if that is asked for.

    python -m benchmarks [case ...] [--quick] [--loop asyncio|uvloop|both]
                         [--out DIRECTORY | --write]

Each case has a process of its own, and its server one on another core.  Contestants
take turns, in rotating order; given are the median and the quartiles over the rounds.
With ``--out`` the results are JSON files and pictures in the directory.  Each case is
written when it ends: Ctrl-C keeps those that have.  ``--write`` replaces the results of
this repository, which are of one machine and one run: it takes a whole run, in which
no case failed or was skipped, unless this machine counts no instructions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from .cases import CASES, Case
from .cases.imports import MODULES
from .machine import machine, versions
from .results import DIRECTORY, Measure, Outcome, save
from .running import ASYNCIO, Plan, Skipped, isolated, progress, reason
from .table import bounds_lines, lines

__all__ = ["main"]

# Few virtual machines count instructions.
OPTIONAL = {"instructions"}

# No case needs more (seconds).
LIMIT = 300

# Besides the contestants: what draws, and what vouches for a server.
ALSO = ("drawsvg", "trustme")

# As a shell says that SIGINT ended it.
INTERRUPTED = 130


def measure(number: int, plan: Plan) -> Sequence[Measure]:
    """Run a case, in this process."""
    return CASES[number].run(plan)


def outcome_of(case: Case, plan: Plan) -> Outcome:
    """Run *case* in a process of its own."""
    started = time.monotonic()
    measures: Sequence[Measure] = ()
    skipped = failed = None
    try:
        measures = isolated(measure, CASES.index(case), plan, limit=LIMIT)
    except Skipped as exc:
        skipped = str(exc)
    except Exception as exc:  # the others are run all the same
        failed = reason(exc)
    return Outcome(
        case=case.name,
        title=case.title,
        command=f"python -m benchmarks {case.name}{' --quick' * plan.quick}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        quick=plan.quick,
        machine=machine(),
        versions=versions(),
        measures=tuple(measures),
        skipped=skipped,
        failed=failed,
    )


def draw(directory: Path, outcomes: dict[str, Outcome]) -> list[Path]:
    """Draw the pictures of *outcomes*; none if what draws is not installed."""
    try:
        from .pictures import pictures
    except ModuleNotFoundError as exc:
        print(f"no pictures: {exc.name} is not installed", file=sys.stderr)
        return []
    return pictures(directory, outcomes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    given = _given(arguments)
    chosen = [case for case in CASES if not given.cases or case.name in given.cases]
    loops = ASYNCIO if given.loop == "both" else (given.loop,)
    plan = Plan(given.quick, loops)
    outcomes: dict[str, Outcome] = {}
    if missing := [name for name in (*MODULES, *ALSO) if find_spec(name) is None]:
        text = "not installed, and shown so (the group bench has all)"
        print(f"{text}: {', '.join(missing)}", file=sys.stderr)
    started = time.monotonic()
    try:
        with _temporary_files():
            for number, case in enumerate(chosen, 1):
                where = f"[{number}/{len(chosen)}] {case.name}: {case.title}"
                print(where, file=sys.stderr, flush=True)
                outcome = outcome_of(case, plan)
                progress("")
                print(f"  {outcome.seconds:.1f} s", file=sys.stderr)
                if given.out is not None:
                    save(outcome, given.out)
                outcomes[case.name] = outcome
                print(*lines(outcome), "", sep="\n", flush=True)
    except KeyboardInterrupt:
        progress("")
        where = "not written" if given.out is None else f"in {given.out}"
        print(f"interrupted; {len(outcomes)} results {where}", file=sys.stderr)
        return INTERRUPTED
    print(*bounds_lines(outcomes), sep="\n")
    is_written = _write(outcomes, given.out, replace=given.write)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    has_failed = any(one.failed for one in outcomes.values())
    return 1 if has_failed or (given.write and not is_written) else 0


def _write(outcomes: dict[str, Outcome], out: Path | None, *, replace: bool) -> bool:
    """Write the results, print where, and tell whether any were written."""
    lacking = [
        name
        for name, one in outcomes.items()
        if one.failed or (one.skipped and name not in OPTIONAL)
    ]
    if replace and lacking:
        text = f"not written, as these failed or were skipped: {', '.join(lacking)}"
        print(text, file=sys.stderr)
        return False
    if replace:
        out = DIRECTORY
        for outcome in outcomes.values():
            save(outcome, out)
    if out is None:
        print("not written: --out DIRECTORY would keep it", file=sys.stderr)
        return False
    drawn = draw(out, outcomes)
    text = f"{len(outcomes)} results and {len(drawn)} pictures in {out}"
    print(text, file=sys.stderr)
    return True


@contextlib.contextmanager
def _temporary_files() -> Iterator[None]:
    """Have a directory for those of all processes, as one that is killed leaves its."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        os.environ["TMPDIR"] = directory
        yield


def _directory(name: str) -> Path:
    directory = Path(name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as exc:
        raise argparse.ArgumentTypeError(
            f"cannot write in {name}: {exc.strerror}"
        ) from None
    return directory


def _case(name: str) -> str:
    if name not in (known := [case.name for case in CASES]):
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return name


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.write and (given.cases or given.quick or given.loop != "both"):
        parser.error("--write takes a whole run: no case, no --quick, and both loops")
    if given.out is not None and given.out.resolve() == DIRECTORY.resolve():
        parser.error(f"argument --out: only --write replaces what is in {given.out}")
    if given.write:
        try:
            _directory(str(DIRECTORY))
        except argparse.ArgumentTypeError as exc:
            parser.error(f"argument --write: {exc}")
    return given


def _parser() -> argparse.ArgumentParser:
    known = [case.name for case in CASES]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(__doc__ or "").splitlines()[0],
        epilog="cases: " + ", ".join(known),
    )
    parser.add_argument(
        "cases", nargs="*", metavar="case", type=_case, help="all, if none is given"
    )
    parser.add_argument("--quick", action="store_true", help="a minute, and rough")
    parser.add_argument("--loop", choices=(*ASYNCIO, "both"), default="both")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--out",
        type=_directory,
        metavar="DIRECTORY",
        help="write the results there; by default they are only printed",
    )
    kept.add_argument(
        "--write",
        action="store_true",
        help="replace the results of this repository, after a whole run",
    )
    return parser
