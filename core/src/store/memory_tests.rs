#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn claimant() -> Claimant {
    Claimant::of_process(1)
}

fn batch(key: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value.to_vec());
    batch
}

#[tokio::test]
async fn a_fenced_holder_can_neither_write_nor_take_the_lease_from_its_successor() {
    let wallet = MemoryWallet::default();
    let mut zombie = wallet.store();
    let old = zombie.claim_and_load(&claimant()).await.unwrap().position;
    wallet.fence();
    assert_eq!(zombie.check(old).await.unwrap(), Standing::Fenced);
    assert_eq!(zombie.commit(old, Nonce([1; 16]), &batch("a", b"zombie")).await, Outcome::Fenced);
    let mut successor = wallet.store();
    let at = successor.claim_and_load(&claimant()).await.unwrap().position;
    zombie.release(old).await.unwrap();
    drop(zombie);
    assert_eq!(successor.check(at).await.unwrap(), Standing::Held(Seq(0)));
    assert_eq!(wallet.store().claim_and_load(&claimant()).await.unwrap_err().code, Code::WalletLocked);
    assert!(wallet.rows().is_empty());
}

#[tokio::test]
async fn a_commit_whose_request_is_lost_is_applied_by_sending_it_again() {
    let wallet = MemoryWallet::default();
    let mut store = wallet.store();
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    wallet.lose_commit(Lost::Request);
    assert!(matches!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Unknown(_)));
    assert!(wallet.rows().is_empty());
    assert_eq!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Committed(Seq(1)));
    assert_eq!(wallet.rows(), *batch("a", b"1").puts());
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_confirmed_by_sending_it_again() {
    let wallet = MemoryWallet::default();
    let mut store = wallet.store();
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    wallet.lose_commit(Lost::Reply);
    assert!(matches!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Unknown(_)));
    assert_eq!(wallet.rows(), *batch("a", b"1").puts());
    assert_eq!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Committed(Seq(1)));
    assert_eq!(wallet.position(), Position { seq: Seq(1), ..at });
}

#[tokio::test]
async fn a_holder_that_is_fenced_while_its_reply_was_lost_learns_only_that_it_is_over() {
    let wallet = MemoryWallet::default();
    let mut store = wallet.store();
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    wallet.lose_commit(Lost::Reply);
    assert!(matches!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Unknown(_)));
    wallet.fence();
    assert_eq!(store.commit(at, Nonce([1; 16]), &batch("a", b"1")).await, Outcome::Fenced);
}

#[tokio::test]
async fn stores_of_one_id_are_one_wallet_and_of_another_id_are_not() {
    let (a, b) = (WalletId([0xa1; 32]), WalletId([0xb2; 32]));
    let mut first = MemoryStore::open(a);
    first.claim_and_load(&claimant()).await.unwrap();
    assert_eq!(MemoryStore::open(a).claim_and_load(&claimant()).await.unwrap_err().code, Code::WalletLocked);
    MemoryStore::open(b).claim_and_load(&claimant()).await.unwrap();
}
