use super::*;
use crate::config::Mnemonic;
use lightning_invoice::Bolt11InvoiceDescriptionRef;
use std::collections::HashSet;
use std::str::FromStr;

const MNEMONIC: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const LSP: &str = "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c";
const ROUTE: JitRoute = JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 };
const NOW: Duration = Duration::from_millis(1_760_000_000_987);

fn keys() -> Keys {
    Keys::derive(&Mnemonic::parse(MNEMONIC).unwrap(), Network::Regtest).unwrap()
}

fn lsp() -> PublicKey {
    PublicKey::from_str(LSP).unwrap()
}

fn request(amount_msat: Option<u64>, description: &str, expiry_secs: u32) -> MintRequest {
    MintRequest { amount_msat, description: description.to_owned(), expiry_secs }
}

fn mint_regtest(request: &MintRequest) -> Result<Invoice> {
    mint_at(NOW, &keys(), Network::Regtest, lsp(), &ROUTE, request)
}

fn description(parsed: &Bolt11Invoice) -> String {
    match parsed.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => text.as_inner().0.clone(),
        Bolt11InvoiceDescriptionRef::Hash(_) => "a hash".to_owned(),
    }
}

#[test]
fn every_field_of_an_invoice_reads_back_as_it_was_asked_for() {
    let invoice = mint_regtest(&request(Some(21_000), "One report", 900)).unwrap();
    let parsed = Bolt11Invoice::from_str(&invoice.bolt11).unwrap();

    assert!(invoice.bolt11.starts_with("lnbcrt210n1"));
    assert_eq!(parsed.network(), Network::Regtest);
    assert_eq!(parsed.amount_milli_satoshis(), Some(21_000));
    assert_eq!(description(&parsed), "One report");
    assert_eq!(parsed.duration_since_epoch(), Duration::from_secs(1_760_000_000));
    assert_eq!(parsed.expiry_time(), Duration::from_secs(900));
    assert_eq!(parsed.min_final_cltv_expiry_delta(), 144);
    assert_eq!(parsed.recover_payee_pub_key(), keys().node_id());
    assert_eq!(parsed.payee_pub_key(), None);
    assert!(parsed.fallbacks().is_empty());
    assert!(parsed.payment_metadata().is_none());

    let features = parsed.features().unwrap();
    assert!(features.requires_variable_length_onion() && features.requires_payment_secret());
    assert!(features.supports_basic_mpp() && !features.requires_basic_mpp());

    assert_eq!(invoice.payment_hash, parsed.payment_hash().to_string());
    assert_eq!(invoice.payment_hash.len(), 64);
    assert_eq!(invoice.expires_at_ms, 1_760_000_900_000);
    assert_eq!(parsed.expires_at().unwrap().as_millis() as u64, invoice.expires_at_ms);
    assert_eq!(invoice.scid, ROUTE.scid);
    assert_eq!(invoice.amount_msat, Some(21_000));
}

#[test]
fn the_only_way_in_is_one_free_hop_through_the_lsp() {
    let invoice = mint_regtest(&request(Some(1), "", 1)).unwrap();
    let hints = Bolt11Invoice::from_str(&invoice.bolt11).unwrap().route_hints();
    assert_eq!(hints, [hint(lsp(), &ROUTE)]);
    let hop = &hints[0].0[0];
    assert_eq!(hints[0].0.len(), 1);
    assert_eq!((hop.src_node_id, hop.short_channel_id, hop.cltv_expiry_delta), (lsp(), ROUTE.scid, 72));
    assert_eq!((hop.fees.base_msat, hop.fees.proportional_millionths), (0, 0));
    assert_eq!((hop.htlc_minimum_msat, hop.htlc_maximum_msat), (None, None));
}

#[test]
fn an_invoice_without_an_amount_takes_no_parts() {
    let invoice = mint_regtest(&request(None, "Whatever you like", 60)).unwrap();
    let parsed = Bolt11Invoice::from_str(&invoice.bolt11).unwrap();
    assert_eq!((parsed.amount_milli_satoshis(), invoice.amount_msat), (None, None));
    let features = parsed.features().unwrap();
    assert!(features.requires_variable_length_onion() && features.requires_payment_secret());
    assert!(!features.supports_basic_mpp());
}

#[test]
fn each_network_has_its_prefix_and_a_network_without_one_is_an_error() {
    let mint = |network| mint_at(NOW, &keys(), network, lsp(), &ROUTE, &request(None, "", 1));
    for (network, prefix) in [
        (Network::Bitcoin, "lnbc1"),
        (Network::Testnet, "lntb1"),
        (Network::Signet, "lntbs1"),
        (Network::Regtest, "lnbcrt1"),
    ] {
        assert!(mint(network).unwrap().bolt11.starts_with(prefix));
    }
    assert_eq!(mint(Network::Testnet4).unwrap_err().code, Code::Internal);
}

#[test]
fn equal_requests_give_different_payment_hashes_and_secrets() {
    let (keys, request) = (keys(), request(Some(5), "same", 60));
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let invoice = mint(&keys, Network::Regtest, lsp(), &ROUTE, &request).unwrap();
        let secret = Bolt11Invoice::from_str(&invoice.bolt11).unwrap().payment_secret().0;
        assert!(seen.insert(invoice.payment_hash) && seen.insert(format!("{secret:?}")));
    }
}

#[test]
fn a_description_may_be_any_text_of_up_to_639_bytes_without_a_null() {
    let euros = "€".repeat(213);
    assert_eq!(euros.len(), 639);
    for text in ["", "\n\t\"'<&>", "🦟 mayfly", "\u{202e}", &"a".repeat(639), &euros] {
        let invoice = mint_regtest(&request(Some(1), text, 60)).unwrap();
        assert_eq!(description(&Bolt11Invoice::from_str(&invoice.bolt11).unwrap()), text);
    }
    for text in ["a".repeat(640), format!("{euros}a"), "🦟".repeat(160), "a".repeat(1_000_000)] {
        let error = mint_regtest(&request(Some(1), &text, 60)).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("description")));
        assert!(error.message.contains(&text.len().to_string()) && error.message.len() < 200);
    }
    for text in ["\0", "a\0b", "a\0"] {
        let error = mint_regtest(&request(Some(1), text, 60)).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("description")));
        assert!(error.message.contains("null character"), "{error}");
    }
}

#[test]
fn an_amount_is_at_least_one_and_at_most_what_an_invoice_can_say() {
    for amount in [1, 999, 1_000, MAX_AMOUNT_MSAT - 1, MAX_AMOUNT_MSAT] {
        let invoice = mint_regtest(&request(Some(amount), "", 60)).unwrap();
        assert_eq!(Bolt11Invoice::from_str(&invoice.bolt11).unwrap().amount_milli_satoshis(), Some(amount));
    }
    for amount in [0, MAX_AMOUNT_MSAT + 1, u64::MAX] {
        let error = mint_regtest(&request(Some(amount), "", 60)).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("amountMsat")));
    }
}

#[test]
fn an_expiry_is_at_least_a_second_and_at_most_a_year() {
    for expiry in [1, 3_600, MAX_EXPIRY_SECS] {
        let invoice = mint_regtest(&request(None, "", expiry)).unwrap();
        let parsed = Bolt11Invoice::from_str(&invoice.bolt11).unwrap();
        assert_eq!(parsed.expiry_time().as_secs(), u64::from(expiry));
    }
    for expiry in [0, MAX_EXPIRY_SECS + 1, u32::MAX] {
        let error = mint_regtest(&request(None, "", expiry)).unwrap_err();
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("expirySecs")));
    }
}

#[test]
fn a_clock_that_is_far_off_is_an_error_or_an_invoice_never_a_panic() {
    let at = |now| mint_at(now, &keys(), Network::Regtest, lsp(), &ROUTE, &request(Some(1), "", MAX_EXPIRY_SECS));
    assert!(at(Duration::ZERO).is_ok());
    assert!(at(Duration::from_secs(lightning_invoice::MAX_TIMESTAMP)).is_ok());
    assert_eq!(at(Duration::from_secs(lightning_invoice::MAX_TIMESTAMP + 1)).unwrap_err().code, Code::Internal);
    assert_eq!(at(Duration::MAX).unwrap_err().code, Code::Internal);
}

/// SplitMix64: enough to wander through the arguments, and the same on every machine.
struct Wander(u64);

impl Wander {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Small, huge and edge values alike: uniform bits, shifted by a random amount.
    fn number(&mut self) -> u64 {
        let shift = self.next() % 64;
        self.next() >> shift
    }
}

#[test]
fn whatever_is_asked_for_the_answer_is_a_good_invoice_or_invalid_argument() {
    let seed = std::env::var("MAYFLY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from_ne_bytes(entropy::random()));
    eprintln!("rerun: MAYFLY_SEED={seed} cargo test -p mayfly-core whatever_is_asked_for");
    let (mut wander, keys) = (Wander(seed), keys());
    for _ in 0..500 {
        let length = wander.number() % 700;
        let text =
            (0..length).map(|_| char::from_u32(wander.number() as u32).unwrap_or('\u{fffd}')).collect::<String>();
        let amount = if wander.next() % 4 == 0 { None } else { Some(wander.number()) };
        let request = request(amount, &text, wander.number() as u32);
        let route = JitRoute { scid: wander.number(), cltv_expiry_delta: wander.number() as u16 };
        match mint(&keys, Network::Signet, lsp(), &route, &request) {
            Ok(invoice) => {
                let parsed = Bolt11Invoice::from_str(&invoice.bolt11).unwrap();
                assert_eq!(parsed.amount_milli_satoshis(), amount);
                assert_eq!(description(&parsed), text);
                assert_eq!(parsed.route_hints(), [hint(lsp(), &route)]);
                assert_eq!(parsed.recover_payee_pub_key(), keys.node_id());
            }
            Err(error) => assert_eq!(error.code, Code::InvalidArgument, "{error}"),
        }
    }
}
