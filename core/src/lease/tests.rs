//! A lease by clocks and a database that the test turns.

use super::{Clocks, Lease, LeasedStore, Reading, Returns, Stamp};
use crate::checkpoint::Committer;
use crate::config::TakeOver;
use crate::error::{Code, Error, Holder, Result};
use crate::store::memory::{MemoryStore, MemoryWallet};
use crate::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) const TTL: Duration = Duration::from_secs(8);
/// Within which a proof is fresh: see `LONGEST_SLACK`.
pub(crate) const SLACK: Duration = Duration::from_millis(2_500);
const LITTLE: Duration = Duration::from_millis(1);

/// Clocks that stand until a test turns them.
#[derive(Clone, Default)]
pub(crate) struct HandClocks(Arc<Mutex<Reading>>);

impl HandClocks {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap()
    }

    /// All of them, as when a process stands still.
    pub fn pass(&self, time: Duration) {
        let mut reading = self.reading();
        reading.monotonic += time;
        reading.boottime += time;
        reading.realtime += time;
    }
}

impl Clocks for HandClocks {
    fn read(&self) -> Reading {
        *self.reading()
    }
}

/// What a database knows of one wallet, by its own clock.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub wallet: MemoryWallet,
    state: Arc<Mutex<DatabaseState>>,
    speaks: Arc<Notify>,
}

#[derive(Default)]
struct DatabaseState {
    now: Duration,
    expires_at: Duration,
    held: bool,
    down: bool,
    silent: bool,
    /// Requests, by name.
    asked: Vec<&'static str>,
}

impl Database {
    fn state(&self) -> MutexGuard<'_, DatabaseState> {
        self.state.lock().unwrap()
    }

    /// Its clock goes on.
    pub fn pass(&self, time: Duration) {
        self.state().now += time;
    }

    /// It answers nothing, or again.
    pub fn is_down(&self, down: bool) {
        self.state().down = down;
    }

    /// It answers neither claims nor releases.
    pub fn is_silent(&self) {
        self.state().silent = true;
    }

    /// It answers whoever waits.
    pub fn speaks(&self) {
        self.state().silent = false;
        self.speaks.notify_one();
    }

    /// What it was asked since it was asked this last.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().asked)
    }

    /// Whether its lease has run out.
    pub fn is_expired(&self) -> bool {
        let state = self.state();
        state.expires_at <= state.now
    }

    pub fn store(&self) -> TtlStore {
        TtlStore { inner: self.wallet.store(), database: self.clone(), ttl: TTL }
    }

    /// Another holder takes the wallet, if its lease has run out.
    pub async fn take_over(&self) -> Result<Committer> {
        let claimant = Claimant { take_over: TakeOver::Expired, ..Claimant::of_process(2) };
        let mut store = self.store();
        let snapshot = store.claim_and_load(&claimant).await?;
        Ok(Committer::new(Box::new(store), &snapshot, Duration::from_secs(10)))
    }
}

/// A store with a lease that expires.
pub(crate) struct TtlStore {
    inner: MemoryStore,
    database: Database,
    ttl: Duration,
}

impl TtlStore {
    fn ask(&self, what: &'static str) -> Result<()> {
        let mut state = self.database.state();
        state.asked.push(what);
        if state.down {
            return Err(Error::new(Code::StoreUnavailable, "the database is down"));
        }
        Ok(())
    }

    async fn may_answer(&self) {
        loop {
            let silent = self.database.state().silent;
            if !silent {
                return;
            }
            self.database.speaks.notified().await;
        }
    }

    fn renew(&self) {
        let mut state = self.database.state();
        state.expires_at = state.now + self.ttl;
        state.held = true;
    }
}

impl Store for TtlStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            self.ask("claim")?;
            self.may_answer().await;
            let held = self.database.state().held;
            if held && !self.database.is_expired() {
                let holder = Holder { pid: None, host: None, since_ms: 0, epoch: 1 };
                return Err(Error::locked(Some(holder), Duration::from_millis(250)));
            }
            if held {
                self.database.wallet.fence();
            }
            let snapshot = self.inner.claim_and_load(claimant).await?;
            self.renew();
            Ok(snapshot)
        })
    }
    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(async move {
            if let Err(error) = self.ask("commit") {
                return Outcome::Unknown(error);
            }
            let outcome = self.inner.commit(at, nonce, batch).await;
            if matches!(outcome, Outcome::Committed(_)) {
                self.renew();
            }
            outcome
        })
    }
    fn ttl(&self) -> Option<Duration> {
        Some(self.ttl)
    }
    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(async move {
            self.ask("check")?;
            let standing = self.inner.check(at).await;
            if matches!(standing, Ok(Standing::Held(_))) {
                self.renew();
            }
            standing
        })
    }
    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(async move {
            self.ask("release")?;
            self.may_answer().await;
            self.database.state().held = false;
            self.inner.release(at).await
        })
    }
    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read(prefixes)
    }
    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read_last(prefix, before, limit)
    }
}

/// A holder of a wallet in a database, with its lease.
pub(crate) struct Held {
    pub database: Database,
    pub clocks: HandClocks,
    pub lease: Arc<Lease>,
    pub committer: Committer,
}

/// Claimed just now, under that lease.
pub(crate) async fn held() -> Held {
    let database = Database::default();
    let clocks = HandClocks::default();
    let lease = Arc::new(Lease::by(clocks.clone(), Arc::new(Notify::new())));
    let mut store = LeasedStore::new(Box::new(database.store()), Arc::clone(&lease), Returns::default());
    let snapshot = store.claim_and_load(&Claimant::of_process(1)).await.unwrap();
    let committer = Committer::new(Box::new(store), &snapshot, Duration::from_secs(10)).under(Arc::clone(&lease));
    database.asked();
    Held { database, clocks, lease, committer }
}

impl Held {
    /// The process stands still, and the world goes on.
    pub fn freeze(&self, time: Duration) {
        self.clocks.pass(time);
        self.database.pass(time);
    }
}

fn a_row() -> Batch {
    let mut batch = Batch::default();
    batch.put("row", vec![1]);
    batch
}

#[tokio::test]
async fn nothing_leaves_before_the_claim_and_the_claim_opens() {
    let lease = Lease::unclaimed(Arc::default());
    assert!(!lease.is_fresh());
    let held = held().await;
    assert!(held.lease.is_fresh());
}

#[tokio::test]
async fn a_gap_in_any_of_the_three_clocks_shuts_the_way_out_and_so_does_one_that_goes_back() {
    let far = SLACK + LITTLE;
    type Turn = fn(&mut Reading, Duration);
    let turns: [(&str, Turn); 4] = [
        ("monotonic", |reading, by| reading.monotonic += by),
        ("boottime", |reading, by| reading.boottime += by),
        ("realtime", |reading, by| reading.realtime += by),
        ("realtime, back", |reading, by| reading.realtime -= by),
    ];
    for (which, turn) in turns {
        let mut held = held().await;
        held.clocks.pass(Duration::from_secs(100));
        held.committer.check().await.unwrap();
        turn(&mut held.clocks.reading(), SLACK);
        assert!(held.lease.is_fresh(), "{which}");
        turn(&mut held.clocks.reading(), LITTLE);
        assert!(!held.lease.is_fresh(), "{which} by {far:?}");
        held.committer.check().await.unwrap();
        assert!(held.lease.is_fresh(), "{which}, checked");
    }
}

#[tokio::test]
async fn a_commit_renews_as_a_check_does() {
    let mut held = held().await;
    held.freeze(SLACK);
    held.committer.commit(&a_row()).await.unwrap();
    held.freeze(SLACK);
    assert!(held.lease.is_fresh());
    held.freeze(LITTLE);
    assert!(!held.lease.is_fresh());
}

#[tokio::test]
async fn a_proof_is_as_old_as_its_question() {
    let held = held().await;
    // 1. A check is sent. 2. The process stands still. 3. The answer was there all the time.
    let asked = held.lease.ask();
    held.freeze(SLACK + LITTLE);
    held.lease.proven(asked);
    assert!(!held.lease.is_fresh());
}

#[tokio::test]
async fn a_short_lease_has_a_shorter_slack_and_a_long_one_none_longer_than_anyone_may_take_it_after() {
    for (ttl, slack) in [(2_400, 800), (7_500, 2_500), (600_000, 2_500)] {
        let clocks = HandClocks::default();
        let lease = Lease::by(clocks.clone(), Arc::default());
        lease.claimed(lease.ask(), Some(Duration::from_millis(ttl)));
        clocks.pass(Duration::from_millis(slack));
        assert!(lease.is_fresh(), "{ttl}");
        clocks.pass(LITTLE);
        assert!(!lease.is_fresh(), "{ttl}");
    }
}

#[tokio::test]
async fn a_lease_that_lasts_as_long_as_its_process_is_always_fresh_and_never_due() {
    let clocks = HandClocks::default();
    let lease = Lease::by(clocks.clone(), Arc::default());
    lease.claimed(lease.ask(), None);
    clocks.pass(Duration::from_secs(1_000_000));
    assert!(lease.is_fresh());
    assert_eq!(lease.due_at(true), None);
    assert_eq!(lease.stamp(), Stamp::NONE);
    lease.lost();
    assert!(!lease.is_fresh(), "a claim of another still ends it");
}

#[tokio::test]
async fn what_is_made_now_passes_with_a_request_that_is_sent_from_now_on() {
    let mut held = held().await;
    let on_its_way = held.lease.ask();
    let stamp = held.lease.stamp();
    held.lease.proven(on_its_way);
    assert!(!held.lease.passed(stamp), "that one was sent before");
    held.committer.check().await.unwrap();
    assert!(held.lease.passed(stamp));
    let stamp = held.lease.stamp();
    held.database.is_down(true);
    held.committer.check().await.unwrap_err();
    assert!(!held.lease.passed(stamp), "no answer is no proof");
    held.database.is_down(false);
    held.committer.commit(&a_row()).await.unwrap();
    assert!(held.lease.passed(stamp), "a commit is a proof");
}

#[tokio::test(start_paused = true)]
async fn an_idle_holder_renews_each_second_while_it_hears_its_lsp_and_not_while_it_is_deaf() {
    let mut held = held().await;
    let tick = Duration::from_secs(1);
    for _ in 0..20 {
        held.committer.renew(true).await.unwrap();
        assert_eq!(held.database.asked().len(), 0, "not before its time");
        tokio::time::advance(tick).await;
        held.freeze(tick);
        assert!(held.lease.is_fresh());
        held.committer.renew(true).await.unwrap();
        assert_eq!(held.database.asked(), ["check"]);
        assert!(!held.database.is_expired());
    }
    // It hears nothing any more.
    for _ in 0..20 {
        tokio::time::advance(tick).await;
        held.freeze(tick);
        held.committer.renew(false).await.unwrap();
    }
    assert!(held.database.asked().is_empty());
    assert!(held.database.is_expired());
    held.database.take_over().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_puts_the_next_check_off() {
    let mut held = held().await;
    for _ in 0..10 {
        tokio::time::advance(Duration::from_millis(700)).await;
        held.committer.commit(&a_row()).await.unwrap();
        held.committer.renew(true).await.unwrap();
    }
    assert!(held.database.asked().iter().all(|asked| *asked == "commit"));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_thaws_and_was_not_missed_goes_on_after_one_round_trip() {
    let mut held = held().await;
    held.committer.commit(&a_row()).await.unwrap();
    held.database.asked();
    held.freeze(3 * TTL);
    assert!(held.database.is_expired(), "anyone might have come");
    assert!(!held.lease.is_fresh());
    held.committer.renew(true).await.unwrap();
    assert!(held.lease.is_fresh());
    assert_eq!(held.database.asked(), ["check"]);
    held.committer.commit(&a_row()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_thaws_and_was_replaced_is_fenced_and_shut_for_ever() {
    let mut held = held().await;
    held.freeze(TTL);
    let mut successor = held.database.take_over().await.unwrap();
    let error = held.committer.renew(true).await.unwrap_err();
    assert_eq!(error.code, Code::Fenced);
    assert!(!held.lease.is_fresh());
    // Whatever comes: not even an old answer opens it.
    held.lease.proven(held.lease.ask());
    assert!(!held.lease.is_fresh());
    assert_eq!(held.lease.open().await.unwrap_err().code, Code::Fenced);
    assert_eq!(held.lease.due_at(true), None);
    assert_eq!(held.committer.commit(&a_row()).await.unwrap_err().code, Code::Fenced);
    successor.commit(&a_row()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_ends_nothing_and_is_asked_again() {
    let mut held = held().await;
    held.database.is_down(true);
    held.freeze(TTL / 2);
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(1)).await;
        held.committer.renew(true).await.unwrap();
        assert!(!held.lease.is_fresh());
    }
    assert_eq!(held.database.asked().len(), 5);
    held.committer.renew(true).await.unwrap();
    assert!(held.database.asked().is_empty(), "with a pause between");
    held.database.is_down(false);
    tokio::time::advance(Duration::from_secs(1)).await;
    held.committer.renew(true).await.unwrap();
    assert!(held.lease.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_way_out_has_it_checked_also_for_a_node_that_is_deaf() {
    let mut held = held().await;
    held.freeze(TTL);
    assert_eq!(held.lease.due_at(false), None);
    let lease = Arc::clone(&held.lease);
    let waiter = tokio::spawn(async move { lease.open().await.unwrap() });
    tokio::task::yield_now().await;
    held.committer.renew(false).await.unwrap();
    assert_eq!(held.database.asked(), ["check"]);
    waiter.await.unwrap();
    held.committer.renew(false).await.unwrap();
    assert!(held.database.asked().is_empty(), "once");
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_long_keeps_its_lease() {
    let Held { database, mut committer, .. } = held().await;
    let work = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            database.pass(Duration::from_millis(100));
            assert!(!database.is_expired());
        }
        "done"
    };
    assert_eq!(committer.keeping(work).await.unwrap(), "done");
    let asked = database.asked();
    assert!(asked.len() >= 9 && asked.iter().all(|asked| *asked == "check"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_long_ends_when_the_wallet_is_another_holders() {
    let Held { database, mut committer, .. } = held().await;
    database.pass(TTL);
    database.take_over().await.unwrap();
    let error = committer.keeping(std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(error.code, Code::Fenced);
}

#[tokio::test]
async fn a_holder_that_ends_without_giving_its_lease_back_leaves_it_to_whoever_goes_on() {
    let Held { database, committer, .. } = held().await;
    let returns = Returns::default();
    let committer = committer.returning(returns.clone());
    drop(committer);
    assert_eq!(database.take_over().await.err().unwrap().code, Code::WalletLocked);
    assert!(!returns.is_empty());
    returns.give_back().await.unwrap();
    assert!(returns.is_empty());
    database.take_over().await.unwrap();
}

#[tokio::test]
async fn one_that_is_given_back_or_fenced_leaves_none() {
    let Held { committer, .. } = held().await;
    let returns = Returns::default();
    committer.returning(returns.clone()).release().await.unwrap();
    assert!(returns.is_empty());

    let Held { database, committer, .. } = held().await;
    let mut committer = committer.returning(returns.clone());
    database.pass(TTL);
    let _successor = database.take_over().await.unwrap();
    committer.check().await.unwrap_err();
    database.asked();
    drop(committer);
    assert!(returns.is_empty());
    returns.give_back().await.unwrap();
    assert!(database.asked().is_empty());
}

#[tokio::test]
async fn a_return_that_is_cut_short_is_not_counted_as_one() {
    let Held { database, committer, .. } = held().await;
    let returns = Returns::default();
    database.is_silent();
    let releasing = committer.returning(returns.clone()).release();
    tokio::time::timeout(LITTLE, releasing).await.unwrap_err();
    assert!(!returns.is_empty());
}

#[tokio::test]
async fn a_lease_that_ends_with_its_process_is_given_back_by_dropping_it() {
    let wallet = MemoryWallet::default();
    let returns = Returns::default();
    let mut store = wallet.store();
    let snapshot = store.claim_and_load(&Claimant::of_process(1)).await.unwrap();
    drop(Committer::new(Box::new(store), &snapshot, TTL).returning(returns.clone()));
    assert!(returns.is_empty());
    wallet.store().claim_and_load(&Claimant::of_process(2)).await.unwrap();
}

#[tokio::test]
async fn a_claim_that_was_given_up_before_its_answer_is_known_to_be_lost() {
    let database = Database::default();
    let returns = Returns::default();
    let claim = || {
        let lease = Arc::new(Lease::unclaimed(Arc::default()));
        LeasedStore::new(Box::new(database.store()), lease, returns.clone())
    };
    let claimant = Claimant::of_process(1);
    claim().claim_and_load(&claimant).await.unwrap();
    claim().claim_and_load(&claimant).await.unwrap_err();
    assert!(!returns.is_claiming(), "both were answered");
    database.is_silent();
    tokio::time::timeout(LITTLE, claim().claim_and_load(&claimant)).await.unwrap_err();
    assert!(returns.is_claiming());
}

#[test]
fn the_machines_clocks_go_forward() {
    let before = super::SystemClocks.read();
    let after = super::SystemClocks.read();
    assert!(before.monotonic > Duration::ZERO && before.boottime >= before.monotonic);
    assert!(after.monotonic >= before.monotonic && after.boottime >= before.boottime);
    assert!(after.is_within(Duration::from_secs(60), &before));
}
