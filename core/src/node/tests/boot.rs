//! A start that fails beside its claim: what the claim brings is given back.

use crate::checkpoint::Committer;
use crate::error::{Code, Error, Result};
use crate::lease::tests::Database;
use crate::lease::{Lease, LeasedStore, Returns};
use crate::node::boot::both;
use crate::store::{Claimant, Snapshot, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(10);

async fn claim(database: &Database, returns: &Returns) -> Result<(Snapshot, Committer)> {
    let lease = Arc::new(Lease::unclaimed(Arc::default()));
    let mut store = LeasedStore::new(Box::new(database.store()), lease, returns.clone());
    let snapshot = store.claim_and_load(&Claimant::of_process(1)).await?;
    let committer = Committer::new(Box::new(store), &snapshot, PATIENCE).returning(returns.clone());
    Ok((snapshot, committer))
}

fn down() -> Error {
    Error::new(Code::ChainUnavailable, "as the test asked for")
}

#[tokio::test]
async fn a_claim_that_is_answered_after_the_start_has_failed_is_given_back() {
    let (database, returns) = (Database::default(), Returns::default());
    database.is_silent();
    let (fail, failed) = oneshot::channel::<()>();
    let others = async {
        let _ = failed.await;
        Err::<(), _>(down())
    };
    // 1. The claim is on its way. 2. The chain can't be reached. 3. The claim is granted.
    let starting = both(claim(&database, &returns), others, &returns);
    let world = async {
        while !returns.is_claiming() {
            tokio::task::yield_now().await;
        }
        fail.send(()).unwrap();
        tokio::task::yield_now().await;
        database.speaks();
    };
    let (started, ()) = tokio::join!(starting, world);
    assert_eq!(started.err().unwrap().code, Code::ChainUnavailable);
    assert!(!returns.is_empty());
    returns.give_back().await.unwrap();
    database.take_over().await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_while_it_waits_for_another_holder_ends_at_once_and_leaves_nothing() {
    let (database, returns) = (Database::default(), Returns::default());
    let _holder = database.take_over().await.unwrap();
    let waiting = async {
        let refused = claim(&database, &returns).await;
        assert_eq!(refused.err().unwrap().code, Code::WalletLocked);
        // Between two tries.
        std::future::pending().await
    };
    let others = async {
        tokio::task::yield_now().await;
        Err::<(), _>(down())
    };
    let error = both(waiting, others, &returns).await.err().unwrap();
    assert_eq!(error.code, Code::ChainUnavailable);
    assert!(returns.is_empty() && !returns.is_claiming());
}

#[tokio::test]
async fn a_chain_that_fails_after_the_claim_gives_it_back_and_a_wallet_that_is_held_ends_the_start() {
    let (database, returns) = (Database::default(), Returns::default());
    let others = async {
        while database.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        Err::<(), _>(down())
    };
    let error = both(claim(&database, &returns), others, &returns).await.err().unwrap();
    assert_eq!(error.code, Code::ChainUnavailable);
    returns.give_back().await.unwrap();
    let _holder = database.take_over().await.unwrap();
    let error = both(claim(&database, &returns), std::future::pending::<Result<()>>(), &returns).await.err().unwrap();
    assert_eq!(error.code, Code::WalletLocked);
}
