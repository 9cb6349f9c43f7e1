"""Finds scores that are compared with a number that somebody wrote down.

One number is no threshold: 0.5 in the method `predict` of an estimator, which names the likelier of
two classes, as scikit-learn's own do. No decision is taken there.
"""

import ast
import re
from collections.abc import Iterator

SCORES = re.compile(
    r"(^|_)(scores?|prob(a|s|as|ability|abilities)?|chances?|confidences?|likelihoods?)($|_)"
)
GIVES_SCORES = {"predict_proba", "decision_function"}
KEYS = re.compile(r"(^|_)(thresholds?|cut_?offs?)($|_)")
ADVICE = (
    "a threshold is learned for a target at every training: say the target in conf/threshold "
    "(threshold=precision threshold.target=0.8) and take the value from the record, "
    "load_run(…).metrics['threshold'], or from the model's metadata"
)
TRIVIAL = (-1, 0, 1)  # an empty sum or the bound of a probability is no threshold
LIKELIER = 0.5  # in an estimator's predict: the likelier of two classes


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Lines and texts of comparisons between a score and a number in Python source."""
    tree = ast.parse(source)
    in_predict = set(_in_predict(tree))
    for node in ast.walk(tree):
        allowed = (*TRIVIAL, LIKELIER) if node in in_predict else TRIVIAL
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(_is_score, sides)) and any(_is_number(side, allowed) for side in sides):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # polars, pandas and numpy compare by name as well
            if node.func.attr in ("gt", "ge", "lt", "le"):
                scored = _is_score(node.func.value)
            else:
                names = ("greater", "greater_equal", "less", "less_equal")
                scored = node.func.attr in names and any(map(_is_score, node.args))
            if scored and any(_is_number(argument, allowed) for argument in node.args):
                yield node.lineno, ast.unparse(node)


def _in_predict(tree: ast.AST) -> Iterator[ast.AST]:
    """What stands in the method `predict` of a class."""
    for node in ast.walk(tree):
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(method, ast.FunctionDef) and method.name == "predict":
                yield from ast.walk(method)


def _is_score(node: ast.expr) -> bool:
    """Whether a name, a call or a text says that this is a score."""
    if isinstance(node, ast.NamedExpr):
        return _is_score(node.target) or _is_score(node.value)
    if isinstance(node, ast.Subscript):
        return _is_score(node.value) or _is_score(node.slice)
    if isinstance(node, ast.Name):
        return bool(SCORES.search(node.id.lower()))
    if isinstance(node, ast.Attribute):
        about = node.attr in ("shape", "size", "ndim", "columns")
        return bool(SCORES.search(node.attr.lower())) or (not about and _is_score(node.value))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(SCORES.search(node.value.lower()))
    if isinstance(node, ast.Call):
        return _gives_score(node)
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        parts = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
        return any(map(_is_score, parts))
    return False


def _gives_score(call: ast.Call) -> bool:
    """Whether what a call gives is a score: a model's, a column of that name, or a changed one."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in ("col", "get"):
        return any(map(_is_score, call.args))
    changes = ("to_numpy", "reshape", "ravel", "flatten", "astype")
    return call.func.attr in GIVES_SCORES or (
        call.func.attr in changes and _is_score(call.func.value)
    )


def _is_number(node: ast.expr, allowed: tuple[float, ...]) -> bool:
    """Whether this is a number that somebody wrote down, other than the allowed ones."""
    try:
        value = ast.literal_eval(node)
    except (TypeError, ValueError):
        return False
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in allowed


def keys(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Keys of a configuration that hold a number where a threshold is meant."""
    if isinstance(node, dict):
        for key, value in node.items():
            place = f"{path}{key}"
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and KEYS.search(str(key).lower()):
                yield place, value
            yield from keys(value, f"{place}.")
