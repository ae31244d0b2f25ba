"""Which passwords are accepted: long enough, not well known, not the person's own name."""

from clinic.domain.errors import PasswordRefused

PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS = 8, 128

#: the stems of the passwords guessed most often, without case; digits and punctuation around one
#: are ignored
_COMMON_STEMS = """
aaaaaaaa abcdefgh abcdefghi admin administrator alexander america anthony asdfasdf asdfghjk
asdfghjkl asdfqwer babygirl barcelona baseball basketball batman benjamin birthday blahblah
blink butterfly cameron caroline changeme charlie charlotte cheese chelsea chicken chocolate
christian christopher clinic clinics computer cookie corvette dallas danielle defaultpassword
demo diamond doctor dolphin donald dragon einstein elephant elizabeth enter facebook fernando
fktrcfylh florida flower football forever freedom friends fuckyou fuckyouall garfield gateway
george giants ginger gizmo google guest guitar hahaha hannah harley hello hellohello heather
hockey honda hospital hunter iloveyou iloveyouall internet jasmine jennifer jessica jonathan
jordan joshua juventus kevin killer leonardo letmein letmeinnow liverpool london lovelove loveme
lovely madison maggie manchester marina marlboro martin master matrix matthew maverick mercedes
merlin metallica michael michelle midnight mickey monkey monster motorola mustang myspace
natasha nicholas nicole nothing orange pass passport passw password passwordpassword patient
patrick peanut pepper phoenix playboy pokemon porsche princess purple qazwsx qazwsxedc qqqqqqqq
qwer qwert qwerty qwertyu qwertyui qwertyuiop qweasd qweasdzxc qweqwe qwerasdf rachel ranger
receptionist robert rockyou root samantha samsung scooter secret september shadow silver
slipknot snoopy soccer softball sparky spiderman spring starwars steelers stephanie summer
sunflower sunshine superman superstar surgery system tennis test tester testing testtest thomas
thunder tigger timosha tinkerbell trustno unicorn user vanessa victoria welcome whatever
whiteboy william winner winter yamaha yankees yellow zaqwsx zxcvbn zxcvbnm
"""
_COMMON_WHOLE = """
01234567 0123456789 00000000 11111111 11112222 11223344 12121212 12123434 12341234 12344321
12345678 123456789 1234567890 1234567891 12345679 123123123 123321123 123454321 147258369
1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2 1qaz2wsx3edc q1w2e3r4 q1w2e3r4t5 a1b2c3d4 abc12345
abcd1234 aa123456 a1234567 a12345678 a123456789 asdf1234 qwer1234 zaq12wsx zaq1zaq1 87654321
987654321 9876543210 88888888 99999999 66666666 77777777 55555555 44444444 33333333 22222222
p@ssw0rd p@ssword passw0rd pa55word pa$$word passw0rd1 trustno1 ncc1701d 0987654321 19841984
correcthorsebatterystaple
"""
_STEMS = frozenset(_COMMON_STEMS.split())
_WHOLE = frozenset(_COMMON_WHOLE.split())
_PADDING = "0123456789!@#$%^&*()_-+=?.,;:'\"/\\|<>[]{}~` "


def checked_password(password: str, *, email: str, name: str) -> str:
    """Return `password` as it was typed, including spaces.

    Raises PasswordRefused when it is too short or long, one of the common ones, or the person's
    email address or name.
    """
    if not PASSWORD_MIN_CHARS <= len(password) <= PASSWORD_MAX_CHARS:
        raise PasswordRefused(
            f"Choose a password of {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters.",
            pointer="/password",
        )
    plain = password.casefold()
    stem = plain.strip(_PADDING)
    if plain in _WHOLE or stem in _STEMS or len(set(plain)) <= 2:
        raise PasswordRefused(
            "This password is among the first that are guessed; choose another one.",
            pointer="/password",
        )
    own = {email.casefold(), email.casefold().partition("@")[0], name.casefold()}
    own |= {name.casefold().replace(" ", "")}
    if plain in own or stem in own:
        raise PasswordRefused(
            "The password must not be your name or email address.", pointer="/password"
        )
    return password
