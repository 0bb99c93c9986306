//! Leases whose holder ended without giving them back: a start that failed after its claim, or was aborted, or a panic. Dropping such a
//! holder can't wait for a store, so what it held is kept here, and whoever goes on gives it back, in time that it has. Else the next
//! holder would have to wait until the lease expires.
//!
//! A store whose lease ends with its process is not kept: dropping it is enough, and at once.

use crate::error::Result;
use crate::store::{Position, Store};
use std::cell::Cell;
use std::rc::Rc;

/// Those of one thread. Clones are the same.
#[derive(Clone, Default)]
pub struct Returns(Rc<Inner>);

#[derive(Default)]
struct Inner {
    left: Cell<Vec<(Box<dyn Store>, Position)>>,
    /// A claim was sent, and its answer has not come.
    is_claiming: Cell<bool>,
}

impl Returns {
    /// Its holder is gone.
    pub(super) fn keep(&self, store: Box<dyn Store>, position: Position) {
        let mut left = self.0.left.take();
        left.push((store, position));
        self.0.left.set(left);
    }

    pub(super) fn claiming(&self, is_claiming: bool) {
        self.0.is_claiming.set(is_claiming);
    }

    /// Whether a claim is on its way, or was given up before it was answered: it may come through all the same, and nobody knows its lease.
    /// That ends by its time to live.
    pub fn is_claiming(&self) -> bool {
        self.0.is_claiming.get()
    }

    /// Whoever gave a claim up is told, or need not be.
    pub fn forget_claim(&self) {
        self.claiming(false);
    }

    /// Whether there is nothing to give back.
    pub fn is_empty(&self) -> bool {
        let left = self.0.left.take();
        let is_empty = left.is_empty();
        self.0.left.set(left);
        is_empty
    }

    /// Gives all of them back; the last error.
    pub async fn give_back(&self) -> Result<()> {
        let mut result = Ok(());
        for (mut store, position) in self.0.left.take() {
            tracing::debug!(epoch = position.epoch.0, "giving back the lease of a holder that is gone");
            result = store.release(position).await.and(result);
        }
        result
    }
}

/// A claimed store. Dropped, it is kept for its return.
pub struct Claimed {
    /// `None`: it was given back.
    store: Option<Box<dyn Store>>,
    /// Of the last commit.
    pub position: Position,
    returns: Returns,
}

impl Claimed {
    /// Of a fresh claim.
    pub fn new(store: Box<dyn Store>, position: Position) -> Self {
        Claimed { store: Some(store), position, returns: Returns::default() }
    }

    /// Kept there when it is dropped.
    pub fn kept_in(mut self, returns: Returns) -> Self {
        self.returns = returns;
        self
    }

    /// The store, unless it was given back.
    pub fn store(&mut self) -> Option<&mut dyn Store> {
        self.store.as_deref_mut().map(|store| store as &mut dyn Store)
    }

    /// Gives the lease back. A future that is dropped half-way has not.
    pub async fn release(mut self) -> Result<()> {
        let position = self.position;
        let Some(store) = self.store() else { return Ok(()) };
        let released = store.release(position).await;
        self.forget();
        released
    }

    /// It is another's, or nobody's: there is nothing to give back.
    pub fn forget(&mut self) {
        self.store = None;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(store) = self.store.take().filter(|store| store.ttl().is_some()) {
            self.returns.keep(store, self.position);
        }
    }
}
