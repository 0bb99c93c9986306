use super::server::{ok, run, Server};
use crate::chain::esplora::Esplora;
use crate::chain::freshness::too_old;
use crate::clock;
use crate::error::Code;
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::constants::genesis_block;
use bitcoin::Network;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn mainnets_newest_block_is_never_hours_old_and_other_networks_may_sleep() {
    let now = clock::now();
    let at = |time: Duration| u32::try_from(time.as_secs()).unwrap();
    for age in [Duration::ZERO, HOUR, 4 * HOUR] {
        assert_eq!(too_old(Network::Bitcoin, at(now - age), now), None, "{age:?}");
    }
    for age in [9 * HOUR, 24 * HOUR, 400 * 24 * HOUR] {
        let found = too_old(Network::Bitcoin, at(now - age), now).unwrap();
        assert!(found.abs_diff(age) < HOUR, "{found:?}");
        for network in [Network::Testnet, Network::Signet, Network::Regtest] {
            assert_eq!(too_old(network, at(now - age), now), None, "{network}");
        }
    }
    assert_eq!(too_old(Network::Bitcoin, at(now + 2 * HOUR), now), None, "a miner's clock runs ahead");
    assert_eq!(
        too_old(Network::Bitcoin, u32::MAX, Duration::ZERO),
        None,
        "as does one against a clock that was never set"
    );
}

#[test]
fn a_mainnet_server_whose_tip_is_old_is_chain_unavailable_and_says_how_old() {
    run(async {
        // The one mainnet block that a test can have: with its work, and of 2009.
        let block = genesis_block(Network::Bitcoin);
        let (hash, header) = (block.block_hash().to_string(), serialize_hex(&block.header));
        let server = Server::start(move |asked| match asked.path.as_str() {
            path if path.ends_with("/header") => ok(header.clone()),
            path if path.ends_with("/status") => ok(r#"{"in_best_chain":true,"height":0}"#),
            _ => ok(hash.clone()),
        })
        .await;
        let esplora = Esplora::new(&server.url(), Network::Bitcoin, &DEFAULTS, Resolver::new()).unwrap();
        let error = esplora.tip_of_our_network().await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable, "{error}");
        assert!(error.message.contains("hours old"), "{error}");
    });
}
