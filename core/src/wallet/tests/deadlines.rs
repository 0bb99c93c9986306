//! Before which block a wallet must run again.

use crate::wallet::deadlines::{closing, next_by, wake_by, PUNISHMENT_BLOCKS};
use lightning::chain::channelmonitor::{Balance, BalanceSource, HTLC_FAIL_BACK_BUFFER};
use lightning::types::payment::{PaymentHash, PaymentPreimage};

fn contentious(timeout_height: u32) -> Balance {
    let (payment_hash, payment_preimage) = (PaymentHash([1; 32]), PaymentPreimage([2; 32]));
    Balance::ContentiousClaimable { amount_satoshis: 1_000, timeout_height, payment_hash, payment_preimage }
}

fn waiting() -> Balance {
    let source = BalanceSource::HolderForceClosed;
    Balance::ClaimableAwaitingConfirmations { amount_satoshis: 1_000, confirmation_height: 500, source }
}

fn cheated() -> Balance {
    Balance::CounterpartyRevokedOutputClaimable { amount_satoshis: 1_000 }
}

#[test]
fn a_claimed_htlc_must_reach_the_lsp_ldks_buffer_before_its_expiry() {
    assert_eq!(wake_by(1_000), 1_000 - HTLC_FAIL_BACK_BUFFER);
    assert_eq!(wake_by(3), 0);
}

#[test]
fn a_claim_on_chain_is_looked_at_the_more_often_the_nearer_its_deadline_is() {
    for (left, blocks) in [(1_000, 15), (16, 15), (15, 3), (4, 3), (3, 1), (1, 1), (0, 1)] {
        assert_eq!(closing(600, &[contentious(600 + left)]), Some(600 + blocks), "{left} blocks left");
    }
    assert_eq!(closing(600, &[contentious(590)]), Some(601), "late is no reason to wait");
    assert_eq!(closing(600, &[contentious(900), contentious(602)]), Some(601), "the nearest counts");
}

#[test]
fn a_cheat_is_followed_block_by_block_and_what_only_needs_time_is_not_followed() {
    assert_eq!(closing(600, &[cheated(), waiting()]), Some(601));
    assert_eq!(closing(600, &[waiting()]), None);
    assert_eq!(closing(600, &[]), None);
}

#[test]
fn the_next_run_is_due_for_what_is_at_stake_or_before_a_cheat_is_beyond_punishment() {
    let week = 601 + u32::from(PUNISHMENT_BLOCKS);
    let routine = next_by(600, None, true).unwrap();
    assert!(routine < week && routine > 600 + u32::from(PUNISHMENT_BLOCKS) / 2);
    assert_eq!(next_by(600, None, false), None);
    assert_eq!(next_by(600, Some(640), true), Some(640));
    assert_eq!(next_by(600, Some(640), false), Some(640));
    assert_eq!(next_by(600, Some(590), true), Some(601), "what is overdue is due with the next block");
    assert_eq!(next_by(600, Some(9_000), true), Some(routine));
    assert_eq!(next_by(u32::MAX, Some(u32::MAX), true), Some(u32::MAX));
}
