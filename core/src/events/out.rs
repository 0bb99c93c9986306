//! Which event is out with which handle of this process: two handles of one wallet must not both act on one payment.
//!
//! Only within the process: across processes the lease decides who reads events to act on them. A handle that ends gives its
//! events back, unacked, and the next handle gets them. An ack gives nothing back: until its commit the row is still there, and
//! another handle would be handed an event that is already acted on.

use crate::store::WalletId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static NEXT: AtomicU64 = AtomicU64::new(1);
/// No hash map: the standard library numbers those of a thread, and one that whoever comes first makes for all would shift the order in
/// every map that this thread makes later. The simulator's runs are their seeds'.
static OUT: Mutex<BTreeMap<(WalletId, String), u64>> = Mutex::new(BTreeMap::new());

/// One handle's claim on events. Dropping it gives them back.
#[derive(Debug)]
pub struct Holder(u64);

impl Holder {
    /// A handle that holds nothing.
    pub fn new() -> Self {
        Holder(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether no other handle has the event.
    pub fn may_have(&self, wallet: WalletId, event: &str) -> bool {
        let out = lock();
        let holder = out.get(&(wallet, event.to_owned()));
        holder.is_none_or(|holder| *holder == self.0)
    }

    /// The event was handed out by this handle.
    pub fn took(&self, wallet: WalletId, event: &str) {
        lock().insert((wallet, event.to_owned()), self.0);
    }

    /// This handle will not act on the event after all.
    pub fn give_back_one(&self, wallet: WalletId, event: &str) {
        let mut out = lock();
        let key = (wallet, event.to_owned());
        if out.get(&key) == Some(&self.0) {
            out.remove(&key);
        }
    }

    /// This handle ends.
    pub fn give_back(&self) {
        lock().retain(|_, holder| *holder != self.0);
    }
}

impl Default for Holder {
    fn default() -> Self {
        Holder::new()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<(WalletId, String), u64>> {
    OUT.lock().unwrap_or_else(PoisonError::into_inner)
}
