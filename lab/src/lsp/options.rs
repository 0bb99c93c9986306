//! What can be set on the LSP, at its start and while it runs. The defaults are how LSPs of this kind behave.

use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// The LSP's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LspOptions {
    /// What it keeps of each forward, in millionths of the amount, rounded up.
    pub skim_ppm: u64,
    /// How long it holds an intercepted HTLC before it fails it, in milliseconds.
    pub hold_ms: u64,
    /// The smallest channel that it opens, in satoshi.
    pub open_sat: u64,
    /// The webhook again when a client disconnects with HTLCs held or forwarded and pending. Released LSPs don't.
    pub rewake: bool,
    /// Forwards only when a peer connects, a channel gets ready, or a timer of one second fires, as released LSPs do; else as
    /// soon as it is possible.
    pub mdk_timer: bool,
    /// A connected client that does not move an HTLC for so long, in milliseconds, is disconnected and woken.
    pub progress_deadline_ms: Option<u64>,
    /// How often peers are pinged, in milliseconds: a frozen one is dropped after one to two of these.
    pub tick_ms: u64,
}

impl Default for LspOptions {
    fn default() -> Self {
        LspOptions {
            skim_ppm: 0,
            hold_ms: 45_000,
            open_sat: 100_000,
            rewake: false,
            mdk_timer: false,
            progress_deadline_ms: None,
            tick_ms: 10_000,
        }
    }
}

/// A day: nothing in a lab waits for longer, and instants can't overflow.
const LONGEST_MS: u64 = 86_400_000;
/// 2^24 - 1: LDK's limit for channels without large-channel support.
const LARGEST_SAT: u64 = 16_777_215;

impl LspOptions {
    /// Whether each is possible; the error names the first that is not, as the control API spells it.
    pub fn check(&self) -> Result<(), String> {
        let in_range = |name: &str, value: u64, least: u64, most: u64| match value {
            value if value < least => Err(format!("{name} is {value}: at least {least}")),
            value if value > most => Err(format!("{name} is {value}: at most {most}")),
            _ => Ok(()),
        };
        in_range("skimPpm", self.skim_ppm, 0, 1_000_000)?;
        in_range("holdMs", self.hold_ms, 0, LONGEST_MS)?;
        in_range("openSat", self.open_sat, 1_000, LARGEST_SAT)?;
        in_range("progressDeadlineMs", self.progress_deadline_ms.unwrap_or(1), 1, LONGEST_MS)?;
        in_range("tickMs", self.tick_ms, 1, LONGEST_MS)
    }

    /// What is kept of a forward: rounded up, and nothing when it would be all of it.
    pub fn skim_msat(&self, amount_msat: u64) -> u64 {
        let skim = (u128::from(amount_msat) * u128::from(self.skim_ppm)).div_ceil(1_000_000);
        match u64::try_from(skim) {
            Ok(skim) if skim < amount_msat => skim,
            _ => 0,
        }
    }
}

/// The options as the control API and the LSP share them.
#[derive(Clone, Default)]
pub struct SharedOptions(Arc<Mutex<LspOptions>>);

impl SharedOptions {
    /// Shared from these.
    pub fn new(options: LspOptions) -> Self {
        SharedOptions(Arc::new(Mutex::new(options)))
    }

    /// As they are now.
    pub fn get(&self) -> LspOptions {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes some; the LSP sees them in its next turn.
    pub fn update(&self, change: impl FnOnce(&mut LspOptions)) -> LspOptions {
        let mut options = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut options);
        *options
    }
}
