//! An answer that is given exactly once, also when the task that owes it is dropped by `destroy()`, and also when it can't be
//! dropped, because its thread is stuck in a system call: then [`Owed`] gives it.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError, Weak};

type Deliver<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// A promise's other end. Dropping it unanswered answers `NODE_DESTROYED`, or `INTERNAL` when a panic is what drops it, so that
/// nothing stays pending for ever.
pub struct Reply<T>(Option<Deliver<T>>);

impl<T> Reply<T> {
    /// A reply that calls `deliver` once, on whatever thread answers.
    pub fn new(deliver: impl FnOnce(Result<T>) + Send + 'static) -> Self {
        Reply(Some(Box::new(deliver)))
    }

    /// A reply of another type that answers this one.
    pub fn of<U>(self, map: impl FnOnce(U) -> T + Send + 'static) -> Reply<U>
    where
        T: 'static,
    {
        Reply::new(move |result: Result<U>| self.send(result.map(map)))
    }

    /// Answers.
    pub fn send(mut self, result: Result<T>) {
        if let Some(deliver) = self.0.take() {
            deliver(result);
        }
    }
}

/// The replies that a node owes, for the day when its thread can't be ended.
#[derive(Default)]
pub struct Owed(Mutex<Vec<Weak<dyn GiveUp>>>);

trait GiveUp: Send + Sync {
    fn give_up(&self);
}

type Slot<T> = Mutex<Option<Reply<T>>>;

fn take<T>(slot: &Slot<T>) -> Option<Reply<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T> GiveUp for Slot<T> {
    fn give_up(&self) {
        drop(take(self));
    }
}

impl Owed {
    /// Remembers the reply until it is answered.
    pub fn note<T: Send + 'static>(&self, reply: Reply<T>) -> Reply<T> {
        let slot = Arc::new(Mutex::new(Some(reply)));
        let noted = Arc::downgrade(&slot);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(noted);
        Reply::new(move |result| {
            if let Some(reply) = take(&slot) {
                reply.send(result);
            }
        })
    }

    /// Answers `NODE_DESTROYED` to all that wait; what the stuck thread answers later goes nowhere.
    pub fn give_up(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for reply in all.iter().filter_map(Weak::upgrade) {
            reply.give_up();
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take() {
            deliver(Err(if std::thread::panicking() { Error::panicked() } else { Error::destroyed() }));
        }
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
