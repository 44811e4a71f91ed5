"""Version keys differ exactly when the result would."""

from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.versions import version_key

TEXT = st.text(max_size=8)


@given(
    st.dictionaries(TEXT, TEXT, max_size=4),
    st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=3, unique_by=lambda p: p[0]),
)
def test_the_order_of_parameters_and_inputs_does_not_matter(parameters, inputs):
    key = version_key("transcript", "1", parameters, inputs)
    turned = version_key("transcript", "1", dict(reversed(parameters.items())), inputs[::-1])
    assert key == turned
    assert len(key) == 16


@given(st.dictionaries(TEXT, TEXT, max_size=3), st.dictionaries(TEXT, TEXT, max_size=3))
def test_different_parameters_have_different_keys(one, other):
    assert (version_key("s", "1", one) == version_key("s", "1", other)) == (one == other)


def test_code_and_inputs_and_their_absence_count():
    keys = {
        version_key("s", "1", {}),
        version_key("s", "2", {}),
        version_key("t", "1", {}),
        version_key("s", "1", {}, [("raw", "a")]),
        version_key("s", "1", {}, [("raw", None)]),
    }
    assert len(keys) == 5
