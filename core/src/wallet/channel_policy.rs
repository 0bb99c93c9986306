//! Which channels a wallet takes from its LSP. LDK refuses what breaks the protocol; this refuses what would cost the wallet:
//!
//! * money pushed into it, which no payment and no event accounts for;
//! * a channel to be announced: the network would learn who is a wallet behind this LSP;
//! * a smallest payment so high that what was received could hardly be spent again (a reserve so high: `checkpoint/reserve`);
//! * ever more channels that nothing was received through: each makes every later start slower, and a 0-conf channel whose
//!   funding is never broadcast costs the LSP nothing.
//!
//! A few channels without a payment behind them are fine: the LSP may prepare.

use super::view::own_msat;
use lightning::events::InboundChannelFunds;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::ChannelParameters;

/// More than an LSP opens ahead of its payments: parts of one payment and payments at the same instant use one channel.
const MAX_UNUSED: usize = 8;
/// A thousand satoshi: nobody's least payment is larger; usual are 1 and 1,000 millisatoshi.
const MAX_HTLC_MINIMUM_MSAT: u64 = 1_000_000;

/// Why this offer is refused; for the LSP's log and ours. `used`: whether something was received through each channel.
pub(super) fn refusal(
    funds: &InboundChannelFunds,
    announced: bool,
    params: &ChannelParameters,
    used: impl Iterator<Item = bool>,
) -> Option<String> {
    let pushed_msat = match funds {
        InboundChannelFunds::PushMsat(msat) => *msat,
        InboundChannelFunds::DualFunded => 0,
    };
    let unused = used.filter(|used| !used).count();
    if pushed_msat > 0 {
        Some(format!("push_msat is {pushed_msat}: this wallet is paid by invoice only"))
    } else if announced {
        Some("this wallet's channels are not announced".to_owned())
    } else if params.htlc_minimum_msat > MAX_HTLC_MINIMUM_MSAT {
        Some(format!("htlc_minimum_msat is {}: at most {MAX_HTLC_MINIMUM_MSAT}", params.htlc_minimum_msat))
    } else if unused >= MAX_UNUSED {
        Some(format!("{unused} channels are open that nothing was received through"))
    } else {
        None
    }
}

/// Whether something was received through a channel, or is on its way in it. One that is only being opened has no balances yet.
pub(super) fn is_used(channel: &ChannelDetails) -> bool {
    channel.is_channel_ready && (!channel.pending_inbound_htlcs.is_empty() || own_msat(channel, |_, _| false) > 0)
}

#[cfg(test)]
#[path = "tests/channel_policy.rs"]
mod tests;
