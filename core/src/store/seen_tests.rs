use super::*;
use crate::entropy;
use crate::store::memory::{MemoryStore, MemoryWallet};

const WALLET: WalletId = WalletId([3; 32]);

fn claimant() -> Claimant {
    Claimant::of_process(1)
}

/// A place that no other test of this process has seen.
fn somewhere() -> [u8; 16] {
    entropy::random()
}

fn seen(wallet: &MemoryWallet, place: &[u8]) -> SeenStore<MemoryStore> {
    SeenStore::new(wallet.store(), place, WALLET)
}

async fn commit(store: &mut dyn Store, at: Position) -> Position {
    let Outcome::Committed(seq) = store.commit(at, Nonce(entropy::random()), &Batch::default()).await else {
        panic!("the holder commits");
    };
    Position { seq, ..at }
}

/// A wallet that was claimed and committed to so often.
async fn lived(epochs: u64, commits: u64) -> MemoryWallet {
    let wallet = MemoryWallet::default();
    for _ in 1..epochs {
        wallet.store().claim_and_load(&claimant()).await.unwrap();
    }
    let mut store = wallet.store();
    let mut at = store.claim_and_load(&claimant()).await.unwrap().position;
    for _ in 0..commits {
        at = commit(&mut store, at).await;
    }
    drop(store);
    wallet
}

#[tokio::test]
async fn a_wallet_that_goes_on_is_claimed_again_and_again() {
    let (wallet, place) = (MemoryWallet::default(), somewhere());
    for seq in 0..3 {
        let mut store = seen(&wallet, &place);
        let at = store.claim_and_load(&claimant()).await.unwrap().position;
        assert_eq!(at.seq, Seq(seq));
        commit(&mut store, at).await;
    }
}

#[tokio::test]
async fn what_has_fewer_commits_than_this_process_made_is_refused_and_given_back() {
    let (wallet, place) = (MemoryWallet::default(), somewhere());
    let mut store = seen(&wallet, &place);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let at = commit(&mut store, at).await;
    commit(&mut store, at).await;
    let backup = lived(1, 1).await;
    for _ in 0..2 {
        let error = seen(&backup, &place).claim_and_load(&claimant()).await.unwrap_err();
        assert_eq!(error.code, Code::StateCorrupt);
        assert!(error.message.contains("it has commit 1 (epoch"), "{error}");
        assert!(error.message.contains("seen commit 2 (epoch 1)"), "{error}");
    }
    assert!(backup.store().claim_and_load(&claimant()).await.is_ok(), "the lease was given back");
}

#[tokio::test]
async fn what_has_seen_fewer_claims_is_refused_even_with_as_many_commits() {
    let place = somewhere();
    let wallet = lived(5, 2).await;
    seen(&wallet, &place).claim_and_load(&claimant()).await.unwrap();
    let error = seen(&lived(1, 2).await, &place).claim_and_load(&claimant()).await.unwrap_err();
    assert_eq!(error.code, Code::StateCorrupt);
}

#[tokio::test]
async fn another_place_and_another_wallet_are_another_matter() {
    let place = somewhere();
    seen(&lived(5, 5).await, &place).claim_and_load(&claimant()).await.unwrap();
    let empty = MemoryWallet::default();
    seen(&empty, &somewhere()).claim_and_load(&claimant()).await.unwrap();
    let other = WalletId([4; 32]);
    SeenStore::new(empty.store(), &place, other).claim_and_load(&claimant()).await.unwrap();
}

/// A claim whose answer is read only after another node of this process has claimed and committed.
#[tokio::test]
async fn an_answer_that_is_overtaken_by_another_node_of_this_process_is_no_alarm() {
    struct Overtaken {
        inner: MemoryStore,
        wallet: MemoryWallet,
        place: [u8; 16],
    }
    impl Store for Overtaken {
        fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
            Box::pin(async move {
                let snapshot = self.inner.claim_and_load(claimant).await?;
                self.wallet.fence();
                let mut other = seen(&self.wallet, &self.place);
                let at = other.claim_and_load(claimant).await?.position;
                commit(&mut other, at).await;
                Ok(snapshot)
            })
        }
        fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
            self.inner.commit(at, nonce, batch)
        }
        fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
            self.inner.check(at)
        }
        fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
            self.inner.release(at)
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
    let (wallet, place) = (lived(1, 1).await, somewhere());
    let inner = Overtaken { inner: wallet.store(), wallet: wallet.clone(), place };
    let mut overtaken = SeenStore::new(inner, &place, WALLET);
    let at = overtaken.claim_and_load(&claimant()).await.unwrap().position;
    assert_eq!(overtaken.check(at).await.unwrap(), Standing::Fenced, "the other one has it");
    // What was seen meanwhile is not forgotten.
    let error = seen(&lived(1, 1).await, &place).claim_and_load(&claimant()).await.unwrap_err();
    assert!(error.message.contains("seen commit 2 (epoch 4)"), "{error}");
}
