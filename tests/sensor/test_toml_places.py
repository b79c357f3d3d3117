import sys

import pytest

from sensor.service.config.toml_places import Places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = '''\
# a comment with [a.table] and a = key
top = 1

[one]
a = "x = [y]"   # b = 1
b = """
c = 3
[two]
"""
"quoted \\u0061 key" = [ # it goes on
  "]", '\\',
  { d = "}" },
]
'literal.key'.inner = 2
e.f = 1
e.g = { h = 1, i = { j = "#" } }
[ one . "two" ]
k = \'\'\'
l = 1
""" m\'\'\'\'
n = 1979-05-27T07:32:00Z
[[list]]
o = 1
[[list]]
p = +1.0e3
[list.under]
q = """\\
   r = 1 ""\\"""""
[[list.more]]
[[list.more]]
s = []
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("one",), 4),
        (("one", "a"), 5),
        (("one", "b"), 6),
        (("one", "quoted a key"), 10),
        (("one", "literal.key", "inner"), 14),
        (("one", "e", "f"), 15),
        (("one", "e", "g"), 16),
        (("one", "e", "g", "i", "j"), 16),  # that of the key around it
        (("one", "two"), 17),
        (("one", "two", "k"), 18),
        (("one", "two", "n"), 21),
        (("list", 0, "o"), 23),
        (("list", 1), 24),
        (("list", 1, "p"), 25),
        (("list", 1, "under", "q"), 27),
        (("list", 1, "more", 0), 29),
        (("list", 1, "more", 1, "s"), 31),
        (("none",), 0),
        (("one", "none"), 4),
    ],
)
def test_line_of_a_key(path, line):
    tomllib.loads(TEXT)  # it is TOML
    assert Places(TEXT).line(path) == line


@pytest.mark.parametrize(
    "text", ["", "\n", "# only", "a = 1", "[a]", "a = [\n1]\n", "a = 1\r\nb = 2"]
)
def test_short_documents(text):
    found = tomllib.loads(text)
    assert all(Places(text).line((key,)) for key in found)


@pytest.mark.parametrize("text", ["=", "[a", "a", "a = ", 'a = "', "[[a]", "\x00", "a = [", "]"])
def test_what_is_no_toml_ends_it_quietly(text):
    Places(text)
