//! LSPS0: JSON-RPC over BOLT 8 message 37913, wrapped around LDK's `LiquidityManager`.
//!
//! The wrapper exists because of a trap in every LDK-based peer: a method, an error or an id that it does not know makes it
//! answer "parse error" and ignore the sender until disconnect. So the inner manager sees nothing but answers to its own
//! requests: whatever else an LSP says is ignored, as LSPS0 asks for, instead of getting both sides to ignore each other. And
//! LSPS4 is never sent to an LSP that has not listed it (`lsps0.list_protocols` first).
//!
//! The inner manager is set when the wallet is loaded (`attach`), like the message gate's.

use crate::checkpoint::{BroadcastGate, Loaded};
use crate::entropy;
use crate::error::{shown, Code, Error, Result};
use crate::failpoint::{self, Point};
use crate::ldk::ChannelManager;
use crate::lease::{Lease, Stamp};
use crate::onchain::Signer;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::Filter;
use lightning::ln::msgs::{DecodeError, Init, LightningError};
use lightning::ln::peer_handler::CustomMessageHandler;
use lightning::ln::wire::CustomMessageReader;
use lightning::types::features::{InitFeatures, NodeFeatures};
use lightning::util::ser::LengthLimitedRead;
use lightning_liquidity::lsps0::ser::{RawLSPSMessage, LSPS_MESSAGE_TYPE_ID};
use lightning_liquidity::utils::time::DefaultTimeProvider;
use lightning_liquidity::{LiquidityClientConfig, LiquidityManagerSync};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{oneshot, watch};

type Liquidity = LiquidityManagerSync<
    Arc<Signer>,
    Arc<Signer>,
    Arc<ChannelManager>,
    Arc<dyn Filter + Send + Sync>,
    Arc<super::NoLiquidityState>,
    DefaultTimeProvider,
    Arc<BroadcastGate>,
>;

/// The LSP's answer to a request, or why there is none.
type Answer = oneshot::Sender<Result<Value>>;

/// The custom message handler of the node's peer manager. Talks to one LSP only.
pub struct LspTransport {
    lsp: PublicKey,
    lease: Arc<Lease>,
    liquidity: OnceLock<Liquidity>,
    state: Mutex<State>,
    connected: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Each waits for the store's word that the wallet is still ours, asked for after it was made.
    outgoing: Vec<(Stamp, (PublicKey, RawLSPSMessage))>,
    requests: HashMap<String, Answer>,
    /// Ids of requests that the inner manager sent.
    inner_requests: HashSet<String>,
}

/// A request in the field order that LDK writes.
#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: &'a str,
    method: &'a str,
    params: &'a Value,
}

impl LspTransport {
    /// A transport to that LSP, not yet able to use LDK's own protocols.
    pub fn new(lsp: PublicKey) -> Self {
        LspTransport::under(lsp, Lease::of_process())
    }

    /// The same of a node whose lease may end before its process.
    pub fn under(lsp: PublicKey, lease: Arc<Lease>) -> Self {
        LspTransport {
            lsp,
            lease,
            liquidity: OnceLock::new(),
            state: Mutex::default(),
            connected: watch::Sender::new(false),
        }
    }

    /// Sets LDK's liquidity manager on top of the loaded wallet, once.
    pub fn attach(&self, loaded: &Loaded) -> Result<()> {
        let liquidity = Liquidity::new(
            Arc::clone(loaded.keys()),
            Arc::clone(loaded.keys()),
            Arc::clone(loaded.manager()),
            None,
            None,
            Arc::new(super::NoLiquidityState),
            Arc::clone(loaded.broadcasts()),
            None,
            Some(LiquidityClientConfig {
                lsps1_client_config: None,
                lsps2_client_config: None,
                lsps5_client_config: None,
            }),
        );
        let liquidity =
            liquidity.map_err(|error| Error::new(Code::Internal, format!("LDK's liquidity manager: {error}")))?;
        let _ = self.liquidity.set(liquidity);
        Ok(())
    }

    /// Whether the LSP is connected (`init` exchanged), and a way to wait for a change.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    /// Queues a request of LSPS0 or LSPS4. The caller lets the peer manager process events to send it.
    pub fn request(&self, method: &str, params: &Value) -> oneshot::Receiver<Result<Value>> {
        // 16 random bytes as 32 hex characters, a string: LDK's parser takes no numeric id.
        let id: String = entropy::random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let (answer, receiver) = oneshot::channel();
        match serde_json::to_string(&Request { jsonrpc: "2.0", id: &id, method, params }) {
            Ok(payload) => {
                let mut state = self.lock();
                state.requests.insert(id, answer);
                let stamp = self.lease.stamp();
                self.lease.need(stamp);
                state.outgoing.push((stamp, (self.lsp, RawLSPSMessage { payload })));
            }
            Err(error) => {
                let _ = answer.send(Err(Error::new(Code::Internal, format!("{method} does not serialise: {error}"))));
            }
        }
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer to one of our requests. True if it is one to the inner manager's, which must see it.
    fn take(&self, payload: &str) -> bool {
        let Ok(message) = serde_json::from_str::<Value>(payload) else { return false };
        // A client serves no method; answering an error would get an LDK peer to ignore us.
        if message.get("method").is_some() {
            return false;
        }
        let mut state = self.lock();
        match message.get("id") {
            Some(Value::String(id)) => {
                if let Some(answer) = state.requests.remove(id) {
                    let _ = answer.send(result_of(&message));
                    return false;
                }
                state.inner_requests.remove(id)
            }
            // "Parse error": the LSP ignores us until we reconnect, so nothing that is outstanding will be answered.
            Some(Value::Null) if message.get("error").is_some_and(|error| !error.is_null()) => {
                let rejection = result_of(&message);
                for (_, answer) in state.requests.drain() {
                    let _ = answer.send(rejection.clone());
                }
                false
            }
            _ => false,
        }
    }
}

/// `result`, or the LSP's error as `LSP_REJECTED` with its code and text. Some write the other one too, as null.
fn result_of(message: &Value) -> Result<Value> {
    let error = message.get("error").filter(|error| !error.is_null());
    if let (Some(result), None) = (message.get("result"), error) {
        return Ok(result.clone());
    }
    let code = error.and_then(|e| e.get("code")).and_then(Value::as_i64);
    let text = error.and_then(|e| e.get("message")).and_then(Value::as_str).unwrap_or("no text");
    let code = code.map_or_else(|| "without a code".to_owned(), |code| format!("with code {code}"));
    let text = shown(text, 200);
    Err(Error::new(Code::LspRejected, format!("the LSP refused the request {code}: {text}")))
}

fn id_of(payload: &str) -> Option<String> {
    let message: Value = serde_json::from_str(payload).ok()?;
    message.get("id").and_then(Value::as_str).map(ToOwned::to_owned)
}

impl CustomMessageReader for LspTransport {
    type CustomMessage = RawLSPSMessage;

    /// Not LDK's own reader: it ends the connection for bytes that are no UTF-8, and a payment may be under way on it. They are
    /// no JSON either way, and ignored like other garbage.
    fn read<R: LengthLimitedRead>(&self, kind: u16, buffer: &mut R) -> Result<Option<RawLSPSMessage>, DecodeError> {
        if kind != LSPS_MESSAGE_TYPE_ID || self.liquidity.get().is_none() {
            return Ok(None);
        }
        let length = usize::try_from(buffer.remaining_bytes()).map_err(|_| DecodeError::InvalidValue)?;
        let mut bytes = vec![0; length];
        buffer.read_exact(&mut bytes).map_err(|_| DecodeError::ShortRead)?;
        Ok(Some(RawLSPSMessage { payload: String::from_utf8_lossy(&bytes).into_owned() }))
    }
}

impl CustomMessageHandler for LspTransport {
    fn handle_custom_message(&self, message: RawLSPSMessage, sender: PublicKey) -> Result<(), LightningError> {
        failpoint::reached(Point::MidLspsMessage);
        if sender != self.lsp || !self.take(&message.payload) {
            return Ok(());
        }
        self.liquidity.get().map_or(Ok(()), |liquidity| liquidity.handle_custom_message(message, sender))
    }

    fn get_and_clear_pending_msg(&self) -> Vec<(PublicKey, RawLSPSMessage)> {
        let inner = self.liquidity.get().map(CustomMessageHandler::get_and_clear_pending_msg).unwrap_or_default();
        let stamp = self.lease.stamp();
        if !inner.is_empty() {
            self.lease.need(stamp);
        }
        let mut state = self.lock();
        state.inner_requests.extend(inner.iter().filter_map(|(_, message)| id_of(&message.payload)));
        state.outgoing.extend(inner.into_iter().map(|message| (stamp, message)));
        let all = std::mem::take(&mut state.outgoing);
        let (passed, others) = all.into_iter().partition(|(stamp, _)| self.lease.passed(*stamp));
        state.outgoing = others;
        Vec::into_iter(passed).map(|(_, message)| message).collect()
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        if let Some(liquidity) = self.liquidity.get() {
            liquidity.peer_disconnected(peer);
        }
        if peer == self.lsp {
            // Dropping the senders tells those who wait that no answer comes.
            *self.lock() = State::default();
            self.connected.send_replace(false);
        }
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        if peer != self.lsp || inbound {
            return Err(());
        }
        if let Some(liquidity) = self.liquidity.get() {
            liquidity.peer_connected(peer, init, inbound)?;
        }
        self.connected.send_replace(true);
        Ok(())
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.liquidity.get().map_or_else(NodeFeatures::empty, CustomMessageHandler::provided_node_features)
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        self.liquidity.get().map_or_else(InitFeatures::empty, |liquidity| liquidity.provided_init_features(peer))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#[path = "transport_tests.rs"]
pub(crate) mod tests;
