//! The whole way of a payment through the lab, with a receiver made of the lab's own parts.

mod client;

use bitcoin::secp256k1::PublicKey;
use client::{lab, next, pay, webhook, Wallet, PATIENCE};
use mayfly_core::invoice::Invoice;
use mayfly_core::lsp::JitRoute;
use mayfly_lab::lab::Lab;
use mayfly_lab::lsp::options::LspOptions;
use mayfly_lab::node::End;
use mayfly_lab::payer::Payment;

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_client_is_paid_over_a_channel_opened_for_it_and_then_over_the_same_with_a_skim() {
    let lab = lab(LspOptions::default()).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    assert_eq!(route.cltv_expiry_delta, 72);

    let first = wallet.invoice(&route, 10_000_000);
    let paid = pay(&lab, &first).await.unwrap();
    assert_eq!(paid.fee_msat, 0);
    lab.options.update(|options| options.skim_ppm = 20_000);
    pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();

    let client = wallet.keys.node_id();
    let channels = lab.with_lsp(move |lsp| lsp.base.manager().list_channels_with_counterparty(&client)).await.unwrap();
    assert_eq!(channels.len(), 1);
    assert_eq!(channels[0].channel_value_satoshis, 100_000);
    assert!(!channels[0].is_announced);
    let kinds: Vec<String> = lab.messages.since(0).into_iter().map(|entry| entry.kind).collect();
    for kind in ["lsps", "open_channel", "funding_created", "channel_ready", "update_add_htlc", "update_fulfill_htlc"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} is not in {kinds:?}");
    }
    wallet.until_balance(10_000_000 + 4_900_000).await;
    wallet.stop();
    wallet.start().await;
    pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    wallet.until_balance(10_000_000 + 4_900_000 + 980_000).await;
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_client_is_woken_and_paid_although_the_lsp_was_killed_while_it_held_the_payment() {
    let lab = std::sync::Arc::new(lab(LspOptions::default()).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    wallet.stop();
    let mut posted = webhook(&lab, &wallet).await;
    let invoice = wallet.invoice(&route, 20_000_000);
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), invoice.clone());
        async move { pay(&lab, &invoice).await }
    });

    let body = next(&mut posted).await;
    assert_eq!(body["nodeId"], wallet.keys.node_id().to_string());
    assert_eq!(body["paymentHash"], invoice.payment_hash);
    lab.restart_lsp(End::Kill).await.unwrap();
    let held = lab.with_lsp(|lsp| lsp.role.held()).await.unwrap();
    assert_eq!((held.len(), held[0].amount_msat), (1, 20_000_000));

    wallet.start().await;
    paying.await.unwrap().unwrap();
    assert!(lab.with_lsp(|lsp| lsp.role.held()).await.unwrap().is_empty());
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_nobody_comes_for_fails_when_its_hold_ends() {
    let lab = lab(LspOptions { hold_ms: 50, ..LspOptions::default() }).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    wallet.stop();
    let error = pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap_err();
    assert!(error.contains("failed on its way"), "{error}");
    assert!(lab.with_lsp(|lsp| lsp.role.held()).await.unwrap().is_empty());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_for_an_scid_of_nobody_fails_at_once() {
    let lab = lab(LspOptions::default()).await;
    let wallet = Wallet::new(&lab);
    let scid = lab.with_lsp(|lsp| lsp.base.manager().get_intercept_scid()).await.unwrap();
    let route = JitRoute { scid, cltv_expiry_delta: 72 };
    let error = pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap_err();
    assert!(error.contains("failed on its way"), "{error}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_scid_is_the_clients_for_ever() {
    let lab = lab(LspOptions::default()).await;
    let (mut one, mut other) = (Wallet::new(&lab), Wallet::new(&lab));
    one.start().await;
    let route = one.register().await;
    assert_eq!(one.register().await, route);
    for how in [End::Graceful, End::Kill] {
        one.stop();
        lab.restart_lsp(how).await.unwrap();
        one.start().await;
        assert_eq!(one.register().await, route);
    }
    other.start().await;
    assert_ne!(other.register().await.scid, route.scid);
    one.stop();
    other.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unknown_method_the_lsp_is_deaf_until_the_client_comes_back() {
    let lab = lab(LspOptions::default()).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let protocols = r#"{"jsonrpc":"2.0","id":"1","method":"lsps0.list_protocols","params":{}}"#;
    assert_eq!(wallet.ask(protocols).await, r#"{"jsonrpc":"2.0","id":"1","result":{"protocols":[4]}}"#);
    let unknown = r#"{"jsonrpc":"2.0","id":"2","method":"lsps9.anything","params":{}}"#;
    let deaf = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}"#;
    assert_eq!(wallet.ask(unknown).await, deaf);

    // What is sent now is read before the disconnection, and not answered: the next answer is the next connection's.
    let before = lab.messages.since(0).len();
    wallet.send(protocols).await;
    wallet.stop();
    wallet.start().await;
    assert!(wallet.ask(protocols).await.contains("[4]"));
    let after = &lab.messages.since(0)[before..];
    let answers = after.iter().filter(|e| e.kind == "lsps" && format!("{:?}", e.direction) == "Sent").count();
    assert_eq!(answers, 1, "{after:?}");
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rewake_a_client_that_leaves_its_payment_is_woken_again() {
    let lab = std::sync::Arc::new(lab(LspOptions { rewake: true, ..LspOptions::default() }).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    let mut posted = webhook(&lab, &wallet).await;
    // In the dark it is connected, as far as the LSP knows: the payment is forwarded to nobody.
    lab.lsp_link.faults().set_black_hole(true);
    let invoice = wallet.invoice(&route, 2_000_000);
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), invoice.clone());
        async move { pay(&lab, &invoice).await }
    });
    until_forwarded(&lab, wallet.keys.node_id(), &invoice).await;
    lab.lsp_link.faults().set_reset(true);
    wallet.stop();
    // The first payment's HTLC may still be on its way out of the channel; only then it is named, too.
    while next(&mut posted).await["paymentHash"] != invoice.payment_hash {}
    lab.lsp_link.faults().set_black_hole(false);
    lab.lsp_link.faults().set_reset(false);
    wallet.start().await;
    paying.await.unwrap().unwrap();
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_progress_deadline_a_silent_client_is_disconnected_and_woken() {
    let options = LspOptions { progress_deadline_ms: Some(500), ..LspOptions::default() };
    let lab = std::sync::Arc::new(lab(options).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    let mut posted = webhook(&lab, &wallet).await;
    lab.lsp_link.faults().set_black_hole(true);
    let invoice = wallet.invoice(&route, 2_000_000);
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), invoice.clone());
        async move { pay(&lab, &invoice).await }
    });
    assert_eq!(next(&mut posted).await["paymentHash"], invoice.payment_hash);
    lab.lsp_link.faults().set_black_hole(false);
    paying.await.unwrap().unwrap();
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_timer_of_released_lsps_a_reconnected_client_is_paid_too() {
    let lab = std::sync::Arc::new(lab(LspOptions { mdk_timer: true, ..LspOptions::default() }).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    wallet.stop();
    let mut posted = webhook(&lab, &wallet).await;
    let invoice = wallet.invoice(&route, 2_000_000);
    let paying = tokio::spawn({
        let lab = lab.clone();
        async move { pay(&lab, &invoice).await }
    });
    next(&mut posted).await;
    wallet.start().await;
    paying.await.unwrap().unwrap();
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_payment_has_exactly_the_cltv_that_the_invoice_asks_for_and_a_usual_one_more() {
    let lab = std::sync::Arc::new(lab(LspOptions::default()).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    wallet.stop();
    let mut posted = webhook(&lab, &wallet).await;
    // The next block, the invoice's 144 for the client and 72 for the LSP.
    let exactly = lab.chain.height() + 1 + 144 + 72;
    for strict_cltv in [true, false] {
        let invoice = wallet.invoice(&route, 1_000_000);
        let bolt11 = invoice.bolt11.parse().unwrap();
        let payment = Payment {
            invoice: bolt11,
            amount_msat: None,
            timeout: PATIENCE,
            max_part_msat: None,
            strict_cltv,
            again: false,
        };
        let paying = tokio::spawn({
            let lab = lab.clone();
            async move { lab.pay(payment).await.unwrap() }
        });
        next(&mut posted).await;
        let expiry = lab.with_lsp(|lsp| {
            let channels = lsp.base.manager().list_channels();
            channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs).map(|htlc| htlc.cltv_expiry).max()
        });
        let expiry = expiry.await.unwrap().unwrap();
        assert!(if strict_cltv { expiry == exactly } else { expiry > exactly }, "{expiry}, not {exactly}");
        wallet.start().await;
        paying.await.unwrap().unwrap();
        wallet.stop();
    }
    lab.stop().await;
}

/// Waits for the LSP to send the payment's HTLC into the client's channel.
async fn until_forwarded(lab: &Lab, client: PublicKey, invoice: &Invoice) {
    let pending = |hash: String| {
        lab.with_lsp(move |lsp| {
            let channels = lsp.base.manager().list_channels_with_counterparty(&client);
            let mut htlcs = channels.iter().flat_map(|channel| &channel.pending_outbound_htlcs);
            htlcs.any(|htlc| htlc.payment_hash.to_string() == hash)
        })
    };
    let forwarded = async {
        while !pending(invoice.payment_hash.clone()).await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forwarded).await.expect("the payment was not forwarded");
}
