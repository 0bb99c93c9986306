//! What runs, once per wallet and process: the worker's thread and where it is in its life, and which nodes take part in it.
//!
//! A node takes part while it wishes that the wallet runs (it was started), and while a call of it is under way. The last one that
//! takes part and is destroyed closes the resident; a node that comes later finds another one. A resident whose nodes are all lost
//! or idle is not closed: its session ends by itself, politely.

mod end;
mod members;

pub(super) use end::Ending;

use super::handle::Handle;
use super::mailbox::Mailbox;
use super::register::Name;
use super::stages::Ended;
use super::{worker, State};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use crate::stats::{Figures, Stats};
use crate::wallet::view::WakeBy;
use members::Member;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;

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

    pub fn fenced(&self) -> Option<Error> {
        self.life().fenced.clone()
    }

    pub fn keys(&self) -> Result<&Keys> {
        let keys = self.keys.get_or_init(|| Keys::shared(&self.config.mnemonic, self.config.network));
        keys.as_deref().map_err(Clone::clone)
    }

    /// Lets the worker look again: what changed did not come as a command.
    pub fn look(self: &Arc<Self>) {
        self.mailbox.nudge(|| worker::spawn(Arc::clone(self)));
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

    /// A session begins: it counts here.
    pub fn session_begins(&self) -> Arc<Stats> {
        let mut life = self.life();
        life.state = State::Starting;
        Arc::clone(life.stats.insert(Arc::default()))
    }

    pub fn figures(&self) -> Option<Figures> {
        self.life().stats.as_ref().map(|stats| stats.figures())
    }
}
