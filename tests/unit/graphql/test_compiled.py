"""The compiled execution against the stock one: the same results, byte for byte."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import graphql as g
import pytest
from graphql.execution.values import get_variable_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic.entrypoints.http.graphql.compiled import NotPlain, Plan

from .conftest import canonical, selections

SCHEMA = g.build_schema(
    """
    type Query { thing(n: Int, text: String = "x", on: Boolean): Thing things(n: Int!): [Thing]!
      sure: Thing! matrix: [[Int!]]! later: [Thing!] }
    type Thing { id: ID! name: String size: Int! small: Int flag: Boolean! ratio: Float kind: Kind
      tags: [String!] part: Thing parts: [Thing!]! lazy: Thing lazyName: String!
      echo(n: Int, w: In): String }
    enum Kind { A B }
    input In { a: Int = 3, b: [String!] }
    """
)

SCALARS: dict[str, Any] = {
    "id": ["t1", 7, None, "", object()],
    "name": ["Ada", None, 3, 1.5, True, ValueError("boom")],
    "size": [0, 2**31 - 1, -(2**31), 2**31, None, "12", "x", True, 3.0],
    "small": [1, None, 2**31],
    "flag": [True, False, None, 1, "x"],
    "ratio": [0.5, 1, None, float("nan"), "1.5"],
    "kind": ["A", "B", None, "C", 1],
    "tags": [[], ["a"], ["a", None], None, "text", ("a",), {"a": 1}, 7],
}


class Thing:
    """Attributes of every kind, valid and invalid."""

    kind: Any
    part: Any
    size: Any

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def _good(depth: int = 3) -> Thing:
    values = {name: kinds[0] for name, kinds in SCALARS.items()}
    inner = _good(depth - 1) if depth else None
    return Thing(**values, part=inner, parts=[inner] * 2 if inner else [])


things = st.recursive(
    st.builds(Thing, **{name: st.sampled_from(kinds) for name, kinds in SCALARS.items()})
    | st.builds(_good, st.just(1)),
    lambda inner: st.builds(
        Thing,
        **{name: st.sampled_from(kinds[:3]) for name, kinds in SCALARS.items()},
        part=inner | st.none(),
        parts=st.lists(inner | st.none(), max_size=3) | st.none() | inner,
    ),
    max_leaves=6,
)


def _read(name: str) -> Any:
    return lambda source, info, **_: getattr(source, name)


def _later(name: str) -> Any:
    async def resolve(source: Any, info: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        value = getattr(source, name)
        if isinstance(value, str) and value == "A":
            raise LookupError(value)
        return value

    return resolve


def _furnish() -> None:
    """Give every field of the schema a resolver, as in Strawberry's schemas."""
    thing, query = SCHEMA.type_map["Thing"], SCHEMA.query_type
    assert isinstance(thing, g.GraphQLObjectType)
    assert query is not None
    for name in (*SCALARS, "part", "parts"):
        thing.fields[name].resolve = _read(name)
    thing.fields["lazy"].resolve = _later("part")
    thing.fields["lazyName"].resolve = _later("kind")
    thing.fields["echo"].resolve = lambda source, info, **given: repr(sorted(given.items()))
    query.fields["thing"].resolve = lambda _, info, **given: info.context
    query.fields["sure"].resolve = lambda _, info: info.context
    query.fields["things"].resolve = lambda _, info, n: [info.context, None][:n] * (n % 3)
    query.fields["matrix"].resolve = lambda _, info: [[1, 2], None, []]

    async def later(_: Any, info: Any) -> list[Any]:
        await asyncio.sleep(0)
        return [info.context] * 2

    query.fields["later"].resolve = later


_furnish()


def attribute_of(field: g.GraphQLField) -> str | None:
    thing = SCHEMA.type_map["Thing"]
    assert isinstance(thing, g.GraphQLObjectType)
    return next((name for name in SCALARS if thing.fields[name] is field), None)


def _arguments(field: g.GraphQLField) -> list[str]:
    if "w" in field.args:
        return ["", "(n:1)", "(n:$n)", '(w:{b:["x",$s]})', "(w:$w n:null)", "(w:{a:$n})"]
    if "text" in field.args:
        return ["", "(n:2)", '(text:"y" n:$n)', "(text:$s on:true)", "(on:$b)", "(text:null)"]
    return ["(n:1)", "(n:2)", "(n:$m)"] if "n" in field.args else [""]


def documents() -> st.SearchStrategy[str]:
    head = 'query($n:Int $m:Int!=4 $s:String!="z" $b:Boolean $w:In)'
    assert SCHEMA.query_type is not None
    return selections(SCHEMA.query_type, 3, _arguments).map(lambda text: f"{head}{{{text}}}")


VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([None, 0, 7]),
        "m": st.sampled_from([0, 1, 5]),
        "s": st.sampled_from(["", "é"]),
        "b": st.sampled_from([None, True]),
        "w": st.sampled_from([None, {}, {"a": 1, "b": ["x"]}]),
    },
)
#: declared but unused variables are allowed here
RULES = [rule for rule in g.specified_rules if rule is not g.NoUnusedVariablesRule]


async def _stock(document: g.DocumentNode, variables: Any, source: Any) -> dict[str, Any]:
    result = g.execute(SCHEMA, document, variable_values=variables, context_value=source)
    settled = await result if asyncio.iscoroutine(result) else result
    formatted: dict[str, Any] = dict(settled.formatted)  # type: ignore[union-attr]
    return formatted


async def _compiled(
    document: g.DocumentNode, variables: Any, source: Any
) -> tuple[dict[str, Any], bool]:
    """Return the result as the handler does, and whether the plan produced it."""
    (operation,) = document.definitions
    assert isinstance(operation, g.OperationDefinitionNode)
    coerced = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    assert not isinstance(coerced, list)
    try:
        plan = Plan(SCHEMA, operation, attribute_of)
        # Twice, because the first run teaches the second which shapes are plain.
        await plan.execute(coerced, source)
        return {"data": await plan.execute(coerced, source)}, True
    except NotPlain:
        return await _stock(document, variables, source), False


@pytest.fixture
def _dropped_coroutines() -> Iterator[None]:
    """Collect coroutines that the stock execution dropped, before another test has to."""
    yield
    gc.collect()


def drops_coroutines(test: Callable[..., None]) -> Callable[..., None]:
    """Allow the stock execution to drop coroutines once a sibling has failed."""
    for mark in (
        pytest.mark.usefixtures("_dropped_coroutines"),
        pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    ):
        test = mark(test)
    return test


@drops_coroutines
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=documents(), variables=VARIABLES, source=things | st.builds(_good, st.just(2)))
def test_any_plain_document_gets_the_answer_of_the_stock_execution(
    text: str, variables: dict[str, Any], source: Thing
) -> None:
    document = g.parse(text)
    if g.validate(SCHEMA, document, RULES):
        return

    stock = asyncio.run(_stock(document, variables, source))
    ours, compiled = asyncio.run(_compiled(document, variables, source))

    assert canonical(ours) == canonical(stock)
    # The plan never produces a result with errors.
    if "errors" in stock:
        assert not compiled


@drops_coroutines
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=documents(), variables=VARIABLES)
def test_good_data_is_answered_by_the_plan_in_the_documents_order(
    text: str, variables: dict[str, Any]
) -> None:
    document = g.parse(text)
    if g.validate(SCHEMA, document, RULES):
        return
    source = _good(8)
    source.kind = "B"
    for each in _all(source):
        each.kind = "B"

    stock = asyncio.run(_stock(document, variables, source))
    ours, compiled = asyncio.run(_compiled(document, variables, source))

    if "errors" not in stock:
        assert compiled
        assert _ordered(ours) == _ordered(stock)


def _all(thing: Thing) -> list[Thing]:
    found, here = [], [thing]
    while here:
        one = here.pop()
        found.append(one)
        if getattr(one, "part", None) is not None:
            here.append(one.part)
    return found


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _ordered(inner)) for key, inner in value.items()]
    return [_ordered(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "text",
    [
        "query @skip(if:false){sure{id}}",
        "{sure @skip(if:false){id}}",
        "{sure{id @include(if:true)}}",
        "{...{sure{id}}}",
        "{...f} fragment f on Query{sure{id}}",
        "{sure{...on Thing{id}}}",
        "{__schema{types{name}}}",
        '{__type(name:"Thing"){name}}',
        "mutation{x}",
        "subscription{x}",
    ],
)
def test_document_that_is_not_plain_is_not_compiled(text: str) -> None:
    operation = g.parse(text).definitions[0]
    assert isinstance(operation, g.OperationDefinitionNode)

    with pytest.raises(NotPlain):
        Plan(SCHEMA, operation, attribute_of)


@pytest.mark.parametrize("kind", ["interface Any { id: ID! }", "union Any = Thing"])
def test_abstract_types_are_not_compiled(kind: str) -> None:
    schema = g.build_schema(f"type Query {{ any: Any }} type Thing {{ id: ID! }} {kind}")
    assert schema.query_type is not None
    schema.query_type.fields["any"].resolve = _read("x")
    operation = g.parse("{any{__typename}}").definitions[0]
    assert isinstance(operation, g.OperationDefinitionNode)

    with pytest.raises(NotPlain):
        Plan(schema, operation, attribute_of)


async def test_what_was_begun_is_not_left_behind() -> None:
    # A later field fails after an earlier one made a coroutine, which warns if it is abandoned.
    source = _good(1)
    source.size = None
    operation = g.parse("{later{id} sure{size}}").definitions[0]
    assert isinstance(operation, g.OperationDefinitionNode)
    nothing = get_variable_values(SCHEMA, (), {})
    assert not isinstance(nothing, list)

    with pytest.raises(NotPlain):
        await Plan(SCHEMA, operation, attribute_of).execute(nothing, source)
