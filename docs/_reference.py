"""Let autodoc show the docstrings of the package: a Sphinx extension for conf.py.

The docstrings are written for `help()`.  A section is a heading that ends in a colon,
with indented entries below: ``name=default: text`` or ``SomeError: text``.  Here each
section becomes a definition list.  All else in a docstring is reStructuredText already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

__all__ = ["definition_lists", "setup"]

# The entries of a section, and where the next line of an entry begins.
_INDENT = " " * 4
_CONTINUED = _INDENT * 2

_HEADING = re.compile(r"\S.*[^:\s]:")

# ``name=default: text`` or ``SomeError, OtherError: text``.  The name has no blank,
# except after a comma.
_ENTRY = re.compile(r"(?P<term>[\w.]+(?:=[^ ]+)?(?:, [\w.]+)*): +(?P<text>\S.*)")

_OPTION = re.compile(r"\w+=[^ ,]+")

_FUNCTION = re.compile(r"<function (\w+)(?: at 0x\w+)?>")

# A word that goes on in the next line of a table.  reStructuredText sees a link in it.
_UNDERSCORE = re.compile(r"(?<=\w)_(?: |$)")


def definition_lists(lines: list[str]) -> list[str]:
    """Return the *lines* of a docstring with its sections as definition lists."""
    result: list[str] = []
    rest = [_UNDERSCORE.sub(r"\_", line) for line in lines]
    while rest:
        line = rest.pop(0)
        body: list[str] = []
        if _HEADING.fullmatch(line):
            while rest and rest[0].startswith(_INDENT):
                body.append(rest.pop(0))
        result += [line] if not body else [line, "", *_section(body), ""]
    return result


def _section(body: list[str]) -> Iterator[str]:
    """Yield the entries in *body* as a definition list, or plain options as a list."""
    if not _ENTRY.match(body[0].strip()):
        text = " ".join(map(str.strip, body))
        yield _OPTION.sub(r"``\g<0>``", text)
        return
    for line in body:
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None or line.startswith(_CONTINUED):
            yield _INDENT + line.strip()
            continue
        yield ""
        yield _term(entry["term"])
        yield _INDENT + entry["text"]


def _term(term: str) -> str:
    """Return an option as code, and the names of exceptions as links."""
    if "=" in term:
        return f"``{term}``"
    return ", ".join(f"`{name}`" for name in term.split(", "))


def _process(*arguments: Any) -> None:
    lines: list[str] = arguments[-1]  # after the application, the object and others
    lines[:] = definition_lists(lines)


def _name_functions(*arguments: Any) -> tuple[str, str | None] | None:
    # The repr of a function, as a default, is no Python: Sphinx would give up.
    signature, returned = arguments[-2:]
    if signature is None:
        return None
    return _FUNCTION.sub(r"\1", signature), returned


def _configure(_: Sphinx, config: Config) -> None:
    config.default_role = "py:obj"  # in docstrings, `name` is code of this package
    config.autodoc_preserve_defaults = False  # 65536 says more than LIMIT
    config.autodoc_class_signature = "mixed"
    config.python_maximum_signature_line_length = 72
    config.python_use_unqualified_type_names = True


def _resolve(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    # In a docstring of a submodule, `Connector` is that of the package.
    domain, name = env.get_domain("py"), f"aioconnect.{node.get('reftarget')}"
    if node.get("refdomain") != "py" or name not in domain.objects:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", name, node, contnode
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Set up the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("config-inited", _configure)
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _name_functions)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}
