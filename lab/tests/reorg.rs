//! The lab's Lightning nodes follow a chain that changes its mind.

mod client;

use client::{lab, pay, until, Wallet};
use mayfly_lab::chain::{Reorged, Tip};
use mayfly_lab::lab::Lab;
use mayfly_lab::lsp::options::LspOptions;

/// Waits until the LSP's LDK stands at the chain's tip.
async fn followed(lab: &Lab) {
    let Tip { hash, height, .. } = lab.chain.tip();
    until(lab, move |lsp| {
        let best = lsp.base.manager().current_best_block();
        (best.block_hash, best.height) == (hash, height)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reorgs_above_the_channels_change_the_nodes_best_block_and_nothing_else() {
    let lab = lab(LspOptions::default()).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    pay(&lab, &wallet.invoice(&route, 20_000_000)).await.unwrap();
    lab.chain.mine(8).unwrap();
    followed(&lab).await;
    let scid = wallet.channels().await[0].short_channel_id;
    for (depth, mode) in [(1, Reorged::Remined), (6, Reorged::Unconfirmed), (7, Reorged::Dropped)] {
        lab.chain.reorg(depth, mode).unwrap();
        followed(&lab).await;
        pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
        lab.chain.undo_reorg(mode).unwrap();
        followed(&lab).await;
        pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    }
    // Several while the node is busy with one: it may see only the last tip.
    for _ in 0..5 {
        lab.chain.reorg(3, Reorged::Remined).unwrap();
        lab.chain.undo_reorg(Reorged::Remined).unwrap();
    }
    followed(&lab).await;
    wallet.until_balance(26_000_000).await;
    let [channel] = &wallet.channels().await[..] else { panic!("one channel") };
    assert!(channel.is_usable && channel.short_channel_id == scid, "{channel:?}");
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_funding_in_a_branch_that_is_left_keeps_its_channel() {
    let lab = lab(LspOptions::default()).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    pay(&lab, &wallet.invoice(&route, 20_000_000)).await.unwrap();
    lab.chain.reorg(3, Reorged::Unconfirmed).unwrap();
    followed(&lab).await;
    pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    lab.chain.mine(1).unwrap();
    followed(&lab).await;
    wallet.until(|node| node.base.manager().list_channels().iter().all(|c| c.confirmations == Some(1))).await;
    pay(&lab, &wallet.invoice(&route, 1_000_000)).await.unwrap();
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_funding_that_loses_its_block_closes_the_channel_as_ldk_has_it_and_the_commitment_confirms() {
    for mode in [Reorged::Remined, Reorged::Unconfirmed] {
        let lab = lab(LspOptions::default()).await;
        let mut wallet = Wallet::new(&lab);
        wallet.start().await;
        let route = wallet.register().await;
        pay(&lab, &wallet.invoice(&route, 20_000_000)).await.unwrap();
        lab.chain.mine(2).unwrap();
        followed(&lab).await;
        let funding = wallet.channels().await[0].funding_txo.unwrap().into_bitcoin_outpoint();
        lab.chain.reorg(2, mode).unwrap();
        let client = wallet.keys.node_id();
        until(&lab, move |lsp| lsp.base.manager().list_channels_with_counterparty(&client).is_empty()).await;
        wallet.until(|node| node.base.manager().list_channels().is_empty()).await;
        // Broadcast after the commit of the turn that closed it.
        let mut mempool = lab.chain.subscribe_mempool();
        while lab.chain.read(|chain| chain.spender(&funding)).is_none() {
            mempool.changed().await.unwrap();
        }
        lab.chain.mine(1).unwrap();
        let (commitment, _) = lab.chain.read(|chain| chain.spender(&funding)).unwrap();
        assert_eq!(lab.chain.transaction(&commitment).unwrap().1, Some(lab.chain.height()), "{mode:?}");
        pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();
        wallet.until_balance(5_000_000).await;
        wallet.stop();
        lab.stop().await;
    }
}
