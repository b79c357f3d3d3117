from sensor.capture import link_types


def test_decoded_types_have_the_numbers_of_tcpdumps_list():
    numbers = {0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 113, 228, 229, 276}
    assert numbers == link_types.DECODED
    assert link_types.NAMES.keys() >= link_types.DECODED


def test_messages_name_what_has_a_name():
    assert link_types.described(link_types.SLL2) == "276 (Linux cooked capture v2 (SLL2))"
    assert link_types.described(127) == "127 (802.11 Wi-Fi with radiotap)"
    assert link_types.described(12345) == "12345"
