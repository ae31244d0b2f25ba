"""Limits on what one document may ask for, checked before anything runs."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import graphql as g

TOKENS_MAX = 1000
DEPTH_MAX = 6
ALIASES_MAX = 10
COST_MAX = 10_000
#: what a root field costs besides its result: a database query
ROOT_COST = 100
#: rows counted for a list with `first`, by default and when a variable holds it; and for a list
#: without `first`
FIRST_DEFAULT, FIRST_MAX, LIST_ROWS = 20, 100, 500
_FIRST_RANGE = f"first is from 1 to {FIRST_MAX}."
_HIDDEN = frozenset({"__schema", "__type"})


class LimitExceeded(g.GraphQLError):
    """A document exceeds one of the limits; its code says which."""

    def __init__(self, code: str, message: str, node: g.Node | None = None) -> None:
        super().__init__(message, node)
        self.code = code


class Asks(NamedTuple):
    """The most that a document asks for, whatever `@skip` and `@include` leave out."""

    #: number of mutations, each counted under its response name
    changes: int
    #: variables that hold the number of rows of a page
    page_sizes: frozenset[str]


class Size(NamedTuple):
    depth: int = 0
    cost: int = 0


def check_limits(
    schema: g.GraphQLSchema,
    document: g.DocumentNode,
    operation: g.OperationDefinitionNode,
    *,
    introspection: bool,
) -> Asks:
    """Return what a valid document asks for. Raises LimitExceeded if that is too much.

    A field costs one for each object it is read from. A list with `first` counts as that many
    objects, a root list without it as LIST_ROWS. What `@skip` leaves out counts, too.
    """
    measure = _Measure(schema, document)
    root = schema.get_root_type(operation.operation)
    assert root is not None
    size = measure.selections(operation.selection_set, root, is_root=True)
    if len(measure.aliased) > ALIASES_MAX:
        raise LimitExceeded(
            "too_many_aliases", f"At most {ALIASES_MAX} aliases are allowed.", measure.aliased[-1]
        )
    if measure.hidden and not introspection:
        raise LimitExceeded(
            "introspection_off", "Introspection is switched off.", measure.hidden[0]
        )
    if size.depth > DEPTH_MAX:
        raise LimitExceeded(
            "too_deep", f"Fields may nest {DEPTH_MAX} deep, not {size.depth}.", operation
        )
    if size.cost > COST_MAX:
        raise LimitExceeded(
            "too_costly",
            f"This costs {size.cost:,} and may cost {COST_MAX:,}: ask for fewer rows or fields.",
            operation,
        )
    is_mutation = operation.operation is g.OperationType.MUTATION
    return Asks(len(measure.root_names) if is_mutation else 0, frozenset(measure.page_sizes))


def check_page_sizes(asks: Asks, values: Mapping[str, object]) -> None:
    """Raise LimitExceeded for variables whose values are not valid page sizes."""
    for name in asks.page_sizes:
        value = values.get(name)
        if isinstance(value, int) and not 1 <= value <= FIRST_MAX:
            raise LimitExceeded("invalid_variables", f"Variable '${name}': {_FIRST_RANGE}")


class _Measure:
    """Measures selections; each fragment is measured once, however often it is spread."""

    def __init__(self, schema: g.GraphQLSchema, document: g.DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            each.name.value: each
            for each in document.definitions
            if isinstance(each, g.FragmentDefinitionNode)
        }
        self._known: dict[str, Size] = {}
        self.aliased: list[g.FieldNode] = []
        self.hidden: list[g.FieldNode] = []
        #: the response names of root fields; fields with the same name are executed once
        self.root_names: set[str] = set()
        self.page_sizes: set[str] = set()

    def selections(
        self, selections: g.SelectionSetNode, parent: g.GraphQLNamedType, *, is_root: bool = False
    ) -> Size:
        return _sum(self._size(node, parent, is_root) for node in selections.selections)

    def _size(self, node: g.SelectionNode, parent: g.GraphQLNamedType, is_root: bool) -> Size:
        if isinstance(node, g.FieldNode):
            return self._field(node, parent, is_root)
        if isinstance(node, g.InlineFragmentNode):
            condition = node.type_condition
            inner = self._schema.type_map[condition.name.value] if condition else parent
            return self.selections(node.selection_set, inner, is_root=is_root)
        assert isinstance(node, g.FragmentSpreadNode)
        name = node.name.value
        if name not in self._known:
            fragment = self._fragments[name]
            inner = self._schema.type_map[fragment.type_condition.name.value]
            self._known[name] = self.selections(fragment.selection_set, inner, is_root=is_root)
        return self._known[name]

    def _field(self, node: g.FieldNode, parent: g.GraphQLNamedType, is_root: bool) -> Size:
        if node.alias is not None:
            self.aliased.append(node)
        if node.name.value in _HIDDEN:
            # These read the schema, not the clinic's data.
            self.hidden.append(node)
            return Size(1, ROOT_COST)
        fields: dict[str, g.GraphQLField] = getattr(parent, "fields", {})
        field = fields.get(node.name.value)
        if field is None:  # __typename
            return Size(1, 1)
        own = 1 + ROOT_COST * is_root
        if is_root:
            self.root_names.add((node.alias or node.name).value)
        if node.selection_set is None:
            return Size(1, own)
        inside = self.selections(node.selection_set, g.get_named_type(field.type))
        return Size(1 + inside.depth, own + self._rows(field, node, is_root) * inside.cost)

    def _rows(self, field: g.GraphQLField, node: g.FieldNode, is_root: bool) -> int:
        """Return how many objects are read for this field at most. Raises LimitExceeded."""
        if "first" not in field.args:
            # A nested list is part of what was counted already, or short, such as a list of errors.
            is_list = g.is_list_type(g.get_nullable_type(field.type))
            return LIST_ROWS if is_root and is_list else 1
        value: Any = next(
            (each.value for each in node.arguments or () if each.name.value == "first"), None
        )
        if value is None or isinstance(value, g.NullValueNode):
            return FIRST_DEFAULT
        if isinstance(value, g.VariableNode):
            self.page_sizes.add(value.name.value)
            return FIRST_MAX
        rows = int(value.value)
        if not 1 <= rows <= FIRST_MAX:
            raise LimitExceeded("invalid_document", _FIRST_RANGE, value)
        return rows


def _sum(sizes: Iterable[Size]) -> Size:
    depth, cost = 0, 0
    for size in sizes:
        depth, cost = max(depth, size.depth), cost + size.cost
    return Size(depth, cost)
