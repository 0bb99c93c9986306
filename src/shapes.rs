//! The plain objects that JavaScript gets, in the order of `index.d.ts`, and how they come from core's.
//!
//! Amounts and times are JavaScript numbers: all bitcoin in millisatoshi is more than 2^53, but no single payment or wallet
//! comes near it.

use mayfly_core::events::{self, EventType};
use mayfly_core::invoice::Invoice;
use mayfly_core::lsp::{self, scid};
use mayfly_core::node;
use mayfly_core::stats::Figures;
use napi_derive::napi;

/// A minted invoice.
#[napi(object, object_from_js = false)]
pub struct PaymentMetadata {
    /// The BOLT 11 invoice.
    pub bolt11: String,
    /// 64 hex characters.
    pub payment_hash: String,
    /// When it expires, in milliseconds since 1970.
    pub expires_at: f64,
    /// The LSP's short channel id that it is paid through, `<block>x<transaction>x<output>`.
    pub scid: String,
    /// In millisatoshi; absent when the payer chooses.
    pub amount_msat: Option<f64>,
}

impl From<Invoice> for PaymentMetadata {
    fn from(invoice: Invoice) -> Self {
        PaymentMetadata {
            bolt11: invoice.bolt11,
            payment_hash: invoice.payment_hash,
            expires_at: invoice.expires_at_ms as f64,
            scid: scid::format(invoice.scid),
            amount_msat: invoice.amount_msat.map(|msat| msat as f64),
        }
    }
}

/// Enough to mint without I/O. Put it into the environment once; it is the `jitRoute` option.
#[napi(object, object_from_js = false)]
pub struct JitRoute {
    /// The LSP's short channel id for this wallet, `<block>x<transaction>x<output>`.
    pub scid: String,
    /// The LSP's CLTV delta in blocks.
    pub cltv_expiry_delta: u32,
}

impl From<lsp::JitRoute> for JitRoute {
    fn from(route: lsp::JitRoute) -> Self {
        JitRoute { scid: scid::format(route.scid), cltv_expiry_delta: route.cltv_expiry_delta.into() }
    }
}

/// What happened to a payment. Given at least once, never lost; a repeat has the same `id`.
#[napi(object, object_from_js = false)]
pub struct PaymentEvent {
    /// For `ackEvent`; stable across redeliveries, ordered as the events happened.
    pub id: String,
    /// `Received`: claimed and committed, the money is ours. `SkimRefused`: the LSP wanted to keep more than the limit, or kept
    /// something and did not say so, and the payment was refused; told once per payment until it is acked.
    #[napi(ts_type = "'Received' | 'SkimRefused'")]
    pub event_type: &'static str,
    /// 64 hex characters.
    pub payment_hash: String,
    /// LDK's id of this set of HTLCs, 64 hex characters.
    pub payment_id: Option<String>,
    /// What arrived, net of the skim, in millisatoshi.
    pub amount_msat: Option<f64>,
    /// What the LSP kept, in millisatoshi.
    pub skimmed_msat: Option<f64>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub timestamp_ms: f64,
    /// Run the node again before this block height: the LSP does not have the preimage yet.
    pub wake_by: Option<u32>,
}

impl From<events::PaymentEvent> for PaymentEvent {
    fn from(event: events::PaymentEvent) -> Self {
        PaymentEvent {
            id: event.id,
            event_type: match event.event_type {
                EventType::Received => "Received",
                EventType::SkimRefused => "SkimRefused",
            },
            payment_hash: event.payment_hash,
            payment_id: event.payment_id,
            amount_msat: Some(event.amount_msat as f64),
            skimmed_msat: Some(event.skimmed_msat as f64),
            reason: event.reason,
            timestamp_ms: event.timestamp_ms as f64,
            wake_by: event.wake_by,
        }
    }
}

/// A payment that was received, from the wallet's ledger.
#[napi(object, object_from_js = false)]
pub struct PaymentRecord {
    /// 64 hex characters. An invoice is paid once, so it names one payment.
    pub payment_hash: String,
    /// The `id` of its `Received` event.
    pub payment_id: String,
    /// What arrived, net of the skim, in millisatoshi.
    pub amount_msat: f64,
    /// What the LSP kept, in millisatoshi.
    pub skimmed_msat: f64,
    /// When it was claimed, in milliseconds since 1970.
    pub timestamp_ms: f64,
}

impl From<node::LedgerEntry> for PaymentRecord {
    fn from(entry: node::LedgerEntry) -> Self {
        PaymentRecord {
            payment_hash: entry.payment_hash,
            payment_id: entry.payment_id,
            amount_msat: entry.amount_msat as f64,
            skimmed_msat: entry.skimmed_msat as f64,
            timestamp_ms: entry.timestamp_ms as f64,
        }
    }
}

/// When the wallet must run again.
#[napi(object, object_from_js = false)]
pub struct WakeBy {
    /// Before this block height.
    pub height: u32,
    /// When that block is expected, in milliseconds since 1970.
    pub estimated_at: f64,
}

impl From<node::WakeBy> for WakeBy {
    fn from(wake: node::WakeBy) -> Self {
        WakeBy { height: wake.height, estimated_at: wake.estimated_at_ms as f64 }
    }
}

/// What a `watch()` found and did.
#[napi(object, object_from_js = false)]
pub struct WatchReport {
    /// The height to which the wallet followed the chain.
    pub height: u32,
    /// From the call to the report, in milliseconds.
    pub duration_ms: f64,
    /// `unneeded`: nothing needed the LSP, and it was not called. `unreachable`: it was tried, and something still needs it, or was
    /// claimed on chain instead.
    #[napi(ts_type = "'unneeded' | 'reached' | 'unreachable'")]
    pub lsp: &'static str,
    /// Channels found closed, by id.
    pub closed_channels: Vec<String>,
    /// Ids of the transactions that the network took in this run, or had already.
    pub sent: Vec<String>,
    /// Ids of those that it did not take, or that did not reach it. The next run tries again.
    pub unsent: Vec<String>,
    /// On chain and the wallet's, in satoshi.
    pub onchain_sats: f64,
    /// On its way from closed channels, in satoshi.
    pub pending_close_sats: f64,
    /// Something is at stake: run again before it, or lose it.
    pub wake_by: Option<WakeBy>,
    /// Run again before it in any case: `wakeBy`, or the last block at which a cheating LSP can still be punished. Absent: there is no
    /// channel to watch.
    pub next_by: Option<WakeBy>,
}

impl From<node::WatchReport> for WatchReport {
    fn from(report: node::WatchReport) -> Self {
        WatchReport {
            height: report.height,
            duration_ms: report.duration.as_secs_f64() * 1_000.0,
            lsp: report.lsp.as_str(),
            closed_channels: report.closed_channels,
            sent: report.sent.iter().map(ToString::to_string).collect(),
            unsent: report.unsent.iter().map(ToString::to_string).collect(),
            onchain_sats: report.balance.onchain_sats as f64,
            pending_close_sats: report.balance.pending_close_sats as f64,
            wake_by: report.wake_by.map(WakeBy::from),
            next_by: report.next_by.map(WakeBy::from),
        }
    }
}

/// What the wallet owns, as of the last commit.
#[napi(object, object_from_js = false)]
pub struct Balance {
    /// In channels, in millisatoshi.
    pub lightning_msat: f64,
    /// What of it can be sent now, in millisatoshi.
    pub spendable_msat: f64,
    /// On chain: confirmed, at addresses of this wallet, and not being sent; in satoshi.
    pub onchain_sats: f64,
    /// Coming back from closed channels: what waits for confirmations, a time lock, or its way to an address of this wallet; in satoshi.
    pub pending_close_sats: f64,
}

impl From<node::Balance> for Balance {
    fn from(balance: node::Balance) -> Self {
        Balance {
            lightning_msat: balance.lightning_msat as f64,
            spendable_msat: balance.spendable_msat as f64,
            onchain_sats: balance.onchain_sats as f64,
            pending_close_sats: balance.pending_close_sats as f64,
        }
    }
}

/// What `sendAllOnchain` sent.
#[napi(object, object_from_js = false)]
pub struct OnchainSend {
    /// The transaction, 64 hex characters.
    pub txid: String,
    /// What arrives, in satoshi.
    pub amount_sats: f64,
    /// What the miner gets, in satoshi.
    pub fee_sats: f64,
}

impl From<node::Sent> for OnchainSend {
    fn from(sent: node::Sent) -> Self {
        OnchainSend {
            txid: sent.txid.to_string(),
            amount_sats: sent.amount_sats as f64,
            fee_sats: sent.fee_sats as f64,
        }
    }
}

/// A channel.
#[napi(object, object_from_js = false)]
pub struct NodeChannel {
    /// 64 hex characters.
    pub channel_id: String,
    /// The other side, 66 hex characters.
    pub counterparty_node_id: String,
    /// The funding transaction's id, once it is known.
    pub funding_txid: Option<String>,
    /// The funding transaction's output.
    pub funding_vout: Option<u32>,
    /// `<block>x<transaction>x<output>`, once it is confirmed.
    pub short_channel_id: Option<String>,
    /// Both sides together, in satoshi.
    pub capacity_sats: f64,
    /// What can be received, in millisatoshi.
    pub inbound_msat: f64,
    /// What can be sent, in millisatoshi.
    pub outbound_msat: f64,
    /// Both sides have said that it is open.
    pub is_ready: bool,
    /// It is ready and the peer is connected.
    pub is_usable: bool,
    /// Of the funding transaction.
    pub confirmations: Option<u32>,
    /// Payments under way.
    pub pending_htlcs: u32,
}

impl From<node::ChannelSummary> for NodeChannel {
    fn from(channel: node::ChannelSummary) -> Self {
        NodeChannel {
            channel_id: channel.channel_id,
            counterparty_node_id: channel.counterparty_node_id,
            funding_txid: channel.funding_txid,
            funding_vout: channel.funding_vout.map(u32::from),
            short_channel_id: channel.short_channel_id,
            capacity_sats: channel.capacity_sats as f64,
            inbound_msat: channel.inbound_msat as f64,
            outbound_msat: channel.outbound_msat as f64,
            is_ready: channel.is_ready,
            is_usable: channel.is_usable,
            confirmations: channel.confirmations,
            pending_htlcs: channel.pending_htlcs,
        }
    }
}

/// What the last `destroy()` did.
#[napi(object, object_from_js = false)]
pub struct DestroyReport {
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// What it spent that on, when it was this node's to end what ran.
    pub stages: DestroyStages,
    /// What could not be done within `destroyTimeoutMs`; empty when all was.
    pub unfinished: Vec<String>,
}

impl From<node::DestroyReport> for DestroyReport {
    fn from(report: node::DestroyReport) -> Self {
        DestroyReport {
            duration_ms: millis(report.duration_us),
            stages: report.stages.into(),
            unfinished: report.unfinished,
        }
    }
}

/// Milliseconds that each stage of a `destroy()` took, one after the other; absent: not come to, or not come through in time.
#[napi(object, object_from_js = false)]
pub struct DestroyStages {
    /// Until the node's thread left whatever it did.
    pub signal_ms: Option<f64>,
    /// Closing the connection to the LSP.
    pub disconnect_ms: Option<f64>,
    /// The last commit.
    pub commit_ms: Option<f64>,
    /// Giving the wallet back.
    pub release_ms: Option<f64>,
    /// The end of the thread, with its sockets and tasks.
    pub join_ms: Option<f64>,
}

impl From<node::DestroyStages> for DestroyStages {
    fn from(stages: node::DestroyStages) -> Self {
        let [signal_ms, disconnect_ms, commit_ms, release_ms, join_ms] = stages.us().map(|us| us.map(millis));
        DestroyStages { signal_ms, disconnect_ms, commit_ms, release_ms, join_ms }
    }
}

/// What a session cost. Nothing is decided by these figures; they are for benchmarks, dashboards and questions.
#[napi(object, object_from_js = false)]
pub struct NodeStats {
    /// The lease's fencing token: +1 with each claim of the wallet. 0 before the claim.
    pub epoch: f64,
    /// When what was reached.
    pub phases: NodePhases,
    /// Milliseconds until the store gave the lease and the rows, waits for a held wallet included.
    pub claim_ms: f64,
    /// How often the wallet was asked for: more than once when another holder had it.
    pub claim_attempts: f64,
    /// Milliseconds of waiting between these attempts.
    pub held_ms: f64,
    /// Operations of the store (claim, commit, check, read, release), each one round trip.
    pub store_round_trips: f64,
    /// Rows that it gave. Payments are not among them.
    pub rows_loaded: f64,
    /// How many of them say what changed in a channel since the row that has the whole of it: at most fifty per channel.
    pub deltas_loaded: f64,
    /// Bytes of all their values.
    pub bytes_loaded: f64,
    /// Transactions committed to the store.
    pub commits: f64,
    /// Bytes of row values in them.
    pub commit_bytes: f64,
    /// Milliseconds that all of them took together.
    pub commit_ms: f64,
    /// Milliseconds of the longest.
    pub longest_commit_ms: f64,
    /// HTTP requests to Esplora, each one round trip.
    pub chain_requests: f64,
    /// Bytes of Esplora's answers.
    pub chain_bytes: f64,
    /// TCP connections to the LSP.
    pub lsp_connections: f64,
    /// Connections that the LSP ended before it answered, as it does while it believes in an earlier one of this wallet.
    pub lsp_refusals: f64,
    /// How often the LSP was connected again after a connection to it had ended.
    pub lsp_reconnects: f64,
    /// How often the LSP spoke after the node had.
    pub lsp_round_trips: f64,
    /// Bytes to the LSP.
    pub lsp_bytes_sent: f64,
    /// Bytes from the LSP.
    pub lsp_bytes_received: f64,
    /// What this node's `destroy()` spent its time on.
    pub destroy: Option<DestroyStages>,
}

/// Milliseconds since the session began; absent: not reached.
#[napi(object, object_from_js = false)]
pub struct NodePhases {
    /// The lease is claimed; rows and chain tip are read.
    pub claimed_ms: Option<f64>,
    /// The rows are a wallet in memory.
    pub loaded_ms: Option<f64>,
    /// The wallet follows the chain to its tip.
    pub synced_ms: Option<f64>,
    /// The LSP is connected.
    pub connected_ms: Option<f64>,
    /// The first payment is committed.
    pub received_ms: Option<f64>,
    /// The session is over: nothing is held.
    pub ended_ms: Option<f64>,
}

impl NodeStats {
    /// Of a session, and of the node's end.
    pub fn of(figures: Figures, destroyed: Option<node::DestroyReport>) -> Self {
        let [claimed_ms, loaded_ms, synced_ms, connected_ms, received_ms, ended_ms] =
            figures.phases_us.map(|us| us.map(millis));
        NodeStats {
            epoch: figures.epoch as f64,
            phases: NodePhases { claimed_ms, loaded_ms, synced_ms, connected_ms, received_ms, ended_ms },
            claim_ms: millis(figures.claim_us),
            claim_attempts: figures.claim_attempts as f64,
            held_ms: millis(figures.held_us),
            store_round_trips: figures.store_round_trips as f64,
            rows_loaded: figures.rows_loaded as f64,
            deltas_loaded: figures.deltas_loaded as f64,
            bytes_loaded: figures.bytes_loaded as f64,
            commits: figures.commits as f64,
            commit_bytes: figures.commit_bytes as f64,
            commit_ms: millis(figures.commit_us),
            longest_commit_ms: millis(figures.longest_commit_us),
            chain_requests: figures.chain_requests as f64,
            chain_bytes: figures.chain_bytes as f64,
            lsp_connections: figures.lsp_connections as f64,
            lsp_refusals: figures.lsp_refusals as f64,
            lsp_reconnects: figures.lsp_reconnects as f64,
            lsp_round_trips: figures.lsp_round_trips as f64,
            lsp_bytes_sent: figures.lsp_sent as f64,
            lsp_bytes_received: figures.lsp_received as f64,
            destroy: destroyed.map(|report| report.stages.into()),
        }
    }
}

fn millis(us: u64) -> f64 {
    us as f64 / 1_000.0
}
