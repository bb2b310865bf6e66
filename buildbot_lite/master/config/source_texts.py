"""
Facts about the texts of a configuration that are found without executing them: the lines in which keys of ``c`` are
set, the imported modules, the words in them, and whether an error at a line is handled.
"""

import ast
from collections.abc import Iterator, Mapping

_ASKING = {"Property", "WithProperties", "getProperty", "hasProperty"}
"""Functions whose arguments name properties that they only read."""


def parsed(text: str) -> ast.Module:
    """
    The syntax tree of *text*; raises what `ast.parse` raises.
    """
    try:
        return ast.parse(text)
    except SystemError:
        # CPython counts the depth of all trees under construction together (its issue 106905).  If the garbage
        # collector interrupts this call and a traceback is logged, another tree is made.  So try once more.
        return ast.parse(text)


def tree_of(text: str) -> ast.Module:
    """
    The syntax tree of *text*; an empty one if it cannot be parsed, because that is reported when it is executed.
    """
    try:
        return parsed(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module(body=[], type_ignores=[])


def imported_modules(text: str, *, relative: bool = False) -> list[str]:
    """
    The first parts of the names of the modules that *text* imports, sorted.

    *relative*: also those of relative imports, as in ``from .name import …``.
    """
    names = set[str]()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= relative:
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            names.update(module.partition(".")[0] for module in modules)
    return sorted(names)


def is_handled(text: str, line: int, errors: tuple[type[Exception], ...]) -> bool:
    """
    Whether *line* of *text* is in the body of a ``try`` with an ``except`` for one of *errors*, or of a ``with
    suppress(…)`` for one.
    """
    names = {base.__name__ for error in errors for base in error.__mro__}
    return any(
        isinstance(node, (ast.Try, ast.With))
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
        and any(handled is None or names & set(_names(handled)) for handled in _handled_by(node))
        for node in ast.walk(tree_of(text))
    )


def is_asked_for(text: str, line: int, word: str) -> bool:
    """
    Whether *line* of *text* asks for the attribute *word* with ``hasattr``, or with ``getattr`` and a default.
    """
    return any(
        isinstance(node, ast.Call)
        and node.lineno <= line <= (node.end_lineno or 0)
        and (len(node.args), *_names(node.func)) in ((2, "hasattr"), (3, "getattr"))
        and getattr(node.args[1], "value", word) == word
        for node in ast.walk(tree_of(text))
    )


def _handled_by(node: ast.Try | ast.With) -> Iterator[ast.expr | None]:
    if isinstance(node, ast.Try):
        yield from (handler.type for handler in node.handlers)
        return
    for item in node.items:
        if isinstance(item.context_expr, ast.Call) and "suppress" in _names(item.context_expr.func):
            yield from item.context_expr.args


def key_lines(texts: Mapping[str, str], main: str) -> dict[str, tuple[str, int]]:
    """
    Key → file and line where it is probably set.

    It is the line of the last ``c["key"] = …`` in *main*, or of ``"key": …`` in the dictionary that becomes ``c``.  If
    there is none, it is the last line, in *main* or else in another file, in which any subscript with the key is
    assigned, a dictionary has the key, or a call has an argument of that name, as in ``c.update(key=…)``.
    """
    places: dict[str, tuple[str, int]] = {}
    for file in [*sorted(texts.keys() - {main}), main]:
        places.update({key: (file, line) for key, line in sorted(_possible_keys(tree_of(texts[file])))})
    places.update({key: (main, line) for key, line in sorted(_keys(tree_of(texts[main])))})
    return places


def attributes_of_self(text: str, name: str, line: int, of: str = "self") -> set[str]:
    """
    The attributes of ``self`` that a class reads and does not set, without those that it tests with ``hasattr`` or
    ``getattr``, or whose absence it handles.  *name*: the name of the class, whose statement in *text* includes *line*.
    *of*: "self.build": those of that.
    """
    read, other = set[str](), set[str]()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.ClassDef) and node.name == name and node.lineno <= line <= (node.end_lineno or 0):
            for each in ast.walk(node):
                if (
                    isinstance(each, ast.Call)
                    and {"hasattr", "getattr"} & set(_names(each.func))
                    and len(each.args) > 1
                ):
                    if ast.unparse(each.args[0]) == of:
                        other.add(str(getattr(each.args[1], "value", "")))
                elif not isinstance(each, ast.Attribute) or not isinstance(each.value, (ast.Name, ast.Attribute)):
                    continue
                elif ast.unparse(each.value) == of:
                    is_needed = isinstance(each.ctx, ast.Load) and not is_handled(text, each.lineno, (AttributeError,))
                    (read if is_needed else other).add(each.attr)
    return read - other


def mentioned_words(text: str) -> set[str]:
    """
    The quoted texts and the names of arguments in *text*, without the arguments of functions that read a property, like
    ``Property("name")`` and ``getProperty``.
    """
    words = set[str]()
    visited = set[int]()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Call) and set(_names(node.func)) & _ASKING:
            visited.update(map(id, node.args))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in visited:
            words.add(node.value)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            words.add(node.arg)
    return words


def _keys(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Subscript) and _is_config(target.value):
                    yield from _texts(target.slice)
            if isinstance(node.value, ast.Dict) and any(map(_is_config, targets)):
                for key in node.value.keys:
                    yield from _texts(key)


def _possible_keys(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _texts(node.slice)
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                yield from _texts(key)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg, node.lineno


def _is_config(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("c", "BuildmasterConfig")


def _texts(node: ast.expr | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node.lineno


def _names(node: ast.expr) -> Iterator[str]:
    for each in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr
