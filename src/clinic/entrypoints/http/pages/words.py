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
        "move_taken": "Sorry, this time was just taken. Go back and choose another one.",
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
        "call": "If you need help, please call the clinic.",
        "invalid": "This link is not valid, or no longer. Take the one in the latest message, or"
        " call the clinic.",
        "outdated": "This link belongs to an earlier time of the appointment. Take the one in the"
        " latest message, or call the clinic.",
        "late": "It is too late to change this here. Please call the clinic.",
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
        "move_taken": "Diese Zeit wurde gerade vergeben. Gehen Sie zurück und wählen Sie eine"
        " andere.",
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
        "call": "Wenn Sie Hilfe brauchen, rufen Sie bitte an.",
        "invalid": "Dieser Link gilt nicht oder nicht mehr. Nehmen Sie den aus der neuesten"
        " Nachricht, oder rufen Sie an.",
        "outdated": "Dieser Link gehört zu einer früheren Zeit des Termins. Nehmen Sie den aus der"
        " neuesten Nachricht, oder rufen Sie an.",
        "late": "Dafür ist es hier zu spät. Bitte rufen Sie an.",
    },
}


def times(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> tuple[str, str, str]:
    """Return day, times and zone, written so that every language reads them alike."""
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    offset = start.strftime("%z")
    return (
        start.strftime("%Y-%m-%d"),
        f"{start:%H:%M} – {end:%H:%M}",
        f"{zone.key}, UTC{offset[:3]}:{offset[3:]}",
    )
