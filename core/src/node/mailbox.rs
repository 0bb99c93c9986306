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
    /// Waits that are no reason to work; the next worker has them first.
    parked: Vec<Command>,
    /// The worker takes commands. Its thread may still be ending when this is false.
    working: bool,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locked, with no worker on its way out: one that took its leave is joined, which takes no time.
    fn settled(&self) -> MutexGuard<'_, Inner> {
        loop {
            let mut inner = self.lock();
            if inner.working {
                return inner;
            }
            let Some(ended) = inner.thread.take() else { return inner };
            // Not under the lock: what it lets go of may be a node, whose end comes by here.
            drop(inner);
            let _ = ended.join();
        }
    }

    /// Hands a command over; `spawn` starts a worker if none works. After `close` it comes back.
    pub fn send(&self, command: Command, spawn: impl FnOnce() -> std::io::Result<JoinHandle<()>>) -> Option<Command> {
        let mut inner = self.settled();
        if inner.closed {
            return Some(command);
        }
        if let Err(error) = inner.work(spawn) {
            drop(inner);
            command.fail(Error::new(Code::Internal, format!("the operating system refuses a new thread: {error}")));
            return None;
        }
        inner.queue.push_back(command);
        drop(inner);
        self.arrived.notify_one();
        None
    }

    /// Keeps a command for the worker, without starting one. After `close` it comes back.
    pub fn park(&self, command: Command) -> Option<Command> {
        let mut inner = self.lock();
        if inner.closed {
            return Some(command);
        }
        if inner.working {
            inner.queue.push_back(command);
            drop(inner);
            self.arrived.notify_one();
        } else {
            inner.parked.push(command);
        }
        None
    }

    /// Lets whoever waits look again: the worker, or one that is started for those who are parked.
    pub fn nudge(&self, spawn: impl FnOnce() -> std::io::Result<JoinHandle<()>>) {
        let mut inner = self.settled();
        if inner.closed || !inner.working && (inner.parked.is_empty() || inner.work(spawn).is_err()) {
            return;
        }
        inner.queue.push_back(Command::Look);
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

    /// A command that is there, or the worker's leave: after `None` it must end, and `parked` is kept.
    pub fn next_or_leave(&self, parked: &mut Vec<Command>) -> Option<Command> {
        let mut inner = self.lock();
        let next = inner.queue.pop_front();
        if next.is_none() {
            inner.working = false;
            inner.parked.append(parked);
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

    /// No more commands. What waits comes out, and the worker's thread, to be joined.
    pub fn close(&self) -> (Vec<Command>, Option<JoinHandle<()>>) {
        let mut inner = self.lock();
        inner.closed = true;
        let parked = std::mem::take(&mut inner.parked);
        (inner.queue.drain(..).chain(parked).collect(), inner.thread.take())
    }
}

impl Inner {
    /// Sees to it that a worker works.
    fn work(&mut self, spawn: impl FnOnce() -> std::io::Result<JoinHandle<()>>) -> std::io::Result<()> {
        if self.working {
            return Ok(());
        }
        self.thread = Some(spawn()?);
        self.working = true;
        let parked = std::mem::take(&mut self.parked);
        self.queue.extend(parked);
        Ok(())
    }
}
