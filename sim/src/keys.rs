//! The keys of both sides, from fixed seeds, each start with a number of its own as LDK wants it.

use bitcoin::bip32::Xpriv;
use bitcoin::Network;
use lightning::sign::KeysManager;
use mayfly_core::onchain::{Account, Signer};
use std::sync::Arc;

/// The BIP 39 seed of `abandon abandon … about`: the test vector that everybody knows.
const WALLET_SEED: &str = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4";

/// Who.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The wallet: mayfly.
    Wallet,
    /// The LSP, which also plays payer and payee.
    Peer,
}

/// Keys for one start.
pub fn keys(who: Who, start: u32) -> Arc<Signer> {
    // Like mayfly's own: v2 remote key derivation.
    let ldk = |seed: [u8; 32]| KeysManager::new(&seed, 0, start, true);
    Arc::new(match who {
        Who::Wallet => {
            let master = master();
            let account = Account::derive(&master, Network::Regtest).expect("an account");
            Signer::new(ldk(master.private_key.secret_bytes()), Arc::new(account))
        }
        Who::Peer => Signer::plain(ldk([22; 32])),
    })
}

/// As `mayfly_core::keys` derives it from the mnemonic.
fn master() -> Xpriv {
    let bytes: Vec<u8> = (0..WALLET_SEED.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&WALLET_SEED[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    Xpriv::new_master(Network::Regtest, &bytes).expect("a seed of 64 bytes")
}
