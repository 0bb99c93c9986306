//! The one way in which a node learns that it is over: the first reason wins, and every gate closes with it.

use crate::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Shared by the gates and the run loop.
#[derive(Clone)]
pub struct Fault {
    reason: Arc<Mutex<Option<Error>>>,
    wake: Arc<Notify>,
}

impl Fault {
    /// No fault yet; raising one notifies `wake`.
    pub fn new(wake: Arc<Notify>) -> Self {
        Fault { reason: Arc::default(), wake }
    }

    /// Ends the node for this reason, unless it is over already.
    pub fn raise(&self, reason: Error) {
        let mut slot = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            tracing::error!(code = reason.code.as_str(), reason = %reason.message, "the node is over");
            *slot = Some(reason);
        }
        drop(slot);
        self.wake.notify_one();
    }

    /// Why the node is over, if it is.
    pub fn reason(&self) -> Option<Error> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the node is over.
    pub fn is_raised(&self) -> bool {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
