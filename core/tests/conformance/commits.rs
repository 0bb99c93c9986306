//! What a commit writes, and when it must not.

use super::{batch, claim, commit, let_go, nonce, reopened, rows_of, Place};
use mayfly_core::store::{Batch, Epoch, Outcome, Position, Rows, Seq, Standing};

pub async fn a_commit_is_loaded_by_the_next_holder(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let at = commit(&mut *store, at, &batch(&[("manager", b"m1"), ("monitor/1", b"x")])).await;
    commit(&mut *store, at, &batch(&[("manager", b"m2")])).await;
    let_go(store, at).await;
    let snapshot = reopened(place).await;
    assert_eq!(snapshot.position.seq, Seq(2));
    assert_eq!(snapshot.rows, rows_of(&[("manager", b"m2"), ("monitor/1", b"x")]));
}

pub async fn a_later_put_replaces_and_a_delete_removes(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let at = commit(&mut *store, at, &batch(&[("a", b"1"), ("b", b"2"), ("c", b"3")])).await;
    let mut change = batch(&[("b", b"22")]);
    change.delete("a");
    change.delete("never there");
    let at = commit(&mut *store, at, &change).await;
    let mut back = batch(&[("a", b"again")]);
    back.delete("c");
    commit(&mut *store, at, &back).await;
    let_go(store, at).await;
    assert_eq!(reopened(place).await.rows, rows_of(&[("a", b"again"), ("b", b"22")]));
}

pub async fn an_empty_batch_moves_the_seq(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let at = commit(&mut *store, at, &Batch::default()).await;
    assert_eq!(store.check(at).await.unwrap(), Standing::Held(Seq(1)));
}

pub async fn a_commit_at_a_wrong_seq_writes_nothing_and_ends_the_holder(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let at = commit(&mut *store, at, &batch(&[("a", b"1")])).await;
    let mut wrong = batch(&[("a", b"wrong"), ("b", b"wrong")]);
    wrong.delete("a");
    for seq in [Seq(0), Seq(2), Seq(3), Seq(u64::MAX)] {
        assert_eq!(store.commit(Position { seq, ..at }, nonce(), &wrong).await, Outcome::Fenced, "{seq:?}");
    }
    let_go(store, at).await;
    let snapshot = reopened(place).await;
    assert_eq!((snapshot.position.seq, snapshot.rows), (Seq(1), rows_of(&[("a", b"1")])));
}

pub async fn a_commit_of_an_older_epoch_writes_nothing_and_ends_the_holder(place: &impl Place) {
    // 1. A zombie holds, and loses the wallet to a newer holder.
    let mut zombie = place();
    let old = claim(&mut *zombie).await.position;
    zombie.release(old).await.unwrap();
    let mut holder = place();
    let at = claim(&mut *holder).await.position;
    // 2. Neither the zombie nor the holder can write under the old epoch, nor under one that is not there yet.
    let change = batch(&[("a", b"zombie")]);
    assert_eq!(zombie.commit(old, nonce(), &change).await, Outcome::Fenced);
    assert_eq!(zombie.commit(at, nonce(), &change).await, Outcome::Fenced);
    assert_eq!(holder.commit(old, nonce(), &change).await, Outcome::Fenced);
    let future = Position { epoch: Epoch(at.epoch.0 + 1), ..at };
    assert_eq!(holder.commit(future, nonce(), &change).await, Outcome::Fenced);
    // 3. The holder goes on as if nothing had been.
    commit(&mut *holder, at, &batch(&[("a", b"holder")])).await;
    let_go(holder, at).await;
    let snapshot = reopened(place).await;
    assert_eq!((snapshot.position.seq, snapshot.rows), (Seq(1), rows_of(&[("a", b"holder")])));
}

pub async fn a_commit_without_a_claim_is_refused(place: &impl Place) {
    let at = Position { epoch: Epoch(0), seq: Seq(0) };
    assert_eq!(place().commit(at, nonce(), &batch(&[("a", b"1")])).await, Outcome::Fenced);
    assert_eq!(reopened(place).await.rows, Rows::new());
}

pub async fn the_same_nonce_again_is_committed_once(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let (name, change) = (nonce(), batch(&[("a", b"1")]));
    for _ in 0..3 {
        assert_eq!(store.commit(at, name, &change).await, Outcome::Committed(Seq(1)));
    }
    commit(&mut *store, Position { seq: Seq(1), ..at }, &batch(&[("b", b"2")])).await;
    let_go(store, at).await;
    let snapshot = reopened(place).await;
    assert_eq!((snapshot.position.seq, snapshot.rows), (Seq(2), rows_of(&[("a", b"1"), ("b", b"2")])));
}

pub async fn another_nonce_at_an_old_seq_is_refused(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    commit(&mut *store, at, &batch(&[("a", b"1")])).await;
    // Two writers under one lease, or one that lost count: its memory is not the wallet, so it is over, as if fenced.
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", b"other")])).await, Outcome::Fenced);
    let_go(store, at).await;
    assert_eq!(reopened(place).await.rows, rows_of(&[("a", b"1")]));
}

pub async fn a_nonce_of_two_commits_ago_is_refused(place: &impl Place) {
    let mut store = place();
    let at = claim(&mut *store).await.position;
    let (old, change) = (nonce(), batch(&[("a", b"1")]));
    assert_eq!(store.commit(at, old, &change).await, Outcome::Committed(Seq(1)));
    let at1 = Position { seq: Seq(1), ..at };
    let at2 = commit(&mut *store, at1, &batch(&[("a", b"2")])).await;
    assert_eq!(store.commit(at, old, &change).await, Outcome::Fenced);
    assert_eq!(store.commit(at1, old, &change).await, Outcome::Fenced);
    commit(&mut *store, at2, &batch(&[("b", b"3")])).await;
    let_go(store, at).await;
    assert_eq!(reopened(place).await.rows, rows_of(&[("a", b"2"), ("b", b"3")]));
}
