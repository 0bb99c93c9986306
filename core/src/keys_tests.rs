use super::*;
use std::collections::HashSet;

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const ABANDON_NODE_ID: &str = "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c";
const NETWORKS: [Network; 4] = [Network::Bitcoin, Network::Testnet, Network::Signet, Network::Regtest];

fn keys(mnemonic: &str) -> Keys {
    Keys::derive(&Mnemonic::parse(mnemonic).unwrap(), Network::Regtest).unwrap()
}

#[test]
fn the_node_id_is_the_one_that_ldk_node_derives_on_every_network() {
    for network in ["mainnet", "testnet", "signet", "regtest"] {
        assert_eq!(derive_node_id(ABANDON, network).unwrap(), ABANDON_NODE_ID);
    }
    assert_eq!(keys(ABANDON).node_id().to_string(), ABANDON_NODE_ID);
}

#[test]
fn whitespace_around_and_between_the_words_does_not_change_the_node_id() {
    let pasted = format!("\n  {}\r\n", ABANDON.replace(' ', "\n  "));
    assert_eq!(derive_node_id(&pasted, "regtest").unwrap(), ABANDON_NODE_ID);
}

#[test]
fn deriving_from_wrong_arguments_names_the_argument() {
    let error = derive_node_id("abandon", "regtest").unwrap_err();
    assert_eq!(
        (error.code, error.option.as_deref()),
        (Code::InvalidArgument, Some("mnemonic"))
    );
    let error = derive_node_id(ABANDON, "bitcoin").unwrap_err();
    assert_eq!(
        (error.code, error.option.as_deref()),
        (Code::InvalidArgument, Some("network"))
    );
}

#[test]
fn generated_mnemonics_parse_have_the_asked_length_and_never_repeat() {
    let mut seen = HashSet::new();
    for words in [12, 24] {
        for _ in 0..50 {
            let text = generate_mnemonic(words).unwrap();
            assert_eq!(text.split(' ').count() as u64, words);
            Mnemonic::parse(&text).unwrap();
            assert!(seen.insert(text));
        }
    }
    for words in [0, 11, 13, 15, 25, u64::MAX] {
        let error = generate_mnemonic(words).unwrap_err();
        assert_eq!(
            (error.code, error.option.as_deref()),
            (Code::InvalidArgument, Some("words"))
        );
    }
}

#[test]
fn every_start_draws_other_random_bytes_but_is_the_same_node() {
    use lightning::sign::EntropySource;
    let keys = keys(ABANDON);
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let manager = keys.manager();
        assert_eq!(manager.get_node_id(Recipient::Node).unwrap(), keys.node_id());
        assert_eq!(manager.get_expanded_key(), *keys.expanded_key());
        assert!(seen.insert(manager.get_secure_random_bytes()));
    }
    let starts: HashSet<_> = (0..1_000).map(|_| unique_start().1).collect();
    assert_eq!(starts.len(), 1_000);
}

#[test]
fn a_wallet_id_depends_on_mnemonic_and_network_and_on_nothing_else() {
    let other = keys("legal winner thank year wave sausage worth useful legal winner thank yellow");
    let mut seen = HashSet::new();
    for network in NETWORKS {
        assert_eq!(keys(ABANDON).wallet_id(network), keys(ABANDON).wallet_id(network));
        assert!(seen.insert(keys(ABANDON).wallet_id(network)));
        assert!(seen.insert(other.wallet_id(network)));
    }
}

/// A changed id is a wallet that finds an empty store: if this fails, the code is wrong, not the test. The ids were computed
/// independently, from the standards' own primitives.
#[test]
fn wallet_ids_are_what_they_always_were() {
    let keys = keys(ABANDON);
    let ids = NETWORKS.map(|network| keys.wallet_id(network).short_hex());
    assert_eq!(
        ids,
        [
            "026198f1ab8b83b888f1fb72eb38a111",
            "f899e077df113ea96bd750ed54afad01",
            "d88864fc67fca27a35efaab5babff25d",
            "68d4fd4197869c2ff50f4096aa3deacc",
        ]
    );
}

#[test]
fn secrets_do_not_show_in_debug() {
    let mnemonic = Mnemonic::parse(ABANDON).unwrap();
    let seed = Seed::derive(&mnemonic, Network::Regtest).unwrap();
    assert_eq!(format!("{mnemonic:?} {seed:?}"), "Mnemonic(hidden) Seed(hidden)");
    let shown = format!("{:?}", Keys::new(seed).unwrap());
    assert_eq!(shown, format!("Keys {{ node_id: {:?}, .. }}", keys(ABANDON).node_id()));
}
