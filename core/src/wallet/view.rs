//! What can be seen of a wallet from outside: balance, channels, pending work. Saved with every commit, so that a reader
//! needs neither the lease nor LDK.

use super::deadlines;
use super::holdings::Holdings;
use crate::checkpoint::Loaded;
use crate::clock;
use lightning::chain::channelmonitor::Balance as MonitorBalance;
use lightning::ln::channel_state::{ChannelDetails, InboundHTLCDetails};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The average time between blocks, for `wakeBy.estimatedAt`.
const BLOCK_SECONDS: u64 = 600;

/// A wallet as of the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Height of the best block known.
    pub height: u32,
    /// Wall time of that commit, ms since 1970.
    pub at_ms: u64,
    /// See [`Balance`].
    pub balance: Balance,
    /// See [`ChannelSummary`].
    pub channels: Vec<ChannelSummary>,
    /// Claimed HTLCs that are not fulfilled and revoked: payment hash (hex) → lowest CLTV expiry.
    pub unfulfilled: BTreeMap<String, u32>,
    /// Before that block a closed channel must be looked at again.
    #[serde(default)]
    pub closing: Option<u32>,
}

/// `getBalance()`. Millisatoshi on Lightning, satoshi on chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What is ours in open channels; a payment counts from its `Received` event on.
    pub lightning_msat: u64,
    /// What of it could be sent now.
    pub spendable_msat: u64,
    /// Coins: confirmed, at addresses of ours, and not being sent.
    pub onchain_sats: u64,
    /// What closed channels left and is no coin yet: it waits for confirmations, a time lock, or the sweep to our address.
    pub pending_close_sats: u64,
}

/// One entry of `listChannels()`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSummary {
    /// 64 hex characters.
    pub channel_id: String,
    /// 66 hex characters.
    pub counterparty_node_id: String,
    /// The funding transaction's id, 64 hex characters.
    pub funding_txid: Option<String>,
    /// Its output.
    pub funding_vout: Option<u16>,
    /// `block x transaction x output`, once confirmed.
    pub short_channel_id: Option<String>,
    /// The channel's size in satoshi.
    pub capacity_sats: u64,
    /// What can be received through it, in millisatoshi.
    pub inbound_msat: u64,
    /// What can be sent through it, in millisatoshi.
    pub outbound_msat: u64,
    /// `channel_ready` exchanged.
    pub is_ready: bool,
    /// Ready, and the peer connected and reestablished.
    pub is_usable: bool,
    /// Confirmations of the funding transaction.
    pub confirmations: Option<u32>,
    /// HTLCs in flight, either way.
    pub pending_htlcs: u32,
}

/// Run again before `height`. See `deadlines.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeBy {
    /// Block height.
    pub height: u32,
    /// Wall time of that height at ten minutes a block, ms since 1970.
    pub estimated_at_ms: u64,
}

impl Summary {
    /// The wallet as LDK has it now. `claimed` says whether an HTLC was claimed by us.
    pub fn of(
        loaded: &Loaded,
        holdings: &Holdings,
        claimed: impl Fn(&ChannelDetails, &InboundHTLCDetails) -> bool,
    ) -> Self {
        let channels = loaded.manager().list_channels();
        let mut unfulfilled = BTreeMap::new();
        let pending = channels.iter().flat_map(|c| c.pending_inbound_htlcs.iter().map(move |htlc| (c, htlc)));
        for (channel, htlc) in pending {
            if claimed(channel, htlc) {
                let lowest = unfulfilled.entry(hex(&htlc.payment_hash.0)).or_insert(htlc.cltv_expiry);
                *lowest = (*lowest).min(htlc.cltv_expiry);
            }
        }
        // Of an open channel it is counted above; of a closed one it is on its way also while no block holds what closed it.
        let open: Vec<&ChannelDetails> = channels.iter().collect();
        let owed = loaded.monitors().get_claimable_balances(&open);
        let with_ldk: u64 =
            owed.iter().filter(|balance| is_ours(balance)).map(MonitorBalance::claimable_amount_satoshis).sum();
        let height = loaded.manager().current_best_block().height;
        Summary {
            height,
            at_ms: clock::now_ms(),
            balance: Balance {
                lightning_msat: channels.iter().map(|channel| own_msat(channel, &claimed)).sum(),
                spendable_msat: channels.iter().filter(|c| c.is_usable).map(|c| c.outbound_capacity_msat).sum(),
                onchain_sats: holdings.onchain_sats(),
                pending_close_sats: with_ldk.saturating_add(holdings.pending_sats()),
            },
            channels: channels.iter().map(ChannelSummary::of).collect(),
            unfulfilled,
            closing: deadlines::closing(height, &owed),
        }
    }

    /// When the wallet must run again because something is at stake: a claimed HTLC that is not fulfilled, or a claim on chain.
    pub fn wake_by(&self) -> Option<WakeBy> {
        self.wake_height().map(|height| self.estimate(height))
    }

    /// When it must run again in any case.
    pub fn next_by(&self) -> Option<WakeBy> {
        let height = deadlines::next_by(self.height, self.wake_height(), !self.channels.is_empty());
        height.map(|height| self.estimate(height))
    }

    fn wake_height(&self) -> Option<u32> {
        let unfulfilled = self.unfulfilled.values().map(|expiry| deadlines::wake_by(*expiry));
        unfulfilled.chain(self.closing).min()
    }

    fn estimate(&self, height: u32) -> WakeBy {
        let blocks = u64::from(height.saturating_sub(self.height));
        WakeBy { height, estimated_at_ms: self.at_ms.saturating_add(blocks * BLOCK_SECONDS * 1000) }
    }

    /// The same for one payment that the LSP has not heard of.
    pub fn wake_by_of(&self, payment_hash: &str) -> Option<u32> {
        self.unfulfilled.get(payment_hash).map(|expiry| deadlines::wake_by(*expiry))
    }
}

impl ChannelSummary {
    fn of(channel: &ChannelDetails) -> Self {
        ChannelSummary {
            channel_id: channel.channel_id.to_string(),
            counterparty_node_id: channel.counterparty.node_id.to_string(),
            funding_txid: channel.funding_txo.map(|outpoint| outpoint.txid.to_string()),
            funding_vout: channel.funding_txo.map(|outpoint| outpoint.index),
            short_channel_id: channel.short_channel_id.map(crate::lsp::scid::format),
            capacity_sats: channel.channel_value_satoshis,
            inbound_msat: channel.inbound_capacity_msat,
            outbound_msat: channel.outbound_capacity_msat,
            is_ready: channel.is_channel_ready,
            is_usable: channel.is_usable,
            confirmations: channel.confirmations,
            pending_htlcs: u32::try_from(channel.pending_inbound_htlcs.len() + channel.pending_outbound_htlcs.len())
                .unwrap_or(u32::MAX),
        }
    }
}

/// What is ours in a channel, a claimed payment included from the claim on. What LDK reports as receivable is the peer's side net
/// of the peer's reserve, so ours is the rest, less what is in flight and nobody's yet. Only when the peer's side is down to its
/// reserve is ours told by what we could send, net of our own reserve.
pub(super) fn own_msat(
    channel: &ChannelDetails,
    claimed: impl Fn(&ChannelDetails, &InboundHTLCDetails) -> bool,
) -> u64 {
    let (ours, unclaimed): (Vec<_>, Vec<_>) =
        channel.pending_inbound_htlcs.iter().partition(|htlc| claimed(channel, htlc));
    let sum = |htlcs: &[&InboundHTLCDetails]| htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>();
    if channel.inbound_capacity_msat == 0 {
        let own_reserve = channel.unspendable_punishment_reserve.unwrap_or(0) * 1000;
        return channel.outbound_capacity_msat + own_reserve + sum(&ours);
    }
    let theirs = channel.inbound_capacity_msat + channel.counterparty.unspendable_punishment_reserve * 1000;
    let outbound: u64 = channel.pending_outbound_htlcs.iter().map(|htlc| htlc.amount_msat).sum();
    (channel.channel_value_satoshis * 1000).saturating_sub(theirs + sum(&unclaimed) + outbound)
}

/// Not what is ours only if the peer doesn't claim it first, or if we learn a preimage.
fn is_ours(balance: &MonitorBalance) -> bool {
    !matches!(
        balance,
        MonitorBalance::MaybeTimeoutClaimableHTLC { .. } | MonitorBalance::MaybePreimageClaimableHTLC { .. }
    )
}

/// What a closing transaction in a block has for us. A channel that nothing has closed yet, or an HTLC that is the peer's unless
/// we learn a preimage, asks for nothing.
pub(super) fn is_on_chain(balance: &MonitorBalance) -> bool {
    matches!(
        balance,
        MonitorBalance::ClaimableAwaitingConfirmations { .. }
            | MonitorBalance::ContentiousClaimable { .. }
            | MonitorBalance::CounterpartyRevokedOutputClaimable { .. }
    )
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
