"""The schema, and Strawberry's execution of documents that are already checked."""

from collections.abc import Iterator
from typing import Any

import graphql as g
import strawberry
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.tools import merge_types
from strawberry.types import ExecutionContext

from clinic.entrypoints.http.graphql.appointment_types import TypeMutation, TypeQuery
from clinic.entrypoints.http.graphql.calendar_mutations import CalendarMutation
from clinic.entrypoints.http.graphql.calendar_queries import CalendarQuery
from clinic.entrypoints.http.graphql.explanation import ExplanationQuery
from clinic.entrypoints.http.graphql.locations import LocationMutation, LocationQuery
from clinic.entrypoints.http.graphql.mutations import Mutation
from clinic.entrypoints.http.graphql.queries import Query
from clinic.entrypoints.http.graphql.resources import ResourceQuery
from clinic.entrypoints.http.graphql.types import SCALARS


class _Checked(SchemaExtension):
    """Uses the document of the context, which is parsed, validated and limited already."""

    def on_operation(self) -> Iterator[None]:
        execution = self.execution_context
        execution.graphql_document = execution.context.document
        execution.validation_rules = ()
        yield


class _Schema(strawberry.Schema):
    def process_errors(
        self, errors: list[g.GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing: messages may quote personal data, and the handler reports bugs."""


SCHEMA = _Schema(
    query=merge_types(
        "Query",
        (Query, TypeQuery, ResourceQuery, LocationQuery, CalendarQuery, ExplanationQuery),
    ),
    mutation=merge_types("Mutation", (Mutation, TypeMutation, LocationMutation, CalendarMutation)),
    extensions=[_Checked],
    config=StrawberryConfig(disable_field_suggestions=True, scalar_map=SCALARS),
)
#: the same schema for graphql-core
CORE: g.GraphQLSchema = SCHEMA._schema


def attribute_of(field: g.GraphQLField) -> str | None:
    """Return the attribute that a field merely reads, or None if it has a resolver."""
    known: Any = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    return known.python_name if known.is_basic_field else None
