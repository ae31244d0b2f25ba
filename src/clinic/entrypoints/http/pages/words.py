"""The words of the pages behind message links, in each language."""

from datetime import datetime
from zoneinfo import ZoneInfo

WORDS = {
    "en": {
        "confirm": "Will you come to this appointment?",
        "confirm_button": "Yes, I will come",
        "confirm_done": "Thank you. Your appointment is confirmed.",
        "cancel": "Cancel this appointment?",
        "cancel_button": "Cancel the appointment",
        "cancel_done": "Your appointment is cancelled.",
        "move": "Move this appointment",
        "move_line": "Choose another time. The present one holds until you do.",
        "move_none": "No other time is free at the moment. Please call the clinic.",
        "move_done": "Your appointment has moved. A message with the new time is on its way.",
        "move_taken": "Sorry, this time is no longer free.",
        "unsubscribe": "Stop these messages?",
        "unsubscribe_line": "You still hear of bookings, changes and cancellations.",
        "unsubscribe_button": "Stop them",
        "unsubscribe_done": "These messages have stopped.",
        "email_verification": "Is this your email address?",
        "email_verification_line": "You came here by the link that we sent to it.",
        "email_verification_button": "Yes, this is my address",
        "email_verification_done": "Thank you. Your email address is confirmed.",
        "email_verification_invalid": "This link is not valid, or no longer: perhaps your address"
        " is confirmed already, or has changed. Sign in to see, and to ask for a new link.",
        "password_reset": "Choose a new password",
        "password_reset_line": "8 characters or more. You will be signed out everywhere.",
        "password_reset_label": "New password",
        "password_reset_button": "Set the password",
        "password_reset_done": "Your new password is set. You can sign in with it now.",
        "password_reset_invalid": "This link is not valid, or no longer. It works once, for a short"
        " time. Ask for a new one where you sign in.",
        "failed": "This did not work",
        "invalid": "This link is not valid, or no longer. Take the one in the latest message, or"
        " call the clinic.",
        "confirmed": "This appointment is already confirmed",
        "confirmed_line": "We expect you. There is nothing more to do.",
        "cancelled": "This appointment was cancelled",
        "cancelled_line": "It does not take place. There is nothing more to do.",
        "moved": "This appointment was moved",
        "moved_line": "The time above is the new one. To change it, take the link in the latest"
        " message, or call the clinic.",
        "late": "It is too late to change this here",
        "late_line": "The appointment is too near. Please call the clinic.",
        "over": "This appointment can no longer be changed",
        "over_line": "If something is wrong, please call the clinic.",
        "call_button": "Call",
        "book": "Book another appointment",
        "password_refused": "Choose another password of 8 to 128 characters, one that is hard to"
        " guess and not the old one.",
        "index": "Clinic",
        "index_line": "This is the appointment service of a clinic. Applications use it; there is"
        " nothing to book on this page.",
        "index_patients": "If you have an appointment, use the links in the messages you got, or"
        " call your clinic.",
        "index_home": "To the clinic's website",
        "index_technical": "For developers and operators",
        "index_schema": "Documentation of the interface",
        "index_openapi": "The interface as OpenAPI 3.1",
        "index_live": "Is the process alive?",
        "index_ready": "Is it ready for requests?",
        "index_mailbox": "The demo's mailbox",
        "invitation": "Choose a password",
        "invitation_line": "8 characters or more. With it the account is yours.",
        "invitation_label": "Password",
        "invitation_button": "Set the password",
        "invitation_done": "Your password is set. You can sign in with it now.",
        "invitation_invalid": "This link is not valid, or no longer. Ask the clinic for a new one.",
    },
    "de": {
        "confirm": "Kommen Sie zu diesem Termin?",
        "confirm_button": "Ja, ich komme",
        "confirm_done": "Danke. Ihr Termin ist bestätigt.",
        "cancel": "Diesen Termin absagen?",
        "cancel_button": "Termin absagen",
        "cancel_done": "Ihr Termin ist abgesagt.",
        "move": "Diesen Termin verschieben",
        "move_line": "Wählen Sie eine andere Zeit. Bis dahin gilt die jetzige.",
        "move_none": "Im Augenblick ist keine andere Zeit frei. Bitte rufen Sie an.",
        "move_done": "Ihr Termin ist verschoben. Eine Nachricht mit der neuen Zeit ist unterwegs.",
        "move_taken": "Diese Zeit ist leider nicht mehr frei.",
        "unsubscribe": "Diese Nachrichten abbestellen?",
        "unsubscribe_line": "Von Buchungen, Änderungen und Absagen hören Sie weiterhin.",
        "unsubscribe_button": "Abbestellen",
        "unsubscribe_done": "Diese Nachrichten sind abbestellt.",
        "email_verification": "Ist das Ihre E-Mail-Adresse?",
        "email_verification_line": "Sie kommen über den Link, den wir dorthin geschickt haben.",
        "email_verification_button": "Ja, das ist meine Adresse",
        "email_verification_done": "Danke. Ihre E-Mail-Adresse ist bestätigt.",
        "email_verification_invalid": "Dieser Link gilt nicht oder nicht mehr: vielleicht ist Ihre"
        " Adresse schon bestätigt oder hat sich geändert. Melden Sie sich an, um nachzusehen oder"
        " einen neuen Link zu verlangen.",
        "password_reset": "Neues Passwort wählen",
        "password_reset_line": "8 Zeichen oder mehr. Sie werden überall abgemeldet.",
        "password_reset_label": "Neues Passwort",
        "password_reset_button": "Passwort setzen",
        "password_reset_done": "Ihr neues Passwort ist gesetzt. Sie können sich damit anmelden.",
        "password_reset_invalid": "Dieser Link gilt nicht oder nicht mehr. Er gilt einmal und nur"
        " kurze Zeit. Verlangen Sie dort, wo Sie sich anmelden, einen neuen.",
        "failed": "Das hat nicht geklappt",
        "invalid": "Dieser Link gilt nicht oder nicht mehr. Nehmen Sie den aus der neuesten"
        " Nachricht, oder rufen Sie an.",
        "confirmed": "Dieser Termin ist schon bestätigt",
        "confirmed_line": "Wir erwarten Sie. Es ist nichts weiter zu tun.",
        "cancelled": "Dieser Termin wurde abgesagt",
        "cancelled_line": "Er findet nicht statt. Es ist nichts weiter zu tun.",
        "moved": "Dieser Termin wurde verschoben",
        "moved_line": "Oben steht die neue Zeit. Um sie zu ändern, nehmen Sie den Link aus der"
        " neuesten Nachricht, oder rufen Sie an.",
        "late": "Dafür ist es hier zu spät",
        "late_line": "Der Termin ist schon zu nah. Bitte rufen Sie an.",
        "over": "Dieser Termin lässt sich nicht mehr ändern",
        "over_line": "Wenn etwas nicht stimmt, rufen Sie bitte an.",
        "call_button": "Anrufen",
        "book": "Einen anderen Termin buchen",
        "password_refused": "Bitte wählen Sie ein anderes Passwort: 8 bis 128 Zeichen, nicht leicht"
        " zu erraten und nicht das alte.",
        "index": "Clinic",
        "index_line": "Das ist der Termindienst einer Praxis. Anwendungen benutzen ihn; auf"
        " dieser Seite lässt sich nichts buchen.",
        "index_patients": "Wenn Sie einen Termin haben, benutzen Sie die Links in Ihren"
        " Nachrichten, oder rufen Sie Ihre Praxis an.",
        "index_home": "Zur Website der Praxis",
        "index_technical": "Für Entwicklung und Betrieb",
        "index_schema": "Beschreibung der Schnittstelle",
        "index_openapi": "Die Schnittstelle als OpenAPI 3.1",
        "index_live": "Läuft der Prozess?",
        "index_ready": "Ist er bereit?",
        "index_mailbox": "Das Postfach der Demo",
        "invitation": "Passwort wählen",
        "invitation_line": "8 Zeichen oder mehr. Damit gehört das Konto Ihnen.",
        "invitation_label": "Passwort",
        "invitation_button": "Passwort setzen",
        "invitation_done": "Ihr Passwort ist gesetzt. Sie können sich damit anmelden.",
        "invitation_invalid": "Dieser Link gilt nicht oder nicht mehr. Bitten Sie die Praxis um"
        " einen neuen.",
    },
}


def words_in(language: str) -> dict[str, str]:
    """Return the words of a language, English where there are none."""
    return WORDS.get(language, WORDS["en"])


def times(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> tuple[str, str, str]:
    """Return day, times and zone, written so that every language reads them alike."""
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    offset = start.strftime("%z")
    return (
        start.strftime("%Y-%m-%d"),
        f"{start:%H:%M} – {end:%H:%M}",
        f"{zone.key}, UTC{offset[:3]}:{offset[3:]}",
    )
