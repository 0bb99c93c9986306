//! What runs, once per wallet and process: the worker's thread and where it is in its life, and which nodes take part in it.
//!
//! A node takes part while it wishes that the wallet runs (it was started), and while a call of it is under way. The last one that
//! takes part and is destroyed closes the resident; a node that comes later finds another one. A resident whose nodes are all lost
//! or idle is not closed: its session ends by itself, politely.

use super::command::Command;
use super::handle::Handle;
use super::mailbox::Mailbox;
use super::register::{self, Name};
use super::stages::{DestroyStages, Ended, Stage};
use super::{worker, State};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use crate::reply::Owed;
use crate::stats::{Figures, Stats};
use crate::wallet::view::WakeBy;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The worker's end, to be joined.
pub(super) struct Ending(Option<JoinHandle<()>>);

impl Ending {
    fn join(self) {
        if let Some(thread) = self.0 {
            let _ = thread.join();
        }
    }
}

pub(super) struct Resident {
    pub config: Arc<Config>,
    pub mailbox: Mailbox,
    wallet: Name,
    keys: OnceLock<Result<Arc<Keys>>>,
    life: Mutex<Life>,
    ended: Condvar,
    /// Whether the thread has ended, for a successor.
    at_end: watch::Sender<bool>,
    /// Within which the worker must be gone.
    destroy: watch::Sender<Option<Duration>>,
    predecessor: Mutex<Option<Arc<Resident>>>,
}

struct Life {
    state: State,
    /// A newer holder took the wallet.
    fenced: Option<Error>,
    /// Its last node was destroyed.
    closed: bool,
    members: HashMap<u64, Member>,
    /// Whose `receivePayment` leads, while its session lasts.
    receiver: Weak<Handle>,
    wake_by: Option<WakeBy>,
    route: Option<JitRoute>,
    /// How many threads the worker has had.
    threads: u64,
    /// The last of them has nothing more to do.
    thread_ended: bool,
    unfinished: Vec<String>,
    /// How far its end is.
    end: Option<Ended>,
    /// Of the latest session.
    stats: Option<Arc<Stats>>,
}

struct Member {
    handle: Weak<Handle>,
    owed: Arc<Owed>,
    /// Keeps a session alive.
    wants: bool,
    /// A start of it succeeded, and it was not stopped: a call that waits brings back a session that ended by itself.
    started: bool,
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

impl Member {
    fn takes_part(&self) -> bool {
        self.wants || self.owed.is_waiting()
    }
}

impl Resident {
    pub fn new(wallet: Name, config: Arc<Config>, predecessor: Option<Arc<Resident>>) -> Self {
        let life = Life {
            state: State::Idle,
            fenced: None,
            closed: false,
            members: HashMap::new(),
            receiver: Weak::new(),
            wake_by: None,
            route: None,
            threads: 0,
            thread_ended: true,
            unfinished: Vec::new(),
            end: None,
            stats: None,
        };
        Resident {
            config,
            mailbox: Mailbox::default(),
            wallet,
            keys: OnceLock::new(),
            life: Mutex::new(life),
            ended: Condvar::new(),
            at_end: watch::Sender::new(true),
            destroy: watch::Sender::new(None),
            predecessor: Mutex::new(predecessor.filter(|before| !before.has_ended())),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes commands.
    pub fn is_open(&self) -> bool {
        let life = self.life();
        !life.closed && life.fenced.is_none()
    }

    pub fn has_ended(&self) -> bool {
        self.life().thread_ended
    }

    pub fn fenced(&self) -> Option<Error> {
        self.life().fenced.clone()
    }

    pub fn keys(&self) -> Result<&Keys> {
        let keys = self.keys.get_or_init(|| Keys::shared(&self.config.mnemonic, self.config.network));
        keys.as_deref().map_err(Clone::clone)
    }

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

    /// Lets the worker look again: what changed did not come as a command.
    pub fn look(self: &Arc<Self>) {
        self.mailbox.nudge(|| worker::spawn(Arc::clone(self)));
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
                "the node's thread is stuck after {} ms (a dead disk, most likely): it ends, and its lock with it, when the system call returns",
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

    pub fn route(&self) -> Option<JitRoute> {
        self.life().route
    }

    pub fn learnt(&self, route: Option<JitRoute>) {
        let mut life = self.life();
        life.route = life.route.or(route);
    }

    pub fn set_state(&self, state: State) {
        self.life().state = state;
    }

    /// A session ended: nobody has it any more. An error is told to the caller of a `receivePayment` whose own code runs just now;
    /// `FENCED` is for ever, after anything else the wallet may be started again.
    pub fn session_ended(&self, error: Option<&Error>) {
        let mut life = self.life();
        life.state = State::Idle;
        for member in life.members.values_mut() {
            member.wants = false;
        }
        let receiver = std::mem::take(&mut life.receiver).upgrade();
        if error.is_some_and(|error| error.code == Code::Fenced) {
            life.fenced = error.cloned();
        }
        drop(life);
        if let (Some(receiver), Some(error)) = (receiver, error) {
            receiver.set_receive_error(Some(error.clone()));
        }
    }

    pub fn wake_by(&self) -> Option<WakeBy> {
        self.life().wake_by
    }

    pub fn set_wake_by(&self, wake_by: Option<WakeBy>) {
        self.life().wake_by = wake_by;
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

    /// A session begins: it counts here.
    pub fn session_begins(&self) -> Arc<Stats> {
        let mut life = self.life();
        life.state = State::Starting;
        Arc::clone(life.stats.insert(Arc::default()))
    }

    pub fn figures(&self) -> Option<Figures> {
        self.life().stats.as_ref().map(|stats| stats.figures())
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
