//! From nothing to a connected node, in phases that can't run twice: prepare → gather → restore → connect.
//!
//! Gathering does everything at once that does not depend on the wallet's state: claim and load (one store round trip),
//! Esplora's tip, and TCP with Noise's first act, which does not say who we are. Whoever talks to the LSP holds the lease:
//! the third act, which does, waits for the state.
//!
//! From the claim on the lease is renewed beside whatever is waited for, each of which has its bound.

use super::link::{Dialer, Dialled, Peers};
use super::receive::ReceiveProgress;
use super::resident::Resident;
use super::session::{Contact, Session};
use super::tend::Tending;
use crate::chain::esplora::{Esplora, Tip};
use crate::chain::fees::Fees;
use crate::chain::sync::{self, Watched};
use crate::checkpoint::{Committer, Engine, EngineParams, Fault, Loaded};
use crate::clock;
use crate::config::Config;
use crate::entropy;
use crate::error::Result;
use crate::failpoint::{self, Point};
use crate::guard::guarded_future;
use crate::ldk::PeerHandlers;
use crate::lease::{Lease, LeasedStore, Returns, Stamp};
use crate::log::{note, phase, timed, LdkLog};
use crate::lsp::transport::LspTransport;
use crate::net::dns::Resolver;
use crate::stats::{Phase, Stats};
use crate::store::bounded::BoundedStore;
use crate::store::claim::claim_within;
use crate::store::{self, Claimant, Position, Snapshot, Store};
use crate::wallet::{settings, Terms, Wallet};
use lightning::chain::{BestBlock, Confirm};
use lightning::ln::peer_handler::IgnoringMessageHandler;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Everything that needs no I/O.
struct Prepared {
    resident: Arc<Resident>,
    config: Arc<Config>,
    lease: Arc<Lease>,
    engine: Engine,
    fees: Arc<Fees>,
    peers: Arc<Peers>,
    lsp: Arc<LspTransport>,
    dialer: Arc<Dialer>,
    esplora: Arc<Esplora>,
    stats: Arc<Stats>,
}

/// The lease is ours, the rows are here.
struct Gathered {
    prepared: Prepared,
    snapshot: Snapshot,
    committer: Committer,
    /// Before the tip was asked for.
    began: Instant,
    tip: Tip,
    dialled: Option<Dialled>,
}

/// Claims, loads, syncs, and connects if `connects`. Dropping the future at any point leaves nothing behind but, in `returns`, a lease that
/// expires.
pub(super) async fn boot(
    resident: Arc<Resident>,
    stats: Arc<Stats>,
    connects: bool,
    returns: &Returns,
) -> Result<Session> {
    let gathered = prepare(resident, stats)?.gather(connects, returns).await?;
    let (mut session, dialled) = gathered.restore().await?;
    // What is ours on chain does not wait for the LSP, which may be the thief: it would never answer.
    if session.wallet.claims_on_chain() {
        session.turn().await?;
    }
    if connects {
        let Session { dialer, peers, lsp, wallet, .. } = &mut session;
        // The claim was the store's word.
        let connecting = dialer.connect(peers, lsp, dialled, Stamp::NONE);
        match wallet.committer.keeping(connecting).await? {
            Ok(link) => session.connected(link),
            Err(error) => {
                session.contact = Contact::Unreachable;
                session.close_unasked().await?;
                // They would end with the session.
                session.broadcasts_tried().await?;
                return Err(error);
            }
        }
        failpoint::reached(Point::AfterConnect);
    }
    Ok(session)
}

/// Who we are, for the next claimant.
pub(super) fn claimant(config: &Config) -> Claimant {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let (label, ttl, take_over) = (config.label.clone(), config.lease.ttl, config.lease.take_over);
    Claimant { pid: std::process::id(), host, label, ttl, take_over }
}

fn prepare(resident: Arc<Resident>, stats: Arc<Stats>) -> Result<Prepared> {
    let config = Arc::clone(&resident.config);
    let keys = resident.keys()?.manager();
    let fees = Arc::new(Fees::default());
    let params = EngineParams {
        network: config.network,
        keys: Arc::clone(&keys),
        fees: Arc::clone(&fees) as crate::ldk::Fees,
        log: Arc::new(LdkLog::new("node")),
        user_config: settings::user_config(),
    };
    let wake = Arc::new(Notify::new());
    let lease = Arc::new(Lease::unclaimed(Arc::clone(&wake)));
    let engine = Engine::under(params, wake, Arc::clone(&lease));
    let lsp = Arc::new(LspTransport::under(config.lsp.node_id, Arc::clone(&lease)));
    let handlers = PeerHandlers {
        chan_handler: engine.messages(),
        route_handler: Arc::new(IgnoringMessageHandler {}),
        onion_message_handler: Arc::new(IgnoringMessageHandler {}),
        custom_message_handler: Arc::clone(&lsp),
        send_only_message_handler: engine.monitors(),
    };
    let now = u32::try_from(clock::now().as_secs()).unwrap_or(u32::MAX);
    let peers = Peers::new(handlers, now, &entropy::random(), Arc::new(LdkLog::new("node")), keys);
    let resolver = Resolver::new();
    let esplora = Esplora::new(&config.esplora_url, config.network, &config.timeouts, resolver.clone())?;
    let dialer = Dialer::new(config.lsp.clone(), resolver, config.timeouts, engine.fault().clone());
    let dialer = dialer.counting(Arc::clone(&stats)).under(Arc::clone(&lease));
    let esplora = esplora.counting(Arc::clone(&stats)).under(Arc::clone(&lease));
    Ok(Prepared {
        resident,
        config,
        lease,
        engine,
        fees,
        peers: Arc::new(peers),
        lsp,
        dialer: Arc::new(dialer),
        esplora: Arc::new(esplora),
        stats,
    })
}

impl Prepared {
    async fn gather(self, connects: bool, returns: &Returns) -> Result<Gathered> {
        let began = Instant::now();
        let config = Arc::clone(&self.config);
        let store = bounded_store(&self.resident)?.counting(Arc::clone(&self.stats));
        let mut store = LeasedStore::new(Box::new(store), Arc::clone(&self.lease), returns.clone());
        let claimant = claimant(&config);
        let claim = async {
            let began = Instant::now();
            let span = phase!(target: "mayfly::store", DEBUG, "claim", epoch = Empty, seq = Empty, rows = Empty);
            let snapshot = timed(span.clone(), claim_within(&mut store, &claimant, &config.lease)).await?;
            let Position { epoch, seq } = snapshot.position;
            span.record("epoch", epoch.0).record("seq", seq.0).record("rows", snapshot.rows.len());
            Span::current().record("epoch", epoch.0);
            self.stats.claimed(&snapshot, began.elapsed());
            failpoint::reached(Point::AfterLeaseClaim);
            let committer = Committer::new(Box::new(store), &snapshot, config.timeouts.commit);
            let committer = committer.counting(Arc::clone(&self.stats)).under(Arc::clone(&self.lease));
            let committer = committer.returning(returns.clone());
            Ok((snapshot, committer))
        };
        // A held wallet ends the boot at once; a failed dial does not, since connecting retries.
        let others = async {
            let dial = async { Ok(if connects { self.dialer.dial(&self.peers).await.ok() } else { None }) };
            tokio::try_join!(dial, self.esplora.tip_of_our_network())
        };
        let (snapshot, committer, (dialled, tip)) = both(claim, others, returns).await?;
        tracing::info!(
            epoch = snapshot.position.epoch.0,
            seq = snapshot.position.seq.0,
            height = tip.height,
            "claimed"
        );
        self.stats.reached(Phase::Claimed);
        Ok(Gathered { prepared: self, snapshot, committer, began, tip, dialled })
    }
}

impl Gathered {
    /// Reads the state and brings it to the chain's tip.
    async fn restore(self) -> Result<(Session, Option<Dialled>)> {
        let Gathered { prepared, snapshot, committer, began, tip, dialled } = self;
        let Prepared { resident, config, engine, fees, peers, lsp, dialer, esplora, stats, .. } = prepared;
        let best = BestBlock::new(tip.hash, tip.height);
        let terms = Terms { lsp: config.lsp.node_id, skim: config.skim, recover: config.recover };
        let span = phase!(target: "mayfly::checkpoint", DEBUG, "load", channels = Empty);
        let wallet = span.in_scope(|| Wallet::restore(engine, &snapshot, committer, best, terms, Arc::clone(&fees)));
        note(&span, &wallet);
        let mut wallet = wallet?;
        span.record("channels", wallet.loaded.monitors().list_monitors().len());
        drop(span);
        stats.reached(Phase::Loaded);
        failpoint::reached(Point::AfterLoad);
        let loaded_as = wallet.row.summary.clone();
        let fresh_fees = refresh_fees(&esplora, &fees, wallet.loaded.fault().clone());
        let loaded = wallet.loaded.clone();
        wallet.committer.keeping(follow_chain(&esplora, &loaded, tip)).await??;
        if wallet.claims_on_chain() {
            // Now the price decides: a claim at yesterday's may never get into a block. An error means that nobody knows a better one.
            let _ = wallet.committer.keeping(fresh_fees).await?;
        }
        wallet.caught_up()?;
        failpoint::reached(Point::AfterSync);
        lsp.attach(&wallet.loaded)?;
        resident.learnt(wallet.row.route_of(&config.lsp.node_id));
        stats.reached(Phase::Synced);
        let session = Session {
            config,
            resident,
            stats,
            wallet,
            peers,
            lsp,
            dialer,
            link: None,
            is_active: true,
            esplora,
            fees,
            receive_progress: ReceiveProgress::new(),
            began: Instant::now(),
            loaded_as,
            followed: began,
            contact: Contact::Unneeded,
            broadcasts: JoinSet::new(),
            published: Vec::new(),
            tending: Tending::default(),
        };
        Ok((session, dialled))
    }
}

/// The claim, and what goes on beside it; the first that fails ends both. From the claim on the lease is renewed. The claim is begun
/// last: a file store's blocks this thread, and by then the others are on their way.
pub(super) async fn both<T>(
    claim: impl Future<Output = Result<(Snapshot, Committer)>>,
    others: impl Future<Output = Result<T>>,
    returns: &Returns,
) -> Result<(Snapshot, Committer, T)> {
    let (mut claim, mut others) = (pin!(claim), pin!(others));
    tokio::select! {
        biased;
        done = &mut others => {
            if done.is_err() {
                // A lease that comes now is given back, instead of keeping others out until it expires.
                answered(claim.as_mut(), returns).await;
            }
            let done = done?;
            let (snapshot, committer) = claim.await?;
            Ok((snapshot, committer, done))
        }
        claimed = &mut claim => {
            let (snapshot, mut committer) = claimed?;
            let done = committer.keeping(others).await??;
            Ok((snapshot, committer, done))
        }
    }
}

/// Until the store has answered the claim that is on its way, for which it has its time. Nothing more is asked.
async fn answered(mut claim: Pin<&mut impl Future<Output = Result<(Snapshot, Committer)>>>, returns: &Returns) {
    poll_fn(|cx| match claim.as_mut().poll(cx) {
        Poll::Pending if returns.is_claiming() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// Only claims on chain wait for fresh fees: else the saved ones serve until these are there, and the next commit saves them.
fn refresh_fees(esplora: &Arc<Esplora>, fees: &Arc<Fees>, fault: Fault) -> JoinHandle<()> {
    let (esplora, fees) = (Arc::clone(esplora), Arc::clone(fees));
    let refresh = async move {
        match guarded_future("asking for fees", esplora.fee_estimates()).await {
            Ok(Ok(estimates)) => drop(fees.update(&estimates)),
            Ok(Err(error)) => {
                tracing::debug!(reason = %error.message, "no fresh fee estimates; the saved ones serve on")
            }
            Err(panic) => fault.raise(panic),
        }
    };
    tokio::spawn(refresh.in_current_span())
}

/// Brings manager and monitors to the tip: watched transactions and outputs first, the best block last.
pub(super) async fn follow_chain(esplora: &Esplora, loaded: &Loaded, tip: Tip) -> Result<Tip> {
    let (manager, monitors) = (loaded.manager().as_ref(), loaded.monitors().as_ref());
    let ids = monitors.list_monitors();
    let mut known = vec![manager.current_best_block()];
    known.extend(ids.iter().filter_map(|id| monitors.get_monitor(*id).ok().map(|m| m.current_best_block())));
    let watched = || {
        let ids = monitors.list_monitors();
        let outputs = ids.iter().filter_map(|id| monitors.get_monitor(*id).ok().map(|m| m.get_outputs_to_watch()));
        outputs.flat_map(Watched::of).collect()
    };
    let confirmables: [&dyn Confirm; 2] = [manager, monitors];
    let span = phase!(target: "mayfly::chain", DEBUG, "sync", height = tip.height);
    timed(span, sync::sync(esplora, tip, &known, &confirmables, watched)).await
}

/// The wallet's store, each of its operations bounded.
pub(super) fn open_store(resident: &Resident) -> Result<Box<dyn Store>> {
    Ok(Box::new(bounded_store(resident)?))
}

fn bounded_store(resident: &Resident) -> Result<BoundedStore> {
    let (config, keys) = (&resident.config, resident.keys()?);
    let store = store::open(&config.store, keys.wallet_id(config.network), &keys.store_key(config.network));
    Ok(BoundedStore::new(store, config.timeouts.store))
}

/// A claim without LDK, for work on rows alone.
pub(super) async fn claim_rows(resident: &Resident, returns: &Returns) -> Result<(Committer, Snapshot)> {
    let config = &resident.config;
    let lease = Arc::new(Lease::unclaimed(Arc::default()));
    let store = open_store(resident)?;
    let mut store = LeasedStore::new(store, lease, returns.clone());
    let snapshot = claim_within(&mut store, &claimant(config), &config.lease).await?;
    let committer = Committer::new(Box::new(store), &snapshot, config.timeouts.commit).returning(returns.clone());
    Ok((committer, snapshot))
}
