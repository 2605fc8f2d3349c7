import pytest

from embcodec.io import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("500MB", 500_000_000),
        ("1.5g", 1_500_000_000),
        ("2GiB", 2 << 30),
        (" 64 kib ", 65536),
        ("1TB", 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 XB", "1e9", "1GB of memory"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must look like 500MB"):
        parse_size(text)


def test_sizes_are_written_in_three_digits() -> None:
    sizes = [0, 999, 1000, 999_499, 999_500, 1_540_000_000, 2_000_000_000_000]
    assert [format_size(s) for s in sizes] == ["0 B", "999 B", "1 kB", "999 kB", "1 MB", "1.54 GB", "2 TB"]
