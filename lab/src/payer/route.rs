//! The payer's route: its own channels, then the invoice's hints. There is no gossip in the lab.
//!
//! LDK takes one channel as long as it can and splits over several when it must. `max_part_msat` makes it have to.

use super::Payment;
use crate::node::Base;
use bitcoin::Network;
use lightning::routing::router::{find_route, PaymentParameters, Route, RouteParameters};
use lightning::routing::scoring::FixedPenaltyScorer;
use mayfly_core::entropy;
use mayfly_core::ldk::NetworkGraph;
use mayfly_core::log::LdkLog;
use std::sync::Arc;

/// Found by LDK, which pads the last hop's CLTV as if the route went on: wallets do that to hide how near the recipient is.
pub(super) fn find(node: &Base, payment: &Payment) -> Result<Route, String> {
    let invoice = &payment.invoice;
    let amount_msat = match (invoice.amount_milli_satoshis(), payment.amount_msat) {
        (Some(asked), None) => asked,
        (Some(asked), Some(given)) if given == asked => asked,
        (Some(asked), Some(_)) => return Err(format!("the invoice asks for {asked} msat: leave amountMsat out")),
        (None, Some(given)) => given,
        (None, None) => return Err("the invoice has no amount: give amountMsat".into()),
    };
    if invoice.is_expired() {
        return Err("the invoice has expired".into());
    }
    let mut parameters =
        RouteParameters::from_payment_params_and_value(PaymentParameters::from_bolt11_invoice(invoice), amount_msat);
    // The lab's LSP forwards for nothing; what real ones ask is not the lab's business.
    parameters.max_total_routing_fee_msat = None;
    let log = Arc::new(LdkLog::new("payer"));
    let graph = NetworkGraph::new(Network::Regtest, Arc::clone(&log));
    let mut channels = node.manager().list_usable_channels();
    for channel in &mut channels {
        let most = payment.max_part_msat.unwrap_or(u64::MAX);
        channel.next_outbound_htlc_limit_msat = channel.next_outbound_htlc_limit_msat.min(most);
    }
    let first_hops: Vec<_> = channels.iter().collect();
    // A fresh scorer for each payment: one that remembers failures would make a test depend on the one before.
    let scorer = FixedPenaltyScorer::with_penalty(0);
    let found =
        find_route(&node.id, &parameters, &graph, Some(&first_hops), log, &scorer, &(), &entropy::random::<32>());
    let mut route = found.map_err(|error| format!("no route: {error}"))?;
    if payment.strict_cltv {
        let exactly = u32::try_from(invoice.min_final_cltv_expiry_delta()).unwrap_or(u32::MAX);
        for hop in route.paths.iter_mut().filter_map(|path| path.hops.last_mut()) {
            hop.cltv_expiry_delta = exactly;
        }
    }
    Ok(route)
}
