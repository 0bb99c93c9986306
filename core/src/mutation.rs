//! Ways to break what this crate promises, one at a time: the simulator must notice each of them, or it proves nothing.
//!
//! Only mayfly-sim switches the feature on. Everywhere else [`is_on`] is `false` at compile time, and nothing of this is left.

#[cfg(feature = "mutations")]
use crate::{checkpoint::rows, store::Batch};
#[cfg(feature = "mutations")]
use bitcoin::Transaction;
#[cfg(feature = "mutations")]
use std::cell::RefCell;
#[cfg(feature = "mutations")]
use std::sync::atomic::{AtomicU8, Ordering};

/// One way to break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutations"), allow(dead_code, reason = "asked for, and never on"))]
pub enum Mutation {
    /// Messages do not wait for a commit.
    UngatedMessages = 1,
    /// Messages that need no commit do not wait for the store's word, either.
    UncheckedMessages,
    /// Transactions do not wait for a commit.
    UngatedBroadcasts,
    /// Events are handed out before their commit.
    EarlyEvents,
    /// An acknowledgement is promised before the commit that deletes the event.
    EarlyPromises,
    /// The manager is written in a transaction of its own, after the monitors.
    ManagerApart,
    /// A commit is acknowledged when it is sent; it is written with the next one.
    EarlyAcknowledgement,
}

#[cfg(feature = "mutations")]
static ON: AtomicU8 = AtomicU8::new(0);

#[cfg(feature = "mutations")]
thread_local! {
    static LEAKED: RefCell<Vec<Transaction>> = const { RefCell::new(Vec::new()) };
}

/// Breaks this process.
#[cfg(feature = "mutations")]
pub fn switch_on(mutation: Mutation) {
    ON.store(mutation as u8, Ordering::Relaxed);
}

/// What is written of a batch, one after the other. `late` is what was acknowledged and not written.
#[cfg(feature = "mutations")]
pub(crate) fn transactions(batch: &Batch, late: &mut Batch) -> Vec<Batch> {
    if is_on(Mutation::EarlyAcknowledgement) {
        return vec![std::mem::replace(late, batch.clone())];
    }
    let (mut first, mut second) = (batch.clone(), Batch::default());
    if let (true, Some(manager)) = (is_on(Mutation::ManagerApart), batch.puts().get(rows::MANAGER)) {
        first.forget(rows::MANAGER);
        second.put(rows::MANAGER, manager.clone());
    }
    if second.is_empty() {
        vec![first]
    } else {
        vec![first, second]
    }
}

/// Transactions that left without a commit.
#[cfg(feature = "mutations")]
pub fn leaked() -> Vec<Transaction> {
    LEAKED.take()
}

/// It leaves without a commit.
#[cfg(feature = "mutations")]
pub(crate) fn leak(transaction: Transaction) {
    LEAKED.with_borrow_mut(|leaked| leaked.push(transaction));
}

/// Nothing does.
#[cfg(not(feature = "mutations"))]
pub(crate) fn leak(_: bitcoin::Transaction) {}

/// Whether it is broken in that way.
#[cfg(feature = "mutations")]
pub fn is_on(mutation: Mutation) -> bool {
    ON.load(Ordering::Relaxed) == mutation as u8
}

/// Never.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn is_on(_: Mutation) -> bool {
    false
}
