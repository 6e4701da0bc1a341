"""Resource-based policies as they are kept and shown."""

import json

import pytest

from registry.policies import lay_out

LAYOUTS = {
    "{}": "{ }",
    '{"a":[]}': '{\n  "a" : [ ]\n}',
    '{"a":"b","c":{"d":["e","f"]}}': '{\n  "a" : "b",\n  "c" : {\n    "d" : [ "e", "f" ]\n  }\n}',
    '{"a":[{"b":1},{"c":true}]}': '{\n  "a" : [ {\n    "b" : 1\n  }, {\n    "c" : true\n  } ]\n}',
    '{"n":[-0.5, 12345678901234567890, null]}': '{\n  "n" : [ -0.5, 12345678901234567890, null ]\n}',
    '{"\\u00e9\\"":"\\u00fc\\n"}': '{\n  "é\\"" : "ü\\n"\n}',
}


@pytest.mark.parametrize("text", LAYOUTS)
def test_a_policy_is_laid_out_as_ecr_lays_it_out(text: str):
    assert lay_out(text) == LAYOUTS[text]
    assert lay_out(lay_out(text)) == lay_out(text)
    assert json.loads(lay_out(text)) == json.loads(text)
