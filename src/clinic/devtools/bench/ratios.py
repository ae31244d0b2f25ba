"""The ratios that `clinic bench` measures: what is compared with what, and their goals."""

from collections.abc import Mapping

from clinic.devtools.bench.figures import AT_LEAST, AT_MOST, Goal, RatioOf

_UNITS = {"10k": "10 thousand", "100k": "100 thousand", "1m": "1 million", "10m": "10 million"}

#: part → its ratios; those that depend on the sizes are added by `ratios_of`
FIXED: Mapping[str, Mapping[str, RatioOf]] = {
    "booking": {
        "booking_full_of_floor": RatioOf(
            "booking_full",
            "booking_floor",
            Goal(AT_LEAST, 0.26),
            "bookings over HTTP with everything on, of the statement alone",
        ),
        "booking_bare_of_floor": RatioOf(
            "booking_bare",
            "booking_floor",
            Goal(AT_LEAST, 0.36),
            "bookings by the bare handler, of the statement alone",
        ),
        "booking_full_of_bare_server_cpu": RatioOf(
            "booking_full_server_cpu",
            "booking_bare_server_cpu",
            Goal(AT_MOST, 1.5),
            "the server's processor time for a booking, full of bare",
        ),
    },
    "yardstick": {
        "booking_full_of_yardstick": RatioOf(
            "booking_beside_yardstick",
            "booking_yardstick",
            Goal(AT_LEAST, 9),
            "bookings with everything on, of an ordinary application's",
        ),
    },
    "types": {
        "booking_two_slots_of_floor": RatioOf(
            "booking_two_slots",
            "booking_beside_types_floor",
            Goal(AT_LEAST, 0.23),
            "bookings of two slots over HTTP, of the statement for one slot alone",
        ),
        "booking_two_slots_of_one": RatioOf(
            "booking_two_slots",
            "booking_one_slot",
            Goal(AT_LEAST, 0.88),
            "bookings of two slots, of those of one",
        ),
        "listing_of_type_of_listing": RatioOf(
            "listing_of_type_time",
            "listing_time",
            Goal(AT_MOST, 1.5),
            "time to list where a type of two slots fits, of listing all free slots",
        ),
    },
    "rooms": {
        "booking_with_room_of_floor": RatioOf(
            "booking_with_room",
            "booking_beside_rooms_floor",
            Goal(AT_LEAST, 0.1),
            "bookings over HTTP of a type that needs a room, of the statement for one without",
        ),
    },
    "reads": {
        "slots_full_of_bare": RatioOf(
            "read_slots_full",
            "read_slots_bare",
            Goal(AT_LEAST, 0.6),
            "a doctor's open slots for 14 days, of the bare handler",
        ),
        "slots_again_of_bare": RatioOf(
            "read_slots_again",
            "read_slots_bare",
            None,
            "the same slots asked for again, of the bare handler's first time",
        ),
        "slots_cached_of_bare": RatioOf(
            "read_slots_unchanged",
            "read_slots_bare",
            Goal(AT_LEAST, 5),
            "slots that the client has already (304), of the bare handler",
        ),
        "day_full_of_bare": RatioOf(
            "read_day_full",
            "read_day_bare",
            Goal(AT_LEAST, 0.6),
            "30 appointments of a day, of the bare handler",
        ),
    },
    "graphql": {
        "graphql_30_of_rest_time": RatioOf(
            "graphql_30", "rest_30", None, "time of 30 appointments by GraphQL, of REST"
        ),
        "graphql_1000_of_rest_time": RatioOf(
            "graphql_1000", "rest_1000", None, "time of 1,000 appointments by GraphQL, of REST"
        ),
    },
    "listing": {
        "listing_of_antijoin_db_time": RatioOf(
            "listing_db_time",
            "antijoin_db_time",
            Goal(AT_MOST, 0.25),
            "database time of a 14-day listing, of the anti-join's",
        ),
    },
    "flash": {
        "flash_2000_of_yardstick_time": RatioOf(
            "flash_2000_on_200",
            "flash_2000_on_200_yardstick",
            Goal(AT_MOST, 0.25),
            "time of 2,000 patients for 200 slots, of the ordinary application's",
        ),
    },
    "opening": {
        "copy_of_raw_copy": RatioOf(
            "opening",
            "raw_copy",
            Goal(AT_LEAST, 0.5),
            "slots opened a second, of COPY of the same rows",
        ),
    },
    "calendars": {
        "closing_day_of_update_time": RatioOf(
            "closing_day",
            "closing_day_update",
            Goal(AT_MOST, 3.5),
            "time to close a day for all doctors, of one UPDATE of the slots",
        ),
        "align_of_raw_copy": RatioOf(
            "aligning",
            "aligning_copy",
            Goal(AT_LEAST, 0.5),
            "slots opened a second beside closures, of COPY of the same rows",
        ),
    },
    "startup": {},
}
#: the sizes that ratios are published for
PUBLISHED_SIZES = ("1m", "10m")


def ratios_of(small: str, large: str) -> dict[str, dict[str, RatioOf]]:
    """Return each part's ratios; those that compare sizes have the sizes in their names."""
    scale = {
        f"first_open_{large}_of_{small}": RatioOf(
            f"first_open_{large}",
            f"first_open_{small}",
            Goal(AT_MOST, 1.2),
            f"database time of the first open slots at {_UNITS[large]}, of {_UNITS[small]}",
        ),
        f"listing_{large}_of_10k": RatioOf(
            f"listing_{large}",
            "listing_10k",
            Goal(AT_MOST, 1.3),
            f"database time of a listing at {_UNITS[large]}, of 10 thousand",
        ),
        f"one_booking_{large}_of_10k": RatioOf(
            f"one_booking_{large}",
            "one_booking_10k",
            Goal(AT_MOST, 1.3),
            f"database time of a booking at {_UNITS[large]}, of 10 thousand",
        ),
    }
    published = "first_open_10m_of_1m"
    if published not in scale:
        # Never measured under that name for other sizes; the part gives the reason.
        unmeasured = RatioOf("first_open_10m", "first_open_1m", Goal(AT_MOST, 1.2), "not quickly")
        scale[published] = unmeasured
    return {**{part: dict(ratios) for part, ratios in FIXED.items()}, "scale": scale}
