//! A disk that does not keep what it was given: whatever bit of a wallet's files flips, whatever page goes back in time, a claim finds
//! what was committed or refuses the wallet, and then nothing in its files has changed.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "the seed of a rerun is in the environment")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use mayfly_core::entropy;
use mayfly_core::error::{Code, Error};
use mayfly_core::store::file::FileStore;
use mayfly_core::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Store, WalletId};
use std::path::PathBuf;

const WALLET: WalletId = WalletId([7; 32]);
/// `MAYFLY_FLIPS` asks for more.
const FLIPS: u64 = 1_000;
/// Each makes SQLite read all of the log.
const LOG_FLIPS: u64 = 100;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("{}.sqlite{suffix}", WALLET.short_hex()))
    }

    /// The two files that hold the wallet.
    fn read(&self) -> [Vec<u8>; 2] {
        ["", "-wal"].map(|suffix| std::fs::read(self.path(suffix)).unwrap_or_default())
    }

    fn write(&self, files: &[Vec<u8>; 2]) {
        for (suffix, bytes) in ["", "-wal"].iter().zip(files) {
            std::fs::write(self.path(suffix), bytes).unwrap();
        }
        // SQLite's index of the log, which belongs to other bytes.
        let _ = std::fs::remove_file(self.path("-shm"));
    }

    fn store(&self) -> FileStore {
        FileStore::open(self.folder.path(), WALLET)
    }

    async fn claim(&self) -> Result<(Position, Rows), Error> {
        let claimant = Claimant::of_process(1);
        let snapshot = self.store().claim_and_load(&claimant).await?;
        Ok((snapshot.position, snapshot.rows))
    }
}

/// The holder's next commit, with that byte in all of its rows.
async fn write_round(files: &Files, round: u8) -> Rows {
    let mut store = files.store();
    let claimant = Claimant::of_process(1);
    let snapshot = store.claim_and_load(&claimant).await.unwrap();
    let mut batch = Batch::default();
    for (key, value) in &snapshot.rows {
        batch.put(key, vec![round; value.len()]);
    }
    assert!(matches!(store.commit(snapshot.position, Nonce([round; 16]), &batch).await, Outcome::Committed(_)));
    batch.puts().clone()
}

/// A wallet as a node leaves it: rows of all sizes, written again and again. All states that were committed, oldest first.
async fn lived() -> (Files, Vec<Rows>) {
    let files = Files { folder: tempfile::tempdir().unwrap() };
    let mut store = files.store();
    let claimant = Claimant::of_process(1);
    let mut at = store.claim_and_load(&claimant).await.unwrap().position;
    let mut rows = Rows::new();
    let mut states = vec![rows.clone()];
    for round in 0..12_u8 {
        let mut batch = Batch::default();
        batch.put("manager", vec![round; 9_000]);
        batch.put(format!("monitor/{}", round % 3), vec![round; 20_000]);
        batch.put("node", vec![round; 700]);
        batch.put(format!("outbox/{round:02}"), vec![round; 200]);
        batch.put(format!("ledger/{round:02}"), vec![round; 150]);
        if round > 2 {
            batch.delete(format!("outbox/{:02}", round - 2));
        }
        assert!(matches!(store.commit(at, Nonce(entropy::random()), &batch).await, Outcome::Committed(_)));
        at.seq = Seq(at.seq.0 + 1);
        rows.extend(batch.puts().clone());
        batch.deletes().iter().for_each(|key| drop(rows.remove(key)));
        rows.retain(|key, _| !key.starts_with("ledger/"));
        states.push(rows.clone());
    }
    (files, states)
}

/// All of it in the database, nothing in the log.
fn written_back(files: &Files) {
    let db = rusqlite::Connection::open(files.path("")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

fn seed() -> u64 {
    let given = std::env::var("MAYFLY_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from_ne_bytes(entropy::random()))
}

/// splitmix64
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Flips one bit at a time of one of the two files; `fits` says which states a claim may find.
async fn flip_bits(files: &Files, which: usize, flips: u64, fits: impl Fn(&Rows) -> bool) -> u64 {
    let flips = std::env::var("MAYFLY_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(flips);
    let seed = seed();
    let again = format!("again: MAYFLY_SEED={seed} cargo test -p mayfly-core --test store_damage");
    let whole = files.read();
    let mut state = seed;
    let mut refused = 0;
    for flip in 0..flips {
        let mut damaged = whole.clone();
        let at = usize::try_from(draw(&mut state) % damaged[which].len() as u64).unwrap();
        damaged[which][at] ^= 1 << (draw(&mut state) % 8);
        files.write(&damaged);
        match files.claim().await {
            Ok((_, rows)) => assert!(fits(&rows), "flip {flip} at byte {at} of {which} was loaded; {again}"),
            Err(error) => {
                assert_eq!(error.code, Code::StateCorrupt, "flip {flip} at byte {at}: {error}; {again}");
                assert!(files.read() == damaged, "flip {flip} at byte {at}: refused, and changed; {again}");
                refused += 1;
            }
        }
    }
    files.write(&whole);
    assert!(fits(&files.claim().await.unwrap().1), "the whole files load");
    refused
}

#[tokio::test]
async fn a_bit_that_flips_in_the_database_changes_nothing_or_is_refused() {
    let (files, states) = lived().await;
    written_back(&files);
    let refused = flip_bits(&files, 0, FLIPS, |rows| rows == states.last().unwrap()).await;
    assert!(refused > FLIPS / 2, "most of the bytes are rows, and {refused} flips were seen");
}

#[tokio::test]
async fn a_bit_that_flips_in_the_log_leaves_a_state_that_was_committed_or_is_refused() {
    let (files, states) = lived().await;
    flip_bits(&files, 1, LOG_FLIPS, |rows| states.contains(rows)).await;
}

/// SQLite's pages, as it makes them when nobody says otherwise.
const PAGE: usize = 4_096;

#[tokio::test]
async fn a_page_that_the_disk_forgot_to_write_changes_nothing_or_is_refused() {
    let (files, _) = lived().await;
    write_round(&files, 100).await;
    written_back(&files);
    let old = files.read()[0].clone();
    let newest = write_round(&files, 101).await;
    written_back(&files);
    let whole = files.read();
    assert_eq!(old.len(), whole[0].len(), "rows of the same lengths stay where they are");
    let mut refused = 0;
    for at in (0..old.len()).step_by(PAGE).filter(|at| old[*at..at + PAGE] != whole[0][*at..at + PAGE]) {
        let mut damaged = whole.clone();
        damaged[0][at..at + PAGE].copy_from_slice(&old[at..at + PAGE]);
        files.write(&damaged);
        match files.claim().await {
            Ok((_, rows)) => assert!(rows == newest, "the page at {at} is old, and was loaded"),
            Err(error) => {
                assert_eq!(error.code, Code::StateCorrupt, "{error}");
                assert!(files.read() == damaged, "refused, and changed");
                refused += 1;
            }
        }
    }
    assert!(refused > 5, "{refused} pages");
}

#[tokio::test]
async fn a_row_that_is_gone_is_refused_and_one_that_nobody_loads_is_not_missed() {
    for (gone, loads) in [("manager", false), ("outbox/10", false), ("ledger/03", true)] {
        let (files, states) = lived().await;
        let db = rusqlite::Connection::open(files.path("")).unwrap();
        assert_eq!(db.execute("DELETE FROM item WHERE key = ?1", [gone]).unwrap(), 1);
        drop(db);
        match files.claim().await {
            Ok((_, rows)) => assert!(loads && rows == *states.last().unwrap(), "{gone}"),
            Err(error) => assert!(!loads && error.code == Code::StateCorrupt, "{gone}: {error}"),
        }
    }
}

#[tokio::test]
async fn what_is_read_beside_a_holder_is_what_was_written_or_refused() {
    let (files, _) = lived().await;
    let ledger = files.store().read(&["ledger/"]).await.unwrap();
    assert_eq!(ledger.len(), 12);
    let db = rusqlite::Connection::open(files.path("")).unwrap();
    db.execute("UPDATE item SET value = x'00' WHERE key = 'ledger/03'", []).unwrap();
    let error = files.store().read(&["ledger/"]).await.unwrap_err();
    assert_eq!(error.code, Code::StateCorrupt);
    assert!(error.message.contains("ledger/03"), "{error}");
    assert_eq!(files.store().read_last("ledger/", None, 9).await.unwrap_err().code, Code::StateCorrupt);
    assert_eq!(files.store().read_last("ledger/", None, 8).await.unwrap().len(), 8, "it reads no more");
    assert_eq!(files.store().read(&["node"]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_from_before_rows_had_sums_is_read_as_it_is_and_gets_them_from_its_next_holder() {
    let (files, states) = lived().await;
    let db = rusqlite::Connection::open(files.path("")).unwrap();
    db.execute_batch("ALTER TABLE item DROP COLUMN sum; ALTER TABLE lease DROP COLUMN sum; PRAGMA user_version = 1")
        .unwrap();
    drop(db);
    let newest = states.last().unwrap();
    let before = files.read();
    assert_eq!(files.store().read(&["ledger/"]).await.unwrap().len(), 12);
    assert!(files.read() == before, "a reader changes nothing");
    assert!(files.claim().await.unwrap().1 == *newest);
    assert_eq!(files.store().read(&["ledger/"]).await.unwrap().len(), 12);
    let newest = write_round(&files, 100).await;
    assert!(files.claim().await.unwrap().1 == newest, "the sum of all is right after a commit, too");
    let db = rusqlite::Connection::open(files.path("")).unwrap();
    db.execute("UPDATE item SET value = x'00' WHERE key = 'manager'", []).unwrap();
    assert_eq!(files.claim().await.unwrap_err().code, Code::StateCorrupt);
}
