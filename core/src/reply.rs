//! An answer that is given exactly once, also when the task that owes it is dropped by `destroy()`, and also when it can't be
//! dropped, because its thread is stuck in a system call: then [`Owed`] gives it.

use crate::error::{Error, Result};
use crate::guard;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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

/// An answer that is owed, in the hands of whoever may give it: the first one does. When the last one lets go of it unanswered, it is
/// answered as a dropped [`Reply`] is.
pub struct Due<T>(Arc<Slot<T>>);

type Slot<T> = Mutex<Option<Reply<T>>>;

fn take<T>(slot: &Slot<T>) -> Option<Reply<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl<T> Due<T> {
    /// Answers, unless somebody did.
    pub fn send(&self, result: Result<T>) {
        if let Some(reply) = take(&self.0) {
            reply.send(result);
        }
    }

    /// Answers later, if somebody still owes it then.
    pub fn sender(&self) -> impl FnOnce(Result<T>) + Send + 'static
    where
        T: Send + 'static,
    {
        let slot = Arc::downgrade(&self.0);
        move |result| {
            if let Some(slot) = slot.upgrade() {
                Due(slot).send(result);
            }
        }
    }

    /// Whether it is answered, or given up.
    pub fn is_settled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl<T> Clone for Due<T> {
    fn clone(&self) -> Self {
        Due(Arc::clone(&self.0))
    }
}

/// The answers that a node owes to its caller.
#[derive(Default)]
pub struct Owed {
    all: Mutex<Vec<Weak<dyn GiveUp>>>,
    due: Arc<AtomicUsize>,
}

trait GiveUp: Send + Sync {
    fn give_up(&self);
}

impl<T> GiveUp for Slot<T> {
    fn give_up(&self) {
        drop(take(self));
    }
}

/// One more is due while this lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Owed {
    /// Remembers the reply until it is answered.
    pub fn note<T: Send + 'static>(&self, reply: Reply<T>) -> Due<T> {
        self.due.fetch_add(1, Ordering::AcqRel);
        let counted = Counted(Arc::clone(&self.due));
        let slot = Arc::new(Mutex::new(Some(Reply::new(move |result| {
            drop(counted);
            reply.send(result);
        }))));
        let noted = Arc::downgrade(&slot);
        let mut all = self.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(noted);
        Due(slot)
    }

    /// Whether an answer is due.
    pub fn is_waiting(&self) -> bool {
        self.due.load(Ordering::Acquire) > 0
    }

    /// Answers `NODE_DESTROYED` to all that wait; what a stuck thread answers later goes nowhere.
    pub fn give_up(&self) {
        let all = std::mem::take(&mut *self.lock());
        for reply in all.iter().filter_map(Weak::upgrade) {
            reply.give_up();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn GiveUp>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take() {
            deliver(Err(if std::thread::panicking() { guard::unwinding() } else { Error::destroyed() }));
        }
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
