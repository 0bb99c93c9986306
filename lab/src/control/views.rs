//! How the control API shows things.

use crate::faults::{ConnectionStats, LinkStats};
use crate::lsp::held::HeldHtlc;
use crate::lsp::options::LspOptions;
use crate::lsp::rows::hex;
use lightning::ln::channel_state::ChannelDetails;
use serde::Serialize;

/// A channel of the LSP.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChannelView {
    peer: String,
    channel_id: String,
    sats: u64,
    ready: bool,
    usable: bool,
    in_msat: u64,
    out_msat: u64,
    client_msat: u64,
    funding_txid: Option<String>,
    pending_htlcs: usize,
}

impl ChannelView {
    pub(super) fn of(channel: &ChannelDetails) -> Self {
        ChannelView {
            peer: channel.counterparty.node_id.to_string(),
            channel_id: channel.channel_id.to_string(),
            sats: channel.channel_value_satoshis,
            ready: channel.is_channel_ready,
            usable: channel.is_usable,
            in_msat: channel.inbound_capacity_msat,
            out_msat: channel.outbound_capacity_msat,
            client_msat: client_msat(channel),
            funding_txid: channel.funding_txo.map(|outpoint| outpoint.txid.to_string()),
            pending_htlcs: channel.pending_inbound_htlcs.len() + channel.pending_outbound_htlcs.len(),
        }
    }
}

/// What the client owns, as the LSP has it; exact while nothing is pending. LDK tells what it could send beyond its reserve.
fn client_msat(channel: &ChannelDetails) -> u64 {
    let reserve_msat = channel.unspendable_punishment_reserve.unwrap_or(0) * 1_000;
    (channel.channel_value_satoshis * 1_000).saturating_sub(channel.outbound_capacity_msat + reserve_msat)
}

/// A held HTLC; times in milliseconds since 1970.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldView {
    intercept_id: String,
    node_id: String,
    payment_hash: String,
    amount_msat: u64,
    since_ms: u64,
    expires_ms: u64,
}

impl HeldView {
    pub(super) fn of(htlc: &HeldHtlc, options: &LspOptions) -> Self {
        HeldView {
            intercept_id: hex(&htlc.id.0),
            node_id: htlc.client.to_string(),
            payment_hash: hex(&htlc.payment_hash.0),
            amount_msat: htlc.amount_msat,
            since_ms: htlc.since_ms,
            expires_ms: htlc.expires_ms(options),
        }
    }
}

/// What a link carried.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkView {
    open: usize,
    turns: u32,
    round_trips: u32,
    connections: Vec<ConnectionView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionView {
    bytes_up: u64,
    bytes_down: u64,
    turns: u32,
    round_trips: u32,
    open: bool,
}

impl LinkView {
    pub(super) fn of(stats: &LinkStats) -> Self {
        let view = |c: &ConnectionStats| ConnectionView {
            bytes_up: c.bytes_up,
            bytes_down: c.bytes_down,
            turns: c.turns,
            round_trips: c.round_trips,
            open: c.open,
        };
        LinkView {
            open: stats.open(),
            turns: stats.turns(),
            round_trips: stats.round_trips(),
            connections: stats.connections.iter().map(view).collect(),
        }
    }
}
