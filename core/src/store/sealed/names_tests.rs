#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::checkpoint::rows;
use crate::config::Mnemonic;
use crate::keys::Keys;
use crate::wallet::ledger::LedgerEntry;
use bitcoin::Network;

fn names() -> Names {
    Names::new(&StoreKey::new([1; 32]))
}

fn is_hidden(part: &str, bytes: usize) -> bool {
    part.len() == 2 * bytes && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn a_name_shows_whether_a_claim_loads_the_row_and_nothing_else() {
    for (key, shelf) in
        [("manager", "hot"), ("monitor/ab:0", "hot"), ("ledge/r", "hot"), ("", "hot"), ("ledger/ab", "ledger")]
    {
        let name = names().row(key);
        let [found, class, row] = name.split('/').collect::<Vec<_>>().try_into().unwrap();
        assert!(found == shelf && is_hidden(class, 8) && is_hidden(row, 16), "{key}: {name}");
    }
}

#[test]
fn rows_of_one_class_and_of_no_other_share_a_class() {
    let class = |key: &str| class_of_name(&names().row(key)).to_owned();
    assert_eq!(class("delta/a/1"), class("delta/b/2"));
    assert_eq!(names().row("delta/a/1"), format!("{}{}", names().class("delta/"), &names().row("delta/a/1")[21..]));
    let classes = ["delta/a", "deltas/a", "delta", "", "/", "node", "manager", "ledger/a", "ledger-times/0/a"];
    let hidden: std::collections::BTreeSet<String> = classes.iter().map(|key| class(key)).collect();
    assert_eq!(hidden.len(), classes.len());
}

#[test]
fn another_wallet_has_other_names() {
    let other = Names::new(&StoreKey::new([2; 32]));
    assert_ne!(class_of_name(&names().row("manager")), class_of_name(&other.row("manager")));
}

/// What the ledger writes is what the newest are found by.
#[test]
fn payments_stand_in_the_order_of_their_times() {
    assert_eq!(rows::LEDGER_TIMES_PREFIX, DATED_CLASS);
    let mut before = String::new();
    for timestamp_ms in [0, 1, 255, 256, 1_700_000_000_000, 1_700_000_000_001, u64::MAX] {
        let entry = LedgerEntry {
            payment_hash: "ab".repeat(32),
            payment_id: String::new(),
            amount_msat: 1,
            skimmed_msat: 0,
            timestamp_ms,
        };
        let mut batch = crate::store::Batch::default();
        entry.stage(&mut batch).unwrap();
        let key = batch.puts().keys().find(|key| key.starts_with(DATED_CLASS)).unwrap();
        let name = names().row(key);
        assert!(name > before, "{name} after {before}");
        let end = names().end_of_instant(key).unwrap();
        assert!(name < end && end > before);
        assert_eq!(name.split('/').nth(2), Some(format!("{timestamp_ms:016x}").as_str()));
        before = end;
    }
}

#[test]
fn an_instant_is_sixteen_digits_of_a_row_of_the_dated_class() {
    assert_eq!(instant_of("ledger-times/00000000000000ff/ab"), Some("00000000000000ff"));
    for none in [
        "ledger-times/00000000000000ff",
        "ledger-times/00000000000000fF/ab",
        "ledger-times/ff/ab",
        "ledger/00000000000000ff/ab",
    ] {
        assert_eq!(instant_of(none), None, "{none}");
    }
    assert!(names().row("ledger-times/ff/ab") < names().row("ledger-times/0000000000000000/ab"));
}

#[test]
fn a_wish_is_for_all_for_a_class_or_for_a_row() {
    assert_eq!(Wanted::of(""), Wanted::All);
    assert_eq!(Wanted::of("node"), Wanted::Class { class: "node" });
    assert_eq!(Wanted::of("outbox/"), Wanted::Class { class: "outbox/" });
    assert_eq!(Wanted::of("delta/ab/"), Wanted::Class { class: "delta/" });
    assert_eq!(Wanted::of("ledger/ab"), Wanted::Row);
    assert_eq!(names().selector("ledger/ab"), names().row("ledger/ab"));
    assert!(names().row("node").starts_with(&names().selector("node")));
}

/// Rows are found under these for ever. A network of its own, so that nobody sees that two wallets are of one mnemonic.
#[test]
fn the_names_of_a_mnemonic_never_change() {
    let mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let mnemonic = Mnemonic::parse(mnemonic).unwrap();
    let name = |network| Names::new(&Keys::derive(&mnemonic, network).unwrap().store_key(network)).row("manager");
    assert_eq!(name(Network::Bitcoin), "hot/ca16e576eceee46f/8fc91c789e2def87d40540a9d17a0393");
    assert_eq!(name(Network::Regtest), "hot/23bf633cca3c4c2b/b24171b74be8c8c1b544f9e75f2288d1");
}
