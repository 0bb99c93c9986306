//! What the handle and the worker both see: state, keys, the known route, and the end.

use super::mailbox::Mailbox;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::events::out::Holder;
use crate::invoice::{self, Invoice, MintRequest};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use crate::reply::Owed;
use crate::stats::{Figures, Stats};
use crate::store::WalletId;
use crate::wallet::view::WakeBy;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing runs.
    Idle,
    /// Taking the lease, loading, connecting.
    Starting,
    /// Connected.
    Running,
    /// Ending a session.
    Stopping,
    /// A newer holder took the wallet: over for ever.
    Fenced,
    /// `destroy()` was called: over for ever.
    Destroyed,
}

/// What `destroy()` did, and what it could not finish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestroyReport {
    /// How long it took.
    pub duration_us: u64,
    /// What was left undone, in words.
    pub unfinished: Vec<String>,
}

/// A `destroy()` under way.
pub(super) struct Ending {
    began: Instant,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    pub config: Arc<Config>,
    pub mailbox: Mailbox,
    pub owed: Owed,
    keys: OnceLock<Result<Arc<Keys>>>,
    events: Holder,
    life: Mutex<Life>,
    ended: Condvar,
    destroy: watch::Sender<bool>,
}

struct Life {
    state: State,
    /// Why the node is over on every method.
    over: Option<Error>,
    wake_by: Option<WakeBy>,
    route: Option<JitRoute>,
    /// `start` was called and `stop` was not.
    wanted: bool,
    /// The worker's thread has nothing more to do.
    thread_ended: bool,
    /// Why the session of a `receivePayment` ended, until that call asks.
    receive_error: Option<Error>,
    unfinished: Vec<String>,
    /// Of the latest session.
    stats: Option<Arc<Stats>>,
    last_destroy: Option<DestroyReport>,
}

impl Shared {
    pub fn new(config: Config) -> Self {
        let life = Life {
            state: State::Idle,
            over: None,
            wake_by: None,
            route: config.jit_route,
            wanted: false,
            thread_ended: true,
            receive_error: None,
            unfinished: Vec::new(),
            stats: None,
            last_destroy: None,
        };
        Shared {
            config: Arc::new(config),
            mailbox: Mailbox::default(),
            owed: Owed::default(),
            keys: OnceLock::new(),
            events: Holder::new(),
            life: Mutex::new(life),
            ended: Condvar::new(),
            destroy: watch::Sender::new(false),
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `NODE_DESTROYED` or `FENCED` once the node is over.
    pub fn live(&self) -> Result<&Self> {
        self.over().map_or(Ok(self), Err)
    }

    pub fn over(&self) -> Option<Error> {
        self.life().over.clone()
    }

    /// Derived once: PBKDF2 costs 2.5 ms.
    pub fn keys(&self) -> Result<&Keys> {
        let keys = self.keys.get_or_init(|| Keys::shared(&self.config.mnemonic, self.config.network));
        keys.as_deref().map_err(Clone::clone)
    }

    /// The wallet of this node.
    pub fn wallet_id(&self) -> Result<WalletId> {
        Ok(self.keys()?.wallet_id(self.config.network))
    }

    /// Whether this handle may hand that event out: no other handle of the process has it.
    pub fn may_hand_out(&self, event: &str) -> bool {
        self.wallet_id().is_ok_and(|wallet| self.events.may_have(wallet, event))
    }

    /// That event is out with this handle now.
    pub fn handed_out(&self, event: &str) {
        if let Ok(wallet) = self.wallet_id() {
            self.events.took(wallet, event);
        }
    }

    /// That event is not acted on by this handle after all.
    pub fn give_back(&self, event: &str) {
        if let Ok(wallet) = self.wallet_id() {
            self.events.give_back_one(wallet, event);
        }
    }

    pub fn mint(&self, request: &MintRequest, route: &JitRoute) -> Result<Invoice> {
        invoice::mint(self.keys()?, self.config.network, self.config.lsp.node_id, route, request)
    }

    pub fn known_route(&self) -> Option<JitRoute> {
        self.life().route
    }

    pub fn learnt(&self, route: Option<JitRoute>) {
        let mut life = self.life();
        life.route = life.route.or(route);
    }

    pub fn state(&self) -> State {
        self.life().state
    }

    /// A node that is over stays over.
    pub fn set_state(&self, state: State) {
        let mut life = self.life();
        if life.over.is_none() {
            life.state = state;
        }
    }

    /// A session ended with an error: `FENCED` is for ever, after anything else the node may be started again.
    pub fn ended_with(&self, error: Error) {
        let mut life = self.life();
        if life.over.is_none() {
            life.state = State::Idle;
            life.receive_error = Some(error.clone());
            if error.code == Code::Fenced {
                life.state = State::Fenced;
                life.over = Some(error);
            }
        }
    }

    pub fn take_receive_error(&self) -> Option<Error> {
        self.life().receive_error.take()
    }

    pub fn wake_by(&self) -> Option<WakeBy> {
        self.life().wake_by
    }

    pub fn set_wake_by(&self, wake_by: Option<WakeBy>) {
        self.life().wake_by = wake_by;
    }

    pub fn is_wanted(&self) -> bool {
        self.life().wanted
    }

    pub fn set_wanted(&self, wanted: bool) {
        self.life().wanted = wanted;
    }

    /// A session begins: it counts here.
    pub fn session_begins(&self) -> Arc<Stats> {
        let mut life = self.life();
        life.state = if life.over.is_none() { State::Starting } else { life.state };
        Arc::clone(life.stats.insert(Arc::default()))
    }

    pub fn figures(&self) -> Option<Figures> {
        self.life().stats.as_ref().map(|stats| stats.figures())
    }

    pub fn unfinished(&self, what: String) {
        tracing::warn!(what, "destroy could not finish");
        self.life().unfinished.push(what);
    }

    /// Called under the mailbox's lock, before the thread exists.
    pub fn thread_begins(&self) {
        self.life().thread_ended = false;
    }

    /// The last thing that the worker's thread does.
    pub fn thread_ended(&self) {
        self.life().thread_ended = true;
        self.ended.notify_all();
    }

    /// Tells the worker to end.
    pub fn signal_destroy(&self) {
        self.destroy.send_replace(true);
    }

    pub async fn destroy_signalled(&self) {
        let _ = self.destroy.subscribe().wait_for(|destroyed| *destroyed).await;
    }

    pub fn last_destroy(&self) -> Option<DestroyReport> {
        self.life().last_destroy.clone()
    }

    /// Ends the worker and joins it, or names what keeps it when the deadline passes, and answers in its place.
    pub fn destroy(&self) -> DestroyReport {
        let ending = self.begin_destroy();
        self.finish_destroy(ending, self.config.destroy_timeout)
    }

    /// The node is over, and its worker knows. `None`: it was over before.
    pub fn begin_destroy(&self) -> Option<Ending> {
        let began = Instant::now();
        {
            let mut life = self.life();
            if life.state == State::Destroyed {
                return None;
            }
            life.state = State::Destroyed;
            life.over = Some(Error::destroyed());
        }
        self.events.give_back();
        let thread = self.mailbox.close();
        self.signal_destroy();
        Some(Ending { began, thread })
    }

    /// The rest of it, which waits no longer than `within` from the beginning on.
    pub fn finish_destroy(&self, ending: Option<Ending>, within: Duration) -> DestroyReport {
        let Some(Ending { began, thread }) = ending else {
            return self.last_destroy().unwrap_or_default();
        };
        let left = within.saturating_sub(began.elapsed());
        let life = self.life();
        let waited = self.ended.wait_timeout_while(life, left, |life| !life.thread_ended);
        let (mut life, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if life.thread_ended {
            drop(life);
            if let Some(thread) = thread {
                let _ = thread.join();
            }
        } else {
            life.unfinished.push(format!(
                "the node's thread is stuck after {} ms (a dead disk, most likely): it ends, and its lock with it, when the system call returns",
                within.as_millis()
            ));
            drop(life);
        }
        // What a stuck thread owes, ours or that of another node whose flight a call joined. Not under the lock: an answer may let
        // go of what asks for the state.
        self.owed.give_up();
        let mut life = self.life();
        let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let report = DestroyReport { duration_us, unfinished: std::mem::take(&mut life.unfinished) };
        life.last_destroy = Some(report.clone());
        report
    }
}
