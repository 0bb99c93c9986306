use super::*;
use crate::config::Mnemonic;
use crate::keys::Keys;
use std::sync::Arc;

fn external(index: u32) -> Place {
    Place { chain: Chain::External, index }
}

fn internal(index: u32) -> Place {
    Place { chain: Chain::Internal, index }
}

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn account(network: Network) -> Arc<Account> {
    Arc::clone(Keys::derive(&Mnemonic::parse(ABANDON).unwrap(), network).unwrap().account())
}

/// The test vectors of BIP 84 itself.
#[test]
fn the_addresses_are_those_of_bip_84() {
    let account = account(Network::Bitcoin);
    let address = |place| account.address(place).unwrap().to_string();
    assert_eq!(address(external(0)), "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
    assert_eq!(address(external(1)), "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g");
    assert_eq!(address(internal(0)), "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el");
    assert_eq!(
        account.public_key(external(0)).unwrap().to_string(),
        "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c"
    );
}

#[test]
fn every_other_network_has_coin_type_1_and_its_own_prefix() {
    let [testnet, signet, regtest] = [Network::Testnet, Network::Signet, Network::Regtest]
        .map(|n| account(n).address(external(0)).unwrap().to_string());
    assert_eq!(testnet, "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl");
    assert_eq!(signet, testnet);
    assert_eq!(regtest, "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk");
}

#[test]
fn a_script_is_found_among_the_addresses_that_serve_or_served_and_no_later_one() {
    let account = account(Network::Regtest);
    let at = |external, internal| Serving { external, internal };
    for place in [external(2), internal(2)] {
        let script = account.script(place).unwrap();
        assert_eq!(account.find(&script, at(2, 2)), Some(place));
        assert_eq!(account.find(&script, at(1, 1)), None);
        assert_eq!(account.address(place).unwrap().script_pubkey(), script);
    }
    assert_eq!(account.find(&ScriptBuf::new(), at(2, 2)), None);
}

#[test]
fn an_address_that_was_paid_to_never_serves_again() {
    let mut serving = Serving::default();
    serving.used(external(4));
    serving.used(external(2));
    serving.used(internal(0));
    assert_eq!(serving, Serving { external: 5, internal: 1 });
}

#[test]
fn no_sweep_pays_to_an_address_that_a_channel_has_or_will_have() {
    let mut serving = Serving::default();
    let mut of_channels = vec![serving.internal];
    let mut of_sweeps = Vec::new();
    for round in 0..6 {
        if round % 2 == 1 {
            serving.used(internal(serving.internal));
        }
        of_sweeps.push(serving.take_for_sweep().index);
        of_channels.push(serving.internal);
    }
    assert!(of_sweeps.iter().all(|index| !of_channels.contains(index)), "{of_channels:?} {of_sweeps:?}");
}

#[test]
fn an_index_that_no_address_can_have_is_an_error() {
    let account = account(Network::Regtest);
    assert!(account.address(external(0x7fff_ffff)).is_ok());
    assert_eq!(account.address(external(0x8000_0000)).unwrap_err().code, Code::StateCorrupt);
}

#[test]
fn no_key_shows_in_debug() {
    assert_eq!(format!("{:?}", account(Network::Regtest)), "Account(hidden)");
}
