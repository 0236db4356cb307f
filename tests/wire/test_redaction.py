"""Secrets are blanked in every form that a server may echo them in, and words are left alone."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuvo_async.wire.redaction import Redactor

SECRET = "CANARY+ab/cd==\"<&>'ü"


def escaped(form: str) -> str:
    """The secret with all but its letters written in that form."""
    return "".join(
        one if one.isalpha() and one.isascii() else form.format(ord(one)) for one in SECRET
    )


FORMS = {
    "as it is": SECRET,
    "JSON": json.dumps(SECRET),
    "JSON of other kinds": json.dumps(SECRET).replace("/", "\\/").replace("+", "\\u002B"),
    "JSON in JSON": json.dumps(json.dumps(SECRET)),
    "HTML": html.escape(SECRET),
    "HTML by numbers": escaped("&#{:d};"),
    "HTML by numbers with zeros": escaped("&#{:06d};"),
    "HTML by hexadecimal numbers": escaped("&#x{:X};"),
    "JSON by numbers": escaped("\\\\u{:04x}"),
    "URL": quote(SECRET, safe=""),
    "path of a URL": quote(SECRET),
    "URL in a URL": quote(quote(SECRET, safe=""), safe=""),
    "HTML by names": html.escape(SECRET).replace("&#x27;", "&apos;").replace("+", "&plus;"),
    "URL in lower case": quote(SECRET, safe="").lower(),
    "lower case": SECRET.lower(),
}


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    for secret in secrets:
        made.add(secret)
    return made


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_a_secret_is_blanked(form):
    blanked = redactor(SECRET).blank(f"key {form} is unknown")
    assert "canary" not in blanked.lower()
    assert "[secret]" in blanked


def test_the_longer_of_two_secrets_is_blanked_whole():
    assert redactor("canary", "canary-2").blank("canary-2, canary") == "[secret], [secret]"


@pytest.mark.parametrize("word", ["", " ", "e", "token", "test"])
def test_a_word_is_no_secret(word):
    text = "test: the token has expired"
    assert redactor(word).blank(text) == text


@given(
    st.text("ab", max_size=30),
    st.integers(0, 12),
    st.integers(1, 60),
    st.text("ab", max_size=30),
    st.booleans(),
)
def test_no_half_of_a_secret_is_left_by_shortening(before, times, length, after, cut):
    text = before + "S3CRET" * times + ("S3C" if cut else after)
    shown = redactor("S3CRET").excerpt(text, length, cut=cut)
    assert len(shown) <= length or shown == text
    assert not {"S", "3", "C", "R", "E", "T"} & set(shown)


@pytest.mark.parametrize("text", ["\\" * 40_000, "&#" + "0" * 40_000, "%" * 40_000, "S3" * 20_000])
def test_a_text_made_to_keep_the_search_busy_does_not(text):
    """Each place is looked at a bounded number of times; without a bound this takes minutes."""
    assert redactor("S3CRET" * 100).excerpt(text, 500)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("before", range(0, 120, 30))
def test_no_half_of_an_escaped_secret_is_left_by_shortening(form, before):
    text = "-" * before + form * 30
    for cut in (text, text[: len(text) // 2]):
        assert "can" not in redactor(SECRET).excerpt(cut, 100, cut=cut != text).lower()


def test_a_client_that_lives_long_knows_its_key_and_its_latest_tokens():
    secrets = ["licence-key", *(f"token-{n:04d}" for n in range(1000))]
    made = redactor(*secrets)
    assert made.blank("licence-key token-0999 token-0995") == "[secret] [secret] [secret]"
    assert made.blank("token-0001") == "token-0001"


@pytest.mark.parametrize("secret", ["\\" * 8 + "canary", "can\\ary", "canary\\"])
def test_backslashes_in_a_secret_are_no_trap(secret):
    shown = json.dumps({"key": secret, "run": "\\" * 5000})
    assert "can" not in redactor(secret).blank(f"{secret} {shown} {json.dumps(shown)}")


def test_a_secret_is_blanked_without_what_pads_its_base64():
    assert redactor("Y2FuYXJ5IGNhbmFyeQ==").blank("key Y2FuYXJ5IGNhbmFyeQ!") == "key [secret]!"
