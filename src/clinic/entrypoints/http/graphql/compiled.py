"""Plain GraphQL queries compiled to closures, for any schema of graphql-core.

A plain query is validated and has only fields, aliases, arguments, variables, nested objects and
lists, and `__typename`. A plan answers only if nothing goes wrong. An error, a null in a non-null
place, or a value that its type refuses raises NotPlain, and the caller lets graphql-core run the
query again: so errors, paths and null propagation are implemented once.
"""

from asyncio import gather
from collections.abc import Callable, Iterable
from inspect import isawaitable
from operator import attrgetter, contains
from typing import Any, TypeAlias

import graphql as g
from graphql.execution.values import VariableValues, get_argument_values

#: the arguments of each resolver of the document; and the values still awaited, with their places
Run: TypeAlias = tuple[list[tuple[Any, dict[str, Any]]], list[Any]]
Complete: TypeAlias = Callable[[Any, Run], Any]
#: key, attribute or resolver, completion; then types written as they are, or the resolver's place
Field: TypeAlias = tuple[str, Any, Complete, Any]

_AS_IS = {"ID": str, "String": str, "Boolean": bool, "Int": int}
_INT_MAX, _SHAPES_MAX = 2**31 - 1, 64


class NotPlain(Exception):
    """graphql-core must answer: this document is not plain, or its answer is not."""


class Plan:
    """A compiled query; the constructor raises NotPlain for what cannot be compiled. `attribute_of`
    returns the attribute that a field merely reads, or None for a field with a resolver."""

    def __init__(
        self,
        schema: g.GraphQLSchema,
        operation: g.OperationDefinitionNode,
        attribute_of: Callable[[g.GraphQLField], str | None],
    ) -> None:
        self._schema, self._operation, self._attribute_of = schema, operation, attribute_of
        self._calls: list[tuple[g.GraphQLObjectType, g.GraphQLField, list[g.FieldNode]]] = []
        if operation.operation.value != "query" or operation.directives or not schema.query_type:
            raise NotPlain
        self._complete = self._object(schema.query_type, [operation.selection_set])

    async def execute(self, variables: VariableValues, context: Any) -> dict[str, Any]:
        """Return the data, whole and without errors. Raises NotPlain."""
        run: Run = [], []
        given, awaited = run
        try:
            for parent, field, nodes in self._calls:
                # No path and no helpers: a resolver that reads them fails, so it is not plain.
                what: Any = nodes[0].name.value, nodes, field.type, parent, None, self._schema, {}
                how: Any = None, self._operation, variables, context, isawaitable, None, None
                arguments = get_argument_values(field, nodes[0], variables)
                given.append((g.GraphQLResolveInfo(*what, *how), arguments))
            data: dict[str, Any] = self._complete(None, run)
            while batch := awaited[:]:
                awaited.clear()
                # If one fails, the others end before graphql-core runs. A single one needs no task.
                due = [each[0] for each in batch]
                values = await gather(*due, return_exceptions=True) if due[1:] else [await due[0]]
                for (_, out, key, complete), value in zip(batch, values, strict=True):
                    out[key] = complete(value, run)
        except Exception as error:
            raise NotPlain from error
        finally:
            for abandoned, *_ in awaited:
                getattr(abandoned, "close", int)()
        return data

    def _object(
        self, parent: g.GraphQLObjectType, selections: Iterable[g.SelectionSetNode | None]
    ) -> Complete:
        grouped: dict[str, list[g.FieldNode]] = {}
        for node in (node for each in selections if each for node in each.selections):
            if not isinstance(node, g.FieldNode) or node.directives or parent.is_type_of:
                raise NotPlain
            grouped.setdefault((node.alias or node.name).value, []).append(node)
        blank: dict[str, Any] = dict.fromkeys(grouped)
        leaves, calls = list[Field](), list[Field]()
        for key, nodes in grouped.items():
            field = parent.fields.get(name := nodes[0].name.value)
            as_is = field and _AS_IS.get(str(g.get_nullable_type(field.type)))
            if name == "__typename":
                blank[key] = parent.name
            elif field is None or field.resolve is None:  # introspection; the resolver by default
                raise NotPlain
            elif as_is and (attribute := self._attribute_of(field)):
                leaves.append((key, attribute, self._value(field.type, nodes), (as_is, type(None))))
            else:
                complete = self._value(field.type, nodes)
                calls.append((key, field.resolve, complete, len(self._calls)))
                self._calls.append((parent, field, nodes))
        return _object(blank, leaves, calls)

    def _value(self, type_: g.GraphQLOutputType, nodes: list[g.FieldNode]) -> Complete:
        inner: Any = g.get_nullable_type(type_)
        is_list, is_object = g.is_list_type(inner), g.is_object_type(inner)
        if not (is_list or is_object or g.is_leaf_type(inner)):
            raise NotPlain
        item = self._value(inner.of_type, nodes) if is_list else None
        inside = self._object(inner, (n.selection_set for n in nodes)) if is_object else None

        def complete_value(value: Any, run: Run) -> Any:
            if value is None and inner is type_:
                return None
            if value is None or isinstance(value, BaseException):
                raise NotPlain
            if item and isinstance(value, list):
                return [item(each, run) for each in value]
            written = inside(value, run) if inside else inner.coerce_output_value(value)
            if written is None or written is g.Undefined:
                raise NotPlain
            return written

        return complete_value


def _object(blank: dict[str, Any], leaves: list[Field], calls: list[Field]) -> Complete:
    # Every object has a class: naming it twice makes this return a tuple, even without leaves.
    read = attrgetter(*(leaf[1] for leaf in leaves), "__class__", "__class__")
    keys, known = [leaf[0] for leaf in leaves], set[tuple[type, ...]]()
    ints = [at for at, leaf in enumerate(leaves) if int in leaf[3]]

    def complete_object(source: Any, run: Run) -> dict[str, Any]:
        out, values = blank.copy(), read(source)
        shape = tuple(map(type, values))
        plain = shape in known
        for at in ints:
            plain = plain and abs(values[at] or 0) <= _INT_MAX
        if plain:
            out.update(zip(keys, values))  # noqa: B905 - `read` gives two more than there are keys
        else:
            for (key, _, complete, _), value in zip(leaves, values, strict=False):
                out[key] = complete(value, run)
            if len(known) < _SHAPES_MAX and all(map(contains, (leaf[3] for leaf in leaves), shape)):
                known.add(shape)
        for key, resolve, complete, call in calls:
            value = resolve(source, run[0][call][0], **run[0][call][1])
            if isawaitable(value):
                run[1].append((value, out, key, complete))
            else:
                out[key] = complete(value, run)
        return out

    return complete_object
