//! Options as users write them, good and bad: `texts` and `numbers` by kind, `secrets` for what no error may show.

mod numbers;
mod postgres;
mod secrets;
mod texts;

use super::*;
use crate::error::Code;
use crate::timeouts::DEFAULTS;
use std::path::PathBuf;

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const LSP: &str = "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c";

fn good() -> RawConfig {
    RawConfig {
        network: "regtest".to_owned(),
        mnemonic: ABANDON.to_owned(),
        esplora_url: "http://127.0.0.1:3002".to_owned(),
        lsp_node_id: LSP.to_owned(),
        lsp_address: "127.0.0.1:9735".to_owned(),
        store: "memory:".to_owned(),
        ..RawConfig::default()
    }
}

fn with(change: impl FnOnce(&mut RawConfig)) -> Result<Config> {
    let mut raw = good();
    change(&mut raw);
    Config::parse(raw)
}

/// Asserts that exactly this option is refused, and returns the message.
fn refused(option: &str, change: impl FnOnce(&mut RawConfig)) -> String {
    let error = with(change).expect_err(option);
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidOption, Some(option)), "{error}");
    assert!(error.message.len() < 320, "{error}");
    error.message
}

#[test]
fn the_smallest_options_get_the_documented_defaults() {
    let config = Config::parse(good()).unwrap();
    assert_eq!(config.network, Network::Regtest);
    assert_eq!(config.esplora_url, "http://127.0.0.1:3002");
    assert_eq!(config.lsp.node_id.to_string(), LSP);
    assert_eq!((config.lsp.host.as_str(), config.lsp.port), ("127.0.0.1", 9735));
    assert_eq!(config.jit_route, None);
    assert_eq!(config.store, StoreUrl::Memory);
    let lease = LeasePolicy {
        ttl: Duration::from_millis(8_000),
        attempts: 8,
        base_delay: Duration::from_millis(250),
        max_wait: Duration::from_millis(10_000),
        take_over: TakeOver::Unrenewed,
    };
    assert_eq!(config.lease, lease);
    assert_eq!(config.destroy_timeout, Duration::from_millis(250));
    assert_eq!(config.skim, SkimLimit { ppm: 30_000, base_msat: 0 });
    assert_eq!(config.timeouts, DEFAULTS);
}

#[test]
fn every_option_that_is_given_arrives() {
    let config = Config::parse(RawConfig {
        network: "mainnet".to_owned(),
        lsp_protocol: Some("lsps4".to_owned()),
        jit_route: Some(RawJitRoute { scid: "512345x1203x5".to_owned(), cltv_expiry_delta: 72.0 }),
        store: "file:/var/lib/wallet".to_owned(),
        lease: RawLease {
            ttl_ms: Some(9_000.0),
            attempts: Some(3.0),
            base_delay_ms: Some(100.0),
            max_wait_ms: Some(0.0),
            take_over: Some("expired".to_owned()),
            label: Some("eu-west-1 shop".to_owned()),
        },
        destroy_timeout_ms: Some(500.0),
        max_idle_ms: Some(60_000.0),
        max_skim_ppm: Some(0.0),
        max_skim_base_msat: Some(1_000.0),
        timeouts: RawTimeouts {
            chain_ms: Some(1.0),
            sync_ms: Some(10.0),
            store_ms: Some(2.0),
            connect_ms: Some(3.0),
            lsp_ms: Some(30.0),
            lsp_request_ms: Some(5.0),
            stop_ms: Some(6.0),
            commit_ms: Some(70.0),
        },
        ..good()
    })
    .unwrap();
    assert_eq!(config.network, Network::Bitcoin);
    let scid = 512_345 << 40 | 1_203 << 16 | 5;
    assert_eq!(config.jit_route, Some(JitRoute { scid, cltv_expiry_delta: 72 }));
    assert_eq!(config.store, StoreUrl::File(PathBuf::from("/var/lib/wallet")));
    assert_eq!(config.lease.ttl, Duration::from_millis(9_000));
    assert_eq!((config.lease.attempts, config.lease.take_over), (3, TakeOver::Expired));
    assert_eq!((config.lease.base_delay, config.lease.max_wait), (Duration::from_millis(100), Duration::ZERO));
    assert_eq!(config.label.as_deref(), Some("eu-west-1 shop"));
    assert_eq!(config.destroy_timeout, Duration::from_millis(500));
    assert_eq!(config.max_idle, Some(Duration::from_secs(60)));
    assert_eq!(config.skim, SkimLimit { ppm: 0, base_msat: 1_000 });
    let ms = Duration::from_millis;
    let timeouts = config.timeouts;
    assert_eq!((timeouts.chain, timeouts.store, timeouts.connect, timeouts.lsp), (ms(1), ms(2), ms(3), ms(30)));
    assert_eq!(timeouts.sync, ms(10));
    assert_eq!((timeouts.lsp_request, timeouts.stop, timeouts.commit), (ms(5), ms(6), ms(70)));
}

#[test]
fn a_node_that_is_idle_ends_after_half_a_minute_unless_told_otherwise() {
    assert_eq!(Config::parse(good()).unwrap().max_idle, Some(Duration::from_secs(30)));
    let never = RawConfig { max_idle_ms: Some(0.0), ..good() };
    assert_eq!(Config::parse(never).unwrap().max_idle, None);
}

type Change = fn(&mut RawConfig);

#[test]
fn what_two_nodes_of_one_wallet_must_not_differ_in_is_named_and_nothing_else() {
    let changes: [(&str, Change); 16] = [
        ("esploraUrl", |raw| raw.esplora_url.push_str("/other")),
        ("lspNodeId", |raw| {
            raw.lsp_node_id = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5".to_owned()
        }),
        ("lspAddress", |raw| raw.lsp_address = "other.example:9735".to_owned()),
        ("store", |raw| raw.store = "file:/elsewhere".to_owned()),
        ("lease", |raw| raw.lease.attempts = Some(1.0)),
        ("lease", |raw| raw.lease.label = Some("other".to_owned())),
        ("lease", |raw| raw.lease.ttl_ms = Some(9_000.0)),
        ("maxIdleMs", |raw| raw.max_idle_ms = Some(0.0)),
        ("maxSkimPpm", |raw| raw.max_skim_ppm = Some(1.0)),
        ("maxSkimBaseMsat", |raw| raw.max_skim_base_msat = Some(1.0)),
        ("recover", |raw| raw.recover = Some("force-close".to_owned())),
        ("timeouts", |raw| raw.timeouts.stop_ms = Some(1.0)),
        ("", |_| {}),
        ("", |raw| raw.lease.attempts = Some(8.0)),
        ("", |raw| raw.jit_route = Some(RawJitRoute { scid: "1x2x3".to_owned(), cltv_expiry_delta: 72.0 })),
        ("", |raw| raw.destroy_timeout_ms = Some(1.0)),
    ];
    let usual = Config::parse(good()).unwrap();
    for (name, change) in changes {
        let mut raw = good();
        change(&mut raw);
        let other = Config::parse(raw).unwrap();
        assert_eq!(usual.differs(&other).unwrap_or_default(), name);
        assert_eq!(other.differs(&usual).unwrap_or_default(), name);
    }
}

#[test]
fn the_first_wrong_option_is_named() {
    refused("network", |raw| *raw = RawConfig::default());
}
