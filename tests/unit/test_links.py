"""Signed links: what they say, what they fall with, and that those sent before hold."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.errors import InvitationInvalid, LinkInvalid, OfferInvalid
from clinic.domain.links import Link, LinkSigner, Purpose, claimed
from clinic.domain.messaging.account_links import (
    account_token,
    bound_to,
    check_invitation,
    invited_user,
    read_account_link,
)
from clinic.domain.people.memberships import MembershipOffer, offer_named, offer_token
from clinic.domain.people.people import Role

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def a_link(**changes) -> Link:
    link = Link(Purpose.CANCEL, uuid4(), uuid4(), 3, datetime(2026, 4, 1, tzinfo=UTC))
    return replace(link, **changes)


@pytest.mark.parametrize("issued_by", [None, UUID(int=0), UUID(int=9)])
def test_link_is_read_as_it_was_signed(issued_by) -> None:
    signer, link = LinkSigner("s" * 32), a_link(issued_by=issued_by)

    assert signer.read(signer.sign(link), now=NOW) == link


#: as earlier releases signed them for `a_link`, bound to "x"
SENT_BEFORE = {
    Purpose.CONFIRM: (
        "AQAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAA5CSx9ikZM5KTA3sCGukjeQ"
    ),
    Purpose.CANCEL: (
        "AgAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAAeKZnWOoQCbn-kYy9TqgFLw"
    ),
    Purpose.MOVE: (
        "AwAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAA-oTe4lldg_pWtrjZzTE9EQ"
    ),
    Purpose.UNSUBSCRIBE: (
        "BAAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAAZX0_qXWn0PSTNVzkpSwuhA"
    ),
    Purpose.EMAIL_VERIFICATION: (
        "BQAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAADOmTpmG3hx8CWsf9iZlq2w"
    ),
    Purpose.PASSWORD_RESET: (
        "BgAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAAdCwBH0h4A_wZ3qN43E27uA"
    ),
}
RESET_WITH_ISSUER = (
    "hgAAAAAAAAAAAAAAAAAAAAUAAAAAAAAAAAAAAAAAAAAHAAAAAwAAAABpzGAA"
    "AAAAAAAAAAAAAAAAAAAACdcWqS4M7zvmfMHKaaF74h8"
)
#: of user 7, until `a_link` ends: bound to no password alone, and to the address at version 2 as
#: well; the last names its issuer and is bound to a password
INVITED = "AAAAAAAAAAAAAAAAAAAABwAAAABpzGAA.u4VrIbRmZtU3wTL7GE1h8brTp22kwdaViZpeeVCR_yo"
INVITED_AT_ADDRESS = "AAAAAAAAAAAAAAAAAAAABwAAAABpzGAA.JytNZ7WGh5Tku3UUsSLi_WG4D7Wz-2arQ2RfXl0t1nM"
INVITED_BY_9 = (
    "AAAAAAAAAAAAAAAAAAAABwAAAABpzGAAAAAAAAAAAAAAAAAAAAAACQ"
    ".ZXELTKMdOEtHG9GmW3jUt1SIWu0NNk4kp5qkfV11cJE"
)
OFFERED = "AAAAAAAAAAAAAAAAAAAABQAAAAAAAAAAAAAAAAAAAAg.wNGT2uy88CUdUIzAuCZAsInY3s5KVPOD7Ga510LKNCA"
SECRET = "s" * 32


@pytest.mark.parametrize("purpose", SENT_BEFORE)
def test_links_sent_before_hold_and_are_signed_alike(purpose) -> None:
    link = a_link(purpose=purpose, clinic_id=UUID(int=5), subject_id=UUID(int=7))
    signer = LinkSigner(SECRET)

    assert signer.read(SENT_BEFORE[purpose], now=NOW, bound_to="x") == link
    assert signer.sign(link, bound_to="x") == SENT_BEFORE[purpose]


def test_reset_sent_before_with_its_issuer_holds() -> None:
    link = LinkSigner(SECRET).read(RESET_WITH_ISSUER, now=NOW, bound_to="x")

    assert (link.purpose, link.issued_by) == (Purpose.PASSWORD_RESET, UUID(int=9))


@pytest.mark.parametrize(
    ("token", "account", "issued_by"),
    [
        (INVITED, {"link_version": 0}, None),
        (INVITED_AT_ADDRESS, {}, None),
        (INVITED_BY_9, {"email": "ada@example.org", "password_hash": "hash"}, UUID(int=9)),
    ],
)
def test_invitations_sent_before_hold_for_the_account_as_it_was(token, account, issued_by) -> None:
    account = an_account(**account)
    changes = {"password_hash": "x", "email": "x@example.org", "link_version": 1}
    if token is INVITED:
        # The earliest were not bound to the address.
        del changes["email"]

    assert invited_user(token) == UUID(int=7)
    assert check_invitation(token, SECRET, **account, now=NOW) == issued_by
    for name, value in changes.items():
        with pytest.raises(InvitationInvalid):
            check_invitation(token, SECRET, **{**account, name: value}, now=NOW)
    with pytest.raises(InvitationInvalid):
        check_invitation(token, SECRET, **account, now=datetime(2026, 4, 1, tzinfo=UTC))
    with pytest.raises(InvitationInvalid):
        check_invitation(token, "t" * 32, **account, now=NOW)


def test_offers_sent_before_hold_for_their_address() -> None:
    assert offer_named(OFFERED, SECRET, "ada@example.org ") == (UUID(int=5), UUID(int=8))
    for token, secret, email in (
        (OFFERED, SECRET, "x@example.org"),
        (OFFERED, "t" * 32, "ada@example.org"),
        (INVITED, SECRET, "ada@example.org"),
        (OFFERED[:-1], SECRET, "ada@example.org"),
        ("é.x", SECRET, "ada@example.org"),
    ):
        with pytest.raises(OfferInvalid):
            offer_named(token, secret, email)


def an_offer(**changes) -> MembershipOffer:
    until = datetime(2026, 4, 1, tzinfo=UTC)
    offer = MembershipOffer(UUID(int=5), UUID(int=8), Role.PATIENT, None, UUID(int=9), NOW, until)
    return replace(offer, **changes)


def test_offer_is_for_one_address_and_its_row_says_how_long() -> None:
    token = offer_token(SECRET, an_offer(expires_at=NOW - timedelta(days=1)), " Ada@Example.org")

    assert offer_named(token, SECRET, "ada@example.org") == (UUID(int=5), UUID(int=8))
    with pytest.raises(OfferInvalid):
        offer_named(token, SECRET, "x@example.org")


@pytest.mark.parametrize("purpose", set(Purpose) - {Purpose.INVITATION})
def test_link_for_something_else_invites_nobody(purpose) -> None:
    link = a_link(purpose=purpose, version=2)
    token = LinkSigner(SECRET).sign(link, bound_to="a@example.org\n")

    with pytest.raises(InvitationInvalid):
        check_invitation(token, SECRET, **an_account(), now=NOW)


@pytest.mark.parametrize("purpose", set(Purpose) - {Purpose.MEMBERSHIP_OFFER})
def test_link_for_something_else_offers_nothing(purpose) -> None:
    token = LinkSigner(SECRET).sign(a_link(purpose=purpose), bound_to="a@example.org")

    with pytest.raises(OfferInvalid):
        offer_named(token, SECRET, "a@example.org")


def an_account(**changes):
    account = {"password_hash": None, "email": "a@example.org", "link_version": 2}
    return {**account, "unbound_link_version": 0, **changes}


@pytest.mark.parametrize("issued_by", [None, UUID(int=0), UUID(int=9)])
def test_invitation_names_who_issued_it(issued_by) -> None:
    user, account = uuid4(), an_account()
    link = a_link(purpose=Purpose.INVITATION, subject_id=user, version=2, issued_by=issued_by)
    bound = {name: account[name] for name in ("password_hash", "email")}

    token = account_token(LinkSigner(SECRET), link, **bound)

    assert re.fullmatch(r"[\w-]+", token)
    assert invited_user(token) == user
    assert check_invitation(token, SECRET, **account, now=NOW) == issued_by
    other = account_token(LinkSigner(SECRET), replace(link, issued_by=uuid4()), **bound)
    for forged in (other[:60] + token[60:], token[:60] + other[60:], token + "AAAA", token[:-2]):
        if forged not in (token, other):
            with pytest.raises(InvitationInvalid):
                check_invitation(forged, SECRET, **account, now=NOW)
    changes = {"password_hash": "x", "email": "x@example.org", "link_version": 3}
    for name, value in changes.items():
        with pytest.raises(InvitationInvalid):
            check_invitation(token, SECRET, **{**account, name: value}, now=NOW)


def test_link_bound_to_something_falls_with_it() -> None:
    signer, link = LinkSigner("s" * 32), a_link()
    token = signer.sign(link, bound_to="as it is")

    assert signer.read(token, now=NOW, bound_to="as it is") == claimed(token) == link
    for other in ("", "as it was"):
        with pytest.raises(LinkInvalid):
            signer.read(token, now=NOW, bound_to=other)


@given(
    email=st.emails(),
    password_hash=st.none() | st.text(max_size=20),
    link_version=st.integers(0, 2**31 - 1),
    data=st.data(),
)
def test_link_of_account_mail_falls_with_all_it_is_about(
    email, password_hash, link_version, data
) -> None:
    signer = LinkSigner("s" * 32)
    account = {"email": email, "password_hash": password_hash, "link_version": link_version}
    purpose = data.draw(st.sampled_from([Purpose.EMAIL_VERIFICATION, Purpose.PASSWORD_RESET]))
    bound = bound_to(purpose, email=email, password_hash=password_hash)
    link = a_link(purpose=purpose, version=link_version)
    token = signer.sign(link, bound_to=bound)
    binding = ["email", "link_version"]
    if purpose is Purpose.PASSWORD_RESET:
        binding.append("password_hash")
    others = {
        "email": f"x{email}",
        "link_version": link_version + 1,
        "password_hash": "another one",
    }
    changed = data.draw(st.sampled_from(binding))

    assert read_account_link(signer, token, purpose, **account, now=NOW) == link
    with pytest.raises(LinkInvalid):
        read_account_link(signer, token, purpose, **{**account, changed: others[changed]}, now=NOW)
    (other,) = {Purpose.EMAIL_VERIFICATION, Purpose.PASSWORD_RESET} - {purpose}
    to_cancel = signer.sign(a_link(version=link_version), bound_to=bound)
    for foreign, asked in ((token, other), (to_cancel, purpose)):
        with pytest.raises(LinkInvalid):
            read_account_link(signer, foreign, asked, **account, now=NOW)


def test_link_of_another_service_or_past_its_time_is_refused() -> None:
    token = LinkSigner("s" * 32).sign(a_link())

    with pytest.raises(LinkInvalid):
        LinkSigner("t" * 32).read(token, now=NOW)
    with pytest.raises(LinkInvalid):
        LinkSigner("s" * 32).read(token, now=datetime(2026, 4, 1, tzinfo=UTC))


@given(st.data())
def test_link_with_any_character_changed_is_refused(data) -> None:
    token = LinkSigner("s" * 32).sign(a_link())
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda char: char != token[place]))

    with pytest.raises(LinkInvalid):
        LinkSigner("s" * 32).read(token[:place] + other + token[place + 1 :], now=NOW)


@given(st.text(max_size=200))
def test_text_that_is_no_link_is_refused(text) -> None:
    with pytest.raises(LinkInvalid):
        LinkSigner("s" * 32).read(text, now=NOW)
