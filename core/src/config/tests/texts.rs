use super::*;

#[test]
fn a_network_is_one_of_four_exact_names_and_never_a_fallback() {
    for (name, network) in [
        ("mainnet", Network::Bitcoin),
        ("testnet", Network::Testnet),
        ("signet", Network::Signet),
        ("regtest", Network::Regtest),
    ] {
        assert_eq!(network::parse(name), Ok(network));
        assert_eq!(network::name(network), name);
    }
    for (name, expected) in [
        ("regtest\r\n", "; remove the whitespace"),
        ("'regtest'", "; remove the quotation marks"),
        ("\u{feff}regtest", "; remove the invisible character"),
    ] {
        let message = refused("network", |raw| raw.network = name.to_owned());
        assert!(message.contains(expected), "{message}");
    }
    for name in ["", "Mainnet", "bitcoin", "main", " mainnet", "testnet4", "simnet", ABANDON] {
        let message = refused("network", |raw| raw.network = name.to_owned());
        assert!(message.contains("'mainnet', 'testnet', 'signet' or 'regtest'"), "{message}");
    }
}

#[test]
fn a_wrong_mnemonic_says_what_is_wrong_and_never_shows_a_word() {
    let zoo = "zoo ".repeat(11);
    for (text, expected) in [
        (String::new(), "the mnemonic is empty; 12, 15, 18, 21 or 24 words are valid"),
        ("zoo".to_owned(), "the mnemonic has 1 word; 12, 15, 18, 21 or 24 are valid"),
        (zoo.clone(), "the mnemonic has 11 words; 12, 15, 18, 21 or 24 are valid"),
        (format!("{zoo} zoo"), "the mnemonic's checksum does not match"),
        (format!("{zoo} zoological"), "word 12 of 12 of the mnemonic is not in the English BIP 39 list"),
        (
            format!("zoo Zoo {zoo}").replacen(" zoo ", " ", 1),
            "word 2 of 12 of the mnemonic is not in the English BIP 39 list; the words are lower case",
        ),
        (format!("\"{zoo} wrong\""), "; remove the quotation marks around it"),
        (format!("{zoo} wrong").replace(' ', ", "), "; separate the words by spaces, not commas"),
        (
            format!("1.zoo {}", &zoo),
            "word 1 of 12 of the mnemonic is not in the English BIP 39 list; leave out the numbers",
        ),
        (format!("{zoo} wröng"), "; it has characters outside plain a–z"),
    ] {
        let message = refused("mnemonic", |raw| raw.mnemonic.clone_from(&text));
        assert!(message.contains(expected), "{message}");
        assert!(!message.to_lowercase().contains("zoo") && !message.contains("wrö"), "{message}");
    }
    for words in [12, 15, 18, 21, 24] {
        let text = bip39::Mnemonic::from_entropy(&vec![7; words / 3 * 4]).unwrap().to_string();
        with(|raw| raw.mnemonic = format!(" \t{text}\r\n")).unwrap();
    }
}

#[test]
fn an_esplora_url_is_normalised_only_where_it_means_the_same() {
    for (given, expected) in [
        ("https://blockstream.info/api", "https://blockstream.info/api"),
        ("https://blockstream.info/api/", "https://blockstream.info/api"),
        ("https://mempool.space/signet/api//", "https://mempool.space/signet/api"),
        ("HTTPS://Mempool.Space/API", "https://mempool.space/API"),
        ("http://localhost:3002/", "http://localhost:3002"),
        ("http://esplora_1:80", "http://esplora_1:80"),
        ("http://[::1]:3002/x", "http://[::1]:3002/x"),
        ("https://10.0.0.1", "https://10.0.0.1"),
        ("https://e.example/api%2Fkey", "https://e.example/api%2Fkey"),
    ] {
        assert_eq!(with(|raw| raw.esplora_url = given.to_owned()).unwrap().esplora_url, expected);
    }
    for (given, expected) in [
        ("", "must begin with https://"),
        ("blockstream.info/api", "must begin with https://"),
        ("ftp://example.com", "scheme"),
        ("https://", "host is missing"),
        ("https:///api", "host is missing"),
        ("https://:443", "host is missing"),
        ("https://example.com:0", "port"),
        ("https://example.com:65536", "port"),
        ("https://example.com:+443", "port"),
        ("https://example.com:", "port"),
        ("https://exa mple.com", "whitespace"),
        (" https://example.com", "whitespace"),
        ("https://example.com/api\n", "whitespace"),
        ("https://example.com/api?key=1", "query"),
        ("https://example.com#x", "query"),
        ("https://user@example.com", "user name or password"),
        ("https://bücher.example", "punycode"),
        ("https://::1:3002", "brackets"),
        ("https://example.com/<api>", "characters"),
        ("https://example.com/api\"", "characters"),
        ("https://example.com/äpi", "characters"),
        ("https://example.com/api\u{200b}", "can't be seen"),
        ("https://exa\\mple.com/", "neither an IP address nor a DNS name"),
    ] {
        let message = refused("esploraUrl", |raw| raw.esplora_url = given.to_owned());
        assert!(message.contains(expected), "{given}: {message}");
    }
}

#[test]
fn an_lsp_node_id_is_a_point_on_the_curve_in_66_hexadecimal_characters() {
    assert_eq!(with(|raw| raw.lsp_node_id = LSP.to_uppercase()).unwrap().lsp.node_id.to_string(), LSP);
    let off_curve = format!("02{}", "f".repeat(64));
    for (given, expected) in [
        ("", "has 0 characters"),
        (&LSP[2..], "has 64 characters"),
        (&format!("{LSP}00"), "has 68 characters"),
        (&format!("0x{}", &LSP[2..]), "character 2 is not"),
        (&format!("{LSP} "), "character 67 is not"),
        (&format!("{LSP}@127.0.0.1:9735"), "lspAddress"),
        (&format!("04{}", &LSP[2..]), "begin with 02 or 03"),
        (&off_curve, "not a point on the curve"),
    ] {
        let message = refused("lspNodeId", |raw| raw.lsp_node_id = given.to_owned());
        assert!(message.contains(expected), "{given}: {message}");
    }
}

#[test]
fn an_lsp_address_is_a_host_and_a_port() {
    for (given, host, port) in [
        ("1.2.3.4:9735", "1.2.3.4", 9735),
        ("[::1]:1", "::1", 1),
        ("[2001:DB8:0:0::1]:65535", "2001:db8::1", 65535),
        ("LSP.example.com:9735", "lsp.example.com", 9735),
        ("localhost:9735", "localhost", 9735),
        ("lsp_1:9735", "lsp_1", 9735),
        ("3com.example:9735", "3com.example", 9735),
    ] {
        let lsp = with(|raw| raw.lsp_address = given.to_owned()).unwrap().lsp;
        assert_eq!((lsp.host.as_str(), lsp.port), (host, port));
    }
    let long = format!("{}:9735", "a".repeat(64));
    for (given, expected) in [
        ("", "host is missing"),
        ("lsp.example.com", "port is missing"),
        ("lsp.example.com:", "port must be"),
        ("lsp.example.com:0", "port must be"),
        ("lsp.example.com:65536", "port must be"),
        ("lsp.example.com:-1", "port must be"),
        ("lsp.example.com:+1", "port must be"),
        ("lsp.example.com:97 35", "port must be"),
        ("lsp.example.com:9735/", "port must be"),
        (":9735", "host is missing"),
        ("::1:9735", "brackets"),
        ("[::1]", "port is missing"),
        ("[::1]9735", "colon and a port"),
        ("[::1:9735", "never closed"),
        ("[lsp.example.com]:9735", "not an IPv6 address"),
        ("[fe80::1%eth0]:9735", "not an IPv6 address"),
        ("1.2.3:9735", "not an IPv4 address"),
        ("256.1.1.1:9735", "not an IPv4 address"),
        ("tcp://lsp.example.com:9735", "scheme"),
        ("-lsp.example.com:9735", "DNS name"),
        ("lsp..com:9735", "DNS name"),
        ("lsp example:9735", "DNS name"),
        (&long, "DNS name"),
        ("lspé.com:9735", "punycode"),
        ("abc.onion:9735", "Tor"),
        (&format!("{LSP}@1.2.3.4:9735"), "lspNodeId"),
    ] {
        let message = refused("lspAddress", |raw| raw.lsp_address = given.to_owned());
        assert!(message.contains(expected), "{given}: {message}");
    }
    assert!(refused("lspAddress", |raw| raw.lsp_address = "a.b:0".to_owned()).contains("\"a.b:0\""));
}

#[test]
fn an_lsp_protocol_is_one_that_is_built() {
    for given in ["auto", "lsps4"] {
        with(|raw| raw.lsp_protocol = Some(given.to_owned())).unwrap();
    }
    let message = refused("lspProtocol", |raw| raw.lsp_protocol = Some("lsps2".to_owned()));
    assert!(message.contains("'lsps4' and 'auto' it has"), "{message}");
    for given in ["", "LSPS4", "lsps1"] {
        refused("lspProtocol", |raw| raw.lsp_protocol = Some(given.to_owned()));
    }
}

#[test]
fn a_jit_route_has_a_scid_and_a_delta_that_a_payer_accepts() {
    let route = |scid: &str, delta| {
        let route = RawJitRoute { scid: scid.to_owned(), cltv_expiry_delta: delta };
        move |raw: &mut RawConfig| raw.jit_route = Some(route)
    };
    for delta in [1.0, 2016.0] {
        with(route("1x2x3", delta)).unwrap();
    }
    for delta in [0.0, -1.0, 2017.0, 72.5, f64::NAN, f64::INFINITY, 65_537.0] {
        refused("jitRoute.cltvExpiryDelta", route("1x2x3", delta));
    }
    for scid in ["", "1x2", "+1x2x3", "1x2x65536", "72"] {
        refused("jitRoute.scid", route(scid, 72.0));
    }
    assert!(refused("jitRoute.scid", route("1x2", 72.0)).contains("\"1x2\""));
}

#[test]
fn a_file_store_is_a_directory_however_users_write_it() {
    let here = std::env::current_dir().unwrap();
    for (given, expected) in [
        ("file:/var/lib/wallet", PathBuf::from("/var/lib/wallet")),
        ("file:///var/lib/wallet", PathBuf::from("/var/lib/wallet")),
        ("file:/with space/ü%", PathBuf::from("/with space/ü%")),
        ("file:wallet", here.join("wallet")),
        ("file:./wallet", here.join("wallet")),
        ("file:/tmp/wallet", PathBuf::from("/tmp/wallet")),
    ] {
        assert_eq!(with(|raw| raw.store = given.to_owned()).unwrap().store, StoreUrl::File(expected));
    }
}

#[test]
fn a_store_that_is_unknown_or_ambiguous_is_refused() {
    for (given, expected) in [
        ("", "'file:<directory>'"),
        ("file", "'file:<directory>'"),
        ("memory", "'memory:'"),
        ("memory:x", "can't have"),
        ("sqlite:/x", "'file:<directory>'"),
        ("postgres://user:pa/ss@db/x", "percent-encode"),
        ("vss+https://x", "'vss+https:'"),
        ("/var/lib/wallet", "write 'file:' before"),
        ("./wallet", "write 'file:' before"),
        ("file:", "names no directory"),
        ("file:/", "names no directory"),
        ("file://", "names no directory"),
        ("file:///", "names no directory"),
        ("file:////", "names no directory"),
        ("file://wallet", "host"),
        ("file://localhost/x", "host"),
        ("file:~/wallet", "shell"),
        ("file:/x?mode=ro", "query"),
        ("file:/x#y", "query"),
        ("file:///a%20b", "percent"),
        ("file:/x\0", "can't be seen"),
        ("file:/a\nb", "can't be seen"),
        ("file:/x\"", "quotation mark"),
        ("file:/x\u{200b}", "can't be seen"),
        ("file:x\"/.", "quotation mark"),
        ("file:/x /.", "whitespace"),
        ("\"file:/x\"", "quotation marks"),
        ("memory:\r\n", "whitespace (a space or a line end)"),
        ("file:/x\n", "whitespace"),
        ("file: /x", "whitespace"),
    ] {
        let message = refused("store", |raw| raw.store = given.to_owned());
        assert!(message.contains(expected), "{given}: {message}");
        assert!(!message.contains("ss@") && !message.contains("user"), "{message}");
    }
}

#[test]
fn mainnet_refuses_a_store_that_does_not_last() {
    let mainnet = |store: String| {
        move |raw: &mut RawConfig| {
            raw.network = "mainnet".to_owned();
            raw.store = store;
        }
    };
    assert!(refused("store", mainnet("memory:".to_owned())).contains("forgets"));
    let configured = std::env::temp_dir().join("wallet");
    for store in [
        "file:/tmp",
        "file:/tmp/wallet",
        "file:///tmp/wallet",
        "file:/var/tmp/wallet",
        "file:/dev/shm/wallet",
        "file:/var/folders/x/T/wallet",
        "file:/var/lib/../../tmp/wallet",
        "file:/./tmp/wallet",
        &format!("file:{}", configured.display()),
    ] {
        let message = refused("store", mainnet(store.to_owned()));
        assert!(message.contains("temporary folder"), "{message}");
    }
    for store in ["file:/var/lib/wallet", "file:/tmpx/wallet", "file:/tmp/../srv/wallet", "file:/srv/tmp/wallet"] {
        with(mainnet(store.to_owned())).unwrap();
    }
}
