use super::*;

#[test]
fn instants_are_shown_as_iso_8601_in_utc() {
    for (ms, shown) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(iso8601(ms), shown);
    }
}

#[test]
fn every_day_of_eight_centuries_follows_the_one_before() {
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..800 * 366 {
        assert_eq!(date(days), (year, month, day));
        let length = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        day += 1;
        if day > *length.get(usize::try_from(month).unwrap_or(0) - 1).unwrap_or(&0) {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}

#[test]
fn a_broken_rows_last_instant_is_shown_too() {
    assert!(iso8601(u64::MAX).ends_with('Z'));
}
