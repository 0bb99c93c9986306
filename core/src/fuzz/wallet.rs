//! LDK's own rows: the channel manager, the channel monitors and their updates, through the load of a boot.
//!
//! LDK panics on some bytes, so the product enters it through a guard; here too, with the same one. What loads must be usable: what
//! the boot and the first commit read of it may fail, but in a guard and within bounds.

use super::{refused, Target};
use crate::checkpoint::rows::{DELTA_PREFIX, MANAGER, MONITOR_PREFIX};
use crate::checkpoint::tests::{engine, keys, Pair};
use crate::error::Code;
use crate::guard::guarded;
use crate::keys::Keys;
use crate::lsp::transport::LspTransport;
use crate::store::{Batch, Rows};
use crate::wallet::holdings::{Holdings, HoldingsRow};
use crate::wallet::view::Summary;
use bitcoin::Network;
use lightning::chain::{BestBlock, Confirm};
use std::rc::Rc;

pub(super) fn targets() -> Vec<Target> {
    let keys = Rc::new(keys(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(wallets());
    let whole = Rc::new(rows.last().unwrap().clone());
    let monitor = whole.keys().find(|key| key.starts_with(MONITOR_PREFIX)).unwrap().clone();
    let seeds = |key: &str| rows.iter().filter_map(|rows| rows.get(key).cloned()).collect::<Vec<_>>();
    let (managers, monitors) = (seeds(MANAGER), seeds(&monitor));
    let deltas: Vec<_> = whole.iter().filter(|(key, _)| key.starts_with(DELTA_PREFIX)).collect();
    let (first, _) = deltas[0];
    let updates: Vec<Vec<u8>> = deltas.iter().map(|(_, update)| (*update).clone()).collect();
    vec![
        target("manager", MANAGER.to_owned(), &managers, &keys, &whole),
        target("monitor", monitor, &monitors, &keys, &whole),
        target("delta", first.clone(), &updates, &keys, &whole),
    ]
}

fn target(name: &'static str, row: String, seeds: &[Vec<u8>], keys: &Rc<Keys>, whole: &Rc<Rows>) -> Target {
    let (keys, whole) = (Rc::clone(keys), Rc::clone(whole));
    Target::new(name, 2_000, seeds, move |input| {
        let mut rows = whole.as_ref().clone();
        rows.insert(row.clone(), input.to_vec());
        load(&keys, &rows)
    })
}

/// A wallet's rows with a new channel, with a payment on its way, and after it.
async fn wallets() -> Vec<Rows> {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    pair.settle().await;
    pair.wallet.claims = false;
    let invoice = pair.mint(Some(7_000_000));
    pair.pay(&invoice, 7_000_000, 144);
    pair.settle().await;
    let history = &pair.wallet.history;
    [history.len() / 3, history.len() / 2, history.len() - 1].map(|at| history[at].clone()).to_vec()
}

fn load(keys: &Keys, rows: &Rows) -> bool {
    let engine = engine(keys);
    let best = BestBlock::from_network(Network::Regtest);
    let loaded = match guarded("loading the wallet", || engine.load(rows, best)) {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(error)) => return refused(&error, &[Code::StateCorrupt]),
        Err(error) => return refused(&error, &[Code::Internal]),
    };
    let holdings = match Holdings::restore(loaded.keys(), rows, HoldingsRow::default()) {
        Ok(holdings) => holdings,
        Err(error) => return refused(&error, &[Code::StateCorrupt]),
    };
    // What follows in a life, each step in a guard as there.
    let steps: [(&str, &dyn Fn()); 4] = [
        ("the chain", &|| {
            let monitors = loaded.monitors();
            for channel in monitors.list_monitors() {
                let _ = monitors.get_monitor(channel).map(|monitor| monitor.get_outputs_to_watch());
            }
            let _ = (monitors.get_relevant_txids(), loaded.manager().get_relevant_txids());
        }),
        ("LSPS", &|| {
            LspTransport::new(keys.node_id())
                .attach(&loaded)
                .unwrap_or_else(|error| assert!(!refused(&error, &[Code::Internal])))
        }),
        ("the summary", &|| drop(Summary::of(&loaded, &holdings, |_, _| true))),
        ("the cut", &|| drop(loaded.cut(Batch::default()))),
    ];
    for (what, step) in steps {
        if let Err(error) = guarded(what, step) {
            refused(&error, &[Code::Internal]);
        }
    }
    true
}
