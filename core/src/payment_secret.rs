//! What an invoice asked for, read back from the payment secret that its payment carries. No row says it: minting is stateless.
//!
//! LDK puts amount and expiry into the secret's second half, encrypted under its first half, and enforces the least amount
//! itself; the most (BOLT 4: twice what was asked) it leaves to us, and its own reader is private. So it is asked to make a second
//! secret with the same first half, for no amount. Both are encrypted with the same stream of bytes: where they differ is the
//! amount.
//!
//! What must hold: only for a secret that LDK has verified, which it has for each payment that it says is claimable. The tests
//! compare with LDK's own invoices, so an LDK that lays its secrets out differently does not pass them.

use lightning::ln::inbound_payment::{self, ExpandedKey};
use lightning::sign::EntropySource;
use lightning_types::payment::PaymentSecret;

/// The amount is the first eight bytes of the second half; its three highest bits say what kind of secret it is.
const AMOUNT_BITS: u64 = u64::MAX >> 3;

/// The amount in millisatoshi that the invoice of this payment secret asked for; `None` if it left it to the payer.
pub fn asked_msat(keys: &ExpandedKey, secret: &PaymentSecret) -> Option<u64> {
    let again = SameFirstHalf(secret.0);
    let (_, none) = inbound_payment::create(keys, None, 0, &&again, 0, None).ok()?;
    let asked = (second_half(&secret.0) ^ second_half(&none.0)) & AMOUNT_BITS;
    (asked > 0).then_some(asked)
}

/// The first eight bytes of it.
fn second_half(secret: &[u8; 32]) -> u64 {
    secret.iter().skip(16).take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// LDK takes the first half of a secret from here.
struct SameFirstHalf([u8; 32]);

impl EntropySource for SameFirstHalf {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::entropy;

    fn secret(keys: &ExpandedKey, amount: Option<u64>, expiry: u32, now: u64, cltv: Option<u16>) -> PaymentSecret {
        let fresh = SameFirstHalf(entropy::random());
        inbound_payment::create(keys, amount, expiry, &&fresh, now, cltv).unwrap().1
    }

    #[test]
    fn every_amount_reads_back_whatever_else_the_invoice_says() {
        let keys = ExpandedKey::new(entropy::random());
        // 21 million bitcoin are the most that LDK lets an invoice ask for.
        for amount in [1, 255, 21_000, 100_000_000_000, 21_000_000 * 100_000_000_000] {
            for (expiry, now) in [(1, 0), (900, 1_760_000_000), (u32::MAX, 4_000_000_000)] {
                for cltv in [None, Some(144)] {
                    let secret = secret(&keys, Some(amount), expiry, now, cltv);
                    assert_eq!(asked_msat(&keys, &secret), Some(amount), "{expiry} s after {now}, {cltv:?} blocks");
                }
            }
        }
    }

    #[test]
    fn an_invoice_without_an_amount_asked_for_none() {
        let keys = ExpandedKey::new(entropy::random());
        assert_eq!(asked_msat(&keys, &secret(&keys, None, 900, 1_760_000_000, None)), None);
    }

    #[test]
    fn another_wallets_keys_do_not_read_it() {
        let keys = ExpandedKey::new(entropy::random());
        let secret = secret(&keys, Some(21_000), 900, 1_760_000_000, None);
        assert_ne!(asked_msat(&ExpandedKey::new(entropy::random()), &secret), Some(21_000));
    }
}
