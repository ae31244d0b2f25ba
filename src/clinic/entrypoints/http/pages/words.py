"""The words of the pages behind message links, in each language."""

from datetime import datetime
from zoneinfo import ZoneInfo

from clinic.domain.messaging.date_words import DATE_WORDS, zone_name

_SECONDS_TOLD_MAX = 120

WORDS = {
    "en": {
        "confirm": "Will you come to this appointment?",
        "confirm_button": "Yes, I will come",
        "confirm_done": "Thank you. Your appointment is confirmed.",
        "cancel": "Cancel this appointment?",
        "cancel_button": "Cancel the appointment",
        "cancel_done": "Your appointment is cancelled.",
        "move": "Move this appointment",
        "move_line": "Choose another time. You keep your current time until you do.",
        "move_none": "No other time is free at the moment. Please call the clinic.",
        "move_done": "Your appointment has moved. A message with the new time is on its way.",
        "move_taken": "Sorry, that time is no longer free.",
        "unsubscribe": "Stop these messages?",
        "unsubscribe_line": "You will still hear about bookings, changes and cancellations.",
        "unsubscribe_button": "Stop them",
        "unsubscribe_done": "These messages have stopped.",
        "email_verification": "Is this your email address?",
        "email_verification_line": "You followed the link that we sent to it.",
        "email_verification_button": "Yes, this is my address",
        "email_verification_done": "Thank you. Your email address is confirmed.",
        "email_verification_invalid": "This link is not valid, or no longer works: perhaps your"
        " address is already confirmed, or has changed. Sign in to check or to ask for a new link.",
        "password_reset": "Choose a new password",
        "password_reset_line": "8 characters or more. You will be signed out everywhere.",
        "password_reset_label": "New password",
        "password_reset_button": "Set the password",
        "password_reset_done": "Your new password is set. You can sign in with it now.",
        "password_reset_invalid": "This link is not valid, or no longer works. It can be used once,"
        " and only for a short time. Ask for a new one where you sign in.",
        "failed": "This did not work",
        "away": "We cannot do this right now",
        "away_line": "Nothing was changed. Please open the link again in a few minutes.",
        "unknown": "We do not know whether this worked",
        "unknown_line": "Please open the link again: it shows whether it was done.",
        "limited": "That was too often",
        "limited_line": "Please wait {wait}, then try again.",
        "wait_second": "a second",
        "wait_seconds": "{number} seconds",
        "wait_minutes": "{number} minutes",
        "signed_out": "You are not signed in",
        "signed_out_line": "Please sign in, then open this page again.",
        "forged": "This form is out of date",
        "forged_line": "Nothing was changed. Please open the page again and send its form.",
        "denied": "This page is not open to you",
        "denied_line": "If you should be able to use it, please ask the clinic.",
        "impossible": "This is not possible",
        "impossible_line": "Nothing was changed. Please open the page again: it shows what is"
        " possible.",
        "no_page": "There is no such page",
        "no_page_line": "Please use the link in the latest message.",
        "not_understood": "This page was not opened as it should be",
        "not_understood_line": "Please use the link in the latest message.",
        "broken": "Something went wrong",
        "broken_line": "The fault is ours. If it happens again, please call the clinic and tell"
        " them this number: {request_id}.",
        "invalid": "This link is not valid, or no longer works. Use the one in the latest message,"
        " or call the clinic.",
        "confirmed": "This appointment is already confirmed",
        "confirmed_line": "We look forward to seeing you. There is nothing more to do.",
        "cancelled": "This appointment was cancelled",
        "cancelled_line": "It will not take place. There is nothing more to do.",
        "moved": "This appointment was moved",
        "moved_line": "The time above is the new one. To change it, use the link in the latest"
        " message, or call the clinic.",
        "late": "It is too late to change this here",
        "late_line": "Your appointment is too soon. Please call the clinic.",
        "over": "This appointment can no longer be changed",
        "over_line": "If something is wrong, please call the clinic.",
        "call_button": "Call",
        "book": "Book another appointment",
        "password_refused": "Choose another password of 8 to 128 characters, one that is hard to"
        " guess and not the old one.",
        "index": "Clinic",
        "index_line": "This is a clinic's appointment service. Other applications use it; you"
        " cannot book anything on this page.",
        "index_patients": "If you have an appointment, use the links in our messages, or call your"
        " clinic.",
        "index_home": "Go to the clinic's website",
        "index_technical": "For developers and operators",
        "index_schema": "API documentation",
        "index_openapi": "OpenAPI 3.1 document",
        "index_live": "Liveness check",
        "index_ready": "Readiness check",
        "index_mailbox": "The demo's mailbox",
        "invitation": "Choose a password",
        "invitation_line": "8 characters or more. You will sign in with it.",
        "invitation_label": "Password",
        "invitation_button": "Set the password",
        "invitation_done": "Your password is set. You can sign in with it now.",
        "invitation_invalid": "This link is not valid, or no longer works. Ask the clinic for a new"
        " one.",
    },
    "de": {
        "confirm": "Kommen Sie zu diesem Termin?",
        "confirm_button": "Ja, ich komme",
        "confirm_done": "Danke. Ihr Termin ist bestätigt.",
        "cancel": "Diesen Termin absagen?",
        "cancel_button": "Termin absagen",
        "cancel_done": "Ihr Termin ist abgesagt.",
        "move": "Diesen Termin verschieben",
        "move_line": "Wählen Sie eine andere Zeit. Bis dahin behalten Sie die jetzige.",
        "move_none": "Im Augenblick ist keine andere Zeit frei. Bitte rufen Sie an.",
        "move_done": "Ihr Termin ist verschoben. Eine Nachricht mit der neuen Zeit ist unterwegs.",
        "move_taken": "Diese Zeit ist leider nicht mehr frei.",
        "unsubscribe": "Diese Nachrichten abbestellen?",
        "unsubscribe_line": "Von Buchungen, Änderungen und Absagen hören Sie weiterhin.",
        "unsubscribe_button": "Abbestellen",
        "unsubscribe_done": "Diese Nachrichten sind abbestellt.",
        "email_verification": "Ist das Ihre E-Mail-Adresse?",
        "email_verification_line": "Sie haben den Link geöffnet, den wir dorthin geschickt haben.",
        "email_verification_button": "Ja, das ist meine Adresse",
        "email_verification_done": "Danke. Ihre E-Mail-Adresse ist bestätigt.",
        "email_verification_invalid": "Dieser Link ist ungültig oder gilt nicht mehr: Vielleicht"
        " ist Ihre Adresse schon bestätigt oder hat sich geändert. Melden Sie sich an, um"
        " nachzusehen oder einen neuen Link anzufordern.",
        "password_reset": "Neues Passwort wählen",
        "password_reset_line": "8 Zeichen oder mehr. Sie werden überall abgemeldet.",
        "password_reset_label": "Neues Passwort",
        "password_reset_button": "Passwort festlegen",
        "password_reset_done": "Ihr neues Passwort ist festgelegt. Sie können sich damit anmelden.",
        "password_reset_invalid": "Dieser Link ist ungültig oder gilt nicht mehr. Er lässt sich nur"
        " einmal und nur kurze Zeit benutzen. Fordern Sie bei der Anmeldung einen neuen an.",
        "failed": "Das hat nicht geklappt",
        "away": "Das geht im Moment nicht",
        "away_line": "Es wurde nichts geändert. Bitte öffnen Sie den Link in ein paar Minuten noch"
        " einmal.",
        "unknown": "Wir wissen nicht, ob das geklappt hat",
        "unknown_line": "Bitte öffnen Sie den Link noch einmal: Er zeigt, ob es geschehen ist.",
        "limited": "Das war zu oft",
        "limited_line": "Bitte warten Sie {wait} und versuchen Sie es dann noch einmal.",
        "wait_second": "eine Sekunde",
        "wait_seconds": "{number} Sekunden",
        "wait_minutes": "{number} Minuten",
        "signed_out": "Sie sind nicht angemeldet",
        "signed_out_line": "Bitte melden Sie sich an und öffnen Sie diese Seite dann noch einmal.",
        "forged": "Dieses Formular ist veraltet",
        "forged_line": "Es wurde nichts geändert. Bitte öffnen Sie die Seite neu und senden Sie das"
        " Formular noch einmal ab.",
        "denied": "Diese Seite ist nicht für Sie freigegeben",
        "denied_line": "Wenn Sie sie benutzen dürfen sollten, fragen Sie bitte in der Praxis nach.",
        "impossible": "Das ist nicht möglich",
        "impossible_line": "Es wurde nichts geändert. Bitte öffnen Sie die Seite neu: Sie zeigt,"
        " was möglich ist.",
        "no_page": "Diese Seite gibt es nicht",
        "no_page_line": "Bitte nehmen Sie den Link aus der neuesten Nachricht.",
        "not_understood": "Diese Seite wurde nicht richtig aufgerufen",
        "not_understood_line": "Bitte nehmen Sie den Link aus der neuesten Nachricht.",
        "broken": "Etwas ist schiefgegangen",
        "broken_line": "Der Fehler liegt bei uns. Wenn er noch einmal auftritt, rufen Sie bitte an"
        " und nennen Sie diese Nummer: {request_id}.",
        "invalid": "Dieser Link ist ungültig oder gilt nicht mehr. Nehmen Sie den aus der neuesten"
        " Nachricht oder rufen Sie an.",
        "confirmed": "Dieser Termin ist schon bestätigt",
        "confirmed_line": "Wir erwarten Sie. Es ist nichts weiter zu tun.",
        "cancelled": "Dieser Termin wurde abgesagt",
        "cancelled_line": "Er findet nicht statt. Es ist nichts weiter zu tun.",
        "moved": "Dieser Termin wurde verschoben",
        "moved_line": "Oben steht die neue Zeit. Um sie zu ändern, nehmen Sie den Link aus der"
        " neuesten Nachricht oder rufen Sie an.",
        "late": "Hier lässt sich das nicht mehr ändern",
        "late_line": "Ihr Termin ist schon zu bald. Bitte rufen Sie an.",
        "over": "Dieser Termin lässt sich nicht mehr ändern",
        "over_line": "Wenn etwas nicht stimmt, rufen Sie bitte an.",
        "call_button": "Anrufen",
        "book": "Einen anderen Termin buchen",
        "password_refused": "Bitte wählen Sie ein anderes Passwort: 8 bis 128 Zeichen, nicht leicht"
        " zu erraten und nicht das alte.",
        "index": "Clinic",
        "index_line": "Das ist der Termindienst einer Praxis. Andere Anwendungen benutzen ihn; auf"
        " dieser Seite lässt sich nichts buchen.",
        "index_patients": "Wenn Sie einen Termin haben, benutzen Sie die Links in unseren"
        " Nachrichten oder rufen Sie Ihre Praxis an.",
        "index_home": "Zur Website der Praxis",
        "index_technical": "Für Entwicklung und Betrieb",
        "index_schema": "API-Dokumentation",
        "index_openapi": "OpenAPI-3.1-Dokument",
        "index_live": "Liveness-Prüfung",
        "index_ready": "Readiness-Prüfung",
        "index_mailbox": "Das Postfach der Demo",
        "invitation": "Passwort wählen",
        "invitation_line": "8 Zeichen oder mehr. Damit melden Sie sich künftig an.",
        "invitation_label": "Passwort",
        "invitation_button": "Passwort festlegen",
        "invitation_done": "Ihr Passwort ist festgelegt. Sie können sich damit anmelden.",
        "invitation_invalid": "Dieser Link ist ungültig oder gilt nicht mehr. Bitten Sie die Praxis"
        " um einen neuen.",
    },
}


def words_in(language: str) -> dict[str, str]:
    """Return the words of a language, English where there are none."""
    return WORDS.get(language, WORDS["en"])


def wait_words(seconds: int, language: str) -> str:
    """Return how long to wait, in minutes where it is more than two."""
    words = words_in(language)
    if seconds <= 1:
        return words["wait_second"]
    if seconds <= _SECONDS_TOLD_MAX:
        return words["wait_seconds"].format(number=seconds)
    return words["wait_minutes"].format(number=-(-seconds // 60))


def times(
    starts_at: datetime, ends_at: datetime, zone: ZoneInfo, language: str
) -> tuple[str, str, str]:
    """Return day, times and zone as the language writes them, English where it has no words."""
    written = DATE_WORDS.get(language, DATE_WORDS["en"])
    return (
        written.date(starts_at, zone),
        written.times(starts_at, ends_at, zone),
        zone_name(starts_at, zone),
    )
