//! What JavaScript gives as options: each text in each option, and numbers.

use super::{refused, Target};
use crate::chain::Esplora;
use crate::config::{
    network, safe_integer, Config, PostgresHost, PostgresTls, PostgresUrl, RawConfig, RawJitRoute, StoreUrl,
    MAX_SAFE_INTEGER,
};
use crate::error::{Code, Result};
use crate::lsp::scid;
use crate::net::dns::Resolver;

const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const LSP: &str = "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c";

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target::new("network", 10_000, &["mainnet", "testnet", "signet", "regtest", "bitcoin", "main"], |input| {
            let lasting = "file:/var/lib/wallet".to_owned();
            let config = parsed("network", input, |raw, text| (raw.network, raw.store) = (text, lasting));
            config.map(|config| assert_eq!(network::name(config.network), text(input))).is_some()
        }),
        Target::new("mnemonic", 37_000, &[WORDS, MORE_WORDS, "\"legal winner thank\"", "abandon, about"], mnemonic),
        Target::new("esplora-url", 60_000, &URLS, esplora_url),
        Target::new("lsp-address", 60_000, &ADDRESSES, lsp_address),
        Target::new("lsp-node-id", 30_000, &NODE_IDS, |input| {
            let config = parsed("lspNodeId", input, |raw, text| raw.lsp_node_id = text);
            config.map(|c| assert_eq!(c.lsp.node_id.to_string(), text(input).to_ascii_lowercase())).is_some()
        }),
        Target::new("store", 60_000, &STORES, store),
        Target::new("scid", 60_000, &SCIDS, scid),
        Target::new("choices", 10_000, &["auto", "lsps4", "lsps2", "expired", "unrenewed"], |input| {
            let protocol = parsed("lspProtocol", input, |raw, text| raw.lsp_protocol = Some(text));
            let take_over = parsed("lease.takeOver", input, |raw, text| raw.lease.take_over = Some(text));
            let known = (["auto", "lsps4"], ["expired", "unrenewed"]);
            let text = text(input);
            assert_eq!(
                (protocol.is_some(), take_over.is_some()),
                (known.0.contains(&&*text), known.1.contains(&&*text))
            );
            protocol.is_some() || take_over.is_some()
        }),
        Target::new("numbers", 30_000, &numbers(), number),
        Target::new(
            "secrets",
            20_000,
            &["", "file:/wallet/", "02", "\"", "https://", "mainnet", "1x2x3", "\n"],
            secrets,
        ),
    ]
}

const MORE_WORDS: &str =
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel \
                          tennis maple dilemma loan word shrug inflict delay length";

const URLS: [&str; 9] = [
    "https://blockstream.info/api",
    "http://127.0.0.1:3002",
    "http://[2001:db8::1]:3002/regtest/api/",
    "https://mempool.space/signet/api",
    "HTTPS://Esplora.Example:443/a/b/c",
    "http://localhost/",
    "https://xn--bcher-kva.example/%7Ekey/",
    "https://user:password@esplora.example/api",
    "https://esplora.example/api?key=1#top",
];

const ADDRESSES: [&str; 9] = [
    "127.0.0.1:9735",
    "[2001:db8::1]:9735",
    "[::ffff:10.0.0.1]:1",
    "lsp.example.com:65535",
    "lsp_in_a_container:9735",
    "LSP.Example:09735",
    "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c@lsp.example:9735",
    "tcp://lsp.example:9735",
    "abcdefghijklmnop.onion:9735",
];

const NODE_IDS: [&str; 3] = [
    LSP,
    "02EEC7245D6B7D2CCB30380BFBE2A3648CD7A942653F5AA340EDCEA1F283686619",
    "0324653eac434488002cc06bbfb7f10fe18991e35f9fe4302dbea6d2353dc0ab1c",
];

const STORES: [&str; 13] = [
    "file:/var/lib/wallet",
    "file:///var/lib/wallet",
    "file:relative/./folder/../wallet",
    "memory:",
    "postgres://user:password@db.example/wallets",
    "postgresql://u:p%40ss@ep-a.neon.tech:5432/db?sslmode=require&channel_binding=require&connect_timeout=9",
    "postgres:///db?host=/var/run/postgresql&user=u&password=p&port=5433",
    "postgres://u@%2Fvar%2Frun%2Fpostgresql/db?application_name=shop",
    "postgres://u:p@[::1]:5432/db?sslmode=disable&pgbouncer=true",
    "vss+https://vss.example",
    "/var/lib/wallet",
    "file:~/wallet",
    "file:/tmp/wallet%20one",
];

const SCIDS: [&str; 6] =
    ["512345x1203x5", "0x0x0", "16777215x16777215x65535", "0012x0x00", "16777216x1x1", "563332847337472005"];

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

fn good() -> RawConfig {
    RawConfig {
        network: "regtest".to_owned(),
        mnemonic: WORDS.to_owned(),
        esplora_url: "http://127.0.0.1:3002".to_owned(),
        lsp_node_id: LSP.to_owned(),
        lsp_address: "127.0.0.1:9735".to_owned(),
        store: "memory:".to_owned(),
        ..RawConfig::default()
    }
}

fn with(set: impl FnOnce(&mut RawConfig)) -> Result<Config> {
    let mut raw = good();
    set(&mut raw);
    Config::parse(raw)
}

/// The options with that text in that one; `None` if it was refused, as it must be.
fn parsed(option: &str, input: &[u8], set: impl FnOnce(&mut RawConfig, String)) -> Option<Config> {
    match with(|raw| set(raw, text(input))) {
        Ok(config) => Some(config),
        Err(error) => {
            refused(&error, &[Code::InvalidOption]);
            assert_eq!(error.option.as_deref(), Some(option), "{error}");
            None
        }
    }
}

fn mnemonic(input: &[u8]) -> bool {
    let text = text(input);
    let words: Vec<&str> = text.split_whitespace().collect();
    match with(|raw| raw.mnemonic = text.clone()) {
        Ok(config) => {
            assert_eq!(config.mnemonic.0.to_string(), words.join(" "));
            assert!(!format!("{config:?}").contains(&words.join(" ")));
            true
        }
        Err(error) => {
            for pair in words.windows(2).map(|pair| pair.join(" ")).filter(|pair| pair.len() > 8) {
                assert!(!error.message.contains(&pair), "{pair}: {error}");
            }
            refused(&error, &[Code::InvalidOption])
        }
    }
}

/// What is taken is what the client can use, and reads as itself.
fn esplora_url(input: &[u8]) -> bool {
    let Some(config) = parsed("esploraUrl", input, |raw, text| raw.esplora_url = text) else { return false };
    let url = config.esplora_url.clone();
    assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
    let again = with(|raw| raw.esplora_url = url.clone()).unwrap();
    assert_eq!(again.esplora_url, url);
    Esplora::new(&url, config.network, &config.timeouts, Resolver::new()).map(drop).unwrap();
    true
}

fn lsp_address(input: &[u8]) -> bool {
    let Some(config) = parsed("lspAddress", input, |raw, text| raw.lsp_address = text) else { return false };
    let (host, port) = (&config.lsp.host, config.lsp.port);
    assert!(port != 0 && !host.is_empty());
    let printed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    assert_eq!(with(|raw| raw.lsp_address = printed).unwrap().lsp, config.lsp);
    true
}

fn store(input: &[u8]) -> bool {
    let Some(config) = parsed("store", input, |raw, text| raw.store = text) else { return false };
    if let StoreUrl::File(directory) = &config.store {
        assert!(directory.is_absolute(), "{directory:?}");
        let printed = format!("file://{}", directory.to_str().unwrap());
        assert_eq!(with(|raw| raw.store = printed).unwrap().store, config.store);
    }
    if let StoreUrl::Postgres(url) = &config.store {
        assert!(url.port != 0 && !url.user.is_empty() && !url.database.is_empty());
        // In the clear only by explicit word, or where no other machine is on the way.
        let is_far =
            matches!(&url.host, PostgresHost::Tcp(host) if !host.contains("localhost") && !host.contains(['1', ':']));
        assert!(url.tls != PostgresTls::Off || !is_far || text(input).contains("disable"), "{url:?}");
        let without = PostgresUrl { password: None, ..PostgresUrl::clone(url) };
        assert_eq!(format!("{url:?}"), format!("{without:?}"), "the password is no part of what is shown");
    }
    // On mainnet fewer are taken, and never another one.
    match with(|raw| (raw.store, raw.network) = (text(input), "mainnet".to_owned())) {
        Ok(mainnet) => assert_eq!(mainnet.store, config.store),
        Err(error) => assert!(!refused(&error, &[Code::InvalidOption])),
    }
    true
}

fn scid(input: &[u8]) -> bool {
    let set = |raw: &mut RawConfig, scid| raw.jit_route = Some(RawJitRoute { scid, cltv_expiry_delta: 72.0 });
    let Some(config) = parsed("jitRoute.scid", input, set) else { return false };
    let scid = config.jit_route.unwrap().scid;
    let printed = scid::format(scid);
    assert_eq!(scid::parse(&printed), Ok(scid));
    let without_zeros =
        |text: &str| text.split('x').map(|part| part.trim_start_matches('0').to_owned()).collect::<Vec<_>>();
    assert_eq!(without_zeros(&printed), without_zeros(&text(input)));
    true
}

fn numbers() -> Vec<[u8; 8]> {
    let most = MAX_SAFE_INTEGER as f64;
    [0.0, -0.0, 1.0, 2016.0, 0.5, -1.0, most, most + 1.0, 1e308, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE]
        .map(f64::to_le_bytes)
        .to_vec()
}

/// An integer is taken as it is or refused; nothing is rounded.
fn number(input: &[u8]) -> bool {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(input).for_each(|(byte, given)| *byte = *given);
    let value = f64::from_le_bytes(bytes);
    for range in [0..=0, 1..=2016, 0..=MAX_SAFE_INTEGER] {
        let fits = value.fract() == 0.0 && *range.start() as f64 <= value && value <= *range.end() as f64;
        match safe_integer("number", value, range) {
            Ok(whole) => assert!(fits && whole as f64 == value, "{whole} of {value}"),
            Err(error) => {
                refused(&error, &[Code::InvalidOption]);
                assert!(!fits, "{error}");
            }
        }
    }
    let options: [fn(&mut RawConfig, Option<f64>); 16] = [
        |raw, value| raw.lease.ttl_ms = value,
        |raw, value| raw.lease.attempts = value,
        |raw, value| raw.lease.base_delay_ms = value,
        |raw, value| raw.lease.max_wait_ms = value,
        |raw, value| raw.destroy_timeout_ms = value,
        |raw, value| raw.max_idle_ms = value,
        |raw, value| raw.max_skim_ppm = value,
        |raw, value| raw.max_skim_base_msat = value,
        |raw, value| raw.timeouts.chain_ms = value,
        |raw, value| raw.timeouts.store_ms = value,
        |raw, value| raw.timeouts.connect_ms = value,
        |raw, value| raw.timeouts.lsp_ms = value,
        |raw, value| raw.timeouts.lsp_request_ms = value,
        |raw, value| raw.timeouts.stop_ms = value,
        |raw, value| raw.timeouts.commit_ms = value,
        |raw, value| {
            let cltv_expiry_delta = value.unwrap();
            raw.jit_route = Some(RawJitRoute { scid: "1x2x3".to_owned(), cltv_expiry_delta });
        },
    ];
    let set = options[usize::from(input.last().copied().unwrap_or(0)) % options.len()];
    with(|raw| set(raw, Some(value))).map_or_else(|error| refused(&error, &[Code::InvalidOption]), |_| true)
}

/// A whole secret with anything around it, in any option but its own: no error shows it.
fn secrets(input: &[u8]) -> bool {
    const SECRETS: [(&str, &[&str]); 3] = [
        (MORE_WORDS, &["hamster diagram", "inflict delay"]),
        ("postgres://admin:hunter2@db.example/wallets", &["hunter2"]),
        ("8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1", &["8a5edab28263", "7cbdfea0f1"]),
    ];
    let options: [fn(&mut RawConfig, String); 9] = [
        |raw, text| raw.network = text,
        |raw, text| raw.esplora_url = text,
        |raw, text| raw.lsp_node_id = text,
        |raw, text| raw.lsp_address = text,
        |raw, text| raw.lsp_protocol = Some(text),
        |raw, text| raw.store = text,
        |raw, text| raw.lease.take_over = Some(text),
        |raw, text| raw.lease.label = Some(text),
        |raw, text| raw.jit_route = Some(RawJitRoute { scid: text, cltv_expiry_delta: 1.0 }),
    ];
    let (before, after) = input.split_at(input.len() / 2);
    let mut taken = false;
    for (secret, parts) in SECRETS {
        let text = format!("{}{secret}{}", text(before), text(after));
        for set in options {
            let Err(error) = with(|raw| set(raw, text.clone())) else {
                taken = true;
                continue;
            };
            refused(&error, &[Code::InvalidOption]);
            let shown = format!("{error} {error:?}");
            assert!(!parts.iter().any(|part| shown.contains(part)), "{shown}");
        }
    }
    taken
}
