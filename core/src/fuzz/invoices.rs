//! BOLT 11: the texts that are read, and what is minted of any arguments.

use super::{refused, Target};
use crate::checkpoint::tests::keys;
use crate::error::Code;
use crate::invoice::{mint, Invoice, MintRequest};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use bitcoin::bech32::{Bech32, Fe32, Fe32IterExt, Hrp};
use bitcoin::Network;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef};
use std::str::FromStr;

pub(super) fn targets() -> Vec<Target> {
    let keys = keys(false);
    let lsp = crate::checkpoint::tests::keys(true).node_id();
    let texts = texts(&keys);
    let fields: Vec<Vec<u8>> = texts.iter().map(|text| fields(text)).collect();
    vec![
        Target::new("bolt11", 20_000, &texts, |input| reads_as_written(&String::from_utf8_lossy(input))),
        Target::new("bolt11-fields", 40_000, &fields, |input| reads_as_written(&with_checksum(input))),
        Target::new("mint", 10_000, &requests(), move |input| {
            let (route, request) = request_of(input);
            match mint(&keys, Network::Regtest, lsp, &route, &request) {
                Ok(invoice) => says_what_was_asked_for(&invoice, &route, &request),
                Err(error) => {
                    assert!(["amountMsat", "description", "expirySecs"].contains(&error.option.as_deref().unwrap()));
                    refused(&error, &[Code::InvalidArgument])
                }
            }
        }),
    ]
}

/// Ours, and the examples of BOLT 11 with the fields that we don't write.
fn texts(keys: &Keys) -> Vec<String> {
    let lsp = crate::checkpoint::tests::keys(true).node_id();
    let ours = [
        (Some(1), "tea", Network::Bitcoin),
        (None, "ein Täßchen", Network::Regtest),
        (Some(2_500_000_000), "", Network::Signet),
    ];
    let ours = ours.map(|(amount_msat, description, network)| {
        let route = JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 };
        let request = MintRequest { amount_msat, description: description.to_owned(), expiry_secs: 600 };
        mint(keys, network, lsp, &route, &request).unwrap().bolt11
    });
    let texts: Vec<String> = ours.into_iter().chain(EXAMPLES.map(str::to_owned)).collect();
    texts.iter().for_each(|text| assert!(Bolt11Invoice::from_str(text).is_ok(), "{text}"));
    texts
}

const EXAMPLES: [&str; 3] = [
    "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql",
    "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqsfpp3qjmp7lwpagxun9pygexvgpjdc4jdj85fr9yq20q82gphp2nflc7jtzrcazrra7wwgzxqc8u7754cdlpfrmccae92qgzqvzq2ps8pqqqqqqpqqqqq9qqqvpeuqafqxu92d8lr6fvg0r5gv0heeeqgcrqlnm6jhphu9y00rrhy4grqszsvpcgpy9qqqqqqgqqqqq7qqzq9qrsgqdfjcdk6w3ak5pca9hwfwfh63zrrz06wwfya0ydlzpgzxkn5xagsqz7x9j4jwe7yj7vaf2k9lqsdk45kts2fd0fkr28am0u4w95tt2nsq76cqw0",
    "lnbc9678785340p1pwmna7lpp5gc3xfm08u9qy06djf8dfflhugl6p7lgza6dsjxq454gxhj9t7a0sd8dgfkx7cmtwd68yetpd5s9xar0wfjn5gpc8qhrsdfq24f5ggrxdaezqsnvda3kkum5wfjkzmfqf3jkgem9wgsyuctwdus9xgrcyqcjcgpzgfskx6eqf9hzqnteypzxz7fzypfhg6trddjhygrcyqezcgpzfysywmm5ypxxjemgw3hxjmn8yptk7untd9hxwg3q2d6xjcmtv4ezq7pqxgsxzmnyyqcjqmt0wfjjq6t5v4khxsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygsxqyjw5qcqp2rzjq0gxwkzc8w6323m55m4jyxcjwmy7stt9hwkwe2qxmy8zpsgg7jcuwz87fcqqeuqqqyqqqqlgqqqqn3qq9q9qrsgqrvgkpnmps664wgkp43l22qsgdw4ve24aca4nymnxddlnp8vh9v2sdxlu5ywdxefsfvm0fq3sesf08uf6q9a2ke0hc9j6z6wlxg5z5kqpu2v9wz",
];

/// What is read prints as a text that reads as the same.
fn reads_as_written(text: &str) -> bool {
    let Ok(invoice) = Bolt11Invoice::from_str(text) else { return false };
    let printed = invoice.to_string();
    assert_eq!(Bolt11Invoice::from_str(&printed).as_ref(), Ok(&invoice), "{text} prints as {printed}");
    // What a payer asks of it.
    let _ =
        (invoice.amount_milli_satoshis(), invoice.expires_at(), invoice.is_expired(), invoice.recover_payee_pub_key());
    let _ = (invoice.route_hints(), invoice.min_final_cltv_expiry_delta(), invoice.fallback_addresses());
    true
}

/// The readable part, a line break, and the data as numbers of 5 bits, without the checksum: broken, these get deeper than a text
/// whose checksum does not match.
fn fields(text: &str) -> Vec<u8> {
    let (readable, data) = text.rsplit_once('1').unwrap();
    let data = data[..data.len() - 6].chars().map(|c| Fe32::from_char(c).unwrap().to_u8());
    readable.bytes().chain([b'\n']).chain(data).collect()
}

fn with_checksum(fields: &[u8]) -> String {
    let end = fields.iter().position(|byte| *byte == b'\n').unwrap_or(fields.len());
    let readable = String::from_utf8_lossy(&fields[..end]);
    let Ok(readable) = Hrp::parse(&readable) else { return readable.into_owned() };
    let data = fields.iter().skip(end + 1).map(|byte| Fe32::try_from(byte & 31).unwrap());
    data.with_checksum::<Bech32>(&readable).chars().collect()
}

/// 8 bytes amount (all zeros: none), 4 bytes expiry, 8 bytes scid, 2 bytes delta, the description.
fn requests() -> Vec<Vec<u8>> {
    let request = |amount: u64, expiry: u32, description: &str| {
        let mut bytes = amount.to_be_bytes().to_vec();
        bytes.extend(expiry.to_be_bytes());
        bytes.extend((512_345u64 << 40 | 5).to_be_bytes());
        bytes.extend(72u16.to_be_bytes());
        bytes.extend(description.as_bytes());
        bytes
    };
    vec![
        request(21_000, 900, "One report"),
        request(0, 1, ""),
        request(u64::MAX / 10, 31_536_000, &"é".repeat(319)),
        request(1, 60, &"x".repeat(639)),
    ]
}

fn request_of(input: &[u8]) -> (JitRoute, MintRequest) {
    let mut bytes = input.iter().copied();
    let mut number = |width: usize| bytes.by_ref().take(width).fold(0u64, |number, byte| number << 8 | u64::from(byte));
    let amount = number(8);
    let expiry_secs = number(4) as u32;
    let route = JitRoute { scid: number(8), cltv_expiry_delta: number(2) as u16 };
    let description = String::from_utf8_lossy(input.get(22..).unwrap_or_default()).into_owned();
    (route, MintRequest { amount_msat: (amount != 0).then_some(amount), description, expiry_secs })
}

fn says_what_was_asked_for(minted: &Invoice, route: &JitRoute, request: &MintRequest) -> bool {
    let invoice = Bolt11Invoice::from_str(&minted.bolt11).unwrap();
    assert_eq!(invoice.amount_milli_satoshis(), request.amount_msat);
    assert_eq!(invoice.expiry_time().as_secs(), u64::from(request.expiry_secs));
    assert_eq!(invoice.payment_hash().to_string(), minted.payment_hash);
    let Bolt11InvoiceDescriptionRef::Direct(description) = invoice.description() else { panic!("a hash") };
    assert_eq!(description.as_inner().0, request.description);
    let hints = invoice.private_routes();
    let hop = &hints[0].0[0];
    assert_eq!((hints.len(), hop.short_channel_id, hop.cltv_expiry_delta), (1, route.scid, route.cltv_expiry_delta));
    true
}
