"""Small mistakes for `bench/mutation.py`: how they are made of a module's tree, and put into the running program."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: where, in words, and how to put it into the tree and take it out again."""

    line: int
    words: str
    where: str
    at_import: bool
    put: Callable[[], None] = field(compare=False)
    undo: Callable[[], None] = field(compare=False)


COMPARE: dict[type, tuple[type, ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
}  # fmt: skip
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
SWAPPED = {"any": "all", "all": "any", "min": "max", "max": "min"}
NOT_MUTATED = {"annotation", "returns", "type_comment", "type_params", "decorator_list", "bases", "keywords_of_class"}


def changed(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Other nodes that could stand in this one's place by mistake, each in words."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARE[type(operator)]:
                yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators), f"{other.__name__} here"
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values), "and/or swapped"
        for place in range(len(node.values)):
            left = [value for index, value in enumerate(node.values) if index != place]
            yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left), f"operand {place + 1} dropped"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand, "not dropped"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right), "operator swapped"
    elif isinstance(node, ast.Constant):
        yield from constants(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
        yield ast.Call(ast.Name(SWAPPED[node.func.id], ast.Load()), node.args, node.keywords), f"{SWAPPED[node.func.id]} for {node.func.id}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sorted" and node.args:
        yield ast.Call(ast.Name("list", ast.Load()), node.args[:1], []), "not sorted"
    elif isinstance(node, ast.Return) and node.value is not None and not is_constant(node.value, None):
        yield ast.Return(ast.Constant(None)), "returns None"
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(negated(node.test), node.body, node.orelse), "condition negated"
    elif isinstance(node, ast.If | ast.While):
        yield type(node)(negated(node.test), node.body, node.orelse), "condition negated"
    elif isinstance(node, ast.comprehension) and node.ifs:
        for place in range(len(node.ifs)):
            left = [value for index, value in enumerate(node.ifs) if index != place]
            yield ast.comprehension(node.target, node.iter, left, node.is_async), f"filter {place + 1} dropped"
            yield ast.comprehension(node.target, node.iter, [*left, negated(node.ifs[place])], node.is_async), f"filter {place + 1} negated"
    if isinstance(node, ast.Raise | ast.AugAssign | ast.Delete) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass(), "statement removed"
    elif isinstance(node, ast.Break | ast.Continue):
        yield (ast.Continue() if isinstance(node, ast.Break) else ast.Break()), "break/continue swapped"


def constants(node: ast.Constant) -> Iterator[tuple[ast.AST, str]]:
    """Another number, truth or word; sentences stay."""
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value), f"{not node.value} for {node.value}"
    elif isinstance(node.value, int):
        yield ast.Constant(node.value + 1), f"{node.value + 1} for {node.value}"
    elif isinstance(node.value, str) and not re.search(r"\s|[.:,]$", node.value):
        yield ast.Constant(f"x{node.value}"), f"another text for {node.value!r}"


def negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def mutants(node: ast.AST, where: str = "", at_import: bool = True) -> Iterator[Mutant]:
    """Every mutant of a tree, outermost first. `where` is the function or class, `at_import` that it runs when the module is read."""
    for name, value in ast.iter_fields(node):
        if name in NOT_MUTATED or isinstance(node, ast.JoinedStr):
            continue
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not skipped(child, node):
                inside = f"{where}.{child.name}".lstrip(".") if isinstance(child, ast.FunctionDef | ast.ClassDef) else where
                early = at_import and not isinstance(child, ast.FunctionDef)
                for other, words in changed(child):
                    yield mutant(node, name, place if isinstance(value, list) else None, child, other, (words, inside, early))
                yield from mutants(child, inside, early)


def mutant(parent: ast.AST, name: str, place: int | None, child: ast.AST, other: ast.AST, told: tuple[str, str, bool]) -> Mutant:
    def set_to(node: ast.AST) -> None:
        if place is None:
            setattr(parent, name, node)
        else:
            getattr(parent, name)[place] = node

    line = getattr(child, "lineno", None) or getattr(getattr(child, "target", None), "lineno", 0)
    if isinstance(other, ast.stmt | ast.expr):
        ast.copy_location(other, child)
    words, where, early = told
    return Mutant(line, f"{words}: {ast.unparse(child).splitlines()[0][:90]}", where, early, lambda: set_to(other), lambda: set_to(child))


def skipped(child: ast.AST, parent: ast.AST) -> bool:
    """Docstrings, imports, what only type checkers read, and the members of an enumeration."""
    if isinstance(child, ast.Import | ast.ImportFrom):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True
    if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
        return True
    return isinstance(parent, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in parent.bases) and isinstance(child, ast.Assign)


# --- putting a mutant into the running program ---


def install(module: types.ModuleType, tree: ast.Module) -> None:
    """Give the functions of a module, in place, the code of this tree, and everybody who holds one of its values the new value."""
    fresh: dict[str, Any] = {"__name__": module.__name__, "__package__": module.__package__, "__file__": module.__file__}
    exec(compile(ast.fix_missing_locations(tree), str(module.__file__), "exec"), fresh)
    for name, new in fresh.items():
        if name.startswith("__") or name not in vars(module):
            continue
        replace(vars(module)[name], new, module)


def replace(old: Any, new: Any, module: types.ModuleType) -> None:
    if isinstance(new, type):
        if new.__module__ == module.__name__ and not issubclass(new, Enum):
            replace_class(old, new, module)
    elif transplant(old, new, module):
        return
    elif not callable(new) and not isinstance(new, types.ModuleType) and old != new:
        for other in list(sys.modules.values()):
            for name, value in list(vars(other).items()) if (getattr(other, "__name__", "") or "").startswith("changemgmt") else []:
                if value is old:
                    setattr(other, name, new)


def replace_class(old: type, new: type, module: types.ModuleType) -> None:
    for name, value in vars(new).items():
        was = vars(old).get(name)
        if isinstance(value, property):
            transplant(was.fget, value.fget, module)
        elif isinstance(value, types.FunctionType) and not transplant(was, value, module) and name == "__init__":
            setattr(old, name, value)


def transplant(old: Any, new: Any, module: types.ModuleType) -> bool:
    """Whether these are functions of the module; the old one then runs the new one's code, whoever imported it."""
    old, new = unwrapped(old), unwrapped(new)
    if not isinstance(new, types.FunctionType) or not isinstance(old, types.FunctionType) or new.__code__.co_filename != module.__file__:
        return False
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    return True


def unwrapped(function: Any) -> Any:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function
