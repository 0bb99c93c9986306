//! One node as its caller has it: what is its own, and the way to what it shares with the wallet's other nodes.
//!
//! Its own are its calls, the events that are out with it, its wish that the wallet runs, and its end. Everything that runs is the
//! [`Resident`]'s. A handle looks for one when a call needs it, and for the next one when that one was closed.

use super::command::Command;
use super::receiving::Receiving;
use super::register::{self, Name};
use super::resident::{Ending, Resident};
use super::stages::{self, micros, DestroyStages};
use super::State;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::events::out;
use crate::invoice::{self, Invoice, MintRequest};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use crate::reply::Owed;
use crate::stats::Figures;
use crate::store::WalletId;
use crate::wallet::view::WakeBy;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What `destroy()` did, and what it could not finish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestroyReport {
    /// How long it took.
    pub duration_us: u64,
    /// What it spent that on, if it ended what ran.
    pub stages: DestroyStages,
    /// What was left undone, in words.
    pub unfinished: Vec<String>,
}

/// Where a node was made, and who is told that it ended by itself.
#[derive(Clone, Default)]
pub struct Origin {
    /// The caller's place in its own source.
    pub created_at: Option<String>,
    /// Told that the idle limit ended the node.
    pub on_idle: Option<OnIdle>,
}

/// Called with where the node was made, and the limit; on the node's thread: it must not wait.
pub type OnIdle = Arc<dyn Fn(Option<&str>, Duration) + Send + Sync>;

/// When a node's last call began or ended.
pub(super) struct LastCall(Mutex<Instant>);

impl LastCall {
    /// Now.
    pub fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Handle {
    pub id: u64,
    pub config: Arc<Config>,
    /// The answers to its calls.
    pub owed: Arc<Owed>,
    /// The answers to calls that wait without end.
    pub owed_sometime: Owed,
    pub last_call: Arc<LastCall>,
    pub receiving: Receiving,
    wallet: Name,
    origin: Origin,
    events: out::Holder,
    keys: OnceLock<Result<Arc<Keys>>>,
    own: Mutex<Own>,
    gone: watch::Sender<bool>,
}

struct Own {
    destroyed: bool,
    /// It used its wallet: the register knows its options.
    enrolled: bool,
    resident: Option<Arc<Resident>>,
    route: Option<JitRoute>,
    /// Why the session of its `receivePayment` ended, until that call asks.
    receive_error: Option<Error>,
    last_destroy: Option<DestroyReport>,
}

/// A `destroy()` under way.
pub(super) struct Leaving {
    began: Instant,
    within: Duration,
    ending: Option<(Arc<Resident>, Ending)>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Handle {
    /// `INVALID_OPTION` if another node that uses the wallet has other options.
    pub fn new(config: Config, origin: Origin) -> Result<Self> {
        let (wallet, config) = (register::name(&config), Arc::new(config));
        register::check(wallet, &config)?;
        let own = Own {
            destroyed: false,
            enrolled: false,
            resident: None,
            route: config.jit_route,
            receive_error: None,
            last_destroy: None,
        };
        Ok(Handle {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            config,
            owed: Arc::default(),
            owed_sometime: Owed::default(),
            last_call: Arc::new(LastCall(Mutex::new(Instant::now()))),
            receiving: Receiving::default(),
            wallet,
            origin,
            events: out::Holder::new(),
            keys: OnceLock::new(),
            own: Mutex::new(own),
            gone: watch::Sender::new(false),
        })
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_resident(&self) -> Option<Arc<Resident>> {
        self.own().resident.clone()
    }

    /// `NODE_DESTROYED` or `FENCED` once the node is over.
    pub fn over(&self) -> Option<Error> {
        let own = self.own();
        if own.destroyed {
            return Some(Error::destroyed());
        }
        own.resident.as_ref().and_then(|resident| resident.fenced())
    }

    /// The same, as a result.
    pub fn live(&self) -> Result<&Self> {
        self.over().map_or(Ok(self), Err)
    }

    /// That of what runs, as far as this node takes part in it, or could have been what made it run.
    pub fn state(&self) -> State {
        let own = self.own();
        if own.destroyed {
            return State::Destroyed;
        }
        let Some(resident) = own.resident.clone() else { return State::Idle };
        drop(own);
        resident.state_for(self)
    }

    /// Derived once: PBKDF2 costs 2.5 ms.
    pub fn keys(&self) -> Result<&Keys> {
        let keys = self.keys.get_or_init(|| Keys::shared(&self.config.mnemonic, self.config.network));
        keys.as_deref().map_err(Clone::clone)
    }

    fn wallet_id(&self) -> Result<WalletId> {
        Ok(self.keys()?.wallet_id(self.config.network))
    }

    pub fn mint(&self, request: &MintRequest, route: &JitRoute) -> Result<Invoice> {
        self.touch();
        invoice::mint(self.keys()?, self.config.network, self.config.lsp.node_id, route, request)
    }

    pub fn known_route(&self) -> Option<JitRoute> {
        let mut own = self.own();
        let learnt = own.resident.as_ref().and_then(|resident| resident.route());
        own.route = own.route.or(learnt);
        own.route
    }

    pub fn wake_by(&self) -> Option<WakeBy> {
        self.known_resident()?.wake_by()
    }

    pub fn figures(&self) -> Option<Figures> {
        self.known_resident()?.figures()
    }

    /// Whether this node may hand that event out: no other one of the process has it.
    pub fn may_hand_out(&self, event: &str) -> bool {
        self.wallet_id().is_ok_and(|wallet| self.events.may_have(wallet, event))
    }

    /// That event is out with this node now.
    pub fn handed_out(&self, event: &str) {
        if let Ok(wallet) = self.wallet_id() {
            self.events.took(wallet, event);
        }
    }

    /// That event is not acted on by this node after all: another one that waits may have it.
    pub fn give_back(&self, event: &str) {
        if let Ok(wallet) = self.wallet_id() {
            self.events.give_back_one(wallet, event);
        }
        if let Some(resident) = self.known_resident() {
            resident.look();
        }
    }

    /// A call begins or ends now.
    pub fn touch(&self) {
        self.last_call.touch();
    }

    /// Since when it has been idle, if no call of it is under way.
    pub fn idle_since(&self) -> Option<Instant> {
        if self.owed.is_waiting() {
            return None;
        }
        Some(self.last_call.at())
    }

    /// The idle limit ended it.
    pub fn ended_idle(&self, limit: Duration) {
        let (limit_ms, created_at) = (limit.as_millis(), self.origin.created_at.as_deref());
        tracing::warn!(
            created_at = created_at.unwrap_or("unknown"),
            max_idle_ms = u64::try_from(limit_ms).unwrap_or(u64::MAX),
            "a node had no call for maxIdleMs and stopped itself: destroy() was forgotten"
        );
        if let Some(tell) = &self.origin.on_idle {
            tell(created_at, limit);
        }
    }

    pub fn set_receive_error(&self, error: Option<Error>) {
        self.own().receive_error = error;
    }

    pub fn take_receive_error(&self) -> Option<Error> {
        self.own().receive_error.take()
    }

    /// Hands a command to the wallet's resident.
    pub fn send(self: &Arc<Self>, mut command: Command) {
        self.touch();
        loop {
            let resident = match self.resident() {
                Ok(resident) => resident,
                Err(error) => return command.fail(error),
            };
            match resident.take_in(self, command) {
                None => return,
                Some(refused) => command = refused,
            }
        }
    }

    /// The same for a wait that goes on when there is something to run for.
    pub fn park(self: &Arc<Self>, mut command: Command) {
        loop {
            let Ok(resident) = self.resident() else { return drop(command) };
            match resident.park(self, command) {
                None => return,
                Some(refused) => command = refused,
            }
        }
    }

    /// The one that is open, or was fenced: that is over for this node for ever.
    pub fn resident(&self) -> Result<Arc<Resident>> {
        let mut own = self.own();
        if own.destroyed {
            return Err(Error::destroyed());
        }
        if let Some(resident) = &own.resident {
            if let Some(error) = resident.fenced() {
                return Err(error);
            }
            if resident.is_open() {
                return Ok(Arc::clone(resident));
            }
        }
        if !own.enrolled {
            register::enrol(self.wallet, &self.config)?;
            own.enrolled = true;
        }
        let route = own.resident.as_ref().and_then(|resident| resident.route());
        own.route = own.route.or(route);
        Ok(Arc::clone(own.resident.insert(register::resident(self.wallet, &self.config))))
    }

    /// A start failed.
    pub fn failed_to_start(&self) {
        if let Some(resident) = self.known_resident() {
            resident.failed_to_start(self);
        }
    }

    /// Resolves when the node is over. Does not keep it.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.gone.subscribe();
        async move {
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    pub fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    pub fn last_destroy(&self) -> Option<DestroyReport> {
        self.own().last_destroy.clone()
    }

    /// The node is over, and whoever must know it knows. `None`: it was over before.
    pub fn begin_destroy(&self, within: Option<Duration>) -> Option<Leaving> {
        let (began, within) = (Instant::now(), within.unwrap_or(self.config.destroy_timeout));
        let resident = self.withdraw()?;
        let ending = resident.and_then(|resident| {
            let ending = resident.leave(self, Some(within))?;
            Some((resident, ending))
        });
        Some(Leaving { began, within, ending })
    }

    /// The rest of it: joins what this node was the last to need, or names what keeps it, and answers in its place.
    pub fn finish_destroy(&self, leaving: Option<Leaving>) -> DestroyReport {
        let Some(Leaving { began, within, ending }) = leaving else {
            return self.last_destroy().unwrap_or_default();
        };
        let (unfinished, stages) = match ending {
            Some((resident, ending)) => resident.join(ending, within.saturating_sub(began.elapsed()), within),
            None => Default::default(),
        };
        self.owed.give_up();
        self.owed_sometime.give_up();
        let report = DestroyReport { duration_us: micros(began.elapsed()), stages, unfinished };
        stages::tell(&report);
        self.own().last_destroy = Some(report.clone());
        report
    }

    /// From now on it has no part in anything. `None`: it had none.
    fn withdraw(&self) -> Option<Option<Arc<Resident>>> {
        let mut own = self.own();
        if std::mem::replace(&mut own.destroyed, true) {
            return None;
        }
        let (resident, enrolled) = (own.resident.clone(), own.enrolled);
        drop(own);
        self.events.give_back();
        self.gone.send_replace(true);
        if enrolled {
            register::leave(self.wallet);
        }
        Some(resident)
    }

    /// Nobody has it any more: it has no part in anything, and what no other node needs ends by itself. Signals only.
    pub fn forget(&self) {
        if let Some(resident) = self.withdraw() {
            self.owed.give_up();
            self.owed_sometime.give_up();
            if let Some(resident) = resident {
                drop(resident.leave(self, None));
            }
        }
    }
}
