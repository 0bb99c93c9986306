//! Which nodes take part in what runs, and what each of them may see of it.

use super::Resident;
use crate::node::command::Command;
use crate::node::handle::Handle;
use crate::node::{worker, State};
use crate::reply::Owed;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

pub(super) struct Member {
    pub(super) handle: Weak<Handle>,
    owed: Arc<Owed>,
    /// Keeps a session alive.
    pub(super) wants: bool,
    /// A start of it succeeded, and it was not stopped: a call that waits brings back a session that ended by itself.
    started: bool,
}

impl Member {
    pub(super) fn takes_part(&self) -> bool {
        self.wants || self.owed.is_waiting()
    }
}

impl Resident {
    /// Hands a command to the worker, which is started if none works. It comes back from a resident that is closed. A start is a wish
    /// from here on; a stop ends one only when the worker comes to it, and with it the session that it will tell of.
    pub fn take_in(self: &Arc<Self>, handle: &Arc<Handle>, command: Command) -> Option<Command> {
        let wants = matches!(command, Command::Start { .. });
        if !self.admit(handle, wants) {
            return Some(command);
        }
        self.mailbox.send(command, || worker::spawn(Arc::clone(self)))
    }

    /// Keeps a command until the worker is started for another one.
    pub fn park(self: &Arc<Self>, handle: &Arc<Handle>, command: Command) -> Option<Command> {
        if !self.admit(handle, false) {
            return Some(command);
        }
        self.mailbox.park(command)
    }

    fn admit(&self, handle: &Arc<Handle>, wants: bool) -> bool {
        let mut life = self.life();
        // One that was destroyed meanwhile has left, or leaves after this.
        if life.closed || handle.is_gone() {
            return false;
        }
        let (weak, owed) = (Arc::downgrade(handle), Arc::clone(&handle.owed));
        let fresh = || Member { handle: weak, owed, wants: false, started: false };
        let member = life.members.entry(handle.id).or_insert_with(fresh);
        member.wants |= wants;
        true
    }

    /// That of the session, for a node that takes part in it, or if no other one does.
    pub fn state_for(&self, handle: &Handle) -> State {
        let life = self.life();
        if life.fenced.is_some() {
            return State::Fenced;
        }
        if life.closed {
            return State::Idle;
        }
        let takes_part = |id: &u64, member: &Member| *id == handle.id && member.takes_part();
        let own = life.members.iter().any(|(id, member)| takes_part(id, member));
        let others = life.members.iter().any(|(id, member)| *id != handle.id && member.takes_part());
        if own || !others {
            life.state
        } else {
            State::Idle
        }
    }

    /// Whether a node keeps the session alive.
    pub fn is_wanted(&self) -> bool {
        self.life().members.values().any(|member| member.wants)
    }

    /// Whether a node does, other than that one.
    pub fn is_wanted_by_others(&self, than: Option<u64>) -> bool {
        self.life().members.iter().any(|(id, member)| member.wants && Some(*id) != than)
    }

    /// Whether a call of that node that waits is one for what a session brings.
    pub fn serves(&self, handle: &Handle) -> bool {
        self.life().members.get(&handle.id).is_some_and(|member| member.wants || member.started)
    }

    /// That node keeps a session alive, which is there or about to be.
    pub fn want(&self, handle: &Arc<Handle>) {
        self.admit(handle, true);
    }

    /// A start of that node succeeded.
    pub fn started(&self, handle: &Arc<Handle>) {
        self.want(handle);
        if let Some(member) = self.life().members.get_mut(&handle.id) {
            member.started = true;
        }
    }

    /// One failed: it wishes nothing, unless another one succeeded.
    pub fn failed_to_start(&self, handle: &Handle) {
        if let Some(member) = self.life().members.get_mut(&handle.id) {
            member.wants &= member.started;
        }
    }

    /// That node wishes nothing more.
    pub fn rest(&self, handle: &Handle) {
        if let Some(member) = self.life().members.get_mut(&handle.id) {
            (member.wants, member.started) = (false, false);
        }
    }

    /// That node's `receivePayment` leads.
    pub fn leads(&self, handle: &Arc<Handle>) {
        handle.set_receive_error(None);
        self.life().receiver = Arc::downgrade(handle);
        self.want(handle);
    }

    /// The nodes that keep the session alive and have no call under way, but for `spared`, with when that will be so for `limit`.
    fn idle(&self, limit: Duration, spared: Option<&Arc<Handle>>) -> Vec<(Arc<Handle>, Instant)> {
        let wanting: Vec<_> = {
            let life = self.life();
            life.members.values().filter(|member| member.wants).filter_map(|member| member.handle.upgrade()).collect()
        };
        let others = wanting.into_iter().filter(|handle| spared.is_none_or(|spared| spared.id != handle.id));
        others.filter_map(|handle| handle.idle_since().map(|since| (handle, since + limit))).collect()
    }

    /// When the first of them will have had no call for so long.
    pub fn idle_at(&self, limit: Duration, spared: Option<&Arc<Handle>>) -> Option<Instant> {
        self.idle(limit, spared).into_iter().map(|(_, at)| at).min()
    }

    /// Lets those rest that had no call for so long. When the next one's time comes is told.
    pub fn let_idle_rest(&self, limit: Duration, spared: Option<&Arc<Handle>>) -> Option<Instant> {
        let now = Instant::now();
        for (handle, _) in self.idle(limit, spared).into_iter().filter(|(_, at)| *at <= now) {
            self.rest(&handle);
            handle.ended_idle(limit);
        }
        self.idle_at(limit, spared)
    }

    /// An HTLC is under way: nobody is idle before it is done with.
    pub fn touch_all(&self) {
        let handles: Vec<_> = self.life().members.values().filter_map(|member| member.handle.upgrade()).collect();
        handles.iter().for_each(|handle| handle.touch());
    }
}
