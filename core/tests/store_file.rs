//! What only the file store must do: modes, locks across processes and crashes, replaced and damaged files.

#![allow(clippy::disallowed_methods, reason = "a test starts processes and tells them by the environment what to do")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![cfg(unix)]

use mayfly_core::entropy;
use mayfly_core::error::Code;
use mayfly_core::store::file::FileStore;
use mayfly_core::store::{Batch, Claimant, Nonce, Outcome, Position, Seq, Snapshot, Standing, Store, WalletId};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const WALLET: WalletId = WalletId([7; 32]);

fn claimant(pid: u32) -> Claimant {
    Claimant { host: Some("suite".to_owned()), ..Claimant::of_process(pid) }
}

/// A folder, and the names of a wallet's files in it.
struct Home {
    scratch: TempDir,
}

impl Home {
    fn new() -> Self {
        Home { scratch: tempfile::tempdir().unwrap() }
    }
    fn dir(&self) -> PathBuf {
        self.scratch.path().join("wallets")
    }
    fn store(&self) -> FileStore {
        FileStore::open(self.dir(), WALLET)
    }
    fn file(&self, extension: &str) -> PathBuf {
        self.dir().join(format!("{}.{extension}", WALLET.short_hex()))
    }
}

async fn claim(store: &mut FileStore) -> Snapshot {
    store.claim_and_load(&claimant(std::process::id())).await.unwrap()
}

fn batch(key: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value.to_vec());
    batch
}

async fn commit(store: &mut FileStore, at: Position, batch: &Batch) -> Position {
    let seq = Seq(at.seq.0 + 1);
    assert_eq!(store.commit(at, Nonce(entropy::random()), batch).await, Outcome::Committed(seq));
    Position { seq, ..at }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Another process with the same wallet; killed when dropped.
struct Other {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    /// Runs one of the `child_…` tests below in a process of its own.
    fn run(test: &str, home: &Home) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("MAYFLY_TEST_DIR", home.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Other { child, output }
    }

    /// The number in the next line that says so, e.g. `committed 5`.
    fn next(&mut self, word: &str) -> Option<u64> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The harness prints the test's name in front of the first line.
            if let Some((_, number)) = line.trim_end().rsplit_once(&format!("{word} ")) {
                return Some(number.parse().unwrap());
            }
            line.clear();
        }
        None
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn child_store() -> FileStore {
    FileStore::open(std::env::var_os("MAYFLY_TEST_DIR").expect("set by the parent"), WALLET)
}

#[tokio::test]
#[ignore = "runs in a child process of other tests"]
async fn child_holds() {
    let mut store = child_store();
    let at = claim(&mut store).await.position;
    let at = commit(&mut store, at, &batch("from", b"child")).await;
    println!("holds {}", at.epoch.0);
    // Until killed, or the parent is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
#[ignore = "runs in a child process of other tests"]
async fn child_commits_without_end() {
    let mut store = child_store();
    let mut at = claim(&mut store).await.position;
    loop {
        let number = (at.seq.0 + 1).to_be_bytes();
        let mut both = batch("number", &number);
        both.put("copy", number.repeat(2_000));
        at = commit(&mut store, at, &both).await;
        println!("committed {}", at.seq.0);
    }
}

#[tokio::test]
async fn opening_and_reading_create_nothing() {
    let home = Home::new();
    assert!(home.store().read(&[""]).await.unwrap().is_empty());
    let at = Position { epoch: mayfly_core::store::Epoch(0), seq: Seq(0) };
    assert_eq!(home.store().check(at).await.unwrap(), Standing::Fenced);
    assert!(!home.dir().exists());
    // A folder without this wallet's files stays as it was, too.
    std::fs::create_dir(home.dir()).unwrap();
    assert!(home.store().read(&[""]).await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(home.dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn files_and_folders_are_for_their_owner_only() {
    let home = Home::new();
    let nested = home.dir().join("a/b");
    let mut store = FileStore::open(&nested, WALLET);
    let at = claim(&mut store).await.position;
    commit(&mut store, at, &batch("a", b"1")).await;
    for folder in [home.dir(), home.dir().join("a"), nested.clone()] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    let files: Vec<_> = std::fs::read_dir(&nested).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_folder_that_was_there_keeps_its_mode() {
    let home = Home::new();
    std::fs::create_dir(home.dir()).unwrap();
    std::fs::set_permissions(home.dir(), std::fs::Permissions::from_mode(0o750)).unwrap();
    claim(&mut home.store()).await;
    assert_eq!(mode(&home.dir()), 0o750);
}

#[tokio::test]
async fn two_wallets_share_a_folder() {
    let home = Home::new();
    let (mut first, mut second) = (home.store(), FileStore::open(home.dir(), WalletId([8; 32])));
    let at = claim(&mut first).await.position;
    commit(&mut first, at, &batch("a", b"1")).await;
    assert!(claim(&mut second).await.rows.is_empty());
}

#[tokio::test]
async fn another_process_excludes_us_is_named_and_can_be_read_beside() {
    let home = Home::new();
    let mut other = Other::run("child_holds", &home);
    let epoch = other.next("holds").expect("the child claims");
    let mut store = home.store();
    let error = store.claim_and_load(&claimant(1)).await.unwrap_err();
    assert_eq!(error.code, Code::WalletLocked);
    let holder = error.holder.unwrap();
    assert_eq!((holder.pid, holder.epoch), (Some(other.child.id()), epoch));
    assert_eq!(store.read(&["fr"]).await.unwrap(), *batch("from", b"child").puts());
}

#[tokio::test]
async fn sigkill_frees_the_wallet_and_the_next_holder_has_what_was_committed() {
    let home = Home::new();
    let mut other = Other::run("child_holds", &home);
    let epoch = other.next("holds").expect("the child claims");
    other.kill();
    let snapshot = claim(&mut home.store()).await;
    assert_eq!((snapshot.position.epoch.0, snapshot.position.seq), (epoch + 1, Seq(1)));
    assert_eq!(snapshot.rows, *batch("from", b"child").puts());
}

#[tokio::test]
async fn a_writer_killed_at_any_point_loses_no_commit_and_leaves_no_half() {
    let home = Home::new();
    for lines in [1, 7, 40] {
        let mut other = Other::run("child_commits_without_end", &home);
        let mut told = 0;
        for _ in 0..lines {
            told = other.next("committed").expect("the child commits");
            // A reader beside the writer sees whole commits only.
            let rows = home.store().read(&["number", "copy"]).await.unwrap();
            assert_eq!(rows["number"].repeat(2_000), rows["copy"]);
        }
        other.kill();
        while let Some(more) = other.next("committed") {
            told = more;
        }
        let snapshot = claim(&mut home.store()).await;
        // One more than told is a commit that ended between the disk and the line about it.
        let seq = snapshot.position.seq.0;
        assert!(seq == told || seq == told + 1, "told {told}, found {seq}");
        assert_eq!(snapshot.rows["number"], seq.to_be_bytes());
        assert_eq!(snapshot.rows["number"].repeat(2_000), snapshot.rows["copy"]);
    }
}

#[tokio::test]
async fn a_holder_whose_lock_file_is_deleted_or_replaced_is_over() {
    let home = Home::new();
    let mut first = home.store();
    let at = claim(&mut first).await.position;
    std::fs::remove_file(home.file("lock")).unwrap();
    assert_eq!(first.check(at).await.unwrap(), Standing::Fenced);
    let mut second = home.store();
    let held = claim(&mut second).await.position;
    assert_eq!(first.commit(at, Nonce([1; 16]), &batch("a", b"zombie")).await, Outcome::Fenced);
    assert_eq!(first.check(at).await.unwrap(), Standing::Fenced);
    commit(&mut second, held, &batch("a", b"1")).await;
    drop((first, second));
    assert_eq!(claim(&mut home.store()).await.rows, *batch("a", b"1").puts());
}

#[tokio::test]
async fn a_holder_whose_database_is_replaced_is_over_instead_of_writing_into_the_void() {
    let home = Home::new();
    let mut store = home.store();
    let at = claim(&mut store).await.position;
    std::fs::rename(home.file("sqlite"), home.file("moved")).unwrap();
    assert_eq!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Fenced);
    std::fs::copy(home.file("moved"), home.file("sqlite")).unwrap();
    assert_eq!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Fenced);
    assert_eq!(store.check(at).await.unwrap(), Standing::Fenced);
}

#[tokio::test]
async fn a_database_that_does_not_load_is_corrupt_and_stays_as_it_was() {
    for garbage in [b"short".to_vec(), vec![0x5a; 100_000]] {
        let home = Home::new();
        std::fs::create_dir(home.dir()).unwrap();
        std::fs::write(home.file("sqlite"), &garbage).unwrap();
        let error = home.store().claim_and_load(&claimant(1)).await.unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt, "{error}");
        assert!(error.message.contains(&home.file("sqlite").display().to_string()), "{error}");
        assert_eq!(home.store().read(&[""]).await.unwrap_err().code, Code::StateCorrupt);
        assert_eq!(std::fs::read(home.file("sqlite")).unwrap(), garbage);
    }
}

#[tokio::test]
async fn a_database_with_damaged_pages_is_corrupt() {
    let home = Home::new();
    let mut store = home.store();
    let mut at = claim(&mut store).await.position;
    // More than the log holds before it is written back into the database.
    for i in 0..12u8 {
        at = commit(&mut store, at, &batch(&format!("row/{i}"), &vec![i; 500_000])).await;
    }
    drop(store);
    let mut bytes = std::fs::read(home.file("sqlite")).unwrap();
    assert!(bytes.len() > 1_000_000);
    bytes[4_096..].fill(0x5a);
    std::fs::write(home.file("sqlite"), bytes).unwrap();
    std::fs::remove_file(home.file("sqlite-wal")).unwrap();
    assert_eq!(home.store().claim_and_load(&claimant(1)).await.unwrap_err().code, Code::StateCorrupt);
    assert_eq!(home.store().read(&[""]).await.unwrap_err().code, Code::StateCorrupt);
}

#[tokio::test]
async fn a_log_whose_database_is_lost_is_not_thrown_away() {
    for empty in [false, true] {
        let home = Home::new();
        let mut store = home.store();
        let at = claim(&mut store).await.position;
        commit(&mut store, at, &batch("a", b"1")).await;
        drop(store);
        let log = std::fs::read(home.file("sqlite-wal")).unwrap();
        assert!(!log.is_empty());
        std::fs::remove_file(home.file("sqlite")).unwrap();
        if empty {
            std::fs::write(home.file("sqlite"), b"").unwrap();
        }
        // Asked twice: the first refusal must not prepare the ground for an empty wallet.
        for _ in 0..2 {
            let error = home.store().claim_and_load(&claimant(1)).await.unwrap_err();
            assert_eq!(error.code, Code::StateCorrupt, "{error}");
        }
        assert_eq!(std::fs::read(home.file("sqlite-wal")).unwrap(), log);
    }
}

#[tokio::test]
async fn a_newer_schema_and_a_database_of_another_program_are_refused_unchanged() {
    for (sql, says) in [
        ("PRAGMA application_id = 0x4d59464c; PRAGMA user_version = 3; CREATE TABLE lease (x)", "newer version"),
        ("CREATE TABLE somebody_elses (x)", "another program"),
        ("PRAGMA user_version = 1", "another program"),
    ] {
        let home = Home::new();
        std::fs::create_dir(home.dir()).unwrap();
        rusqlite::Connection::open(home.file("sqlite")).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(home.file("sqlite")).unwrap();
        let error = home.store().claim_and_load(&claimant(1)).await.unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt, "{error}");
        assert!(error.message.contains(says), "{error}");
        assert_eq!(home.store().read(&[""]).await.unwrap_err().code, Code::StateCorrupt);
        assert_eq!(std::fs::read(home.file("sqlite")).unwrap(), before);
    }
}

#[tokio::test]
async fn a_database_copied_from_another_wallet_is_refused() {
    let home = Home::new();
    claim(&mut home.store()).await;
    // The names of files have half of the id; the whole is inside.
    let mut id = [7; 32];
    id[31] = 8;
    let error = FileStore::open(home.dir(), WalletId(id)).claim_and_load(&claimant(1)).await.unwrap_err();
    assert_eq!(error.code, Code::StateCorrupt, "{error}");
}

#[tokio::test]
async fn a_file_where_the_folder_should_be_is_unavailable_with_its_path() {
    let home = Home::new();
    std::fs::write(home.dir(), b"").unwrap();
    for store in [home.store(), FileStore::open(home.dir().join("deeper"), WALLET)] {
        let mut store = store;
        let error = store.claim_and_load(&claimant(1)).await.unwrap_err();
        assert_eq!(error.code, Code::StoreUnavailable, "{error}");
        assert!(error.message.contains(&home.dir().display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_somebody_else_keeps_busy_is_unavailable_and_then_works_again() {
    let home = Home::new();
    let mut store = home.store();
    let at = claim(&mut store).await.position;
    let shell = rusqlite::Connection::open(home.file("sqlite")).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let change = batch("a", b"1");
    match store.commit(at, Nonce([1; 16]), &change).await {
        Outcome::Unknown(error) => assert_eq!(error.code, Code::StoreUnavailable, "{error}"),
        other => panic!("{other:?}"),
    }
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(at, Nonce([1; 16]), &change).await, Outcome::Committed(Seq(1)));
}

#[tokio::test]
async fn the_log_stays_bounded_and_closing_leaves_it_for_the_next_holder() {
    let home = Home::new();
    for round in 0..3u64 {
        let mut store = home.store();
        let mut at = claim(&mut store).await.position;
        assert_eq!(at.seq, Seq(round * 40));
        for _ in 0..40 {
            at = commit(&mut store, at, &batch("monitor", &[1; 300_000])).await;
        }
    }
    // SQLite writes the log back at 1000 pages; one commit may come on top.
    let log = std::fs::metadata(home.file("sqlite-wal")).unwrap().len();
    assert!(0 < log && log < 6_000_000, "{log} bytes");
}
