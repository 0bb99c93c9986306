//! What a block costs, for LDK, which asks at any moment and won't wait.
//!
//! Served from the last saved values: a boot needs no estimates before it acts. What must hold: whatever the server says or
//! the store kept, LDK sees feerates between the relay minimum and a sane maximum; and the minima that we demand of our peer
//! (`MinAllowed…RemoteFee`) are always the relay minimum, because a stale high value there closes channels.
//!
//! What fails how: nothing. Estimates that are missing or absurd leave what was known; saved values that can't be read are
//! as good as none.

use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// 1 sat/vB in sat/kw, rounded up: below it nothing is relayed.
pub const FLOOR_SAT_PER_KW: u32 = 253;

/// One sat/vB is 250 sat/kw.
const SAT_PER_KW: f64 = 250.0;

/// Estimates above this (sat/vB) are a server's mistake: no block ever cost as much.
const ABSURD_SAT_PER_VB: f64 = 10_000.0;

/// Feerates in sat/kw, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Rates {
    maximum: u32,
    urgent: u32,
    anchor_channel: u32,
    channel: u32,
    close_minimum: u32,
    output_spending: u32,
}

/// Until the first estimates: a quiet mainnet's prices, except for the two where too low is the danger.
const DEFAULTS: Rates = Rates {
    maximum: 12_500,
    urgent: 5_000,
    anchor_channel: 500,
    channel: 2_500,
    close_minimum: FLOOR_SAT_PER_KW,
    output_spending: 1_000,
};

/// The lowest of each. The maximum bounds what we let a peer burn as dust: an honest peer with a fresher, higher estimate
/// must not be taken for a thief, so it never falls below 20 sat/vB.
const LOWEST: Rates = Rates {
    maximum: 5_000,
    urgent: FLOOR_SAT_PER_KW,
    anchor_channel: FLOOR_SAT_PER_KW,
    channel: FLOOR_SAT_PER_KW,
    close_minimum: FLOOR_SAT_PER_KW,
    output_spending: FLOOR_SAT_PER_KW,
};

/// The highest of each: what money at stake justifies (1,000 and 500 sat/vB while somebody may steal), and less for what can
/// be bumped later or wait.
const HIGHEST: Rates = Rates {
    maximum: 250_000,
    urgent: 125_000,
    anchor_channel: 2_500,
    channel: 125_000,
    close_minimum: 12_500,
    output_spending: 50_000,
};

/// Added to the fastest estimate to get the maximum: our peer's estimator is not ours.
const MAXIMUM_MARGIN: u32 = 2_500;

impl Rates {
    fn clamped(self) -> Rates {
        Rates {
            maximum: self.maximum.clamp(LOWEST.maximum, HIGHEST.maximum),
            urgent: self.urgent.clamp(LOWEST.urgent, HIGHEST.urgent),
            anchor_channel: self.anchor_channel.clamp(LOWEST.anchor_channel, HIGHEST.anchor_channel),
            channel: self.channel.clamp(LOWEST.channel, HIGHEST.channel),
            close_minimum: self.close_minimum.clamp(LOWEST.close_minimum, HIGHEST.close_minimum),
            output_spending: self.output_spending.clamp(LOWEST.output_spending, HIGHEST.output_spending),
        }
    }
}

/// LDK's fee estimator. Shared by reference; `update` is seen at once.
#[derive(Debug)]
pub struct Fees {
    rates: Mutex<Rates>,
}

impl Default for Fees {
    fn default() -> Self {
        Fees { rates: Mutex::new(DEFAULTS) }
    }
}

impl Fees {
    /// The values that `save` gave; the defaults if the bytes are not from there.
    pub fn load(bytes: &[u8]) -> Fees {
        let rates = serde_json::from_slice::<Rates>(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the saved feerates can't be read: starting from the defaults");
            DEFAULTS
        });
        Fees { rates: Mutex::new(rates.clamped()) }
    }

    /// Takes over the values that `save` gave; what can't be read changes nothing.
    pub fn restore(&self, bytes: &[u8]) {
        let restored = Fees::load(bytes);
        let rates = *restored.rates();
        *self.rates() = rates;
    }

    /// The present values, for the store.
    pub fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&*self.rates()).unwrap_or_default()
    }

    /// Takes over Esplora's estimates (sat/vB by target in blocks). Returns whether anything changed.
    pub fn update(&self, estimates: &BTreeMap<u16, f64>) -> bool {
        let sane: BTreeMap<u16, u32> =
            estimates.iter().filter_map(|(blocks, rate)| Some((*blocks, sat_per_kw(*rate)?))).collect();
        // Blocks in which each should confirm: next, within an HTLC's last hours, in a day, or whenever (a week).
        let (Some(next), Some(soon), Some(day), Some(week)) =
            (within(&sane, 1), within(&sane, 6), within(&sane, 144), within(&sane, 1_008))
        else {
            return false;
        };
        let new = Rates {
            maximum: next.saturating_add(MAXIMUM_MARGIN),
            urgent: soon,
            anchor_channel: week,
            channel: within(&sane, 12).unwrap_or(soon),
            close_minimum: day,
            output_spending: within(&sane, 12).unwrap_or(soon),
        }
        .clamped();
        let mut rates = self.rates();
        let changed = *rates != new;
        *rates = new;
        changed
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        // Plain numbers: whoever panicked while holding them left nothing half done.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        let rates = *self.rates();
        match target {
            ConfirmationTarget::MaximumFeeEstimate => rates.maximum,
            ConfirmationTarget::UrgentOnChainSweep => rates.urgent,
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
            | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => FLOOR_SAT_PER_KW,
            ConfirmationTarget::AnchorChannelFee => rates.anchor_channel,
            ConfirmationTarget::NonAnchorChannelFee => rates.channel,
            ConfirmationTarget::ChannelCloseMinimum => rates.close_minimum,
            ConfirmationTarget::OutputSpendingFee => rates.output_spending,
        }
    }
}

fn sat_per_kw(sat_per_vb: f64) -> Option<u32> {
    if !sat_per_vb.is_finite() || sat_per_vb <= 0.0 || sat_per_vb > ABSURD_SAT_PER_VB {
        return None;
    }
    // At most 2,500,000: the cast can't lose anything.
    Some((sat_per_vb * SAT_PER_KW).ceil() as u32)
}

/// The estimate for so many blocks: of those as fast or faster the slowest, and if there is none, the fastest there is.
fn within(estimates: &BTreeMap<u16, u32>, blocks: u16) -> Option<u32> {
    let faster = estimates.range(..=blocks).next_back();
    faster.or_else(|| estimates.iter().next()).map(|(_, rate)| *rate)
}
