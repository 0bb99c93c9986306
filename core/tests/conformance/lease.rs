//! Who holds the wallet, and who no longer does.

use super::races::patient;
use super::{batch, claim, claimant, commit, let_go, nonce, reopened, Place};
use mayfly_core::error::Code;
use mayfly_core::store::claim::claim_within;
use mayfly_core::store::{Claimant, Epoch, Outcome, Position, Rows, Seq, Standing};
use std::time::Duration;

pub async fn a_fresh_wallet_is_empty_at_seq_0(place: &impl Place) {
    let snapshot = reopened(place).await;
    assert_eq!(snapshot.position.seq, Seq(0));
    assert_eq!(snapshot.rows, Rows::new());
}

pub async fn each_claim_raises_the_epoch_and_keeps_the_seq(place: &impl Place) {
    let first = reopened(place).await.position;
    let second = reopened(place).await.position;
    assert_eq!(second, Position { epoch: Epoch(first.epoch.0 + 1), seq: first.seq });
    // Also when the same object claims again.
    let mut store = place();
    let third = claim(&mut *store).await.position;
    let fourth = claim(&mut *store).await.position;
    assert!(second.epoch < third.epoch && third.epoch < fourth.epoch);
    assert_eq!(store.commit(third, nonce(), &batch(&[("a", b"1")])).await, Outcome::Fenced);
}

pub async fn a_held_wallet_is_locked_at_once_and_names_its_holder(place: &impl Place) {
    let mut holder = place();
    let held = holder.claim_and_load(&claimant(4242)).await.unwrap().position;
    let error = place().claim_and_load(&claimant(1)).await.unwrap_err();
    assert_eq!(error.code, Code::WalletLocked);
    assert!(error.retry_after.is_some());
    let named = error.holder.expect("the holder is known");
    assert_eq!((named.pid, named.host.as_deref(), named.epoch), (Some(4242), Some("suite"), held.epoch.0));
    assert!(named.since_ms > 0);
    // The refusal changed nothing for the holder.
    assert_eq!(holder.check(held).await.unwrap(), Standing::Held(held.seq));
    commit(&mut *holder, held, &batch(&[("a", b"1")])).await;
}

pub async fn a_released_wallet_is_free_and_its_last_holder_is_over(place: &impl Place) {
    let mut first = place();
    let at = claim(&mut *first).await.position;
    first.release(at).await.unwrap();
    assert_eq!(first.commit(at, nonce(), &batch(&[("late", b"1")])).await, Outcome::Fenced);
    let mut second = place();
    let held = claim(&mut *second).await;
    assert!(held.position.epoch > at.epoch);
    assert_eq!(held.rows, Rows::new());
    // Releasing again is no error and takes nothing from the successor.
    first.release(at).await.unwrap();
    assert_eq!(second.check(held.position).await.unwrap(), Standing::Held(Seq(0)));
    assert_eq!(place().claim_and_load(&claimant(1)).await.unwrap_err().code, Code::WalletLocked);
}

pub async fn a_dropped_store_gives_the_lease_back_at_once_or_with_its_time(place: &impl Place) {
    let mut first = place();
    let brief = Claimant { ttl: Duration::from_secs(1), ..claimant(1) };
    let at = first.claim_and_load(&brief).await.unwrap().position;
    let ttl = first.ttl();
    drop(first);
    let mut second = place();
    if let Some(ttl) = ttl {
        assert_eq!(ttl, brief.ttl);
        let error = second.claim_and_load(&claimant(1)).await.unwrap_err();
        assert_eq!(error.code, Code::WalletLocked);
        assert!(error.retry_after.is_some_and(|after| after <= ttl), "{error:?}");
    }
    let won = claim_within(&mut *second, &claimant(2), &patient()).await.unwrap().position;
    assert_eq!(won, Position { epoch: Epoch(at.epoch.0 + 1), ..at });
    let_go(second, won).await;
}

pub async fn a_release_with_a_stale_position_gives_nothing_back(place: &impl Place) {
    let old = reopened(place).await.position;
    let mut holder = place();
    let at = claim(&mut *holder).await.position;
    holder.release(old).await.unwrap();
    assert_eq!(holder.check(at).await.unwrap(), Standing::Held(at.seq));
    assert_eq!(place().claim_and_load(&claimant(1)).await.unwrap_err().code, Code::WalletLocked);
}

pub async fn check_tells_the_holder_where_it_is_and_everyone_else_that_they_are_over(place: &impl Place) {
    let mut first = place();
    let old = claim(&mut *first).await.position;
    assert_eq!(first.check(old).await.unwrap(), Standing::Held(Seq(0)));
    let old = commit(&mut *first, old, &batch(&[("a", b"1")])).await;
    assert_eq!(first.check(old).await.unwrap(), Standing::Held(Seq(1)));
    first.release(old).await.unwrap();
    assert_eq!(first.check(old).await.unwrap(), Standing::Fenced);
    let mut second = place();
    let at = claim(&mut *second).await.position;
    assert_eq!(first.check(old).await.unwrap(), Standing::Fenced);
    assert_eq!(second.check(old).await.unwrap(), Standing::Fenced);
    assert_eq!(second.check(at).await.unwrap(), Standing::Held(Seq(1)));
}
