"""WebSocket frames between agent and server, whichever way the network cuts them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.websocket import WebSocketProtocol13

from coflux import frames

LIMIT = 100_000
messages = st.lists(
    st.tuples(
        st.sampled_from([frames.BINARY, frames.TEXT]),
        st.one_of(st.binary(max_size=20), st.sampled_from([126, 65_535, 65_536]).map(bytes)),
    ),
    max_size=5,
)
masks = st.one_of(st.none(), st.just(frames.NO_MASK), st.binary(min_size=4, max_size=4))


def parse(data: bytes, cuts: list[int], *, are_masked: bool) -> list[tuple[int, bytes]]:
    parser = frames.Parser(are_masked=are_masked, limit=LIMIT)
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += parser.feed(data[begin:end])
    return found


@given(messages, masks, st.data())
def test_what_is_sent_arrives_however_it_is_cut(
    sent: list[tuple[int, bytes]], mask: bytes | None, data: st.DataObject
) -> None:
    stream = b"".join(frames.pack(opcode, content, mask) for opcode, content in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    assert parse(stream, cuts, are_masked=mask is not None) == sent


def test_parts_of_a_message_are_joined_and_control_frames_may_come_between() -> None:
    first = bytes([frames.BINARY, 2]) + b"ab"
    between = frames.pack(frames.PING, b"?")
    last = bytes([0x80 | frames.CONTINUATION, 1]) + b"c"
    found = parse(first + between + last, [], are_masked=False)
    assert found == [(frames.PING, b"?"), (frames.BINARY, b"abc")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes([0xC0 | frames.BINARY, 0]), frames.PROTOCOL_ERROR),
        (bytes([0x80 | frames.BINARY, 0x80]) + frames.NO_MASK, frames.PROTOCOL_ERROR),
        (bytes([0x80 | 3, 0]), frames.PROTOCOL_ERROR),
        (bytes([0x80 | 11, 0]), frames.PROTOCOL_ERROR),
        (bytes([frames.PING, 0]), frames.PROTOCOL_ERROR),
        (bytes([0x80 | frames.PING, 126, 0, 200]), frames.PROTOCOL_ERROR),
        (bytes([0x80 | frames.CONTINUATION, 0]), frames.PROTOCOL_ERROR),
        (bytes([frames.BINARY, 0, 0x80 | frames.BINARY, 0]), frames.PROTOCOL_ERROR),
        (bytes([0x80 | frames.BINARY, 127]) + struct.pack("!Q", LIMIT + 1), frames.TOO_BIG),
    ],
)
def test_what_is_malformed_is_said_before_its_content_has_come(data: bytes, code: int) -> None:
    """LI-1, with the close code that tells the peer."""
    with pytest.raises(frames.Malformed) as refused:
        parse(data, [], are_masked=False)
    assert refused.value.code == code


def test_a_reason_is_cut_between_characters() -> None:
    content = frames.closing(frames.POLICY_VIOLATION, "ä" * 100)
    assert content[:2] == struct.pack("!H", 1008)
    assert content[2:].decode() == "ä" * 61


def test_the_answer_to_a_handshake_is_the_one_that_others_expect() -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    assert frames.accepted(key) == WebSocketProtocol13.compute_accept_value(key)
