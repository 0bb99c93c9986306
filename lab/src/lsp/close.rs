//! Channels that the LSP closes because it was told to, as LSPs close idle ones to get their money back.
//!
//! A forced close needs nobody. A cooperative one needs the client: LDK refuses to begin it while that is away, so the wish
//! is kept until the client comes (not over a restart of the LSP). A channel that is closing carries nothing more; what comes
//! meanwhile gets a new one.

use super::Lsp;
use crate::node::Base;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::types::ChannelId;

/// Told to the client, and logged there.
const WHY: &str = "the lab was told to close it";

impl Lsp {
    /// Closes all channels with that client; returns which. The transactions are broadcast after the next commit.
    pub fn close(&self, node: &Base, client: PublicKey, force: bool) -> Vec<ChannelId> {
        let channels = node.manager().list_channels_with_counterparty(&client);
        if force {
            for channel in &channels {
                let closed =
                    node.manager().force_close_broadcasting_latest_txn(&channel.channel_id, &client, WHY.to_owned());
                if let Err(error) = closed {
                    tracing::warn!(channel = %channel.channel_id, ?error, "it could not be closed");
                }
            }
        } else {
            let mut state = self.state.borrow_mut();
            state.closing.extend(channels.iter().map(|channel| (client, channel.channel_id)));
        }
        node.wake();
        channels.iter().map(|channel| channel.channel_id).collect()
    }

    /// Begins what can begin now.
    pub(super) fn close_with_the_connected(&self, node: &Base) {
        self.state.borrow_mut().closing.retain(|(client, id)| {
            let channels = node.manager().list_channels_with_counterparty(client);
            let Some(channel) = channels.iter().find(|channel| channel.channel_id == *id) else { return false };
            // Usable is reestablished and not closing yet. Before that LDK refuses, and each refusal asks for another turn.
            if channel.is_usable {
                if let Err(error) = node.manager().close_channel(id, client) {
                    tracing::warn!(channel = %id, ?error, "it could not be closed");
                }
            }
            true
        });
    }
}

/// Whether a close has begun.
pub(super) fn is_closing(channel: &ChannelDetails) -> bool {
    !matches!(channel.channel_shutdown_state, None | Some(ChannelShutdownState::NotShuttingDown))
}
