"""Which schema the tables are in, for statements that may not depend on a search_path."""

from sqlalchemy import Connection, text


def quoted_schema(connection: Connection) -> str:
    """Return the schema's name as SQL writes it."""
    return str(connection.scalar(text("SELECT quote_ident(current_schema())")))
