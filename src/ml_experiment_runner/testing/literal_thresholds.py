"""Finds scores that are compared with a literal number.

0.5 is allowed in the method `predict` of an estimator: it chooses the likelier of two classes, as
scikit-learn's estimators do, and takes no decision.
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
    "thresholds are learned for a target at every training: set the target in conf/threshold "
    "(threshold=precision threshold.target=0.8) and read the threshold from the record, "
    "load_run(…).metrics['threshold'], or from the model's metadata"
)
TRIVIAL = (-1, 0, 1)  # an empty sum, or the bound of a probability
LIKELIER = 0.5  # of two classes, in an estimator's predict


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Line numbers and code of comparisons between a score and a number."""
    tree = ast.parse(source)
    in_predict = set(_in_predict(tree))
    for node in ast.walk(tree):
        allowed = (*TRIVIAL, LIKELIER) if node in in_predict else TRIVIAL
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(_is_score, sides)) and any(_is_number(side, allowed) for side in sides):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # polars, pandas and numpy have methods that compare
            if node.func.attr in ("gt", "ge", "lt", "le"):
                scored = _is_score(node.func.value)
            else:
                names = ("greater", "greater_equal", "less", "less_equal")
                scored = node.func.attr in names and any(map(_is_score, node.args))
            if scored and any(_is_number(argument, allowed) for argument in node.args):
                yield node.lineno, ast.unparse(node)


def _in_predict(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes within methods `predict`."""
    for node in ast.walk(tree):
        for method in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(method, ast.FunctionDef) and method.name == "predict":
                yield from ast.walk(method)


def _is_score(node: ast.expr) -> bool:
    """Whether an expression is a score, by its name."""
    if isinstance(node, ast.NamedExpr):
        return _is_score(node.target) or _is_score(node.value)
    if isinstance(node, ast.Subscript):
        return _is_score(node.value) or _is_score(node.slice)
    if isinstance(node, ast.Name):
        return bool(SCORES.search(node.id.lower()))
    if isinstance(node, ast.Attribute):
        is_metadata = node.attr in ("shape", "size", "ndim", "columns")
        return bool(SCORES.search(node.attr.lower())) or (not is_metadata and _is_score(node.value))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(SCORES.search(node.value.lower()))
    if isinstance(node, ast.Call):
        return _gives_score(node)
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        operands = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
        return any(map(_is_score, operands))
    return False


def _gives_score(call: ast.Call) -> bool:
    """Whether a call returns scores: of a model, a column of that name, or converted ones."""
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in ("col", "get"):
        return any(map(_is_score, call.args))
    conversions = ("to_numpy", "reshape", "ravel", "flatten", "astype")
    return call.func.attr in GIVES_SCORES or (
        call.func.attr in conversions and _is_score(call.func.value)
    )


def _is_number(node: ast.expr, allowed: tuple[float, ...]) -> bool:
    """Whether an expression is a literal number, other than the allowed ones."""
    try:
        value = ast.literal_eval(node)
    except (TypeError, ValueError):
        return False
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in allowed


def keys(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Keys of a configuration whose name means a threshold and whose value is a number."""
    if isinstance(node, dict):
        for key, value in node.items():
            place = f"{path}{key}"
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and KEYS.search(str(key).lower()):
                yield place, value
            yield from keys(value, f"{place}.")
