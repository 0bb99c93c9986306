//! Rows as a store may give them back: from a damaged disk, another version, or somebody's hand.

use super::{refused, Target};
use crate::checkpoint::rows::{NODE, OUTBOX_PREFIX};
use crate::checkpoint::tests::keys;
use crate::error::Code;
use crate::events::{EventType, Outbox, PaymentEvent};
use crate::lsp::JitRoute;
use crate::onchain::outgoing::{Confirmation, Outgoing, Purpose};
use crate::onchain::{Chain, Coin, Place};
use crate::store::file::FileStore;
use crate::store::memory::MemoryWallet;
use crate::store::sealed::SealedStore;
use crate::store::{Batch, Claimant, Nonce, Outcome, Rows, Store, StoreKey, WalletId, COLD_PREFIX};
use crate::wallet::row::NodeRow;
use crate::wallet::view::ChannelSummary;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid};
use std::future::Future;
use std::path::Path;

pub(super) fn targets() -> Vec<Target> {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    vec![
        Target::new("row-node", 40_000, &node_rows(), node_row),
        Target::new("row-outgoing", 10_000, &[outgoing_row()], outgoing),
        Target::new("rows-outbox", 45_000, &outbox_rows(), outbox),
        sealed_target(),
        Target::new("sqlite", 2_000, &[database], move |input| sqlite(folder.path(), input)),
    ]
}

fn staged(row: &NodeRow) -> Vec<u8> {
    let mut batch = Batch::default();
    row.stage(&mut batch).unwrap();
    batch.puts()[NODE].clone()
}

fn node_rows() -> Vec<Vec<u8>> {
    let lsp = keys(true).node_id();
    let mut row = NodeRow::default();
    let new = staged(&row);
    row.set_route(&lsp, JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 });
    row.fees = Some(r#"{"maximum":12500,"urgent":5000}"#.to_owned());
    row.next_event = 7;
    row.told = vec!["11".repeat(32), "22".repeat(32)];
    row.holdings.told = Some(2);
    let place = Place { chain: Chain::Internal, index: 1 };
    row.holdings.coins.push(Coin { txid: Txid::from_byte_array([0x33; 32]), vout: 1, sats: 90_000, place });
    row.summary.height = 850_000;
    row.summary.at_ms = 1_700_000_000_000;
    row.summary.balance.lightning_msat = 21_000_000;
    row.summary.unfulfilled.insert("44".repeat(32), 850_144);
    row.summary.channels.push(ChannelSummary {
        channel_id: "55".repeat(32),
        counterparty_node_id: lsp.to_string(),
        funding_txid: Some("66".repeat(32)),
        funding_vout: Some(0),
        short_channel_id: Some("850000x1x0".to_owned()),
        capacity_sats: 100_000,
        inbound_msat: 1,
        outbound_msat: 2,
        is_ready: true,
        is_usable: false,
        confirmations: None,
        pending_htlcs: 1,
    });
    vec![new, staged(&row)]
}

/// What loads stages as what loads again, and can be asked anything; an error shows nothing of the row.
fn node_row(input: &[u8]) -> bool {
    let lsp = keys_of_lsp();
    let rows = Rows::from([(NODE.to_owned(), input.to_vec())]);
    match NodeRow::load(&rows) {
        Ok(row) => {
            let bytes = staged(&row);
            let again = NodeRow::load(&Rows::from([(NODE.to_owned(), bytes.clone())])).unwrap();
            assert_eq!(staged(&again), bytes);
            let _ = (row.route_of(&lsp), row.summary.wake_by(), row.summary.wake_by_of(&"44".repeat(32)));
            let sats: u64 = row.holdings.coins.iter().map(|coin| coin.sats).sum();
            assert!(sats <= 2_100_000_000_000_000);
            match Outbox::load(&rows, row.next_event) {
                Ok(mut outbox) => {
                    outbox.push(event("next"));
                    true
                }
                Err(error) => refused(&error, &[Code::StateCorrupt]),
            }
        }
        Err(error) => refused(&error, &[Code::StateCorrupt]),
    }
}

fn keys_of_lsp() -> bitcoin::secp256k1::PublicKey {
    use std::sync::OnceLock;
    static LSP: OnceLock<bitcoin::secp256k1::PublicKey> = OnceLock::new();
    *LSP.get_or_init(|| keys(true).node_id())
}

fn event(id: &str) -> PaymentEvent {
    PaymentEvent {
        id: id.to_owned(),
        event_type: EventType::Received,
        payment_hash: "00".repeat(32),
        payment_id: Some("11".repeat(32)),
        amount_msat: 21_000,
        skimmed_msat: 630,
        reason: None,
        timestamp_ms: 1_700_000_000_000,
        wake_by: Some(850_000),
    }
}

/// Rows as `key`, a tab, the value; one a line.
fn outgoing_row() -> Vec<u8> {
    let input = |vout| TxIn { previous_output: OutPoint { txid: Txid::all_zeros(), vout }, ..TxIn::default() };
    let output = vec![TxOut { value: Amount::from_sat(7_000), script_pubkey: ScriptBuf::new() }];
    let (version, lock_time) = (Version::TWO, LockTime::from_consensus(850_000));
    let transaction = Transaction { version, lock_time, input: vec![input(0), input(1)], output };
    let confirmed = Some(Confirmation { txid: transaction.compute_txid(), height: 850_001 });
    let purpose = Purpose::Sweep(Place { chain: Chain::Internal, index: 1 });
    let mut batch = Batch::default();
    Outgoing { purpose, transaction, sat_per_kw: 253, made_at: 850_000, confirmed }.stage(&mut batch).unwrap();
    batch.puts().values().next().unwrap().clone()
}

/// What loads can be asked anything, and is written as what loads again.
fn outgoing(input: &[u8]) -> bool {
    let Ok(loaded) = serde_json::from_slice::<Outgoing>(input) else { return false };
    for height in [0, 850_000, u32::MAX] {
        let _ = (loaded.is_final(height), loaded.replacement_rate(u32::MAX, height), loaded.amount_sats());
    }
    let mut batch = Batch::default();
    loaded.stage(&mut batch).unwrap();
    let again: Outgoing = serde_json::from_slice(&batch.puts()[&loaded.key()]).unwrap();
    assert_eq!(again, loaded);
    true
}

fn outbox_rows() -> Vec<Vec<u8>> {
    let mut outbox = Outbox::default();
    for id in ["a", "b", "c"] {
        outbox.push(PaymentEvent { reason: Some("too \"much\"\n".to_owned()), ..event(id) });
    }
    let mut batch = Batch::default();
    outbox.stage(&mut batch).unwrap();
    let line = |(key, value): (&String, &Vec<u8>)| [key.as_bytes(), b"\t", value].concat();
    let all: Vec<Vec<u8>> = batch.puts().iter().map(line).collect();
    vec![all.join(&b'\n'), all[0].clone()]
}

/// Each event that loads can be acked once, and then its row is gone: an event that stays would be told for ever.
fn outbox(input: &[u8]) -> bool {
    let mut rows = Rows::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        rows.insert(String::from_utf8_lossy(&line[..tab]).into_owned(), line[tab + 1..].to_vec());
    }
    let mut outbox = match Outbox::load(&rows, 0) {
        Ok(outbox) => outbox,
        Err(error) => return refused(&error, &[Code::StateCorrupt]),
    };
    let ids: Vec<String> = outbox.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), rows.keys().filter(|key| key.starts_with(OUTBOX_PREFIX)).count());
    outbox.push(event("new"));
    assert!(ids.iter().all(|id| outbox.ack(id)));
    let mut batch = Batch::default();
    outbox.stage(&mut batch).unwrap();
    rows.retain(|key, _| !batch.deletes().contains(key));
    rows.extend(batch.puts().clone());
    let left = Outbox::load(&rows, 0).unwrap();
    assert_eq!(left.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["new"]);
    !ids.is_empty()
}

/// Sealed rows of a small wallet: each input takes the place of each of them.
fn sealed_target() -> Target {
    let rows = MemoryWallet::default();
    let store = {
        let rows = rows.clone();
        move || SealedStore::new(rows.store(), WALLET, &StoreKey::new([1; 32]))
    };
    wait(async {
        let mut store = store();
        let at = store.claim_and_load(&claimant()).await.unwrap().position;
        let mut batch = Batch::default();
        [NODE, "outbox/1", "ledger/x"].into_iter().for_each(|key| batch.put(key, vec![b'.'; 100]));
        assert!(matches!(store.commit(at, Nonce([1; 16]), &batch).await, Outcome::Committed(_)));
    });
    let whole = rows.rows();
    let seeds: Vec<Vec<u8>> = whole.values().cloned().collect();
    Target::new("rows-sealed", 5_000, &seeds, move |input| {
        let opens = |name: &String| {
            rows.tamper(|rows| drop(rows.insert(name.clone(), input.to_vec())));
            let read = wait(async { store().read(&[""]).await });
            let claimed = wait(async { store().claim_and_load(&claimant()).await });
            rows.tamper(|rows| *rows = whole.clone());
            let is_cold = name.starts_with(COLD_PREFIX);
            assert_eq!(claimed.is_ok(), is_cold || read.is_ok(), "{name}");
            match read {
                Ok(_) => assert!(input == whole[name], "taken for {name}"),
                Err(error) => return refused(&error, &[Code::StateCorrupt]),
            }
            true
        };
        whole.keys().filter(|name| opens(name)).count() > 0
    })
}

const WALLET: WalletId = WalletId([7; 32]);

fn claimant() -> Claimant {
    Claimant { host: Some("fuzz".to_owned()), ..Claimant::of_process(1) }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A database with a wallet's rows, as one file: its log is written back.
fn database(folder: &Path) -> Vec<u8> {
    let mut batch = Batch::default();
    for (key, bytes) in
        [("manager", 500), ("monitor/a", 6_000), ("node", 900), ("outbox/0000000000000000", 300), ("ledger/x", 80)]
    {
        batch.put(key, vec![b'.'; bytes]);
    }
    wait(async {
        let mut store = FileStore::open(folder, WALLET);
        let snapshot = store.claim_and_load(&claimant()).await.unwrap();
        let committed = store.commit(snapshot.position, Nonce([1; 16]), &batch).await;
        assert!(matches!(committed, Outcome::Committed(_)));
    });
    let path = path(folder);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::read(path).unwrap()
}

fn path(folder: &Path) -> std::path::PathBuf {
    folder.join(format!("{}.sqlite", WALLET.short_hex()))
}

/// A damaged database is read, or refused; whichever, it may be asked again.
fn sqlite(folder: &Path, input: &[u8]) -> bool {
    let path = path(folder);
    for log in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{}.sqlite{log}", WALLET.short_hex())));
    }
    std::fs::write(path, input).unwrap();
    let codes = [Code::StateCorrupt, Code::StoreUnavailable, Code::InvalidOption];
    wait(async {
        let mut store = FileStore::open(folder, WALLET);
        if let Err(error) = store.read(&["", "ledger/"]).await {
            refused(&error, &codes);
        }
        let claimed = store.claim_and_load(&claimant()).await;
        claimed.map_or_else(|error| refused(&error, &codes), |_| true)
    })
}
