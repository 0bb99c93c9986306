//! Commands on their way to the worker, and the worker's life: a thread exists only while there is something to do.

use super::command::Command;
use crate::error::{Code, Error};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::Notify;

/// The handle's side and the worker's side meet here.
#[derive(Default)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Command>,
    /// The worker takes commands. Its thread may still be ending when this is false.
    working: bool,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a command over; `spawn` starts a worker if none works. After `close` the command is dropped, which answers
    /// `NODE_DESTROYED`.
    pub fn send(&self, command: Command, spawn: impl FnOnce() -> std::io::Result<JoinHandle<()>>) {
        let mut inner = self.lock();
        if inner.closed {
            drop(inner);
            drop(command);
            return;
        }
        if !inner.working {
            // The last worker took its leave under this lock and touches nothing any more.
            if let Some(ended) = inner.thread.take() {
                let _ = ended.join();
            }
            match spawn() {
                Ok(thread) => {
                    inner.thread = Some(thread);
                    inner.working = true;
                }
                Err(error) => {
                    drop(inner);
                    command.fail(Error::new(Code::Internal, format!("the operating system refuses a new thread: {error}")));
                    return;
                }
            }
        }
        inner.queue.push_back(command);
        drop(inner);
        self.arrived.notify_one();
    }

    /// A command that the session about to run will serve, before all others.
    pub fn put_back(&self, command: Command) {
        self.lock().queue.push_front(command);
    }

    /// The next command.
    pub async fn next(&self) -> Command {
        loop {
            if let Some(command) = self.lock().queue.pop_front() {
                return command;
            }
            self.arrived.notified().await;
        }
    }

    /// A command that is there, or the worker's leave: after `None` it must end.
    pub fn next_or_leave(&self) -> Option<Command> {
        let mut inner = self.lock();
        let next = inner.queue.pop_front();
        if next.is_none() {
            inner.working = false;
        }
        next
    }

    /// The worker ends whatever waits (a panic, or `destroy`).
    pub fn leave_for_good(&self, error: Option<&Error>) {
        let mut inner = self.lock();
        inner.working = false;
        let queue = std::mem::take(&mut inner.queue);
        drop(inner);
        for command in queue {
            match error {
                Some(error) => command.fail(error.clone()),
                None => drop(command),
            }
        }
    }

    /// No more commands. What waits is answered `NODE_DESTROYED`; the worker's thread is handed out to be joined.
    pub fn close(&self) -> Option<JoinHandle<()>> {
        let mut inner = self.lock();
        inner.closed = true;
        let (queue, thread) = (std::mem::take(&mut inner.queue), inner.thread.take());
        drop(inner);
        drop(queue);
        thread
    }
}
