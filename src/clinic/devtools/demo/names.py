"""Names for made-up people, none of them real; every email address is reserved for examples."""

from collections.abc import Iterator
from itertools import islice

# fmt: off
FIRST_NAMES = (
    "Amara", "Benedek", "Chiara", "Dariusz", "Elif", "Farouk", "Greta", "Haruka", "Imani",
    "Jonas", "Katya", "Lucía", "Mateo", "Noor", "Oskar", "Priya", "Quentin", "Rosa",
    "Samuel", "Tamsin", "Uriel", "Valeria", "Wanjiru", "Yusuf", "Zofia",
)
LAST_NAMES = (
    "Abernathy", "Blomqvist", "Castellanos", "Delacroix", "Eriksen", "Fontaine",
    "Gallagher", "Hashimoto", "Ivanova", "Janssens", "Kowalczyk", "Lindqvist", "Mbeki",
    "Novak", "Okonkwo", "Pemberton", "Quintero", "Rasmussen", "Sorokin", "Takahashi",
    "Underhill", "Vasquez", "Whitlock", "Yamamoto", "Zielinski",
)
# fmt: on

PATIENTS = 250


def patient_names() -> Iterator[tuple[str, str]]:
    """Yield PATIENTS different full names, each with a different email address."""
    # A step that shares no factor with the number of last names visits all of them.
    pairs = (
        (first, LAST_NAMES[(i * 7 + round_ * 3) % len(LAST_NAMES)])
        for round_ in range(len(LAST_NAMES))
        for i, first in enumerate(FIRST_NAMES)
    )
    for number, (first, last) in enumerate(islice(pairs, PATIENTS), start=1):
        yield f"{first} {last}", f"patient{number:03}@example.org"
