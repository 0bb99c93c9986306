//! What a node of the lab does wrong on purpose: the LSP that a wallet must survive.
//!
//! The node under it stays a real one: its channels, commitments and signatures are LDK's. What leaves it is bent at two
//! places only: channel messages on their way out and in (`tamper`), and messages of any type that LDK never made (`say`). So a
//! test can have an honest LSP turn hostile in the middle of a payment, and honest again.
//!
//! All of it is off at the start, and off again after a restart of the node.

mod tamper;

pub use tamper::Tamper;

use crate::node::{Base, RawMessage};
use bitcoin::secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// What is bent; the default bends nothing. Replaced as a whole by `POST /lsp/hostile`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rules {
    /// BOLT names of channel messages that it never sends; those that `tamper` knows.
    pub mute: Vec<String>,
    /// BOLT names of channel messages that it never hears, nor anything of that channel's peer after one, until it comes anew.
    pub deaf: Vec<String>,
    /// Keeps the skim, and does not say so (TLV 65537 is missing).
    pub hide_skim: bool,
    /// Fields of `open_channel` that are not what LDK wrote.
    pub open_channel: OpenChannelFields,
    /// `init` without any feature.
    pub no_features: bool,
    /// A feature bit of `init` beside LDK's own; an even one is required.
    pub feature: Option<usize>,
    /// Disconnects each peer as soon as `init` is exchanged.
    pub drop_peers: bool,
    /// Said to each peer as soon as it is connected; `channel_reestablish` goes before it.
    pub greeting: Vec<Saying>,
    /// What each LSPS message is answered with instead; `$id` is the request's id. Empty: never an answer.
    pub lsps: Option<Vec<String>>,
}

/// See [`Rules::open_channel`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OpenChannelFields {
    /// What the client must keep in the channel, in satoshi.
    pub channel_reserve_sat: Option<u64>,
    /// Below which outputs are left out, in satoshi.
    pub dust_limit_sat: Option<u64>,
    /// The smallest HTLC that the client may send.
    pub htlc_minimum_msat: Option<u64>,
    /// How long the client waits for its own money after its own close, in blocks.
    pub to_self_delay: Option<u16>,
    /// How many HTLCs the client may have on their way.
    pub max_accepted_htlcs: Option<u16>,
    /// The commitment's fee rate, in satoshi per 1,000 weight units.
    pub feerate_per_kw: Option<u32>,
    /// The channel's size, in satoshi.
    pub funding_sat: Option<u64>,
}

/// A message that LDK never made: `hex`, or `text`, so many times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Saying {
    /// BOLT 1's message type.
    #[serde(rename = "type")]
    pub kind: u16,
    /// What follows the type, in hex.
    #[serde(default)]
    pub hex: String,
    /// Appended to it, as UTF-8.
    #[serde(default)]
    pub text: String,
    /// How often; once by default.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Saying {
    /// The bytes after the type. `None`: the hex is none.
    fn bytes(&self) -> Option<Vec<u8>> {
        let digits = self.hex.as_bytes();
        let pairs = digits.chunks(2).map(|pair| {
            let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
            u8::from_str_radix(text, 16).ok()
        });
        let mut bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
        bytes.extend(self.text.as_bytes());
        Some(bytes)
    }
}

impl Rules {
    /// Whether all of it can be done; the error names what can't.
    pub fn check(&self) -> Result<(), String> {
        if let Some(unknown) = self.mute.iter().find(|name| !tamper::MUTABLE.contains(&name.as_str())) {
            return Err(format!("mute: {unknown:?} is none of {:?}", tamper::MUTABLE));
        }
        if let Some(unknown) = self.deaf.iter().find(|name| !tamper::HEARD.contains(&name.as_str())) {
            return Err(format!("deaf: {unknown:?} is none of {:?}", tamper::HEARD));
        }
        check_sayings(&self.greeting)
    }
}

/// Whether each can be said.
pub fn check_sayings(sayings: &[Saying]) -> Result<(), String> {
    match sayings.iter().find(|saying| saying.bytes().is_none()) {
        Some(saying) => Err(format!("hex {:?} is no hexadecimal text", saying.hex)),
        None => Ok(()),
    }
}

/// The rules as the control API, the node and its connections share them.
#[derive(Clone, Default)]
pub struct Hostile(Arc<Mutex<Rules>>);

impl Hostile {
    /// As they are now.
    pub fn rules(&self) -> Rules {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on.
    pub fn set(&self, rules: Rules) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// What a peer gets to hear that just connected.
    pub fn greet(&self, node: &Base, peer: PublicKey) {
        let Rules { drop_peers, greeting, .. } = self.rules();
        say(node, peer, &greeting);
        if drop_peers {
            node.peers.process_events();
            node.peers.disconnect_by_node_id(peer);
        }
    }

    /// Answers an LSPS message in the node's place. False: the node answers it.
    pub fn answers(&self, node: &Base, peer: PublicKey, json: Option<&str>) -> bool {
        let Some(answers) = self.rules().lsps else { return false };
        let id = json.and_then(id_of).unwrap_or_default();
        for answer in answers {
            node.port.send(peer, answer.replace("$id", &id));
        }
        true
    }
}

/// Says all of it to that peer, if it is still there when LDK writes.
pub fn say(node: &Base, peer: PublicKey, sayings: &[Saying]) {
    for saying in sayings {
        let Some(bytes) = saying.bytes() else { continue };
        for _ in 0..saying.times {
            node.port.send_raw(peer, RawMessage { kind: saying.kind, bytes: bytes.clone() });
        }
    }
}

fn id_of(json: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(json).ok()?;
    message.get("id")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(hex: &str, text: &str) -> Saying {
        Saying { kind: 1, hex: hex.into(), text: text.into(), times: 1 }
    }

    #[test]
    fn what_is_said_is_its_hex_and_then_its_text() {
        assert_eq!(saying("00ff", "{}").bytes(), Some(vec![0, 255, b'{', b'}']));
        assert_eq!(saying("0", "").bytes(), None);
        assert_eq!(saying("zz", "").bytes(), None);
        assert_eq!(saying("é", "").bytes(), None);
    }

    #[test]
    fn rules_that_cannot_be_followed_are_refused_with_a_reason() {
        let mute = |name: &str| Rules { mute: vec![name.into()], ..Rules::default() };
        assert_eq!(mute("channel_reestablish").check(), Ok(()));
        assert!(mute("chanel_reestablish").check().unwrap_err().contains("chanel_reestablish"));
        let deaf = |name: &str| Rules { deaf: vec![name.into()], ..Rules::default() };
        assert_eq!(deaf("update_fulfill_htlc").check(), Ok(()));
        assert!(deaf("update_fullfil_htlc").check().unwrap_err().contains("update_fullfil_htlc"));
        let greeting = Rules { greeting: vec![saying("0g", "")], ..Rules::default() };
        assert!(greeting.check().unwrap_err().contains("0g"));
    }
}
