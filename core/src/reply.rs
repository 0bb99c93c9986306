//! An answer that is given exactly once, also when the task that owes it is dropped by `destroy()`.

use crate::error::{Error, Result};

type Deliver<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// A promise's other end. Dropping it unanswered answers `NODE_DESTROYED`, so that nothing stays pending for ever.
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

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take() {
            deliver(Err(Error::destroyed()));
        }
    }
}
