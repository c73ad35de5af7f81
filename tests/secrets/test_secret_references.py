"""A secret as a reference: what it is equal to, how it travels, and where it is found outside."""

from __future__ import annotations

import pickle

import pytest

import coflux as cf
from coflux import values
from coflux.agent.masking import Masks, Secrets
from coflux.model import Question


def test_a_secret_is_its_name_IN_7() -> None:
    secret = cf.Secret("API_KEY")
    assert secret == cf.Secret("API_KEY") != cf.Secret("OTHER")
    assert pickle.loads(pickle.dumps(secret)) == secret
    assert repr(secret) == "Secret('API_KEY')"
    for wrong in ("", "1a", "a b", "x" * 101):
        with pytest.raises(ValueError, match="a secret's name"):
            cf.Secret(wrong)


def test_a_value_holds_the_name_and_its_key_is_that_of_the_name_CA_3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = []
    for content in ("one", "two"):
        monkeypatch.setenv("API_KEY", content)
        value = values.encode([cf.Secret("API_KEY")], blobs=None)
        keys.append(value.key)
        assert b"API_KEY" in (value.data or b"")
        assert content.encode() not in (value.data or b"")
    assert keys[0] == keys[1] is not None
    decoded = values.decode(value, blobs=None, make_secret=cf.Secret)
    assert decoded == [cf.Secret("API_KEY")]


def test_outside_an_execution_it_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "hush")
    assert cf.Secret("API_KEY").get() == "hush"
    with pytest.raises(cf.NotFound, match="set the variable NOTHING"):
        cf.Secret("NOTHING").get()


def test_every_usual_form_of_the_content_is_hidden() -> None:
    masks = Masks()
    masks.add("A", 'say "hi"\n')
    masks.add("B", "a&b/c")
    assert masks.text('say "hi"') == "***"
    assert masks.text(repr('say "hi"\n')) == "'***'"
    assert masks.text('{"x": "say \\"hi\\""}') == '{"x": "***"}'
    assert masks.text("https://x/?q=a%26b%2Fc") == "https://x/?q=***"
    masks.add("C", "ab")
    assert masks.text("able") == "able"


def test_questions_to_people_do_not_tell_it_IN_7() -> None:
    masks = Masks()
    masks.add("KEY", "open sesame")
    asked = masks.question(
        Question("Is it {x}?", "Is it open sesame?", title="open sesame", initial='"open sesame"')
    )
    assert (asked.message, asked.title, asked.initial) == ("Is it ***?", "***", '"***"')
    assert (asked.template, asked.schema) == ("Is it {x}?", None)


def test_a_secret_within_another_does_not_uncover_the_rest() -> None:
    secrets = Secrets({}, {"SHORT": "hidden", "LONG": "hidden-more"})
    assert [secrets.find(name) for name in ("SHORT", "LONG")] == ["hidden", "hidden-more"]
    assert secrets.masks.text("hidden-more") == "***"
