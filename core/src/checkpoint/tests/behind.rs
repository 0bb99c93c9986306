//! A store that went back in time: whatever old state of the wallet meets whatever state of the LSP, the channel is never
//! closed for it. Either the wallet goes on, because nothing that it said is lost, or it ends with `STATE_CORRUPT` in silence.

use super::Pair;
use crate::store::Rows;

/// Restarts both from these states.
async fn meet(lsp: &Rows, wallet: &Rows, what: &str) -> Option<&'static str> {
    let mut pair = Pair::of(lsp, wallet).await;
    pair.connect();
    pair.settle().await;
    assert!(!pair.lsp.has_event("ChannelClosed") && !pair.wallet.has_event("ChannelClosed"), "{what}");
    assert!(pair.wallet.broadcast.is_empty(), "{what}");
    let code = pair.wallet.fault_code();
    if let Some(code) = code {
        assert_eq!(code, "STATE_CORRUPT", "{what}");
        assert!(pair.wallet.said.is_empty(), "{what}: {:?}", pair.wallet.said);
        assert_eq!(pair.wallet.committer.stats().commits, 0, "{what}");
        assert!(pair.wallet.loaded.fault().reason().unwrap().message.contains("older than"), "{what}");
    } else {
        assert!(pair.wallet.usable() && pair.lsp.usable(), "{what}");
    }
    code
}

#[tokio::test]
async fn an_old_snapshot_of_a_wallet_that_received_since_is_state_corrupt_in_silence() {
    let mut pair = Pair::with_channel().await;
    for amount in [30_000_000, 20_000_000] {
        let invoice = pair.mint(Some(amount));
        pair.pay(&invoice, amount, 144);
        pair.settle().await;
    }
    let (lsp, history) = (pair.lsp.rows_now(), pair.wallet.history);
    let newest = history.len() - 1;
    let mut noticed = 0;
    for (age, rows) in history.iter().enumerate() {
        let code = meet(&lsp, rows, &format!("commit {age} of {newest}")).await;
        noticed += usize::from(code.is_some());
        assert!(age != newest || code.is_none(), "the newest is not old");
    }
    assert!(noticed >= newest - 1, "{noticed} of {newest} old states were noticed");
}

#[tokio::test]
async fn at_each_step_of_a_payment_each_older_commit_is_noticed_or_harmless() {
    let mut pair = Pair::with_channel().await;
    let funded = pair.wallet.history.len() - 1;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    let mut ends = [0, 0];
    for step in 0..40 {
        pair.lsp.turn().await;
        pair.wallet.turn().await;
        if pair.lsp.wire.is_empty() && pair.wallet.wire.is_empty() {
            break;
        }
        pair.carry_one_each();
        pair.lsp.drive();
        let lsp = pair.lsp.rows_now();
        for (age, rows) in pair.wallet.history.iter().enumerate().skip(funded) {
            let code = meet(&lsp, rows, &format!("step {step}, commit {age} of {}", pair.wallet.history.len())).await;
            ends[usize::from(code.is_some())] += 1;
        }
    }
    assert!(pair.wallet.has_event("PaymentClaimed"));
    assert!(ends[0] > 5 && ends[1] > 5, "{ends:?} (harmless, noticed)");
}
