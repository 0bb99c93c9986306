//! Sockets and names.

pub mod peer_socket;
