//! What to do with a client's held HTLCs: pure, so that each case is a test of three lines.

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::InterceptId;
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;

use super::options::LspOptions;

/// An intercepted HTLC that is neither forwarded nor failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHtlc {
    /// LDK's name of it; the same when LDK tells of it again.
    pub id: InterceptId,
    /// For whom.
    pub client: PublicKey,
    /// Of the payment, or of one part of it.
    pub payment_hash: PaymentHash,
    /// What the payer wants the client to get.
    pub amount_msat: u64,
    /// When it was intercepted, in milliseconds since 1970: a restart doesn't begin the hold anew.
    pub since_ms: u64,
}

impl HeldHtlc {
    /// When it is failed, in milliseconds since 1970.
    pub fn expires_ms(&self, options: &LspOptions) -> u64 {
        self.since_ms.saturating_add(options.hold_ms)
    }
}

/// A channel with the client.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The channel.
    pub channel: ChannelId,
    /// Reestablished on a live connection.
    pub usable: bool,
    /// What one HTLC more may carry (`next_outbound_htlc_limit_msat`).
    pub limit_msat: u64,
}

/// One HTLC's way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which.
    pub id: InterceptId,
    /// Through which channel.
    pub channel: ChannelId,
    /// With how much, the skim taken off.
    pub out_msat: u64,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Forward these.
    pub forwards: Vec<Forward>,
    /// What the rest needs of a new channel, in millisatoshi; 0: nothing, or it must wait for channels to get usable.
    pub missing_msat: u64,
}

/// LDK tells the limit for the next HTLC; a further one in the same commitment makes the opener (the LSP) pay for another
/// output, twice over for the fee spike buffer: 2 × 172 weight units at under 580 sat per 1,000.
const NEXT_HTLC_MSAT: u64 = 200_000;

/// Largest first, so that small ones fill what is left. With channels but none usable: wait, they are being reestablished.
pub fn plan(held: &[&HeldHtlc], rooms: &[Room], options: &LspOptions) -> Plan {
    let mut plan = Plan::default();
    if !rooms.is_empty() && rooms.iter().all(|room| !room.usable) {
        return plan;
    }
    let mut rooms: Vec<Room> = rooms.iter().copied().filter(|room| room.usable).collect();
    let mut held = held.to_vec();
    held.sort_by_key(|htlc| (std::cmp::Reverse(htlc.amount_msat), htlc.id.0));
    for htlc in held {
        let out_msat = htlc.amount_msat - options.skim_msat(htlc.amount_msat);
        match rooms.iter_mut().find(|room| room.limit_msat >= out_msat) {
            Some(room) => {
                room.limit_msat = room.limit_msat.saturating_sub(out_msat + NEXT_HTLC_MSAT);
                plan.forwards.push(Forward { id: htlc.id, channel: room.channel, out_msat });
            }
            None => plan.missing_msat = plan.missing_msat.saturating_add(out_msat),
        }
    }
    plan
}

/// The size of a channel for that much, in satoshi: half as much again, so that reserve and fees fit, too.
pub fn channel_sat(missing_msat: u64, options: &LspOptions) -> u64 {
    let wanted = (u128::from(missing_msat) * 3).div_ceil(2_000);
    options.open_sat.max(u64::try_from(wanted).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
