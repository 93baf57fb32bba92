"""Run blocks of a page: each line of stdin is one, and its answer a line of stdout.

The argument is the loop that asyncio.run() shall use.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import io
import json
import logging
import os
import socket
import sys
import tempfile
import traceback
import types
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

PREAMBLE = "import asyncio\nimport socket\nimport ssl\n\nimport aioconnect\n"
AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def awaits(node: ast.AST) -> bool:
    """Tell whether *node* awaits something outside of the functions in it."""
    return any(
        isinstance(child, AWAITS)
        or (isinstance(child, ast.comprehension) and child.is_async)
        or (not isinstance(child, SCOPES) and awaits(child))
        for child in ast.iter_child_nodes(node)
    )


def is_whole(code: str) -> bool:
    """Tell whether *code* has its own imports, so that it needs no preamble."""
    return "asyncio.run(" in code or "import asyncio\n" in code


_Loop: Any = uvloop.Loop


class StageLoop(_Loop):  # type: ignore[misc]  # its methods have many overloads
    """uvloop, which resolves names itself, with those of the stage."""

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        return await asyncio.to_thread(socket.getaddrinfo, host, port, **how)

    async def create_connection(
        self, factory: Any, host: Any = None, port: Any = None, **how: Any
    ) -> Any:
        if not isinstance(host, str):
            return await super().create_connection(factory, host, port, **how)
        if how.get("ssl"):
            how.setdefault("server_hostname", host)
        found = await self.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        errors: list[OSError] = []
        for *_, sockaddr in found:
            try:
                return await super().create_connection(factory, *sockaddr[:2], **how)
            except OSError as exc:
                errors.append(exc)
        raise errors[0]

    async def create_server(
        self, factory: Any, host: Any = None, port: Any = None, **how: Any
    ) -> Any:
        if isinstance(host, str):
            found = await self.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            host = found[0][4][0]
        return await super().create_server(factory, host, port, **how)

    async def sock_connect(self, sock: socket.socket, address: Any) -> Any:
        if sock.family == socket.AF_INET:
            found = await self.getaddrinfo(*address[:2], family=socket.AF_INET)
            address = found[0][4]
        return await super().sock_connect(sock, address)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": StageLoop,
}


def use(loop: str) -> None:
    """Make asyncio.run(), and a Runner without a factory, use *loop*."""
    init = asyncio.Runner.__init__

    def with_loop(
        self: asyncio.Runner, *, debug: Any = None, loop_factory: Any = None
    ) -> None:
        init(self, debug=debug, loop_factory=loop_factory or LOOPS[loop])

    asyncio.Runner.__init__ = with_loop  # type: ignore[method-assign]


class Output(io.StringIO):
    """A stream whose text goes into *both*, too."""

    def __init__(self, both: io.StringIO) -> None:
        super().__init__()
        self._both = both

    def write(self, text: str) -> int:
        self._both.write(text)
        return super().write(text)


def parsed(code: str, page: str, line: int) -> list[ast.stmt]:
    """Return the statements of *code*, with the lines that they have in *page*."""
    module = ast.parse("\n" * (line - 1) + code, page)
    return module.body


def execute(block: dict[str, Any]) -> None:
    """Run the setup and the code of *block*, and the tests in it."""
    body = parsed(block["setup"], block["page"], block["setup_line"])
    body += parsed(block["code"], block["page"], block["line"])
    code = block["setup"] + block["code"]
    module = types.ModuleType("__main__")
    scope = vars(module)
    sys.modules["__main__"] = module
    if not is_whole(code):
        exec(PREAMBLE, scope)  # noqa: S102
    tree = ast.Module(body, [])
    if awaits(tree):
        main = ast.parse("async def main(): pass").body[0]
        assert isinstance(main, ast.AsyncFunctionDef)
        main.body, tree.body = body, [main]
    exec(compile(ast.fix_missing_locations(tree), block["page"], "exec"), scope)  # noqa: S102
    if tree.body != body:
        asyncio.run(scope["main"]())
        return
    tests = [scope[name] for name in named_tests(body)]
    if any(inspect.signature(test).parameters for test in tests) or (
        tests and "import pytest" in code
    ):
        run_pytest(code)
        return
    for test in tests:
        done = test()
        if isinstance(done, Coroutine):
            asyncio.run(done)


def named_tests(body: list[ast.stmt]) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = (node for node in body if isinstance(node, kinds))
    return [node.name for node in functions if node.name.startswith("test_")]


def run_pytest(code: str) -> None:
    """Run the tests in *code* with pytest and the kit's fixtures."""
    import pytest

    text = code if is_whole(code) else PREAMBLE + code
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"test_{os.path.basename(folder)}.py"
        path.write_text(text)
        plugins = ("-p", "aioconnect.testing.plugin", "-p", "no:cacheprovider")
        options = ("-c", os.devnull, "--rootdir", folder, "-o", "asyncio_mode=auto")
        status = pytest.main(["-q", *plugins, *options, str(path)])
    if status:
        raise RuntimeError(f"pytest ended with {status}")


def run(block: dict[str, Any]) -> dict[str, Any]:
    """Run *block*; return what it wrote, and the traceback if it raised."""
    both = io.StringIO()
    out, err = Output(both), Output(both)
    error = missing = ""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            execute(block)
        except SystemExit as exc:
            error = f"SystemExit: {exc.code}" if exc.code else ""
        except BaseException as exc:  # it is reported
            error = "".join(traceback.format_exception(exc))
            if isinstance(exc, ModuleNotFoundError):
                missing = exc.name or ""
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    return {
        "stdout": out.getvalue(),
        "both": both.getvalue(),
        "error": error,
        "missing": missing,
    }


def main() -> None:
    """Say that this is ready, and answer until the end of stdin."""
    use(sys.argv[1])
    importlib.import_module("aioconnect")  # once, and not in the first block
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a block's own children write is no answer
    answers.write("{}\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
