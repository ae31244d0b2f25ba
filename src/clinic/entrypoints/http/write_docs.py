"""Writes docs/openapi.json and docs/errors.md, which tests compare with the code."""

import json
import sys
from pathlib import Path

from clinic.entrypoints.http.api.documentation import documented
from clinic.entrypoints.http.api.remedies import errors_page
from clinic.entrypoints.http.app import ENDPOINTS


def write_docs(folder: Path) -> None:
    """Write both files into `folder`."""
    document = json.dumps(documented(ENDPOINTS), indent=1, ensure_ascii=False)
    (folder / "openapi.json").write_text(document + "\n")
    (folder / "errors.md").write_text(errors_page())


if __name__ == "__main__":
    write_docs(Path(sys.argv[1]))
