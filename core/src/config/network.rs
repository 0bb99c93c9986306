//! Which network, by the exact names that JavaScript uses: a misspelt one is an error, never a fallback to another network.

use super::shown::{shown, stray};
use bitcoin::Network;

/// The network of that name, or what is wrong with the name.
pub(crate) fn parse(text: &str) -> Result<Network, String> {
    match text {
        "mainnet" => Ok(Network::Bitcoin),
        "testnet" => Ok(Network::Testnet),
        "signet" => Ok(Network::Signet),
        "regtest" => Ok(Network::Regtest),
        other => {
            let hint = match other.trim().to_ascii_lowercase().as_str() {
                "mainnet" | "bitcoin" | "main" | "livenet" => "; for Bitcoin's main network write 'mainnet'",
                _ => "",
            };
            Err(format!(
                "network is {}; it must be exactly 'mainnet', 'testnet', 'signet' or 'regtest'{hint}{}",
                shown(other),
                stray(other)
            ))
        }
    }
}

/// The network's name as JavaScript writes it. Part of each wallet's id: a name must never change.
pub(crate) fn name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "mainnet",
        Network::Testnet => "testnet",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
        // `parse` gives none of these; the name that Bitcoin Core has for it keeps the id unambiguous.
        other => other.to_core_arg(),
    }
}
