"""Link types by number: what the first bytes of a frame are.

The numbers are those of capture files (https://www.tcpdump.org/linktypes.html). A leaf: readers
look here for what may pass, the decoder for what it has to tell apart.
"""

NULL = 0
ETHERNET = 1
PPP = 9
RAW_12 = 12
"""Raw IP as most systems' DLT_RAW; files should say 101, but not all do."""
RAW_14 = 14
"""Raw IP as OpenBSD's DLT_RAW."""
PPP_HDLC = 50
PPP_ETHER = 51
RAW = 101
C_HDLC = 104
LOOP = 108
SLL = 113
IPV4 = 228
IPV6 = 229
SLL2 = 276

DECODED = frozenset(
    {
        NULL,
        ETHERNET,
        PPP,
        RAW_12,
        RAW_14,
        PPP_HDLC,
        PPP_ETHER,
        RAW,
        C_HDLC,
        LOOP,
        SLL,
        IPV4,
        IPV6,
        SLL2,
    }
)
"""Link types whose frames the decoder reads."""

NAMES = {
    NULL: "BSD loopback (NULL)",
    ETHERNET: "Ethernet",
    3: "AX.25",
    6: "Token Ring",
    7: "ARCNET",
    8: "SLIP",
    PPP: "PPP",
    10: "FDDI",
    RAW_12: "raw IP",
    RAW_14: "raw IP",
    PPP_HDLC: "PPP in HDLC framing",
    PPP_ETHER: "PPPoE session",
    100: "ATM (RFC 1483)",
    RAW: "raw IP",
    C_HDLC: "Cisco HDLC",
    105: "802.11 Wi-Fi",
    107: "Frame Relay",
    LOOP: "OpenBSD loopback (LOOP)",
    SLL: "Linux cooked capture (SLL)",
    114: "LocalTalk",
    117: "OpenBSD pflog",
    119: "802.11 Wi-Fi with a Prism header",
    122: "IP over Fibre Channel",
    123: "ATM (SunATM)",
    127: "802.11 Wi-Fi with radiotap",
    129: "ARCNET (Linux)",
    138: "IP over FireWire",
    140: "SS7 MTP2",
    141: "SS7 MTP3",
    143: "DOCSIS",
    144: "infrared (IrDA)",
    147: "private use",
    163: "802.11 Wi-Fi with an AVS header",
    165: "BACnet MS/TP",
    166: "PPP of pppd",
    177: "LAPD (ISDN)",
    187: "Bluetooth HCI",
    189: "USB (Linux)",
    192: "per-packet information (PPI)",
    195: "802.15.4",
    196: "SITA",
    197: "Endace ERF",
    201: "Bluetooth HCI",
    220: "USB (Linux)",
    224: "Fibre Channel",
    226: "Solaris ipnet",
    227: "CAN bus",
    IPV4: "raw IPv4",
    IPV6: "raw IPv6",
    230: "802.15.4 without a checksum",
    239: "netfilter log",
    240: "netANALYZER",
    247: "InfiniBand",
    249: "USBPcap",
    251: "Bluetooth Low Energy",
    252: "a Wireshark upper layer",
    253: "Linux netlink",
    254: "Bluetooth monitor",
    264: "ISO 14443",
    SLL2: "Linux cooked capture v2 (SLL2)",
    283: "802.15.4 with TAP",
}
"""Names for messages, of the types that are often met."""


def described(link_type: int) -> str:
    """A link type as messages have it: its number and, where it has one, its name."""
    name = NAMES.get(link_type)
    return f"{link_type} ({name})" if name else str(link_type)
