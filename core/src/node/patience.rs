//! How long a commitment of ours waits for the LSP's word that it is not revoked (`checkpoint/doubt.rs`).
//!
//! Two losses are weighed. A commitment that goes out unasked costs the whole channel, if somebody put an older store in place and
//! the LSP punishes it. One that waits too long costs the HTLC that it was made for, if the platform ends the function while it
//! waits, run after run.
//!
//! So while there is time, the LSP is tried for as long as being connected may take (`timeouts.lspMs`: longer than a frozen
//! predecessor can keep us out). With no more blocks left than one confirmation may take, one attempt (`timeouts.connectMs`) must do:
//! that is within what any platform grants. A LSP that is connected and silent about the channel counts as one that is away.

use crate::timeouts::Timeouts;
use std::time::Duration;

/// LDK's reckoning of how many blocks a transaction may need (`MAX_BLOCKS_FOR_CONF`, not public).
const HURRY_BLOCKS: u32 = 18;

/// How long the LSP is tried. `expiry`: the lowest of the HTLCs that are claimed from the commitment.
pub(super) fn patience(timeouts: &Timeouts, height: u32, expiry: Option<u32>) -> Duration {
    let hurry = expiry.is_some_and(|expiry| expiry <= height.saturating_add(HURRY_BLOCKS));
    if hurry {
        timeouts.connect.min(timeouts.lsp)
    } else {
        timeouts.lsp
    }
}

#[cfg(test)]
mod tests {
    use super::patience;
    use crate::timeouts::DEFAULTS;

    #[test]
    fn while_there_is_time_the_lsp_is_tried_as_long_as_ever_and_one_attempt_must_do_near_the_end() {
        for expiry in [None, Some(1_000), Some(619)] {
            assert_eq!(patience(&DEFAULTS, 600, expiry), DEFAULTS.lsp, "{expiry:?}");
        }
        for expiry in [618, 601, 600, 1] {
            assert_eq!(patience(&DEFAULTS, 600, Some(expiry)), DEFAULTS.connect, "{expiry}");
        }
    }
}
