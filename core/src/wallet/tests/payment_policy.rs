//! Which payments are claimed.

use crate::config::SkimLimit;
use crate::wallet::payment_policy::{refusal, Claimable, Refusal, MIN_BLOCKS_TO_CLAIM};

const LIMIT: SkimLimit = SkimLimit { ppm: 30_000, base_msat: 0 };
const GOOD: Claimable = Claimable {
    amount_msat: 97_000,
    skimmed_msat: 3_000,
    asked_msat: Some(100_000),
    blocks_left: 144,
    paid_before: false,
};

#[test]
fn up_to_twice_of_what_was_asked_is_claimed_and_not_a_millisatoshi_more_skim_included() {
    let paying = |amount_msat, skimmed_msat| refusal(&Claimable { amount_msat, skimmed_msat, ..GOOD }, LIMIT);
    for (amount, skimmed) in [(97_000, 3_000), (100_000, 0), (200_000, 0), (199_000, 1_000)] {
        assert_eq!(paying(amount, skimmed), None, "{amount} + {skimmed}");
    }
    for (amount, skimmed) in [(200_001, 0), (200_000, 1), (u64::MAX, u64::MAX)] {
        assert_eq!(paying(amount, skimmed), Some(Refusal::TooMuch), "{amount} + {skimmed}");
    }
    assert_eq!(refusal(&Claimable { asked_msat: Some(u64::MAX), ..GOOD }, LIMIT), None);
}

#[test]
fn an_invoice_without_an_amount_takes_any() {
    assert_eq!(refusal(&Claimable { asked_msat: None, amount_msat: u64::MAX, skimmed_msat: 0, ..GOOD }, LIMIT), None);
}

#[test]
fn a_payment_with_too_few_blocks_left_is_refused_long_before_ldk_would_give_it_up() {
    let with = |blocks_left| refusal(&Claimable { blocks_left, ..GOOD }, LIMIT);
    assert_eq!((with(144), with(MIN_BLOCKS_TO_CLAIM)), (None, None));
    assert_eq!((with(MIN_BLOCKS_TO_CLAIM - 1), with(0)), (Some(Refusal::TooLate), Some(Refusal::TooLate)));
}

#[test]
fn a_skim_above_the_limit_is_refused_with_what_was_allowed() {
    let skimmed = Claimable { amount_msat: 96_999, skimmed_msat: 3_001, ..GOOD };
    assert_eq!(refusal(&skimmed, LIMIT), Some(Refusal::Skim { allowed_msat: 3_000 }));
}

#[test]
fn what_was_paid_before_is_refused_for_that_whatever_else_is_wrong() {
    let again = Claimable { paid_before: true, amount_msat: 1, skimmed_msat: u64::MAX, blocks_left: 0, ..GOOD };
    assert_eq!(refusal(&again, LIMIT), Some(Refusal::PaidBefore));
}
