"""Keys of objects as hypothesis draws them: every one that `jwcal.core.storage.ref` takes."""

from hypothesis import strategies as st

from jwcal.core.errors import InvalidKey
from jwcal.core.storage.ref import check_key, check_part


def _is_part(text: str) -> bool:
    try:
        return bool(check_part(text))
    except InvalidKey:
        return False


def _is_key(text: str) -> bool:
    try:
        return bool(check_key(text))
    except InvalidKey:
        return False


_characters = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"), exclude_characters="/\\")
_awkward = st.sampled_from("%+ &?#;='\"*~:@<>|.^`{}[]")
_parts = st.text(_characters | _awkward, min_size=1, max_size=60).filter(_is_part)
keys = st.lists(_parts, min_size=1, max_size=4).map("/".join).filter(_is_key)
