//! LSPS0's transport on a connection: messages of type 37913 in and out, and who is connected.
//!
//! Only queues: what a message means is decided by the node's role in its next turn, where it can call LDK and commit.

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{DecodeError, Init, LightningError};
use lightning::ln::peer_handler::CustomMessageHandler;
use lightning::ln::wire::{CustomMessageReader, Type};
use lightning::types::features::{InitFeatures, NodeFeatures};
use lightning::util::ser::{LengthLimitedRead, Writeable, Writer};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The one message type of all LSPS protocols (bLIP-50).
const LSPS_TYPE: u16 = 37913;

/// One LSPS message: bare JSON, without a length prefix. Bytes that are no UTF-8 are `None`: a role answers them as a parse error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LspsMessage(pub Option<String>);

impl Type for LspsMessage {
    fn type_id(&self) -> u16 {
        LSPS_TYPE
    }
}

impl Writeable for LspsMessage {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        writer.write_all(self.0.as_deref().unwrap_or_default().as_bytes())
    }
}

/// What came from peers, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A connection is up; its channels are not reestablished yet.
    Connected(PublicKey),
    /// It is gone.
    Disconnected(PublicKey),
    /// A peer sent this.
    Message(PublicKey, LspsMessage),
}

/// What a port's connection carries: LSPS, or any bytes under any type for what a peer must withstand (`hostile`).
#[derive(Clone, PartialEq, Eq)]
pub enum PortMessage {
    /// Bare JSON, both ways.
    Lsps(LspsMessage),
    /// Bytes that LDK does not look at; only sent.
    Raw(RawMessage),
}

/// A message of any type, without its length.
#[derive(Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// BOLT 1's message type.
    pub kind: u16,
    /// All that follows the type.
    pub bytes: Vec<u8>,
}

/// As the wire log reads it: see `wire_log`.
impl std::fmt::Debug for PortMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PortMessage::Lsps(message) => message.fmt(f),
            PortMessage::Raw(RawMessage { kind, bytes }) => write!(f, "Raw{kind} {{ {} bytes }}", bytes.len()),
        }
    }
}

impl Type for PortMessage {
    fn type_id(&self) -> u16 {
        match self {
            PortMessage::Lsps(message) => message.type_id(),
            PortMessage::Raw(RawMessage { kind, .. }) => *kind,
        }
    }
}

impl Writeable for PortMessage {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        match self {
            PortMessage::Lsps(message) => message.write(writer),
            PortMessage::Raw(RawMessage { bytes, .. }) => writer.write_all(bytes),
        }
    }
}

#[derive(Default)]
struct Queues {
    received: Vec<Received>,
    sending: Vec<(PublicKey, PortMessage)>,
    connected: BTreeSet<PublicKey>,
}

/// LDK's custom message handler of every lab node.
pub struct Port {
    queues: Mutex<Queues>,
    wake: Arc<Notify>,
}

impl Port {
    /// An empty one that notifies `wake` when something came.
    pub fn new(wake: Arc<Notify>) -> Self {
        Port { queues: Mutex::default(), wake }
    }

    /// Whether LDK has a connection with that peer.
    pub fn is_connected(&self, peer: &PublicKey) -> bool {
        self.queues().connected.contains(peer)
    }

    /// Everyone connected.
    pub fn connected(&self) -> Vec<PublicKey> {
        self.queues().connected.iter().copied().collect()
    }

    /// What came since the last call.
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.queues().received)
    }

    /// Sends JSON, if the peer is still connected when LDK next writes.
    pub fn send(&self, peer: PublicKey, json: String) {
        self.queues().sending.push((peer, PortMessage::Lsps(LspsMessage(Some(json)))));
    }

    /// Sends anything, likewise. What does not fit into a Lightning message (65,533 bytes) is dropped by LDK.
    pub fn send_raw(&self, peer: PublicKey, message: RawMessage) {
        self.queues().sending.push((peer, PortMessage::Raw(message)));
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, received: Received) {
        self.queues().received.push(received);
        self.wake.notify_one();
    }
}

impl CustomMessageReader for Port {
    type CustomMessage = PortMessage;

    fn read<R: LengthLimitedRead>(&self, kind: u16, buffer: &mut R) -> Result<Option<PortMessage>, DecodeError> {
        if kind != LSPS_TYPE {
            return Ok(None);
        }
        let length = usize::try_from(buffer.remaining_bytes()).map_err(|_| DecodeError::InvalidValue)?;
        let mut bytes = vec![0; length];
        buffer.read_exact(&mut bytes).map_err(|_| DecodeError::ShortRead)?;
        Ok(Some(PortMessage::Lsps(LspsMessage(String::from_utf8(bytes).ok()))))
    }
}

impl CustomMessageHandler for Port {
    fn handle_custom_message(&self, message: PortMessage, sender: PublicKey) -> Result<(), LightningError> {
        if let PortMessage::Lsps(message) = message {
            self.receive(Received::Message(sender, message));
        }
        Ok(())
    }

    fn get_and_clear_pending_msg(&self) -> Vec<(PublicKey, PortMessage)> {
        std::mem::take(&mut self.queues().sending)
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        let mut queues = self.queues();
        queues.connected.remove(&peer);
        // An answer belongs to the connection that asked.
        queues.sending.retain(|(to, _)| *to != peer);
        drop(queues);
        self.receive(Received::Disconnected(peer));
    }

    fn peer_connected(&self, peer: PublicKey, _init: &Init, _inbound: bool) -> Result<(), ()> {
        self.queues().connected.insert(peer);
        self.receive(Received::Connected(peer));
        Ok(())
    }

    fn provided_node_features(&self) -> NodeFeatures {
        NodeFeatures::empty()
    }

    fn provided_init_features(&self, _peer: PublicKey) -> InitFeatures {
        InitFeatures::empty()
    }
}
