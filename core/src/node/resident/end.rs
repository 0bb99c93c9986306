//! How a resident ends: told, waited for, joined, or named as what could not be.

use super::members::Member;
use super::{Life, Resident};
use crate::node::command::Command;
use crate::node::handle::Handle;
use crate::node::register;
use crate::node::stages::{DestroyStages, Ended, Stage};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

/// The worker's end, to be joined.
pub(in crate::node) struct Ending(Option<JoinHandle<()>>);

impl Ending {
    fn join(self) {
        if let Some(thread) = self.0 {
            let _ = thread.join();
        }
    }
}

impl Life {
    fn through(&mut self, stage: Stage) {
        if let Some(end) = &mut self.end {
            end.through(stage);
        }
    }

    fn take_end(&mut self) -> (Vec<String>, DestroyStages) {
        (std::mem::take(&mut self.unfinished), self.end.as_ref().map(Ended::stages).unwrap_or_default())
    }
}

impl Resident {
    pub fn has_ended(&self) -> bool {
        self.life().thread_ended
    }

    /// A node goes. If no other one takes part, this closes, and must be joined: `within` says when the worker must be gone. Without
    /// that it ends by itself.
    pub fn leave(self: &Arc<Self>, handle: &Handle, within: Option<Duration>) -> Option<Ending> {
        let mut life = self.life();
        life.members.remove(&handle.id);
        let (Some(within), false) = (within, life.members.values().any(Member::takes_part)) else {
            drop(life);
            self.look();
            return None;
        };
        life.closed = true;
        drop(life);
        Some(self.close(within))
    }

    /// Ends the worker, if it is not ending already. For residents that no node belongs to.
    pub fn end(&self, within: Option<Duration>) -> Ending {
        if std::mem::replace(&mut self.life().closed, true) {
            return Ending(None);
        }
        self.close(within.unwrap_or(self.config.destroy_timeout))
    }

    /// Waits until the worker has ended, within that time of its beginning to.
    pub fn ended_by(&self, ending: Ending, began: Instant, within: Option<Duration>) {
        let within = within.unwrap_or(self.config.destroy_timeout);
        if self.wait(within.saturating_sub(began.elapsed())).thread_ended {
            ending.join();
        }
    }

    fn wait(&self, left: Duration) -> MutexGuard<'_, Life> {
        let waited = self.ended.wait_timeout_while(self.life(), left, |life| !life.thread_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn close(&self, within: Duration) -> Ending {
        self.life().end = Some(Ended::new());
        let (left, thread) = self.mailbox.close();
        self.destroy.send_replace(Some(within));
        left.into_iter().for_each(Command::resettle);
        Ending(thread)
    }

    /// Waits for the worker's end. What it could not finish comes back, and what its end spent its time on.
    pub fn join(&self, ending: Ending, left: Duration, within: Duration) -> (Vec<String>, DestroyStages) {
        let mut life = self.wait(left);
        if !life.thread_ended {
            life.unfinished.push(format!(
                "the node's thread is stuck after {} ms in a system call (a dead disk, most likely): it ends, and lets go of the wallet, when that returns",
                within.as_millis()
            ));
            return life.take_end();
        }
        drop(life);
        ending.join();
        register::ended(self.wallet);
        let mut life = self.life();
        life.through(Stage::Join);
        life.take_end()
    }

    /// The worker is through with a stage of its end.
    pub fn through(&self, stage: Stage) {
        self.life().through(stage);
    }

    pub fn unfinished(&self, what: String) {
        tracing::warn!(what, "destroy could not finish");
        self.life().unfinished.push(what);
    }

    /// Called under the mailbox's lock, before the thread exists. It has the number that comes back.
    pub fn thread_begins(&self) -> u64 {
        let mut life = self.life();
        life.thread_ended = false;
        life.threads += 1;
        self.at_end.send_replace(false);
        life.threads
    }

    /// The last thing that the worker's thread does.
    pub fn thread_ended(&self, number: u64) {
        let mut life = self.life();
        if number == life.threads {
            life.thread_ended = true;
            self.at_end.send_replace(true);
            drop(life);
            self.ended.notify_all();
            register::ended(self.wallet);
        }
    }

    /// Resolves when the one before this has ended: until then it may hold the wallet.
    pub async fn predecessor_ended(&self) {
        let before = self.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            let _ = before.at_end.subscribe().wait_for(|ended| *ended).await;
        }
    }

    /// Resolves with what is left for it when the worker must end.
    pub async fn destroy_signalled(&self) -> Duration {
        let mut signal = self.destroy.subscribe();
        let within = signal.wait_for(Option::is_some).await.ok().and_then(|within| *within);
        within.unwrap_or(self.config.destroy_timeout)
    }
}
