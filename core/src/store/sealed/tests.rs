//! A wallet that really lived, sealed: whoever has the database learns nothing of it, and the ledger answers as ever.

use super::*;
use crate::checkpoint::rows;
use crate::checkpoint::tests::keys;
use crate::config::Mnemonic;
use crate::entropy;
use crate::keys::Keys;
use crate::store::memory::{MemoryStore, MemoryWallet};
use crate::wallet::ledger::{LedgerEntry, Query};
use crate::wallet::tests::till::Till;
use bitcoin::Network;
use std::collections::HashSet;

const MNEMONIC: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// As many bytes do not meet by chance: 10^9 pairs of places, 2^64 values.
const BYTES: usize = 8;
/// Nor do as many hexadecimal digits.
const DIGITS: usize = 16;

fn sealed(rows: &MemoryWallet) -> SealedStore<MemoryStore> {
    SealedStore::new(rows.store(), WalletId([7; 32]), &StoreKey::new([1; 32]))
}

/// Commits these rows, and gives what the database has of them.
async fn stored(store: &mut SealedStore<MemoryStore>, rows: &MemoryWallet, plain: &Rows) -> Rows {
    let at = store.claim_and_load(&Claimant::of_process(1)).await.unwrap().position;
    let mut batch = Batch::default();
    plain.iter().for_each(|(key, value)| batch.put(key.as_str(), value.clone()));
    assert!(matches!(store.commit(at, Nonce(entropy::random()), &batch).await, Outcome::Committed(_)));
    rows.rows()
}

/// A wallet with a channel and three payments, as its node committed it.
async fn lived() -> (Rows, Vec<String>) {
    let mut till = Till::open().await;
    let mut hashes = Vec::new();
    for _ in 0..3 {
        let invoice = till.mint(Some(20_000_000));
        assert!(till.paid(&invoice, 20_000_000, 144).await);
        hashes.push(invoice.payment_hash().to_string());
    }
    (till.desk.rows.rows(), hashes)
}

#[tokio::test]
async fn the_database_learns_nothing_of_a_wallet_that_really_lived() {
    let (plain, hashes) = lived().await;
    for class in [rows::MANAGER, rows::NODE, rows::MONITOR_PREFIX, rows::OUTBOX_PREFIX, rows::LEDGER_TIMES_PREFIX] {
        assert!(plain.keys().any(|key| key.starts_with(class)), "{class} is among {:?}", plain.keys());
    }
    let mnemonic = Mnemonic::parse(MNEMONIC).unwrap();
    let (own, wallet) = (Keys::derive(&mnemonic, Network::Regtest).unwrap(), MemoryWallet::default());
    let key = own.store_key(Network::Regtest);
    let mut store = SealedStore::new(wallet.store(), own.wallet_id(Network::Regtest), &key);
    let database = stored(&mut store, &wallet, &plain).await;

    let node_id = keys(false).node_id();
    let mut secrets: Vec<Vec<u8>> = vec![
        MNEMONIC.into(),
        mnemonic.0.to_seed_normalized("").to_vec(),
        own.node_id().serialize().to_vec(),
        own.node_id().to_string().into(),
        own.wallet_id(Network::Regtest).0.to_vec(),
        node_id.serialize().to_vec(),
        node_id.to_string().into(),
    ];
    for hash in &hashes {
        secrets.push(hash.clone().into());
        secrets.push(<Vec<u8> as bitcoin::hex::FromHex>::from_hex(hash).unwrap());
    }
    for (key, value) in &plain {
        secrets.push(value.clone());
        // An instant may be learnt.
        let instant = names::instant_of(key).map(|instant| format!("{instant}/"));
        secrets.push(instant.map_or(key.clone(), |instant| key.replace(&instant, "")).into());
    }
    let told = |length| secrets.iter().flat_map(move |secret| secret.windows(length)).collect::<HashSet<&[u8]>>();
    let (bytes, digits) = (told(BYTES), told(DIGITS));
    assert!(bytes.len() > 5_000, "the wallet is not empty: {}", bytes.len());
    for (name, stored) in &database {
        // The format's number and the commit's are in clear.
        assert_eq!(stored[9..].windows(BYTES).find(|part| bytes.contains(part)), None, "in the row {name}");
        assert_eq!(name.as_bytes().windows(DIGITS).find(|part| digits.contains(part)), None, "in the name {name}");
    }
    // The check can fail: rows and keys as they are show themselves.
    assert!(plain.values().any(|value| value.windows(BYTES).any(|part| bytes.contains(part))));
    assert!(plain.keys().any(|key| key.as_bytes().windows(DIGITS).any(|part| digits.contains(part))));
}

#[tokio::test]
async fn a_wallet_that_really_lived_comes_back_as_it_was() {
    let ((plain, hashes), wallet) = (lived().await, MemoryWallet::default());
    let mut store = sealed(&wallet);
    let database = stored(&mut store, &wallet, &plain).await;
    drop(store);
    let loaded = sealed(&wallet).claim_and_load(&Claimant::of_process(1)).await.unwrap().rows;
    let hot = plain.iter().filter(|(key, _)| !is_cold(key));
    assert!(loaded.iter().eq(hot));
    let read = sealed(&wallet).read(&[rows::NODE, rows::OUTBOX_PREFIX]).await.unwrap();
    assert!(
        read.contains_key(rows::NODE) && read.keys().filter(|key| key.starts_with(rows::OUTBOX_PREFIX)).count() == 3
    );
    for hash in hashes {
        let found = Query::one(&hash).unwrap().answer(&mut sealed(&wallet)).await.unwrap();
        assert_eq!(found[0].payment_hash, hash);
    }
    let size = |rows: &Rows| rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    let (before, after, rows) = (size(&plain), size(&database), plain.len());
    println!("{rows} rows: {before} bytes, sealed {after}");
    assert!(after - before < 200 * rows, "{before} bytes became {after}");
}

fn entry(number: u8, timestamp_ms: u64) -> LedgerEntry {
    LedgerEntry {
        payment_hash: format!("{number:02x}").repeat(32),
        payment_id: format!("{number:02x}id"),
        amount_msat: 1_000,
        skimmed_msat: 0,
        timestamp_ms,
    }
}

/// As for any store: `wallet/tests/ledger.rs`.
#[tokio::test]
async fn pages_of_payments_meet_without_a_gap_also_where_many_came_in_one_millisecond() {
    let many = (1..=30).map(|number| entry(number, 2_000));
    let entries: Vec<LedgerEntry> = [entry(40, 1_000)].into_iter().chain(many).chain([entry(31, 3_000)]).collect();
    let (wallet, mut batch) = (MemoryWallet::default(), Batch::default());
    entries.iter().for_each(|entry| entry.stage(&mut batch).unwrap());
    let mut store = sealed(&wallet);
    stored(&mut store, &wallet, batch.puts()).await;
    let expected: Vec<&String> = entries.iter().rev().map(|entry| &entry.payment_hash).collect();
    for limit in [1, 2, 7, 31, 32, 33] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = Query::page(limit, before.as_deref()).unwrap().answer(&mut store).await.unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.payment_hash.clone());
            seen.extend(page.into_iter().map(|entry| entry.payment_hash));
        }
        assert!(seen.iter().eq(expected.iter().copied()), "pages of {limit}: {seen:?}");
    }
}
