use super::*;

#[test]
fn a_scid_reads_as_ldk_counts_it_and_writes_as_it_was() {
    for (text, scid) in [
        ("512345x1203x5", 512_345 << 40 | 1_203 << 16 | 5),
        ("0x0x0", 0),
        ("0x0x65535", 65_535),
        ("16777215x16777215x65535", u64::MAX),
    ] {
        assert_eq!(parse(text), Ok(scid));
        assert_eq!(format(scid), text);
    }
}

#[test]
fn a_number_too_big_for_its_bits_is_refused_not_wrapped() {
    assert!(parse("16777216x0x0").unwrap_err().contains("block"));
    assert!(parse("0x16777216x0").unwrap_err().contains("transaction"));
    assert!(parse("0x0x65536").unwrap_err().contains("output"));
    assert!(parse("99999999999999999999999999x0x0").unwrap_err().contains("block"));
}

#[test]
fn anything_but_three_decimal_numbers_is_refused() {
    for text in [
        "",
        "x",
        "xx",
        "1x2",
        "1x2x",
        "x2x3",
        "1xx3",
        "1x2x3x",
        "1x2x3x4",
        "+1x2x3",
        "1x+2x3",
        "-1x2x3",
        " 1x2x3",
        "1x2x3 ",
        "1 x2x3",
        "1X2X3",
        "1:2:3",
        "0x1f",
        "1x2x3\n",
        "1x2x٣",
        "1x2x3\0",
        "563332847337472005",
        "1.0x2x3",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}
