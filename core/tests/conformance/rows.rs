//! Which rows come back, through a claim and through a read.

use super::{batch, claim, commit, let_go, nonce, reopened, rows_of, Place};
use mayfly_core::store::{Batch, Outcome, Position, Rows, Seq, Standing, COLD_PREFIX};

pub async fn cold_rows_are_not_loaded_but_read(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let (cold1, cold2) = (format!("{COLD_PREFIX}/1"), format!("{COLD_PREFIX}-times/2/x"));
    // Neighbours of the prefix in byte order are hot, and what is a part of it.
    let hot: &[(&str, &[u8])] =
        &[("ledge", b"h"), ("ledgeq~", b"h"), ("ledges", b"h"), ("m/ledger/1", b"h"), ("a", b"h")];
    let mut change = batch(hot);
    change.put(cold1.clone(), b"c1".to_vec());
    change.put(cold2.clone(), b"c2".to_vec());
    change.put(COLD_PREFIX, b"c0".to_vec());
    commit(&mut *store, at, &change).await;
    let_go(store, at).await;
    assert_eq!(reopened(place).await.rows, rows_of(hot));
    let cold = rows_of(&[(COLD_PREFIX, b"c0"), (&cold1, b"c1"), (&cold2, b"c2")]);
    let classes = [&format!("{COLD_PREFIX}/"), COLD_PREFIX, &format!("{COLD_PREFIX}-times/")];
    assert_eq!(place().read(&classes).await.unwrap(), cold);
}

pub async fn prefixes_select_exactly_what_starts_with_them(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let all: &[(&str, &[u8])] =
        &[("a", b"1"), ("a/1", b"2"), ("a/2", b"3"), ("a0", b"4"), ("b%", b"5"), ("b_", b"6"), ("bx", b"7")];
    commit(&mut *store, at, &batch(all)).await;
    let mut reader = place();
    for (prefixes, expected) in [
        (&[][..], &all[..0]),
        (&[""][..], all),
        (&["a/"][..], &all[1..3]),
        (&["a/1"][..], &all[1..2]),
        // Nothing in a prefix is a wildcard, and a row under two prefixes comes once.
        (&["b%"][..], &all[4..5]),
        (&["b_"][..], &all[5..6]),
        (&["a/2", "a/", "bx"][..], &[&all[1..3], &all[6..]].concat()[..]),
        (&["zz"][..], &all[..0]),
        (&["zz/"][..], &all[..0]),
    ] {
        assert_eq!(reader.read(prefixes).await.unwrap(), rows_of(expected), "{prefixes:?}");
    }
}

pub async fn the_last_rows_come_from_the_end_and_no_more_than_asked_for(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let all: &[(&str, &[u8])] =
        &[("a", b"0"), ("a/1", b"1"), ("a/2", b"2"), ("a/3", b"3"), ("a0", b"4"), ("b", b"5"), ("\u{10ffff}/", b"6")];
    commit(&mut *store, at, &batch(all)).await;
    let mut reader = place();
    for (prefix, before, limit, expected) in [
        ("a/", None, 9, &all[1..4]),
        ("a/", None, 2, &all[2..4]),
        ("a/", None, 0, &all[..0]),
        ("a/", Some("a/3"), 9, &all[1..3]),
        ("a/", Some("a/3"), 1, &all[2..3]),
        ("a/", Some("a/1"), 9, &all[..0]),
        ("a/", Some(""), 9, &all[..0]),
        // A key need not be there to be a bound, and one behind the prefix bounds nothing.
        ("a/", Some("a/2x"), 9, &all[1..3]),
        ("a/", Some("zz"), 9, &all[1..4]),
        ("", None, 2, &all[5..7]),
        ("", Some("b"), 2, &all[3..5]),
        ("\u{10ffff}/", None, 9, &all[6..]),
        ("zz/", None, 9, &all[..0]),
    ] {
        let found = reader.read_last(prefix, before, limit).await.unwrap();
        assert_eq!(found, rows_of(expected), "{prefix:?} before {before:?}, {limit}");
    }
}

pub async fn a_reader_without_a_lease_sees_what_is_committed_beside_the_holder(place: &impl Place) {
    let mut holder = place();
    let mut reader = place();
    let at = claim(&mut *holder).await.position;
    assert_eq!(reader.read(&[""]).await.unwrap(), Rows::new());
    let at = commit(&mut *holder, at, &batch(&[("a", b"1"), ("b", b"1")])).await;
    assert_eq!(reader.read(&[""]).await.unwrap(), rows_of(&[("a", b"1"), ("b", b"1")]));
    assert_eq!(holder.commit(Position { seq: Seq(9), ..at }, nonce(), &batch(&[("a", b"9")])).await, Outcome::Fenced);
    assert_eq!(reader.read(&["a"]).await.unwrap(), rows_of(&[("a", b"1")]));
    let at = commit(&mut *holder, at, &batch(&[("a", b"2"), ("b", b"2")])).await;
    assert_eq!(holder.read(&[""]).await.unwrap(), rows_of(&[("a", b"2"), ("b", b"2")]));
    assert_eq!(reader.read(&[""]).await.unwrap(), rows_of(&[("a", b"2"), ("b", b"2")]));
    // Reading took nothing from the holder, and works after it, too.
    assert_eq!(holder.check(at).await.unwrap(), Standing::Held(Seq(2)));
    let_go(holder, at).await;
    assert_eq!(reader.read(&["b"]).await.unwrap(), rows_of(&[("b", b"2")]));
}

pub async fn reading_a_wallet_that_was_never_claimed_finds_nothing(place: &impl Place) {
    assert_eq!(place().read(&["", COLD_PREFIX]).await.unwrap(), Rows::new());
    assert_eq!(place().read_last("", None, 9).await.unwrap(), Rows::new());
}

pub async fn values_of_a_megabyte_and_empty_values_come_back_as_they_were(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let large: Vec<u8> = (0..1_048_576u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let at = commit(&mut *store, at, &batch(&[("large", &large), ("empty", b""), ("zeros", &[0; 100])])).await;
    let larger: Vec<u8> = large.iter().rev().copied().collect();
    commit(&mut *store, at, &batch(&[("large", &larger), ("copy", &large)])).await;
    let_go(store, at).await;
    let snapshot = reopened(place).await;
    assert!(snapshot.rows == rows_of(&[("copy", &large), ("empty", b""), ("large", &larger), ("zeros", &[0; 100])]));
}

pub async fn many_rows_come_back_as_they_were(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let mut change = Batch::default();
    for i in 0..3_000u32 {
        change.put(format!("row/{i}"), i.to_be_bytes().to_vec());
    }
    commit(&mut *store, at, &change).await;
    let_go(store, at).await;
    assert!(reopened(place).await.rows == *change.puts());
}

pub async fn keys_of_any_text_come_back_in_order(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let long = "k".repeat(500);
    let keys =
        ["", " ", "'; DROP TABLE item; --", "A", "a", "é", "\u{10ffff}", "\u{d7ff}x", "\u{e000}", "a\"b\\c", &long];
    let all: Vec<(&str, &[u8])> = keys.iter().map(|key| (*key, key.as_bytes())).collect();
    commit(&mut *store, at, &batch(&all)).await;
    let_go(store, at).await;
    assert_eq!(reopened(place).await.rows, rows_of(&all));
    for (key, value) in &all {
        let found = place().read(&[key]).await.unwrap();
        assert_eq!(found.get(*key).map(Vec::as_slice), Some(*value), "{key:?}");
    }
}
