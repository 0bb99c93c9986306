//! The node's own state: one JSON row, written with every commit, small by construction (P7).

use super::holdings::HoldingsRow;
use super::view::Summary;
use crate::checkpoint::rows;
use crate::error::{Code, Error, Result};
use crate::lsp::JitRoute;
use crate::store::{Batch, Rows};
use bitcoin::secp256k1::PublicKey;
use bitcoin::Amount;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// The layout of all rows: 2 has deltas beside the monitors, without which 1 would load them. A newer one is refused: an older
/// mayfly must not run on state that it does not understand.
const VERSION: u32 = 2;
/// No wallet closes so many channels, and none would find its coins among more.
const MAX_ADDRESS: u32 = 100_000;
/// How many told payments are remembered beside those that LDK repeated at this load.
pub(super) const TOLD_KEPT: usize = 16;

/// What a wallet keeps beside LDK's own state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    version: u32,
    /// The learnt JIT route, and whose it is.
    route: Option<SavedRoute>,
    /// The last fee estimates, as the fee table writes them.
    pub fees: Option<String>,
    /// The number of the next outbox event.
    pub next_event: u64,
    /// The newest payments whose `PaymentClaimed` was told, by LDK's payment id, newest last: LDK repeats it at each load while
    /// a monitor still holds the preimage.
    pub told: Vec<String>,
    /// The wallet's own bitcoin.
    #[serde(default)]
    pub holdings: HoldingsRow,
    /// Channels that were given up, by id in hex: what their monitors would publish must never go out.
    #[serde(default)]
    pub given_up: BTreeSet<String>,
    /// The store moved to another server, and the LSP has not shown of every channel that its newest state came along.
    #[serde(default)]
    pub moved: bool,
    /// Balance, channels and pending work as of the last commit: read without loading LDK.
    pub summary: Summary,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedRoute {
    lsp_node_id: String,
    route: JitRoute,
}

#[derive(Deserialize)]
struct Layout {
    version: u32,
}

fn unreadable() -> Error {
    Error::new(
        Code::StateCorrupt,
        "row node of the store does not load; nothing was sent or changed; restore the store from where it was written as a whole",
    )
}

impl NodeRow {
    /// Reads the row; a wallet without one is new.
    pub fn load(rows: &Rows) -> Result<Self> {
        let Some(bytes) = rows.get(rows::NODE) else { return Ok(NodeRow::default()) };
        // Alone and first: nothing else of a newer layout need be readable.
        let Layout { version } = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        if version > VERSION {
            return Err(Error::new(
                Code::StateCorrupt,
                format!("the store was written by a newer mayfly (row version {version}, this one knows {VERSION}); update mayfly"),
            ));
        }
        let row: NodeRow = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        let HoldingsRow { serving, told, .. } = &row.holdings;
        if serving.external.max(serving.internal).max(told.unwrap_or(0)) > MAX_ADDRESS {
            return Err(unreadable());
        }
        let sats = row.holdings.coins.iter().try_fold(0u64, |sum, coin| sum.checked_add(coin.sats));
        // Whoever adds them up need not think of an overflow.
        if sats.is_none_or(|sats| sats > Amount::MAX_MONEY.to_sat()) {
            return Err(unreadable());
        }
        Ok(row)
    }

    /// Forgets all told payments but the newest, and those that LDK repeated at this load and will at the next: so that a start
    /// need hardly ever ask the ledger, which knows all of them.
    pub fn forget_told(&mut self, repeated: &HashSet<String>) {
        let surplus = self.told.len().saturating_sub(TOLD_KEPT);
        let mut index = 0;
        self.told.retain(|id| {
            index += 1;
            index > surplus || repeated.contains(id)
        });
    }

    /// Writes the row into a batch.
    pub fn stage(&self, batch: &mut Batch) -> Result<()> {
        let row = NodeRow { version: VERSION, ..self.clone() };
        let bytes = serde_json::to_vec(&row)
            .map_err(|error| Error::new(Code::Internal, format!("the node's row does not serialise: {error}")))?;
        batch.put(rows::NODE, bytes);
        Ok(())
    }

    /// The JIT route learnt from that LSP. Another LSP's is of no use.
    pub fn route_of(&self, lsp: &PublicKey) -> Option<JitRoute> {
        self.route.as_ref().filter(|saved| saved.lsp_node_id == lsp.to_string()).map(|saved| saved.route)
    }

    /// Remembers a learnt route.
    pub fn set_route(&mut self, lsp: &PublicKey, route: JitRoute) {
        self.route = Some(SavedRoute { lsp_node_id: lsp.to_string(), route });
    }
}
