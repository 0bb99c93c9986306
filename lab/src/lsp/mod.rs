//! An LSPS4 LSP on LDK: registers nodes, holds HTLCs for them, wakes them, opens 0-conf channels and forwards.
//!
//! What must hold:
//! * a client's SCID is committed before it is told, and an HTLC is committed as held before its webhook goes out;
//! * an HTLC is forwarded or failed once, however often LDK tells of it (its intercept id is the key) and whatever restarts;
//! * never more goes out than came in: the payer's onion is checked against what LDK received.
//!
//! What fails: a client that does not come within the hold time loses the payment (`unknown_next_peer`, the only code that
//! LDK offers here). That, the missing second webhook and the slow timer are how released LSPs behave; the options make it
//! better, so that a test can show both.

mod channels;
mod close;
pub mod held;
pub mod lsps;
pub mod options;
pub mod progress;
pub(crate) mod rows;

use crate::chain::Wallet;
use crate::cheat::Memory;
use crate::node::{Base, Received, Role, Turn, LSP_CLTV_EXPIRY_DELTA};
use crate::webhook::{self, WebhookUrl};
use bitcoin::secp256k1::PublicKey;
use bitcoin::Transaction;
use held::HeldHtlc;
use lightning::events::Event;
use lightning::ln::channel_state::{OutboundHTLCDetails, OutboundHTLCStateDetails};
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;
use lsps::{Method, Request};
use mayfly_core::clock;
use mayfly_core::error::Result;
use mayfly_core::store::Rows;
use options::{LspOptions, SharedOptions};
use progress::{Progress, Work};
use rows::hex;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One open at a time per client; a failed one is forgotten after this.
const OPEN_COOLDOWN: Duration = Duration::from_secs(30);
/// The retry timer of released LSPs.
const MDK_RETRY: Duration = Duration::from_secs(1);

/// Where to wake each node; shared with the control API, and surviving restarts of the LSP.
pub type Webhooks = Arc<Mutex<BTreeMap<PublicKey, WebhookUrl>>>;

/// The LSP's part of a node.
pub struct Lsp {
    options: SharedOptions,
    webhooks: Webhooks,
    memory: Memory,
    wallet: Wallet,
    runtime: tokio::runtime::Handle,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The client of each SCID.
    scids: BTreeMap<u64, PublicKey>,
    /// What is held, in the order of interception.
    held: Vec<HeldHtlc>,
    /// Since when a channel is being opened.
    opening: BTreeMap<PublicKey, Instant>,
    /// Signed and not broadcast yet.
    funding: BTreeMap<ChannelId, Transaction>,
    /// What is to be closed once its client is connected.
    closing: BTreeSet<(PublicKey, ChannelId)>,
    /// Peers that sent what LDK does not understand.
    muted: BTreeSet<PublicKey>,
    /// Clients to serve in this turn, when forwarding is by timer.
    due: BTreeSet<PublicKey>,
    /// Since when clients are connected.
    connected: BTreeMap<PublicKey, Instant>,
    last_retry: Option<Instant>,
    progress: Progress,
}

impl Lsp {
    /// From the rows of the last commit. Webhooks are posted on `runtime`: they outlive a restart of the LSP.
    pub fn load(
        rows: &Rows,
        options: SharedOptions,
        webhooks: Webhooks,
        memory: Memory,
        runtime: tokio::runtime::Handle,
    ) -> Result<Lsp> {
        let state = State { scids: rows::read_scids(rows)?, held: rows::read_held(rows)?, ..State::default() };
        let state = RefCell::new(state);
        Ok(Lsp { options, webhooks, memory, wallet: Wallet::new("lsp"), runtime, state })
    }

    /// Where its channels are paid from.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// Keeps the present states of the clients that are to be cheated.
    pub fn remember(&self, node: &Base) {
        self.memory.observe(node);
    }

    /// What is held now.
    pub fn held(&self) -> Vec<HeldHtlc> {
        self.state.borrow().held.clone()
    }

    // --- LSPS ---

    fn receive(&self, node: &Base, turn: &mut Turn) {
        for received in node.port.take_received() {
            match received {
                Received::Connected(peer) => {
                    node.hostile.greet(node, peer);
                    let mut state = self.state.borrow_mut();
                    state.due.insert(peer);
                    state.connected.insert(peer, Instant::now());
                }
                Received::Disconnected(peer) => {
                    self.state.borrow_mut().connected.remove(&peer);
                    self.state.borrow_mut().muted.remove(&peer);
                    self.client_left(node, peer, turn);
                }
                Received::Message(peer, message) => self.answer(node, peer, message.0.as_deref(), turn),
            }
        }
    }

    fn answer(&self, node: &Base, peer: PublicKey, json: Option<&str>, turn: &mut Turn) {
        if node.hostile.answers(node, peer, json) {
            return;
        }
        if self.state.borrow().muted.contains(&peer) {
            return;
        }
        let answer = match json.and_then(lsps::read) {
            Some(Request { id, method: Method::ListProtocols }) => lsps::protocols(&id),
            Some(Request { id, method: Method::RegisterNode }) => {
                lsps::registered(&id, self.scid_of(node, peer, turn), LSP_CLTV_EXPIRY_DELTA)
            }
            None => {
                tracing::info!(%peer, "an LSPS message that LDK would not understand: muted until it disconnects");
                self.state.borrow_mut().muted.insert(peer);
                lsps::PARSE_ERROR.to_owned()
            }
        };
        turn.after_commit(move |node| node.port.send(peer, answer));
    }

    /// The client's SCID, for ever the same.
    fn scid_of(&self, node: &Base, client: PublicKey, turn: &mut Turn) -> u64 {
        let mut state = self.state.borrow_mut();
        if let Some((scid, _)) = state.scids.iter().find(|(_, known)| **known == client) {
            return *scid;
        }
        // LDK draws them at random and doesn't promise that two differ.
        let mut scid = node.manager().get_intercept_scid();
        while state.scids.contains_key(&scid) {
            scid = node.manager().get_intercept_scid();
        }
        state.scids.insert(scid, client);
        rows::put_scid(turn, &client, scid);
        scid
    }

    // --- HTLCs ---

    fn intercepted(&self, node: &Base, htlc: HeldHtlc, turn: &mut Turn) {
        let mut state = self.state.borrow_mut();
        if state.held.iter().any(|known| known.id == htlc.id) {
            return;
        }
        rows::put_held(turn, &htlc);
        let (client, payment_hash) = (htlc.client, htlc.payment_hash);
        state.held.push(htlc);
        if node.port.is_connected(&client) {
            state.due.insert(client);
        } else {
            drop(state);
            self.wake(client, payment_hash, turn);
        }
    }

    fn fail_expired(&self, node: &Base, options: &LspOptions, turn: &mut Turn) {
        let now_ms = clock::now_ms();
        self.fail_held(node, "held for too long", turn, |htlc| htlc.expires_ms(options) <= now_ms);
    }

    /// Fails back what is held and `which` picks.
    fn fail_held(&self, node: &Base, why: &str, turn: &mut Turn, which: impl Fn(&HeldHtlc) -> bool) {
        let mut any = false;
        self.state.borrow_mut().held.retain(|htlc| {
            let fail = which(htlc);
            any |= fail;
            if fail {
                tracing::info!(client = %htlc.client, payment_hash = %htlc.payment_hash, why, "a held HTLC is failed");
                // An error means that LDK has failed it already, for its CLTV.
                let _ = node.manager().fail_intercepted_htlc(htlc.id);
                rows::delete_held(turn, &htlc.id);
            }
            !fail
        });
        if any {
            // LDK has something to process, and this turn may be past that.
            node.wake();
        }
    }

    /// Posts the client's webhook once this turn is committed.
    fn wake(&self, client: PublicKey, payment_hash: PaymentHash, turn: &mut Turn) {
        let url = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner).get(&client).cloned();
        let Some(url) = url else {
            tracing::info!(%client, "no webhook is registered for this node");
            return;
        };
        let body = serde_json::json!({ "nodeId": client.to_string(), "paymentHash": hex(&payment_hash.0) }).to_string();
        let runtime = self.runtime.clone();
        turn.after_commit(move |_| {
            let _inside = runtime.enter();
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            // Fire and forget, as LSPs do.
            drop(webhook::post(url, headers, body));
        });
    }

    // --- clients that stop ---

    fn client_left(&self, node: &Base, client: PublicKey, turn: &mut Turn) {
        // Back already: its work is served on the new connection.
        if !self.options.get().rewake || node.port.is_connected(&client) {
            return;
        }
        self.wake_for_all(node, client, turn);
    }

    fn wake_for_all(&self, node: &Base, client: PublicKey, turn: &mut Turn) {
        let hashes = self.work_of(node, client).payment_hashes;
        for hash in hashes {
            self.wake(client, PaymentHash(hash), turn);
        }
    }

    fn disconnect_stalled(&self, node: &Base, deadline: Duration, turn: &mut Turn) {
        let clients: BTreeSet<PublicKey> = self.state.borrow().scids.values().copied().collect();
        let connected = clients.into_iter().filter(|client| node.port.is_connected(client));
        let work: BTreeMap<PublicKey, Work> = connected
            .map(|client| (client, self.work_of(node, client)))
            .filter(|(_, work)| !work.payment_hashes.is_empty())
            .collect();
        let stalled = self.state.borrow_mut().progress.stalled(Instant::now(), work, deadline);
        for client in stalled {
            tracing::info!(%client, "connected, and its payment does not move: disconnected and woken");
            // First, so that with `rewake` the disconnection finds the same work and does not wake twice for it.
            if !self.options.get().rewake {
                self.wake_for_all(node, client, turn);
            }
            node.peers.disconnect_by_node_id(client);
        }
    }

    fn work_of(&self, node: &Base, client: PublicKey) -> Work {
        let state = self.state.borrow();
        let held = state.held.iter().filter(|htlc| htlc.client == client).map(|htlc| htlc.payment_hash.0);
        let mut payment_hashes: Vec<[u8; 32]> = held.collect();
        let held = payment_hashes.len();
        let channels = node.manager().list_channels_with_counterparty(&client);
        let usable = channels.iter().filter(|channel| channel.is_usable).count();
        let forwarded =
            channels.iter().flat_map(|channel| &channel.pending_outbound_htlcs).filter(|h| is_unanswered(h));
        payment_hashes.extend(forwarded.map(|htlc| htlc.payment_hash.0));
        Work { payment_hashes, state: (held, channels.len(), usable) }
    }

    /// Who is served now: everyone with something held, or only who is due when forwarding is by timer.
    fn take_due(&self, options: &LspOptions) -> BTreeSet<PublicKey> {
        let mut state = self.state.borrow_mut();
        let due = std::mem::take(&mut state.due);
        let with_held: BTreeSet<PublicKey> = state.held.iter().map(|htlc| htlc.client).collect();
        if with_held.is_empty() {
            state.last_retry = None;
            return BTreeSet::new();
        }
        if !options.mdk_timer {
            return with_held;
        }
        let now = Instant::now();
        if now < *state.last_retry.get_or_insert(now) + MDK_RETRY {
            return due.intersection(&with_held).copied().collect();
        }
        state.last_retry = Some(now);
        with_held
    }
}

/// Whether the client has neither fulfilled nor failed it. What is only on its way out of the channel needs nobody woken.
fn is_unanswered(htlc: &OutboundHTLCDetails) -> bool {
    use OutboundHTLCStateDetails::{AwaitingRemoteRevokeToRemoveFailure, AwaitingRemoteRevokeToRemoveSuccess};
    let state = &htlc.state;
    !matches!(state, Some(AwaitingRemoteRevokeToRemoveSuccess | AwaitingRemoteRevokeToRemoveFailure))
}

impl Role for Lsp {
    fn event(&self, node: &Base, event: Event, turn: &mut Turn) {
        match event {
            Event::HTLCIntercepted {
                intercept_id,
                requested_next_hop_scid,
                payment_hash,
                inbound_amount_msat,
                expected_outbound_amount_msat,
            } => {
                let client = self.state.borrow().scids.get(&requested_next_hop_scid).copied();
                match client {
                    Some(client) if inbound_amount_msat >= expected_outbound_amount_msat => {
                        let amount_msat = expected_outbound_amount_msat;
                        let since_ms = clock::now_ms();
                        let htlc = HeldHtlc { id: intercept_id, client, payment_hash, amount_msat, since_ms };
                        self.intercepted(node, htlc, turn);
                    }
                    _ => {
                        tracing::info!(%payment_hash, "an HTLC for nobody, or with less than it should pass on: failed");
                        // An error means that LDK has failed it already.
                        let _ = node.manager().fail_intercepted_htlc(intercept_id);
                    }
                }
            }
            Event::HTLCHandlingFailed { failure_type, failure_reason, .. } => {
                tracing::info!(?failure_type, ?failure_reason, "an HTLC was failed back");
            }
            other => self.channel_event(node, other, turn),
        }
    }

    fn act(&self, node: &Base, turn: &mut Turn) {
        let options = self.options.get();
        self.remember(node);
        self.receive(node, turn);
        self.fail_expired(node, &options, turn);
        self.close_with_the_connected(node);
        for client in self.take_due(&options) {
            self.serve(node, client, &options, turn);
        }
        if let Some(deadline) = options.progress_deadline_ms {
            self.disconnect_stalled(node, Duration::from_millis(deadline), turn);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let options = self.options.get();
        let state = self.state.borrow();
        let now_ms = clock::now_ms();
        let expiry = state.held.iter().map(|htlc| htlc.expires_ms(&options).saturating_sub(now_ms)).min();
        let expiry = expiry.map(|ms| Instant::now() + Duration::from_millis(ms));
        let retry = state.last_retry.filter(|_| options.mdk_timer).map(|last| last + MDK_RETRY);
        let stalled = options.progress_deadline_ms.and_then(|ms| state.progress.next(Duration::from_millis(ms)));
        // A cooldown that ends lets a client's next channel be opened.
        let cooldown =
            state.opening.values().map(|since| *since + OPEN_COOLDOWN).filter(|end| *end > Instant::now()).min();
        let resuming = state.held.iter().filter_map(|htlc| self.resumes_until(&htlc.client)).min();
        [expiry, retry, stalled, cooldown, resuming].into_iter().flatten().min()
    }

    fn ping_every(&self) -> Duration {
        Duration::from_millis(self.options.get().tick_ms.max(1))
    }
}
