"""MQTT packets (OASIS MQTT 3.1.1, sections 2.2 and 3), for clients and for guessers."""


def text(words: str) -> bytes:
    """A string with its length in front (section 1.5.3)."""
    return len(words).to_bytes(2, "big") + words.encode()


def packet(kind: int, body: bytes) -> bytes:
    """A packet; its length is a base-128 number, least significant group first."""
    length, left = b"", len(body)
    while True:
        left, group = left >> 7, left & 0x7F
        length += bytes([group | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def connect_packet(name: str, keep_alive_s: int, user: str = "", password: str = "") -> bytes:
    """CONNECT with protocol level 4 and a clean session (section 3.1)."""
    flags = 0x02 | (0xC0 if user else 0)
    body = text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2, "big") + text(name)
    return packet(0x10, body + (text(user) + text(password) if user else b""))
