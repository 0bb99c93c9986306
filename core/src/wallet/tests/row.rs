use crate::checkpoint::rows;
use crate::error::Code;
use crate::lsp::JitRoute;
use crate::onchain::{Chain, Coin, Place};
use crate::store::{Batch, Rows};
use crate::wallet::row::{NodeRow, TOLD_KEPT};
use bitcoin::hashes::Hash;
use bitcoin::Txid;
use std::collections::HashSet;

fn load(bytes: &[u8]) -> crate::error::Result<NodeRow> {
    NodeRow::load(&Rows::from([(rows::NODE.to_owned(), bytes.to_vec())]))
}

fn staged(row: &NodeRow) -> Vec<u8> {
    let mut batch = Batch::default();
    row.stage(&mut batch).unwrap();
    batch.puts()[rows::NODE].clone()
}

fn telling(told: &[String]) -> NodeRow {
    let mut row = load(&staged(&NodeRow::default())).unwrap();
    row.told = told.to_vec();
    row
}

#[test]
fn a_wallet_without_the_row_is_new_and_what_was_staged_loads_as_it_was() {
    assert_eq!(NodeRow::load(&Rows::new()).unwrap(), NodeRow::default());
    let lsp = crate::checkpoint::tests::keys(true).node_id();
    let other = crate::checkpoint::tests::keys(false).node_id();
    let mut row = telling(&["a".to_owned()]);
    row.next_event = u64::MAX;
    let route = JitRoute { scid: u64::MAX, cltv_expiry_delta: 72 };
    row.set_route(&lsp, route);
    row.summary.unfulfilled.insert("00".to_owned(), 7);
    let loaded = load(&staged(&row)).unwrap();
    assert_eq!((loaded.route_of(&lsp), loaded.route_of(&other)), (Some(route), None));
    assert_eq!((&loaded.told, loaded.next_event, &loaded.summary), (&row.told, u64::MAX, &row.summary));
    assert_eq!(staged(&loaded), staged(&row));
}

#[test]
fn a_row_of_a_newer_mayfly_says_to_update_even_if_nothing_else_of_it_is_known() {
    let mut newer = serde_json::from_slice::<serde_json::Value>(&staged(&NodeRow::default())).unwrap();
    newer["version"] = 3.into();
    for bytes in [newer.to_string(), r#"{"version":3,"all":"else is new"}"#.to_owned()] {
        let error = load(bytes.as_bytes()).unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt);
        assert!(error.message.contains("newer mayfly") && error.message.contains("version 3"), "{error}");
    }
}

#[test]
fn a_row_that_does_not_load_is_state_corrupt_and_shows_nothing_of_itself() {
    let good = staged(&NodeRow::default());
    for bytes in
        [&b""[..], b"{", b"null", b"[]", b"{\"version\":\"secret\"}", b"\xff\xfe", &good[..good.len() - 1], b"{}"]
    {
        let error = load(bytes).unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt);
        assert!(error.message.contains("row node") && !error.message.contains("secret"), "{error}");
    }
}

#[test]
fn a_row_with_more_money_than_there_is_does_not_load() {
    let mut row = NodeRow::default();
    for (sats, loads) in [(2_100_000_000_000_000, true), (2_100_000_000_000_001, false), (u64::MAX, false)] {
        row.holdings.coins = [sats - 1, 1].map(|sats| coin(0, sats)).into();
        assert_eq!(load(&staged(&row)).is_ok(), loads, "{sats}");
    }
}

fn coin(index: u32, sats: u64) -> Coin {
    Coin { txid: Txid::all_zeros(), vout: 0, sats, place: Place { chain: Chain::External, index } }
}

#[test]
fn a_row_with_more_addresses_than_any_wallet_has_does_not_load() {
    for (index, loads) in [(100_000, true), (100_001, false), (u32::MAX, false)] {
        let mut rows = [NodeRow::default(), NodeRow::default(), NodeRow::default()];
        rows[0].holdings.serving.external = index;
        rows[1].holdings.serving.internal = index;
        rows[2].holdings.told = Some(index);
        for row in rows {
            assert_eq!(load(&staged(&row)).is_ok(), loads, "{index}");
        }
    }
}

#[test]
fn a_row_of_an_impossible_time_still_says_by_which_height_to_wake() {
    let mut row = NodeRow::default();
    row.summary.at_ms = u64::MAX;
    row.summary.unfulfilled.insert("00".to_owned(), u32::MAX);
    let loaded = load(&staged(&row)).unwrap();
    assert_eq!(loaded.summary.wake_by().unwrap().estimated_at_ms, u64::MAX);
}

#[test]
fn the_newest_told_payments_and_those_that_ldk_repeated_are_kept() {
    let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let mut row = telling(&all);
    row.forget_told(&HashSet::from(["3".to_owned(), "30".to_owned(), "not told".to_owned()]));
    let mut kept = vec!["3".to_owned()];
    kept.extend_from_slice(&all[40 - TOLD_KEPT..]);
    assert_eq!(row.told, kept);
    // Nothing is repeated any more, and nothing came: the newest stay.
    row.forget_told(&HashSet::new());
    assert_eq!(row.told, all[40 - TOLD_KEPT..]);
    row.forget_told(&HashSet::new());
    assert_eq!(row.told.len(), TOLD_KEPT);
}
